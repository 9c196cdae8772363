//! What an answer of Vault means.
//!
//! Vault answers 404 to a key that is not there, to an engine that is not mounted, and to a namespace that does not
//! exist. Only an empty list of `errors` can mean the first, and only under an engine that is known to be a KV engine of
//! the configured version ([`super::kv`] makes sure of that). A proxy's own pages are neither.

use http::StatusCode;

use crate::http::Response;
use crate::json::{Json, Kind};
use crate::outcome::{StoreError, Trouble, shown};

/// What an answer says.
pub(super) enum Verdict<'a> {
    /// Here it is: the whole body.
    Data(Json<'a>),
    /// Done, without a body.
    Done,
    /// A 404 with a body that is about the key: a version that was deleted or destroyed.
    Gone,
    /// A 404 with an empty list of errors: the key is not there, if the engine is.
    Nothing,
    /// The token is not accepted, or it may not do this; Vault says the same for both.
    Refused,
    /// The answer of a read must come later: this node has not seen the last write yet.
    Behind,
    /// Anything else.
    Failed(StoreError),
}

/// Judges an answer. `reveals` is true when the request carried nothing secret, so that the server's words may be shown.
pub(super) fn judge(response: &Response, reveals: bool) -> Verdict<'_> {
    let status = response.status;
    if status == StatusCode::NO_CONTENT {
        return Verdict::Done;
    }
    let body = Json::parse(response.body.expose()).ok();
    let body = body.filter(|body| body.kind() == Kind::Object);
    if status.is_success() {
        return match body {
            Some(body) => Verdict::Data(body),
            None if response.body.is_empty() => Verdict::Done,
            None => Verdict::Failed(malformed(response)),
        };
    }
    let Some(body) = body else {
        return Verdict::Failed(match status.as_u16() {
            429 => throttled(response),
            500.. => StoreError::new(
                Trouble::Unavailable,
                format!(
                    "the server answers {} without a reason of its own",
                    status.as_u16()
                ),
            ),
            _ => malformed(response),
        });
    };
    let errors = body
        .member("errors")
        .filter(|errors| errors.kind() == Kind::Array);
    let said: Vec<String> = errors
        .into_iter()
        .flat_map(Json::elements)
        .filter_map(Json::string)
        .map(|text| text.expose().to_owned())
        .collect();
    let has_data = body
        .member("data")
        .is_some_and(|data| data.kind() == Kind::Object);
    match status.as_u16() {
        403 => Verdict::Refused,
        404 if has_data => Verdict::Gone,
        404 if errors.is_some() && said.is_empty() => Verdict::Nothing,
        412 => Verdict::Behind,
        429 => Verdict::Failed(throttled(response)),
        code => Verdict::Failed(failure(code, &said, body, reveals)),
    }
}

fn failure(code: u16, said: &[String], body: Json<'_>, reveals: bool) -> StoreError {
    let known = said.iter().find_map(|text| known(text));
    let trouble = match (code, known) {
        (_, Some(known)) => known.trouble,
        (500.., None) => Trouble::Unavailable,
        (404, None) => Trouble::Invalid,
        _ => Trouble::Invalid,
    };
    let warned = body.member("warnings").is_some_and(|warnings| {
        warnings
            .elements()
            .filter_map(Json::string)
            .any(|text| text.expose().contains("Invalid path for a versioned K/V"))
    });
    if warned {
        return StoreError::new(
            Trouble::Invalid,
            "the engine keeps versions (v2), and the path is one of an engine without (v1)",
        )
        .public()
        .with_hint("set `version: v2`");
    }
    let reason = match (known, said.first()) {
        (Some(known), _) => known.reason.to_owned(),
        (None, Some(text)) if reveals => format!("the server says: {}", shown(text)),
        _ => format!("the server answers {code}"),
    };
    let error = StoreError::new(trouble, reason);
    match known.and_then(|known| known.hint) {
        Some(hint) => error.with_hint(hint),
        None => error,
    }
}

/// A sentence of the server that is known, and so may be repeated in our words whatever the request was.
#[derive(Clone, Copy)]
struct Known {
    part: &'static str,
    trouble: Trouble,
    reason: &'static str,
    hint: Option<&'static str>,
}

fn known(text: &str) -> Option<Known> {
    KNOWN.into_iter().find(|known| text.contains(known.part))
}

const KNOWN: [Known; 15] = [
    Known {
        part: "no handler for route",
        trouble: Trouble::Invalid,
        reason: "no engine is mounted at this path",
        hint: Some("look at `path` and `namespace` of the store"),
    },
    Known {
        part: "namespace not found",
        trouble: Trouble::Invalid,
        reason: "there is no such namespace",
        hint: Some("look at `namespace` of the store"),
    },
    Known {
        part: "Vault is sealed",
        trouble: Trouble::Unavailable,
        reason: "the server is sealed",
        hint: Some("unseal it"),
    },
    Known {
        part: "is sealed",
        trouble: Trouble::Unavailable,
        reason: "the server is sealed",
        hint: Some("unseal it"),
    },
    Known {
        part: "not initialized",
        trouble: Trouble::Unavailable,
        reason: "the server is not initialized",
        hint: None,
    },
    Known {
        part: "standby",
        trouble: Trouble::Unavailable,
        reason: "the server is a standby that answers no requests",
        hint: Some("ask the active node"),
    },
    Known {
        part: "check-and-set parameter did not match",
        trouble: Trouble::Conflict,
        reason: "another writer was faster: the version to be replaced is not the newest any more",
        hint: None,
    },
    Known {
        part: "check-and-set parameter required",
        trouble: Trouble::Invalid,
        reason: "the engine wants each write to name the version that it replaces",
        hint: Some("set `checkAndSet.required: true` in the store"),
    },
    Known {
        part: "invalid role or secret ID",
        trouble: Trouble::Unauthenticated,
        reason: "the role id or the secret id is not valid",
        hint: None,
    },
    Known {
        part: "invalid secret id",
        trouble: Trouble::Unauthenticated,
        reason: "the secret id is not valid",
        hint: None,
    },
    Known {
        part: "invalid role ID",
        trouble: Trouble::Unauthenticated,
        reason: "the role id is not valid",
        hint: None,
    },
    Known {
        part: "invalid username or password",
        trouble: Trouble::Unauthenticated,
        reason: "the user or the password is wrong",
        hint: None,
    },
    Known {
        part: "no client certificate found",
        trouble: Trouble::Unauthenticated,
        reason: "the connection has no client certificate",
        hint: None,
    },
    Known {
        part: "invalid certificate or no client certificate supplied",
        trouble: Trouble::Unauthenticated,
        reason: "the client certificate is not accepted",
        hint: None,
    },
    Known {
        part: "missing client token",
        trouble: Trouble::Unauthenticated,
        reason: "the request carries no token",
        hint: Some("set `auth` in the store, or put an agent in front that adds a token"),
    },
];

fn throttled(response: &Response) -> StoreError {
    StoreError::new(
        Trouble::Throttled {
            retry_after: response.retry_after(),
        },
        "the server asks for fewer requests",
    )
    .public()
}

fn malformed(response: &Response) -> StoreError {
    let kind = match response.header("content-type") {
        Some(kind) => format!("of type {}", shown(kind)),
        None => "without a type".to_owned(),
    };
    StoreError::new(
        Trouble::Malformed,
        format!(
            "the answer ({}, {kind}) is not one of Vault",
            response.status.as_u16()
        ),
    )
    .with_hint("look at `server`: a proxy or another service may answer there")
}

#[cfg(test)]
mod tests {
    use sealwright_crypto::secret::SecretBytes;

    use super::*;

    fn response(status: u16, body: &str) -> Response {
        let status = StatusCode::from_u16(status).unwrap();
        Response::new(status, SecretBytes::copy_of(body.as_bytes()))
    }

    fn word(status: u16, body: &str) -> String {
        match judge(&response(status, body), true) {
            Verdict::Data(_) => "data".into(),
            Verdict::Done => "done".into(),
            Verdict::Gone => "gone".into(),
            Verdict::Nothing => "nothing".into(),
            Verdict::Refused => "refused".into(),
            Verdict::Behind => "behind".into(),
            Verdict::Failed(error) => error.trouble().name().into(),
        }
    }

    #[test]
    fn only_an_empty_list_of_errors_may_mean_that_nothing_is_there() {
        for (status, body, expected) in [
            (200, r#"{"data": {}}"#, "data"),
            (200, "<html>", "malformed"),
            (200, "[]", "malformed"),
            (204, "", "done"),
            (404, r#"{"errors":[]}"#, "nothing"),
            (404, r#"{"errors": null}"#, "invalid"),
            (404, "{}", "invalid"),
            (404, "", "malformed"),
            (404, "<html>Not Found</html>", "malformed"),
            (
                404,
                r#"{"errors":["no handler for route \"x/data/y\"."]}"#,
                "invalid",
            ),
            (404, r#"{"errors":["namespace not found"]}"#, "invalid"),
            (
                404,
                r#"{"warnings":["Invalid path for a versioned K/V secrets engine."]}"#,
                "invalid",
            ),
            (
                404,
                r#"{"data":{"data":null,"metadata":{"deletion_time":"x"}}}"#,
                "gone",
            ),
            (403, r#"{"errors":["permission denied"]}"#, "refused"),
            (403, "<html>Forbidden</html>", "malformed"),
            (412, r#"{"errors":["x"]}"#, "behind"),
            (429, "", "throttled"),
            (500, "", "unavailable"),
            (502, "<html>Bad Gateway</html>", "unavailable"),
            (503, r#"{"errors":["Vault is sealed"]}"#, "unavailable"),
            (
                400,
                r#"{"errors":["invalid role or secret ID"]}"#,
                "unauthenticated",
            ),
            (400, r#"{"errors":["something"]}"#, "invalid"),
        ] {
            assert_eq!(word(status, body), expected, "{status} {body}");
        }
    }

    #[test]
    fn the_servers_words_are_kept_back_when_the_request_held_a_secret() {
        let answer = response(400, r#"{"errors":["cannot parse canary"]}"#);
        let Verdict::Failed(error) = judge(&answer, false) else {
            panic!("it failed")
        };
        assert!(!format!("{error} {error:?}").contains("canary"));
        let Verdict::Failed(error) = judge(&answer, true) else {
            panic!("it failed")
        };
        assert!(error.to_string().contains("canary"));
    }
}
