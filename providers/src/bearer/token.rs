//! Access tokens: fetched once for all waiting callers, and cached until shortly before they expire.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::{HeaderMap, Method};
use sealwright_crypto::secret::{SecretBytes, SecretText};
use tokio::sync::Mutex;

use crate::credential::{Credentials, Scope};
use crate::http::url::Url;
use crate::http::{HttpClient, Request, Response};
use crate::json::{Json, Kind};
use crate::outcome::{StoreError, Trouble, shown};
use crate::settings::SecretKeySelector;

/// How long before its expiry a token is no longer used.
const MARGIN: Duration = Duration::from_secs(60);
/// How long a token of unknown lifetime is used.
const SHORT: Duration = Duration::from_secs(300);
/// The longest lifetime that is believed. The service sends the number, and adding an arbitrary one to the current time could
/// overflow.
const LONGEST: Duration = Duration::from_secs(24 * 3600);
/// How large a token may be.
const LARGEST: usize = 64 * 1024;

/// A token, and the time until which it is used.
pub(crate) struct AccessToken {
    text: SecretText,
    until: Instant,
    /// Its lifetime, if the service stated one; at most a day.
    pub(crate) lifetime: Option<Duration>,
    /// Additional headers for requests that use this token.
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
}

impl AccessToken {
    /// Creates a token with the lifetime that the service stated.
    pub(crate) fn new(text: SecretText, lifetime: Option<Duration>) -> Self {
        let told = lifetime.map(|lifetime| lifetime.min(LONGEST));
        let lifetime = told.unwrap_or(SHORT);
        // A token with a lifetime below two minutes is used for half of it.
        let used = lifetime.saturating_sub(MARGIN).max(lifetime / 2);
        Self {
            text,
            until: Instant::now() + used,
            lifetime: told,
            headers: Vec::new(),
        }
    }

    /// Returns the authorization header for a request.
    pub(crate) fn header(&self) -> Result<HeaderValue, StoreError> {
        super::bearer(&self.text)
    }

    /// Returns the text itself, for exchanging it for another token.
    pub(crate) fn expose(&self) -> &str {
        self.text.expose()
    }
}

/// A source of tokens.
pub(crate) trait TokenSource: Send + Sync {
    /// Gets a fresh token.
    fn fetch(&self) -> BoxFuture<'_, Result<AccessToken, StoreError>>;
    /// Returns the identity that the service is asked as, as far as it is known.
    fn principal(&self) -> String;
}

/// The tokens of one store or key service.
pub(crate) struct Tokens {
    source: Box<dyn TokenSource>,
    kept: Mutex<Option<Arc<AccessToken>>>,
}

impl Tokens {
    pub(crate) fn new(source: Box<dyn TokenSource>) -> Self {
        Self {
            source,
            kept: Mutex::new(None),
        }
    }

    /// Returns a token that is still good.
    pub(crate) async fn current(&self) -> Result<Arc<AccessToken>, StoreError> {
        // Held during sign-in, so that all waiting callers share one.
        let mut kept = self.kept.lock().await;
        if let Some(token) = kept.as_ref().filter(|token| token.until > Instant::now()) {
            return Ok(Arc::clone(token));
        }
        let fresh = Arc::new(self.source.fetch().await?);
        *kept = Some(Arc::clone(&fresh));
        Ok(fresh)
    }

    /// Discards a token that the service rejected, unless it was replaced in the meantime.
    pub(crate) async fn discard(&self, refused: &Arc<AccessToken>) {
        let mut kept = self.kept.lock().await;
        if kept.as_ref().is_some_and(|kept| Arc::ptr_eq(kept, refused)) {
            *kept = None;
        }
    }

    /// As whom the service is asked.
    pub(crate) fn principal(&self) -> String {
        self.source.principal()
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tokens({})", self.principal())
    }
}

/// Requests a token with a form, as in OAuth 2.0.
pub(crate) async fn ask_with_form(
    http: &HttpClient,
    url: &Url,
    form: SecretBytes,
) -> Result<AccessToken, StoreError> {
    let mut request = Request::new(Method::POST, url.clone()).header(
        CONTENT_TYPE,
        HeaderValue::from_static("application/x-www-form-urlencoded"),
    );
    request.body = Some(form);
    ask(http, request, "access_token").await
}

/// Sends a request whose response holds a token under a given name.
pub(crate) async fn ask(
    http: &HttpClient,
    request: Request,
    member: &str,
) -> Result<AccessToken, StoreError> {
    let place = request.url.to_string();
    let attempt = || format!("get a token from {place}");
    let answer = http.call(request).await;
    let answer = answer.map_err(|error| StoreError::from(error).while_trying(attempt()))?;
    read(&answer, member).map_err(|error| error.while_trying(attempt()))
}

fn read(answer: &Response, member: &str) -> Result<AccessToken, StoreError> {
    let status = answer.status.as_u16();
    let json = Json::parse(answer.body.expose()).ok();
    let json = json.filter(|json| json.kind() == Kind::Object);
    let foreign = || {
        StoreError::new(
            Trouble::Malformed,
            format!("the answer (HTTP status {status}) is none of a token service"),
        )
    };
    if !(200..300).contains(&status) {
        let retry_after = answer.retry_after();
        return Err(match (status, json.and_then(code_of)) {
            (429, _) => StoreError::new(Trouble::Throttled { retry_after }, "too many requests"),
            (500.., _) => StoreError::new(
                Trouble::Unavailable,
                format!("the token service failed with HTTP status {status}"),
            ),
            // The error text may echo what was sent; the error code is a word.
            (400..=404, Some(code)) => StoreError::new(
                Trouble::Unauthenticated,
                format!("the token service refused: {code}"),
            ),
            _ => foreign(),
        });
    }
    let json = json.ok_or_else(foreign)?;
    let token = json.member(member).and_then(Json::string);
    let token = token.filter(|token| (1..=LARGEST).contains(&token.expose().len()));
    Ok(AccessToken::new(
        token.ok_or_else(foreign)?,
        lifetime_of(json),
    ))
}

/// Returns the error code of a refusal: that of OAuth 2.0, or the status in Google's own format.
fn code_of(json: Json<'_>) -> Option<String> {
    let Some(error) = json.member("error") else {
        // Doppler sends a flag and messages, but no code.
        let refused = json.member("success")?.kind() == Kind::Bool;
        return refused.then(|| "it does not accept the token".to_owned());
    };
    let code = error
        .string()
        .or_else(|| error.member("status")?.string())?;
    if !is_word(code.expose()) {
        return Some("its code is none of OAuth".to_owned());
    }
    // Azure's own codes are more specific than those of OAuth: AADSTS7000215 is a wrong secret.
    let detail = json.member("error_description").and_then(Json::string);
    let detail = detail.and_then(|text| {
        let first = text.expose().split([':', ' ']).next()?.to_owned();
        let number = first.strip_prefix("AADSTS")?;
        let is_number = number.len() < 12 && number.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then_some(first)
    });
    Some(match detail {
        Some(detail) => format!("{} ({})", shown(code.expose()), shown(&detail)),
        None => shown(code.expose()),
    })
}

/// Returns true if a code is a plain word and not an echo of what was sent: secrets and tokens contain digits or are longer.
fn is_word(code: &str) -> bool {
    let of_word = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
    (1..=40).contains(&code.len()) && code.bytes().all(of_word)
}

fn lifetime_of(json: Json<'_>) -> Option<Duration> {
    let seconds = |name: &str| {
        let value = json.member(name)?;
        // Metadata services send numbers as strings.
        let number = value
            .integer()
            .or_else(|| value.string()?.expose().parse().ok())?;
        u64::try_from(number).ok()
    };
    if let Some(seconds) = seconds("expires_in") {
        return Some(Duration::from_secs(seconds));
    }
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let now = now.unwrap_or_default().as_secs();
    let until = |end: u64| Duration::from_secs(end.saturating_sub(now));
    if let Some(end) = seconds("expires_on") {
        return Some(until(end));
    }
    let text = ["expireTime", "expires_at"]
        .iter()
        .find_map(|name| json.member(name)?.string())?;
    let end: jiff::Timestamp = text.expose().parse().ok()?;
    Some(until(u64::try_from(end.as_second()).ok()?))
}

/// A token in a Secret, read again whenever the service rejects the previous one.
pub(crate) struct OfSecret {
    pub(crate) credentials: Arc<dyn Credentials>,
    pub(crate) scope: Scope,
    pub(crate) at: SecretKeySelector,
    pub(crate) field: &'static str,
}

impl TokenSource for OfSecret {
    fn fetch(&self) -> BoxFuture<'_, Result<AccessToken, StoreError>> {
        Box::pin(async {
            let token = self.credentials.secret(&self.scope, &self.at).await;
            let token = token.map_err(|error| error.at_field(self.field))?;
            let token = SecretText::from_bytes(token).map_err(|_| {
                let field = self.field;
                StoreError::invalid(format!("`{field}` refers to something that is no text"))
                    .public()
            })?;
            Ok(AccessToken::new(token, None))
        })
    }

    fn principal(&self) -> String {
        let name = self.at.name.as_deref().unwrap_or_default();
        format!("the token of the Secret {}", shown(name))
    }
}

/// A source that returns one fixed token.
pub(crate) struct Given {
    token: SecretText,
    principal: &'static str,
}

impl Given {
    pub(crate) fn new(token: SecretText, principal: &'static str) -> Self {
        Self { token, principal }
    }
}

impl TokenSource for Given {
    fn fetch(&self) -> BoxFuture<'_, Result<AccessToken, StoreError>> {
        let token = SecretText::copy_of(self.token.expose());
        Box::pin(async move { Ok(AccessToken::new(token, None)) })
    }

    fn principal(&self) -> String {
        self.principal.to_owned()
    }
}

/// Creates a client for a local metadata service, which answers quickly if it exists at all. A call times out after `longest`
/// or the timeout of the store, whichever is shorter.
#[cfg(any(feature = "azure", feature = "gcp"))]
pub(crate) fn metadata_client(
    longest: Duration,
    allowed: Option<Duration>,
) -> Result<HttpClient, StoreError> {
    use crate::http::{HttpSettings, Limits, Proxy};

    let total = allowed.map_or(longest, |allowed| allowed.min(longest));
    Ok(HttpClient::new(HttpSettings {
        guard: crate::address::Guard::Open,
        proxy: Proxy::None,
        limits: Limits {
            connect: total.min(Duration::from_secs(2)),
            total,
            answer: 1 << 20,
        },
        ..HttpSettings::default()
    })?)
}

/// Returns the request header that a metadata service requires.
pub(crate) fn metadata_headers(name: &'static str, value: &'static str) -> HeaderMap {
    HeaderMap::from_iter([(
        HeaderName::from_static(name),
        HeaderValue::from_static(value),
    )])
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn answer(status: u16, body: &str) -> Response {
        let status = http::StatusCode::from_u16(status).unwrap();
        Response::new(status, SecretBytes::copy_of(body.as_bytes()))
    }

    fn refused(status: u16, body: &str) -> StoreError {
        match read(&answer(status, body), "access_token") {
            Ok(_) => panic!("there is no token"),
            Err(error) => error,
        }
    }

    #[test]
    fn lifetimes_are_read_in_all_their_spellings() {
        let lifetime = |text: &str| lifetime_of(Json::parse(text.as_bytes()).unwrap());
        assert_eq!(
            lifetime(r#"{"expires_in": 3599}"#),
            Some(Duration::from_secs(3599))
        );
        assert_eq!(
            lifetime(r#"{"expires_in": "60"}"#),
            Some(Duration::from_secs(60))
        );
        assert_eq!(lifetime("{}"), None);
        assert_eq!(
            lifetime(r#"{"expireTime": "2001-01-01T00:00:00Z"}"#),
            Some(Duration::ZERO)
        );
        assert_eq!(
            lifetime(r#"{"expires_at": "2001-01-01T00:00:00.000Z"}"#),
            Some(Duration::ZERO)
        );
        assert!(lifetime(r#"{"expires_on": "99999999999"}"#).unwrap() > Duration::from_secs(1));
    }

    #[test]
    fn refusals_show_codes_and_never_texts() {
        let error = refused(
            401,
            r#"{"error": "invalid_client", "error_description": "AADSTS7000215: canary"}"#,
        );
        assert_eq!(error.trouble(), Trouble::Unauthenticated);
        assert_eq!(
            error.reason(),
            "the token service refused: invalid_client (AADSTS7000215)"
        );
        let error = refused(400, "<html>canary</html>");
        assert_eq!(error.trouble(), Trouble::Malformed);
        assert!(!error.to_string().contains("canary"));
        assert_eq!(
            refused(200, r#"{"access_token": ""}"#).trouble(),
            Trouble::Malformed
        );
        assert_eq!(refused(503, "").trouble(), Trouble::Unavailable);
        for echo in [
            r#"{"error": "cAnaRy8Q~x", "error_description": "AADSTS12x: canary"}"#,
            r#"{"error": {"status": "eyJhbGciOiJSUzI1NiJ9.canary.x"}}"#,
            r#"{"error": "invalid_client", "error_description": "AADSTScanary"}"#,
        ] {
            let error = refused(400, echo);
            assert_eq!(error.trouble(), Trouble::Unauthenticated);
            let shown = error.to_string().to_ascii_lowercase();
            assert!(!shown.contains("canary"), "{shown}");
        }
        let error = refused(401, r#"{"messages": ["canary"], "success": false}"#);
        assert_eq!(error.trouble(), Trouble::Unauthenticated);
        assert!(!error.to_string().contains("canary"), "{error}");
    }

    #[test]
    fn no_lifetime_is_longer_than_a_day() {
        let text = r#"{"access_token": "t", "expires_in": 9223372036854775807}"#;
        let Ok(token) = read(&answer(200, text), "access_token") else {
            panic!("there is a token");
        };
        let lifetime = token.lifetime.unwrap();
        assert_eq!(lifetime, LONGEST);
        assert!(std::time::SystemTime::now().checked_add(lifetime).is_some());
    }

    #[tokio::test]
    async fn all_who_wait_share_one_sign_in() {
        struct Counted(Arc<AtomicUsize>);
        impl TokenSource for Counted {
            fn fetch(&self) -> BoxFuture<'_, Result<AccessToken, StoreError>> {
                Box::pin(async {
                    self.0.fetch_add(1, Ordering::Relaxed);
                    tokio::task::yield_now().await;
                    let hour = Some(Duration::from_secs(3600));
                    Ok(AccessToken::new(SecretText::copy_of("t"), hour))
                })
            }
            fn principal(&self) -> String {
                "test".into()
            }
        }
        let calls = Arc::new(AtomicUsize::new(0));
        let tokens = Tokens::new(Box::new(Counted(Arc::clone(&calls))));
        let (one, two) = futures::join!(tokens.current(), tokens.current());
        let (one, two) = (one.unwrap(), two.unwrap());
        assert_eq!(calls.load(Ordering::Relaxed), 1);
        tokens.discard(&one).await;
        let three = tokens.current().await.unwrap();
        tokens.discard(&two).await;
        assert!(Arc::ptr_eq(&three, &tokens.current().await.unwrap()));
        assert_eq!(calls.load(Ordering::Relaxed), 2);
    }
}
