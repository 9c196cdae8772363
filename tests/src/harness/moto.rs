//! A double of AWS (`moto`): Secrets Manager, Parameter Store, Certificate Manager, KMS, STS, IAM and S3, in one process.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use super::programs::output;
use super::sandbox::Sandbox;
use super::server::{Server, free_port};
use super::upstream;

/// The region that tests use.
pub const REGION: &str = "eu-west-1";

/// A running double of AWS. Killed when dropped.
#[derive(Debug)]
pub struct Moto {
    port: u16,
    // The server before its folder: it goes first. Neither is there for one that another process has started.
    server: Option<Server>,
    _sandbox: Option<Sandbox>,
}

impl Moto {
    /// Starts an empty one.
    ///
    /// # Errors
    ///
    /// Says what could not be started.
    pub fn start() -> Result<Self, String> {
        let sandbox = Sandbox::new()?;
        let prepare = || {
            let port = free_port()?;
            let mut command = Command::new(upstream::moto());
            command
                .args([
                    "-c",
                    "import sys; from moto.server import main; main(sys.argv[1:])",
                ])
                .args(["-H", "127.0.0.1", "-p", &port.to_string()]);
            Ok((command, port))
        };
        let ready = |port: &u16| request(*port, "GET", "/moto-api/data.json", &[], b"").map(drop);
        let (server, port) = Server::start(&sandbox, "moto", prepare, ready)?;
        Ok(Self {
            port,
            server: Some(server),
            _sandbox: Some(sandbox),
        })
    }

    /// Returns the one that another process has started on a port of the loopback address.
    pub fn at(port: u16) -> Self {
        Self {
            port,
            server: None,
            _sandbox: None,
        }
    }

    /// The port on the loopback address.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The address, without a slash at its end.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The variables that lead a program here, with credentials that the double takes.
    pub fn variables(&self) -> Vec<(&'static str, String)> {
        let mut variables: Vec<(&'static str, String)> = [
            "AWS_ENDPOINT_URL",
            "AWS_SECRETSMANAGER_ENDPOINT",
            "AWS_SSM_ENDPOINT",
            "AWS_STS_ENDPOINT",
        ]
        .map(|name| (name, self.url()))
        .into();
        variables.push(("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE".to_owned()));
        variables.push(("AWS_SECRET_ACCESS_KEY", "made-for-tests".to_owned()));
        variables.push(("AWS_REGION", REGION.to_owned()));
        variables.push(("AWS_EC2_METADATA_DISABLED", "true".to_owned()));
        variables
    }

    /// Calls an operation by its target, such as `secretsmanager.CreateSecret`, as an administrator.
    ///
    /// # Panics
    ///
    /// Fails the test when the double refuses.
    pub fn call(&self, target: &str, body: &Value) -> Value {
        self.try_call(target, body)
            .unwrap_or_else(|error| panic!("{target}: {error}"))
    }

    /// Calls an operation by its target.
    ///
    /// # Errors
    ///
    /// What the double answered.
    pub fn try_call(&self, target: &str, body: &Value) -> Result<Value, String> {
        let service = match target.split('.').next() {
            Some("AmazonSSM") => "ssm",
            Some("TrentService") => "kms",
            Some("CertificateManager") => "acm",
            _ => "secretsmanager",
        };
        let scope = format!(
            "AWS4-HMAC-SHA256 Credential=AKIAADMIN/20260101/{REGION}/{service}/aws4_request, SignedHeaders=host, Signature=0"
        );
        let headers = [
            ("Content-Type", "application/x-amz-json-1.1"),
            ("X-Amz-Target", target),
            ("Authorization", scope.as_str()),
        ];
        let text = request(
            self.port,
            "POST",
            "/",
            &headers,
            body.to_string().as_bytes(),
        )?;
        if text.trim().is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_str(&text).map_err(|error| format!("{error}: {text}"))
    }

    /// Forgets everything.
    ///
    /// # Panics
    ///
    /// Fails the test when the double does not answer.
    pub fn reset(&self) {
        request(self.port, "POST", "/moto-api/reset", &[], b"").expect("the double can be reset");
    }

    /// From now on signatures are checked and policies of IAM count (`after` more calls are free).
    ///
    /// # Panics
    ///
    /// Fails the test when the double does not answer.
    pub fn check_permissions_after(&self, after: u32) {
        let body = after.to_string();
        request(
            self.port,
            "POST",
            "/moto-api/reset-auth",
            &[],
            body.as_bytes(),
        )
        .expect("the double takes the setting");
    }

    /// Runs a script with the vendor's own client; `client(name)` in it gives a client of a service.
    ///
    /// # Panics
    ///
    /// Fails the test when the script fails.
    pub fn with_vendors_client(&self, script: &str) -> String {
        let prelude = format!(
            "import boto3, json, sys\n\
             def client(name, **more):\n    \
             return boto3.client(name, region_name={REGION:?}, endpoint_url={:?}, **more)\n",
            self.url()
        );
        let mut command = Command::new(upstream::moto());
        command
            .arg("-c")
            .arg(prelude + script)
            .envs(self.variables());
        output(&mut command).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Kills the double and waits until it is gone.
    pub fn stop(&mut self) {
        if let Some(server) = &mut self.server {
            server.stop();
        }
    }
}

/// One request over a connection of its own; an answer with another status than 2xx is an error.
fn request(
    port: u16,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Result<String, String> {
    let text = |error: std::io::Error| error.to_string();
    let mut stream = TcpStream::connect(("127.0.0.1", port)).map_err(text)?;
    stream
        .set_read_timeout(Some(Duration::from_secs(30)))
        .map_err(text)?;
    let mut head = format!(
        "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\nContent-Length: {}\r\n",
        body.len()
    );
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes()).map_err(text)?;
    stream.write_all(body).map_err(text)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).map_err(text)?;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n").ok_or("no answer of HTTP")?;
    let status = head.split(' ').nth(1).unwrap_or_default();
    match status.starts_with('2') {
        true => Ok(body.to_owned()),
        false => Err(format!("{status}: {body}")),
    }
}
