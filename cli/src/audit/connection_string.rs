//! Connection strings as upstream's client of PostgreSQL (lib/pq) reads them: `key=value` pairs or a URL.
//!
//! What an audit needs is followed: where the server is, who asks, and how the connection is encrypted. Every other setting
//! is refused by name, because to pass over one that asks for more safety would be wrong.
//!
//! No error shows any of the text: with a quote or an escape forgotten, any part of it may be a piece of the password.

use std::collections::BTreeMap;

use zeroize::Zeroizing;

/// The settings of a connection string by name; what is empty is not set.
pub(super) struct Settings(BTreeMap<String, Zeroizing<String>>);

/// The settings that are followed, each with the variable that upstream's client takes for it.
const FOLLOWED: &[(&str, &str)] = &[
    ("host", "PGHOST"),
    ("port", "PGPORT"),
    ("dbname", "PGDATABASE"),
    ("user", "PGUSER"),
    ("password", "PGPASSWORD"),
    ("sslmode", "PGSSLMODE"),
    ("sslrootcert", "PGSSLROOTCERT"),
    ("sslcert", "PGSSLCERT"),
    ("sslkey", "PGSSLKEY"),
    ("connect_timeout", "PGCONNECT_TIMEOUT"),
];

/// Settings that upstream's client knows and that are not followed here. Only these are named in an error: any other name
/// may be a piece of a password.
const REFUSED: &[&str] = &[
    "application_name",
    "binary_parameters",
    "client_encoding",
    "datestyle",
    "disable_prepared_binary_result",
    "fallback_application_name",
    "hostaddr",
    "krbspn",
    "krbsrvname",
    "load_balance_hosts",
    "max_protocol_version",
    "min_protocol_version",
    "options",
    "passfile",
    "search_path",
    "service",
    "ssl_max_protocol_version",
    "ssl_min_protocol_version",
    "sslinline",
    "sslnegotiation",
    "sslsni",
    "statement_timeout",
    "target_session_attrs",
];

/// Variables that change where rows go or how safely, and are not followed here.
const REFUSED_VARIABLES: &[&str] = &[
    "PGCHANNELBINDING",
    "PGHOSTADDR",
    "PGOPTIONS",
    "PGREQUIREAUTH",
    "PGREQUIREPEER",
    "PGREQUIRESSL",
    "PGSERVICE",
    "PGSSLCRL",
    "PGSSLCRLDIR",
    "PGSSLNEGOTIATION",
    "PGTARGETSESSIONATTRS",
];

/// Why a connection string leads nowhere.
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
    /// A setting of upstream's that is not followed here.
    #[error("`{0}` of the connection string is not supported")]
    Setting(&'static str),
    /// Something that may be a piece of a password.
    #[error(
        "the connection string has a setting that is not known; a value with spaces needs single quotes"
    )]
    Name,
    /// A variable that is not followed here.
    #[error("the variable {0} is set, which is not supported: say it in the connection string")]
    Variable(&'static str),
}

impl Settings {
    /// Reads a connection string. The password may come from `PGPASSWORD`; any other variable that would say more than the
    /// string does is refused.
    pub(super) fn parse(
        text: &str,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, StringError> {
        let url = ["postgres://", "postgresql://"]
            .iter()
            .find_map(|scheme| text.strip_prefix(scheme));
        let mut settings = match url {
            Some(rest) => parse_url(rest)?,
            None => parse_pairs(text)?,
        };
        // An old spelling that upstream's client still takes.
        if let Some(name) = settings.remove("database") {
            settings.insert("dbname".into(), name);
        }
        for name in settings.keys() {
            if let Some(refused) = REFUSED.iter().find(|refused| *refused == name) {
                return Err(StringError::Setting(refused));
            }
            if !FOLLOWED.iter().any(|(followed, _)| followed == name) {
                return Err(StringError::Name);
            }
        }
        let mut settings = Self(settings);
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        if settings.get("password").is_none()
            && let Some(password) = set("PGPASSWORD")
        {
            settings
                .0
                .insert("password".into(), Zeroizing::new(password));
        }
        let left_open = FOLLOWED
            .iter()
            .filter(|(name, _)| settings.get(name).is_none())
            .map(|(_, variable)| variable);
        let mut deciding = left_open.chain(REFUSED_VARIABLES);
        match deciding.find(|name| set(name).is_some()) {
            Some(name) => Err(StringError::Variable(name)),
            None => Ok(settings),
        }
    }

    /// A setting that is not empty.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let value = self.0.get(name)?;
        (!value.is_empty()).then_some(value.as_str())
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
    // Upstream's client sorts what it finds: of a setting that stands there twice, the greater text counts.
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

    fn nothing(_: &str) -> Option<String> {
        None
    }

    #[track_caller]
    fn reads(text: &str, expected: &[(&str, &str)]) {
        let settings = Settings::parse(text, &nothing).unwrap_or_else(|error| panic!("{error}"));
        let found = settings.0.iter();
        let found: Vec<(&str, &str)> = found.map(|(name, value)| (&**name, &***value)).collect();
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn s175_pairs_are_read_as_lib_pq_reads_them() {
        reads("", &[]);
        reads("  ", &[]);
        reads("host=h  port = 1", &[("host", "h"), ("port", "1")]);
        reads(
            "password='a b' user=u",
            &[("password", "a b"), ("user", "u")],
        );
        reads(
            r"user=a\ b password='it\'s \\'",
            &[("password", r"it's \"), ("user", "a b")],
        );
        reads("user=x user=y", &[("user", "y")]);
        reads("database=d", &[("dbname", "d")]);
        reads(
            "host=/run/postgresql\n  dbname=é",
            &[("dbname", "é"), ("host", "/run/postgresql")],
        );
    }

    #[test]
    fn s175_urls_are_read_as_lib_pq_reads_them() {
        reads("postgres://", &[]);
        reads("postgresql://h/db", &[("dbname", "db"), ("host", "h")]);
        reads(
            "postgres://u:p%40%2F%25@:1234/my%20db?sslmode=disable&host=%2Ftmp",
            &[
                ("dbname", "my db"),
                ("host", "/tmp"),
                ("password", "p@/%"),
                ("port", "1234"),
                ("sslmode", "disable"),
                ("user", "u"),
            ],
        );
        reads(
            "postgres://u:p@ss@[::1]:5/d",
            &[
                ("dbname", "d"),
                ("host", "::1"),
                ("password", "p@ss"),
                ("port", "5"),
                ("user", "u"),
            ],
        );
        reads(
            "postgres://h/d?host=/tmp&dbname=e&user=me@realm",
            &[("dbname", "e"), ("host", "h"), ("user", "me@realm")],
        );
    }

    #[test]
    fn what_makes_no_sense_is_refused_without_being_shown() {
        for text in [
            "canary",
            "host=h password=my canary",
            "host=h password=my canary=2",
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
            let error = Settings::parse(text, &nothing).map(drop).unwrap_err();
            assert!(!error.to_string().contains("canary"), "{text}: {error}");
        }
    }

    #[test]
    fn settings_that_are_not_followed_are_refused_by_name() {
        for name in REFUSED {
            let error = Settings::parse(&format!("host=h {name}=canary"), &nothing);
            assert_eq!(error.map(drop).unwrap_err(), StringError::Setting(name));
        }
    }

    #[test]
    fn the_password_may_come_from_its_variable_and_nothing_else_does() {
        let with = |text: &str, set: &str| {
            let variable = |name: &str| (name == set).then(|| "value".to_owned());
            Settings::parse(text, &variable)
        };
        let settings = with("host=h password=''", "PGPASSWORD").ok().unwrap();
        assert_eq!(settings.get("password"), Some("value"));
        assert!(
            with("host=h", "PGHOST").is_ok(),
            "the string says it, so the variable says nothing"
        );
        for (text, name) in [
            ("user=u", "PGHOST"),
            ("host=h", "PGSSLMODE"),
            ("host=h", "PGOPTIONS"),
            ("host=h", "PGREQUIREAUTH"),
        ] {
            let error = with(text, name).map(drop).unwrap_err();
            assert_eq!(error, StringError::Variable(name));
        }
    }
}
