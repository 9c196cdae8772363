//! Where the audit database is and how it is reached: the settings of a connection string, checked.

use std::time::Duration;

use tokio_postgres::Config;
use tokio_postgres::config::SslMode;

use super::connection_string::Settings;
use super::tls::{Tls, TlsError};

/// Why a connection string leads nowhere.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(super) enum EndpointError {
    /// A setting has a value that makes no sense, which is not shown.
    #[error("`{name}` of the connection string must be {expected}")]
    Setting {
        name: &'static str,
        expected: &'static str,
    },
    /// TLS cannot be set up.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// How to reach a database.
#[derive(Debug)]
pub(super) struct Endpoint {
    pub(super) config: Config,
    /// What encrypts the connection; nothing on a local socket, or where no encryption is wanted.
    pub(super) tls: Option<Tls>,
    /// How long connecting may take.
    pub(super) timeout: Option<Duration>,
    /// Host and port, for people.
    pub(super) shown: String,
}

impl Endpoint {
    /// Checks the settings.
    pub(super) fn of(settings: &Settings) -> Result<Self, EndpointError> {
        let host = settings.get("host").unwrap_or("localhost");
        if host.starts_with('@') || host.contains(',') {
            return Err(wrong("host", "one name, address or folder of a socket"));
        }
        let port: u16 = match settings.get("port") {
            None => 5432,
            Some(text) => text.parse().map_err(|_| wrong("port", "one number"))?,
        };
        let user = settings
            .get("user")
            .map(str::to_owned)
            .or_else(super::user_name)
            .ok_or(wrong("user", "given, as this user has no name"))?;
        let mut config = Config::new();
        config.host(host).port(port).user(&user);
        if let Some(name) = settings.get("dbname") {
            config.dbname(name);
        }
        if let Some(password) = settings.get("password") {
            config.password(password);
        }
        let timeout = match settings.get("connect_timeout").map(str::parse) {
            None | Some(Ok(0)) => None,
            Some(Ok(seconds)) => Some(Duration::from_secs(seconds)),
            Some(Err(_)) => return Err(wrong("connect_timeout", "a number of seconds")),
        };
        let tls = Tls::new(settings)?.filter(|_| !host.starts_with('/'));
        config.ssl_mode(match tls {
            Some(_) => SslMode::Require,
            None => SslMode::Disable,
        });
        Ok(Self {
            shown: format!("{host} port {port}"),
            config,
            tls,
            timeout,
        })
    }
}

fn wrong(name: &'static str, expected: &'static str) -> EndpointError {
    EndpointError::Setting { name, expected }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(text: &str) -> Result<Endpoint, String> {
        let settings = Settings::parse(text, &|_| None).unwrap();
        Endpoint::of(&settings).map_err(|error| error.to_string())
    }

    #[test]
    fn s175_the_default_is_a_local_server_with_tls() {
        let shape = |text: &str| {
            let endpoint = endpoint(text).unwrap();
            (endpoint.shown, endpoint.tls.is_some())
        };
        assert_eq!(shape("user=u"), ("localhost port 5432".into(), true));
        assert_eq!(
            shape("user=u sslmode=disable port=1 host=h"),
            ("h port 1".into(), false)
        );
        assert_eq!(
            shape("user=u host=/run/postgresql"),
            ("/run/postgresql port 5432".into(), false)
        );
    }

    #[test]
    fn what_makes_no_sense_is_refused_without_its_value() {
        for text in [
            "sslmode=canary",
            "sslmode=prefer",
            "port=canary",
            "port=1,2",
            "host=a,canary",
            "host=@canary",
            "connect_timeout=canary",
            "sslrootcert=/nowhere/ca sslmode=verify-full",
            "sslcert=/nowhere/cert sslkey=/nowhere/key",
            "sslcert=/nowhere/cert",
        ] {
            let error = endpoint(&format!("user=u {text}")).unwrap_err();
            assert!(!error.contains("canary"), "{text}: {error}");
        }
    }
}
