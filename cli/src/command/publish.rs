//! `publish`: files to the places that destination rules name.

use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use sealwright_crypto::secret::SecretBytes;
use sealwright_crypto::surroundings::{Surroundings, SystemSurroundings};
use sealwright_documents::data::Data;
use sealwright_documents::envelope::Encrypted;
use sealwright_documents::format::{Layout, by_name};
use sealwright_documents::rules::{Destination, DestinationRule};
#[cfg(feature = "aws")]
use sealwright_providers::aws::bucket as s3;
#[cfg(feature = "gcp")]
use sealwright_providers::gcp::bucket as gcs;
#[cfg(any(feature = "aws", feature = "gcp"))]
use sealwright_providers::outcome::StoreError;
use sealwright_providers::store::{Pushed, WriteMode};
use sealwright_providers::vault::publication::{KvPlace, publish};
use serde_json::json;

use super::new_keys::Recipe;
use super::store::{online, told};
use super::{Input, Settings, absolute, document, encrypt, update_keys};
use crate::config::Rule;
use crate::error::{Error, Result};
use crate::key_texts::KeySettings;
use crate::terminal::{Level, Voice};
use crate::visible::visible_path;
use crate::world::World;

/// Publishes a file, or all files of a folder.
#[derive(Debug)]
pub(crate) struct Publish {
    /// The path as it was typed, which is what rules match (S135).
    pub(crate) typed: PathBuf,
    pub(crate) recursive: bool,
    /// Whether nothing is asked.
    pub(crate) yes: bool,
    pub(crate) dry_run: bool,
    pub(crate) omit_extensions: bool,
    pub(crate) json: bool,
    pub(crate) settings: Settings,
}

impl Publish {
    /// Publishes one file after another, up to the first error.
    pub(crate) fn run(&self, world: &World) -> Result<()> {
        let typed = &self.typed;
        let metadata = std::fs::metadata(typed).map_err(|error| {
            Error::generic(format!("cannot publish {}", visible_path(typed))).because(error)
        })?;
        if !metadata.is_dir() {
            return self.publish(world, typed, None);
        }
        if !self.recursive {
            return Err(Error::generic(format!(
                "{} is a folder: --recursive publishes all files in it",
                visible_path(typed)
            )));
        }
        let mut files = Vec::new();
        walk(&cleaned(typed), &mut files)?;
        for file in &files {
            let below = file.strip_prefix(cleaned(typed)).unwrap_or(file);
            self.publish(world, file, Some(below))?;
        }
        Ok(())
    }

    /// Publishes one file under its own name, or under its path below a folder.
    fn publish(&self, world: &World, file: &Path, below: Option<&Path>) -> Result<()> {
        let config = world.configuration(&self.settings)?;
        let rule = config
            .as_deref()
            .and_then(|config| config.rules().destination_rule(&file.to_string_lossy()));
        let rule = rule.ok_or_else(|| {
            Error::generic("error loading config: no matching destination found in config").hint(
                format!(
                    "no path_regex of the destination_rules is found in {:?}",
                    visible_path(file)
                ),
            )
        })?;
        let destination = rule.destination.clone().map_err(|error| {
            Error::generic("no destination configured for this file").because(error)
        })?;
        let name = self.name_of(file, below, rule.omit_extensions)?;
        let target = Target::of(&destination, &name);
        let path = absolute(file)?;
        let content = self.content(world, &path, rule)?;
        let question = format!("uploading {} to {} ?", visible_path(&path), target.text());
        if !self.yes && !self.dry_run && world.terminal.ask_yes_no(&question) != Some(true) {
            let text = format!("Publication of {} canceled", visible_path(&path));
            return match below {
                Some(_) => world.terminal.say(&text),
                None => Err(Error::generic(text)),
            };
        }
        let pushed = self.send(world, &target, &content)?;
        self.tell(world, file, &target, pushed)
    }

    /// The name at the destination (S136).
    fn name_of(&self, file: &Path, below: Option<&Path>, by_rule: bool) -> Result<String> {
        let named = match below {
            Some(below) => below.to_str(),
            None => file.file_name().and_then(|name| name.to_str()),
        };
        let named = named.ok_or_else(|| {
            Error::generic(format!("the name of {} is no text", visible_path(file)))
        })?;
        if !self.omit_extensions && !by_rule {
            return Ok(named.to_owned());
        }
        // As Go has it: the extension begins with the last dot of the last part, wherever that is.
        let last = named.rfind('/').map_or(0, |at| at + 1);
        let end = named[last..].rfind('.').map_or(named.len(), |at| last + at);
        match end > last {
            true => Ok(named[..end].to_owned()),
            false => Err(Error::generic(format!(
                "nothing is left of the name of {} without its extension",
                visible_path(file)
            ))),
        }
    }

    /// What is sent: the file as it is, re-encrypted where the rule says for whom, or decrypted for Vault.
    fn content(&self, world: &World, path: &Path, rule: &DestinationRule) -> Result<SecretBytes> {
        let settings = &self.settings;
        let from = Input::File(path.to_owned());
        let mut original = document::read(&from, false)?;
        let format = document::input_format(settings, path);
        let text = original.take_bytes();
        let file = document::parse_any_version(format, SecretBytes::copy_of(text.expose()))?;
        if let Ok(Destination::Vault { .. }) = rule.destination {
            let plain = document::open(world, settings, &from, &file)?;
            return object(Data::listed(plain.tree()));
        }
        match recipe(world, rule, &file)? {
            None => Ok(text),
            Some(recipe) => self.encrypted_anew(world, &from, &file, recipe),
        }
    }

    fn encrypted_anew(
        &self,
        world: &World,
        from: &Input,
        file: &Encrypted,
        recipe: Recipe,
    ) -> Result<SecretBytes> {
        let settings = &self.settings;
        let config = world.configuration(settings)?;
        let plain = document::open(world, settings, from, file)?;
        let groups = &file.metadata().groups;
        let difference = update_keys::difference(groups, recipe.groups());
        if difference.iter().any(|line| line.starts_with(['+', '-'])) && !self.json {
            world
                .terminal
                .say("The following changes will be made to the file's key groups:")?;
            for line in &difference {
                update_keys::say_difference(world, line)?;
            }
        }
        let now = Timestamp::now();
        let (metadata, key) = recipe.make(world, settings, now)?;
        let writing = encrypt::Writing {
            world,
            from,
            now,
            layout: document::layout(settings, config.as_deref(), file.format())?,
        };
        let written = writing.write(plain, metadata, &key, None)?;
        for warning in &written.warnings {
            world.terminal.advise(warning);
        }
        Ok(written.bytes)
    }

    fn send(&self, world: &World, target: &Target, content: &SecretBytes) -> Result<Pushed> {
        let surroundings: Arc<dyn Surroundings> = Arc::new(SystemSurroundings);
        match target {
            #[cfg(not(feature = "aws"))]
            Target::S3 { .. } => Err(Error::generic("this build cannot publish to S3")),
            #[cfg(not(feature = "gcp"))]
            Target::Gcs { .. } => Err(Error::generic(
                "this build cannot publish to Google Cloud Storage",
            )),
            #[cfg(feature = "aws")]
            Target::S3 { bucket, key } => {
                self.put(world, async { s3::put(bucket, key, content).await })
            }
            #[cfg(feature = "gcp")]
            Target::Gcs { bucket, key } => self.put(world, async {
                gcs::put(surroundings, bucket, key, content).await
            }),
            Target::Vault(place) => {
                let mode = match self.dry_run {
                    true => WriteMode::DryRun,
                    false => WriteMode::Apply,
                };
                let published = online(world, async {
                    let published = publish(&surroundings, place, content, mode).await;
                    published.map_err(|error| told(&error))
                })?;
                if let Some(error) = &published.unseen {
                    let mut text = format!(
                        "Cannot check if destination secret already exists in {}. New version will be created even if the data has not been changed.",
                        place.request_path()
                    );
                    // Upstream keeps the reason to itself.
                    if world.terminal.voice() == Voice::Own {
                        text += &format!(" ({error})");
                    }
                    world.terminal.log(Level::Warning, "PUBLISH", &text);
                }
                Ok(published.pushed)
            }
        }
    }

    /// Puts a file into a bucket. Whether the same is there cannot be seen by who may only write.
    #[cfg(any(feature = "aws", feature = "gcp"))]
    fn put(
        &self,
        world: &World,
        put: impl Future<Output = std::result::Result<(), StoreError>>,
    ) -> Result<Pushed> {
        if !self.dry_run {
            online(world, async { put.await.map_err(|error| told(&error)) })?;
        }
        Ok(Pushed::Updated)
    }

    /// Says what was done; upstream says nothing.
    fn tell(&self, world: &World, file: &Path, target: &Target, pushed: Pushed) -> Result<()> {
        if world.terminal.voice() == Voice::Upstream {
            return Ok(());
        }
        let status = match (pushed, self.dry_run) {
            (Pushed::Unchanged, _) => "unchanged",
            (Pushed::Created | Pushed::Updated, false) => "published",
            (Pushed::Created | Pushed::Updated, true) => "would-be-published",
        };
        let (file, target) = (visible_path(file), target.text());
        if self.json {
            let value = json!({"file": file, "status": status, "destination": target});
            return world.terminal.say_json(&value);
        }
        world.terminal.say(&format!("{file}: {status} ({target})"))
    }
}

/// Where one file goes.
enum Target {
    S3 { bucket: String, key: String },
    Gcs { bucket: String, key: String },
    Vault(KvPlace),
}

impl Target {
    fn of(destination: &Destination, name: &str) -> Self {
        match destination {
            Destination::S3 { bucket, prefix } => Self::S3 {
                bucket: bucket.clone(),
                key: format!("{prefix}{name}"),
            },
            Destination::Gcs { bucket, prefix } => Self::Gcs {
                bucket: bucket.clone(),
                key: format!("{prefix}{name}"),
            },
            Destination::Vault {
                path,
                address,
                mount,
                version,
            } => Self::Vault(KvPlace::of_rule(
                &SystemSurroundings,
                (address, mount, *version),
                path,
                name,
            )),
        }
    }

    /// The address for people (S140).
    fn text(&self) -> String {
        match self {
            Self::S3 { bucket, key } => format!("s3://{bucket}/{key}"),
            Self::Gcs { bucket, key } => format!("gcs://{bucket}/{key}"),
            Self::Vault(place) => format!("{}/v1/{}", place.address, place.request_path()),
        }
    }
}

/// What a file is re-encrypted with; nothing when the rule names no keys. All options of the rule count, where upstream
/// drops most of them (D10).
fn recipe(world: &World, rule: &DestinationRule, file: &Encrypted) -> Result<Option<Recipe>> {
    let Some(recreation) = &rule.recreation_rule else {
        return Ok(None);
    };
    let mut rule = Rule::of(recreation, &KeySettings::default())
        .map_err(|error| Error::generic(format!("error loading config: {error}")))?;
    if rule.groups.iter().all(Vec::is_empty) {
        return Ok(None);
    }
    for key in rule.groups.iter().flatten() {
        key.check_named()
            .map_err(|error| Error::generic(format!("error loading config: {error}")))?;
    }
    world.keys.complete(rule.groups.iter_mut().flatten())?;
    Recipe::of_rule(rule, file.format()).map(Some)
}

/// The documents of a file as one JSON object, as upstream puts them together: what comes later wins. Comments are left
/// out at every depth, also in lists (D11).
fn object(documents: Vec<Data>) -> Result<SecretBytes> {
    let mut members: Vec<(SecretBytes, Data)> = Vec::new();
    for document in documents {
        let entries = match without_comments(document) {
            Data::Map(entries) => entries,
            // A binary file has one value.
            text @ Data::Str(_) => vec![(Data::key("data"), text)],
            _ => return Err(Error::generic("only maps can be published to Vault")),
        };
        for (name, value) in entries {
            members.retain(|(there, _)| there.expose() != name.expose());
            members.push((name, value));
        }
    }
    let json = by_name("json").expect("JSON is in the list of formats");
    let object = [Data::Map(members)];
    json.render(&object, Layout { indent: Some(0) })
        .map_err(|error| document::emit_error(&error))
}

fn without_comments(data: Data) -> Data {
    let is_comment = |data: &Data| matches!(data, Data::Comment { .. });
    match data {
        Data::Map(entries) => Data::Map(
            entries
                .into_iter()
                .filter(|(_, value)| !is_comment(value))
                .map(|(name, value)| (name, without_comments(value)))
                .collect(),
        ),
        Data::List(items) => {
            let items = items.into_iter().filter(|item| !is_comment(item));
            Data::List(items.map(without_comments).collect())
        }
        other => other,
    }
}

/// All that is no folder below one, in the order of names.
fn walk(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let failed = |error: std::io::Error| {
        Error::generic(format!("cannot look into {}", visible_path(folder))).because(error)
    };
    let mut entries = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        entries.push((entry.file_name(), entry.file_type().map_err(failed)?));
    }
    entries.sort_by(|one, other| one.0.cmp(&other.0));
    for (name, kind) in entries {
        let path = match folder == Path::new(".") {
            true => PathBuf::from(name),
            false => folder.join(name),
        };
        match kind.is_dir() {
            true => walk(&path, files)?,
            false => files.push(path),
        }
    }
    Ok(())
}

/// A path without `.` and without what `..` takes back, as Go joins paths.
fn cleaned(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir
                if matches!(out.components().next_back(), Some(Component::Normal(_))) =>
            {
                out.pop();
            }
            Component::ParentDir if out.has_root() => {}
            other => out.push(other),
        }
    }
    match out.as_os_str().is_empty() {
        true => PathBuf::from("."),
        false => out,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn publish(omit_extensions: bool) -> Publish {
        Publish {
            typed: PathBuf::new(),
            recursive: false,
            yes: true,
            dry_run: false,
            omit_extensions,
            json: false,
            settings: Settings::default(),
        }
    }

    #[test]
    fn names_lose_what_follows_the_last_dot() {
        let name = |file: &str, below: Option<&str>| {
            let below = below.map(Path::new);
            publish(true).name_of(Path::new(file), below, false).ok()
        };
        assert_eq!(name("a/b.enc.yaml", None).as_deref(), Some("b.enc"));
        assert_eq!(name("x", Some("a.d/b")).as_deref(), Some("a.d/b"));
        assert_eq!(name("x", Some("a.d/b.json")).as_deref(), Some("a.d/b"));
        assert_eq!(name(".env", None), None);
        let kept = publish(false).name_of(Path::new("a/b.yaml"), None, false);
        assert_eq!(kept.unwrap(), "b.yaml");
    }

    #[test]
    fn paths_are_joined_as_go_does() {
        for (path, clean) in [
            ("./a/", "a"),
            ("a/../b", "b"),
            ("..", ".."),
            ("../a/.", "../a"),
            (".", "."),
            ("/../a", "/a"),
        ] {
            assert_eq!(cleaned(Path::new(path)), PathBuf::from(clean), "{path}");
        }
    }

    #[test]
    fn documents_are_one_object_without_comments() {
        let comment = || Data::Comment {
            text: SecretBytes::copy_of(b" c"),
            inline: false,
        };
        let list = Data::List(vec![
            comment(),
            Data::Map(vec![
                (Data::key(""), comment()),
                (Data::key("x"), Data::Int(1)),
            ]),
        ]);
        let one = Data::Map(vec![
            (Data::key("a"), Data::str("old")),
            (Data::key("l"), list),
        ]);
        let two = Data::Map(vec![(Data::key("a"), Data::str("new"))]);
        let text = object(vec![one, two]).unwrap();
        let value: serde_json::Value = serde_json::from_slice(text.expose()).unwrap();
        assert_eq!(value, json!({"l": [{"x": 1}], "a": "new"}));
    }
}
