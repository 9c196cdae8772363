//! `fetch -f`: the Secrets that ExternalSecrets of files ask for, made on this machine as the controller makes them.
//!
//! What is asked, how answers become data, what templates see and what the Secret looks like is decided by the same functions
//! as in the controller; here they are only fed from files. Nothing is written to a cluster or to a store.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sealwright_crypto::secret::{SecretBytes, SecretWriter};
use sealwright_providers::address::Guard;
use sealwright_providers::credential::{Scope, StoreKind as Kinds};
use sealwright_providers::fetch::{Fetcher, Lane, StoreIdentity};
use sealwright_providers::outcome::{Answer as Told, StoreError};
use sealwright_providers::settings::RetrySettings;
use sealwright_providers::store::Connection;
use sealwright_resources::external_secret::access::{self, NamespaceSeen, Rules, StoreSeen};
use sealwright_resources::external_secret::data::{self, Answer, Failure, Query, Request, Source};
use sealwright_resources::external_secret::render::{Inputs, Options};
use sealwright_resources::external_secret::target::{self, Write};
use sealwright_resources::external_secret::validate;
use sealwright_resources::external_secret::values::Values;
use sealwright_resources::external_secret::{ExternalSecret, StoreKind, StoreRef};
use sealwright_resources::manifest::Output;
use sealwright_resources::plain_secret::PlainSecret;
use sealwright_template::Budget;

use super::Settings;
use super::objects::{GivenStore, Objects};
use super::secret_text::{self, Values as Spelling};
use super::store::{files, online, told};
use crate::error::{Error, Kind, Result};
use crate::file::{self, Content};
use crate::world::World;

/// Works out the Secrets of ExternalSecrets.
pub(crate) struct Resolve {
    /// The ExternalSecrets with what belongs to them: stores, Secrets to sign in with, Secrets and ConfigMaps of templates.
    pub(crate) files: Vec<PathBuf>,
    /// The namespace of objects that name none.
    pub(crate) namespace: Option<String>,
    pub(crate) form: ResolvedForm,
    /// The file that is written instead of standard output.
    pub(crate) out: Option<PathBuf>,
    pub(crate) settings: Settings,
}

/// How the Secrets are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ResolvedForm {
    /// As manifests.
    Manifest(Output, Spelling),
    /// The values of one Secret as lines that a shell reads.
    Env,
}

impl Resolve {
    /// Works out all of them before the first is printed.
    pub(crate) fn run(self, world: &World) -> Result<()> {
        let mut objects = Objects::read(world, &self.settings, &self.files)?;
        let mut asking = std::mem::take(&mut objects.external_secrets);
        if asking.is_empty() {
            return Err(Error::new(Kind::Usage, "the files hold no ExternalSecret"));
        }
        for object in &mut asking {
            let namespace = object.metadata.namespace.take();
            let namespace = namespace.filter(|namespace| !namespace.is_empty());
            let default = self
                .namespace
                .clone()
                .unwrap_or_else(|| "default".to_owned());
            object.metadata.namespace = Some(namespace.unwrap_or(default));
        }
        let work = Work {
            world,
            settings: &self.settings,
            objects: &objects,
            fetcher: Fetcher::default(),
        };
        let secrets = online(world, work.all(&asking))?;
        let bytes = self.printed(&secrets)?;
        match &self.out {
            Some(path) => file::replace(&world.terminal, path, &bytes, Content::Plain, None),
            None => world.terminal.out(bytes.expose()),
        }
    }

    fn printed(&self, secrets: &[PlainSecret]) -> Result<SecretBytes> {
        match self.form {
            ResolvedForm::Manifest(output, spelling) => {
                let texts: Vec<SecretBytes> = secrets
                    .iter()
                    .map(|secret| secret_text::write(secret, output, spelling))
                    .collect::<Result<_>>()?;
                let mut out = SecretWriter::with_capacity(texts.iter().map(SecretBytes::len).sum());
                texts.iter().for_each(|text| out.push(text.expose()));
                Ok(out.finish())
            }
            ResolvedForm::Env => {
                let [secret] = secrets else {
                    return Err(Error::new(
                        Kind::Usage,
                        "--output env is for one ExternalSecret",
                    ));
                };
                let values: Values = secret
                    .iter()
                    .map(|(key, value)| (key.to_owned(), SecretBytes::copy_of(value.expose())))
                    .collect();
                super::fetch::shell_lines(&values)
            }
        }
    }
}

struct Work<'a> {
    world: &'a World,
    settings: &'a Settings,
    objects: &'a Objects,
    fetcher: Fetcher,
}

type Opened = std::result::Result<Arc<Lane>, Failure>;

impl Work<'_> {
    async fn all(&self, asking: &[ExternalSecret]) -> Result<Vec<PlainSecret>> {
        let mut secrets = Vec::with_capacity(asking.len());
        for object in asking {
            secrets.extend(self.one(object).await.map_err(|error| Error {
                text: format!("{}/{}: {}", object.namespace(), object.name(), error.text),
                ..error
            })?);
        }
        self.fetcher.close().await;
        Ok(secrets)
    }

    async fn one(&self, object: &ExternalSecret) -> Result<Option<PlainSecret>> {
        if let Some(problem) = validate::problems(&object.spec).into_iter().next() {
            return Err(Error::new(Kind::Parse, problem));
        }
        if let Some(template) = &object.spec.target.template {
            validate::check_template(template)
                .map_err(|error| Error::generic("the template is refused").because(error))?;
        }
        let requests = data::requests(&object.spec);
        let mut lanes: HashMap<(StoreKind, String), Opened> = HashMap::new();
        let mut answers = Vec::with_capacity(requests.len());
        for request in &requests {
            if let Source::Store(reference) = request.source {
                let id = (reference.kind(), reference.name().to_owned());
                if let Entry::Vacant(vacant) = lanes.entry(id) {
                    vacant.insert(self.lane(object, reference).await?);
                }
            }
            answers.push(self.ask(object, request, &lanes).await?);
        }
        let budget = Budget::default();
        let assembled = data::assemble(&object.spec, answers, &budget);
        for missing in &assembled.missing {
            self.world.terminal.advise(&format!(
                "{}/{}: {missing}",
                object.namespace(),
                object.name()
            ));
        }
        let values = assembled.values.map_err(|error| {
            let kind = match error.problem {
                data::DataProblem::Absent => Kind::Absent,
                _ => Kind::Store,
            };
            Error::new(kind, error.to_string())
        })?;
        let existing = self
            .objects
            .secret(object.namespace(), object.target_name());
        let sources = self.objects.sources(object.namespace());
        let inputs = Inputs {
            sources: &sources,
            options: &Options::default(),
            budget: &budget,
        };
        let written = target::build(object, existing, values, inputs)
            .map_err(|error| Error::generic(error.to_string()))?;
        let mut secret = match written {
            Write::Create(secret) | Write::Update(secret) => secret,
            Write::UpdateMetadata {
                secret,
                stale: false,
            } => secret,
            Write::UpdateMetadata { .. } => {
                return Err(Error::generic(
                    "the Secret is immutable and its data would change",
                ));
            }
            Write::Nothing => match existing {
                Some(existing) => existing.copy(),
                None => {
                    self.world.terminal.advise(&format!(
                        "{}/{}: its creation policy asks for no Secret",
                        object.namespace(),
                        object.name()
                    ));
                    return Ok(None);
                }
            },
            Write::Missing => {
                return Err(Error::generic(format!(
                    "its creation policy changes the Secret {}, which is not among the files",
                    object.target_name()
                ))
                .hint("give the Secret with -f, too"));
            }
        };
        // An owner has a UID, which only a cluster gives.
        secret.metadata.owner_references = None;
        Ok(Some(secret))
    }

    async fn ask(
        &self,
        object: &ExternalSecret,
        request: &Request<'_>,
        lanes: &HashMap<(StoreKind, String), Opened>,
    ) -> Result<Answer> {
        const KEEP: Duration = Duration::from_secs(600);

        let reference = match request.source {
            Source::Store(reference) => reference,
            Source::Generator(generator) => {
                return Err(Error::generic(format!(
                    "{} {} makes a new value each time: only the controller runs generators",
                    generator.kind, generator.name
                )));
            }
            Source::Missing => return Ok(failed("no store is named")),
        };
        let lane = match &lanes[&(reference.kind(), reference.name().to_owned())] {
            Ok(lane) => lane,
            Err(failure) => return Ok(Answer::Failed(failure.clone())),
        };
        let namespace = object.namespace();
        let answer = match request.query {
            Query::Value(remote) => match lane.get(&remote.asked_by(namespace), KEEP).await {
                Ok(Told::Found(value)) => Answer::Value(value),
                Ok(Told::Absent(_)) => Answer::Absent,
                Err(error) => return Err(told(&error)),
            },
            Query::Map(remote) => of_map(lane.get_map(&remote.asked_by(namespace), KEEP).await)?,
            Query::Find(find) => {
                let find = find.asked().map_err(|error| told(&error))?;
                of_map(lane.find(&find, KEEP).await)?
            }
            Query::Generate => return Ok(failed("a generator is asked for a store's values")),
        };
        Ok(answer)
    }

    /// Opens a store, if objects of the namespace may use it.
    async fn lane(&self, object: &ExternalSecret, reference: &StoreRef) -> Result<Opened> {
        let refused = |error: access::AccessError| {
            Error::generic(format!(
                "{} {:?}: {error}",
                reference.kind().as_str(),
                reference.name()
            ))
        };
        let namespace = object.namespace();
        let is_meant = |store: &&GivenStore| {
            let own = store.namespace.as_deref().unwrap_or(namespace);
            store.kind == reference.kind()
                && store.name == reference.name()
                && (store.kind == StoreKind::ClusterSecretStore || own == namespace)
        };
        let store = self.objects.stores.iter().find(is_meant).ok_or_else(|| {
            refused(access::AccessError::Missing(reference.kind().as_str()))
                .hint("give its manifest with -f or --store, too")
        })?;
        let seen = StoreSeen {
            kind: store.kind,
            spec: &store.spec,
            conditions: &[],
        };
        let who = NamespaceSeen {
            name: namespace,
            labels: self.objects.labels_of(namespace),
        };
        // Files say nothing of the state of a store.
        let rules = Rules {
            class: store.spec.controller.as_deref().unwrap_or_default(),
            flood_gate: false,
        };
        access::check(&seen, &who, &rules).map_err(refused)?;
        let config = store.spec.provider.config().map_err(|error| {
            Error::new(
                Kind::Parse,
                format!("the store {} is not valid", store.name),
            )
            .because(error.to_string())
        })?;
        let cluster = store.kind == StoreKind::ClusterSecretStore;
        let retry = store.spec.retry_settings.as_ref();
        let retry = retry.map(|retry| RetrySettings {
            max_retries: retry.max_retries,
            retry_interval: retry.retry_interval.clone(),
        });
        let connection = Connection {
            credentials: Arc::new(self.objects.credentials(namespace)),
            scope: Scope {
                kind: match cluster {
                    true => Kinds::Cluster,
                    false => Kinds::Namespaced,
                },
                name: store.name.clone(),
                store_namespace: match cluster {
                    true => String::new(),
                    false => namespace.to_owned(),
                },
                consumer_namespace: Some(namespace.to_owned()),
            },
            retry,
            files: Some(files(self.world, self.settings, &store.folder)),
            guard: Guard::Open,
            ..Connection::default()
        };
        let identity = StoreIdentity::new(
            format!("{:?}/{namespace}/{}", store.kind, store.name),
            0,
            None,
        );
        let opened = self
            .fetcher
            .lane(&identity, || async { config.connect(&connection).await })
            .await;
        match opened {
            Ok(lane) => Ok(Ok(lane)),
            Err(error) => Err(told(&error)
                .hint("Secrets that the store refers to are given with -f or --credentials")),
        }
    }
}

fn of_map(answer: std::result::Result<Told<Values>, StoreError>) -> Result<Answer> {
    match answer {
        Ok(Told::Found(values)) => Ok(Answer::Values(values)),
        Ok(Told::Absent(_)) => Ok(Answer::Absent),
        Err(error) => Err(told(&error)),
    }
}

fn failed(text: &str) -> Answer {
    Answer::Failed(Failure {
        public: Some(text.to_owned()),
        definite: true,
    })
}
