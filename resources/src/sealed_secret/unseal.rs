//! SealedSecrets into Secrets.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use sealwright_crypto::sealing::{Fingerprint, base64};
use sealwright_crypto::secret::SecretBytes;
use sealwright_template::{Budget, Context, Dialect, Limits, Options, Template};

use super::{
    API_VERSION, ItemErrors, KIND, SKIP_OWNER_ANNOTATION, SealedSecret, SecretTemplate, UnsealError,
};
use crate::keyring::{Keyring, SealingKey};
use crate::plain_secret::PlainSecret;
use crate::scope::Scope;

/// How to unseal.
#[derive(Debug, Clone, Copy)]
pub struct UnsealOptions<'a> {
    /// Whether the deprecated format is accepted, one blob in `spec.data`.
    pub accept_deprecated_data: bool,
    /// The key that opened this object last time; it is tried first.
    pub remembered: Option<&'a Fingerprint>,
    /// About how many private-key operations may be made; a value costs one with every key that it does not open with.
    pub operations: Option<usize>,
    /// After how many values that do not open no other is tried.
    pub failures: Option<usize>,
}

impl Default for UnsealOptions<'_> {
    fn default() -> Self {
        Self {
            accept_deprecated_data: true,
            remembered: None,
            operations: None,
            failures: None,
        }
    }
}

/// What came out of a SealedSecret.
pub struct Unsealed {
    /// The Secret as it should be in the cluster, owner reference included.
    pub secret: PlainSecret,
    /// The key that opened the last value, worth remembering for this object.
    pub opened_by: Option<Fingerprint>,
}

static_assertions::assert_not_impl_any!(Unsealed: Clone, std::fmt::Debug, std::fmt::Display);

/// Opens a SealedSecret and fills its template.
///
/// Scope, namespace and name come from the outer metadata only: anyone who can write a template must
/// not be able to choose the label. All items are tried, and any failure fails the whole object.
///
/// # Errors
///
/// Names every item that fails, with the reason.
pub fn unseal(
    sealed: &SealedSecret,
    keys: &Keyring,
    options: &UnsealOptions<'_>,
) -> Result<Unsealed, UnsealError> {
    unseal_on(1, sealed, keys, options)
}

/// Does what [`unseal`] does on several threads at once: for programs that have nothing else to do meanwhile.
///
/// # Errors
///
/// As [`unseal`].
pub fn unseal_on(
    threads: usize,
    sealed: &SealedSecret,
    keys: &Keyring,
    options: &UnsealOptions<'_>,
) -> Result<Unsealed, UnsealError> {
    open_on(threads, sealed, keys, options)?.fill(sealed, Limits::default())
}

/// The values of a SealedSecret, opened; its templates have not run yet.
///
/// Opening needs the keys, and takes as long as private-key operations do. Templates take as long
/// as their author and their budget want, and must not hold the keys meanwhile.
pub struct Opened(Content);

static_assertions::assert_not_impl_any!(Opened: Clone, std::fmt::Debug, std::fmt::Display);

enum Content {
    /// What lay in the deprecated format.
    Deprecated(Box<PlainSecret>, Fingerprint),
    Items(Vec<Item>, ItemErrors),
}

/// Opens the values of a SealedSecret, for [`Opened::fill`] to make a Secret of.
///
/// # Errors
///
/// As [`unseal`]; but where items fail, `fill` says so, together with the faults of the templates.
pub fn open(
    sealed: &SealedSecret,
    keys: &Keyring,
    options: &UnsealOptions<'_>,
) -> Result<Opened, UnsealError> {
    open_on(1, sealed, keys, options)
}

fn open_on(
    threads: usize,
    sealed: &SealedSecret,
    keys: &Keyring,
    options: &UnsealOptions<'_>,
) -> Result<Opened, UnsealError> {
    Ok(Opened(match read_deprecated(sealed, keys, options)? {
        Some((secret, opened_by)) => Content::Deprecated(Box::new(secret), opened_by),
        None => {
            let (items, errors) = try_items(threads, sealed, keys, options);
            if errors.stops {
                return Err(UnsealError::ManyOperations);
            }
            Content::Items(items, errors)
        }
    }))
}

impl Opened {
    /// Makes the Secret, by the templates of the same SealedSecret; they share the limits.
    ///
    /// # Errors
    ///
    /// Names every item and every template that failed, with the reason.
    pub fn fill(&self, sealed: &SealedSecret, limits: Limits) -> Result<Unsealed, UnsealError> {
        let (mut secret, opened_by) = match &self.0 {
            Content::Deprecated(secret, opened_by) => (secret.copy(), Some(opened_by.clone())),
            Content::Items(items, errors) => fill(sealed, items, errors.clone(), limits)?,
        };
        secret.metadata.namespace = sealed.metadata.namespace.clone();
        secret.metadata.name = sealed.metadata.name.clone();
        if !skips_owner(&sealed.spec.template) {
            secret.metadata.owner_references = Some(vec![owner(sealed)]);
        }
        Ok(Unsealed { secret, opened_by })
    }
}

/// Tells whether every value of a SealedSecret opens, and nothing about the values.
///
/// Templates are neither parsed nor run here: this answers unauthenticated clients. For the same reason it ends at the first
/// value that does not open: each costs an operation with every private key.
///
/// # Errors
///
/// As [`unseal`] for the first value that does not open, but for templates and for what a deprecated blob holds.
pub fn verify(
    sealed: &SealedSecret,
    keys: &Keyring,
    options: &UnsealOptions<'_>,
) -> Result<(), UnsealError> {
    if open_deprecated(sealed, keys, options)?.is_some() {
        return Ok(());
    }
    let label = Scope::label_of(&sealed.metadata);
    let mut remembered = options.remembered.cloned();
    for (key, text) in &sealed.spec.encrypted_data {
        let options = UnsealOptions {
            remembered: remembered.as_ref(),
            ..*options
        };
        let (items, errors) = try_share(&[(key.as_str(), text.as_str())], &label, keys, &options);
        errors.into_result()?;
        remembered = items.into_iter().next().and_then(|item| item.opened_by);
    }
    Ok(())
}

/// Makes the Secret that a SealedSecret would become if its values were these; nothing is opened.
///
/// # Errors
///
/// Names every template that fails, with the reason.
pub fn fill_with(
    sealed: &SealedSecret,
    values: BTreeMap<String, SecretBytes>,
) -> Result<PlainSecret, UnsealError> {
    let mut sealed = sealed.clone();
    sealed.spec.encrypted_data = values
        .keys()
        .map(|key| (key.clone(), String::new()))
        .collect();
    let items = values.into_iter().map(|(key, plaintext)| Item {
        key,
        plaintext,
        opened_by: None,
    });
    let items = Content::Items(items.collect(), ItemErrors::default());
    Ok(Opened(items).fill(&sealed, Limits::default())?.secret)
}

/// A value that was opened.
pub(super) struct Item {
    pub(super) key: String,
    pub(super) plaintext: SecretBytes,
    /// `None` where the value was given.
    pub(super) opened_by: Option<Fingerprint>,
}

/// Opens all items of `encryptedData`.
pub(super) fn open_items(
    sealed: &SealedSecret,
    keys: &Keyring,
    options: &UnsealOptions<'_>,
) -> Result<Vec<Item>, UnsealError> {
    let (items, errors) = try_items(1, sealed, keys, options);
    errors.into_result()?;
    Ok(items)
}

fn try_items(
    threads: usize,
    sealed: &SealedSecret,
    keys: &Keyring,
    options: &UnsealOptions<'_>,
) -> (Vec<Item>, ItemErrors) {
    let label = Scope::label_of(&sealed.metadata);
    let all: Vec<(&str, &str)> = sealed
        .spec
        .encrypted_data
        .iter()
        .map(|(key, text)| (key.as_str(), text.as_str()))
        .collect();
    let share = all.len().div_ceil(threads.max(1)).max(1);
    let (first, others) = all.split_at(share.min(all.len()));
    if others.is_empty() {
        return try_share(first, &label, keys, options);
    }
    std::thread::scope(|scope| {
        let label = &label;
        let running: Vec<_> = others
            .chunks(share)
            .map(|share| scope.spawn(move || try_share(share, label, keys, options)))
            .collect();
        let (mut items, mut errors) = try_share(first, label, keys, options);
        for thread in running {
            let (more, failed) = thread.join().expect("unsealing does not panic");
            items.extend(more);
            for (message, names) in failed.groups() {
                names.iter().for_each(|name| errors.push(name, &message));
            }
        }
        (items, errors)
    })
}

fn try_share(
    share: &[(&str, &str)],
    label: &[u8],
    keys: &Keyring,
    options: &UnsealOptions<'_>,
) -> (Vec<Item>, ItemErrors) {
    let mut items = Vec::with_capacity(share.len());
    let mut errors = ItemErrors::default();
    let mut remembered = options.remembered.cloned();
    let (mut operations, mut failures) = (0, 0);
    for &(key, text) in share {
        if options.failures.is_some_and(|most| failures >= most) {
            break;
        }
        if options.operations.is_some_and(|most| operations >= most) {
            errors.stops = true;
            break;
        }
        let bytes = match base64::decode(text.as_bytes()) {
            Ok(bytes) => bytes,
            Err(error) => {
                errors.push(key, &error);
                continue;
            }
        };
        match keys.unseal(&bytes, label, remembered.as_ref()) {
            Ok((plaintext, opened_by)) => {
                // The other items of an object were most likely sealed for the same key.
                operations += 1;
                if remembered.as_ref() != Some(opened_by) {
                    let others = |key: &&SealingKey| key.fingerprint() != opened_by;
                    operations += keys.iter().take_while(others).count();
                    remembered = Some(opened_by.clone());
                }
                items.push(Item {
                    key: key.to_owned(),
                    plaintext,
                    opened_by: Some(opened_by.clone()),
                });
            }
            Err(error) => {
                operations += keys.len();
                failures += 1;
                errors.push(key, &error);
            }
        }
    }
    (items, errors)
}

fn fill(
    sealed: &SealedSecret,
    items: &[Item],
    mut errors: ItemErrors,
    limits: Limits,
) -> Result<(PlainSecret, Option<Fingerprint>), UnsealError> {
    let opened_by = items.last().and_then(|item| item.opened_by.clone());
    let sources = &sealed.spec.template.data;

    // Every template is parsed even if values are missing, so that its author sees all faults.
    let options = Options::of(Dialect::SealedSecrets);
    let budget = Budget::new(limits);
    let mut templates = BTreeMap::new();
    for (key, source) in sources {
        let Some(source) = source else { continue };
        match Template::parse_within(key, source, &options, &budget) {
            Ok(template) => {
                templates.insert(key, template);
            }
            Err(error) => errors.push_template(key, &error),
        }
    }
    if items.len() < sealed.spec.encrypted_data.len() {
        errors.into_result()?;
        unreachable!("an item that did not open left an error");
    }

    let rendered = {
        let mut context = Context::default();
        for item in items {
            context.insert(&item.key, item.plaintext.expose());
        }
        for (key, source) in sources {
            if let Some(source) = source
                && !sealed.spec.encrypted_data.contains_key(key)
            {
                context.insert(key, source.as_bytes());
            }
        }
        let mut rendered = Vec::with_capacity(templates.len());
        for (key, template) in templates {
            match template.render_within(&context, &budget) {
                Ok(text) => rendered.push((key, text)),
                Err(error) => errors.push_template(key, &error),
            }
        }
        rendered
    };
    errors.into_result()?;

    let template = &sealed.spec.template;
    let mut secret = PlainSecret::default();
    secret.metadata = template.metadata.clone();
    secret.kind = template.kind.clone();
    secret.immutable = template.immutable;
    for (key, text) in rendered {
        secret.insert(key, text);
    }
    // On a clash of names the sealed value stays, and null leaves it out.
    for item in items {
        if sources.get(&item.key) == Some(&None) {
            secret.remove(&item.key);
        } else {
            secret.insert(&item.key, SecretBytes::copy_of(item.plaintext.expose()));
        }
    }
    Ok((secret, opened_by))
}

/// Reads the deprecated format, in which the whole Secret is one sealed value in `spec.data`.
/// `None` if the object does not use it; the empty string does.
pub(super) fn read_deprecated(
    sealed: &SealedSecret,
    keys: &Keyring,
    options: &UnsealOptions<'_>,
) -> Result<Option<(PlainSecret, Fingerprint)>, UnsealError> {
    let Some((blob, opened_by)) = open_deprecated(sealed, keys, options)? else {
        return Ok(None);
    };
    let mut secret =
        PlainSecret::from_json(blob.expose()).map_err(UnsealError::DeprecatedSecret)?;
    secret.metadata.namespace = sealed.metadata.namespace.clone();
    secret.metadata.name = sealed.metadata.name.clone();
    Ok(Some((secret, opened_by)))
}

fn open_deprecated(
    sealed: &SealedSecret,
    keys: &Keyring,
    options: &UnsealOptions<'_>,
) -> Result<Option<(SecretBytes, Fingerprint)>, UnsealError> {
    let Some(text) = &sealed.spec.data else {
        return Ok(None);
    };
    if !options.accept_deprecated_data {
        return Err(UnsealError::DeprecatedRefused);
    }
    if !sealed.spec.encrypted_data.is_empty() {
        return Err(UnsealError::BothFormats);
    }
    let bytes = base64::decode(text.as_bytes()).map_err(UnsealError::DeprecatedBase64)?;
    let label = Scope::label_of(&sealed.metadata);
    let (blob, opened_by) = keys
        .unseal(&bytes, &label, options.remembered)
        .map_err(UnsealError::DeprecatedNoKey)?;
    Ok(Some((blob, opened_by.clone())))
}

fn skips_owner(template: &SecretTemplate) -> bool {
    template
        .metadata
        .annotations
        .as_ref()
        .and_then(|annotations| annotations.get(SKIP_OWNER_ANNOTATION))
        .is_some_and(|value| value == "true")
}

/// The reference from the Secret to its SealedSecret, exactly as upstream writes it.
fn owner(sealed: &SealedSecret) -> OwnerReference {
    OwnerReference {
        api_version: API_VERSION.to_owned(),
        kind: KIND.to_owned(),
        name: sealed.metadata.name.clone().unwrap_or_default(),
        uid: sealed.metadata.uid.clone().unwrap_or_default(),
        controller: Some(true),
        block_owner_deletion: None,
    }
}
