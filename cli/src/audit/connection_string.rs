//! Connection strings as the incumbent's client of PostgreSQL (lib/pq) reads them: `key=value` pairs or a URL, completed
//! by `PG…` variables.
//!
//! No error shows any of the text: with a quote or an escape forgotten, any part of it may be a piece of the password.

use std::collections::BTreeMap;

use zeroize::Zeroizing;

/// The settings of a connection string by name; what is empty is not set.
pub(super) struct Settings(BTreeMap<String, Zeroizing<String>>);

/// Why a connection string makes no sense.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub(super) enum StringError {
    /// A pair without its sign.
    #[error(
        "the connection string has a word without `=`; a value with spaces needs single quotes"
    )]
    NoEqualsSign,
    /// A quote that does not end.
    #[error("the connection string has a quote that does not end")]
    OpenQuote,
    /// A backslash at the end.
    #[error("the connection string ends in a backslash")]
    Backslash,
    /// A URL that is none.
    #[error(
        "the URL of the connection string makes no sense; in a password, write / ? # @ : % and spaces as %2F %3F %23 %40 %3A %25 %20"
    )]
    Url,
}

/// Settings and the variables that stand for them when the connection string says nothing.
const VARIABLES: &[(&str, &str)] = &[
    ("host", "PGHOST"),
    ("hostaddr", "PGHOSTADDR"),
    ("port", "PGPORT"),
    ("dbname", "PGDATABASE"),
    ("user", "PGUSER"),
    ("password", "PGPASSWORD"),
    ("passfile", "PGPASSFILE"),
    ("options", "PGOPTIONS"),
    ("application_name", "PGAPPNAME"),
    ("sslmode", "PGSSLMODE"),
    ("sslnegotiation", "PGSSLNEGOTIATION"),
    ("sslcert", "PGSSLCERT"),
    ("sslkey", "PGSSLKEY"),
    ("sslrootcert", "PGSSLROOTCERT"),
    ("sslsni", "PGSSLSNI"),
    ("connect_timeout", "PGCONNECT_TIMEOUT"),
    ("client_encoding", "PGCLIENTENCODING"),
    ("datestyle", "PGDATESTYLE"),
    ("target_session_attrs", "PGTARGETSESSIONATTRS"),
    ("load_balance_hosts", "PGLOADBALANCEHOSTS"),
    ("min_protocol_version", "PGMINPROTOCOLVERSION"),
    ("max_protocol_version", "PGMAXPROTOCOLVERSION"),
    ("krbsrvname", "PGKRBSRVNAME"),
    ("service", "PGSERVICE"),
];

/// Variables of PostgreSQL's own client that nothing here follows; to ignore one that asks for more safety would be wrong.
pub(super) const UNSUPPORTED_VARIABLES: &[&str] = &[
    "PGREQUIRESSL",
    "PGSSLCOMPRESSION",
    "PGREALM",
    "PGGSSENCMODE",
    "PGGSSDELEGATION",
    "PGGSSLIB",
    "PGREQUIREAUTH",
    "PGCHANNELBINDING",
    "PGSSLCERTMODE",
    "PGSSLCRL",
    "PGSSLCRLDIR",
    "PGREQUIREPEER",
];

impl Settings {
    /// Reads a connection string.
    pub(super) fn parse(text: &str) -> Result<Self, StringError> {
        let url = ["postgres://", "postgresql://"]
            .iter()
            .find_map(|scheme| text.strip_prefix(scheme));
        let mut settings = match url {
            Some(rest) => parse_url(rest)?,
            None => parse_pairs(text)?,
        };
        // An old spelling that the incumbent's client still takes.
        if let Some(name) = settings.remove("database") {
            settings.insert("dbname".into(), name);
        }
        Ok(Self(settings))
    }

    /// Fills in what the environment says and the string does not.
    pub(super) fn complete(&mut self, variable: &dyn Fn(&str) -> Option<String>) {
        for (name, from) in VARIABLES {
            if self.get(name).is_none()
                && let Some(value) = variable(from)
            {
                self.0.insert((*name).to_owned(), Zeroizing::new(value));
            }
        }
    }

    /// A setting that is not empty.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let value = self.0.get(name)?;
        (!value.is_empty()).then_some(value.as_str())
    }

    /// All settings that are not in `known`.
    pub(super) fn others(&self, known: &[&str]) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .filter(|(name, _)| !known.contains(name))
    }
}

fn parse_pairs(text: &str) -> Result<BTreeMap<String, Zeroizing<String>>, StringError> {
    let mut settings = BTreeMap::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let end = rest.find('=').ok_or(StringError::NoEqualsSign)?;
        let name = rest[..end].trim_end();
        if name.is_empty() || name.contains(char::is_whitespace) {
            return Err(StringError::NoEqualsSign);
        }
        // Room for all of it, so that no piece of a password is left where the text grew out of.
        let mut value = Zeroizing::new(String::with_capacity(text.len()));
        let after = rest[end + 1..].trim_start();
        rest = match after.strip_prefix('\'') {
            Some(quoted) => unescape(quoted, |c| c == '\'', &mut value)?
                .strip_prefix('\'')
                .ok_or(StringError::OpenQuote)?,
            None => unescape(after, char::is_whitespace, &mut value)?,
        };
        settings.insert(name.to_owned(), value);
        rest = rest.trim_start();
    }
    Ok(settings)
}

/// Takes characters up to one that ends the value; a backslash takes the next one as it is.
fn unescape<'a>(
    text: &'a str,
    ends: impl Fn(char) -> bool,
    value: &mut String,
) -> Result<&'a str, StringError> {
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        if ends(c) {
            return Ok(&text[at..]);
        }
        let (_, c) = match c {
            '\\' => chars.next().ok_or(StringError::Backslash)?,
            _ => (at, c),
        };
        value.push(c);
    }
    Ok("")
}

/// `[user[:password]@][host][:port][/dbname][?name=value&…]`.
fn parse_url(rest: &str) -> Result<BTreeMap<String, Zeroizing<String>>, StringError> {
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, rest) = rest.split_at(end);
    let rest = rest.split_once('#').map_or(rest, |(before, fragment)| {
        // A fragment means nothing in a connection string; an @ in it tells of a password that ended too early.
        if fragment.contains('@') { "@" } else { before }
    });
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (user, place) = match authority.rsplit_once('@') {
        Some((user, place)) => (user, place),
        None => ("", authority),
    };
    let first_name = query.split(['=', '&']).next().unwrap_or_default();
    if path.contains('@') || first_name.contains('@') {
        return Err(StringError::Url);
    }
    let mut settings: BTreeMap<String, Zeroizing<String>> = BTreeMap::new();
    // The incumbent's client sorts what it finds: of a setting that stands there twice, the greater text counts.
    let mut set = |name: &str, value: Zeroizing<String>| {
        if !value.is_empty() && settings.get(name).is_none_or(|known| **known < *value) {
            settings.insert(name.to_owned(), value);
        }
    };
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let spaced = Zeroizing::new(value.replace('+', " "));
        set(&decode(name)?, decode(&spaced)?);
    }
    let (name, password) = user.split_once(':').unwrap_or((user, ""));
    set("user", decode(name)?);
    set("password", decode(password)?);
    let (host, port) = match place.strip_prefix('[') {
        Some(bracketed) => {
            let (host, after) = bracketed.split_once(']').ok_or(StringError::Url)?;
            let port = match after {
                "" => "",
                _ => after.strip_prefix(':').ok_or(StringError::Url)?,
            };
            (host, port)
        }
        None => place.split_once(':').unwrap_or((place, "")),
    };
    if !port.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(StringError::Url);
    }
    set("host", decode(host)?);
    set("port", Zeroizing::new(port.to_owned()));
    set("dbname", decode(path.strip_prefix('/').unwrap_or(path))?);
    Ok(settings)
}

fn decode(text: &str) -> Result<Zeroizing<String>, StringError> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(text.len()));
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        let byte = match first {
            b'%' => {
                let (digits, after) = rest.split_at_checked(2).ok_or(StringError::Url)?;
                rest = after;
                let digit = |byte: u8| char::from(byte).to_digit(16).ok_or(StringError::Url);
                let value = digit(digits[0])? * 16 + digit(digits[1])?;
                u8::try_from(value).map_err(|_| StringError::Url)?
            }
            other => *other,
        };
        bytes.push(byte);
    }
    match std::str::from_utf8(&bytes) {
        Ok(text) => Ok(Zeroizing::new(text.to_owned())),
        Err(_) => Err(StringError::Url),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> Vec<(String, String)> {
        let settings = Settings::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        let pairs = settings.others(&[]);
        pairs
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }

    fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
        list.iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn s175_pairs_are_read_as_lib_pq_reads_them() {
        for (text, expected) in [
            ("", vec![]),
            ("  ", vec![]),
            ("host=h  port = 1", vec![("host", "h"), ("port", "1")]),
            (
                "password='a b' user=u",
                vec![("password", "a b"), ("user", "u")],
            ),
            (
                r"user=a\ b password='it\'s \\'",
                vec![("password", r"it's \"), ("user", "a b")],
            ),
            ("password='' user=", vec![("password", ""), ("user", "")]),
            ("user=x user=y", vec![("user", "y")]),
            ("database=d", vec![("dbname", "d")]),
            (
                "host=/run/postgresql\n  dbname=é",
                vec![("dbname", "é"), ("host", "/run/postgresql")],
            ),
        ] {
            assert_eq!(settings(text), pairs(&expected), "{text}");
        }
    }

    #[test]
    fn s175_urls_are_read_as_lib_pq_reads_them() {
        for (text, expected) in [
            ("postgres://", vec![]),
            ("postgresql://h/db", vec![("dbname", "db"), ("host", "h")]),
            (
                "postgres://u:p%40%2F%25@:1234/my%20db?sslmode=disable&host=%2Ftmp",
                vec![
                    ("dbname", "my db"),
                    ("host", "/tmp"),
                    ("password", "p@/%"),
                    ("port", "1234"),
                    ("sslmode", "disable"),
                    ("user", "u"),
                ],
            ),
            (
                "postgres://u:p@ss@[::1]:5/d",
                vec![
                    ("dbname", "d"),
                    ("host", "::1"),
                    ("password", "p@ss"),
                    ("port", "5"),
                    ("user", "u"),
                ],
            ),
            (
                "postgres://h1,h2/d?port=1,2&user=me@realm",
                vec![
                    ("dbname", "d"),
                    ("host", "h1,h2"),
                    ("port", "1,2"),
                    ("user", "me@realm"),
                ],
            ),
            (
                "postgres://h/d?host=/tmp&dbname=e",
                vec![("dbname", "e"), ("host", "h")],
            ),
            (
                "postgres:///d?application_name=a+b",
                vec![("application_name", "a b"), ("dbname", "d")],
            ),
        ] {
            assert_eq!(settings(text), pairs(&expected), "{text}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused_without_being_shown() {
        for text in [
            "canary",
            "host=h password=my canary",
            "password='canary",
            "password=canary\\",
            "=canary",
            "postgres://u:canary/x@h/db",
            "postgres://u:12/canary@h/db",
            "postgres://u:12?canary@h/db",
            "postgres://u:12#canary@h/db",
            "postgres://u:canary%@h/db",
            "postgres://u:canary%zz@h/db",
            "postgres://u:%ff@h/db",
            "postgres://u@h:canary/db",
            "postgres://u@[::1/db",
        ] {
            let error = Settings::parse(text).map(drop).unwrap_err();
            assert!(!error.to_string().contains("canary"), "{text}: {error}");
        }
    }

    #[test]
    fn variables_fill_in_what_the_string_leaves_open() {
        let mut settings = Settings::parse("host=h password=''").unwrap();
        settings.complete(&|name| match name {
            "PGHOST" => Some("other".into()),
            "PGPASSWORD" => Some("secret".into()),
            "PGDATABASE" => Some(String::new()),
            _ => None,
        });
        assert_eq!(settings.get("host"), Some("h"));
        assert_eq!(settings.get("password"), Some("secret"));
        assert_eq!(settings.get("dbname"), None);
    }
}
