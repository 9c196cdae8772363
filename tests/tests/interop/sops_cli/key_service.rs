//! The key service over unix and tcp: our server for the real client, the real server for ours.

use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::{Desk, Ran, Whose, run};
use crate::at_terminal::AtTerminal;

/// A key service, stopped when dropped.
struct Service {
    child: Child,
    uri: String,
}

impl Service {
    fn start(desk: &Desk, whose: Whose, network: &str) -> Self {
        let (address, uri) = match network {
            "unix" => {
                // A killed service leaves its socket behind, so each has another.
                static COUNT: AtomicUsize = AtomicUsize::new(0);
                let name = format!("{}.sock", COUNT.fetch_add(1, Ordering::Relaxed));
                let path = desk.root.path().join(name);
                let path = path.to_str().unwrap().to_owned();
                let uri = format!("unix://{path}");
                (path, uri)
            }
            _ => {
                let port = TcpListener::bind("127.0.0.1:0")
                    .unwrap()
                    .local_addr()
                    .unwrap();
                (port.to_string(), format!("tcp://{port}"))
            }
        };
        let child = desk
            .command(whose)
            .args(["keyservice", "--network", network, "--address", &address])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let end = Instant::now() + Duration::from_secs(20);
        let open = || match network {
            "unix" => UnixStream::connect(&address).is_ok(),
            _ => TcpStream::connect(&address).is_ok(),
        };
        while !open() {
            assert!(Instant::now() < end, "{whose:?} does not listen on {uri}");
            std::thread::sleep(Duration::from_millis(20));
        }
        Self { child, uri }
    }

    /// Ends it by SIGTERM and gives its log.
    fn stop(mut self) -> String {
        let id = self.child.id().to_string();
        let killed = Command::new("kill").args(["-TERM", &id]).status();
        assert!(killed.unwrap().success());
        let mut pipe = self.child.stderr.take().unwrap();
        let mut log = String::new();
        std::io::Read::read_to_string(&mut pipe, &mut log).unwrap();
        self.child.wait().unwrap();
        log
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A client without keys of its own.
fn ask(desk: &Desk, whose: Whose, uri: &str, words: &[&str]) -> Ran {
    let mut command = desk.command(whose);
    command
        .env_remove("SOPS_AGE_KEY_FILE")
        .env("HOME", "/nonexistent");
    command
        .arg(words[0])
        .args(["--enable-local-keyservice=false", "--keyservice", uri])
        .args(&words[1..]);
    run(&mut command, b"")
}

#[test]
fn s10_s18_s19_both_sides_over_unix_and_tcp() {
    let desk = Desk::with_rule();
    for network in ["unix", "tcp"] {
        for (server, client) in [
            (Whose::Ours, Whose::Theirs),
            (Whose::Theirs, Whose::Ours),
            (Whose::Ours, Whose::Ours),
        ] {
            let service = Service::start(&desk, server, network);
            desk.write("a.yaml", "a: remote\n");
            ask(
                &desk,
                client,
                &service.uri,
                &["encrypt", "--in-place=true", "a.yaml"],
            )
            .good();
            assert_eq!(
                ask(&desk, client, &service.uri, &["decrypt", "a.yaml"]).good(),
                "a: remote\n",
                "{server:?} {client:?} {network}"
            );
            // A key that the service does not have is refused there, and the reason comes back.
            desk.theirs_encrypts("b.yaml", "b: 1\n", &["--age", &desk.recipients[2].clone()]);
            let err = ask(&desk, client, &service.uri, &["decrypt", "b.yaml"]).fails(128);
            assert!(err.contains(&desk.recipients[2]), "{err}");
            drop(service);
        }
    }
}

/// A service has a minute for its answer, as the person at its end may be asked. Long before that, the next one is asked.
#[test]
fn a_service_that_hangs_does_not_hold_up_the_next() {
    let desk = Desk::with_rule();
    desk.theirs_encrypts("a.yaml", "a: 1\n", &[]);
    // Connections are taken by the system, and no one ever reads from them.
    let hanging = TcpListener::bind("127.0.0.1:0").unwrap();
    let hanging_uri = format!("tcp://{}", hanging.local_addr().unwrap());
    let service = Service::start(&desk, Whose::Ours, "unix");
    let mut command = Command::new("timeout");
    desk.furnish(&mut command);
    command
        .arg("30")
        .arg(desk.program(Whose::Ours))
        .args(["decrypt", "--enable-local-keyservice=false"])
        .args(["--keyservice", &hanging_uri])
        .args(["--keyservice", &service.uri])
        .arg("a.yaml");
    assert_eq!(run(&mut command, b"").good(), "a: 1\n");
    // The first one was asked, and was still being waited for.
    hanging.set_nonblocking(true).unwrap();
    hanging.accept().expect("the first service was asked");
}

#[test]
fn the_path_of_a_socket_may_stand_behind_one_colon() {
    let desk = Desk::with_rule();
    desk.theirs_encrypts("a.yaml", "a: 1\n", &[]);
    let service = Service::start(&desk, Whose::Ours, "unix");
    let path = service.uri.trim_start_matches("unix://");
    let name = path.rsplit('/').next().unwrap();
    for (uri, code) in [
        (format!("unix:{path}"), 0),
        (format!("unix:../{name}"), 0),
        (format!("unix://../{name}"), 128),
    ] {
        for client in [Whose::Theirs, Whose::Ours] {
            let ran = ask(&desk, client, &uri, &["decrypt", "a.yaml"]);
            assert_eq!(ran.code, code, "{client:?} {uri} {}", ran.err);
            let mut command = desk.command(client);
            command
                .env_remove("SOPS_AGE_KEY_FILE")
                .env("SOPS_KEYSERVICE", &uri)
                .args(["decrypt", "a.yaml"]);
            let ran = run(&mut command, b"");
            assert_eq!(ran.code, code, "{client:?} {uri} {}", ran.err);
        }
    }
}

#[test]
fn s18_without_any_service_nothing_opens() {
    let desk = Desk::with_rule();
    desk.theirs_encrypts("a.yaml", "a: 1\n", &[]);
    for whose in [Whose::Theirs, Whose::Ours] {
        desk.run(
            whose,
            ["decrypt", "--enable-local-keyservice=false", "a.yaml"],
        )
        .fails(128);
        let mut command = desk.command(whose);
        command
            .env("SOPS_ENABLE_LOCAL_KEYSERVICE", "false")
            .args(["decrypt", "a.yaml"]);
        run(&mut command, b"").fails(128);
    }
}

#[test]
fn s142_a_stopped_service_removes_its_socket_and_a_second_one_fails() {
    let desk = Desk::new();
    let service = Service::start(&desk, Whose::Ours, "unix");
    let path = service.uri.trim_start_matches("unix://").to_owned();
    let second = desk.ours(["keyservice", "--network", "unix", "--address", &path]);
    assert_eq!(second.code, 1, "{}", second.err);
    let log = service.stop();
    assert!(
        log.contains("Listening") && log.contains("KEYSERVICE"),
        "{log}"
    );
    assert!(!std::path::Path::new(&path).exists());
    desk.ours(["keyservice", "--network", "bogus"]).fails(1);
}

#[test]
fn s63_a_service_with_a_prompt_asks_its_owner() {
    let desk = Desk::with_rule();
    desk.theirs_encrypts("a.yaml", "a: 1\n", &[]);
    let path = desk.root.path().join("asked.sock");
    let path = path.to_str().unwrap().to_owned();
    let mut owner = AtTerminal::start(
        &desk,
        Whose::Ours,
        &[
            "keyservice",
            "--prompt",
            "--network",
            "unix",
            "--address",
            &path,
        ],
    );
    owner.expect("Listening");
    for (answer, code) in [("n", 128), ("y", 0)] {
        std::thread::scope(|scope| {
            let client = scope.spawn(|| {
                ask(
                    &desk,
                    Whose::Theirs,
                    &format!("unix://{path}"),
                    &["decrypt", "a.yaml"],
                )
            });
            owner.expect("request using age key");
            std::thread::sleep(Duration::from_millis(200));
            owner.send(&format!("{answer}\n"));
            assert_eq!(client.join().unwrap().code, code);
        });
    }
    owner.send("\u{3}");
    owner.finish();
}
