//! The ways to sign in.

use std::collections::BTreeMap;
use std::time::Duration;

use sealwright_crypto::secret::{SecretBytes, SecretText, SecretWriter};

use super::identity::Identity;
use crate::credential::{Credentials, Scope, StoreKind, TokenRequest};
use crate::json::{Html, write_text};
use crate::outcome::{StoreError, Trouble};
use crate::settings::openbao::OpenBaoAuth;
use crate::settings::vault::{
    VaultAppRole, VaultAuth, VaultGcpAuth, VaultIamAuth, VaultUserPassAuth,
};
use crate::settings::{SecretKeySelector, ServiceAccountSelector};
use crate::store::Connection;

/// How long tokens of service accounts live that are only used to sign in.
const TOKEN_LIFETIME: Duration = Duration::from_secs(600);

/// A way to sign in.
pub(crate) enum Login {
    /// None: requests carry no token.
    None,
    /// A token that is there already.
    Token(SecretKeySelector),
    /// An AppRole.
    AppRole(VaultAppRole),
    /// A user with a password, of Vault's own or of an LDAP directory.
    User {
        method: &'static str,
        path: String,
        username: String,
        password: SecretKeySelector,
    },
    /// A token of a service account, for the Kubernetes or the JWT method.
    Jwt {
        method: &'static str,
        path: String,
        role: Option<String>,
        token: Jwt,
    },
    /// The client certificate of the connection.
    Certificate { path: String, role: Option<String> },
    /// An identity of a cloud.
    #[cfg_attr(
        not(any(feature = "aws", feature = "gcp")),
        allow(dead_code, reason = "a build without clouds has none")
    )]
    Identity {
        method: &'static str,
        path: String,
        identity: Box<dyn Identity>,
    },
    /// A method that this build does not have.
    #[cfg_attr(
        all(feature = "aws", feature = "gcp"),
        allow(dead_code, reason = "a build with both clouds has all")
    )]
    Missing(&'static str),
}

/// Where a JSON Web Token comes from.
pub(crate) enum Jwt {
    /// A Secret.
    Secret(&'static str, SecretKeySelector),
    /// A service account.
    ServiceAccount(&'static str, TokenRequest),
    /// The pod that the program runs in.
    Own,
}

/// What signing in comes to.
pub(crate) enum Attempt {
    /// The token is there.
    Token(SecretBytes),
    /// It is asked for.
    Login { path: String, body: SecretBytes },
}

impl Login {
    /// Picks the method that counts: the first in upstream's order.
    pub(crate) fn of_vault(
        auth: Option<&VaultAuth>,
        server: &str,
        connection: &Connection,
    ) -> Result<Self, StoreError> {
        let Some(auth) = auth else {
            return Ok(Self::None);
        };
        if let Some(selector) = &auth.token_secret_ref {
            return Ok(Self::Token(selector.clone()));
        }
        if let Some(role) = &auth.app_role {
            return Ok(Self::AppRole(role.clone()));
        }
        if let Some(kubernetes) = &auth.kubernetes {
            let token = kubernetes_token(
                kubernetes.service_account_ref.as_ref(),
                kubernetes.secret_ref.as_ref(),
            );
            return Ok(Self::Jwt {
                method: "kubernetes",
                path: kubernetes.mount_path.clone(),
                role: Some(kubernetes.role.clone()),
                token: token.unwrap_or(Jwt::Own),
            });
        }
        if let Some(ldap) = &auth.ldap {
            return Ok(Self::User {
                method: "ldap",
                path: ldap.path.clone(),
                username: ldap.username.clone(),
                password: ldap.secret_ref.clone(),
            });
        }
        if let Some(user) = &auth.user_pass {
            return Ok(Self::of_user(user));
        }
        if let Some(jwt) = &auth.jwt {
            let token = match (&jwt.secret_ref, &jwt.kubernetes_service_account_token) {
                (Some(secret), _) => Jwt::Secret("auth.jwt.secretRef", secret.clone()),
                (None, Some(token)) => {
                    let account = &token.service_account_ref;
                    let own = account.audiences.iter().cloned();
                    let more = token.audiences.clone();
                    let more = more.unwrap_or_else(|| vec!["vault".to_owned()]);
                    let seconds = token.expiration_seconds.unwrap_or(600).max(1);
                    Jwt::ServiceAccount(
                        "auth.jwt.kubernetesServiceAccountToken.serviceAccountRef",
                        TokenRequest {
                            service_account: account.clone(),
                            audiences: own.chain(more).collect(),
                            lifetime: u64::try_from(seconds).ok().map(Duration::from_secs),
                        },
                    )
                }
                (None, None) => {
                    return Err(StoreError::invalid(
                        "`auth.jwt` needs secretRef or kubernetesServiceAccountToken",
                    )
                    .public());
                }
            };
            return Ok(Self::Jwt {
                method: "jwt",
                path: jwt.path.clone(),
                role: jwt.role.clone(),
                token,
            });
        }
        if let Some(cert) = &auth.cert {
            return Ok(Self::Certificate {
                path: cert.path.clone().unwrap_or_else(|| "cert".to_owned()),
                role: cert.vault_role.clone(),
            });
        }
        if let Some(iam) = &auth.iam {
            return of_iam(iam, connection);
        }
        if let Some(gcp) = &auth.gcp {
            return of_gcp(gcp, server, connection);
        }
        // Without `auth` there is no token; an `auth` that names nothing is a mistake.
        Err(StoreError::invalid("`auth` names no way to sign in").public())
    }

    /// Picks the method of OpenBao.
    pub(crate) fn of_openbao(auth: Option<&OpenBaoAuth>) -> Self {
        let Some(auth) = auth else {
            return Self::None;
        };
        if let Some(selector) = &auth.token_secret_ref {
            return Self::Token(selector.clone());
        }
        if let Some(role) = &auth.app_role {
            return Self::AppRole(role.clone());
        }
        if let Some(user) = &auth.user_pass {
            return Self::of_user(user);
        }
        match &auth.kubernetes {
            Some(kubernetes) => Self::Jwt {
                method: "kubernetes",
                path: kubernetes.path.clone(),
                role: Some(kubernetes.role.clone()),
                token: kubernetes_token(
                    kubernetes.service_account_ref.as_ref(),
                    kubernetes.secret_ref.as_ref(),
                )
                .unwrap_or(Jwt::Own),
            },
            None => Self::None,
        }
    }

    fn of_user(user: &VaultUserPassAuth) -> Self {
        Self::User {
            method: "userpass",
            path: user.path.clone(),
            username: user.username.clone(),
            password: user.secret_ref.clone(),
        }
    }

    /// The method, for errors.
    pub(crate) fn method(&self) -> &'static str {
        match self {
            Self::None => "no credentials",
            Self::Token(_) => "a token",
            Self::AppRole(_) => "an AppRole",
            Self::User { method, .. }
            | Self::Jwt { method, .. }
            | Self::Identity { method, .. }
            | Self::Missing(method) => method,
            Self::Certificate { .. } => "a client certificate",
        }
    }

    /// Gathers the credentials and writes the request.
    pub(crate) async fn prepare(
        &self,
        credentials: &dyn Credentials,
        scope: &Scope,
    ) -> Result<Attempt, StoreError> {
        let secret = async |field: &str, selector: &SecretKeySelector| {
            credentials
                .secret(scope, selector)
                .await
                .map_err(|error| error.at_field(field))
        };
        match self {
            Self::None => {
                Err(StoreError::new(Trouble::Unauthenticated, "the store has no `auth`").public())
            }
            Self::Token(selector) => {
                let token = secret("auth.tokenSecretRef", selector).await?;
                if token.is_empty() {
                    return Err(
                        StoreError::new(Trouble::Unauthenticated, "the token is empty").public(),
                    );
                }
                Ok(Attempt::Token(token))
            }
            Self::AppRole(role) => {
                let inline = role.role_id.as_deref().map(str::trim);
                let id = match (inline.filter(|id| !id.is_empty()), &role.role_ref) {
                    (Some(id), _) => SecretBytes::copy_of(id.as_bytes()),
                    (None, Some(selector)) => secret("auth.appRole.roleRef", selector).await?,
                    (None, None) => {
                        return Err(
                            StoreError::invalid("`auth.appRole` needs roleId or roleRef").public(),
                        );
                    }
                };
                let secret_id = secret("auth.appRole.secretRef", &role.secret_ref).await?;
                Ok(Attempt::Login {
                    path: login_path(&role.path, None)?,
                    body: object(&[("role_id", &id), ("secret_id", &secret_id)])?,
                })
            }
            Self::User {
                path,
                username,
                password,
                method,
            } => {
                let field = if *method == "ldap" {
                    "auth.ldap.secretRef"
                } else {
                    "auth.userPass.secretRef"
                };
                let password = secret(field, password).await?;
                Ok(Attempt::Login {
                    path: login_path(path, Some(username))?,
                    body: object(&[("password", &password)])?,
                })
            }
            Self::Jwt {
                path, role, token, ..
            } => {
                let jwt = match token {
                    Jwt::Secret(field, selector) => secret(field, selector).await?,
                    Jwt::ServiceAccount(field, request) => credentials
                        .token(scope, request)
                        .await
                        .map_err(|error| error.at_field(field))?,
                    Jwt::Own => own_token(credentials, scope).await?,
                };
                let role = SecretBytes::copy_of(role.as_deref().unwrap_or_default().as_bytes());
                Ok(Attempt::Login {
                    path: login_path(path, None)?,
                    body: object(&[("role", &role), ("jwt", &jwt)])?,
                })
            }
            Self::Certificate { path, role } => {
                let role = role.as_deref().unwrap_or_default();
                let name = SecretBytes::copy_of(role.as_bytes());
                let body = if role.is_empty() {
                    object(&[])?
                } else {
                    object(&[("name", &name)])?
                };
                Ok(Attempt::Login {
                    path: login_path(path, None)?,
                    body,
                })
            }
            Self::Identity { path, identity, .. } => Ok(Attempt::Login {
                path: login_path(path, None)?,
                body: identity.body().await?,
            }),
            Self::Missing(method) => Err(StoreError::new(
                Trouble::Unsupported,
                format!("this build cannot sign in with the method `{method}`"),
            )
            .public()
            .with_hint("use kubernetes, jwt, appRole, cert, userPass, ldap or a token")),
        }
    }
}

#[cfg(feature = "aws")]
fn of_iam(auth: &VaultIamAuth, connection: &Connection) -> Result<Login, StoreError> {
    let path = auth.path.clone().filter(|path| !path.is_empty());
    Ok(Login::Identity {
        method: "iam",
        path: path.unwrap_or_else(|| "aws".to_owned()),
        identity: Box::new(crate::aws::vault_login::VaultLogin::new(auth, connection)?),
    })
}

#[cfg(not(feature = "aws"))]
fn of_iam(_: &VaultIamAuth, _: &Connection) -> Result<Login, StoreError> {
    Ok(Login::Missing("iam"))
}

#[cfg(feature = "gcp")]
fn of_gcp(auth: &VaultGcpAuth, server: &str, connection: &Connection) -> Result<Login, StoreError> {
    let path = Some(auth.path.clone()).filter(|path| !path.is_empty());
    let identity = crate::gcp::vault_login::VaultLogin::new(auth, server, connection)?;
    Ok(Login::Identity {
        method: "gcp",
        path: path.unwrap_or_else(|| "gcp".to_owned()),
        identity: Box::new(identity),
    })
}

#[cfg(not(feature = "gcp"))]
fn of_gcp(_: &VaultGcpAuth, _: &str, _: &Connection) -> Result<Login, StoreError> {
    Ok(Login::Missing("gcp"))
}

fn kubernetes_token(
    account: Option<&ServiceAccountSelector>,
    secret: Option<&SecretKeySelector>,
) -> Option<Jwt> {
    if let Some(account) = account {
        return Some(Jwt::ServiceAccount(
            "auth.kubernetes.serviceAccountRef",
            TokenRequest {
                audiences: account.audiences.clone(),
                service_account: account.clone(),
                lifetime: Some(TOKEN_LIFETIME),
            },
        ));
    }
    secret.map(|secret| Jwt::Secret("auth.kubernetes.secretRef", secret.or_key("token")))
}

/// The token of the program's own pod. Whoever may write a SecretStore or a generator names the server that would learn it,
/// so those are refused; upstream gives it to them, too.
async fn own_token(
    credentials: &dyn Credentials,
    scope: &Scope,
) -> Result<SecretBytes, StoreError> {
    if scope.kind == StoreKind::Namespaced {
        return Err(StoreError::invalid(
            "`auth.kubernetes` names no service account, and only a ClusterSecretStore may use that of this program",
        )
        .public()
        .with_hint("set `serviceAccountRef` or `secretRef`"));
    }
    let token = credentials.own_token().await;
    token.map_err(|error| error.at_field("auth.kubernetes"))
}

/// The path of a login: `auth/<mount>/login[/<user>]`.
fn login_path(mount: &str, user: Option<&str>) -> Result<String, StoreError> {
    let mount = mount.trim_matches('/');
    let bad = |part: &str| part.is_empty() || part == "." || part == "..";
    if mount.split('/').any(bad) {
        return Err(StoreError::invalid("the mount path of the method is not valid").public());
    }
    match user {
        None => Ok(format!("auth/{mount}/login")),
        Some(user) if bad(user) || user.contains('/') => {
            Err(StoreError::invalid("the name of the user is not valid").public())
        }
        Some(user) => Ok(format!("auth/{mount}/login/{user}")),
    }
}

/// A JSON object of strings.
fn object(members: &[(&str, &SecretBytes)]) -> Result<SecretBytes, StoreError> {
    let members: BTreeMap<&str, &SecretBytes> = members.iter().copied().collect();
    let mut out = SecretWriter::with_capacity(
        members
            .iter()
            .map(|(name, value)| name.len() + 2 * value.len() + 8)
            .sum::<usize>()
            + 2,
    );
    out.push_byte(b'{');
    for (count, (name, value)) in members.into_iter().enumerate() {
        let text = SecretText::from_bytes(SecretBytes::copy_of(value.expose())).map_err(|_| {
            StoreError::new(
                Trouble::Unauthenticated,
                format!("the credential `{name}` is no text"),
            )
            .public()
        })?;
        if count > 0 {
            out.push_byte(b',');
        }
        write_text(name.as_bytes(), Html::Plain, &mut out);
        out.push_byte(b':');
        write_text(text.expose().as_bytes(), Html::Plain, &mut out);
    }
    out.push_byte(b'}');
    Ok(out.finish())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credential::held::Held;

    #[test]
    fn the_first_method_in_upstreams_order_counts() {
        let auth: VaultAuth = serde_json::from_str(
            r#"{"userPass": {"username": "u"}, "jwt": {"role": "r", "secretRef": {"name": "t"}},
                "ldap": {"username": "l"}}"#,
        )
        .unwrap();
        let of_vault = |auth| Login::of_vault(auth, "https://v", &Connection::default());
        let login = of_vault(Some(&auth)).unwrap();
        assert!(matches!(login, Login::User { method: "ldap", .. }));
        assert!(matches!(of_vault(None).unwrap(), Login::None));
        let Err(error) = of_vault(Some(&VaultAuth::default())) else {
            panic!("there is no way to sign in");
        };
        assert_eq!(error.reason(), "`auth` names no way to sign in");
    }

    #[test]
    fn audiences_of_the_service_account_come_before_those_of_the_method() {
        for (more, expected) in [
            (r#""audiences": ["b"],"#, vec!["a", "b"]),
            (r#""audiences": [],"#, vec!["a"]),
            ("", vec!["a", "vault"]),
        ] {
            let auth: VaultAuth = serde_json::from_str(&format!(
                r#"{{"jwt": {{"kubernetesServiceAccountToken":
                    {{{more} "serviceAccountRef": {{"name": "s", "audiences": ["a"]}}}}}}}}"#
            ))
            .unwrap();
            let login = Login::of_vault(Some(&auth), "https://v", &Connection::default());
            let Ok(Login::Jwt {
                token: Jwt::ServiceAccount(_, request),
                ..
            }) = login
            else {
                panic!("a service account signs in");
            };
            assert_eq!(request.audiences, expected);
        }
    }

    #[tokio::test]
    async fn only_a_cluster_wide_store_signs_in_with_the_token_of_the_program() {
        let auth: VaultAuth = serde_json::from_str(r#"{"kubernetes": {"role": "r"}}"#).unwrap();
        let login = Login::of_vault(Some(&auth), "https://v", &Connection::default()).unwrap();
        let held = Held::default();
        held.put_own_token(SecretBytes::copy_of(b"own"));
        let scope = |kind| Scope {
            kind,
            ..Scope::default()
        };
        let cluster = scope(StoreKind::Cluster);
        let Ok(Attempt::Login { path, body }) = login.prepare(&held, &cluster).await else {
            panic!("a token is asked for");
        };
        assert_eq!(path, "auth/kubernetes/login");
        assert_eq!(body.expose(), br#"{"jwt":"own","role":"r"}"#);
        let namespaced = scope(StoreKind::Namespaced);
        let error = login.prepare(&held, &namespaced).await.err().unwrap();
        assert!(error.to_string().contains("ClusterSecretStore"), "{error}");
    }

    #[test]
    fn names_cannot_lead_to_other_paths() {
        assert_eq!(login_path("a/b", Some("u")).unwrap(), "auth/a/b/login/u");
        for (mount, user) in [
            ("..", None),
            ("a/../b", None),
            ("", None),
            ("a", Some("../x")),
            ("a", Some("")),
        ] {
            assert!(login_path(mount, user).is_err(), "{mount} {user:?}");
        }
    }

    #[test]
    fn credentials_are_escaped() {
        let body = object(&[("password", &SecretBytes::copy_of(b"a\"\\\n"))]).unwrap();
        assert_eq!(body.expose(), br#"{"password":"a\"\\\n"}"#);
        let error = object(&[("jwt", &SecretBytes::copy_of(b"\xff"))]).unwrap_err();
        assert_eq!(error.trouble(), Trouble::Unauthenticated);
    }
}
