//! What `kubeseal` sees of a cluster: an API server with the controller's Service behind its proxy. It writes down what
//! it was asked, so that two programs can be compared by what they ask. It speaks TLS, as programs show their credentials
//! to no one else; over plain HTTP it is a proxy and a file server.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use sealwright_crypto::sealing::base64;

use serde_json::{Value, json};

/// A request, as far as it says who asks for what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) method: String,
    pub(super) path: String,
    /// The headers that tell who asks, by name in lower case.
    pub(super) who: BTreeMap<String, Vec<String>>,
    pub(super) accept: String,
    pub(super) body: String,
}

/// The listening double; it ends with the test.
pub(super) struct Door {
    pub(super) port: u16,
    /// The certificate it shows, as PEM.
    pub(super) authority: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

/// How the controller answers.
#[derive(Clone, Default)]
pub(super) struct Answers {
    /// The name of the Service's port.
    pub(super) port_name: &'static str,
    /// What `/v1/cert.pem` gives.
    pub(super) certificate: String,
    /// Names of SealedSecrets that do not open.
    pub(super) closed: Vec<&'static str>,
    /// How many requests to verify and rotate are put off with 429 before each that is answered.
    pub(super) put_off: usize,
}

impl Door {
    pub(super) fn open(answers: Answers) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let key = rcgen::KeyPair::generate().unwrap();
        let names = vec!["127.0.0.1".to_owned(), "api.cluster.invalid".to_owned()];
        let certificate = rcgen::CertificateParams::new(names)
            .unwrap()
            .self_signed(&key)
            .unwrap();
        let authority = certificate.pem();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())),
            )
            .unwrap();
        let served = Served {
            put_off: Mutex::new(answers.put_off),
            answers,
            written: Arc::clone(&asked),
            tls: Arc::new(tls),
        };
        let served = Arc::new(served);
        std::thread::spawn(move || {
            for connection in listener.incoming().map_while(Result::ok) {
                let served = Arc::clone(&served);
                std::thread::spawn(move || served.talk(connection));
            }
        });
        Self {
            port,
            authority,
            asked,
        }
    }

    /// What was asked since the last call.
    pub(super) fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }

    /// A kubeconfig that leads here.
    pub(super) fn kubeconfig(&self, user: &Value) -> String {
        json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "main",
            "clusters": [{ "name": "c", "cluster": {
                "server": format!("https://127.0.0.1:{}", self.port),
                "certificate-authority-data": base64::encode(self.authority.as_bytes()),
            } }],
            "contexts": [
                { "name": "main", "context": { "cluster": "c", "user": "u", "namespace": "from-main" } },
                { "name": "other", "context": { "cluster": "c", "user": "v" } },
            ],
            "users": [{ "name": "u", "user": user }, { "name": "v", "user": { "token": "of-v" } }],
        })
        .to_string()
    }
}

struct Served {
    answers: Answers,
    written: Arc<Mutex<Vec<Asked>>>,
    put_off: Mutex<usize>,
    tls: Arc<ServerConfig>,
}

impl Served {
    /// TLS, or a plain request; what a proxy is asked to reach is this door again.
    fn talk(&self, connection: TcpStream) {
        let mut first = [0];
        if !matches!(connection.peek(&mut first), Ok(1)) {
            return;
        }
        if first[0] == 0x16 {
            let tls = ServerConnection::new(Arc::clone(&self.tls)).unwrap();
            self.serve(&mut BufReader::new(StreamOwned::new(tls, connection)));
            return;
        }
        let mut reader = BufReader::new(connection.try_clone().unwrap());
        if let Some(proxied) = self.serve(&mut reader) {
            self.written.lock().unwrap().push(proxied);
            if reader
                .get_mut()
                .write_all(b"HTTP/1.1 200 OK\r\n\r\n")
                .is_ok()
            {
                self.talk(connection);
            }
        }
    }

    /// Answers until the other side ends, or wants to be led elsewhere.
    fn serve<S: Read + Write>(&self, reader: &mut BufReader<S>) -> Option<Asked> {
        while let Some(asked) = read(reader) {
            if asked.method == "CONNECT" {
                return Some(asked);
            }
            let (status, kind, body) = answer(&asked, &self.answers, &self.put_off);
            self.written.lock().unwrap().push(asked);
            let again = match &status[..3] {
                "429" => "Retry-After: 1\r\n".to_owned(),
                "302" => format!("Location: {body}\r\n"),
                _ => String::new(),
            };
            let head = format!(
                "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\n{again}Content-Length: {}\r\n\r\n",
                body.len()
            );
            let written = reader.get_mut().write_all((head + &body).as_bytes());
            written.and_then(|()| reader.get_mut().flush()).ok()?;
        }
        None
    }
}

fn read(reader: &mut impl BufRead) -> Option<Asked> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
    let mut words = line.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let path = match target.strip_prefix("http://") {
        Some(absolute) => absolute
            .find('/')
            .map_or("/".to_owned(), |at| absolute[at..].to_owned()),
        None => target,
    };
    let mut asked = Asked {
        method,
        path,
        who: BTreeMap::new(),
        accept: String::new(),
        body: String::new(),
    };
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            break;
        };
        let name = name.to_ascii_lowercase();
        if name == "content-length" {
            length = value.parse().ok()?;
        } else if name == "accept" {
            asked.accept = value.to_owned();
        } else if name == "authorization" || name.starts_with("impersonate-") {
            asked.who.entry(name).or_default().push(value.to_owned());
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    asked.body = String::from_utf8(body).ok()?;
    Some(asked)
}

fn answer(
    asked: &Asked,
    answers: &Answers,
    put_off: &Mutex<usize>,
) -> (&'static str, &'static str, String) {
    const JSON: &str = "application/json";
    let status = |code: u16, reason: &str, message: &str| {
        json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message,
                "reason": reason, "code": code })
        .to_string()
    };
    let path = asked.path.split('?').next().unwrap_or_default();
    if let Some(target) = path.strip_prefix("/to/") {
        return ("302 Found", "text/plain", target.to_owned());
    }
    if let Some(hops) = path.strip_prefix("/hops/") {
        return match hops.parse::<u32>().unwrap_or_default() {
            0 => (
                "200 OK",
                "application/x-pem-file",
                answers.certificate.clone(),
            ),
            hops => ("302 Found", "text/plain", format!("/hops/{}", hops - 1)),
        };
    }
    if path == "/api/v1/namespaces/kube-system/services/sealed-secrets-controller" {
        let mut port = json!({ "port": 8080 });
        if !answers.port_name.is_empty() {
            port["name"] = answers.port_name.into();
        }
        let service = json!({ "kind": "Service", "apiVersion": "v1", "spec": { "ports": [port] },
                              "metadata": { "name": "sealed-secrets-controller", "namespace": "kube-system" } });
        return ("200 OK", JSON, service.to_string());
    }
    let proxy = format!(
        "/api/v1/namespaces/kube-system/services/http:sealed-secrets-controller:{}/proxy/v1/",
        answers.port_name
    );
    let Some(verb) = path.strip_prefix(&proxy) else {
        let message = format!(
            "services {:?} not found",
            path.rsplit('/').next().unwrap_or_default()
        );
        return ("404 Not Found", JSON, status(404, "NotFound", &message));
    };
    if verb != "cert.pem" && answers.put_off > 0 {
        let mut left = put_off.lock().unwrap();
        if *left > 0 {
            *left -= 1;
            return (
                "429 Too Many Requests",
                "text/plain",
                "slow down".to_owned(),
            );
        }
        *left = answers.put_off;
    }
    let sealed: Value = serde_json::from_str(&asked.body).unwrap_or_default();
    let name = sealed["metadata"]["name"].as_str().unwrap_or_default();
    match (asked.method.as_str(), verb) {
        ("GET", "cert.pem") => (
            "200 OK",
            "application/x-pem-file",
            answers.certificate.clone(),
        ),
        ("POST", "verify") if answers.closed.contains(&name) => {
            ("409 Conflict", "text/plain", String::new())
        }
        ("POST", "verify") => ("200 OK", "text/plain", String::new()),
        ("POST", "rotate") if answers.closed.contains(&name) => {
            ("500 Internal Server Error", "text/plain", String::new())
        }
        ("POST", "rotate") => {
            // As the controller does: no kind, no status, every value with a new text, and no template data.
            let mut renewed = sealed.clone();
            renewed
                .as_object_mut()
                .unwrap()
                .retain(|key, _| key == "metadata" || key == "spec");
            let spec = renewed["spec"].as_object_mut().unwrap();
            for value in spec["encryptedData"].as_object_mut().unwrap().values_mut() {
                *value = "AgRENEWED".into();
            }
            if let Some(template) = spec.get_mut("template") {
                template.as_object_mut().unwrap().remove("data");
            }
            ("200 OK", "text/plain", renewed.to_string())
        }
        _ => (
            "404 Not Found",
            JSON,
            status(404, "NotFound", "nothing here"),
        ),
    }
}
