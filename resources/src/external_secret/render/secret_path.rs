//! Paths into the Secret of a PushSecret, which a `templateFrom` may have as its target.
//!
//! Upstream sets the document in an untyped copy of the Secret and reads that back: fields that no Secret has vanish, and a
//! document that does not fit its field is an error. Of the fields that stay, a push sees the data, the type, the labels and the
//! annotations; the others are left out here, and what is set there is not checked.

use std::collections::BTreeMap;

use sealwright_crypto::secret::SecretBytes;
use sealwright_template::yaml::Node;

use super::super::destination::Step;
use super::super::remote_ref::DecodingStrategy;
use super::super::values::decode;
use super::{Output, RenderProblem};

/// What stands for the item of a list among the names of a path. No name has a bracket.
const ITEM: &str = "[]";

/// Sets a document at a path; a map is merged into one that is there, if that is asked for.
///
/// # Errors
///
/// Says that the path or the document does not fit the field.
pub(super) fn put(
    output: &mut Output,
    steps: &[Step],
    document: &Node,
    is_merged: bool,
) -> Result<(), RenderProblem> {
    let names: Vec<&str> = steps
        .iter()
        .map(|step| match step {
            Step::Key(name) => name.as_str(),
            Step::Item(_) => ITEM,
        })
        .collect();
    // A document that is no map replaces the map that is there.
    let is_merged = is_merged && matches!(document, Node::Map(_));
    match names.as_slice() {
        ["type"] => output.kind = Some(text(document)?.to_owned()),
        ["metadata"] => {
            let field = |name: &str| match document {
                Node::Null => Ok(BTreeMap::new()),
                Node::Map(fields) => {
                    // Of equal keys the last one counts.
                    let named = fields.iter().rev().find(|(key, _)| key.as_key() == name);
                    let value = named.map(|(_, value)| &**value);
                    texts(value.unwrap_or(&Node::Null))
                }
                _ => Err(RenderProblem::Field),
            };
            let (labels, annotations) = (field("labels")?, field("annotations")?);
            (output.labels, output.replaces_labels) = (labels, true);
            (output.annotations, output.replaces_annotations) = (annotations, true);
        }
        ["metadata", "labels"] => match is_merged {
            true => output.labels.extend(texts(document)?),
            false => (output.labels, output.replaces_labels) = (texts(document)?, true),
        },
        ["metadata", "annotations"] => match is_merged {
            true => output.annotations.extend(texts(document)?),
            false => (output.annotations, output.replaces_annotations) = (texts(document)?, true),
        },
        ["metadata", "labels", name] if *name != ITEM => {
            let value = text(document)?.to_owned();
            output.labels.insert((*name).to_owned(), value);
        }
        ["metadata", "annotations", name] if *name != ITEM => {
            let value = text(document)?.to_owned();
            output.annotations.insert((*name).to_owned(), value);
        }
        // The untyped Secret holds its data as Base64.
        ["data", name] if *name != ITEM => {
            let value = SecretBytes::copy_of(text(document)?.as_bytes());
            let value = decode(value, DecodingStrategy::Base64);
            let value = value.map_err(|_| RenderProblem::Decoding)?;
            output.data.insert((*name).to_owned(), value);
        }
        ["data" | "type", ..] | ["metadata", "labels" | "annotations" | ITEM, ..] => {
            return Err(RenderProblem::Path);
        }
        _ => {}
    }
    Ok(())
}

/// The text of a field that is one.
fn text(document: &Node) -> Result<&str, RenderProblem> {
    match document {
        Node::Null => Ok(""),
        document => document.as_string().ok_or(RenderProblem::Field),
    }
}

/// The pairs of a field that is a map of texts.
fn texts(document: &Node) -> Result<BTreeMap<String, String>, RenderProblem> {
    match document {
        Node::Null => Ok(BTreeMap::new()),
        Node::Map(entries) => entries
            .iter()
            .map(|(key, value)| Ok((key.as_key(), text(value)?.to_owned())))
            .collect(),
        _ => Err(RenderProblem::Field),
    }
}

#[cfg(test)]
mod tests {
    use sealwright_template::Budget;
    use serde_json::{Value, json};

    use super::super::super::template_spec::TargetTemplate;
    use super::super::super::values::Values;
    use super::super::{Inputs, Options, Sources, render};
    use super::*;

    fn rendered(from: Value) -> Result<Output, RenderProblem> {
        let template: TargetTemplate =
            serde_json::from_value(json!({ "templateFrom": from })).unwrap();
        let value = SecretBytes::copy_of(b"one");
        let values = Values::from([("k".to_owned(), value)]);
        let mut sources = Sources::default();
        let map = [("t".to_owned(), "x: [".to_owned())].into();
        sources.config_maps.insert("cm".to_owned(), map);
        let inputs = Inputs {
            sources: &sources,
            options: &Options::default(),
            budget: &Budget::default(),
        };
        render(&template, &values, inputs).map_err(|error| error.problem)
    }

    fn at(target: &str, literal: &str) -> Result<Output, RenderProblem> {
        rendered(json!([{ "target": target, "literal": literal }]))
    }

    #[test]
    fn paths_into_a_pushed_secret_reach_the_fields_that_it_has() {
        for unseen in [
            "Spec",
            "foo.bar",
            "spec.list[2].name",
            "Metadata.labels",
            "stringData",
        ] {
            let output = at(unseen, "a: {{ .k }}").unwrap();
            assert!(
                output.data.is_empty() && output.labels.is_empty(),
                "{unseen}"
            );
            assert!(
                output.annotations.is_empty() && output.kind.is_none(),
                "{unseen}"
            );
        }
        let output = at("metadata.labels", "a: {{ .k }}").unwrap();
        assert_eq!(output.labels["a"], "one");
        assert!(!output.replaces_labels);
        let output = at("metadata.annotations.note", "{{ .k }}").unwrap();
        assert_eq!(output.annotations["note"], "one");
        let output = at("metadata", "labels: {a: {{ .k }}}").unwrap();
        assert_eq!(output.labels["a"], "one");
        assert!(output.replaces_labels && output.replaces_annotations);
        assert!(at("metadata.labels", "null").unwrap().replaces_labels);
        let output = at("type", "kubernetes.io/tls").unwrap();
        assert_eq!(output.kind.as_deref(), Some("kubernetes.io/tls"));
        let output = at("data.x", "{{ .k | b64enc }}").unwrap();
        assert_eq!(output.data["x"].expose(), b"one");
    }

    #[test]
    fn aliases_of_long_texts_share_the_budget_of_the_object() {
        let literal = |aliases: usize| {
            format!(
                "a: &x {{{{ repeat 60000 \"x\" }}}}\n{{{{ range until {aliases} }}}}k{{{{ . }}}}: *x\n{{{{ end }}}}"
            )
        };
        for target in ["Data", "Annotations", "metadata.annotations", "foo"] {
            let from = |aliases, times| {
                let one = json!({"target": target, "literal": literal(aliases)});
                rendered(Value::Array(vec![one; times])).err()
            };
            assert_eq!(from(30, 2), None, "{target}");
            assert!(from(1000, 1).is_some(), "{target}");
            let used_up = RenderProblem::Budget { line: None };
            assert_eq!(from(30, 20), Some(used_up), "{target}");
        }
    }

    #[test]
    fn what_does_not_fit_a_pushed_secret_is_an_error() {
        for (target, literal, problem) in [
            ("foo..bar", "a: b", RenderProblem::Path),
            ("[0]", "a: b", RenderProblem::Path),
            ("data.x.y", "a: b", RenderProblem::Path),
            ("metadata[0]", "a: b", RenderProblem::Path),
            ("data.x", "1", RenderProblem::Field),
            ("data.x", "'!'", RenderProblem::Decoding),
            ("data.x", "a: b", RenderProblem::Field),
            ("metadata.labels", "a: 1", RenderProblem::Field),
            ("metadata.labels", "text", RenderProblem::Field),
            ("foo", "a: [", RenderProblem::Document),
        ] {
            assert_eq!(
                at(target, literal).err(),
                Some(problem),
                "{target} {literal}"
            );
        }
        // A single value that is no YAML is a text.
        let item = |target: &str| {
            let map = json!({"name": "cm", "items": [{"key": "t", "templateAs": "Values"}]});
            rendered(json!([{ "target": target, "configMap": map }]))
        };
        assert!(item("foo").is_ok());
        assert_eq!(item("type").unwrap().kind.as_deref(), Some("x: ["));
    }
}
