//! What the verbs of sealing have in common: certificates, the cluster, private keys, and how manifests are written.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use sealwright_crypto::secret::SecretBytes;
use sealwright_resources::keyring::Keyring;
use sealwright_resources::manifest;
use sealwright_resources::scope::Scope;

use super::everywhere::Everywhere;
use crate::cluster::{ClusterOptions, ControllerService};
use crate::command::seal::{self, CertificateSource};
use crate::command::{Change, Input, Output, absolute};
use crate::error::{Error, Kind, Result};
use crate::world::World;

/// The help of `--namespace` for verbs that only fetch something from the controller.
pub(super) const UNUSED_NAMESPACE: &str =
    "No effect: --controller-namespace is the namespace of the controller";

/// Where the certificate comes from.
#[derive(Debug, Args)]
pub(super) struct CertificateOptions {
    /// A certificate file or URL; by default fetched from the controller.
    #[arg(long, value_name = "FILE", env = "SEALED_SECRETS_CERT")]
    cert: Option<String>,
}

impl CertificateOptions {
    /// Where the certificate comes from.
    pub(super) fn source(&self, cluster: &ClusterArguments) -> CertificateSource {
        match &self.cert {
            Some(name) => CertificateSource::Named(name.clone()),
            None => CertificateSource::Controller(cluster.service(), Box::new(cluster.options())),
        }
    }
}

/// The cluster, where the kubeconfig does not say it.
#[derive(Debug, Args)]
pub(super) struct ClusterArguments {
    /// The kubeconfig file.
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<String>,
    /// The context of the kubeconfig.
    #[arg(long)]
    context: Option<String>,
    /// The namespace of the Secret.
    #[arg(long, short)]
    namespace: Option<String>,
    /// The name of the controller's Service.
    #[arg(
        long,
        value_name = "NAME",
        env = "SEALED_SECRETS_CONTROLLER_NAME",
        default_value = "sealed-secrets-controller"
    )]
    controller_name: String,
    /// The namespace of the controller's Service.
    #[arg(
        long,
        value_name = "NAME",
        env = "SEALED_SECRETS_CONTROLLER_NAMESPACE",
        default_value = "kube-system"
    )]
    controller_namespace: String,
}

impl ClusterArguments {
    /// The cluster.
    pub(super) fn options(&self) -> ClusterOptions {
        ClusterOptions {
            kubeconfig: self.kubeconfig.clone(),
            context: self.context.clone(),
            namespace: self.namespace.clone(),
            ..ClusterOptions::default()
        }
    }

    /// The namespace that was named.
    pub(super) fn namespace(&self) -> Option<String> {
        self.namespace.clone()
    }

    /// The controller in it.
    pub(super) fn service(&self) -> ControllerService {
        ControllerService {
            namespace: self.controller_namespace.clone(),
            name: self.controller_name.clone(),
        }
    }
}

/// How manifests are written.
#[derive(Debug, Args)]
pub(super) struct ManifestFormat {
    /// The form of the manifest: yaml, or json where --output says so.
    #[arg(long, value_enum)]
    format: Option<Form>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Form {
    Yaml,
    Json,
}

impl ManifestFormat {
    /// Whether it was given.
    pub(super) fn is_given(&self) -> bool {
        self.format.is_some()
    }

    /// The form of a manifest that is printed.
    pub(super) fn output(&self, json: bool) -> manifest::Output {
        match (self.format, json) {
            (Some(Form::Yaml), _) | (None, false) => manifest::Output::Yaml,
            (Some(Form::Json), _) | (None, true) => manifest::Output::Json,
        }
    }
}

/// Who may use a sealed value.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum ScopeName {
    /// The Secret of this name in this namespace.
    Strict,
    /// Any Secret of the namespace.
    NamespaceWide,
    /// Any Secret of the cluster.
    ClusterWide,
}

impl ScopeName {
    /// The scope.
    pub(super) fn scope(self) -> Scope {
        match self {
            ScopeName::Strict => Scope::Strict,
            ScopeName::NamespaceWide => Scope::NamespaceWide,
            ScopeName::ClusterWide => Scope::ClusterWide,
        }
    }
}

/// What it takes to change values of a SealedSecret, or to read them.
#[derive(Debug, Args)]
#[command(next_help_heading = "SealedSecrets")]
pub(super) struct SealedOptions {
    /// The certificate that new values of a SealedSecret are sealed to, a file or URL; by default fetched from the
    /// controller.
    #[arg(long, value_name = "FILE", env = "SEALED_SECRETS_CERT")]
    cert: Option<String>,
    /// A backup of private keys, to open the values of a SealedSecret (repeatable).
    #[arg(long, value_name = "FILE")]
    key: Vec<PathBuf>,
}

impl SealedOptions {
    /// Where the certificate comes from.
    pub(super) fn source(&self) -> CertificateSource {
        match &self.cert {
            Some(name) => CertificateSource::Named(name.clone()),
            None => CertificateSource::Controller(
                ControllerService {
                    namespace: variable("SEALED_SECRETS_CONTROLLER_NAMESPACE", "kube-system"),
                    name: variable(
                        "SEALED_SECRETS_CONTROLLER_NAME",
                        "sealed-secrets-controller",
                    ),
                },
                Box::default(),
            ),
        }
    }

    /// The private keys.
    pub(super) fn keys(&self, world: &World, everywhere: &Everywhere) -> Result<Keyring> {
        seal::keyring_of(world, &everywhere.settings(), &self.key)
    }
}

fn variable(name: &str, default: &str) -> String {
    std::env::var(name)
        .ok()
        .filter(|value| !value.is_empty())
        .unwrap_or_else(|| default.to_owned())
}

/// Reads a file, or standard input; a person at a terminal learns that the program waits for them.
pub(super) fn read_input(world: &World, file: Option<&PathBuf>) -> Result<SecretBytes> {
    let file = file.filter(|file| file.as_os_str() != "-");
    if file.is_none() {
        world.terminal.announce_typing();
    }
    seal::read_input(file)
}

/// Reads a file and says what would become of it.
pub(super) fn change_file(
    path: &Path,
    work: impl FnOnce(SecretBytes) -> Result<Option<SecretBytes>>,
) -> Result<Change> {
    let path = absolute(path)?;
    let original = crate::file::read_to_update(&path).map_err(|error| {
        Error::new(Kind::Read, format!("cannot read {}", path.display())).because(error)
    })?;
    let new = work(SecretBytes::copy_of(original.bytes.expose()))?;
    Ok(Change {
        from: Input::File(path),
        to: Output::InPlace,
        bytes: new.filter(|new| *new != original.bytes),
        content: crate::file::Content::Encrypted,
        original: Some(original),
        keys: Vec::new(),
        notes: Vec::new(),
        warnings: Vec::new(),
    })
}
