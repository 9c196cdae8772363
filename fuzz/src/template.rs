//! Templates: whatever they are, they end, and their errors hold no value.

use std::time::Duration;

use sealwright_template::{Context, Dialect, Limits, Options, Template};

/// Stands in the data and must never stand in an error.
const CANARY: &str = "canary-7b1f";

/// Renders a text as a template of either dialect.
pub fn template(bytes: &[u8]) {
    let Ok(source) = std::str::from_utf8(bytes) else {
        return;
    };
    if source.contains(CANARY) {
        return;
    }
    let limits = Limits {
        time: Duration::from_millis(200),
        memory: 2 * 1024 * 1024,
    };
    let mut context = Context::default();
    context.insert("secret", CANARY.as_bytes());
    context.insert("bytes", b"\xff\x00\xfe");
    context.insert("json", br#"{"a": [1, "x", null]}"#);
    for dialect in [Dialect::SealedSecrets, Dialect::ExternalSecrets] {
        let options = Options::of(dialect).with_limits(limits);
        let rendered =
            Template::parse("t", source, &options).and_then(|template| template.render(&context));
        match rendered {
            Ok(text) => assert!(text.len() <= limits.memory, "more than there may be"),
            Err(error) => {
                let text = format!("{error} {}", error.public_text());
                assert!(!text.contains(CANARY), "{text}");
            }
        }
    }
}
