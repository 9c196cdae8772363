//! What Google's answers mean.

use crate::bearer::{Call, Dialect, Refusal};
use crate::json::Json;
use crate::outcome::{StoreError, Trouble, shown};

/// How Google's services refuse: `{"error": {"code": 403, "status": "PERMISSION_DENIED", "message": "…"}}`.
pub(super) struct GoogleErrors;

impl Dialect for GoogleErrors {
    fn refusal(&self, status: u16, body: Json<'_>, call: &Call<'_>) -> Option<Refusal> {
        let error = body.member("error")?;
        // A proxy's page has no code that agrees with its status.
        if error.member("code")?.integer()? != i64::from(status) {
            return None;
        }
        let text = |name: &str| {
            let text = error.member(name).and_then(Json::string);
            text.map(|text| text.expose().to_owned())
                .unwrap_or_default()
        };
        let (mut code, message) = (text("status"), text("message"));
        if code.is_empty() {
            // Cloud Storage has reasons in the place of a status.
            let errors = error.member("errors")?;
            let reason = errors.elements().next()?.member("reason")?.string()?;
            code = match status {
                401 => "UNAUTHENTICATED".to_owned(),
                403 => "PERMISSION_DENIED".to_owned(),
                404 => "NOT_FOUND".to_owned(),
                _ => reason.expose().to_owned(),
            };
        }
        let trouble = match code.as_str() {
            "PERMISSION_DENIED" => Trouble::Forbidden,
            "UNAUTHENTICATED" => Trouble::Unauthenticated,
            "RESOURCE_EXHAUSTED" => Trouble::Throttled { retry_after: None },
            "NOT_FOUND" => Trouble::Missing,
            "ALREADY_EXISTS" | "ABORTED" => Trouble::Conflict,
            "UNAVAILABLE" | "INTERNAL" | "DEADLINE_EXCEEDED" | "UNKNOWN" | "CANCELLED" => {
                Trouble::Unavailable
            }
            _ if status == 429 => Trouble::Throttled { retry_after: None },
            _ if status >= 500 => Trouble::Unavailable,
            _ => Trouble::Invalid,
        };
        // The text about a request that carries a secret may repeat it.
        let told = !call.carries_secret || trouble == Trouble::Forbidden;
        let reason = match told && !message.is_empty() {
            true => format!("{}: {}", shown(&code), shown(&message)),
            false => shown(&code),
        };
        let mut error = StoreError::new(trouble, reason);
        if trouble == Trouble::Forbidden {
            error = error.lacking(call.permission).with_hint(format!(
                "grant {} to this principal in IAM",
                call.permission
            ));
        }
        Some(Refusal {
            code,
            message,
            error,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::url::Url;

    #[test]
    fn only_googles_own_errors_count() {
        let url = Url::parse("https://x").unwrap();
        let mut call = Call::get(url, "read x", "secretmanager.versions.access");
        let refusal = |call: &Call<'_>, status, text: &str| {
            let json = Json::parse(text.as_bytes()).unwrap();
            GoogleErrors.refusal(status, json, call)
        };
        let text =
            r#"{"error": {"code": 403, "status": "PERMISSION_DENIED", "message": "canary"}}"#;
        let denied = refusal(&call, 403, text).unwrap();
        assert_eq!(denied.error.trouble(), Trouble::Forbidden);
        assert_eq!(
            denied.error.permission(),
            Some("secretmanager.versions.access")
        );
        assert!(refusal(&call, 404, text).is_none());
        let storage =
            r#"{"error": {"code": 404, "message": "m", "errors": [{"reason": "notFound"}]}}"#;
        let missing = refusal(&call, 404, storage).unwrap();
        assert_eq!(missing.error.reason(), "NOT_FOUND: m");
        assert!(refusal(&call, 404, r#"{"error": "not found"}"#).is_none());
        assert!(refusal(&call, 404, r#"{"message": "x", "code": 5}"#).is_none());
        call.carries_secret = true;
        let text = r#"{"error": {"code": 400, "status": "INVALID_ARGUMENT", "message": "canary"}}"#;
        let invalid = refusal(&call, 400, text).unwrap();
        assert!(!invalid.error.to_string().contains("canary"));
    }
}
