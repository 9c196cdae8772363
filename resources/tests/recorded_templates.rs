//! The recorded templates of scope KeysAndValues (`tests/fixtures/eso`): what they make is read as YAML. The rows of scope Values
//! are tested in `template`.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;

use sealwright_crypto::sealing::base64;
use sealwright_crypto::secret::SecretBytes;
use sealwright_resources::external_secret::render::{Inputs, Options, Sources, render};
use sealwright_resources::external_secret::template_spec::{TargetTemplate, TemplateFrom};
use sealwright_template::Budget;
use serde_json::Value;

#[test]
fn every_recorded_template_of_keys_and_values_fills_the_same_secret() {
    let recorded: Value =
        serde_json::from_str(include_str!("../../tests/fixtures/eso/templates.json")).unwrap();
    let inputs = recorded["inputs"].as_object().unwrap();
    let values: BTreeMap<String, SecretBytes> = inputs
        .iter()
        .map(|(key, value)| (key.clone(), SecretBytes::from(decoded(value))))
        .collect();
    let rows = recorded["rows"].as_array().unwrap();
    let rows: Vec<_> = rows
        .iter()
        .filter(|row| row["scope"] == "KeysAndValues")
        .collect();
    assert_eq!(rows.len(), 7);
    for row in rows {
        let source = row["template"].as_str().unwrap();
        let template = TargetTemplate {
            template_from: vec![TemplateFrom {
                literal: Some(source.to_owned()),
                target: row["target"].as_str().map(str::to_owned),
                ..TemplateFrom::default()
            }],
            ..TargetTemplate::default()
        };
        let rendered = render(
            &template,
            &values,
            Inputs {
                sources: &Sources::default(),
                options: &Options::default(),
                budget: &Budget::default(),
            },
        );
        let output = match rendered {
            Ok(output) => output,
            Err(error) => {
                assert!(row["error"].is_string(), "{source}: {error}");
                continue;
            }
        };
        assert!(row["error"].is_null(), "{source}");
        let wanted = row["out"].as_object().unwrap().iter();
        let wanted: BTreeMap<String, Vec<u8>> = wanted
            .map(|(key, value)| (key.clone(), decoded(value)))
            .collect();
        let data: BTreeMap<String, Vec<u8>> = output
            .data
            .iter()
            .map(|(key, value)| (key.clone(), value.expose().to_vec()))
            .collect();
        assert_eq!(data, wanted, "{source}");
        for (key, value) in row["meta"].as_object().into_iter().flatten() {
            let ours = output.annotations.get(key).map(String::as_str);
            assert_eq!(ours, value.as_str(), "{source}");
        }
    }
}

fn decoded(text: &Value) -> Vec<u8> {
    base64::decode(text.as_str().unwrap_or_default().as_bytes()).unwrap()
}
