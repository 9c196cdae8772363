//! Sealing: Secrets into SealedSecrets for one cluster, and what else is done with them outside the cluster.

mod certificate;
mod folder;
mod in_file;
mod key_backup;
mod recovery;
mod unchanged;
mod values;

use std::path::{Path, PathBuf};

use sealwright_crypto::sealing::{Certificate, base64};
use sealwright_crypto::secret::SecretBytes;
use sealwright_resources::manifest::{self, Output};
use sealwright_resources::plain_secret::PlainSecret;
use sealwright_resources::scope::Scope;
use sealwright_resources::sealed_secret::{SealError, SealedSecret, seal_each};

pub(crate) use certificate::{CertificateSource, new_sealing_key};
pub(crate) use folder::SealFolder;
pub(crate) use in_file::{merge_into, reseal_file};
pub(crate) use key_backup::{ExportKeys, ImportKeys};
pub(crate) use recovery::{keyring, keyring_of, unseal_stream};
pub(crate) use unchanged::keep_unchanged;
pub(crate) use values::SealedFile;

use crate::cluster::{self, ClusterError, ClusterOptions, Controller, ControllerService, Verdict};
use crate::error::{Error, Fault, Kind, Result};

/// What the commands say about the cluster and about the Secret.
#[derive(Clone, Default)]
pub(crate) struct SealOptions {
    /// The scope, when one was named.
    pub(crate) scope: Option<Scope>,
    /// The name that overrides the input's.
    pub(crate) name: Option<String>,
    /// Whether Secrets without data are accepted.
    pub(crate) allow_empty_data: bool,
    /// The cluster.
    pub(crate) cluster: ClusterOptions,
}

/// Seals every Secret of a stream. Nothing is given out unless all of them can be sealed.
pub(crate) fn seal_stream(
    text: &SecretBytes,
    to: &Certificate,
    options: &SealOptions,
) -> Result<Vec<SealedSecret>> {
    let mut secrets = manifest::read_secrets(text.expose()).map_err(unreadable)?;
    for secret in &mut secrets {
        prepare(secret, options)?;
    }
    seal_each(&secrets, to, |secret| Scope::of(&secret.metadata))
        .into_iter()
        .zip(&secrets)
        .map(|(sealed, secret)| {
            sealed.map_err(|error| Error::generic(error.to_string()).hint_for(&error, secret))
        })
        .collect()
}

/// Refuses a manifest without a Secret.
pub(crate) fn refuse_without_secrets(text: &SecretBytes, file: Option<&Path>) -> Result<()> {
    let place = file.map_or_else(|| "standard input".into(), crate::visible::shown);
    match manifest::read_secrets(text.expose()) {
        Ok(secrets) if secrets.is_empty() => {
            Err(Error::generic(format!("{place} holds no Secret")))
        }
        Ok(_) => Ok(()),
        Err(error) => Err(Error::generic(format!("{place} cannot be sealed")).because(error)),
    }
}

/// Brings a Secret into the form that is sealed: name, scope and namespace decided, server fields blanked.
fn prepare(secret: &mut PlainSecret, options: &SealOptions) -> Result<()> {
    if secret.is_empty() && !options.allow_empty_data {
        return Err(Error::of(Fault::NoValues));
    }
    if let Some(name) = &options.name {
        secret.metadata.name = Some(name.clone());
    }
    if secret.name().is_empty() {
        return Err(Error::of(Fault::NoName).hint("name it there, or with --name"));
    }
    if let Some(scope) = options.scope.filter(|scope| *scope != Scope::Strict) {
        scope.annotate(&mut secret.metadata);
    }
    if Scope::of(&secret.metadata) != Scope::ClusterWide {
        let own = secret.namespace().to_owned();
        match options
            .cluster
            .namespace
            .as_deref()
            .filter(|namespace| !namespace.is_empty())
        {
            Some(wished) if !own.is_empty() && own != wished => {
                return Err(Error::of(Fault::OtherNamespace(own, wished.to_owned())));
            }
            _ if !own.is_empty() => {}
            _ => match cluster::default_namespace(&options.cluster) {
                Ok(namespace) => secret.metadata.namespace = Some(namespace),
                Err(ClusterError::NoConfiguration) => {} // sealing itself then asks for a namespace
                Err(error @ ClusterError::Invalid(_)) => {
                    // In the same words; the reference does not say why.
                    let told = Error::generic(SealError::NoNamespace.to_string());
                    return Err(told.hint(error.to_string()));
                }
                Err(error) => return Err(of_cluster(error)),
            },
        }
    }
    let metadata = &mut secret.metadata;
    metadata.self_link = None;
    metadata.uid = None;
    metadata.resource_version = None;
    metadata.generation = None;
    metadata.creation_timestamp = None;
    metadata.deletion_timestamp = None;
    metadata.deletion_grace_period_seconds = None;
    Ok(())
}

trait HintForSealing {
    fn hint_for(self, error: &dyn std::error::Error, secret: &PlainSecret) -> Self;
}

impl HintForSealing for Error {
    fn hint_for(self, _: &dyn std::error::Error, secret: &PlainSecret) -> Self {
        if secret.namespace().is_empty() {
            return self.hint("name it in metadata.namespace or with --namespace, or seal with --scope cluster-wide");
        }
        self
    }
}

/// Seals one value and gives its text, without a final newline.
pub(crate) fn seal_raw(
    value: &SecretBytes,
    to: &Certificate,
    options: &SealOptions,
) -> Result<String> {
    let scope = options.scope.unwrap_or_default();
    let name = options.name.clone().unwrap_or_default();
    let namespace = match scope {
        Scope::ClusterWide => String::new(),
        _ => cluster::default_namespace(&options.cluster).map_err(of_cluster)?,
    };
    if scope == Scope::Strict && name.is_empty() {
        return Err(Error::of(Fault::NoNameForStrict));
    }
    let sealed = to
        .seal(value.expose(), &scope.label(&namespace, &name))
        .map_err(|error| Error::generic("cannot seal the value").because(error))?;
    Ok(base64::encode(&sealed))
}

/// Asks the controller whether each SealedSecret of a stream can be unsealed; names all that cannot.
pub(crate) fn validate(
    text: &SecretBytes,
    service: &ControllerService,
    options: &ClusterOptions,
) -> Result<()> {
    let sealed = manifest::read_sealed_secrets(text.expose()).map_err(unreadable)?;
    let refused = in_cluster(refused(&[sealed], service, options))?;
    match &refused[0][..] {
        [] => Ok(()),
        names => Err(Error::generic(undecryptable(names))),
    }
}

/// The same for several files: a fault in one does not hide those of the others. Gives the number of SealedSecrets.
pub(crate) fn validate_each(
    inputs: &[(Option<&Path>, SecretBytes)],
    service: &ControllerService,
    options: &ClusterOptions,
) -> Result<usize> {
    let mut faults = Vec::new();
    let mut fault = |path: Option<&Path>, reason: String| {
        faults.push(match path {
            Some(path) => format!("{}: {reason}", path.display()),
            None => reason,
        });
    };
    let (mut paths, mut all) = (Vec::new(), Vec::new());
    for (path, text) in inputs {
        match manifest::read_sealed_secrets(text.expose()) {
            Ok(sealed) => {
                paths.push(*path);
                all.push(sealed);
            }
            Err(error) => fault(*path, error.to_string()),
        }
    }
    if !all.is_empty() {
        let refused = in_cluster(refused(&all, service, options))?;
        for (path, names) in paths.iter().zip(refused) {
            if !names.is_empty() {
                fault(*path, undecryptable(&names));
            }
        }
    }
    match faults.is_empty() {
        true => Ok(all.iter().map(Vec::len).sum()),
        false => {
            let first = faults.remove(0);
            Err(Error::generic(first).report(faults))
        }
    }
}

fn undecryptable(names: &[String]) -> String {
    format!("unable to decrypt sealed secret: {}", names.join(", "))
}

/// The names of the SealedSecrets of each group that the controller cannot open.
async fn refused(
    groups: &[Vec<SealedSecret>],
    service: &ControllerService,
    options: &ClusterOptions,
) -> std::result::Result<Vec<Vec<String>>, ClusterError> {
    let controller = Controller::find(options, service).await?;
    let mut refused = Vec::with_capacity(groups.len());
    for group in groups {
        let mut names = Vec::new();
        for sealed in group {
            if controller.verify(&compact(sealed)).await? == Verdict::DoesNotOpen {
                names.push(sealed.metadata.name.clone().unwrap_or_default());
            }
        }
        refused.push(names);
    }
    Ok(refused)
}

/// Lets the controller reseal each SealedSecret of a stream.
pub(crate) fn re_encrypt(
    text: &SecretBytes,
    service: &ControllerService,
    options: &ClusterOptions,
) -> Result<Vec<SealedSecret>> {
    let sealed = manifest::read_sealed_secrets(text.expose()).map_err(unreadable)?;
    let answers: Vec<Vec<u8>> = in_cluster(async {
        let controller = Controller::find(options, service).await?;
        let mut answers = Vec::with_capacity(sealed.len());
        for sealed in &sealed {
            answers.push(controller.rotate(&compact(sealed)).await?);
        }
        Ok(answers)
    })?;
    answers
        .iter()
        .zip(&sealed)
        .map(|(answer, old)| {
            let mut renewed: SealedSecret = serde_json::from_slice(answer).map_err(|error| {
                Error::generic("cannot read the controller's answer to a SealedSecret")
                    .because(error)
            })?;
            // Controllers from 0.40.0 on leave these out; what was only there would be lost.
            if renewed.spec.template.data.is_empty() {
                renewed
                    .spec
                    .template
                    .data
                    .clone_from(&old.spec.template.data);
            }
            renewed.metadata.creation_timestamp = None;
            renewed.metadata.deletion_timestamp = None;
            renewed.metadata.generation = None;
            renewed.status = None;
            Ok(renewed)
        })
        .collect()
}

/// Writes SealedSecrets one after the other.
pub(crate) fn write_all(sealed: &[SealedSecret], output: Output) -> Vec<u8> {
    sealed
        .iter()
        .flat_map(|sealed| manifest::write_sealed_secret(sealed, output))
        .collect()
}

/// The output format of a file: its extension counts more than a flag.
pub(crate) fn output_of(path: Option<&Path>, wished: Output) -> Output {
    let extension = path
        .and_then(Path::extension)
        .and_then(|extension| extension.to_str());
    if matches!(extension, Some("yaml" | "yml")) {
        Output::Yaml
    } else {
        wished
    }
}

/// The output format that a name asks for, as a person reads names.
pub(crate) fn output_of_name(path: &Path) -> Option<Output> {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("yaml" | "yml") => Some(Output::Yaml),
        Some("json") => Some(Output::Json),
        _ => None,
    }
}

/// Reads a file, or standard input without one.
pub(crate) fn read_input(path: Option<&PathBuf>) -> Result<SecretBytes> {
    match path {
        Some(path) => crate::file::read(path)
            .map(|original| original.bytes)
            .map_err(|error| {
                Error::new(Kind::Read, format!("cannot read {}", path.display())).because(error)
            }),
        None => crate::file::read_stdin()
            .map_err(|error| Error::new(Kind::Read, "cannot read standard input").because(error)),
    }
}

fn compact(sealed: &SealedSecret) -> Vec<u8> {
    serde_json::to_vec(sealed).expect("a SealedSecret is JSON")
}

fn unreadable(error: manifest::ManifestError) -> Error {
    Error::generic(error.to_string())
}

/// What users of the original know from its second line.
const SERVICE_ADVICE: &str = "Please, use the flag --controller-name and --controller-namespace to set up the name and namespace of the sealed secrets controller";

fn of_cluster(error: ClusterError) -> Error {
    let told = Error::generic(error.to_string());
    match error {
        ClusterError::NoConfiguration => told.hint(
            "no kubeconfig leads to a cluster, and this is no pod: name one with --kubeconfig or KUBECONFIG, or do without a cluster with --cert and --namespace",
        ),
        ClusterError::Service(_) => told.report([SERVICE_ADVICE.to_owned()]),
        _ => told,
    }
}

/// Runs what asks a cluster; nothing else of these commands needs a runtime.
pub(crate) fn in_cluster<T>(
    work: impl Future<Output = std::result::Result<T, ClusterError>>,
) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::generic("cannot start the network runtime").because(error))?;
    runtime.block_on(work).map_err(of_cluster)
}
