//! The verbs of sealing, as clap reads them.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use sealwright_crypto::secret::SecretBytes;
use sealwright_resources::manifest;
use sealwright_resources::scope::Scope;
use sealwright_resources::sealed_secret::Refresh;

use super::arguments::{Caution, one_change};
use crate::cluster::{ClusterOptions, ControllerService};
use crate::command::found::Wanted;
use crate::command::seal::{self, CertificateSource, SealOptions};
use crate::command::{Change, Input, Output, Settings, absolute};
use crate::error::{Error, Kind, Result};
use crate::world::World;

/// The verbs of sealing.
#[derive(Debug, Subcommand)]
pub(super) enum SealVerb {
    /// Seal Secrets, so that only the controller of one cluster can open them.
    #[command(
        after_help = "Examples:\n  sealwright seal secret.yaml --cert cert.pem --out sealed.yaml\n  \
        kubectl get secret db -o yaml | sealwright seal --cert cert.pem > sealed-db.yaml\n  \
        sealwright seal secret.yaml --cert cert.pem --merge-into sealed.yaml"
    )]
    Seal {
        /// The Secrets in YAML or JSON; standard input without a file.
        file: Option<PathBuf>,
        #[command(flatten)]
        to: CertificateOptions,
        #[command(flatten)]
        cluster: ClusterArguments,
        /// Who else may use the values: by default nobody, the name and the namespace are part of the seal.
        #[arg(long, value_enum)]
        scope: Option<ScopeName>,
        /// The name of the Secret, instead of the input's.
        #[arg(long)]
        name: Option<String>,
        /// Accept Secrets without any data.
        #[arg(long)]
        allow_empty_data: bool,
        /// Seal the input as one value and print it alone.
        #[arg(long, conflicts_with_all = ["merge_into", "out"])]
        raw: bool,
        /// Add the values to this SealedSecret file, which keeps its comments and layout.
        #[arg(long, value_name = "FILE", conflicts_with = "out")]
        merge_into: Option<PathBuf>,
        /// Write to a file; values that it has already and that did not change keep their text, if --key can tell.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
        /// A backup of private keys, to see which values of --out did not change.
        #[arg(long, value_name = "FILE", requires = "out")]
        key: Vec<PathBuf>,
        /// Show what would become of the file of --out or --merge-into, write nothing.
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        format: ManifestFormat,
    },
    /// Unseal SealedSecrets without the cluster, with private keys from a backup.
    #[command(after_help = "Examples:\n  sealwright unseal --key backup.yaml sealed.yaml")]
    Unseal {
        /// The SealedSecrets in YAML or JSON; standard input without a file.
        file: Option<PathBuf>,
        /// A backup of private keys: PEM, or the controller's key Secrets in YAML or JSON.
        #[arg(long, required = true, value_name = "FILE")]
        key: Vec<PathBuf>,
        #[command(flatten)]
        format: ManifestFormat,
    },
    /// Seal the SealedSecrets of files and folders for a new certificate, where they stand, without the cluster.
    #[command(
        after_help = "Examples:\n  sealwright reseal --key backup.yaml --cert new.pem clusters/prod\n  \
        sealwright reseal --key backup.yaml --cert new.pem --check ."
    )]
    Reseal {
        /// Files and folders.
        #[arg(required = true)]
        paths: Vec<PathBuf>,
        /// A backup of private keys, old and new.
        #[arg(long, required = true, value_name = "FILE")]
        key: Vec<PathBuf>,
        #[command(flatten)]
        to: CertificateOptions,
        #[command(flatten)]
        cluster: ClusterArguments,
        /// Seal every value anew, also those that the newest key opens already.
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        caution: Caution,
    },
    /// Print the certificate that Secrets are sealed to.
    #[command(
        after_help = "Examples:\n  sealwright cert > cert.pem\n  sealwright cert --cert cert.pem --output json"
    )]
    Cert {
        #[command(flatten)]
        to: CertificateOptions,
        #[command(flatten)]
        cluster: ClusterArguments,
    },
    /// Ask the controller whether SealedSecrets can be unsealed.
    #[command(after_help = "Examples:\n  sealwright validate sealed.yaml")]
    Validate {
        /// Files of SealedSecrets; standard input without a file.
        files: Vec<PathBuf>,
        #[command(flatten)]
        cluster: ClusterArguments,
    },
    /// Make a sealing key pair: for a controller to be, or to try things out.
    #[command(after_help = "Examples:\n  sealwright sealing-key --key key.pem --cert cert.pem")]
    SealingKey {
        /// Where the private key goes; nobody else may read the file.
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
        /// Where the certificate goes.
        #[arg(long, value_name = "FILE")]
        cert: PathBuf,
        /// The size of the key.
        #[arg(long, default_value_t = 4096, value_parser = clap::value_parser!(u64).range(2048..=8192))]
        bits: u64,
        /// How many days the certificate is valid.
        #[arg(long, default_value_t = 3650, value_parser = clap::value_parser!(u64).range(1..=36500))]
        days: u64,
    },
}

/// Where the certificate comes from.
#[derive(Debug, Args)]
pub(super) struct CertificateOptions {
    /// A certificate file or URL; without it the controller is asked.
    #[arg(long, value_name = "FILE", env = "SEALED_SECRETS_CERT")]
    cert: Option<String>,
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
    fn is_given(&self) -> bool {
        self.format.is_some()
    }

    fn output(&self, json: bool) -> manifest::Output {
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
    fn scope(self) -> Scope {
        match self {
            ScopeName::Strict => Scope::Strict,
            ScopeName::NamespaceWide => Scope::NamespaceWide,
            ScopeName::ClusterWide => Scope::ClusterWide,
        }
    }
}

impl ClusterArguments {
    fn options(&self) -> ClusterOptions {
        ClusterOptions {
            kubeconfig: self.kubeconfig.clone(),
            context: self.context.clone(),
            namespace: self.namespace.clone(),
            ..ClusterOptions::default()
        }
    }

    fn service(&self) -> ControllerService {
        ControllerService {
            namespace: self.controller_namespace.clone(),
            name: self.controller_name.clone(),
        }
    }
}

impl CertificateOptions {
    fn source(&self, cluster: &ClusterArguments) -> CertificateSource {
        match &self.cert {
            Some(name) => CertificateSource::Named(name.clone()),
            None => CertificateSource::Controller(cluster.service(), Box::new(cluster.options())),
        }
    }
}

impl SealVerb {
    /// Does it.
    pub(super) fn perform(self, world: &World, json: bool) -> Result<()> {
        match self {
            SealVerb::Seal {
                file,
                to,
                cluster,
                scope,
                name,
                allow_empty_data,
                raw,
                merge_into,
                out,
                key,
                dry_run,
                format,
            } => {
                let options = SealOptions {
                    scope: scope.map(ScopeName::scope),
                    name,
                    allow_empty_data,
                    cluster: cluster.options(),
                };
                let input = read_input(world, file.as_ref())?;
                if !raw {
                    // Before a cluster is asked for anything.
                    seal::refuse_without_secrets(&input, file.as_deref())?;
                }
                let certificate = to.source(&cluster).load()?;
                if raw {
                    return world
                        .terminal
                        .out(seal::seal_raw(&input, &certificate, &options)?.as_bytes());
                }
                if let Some(target) = merge_into {
                    return one_change(world, json, dry_run, "sealed", &target, || {
                        change_file(&target, |text| {
                            seal::merge_into(&target, text, &input, &certificate, &options)
                                .map(Some)
                        })
                    });
                }
                // What is shown of a file is not what is in it.
                let output = match (
                    format.is_given(),
                    out.as_deref().and_then(seal::output_of_name),
                ) {
                    (false, Some(output)) => output,
                    _ => format.output(json && out.is_none()),
                };
                let mut sealed = seal::seal_stream(&input, &certificate, &options)?;
                let Some(out) = out else {
                    return world.terminal.out(&seal::write_all(&sealed, output));
                };
                let note = seal::keep_unchanged(
                    &mut sealed,
                    &input,
                    &out,
                    &seal::keyring(&key)?,
                    &certificate,
                )?;
                if let Some(note) = note {
                    world.terminal.tell(&note);
                }
                let bytes = SecretBytes::from(seal::write_all(&sealed, output));
                let same = crate::file::read(&out).is_ok_and(|old| old.bytes == bytes);
                one_change(world, json, dry_run, "sealed", &out, || {
                    Ok(Change {
                        from: Input::Stdin,
                        to: Output::File(out.clone()),
                        bytes: (!same).then_some(bytes),
                        content: crate::file::Content::Encrypted,
                        original: None,
                        keys: Vec::new(),
                        notes: Vec::new(),
                        warnings: Vec::new(),
                    })
                })
            }
            SealVerb::Unseal { file, key, format } => {
                let keys = seal::keyring(&key)?;
                let input = read_input(world, file.as_ref())?;
                let opened =
                    seal::unseal_stream(&world.terminal, &input, &keys, format.output(json))?;
                world.terminal.out(opened.expose())
            }
            SealVerb::Reseal {
                paths,
                key,
                to,
                cluster,
                all,
                caution,
            } => {
                let keys = seal::keyring(&key)?;
                let certificate = to.source(&cluster).load()?;
                let refresh = if all { Refresh::All } else { Refresh::Outdated };
                let over = (Wanted::Sealed, &Settings::new());
                caution.each(world, json, "resealed", &paths, over, &|path| {
                    let mut notes = Vec::new();
                    let mut change = change_file(path, |text| {
                        let Some(resealed) =
                            seal::reseal_file(path, text, &keys, &certificate, refresh)?
                        else {
                            return Ok(None);
                        };
                        notes.push(format!(
                            "{} of {} values in {} SealedSecrets",
                            resealed.changed, resealed.values, resealed.objects
                        ));
                        Ok(resealed.text)
                    })?;
                    change.notes = notes;
                    Ok(change)
                })
            }
            SealVerb::Cert { to, cluster } => {
                let source = to.source(&cluster);
                if !json {
                    return world.terminal.out(&source.show()?);
                }
                world.terminal.say_json(&source.describe()?)
            }
            SealVerb::Validate { files, cluster } => {
                let inputs = match &files[..] {
                    [] => vec![(None, read_input(world, None)?)],
                    files => files
                        .iter()
                        .map(|file| Ok((Some(file.as_path()), seal::read_input(Some(file))?)))
                        .collect::<Result<_>>()?,
                };
                let valid = seal::validate_each(&inputs, &cluster.service(), &cluster.options())?;
                if json {
                    return world
                        .terminal
                        .say_json(&serde_json::json!({ "valid": valid }));
                }
                Ok(())
            }
            SealVerb::SealingKey {
                key,
                cert,
                bits,
                days,
            } => {
                for path in [&key, &cert] {
                    if path.exists() {
                        return Err(Error::new(
                            Kind::Write,
                            format!("{} exists already", path.display()),
                        )
                        .hint("what was sealed for its key would be lost; choose another name"));
                    }
                }
                let (key_text, certificate) = seal::new_sealing_key(bits, days)?;
                crate::file::replace(
                    &world.terminal,
                    &key,
                    &key_text,
                    crate::file::Content::Private,
                    None,
                )?;
                crate::file::replace(
                    &world.terminal,
                    &cert,
                    &certificate.into_bytes().into(),
                    crate::file::Content::Encrypted,
                    None,
                )?;
                if json {
                    let (key, cert) = (key.to_string_lossy(), cert.to_string_lossy());
                    world
                        .terminal
                        .say_json(&serde_json::json!({ "key": key, "certificate": cert }))?;
                }
                Ok(())
            }
        }
    }
}

/// Reads a file, or standard input; a person at a terminal learns that the program waits for them.
fn read_input(world: &World, file: Option<&PathBuf>) -> Result<SecretBytes> {
    let file = file.filter(|file| file.as_os_str() != "-");
    if file.is_none() {
        world.terminal.announce_typing();
    }
    seal::read_input(file)
}

/// Reads a file and says what would become of it.
fn change_file(
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
