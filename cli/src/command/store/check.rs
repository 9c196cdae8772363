//! `store check` and `store ls`.

use sealwright_providers::outcome::Answer;
use sealwright_providers::remote::{Find, NamePattern, RemoteRef};
use serde_json::json;

use super::{Address, StorePlace, not_there, online, told};
use crate::command::Settings;
use crate::error::{Error, Kind, Result};
use crate::terminal::Colour;
use crate::visible::without_secrets;
use crate::world::World;

/// Finds out whether a store can be used: as whom, what is allowed, and which call fails why.
pub(crate) struct StoreCheck {
    pub(crate) place: StorePlace,
    /// A key to be read, or a store address.
    pub(crate) key: Option<String>,
    pub(crate) json: bool,
    pub(crate) settings: Settings,
}

impl StoreCheck {
    /// Tries one step after another and shows each.
    pub(crate) fn run(self, world: &World) -> Result<()> {
        online(world, async {
            let address = self.key.as_deref().and_then(Address::parse).transpose()?;
            let (opened, at) = match &address {
                Some(address) => {
                    let (opened, at) = address.open(world, &self.settings).await?;
                    (opened, Some(at))
                }
                None => {
                    let opened = self.place.open(world, &self.settings).await?;
                    (opened, self.key.as_deref().map(RemoteRef::new))
                }
            };
            let inspection = opened.store.inspect(at.as_ref()).await;
            // A token that was lent for this goes back; what cannot be revoked ends by itself.
            let _ = opened.store.close().await;
            let failed = inspection
                .steps
                .iter()
                .find_map(|step| step.result.as_ref().err());
            if self.json {
                let steps: Vec<_> = inspection
                    .steps
                    .iter()
                    .map(|step| match &step.result {
                        Ok(seen) => json!({"step": step.what, "status": "ok",
                            "seen": without_secrets(seen)}),
                        Err(error) => json!({"step": step.what, "status": "failed",
                            "error": error.trouble().name(),
                            "message": without_secrets(&error.to_string()),
                            "missing": error.permission().map(without_secrets),
                            "hint": error.hint().map(without_secrets)}),
                    })
                    .collect();
                world.terminal.say_json(&json!({
                    "store": opened.store.describe(),
                    "provider": opened.provider,
                    "capabilities": opened.store.capabilities().name(),
                    "principal": inspection.principal,
                    "steps": steps,
                    "ready": failed.is_none(),
                }))?;
            } else {
                world.terminal.say(opened.store.describe())?;
                for step in &inspection.steps {
                    match &step.result {
                        Ok(seen) => world
                            .terminal
                            .say_message(&format!("  {}: {seen}", step.what))?,
                        Err(error) => {
                            let line = format!("  {}: {}", step.what, error.reason());
                            world
                                .terminal
                                .say_painted(Colour::Red, &without_secrets(&line))?;
                        }
                    }
                }
            }
            match failed {
                Some(error) => Err(told(error)),
                None => Ok(()),
            }
        })
    }
}

/// Lists the keys of a store.
pub(crate) struct StoreList {
    pub(crate) place: StorePlace,
    /// What names must match.
    pub(crate) name: Option<String>,
    /// Where to look.
    pub(crate) path: Option<String>,
    pub(crate) json: bool,
    pub(crate) settings: Settings,
}

impl StoreList {
    /// Prints the names; values are not read.
    pub(crate) fn run(self, world: &World) -> Result<()> {
        online(world, async {
            let opened = self.place.open(world, &self.settings).await?;
            let name = NamePattern::new(self.name.as_deref().unwrap_or_default());
            let name = name.map_err(|_| {
                Error::new(Kind::Usage, "--name is no regular expression of Go (RE2)")
            })?;
            let find = Find {
                path: self.path.clone(),
                name: Some(name),
                ..Find::default()
            };
            let listed = opened.store.list(&find).await;
            let _ = opened.store.close().await;
            let matches = match listed.map_err(|error| told(&error))? {
                Answer::Found(matches) => matches,
                Answer::Absent(absent) => {
                    let at = RemoteRef::new(self.path.clone().unwrap_or_default());
                    let why = absent.proof().to_string();
                    return Err(not_there(&opened.store, &at, &why).await);
                }
            };
            let mut names: Vec<String> = matches.into_iter().map(|found| found.name).collect();
            names.sort_unstable();
            if self.json {
                return world.terminal.say_json(&json!({"keys": names}));
            }
            for name in names {
                world.terminal.say(&name)?;
            }
            Ok(())
        })
    }
}
