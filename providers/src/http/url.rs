//! Addresses of servers.

use std::fmt::{self, Write};

use http::Uri;
use sealwright_crypto::secret::SecretText;

use crate::outcome::StoreError;

/// An `http` or `https` address. Its text, as errors show it, has neither credentials nor a query.
#[derive(Clone, PartialEq, Eq)]
pub struct Url {
    https: bool,
    host: String,
    port: Option<u16>,
    /// Begins with `/`.
    path: String,
    query: Option<String>,
}

/// The text is no address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UrlError {
    /// It cannot be read.
    #[error("it is no valid address")]
    NotAnAddress,
    /// It does not begin with `http://` or `https://`.
    #[error("it must begin with https:// or http://")]
    Scheme,
    /// It holds a user or a password.
    #[error("it must not hold a user or a password")]
    Credentials,
}

impl UrlError {
    /// Makes a store's error of it, with the field.
    pub fn at_field(self, field: &str) -> StoreError {
        StoreError::invalid(format!("`{field}`: {self}")).public()
    }
}

impl Url {
    /// Reads an address without user and password.
    ///
    /// # Errors
    ///
    /// Says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        match Self::parse_with_user(text)? {
            (url, None) => Ok(url),
            (_, Some(_)) => Err(UrlError::Credentials),
        }
    }

    /// Reads an address that may hold a user and a password before an `@`; they come apart from it.
    ///
    /// # Errors
    ///
    /// Says what is wrong with it.
    pub fn parse_with_user(text: &str) -> Result<(Self, Option<SecretText>), UrlError> {
        let uri: Uri = text.trim().parse().map_err(|_| UrlError::NotAnAddress)?;
        let https = match uri.scheme_str().map(str::to_ascii_lowercase).as_deref() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(UrlError::Scheme),
        };
        let authority = uri.authority().ok_or(UrlError::NotAnAddress)?;
        let user = authority
            .as_str()
            .rsplit_once('@')
            .map(|(user, _)| SecretText::copy_of(user));
        let host = authority.host();
        if host.is_empty() {
            return Err(UrlError::NotAnAddress);
        }
        let with_port = authority
            .as_str()
            .rsplit_once('@')
            .map_or(authority.as_str(), |(_, rest)| rest);
        let has_port = with_port.len() > host.len();
        if has_port && authority.port_u16().is_none() {
            return Err(UrlError::NotAnAddress);
        }
        let url = Self {
            https,
            host: host.to_ascii_lowercase(),
            port: authority.port_u16(),
            path: uri.path().to_owned(),
            query: uri.query().map(str::to_owned),
        };
        Ok((url, user))
    }

    /// True for `https`.
    pub fn is_https(&self) -> bool {
        self.https
    }

    /// The host; an IPv6 address has its brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, that of the scheme when none is named.
    pub fn port(&self) -> u16 {
        self.port.unwrap_or(if self.https { 443 } else { 80 })
    }

    /// The path, as it goes over the wire.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The query, as it goes over the wire.
    pub fn query(&self) -> Option<&str> {
        self.query.as_deref()
    }

    /// Host and port, for errors.
    pub fn authority(&self) -> String {
        format!("{}:{}", self.host, self.port())
    }

    /// Host, and the port where it is not the scheme's own.
    pub fn host_header(&self) -> String {
        let usual = if self.https { 443 } else { 80 };
        match self.port() {
            port if port == usual => self.host.clone(),
            port => format!("{}:{port}", self.host),
        }
    }

    /// Scheme, host and port.
    pub fn origin(&self) -> String {
        let scheme = if self.https { "https" } else { "http" };
        format!("{scheme}://{}", self.authority())
    }

    /// The same server with `segments` behind the path; each is one segment and is escaped.
    #[must_use]
    pub fn with_segments<'a>(&self, segments: impl IntoIterator<Item = &'a str>) -> Self {
        let mut path = self.path.trim_end_matches('/').to_owned();
        for segment in segments {
            path.push('/');
            escape(segment, is_segment, &mut path);
        }
        Self {
            path,
            query: None,
            ..self.clone()
        }
    }

    /// The same address with a query; names and values are escaped.
    #[must_use]
    pub fn with_query<'a>(&self, pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut query = String::new();
        for (name, value) in pairs {
            if !query.is_empty() {
                query.push('&');
            }
            escape(name, is_unreserved, &mut query);
            query.push('=');
            escape(value, is_unreserved, &mut query);
        }
        Self {
            query: Some(query).filter(|query| !query.is_empty()),
            ..self.clone()
        }
    }

    /// The address that a redirect leads to from here.
    ///
    /// # Errors
    ///
    /// When it is none.
    pub fn join(&self, target: &str) -> Result<Self, UrlError> {
        Self::parse(&self.joined(target))
    }

    /// The same for an address that may hold a user and a password; they come apart from it.
    ///
    /// # Errors
    ///
    /// When it is none.
    pub fn join_with_user(&self, target: &str) -> Result<(Self, Option<SecretText>), UrlError> {
        Self::parse_with_user(&self.joined(target))
    }

    fn joined(&self, target: &str) -> String {
        if target.starts_with("//") {
            let scheme = if self.https { "https:" } else { "http:" };
            return format!("{scheme}{target}");
        }
        // A path or a query may hold the address of something else.
        let whole = target.split(['/', '?', '#']).next().unwrap_or_default();
        if whole.ends_with(':') && target[whole.len()..].starts_with("//") {
            return target.to_owned();
        }
        let base = self.origin();
        if target.starts_with('/') {
            return format!("{base}{target}");
        }
        let folder = self.path.rfind('/').map_or("/", |at| &self.path[..=at]);
        format!("{base}{folder}{target}")
    }

    pub(super) fn to_uri(&self) -> Result<Uri, http::Error> {
        let path = match &self.query {
            Some(query) => format!("{}?{query}", self.path),
            None => self.path.clone(),
        };
        Uri::builder()
            .scheme(if self.https { "https" } else { "http" })
            .authority(self.host_header())
            .path_and_query(path)
            .build()
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.https { "https" } else { "http" };
        write!(f, "{scheme}://{}", self.host_header())?;
        f.write_str(self.path.trim_end_matches('/'))
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// Escapes everything that `keeps` does not keep, byte by byte.
pub fn escape(text: &str, keeps: fn(u8) -> bool, out: &mut String) {
    for byte in text.bytes() {
        if keeps(byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
}

/// Returns true for the characters that stand for themselves everywhere in an address.
pub fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// Returns true for the characters that stand for themselves in a segment of a path.
fn is_segment(byte: u8) -> bool {
    is_unreserved(byte)
        || matches!(
            byte,
            b'$' | b'&'
                | b'+'
                | b','
                | b':'
                | b';'
                | b'='
                | b'@'
                | b'!'
                | b'\''
                | b'('
                | b')'
                | b'*'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read() {
        let url = Url::parse("https://Vault.example:8200/prefix/").unwrap();
        assert_eq!(url.to_string(), "https://vault.example:8200/prefix");
        let url = url.with_segments(["v1", "a b", "x%/y?ж"]);
        assert_eq!(url.path(), "/prefix/v1/a%20b/x%25%2Fy%3F%D0%B6");
        assert_eq!(Url::parse("http://[::1]:8200").unwrap().host(), "[::1]");
        assert_eq!(Url::parse("http://h").unwrap().port(), 80);
        let url = Url::parse("https://h/p")
            .unwrap()
            .with_query([("list", "true"), ("a b", "&")]);
        assert_eq!(url.query(), Some("list=true&a%20b=%26"));
        assert_eq!(url.to_string(), "https://h/p", "queries may hold secrets");
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for bad in [
            "",
            "vault:8200",
            "ftp://h",
            "https://",
            "https://h:x",
            "https://a b/",
        ] {
            assert!(Url::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(Url::parse("https://u:p@h"), Err(UrlError::Credentials));
        let (url, user) = Url::parse_with_user("https://u:p@h/x").unwrap();
        assert_eq!(url.to_string(), "https://h/x");
        assert_eq!(user.unwrap().expose(), "u:p");
    }

    #[test]
    fn redirects_are_joined() {
        let from = Url::parse("https://h:1/a/b?x=1").unwrap();
        let join = |target| from.join(target).unwrap();
        assert_eq!(join("/c").to_string(), "https://h:1/c");
        assert_eq!(join("c").to_string(), "https://h:1/a/c");
        assert_eq!(join("//other/c").origin(), "https://other:443");
        let way = join("/c?to=http://other/d");
        assert_eq!((way.origin(), way.path()), (from.origin(), "/c"));
        let (there, user) = from.join_with_user("http://u:p@h:1/c").unwrap();
        assert_eq!(there.to_string(), "http://h:1/c");
        assert_eq!(user.unwrap().expose(), "u:p");
        assert_eq!(join("http://h:1/c").origin(), "http://h:1");
        assert_ne!(join("http://h:1/c").origin(), from.origin());
    }
}
