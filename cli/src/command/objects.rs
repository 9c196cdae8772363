//! Objects of a cluster from files, for what is worked out without one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use sealwright_crypto::secret::SecretBytes;
use sealwright_providers::credential::WholeSecret;
use sealwright_providers::credential::held::Held;
use sealwright_resources::external_secret::render::Sources;
use sealwright_resources::external_secret::values::Values;
use sealwright_resources::external_secret::{ExternalSecret, StoreKind};
use sealwright_resources::manifest::{self, ManifestError};
use sealwright_resources::plain_secret::PlainSecret;
use sealwright_resources::secret_store::{ClusterSecretStore, SecretStore, StoreSpec};

use super::store::plain;
use super::{Settings, absolute};
use crate::error::{Error, Kind, Result};
use crate::visible::shown;
use crate::world::World;

/// What the files hold.
#[derive(Default)]
pub(super) struct Objects {
    pub(super) external_secrets: Vec<ExternalSecret>,
    pub(super) stores: Vec<GivenStore>,
    pub(super) secrets: Vec<PlainSecret>,
    config_maps: Vec<ConfigMap>,
    namespaces: Vec<Namespace>,
}

/// A store of a file.
pub(super) struct GivenStore {
    pub(super) kind: StoreKind,
    pub(super) namespace: Option<String>,
    pub(super) name: String,
    pub(super) spec: StoreSpec,
    /// The folder of its file: where relative paths of File stores begin.
    pub(super) folder: PathBuf,
}

impl Objects {
    /// Reads files, of which some may be encrypted.
    pub(super) fn read(world: &World, settings: &Settings, files: &[PathBuf]) -> Result<Self> {
        let mut objects = Self::default();
        for path in files {
            let path = absolute(path)?;
            let text = plain(world, settings, &path)?;
            objects.add(&path, &text).map_err(|error| {
                Error::new(Kind::Parse, format!("cannot read {}", shown(&path))).because(error)
            })?;
        }
        Ok(objects)
    }

    fn add(&mut self, path: &Path, text: &SecretBytes) -> std::result::Result<(), ManifestError> {
        let text = text.expose();
        let folder = path.parent().unwrap_or(Path::new("/"));
        let asking: Vec<ExternalSecret> = manifest::read_objects(text, "ExternalSecret")?;
        self.external_secrets.extend(asking);
        let stores: Vec<SecretStore> = manifest::read_objects(text, "SecretStore")?;
        self.stores
            .extend(stores.into_iter().map(|store| GivenStore {
                kind: StoreKind::SecretStore,
                namespace: store.metadata.namespace,
                name: store.metadata.name.unwrap_or_default(),
                spec: store.spec.0,
                folder: folder.to_owned(),
            }));
        let stores: Vec<ClusterSecretStore> = manifest::read_objects(text, "ClusterSecretStore")?;
        self.stores
            .extend(stores.into_iter().map(|store| GivenStore {
                kind: StoreKind::ClusterSecretStore,
                namespace: None,
                name: store.metadata.name.unwrap_or_default(),
                spec: store.spec.0,
                folder: folder.to_owned(),
            }));
        self.secrets.extend(manifest::read_secrets_among(text)?);
        let maps: Vec<ConfigMap> = manifest::read_objects(text, "ConfigMap")?;
        self.config_maps.extend(maps);
        let namespaces: Vec<Namespace> = manifest::read_objects(text, "Namespace")?;
        self.namespaces.extend(namespaces);
        Ok(())
    }

    /// A Secret; one of a file without a namespace is of every namespace.
    pub(super) fn secret(&self, namespace: &str, name: &str) -> Option<&PlainSecret> {
        let mut secrets = self.secrets.iter();
        secrets.find(|secret| secret.name() == name && is_of(secret.namespace(), namespace))
    }

    /// The labels of a namespace.
    pub(super) fn labels_of(&self, namespace: &str) -> Option<&BTreeMap<String, String>> {
        let mut namespaces = self.namespaces.iter();
        namespaces
            .find(|object| object.metadata.name.as_deref() == Some(namespace))
            .and_then(|object| object.metadata.labels.as_ref())
    }

    /// What templates of objects in a namespace may read.
    pub(super) fn sources(&self, namespace: &str) -> Sources {
        let mut sources = Sources::default();
        for map in &self.config_maps {
            let own = map.metadata.namespace.as_deref().unwrap_or_default();
            if is_of(own, namespace) {
                let name = map.metadata.name.clone().unwrap_or_default();
                let data = map.data.clone().unwrap_or_default();
                sources.config_maps.insert(name, data);
            }
        }
        for secret in &self.secrets {
            if is_of(secret.namespace(), namespace) {
                let values: Values = secret
                    .iter()
                    .map(|(key, value)| (key.to_owned(), SecretBytes::copy_of(value.expose())))
                    .collect();
                sources.secrets.insert(secret.name().to_owned(), values);
            }
        }
        sources
    }

    /// The Secrets that stores may sign in with; those without a namespace count for `namespace`.
    pub(super) fn credentials(&self, namespace: &str) -> Held {
        let held = Held::default();
        for secret in &self.secrets {
            let data = secret
                .iter()
                .map(|(key, value)| (key.to_owned(), SecretBytes::copy_of(value.expose())))
                .collect();
            let labels = secret.metadata.labels.clone().unwrap_or_default();
            let own = match secret.namespace() {
                "" => namespace,
                own => own,
            };
            held.put_secret(own, secret.name(), WholeSecret { data, labels });
        }
        held
    }
}

/// Whether an object of a file belongs to a namespace.
fn is_of(own: &str, namespace: &str) -> bool {
    own.is_empty() || own == namespace
}
