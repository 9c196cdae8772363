//! One audit database: a connection to PostgreSQL as lib/pq would make it, and the insertion of a row.

use std::time::{Duration, Instant};

use sealwright_crypto::secret::SecretText;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;
use tokio_postgres::Client;
use tokio_postgres::config::SslMode;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{ToSql, Type};

use super::Action;
use super::connection_string::{Settings, UNSUPPORTED_VARIABLES};
use super::place::{Mode, Place, PlaceError, Plan};
use super::tls::Tls;

/// The table as the incumbent's `schema.sql` has it (S177).
const INSERT: &str = "INSERT INTO audit_event (action, username, file) VALUES ($1, $2, $3)";
/// After so long without a word, the server is asked whether it is still there: an editor may be open for hours.
const SILENCE: Duration = Duration::from_secs(1);
/// How long a server that fell silent may take for an answer, before the connection is given up.
const GREETING: Duration = Duration::from_secs(5);
/// How long a row, or a connection made anew, may take: by then, Ctrl-C may be for the editor that was open.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a farewell may take.
const FAREWELL: Duration = Duration::from_millis(200);

/// Why a database cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(super) enum DatabaseError {
    /// The connection string leads nowhere.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// A variable of PostgreSQL's that is not followed here.
    #[error("the variable {0} is set, which is not supported")]
    Variable(&'static str),
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
        let mut settings = Settings::parse(connection_string.expose()).map_err(PlaceError::from)?;
        let variable = |name: &str| std::env::var(name).ok();
        if let Some(name) = UNSUPPORTED_VARIABLES
            .iter()
            .find(|name| std::env::var_os(name).is_some())
        {
            return Err(DatabaseError::Variable(name));
        }
        settings.complete(&variable);
        let Plan {
            places,
            tls,
            timeout,
        } = Plan::of(&settings)?;
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
        database.connect(timeout)?;
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
            self.connect(self.timeout.or(Some(PATIENCE)))?;
        }
        let link = self.link.as_mut().expect("a connection was just made");
        let action = action.name();
        let values: [(&(dyn ToSql + Sync), Type); 3] = [
            (&action, Type::TEXT),
            (&user, Type::TEXT),
            (&file, Type::TEXT),
        ];
        let row = link.client.execute_typed(INSERT, &values);
        let inserted = self
            .runtime
            .block_on(async { tokio::time::timeout(PATIENCE, row).await });
        link.used = Instant::now();
        match inserted {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(DatabaseError::Insert(describe(&error))),
            Err(_) => Err(DatabaseError::Insert(
                "the server does not answer any more".into(),
            )),
        }
    }

    fn is_alive(&self) -> bool {
        match &self.link {
            None => false,
            Some(link) if link.used.elapsed() < SILENCE => true,
            Some(link) => self.runtime.block_on(async {
                let answer = link.client.check_connection();
                matches!(tokio::time::timeout(GREETING, answer).await, Ok(Ok(())))
            }),
        }
    }

    fn connect(&mut self, timeout: Option<Duration>) -> Result<(), DatabaseError> {
        self.link = None;
        let mut failures = Vec::new();
        for place in &self.places {
            let answer = self.runtime.block_on(async {
                let attempt = reach(place, self.tls.as_ref());
                match timeout {
                    None => attempt.await,
                    Some(timeout) => match tokio::time::timeout(timeout, attempt).await {
                        Ok(answer) => answer,
                        Err(_) => Err("no answer in time".into()),
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
