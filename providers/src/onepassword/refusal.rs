//! What the refusals of a Connect server mean.

use crate::bearer::{Call, Dialect, Refusal};
use crate::json::Json;
use crate::message::name_in;
use crate::outcome::{StoreError, Trouble, shown};

/// How a Connect server refuses: `{"status": 401, "message": "Invalid token signature"}`.
pub(super) struct ConnectErrors;

impl Dialect for ConnectErrors {
    fn lists(&self) -> bool {
        true
    }

    fn refusal(&self, status: u16, body: Json<'_>, call: &Call<'_>) -> Option<Refusal> {
        let text = name_in(body, "message")?;
        if body.member("status")?.integer()? != i64::from(status) {
            return None;
        }
        let trouble = match status {
            401 => Trouble::Unauthenticated,
            403 => Trouble::Forbidden,
            404 => Trouble::Missing,
            409 => Trouble::Conflict,
            413 => Trouble::TooLarge,
            429 => Trouble::Throttled { retry_after: None },
            500.. => Trouble::Unavailable,
            _ => Trouble::Invalid,
        };
        // The text about a request that carries a secret may repeat it.
        let reason = match call.carries_secret {
            true => format!("the Connect server refused with HTTP status {status}"),
            false => shown(&text),
        };
        let mut error = StoreError::new(trouble, reason);
        if trouble == Trouble::Forbidden {
            let hint = format!("give the Connect token {}", call.permission);
            error = error.lacking(call.permission).with_hint(hint);
        }
        Some(Refusal {
            code: status.to_string(),
            message: text,
            error,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::url::Url;

    #[test]
    fn only_refusals_of_the_server_count() {
        let url = Url::parse("https://connect").unwrap();
        let call = Call::get(url, "read x", "read access");
        let refusal =
            |text: &str| ConnectErrors.refusal(404, Json::parse(text.as_bytes()).unwrap(), &call);
        let told = refusal(r#"{"status": 404, "message": "vault not found"}"#).unwrap();
        assert_eq!(told.error.trouble(), Trouble::Missing);
        for foreign in [
            r#"{"status": 403, "message": "no"}"#,
            r#"{"message": "Not Found"}"#,
            r#"{"status": "404"}"#,
        ] {
            assert!(refusal(foreign).is_none(), "{foreign}");
        }
    }
}
