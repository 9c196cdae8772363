//! Parsing, with what Go finds out while parsing and `gotmpl` only while running.

use std::collections::BTreeMap;

use gotmpl::parse::{ListNode, Node, Parser};

use crate::check;
use crate::dialect::Options;
use crate::error::TemplateError;

/// A template and those that it defines, as trees.
#[derive(Debug)]
pub(crate) struct Parsed {
    pub(crate) name: String,
    pub(crate) source: String,
    pub(crate) trees: BTreeMap<String, ListNode>,
    pub(crate) options: Options,
}

/// Parses a template.
pub(crate) fn parse(name: &str, source: &str, options: &Options) -> Result<Parsed, TemplateError> {
    // The parser takes an `{{end}}` too many for the end of the whole; with a mark behind the
    // source it is seen whether it got there.
    let marked = format!("{source}{END_MARK}");
    let (left, right) = (&options.delimiters.left, &options.delimiters.right);
    let (mut root, defines) = Parser::with_name(Some(name), &marked, left, right)
        .and_then(Parser::parse)
        .map_err(|error| TemplateError::from_parser(name, error))?;
    if !cut_mark(&mut root) {
        let line = 1 + source.matches('\n').count();
        return Err(TemplateError::parse(
            name,
            line,
            "unexpected {{end}} or {{else}}",
        ));
    }
    let mut trees = BTreeMap::new();
    for define in defines {
        let tree: &mut ListNode = match trees.entry(define.name.to_string()) {
            std::collections::btree_map::Entry::Vacant(entry) => {
                entry.insert(define.body);
                continue;
            }
            std::collections::btree_map::Entry::Occupied(entry) => entry.into_mut(),
        };
        // An empty definition never replaces another one.
        match (tree.is_empty_tree(), define.body.is_empty_tree()) {
            (true, _) => *tree = define.body,
            (false, true) => {}
            (false, false) => {
                return Err(TemplateError::parse(
                    name,
                    define.pos.line,
                    &format!("multiple definition of template {:?}", define.name.as_str()),
                ));
            }
        }
    }
    if !root.is_empty_tree() || !trees.contains_key(name) {
        trees.insert(name.to_owned(), root);
    }
    for tree in trees.values() {
        check::tree(name, options.dialect, tree)?;
    }
    Ok(Parsed {
        name: name.to_owned(),
        source: source.to_owned(),
        trees,
        options: options.clone(),
    })
}

/// Stands behind every source while it is parsed; no template can contain it, as a Secret's texts
/// in JSON and YAML have no such character.
const END_MARK: &str = "\u{0}end";

/// Takes the mark off the last text again; returns false if it was not there.
fn cut_mark(root: &mut ListNode) -> bool {
    let Some(Node::Text(last)) = root.nodes.last_mut() else {
        return false;
    };
    let Some(text) = last.text.strip_suffix(END_MARK) else {
        return false;
    };
    if text.is_empty() {
        root.nodes.pop();
    } else {
        last.text = text.into();
    }
    true
}
