//! Generators: read from the cluster, asked for values, and what they leave on servers taken back in time.
//!
//! Flow of a refresh: the generators of an object are asked together with its stores; if all of it succeeded, what they left
//! is recorded in GeneratorStates ([`Generators::commit`]) before the values are used, else it is taken back at once
//! ([`Generators::roll_back`]). The reconciler of GeneratorStates takes back what a deadline has passed for.

mod credentials;
mod states;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use sealwright_providers::credential::{Credentials, Scope, StoreKind};
use sealwright_providers::generators::{self as clients, Made, github, gitlab, grafana, quay};
use sealwright_providers::outcome::{Answer, Outcome, StoreError, Trouble};
use sealwright_providers::remote::SecretMap;
use sealwright_providers::settings::SecretKeySelector;
use sealwright_providers::store::Connection;
use sealwright_resources::external_secret::GeneratorRef;
use sealwright_resources::external_secret::access::is_own_class;
use sealwright_resources::generator::state;
use sealwright_resources::generator::{
    API_VERSION, CLUSTER_KIND, GROUP, Generator, GeneratorError, KINDS, plural,
};
use serde_json::{Value, json};

use self::credentials::InNamespace;
use crate::action;
use crate::api::Api;
use crate::credentials::ClusterCredentials;
use crate::owned::Owned;
use crate::pool::Pool;

/// Passwords of more characters are made in the slow lane.
const MANY_CHARACTERS: u64 = 10_000;
/// How long a generator may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// How generators are treated.
#[derive(Debug, Clone)]
pub(crate) struct GeneratorRules {
    /// The class of this controller.
    pub(crate) class: String,
    /// What ExternalSecrets leave on servers is recorded (E27).
    pub(crate) keeps_state: bool,
    /// How long an outdated state is kept (E32).
    pub(crate) grace: SignedDuration,
}

/// The generators of the cluster.
pub(crate) struct Generators {
    api: Arc<Api>,
    credentials: Arc<InNamespace>,
    pool: Arc<Pool>,
    slow_pool: Arc<Pool>,
    rules: GeneratorRules,
    /// The states that the watch has shown, by their owners: where there is no state, nothing can be outdated.
    seen: Mutex<Owned>,
}

/// A generator as the cluster has it.
pub(crate) struct Found {
    generator: Generator,
    /// Its manifest, by which it can be asked to clean up when it has changed or is gone.
    manifest: Value,
}

/// What a generator left on a server.
pub(crate) struct Left {
    manifest: Value,
    state: Value,
}

/// What a generator gave.
pub(crate) struct Generated {
    pub(crate) values: SecretMap,
    pub(crate) left: Option<Left>,
}

/// The object that asks for values.
pub(crate) struct Asker<'a> {
    pub(crate) api_version: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) metadata: &'a ObjectMeta,
}

impl Asker<'_> {
    fn namespace(&self) -> &str {
        self.metadata.namespace.as_deref().unwrap_or_default()
    }

    fn name(&self) -> &str {
        self.metadata.name.as_deref().unwrap_or_default()
    }

    fn key(&self, entry: &str) -> String {
        state::owner_key(self.kind, self.namespace(), self.name(), entry)
    }
}

impl Generators {
    pub(crate) fn new(
        api: Arc<Api>,
        pool: Arc<Pool>,
        slow_pool: Arc<Pool>,
        rules: GeneratorRules,
    ) -> Self {
        Self {
            credentials: Arc::new(InNamespace(ClusterCredentials::new(Arc::clone(&api)))),
            api,
            pool,
            slow_pool,
            rules,
            seen: Mutex::default(),
        }
    }

    /// Returns true if ExternalSecrets record what they leave on servers.
    pub(crate) fn keeps_state(&self) -> bool {
        self.rules.keeps_state
    }

    /// Returns true if another controller is to use one of these generators. One that cannot be read counts as ours.
    pub(crate) async fn are_foreign<'a>(
        &self,
        references: impl Iterator<Item = &'a GeneratorRef>,
        namespace: &str,
    ) -> bool {
        for reference in references {
            // Only these kinds name a class.
            if !matches!(
                reference.kind.as_str(),
                "Fake" | "VaultDynamicSecret" | CLUSTER_KIND
            ) {
                continue;
            }
            if let Ok(found) = self.find(reference, namespace).await
                && !is_own_class(found.generator.controller(), &self.rules.class)
            {
                return true;
            }
        }
        false
    }

    /// Asks a generator for values.
    pub(crate) async fn generate(
        &self,
        reference: &GeneratorRef,
        namespace: &str,
    ) -> Outcome<Generated> {
        let attempt = format!("ask the generator {}/{}", reference.kind, reference.name);
        let asked = async {
            let found = self.find(reference, namespace).await?;
            let made = self.ask(&found.generator, namespace).await?;
            Ok(made.map(|made| Generated {
                values: made.values,
                left: made.state.map(|state| Left {
                    manifest: found.manifest,
                    state,
                }),
            }))
        };
        // Whatever time-outs its settings have.
        let asked = tokio::time::timeout(PATIENCE, asked).await;
        let asked = asked.unwrap_or_else(|_| {
            let text = "the generator does not answer in time";
            Err(StoreError::new(Trouble::Unavailable, text).public())
        });
        asked.map_err(|error: StoreError| error.while_trying(attempt))
    }

    async fn find(&self, reference: &GeneratorRef, namespace: &str) -> Result<Found, StoreError> {
        let wrong = |text: &str| StoreError::invalid(text).public();
        let group = reference.api_version.split('/').next();
        if group != Some(GROUP) || !KINDS.contains(&reference.kind.as_str()) {
            return Err(wrong("the reference names no generator"));
        }
        let plural = plural(&reference.kind);
        let name = action::part(&reference.name);
        let path = match reference.kind == CLUSTER_KIND {
            true => format!("/apis/{API_VERSION}/{plural}/{name}"),
            false => format!("/apis/{API_VERSION}/namespaces/{namespace}/{plural}/{name}"),
        };
        let answer = self.api.get(&path).await.map_err(|error| {
            let trouble = match error.is_not_found() {
                true => Trouble::Unavailable,
                false => Trouble::Malformed,
            };
            let text = match error.is_not_found() {
                true => format!("there is no {} {}", reference.kind, reference.name),
                false => format!("the generator cannot be read: {}", error.category()),
            };
            StoreError::new(trouble, text).public()
        })?;
        let object: Value = action::read(&answer)
            .map_err(|_| StoreError::new(Trouble::Malformed, "the generator cannot be read"))?;
        let public = |error: GeneratorError| StoreError::invalid(error.to_string()).public();
        let (kind, spec) = match reference.kind == CLUSTER_KIND {
            true => Generator::parse_cluster(&object["spec"]).map_err(public)?,
            // An object without a specification has an empty one.
            false => match &object["spec"] {
                Value::Null => (reference.kind.as_str(), json!({})),
                spec => (reference.kind.as_str(), spec.clone()),
            },
        };
        let manifest = json!({
            "apiVersion": API_VERSION,
            "kind": kind,
            "metadata": {"name": reference.name, "namespace": namespace},
            "spec": spec,
        });
        let generator = Generator::parse(kind, spec).map_err(public)?;
        Ok(Found {
            generator,
            manifest,
        })
    }

    async fn ask(&self, generator: &Generator, namespace: &str) -> Outcome<Made> {
        let connection = self.connection(namespace);
        let made = |values: Result<SecretMap, GeneratorError>| match values {
            Ok(values) => Ok(Answer::Found(values.into())),
            Err(error) => Err(StoreError::invalid(error.to_string()).public()),
        };
        let given = |values: SecretMap| Answer::Found(Made::from(values));
        match generator {
            Generator::Password(spec) => {
                let spec = spec.clone();
                let length = spec.length.max(0).unsigned_abs();
                let characters = length.saturating_mul(spec.secret_keys.len() as u64);
                let pool = match characters > MANY_CHARACTERS {
                    true => &self.slow_pool,
                    false => &self.pool,
                };
                made(aside(pool, namespace, move || spec.generate()).await)
            }
            Generator::Uuid(spec) => made(spec.generate()),
            Generator::Fake(spec) => made(Ok(spec.generate())),
            Generator::SshKey(spec) => {
                let spec = spec.clone();
                // A large RSA key takes many seconds.
                made(aside(&self.slow_pool, namespace, move || spec.generate()).await)
            }
            Generator::Mfa(spec) => {
                let selector = SecretKeySelector {
                    name: spec.secret.name.clone(),
                    namespace: None,
                    key: spec.secret.key.clone(),
                };
                let seed = connection.credentials.secret(&connection.scope, &selector);
                let seed = seed.await.map_err(|error| error.at_field("secret"))?;
                made(spec.generate(&seed, Timestamp::now()))
            }
            Generator::Webhook(settings) => {
                let answer = clients::webhook(settings, &connection).await?;
                Ok(answer.map(Made::from))
            }
            Generator::VaultDynamicSecret(settings) => {
                let retry = settings.retry_settings.clone();
                let connection = Connection {
                    retry,
                    ..connection
                };
                let values = clients::vault_dynamic_secret(settings, &connection).await;
                values.map(given)
            }
            #[cfg(feature = "aws")]
            Generator::EcrAuthorizationToken(settings) => {
                let values = clients::ecr_authorization_token(settings, &connection).await;
                values.map(given)
            }
            #[cfg(feature = "gcp")]
            Generator::GcrAccessToken(settings) => {
                let values = clients::gcr_access_token(settings, &connection).await;
                values.map(given)
            }
            #[cfg(feature = "azure")]
            Generator::AcrAccessToken(settings) => {
                let values = clients::acr_access_token(settings, &connection).await;
                values.map(given)
            }
            #[cfg(feature = "aws")]
            Generator::StsSessionToken(settings) => {
                let values = clients::sts_session_token(settings, &connection).await;
                values.map(given)
            }
            Generator::GithubAccessToken(settings) => {
                let now = Timestamp::now().as_second();
                let values = github::generate(settings, &connection, now).await;
                values.map(given)
            }
            Generator::QuayAccessToken(settings) => {
                quay::generate(settings, &connection).await.map(given)
            }
            Generator::Grafana(settings) => {
                let made = grafana::generate(settings, &connection).await;
                made.map(Answer::Found)
            }
            Generator::GitlabDeployToken(settings) => {
                let made = gitlab::generate(settings, &connection).await;
                made.map(Answer::Found)
            }
            Generator::Other(kind) => Err(missing(kind)),
            _ => Err(missing("of this kind")),
        }
    }

    /// Takes back what a generator left, with the manifest that it had then.
    pub(crate) async fn clean_up(
        &self,
        manifest: &Value,
        left: &Value,
        namespace: &str,
    ) -> Result<(), StoreError> {
        let kind = manifest["kind"].as_str().unwrap_or_default();
        let generator = Generator::parse(kind, manifest["spec"].clone());
        let generator =
            generator.map_err(|error| StoreError::invalid(error.to_string()).public())?;
        let connection = self.connection(namespace);
        match &generator {
            Generator::Grafana(settings) => grafana::clean_up(settings, left, &connection).await,
            Generator::GitlabDeployToken(settings) => {
                gitlab::clean_up(settings, left, &connection).await
            }
            Generator::Other(kind) => Err(missing(kind)),
            // The others leave nothing.
            _ => Ok(()),
        }
    }

    /// What generators are connected with: everything that they refer to lies in the namespace of who asks.
    fn connection(&self, namespace: &str) -> Connection {
        Connection {
            credentials: Arc::clone(&self.credentials) as Arc<dyn Credentials>,
            scope: Scope {
                kind: StoreKind::Namespaced,
                name: String::new(),
                store_namespace: namespace.to_owned(),
                consumer_namespace: Some(namespace.to_owned()),
            },
            ..Connection::default()
        }
    }
}

/// Makes values on a thread for what takes a processor.
async fn aside(
    pool: &Pool,
    namespace: &str,
    generate: impl FnOnce() -> Result<SecretMap, GeneratorError> + Send + 'static,
) -> Result<SecretMap, GeneratorError> {
    let made = pool.run_for(&namespace.into(), generate).await;
    made.unwrap_or(Err(GeneratorError::NoKey))
}

fn missing(kind: &str) -> StoreError {
    let text = format!("this build has no generator {kind}");
    StoreError::new(Trouble::Unsupported, text).public()
}
