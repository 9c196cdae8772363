//! The one table of master-key kinds: what each is called everywhere, and how its keys are read and written.
//!
//! A [`KeyKind`] is a value with everything that any part of the suite has to know about a kind: its section and fields
//! in the `sops` block, its names in creation rules, its flags and variables, its numbers in key-service messages, and
//! its name for people. The list is [`ALL`]; flags, help, completions, rules, metadata and messages are derived from it.
//! Every build knows every kind, so a file keeps the entries of kinds that the build cannot use.
//!
//! Using the keys of a kind is a second step: an [`Opener`](crate::master_key::Opener) makes a
//! [`MasterKey`] of [`KeyFields`]. A program lists the openers that it has.
//!
//! # Adding a kind
//!
//! 1. `crypto/src/key_kind/<name>.rs`: one `pub static NAME: KeyKind`, and its `parse`. A kind with one field takes 40
//!    lines; see `gcp_kms.rs`.
//! 2. Here: `mod <name>;`, a line in the `pub use`, a line in [`ALL`].
//! 3. An [`Opener`](crate::master_key::Opener) and its [`MasterKey`], beside the vendor's other clients
//!    (`providers/src/<vendor>/…`), or in this crate when the kind needs no network. `is_far` returns true for what needs
//!    one: the program then runs its calls on the runtime that it keeps for networks.
//! 4. `cli/src/keys.rs`: a line in `openers`.
//!
//! For a kind that stands in [`ALL`] already, steps 3 and 4 are all there is to do:
//!
//! ```
//! use std::sync::Arc;
//! use sealwright_crypto::{
//!     data_key::KeyPart,
//!     key_kind::{GCP_KMS, KeyFields, KeyKind},
//!     master_key::{KeyError, MasterKey, Opener, Pending, Wrapped},
//! };
//!
//! struct GcpKms { /* one client for all keys: credentials and connections are kept */ }
//!
//! impl Opener for GcpKms {
//!     fn kind(&self) -> &'static KeyKind { &GCP_KMS }
//!     fn is_far(&self) -> bool { true }
//!     fn open(&self, key: &KeyFields) -> Arc<dyn MasterKey> {
//!         Arc::new(GcpKmsKey { fields: key.clone() })
//!     }
//! }
//!
//! struct GcpKmsKey { fields: KeyFields }
//!
//! impl MasterKey for GcpKmsKey {
//!     fn kind(&self) -> &'static KeyKind { &GCP_KMS }
//!     fn identity(&self) -> String { self.fields.identity() }
//!     fn is_far(&self) -> bool { true }
//!     fn wrap_key<'a>(&'a self, part: &'a KeyPart) -> Pending<'a, Result<Wrapped, KeyError>> {
//!         Box::pin(async move {
//!             let resource = self.fields.text("resource_id"); // settings are fields, too: `aws_profile`, `role`, `context`
//!             Err(KeyError::new(format!("cannot reach {resource}")))
//!         })
//!     }
//!     fn unwrap_key<'a>(&'a self, wrapped: &'a Wrapped) -> Pending<'a, Result<Option<KeyPart>, KeyError>> {
//!         Box::pin(async move { Ok(None) })
//!     }
//! }
//! # let key = GcpKms {}.open(&GCP_KMS.parse("projects/p/locations/l/keyRings/r/cryptoKeys/k").unwrap());
//! # assert_eq!(key.identity(), "projects/p/locations/l/keyRings/r/cryptoKeys/k");
//! ```
//!
//! [`MasterKey`]: crate::master_key::MasterKey

mod age;
mod aws_kms;
mod azure_key_vault;
mod fields;
mod gcp_kms;
mod huawei_kms;
mod pgp;
mod vault_transit;

use std::fmt;
use std::hash::{Hash, Hasher};

pub use self::{
    age::AGE,
    aws_kms::AWS_KMS,
    azure_key_vault::AZURE_KEY_VAULT,
    fields::{KeyFields, KeyTextError},
    gcp_kms::GCP_KMS,
    huawei_kms::HUAWEI_KMS,
    pgp::PGP,
    vault_transit::VAULT_TRANSIT,
};

/// Every kind, in the order in which a loaded key group lists them.
pub const ALL: [&KeyKind; 7] = [
    &AWS_KMS,
    &GCP_KMS,
    &HUAWEI_KMS,
    &AZURE_KEY_VAULT,
    &VAULT_TRANSIT,
    &PGP,
    &AGE,
];

/// A kind of master key.
pub struct KeyKind {
    /// The name of its list in the `sops` block, which is also its identifier in a decryption order.
    pub section: &'static str,
    /// Its name for people, such as `AWS KMS`.
    pub title: &'static str,
    /// How a key is announced before its address when a person is asked for consent, such as `AWS KMS key with ARN`.
    pub announced: &'static str,
    /// The fields of an entry beside `enc` and `created_at`.
    pub fields: &'static [Field],
    /// Whether entries have a `created_at`.
    pub dated: bool,
    /// Whether its list stands in every key group of a file with several, even when it is empty (T17).
    pub always_listed: bool,
    /// Whether an empty text among others is no key instead of a wrong one, as upstream has it for this kind.
    pub skips_empty: bool,
    /// Its names in creation rules.
    pub rule: RuleNames,
    /// Its flags and its variable.
    pub flags: FlagNames,
    /// The number of its message in the `Key` of a key service's request.
    pub message: u32,
    /// Reads one key as flags and rules name it.
    pub parse: fn(&str) -> Result<KeyFields, String>,
    /// Checks an entry of a file; names the field that is wrong.
    pub check_entry: fn(&KeyFields) -> Result<(), (&'static str, &'static str)>,
    /// Checks a key that a flag or a rule names, where that shows without using it. Entries of files are not held to it:
    /// a file stays readable with a key that cannot wrap.
    pub check_named: fn(&KeyFields) -> Result<(), String>,
    /// The key alone, without the settings by which it is reached.
    pub address: fn(&KeyFields) -> String,
    /// What tells two keys of this kind apart, settings included.
    pub identity: fn(&KeyFields) -> String,
    /// What lets a person open what the key with this identity wrapped.
    pub advice: fn(&str) -> String,
}

/// A field of a kind's entries.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Its name in the `sops` block.
    pub name: &'static str,
    /// Its name in an entry of a rule's key group.
    pub in_rule: &'static str,
    /// Its number in the message of a key service.
    pub number: u32,
    /// What it holds.
    pub shape: Shape,
    /// Whether it is left out of the block while it is empty.
    pub may_be_absent: bool,
    /// Whether a text may leave it open, to be filled in before the key is stored
    /// ([`Opener::complete`](crate::master_key::Opener::complete)).
    pub may_be_open: bool,
    /// How it is given to all keys at once, when it says how a key is reached and not which one it is.
    pub setting: Option<Setting>,
}

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A text.
    Text,
    /// Texts by name.
    Map,
}

/// How a field is given beside the keys, for all keys of its kind.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// The flag.
    pub flag: &'static str,
    /// What the flag is for, for its help.
    pub help: &'static str,
    /// The name in a creation rule with flat keys.
    pub in_rule: Option<&'static str>,
    /// Whether the field is bound to what the key wraps, as a context is and a profile is not. Its flag is then also for
    /// keys of rules that say nothing of it, and for keys that are added or removed.
    pub is_bound: bool,
}

/// The names of a kind in creation rules.
#[derive(Clone, Copy, Debug)]
pub struct RuleNames {
    /// The field for keys that stand flat in the rule.
    pub flat: &'static str,
    /// How these are written.
    pub flat_form: FlatForm,
    /// The field in a key group.
    pub group: &'static str,
    /// How these are written.
    pub group_form: GroupForm,
    /// The kind's place among the others in a rule's group.
    pub place: usize,
}

/// How the flat keys of a rule are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlatForm {
    /// A text separated by commas, or a list of such texts.
    Texts,
    /// A list of texts, each separated by commas.
    List,
}

/// How the keys of a rule's key group are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupForm {
    /// A list of texts, one key each.
    List,
    /// A list of texts separated by commas.
    Lists,
    /// A list of maps with the kind's fields.
    Maps,
}

/// The flags and the variable of a kind.
#[derive(Clone, Copy, Debug)]
pub struct FlagNames {
    /// The flag without dashes, then its short form, if it has one.
    pub names: &'static [&'static str],
    /// The variable that stands in for the flag.
    pub variable: &'static str,
    /// What one value is, such as `an AWS KMS key ARN`.
    pub one: &'static str,
    /// What several values are, such as `AWS KMS key ARNs`.
    pub many: &'static str,
    /// What else there is to say about a value, to be put after [`FlagNames::many`].
    pub note: &'static str,
    /// What stands for a value in a usage line, such as `ARN`.
    pub value: &'static str,
    /// The kind's place among the others in a group that flags make.
    pub place: usize,
}

impl Field {
    const fn text(name: &'static str, number: u32) -> Self {
        Self {
            name,
            in_rule: name,
            number,
            shape: Shape::Text,
            may_be_absent: false,
            may_be_open: false,
            setting: None,
        }
    }
}

impl KeyKind {
    /// Finds a kind by the name of its list in the `sops` block.
    pub fn of_section(section: &str) -> Option<&'static KeyKind> {
        ALL.into_iter().find(|kind| kind.section == section)
    }

    /// Finds a kind by the number of its message in a key service's request.
    pub fn of_message(number: u32) -> Option<&'static KeyKind> {
        ALL.into_iter().find(|kind| kind.message == number)
    }

    /// Reads one key as flags and rules name it; blanks around it do not count.
    pub fn parse(&'static self, text: &str) -> Result<KeyFields, KeyTextError> {
        let trimmed = text.trim();
        let read = match trimmed {
            "" => Err(format!("{text:?} names no key")),
            text => (self.parse)(text),
        };
        read.map_err(|reason| KeyTextError {
            kind: self.title,
            reason,
        })
    }

    /// Whether a text among others stands for no key.
    pub fn skips(&self, text: &str) -> bool {
        self.skips_empty && text.trim().is_empty()
    }

    /// The field with a name.
    pub fn field(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// All kinds in the order in which a creation rule puts their keys into a group.
    pub fn in_rule_order() -> [&'static KeyKind; ALL.len()] {
        let mut kinds = ALL;
        kinds.sort_by_key(|kind| kind.rule.place);
        kinds
    }

    /// All kinds in the order in which flags put their keys into a group (S85).
    pub fn in_flag_order() -> [&'static KeyKind; ALL.len()] {
        let mut kinds = ALL;
        kinds.sort_by_key(|kind| kind.flags.place);
        kinds
    }

    /// The settings of all kinds: fields that are given for all keys at once.
    pub fn settings() -> impl Iterator<Item = (&'static KeyKind, &'static Field, Setting)> {
        ALL.into_iter().flat_map(|kind| {
            let settings = kind.fields.iter();
            settings.filter_map(move |field| Some((kind, field, field.setting?)))
        })
    }
}

/// Most keys are their first field.
fn first_field(key: &KeyFields) -> String {
    key.text(key.kind().fields[0].name).to_owned()
}

/// Most fields may hold anything until the key is used.
fn anything<E>(_: &KeyFields) -> Result<(), E> {
    Ok(())
}

impl fmt::Debug for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.section)
    }
}

impl PartialEq for KeyKind {
    fn eq(&self, other: &Self) -> bool {
        self.section == other.section
    }
}

impl Eq for KeyKind {}

impl Hash for KeyKind {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.section.hash(state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all_different<T: Ord + fmt::Debug>(names: impl IntoIterator<Item = T>) {
        let mut names: Vec<T> = names.into_iter().collect();
        names.sort();
        assert!(names.windows(2).all(|two| two[0] != two[1]), "{names:?}");
    }

    #[test]
    fn no_two_kinds_share_a_name_or_a_number() {
        all_different(ALL.map(|kind| kind.section));
        all_different(ALL.map(|kind| kind.title));
        all_different(ALL.map(|kind| kind.rule.flat));
        all_different(ALL.map(|kind| kind.rule.group));
        all_different(ALL.map(|kind| kind.flags.variable));
        all_different(ALL.map(|kind| kind.message));
        all_different(ALL.into_iter().flat_map(|kind| kind.flags.names));
        all_different(ALL.into_iter().flat_map(|kind| {
            let numbers = kind.fields.iter().map(|field| field.number);
            numbers.map(|number| (kind.section, number))
        }));
        let places = |kinds: [&KeyKind; 7], place: fn(&KeyKind) -> usize| kinds.map(place);
        assert_eq!(
            places(KeyKind::in_rule_order(), |kind| kind.rule.place),
            [0, 1, 2, 3, 4, 5, 6]
        );
        assert_eq!(
            places(KeyKind::in_flag_order(), |kind| kind.flags.place),
            [0, 1, 2, 3, 4, 5, 6]
        );
    }

    #[test]
    fn the_orders_are_those_of_upstream() {
        let sections = |kinds: [&KeyKind; 7]| kinds.map(|kind| kind.section);
        assert_eq!(
            sections(KeyKind::in_rule_order()),
            [
                "age", "pgp", "kms", "gcp_kms", "hckms", "azure_kv", "hc_vault"
            ]
        );
        assert_eq!(
            sections(KeyKind::in_flag_order()),
            [
                "kms", "gcp_kms", "hckms", "azure_kv", "pgp", "hc_vault", "age"
            ]
        );
    }

    fn identity(kind: &'static KeyKind, text: &str) -> Option<String> {
        kind.parse(text).ok().map(|key| key.identity())
    }

    #[test]
    fn keys_are_read_as_upstream_reads_them() {
        let cases = [
            (&AGE, " age1x ", Some("age1x")),
            (&PGP, "AB CD", Some("ABCD")),
            (&PGP, "", None),
            (
                &AWS_KMS,
                "arn:aws:kms:r:1:key/k + arn:aws:iam::1:role/x",
                Some("arn:aws:kms:r:1:key/k+arn:aws:iam::1:role/x"),
            ),
            (&GCP_KMS, "projects/p/l", Some("projects/p/l")),
            (&HUAWEI_KMS, "eu : id", Some("eu:id")),
            (&HUAWEI_KMS, "eu:", None),
            (
                &AZURE_KEY_VAULT,
                "https://v.example/keys/k/1",
                Some("https://v.example/keys/k/1"),
            ),
            (
                &AZURE_KEY_VAULT,
                "https://v.example/keys/k",
                Some("https://v.example/keys/k/"),
            ),
            (&AZURE_KEY_VAULT, "http://v.example/keys/k", None),
            (
                &VAULT_TRANSIT,
                "https://v:8200/v1/a/b/transit/keys/dev",
                Some("https://v:8200/v1/a/b/transit/keys/dev"),
            ),
            (
                &VAULT_TRANSIT,
                "http://v/v1/transit/keys/dev",
                Some("http://v/v1/transit/keys/dev"),
            ),
            (
                &VAULT_TRANSIT,
                "http://v/v1/team/app/v2/keys/dev",
                Some("http://v/v1/team/app/v2/keys/dev"),
            ),
            (
                &VAULT_TRANSIT,
                "http://v/v1/a/b/c/keys/v1",
                Some("http://v/v1/a/b/c/keys/v1"),
            ),
            (&VAULT_TRANSIT, "http://v/v1/v2/b/keys/dev", None),
            (&VAULT_TRANSIT, "http://v/v1/a/v2/b/keys/dev", None),
            (&VAULT_TRANSIT, "http://v/x/v1/transit/keys/dev", None),
            (&VAULT_TRANSIT, "v/v1/transit/keys/dev", None),
        ];
        for (kind, text, expected) in cases {
            assert_eq!(identity(kind, text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn settings_are_part_of_the_identity_of_a_kms_key() {
        let mut key = AWS_KMS.parse("arn:aws:kms:r:1:key/k").unwrap();
        key.set_map("context", [("b", "2"), ("a", "1")]);
        assert_eq!(key.identity(), "arn:aws:kms:r:1:key/k|a:1,b:2");
        key.set_text("aws_profile", "p");
        key.set_text("role", "r");
        assert_eq!(key.identity(), "arn:aws:kms:r:1:key/k+r|a:1,b:2|p");
        assert_eq!(key.address(), "arn:aws:kms:r:1:key/k");
    }

    #[cfg(feature = "age")]
    #[test]
    fn a_text_that_is_no_recipient_names_no_age_key() {
        let error = AGE.parse("age1x").unwrap().check_named().unwrap_err();
        assert!(error.to_string().contains("\"age1x\""), "{error}");
        assert!(AGE.parse(" ").is_err());
    }
}
