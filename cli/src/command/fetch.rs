//! `fetch`: values of a store to standard output.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sealwright_crypto::secret::{SecretBytes, SecretWriter};
use sealwright_providers::fetch::{Fetcher, Lane, StoreIdentity};
use sealwright_providers::json::object_of_texts;
use sealwright_providers::outcome::Answer;
use sealwright_providers::remote::{RemoteRef, SecretMap};

use super::Settings;
use super::store::{Address, Opened, StorePlace, not_there, online, told};
use crate::error::{Error, Kind, Result};
use crate::file::{self, Content};
use crate::world::World;

/// How values are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FetchForm {
    /// The bytes of one value, and nothing else.
    Text,
    /// A JSON object of names and texts.
    Json,
    /// Lines that a shell reads: `NAME='value'`.
    Env,
}

/// Reads values from a store.
pub(crate) struct Fetch {
    pub(crate) place: StorePlace,
    /// `[NAME=]KEY[#property][@version]`, or a store address.
    pub(crate) keys: Vec<String>,
    /// Whether the members of each value are wanted instead of the whole.
    pub(crate) extract: bool,
    pub(crate) form: FetchForm,
    /// The file that is written instead of standard output.
    pub(crate) out: Option<PathBuf>,
    pub(crate) settings: Settings,
}

/// What is wanted, and the name it is printed by.
struct Wanted {
    name: Option<String>,
    text: String,
}

impl Fetch {
    /// Reads all values before the first is printed.
    pub(crate) fn run(self, world: &World) -> Result<()> {
        if self.keys.len() != 1 && self.form == FetchForm::Text {
            return Err(Error::new(
                Kind::Usage,
                "several values have no form as text: ask for --output json or --output env",
            ));
        }
        let bytes = online(world, self.read(world))?;
        match &self.out {
            Some(path) => file::replace(&world.terminal, path, &bytes, Content::Plain, None),
            None => world.terminal.out(bytes.expose()),
        }
    }

    async fn read(&self, world: &World) -> Result<SecretBytes> {
        let fetcher = Fetcher::default();
        let mut manifest: Option<Arc<Lane>> = None;
        let mut values = SecretMap::new();
        let mut only = None;
        for text in &self.keys {
            let wanted = split_name(text);
            let (lane, at) = match Address::parse(&wanted.text) {
                Some(address) => {
                    let (opened, at) = address?.open(world, &self.settings).await?;
                    (lane(&fetcher, &wanted.text, opened).await?, at)
                }
                None => {
                    let lane = match &manifest {
                        Some(lane) => Arc::clone(lane),
                        None => {
                            let opened = self.place.open(world, &self.settings).await?;
                            let lane = lane(&fetcher, "manifest", opened).await?;
                            manifest.insert(lane).clone()
                        }
                    };
                    (lane, reference(&wanted.text))
                }
            };
            self.add(&lane, &at, wanted.name, &mut values, &mut only)
                .await?;
        }
        fetcher.close().await;
        match (self.form, only) {
            (FetchForm::Text, Some(value)) => Ok(value),
            (FetchForm::Text | FetchForm::Json, _) => {
                let mut object =
                    SecretWriter::from(object_of_texts(&values).map_err(|error| told(&error))?);
                object.push(b"\n");
                Ok(object.finish())
            }
            (FetchForm::Env, _) => shell_lines(&values),
        }
    }

    /// Reads what is wanted under its name.
    async fn add(
        &self,
        lane: &Arc<Lane>,
        at: &RemoteRef,
        name: Option<String>,
        values: &mut SecretMap,
        only: &mut Option<SecretBytes>,
    ) -> Result<()> {
        let keep = Duration::from_secs(60);
        let absent = |absent: sealwright_providers::outcome::Absent| absent.proof().to_string();
        if self.extract {
            let map = match lane.get_map(at, keep).await.map_err(|error| told(&error))? {
                Answer::Found(map) => map,
                Answer::Absent(proof) => {
                    return Err(not_there(lane.store(), at, &absent(proof)).await);
                }
            };
            for (member, value) in map {
                let whole = match &name {
                    Some(prefix) => format!("{prefix}{member}"),
                    None => member,
                };
                insert(values, whole, value)?;
            }
            return Ok(());
        }
        let outcome = lane.get(at, keep).await;
        let value = match outcome {
            Ok(Answer::Found(value)) => value,
            Ok(Answer::Absent(proof)) => {
                return Err(not_there(lane.store(), at, &absent(proof)).await);
            }
            Err(error) => return Err(told(&error)),
        };
        if self.form == FetchForm::Text {
            *only = Some(value);
            return Ok(());
        }
        insert(values, name.unwrap_or_else(|| default_name(at)), value)
    }
}

fn insert(values: &mut SecretMap, name: String, value: SecretBytes) -> Result<()> {
    if values.contains_key(&name) {
        return Err(
            Error::new(Kind::Usage, format!("two values have the name {name:?}"))
                .hint("give one of them another name: NAME=KEY"),
        );
    }
    values.insert(name, value);
    Ok(())
}

async fn lane(fetcher: &Fetcher, name: &str, opened: Opened) -> Result<Arc<Lane>> {
    let identity = StoreIdentity::new(name, 0, None);
    let store = opened.store;
    fetcher
        .lane(&identity, || async { Ok(store) })
        .await
        .map_err(|error| told(&error))
}

/// Splits `NAME=` off; a name is a letter or `_`, and then letters, digits, `_`, `-` and `.`.
fn split_name(text: &str) -> Wanted {
    if let Some((name, rest)) = text.split_once('=') {
        let mut characters = name.chars();
        let first = characters
            .next()
            .is_some_and(|first| first.is_ascii_alphabetic() || first == '_');
        let rest_fits = characters
            .all(|character| character.is_ascii_alphanumeric() || "_-.".contains(character));
        if first && rest_fits && !rest.is_empty() {
            return Wanted {
                name: Some(name.to_owned()),
                text: rest.to_owned(),
            };
        }
    }
    Wanted {
        name: None,
        text: text.to_owned(),
    }
}

/// Reads `KEY[#property][@version]`.
fn reference(text: &str) -> RemoteRef {
    let (text, version) = match text.rsplit_once('@') {
        Some((text, version)) if !version.contains('#') && !text.is_empty() => (text, version),
        _ => (text, ""),
    };
    let (key, property) = text.split_once('#').unwrap_or((text, ""));
    RemoteRef::new(key).property(property).version(version)
}

/// The name of a value that was given none: the last part of its property or key.
fn default_name(at: &RemoteRef) -> String {
    let text = at.property.as_deref().unwrap_or(&at.key);
    text.rsplit(['/', '.']).next().unwrap_or(text).to_owned()
}

/// Lines `NAME='value'`, as a shell reads them.
pub(super) fn shell_lines(values: &SecretMap) -> Result<SecretBytes> {
    let size = values
        .iter()
        .map(|(name, value)| name.len() + 2 * value.len() + 8);
    let mut out = SecretWriter::with_capacity(size.sum());
    let mut names: BTreeMap<String, &String> = BTreeMap::new();
    for (name, value) in values {
        let variable = variable_name(name);
        if let Some(other) = names.insert(variable.clone(), name) {
            return Err(Error::new(
                Kind::Usage,
                format!("{other:?} and {name:?} become the same variable {variable}"),
            )
            .hint("give one of them another name: NAME=KEY"));
        }
        if value.expose().contains(&0) {
            return Err(Error::new(
                Kind::Emit,
                format!("the value of {name:?} holds a NUL byte, which no variable can"),
            ));
        }
        out.push(variable.as_bytes());
        out.push(b"='");
        for (count, part) in value.expose().split(|byte| *byte == b'\'').enumerate() {
            if count > 0 {
                out.push(b"'\\''");
            }
            out.push(part);
        }
        out.push(b"'\n");
    }
    Ok(out.finish())
}

/// The name of a variable: capitals, digits and `_`.
fn variable_name(name: &str) -> String {
    let mut variable: String = name
        .chars()
        .map(|character| match character.to_ascii_uppercase() {
            letter @ ('A'..='Z' | '0'..='9' | '_') => letter,
            _ => '_',
        })
        .collect();
    if variable.is_empty() || variable.starts_with(|first: char| first.is_ascii_digit()) {
        variable.insert(0, '_');
    }
    variable
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_properties_versions_and_names() {
        let at = reference("app/db#user.name@3");
        assert_eq!(
            (
                at.key.as_str(),
                at.property.as_deref(),
                at.version.as_deref()
            ),
            ("app/db", Some("user.name"), Some("3"))
        );
        assert_eq!(reference("app/db"), RemoteRef::new("app/db"));
        let wanted = split_name("DB_USER=app/db#user");
        assert_eq!(
            (wanted.name.as_deref(), wanted.text.as_str()),
            (Some("DB_USER"), "app/db#user")
        );
        assert_eq!(split_name("a/b=c").name, None);
        assert_eq!(default_name(&reference("app/db#user.name")), "name");
    }

    #[test]
    fn lines_for_a_shell_are_quoted() {
        let values = SecretMap::from([
            ("app-db".to_owned(), SecretBytes::copy_of(b"it's $HOME\n")),
            ("1st".to_owned(), SecretBytes::copy_of(b"")),
        ]);
        let lines = shell_lines(&values).unwrap();
        let text = String::from_utf8(lines.expose().to_vec()).unwrap();
        assert_eq!(text, "_1ST=''\nAPP_DB='it'\\''s $HOME\n'\n");
        let twice = SecretMap::from([
            ("a-b".to_owned(), SecretBytes::default()),
            ("a.b".to_owned(), SecretBytes::default()),
        ]);
        assert!(shell_lines(&twice).is_err());
    }
}
