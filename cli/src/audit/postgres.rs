//! One audit database: a connection to PostgreSQL as lib/pq would make it, and the insertion of a row.

use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sealwright_crypto::secret::SecretText;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;
use tokio_postgres::config::{SslMode, SslNegotiation, TargetSessionAttrs};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Config};
use zeroize::Zeroizing;

use super::Action;
use super::connection_string::{Settings, StringError, UNSUPPORTED_VARIABLES};
use super::tls::{Tls, TlsError};

/// The table as the incumbent's `schema.sql` has it (S177).
const INSERT: &str = "INSERT INTO audit_event (action, username, file) VALUES ($1, $2, $3)";
/// After so long without a word, the server is asked whether it is still there: an editor may be open for hours.
const SILENCE: Duration = Duration::from_secs(1);
/// How long a farewell may take.
const FAREWELL: Duration = Duration::from_millis(200);

/// Why a database cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(super) enum DatabaseError {
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
    /// A variable of PostgreSQL's that is not followed here.
    #[error("the variable {0} is set, which is not supported")]
    Variable(&'static str),
    /// TLS cannot be set up.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The runtime does not start.
    #[error("cannot wait for the network")]
    Runtime(#[source] std::io::Error),
    /// The server does not answer.
    #[error("cannot connect to {place}: {reason}")]
    Connect { place: String, reason: String },
    /// The server took no row.
    #[error("{0}")]
    Insert(String),
}

/// How far a connection is encrypted, as lib/pq names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Disable,
    Allow,
    Prefer,
    Require,
}

/// Where a server may be. lib/pq takes several and uses the first that answers.
#[derive(Debug)]
struct Place {
    config: Config,
    mode: Mode,
    shown: String,
}

/// An audit database with an open connection.
#[derive(Debug)]
pub(super) struct Database {
    runtime: Runtime,
    places: Vec<Place>,
    tls: Option<Tls>,
    timeout: Option<Duration>,
    link: Option<Link>,
}

#[derive(Debug)]
struct Link {
    client: Client,
    task: JoinHandle<()>,
    used: Instant,
}

impl Database {
    /// Connects, and asks the server for an answer (S176).
    pub(super) fn open(connection_string: &SecretText) -> Result<Self, DatabaseError> {
        let mut settings = Settings::parse(connection_string.expose())?;
        let variable = |name: &str| std::env::var(name).ok();
        if let Some(name) = UNSUPPORTED_VARIABLES
            .iter()
            .find(|name| std::env::var_os(name).is_some())
        {
            return Err(DatabaseError::Variable(name));
        }
        settings.complete(&variable);
        let (places, tls, timeout) = plan(&settings)?;
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(DatabaseError::Runtime)?;
        let mut database = Self {
            runtime,
            places,
            tls,
            timeout,
            link: None,
        };
        database.connect()?;
        Ok(database)
    }

    /// Writes a row. A connection that fell silent is made anew first, but a row is never sent twice.
    pub(super) fn insert(
        &mut self,
        action: Action,
        user: &str,
        file: &str,
    ) -> Result<(), DatabaseError> {
        if !self.is_alive() {
            self.connect()?;
        }
        let link = self.link.as_mut().expect("a connection was just made");
        let action = action.name();
        let values: [(&(dyn ToSql + Sync), Type); 3] = [
            (&action, Type::TEXT),
            (&user, Type::TEXT),
            (&file, Type::TEXT),
        ];
        let row = link.client.execute_typed(INSERT, &values);
        let inserted = self.runtime.block_on(row);
        link.used = Instant::now();
        inserted
            .map(drop)
            .map_err(|error| DatabaseError::Insert(describe(&error)))
    }

    fn is_alive(&self) -> bool {
        match &self.link {
            None => false,
            Some(link) if link.used.elapsed() < SILENCE => true,
            Some(link) => self
                .runtime
                .block_on(link.client.check_connection())
                .is_ok(),
        }
    }

    fn connect(&mut self) -> Result<(), DatabaseError> {
        self.link = None;
        let mut failures = Vec::new();
        for place in &self.places {
            let answer = self.runtime.block_on(async {
                let attempt = reach(place, self.tls.as_ref());
                match self.timeout {
                    None => attempt.await,
                    Some(timeout) => match tokio::time::timeout(timeout, attempt).await {
                        Ok(answer) => answer,
                        Err(_) => Err("no answer within connect_timeout".into()),
                    },
                }
            });
            match answer {
                Ok(link) => {
                    self.link = Some(link);
                    return Ok(());
                }
                Err(reason) => failures.push((place.shown.clone(), reason)),
            }
        }
        let (place, reason) = failures.pop().expect("there is a place");
        let earlier: String = failures
            .iter()
            .map(|(place, reason)| format!("; before that to {place}: {reason}"))
            .collect();
        Err(DatabaseError::Connect {
            place,
            reason: reason + &earlier,
        })
    }
}

impl Drop for Database {
    /// Says good-bye, so that the server has no broken connection to complain of.
    fn drop(&mut self) {
        if let Some(Link { client, task, .. }) = self.link.take() {
            drop(client);
            let _ = self
                .runtime
                .block_on(async { tokio::time::timeout(FAREWELL, task).await });
        }
    }
}

/// Connects to one place in the ways its mode allows.
async fn reach(place: &Place, tls: Option<&Tls>) -> Result<Link, String> {
    let attempts: &[SslMode] = match place.mode {
        Mode::Disable => &[SslMode::Disable],
        Mode::Allow => &[SslMode::Disable, SslMode::Require],
        Mode::Prefer => &[SslMode::Prefer, SslMode::Disable],
        Mode::Require => &[SslMode::Require],
    };
    let mut last = String::new();
    for mode in attempts {
        match call(place, *mode, tls).await {
            Ok(link) => return Ok(link),
            // What the server itself refuses without TLS, it may take with it; with `prefer` it is the other way round.
            Err((reason, by_server)) => {
                last = reason;
                if by_server != (place.mode == Mode::Allow) {
                    break;
                }
            }
        }
    }
    Err(last)
}

async fn call(place: &Place, mode: SslMode, tls: Option<&Tls>) -> Result<Link, (String, bool)> {
    let failed = |error: tokio_postgres::Error| {
        let by_server = error.as_db_error().is_some();
        (describe_start(&error), by_server)
    };
    let mut config = place.config.clone();
    config.ssl_mode(mode);
    let (client, task) = match tls {
        Some(tls) if mode != SslMode::Disable => {
            let (client, connection) = config.connect(tls.clone()).await.map_err(failed)?;
            (client, tokio::spawn(async { drop(connection.await) }))
        }
        _ => {
            let connected = config.connect(tokio_postgres::NoTls).await;
            let (client, connection) = connected.map_err(failed)?;
            (client, tokio::spawn(async { drop(connection.await) }))
        }
    };
    client.simple_query("SELECT 1").await.map_err(failed)?;
    Ok(Link {
        client,
        task,
        used: Instant::now(),
    })
}

/// What the server or the network said at the start. Of a setting that the server does not know, nothing is repeated: it
/// may be the second half of a password without quotes.
fn describe_start(error: &tokio_postgres::Error) -> String {
    let about_setting = [
        SqlState::UNDEFINED_OBJECT,
        SqlState::INVALID_PARAMETER_VALUE,
        SqlState::CANT_CHANGE_RUNTIME_PARAM,
    ];
    match error.code() {
        Some(code) if about_setting.contains(code) => format!(
            "the server does not take a setting of the connection string (SQLSTATE {})",
            code.code()
        ),
        _ => describe(error),
    }
}

fn describe(error: &tokio_postgres::Error) -> String {
    if let Some(answer) = error.as_db_error() {
        return format!(
            "{}: {} (SQLSTATE {})",
            answer.severity(),
            answer.message(),
            answer.code().code()
        );
    }
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
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

type Plan = (Vec<Place>, Option<Tls>, Option<Duration>);

/// Turns settings into places to try.
fn plan(settings: &Settings) -> Result<Plan, DatabaseError> {
    for name in ["service", "krbsrvname", "krbspn"] {
        if settings.get(name).is_some() {
            return Err(DatabaseError::Unsupported(name));
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
    Ok((places, tls, timeout))
}

/// Settings of the session, the way the server takes them at its start.
fn session_options(settings: &Settings) -> Result<Option<String>, DatabaseError> {
    let mut options = settings.get("options").unwrap_or_default().to_owned();
    for (name, value) in settings.others(KNOWN) {
        let good = name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'.');
        if !good || name.is_empty() || name.starts_with(|first: char| first.is_ascii_digit()) {
            return Err(DatabaseError::Name);
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
fn hosts(settings: &Settings) -> Result<Vec<Host>, DatabaseError> {
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

fn wrong(name: &'static str, expected: &'static str) -> DatabaseError {
    DatabaseError::Setting { name, expected }
}

/// A name of an encoding without what PostgreSQL does not look at.
fn plain(name: &str) -> String {
    let letters = name.chars().filter(char::is_ascii_alphanumeric);
    letters.map(|c| c.to_ascii_lowercase()).collect()
}

/// Whether a private key is kept as PostgreSQL's clients ask for: for its owner alone, or root's and for a group to read.
pub(super) fn is_well_kept(path: &Path) -> std::io::Result<bool> {
    let metadata = fs::metadata(path)?;
    let mode = metadata.mode() & 0o777;
    Ok(mode & !0o600 == 0 || (metadata.uid() == 0 && mode & !0o640 == 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(text: &str) -> Result<Vec<(String, u16, Mode)>, String> {
        let settings = Settings::parse(text).unwrap();
        let (places, ..) = plan(&settings).map_err(|error| error.to_string())?;
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
