//! Log lines in upstream's formats, from this program's own messages only.
//!
//! Libraries are not heard on purpose: the Kubernetes client logs a body it cannot parse, and a
//! body may be a Secret.

use std::fmt::{self, Write as _};
use std::io::Write as _;

use jiff::Timestamp;
use tracing::field::{Field, Visit};
use tracing::span;

/// A level as Go's structured log counts them: DEBUG -4, INFO 0, WARN 4, ERROR 8.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Level(i32);

impl Level {
    /// The default.
    pub(crate) const INFO: Self = Self(0);

    /// Reads `INFO`, `warn`, `ERROR-2`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let at = text.find(['+', '-']).unwrap_or(text.len());
        let (name, offset) = text.split_at(at);
        let base = match name.to_ascii_uppercase().as_str() {
            "DEBUG" => -4,
            "INFO" => 0,
            "WARN" => 4,
            "ERROR" => 8,
            _ => return None,
        };
        let offset = if offset.is_empty() {
            0
        } else {
            offset.parse::<i32>().ok()?
        };
        Some(Self(base + offset))
    }

    /// Reads a level of zap, the library that logs for the External Secrets Operator. Levels above `error` are those of
    /// crashes, which this program does not have.
    pub(crate) fn parse_zap(text: &str) -> Option<Self> {
        Some(Self(match text {
            "debug" => -4,
            "info" => 0,
            "warn" => 4,
            "error" => 8,
            "dpanic" | "panic" | "fatal" => 12,
            _ => return None,
        }))
    }

    fn of(level: &tracing::Level) -> Self {
        Self(match *level {
            tracing::Level::ERROR => 8,
            tracing::Level::WARN => 4,
            tracing::Level::INFO => 0,
            tracing::Level::DEBUG => -4,
            tracing::Level::TRACE => -8,
        })
    }
}

/// What a line looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// `key=value`, as Go's structured log writes it.
    Text,
    /// JSON objects, as Go's structured log writes them.
    Json,
    /// JSON objects, as zap writes them.
    Zap(ZapTime),
}

/// How zap writes the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ZapTime {
    /// Seconds since 1970, with a fraction.
    Epoch,
    /// Milliseconds, with a fraction.
    Millis,
    /// Nanoseconds.
    Nano,
    /// `2006-01-02T15:04:05.000Z`.
    Iso8601,
    /// `2006-01-02T15:04:05Z`.
    Rfc3339,
    /// The same with nanoseconds, without zeros at the end.
    Rfc3339Nano,
}

impl ZapTime {
    /// Reads the name of an encoding.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "epoch" => Self::Epoch,
            "millis" => Self::Millis,
            "nano" => Self::Nano,
            "iso8601" => Self::Iso8601,
            "rfc3339" => Self::Rfc3339,
            "rfc3339nano" => Self::Rfc3339Nano,
            _ => return None,
        })
    }

    fn write(self, now: Timestamp) -> String {
        let nanoseconds = now.as_nanosecond();
        match self {
            Self::Epoch => (nanoseconds as f64 / 1e9).to_string(),
            Self::Millis => (nanoseconds as f64 / 1e6).to_string(),
            Self::Nano => nanoseconds.to_string(),
            Self::Iso8601 => format!("\"{now:.3}\""),
            Self::Rfc3339 => format!("\"{now:.0}\""),
            Self::Rfc3339Nano => format!("\"{now}\""),
        }
    }
}

/// How and where to log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LogSettings {
    /// The least level that is written.
    pub(crate) level: Level,
    /// What a line looks like.
    pub(crate) form: Form,
    /// INFO and below go to stdout.
    pub(crate) info_to_stdout: bool,
}

/// Starts logging for the whole process.
pub(crate) fn start(settings: LogSettings) {
    // It only fails when logging has been started before, which is as good.
    let _ = tracing::subscriber::set_global_default(Log(settings));
}

struct Log(LogSettings);

impl tracing::Subscriber for Log {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.is_event()
            && metadata.target().starts_with("sealwright")
            && Level::of(metadata.level()) >= self.0.level
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let level = event.metadata().level();
        let now = Timestamp::now();
        let line = match self.0.form {
            Form::Text => fields.text(level, now),
            Form::Json => fields.json(level, now),
            Form::Zap(time) => fields.zap(level, time, now),
        };
        // A log that cannot be written is no reason to stop unsealing.
        let _ = if self.0.info_to_stdout && Level::of(level) <= Level::INFO {
            std::io::stdout().lock().write_all(line.as_bytes())
        } else {
            std::io::stderr().lock().write_all(line.as_bytes())
        };
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

#[derive(Default)]
struct Fields {
    message: String,
    others: Vec<(&'static str, String)>,
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value.to_owned());
    }
}

impl Fields {
    fn put(&mut self, field: &Field, value: String) {
        match field.name() {
            "message" => self.message = value,
            name => self.others.push((name, value)),
        }
    }

    /// `time=… level=INFO msg="…" key=value`, as Go's text handler writes it.
    fn text(&self, level: &tracing::Level, now: Timestamp) -> String {
        let mut line = format!("time={now:.3} level={level} msg=");
        push_text(&mut line, &self.message);
        for (name, value) in &self.others {
            line.push(' ');
            line.push_str(name);
            line.push('=');
            push_text(&mut line, value);
        }
        line.push('\n');
        line
    }

    /// `{"level":"info","ts":1700000000.12,"msg":"…"}`, as zap writes it.
    fn zap(&self, level: &tracing::Level, time: ZapTime, now: Timestamp) -> String {
        let level = match *level {
            tracing::Level::ERROR => "error",
            tracing::Level::WARN => "warn",
            tracing::Level::INFO => "info",
            tracing::Level::DEBUG | tracing::Level::TRACE => "debug",
        };
        let time = time.write(now);
        let mut line = format!("{{\"level\":\"{level}\",\"ts\":{time},\"msg\":");
        self.push_json_fields(&mut line);
        line
    }

    fn json(&self, level: &tracing::Level, now: Timestamp) -> String {
        let mut line = format!("{{\"time\":\"{now:.9}\",\"level\":\"{level}\",\"msg\":");
        self.push_json_fields(&mut line);
        line
    }

    fn push_json_fields(&self, line: &mut String) {
        push_json(line, &self.message);
        for (name, value) in &self.others {
            line.push(',');
            push_json(line, name);
            line.push(':');
            push_json(line, value);
        }
        line.push_str("}\n");
    }
}

fn push_text(line: &mut String, value: &str) {
    let plain = !value.is_empty()
        && value
            .chars()
            .all(|c| !c.is_control() && !c.is_whitespace() && !matches!(c, '"' | '=' | '\u{fffd}'));
    if plain {
        line.push_str(value);
        return;
    }
    line.push('"');
    for c in value.chars() {
        match c {
            '"' => line.push_str("\\\""),
            '\\' => line.push_str("\\\\"),
            '\n' => line.push_str("\\n"),
            '\r' => line.push_str("\\r"),
            '\t' => line.push_str("\\t"),
            c if c.is_control() => {
                // Writing to a string cannot fail.
                let _ = write!(line, "\\u{:04x}", u32::from(c));
            }
            c => line.push(c),
        }
    }
    line.push('"');
}

fn push_json(line: &mut String, value: &str) {
    line.push_str(&serde_json::to_string(value).expect("a string is valid JSON"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c77_lines_look_like_those_of_go() {
        let fields = Fields {
            message: "New key written".into(),
            others: vec![
                ("namespace", "kube-system".into()),
                ("error", "a \"b\"\nc".into()),
                ("empty", String::new()),
            ],
        };
        let now = Timestamp::new(1_700_000_000, 120_000_000).unwrap();
        assert_eq!(
            fields.text(&tracing::Level::INFO, now),
            "time=2023-11-14T22:13:20.120Z level=INFO msg=\"New key written\" namespace=kube-system error=\"a \\\"b\\\"\\nc\" empty=\"\"\n"
        );
        let json: serde_json::Value =
            serde_json::from_str(&fields.json(&tracing::Level::WARN, now)).unwrap();
        assert_eq!(json["time"], "2023-11-14T22:13:20.120000000Z");
        assert_eq!(
            (&json["level"], &json["msg"]),
            (&"WARN".into(), &"New key written".into())
        );
        assert_eq!(json["error"], "a \"b\"\nc");
    }

    #[test]
    fn c21_levels_with_offsets() {
        assert_eq!(Level::parse("error"), Some(Level(8)));
        assert_eq!(Level::parse("INFO+2"), Some(Level(2)));
        assert_eq!(Level::parse("DEBUG-1"), Some(Level(-5)));
        assert_eq!(Level::parse("loud"), None);
    }

    #[test]
    fn e13_e14_lines_look_like_those_of_zap() {
        let fields = Fields {
            message: "starting".into(),
            others: vec![("name", "a".into())],
        };
        let now = Timestamp::new(1_700_000_000, 120_000_000).unwrap();
        for (encoding, time) in [
            ("epoch", "1700000000.12"),
            ("millis", "1700000000120"),
            ("nano", "1700000000120000000"),
            ("iso8601", "\"2023-11-14T22:13:20.120Z\""),
            ("rfc3339", "\"2023-11-14T22:13:20Z\""),
            ("rfc3339nano", "\"2023-11-14T22:13:20.12Z\""),
        ] {
            let encoding = ZapTime::parse(encoding).unwrap();
            assert_eq!(
                fields.zap(&tracing::Level::WARN, encoding, now),
                format!(
                    "{{\"level\":\"warn\",\"ts\":{time},\"msg\":\"starting\",\"name\":\"a\"}}\n"
                )
            );
        }
        assert!(Level::parse_zap("error") < Level::parse_zap("fatal"));
        assert_eq!(Level::parse_zap("INFO"), None);
    }
}
