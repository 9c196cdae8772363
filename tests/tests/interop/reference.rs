//! The pages of the book that the controller writes: its flags, its metrics and its custom resources. `SEALWRIGHT_WRITE=1` writes
//! them again.

use std::fmt::Write as _;
use std::process::Command;

use sealwright_tests::harness::programs;
use serde_json::Value;

use crate::page::compare;

fn output(words: &[&str]) -> String {
    programs::output(Command::new(programs::sealwright_controller()).args(words)).unwrap()
}

#[test]
fn the_reference_of_the_controller_is_what_it_says() {
    let mut page = "# The controller\n\n\
        One program with the flags of two: called plainly, or as `sealed-secrets`, its defaults are those of the Sealed Secrets controller; called as\n\
        `external-secrets`, or with that as its first word, those of the External Secrets Operator. Both take all flags.\n"
        .to_owned();
    for (title, words) in [
        ("As Sealed Secrets", &["--help"][..]),
        ("As External Secrets", &["external-secrets", "--help"]),
        (
            "As the webhook of External Secrets",
            &["external-secrets", "webhook", "--help"],
        ),
        (
            "As its certcontroller",
            &["external-secrets", "certcontroller", "--help"],
        ),
    ] {
        // Programs in Go print it to standard error.
        let output = Command::new(programs::sealwright_controller())
            .args(words)
            .output()
            .unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.lines().count() > 5, "{words:?} prints its flags");
        write!(page, "\n## {title}\n\n```text\n{}\n```\n", text.trim_end()).unwrap();
    }
    compare("controller.md", &page);
}

#[test]
fn the_reference_of_the_metrics_is_what_the_controller_prints() {
    let table = output(&["metrics"]);
    assert!(table.lines().count() > 40, "{table}");
    let page = format!(
        "# Metrics\n\n\
        What the controller exposes at `/metrics` of its metrics port (8081), in Prometheus' text format 0.0.4. `sealwright-controller metrics` prints this list.\n\n\
        Names that do not begin with `sealwright_` are those of the Sealed Secrets controller, of the External Secrets Operator, or of what controllers and processes in Go\n\
        expose. Series of single objects are exposed by the replica that leads; a metric of something that has not happened yet has no series.\n\n\
        {table}\n\
        With `--enable-extended-metric-labels`, series of ExternalSecrets and what belongs to them have the labels `app_kubernetes_io_name`, `…_instance`, `…_version`,\n\
        `…_component`, `…_part_of` and `…_managed_by` of their objects, too. With `--metrics-omit-secret-labels` there is no `sealed_secrets_controller_condition_info`.\n\n\
        Alerts on these metrics come with the chart; each has a [runbook](../runbooks.md).\n"
    );
    compare("metrics.md", &page);
}

/// Lists the fields of a schema down to a depth; further down are the fields of single providers.
fn fields(schema: &Value, path: &str, page: &mut String) {
    const DEPTH: usize = 5;
    let required: Vec<&str> = schema["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let here = format!("{path}.{name}");
        let kind = field["type"].as_str().unwrap_or_default();
        let need = if required.contains(&name.as_str()) {
            " (required)"
        } else {
            ""
        };
        let text = field["description"].as_str().unwrap_or_default();
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let text = text
            .replace('|', "\\|")
            .replace('<', "&lt;")
            .replace("{{", "&#123;{");
        writeln!(
            page,
            "| `{}` | {kind}{need} | {text} |",
            here.trim_start_matches('.')
        )
        .unwrap();
        if here.matches('.').count() < DEPTH {
            fields(field, &here, page);
            fields(&field["items"], &format!("{here}[]"), page);
        }
    }
}

#[test]
fn the_reference_of_the_resources_is_their_definitions() {
    let mut page = "# Custom resources\n\n\
        The fields of every kind, from the definitions that `sealwright-controller crd` and `sealwright-controller external-secrets crd` print. What single providers take is on\n\
        the pages of the [stores](../stores/index.md).\n"
        .to_owned();
    for words in [&["crd"][..], &["external-secrets", "crd"]] {
        let text = output(words);
        let definitions = sealwright_resources::manifest::read_values(text.as_bytes()).unwrap();
        assert!(!definitions.is_empty());
        for definition in &definitions {
            let spec = &definition["spec"];
            let mut versions = spec["versions"].as_array().unwrap().iter();
            let version = versions
                .rfind(|version| version["storage"] == true)
                .unwrap();
            let (group, kind) = (
                spec["group"].as_str().unwrap(),
                spec["names"]["kind"].as_str().unwrap(),
            );
            let name = version["name"].as_str().unwrap();
            let scope = spec["scope"].as_str().unwrap().to_lowercase();
            write!(
                page,
                "\n## {kind}\n\n`apiVersion: {group}/{name}`, {scope}.\n\n| field | type | meaning |\n|---|---|---|\n"
            )
            .unwrap();
            let schema = &version["schema"]["openAPIV3Schema"];
            for part in ["spec", "status"] {
                fields(&schema["properties"][part], part, &mut page);
            }
        }
    }
    compare("resources.md", &page);
}
