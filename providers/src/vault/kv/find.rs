//! Finding values: names below a folder, and what custom metadata says of them.

use std::collections::BTreeMap;

use futures::stream::{self, StreamExt};

use crate::json::{Json, Kind};
use crate::listing::Listing;
use crate::outcome::{Absent, Answer, Outcome, Proof, StoreError, Trouble};
use crate::remote::Find;
use crate::settings::vault::KvVersion;
use crate::store::{Content, Match, ReadKey};
use crate::vault::call::{Call, Reply};
use crate::vault::{Dialect, VaultStore};

/// How many names one search may list.
const MOST_NAMES: usize = 100_000;
/// How many folders are listed at once.
const LISTINGS: usize = 8;

impl VaultStore {
    /// Lists the names below a folder. Folders that vanish meanwhile count as empty; the first one must be there.
    async fn names(&self, mount: &str, inside: &str) -> Result<Option<Vec<String>>, StoreError> {
        let (mut names, mut listing) = (Vec::new(), Listing::of_pages(MOST_NAMES));
        let mut folders = vec![inside.trim_end_matches('/').to_owned()];
        let mut first = true;
        while !folders.is_empty() {
            // Counted as they come: those of a whole level may be more than the memory there is.
            let mut answers = stream::iter(std::mem::take(&mut folders))
                .map(|folder| async move {
                    let path = self.engine.listed(mount, &folder);
                    let listed = self.list_folder(&path).await?;
                    Ok::<_, StoreError>((folder, listed))
                })
                .buffered(LISTINGS);
            while let Some(answer) = answers.next().await {
                listing.page()?;
                let (folder, listed) = answer?;
                let Some(listed) = listed else {
                    if first {
                        return Ok(None);
                    }
                    continue;
                };
                for name in listed {
                    listing.taken(name.len() + folder.len())?;
                    let whole = match folder.as_str() {
                        "" => name,
                        folder => format!("{folder}/{name}"),
                    };
                    match whole.strip_suffix('/') {
                        Some(folder) => folders.push(folder.to_owned()),
                        None => names.push(whole),
                    }
                }
                if names.len() + folders.len() > MOST_NAMES {
                    return Err(StoreError::new(
                        Trouble::TooLarge,
                        format!("there are more than {MOST_NAMES} names below that path"),
                    )
                    .with_hint("narrow it down with `find.path`"));
                }
            }
            first = false;
        }
        names.sort_unstable();
        Ok(Some(names))
    }

    pub(super) async fn list_folder(&self, path: &str) -> Result<Option<Vec<String>>, StoreError> {
        let body = match self.client.call(Call::list(path)).await? {
            Reply::Data(body) => body,
            Reply::Nothing => {
                self.prove_engine(path).await?;
                return Ok(None);
            }
            Reply::Done | Reply::Gone(_) => return Err(self.malformed("it has no body")),
        };
        let root = Json::parse(body.expose()).map_err(|_| self.malformed("it is no JSON"))?;
        let keys = root
            .member("data")
            .and_then(|data| data.member("keys"))
            .filter(|keys| keys.kind() == Kind::Array)
            .ok_or_else(|| self.malformed("it lists nothing"))?;
        let names = keys.elements().filter_map(Json::string);
        Ok(Some(names.map(|name| name.expose().to_owned()).collect()))
    }

    pub(super) async fn find_names(&self, what: &Find) -> Outcome<Vec<Match>> {
        if what.tags.is_some() {
            check_tags(self.dialect, self.engine.version)?;
        }
        let (mount, inside) = self
            .engine
            .folder(what.path.as_deref().unwrap_or_default())?;
        let Some(mut names) = self.names(&mount, &inside).await? else {
            return Ok(Answer::Absent(Absent::proved(Proof::NothingListed)));
        };
        // A name begins with the folder as it was asked for, with all of its slashes.
        let shown = |name: &str| match what.path.as_deref() {
            Some(path) if self.dialect == Dialect::Vault => {
                let below = name.strip_prefix(inside.as_str()).unwrap_or(name);
                format!("{path}/{}", below.trim_start_matches('/'))
            }
            _ => name.to_owned(),
        };
        if let Some(pattern) = &what.name {
            names.retain(|name| pattern.matches(&shown(name)));
        } else if let Some(tags) = what.tags.as_ref().filter(|tags| !tags.is_empty()) {
            names = self.with_tags(&mount, names, tags).await?;
        }
        let matches = names.into_iter().map(|name| {
            let key = ReadKey::value(self.engine.exact(&mount, &name), None);
            Match {
                name: shown(&name),
                content: Content::At(key),
            }
        });
        Ok(Answer::Found(matches.collect()))
    }

    async fn with_tags(
        &self,
        mount: &str,
        names: Vec<String>,
        tags: &BTreeMap<String, String>,
    ) -> Result<Vec<String>, StoreError> {
        let judged: Vec<Result<Option<String>, StoreError>> = stream::iter(names)
            .map(|name| async move {
                let path = self.engine.listed(mount, &name);
                let Some(body) = self.metadata_of(&path).await? else {
                    return Ok(None);
                };
                let root = Json::parse(body.expose());
                let root = root.map_err(|_| self.malformed("it is no JSON"))?;
                let custom = root
                    .member("data")
                    .and_then(|data| data.member("custom_metadata"));
                let agrees = tags.iter().all(|(tag, wanted)| {
                    custom
                        .and_then(|custom| custom.member(tag))
                        .and_then(Json::string)
                        .is_some_and(|value| value.expose() == wanted)
                });
                Ok(agrees.then_some(name))
            })
            .buffered(LISTINGS)
            .collect()
            .await;
        let mut kept = Vec::new();
        for judged in judged {
            kept.extend(judged?);
        }
        Ok(kept)
    }
}

/// Refuses a search by tags where there is none. A name beside them, and a map without tags, change nothing about that.
fn check_tags(dialect: Dialect, version: KvVersion) -> Result<(), StoreError> {
    let text = match (dialect, version) {
        (Dialect::OpenBao, _) => "tag based search is not implemented",
        (Dialect::Vault, KvVersion::V1) => {
            "cannot perform find by tag operations with kv version v1"
        }
        (Dialect::Vault, KvVersion::V2) => return Ok(()),
    };
    Err(StoreError::new(Trouble::Unsupported, text).public())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::remote::NamePattern;
    use crate::settings::openbao::OpenBaoSettings;
    use crate::settings::vault::VaultSettings;
    use crate::store::Connection;

    #[tokio::test]
    async fn tags_are_refused_beside_a_name_too() {
        let connection = Connection::default();
        // Nothing listens there: what is refused is refused before the server is asked.
        let server = "http://127.0.0.1:1";
        let settings = serde_json::json!({"server": server, "path": "kv", "version": "v1"});
        let settings: VaultSettings = serde_json::from_value(settings).unwrap();
        let of_v1 = VaultStore::vault(&settings, &connection).await.unwrap();
        let settings = serde_json::json!({"server": server, "path": "kv", "version": "v2"});
        let settings: OpenBaoSettings = serde_json::from_value(settings).unwrap();
        let of_openbao = VaultStore::openbao(&settings, &connection).await.unwrap();
        for store in [of_v1, of_openbao] {
            for name in [None, Some(NamePattern::new("db").unwrap())] {
                for tags in [
                    BTreeMap::new(),
                    BTreeMap::from([("team".to_owned(), "blue".to_owned())]),
                ] {
                    let what = Find {
                        name: name.clone(),
                        tags: Some(tags),
                        ..Find::default()
                    };
                    let error = store.find_names(&what).await.err().unwrap();
                    assert_eq!(error.trouble(), Trouble::Unsupported);
                }
            }
        }
        assert!(check_tags(Dialect::Vault, KvVersion::V2).is_ok());
    }
}
