//! Finding vaults and items: by their ids, or by a search for their names.

use super::{OnePassword, Vault};
use crate::json::Kind;
use crate::message::{Reply, name_in};
use crate::outcome::{StoreError, Trouble, shown};

impl OnePassword {
    /// The id of a vault, which is asked for once.
    pub(super) async fn id_of<'a>(&self, vault: &'a Vault) -> Result<&'a str, StoreError> {
        let named = &vault.named;
        let id = vault.id.get_or_try_init(|| async {
            let what = format!("find the vault {}", shown(named));
            if is_id(named) {
                self.get(&["vaults", named], None, &what).await?;
                return Ok(named.clone());
            }
            let found = self
                .listed(&["vaults"], Some(&titled(named)), &what)
                .await?;
            match ids_of(&found).as_slice() {
                [Some(id)] => Ok(id.clone()),
                [] => {
                    let error = self.error(Trouble::Missing, "there is no such vault", &what);
                    Err(error.with_hint("the token may not see it"))
                }
                [None] => Err(self.malformed("a vault has no `id`", &what)),
                several => Err(self.error(
                    Trouble::Conflict,
                    format!("{} vaults have that name: name the id", several.len()),
                    &what,
                )),
            }
        });
        Ok(id.await?.as_str())
    }

    /// Finds an item: the one with that id in the first vault, or the only one of that title in the first vault that has
    /// one.
    pub(super) async fn find_item(
        &self,
        key: &str,
        what: &str,
    ) -> Result<Option<Reply>, StoreError> {
        for vault in &self.vaults {
            let vault_id = self.id_of(vault).await?;
            if is_id(key) {
                return self.item(vault_id, key, what).await.map(Some);
            }
            let path = ["vaults", vault_id, "items"];
            let found = self.listed(&path, Some(&titled(key)), what).await?;
            match ids_of(&found).as_slice() {
                [] => {}
                [Some(id)] => return self.item(vault_id, id, what).await.map(Some),
                [None] => return Err(self.malformed("an item has no `id`", what)),
                several => return Err(self.ambiguous(vault, several.len(), what)),
            }
        }
        Ok(None)
    }

    pub(super) fn ambiguous(&self, vault: &Vault, count: usize, what: &str) -> StoreError {
        let vault = shown(&vault.named);
        let reason = format!("{count} items of the vault {vault} have that title");
        let error = self.error(Trouble::Conflict, reason, what);
        error.with_hint("name the id of the item")
    }

    pub(super) async fn item(
        &self,
        vault: &str,
        id: &str,
        what: &str,
    ) -> Result<Reply, StoreError> {
        let item = self
            .get(&["vaults", vault, "items", id], None, what)
            .await?;
        match item.json().kind() {
            Kind::Object => Ok(item),
            _ => Err(self.malformed("the answer is no item", what)),
        }
    }
}

/// The ids of what was found.
fn ids_of(found: &Reply) -> Vec<Option<String>> {
    let found = found.json().elements();
    found.map(|one| name_in(one, "id")).collect()
}

/// Returns true for what 1Password has as an id of a vault or an item.
pub(super) fn is_id(text: &str) -> bool {
    let valid = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    text.len() == 26 && text.bytes().all(valid)
}

/// The filter that finds a title.
fn titled(title: &str) -> String {
    let mut filter = String::from("title eq \"");
    for character in title.chars() {
        if matches!(character, '"' | '\\') {
            filter.push('\\');
        }
        filter.push(character);
    }
    filter.push('"');
    filter
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_and_ids_are_told_apart_and_escaped() {
        assert!(is_id("abcdefghijklmnopqrstuvwx12"));
        assert!(!is_id("abcdefghijklmnopqrstuvwx1"));
        assert!(!is_id("Abcdefghijklmnopqrstuvwx12"));
        assert_eq!(titled(r#"a" or \"#), r#"title eq "a\" or \\""#);
    }
}
