//! References to what lies in a store: one key, many keys, and a key to be written.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, LazyLock};

use regex::{Captures, Regex};
use sealwright_crypto::secret::SecretBytes;

use crate::outcome::StoreError;

/// Names and values; the values are wiped.
pub type SecretMap = BTreeMap<String, SecretBytes>;

/// A reference to one key (upstream's `remoteRef`, without what is done to the value afterwards).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RemoteRef {
    /// The key, as the store spells keys.
    pub key: String,
    /// What to pick out of the value; an empty one counts as none.
    pub property: Option<String>,
    /// The version, as the store spells versions; an empty one counts as none.
    pub version: Option<String>,
    /// The namespace of the object that refers to it; webhooks see it.
    pub namespace: Option<String>,
    /// Whether the value or what is known about it is wanted.
    pub metadata: MetadataPolicy,
}

impl RemoteRef {
    /// Refers to the whole of a key.
    pub fn new(key: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            ..Self::default()
        }
    }

    /// Refers to a property of it; an empty text means the whole.
    #[must_use]
    pub fn property(mut self, property: impl Into<String>) -> Self {
        self.property = Some(property.into()).filter(|text| !text.is_empty());
        self
    }

    /// Refers to a version of it; an empty text means the newest.
    #[must_use]
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.version = Some(version.into()).filter(|text| !text.is_empty());
        self
    }

    /// Asks for what is known about the key instead of its value.
    #[must_use]
    pub fn metadata(mut self) -> Self {
        self.metadata = MetadataPolicy::Fetch;
        self
    }

    /// The property, unless it is empty.
    pub fn wanted_property(&self) -> Option<&str> {
        self.property.as_deref().filter(|text| !text.is_empty())
    }

    /// The version, unless it is empty.
    pub fn wanted_version(&self) -> Option<&str> {
        self.version.as_deref().filter(|text| !text.is_empty())
    }
}

/// Whether a reference means the value, or the tags and times kept beside it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum MetadataPolicy {
    /// The value.
    #[default]
    None,
    /// What is known about it.
    Fetch,
}

/// What to look for in a store (upstream's `find`).
#[derive(Clone, Debug, Default)]
pub struct Find {
    /// Where to look; what that means is the store's affair.
    pub path: Option<String>,
    /// What names must match.
    pub name: Option<NamePattern>,
    /// Tags that must be there with these values; `None` differs from none at all for some stores.
    pub tags: Option<BTreeMap<String, String>>,
    /// How names are converted by stores that convert them themselves (Kubernetes, Fake).
    pub conversion: KeyConversion,
}

/// A regular expression that names are searched for (RE2, not anchored).
#[derive(Clone, Debug)]
pub struct NamePattern {
    regex: Regex,
    /// How many bytes of names may still be searched.
    left: Arc<AtomicUsize>,
}

/// A longer name matches nothing: no store has one, and a search cannot be interrupted.
const LONGEST_NAME: usize = 4096;
/// Patterns that become no more than this, and as many bytes of names that may be searched for such a one.
const LIGHT: (usize, usize) = (16 << 10, 8 << 20);
/// The same for all others.
const HEAVY: (usize, usize) = (128 << 10, 256 << 10);

impl NamePattern {
    /// Reads a regular expression; what it may cost is bounded.
    ///
    /// # Errors
    ///
    /// Says that it is none, without repeating the library's text.
    pub fn new(pattern: &str) -> Result<Self, StoreError> {
        let translated = sealwright_re2::translate(pattern).ok();
        let built = translated.and_then(|text| {
            let build = |(size, names): (usize, usize)| {
                let built = regex::RegexBuilder::new(&text).size_limit(size).build();
                built.ok().map(|regex| (regex, names))
            };
            build(LIGHT).or_else(|| build(HEAVY))
        });
        let (regex, names) = built.ok_or_else(|| {
            let text = "`find.name.regexp` is no regular expression of Go (RE2), or too large";
            StoreError::invalid(text).public()
        })?;
        Ok(Self {
            regex,
            left: Arc::new(AtomicUsize::new(names)),
        })
    }

    /// Returns true if the pattern occurs in `name`.
    pub fn matches(&self, name: &str) -> bool {
        if name.len() > LONGEST_NAME {
            return false;
        }
        let take = |left: usize| left.checked_sub(name.len());
        match self.left.fetch_update(Relaxed, Relaxed, take) {
            Ok(_) => self.regex.is_match(name),
            Err(_) => {
                self.left.store(0, Relaxed);
                false
            }
        }
    }

    /// Returns true if there were more names than may be searched for the pattern, so that some may be missing.
    pub(crate) fn is_exhausted(&self) -> bool {
        self.left.load(Relaxed) == 0
    }
}

impl PartialEq for NamePattern {
    fn eq(&self, other: &Self) -> bool {
        self.regex.as_str() == other.regex.as_str()
    }
}

impl Eq for NamePattern {}

/// How a remote name becomes a key of a Secret (upstream's `conversionStrategy`). Letters and numbers of all scripts stay,
/// and so do `-`, `.` and `_`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum KeyConversion {
    /// Everything else becomes `_`.
    #[default]
    Default,
    /// Everything else becomes `_U` with its code point in hexadecimal and `_`.
    Unicode,
}

/// One character that a converted key never has.
static FORBIDDEN: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"[^-._\p{L}\p{N}]").expect("a valid expression"));

/// Returns true if a key has a character that conversion would replace.
pub fn needs_conversion(key: &str) -> bool {
    FORBIDDEN.is_match(key)
}

impl KeyConversion {
    /// Converts a name.
    pub fn convert(self, name: &str) -> String {
        let converted = FORBIDDEN.replace_all(name, |found: &Captures<'_>| match self {
            Self::Default => "_".to_owned(),
            Self::Unicode => {
                let rune = found[0].chars().next().unwrap_or_default();
                format!("_U{:04x}_", u32::from(rune))
            }
        });
        converted.into_owned()
    }
}

/// Adds what was found under a name; two that were converted to the same key are an error.
///
/// # Errors
///
/// Says that there is one of that name already.
pub(crate) fn add_found(
    found: &mut SecretMap,
    name: String,
    value: SecretBytes,
) -> Result<(), StoreError> {
    match found.insert(name, value) {
        None => Ok(()),
        Some(_) => Err(StoreError::invalid("two remote names become the same key").public()),
    }
}

/// What a push takes values from: a Secret, or the command line.
#[derive(Debug, Default)]
pub struct PushSource {
    /// The values.
    pub data: SecretMap,
    /// The type of the Secret; none is that of no Secret.
    pub secret_type: Option<String>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
    /// The namespace that is pushed from: what the metadata of a push refers to lies there. Without one it is that of the
    /// store's consumer.
    pub namespace: Option<String>,
}

impl PushSource {
    /// Returns the value that `item` pushes: that of its secret key, or all as one JSON object of strings.
    ///
    /// # Errors
    ///
    /// Says which key is missing, or which value is no text.
    pub fn value(&self, item: &PushItem) -> Result<SecretBytes, StoreError> {
        match item.secret_key.as_deref().filter(|key| !key.is_empty()) {
            Some(key) => match self.data.get(key) {
                Some(value) => Ok(SecretBytes::copy_of(value.expose())),
                None => Err(StoreError::invalid(format!(
                    "the source has no key {:?}",
                    crate::outcome::shown(key)
                ))
                .public()),
            },
            None => crate::json::object_of_texts(&self.data),
        }
    }
}

/// Where a push goes (upstream's `data[]` of a PushSecret).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PushItem {
    /// The key of the source that is pushed; none means all of them.
    pub secret_key: Option<String>,
    /// The key in the store.
    pub remote_key: String,
    /// The property of it that is set; none means the whole value.
    pub property: Option<String>,
    /// Upstream's envelope `PushSecretMetadata`.
    pub metadata: Option<serde_json::Value>,
}

impl PushItem {
    /// The property, unless it is empty.
    pub fn wanted_property(&self) -> Option<&str> {
        self.property.as_deref().filter(|text| !text.is_empty())
    }

    /// Reads the `spec` of the envelope; unknown fields are refused, as upstream does.
    ///
    /// # Errors
    ///
    /// Says what is wrong with the envelope.
    pub fn metadata_spec<T: serde::de::DeserializeOwned + Default>(&self) -> Result<T, StoreError> {
        #[derive(serde::Deserialize)]
        #[serde(deny_unknown_fields, rename_all = "camelCase")]
        struct Envelope<T> {
            api_version: String,
            kind: String,
            #[serde(default)]
            spec: Option<T>,
        }
        let Some(metadata) = self.metadata.as_ref().filter(|value| !value.is_null()) else {
            return Ok(T::default());
        };
        let envelope: Envelope<T> = serde::Deserialize::deserialize(metadata).map_err(|error| {
            StoreError::invalid(format!(
                "the metadata of the push is no PushSecretMetadata: {}",
                crate::outcome::shown(&error.to_string())
            ))
        })?;
        if envelope.api_version != "kubernetes.external-secrets.io/v1alpha1"
            || envelope.kind != "PushSecretMetadata"
        {
            return Err(StoreError::invalid(
                "the metadata of the push must be a PushSecretMetadata of kubernetes.external-secrets.io/v1alpha1",
            )
            .public());
        }
        Ok(envelope.spec.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_keys_as_upstream_converts_them() {
        assert_eq!(KeyConversion::Default.convert("/a b/ж.x☂"), "_a_b_ж.x_");
        assert_eq!(KeyConversion::Unicode.convert("/aж😀"), "_U002f_aж_U1f600_");
        // The classes are Unicode's letters and numbers, roman numerals and fractions included.
        assert_eq!(KeyConversion::Default.convert("Ⅷ½٣"), "Ⅷ½٣");
        assert_eq!(KeyConversion::Default.convert("e\u{301}"), "e_");
        let mut found = SecretMap::new();
        let mut add =
            |name: &str| add_found(&mut found, name.to_owned(), SecretBytes::copy_of(b"1"));
        assert!(add("a_b").is_ok());
        assert!(add("a_b").is_err());
    }

    #[test]
    fn patterns_are_not_anchored() {
        let pattern = NamePattern::new("prod").unwrap();
        assert!(pattern.matches("nonprod"));
        assert!(NamePattern::new("(?=x)").is_err());
        // What a search may cost has a bound.
        let states = format!("{}[cd]", "[ab]{1000}".repeat(20));
        assert!(NamePattern::new(&states).is_err());
        let heavy = NamePattern::new(&format!("^{}", "[a-f]{3,90}x".repeat(8))).unwrap();
        assert!(
            !NamePattern::new("a")
                .unwrap()
                .matches(&"a".repeat(LONGEST_NAME + 1))
        );
        let name = "b".repeat(LONGEST_NAME);
        assert!(
            NamePattern::new(r"^[\p{L}\p{N}_/-]+$")
                .unwrap()
                .matches("größe/1")
        );
        let searched = (0..1000).take_while(|_| {
            heavy.matches(&name);
            !heavy.is_exhausted()
        });
        assert!((10..200).contains(&searched.count()));
        assert!(!pattern.is_exhausted() && pattern.matches("prod"));
        // Classes are those of Go.
        assert!(!NamePattern::new(r"^\d$").unwrap().matches("٣"));
    }

    #[test]
    fn the_envelope_of_push_metadata_is_strict() {
        #[derive(Debug, Default, serde::Deserialize, PartialEq)]
        #[serde(deny_unknown_fields)]
        struct Spec {
            #[serde(default)]
            description: String,
        }
        let item = |metadata| PushItem {
            metadata: Some(metadata),
            ..PushItem::default()
        };
        let good = serde_json::json!({"apiVersion": "kubernetes.external-secrets.io/v1alpha1",
            "kind": "PushSecretMetadata", "spec": {"description": "d"}});
        assert_eq!(
            item(good.clone())
                .metadata_spec::<Spec>()
                .unwrap()
                .description,
            "d"
        );
        let mut typo = good.clone();
        typo["spec"] = serde_json::json!({"descripton": "d"});
        assert!(item(typo).metadata_spec::<Spec>().is_err());
        let mut other = good;
        other["kind"] = "Other".into();
        assert!(item(other).metadata_spec::<Spec>().is_err());
        assert_eq!(
            PushItem::default().metadata_spec::<Spec>().unwrap(),
            Spec::default()
        );
    }
}
