//! Signing in to Azure: which token a request carries.

use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures::future::BoxFuture;
use http::{HeaderName, Method};
use sealwright_crypto::sealing::pem;
use sealwright_crypto::secret::{SecretBytes, SecretText};
use sealwright_crypto::surroundings::{Call, Surroundings, SystemSurroundings};
use sealwright_template::pkcs12;
use serde_json::json;
use tokio::sync::OnceCell;

use super::api::Cloud;
use crate::address::Guard;
use crate::bearer::assertion::{Signer, now, trimmed};
use crate::bearer::form::Form;
use crate::bearer::token::{
    AccessToken, TokenSource, Tokens, ask, ask_with_form, metadata_headers,
};
use crate::credential::{Credentials, Scope, TokenRequest};
use crate::http::url::Url;
use crate::http::{HttpClient, HttpSettings, Limits, Proxy, Request, secret_header};
use crate::json::Json;
use crate::outcome::{StoreError, Trouble, shown};
use crate::settings::azure::{AzureAuthType, AzureSettings};
use crate::settings::{SecretKeySelector, ServiceAccountSelector};
use crate::store::Connection;

/// A token of whom is exchanged for one of Azure.
const AUDIENCE: &str = "api://AzureADTokenExchange";
/// Annotations of a Kubernetes service account.
const CLIENT_ID: &str = "azure.workload.identity/client-id";
const TENANT_ID: &str = "azure.workload.identity/tenant-id";
const LARGEST_FILE: usize = 1 << 20;

/// Says how a store signs in.
pub(super) fn of_store(
    settings: &AzureSettings,
    cloud: Cloud,
    connection: &Connection,
    http: &Arc<HttpClient>,
) -> Result<Tokens, StoreError> {
    let secrets = StoreSecrets {
        credentials: Arc::clone(&connection.credentials),
        scope: connection.scope.clone(),
        trims: false,
    };
    source_of(settings, secrets, cloud, http).map(Tokens::new)
}

/// Says how a generator signs in, for a service other than vaults. Spaces around its credentials do not count.
pub(super) fn of_generator(
    settings: &AzureSettings,
    cloud: Cloud,
    connection: &Connection,
    http: &Arc<HttpClient>,
) -> Result<Box<dyn TokenSource>, StoreError> {
    let secrets = StoreSecrets {
        credentials: Arc::clone(&connection.credentials),
        scope: connection.scope.clone(),
        trims: true,
    };
    source_of(settings, secrets, cloud, http)
}

fn source_of(
    settings: &AzureSettings,
    secrets: StoreSecrets,
    cloud: Cloud,
    http: &Arc<HttpClient>,
) -> Result<Box<dyn TokenSource>, StoreError> {
    let endpoint = TokenEndpoint {
        cloud: cloud.clone(),
        http: Arc::clone(http),
    };
    Ok(match settings.auth_type {
        AzureAuthType::ServicePrincipal => Box::new(PrincipalOfStore {
            settings: settings.clone(),
            secrets,
            endpoint,
        }),
        AzureAuthType::ManagedIdentity => Box::new(ManagedIdentity::new(
            &SystemSurroundings,
            &cloud,
            settings.identity_id.clone(),
        )?),
        AzureAuthType::WorkloadIdentity => Box::new(WorkloadOfStore {
            settings: settings.clone(),
            secrets,
            endpoint,
        }),
    })
}

struct StoreSecrets {
    credentials: Arc<dyn Credentials>,
    scope: Scope,
    /// Whether spaces and line breaks around a text are left out.
    trims: bool,
}

impl StoreSecrets {
    async fn text(
        &self,
        field: &'static str,
        at: Option<&SecretKeySelector>,
    ) -> Result<Option<SecretText>, StoreError> {
        let Some(at) = at else { return Ok(None) };
        let bytes = self.credentials.secret(&self.scope, at).await;
        let bytes = bytes.map_err(|error| error.at_field(field))?;
        let text = SecretText::from_bytes(bytes).map_err(|_| {
            StoreError::invalid(format!("`{field}` refers to something that is no text")).public()
        })?;
        Ok(Some(match self.trims {
            true => SecretText::copy_of(text.expose().trim()),
            false => text,
        }))
    }
}

/// Where tokens come from.
#[derive(Clone)]
struct TokenEndpoint {
    cloud: Cloud,
    http: Arc<HttpClient>,
}

/// What proves that a client is who it says.
enum Proof<'a> {
    Secret(&'a SecretText),
    /// A certificate with its private key.
    Certificate(&'a Certificate),
    /// A token of someone whom Azure trusts.
    Assertion(SecretText),
}

impl TokenEndpoint {
    async fn token(
        &self,
        tenant: &str,
        client: &str,
        proof: Proof<'_>,
    ) -> Result<AccessToken, StoreError> {
        let of_tenant = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
        if tenant.is_empty() || !tenant.bytes().all(of_tenant) || tenant.contains("..") {
            return Err(StoreError::invalid("the tenant is no id or domain of a tenant").public());
        }
        let login = Url::parse(&self.cloud.login);
        let login = login.map_err(|error| error.at_field("the login address of Azure"))?;
        if !login.is_https() {
            return Err(StoreError::invalid(
                "the login address of Azure must begin with https://",
            ));
        }
        let url = login.with_segments([tenant, "oauth2", "v2.0", "token"]);
        let form = Form::default()
            .field("grant_type", "client_credentials")
            .field("client_id", client)
            .field("scope", &self.cloud.scope());
        let assertion = match &proof {
            Proof::Secret(_) => None,
            Proof::Certificate(certificate) => Some(certificate.assertion(&url, client)?),
            Proof::Assertion(token) => Some(SecretText::copy_of(token.expose())),
        };
        let form = match (proof, assertion) {
            (Proof::Secret(secret), _) => form.field("client_secret", secret.expose()),
            (_, assertion) => form
                .field(
                    "client_assertion_type",
                    "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
                )
                .field(
                    "client_assertion",
                    assertion.as_ref().map_or("", SecretText::expose),
                ),
        };
        ask_with_form(&self.http, &url, form.finish()).await
    }
}

/// A certificate that a service principal signs in with.
struct Certificate {
    signer: Signer,
    /// The hash by which Azure knows it.
    thumbprint: String,
}

impl Certificate {
    /// Reads a certificate and its key from one text in PEM, or from PKCS#12.
    fn read(bytes: &SecretBytes, password: &str, field: &str) -> Result<Self, StoreError> {
        let wrong = |what: &str| StoreError::invalid(format!("`{field}` {what}")).public();
        let is_pem = bytes.expose().windows(10).any(|part| part == b"-----BEGIN");
        let (signer, certificates) = if is_pem {
            let certificates: Vec<Vec<u8>> = pem::read(bytes.expose())
                .into_iter()
                .filter(|block| block.label == "CERTIFICATE")
                .filter_map(|block| Some(block.content?.to_vec()))
                .collect();
            (Signer::from_pem(bytes.expose()), certificates)
        } else {
            let chain = pkcs12::read(bytes.expose(), password)
                .map_err(|error| wrong(&format!("is neither PEM nor PKCS#12: {error}")))?;
            (Signer::from_pkcs8(&chain.key), chain.certificates)
        };
        let signer = signer.ok_or_else(|| wrong("holds no private RSA key"))?;
        let own = certificates
            .iter()
            .find(|certificate| signer.is_of(certificate))
            .ok_or_else(|| wrong("holds no certificate of its private key"))?;
        let hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, own);
        Ok(Self {
            signer,
            thumbprint: URL_SAFE_NO_PAD.encode(hash),
        })
    }

    fn assertion(&self, audience: &Url, client: &str) -> Result<SecretText, StoreError> {
        let mut id = [0; 16];
        getrandom::fill(&mut id).map_err(|_| {
            StoreError::new(Trouble::Unavailable, "the system gives no random numbers")
        })?;
        let issued = now();
        let header = json!({"alg": "RS256", "typ": "JWT", "x5t": self.thumbprint});
        let claims = json!({"aud": audience.to_string(), "iss": client, "sub": client,
            "jti": URL_SAFE_NO_PAD.encode(id), "nbf": issued, "iat": issued, "exp": issued + 600});
        self.signer.sign(&header, &claims)
    }
}

/// A service principal, whose secret or certificate is read again at each sign-in.
struct PrincipalOfStore {
    settings: AzureSettings,
    secrets: StoreSecrets,
    endpoint: TokenEndpoint,
}

impl PrincipalOfStore {
    async fn sign_in(&self) -> Result<AccessToken, StoreError> {
        let missing = |what: &str| StoreError::invalid(format!("`{what}` is missing")).public();
        let tenant = self.settings.tenant_id.as_deref().unwrap_or_default();
        let auth = self.settings.auth_secret_ref.as_ref();
        let auth = auth.ok_or_else(|| missing("authSecretRef"))?;
        let client = self
            .secrets
            .text("authSecretRef.clientId", auth.client_id.as_ref())
            .await?
            .ok_or_else(|| missing("authSecretRef.clientId"))?;
        if let Some(at) = &auth.client_certificate {
            const FIELD: &str = "authSecretRef.clientCertificate";
            let bytes = self
                .secrets
                .credentials
                .secret(&self.secrets.scope, at)
                .await;
            let bytes = bytes.map_err(|error| error.at_field(FIELD))?;
            let certificate = Certificate::read(&bytes, "", FIELD)?;
            let proof = Proof::Certificate(&certificate);
            return self.endpoint.token(tenant, client.expose(), proof).await;
        }
        let secret = self
            .secrets
            .text("authSecretRef.clientSecret", auth.client_secret.as_ref())
            .await?
            .ok_or_else(|| missing("authSecretRef.clientSecret"))?;
        let proof = Proof::Secret(&secret);
        self.endpoint.token(tenant, client.expose(), proof).await
    }
}

impl TokenSource for PrincipalOfStore {
    fn fetch(&self) -> BoxFuture<'_, Result<AccessToken, StoreError>> {
        Box::pin(self.sign_in())
    }

    fn principal(&self) -> String {
        let tenant = self.settings.tenant_id.as_deref().unwrap_or_default();
        format!("a service principal of the tenant {}", shown(tenant))
    }
}

/// A Kubernetes service account that Azure trusts: a named one, or the pod's own.
struct WorkloadOfStore {
    settings: AzureSettings,
    secrets: StoreSecrets,
    endpoint: TokenEndpoint,
}

impl WorkloadOfStore {
    async fn sign_in(&self) -> Result<AccessToken, StoreError> {
        let Some(account) = &self.settings.service_account_ref else {
            let mut endpoint = self.endpoint.clone();
            if self.settings.is_new_dialect()
                && let Some(login) = variable(&SystemSurroundings, "AZURE_AUTHORITY_HOST")
            {
                endpoint.cloud.login = login.trim_end_matches('/').to_owned();
            }
            let workload = Workload::of_surroundings(&SystemSurroundings, endpoint);
            let workload = workload.ok_or_else(|| {
                StoreError::invalid(
                    "`WorkloadIdentity` without serviceAccountRef needs AZURE_CLIENT_ID, AZURE_TENANT_ID and AZURE_FEDERATED_TOKEN_FILE",
                )
                .public()
            })?;
            return workload.sign_in(&SystemSurroundings).await;
        };
        let (tenant, client) = self.whom(account).await?;
        let request = TokenRequest {
            service_account: account.clone(),
            audiences: std::iter::once(AUDIENCE.to_owned())
                .chain(account.audiences.iter().cloned())
                .collect(),
            lifetime: None,
        };
        let StoreSecrets {
            credentials, scope, ..
        } = &self.secrets;
        let token = credentials.token(scope, &request).await;
        let token = token.map_err(|error| error.at_field("serviceAccountRef"))?;
        let token = trimmed(&token).ok_or_else(|| {
            StoreError::new(
                Trouble::Malformed,
                "the token of the service account is no text",
            )
        })?;
        let proof = Proof::Assertion(token);
        self.endpoint.token(&tenant, &client, proof).await
    }

    /// Tenant and client of a service account: from its annotations, and, before the newer library, from a Secret.
    async fn whom(&self, account: &ServiceAccountSelector) -> Result<(String, String), StoreError> {
        let invalid = |text: &str| StoreError::invalid(text).public();
        let StoreSecrets {
            credentials, scope, ..
        } = &self.secrets;
        let annotations = credentials.annotations(scope, account).await;
        let annotations = annotations.map_err(|error| error.at_field("serviceAccountRef"))?;
        let annotated = |name: &str| annotations.get(name).filter(|text| !text.is_empty());
        let given = self.settings.tenant_id.clone().filter(|id| !id.is_empty());
        if self.settings.is_new_dialect() {
            let client = annotated(CLIENT_ID).ok_or_else(|| {
                invalid("the service account has no annotation azure.workload.identity/client-id")
            })?;
            let tenant = given.or_else(|| annotated(TENANT_ID).cloned());
            let tenant = tenant.ok_or_else(|| invalid("`tenantId` is missing"))?;
            return Ok((tenant, client.clone()));
        }
        let auth = self.settings.auth_secret_ref.as_ref();
        let client = auth.and_then(|auth| auth.client_id.as_ref());
        let client = self.secrets.text("authSecretRef.clientId", client).await?;
        let client = match (client, annotated(CLIENT_ID)) {
            (Some(_), Some(_)) => {
                return Err(invalid(
                    "`authSecretRef.clientId` and the annotation azure.workload.identity/client-id are both set",
                ));
            }
            (Some(client), None) => client.expose().to_owned(),
            (None, Some(client)) => client.clone(),
            (None, None) => {
                return Err(invalid(
                    "neither `authSecretRef.clientId` nor the annotation azure.workload.identity/client-id is set",
                ));
            }
        };
        let tenant = auth.and_then(|auth| auth.tenant_id.as_ref());
        let tenant = self.secrets.text("authSecretRef.tenantId", tenant).await?;
        let tenant = tenant.map(|text| text.expose().to_owned()).or(given);
        let tenant = match (tenant, annotated(TENANT_ID)) {
            (Some(_), Some(_)) => {
                return Err(invalid(
                    "the tenant is set, and the annotation azure.workload.identity/tenant-id as well",
                ));
            }
            (Some(tenant), None) => Some(tenant),
            (None, Some(tenant)) => Some(tenant.clone()),
            (None, None) => variable(&SystemSurroundings, "AZURE_TENANT_ID"),
        };
        let tenant = tenant.ok_or_else(|| invalid("`tenantId` is missing"))?;
        Ok((tenant, client))
    }
}

impl TokenSource for WorkloadOfStore {
    fn fetch(&self) -> BoxFuture<'_, Result<AccessToken, StoreError>> {
        Box::pin(self.sign_in())
    }

    fn principal(&self) -> String {
        match &self.settings.service_account_ref {
            Some(account) => format!("the service account {}", shown(&account.name)),
            None => "the workload identity of this pod".to_owned(),
        }
    }
}

fn variable(surroundings: &dyn Surroundings, name: &str) -> Option<String> {
    let value = surroundings.var(name)?.into_string().ok()?;
    Some(value).filter(|value| !value.is_empty())
}

/// The workload identity of the pod, by its variables.
struct Workload {
    tenant: String,
    client: String,
    file: String,
    endpoint: TokenEndpoint,
}

impl Workload {
    fn of_surroundings(surroundings: &dyn Surroundings, endpoint: TokenEndpoint) -> Option<Self> {
        Some(Self {
            tenant: variable(surroundings, "AZURE_TENANT_ID")?,
            client: variable(surroundings, "AZURE_CLIENT_ID")?,
            file: variable(surroundings, "AZURE_FEDERATED_TOKEN_FILE")?,
            endpoint,
        })
    }

    async fn sign_in(&self, surroundings: &dyn Surroundings) -> Result<AccessToken, StoreError> {
        let token = surroundings.read(Path::new(&self.file), LARGEST_FILE);
        let token = token.ok().as_ref().and_then(trimmed).ok_or_else(|| {
            StoreError::new(
                Trouble::Unauthenticated,
                format!(
                    "AZURE_FEDERATED_TOKEN_FILE names {}, which holds no token",
                    shown(&self.file)
                ),
            )
        })?;
        let proof = Proof::Assertion(token);
        self.endpoint.token(&self.tenant, &self.client, proof).await
    }
}

/// The identity of the machine or of an App Service.
struct ManagedIdentity {
    http: HttpClient,
    url: Url,
    /// The header that App Service wants.
    header: Option<SecretText>,
    client: Option<String>,
}

impl ManagedIdentity {
    fn new(
        surroundings: &dyn Surroundings,
        cloud: &Cloud,
        client: Option<String>,
    ) -> Result<Self, StoreError> {
        let client = client.filter(|id| !id.is_empty());
        let service = variable(surroundings, "IDENTITY_ENDPOINT")
            .zip(variable(surroundings, "IDENTITY_HEADER"));
        let (base, version, header) = match service {
            Some((endpoint, header)) => {
                let url = Url::parse(&endpoint);
                let url = url.map_err(|error| error.at_field("IDENTITY_ENDPOINT"))?;
                (url, "2019-08-01", Some(SecretText::from(header)))
            }
            None => {
                let host = variable(surroundings, "AZURE_POD_IDENTITY_AUTHORITY_HOST");
                let host = host.as_deref().unwrap_or("http://169.254.169.254");
                let url = Url::parse(host);
                let url =
                    url.map_err(|error| error.at_field("AZURE_POD_IDENTITY_AUTHORITY_HOST"))?;
                let path = ["metadata", "identity", "oauth2", "token"];
                (url.with_segments(path), "2018-02-01", None)
            }
        };
        let mut query = vec![("api-version", version), ("resource", &*cloud.resource)];
        // Where the path of a resource stands, an identity is meant by that.
        let by = |id: &str| match (id.contains('/'), header.is_some()) {
            (false, _) => "client_id",
            (true, true) => "mi_res_id",
            (true, false) => "msi_res_id",
        };
        query.extend(client.as_deref().map(|id| (by(id), id)));
        let url = base.with_query(query);
        let http = HttpClient::new(HttpSettings {
            guard: Guard::Open,
            // It is beside the program, or there is none.
            proxy: Proxy::None,
            limits: Limits {
                connect: Duration::from_secs(2),
                total: Duration::from_secs(20),
                answer: 1 << 20,
            },
            ..HttpSettings::default()
        })?;
        Ok(Self {
            http,
            url,
            header,
            client,
        })
    }
}

impl TokenSource for ManagedIdentity {
    fn fetch(&self) -> BoxFuture<'_, Result<AccessToken, StoreError>> {
        Box::pin(async {
            let mut request = Request::new(Method::GET, self.url.clone());
            match &self.header {
                Some(secret) => {
                    let name = HeaderName::from_static("x-identity-header");
                    let value = SecretBytes::copy_of(secret.expose().as_bytes());
                    request.headers.insert(name, secret_header(value)?);
                }
                None => request.headers = metadata_headers("metadata", "true"),
            }
            ask(&self.http, request, "access_token").await
        })
    }

    fn principal(&self) -> String {
        match &self.client {
            Some(client) => format!("the managed identity {}", shown(client)),
            None => "the managed identity of this machine".to_owned(),
        }
    }
}

/// Says how the keys of files are signed in to: what the environment names, workload identity, managed identity, and the
/// account that `az login` has signed in, as the vendor's default chain has them.
pub(super) fn of_surroundings(
    surroundings: &Arc<dyn Surroundings>,
    cloud: &Cloud,
) -> Result<Tokens, StoreError> {
    let mut cloud = cloud.clone();
    if let Some(login) = variable(&**surroundings, "AZURE_AUTHORITY_HOST") {
        cloud.login = match login.contains("://") {
            true => login.trim_end_matches('/').to_owned(),
            false => format!("https://{}", login.trim_end_matches('/')),
        };
    }
    let http = Arc::new(HttpClient::new(HttpSettings {
        guard: Guard::Open,
        ..HttpSettings::default()
    })?);
    Ok(Tokens::new(Box::new(Chain {
        surroundings: Arc::clone(surroundings),
        endpoint: TokenEndpoint { cloud, http },
        found: OnceCell::new(),
    })))
}

/// The chain of default credentials.
struct Chain {
    surroundings: Arc<dyn Surroundings>,
    endpoint: TokenEndpoint,
    found: OnceCell<Link>,
}

/// A link of the chain that has worked.
enum Link {
    Environment,
    Workload(Workload),
    Managed(Box<ManagedIdentity>),
    CommandLine,
}

impl Chain {
    /// Which links `AZURE_TOKEN_CREDENTIALS` leaves: all, those of deployed programs, those of developers, or one.
    fn allows(&self, name: &str, deployed: bool) -> bool {
        let chosen = variable(&*self.surroundings, "AZURE_TOKEN_CREDENTIALS");
        match chosen
            .map(|text| text.trim().to_ascii_lowercase())
            .as_deref()
        {
            None => true,
            Some("prod") => deployed,
            Some("dev") => !deployed,
            Some(one) => one == name,
        }
    }

    async fn sign_in(&self) -> Result<AccessToken, StoreError> {
        if let Some(link) = self.found.get() {
            return self.of_link(link).await;
        }
        let surroundings = &*self.surroundings;
        let client = variable(surroundings, "AZURE_CLIENT_ID");
        let tenant = variable(surroundings, "AZURE_TENANT_ID");
        let secret = variable(surroundings, "AZURE_CLIENT_SECRET");
        let certificate = variable(surroundings, "AZURE_CLIENT_CERTIFICATE_PATH");
        let named = client.is_some() && tenant.is_some();
        // What is set and does not work is an error: the next link would be someone else.
        let complete = named && (secret.is_some() || certificate.is_some());
        if complete && self.allows("environmentcredential", true) {
            return self.keep(Link::Environment).await;
        }
        let workload = Workload::of_surroundings(surroundings, self.endpoint.clone());
        if let Some(workload) = workload
            && self.allows("workloadidentitycredential", true)
        {
            return self.keep(Link::Workload(workload)).await;
        }
        let mut tried = Vec::new();
        if self.allows("managedidentitycredential", true) {
            let managed = ManagedIdentity::new(surroundings, &self.endpoint.cloud, client)?;
            match managed.fetch().await {
                Ok(token) => {
                    let _ = self.found.set(Link::Managed(Box::new(managed)));
                    return Ok(token);
                }
                Err(error) => tried.push(format!("managed identity: {error}")),
            }
        }
        if self.allows("azureclicredential", false) {
            match self.of_command_line().await {
                Ok(token) => {
                    let _ = self.found.set(Link::CommandLine);
                    return Ok(token);
                }
                Err(error) => tried.push(format!("az: {error}")),
            }
        }
        Err(StoreError::new(
            Trouble::Unauthenticated,
            format!("no Azure credentials were found ({})", tried.join("; ")),
        )
        .with_hint(
            "run `az login`, or set AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET",
        ))
    }

    async fn keep(&self, link: Link) -> Result<AccessToken, StoreError> {
        let token = self.of_link(&link).await?;
        let _ = self.found.set(link);
        Ok(token)
    }

    async fn of_link(&self, link: &Link) -> Result<AccessToken, StoreError> {
        match link {
            Link::Environment => self.of_environment().await,
            Link::Workload(workload) => workload.sign_in(&*self.surroundings).await,
            Link::Managed(managed) => managed.fetch().await,
            Link::CommandLine => self.of_command_line().await,
        }
    }

    async fn of_environment(&self) -> Result<AccessToken, StoreError> {
        let surroundings = &*self.surroundings;
        let text = |name: &str| variable(surroundings, name).unwrap_or_default();
        let (tenant, client) = (text("AZURE_TENANT_ID"), text("AZURE_CLIENT_ID"));
        if let Some(secret) = variable(surroundings, "AZURE_CLIENT_SECRET") {
            let secret = SecretText::from(secret);
            let proof = Proof::Secret(&secret);
            return self.endpoint.token(&tenant, &client, proof).await;
        }
        const FIELD: &str = "AZURE_CLIENT_CERTIFICATE_PATH";
        let path = text(FIELD);
        let bytes = surroundings.read(Path::new(&path), LARGEST_FILE);
        let bytes = bytes.map_err(|error| {
            StoreError::new(
                Trouble::Unauthenticated,
                format!("{FIELD} names {}: {}", shown(&path), error.kind()),
            )
        })?;
        let password = SecretText::from(text("AZURE_CLIENT_CERTIFICATE_PASSWORD"));
        let certificate = Certificate::read(&bytes, password.expose(), FIELD)?;
        let proof = Proof::Certificate(&certificate);
        self.endpoint.token(&tenant, &client, proof).await
    }

    /// Asks `az` for a token of the account that it has signed in.
    async fn of_command_line(&self) -> Result<AccessToken, StoreError> {
        let surroundings = Arc::clone(&self.surroundings);
        let resource = self.endpoint.cloud.resource.clone();
        let run = tokio::task::spawn_blocking(move || {
            surroundings.run(&Call {
                program: OsStr::new("az"),
                arguments: &[
                    "account",
                    "get-access-token",
                    "--output",
                    "json",
                    "--resource",
                    &resource,
                ],
                variables: &[],
                input: None,
            })
        });
        let none = |text: &str| StoreError::new(Trouble::Unauthenticated, text.to_owned());
        let outcome = run.await.map_err(|_| none("it was stopped"))?;
        let outcome =
            outcome.map_err(|error| none(&format!("it cannot be run: {}", error.kind())))?;
        if outcome.failure.is_some() {
            return Err(none("it gives no token; sign in with `az login`"));
        }
        let json = Json::parse(outcome.output.expose()).ok();
        let token = json.and_then(|json| json.member("accessToken")?.string());
        let token = token.ok_or_else(|| none("it gives no token"))?;
        let end = json.and_then(|json| json.member("expires_on")?.integer());
        let end = end.and_then(|end| u64::try_from(end).ok());
        let lifetime = end.map(|end| Duration::from_secs(end.saturating_sub(now())));
        Ok(AccessToken::new(token, lifetime))
    }
}

impl TokenSource for Chain {
    fn fetch(&self) -> BoxFuture<'_, Result<AccessToken, StoreError>> {
        Box::pin(self.sign_in())
    }

    fn principal(&self) -> String {
        match self.found.get() {
            Some(Link::Environment | Link::Workload(_)) => {
                let client = variable(&*self.surroundings, "AZURE_CLIENT_ID");
                format!("the client {}", shown(&client.unwrap_or_default()))
            }
            Some(Link::Managed(managed)) => managed.principal(),
            Some(Link::CommandLine) => "the account of `az login`".to_owned(),
            None => "the default credentials of Azure".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_read_with_its_key_and_known_by_its_hash() {
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256);
        let key = key.unwrap();
        let certificate = rcgen::CertificateParams::default()
            .self_signed(&key)
            .unwrap();
        let text = format!("{}{}", certificate.pem(), key.serialize_pem());
        let read = Certificate::read(&SecretBytes::copy_of(text.as_bytes()), "", "x").unwrap();
        let hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, certificate.der());
        assert_eq!(read.thumbprint, URL_SAFE_NO_PAD.encode(hash));
        let other = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
        let text = format!("{}{}", certificate.pem(), other.serialize_pem());
        let error = Certificate::read(&SecretBytes::copy_of(text.as_bytes()), "", "x");
        let Err(error) = error else {
            panic!("the key is another one")
        };
        assert!(
            error
                .to_string()
                .contains("no certificate of its private key")
        );
        assert!(Certificate::read(&SecretBytes::copy_of(b"canary"), "", "x").is_err());
    }
}
