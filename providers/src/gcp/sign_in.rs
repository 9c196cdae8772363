//! Signing in to Google: which token a request carries.
//!
//! The application default credentials are the first of: the file that `GOOGLE_APPLICATION_CREDENTIALS` names, the file
//! that `gcloud auth application-default login` writes, the metadata service of the machine.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use sealwright_crypto::secret::SecretBytes;
use sealwright_crypto::surroundings::Surroundings;
use tokio::sync::OnceCell;

use super::metadata::Metadata;
use super::origin::{Origin, StoreSecrets, variable};
use super::workload::cluster::OfCluster;
use super::workload::federation;
use super::{Source, credential_file};
use crate::address::Guard;
use crate::bearer::token::{AccessToken, Given, TokenSource, Tokens};
use crate::http::{HttpClient, HttpSettings};
use crate::outcome::{StoreError, Trouble, shown};
use crate::settings::SecretKeySelector;
use crate::settings::gcp::{GcpAuth, GcpSettings};
use crate::store::Connection;

/// How large a file of credentials may be.
const LARGEST_FILE: usize = 1 << 20;

/// Says how a store signs in.
pub(super) fn of_store(
    settings: &GcpSettings,
    connection: &Connection,
    http: &Arc<HttpClient>,
) -> Result<Tokens, StoreError> {
    let secrets = StoreSecrets {
        credentials: Arc::clone(&connection.credentials),
        scope: connection.scope.clone(),
    };
    let source: Source = match settings.auth.clone() {
        Some(GcpAuth {
            secret_ref: Some(secret),
            ..
        }) => Box::new(FileOfStore {
            at: secret.secret_access_key_secret_ref.unwrap_or_default(),
            secrets,
            http: Arc::clone(http),
        }),
        Some(GcpAuth {
            workload_identity: Some(identity),
            ..
        }) => {
            let field = "auth.workloadIdentity.serviceAccountRef";
            let timeout = connection.timeout;
            Box::new(OfCluster::new(identity, secrets, http, timeout, field)?)
        }
        Some(GcpAuth {
            workload_identity_federation: Some(federation),
            ..
        }) => federation::federated(federation, secrets, http),
        _ => {
            let surroundings = Arc::new(sealwright_crypto::surroundings::SystemSurroundings);
            Box::new(DefaultCredentials::new(surroundings).within(connection.timeout))
        }
    };
    Ok(Tokens::new(source))
}

/// Says how the key service is signed in to: `GOOGLE_CREDENTIALS`, then `GOOGLE_OAUTH_ACCESS_TOKEN`, then the application
/// default credentials.
pub(super) fn of_surroundings(surroundings: &Arc<dyn Surroundings>) -> Result<Tokens, StoreError> {
    if let Some(given) = variable(&**surroundings, "GOOGLE_CREDENTIALS") {
        // A path if there is such a file, the text itself otherwise.
        let text = match surroundings.read(Path::new(&given), LARGEST_FILE) {
            Ok(text) => text,
            Err(_) => SecretBytes::from(given.into_bytes()),
        };
        let source = credential_file::read(&text, "GOOGLE_CREDENTIALS", &user(surroundings)?)?;
        return Ok(Tokens::new(source));
    }
    if let Some(token) = variable(&**surroundings, "GOOGLE_OAUTH_ACCESS_TOKEN") {
        let given = Given::new(token.into(), "the token of GOOGLE_OAUTH_ACCESS_TOKEN");
        return Ok(Tokens::new(Box::new(given)));
    }
    let source = DefaultCredentials::new(Arc::clone(surroundings));
    Ok(Tokens::new(Box::new(source)))
}

fn user(surroundings: &Arc<dyn Surroundings>) -> Result<Origin, StoreError> {
    Ok(Origin::User {
        surroundings: Arc::clone(surroundings),
        http: Arc::new(HttpClient::new(HttpSettings {
            guard: Guard::Open,
            ..HttpSettings::default()
        })?),
    })
}

/// A file of credentials in a Secret, read again at each sign-in.
struct FileOfStore {
    at: SecretKeySelector,
    secrets: StoreSecrets,
    http: Arc<HttpClient>,
}

impl TokenSource for FileOfStore {
    fn fetch(&self) -> BoxFuture<'_, Result<AccessToken, StoreError>> {
        Box::pin(async {
            const FIELD: &str = "auth.secretRef.secretAccessKeySecretRef";
            let secrets = &self.secrets;
            let text = secrets.credentials.secret(&secrets.scope, &self.at).await;
            let text = text.map_err(|error| error.at_field(FIELD))?;
            let origin = Origin::Store {
                http: Arc::clone(&self.http),
            };
            credential_file::read(&text, FIELD, &origin)?.fetch().await
        })
    }

    fn principal(&self) -> String {
        let name = self.at.name.as_deref().unwrap_or_default();
        format!("the credentials of the Secret {}", shown(name))
    }
}

/// The application default credentials: looked for at the first need.
pub(super) struct DefaultCredentials {
    surroundings: Arc<dyn Surroundings>,
    /// How long the metadata service may take, if less than usual.
    timeout: Option<Duration>,
    found: OnceCell<Source>,
}

impl DefaultCredentials {
    pub(super) fn new(surroundings: Arc<dyn Surroundings>) -> Self {
        Self {
            surroundings,
            timeout: None,
            found: OnceCell::new(),
        }
    }

    /// The same within the time limit of a store.
    fn within(self, timeout: Option<Duration>) -> Self {
        Self { timeout, ..self }
    }

    async fn find(&self) -> Result<Source, StoreError> {
        let surroundings = &*self.surroundings;
        if let Some(path) = variable(surroundings, "GOOGLE_APPLICATION_CREDENTIALS") {
            let text = surroundings.read(Path::new(&path), LARGEST_FILE);
            let text = text.map_err(|error| {
                StoreError::new(
                    Trouble::Unauthenticated,
                    format!(
                        "GOOGLE_APPLICATION_CREDENTIALS names {}, which cannot be read: {}",
                        shown(&path),
                        error.kind()
                    ),
                )
            })?;
            return credential_file::read(&text, &shown(&path), &user(&self.surroundings)?);
        }
        let folder = variable(surroundings, "CLOUDSDK_CONFIG")
            .map(Into::into)
            .or_else(|| {
                let config = match cfg!(windows) {
                    true => surroundings.config_dir(),
                    false => surroundings.home().map(|home| home.join(".config")),
                };
                config.map(|config| config.join("gcloud"))
            });
        if let Some(folder) = folder {
            let path = folder.join("application_default_credentials.json");
            match surroundings.read(&path, LARGEST_FILE) {
                Ok(text) => {
                    let name = shown(&path.to_string_lossy());
                    return credential_file::read(&text, &name, &user(&self.surroundings)?);
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => {
                    let path = shown(&path.to_string_lossy());
                    return Err(StoreError::new(
                        Trouble::Unauthenticated,
                        format!("{path} cannot be read: {}", error.kind()),
                    ));
                }
            }
        }
        Ok(Box::new(Metadata::new(surroundings, self.timeout)?))
    }
}

impl TokenSource for DefaultCredentials {
    fn fetch(&self) -> BoxFuture<'_, Result<AccessToken, StoreError>> {
        Box::pin(async {
            let source = self.found.get_or_try_init(|| self.find()).await?;
            source.fetch().await
        })
    }

    fn principal(&self) -> String {
        match self.found.get() {
            Some(source) => source.principal(),
            None => "the application default credentials".to_owned(),
        }
    }
}
