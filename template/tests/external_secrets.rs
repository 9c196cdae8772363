//! The recorded answers of the External Secrets Operator 2.9.0 (`tests/fixtures/eso`): every row of scope Values renders here as
//! there. Rows of the other scope are tested where their output is read, in `resources`.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use sealwright_crypto::sealing::base64;
use sealwright_template::{Context, Dialect, Limits, Options, Template};
use serde_json::Value;

#[test]
fn every_recorded_template_renders_as_in_the_operator() {
    let recorded: Value =
        serde_json::from_str(include_str!("../../tests/fixtures/eso/templates.json")).unwrap();
    let mut context = Context::default();
    for (key, value) in recorded["inputs"].as_object().unwrap() {
        context.insert(key, &decoded(value));
    }
    // Keys are generated without optimisation here.
    let options = Options::of(Dialect::ExternalSecrets).with_limits(Limits {
        time: Duration::from_secs(60),
        ..Limits::default()
    });
    let mut differences = Vec::new();
    let mut checked = 0;
    for row in recorded["rows"].as_array().unwrap() {
        if row["scope"] != "Values" {
            continue;
        }
        checked += 1;
        let source = row["template"].as_str().unwrap();
        let ours = Template::parse("out", source, &options)
            .and_then(|template| template.render(&context))
            .map(|text| text.expose().to_vec());
        let same = match (&ours, &row["out"]["out"]) {
            (Err(_), _) => row["error"].is_string(),
            (Ok(ours), theirs @ Value::String(_)) => *ours == decoded(theirs),
            (Ok(ours), _) => row["error"].is_null() && ours.is_empty(),
        };
        if !same {
            differences.push(format!(
                "{source}\n    operator: {}\n    ours:     {}",
                match &row["out"]["out"] {
                    Value::Null => format!("error {}", row["error"]),
                    text => format!("{:?}", String::from_utf8_lossy(&decoded(text))),
                },
                match &ours {
                    Ok(text) => format!("{:?}", String::from_utf8_lossy(text)),
                    Err(error) => format!("error {error}"),
                }
            ));
        }
    }
    assert_eq!(checked, 248);
    assert!(
        differences.is_empty(),
        "{} of {checked} rows differ:\n{}",
        differences.len(),
        differences.join("\n")
    );
}

#[test]
fn key_stores_are_as_long_as_those_of_the_operator() {
    let recorded: Value =
        serde_json::from_str(include_str!("../../tests/fixtures/eso/templates.json")).unwrap();
    let mut context = Context::default();
    for (key, value) in recorded["inputs"].as_object().unwrap() {
        context.insert(key, &decoded(value));
    }
    // Measured with the operator's own engine; salts and keys are random, lengths are not.
    for (made, length) in [
        ("pemToPkcs12 .leafcert .rsakey", "2613"),
        ("fullPemToPkcs12 .chain .rsakey", "4261"),
        ("pemToPkcs12 .eccert .eckey", "1058"),
        ("pemTruststoreToPKCS12 .rootcert", "1143"),
        ("pemTruststoreToPKCS12Pass .chain \"p\"", "2967"),
    ] {
        let source = format!("{{{{ {made} | b64dec | len }}}}");
        let rendered = Template::parse("out", &source, &Options::of(Dialect::ExternalSecrets))
            .and_then(|template| template.render(&context))
            .unwrap_or_else(|error| panic!("{source}: {error}"));
        assert_eq!(rendered.expose(), length.as_bytes(), "{made}");
    }
}

#[test]
fn blocks_begin_anywhere_and_keys_of_p256_are_of_sec_1() {
    // Measured with the operator's own engine.
    for (source, wanted) in [
        (
            r#"{{ "junk -----BEGIN X-----\nAQID\n-----END X-----\n" | filterPEM "X" }}"#,
            "-----BEGIN X-----\nAQID\n-----END X-----\n",
        ),
        (
            r#"{{ (genSelfSignedCertWithKey "x" (list) (list) 1 (genPrivateKey "ecdsa")).Key | trunc 30 }}"#,
            "-----BEGIN EC PRIVATE KEY-----",
        ),
        (
            r#"{{ (genSelfSignedCert "x" (list) (list "a.b") 1).Cert | printf "junk %s" | certSANs | toJson }}"#,
            r#"["a.b"]"#,
        ),
    ] {
        let rendered = Template::parse("out", source, &Options::of(Dialect::ExternalSecrets))
            .and_then(|template| template.render(&Context::default()))
            .unwrap_or_else(|error| panic!("{source}: {error}"));
        assert_eq!(rendered.expose(), wanted.as_bytes(), "{source}");
    }
}

fn decoded(text: &Value) -> Vec<u8> {
    base64::decode(text.as_str().unwrap().as_bytes()).unwrap()
}
