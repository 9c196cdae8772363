//! One audit database: a connection to PostgreSQL as lib/pq would make it, and the insertion of a row.

use std::time::{Duration, Instant};

use sealwright_crypto::secret::SecretText;
use tokio::task::JoinHandle;
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{ToSql, Type};

use super::Action;
use super::connection_string::{Settings, StringError};
use super::endpoint::{Endpoint, EndpointError};
use crate::error::with_causes;
use crate::network::{Network, NetworkError};

/// The table as upstream's `schema.sql` has it (S177).
const INSERT: &str = "INSERT INTO audit_event (action, username, file) VALUES ($1, $2, $3)";
/// After so long without a word, the server is asked whether it is still there: an editor may be open for hours.
const SILENCE: Duration = Duration::from_secs(1);
/// How long a server that fell silent may take for an answer, before the connection is given up.
const GREETING: Duration = Duration::from_secs(5);
/// How long a row, or a second connection, may take: by then, Ctrl-C may be for the editor that was open.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a farewell may take.
const FAREWELL: Duration = Duration::from_millis(200);

/// Why a database cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(super) enum DatabaseError {
    /// The connection string cannot be read.
    #[error(transparent)]
    String(#[from] StringError),
    /// The connection string leads nowhere.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// There is no network.
    #[error(transparent)]
    Network(#[from] NetworkError),
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
    network: Network,
    endpoint: Endpoint,
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
    pub(super) fn open(
        connection_string: &SecretText,
        network: &Network,
    ) -> Result<Self, DatabaseError> {
        let variable = |name: &str| std::env::var(name).ok();
        let settings = Settings::parse(connection_string.expose(), &variable)?;
        let mut database = Self {
            network: network.clone(),
            endpoint: Endpoint::of(&settings)?,
            link: None,
        };
        database.connect(database.endpoint.timeout)?;
        Ok(database)
    }

    /// Writes a row. A connection that fell silent is made again first, but a row is never sent twice.
    pub(super) fn insert(
        &mut self,
        action: Action,
        user: &str,
        file: &str,
    ) -> Result<(), DatabaseError> {
        if !self.is_alive() {
            self.connect(self.endpoint.timeout.or(Some(PATIENCE)))?;
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
            .network
            .block_on(async { tokio::time::timeout(PATIENCE, row).await })?;
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
            Some(link) => {
                let answer = self.network.block_on(async {
                    let answer = link.client.check_connection();
                    tokio::time::timeout(GREETING, answer).await
                });
                matches!(answer, Ok(Ok(Ok(()))))
            }
        }
    }

    fn connect(&mut self, timeout: Option<Duration>) -> Result<(), DatabaseError> {
        self.link = None;
        let answer = self.network.block_on(async {
            let attempt = reach(&self.endpoint);
            match timeout {
                None => attempt.await.map_err(|error| describe_start(&error)),
                Some(timeout) => match tokio::time::timeout(timeout, attempt).await {
                    Ok(answer) => answer.map_err(|error| describe_start(&error)),
                    Err(_) => Err("no answer in time".into()),
                },
            }
        })?;
        self.link = Some(answer.map_err(|reason| DatabaseError::Connect {
            place: self.endpoint.shown.clone(),
            reason,
        })?);
        Ok(())
    }
}

impl Drop for Database {
    /// Says good-bye, so that the server has no broken connection to complain of.
    fn drop(&mut self) {
        if let Some(Link { client, task, .. }) = self.link.take() {
            drop(client);
            let _ = self
                .network
                .block_on(async { tokio::time::timeout(FAREWELL, task).await });
        }
    }
}

async fn reach(endpoint: &Endpoint) -> Result<Link, tokio_postgres::Error> {
    let (client, task) = match &endpoint.tls {
        Some(tls) => {
            let (client, connection) = endpoint.config.connect(tls.clone()).await?;
            (client, tokio::spawn(async { drop(connection.await) }))
        }
        None => {
            let (client, connection) = endpoint.config.connect(tokio_postgres::NoTls).await?;
            (client, tokio::spawn(async { drop(connection.await) }))
        }
    };
    client.simple_query("SELECT 1").await?;
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
    with_causes(error)
}
