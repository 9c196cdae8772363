//! A server that writes whatever a test wants: services whose answers have headers, and peers that mean no good.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

/// A request as a peer got it.
#[derive(Clone, Debug, Default)]
pub struct Head {
    /// Its method.
    pub method: String,
    /// Its path and query.
    pub path: String,
    /// Its headers, with their names in lower case.
    pub headers: BTreeMap<String, String>,
    /// Its body.
    pub body: Vec<u8>,
}

/// A running peer. It answers until its process ends.
#[derive(Clone, Debug)]
pub struct Peer {
    address: SocketAddr,
    requests: Arc<AtomicUsize>,
}

impl Peer {
    /// Starts a peer on a port of its own; each connection is answered once, in a thread of its own, and closed.
    ///
    /// # Panics
    ///
    /// If no port can be had.
    pub fn start(answer: impl Fn(&Head, &mut TcpStream) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port is free");
        let peer = Self {
            address: listener.local_addr().expect("it listens"),
            requests: Arc::default(),
        };
        let (answer, requests) = (Arc::new(answer), Arc::clone(&peer.requests));
        thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let (answer, requests) = (Arc::clone(&answer), Arc::clone(&requests));
                thread::spawn(move || {
                    let _ = stream.set_read_timeout(Some(Duration::from_secs(60)));
                    let _ = stream.set_write_timeout(Some(Duration::from_secs(60)));
                    if let Some(head) = read(&mut stream) {
                        requests.fetch_add(1, Ordering::SeqCst);
                        answer(&head, &mut stream);
                    }
                });
            }
        });
        peer
    }

    /// The address.
    pub fn address(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How many requests came.
    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

/// Writes a whole answer; a client that has gone away is no concern of the peer.
pub fn reply(stream: &mut TcpStream, status: u16, headers: &[(&str, &str)], body: &[u8]) {
    let mut text = format!(
        "HTTP/1.1 {status} x\r\nContent-Length: {}\r\nConnection: close\r\n",
        body.len()
    );
    for (name, value) in headers {
        text += &format!("{name}: {value}\r\n");
    }
    text += "\r\n";
    let _ = stream.write_all(text.as_bytes());
    let _ = stream.write_all(body);
}

fn read(stream: &mut TcpStream) -> Option<Head> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    let end = loop {
        if let Some(at) = bytes.windows(4).position(|part| part == b"\r\n\r\n") {
            break at;
        }
        match stream.read(&mut buffer).ok()? {
            0 => return None,
            count => bytes.extend_from_slice(&buffer[..count]),
        }
    };
    let text = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut lines = text.lines();
    let mut first = lines.next()?.split(' ');
    let mut head = Head {
        method: first.next()?.to_owned(),
        path: first.next()?.to_owned(),
        ..Head::default()
    };
    for line in lines {
        let (name, value) = line.split_once(':')?;
        head.headers
            .insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = head.headers.get("content-length");
    let length = length.and_then(|text| text.parse().ok()).unwrap_or(0);
    head.body = bytes.split_off(end + 4);
    while head.body.len() < length {
        match stream.read(&mut buffer).ok()? {
            0 => return None,
            count => head.body.extend_from_slice(&buffer[..count]),
        }
    }
    Some(head)
}
