//! An OpenBao server in development mode: KV engines, transit, sign-in methods, and an audit log that counts calls. Or one
//! with storage of its own (raft), which can be sealed and restarted.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;

use super::sandbox::Sandbox;
use super::server::{Server, free_port};
use super::upstream;

/// The root token of every server.
pub const ROOT: &str = "root-token-of-a-test";

/// A running server. Killed when dropped.
#[derive(Debug)]
pub struct OpenBao {
    server: Mutex<Server>,
    port: u16,
    audit: PathBuf,
    certificates: Option<PathBuf>,
    /// What opens a server that was sealed.
    unseal_key: Option<String>,
    // After the server: it goes first.
    _sandbox: Sandbox,
}

impl OpenBao {
    /// Starts a server over plain HTTP with a KV engine of version 2 at `secret/`.
    ///
    /// # Errors
    ///
    /// Says what could not be made or started.
    pub fn start() -> Result<Self, String> {
        Self::start_as(false)
    }

    /// Starts a server over TLS, with a certificate of its own authority for `localhost` and 127.0.0.1.
    ///
    /// # Errors
    ///
    /// As [`OpenBao::start`].
    pub fn start_tls() -> Result<Self, String> {
        Self::start_as(true)
    }

    fn start_as(tls: bool) -> Result<Self, String> {
        let sandbox = Sandbox::new()?;
        let audit = sandbox.path().join("audit.log");
        let config = sandbox.path().join("config.hcl");
        let certificates = sandbox.folder("certificates")?;
        fs::write(
            &config,
            format!(
                "audit \"file\" \"calls\" {{\n  options {{\n    file_path = {:?}\n  }}\n}}\n",
                audit.display().to_string()
            ),
        )
        .map_err(|error| format!("cannot write {}: {error}", config.display()))?;
        let prepare = || {
            let port = free_port()?;
            let mut command = Command::new(upstream::bao());
            command
                .args(["server", "-dev", "-dev-no-store-token"])
                .arg(format!("-dev-root-token-id={ROOT}"))
                .arg(format!("-dev-listen-address=127.0.0.1:{port}"))
                .arg(format!("-config={}", config.display()));
            if tls {
                command
                    .arg("-dev-tls")
                    .arg(format!("-dev-tls-cert-dir={}", certificates.display()));
            }
            command.env("HOME", sandbox.path());
            Ok((command, port))
        };
        let ready = |port: &u16| {
            if tls {
                let done = certificates.join("vault-ca.pem").exists()
                    && TcpStream::connect(("127.0.0.1", *port)).is_ok();
                return if done {
                    Ok(())
                } else {
                    Err("no certificates yet".to_owned())
                };
            }
            let health = request(*port, "GET", "sys/health", None, "", None)?;
            let mount = request(*port, "GET", "sys/mounts", Some(ROOT), "", None)?;
            let there = mount.1["data"]["secret/"].is_object();
            if health.0 == 200 && there {
                Ok(())
            } else {
                Err(format!("it answers {}", health.0))
            }
        };
        let (server, port) = Server::start(&sandbox, "openbao", prepare, ready)?;
        Ok(Self {
            server: Mutex::new(server),
            port,
            audit,
            certificates: tls.then_some(certificates),
            unseal_key: None,
            _sandbox: sandbox,
        })
    }

    /// Starts a server over plain HTTP with raft storage and a KV engine of version 2 at `secret/`. It can be sealed,
    /// unsealed and restarted.
    ///
    /// # Errors
    ///
    /// As [`OpenBao::start`].
    pub fn start_raft() -> Result<Self, String> {
        let sandbox = Sandbox::new()?;
        let audit = sandbox.path().join("audit.log");
        let config = sandbox.path().join("config.hcl");
        let storage = sandbox.folder("raft")?;
        let prepare = || {
            let (port, cluster) = (free_port()?, free_port()?);
            let text = format!(
                "storage \"raft\" {{\n  path = {:?}\n  node_id = \"one\"\n}}\n\
                 listener \"tcp\" {{\n  address = \"127.0.0.1:{port}\"\n  tls_disable = true\n}}\n\
                 audit \"file\" \"calls\" {{\n  options {{\n    file_path = {:?}\n  }}\n}}\n\
                 api_addr = \"http://127.0.0.1:{port}\"\ncluster_addr = \"http://127.0.0.1:{cluster}\"\n",
                storage.display().to_string(),
                audit.display().to_string()
            );
            fs::write(&config, text)
                .map_err(|error| format!("cannot write {}: {error}", config.display()))?;
            let mut command = Command::new(upstream::bao());
            command
                .arg("server")
                .arg(format!("-config={}", config.display()))
                .env("HOME", sandbox.path());
            Ok((command, port))
        };
        let ready = |port: &u16| answers(*port);
        let (server, port) = Server::start(&sandbox, "openbao-raft", prepare, ready)?;
        let shares = serde_json::json!({"secret_shares": 1, "secret_threshold": 1});
        let (_, made) = request(port, "PUT", "sys/init", None, "", Some(&shares))?;
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let key = text(&made["keys"][0]).ok_or("the server gives no key to unseal it with")?;
        let first = text(&made["root_token"]).ok_or("the server gives no root token")?;
        let raft = Self {
            server: Mutex::new(server),
            port,
            audit,
            certificates: None,
            unseal_key: Some(key),
            _sandbox: sandbox,
        };
        raft.unseal();
        let root = serde_json::json!({"id": ROOT, "policies": ["root"]});
        raft.eventually(&first, "POST", "auth/token/create", &root)?;
        let engine = serde_json::json!({"type": "kv", "options": {"version": "2"}});
        raft.eventually(ROOT, "POST", "sys/mounts/secret", &engine)?;
        Ok(raft)
    }

    /// Makes a call that a server which has just been unsealed may not take yet.
    fn eventually(
        &self,
        token: &str,
        method: &str,
        path: &str,
        body: &Value,
    ) -> Result<Value, String> {
        let mut last = String::new();
        for _ in 0..500 {
            match request(self.port, method, path, Some(token), "", Some(body)) {
                Ok((200..=204, answer)) => return Ok(answer),
                Ok((status, answer)) => last = format!("{status} {answer}"),
                Err(error) => last = error,
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Err(format!("{method} {path}: {last}"))
    }

    /// Seals the server: it keeps its data and answers no one.
    pub fn seal(&self) {
        let (status, answer) = self.try_api(ROOT, "PUT", "sys/seal", None);
        assert_eq!(status, 204, "{answer}");
    }

    /// Opens a server that was sealed or restarted.
    pub fn unseal(&self) {
        let body = serde_json::json!({"key": self.unseal_key});
        let (status, answer) = self.try_api("", "PUT", "sys/unseal", Some(&body));
        assert_eq!((status, &answer["sealed"]), (200, &Value::Bool(false)));
    }

    /// Starts the server again that was stopped. One with storage of its own is sealed then.
    pub fn start_again(&self) {
        let mut server = self.server.lock().unwrap_or_else(PoisonError::into_inner);
        let ready = || answers(self.port);
        server
            .start_again(ready)
            .unwrap_or_else(|error| panic!("{error}"));
    }

    /// The port on the loopback address.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The address.
    pub fn address(&self) -> String {
        match self.certificates {
            Some(_) => format!("https://localhost:{}", self.port),
            None => format!("http://127.0.0.1:{}", self.port),
        }
    }

    /// The certificate of the authority, of a server over TLS.
    pub fn authority(&self) -> Option<PathBuf> {
        self.certificates
            .as_ref()
            .map(|folder| folder.join("vault-ca.pem"))
    }

    /// Makes a call as root to a server over plain HTTP, and panics when it fails.
    pub fn api(&self, method: &str, path: &str, body: Option<&Value>) -> Value {
        let (status, answer) = self.try_api(ROOT, method, path, body);
        assert!(
            (200..300).contains(&status),
            "{method} {path}: {status} {answer}"
        );
        answer
    }

    /// Makes a call with a token, and gives status and answer.
    pub fn try_api(
        &self,
        token: &str,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> (u16, Value) {
        request(self.port, method, path, Some(token), "", body)
            .unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    /// Makes a call as root in a namespace.
    pub fn api_in(&self, namespace: &str, method: &str, path: &str, body: Option<&Value>) -> Value {
        let header = format!("X-Vault-Namespace: {namespace}\r\n");
        let (status, answer) = request(self.port, method, path, Some(ROOT), &header, body)
            .unwrap_or_else(|error| panic!("{method} {path}: {error}"));
        assert!(
            (200..300).contains(&status),
            "{method} {path}: {status} {answer}"
        );
        answer
    }

    /// Runs the program `bao` as root against the server.
    pub fn bao(&self) -> Command {
        let mut command = Command::new(upstream::bao());
        command
            .env("BAO_ADDR", self.address())
            .env("BAO_TOKEN", ROOT);
        if let Some(authority) = self.authority() {
            command.env("BAO_CACERT", authority);
        }
        command
    }

    /// How many requests the server has answered whose operation and path agree with `wanted`, by its own audit log.
    pub fn calls(&self, wanted: impl Fn(&str, &str) -> bool) -> usize {
        self.count("", wanted)
    }

    /// The same for lines with this text; the others are not parsed.
    fn count(&self, text_of_line: &str, wanted: impl Fn(&str, &str) -> bool) -> usize {
        let text = fs::read_to_string(&self.audit).unwrap_or_default();
        text.lines()
            .filter(|line| line.contains(text_of_line))
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .filter(|entry| entry["type"] == "response")
            .filter(|entry| {
                let text = |name: &str| entry["request"][name].as_str().unwrap_or_default();
                wanted(text("operation"), text("path"))
            })
            .count()
    }

    /// How often something whose path begins so was read.
    pub fn reads_below(&self, beginning: &str) -> usize {
        self.count(beginning, |operation, path| {
            operation == "read" && path.starts_with(beginning)
        })
    }

    /// The audit log, in which the server has replaced secrets by hashes.
    pub fn audit_log(&self) -> &Path {
        &self.audit
    }

    /// Kills the server.
    pub fn stop(&self) {
        self.server
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .stop();
    }
}

/// Agrees once a server answers at all, sealed or not.
fn answers(port: u16) -> Result<(), String> {
    request(port, "GET", "sys/health", None, "", None).map(drop)
}

fn request(
    port: u16,
    method: &str,
    path: &str,
    token: Option<&str>,
    headers: &str,
    body: Option<&Value>,
) -> Result<(u16, Value), String> {
    let failed = |error: std::io::Error| error.to_string();
    let mut stream = TcpStream::connect(("127.0.0.1", port)).map_err(failed)?;
    stream
        .set_read_timeout(Some(Duration::from_secs(30)))
        .map_err(failed)?;
    let body = body.map(Value::to_string).unwrap_or_default();
    let token = token
        .map(|token| format!("X-Vault-Token: {token}\r\n"))
        .unwrap_or_default();
    let head = format!(
        "{method} /v1/{path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n{token}{headers}Content-Length: {}\r\n\r\n",
        body.len()
    );
    stream
        .write_all((head + &body).as_bytes())
        .map_err(failed)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).map_err(failed)?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    let status = status.ok_or("it does not answer over HTTP")?;
    let chunked = head
        .to_ascii_lowercase()
        .contains("transfer-encoding: chunked");
    let body = if chunked {
        unchunked(body)
    } else {
        body.to_owned()
    };
    Ok((status, serde_json::from_str(&body).unwrap_or(Value::Null)))
}

fn unchunked(mut body: &str) -> String {
    let mut out = String::new();
    while let Some((size, rest)) = body.split_once("\r\n") {
        let size = usize::from_str_radix(size.trim(), 16).unwrap_or(0);
        if size == 0 || size > rest.len() {
            break;
        }
        out.push_str(&rest[..size]);
        body = rest[size..].trim_start_matches("\r\n");
    }
    out
}
