//! The way from the API server into the cluster's network, which does not exist here.
//!
//! The API server asks a CONNECT proxy on a unix socket for every connection to a Pod's address (service proxy,
//! webhooks, aggregated APIs). The proxy knows which loopback port stands for which address, and refuses all others.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddrV4, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;

/// Where the addresses of Pods lead.
#[derive(Clone, Debug, Default)]
pub(super) struct Routes(Arc<Mutex<HashMap<SocketAddrV4, u16>>>);

impl Routes {
    pub(super) fn lead(&self, from: SocketAddrV4, to_local_port: u16) {
        self.0
            .lock()
            .expect("no holder of the routes panics")
            .insert(from, to_local_port);
    }

    fn find(&self, target: &str) -> Option<u16> {
        let address = target.parse().ok()?;
        self.0
            .lock()
            .expect("no holder of the routes panics")
            .get(&address)
            .copied()
    }
}

/// Serves the proxy on `socket` until the process ends.
pub(super) fn serve(socket: &Path, routes: Routes) -> io::Result<()> {
    let listener = UnixListener::bind(socket)?;
    thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let routes = routes.clone();
            // A connection that breaks is the API server's to report; the proxy goes on.
            thread::spawn(move || lead(client, &routes).ok());
        }
    });
    Ok(())
}

fn lead(mut client: UnixStream, routes: &Routes) -> io::Result<()> {
    let head = read_head(&mut client)?;
    let target = head
        .strip_prefix("CONNECT ")
        .and_then(|rest| rest.split(' ').next())
        .unwrap_or_default();
    let Some(port) = routes.find(target) else {
        return client.write_all(format!("HTTP/1.1 502 no route to {target}\r\n\r\n").as_bytes());
    };
    let server = match TcpStream::connect((Ipv4Addr::LOCALHOST, port)) {
        Ok(server) => server,
        Err(error) => {
            return client.write_all(format!("HTTP/1.1 503 {target}: {error}\r\n\r\n").as_bytes());
        }
    };
    client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
    let (mut from_client, mut to_server) = (client.try_clone()?, server.try_clone()?);
    let upwards = thread::spawn(move || {
        let copied = io::copy(&mut from_client, &mut to_server);
        drop(to_server.shutdown(Shutdown::Write));
        copied
    });
    let (mut from_server, mut to_client) = (server, client);
    io::copy(&mut from_server, &mut to_client)?;
    drop(to_client.shutdown(Shutdown::Both));
    drop(upwards.join());
    Ok(())
}

/// Reads up to the empty line, byte by byte: what follows belongs to the connection inside.
fn read_head(client: &mut UnixStream) -> io::Result<String> {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() > 8192 {
            return Err(io::Error::other("the request is too long"));
        }
        client.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}
