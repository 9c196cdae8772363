//! A proxy between a client and a server over plain HTTP that does to answers what networks and middlemen do to them.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// What happens to an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// It comes a little later.
    Late,
    /// The connection is closed before anything comes.
    Closed,
    /// The connection is closed in the middle of the body.
    Cut,
    /// Nothing ever comes, and the connection stays open.
    HalfOpen,
    /// A page of a proxy comes instead, with this status.
    Page(u16),
    /// The body is cut, and its length says so.
    ShortBody,
    /// The body is something else that is JSON.
    OtherJson(u16),
    /// The server asks for fewer requests.
    Throttled,
    /// The server fails by itself.
    Failed,
    /// Something that is not HTTP comes.
    Noise,
    /// An answer without a body comes.
    Empty(u16),
    /// A body comes that never ends.
    Endless,
}

/// All of them.
pub const FAULTS: [Fault; 19] = [
    Fault::None,
    Fault::Late,
    Fault::Closed,
    Fault::Cut,
    Fault::HalfOpen,
    Fault::Page(200),
    Fault::Page(403),
    Fault::Page(404),
    Fault::Page(502),
    Fault::ShortBody,
    Fault::OtherJson(200),
    Fault::OtherJson(404),
    Fault::OtherJson(403),
    Fault::Throttled,
    Fault::Failed,
    Fault::Noise,
    Fault::Empty(404),
    Fault::Empty(204),
    Fault::Endless,
];

/// The proxy. It lives as long as its process.
#[derive(Clone, Debug)]
pub struct FaultProxy {
    address: SocketAddr,
    next: Arc<Mutex<Vec<Fault>>>,
    always: Arc<Mutex<Fault>>,
    requests: Arc<AtomicU64>,
    heads: Arc<Mutex<Vec<String>>>,
}

impl FaultProxy {
    /// Starts a proxy in front of a loopback port.
    pub fn start(port: u16) -> Self {
        Self::start_on(0, port)
    }

    /// Starts a proxy on a port of its own in front of another loopback port.
    pub fn start_on(own: u16, port: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", own)).expect("a loopback port is free");
        let proxy = Self {
            address: listener.local_addr().expect("it listens"),
            next: Arc::default(),
            always: Arc::new(Mutex::new(Fault::None)),
            requests: Arc::default(),
            heads: Arc::default(),
        };
        let shared = proxy.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let proxy = shared.clone();
                thread::spawn(move || {
                    // A client that goes away ends its connection, and nothing else.
                    let _ = proxy.serve(stream, port);
                });
            }
        });
        proxy
    }

    /// The address of the proxy.
    pub fn address(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What happens to the next answers, one after another; those after them are left alone.
    pub fn next(&self, faults: &[Fault]) {
        let mut next = self.next.lock().expect("no test has panicked with it");
        *next = faults.iter().rev().copied().collect();
    }

    /// What happens to all answers for which [`FaultProxy::next`] says nothing.
    pub fn always(&self, fault: Fault) {
        *self.always.lock().expect("no test has panicked with it") = fault;
    }

    /// How many requests came.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::SeqCst)
    }

    /// The heads of all requests, as they came.
    pub fn heads(&self) -> Vec<String> {
        self.heads
            .lock()
            .expect("no test has panicked with it")
            .clone()
    }

    fn serve(&self, mut client: TcpStream, port: u16) -> std::io::Result<()> {
        let Some((head, body)) = message(&mut client)? else {
            return Ok(());
        };
        self.requests.fetch_add(1, Ordering::SeqCst);
        self.heads
            .lock()
            .expect("no test has panicked with it")
            .push(head.clone());
        let fault = {
            let mut next = self.next.lock().expect("no test has panicked with it");
            next.pop()
                .unwrap_or_else(|| *self.always.lock().expect("no test has panicked with it"))
        };
        let mut server = TcpStream::connect(("127.0.0.1", port))?;
        let head = head.replacen("\r\n", "\r\nConnection: close\r\n", 1);
        server.write_all(head.as_bytes())?;
        server.write_all(&body)?;
        let mut answer = Vec::new();
        server.read_to_end(&mut answer)?;
        spoil(&mut client, fault, &answer)?;
        // The server has closed its side, so the client's is closed too.
        let _ = client.shutdown(Shutdown::Both);
        Ok(())
    }
}

/// Sends the answer, or what becomes of it.
fn spoil(client: &mut TcpStream, fault: Fault, answer: &[u8]) -> std::io::Result<bool> {
    let made = |status: u16, kind: &str, body: &str| {
        format!(
            "HTTP/1.1 {status} x\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        )
    };
    let body_at = answer
        .windows(4)
        .position(|bytes| bytes == b"\r\n\r\n")
        .map_or(answer.len(), |at| at + 4);
    match fault {
        Fault::None => client.write_all(answer)?,
        Fault::Late => {
            thread::sleep(Duration::from_millis(30));
            client.write_all(answer)?;
        }
        Fault::Closed => {}
        Fault::Cut => client.write_all(&answer[..body_at + (answer.len() - body_at) / 2])?,
        Fault::HalfOpen => {
            let mut buffer = [0; 64];
            // Until the client has had enough.
            while client.read(&mut buffer)? > 0 {}
            return Ok(false);
        }
        Fault::Page(status) => {
            let page = "<html><body><h1>Something is wrong</h1></body></html>";
            client.write_all(made(status, "text/html", page).as_bytes())?;
        }
        Fault::ShortBody => {
            let body = String::from_utf8_lossy(&answer[body_at..]).into_owned();
            let half: String = body.chars().take(body.chars().count() / 2).collect();
            client.write_all(made(200, "application/json", &half).as_bytes())?;
        }
        Fault::OtherJson(status) => {
            let json = r#"{"message": "not what was asked for", "code": 5}"#;
            client.write_all(made(status, "application/json", json).as_bytes())?;
        }
        Fault::Throttled => client.write_all(
            b"HTTP/1.1 429 x\r\nRetry-After: 0\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        )?,
        Fault::Failed => {
            let json = r#"{"errors": ["internal error"]}"#;
            client.write_all(made(500, "application/json", json).as_bytes())?;
        }
        Fault::Noise => client.write_all(b"\x16\x03\x01 this is no HTTP\r\n\r\n")?,
        Fault::Empty(status) => client.write_all(made(status, "text/plain", "").as_bytes())?,
        Fault::Endless => {
            client.write_all(b"HTTP/1.1 200 x\r\nContent-Type: application/json\r\n\r\n[")?;
            let chunk = [b'1'; 65_536];
            while client.write_all(&chunk).is_ok() {}
        }
    }
    Ok(true)
}

/// Reads a message: its head, and as many bytes of body as it announces.
fn message(stream: &mut TcpStream) -> std::io::Result<Option<(String, Vec<u8>)>> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte)? == 0 {
            return Ok(None);
        }
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let length = head
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, length)| length.trim().parse().ok())
        .unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    Ok(Some((head, body)))
}
