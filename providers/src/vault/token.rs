//! Tokens: how long each is good, whose it is, and what the server says about it.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use http::header::HeaderValue;

use crate::http::secret_header;
use crate::json::Json;
use crate::outcome::{StoreError, Trouble, shown};

/// A server may say anything; a token is not taken for longer-lived than this.
const LONGEST_LEASE: Duration = Duration::from_secs(365 * 24 * 3600);

/// How long before its end a token counts as ended; of short-lived tokens a third of their life.
const MARGIN: Duration = Duration::from_secs(60);
/// For how long the server's word about a token is believed.
const TRUSTED: Duration = Duration::from_secs(10);
/// How large a token may be.
const LARGEST: usize = 64 * 1024;
/// How many bytes of the names of policies a person gets to read.
const MOST_SHOWN: usize = 1000;

/// A token, and what is known about it.
pub(super) struct Token {
    pub(super) header: HeaderValue,
    /// `None` for one that never ends, or of which that is not known.
    pub(super) ends: Option<Instant>,
    pub(super) lease: Duration,
    pub(super) renewable: bool,
    /// Whether it was signed in for, and so is this store's to renew, replace and revoke.
    pub(super) own: bool,
    pub(super) batch: bool,
    pub(super) principal: Option<String>,
    /// When the server last said that the token is good.
    pub(super) known_good: Mutex<Option<Instant>>,
}

impl Token {
    pub(super) fn is_usable(&self) -> bool {
        let margin = MARGIN.min(self.lease / 3);
        self.ends
            .is_none_or(|ends| ends.saturating_duration_since(Instant::now()) > margin)
    }

    pub(super) fn is_known_good(&self) -> bool {
        let known = *self
            .known_good
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        known.is_some_and(|at| at.elapsed() < TRUSTED)
    }

    pub(super) fn mark_good(&self) {
        *self
            .known_good
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }
}

/// What `lookup-self` says about a token.
#[derive(Clone, Debug, Default)]
pub(crate) struct TokenFacts {
    pub(crate) principal: String,
    pub(crate) lease: Option<Duration>,
    pub(crate) renewable: bool,
    pub(crate) batch: bool,
}

/// Reads the token of a login or a renewal.
pub(super) fn read_token(body: Json<'_>) -> Result<Token, StoreError> {
    let missing = || StoreError::new(Trouble::Malformed, "the answer to the login holds no token");
    let auth = body.member("auth").ok_or_else(missing)?;
    let secret = auth
        .member("client_token")
        .and_then(Json::string)
        .filter(|token| (1..=LARGEST).contains(&token.expose().len()))
        .ok_or_else(missing)?;
    let seconds = auth.member("lease_duration").and_then(Json::integer);
    let lease = Duration::from_secs(seconds.and_then(|s| u64::try_from(s).ok()).unwrap_or(0));
    let lease = lease.min(LONGEST_LEASE);
    let text = |name| auth.member(name).and_then(Json::string);
    let metadata = auth.member("metadata").into_iter().flat_map(Json::members);
    let named = metadata
        .filter(|(name, _)| matches!(name.expose(), "role_name" | "role" | "username"))
        .find_map(|(_, value)| value.string());
    let policies = names(auth.member("token_policies").or(auth.member("policies")));
    let principal = match named {
        Some(name) => format!(
            "{} with the policies {}",
            shown(name.expose()),
            policies.join(", ")
        ),
        None => format!("a token with the policies {}", policies.join(", ")),
    };
    Ok(Token {
        header: secret_header(secret.into())?,
        ends: (!lease.is_zero()).then(|| Instant::now() + lease),
        lease,
        renewable: auth.member("renewable").is_some_and(Json::is_true),
        own: true,
        batch: text("token_type").is_some_and(|kind| kind.expose() == "batch"),
        principal: Some(principal),
        known_good: Mutex::new(None),
    })
}

pub(super) fn token_facts(data: Json<'_>) -> TokenFacts {
    let text = |name| {
        data.member(name)
            .and_then(Json::string)
            .map(|text| shown(text.expose()))
    };
    let policies = names(data.member("policies"));
    let name = text("display_name").unwrap_or_else(|| "token".to_owned());
    TokenFacts {
        principal: format!("{name} with the policies {}", policies.join(", ")),
        lease: data
            .member("ttl")
            .and_then(Json::integer)
            .and_then(|seconds| u64::try_from(seconds).ok())
            .filter(|seconds| *seconds > 0)
            .map(Duration::from_secs),
        renewable: data.member("renewable").is_some_and(Json::is_true),
        batch: text("type").as_deref() == Some("batch"),
    }
}

/// The names of a list, as far as a person reads them: an error repeats them, and a server may send a million.
fn names(list: Option<Json<'_>>) -> Vec<String> {
    let mut names = Vec::new();
    let mut length = 0;
    let all = list.into_iter().flat_map(Json::elements);
    for name in all.filter_map(Json::string) {
        let name = shown(name.expose());
        length += name.len();
        if length > MOST_SHOWN {
            names.push("…".to_owned());
            break;
        }
        names.push(name);
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_with_many_policies_or_a_huge_token_has_bounds() {
        let policies = vec!["a-policy"; 1000];
        let answer = serde_json::json!({"auth": {"client_token": "t", "token_policies": policies}});
        let answer = answer.to_string();
        let token = read_token(Json::parse(answer.as_bytes()).unwrap()).unwrap();
        let principal = token.principal.unwrap();
        assert_eq!(principal.matches("a-policy").count(), MOST_SHOWN / 8);
        assert!(principal.ends_with(", …"), "{principal}");
        let answer = serde_json::json!({"auth": {"client_token": "t".repeat(LARGEST + 1)}});
        let answer = answer.to_string();
        let error = read_token(Json::parse(answer.as_bytes()).unwrap()).err();
        assert_eq!(error.unwrap().trouble(), Trouble::Malformed);
    }

    #[test]
    fn no_lease_is_too_long() {
        let answer = br#"{"auth": {"client_token": "t", "lease_duration": 9223372036854775807}}"#;
        let body = Json::parse(answer).unwrap();
        let token = read_token(body).unwrap();
        assert_eq!(token.lease, LONGEST_LEASE);
        assert!(token.is_usable());
    }
}
