//! Changes of a creation rule in the text of a configuration. Everything around the changed lines stays as it is.
//!
//! People lay out their rules in many ways, and keys may come from anchors and merges. A change is therefore made where the
//! keys stand in the text, and then proved: the new text is read, and must say what was wanted and nothing else.

use std::collections::BTreeSet;

use sealwright_crypto::key_kind::{KeyFields, KeyKind};
use sealwright_crypto::secret::SecretBytes;
use sealwright_documents::format::by_name;
use sealwright_documents::tree::{NodeId, Tree, Value};

use super::Config;
use crate::error::{Error, Result};

/// A recipient: the section of its kind, and what tells it apart there.
pub(crate) type Id = (&'static str, String);

/// What is changed in a rule.
pub(crate) enum RuleChange<'a> {
    /// A key joins a group, with the name of its holder.
    Add {
        key: &'a KeyFields,
        name: Option<&'a str>,
        group: usize,
    },
    /// Keys leave all groups.
    Remove(&'a BTreeSet<Id>),
}

/// Makes a change in one rule of a configuration, and gives the configuration that results.
pub(crate) fn change(config: &Config, rule: usize, change: &RuleChange<'_>) -> Result<Config> {
    let line = config
        .rules()
        .creation_rules
        .iter()
        .flatten()
        .nth(rule)
        .map_or(0, |rule| rule.line);
    let place = format!("{}, line {line}", crate::visible::shown(config.path()));
    let by_hand = || {
        let what = match change {
            RuleChange::Add { key, .. } => format!("add {} there", key.identity()),
            RuleChange::Remove(keys) => {
                let keys: Vec<&str> = keys.iter().map(|(_, key)| key.as_str()).collect();
                format!("remove {} there", keys.join(", "))
            }
        };
        Error::generic(format!(
            "the rule is laid out in a way that only a person can change ({place})"
        ))
        .hint(format!("{what}, then `sealwright updatekeys .`"))
    };
    let wanted = expected(config, rule, change)?;
    if wanted[rule].iter().any(BTreeSet::is_empty) {
        return Err(Error::generic(format!(
            "it is the last key of its group, and no one could open the files any more ({place})"
        ))
        .hint("add another key first, or take the rule out by hand"));
    }
    let text = edited(config, rule, change).ok_or_else(by_hand)?;
    let changed = Config::of_text(config.place(), text).map_err(|_| by_hand())?;
    match groups_of(&changed)? == wanted && same_patterns(config, &changed) {
        true => Ok(changed),
        false => Err(by_hand()),
    }
}

/// Writes a new configuration for one rule.
pub(crate) fn new_text(path_regex: Option<&str>, keys: &[(String, Option<String>)]) -> String {
    let mut text = String::from(
        "# Who can open which files: the first rule whose path_regex is found in a file's path decides.\n\
         # `sealwright recipients add|remove` changes the keys here and in the files.\n\
         creation_rules:\n",
    );
    match path_regex {
        Some(pattern) => text.push_str(&format!("  - path_regex: {}\n    age:\n", quoted(pattern))),
        None => text.push_str("  - age:\n"),
    }
    for (key, name) in keys {
        text.push_str(&item("      ", key, name.as_deref()));
        text.push('\n');
    }
    text
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

type Groups = Vec<Vec<BTreeSet<Id>>>;

fn id(key: &KeyFields) -> Id {
    (key.kind().section, key.identity())
}

/// The keys of all groups of all rules.
fn groups_of(config: &Config) -> Result<Groups> {
    let rules = config.rules().creation_rules.iter().flatten();
    rules
        .map(|rule| {
            let groups = rule
                .groups()
                .map_err(|error| Error::generic(error.to_string()))?;
            Ok(groups
                .iter()
                .map(|group| group.iter().map(id).collect())
                .collect())
        })
        .collect()
}

fn same_patterns(one: &Config, other: &Config) -> bool {
    let patterns = |config: &Config| -> Vec<(String, u32)> {
        let rules = config.rules().creation_rules.iter().flatten();
        rules
            .map(|rule| (rule.path_regex.text.clone(), rule.shamir_threshold))
            .collect()
    };
    patterns(one) == patterns(other)
}

/// What all rules say once the change is made.
fn expected(config: &Config, rule: usize, change: &RuleChange<'_>) -> Result<Groups> {
    let mut groups = groups_of(config)?;
    let rule = groups
        .get_mut(rule)
        .ok_or_else(|| Error::generic("the configuration has no such rule"))?;
    match change {
        RuleChange::Add { key, group, .. } => {
            let count = rule.len();
            let group = rule.get_mut(*group).ok_or_else(|| {
                Error::generic(format!(
                    "there is no group {group}: the rule has {count}, counted from 0"
                ))
            })?;
            group.insert(id(key));
        }
        RuleChange::Remove(gone) => {
            for group in rule {
                group.retain(|key| !gone.contains(key));
            }
        }
    }
    Ok(groups)
}

/// The new text; `None` where the keys do not stand as texts in the rule.
fn edited(config: &Config, rule: usize, change: &RuleChange<'_>) -> Option<SecretBytes> {
    let yaml = by_name("yaml").expect("YAML is in the list of formats");
    let whole = config.text().expose();
    let first = super::first_document(whole);
    let rest = std::str::from_utf8(&whole[first.len()..]).ok()?;
    let tree = yaml.parse(SecretBytes::copy_of(first)).ok()?;
    let page = Page {
        text: std::str::from_utf8(tree.text.expose()).ok()?,
        tree: &tree,
    };
    let root = *tree.documents.first()? as usize;
    let rules = page.child(root, "creation_rules")?;
    let map = page.maps(rules).nth(rule)?;
    let edits = match change {
        RuleChange::Add { key, name, group } => {
            let kind = key.kind();
            let text = key.address();
            vec![match page
                .child(map, "key_groups")
                .filter(|node| page.maps(*node).next().is_some())
            {
                Some(groups) => {
                    let group = page.maps(groups).nth(*group)?;
                    page.add(group, kind.rule.group, &text, *name)?
                }
                None => page.add(map, kind.rule.flat, &text, *name)?,
            }]
        }
        RuleChange::Remove(gone) => page.remove(map, gone)?,
    };
    let mut text = page.text.to_owned();
    // From the last to the first, so that earlier places stay right.
    for edit in edits.into_iter().rev() {
        text.replace_range(edit.range, &edit.with);
    }
    text.push_str(rest);
    Some(SecretBytes::from(text.into_bytes()))
}

struct TextEdit {
    range: std::ops::Range<usize>,
    with: String,
}

/// A line of a list of keys.
fn item(indent: &str, key: &str, name: Option<&str>) -> String {
    match name {
        Some(name) => format!("{indent}- {key} # {name}"),
        None => format!("{indent}- {key}"),
    }
}

struct Page<'a> {
    text: &'a str,
    tree: &'a Tree,
}

impl Page<'_> {
    fn child(&self, map: NodeId, name: &str) -> Option<NodeId> {
        let mut children = self.tree.children(map);
        children.find(|child| self.tree.key(*child) == Some(name.as_bytes()))
    }

    fn elements(&self, list: NodeId) -> impl Iterator<Item = NodeId> {
        let children = self.tree.children(list);
        children.filter(|node| !matches!(self.tree.nodes[*node].value, Value::Comment { .. }))
    }

    /// The elements of a list of rules or groups, where null is none.
    fn maps(&self, list: NodeId) -> impl Iterator<Item = NodeId> {
        let elements = self.elements(list);
        elements.filter(|node| self.tree.nodes[*node].value != Value::Null)
    }

    /// The place of a value, without the line breaks that belong to a block of text.
    fn site(&self, node: NodeId) -> std::ops::Range<usize> {
        let range = self.tree.nodes[node].site.range();
        let kept = self.text[range.clone()]
            .trim_end_matches(['\n', '\r', ' '])
            .len();
        range.start..range.start + kept
    }

    fn line_start(&self, at: usize) -> usize {
        self.text[..at].rfind('\n').map_or(0, |at| at + 1)
    }

    fn line_end(&self, at: usize) -> usize {
        self.text[at..]
            .find('\n')
            .map_or(self.text.len(), |end| at + end)
    }

    /// The keys that a value names, as they are written there, and each with the comment behind it.
    fn written(&self, value: NodeId) -> Option<Vec<(String, Option<String>)>> {
        match self.tree.nodes[value].value {
            Value::Null => Some(Vec::new()),
            Value::List => self
                .elements(value)
                .map(|element| {
                    let site = self.site(element);
                    let text = self.text.get(site.clone())?;
                    let whole = !text.is_empty() && !text.contains('\n');
                    let rest = &self.text[site.end..self.line_end(site.end)];
                    let comment = rest.trim_start().strip_prefix('#');
                    whole.then(|| (text.to_owned(), comment.map(|text| text.trim().to_owned())))
                })
                .collect(),
            Value::Str(text) => {
                let content = std::str::from_utf8(self.tree.content(text)).ok()?;
                let keys = content.split(',').map(str::trim);
                let mut keys: Vec<(String, Option<String>)> = keys
                    .filter(|key| !key.is_empty())
                    .map(|key| (key.to_owned(), None))
                    .collect();
                let end = self.site(value).end;
                let rest = self.text[end..self.line_end(end)].trim();
                if let [(_, comment)] = &mut keys[..] {
                    *comment = rest.strip_prefix('#').map(|text| text.trim().to_owned());
                }
                Some(keys)
            }
            _ => None,
        }
    }

    /// Rewrites a value as a list with a key on each line.
    fn as_list(
        &self,
        value: NodeId,
        name: &str,
        keys: &[(String, Option<String>)],
    ) -> Option<TextEdit> {
        let site = self.site(value);
        let before = &self.text[..site.start];
        let column = before.rfind(name)?;
        let column = self.text[self.line_start(column)..column].chars().count();
        let indent = " ".repeat(column + 2);
        let lines: Vec<String> = keys
            .iter()
            .map(|(key, name)| item(&indent, key, name.as_deref()))
            .collect();
        let end = self.line_end(site.end);
        // A comment behind the value stays, unless it is the name of its one key.
        let comment = self.text[site.end..end].trim_end();
        let is_name = |(_, name): &(String, Option<String>)| {
            name.as_deref() == comment.trim_start().strip_prefix('#').map(str::trim)
        };
        let comment = match keys.iter().any(is_name) {
            true => "",
            false => comment,
        };
        Some(TextEdit {
            range: before.trim_end_matches(' ').len()..end,
            with: format!("{comment}\n{}", lines.join("\n")),
        })
    }

    fn add(&self, map: NodeId, field: &str, key: &str, name: Option<&str>) -> Option<TextEdit> {
        let Some(value) = self.child(map, field) else {
            return self.add_field(map, field, key, name);
        };
        let last = self.elements(value).last();
        if self.tree.nodes[value].value == Value::List
            && let Some(last) = last
            && let Some(indent) = self.item_indent(last)
        {
            let end = self.line_end(self.site(last).end);
            return Some(TextEdit {
                range: end..end,
                with: format!("\n{}", item(indent, key, name)),
            });
        }
        let mut keys = self.written(value)?;
        keys.push((key.to_owned(), name.map(str::to_owned)));
        self.as_list(value, field, &keys)
    }

    /// What stands before the dash of an element that has its line for itself.
    fn item_indent(&self, element: NodeId) -> Option<&str> {
        let site = self.site(element);
        let before = &self.text[self.line_start(site.start)..site.start];
        let indent = before.trim_end().strip_suffix('-')?;
        indent.chars().all(|c| c == ' ').then_some(indent)
    }

    /// A field that a map does not have yet, behind its first one.
    fn add_field(
        &self,
        map: NodeId,
        field: &str,
        key: &str,
        name: Option<&str>,
    ) -> Option<TextEdit> {
        let first = self.elements(map).next()?;
        let known = std::str::from_utf8(self.tree.key(first)?).ok()?;
        let site = self.site(first);
        let column = self.text[..site.start].rfind(known)?;
        let column = self.text[self.line_start(column)..column].chars().count();
        let end = self.line_end(site.end);
        let indent = " ".repeat(column);
        Some(TextEdit {
            range: end..end,
            with: format!(
                "\n{indent}{field}:\n{}",
                item(&format!("{indent}  "), key, name)
            ),
        })
    }

    fn remove(&self, map: NodeId, gone: &BTreeSet<Id>) -> Option<Vec<TextEdit>> {
        let mut edits = Vec::new();
        match self
            .child(map, "key_groups")
            .filter(|node| self.maps(*node).next().is_some())
        {
            Some(groups) => {
                for group in self.maps(groups) {
                    self.remove_from(group, gone, |kind| kind.rule.group, &mut edits)?;
                }
            }
            None => self.remove_from(map, gone, |kind| kind.rule.flat, &mut edits)?,
        }
        edits.sort_by_key(|edit| edit.range.start);
        Some(edits)
    }

    fn remove_from(
        &self,
        map: NodeId,
        gone: &BTreeSet<Id>,
        field_of: fn(&KeyKind) -> &'static str,
        edits: &mut Vec<TextEdit>,
    ) -> Option<()> {
        for kind in KeyKind::in_rule_order() {
            let field = field_of(kind);
            let Some(value) = self.child(map, field) else {
                continue;
            };
            let goes = |text: &str| kind.parse(text).is_ok_and(|key| gone.contains(&id(&key)));
            if self.tree.nodes[value].value != Value::List {
                let mut keys = self.written(value)?;
                let before = keys.len();
                keys.retain(|(key, _)| !goes(key));
                if keys.len() < before {
                    edits.push(match keys.is_empty() {
                        true => self.whole_field(value, field)?,
                        false => self.as_list(value, field, &keys)?,
                    });
                }
                continue;
            }
            let content = |node: NodeId| match self.tree.nodes[node].value {
                Value::Str(text) => std::str::from_utf8(self.tree.content(text)).ok(),
                _ => None,
            };
            let elements: Vec<NodeId> = self.elements(value).collect();
            let leaving: Vec<NodeId> = elements
                .iter()
                .copied()
                .filter(|node| content(*node).is_some_and(goes))
                .collect();
            if leaving.is_empty() {
                continue;
            }
            if leaving.len() == elements.len() {
                edits.push(self.whole_field(value, field)?);
            } else if leaving.iter().all(|node| self.item_indent(*node).is_some()) {
                for node in leaving {
                    let site = self.site(node);
                    let end = (self.line_end(site.end) + 1).min(self.text.len());
                    edits.push(TextEdit {
                        range: self.line_start(site.start)..end,
                        with: String::new(),
                    });
                }
            } else {
                let written = self.written(value)?;
                let kept: Vec<_> = elements
                    .iter()
                    .zip(written)
                    .filter(|(node, _)| !leaving.contains(node))
                    .map(|(_, key)| key)
                    .collect();
                edits.push(self.as_list(value, field, &kept)?);
            }
        }
        Some(())
    }

    /// Takes out a field with all of its lines, where it does not share its first one with a dash.
    fn whole_field(&self, value: NodeId, field: &str) -> Option<TextEdit> {
        let site = self.site(value);
        let key = self.text[..site.start].rfind(field)?;
        let start = self.line_start(key);
        let own_line = self.text[start..key].chars().all(|c| c == ' ');
        own_line.then(|| TextEdit {
            range: start..(self.line_end(site.end) + 1).min(self.text.len()),
            with: String::new(),
        })
    }
}

#[cfg(test)]
mod tests;
