//! A server that answers as a test says: a double of an API that cannot be had.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use serde_json::{Value, json};

/// A request as the double got it.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Its method.
    pub method: String,
    /// Its path and query.
    pub path: String,
    /// Its headers, with their names in lower case.
    pub headers: BTreeMap<String, String>,
    /// Its body, null if it is no JSON.
    pub body: Value,
}

/// A server that answers with what a function says, and keeps what it was asked.
#[derive(Debug)]
pub struct Double {
    address: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Double {
    /// Starts a server on a port of its own. It answers until the process ends.
    ///
    /// # Panics
    ///
    /// If no port can be had.
    pub fn start(answer: impl Fn(&Asked) -> (u16, Value) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("it is bound");
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let kept = Arc::clone(&asked);
        thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let Some(request) = read(&mut stream) else {
                    continue;
                };
                let (status, body) = answer(&request);
                lock(&kept).push(request);
                let body = match body {
                    Value::Null => String::new(),
                    body => body.to_string(),
                };
                let answer = format!(
                    "HTTP/1.1 {status} x\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                    body.len()
                );
                let _ = stream.write_all(answer.as_bytes());
            }
        });
        Self {
            address: format!("http://{address}"),
            asked,
        }
    }

    /// The address.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// What it was asked since the last time.
    pub fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut lock(&self.asked))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn read(stream: &mut impl Read) -> Option<Asked> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let length = stream.read(&mut buffer).ok()?;
        bytes.extend_from_slice(&buffer[..length]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            if length == 0 {
                return None;
            }
            continue;
        };
        let mut lines = head.lines();
        let mut words = lines.next()?.split(' ').map(str::to_owned);
        let headers: BTreeMap<String, String> = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        let announced = headers.get("content-length");
        let announced = announced.and_then(|length| length.parse().ok());
        if body.len() < announced.unwrap_or(0) && length > 0 {
            continue;
        }
        return Some(Asked {
            method: words.next()?,
            path: words.next()?,
            headers,
            body: serde_json::from_str(body).unwrap_or_default(),
        });
    }
}

/// The tokens that a double of Grafana has now, by their numbers: their keys are `glsa_` and the number.
pub type Tokens = Arc<Mutex<BTreeMap<i64, String>>>;

/// Starts a double of Grafana, as its HTTP API is documented: service accounts and their tokens, for the token `admin`.
///
/// # Panics
///
/// In its own thread, if it is asked for service accounts of another name, as an address spells it.
pub fn grafana(account: &'static str) -> (Double, Tokens) {
    let tokens = Tokens::default();
    let made = Arc::clone(&tokens);
    let accounts: Mutex<Vec<Value>> = Mutex::default();
    let count = Mutex::new(9);
    let server = Double::start(move |asked| {
        if asked.headers.get("authorization").map(String::as_str) != Some("Bearer admin") {
            return (401, json!({"message": "Unauthorized"}));
        }
        let (path, query) = asked.path.split_once('?').unwrap_or((&asked.path, ""));
        let (mut tokens, mut accounts) = (lock(&made), lock(&accounts));
        match (asked.method.as_str(), path) {
            ("GET", "/api/serviceaccounts/search") => {
                assert_eq!(query, format!("query={account}"));
                let count = accounts.len();
                let found = json!({"totalCount": count, "serviceAccounts": *accounts});
                (200, found)
            }
            ("POST", "/api/serviceaccounts") => {
                let account = json!({"id": 3, "name": asked.body["name"], "login": "sa-the-bot",
                    "role": asked.body["role"], "orgId": 1});
                accounts.push(account.clone());
                (201, account)
            }
            ("POST", "/api/serviceaccounts/3/tokens") => {
                let name = asked.body["name"].as_str().unwrap_or_default().to_owned();
                if tokens.values().any(|known| *known == name) {
                    return (
                        409,
                        json!({"message": "service account token given name already exists"}),
                    );
                }
                let mut count = lock(&count);
                *count += 1;
                tokens.insert(*count, name.clone());
                let key = format!("glsa_{count}");
                (200, json!({"id": *count, "name": name, "key": key}))
            }
            ("DELETE", path) if path.starts_with("/api/") => {
                let id = path.strip_prefix("/api/serviceaccounts/3/tokens/");
                let id = id.and_then(|id| id.parse().ok()).unwrap_or(0);
                match tokens.remove(&id) {
                    Some(_) => (200, json!({"message": "Service account token deleted"})),
                    None => (404, json!({"message": "service account token not found"})),
                }
            }
            _ => (404, json!({"message": "Not found"})),
        }
    });
    (server, tokens)
}
