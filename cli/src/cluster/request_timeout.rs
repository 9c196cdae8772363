//! The time limit of one request to a cluster, which the server is told of, too.

use std::time::Duration;

use super::{ClusterError, told};

/// No limit, or one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct RequestTimeout(Option<Duration>);

impl RequestTimeout {
    /// Reads a number of seconds or a duration in Go's syntax; zero is no limit.
    pub(super) fn parse(text: Option<&str>) -> Result<Self, ClusterError> {
        let Some(text) = text else {
            return Ok(Self(None));
        };
        let duration = read(text).ok_or_else(|| ClusterError::Timeout(text.to_owned()))?;
        Ok(Self(Some(duration).filter(|time| !time.is_zero())))
    }

    /// What stands behind the path of every request.
    pub(super) fn query(self) -> String {
        self.0.map_or_else(String::new, |time| {
            format!("?timeout={}", write(time).replace('µ', "%C2%B5"))
        })
    }

    /// Waits for an answer no longer than the limit.
    pub(super) async fn limit<T>(
        self,
        work: impl Future<Output = Result<T, kube::Error>>,
    ) -> Result<T, String> {
        let answer = match self.0 {
            None => work.await,
            Some(time) => tokio::time::timeout(time, work).await.map_err(|_| {
                format!("no answer within the --request-timeout of {}", write(time))
            })?,
        };
        answer.map_err(|error| told(&error))
    }
}

/// Reads Go's durations, and a bare number of seconds.
fn read(text: &str) -> Option<Duration> {
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let mut rest = text;
    let mut total = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let unit_len = rest
            .find(|letter: char| letter.is_ascii_digit())
            .unwrap_or(rest.len());
        total += number
            * match &rest[..unit_len] {
                "ns" => 1e-9,
                "us" | "µs" => 1e-6,
                "ms" => 1e-3,
                "s" => 1.0,
                "m" => 60.0,
                "h" => 3600.0,
                _ => return None,
            };
        rest = &rest[unit_len..];
    }
    Duration::try_from_secs_f64(total).ok()
}

/// Writes a duration as Go does: `1h0m5s`, `1m30s`, `1.5s`, `250ms`.
fn write(time: Duration) -> String {
    let nanos = time.as_nanos();
    let (minutes, nanos) = match nanos {
        0..1_000 => return format!("{nanos}ns"),
        1_000..1_000_000 => return fraction(nanos, 1_000) + "µs",
        1_000_000..1_000_000_000 => return fraction(nanos, 1_000_000) + "ms",
        _ => (time.as_secs() / 60, nanos % 60_000_000_000),
    };
    let seconds = fraction(nanos, 1_000_000_000) + "s";
    match (minutes / 60, minutes % 60) {
        (0, 0) => seconds,
        (0, minutes) => format!("{minutes}m{seconds}"),
        (hours, minutes) => format!("{hours}h{minutes}m{seconds}"),
    }
}

/// `value / unit` as a decimal number without zeros at its end.
fn fraction(value: u128, unit: u128) -> String {
    let whole = value / unit;
    let rest = (unit + value % unit).to_string();
    let rest = rest[1..].trim_end_matches('0');
    if rest.is_empty() {
        whole.to_string()
    } else {
        format!("{whole}.{rest}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn k40_durations() {
        for (text, expected) in [
            ("5", "?timeout=5s"),
            ("1m30s", "?timeout=1m30s"),
            ("90s", "?timeout=1m30s"),
            ("1h", "?timeout=1h0m0s"),
            ("1.5s", "?timeout=1.5s"),
            ("250ms", "?timeout=250ms"),
            ("1500us", "?timeout=1.5ms"),
            ("2us", "?timeout=2%C2%B5s"),
            ("7ns", "?timeout=7ns"),
            ("0", ""),
            ("0s", ""),
        ] {
            let timeout = RequestTimeout::parse(Some(text)).unwrap();
            assert_eq!(timeout.query(), expected, "{text}");
        }
        assert_eq!(RequestTimeout::parse(None).unwrap().query(), "");
        for text in ["soon", "-5s", "5 s", "s"] {
            assert!(RequestTimeout::parse(Some(text)).is_err(), "{text}");
        }
    }
}
