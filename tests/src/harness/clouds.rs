//! Doubles of Azure and Google behind their real host names, in one process.
//!
//! Programs find them through `HTTPS_PROXY` and an authority of the doubles' own, with no other setting. What they answer is
//! proved with the vendors' own clients: `tests/doubles/prove_*.py`.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use super::programs::output;
use super::sandbox::Sandbox;
use super::server::{Server, free_port};
use super::upstream;

/// The running doubles. Killed when dropped.
#[derive(Debug)]
pub struct Clouds {
    proxy: u16,
    plain: u16,
    folder: PathBuf,
    // The server before its folder: it goes first. Neither is there for one that another process has started.
    _server: Option<Server>,
    _sandbox: Option<Sandbox>,
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("doubles")
        .join(name)
}

impl Clouds {
    /// Starts empty ones.
    ///
    /// # Errors
    ///
    /// Says what could not be started.
    pub fn start() -> Result<Self, String> {
        let sandbox = Sandbox::new()?;
        let folder = sandbox.path().to_owned();
        let prepare = || {
            let (proxy, plain) = (free_port()?, free_port()?);
            let mut command = Command::new(upstream::cloud_clients());
            command
                .arg(script("main.py"))
                .arg(&folder)
                .args([proxy.to_string(), plain.to_string()])
                .env("PYTHONDONTWRITEBYTECODE", "1");
            Ok((command, (proxy, plain)))
        };
        let ready = |(_, plain): &(u16, u16)| post(*plain, "ready", &json!({})).map(drop);
        let (server, (proxy, plain)) = Server::start(&sandbox, "clouds", prepare, ready)?;
        Ok(Self {
            proxy,
            plain,
            folder,
            _server: Some(server),
            _sandbox: Some(sandbox),
        })
    }

    /// What [`Clouds::at`] takes to find these.
    pub fn address(&self) -> String {
        format!("{}:{}:{}", self.proxy, self.plain, self.folder.display())
    }

    /// Returns those that another process has started, by their [`Clouds::address`].
    ///
    /// # Panics
    ///
    /// Fails the test when it is no such address.
    pub fn at(address: &str) -> Self {
        let mut parts = address.splitn(3, ':');
        let mut next = || parts.next().expect("the address has three parts");
        Self {
            proxy: next().parse().expect("a port"),
            plain: next().parse().expect("a port"),
            folder: next().into(),
            _server: None,
            _sandbox: None,
        }
    }

    /// The certificate of the authority that the doubles' own are signed by.
    pub fn authority(&self) -> PathBuf {
        self.folder.join("ca.pem")
    }

    /// The variables that lead a program here.
    pub fn variables(&self) -> Vec<(&'static str, String)> {
        let authority = self.authority().to_string_lossy().into_owned();
        let plain = format!("127.0.0.1:{}", self.plain);
        vec![
            ("HTTPS_PROXY", format!("http://127.0.0.1:{}", self.proxy)),
            ("NO_PROXY", "127.0.0.1".to_owned()),
            ("SSL_CERT_FILE", authority.clone()),
            ("REQUESTS_CA_BUNDLE", authority),
            ("GCE_METADATA_HOST", plain.clone()),
            (
                "AZURE_POD_IDENTITY_AUTHORITY_HOST",
                format!("http://{plain}"),
            ),
            // Upstream speaks gRPC otherwise, which the double does not.
            ("SOPS_GCP_KMS_CLIENT_TYPE", "rest".to_owned()),
        ]
    }

    /// The address of the identity endpoint of an App Service.
    pub fn identity_endpoint(&self) -> String {
        format!("http://127.0.0.1:{}/msi/token", self.plain)
    }

    /// Puts something there, or asks: `google/secret`, `azure/key`, `deny`, `fault`, `calls`, `reset`.
    ///
    /// # Panics
    ///
    /// Fails the test when the doubles refuse.
    pub fn control(&self, what: &str, body: &Value) -> Value {
        post(self.plain, what, body).unwrap_or_else(|error| panic!("{what}: {error}"))
    }

    /// The calls since the last `forget-calls`, as `METHOD host/path`.
    pub fn calls(&self) -> Vec<String> {
        let calls = self.control("calls", &json!({}));
        serde_json::from_value(calls).expect("calls are texts")
    }

    /// Runs one of the scripts with the vendors' own clients.
    ///
    /// # Panics
    ///
    /// Fails the test when the script fails.
    pub fn prove(&self, name: &str) -> String {
        let mut command = Command::new(upstream::cloud_clients());
        command
            .arg(script(name))
            .arg(format!("http://127.0.0.1:{}", self.plain))
            .envs(self.variables())
            .env("DOUBLE_FOLDER", &self.folder)
            .env("PYTHONDONTWRITEBYTECODE", "1");
        output(&mut command).unwrap_or_else(|error| panic!("{error}"))
    }
}

fn post(port: u16, what: &str, body: &Value) -> Result<Value, String> {
    let text = |error: std::io::Error| error.to_string();
    let mut stream = TcpStream::connect(("127.0.0.1", port)).map_err(text)?;
    stream
        .set_read_timeout(Some(Duration::from_secs(30)))
        .map_err(text)?;
    let body = body.to_string();
    let request = format!(
        "POST /control/{what} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).map_err(text)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).map_err(text)?;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n").ok_or("no answer of HTTP")?;
    match head.split(' ').nth(1) {
        Some("200") => serde_json::from_str(body).map_err(|error| format!("{error}: {body}")),
        _ => Err(format!("{head}\n{body}")),
    }
}
