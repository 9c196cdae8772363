//! Master keys from the texts of flags and variables.

use std::collections::BTreeMap;

use sealwright_crypto::key_kind::{Field, KeyFields, KeyKind, Setting, Shape};

use crate::error::{Error, Kind, Result};
use crate::terminal::Terminal;

/// The texts of master keys and of their settings as flags have them, lists split by commas.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct KeyTexts {
    keys: Vec<(&'static KeyKind, String)>,
    /// By the name of the flag.
    settings: BTreeMap<&'static str, String>,
}

impl KeyTexts {
    /// Collects what was given: `keys` is asked for each kind, `setting` for each flag of a setting.
    pub(crate) fn collect(
        keys: impl Fn(&'static KeyKind) -> Option<String>,
        setting: impl Fn(&'static str) -> Option<String>,
    ) -> Self {
        let kinds = KeyKind::in_flag_order().into_iter();
        let flags = KeyKind::settings().map(|(_, _, setting)| setting.flag);
        Self {
            keys: kinds.filter_map(|kind| Some((kind, keys(kind)?))).collect(),
            settings: flags
                .filter_map(|flag| Some((flag, setting(flag)?)))
                .collect(),
        }
    }

    /// Returns true if no key was given. Settings alone make no key.
    pub(crate) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Reads the settings.
    pub(crate) fn settings(&self, terminal: &Terminal) -> Result<KeySettings> {
        let mut settings = Vec::new();
        for (kind, field, setting) in KeyKind::settings() {
            if let Some(text) = self.settings.get(setting.flag) {
                let value = match field.shape {
                    Shape::Text => Value::Text(text.clone()),
                    Shape::Map => Value::Map(parse_pairs(terminal, text)?),
                };
                settings.push((kind, field, setting, value));
            }
        }
        Ok(KeySettings(settings))
    }

    /// Reads all keys, in the order in which flags put them into a group (S85).
    pub(crate) fn parse(&self, settings: &KeySettings) -> Result<Vec<KeyFields>> {
        let mut keys = Vec::new();
        for (kind, texts) in &self.keys {
            for text in texts.split(',').filter(|text| !kind.skips(text)) {
                let mut key = kind
                    .parse(text)
                    .map_err(|error| Error::generic(error.to_string()))?;
                settings.complete(&mut key);
                key.check_named()
                    .map_err(|error| Error::generic(error.to_string()))?;
                keys.push(key);
            }
        }
        Ok(keys)
    }
}

/// Settings that flags give for all keys of their kind.
#[derive(Debug, Default)]
pub(crate) struct KeySettings(Vec<(&'static KeyKind, &'static Field, Setting, Value)>);

#[derive(Debug)]
enum Value {
    Text(String),
    Map(BTreeMap<String, String>),
}

impl KeySettings {
    /// Gives a key of a flag its settings.
    fn complete(&self, key: &mut KeyFields) {
        self.apply(key, |_| true);
    }

    /// Gives a key of a rule the settings that it may take from flags: what is bound to the wrapped key, where the rule
    /// says nothing of it (D16).
    pub(crate) fn complete_key_of_rule(&self, key: &mut KeyFields) {
        self.apply(key, |setting| setting.is_bound);
    }

    fn apply(&self, key: &mut KeyFields, applies: impl Fn(&Setting) -> bool) {
        for (kind, field, setting, value) in &self.0 {
            if key.kind() == *kind && key.is_empty(field.name) && applies(setting) {
                match value {
                    Value::Text(text) => key.set_text(field.name, text),
                    Value::Map(pairs) => key.set_map(field.name, pairs.clone()),
                }
            }
        }
    }
}

/// Reads `key:value,key:value`.
fn parse_pairs(terminal: &Terminal, text: &str) -> Result<BTreeMap<String, String>> {
    let mut pairs = BTreeMap::new();
    for pair in text.split(',') {
        let mut parts = pair.split(':');
        match (parts.next(), parts.next(), parts.next()) {
            (Some(key), Some(value), None) => {
                pairs.insert(key.to_owned(), value.to_owned());
            }
            _ => {
                terminal.warn(&format!("invalid KMS encryption context pair {pair:?}"));
                return Err(Error::new(
                    Kind::KeyContext,
                    "Invalid KMS encryption context format: pairs are key:value, separated by commas",
                ));
            }
        }
    }
    Ok(pairs)
}

#[cfg(test)]
mod tests {
    use sealwright_crypto::key_kind::{AWS_KMS, PGP};

    use super::*;
    use crate::terminal::Voice;

    fn texts(kms: &str, context: &str) -> KeyTexts {
        KeyTexts::collect(
            |kind| match kind.section {
                "kms" => Some(kms.to_owned()),
                "pgp" => Some("AB,CD".to_owned()),
                _ => None,
            },
            |flag| match flag {
                "encryption-context" => Some(context.to_owned()),
                "aws-profile" => Some("me".to_owned()),
                _ => None,
            },
        )
    }

    #[test]
    fn keys_take_the_settings_of_their_kind() {
        let texts = texts("arn:a+arn:r,arn:b", "x:1,y:2");
        let keys = texts
            .parse(&texts.settings(&Terminal::new(Voice::Own)).unwrap())
            .unwrap();
        let identities: Vec<String> = keys.iter().map(KeyFields::identity).collect();
        assert_eq!(
            identities,
            ["arn:a+arn:r|x:1,y:2|me", "arn:b|x:1,y:2|me", "AB", "CD"]
        );
    }

    #[test]
    fn an_empty_text_is_no_key_where_upstream_passes_over_it() {
        let read = |section: &str, text: &str| {
            let texts = KeyTexts::collect(
                |kind| (kind.section == section).then(|| text.to_owned()),
                |_| None,
            );
            let keys = texts.parse(&KeySettings::default()).ok()?;
            Some(keys.iter().map(KeyFields::identity).collect::<Vec<_>>())
        };
        let uri = "https://v/v1/transit/keys/k";
        for (section, text, keys) in [
            ("hc_vault", format!("{uri},"), Some(vec![uri])),
            ("hc_vault", ",".to_owned(), Some(vec![])),
            ("hckms", ",r:1, ,r:2".to_owned(), Some(vec!["r:1", "r:2"])),
            ("pgp", "AB,".to_owned(), None),
            ("kms", "arn:a,,arn:b".to_owned(), None),
        ] {
            let read = read(section, &text);
            let read = read
                .as_ref()
                .map(|keys| keys.iter().map(String::as_str).collect::<Vec<_>>());
            assert_eq!(read, keys, "{section} {text}");
        }
    }

    #[test]
    fn d16_a_key_of_a_rule_takes_the_context_when_it_has_none_and_never_the_profile() {
        let settings = texts("arn:a", "x:1")
            .settings(&Terminal::new(Voice::Own))
            .unwrap();
        let mut without = AWS_KMS.parse("arn:a").unwrap();
        let mut with = without.clone();
        with.set_map("context", [("own", "one")]);
        let mut other = PGP.parse("AB").unwrap();
        for key in [&mut without, &mut with, &mut other] {
            settings.complete_key_of_rule(key);
        }
        assert_eq!(without.identity(), "arn:a|x:1");
        assert_eq!(with.identity(), "arn:a|own:one");
        assert_eq!(other.identity(), "AB");
    }

    #[test]
    fn a_context_that_is_no_list_of_pairs_has_an_exit_code_of_its_own() {
        for wrong in ["x", "x:1:2", "x:1,", ""] {
            let error = texts("arn:a", wrong)
                .settings(&Terminal::new(Voice::Own))
                .unwrap_err();
            assert_eq!(error.kind, Kind::KeyContext, "{wrong}");
        }
    }
}
