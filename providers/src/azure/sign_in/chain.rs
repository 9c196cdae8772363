//! The default credentials of a user: what the environment names, workload identity, managed identity, and `az login`.

use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use sealwright_crypto::secret::SecretText;
use sealwright_crypto::surroundings::{Call, Surroundings};
use tokio::sync::OnceCell;

use super::LARGEST_FILE;
use super::endpoint::{Certificate, Proof, TokenEndpoint};
use super::managed::ManagedIdentity;
use super::workload::{Workload, variable};
use crate::address::Guard;
use crate::azure::api::Cloud;
use crate::bearer::assertion::now;
use crate::bearer::token::{AccessToken, TokenSource, Tokens};
use crate::http::{HttpClient, HttpSettings};
use crate::json::Json;
use crate::outcome::{StoreError, Trouble, shown};

/// Says how the keys of files are signed in to: what the environment names, workload identity, managed identity, and the
/// account that `az login` has signed in, as the vendor's default chain has them.
pub(in crate::azure) fn of_surroundings(
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
            let managed = ManagedIdentity::new(surroundings, &self.endpoint.cloud, client, None)?;
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
