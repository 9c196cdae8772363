//! Secrets into SealedSecrets, and SealedSecrets under a new key.

use std::num::NonZeroUsize;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use sealwright_crypto::sealing::{Certificate, base64};

use super::unseal::{open_items, read_deprecated};
use super::{SealError, SealedSecret, SealedSecretSpec, SecretTemplate, UnsealOptions};
use crate::keyring::Keyring;
use crate::plain_secret::PlainSecret;
use crate::scope::Scope;

/// Annotations in which tools keep a copy of the whole object, cleartext included.
const COPIES_OF_THE_OBJECT: [&str; 2] = [
    "kubectl.kubernetes.io/last-applied-configuration",
    "kubecfg.ksonnet.io/last-applied-configuration",
];

/// Seals every value of a Secret for the holder of the key of `to`.
///
/// The outer metadata gets name, namespace and at most the annotation of the scope; everything
/// else of the metadata goes into the template, without owner references and without the
/// annotations that hold a copy of the cleartext.
///
/// # Errors
///
/// Fails if the scope needs a namespace and the Secret has none.
pub fn seal(
    secret: &PlainSecret,
    to: &Certificate,
    scope: Scope,
) -> Result<SealedSecret, SealError> {
    if scope != Scope::ClusterWide && secret.namespace().is_empty() {
        return Err(SealError::NoNamespace);
    }
    let label = scope.label(secret.namespace(), secret.name());
    let mut spec = SealedSecretSpec {
        template: SecretTemplate {
            metadata: template_metadata(&secret.metadata, scope),
            kind: secret.kind.clone(),
            immutable: secret.immutable,
            ..SecretTemplate::default()
        },
        ..SealedSecretSpec::default()
    };
    for (key, value) in secret.iter() {
        let sealed = seal_value(value.expose(), to, &label, key)?;
        spec.encrypted_data.insert(key.to_owned(), sealed);
    }
    Ok(SealedSecret {
        metadata: outer_metadata(&secret.metadata, scope),
        spec,
        status: None,
    })
}

/// Seals many Secrets on all cores; the results are in the order of the Secrets.
///
/// Each Secret is sealed in the scope that `scope_of` gives it.
pub fn seal_each(
    secrets: &[PlainSecret],
    to: &Certificate,
    scope_of: impl Fn(&PlainSecret) -> Scope + Sync,
) -> Vec<Result<SealedSecret, SealError>> {
    let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let share = secrets.len().div_ceil(cores).max(1);
    let seal_share = |share: &[PlainSecret]| -> Vec<_> {
        share
            .iter()
            .map(|secret| seal(secret, to, scope_of(secret)))
            .collect()
    };
    // A thread costs about as much as one value.
    if secrets.len() < 2 {
        return seal_share(secrets);
    }
    std::thread::scope(|threads| {
        let running: Vec<_> = secrets
            .chunks(share)
            .map(|share| threads.spawn(|| seal_share(share)))
            .collect();
        running
            .into_iter()
            .flat_map(|thread| thread.join().expect("sealing does not panic"))
            .collect()
    })
}

/// Which values are resealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refresh {
    /// All of them.
    All,
    /// Those that the key of the new certificate does not open; the others keep their text.
    Outdated,
}

/// A resealed SealedSecret.
#[derive(Debug)]
pub struct Resealed {
    /// The new object.
    pub sealed: SealedSecret,
    /// How many values have a new text.
    pub changed: usize,
    /// The template spoke of another name, namespace or scope than the object, and was put right.
    pub realigned: bool,
}

/// Seals the values of a SealedSecret for another key, without rendering its templates.
///
/// Templates are neither run nor dropped: they are not protected by the label, and running what a
/// stranger wrote would tell him about the values. The scope is that of the outer metadata, and
/// the template's marks are made to agree with it, so that a template cannot widen a scope.
/// The status is left out, and so is everything the API server adds to the metadata.
///
/// # Errors
///
/// Fails if any value cannot be opened, or as [`seal`] does.
pub fn reseal(
    sealed: &SealedSecret,
    keys: &Keyring,
    to: &Certificate,
    refresh: Refresh,
    options: &UnsealOptions<'_>,
) -> Result<Resealed, SealError> {
    let scope = Scope::of(&sealed.metadata);
    let namespace = sealed.metadata.namespace.as_deref().unwrap_or_default();
    if scope != Scope::ClusterWide && namespace.is_empty() {
        return Err(SealError::NoNamespace);
    }
    let label = Scope::label_of(&sealed.metadata);

    if let Some((secret, _)) = read_deprecated(sealed, keys, options)? {
        let mut renewed = seal(&secret, to, scope)?;
        renewed.spec.template.data = sealed.spec.template.data.clone();
        return Ok(Resealed {
            changed: renewed.spec.encrypted_data.len(),
            sealed: renewed,
            realigned: false,
        });
    }

    let realigned = contradicts(&sealed.spec.template.metadata, &sealed.metadata);
    let mut template = sealed.spec.template.clone();
    template.metadata = template_metadata(&template.metadata, scope);
    template.metadata.name = sealed.metadata.name.clone();
    template.metadata.namespace = sealed.metadata.namespace.clone();
    strip_server_fields(&mut template.metadata);
    let mut spec = SealedSecretSpec {
        template,
        ..SealedSecretSpec::default()
    };
    let mut changed = 0;
    for item in open_items(sealed, keys, options)? {
        let text =
            if refresh == Refresh::Outdated && item.opened_by.as_ref() == Some(to.fingerprint()) {
                sealed.spec.encrypted_data[&item.key].clone()
            } else {
                changed += 1;
                seal_value(item.plaintext.expose(), to, &label, &item.key)?
            };
        spec.encrypted_data.insert(item.key, text);
    }
    Ok(Resealed {
        sealed: SealedSecret {
            metadata: outer_metadata(&sealed.metadata, scope),
            spec,
            status: None,
        },
        changed,
        realigned,
    })
}

/// Whether a template says something else of its Secret than the object around it. Labels and other annotations are the
/// template's own, and a name that it leaves out contradicts nothing.
fn contradicts(template: &ObjectMeta, outer: &ObjectMeta) -> bool {
    let differs = |inner: &Option<String>, outer: &Option<String>| {
        inner
            .as_deref()
            .is_some_and(|inner| !inner.is_empty() && Some(inner) != outer.as_deref())
    };
    Scope::of(template) != Scope::of(outer)
        || differs(&template.name, &outer.name)
        || differs(&template.namespace, &outer.namespace)
}

/// Blanks what only the API server may set, as it stands in an object read from a cluster.
pub(crate) fn strip_server_fields(metadata: &mut ObjectMeta) {
    metadata.self_link = None;
    metadata.uid = None;
    metadata.resource_version = None;
    metadata.generation = None;
    metadata.creation_timestamp = None;
    metadata.deletion_timestamp = None;
    metadata.deletion_grace_period_seconds = None;
}

fn seal_value(
    plaintext: &[u8],
    to: &Certificate,
    label: &[u8],
    key: &str,
) -> Result<String, SealError> {
    let sealed = to
        .seal(plaintext, label)
        .map_err(|source| SealError::Encrypt {
            key: key.to_owned(),
            source,
        })?;
    Ok(base64::encode(&sealed))
}

fn outer_metadata(metadata: &ObjectMeta, scope: Scope) -> ObjectMeta {
    let mut outer = ObjectMeta {
        name: metadata.name.clone(),
        namespace: metadata.namespace.clone(),
        ..ObjectMeta::default()
    };
    scope.annotate(&mut outer);
    outer
}

fn template_metadata(metadata: &ObjectMeta, scope: Scope) -> ObjectMeta {
    let mut inner = metadata.clone();
    inner.owner_references = None;
    if let Some(annotations) = &mut inner.annotations {
        for copy in COPIES_OF_THE_OBJECT {
            annotations.remove(copy);
        }
        if annotations.is_empty() {
            inner.annotations = None;
        }
    }
    // An object that already says so is not touched: it may carry both marks.
    if Scope::of(&inner) != scope {
        scope.annotate(&mut inner);
    }
    inner
}
