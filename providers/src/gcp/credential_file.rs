//! Files of credentials as Google writes them: keys of service accounts, users of `gcloud`, external identities, and
//! service accounts that one of these acts as.

use std::sync::Arc;

use sealwright_crypto::secret::SecretBytes;
use sealwright_crypto::surroundings::Surroundings;

use super::sign_in::{AuthorizedUser, Impersonated, ServiceAccount, Source};
use super::workload::{self, Federated};
use crate::bearer::assertion::Signer;
use crate::http::HttpClient;
use crate::http::url::Url;
use crate::json::{Json, Kind};
use crate::message::name_in;
use crate::outcome::{StoreError, shown};

/// Where credentials of a user are exchanged for tokens.
const TOKEN_URL: &str = "https://oauth2.googleapis.com/token";

/// Whose a file is. That of a store comes from the author of a manifest, who may not read the program's own files or have
/// programs run.
pub(super) enum Origin {
    /// The user's own.
    User {
        surroundings: Arc<dyn Surroundings>,
        http: Arc<HttpClient>,
    },
    /// That of a store.
    Store { http: Arc<HttpClient> },
}

impl Origin {
    pub(super) fn http(&self) -> Arc<HttpClient> {
        match self {
            Self::User { http, .. } | Self::Store { http } => Arc::clone(http),
        }
    }
}

/// Reads a file of credentials; `name` says which, for errors.
pub(super) fn read(text: &SecretBytes, name: &str, origin: &Origin) -> Result<Source, StoreError> {
    let json = Json::parse(text.expose()).ok();
    let json = json.filter(|json| json.kind() == Kind::Object);
    let json = json.ok_or_else(|| {
        StoreError::invalid(format!("`{name}` is no file of credentials (JSON)")).public()
    })?;
    of_object(json, name, origin, 2)
}

fn of_object(json: Json<'_>, name: &str, origin: &Origin, depth: u8) -> Result<Source, StoreError> {
    let wrong = |what: &str| {
        StoreError::invalid(format!("`{name}` is a file of credentials {what}")).public()
    };
    let text = |member: &'static str| {
        name_in(json, member).ok_or_else(|| wrong(&format!("without `{member}`")))
    };
    let secret = |member: &'static str| {
        let text = json.member(member).and_then(Json::string);
        text.filter(|text| !text.expose().is_empty())
            .ok_or_else(|| wrong(&format!("without `{member}`")))
    };
    let kind = text("type")?;
    match kind.as_str() {
        "service_account" => {
            let token_url = name_in(json, "token_uri");
            let token_url = https(token_url.as_deref().unwrap_or(TOKEN_URL), "token_uri")?;
            let key = secret("private_key")?;
            let signer = Signer::from_pem(key.expose().as_bytes());
            Ok(Box::new(ServiceAccount {
                email: text("client_email")?,
                key_id: name_in(json, "private_key_id"),
                signer: signer.ok_or_else(|| wrong("whose `private_key` is no RSA key in PEM"))?,
                token_url,
                http: origin.http(),
            }))
        }
        "authorized_user" => Ok(Box::new(AuthorizedUser {
            client_id: text("client_id")?,
            client_secret: secret("client_secret")?,
            refresh_token: secret("refresh_token")?,
            quota_project: name_in(json, "quota_project_id"),
            token_url: https(TOKEN_URL, "token_uri")?,
            http: origin.http(),
        })),
        "external_account" => external_account(json, origin),
        "impersonated_service_account" if depth > 0 => {
            let url = text("service_account_impersonation_url")?;
            let url = workload::impersonation_of(&url, "service_account_impersonation_url")?;
            let base = json.member("source_credentials");
            let base = base.ok_or_else(|| wrong("without `source_credentials`"))?;
            let delegates = json.member("delegates").into_iter();
            Ok(Box::new(Impersonated {
                base: of_object(base, name, origin, depth - 1)?,
                url,
                delegates: delegates
                    .flat_map(Json::elements)
                    .filter_map(|name| Some(name.string()?.expose().to_owned()))
                    .collect(),
                lifetime: 3600,
                http: origin.http(),
            }))
        }
        _ => Err(wrong(&format!(
            "of the type {}, which this program does not know",
            shown(&kind)
        ))),
    }
}

/// An identity of somewhere else, as `gcloud iam workload-identity-pools create-cred-config` writes it.
pub(super) fn external_account(json: Json<'_>, origin: &Origin) -> Result<Source, StoreError> {
    let text = |member: &'static str| {
        name_in(json, member).ok_or_else(|| {
            StoreError::invalid(format!("the external credentials have no `{member}`")).public()
        })
    };
    let source = json.member("credential_source").ok_or_else(|| {
        StoreError::invalid("the external credentials have no `credential_source`").public()
    })?;
    let federated = Federated {
        audience: text("audience")?,
        subject_type: text("subject_token_type")?,
        subject: workload::subject_of(source, origin)?,
        token_url: workload::token_service_of(&text("token_url")?)?,
        http: origin.http(),
    };
    let Some(url) = name_in(json, "service_account_impersonation_url") else {
        return Ok(Box::new(federated));
    };
    let options = json.member("service_account_impersonation");
    let lifetime = options.and_then(|options| options.member("token_lifetime_seconds")?.integer());
    Ok(Box::new(Impersonated {
        base: Box::new(federated),
        url: workload::impersonation_of(&url, "service_account_impersonation_url")?,
        delegates: Vec::new(),
        lifetime: lifetime
            .and_then(|seconds| u64::try_from(seconds).ok())
            .map_or(3600, |seconds| seconds.clamp(600, 43_200)),
        http: origin.http(),
    }))
}

/// Reads an address that must be one of HTTPS.
pub(super) fn https(text: &str, field: &str) -> Result<Url, StoreError> {
    let url = Url::parse(text).map_err(|error| error.at_field(field))?;
    match url.is_https() {
        true => Ok(url),
        false => Err(StoreError::invalid(format!("`{field}` must begin with https://")).public()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::HttpSettings;

    fn refused(text: &str) -> String {
        let http = Arc::new(HttpClient::new(HttpSettings::default()).unwrap());
        let origin = Origin::Store { http };
        match read(&SecretBytes::copy_of(text.as_bytes()), "x", &origin) {
            Ok(_) => panic!("{text} is refused"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn what_a_store_may_not_name_is_refused() {
        let external = |source: &str, more: &str| {
            format!(
                r#"{{"type": "external_account", "audience": "//iam.googleapis.com/x",
                "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
                "token_url": "https://sts.googleapis.com/v1/token", {more} "credential_source": {source}}}"#
            )
        };
        let file = refused(&external(r#"{"file": "/etc/passwd"}"#, ""));
        assert!(file.contains("may not read files"), "{file}");
        let run = refused(&external(r#"{"executable": {"command": "id"}}"#, ""));
        assert!(run.contains("executable"), "{run}");
        for url in [
            "https://sts.googleapis.com.evil.example/v1/token",
            "https://evil.example/sts.googleapis.com/v1/token",
            "http://sts.googleapis.com/v1/token",
            "https://sts.googleapis.com/v1/other",
            "https://storage.googleapis.com/v1/token",
        ] {
            let text = external(r#"{"url": "https://x"}"#, "")
                .replace("https://sts.googleapis.com/v1/token", url);
            assert!(refused(&text).contains("token_url"), "{url}");
        }
        let acting = external(
            r#"{"url": "https://x"}"#,
            r#""service_account_impersonation_url": "https://evil.example/x:generateAccessToken","#,
        );
        assert!(refused(&acting).contains("service_account_impersonation_url"));
    }

    #[test]
    fn a_file_that_is_none_is_told_without_its_text() {
        for text in [
            "canary",
            r#"{"type": "canary-type-is-shown"}"#,
            r#"{"type": "service_account", "client_email": "a@b", "private_key": "canary"}"#,
            r#"{"type": "authorized_user", "client_id": "canary"}"#,
        ] {
            let error = refused(text);
            assert!(
                !error.replace("canary-type", "").contains("canary"),
                "{error}"
            );
        }
    }
}
