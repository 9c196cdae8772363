//! The pages of the book that the program writes: the reference of the command line and of the configuration.
//! `SEALWRIGHT_WRITE=1` writes them again.

use serde_json::Value;
use std::fmt::Write as _;

use super::desk::Desk;
use super::page::compare;

/// The help of a verb, and of those below it.
fn help(desk: &Desk, words: &[&str], page: &mut String) {
    let text = desk.run([words, &["--help"]].concat()).good();
    // What all verbs have is shown once.
    let own = match words {
        [] => &text[..],
        _ => text.split("\nGlobal options:\n").next().unwrap(),
    };
    let name = ["sealwright"]
        .iter()
        .chain(words)
        .copied()
        .collect::<Vec<_>>();
    let level = "#".repeat(1 + name.len().min(3));
    write!(
        page,
        "\n{level} {}\n\n```text\n{}\n```\n",
        name.join(" "),
        own.trim_end()
    )
    .unwrap();
    let verbs = text.split("\nCommands:\n").nth(1).unwrap_or_default();
    let verbs = verbs.lines().take_while(|line| !line.is_empty());
    for line in verbs {
        let is_verb = line.starts_with("  ") && !line.starts_with("   ");
        let verb = line.split_whitespace().next().unwrap_or_default();
        if is_verb && verb != "help" {
            help(desk, &[words, &[verb]].concat(), page);
        }
    }
}

#[test]
fn the_reference_of_the_command_line_is_what_the_program_says() {
    let desk = Desk::new();
    let mut page = "# The command line\n\n\
        What `--help` prints, verb by verb; `sealwright man` has the same as manual pages. Called as `sops` or `kubeseal`, the program has the\n\
        flags of those.\n"
        .to_owned();
    help(&desk, &[], &mut page);
    assert!(
        page.contains("\n### sealwright recipients\n") || page.contains("sealwright recipients")
    );
    compare("command-line.md", &page);
}

/// Lists the fields of a schema; a part that holds itself is listed once.
fn fields(root: &Value, schema: &Value, path: &str, above: &[&str], page: &mut String) {
    let reference = schema["$ref"].as_str();
    let (schema, above) = match reference {
        Some(reference) if above.contains(&reference) => return,
        Some(reference) => {
            let part = &root["$defs"][reference.rsplit('/').next().unwrap()];
            (part, [above, &[reference]].concat())
        }
        None => (schema, above.to_vec()),
    };
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let here = match path {
            "" => name.clone(),
            path => format!("{path}.{name}"),
        };
        let kind = match &field["type"] {
            Value::String(kind) => kind.clone(),
            Value::Array(kinds) => {
                let kinds = kinds.iter().filter_map(Value::as_str);
                let kinds = kinds.filter(|kind| *kind != "null");
                kinds.collect::<Vec<_>>().join(" or ")
            }
            _ => String::new(),
        };
        let text = field["description"].as_str().unwrap_or_default();
        let text = text.replace('|', "\\|");
        writeln!(page, "| `{here}` | {kind} | {text} |").unwrap();
        fields(root, field, &here, &above, page);
        fields(root, &field["items"], &format!("{here}[]"), &above, page);
    }
    for part in schema["anyOf"].as_array().into_iter().flatten() {
        fields(root, part, path, &above, page);
    }
}

#[test]
fn the_reference_of_the_configuration_is_its_schema() {
    let desk = Desk::new();
    let schema: Value = serde_json::from_str(&desk.run(["config", "schema"]).good()).unwrap();
    let mut page = "# The configuration file\n\n\
        `.sops.yaml`, or `.sops.yml`, in the folder of a file or one above it. The fields are those of sops; `sealwright config schema` prints the JSON schema\n\
        for editors, `sealwright config check` says what is wrong with a file, and `sealwright config explain FILE` which rule a file falls under.\n\n\
        | field | type | meaning |\n|---|---|---|\n"
        .to_owned();
    fields(&schema, &schema, "", &[], &mut page);
    compare("configuration.md", &page);
}
