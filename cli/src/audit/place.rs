//! Where the audit database may be: the settings of a connection string, turned into places to try in turn.

use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Duration;

use tokio_postgres::Config;
use tokio_postgres::config::{SslNegotiation, TargetSessionAttrs};
use zeroize::Zeroizing;

use super::connection_string::{Settings, StringError};
use super::tls::{Tls, TlsError};

/// Why a connection string leads nowhere.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(super) enum PlaceError {
    /// The connection string makes no sense.
    #[error(transparent)]
    String(#[from] StringError),
    /// A setting has a value that makes no sense, which is not shown.
    #[error("`{name}` of the connection string (or its variable) must be {expected}")]
    Setting {
        name: &'static str,
        expected: &'static str,
    },
    /// A setting of the incumbent's that is not followed here.
    #[error("`{0}` of the connection string (or its variable) is not supported")]
    Unsupported(&'static str),
    /// Something that may be a piece of a password.
    #[error(
        "the connection string has a setting whose name makes no sense; a value with spaces needs single quotes"
    )]
    Name,
    /// TLS cannot be set up.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// How far a connection is encrypted, as lib/pq names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Disable,
    Allow,
    Prefer,
    Require,
}

/// Where a server may be. lib/pq takes several and uses the first that answers.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) config: Config,
    pub(super) mode: Mode,
    /// Host and port, for people.
    pub(super) shown: String,
}

/// Settings that are followed or known to change nothing here; any other one is a setting of the session.
const KNOWN: &[&str] = &[
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "passfile",
    "options",
    "application_name",
    "fallback_application_name",
    "sslmode",
    "sslnegotiation",
    "sslcert",
    "sslkey",
    "sslrootcert",
    "sslsni",
    "sslinline",
    "ssl_min_protocol_version",
    "ssl_max_protocol_version",
    "krbsrvname",
    "krbspn",
    "connect_timeout",
    "binary_parameters",
    "disable_prepared_binary_result",
    "client_encoding",
    "datestyle",
    "tz",
    "geqo",
    "target_session_attrs",
    "load_balance_hosts",
    "min_protocol_version",
    "max_protocol_version",
    "service",
];

/// How to reach a database.
#[derive(Debug)]
pub(super) struct Plan {
    /// The places in the order in which they are tried.
    pub(super) places: Vec<Place>,
    /// What encrypts the connection.
    pub(super) tls: Option<Tls>,
    /// How long one place may take.
    pub(super) timeout: Option<Duration>,
}

impl Plan {
    /// Turns settings into places to try.
    pub(super) fn of(settings: &Settings) -> Result<Self, PlaceError> {
        for name in ["service", "krbsrvname", "krbspn"] {
            if settings.get(name).is_some() {
                return Err(PlaceError::Unsupported(name));
            }
        }
        if settings
            .get("client_encoding")
            .is_some_and(|name| !["utf8", "unicode"].contains(&plain(name).as_str()))
        {
            return Err(wrong("client_encoding", "UTF8"));
        }
        if settings
            .get("datestyle")
            .is_some_and(|style| style != "ISO, MDY")
        {
            return Err(wrong("datestyle", "ISO, MDY"));
        }
        if !matches!(settings.get("min_protocol_version"), None | Some("3.0")) {
            return Err(wrong("min_protocol_version", "3.0"));
        }
        let mut config = Config::new();
        if let Some(name) = settings
            .get("application_name")
            .or(settings.get("fallback_application_name"))
        {
            config.application_name(name);
        }
        if let Some(options) = session_options(settings)? {
            config.options(options);
        }
        if let Some(name) = settings.get("dbname") {
            config.dbname(name);
        }
        let user = match settings.get("user") {
            Some(user) => Some(user.to_owned()),
            None => std::env::var("USER")
                .ok()
                .filter(|name| !name.is_empty())
                .or_else(super::user_name),
        };
        let user = user.ok_or(wrong("user", "given, as this user has no name"))?;
        config.user(&user);
        config.target_session_attrs(match settings.get("target_session_attrs") {
            None | Some("any") => TargetSessionAttrs::Any,
            Some("read-write") => TargetSessionAttrs::ReadWrite,
            Some(_) => {
                return Err(wrong(
                    "target_session_attrs",
                    "any or read-write: rows are written",
                ));
            }
        });
        let timeout = match settings.get("connect_timeout") {
            None => None,
            Some(text) => match text.parse::<i64>() {
                Ok(seconds) => u64::try_from(seconds)
                    .ok()
                    .filter(|seconds| *seconds > 0)
                    .map(Duration::from_secs),
                Err(_) => return Err(wrong("connect_timeout", "a number of seconds")),
            },
        };
        let hosts = hosts(settings)?;
        let local = hosts.first().is_some_and(|host| host.is_socket());
        let direct = match settings.get("sslnegotiation") {
            None | Some("postgres") => false,
            Some("direct") => true,
            Some(_) => return Err(wrong("sslnegotiation", "postgres or direct")),
        };
        let tls = Tls::new(settings, direct, local)?;
        let mode = match settings.get("sslmode") {
            _ if local => Mode::Disable,
            Some("disable") => Mode::Disable,
            Some("allow") => Mode::Allow,
            Some("prefer") => Mode::Prefer,
            _ => Mode::Require,
        };
        if direct && !local {
            if mode != Mode::Require {
                return Err(wrong(
                    "sslmode",
                    "require or more with sslnegotiation=direct",
                ));
            }
            config.ssl_negotiation(SslNegotiation::Direct);
        }
        let places = hosts
            .into_iter()
            .map(|host| {
                let mut config = config.clone();
                config.host(&host.name).port(host.port);
                if let Some(address) = host.address {
                    config.hostaddr(address);
                }
                let port = host.port.to_string();
                match settings.get("password") {
                    Some(password) => config.password(password),
                    None => match password_of_file(settings, &host.name, &port, &user) {
                        Some(password) => config.password(password.as_bytes()),
                        None => &mut config,
                    },
                };
                Place {
                    mode: if host.is_socket() {
                        Mode::Disable
                    } else {
                        mode
                    },
                    shown: format!("{} port {port}", host.name),
                    config,
                }
            })
            .collect();
        Ok(Self {
            places,
            tls,
            timeout,
        })
    }
}

/// Settings of the session, the way the server takes them at its start.
fn session_options(settings: &Settings) -> Result<Option<String>, PlaceError> {
    let mut options = settings.get("options").unwrap_or_default().to_owned();
    for (name, value) in settings.others(KNOWN) {
        let good = name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'.');
        if !good || name.is_empty() || name.starts_with(|first: char| first.is_ascii_digit()) {
            return Err(PlaceError::Name);
        }
        options.push_str(" -c ");
        options.push_str(name);
        options.push('=');
        for c in value.chars() {
            if c == '\\' || c.is_whitespace() {
                options.push('\\');
            }
            options.push(c);
        }
    }
    Ok((!options.is_empty()).then(|| options.trim_start().to_owned()))
}

struct Host {
    name: String,
    address: Option<IpAddr>,
    port: u16,
}

impl Host {
    fn is_socket(&self) -> bool {
        self.address.is_none() && self.name.starts_with('/')
    }
}

/// The hosts in the order in which they are tried.
fn hosts(settings: &Settings) -> Result<Vec<Host>, PlaceError> {
    let list = |name| -> Vec<String> {
        let text: &str = settings.get(name).unwrap_or_default();
        text.split(',').map(str::to_owned).collect()
    };
    let (names, addresses, ports) = (list("host"), list("hostaddr"), list("port"));
    let count = names.len().max(addresses.len());
    if (names.len() != count && names != [""]) || (addresses.len() != count && addresses != [""]) {
        return Err(wrong("hostaddr", "a list as long as `host`"));
    }
    if ports.len() != 1 && ports.len() != count {
        return Err(wrong("port", "one number, or one for each host"));
    }
    let mut hosts = Vec::new();
    for at in 0..count {
        let name = match names.get(at).map(String::as_str) {
            None | Some("") => "localhost",
            Some(name) if name.starts_with('@') => {
                return Err(wrong(
                    "host",
                    "a name, an address or a folder: abstract sockets are not supported",
                ));
            }
            Some(name) => name,
        };
        let address = match addresses.get(at).map(String::as_str) {
            None | Some("") => None,
            Some(text) => Some(
                text.parse()
                    .map_err(|_| wrong("hostaddr", "a list of IP addresses"))?,
            ),
        };
        let port = match ports.get(at).unwrap_or(&ports[0]).as_str() {
            "" => 5432,
            text => text
                .parse()
                .map_err(|_| wrong("port", "a number, or a list of numbers"))?,
        };
        hosts.push(Host {
            name: name.to_owned(),
            address,
            port,
        });
    }
    match settings.get("load_balance_hosts") {
        None | Some("disable") => {}
        Some("random") => {
            let mut byte = [0];
            let _ = rustix::rand::getrandom(&mut byte, rustix::rand::GetRandomFlags::empty());
            hosts.rotate_left(usize::from(byte[0]) % count);
        }
        Some(_) => return Err(wrong("load_balance_hosts", "disable or random")),
    }
    Ok(hosts)
}

/// The password that a file of passwords has for a place: lines of `host:port:database:user:password`.
fn password_of_file(
    settings: &Settings,
    host: &str,
    port: &str,
    user: &str,
) -> Option<Zeroizing<String>> {
    let path = match settings.get("passfile") {
        Some(path) => PathBuf::from(path),
        None => PathBuf::from(std::env::var_os("HOME")?).join(".pgpass"),
    };
    // As every client of PostgreSQL: what others can read is no place for a password.
    if fs::metadata(&path).ok()?.mode() & 0o77 != 0 {
        return None;
    }
    let text = Zeroizing::new(fs::read_to_string(&path).ok()?);
    let wanted = [host, port, settings.get("dbname").unwrap_or_default(), user];
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .find_map(|line| {
            let mut fields = split_fields(line);
            let fits = fields.len() == 5
                && wanted
                    .iter()
                    .zip(&fields)
                    .enumerate()
                    .all(|(at, (wanted, field))| {
                        let local =
                            at == 0 && host.starts_with('/') && field.as_str() == "localhost";
                        local || field.as_str() == "*" || field.as_str() == *wanted
                    });
            if fits { fields.pop() } else { None }
        })
}

fn split_fields(line: &str) -> Vec<Zeroizing<String>> {
    let empty = || Zeroizing::new(String::with_capacity(line.len()));
    let mut fields = vec![empty()];
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        let c = match c {
            ':' => {
                fields.push(empty());
                continue;
            }
            '\\' => chars.next(),
            other => Some(other),
        };
        fields.last_mut().expect("it starts with one").extend(c);
    }
    fields
}

fn wrong(name: &'static str, expected: &'static str) -> PlaceError {
    PlaceError::Setting { name, expected }
}

/// A name of an encoding without what PostgreSQL does not look at.
fn plain(name: &str) -> String {
    let letters = name.chars().filter(char::is_ascii_alphanumeric);
    letters.map(|c| c.to_ascii_lowercase()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(text: &str) -> Result<Vec<(String, u16, Mode)>, String> {
        let settings = Settings::parse(text).unwrap();
        let Plan { places, .. } = Plan::of(&settings).map_err(|error| error.to_string())?;
        Ok(places
            .iter()
            .map(|place| (place.shown.clone(), place.config.get_ports()[0], place.mode))
            .collect())
    }

    #[test]
    fn s175_the_default_is_a_local_server_with_tls() {
        let one = |shown: &str, port, mode| Ok(vec![(shown.to_owned(), port, mode)]);
        assert_eq!(
            planned("user=u"),
            one("localhost port 5432", 5432, Mode::Require)
        );
        assert_eq!(
            planned("user=u sslmode=disable port=1 host=h"),
            one("h port 1", 1, Mode::Disable)
        );
        assert_eq!(
            planned("user=u host=/run/postgresql"),
            one("/run/postgresql port 5432", 5432, Mode::Disable)
        );
        let several = planned("user=u host=a,,c port=1,2,3 sslmode=prefer").unwrap();
        assert_eq!(several[1], ("localhost port 2".into(), 2, Mode::Prefer));
        assert_eq!(several.len(), 3);
    }

    #[test]
    fn what_is_asked_for_and_not_supported_is_refused_without_its_value() {
        for text in [
            "sslmode=canary",
            "sslmode=pqgo-canary",
            "sslnegotiation=canary",
            "sslmode=prefer sslnegotiation=direct",
            "service=canary",
            "krbsrvname=canary",
            "port=canary",
            "port=1,2",
            "hostaddr=canary",
            "host=a,b hostaddr=127.0.0.1",
            "connect_timeout=canary",
            "target_session_attrs=standby",
            "load_balance_hosts=canary",
            "client_encoding=canary",
            "datestyle=canary",
            "min_protocol_version=3.2",
            "ssl_min_protocol_version=canary",
            "ssl_max_protocol_version=TLSv1.1",
            "sslrootcert=system sslmode=require",
            "sslrootcert=/nowhere/canary.pem sslmode=verify-full",
            "can/ary=1",
            "sslsni=canary",
            "host=@abstract",
        ] {
            let error = planned(&format!("user=u {text}")).unwrap_err();
            assert!(
                !error.contains("canary") || error.contains("canary.pem"),
                "{text}: {error}"
            );
        }
    }

    #[test]
    fn other_settings_are_settings_of_the_session() {
        let settings = Settings::parse(r"options='-c a=b' search_path='x, y' tz=UTC").unwrap();
        assert_eq!(
            session_options(&settings).unwrap().as_deref(),
            Some(r"-c a=b -c search_path=x,\ y")
        );
    }

    #[test]
    fn files_of_passwords() {
        let fields = split_fields(r"a\:b:*:c:d\\:e");
        let fields: Vec<&str> = fields.iter().map(|field| field.as_str()).collect();
        assert_eq!(fields, ["a:b", "*", "c", r"d\", "e"]);
    }
}
