//! Signing in to AWS: which credentials a request is signed with.
//!
//! The base is the first of: the token of a service account (IRSA), static keys of the store, the default chain of the
//! program's surroundings. Roles are assumed on top of it, one after another. What comes out is kept until shortly
//! before it ends, and all who need it meanwhile wait for one sign-in.

mod role;

use std::error::Error as _;
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_config::default_provider::credentials::DefaultCredentialsChain;
use aws_config::ecs::EcsCredentialsProvider;
use aws_config::environment::EnvironmentVariableCredentialsProvider;
use aws_config::imds::credentials::ImdsCredentialsProvider;
use aws_config::meta::ProviderChainError;
use aws_config::meta::credentials::CredentialsProviderChain;
use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_config::web_identity_token::WebIdentityTokenCredentialsProvider;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use futures::FutureExt as _;
use sealwright_crypto::secret::SecretText;
use tokio::sync::Mutex;

pub(crate) use self::role::Role;
use self::role::roles_of_store;
use super::http_client;
use super::sts::{credentials_of, first_cause, sts_error};
use crate::credential::{CredentialError, Scope, TokenRequest};
use crate::outcome::{StoreError, Trouble, shown};
use crate::settings::aws::{AwsAuth, AwsJwtAuth, AwsSettings, AwsStaticKeys};
use crate::settings::generators::StsRequestParameters;
use crate::store::Connection;

/// How long before their end credentials are no longer used.
const MARGIN: Duration = Duration::from_secs(60);

/// How long the default chain may look for credentials: instance metadata that does not answer must not hold up a
/// command for minutes.
const PATIENCE: Duration = Duration::from_secs(30);

/// How large a part of credentials may be.
const LARGEST: usize = 64 * 1024;

/// Gives the credentials that requests are signed with.
#[derive(Clone)]
pub(crate) struct SignIn(Arc<Inner>);

struct Inner {
    region: String,
    http: SharedHttpClient,
    base: Base,
    roles: Vec<Role>,
    kept: Mutex<Option<Credentials>>,
}

/// Where the first credentials come from.
enum Base {
    /// The surroundings of the program.
    Surroundings,
    /// A profile of the shared configuration files.
    Profile(String),
    /// Keys that the store's settings refer to.
    Keys(AwsStaticKeys, Source),
    /// A token of a service account.
    ServiceAccount(AwsJwtAuth, Source),
}

/// What answers the references of a store.
struct Source {
    credentials: Arc<dyn crate::credential::Credentials>,
    scope: Scope,
}

impl SignIn {
    /// Signs in as the settings of a store say.
    pub(crate) fn of_store(
        settings: &AwsSettings,
        connection: &Connection,
    ) -> Result<Self, StoreError> {
        let source = || Source {
            credentials: Arc::clone(&connection.credentials),
            scope: connection.scope.clone(),
        };
        let base = match &settings.auth {
            Some(AwsAuth { jwt: Some(jwt), .. }) => Base::ServiceAccount(jwt.clone(), source()),
            Some(AwsAuth {
                secret_ref: Some(keys),
                ..
            }) => Base::Keys(keys.clone(), source()),
            _ => Base::Surroundings,
        };
        let roles = roles_of_store(settings, &connection.scope);
        Self::new(settings.region.clone(), base, roles, connection.timeout)
    }

    /// Signs in from the surroundings of the program, or a profile, and assumes a role if one is given.
    pub(crate) fn of_surroundings(
        region: &str,
        profile: Option<&str>,
        role: Option<Role>,
    ) -> Result<Self, StoreError> {
        let base = match profile.filter(|name| !name.is_empty()) {
            Some(name) => Base::Profile(name.to_owned()),
            None => Base::Surroundings,
        };
        Self::new(region.to_owned(), base, role.into_iter().collect(), None)
    }

    fn new(
        region: String,
        base: Base,
        roles: Vec<Role>,
        timeout: Option<Duration>,
    ) -> Result<Self, StoreError> {
        // The region is a part of the signature, and the vendor's library panics at what no header can carry.
        let of_region = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        if !region.bytes().all(of_region) {
            return Err(StoreError::invalid("the region of AWS is no name of a region").public());
        }
        Ok(Self(Arc::new(Inner {
            region,
            http: http_client::new(timeout)?,
            base,
            roles,
            kept: Mutex::new(None),
        })))
    }

    /// Returns credentials that are good for another minute at least.
    pub(crate) async fn credentials(&self) -> Result<Credentials, StoreError> {
        // Held while signing in, so that all who wait share one sign-in.
        let mut kept = self.0.kept.lock().await;
        if let Some(credentials) = kept.as_ref().filter(|kept| is_fresh(kept)) {
            return Ok(credentials.clone());
        }
        let fresh = self.0.sign_in().await?;
        *kept = Some(fresh.clone());
        Ok(fresh)
    }

    /// Asks STS whose credentials these are.
    pub(crate) async fn caller(&self) -> Result<String, StoreError> {
        let sts = self.0.sts(Some(self.credentials().await?));
        let answer = sts.get_caller_identity().send().await;
        let answer = answer
            .map_err(|error| sts_error(&error, "ask who this is", "sts:GetCallerIdentity"))?;
        Ok(shown(answer.arn().unwrap_or("a principal without a name")))
    }

    /// Asks STS for temporary credentials of the current identity.
    pub(crate) async fn session_token(
        &self,
        wanted: &StsRequestParameters,
    ) -> Result<Credentials, StoreError> {
        let sts = self.0.sts(Some(self.credentials().await?));
        let answer = sts
            .get_session_token()
            .set_duration_seconds(wanted.session_duration)
            .set_serial_number(wanted.serial_number.clone())
            .set_token_code(wanted.token_code.clone())
            .send()
            .await
            .map_err(|error| sts_error(&error, "get a session token", "sts:GetSessionToken"))?;
        credentials_of(answer.credentials(), "SessionToken")
    }

    /// Gives up credentials that the service did not accept, unless others were fetched meanwhile.
    pub(crate) async fn discard(&self, refused: &Credentials) {
        let mut kept = self.0.kept.lock().await;
        if kept.as_ref() == Some(refused) {
            *kept = None;
        }
    }
}

impl fmt::Debug for SignIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SignIn")
    }
}

fn is_fresh(credentials: &Credentials) -> bool {
    let now = SystemTime::now();
    credentials.expiry().is_none_or(|end| end > now + MARGIN)
}

impl Inner {
    async fn sign_in(&self) -> Result<Credentials, StoreError> {
        let mut credentials = self.base().await?;
        check(&credentials)?;
        for role in &self.roles {
            credentials = self.assume(role, credentials).await?;
            check(&credentials)?;
        }
        Ok(credentials)
    }

    async fn base(&self) -> Result<Credentials, StoreError> {
        match &self.base {
            Base::Surroundings => {
                let chain = self.default_chain().await;
                self.provided(
                    chain,
                    "the environment, profiles, web identity, container and instance metadata",
                )
                .await
            }
            Base::Profile(name) => {
                let provider = ProfileFileCredentialsProvider::builder()
                    .configure(&self.provider_config())
                    .profile_name(name)
                    .build();
                self.provided(
                    SharedCredentialsProvider::new(provider),
                    &format!("the profile {}", shown(name)),
                )
                .await
            }
            Base::Keys(keys, source) => static_keys(keys, source).await,
            Base::ServiceAccount(jwt, source) => self.service_account(jwt, source).await,
        }
    }

    /// The chain in upstream's order: web identity comes before profiles, which the library's own chain has the other
    /// way round.
    async fn default_chain(&self) -> SharedCredentialsProvider {
        let config = self.provider_config();
        if std::env::var_os("AWS_WEB_IDENTITY_TOKEN_FILE").is_none() {
            let chain = DefaultCredentialsChain::builder()
                .configure(config)
                .region(Region::new(self.region.clone()))
                .build()
                .await;
            return SharedCredentialsProvider::new(chain);
        }
        let web_identity = WebIdentityTokenCredentialsProvider::builder()
            .configure(&config)
            .build();
        let profile = ProfileFileCredentialsProvider::builder()
            .configure(&config)
            .build();
        let container = EcsCredentialsProvider::builder().configure(&config).build();
        let instance = ImdsCredentialsProvider::builder()
            .configure(&config)
            .build();
        let chain = CredentialsProviderChain::first_try(
            "Environment",
            EnvironmentVariableCredentialsProvider::new(),
        )
        .or_else("WebIdentityToken", web_identity)
        .or_else("Profile", profile)
        .or_else("EcsContainer", container)
        .or_else("Ec2InstanceMetadata", instance);
        SharedCredentialsProvider::new(chain)
    }

    async fn provided(
        &self,
        provider: SharedCredentialsProvider,
        looked_in: &str,
    ) -> Result<Credentials, StoreError> {
        // The library trusts what gives credentials to a machine, and panics at a key that no header can carry.
        let asked = AssertUnwindSafe(provider.provide_credentials()).catch_unwind();
        match tokio::time::timeout(PATIENCE, asked).await {
            Ok(Ok(Ok(credentials))) => Ok(credentials),
            Ok(Err(_)) => Err(StoreError::new(
                Trouble::Malformed,
                format!("what gives AWS credentials in {looked_in} gave some that cannot be used"),
            )),
            Ok(Ok(Err(error))) => Err(StoreError::new(
                Trouble::Unauthenticated,
                format!("no AWS credentials were found in {looked_in}: {}", why_none(&error)),
            )
            .with_hint(
                "set AWS_PROFILE or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or run where a role is attached",
            )),
            Err(_) => Err(StoreError::new(
                Trouble::Unavailable,
                format!(
                    "looking for AWS credentials in {looked_in} took longer than {} s",
                    PATIENCE.as_secs()
                ),
            )
            .with_hint("AWS_EC2_METADATA_DISABLED=true skips the instance metadata")),
        }
    }

    /// IRSA: the token of a service account is exchanged for the role that its annotation names.
    async fn service_account(
        &self,
        jwt: &AwsJwtAuth,
        source: &Source,
    ) -> Result<Credentials, StoreError> {
        const FIELD: &str = "auth.jwt.serviceAccountRef";
        let account = jwt
            .service_account_ref
            .as_ref()
            .ok_or_else(|| StoreError::invalid("`auth.jwt` needs serviceAccountRef").public())?;
        let annotations = source
            .credentials
            .annotations(&source.scope, account)
            .await
            .map_err(|error| error.at_field(FIELD))?;
        let role = annotations
            .get("eks.amazonaws.com/role-arn")
            .ok_or_else(|| {
                StoreError::invalid(format!(
                    "the service account {} has no annotation eks.amazonaws.com/role-arn",
                    shown(&account.name)
                ))
                .public()
            })?;
        let audience = annotations
            .get("eks.amazonaws.com/audience")
            .map_or("sts.amazonaws.com", String::as_str);
        let audiences = std::iter::once(audience.to_owned())
            .chain(account.audiences.iter().cloned())
            .collect();
        let request = TokenRequest {
            service_account: account.clone(),
            audiences,
            lifetime: None,
        };
        let token = source
            .credentials
            .token(&source.scope, &request)
            .await
            .map_err(|error| error.at_field(FIELD))?;
        let token = SecretText::from_bytes(token).map_err(|_| {
            StoreError::new(
                Trouble::Malformed,
                "the token of the service account is no text",
            )
        })?;
        let answer = self
            .sts(None)
            .assume_role_with_web_identity()
            .role_arn(role)
            .role_session_name("external-secrets-provider-aws")
            .web_identity_token(token.expose())
            .send()
            .await
            .map_err(|error| {
                let attempt = format!("assume the role {}", shown(role));
                sts_error(&error, &attempt, "sts:AssumeRoleWithWebIdentity")
            })?;
        credentials_of(answer.credentials(), "WebIdentity")
    }

    async fn assume(&self, role: &Role, with: Credentials) -> Result<Credentials, StoreError> {
        let session_name = match &role.session_name {
            Some(name) => name.clone(),
            // As the vendor's Go library names sessions.
            None => {
                let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
                format!("aws-go-sdk-{}", since.unwrap_or_default().as_nanos())
            }
        };
        let tags = role.tags.iter().map(|(key, value)| {
            aws_sdk_sts::types::Tag::builder()
                .key(key)
                .value(value)
                .build()
        });
        let tags: Result<Vec<_>, _> = tags.collect();
        let tags = tags.map_err(|_| StoreError::invalid("a session tag has no key").public())?;
        let answer = self
            .sts(Some(with))
            .assume_role()
            .role_arn(&role.arn)
            .role_session_name(session_name)
            .set_external_id(role.external_id.clone())
            .set_tags((!tags.is_empty()).then_some(tags))
            .set_transitive_tag_keys(
                (!role.transitive_tag_keys.is_empty()).then(|| role.transitive_tag_keys.clone()),
            )
            .send()
            .await
            .map_err(|error| {
                let attempt = format!("assume the role {}", shown(&role.arn));
                sts_error(&error, &attempt, "sts:AssumeRole")
            })?;
        credentials_of(answer.credentials(), "AssumeRole")
    }

    fn sts(&self, with: Option<Credentials>) -> aws_sdk_sts::Client {
        let mut config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(self.region.clone()))
            .http_client(self.http.clone())
            .sleep_impl(aws_smithy_async::rt::sleep::TokioSleep::new())
            .time_source(aws_smithy_async::time::SystemTimeSource::new());
        if let Some(credentials) = with {
            config = config.credentials_provider(SharedCredentialsProvider::new(credentials));
        }
        let mut config = aws_sdk_sts::config::Builder::from(&config.build());
        if let Some(endpoint) = super::service::endpoint_override("AWS_STS_ENDPOINT", "STS") {
            config = config.endpoint_url(endpoint);
        }
        aws_sdk_sts::Client::from_conf(config.build())
    }

    fn provider_config(&self) -> ProviderConfig {
        ProviderConfig::without_region()
            .with_region(Some(Region::new(self.region.clone())))
            .with_http_client(self.http.clone())
            .with_sleep_impl(aws_smithy_async::rt::sleep::TokioSleep::new())
            .with_behavior_version(Some(BehaviorVersion::latest()))
    }
}

/// Says why a provider gave no credentials. A chain has asked several sources; the last of them is the metadata of the
/// machine, whose reason tells most.
fn why_none(error: &CredentialsError) -> String {
    let chain = error.source();
    let chain =
        chain.and_then(|chain| chain.downcast_ref::<ProviderChainError<CredentialsError>>());
    let last = chain.and_then(|chain| chain.attempts().last());
    match last {
        Some(last) => first_cause(last.error()),
        None => first_cause(error),
    }
}

/// Makes sure that a request can carry the credentials. A Secret may hold a line break that no one sees, and a service may
/// say anything; the vendor's library panics at such a key.
fn check(credentials: &Credentials) -> Result<(), StoreError> {
    let parts = [
        ("access key id", credentials.access_key_id()),
        (
            "session token",
            credentials.session_token().unwrap_or_default(),
        ),
    ];
    for (what, text) in parts {
        if text.len() > LARGEST {
            let reason = format!("the {what} of AWS has more than {LARGEST} bytes");
            return Err(StoreError::new(Trouble::Malformed, reason).public());
        }
        if text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
            continue;
        }
        let reason = format!(
            "the {what} of AWS holds a line break or another byte that no request can carry"
        );
        let error = StoreError::new(Trouble::Unauthenticated, reason).public();
        return Err(match text.ends_with('\n') {
            true => error.with_hint("remove the line break at its end"),
            false => error,
        });
    }
    Ok(())
}

async fn static_keys(keys: &AwsStaticKeys, source: &Source) -> Result<Credentials, StoreError> {
    let read = async |field: &'static str, selector: Option<&_>| match selector {
        None => Ok(None),
        Some(selector) => {
            let bytes = source
                .credentials
                .secret(&source.scope, selector)
                .await
                .map_err(|error: CredentialError| error.at_field(field))?;
            SecretText::from_bytes(bytes).map(Some).map_err(|_| {
                StoreError::invalid(format!("`{field}` refers to something that is no text"))
                    .public()
            })
        }
    };
    let id = read(
        "auth.secretRef.accessKeyIDSecretRef",
        keys.access_key_id.as_ref(),
    )
    .await?;
    let key = read(
        "auth.secretRef.secretAccessKeySecretRef",
        keys.secret_access_key.as_ref(),
    )
    .await?;
    let token = read(
        "auth.secretRef.sessionTokenSecretRef",
        keys.session_token.as_ref(),
    )
    .await?;
    let (Some(id), Some(key)) = (id, key) else {
        return Err(StoreError::invalid(
            "`auth.secretRef` needs accessKeyIDSecretRef and secretAccessKeySecretRef",
        )
        .public());
    };
    // The library's type takes texts of its own, which it wipes.
    Ok(Credentials::new(
        id.expose(),
        key.expose(),
        token.as_ref().map(|token| token.expose().to_owned()),
        None,
        "SecretStore",
    ))
}

#[cfg(test)]
mod tests;
