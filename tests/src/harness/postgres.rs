//! A PostgreSQL server with a folder, a port and a socket of its own.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::programs::output;
use super::sandbox::Sandbox;
use super::server::{Server, free_port};
use super::upstream;

/// Certificate and private key of a server, in PEM.
#[derive(Debug)]
pub struct ServerIdentity<'a> {
    /// The certificate.
    pub certificate: &'a str,
    /// Its private key.
    pub key: &'a str,
}

/// A running PostgreSQL server. Killed when dropped.
#[derive(Debug)]
pub struct Postgres {
    server: Server,
    port: u16,
    sockets: PathBuf,
    // After the server: it goes first.
    _sandbox: Sandbox,
}

impl Postgres {
    /// Starts a server with an empty database `postgres`. `access` is the content of its `pg_hba.conf`, which says who may
    /// come in how; the superuser `postgres` comes in through the socket in any case. With an identity it speaks TLS.
    ///
    /// # Errors
    ///
    /// Says what could not be made or started.
    pub fn start(access: &str, identity: Option<ServerIdentity<'_>>) -> Result<Self, String> {
        let sandbox = Sandbox::new()?;
        let data = sandbox.path().join("data");
        let sockets = sandbox.folder("sockets")?;
        let mut initdb = as_nobody(&upstream::initdb());
        initdb
            .arg("-D")
            .arg(&data)
            .args(["-U", "postgres", "--auth=trust", "--no-sync"])
            .args(["--locale=C", "--encoding=UTF8"]);
        finish(&mut initdb)?;
        let write = |name: &str, text: &str| {
            let path = data.join(name);
            // The server refuses a key that others can read.
            fs::write(&path, text)
                .and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(0o600)))
                .map_err(|error| format!("cannot write {}: {error}", path.display()))
        };
        write(
            "pg_hba.conf",
            &format!("local all postgres trust\n{access}\n"),
        )?;
        let mut settings = String::from("listen_addresses = '127.0.0.1'\nfsync = off\n");
        if let Some(identity) = identity {
            write("server.crt", identity.certificate)?;
            write("server.key", identity.key)?;
            settings += "ssl = on\n";
        }
        write("postgresql.auto.conf", &settings)?;
        let prepare = || {
            let port = free_port()?;
            let mut command = as_nobody(&upstream::postgres());
            command.arg("-D").arg(&data).arg("-k").arg(&sockets);
            command.args(["-p", &port.to_string()]);
            Ok((command, port))
        };
        let ready = |port: &u16| psql(&sockets, *port, "SELECT 1").map(drop);
        let (server, port) = Server::start(&sandbox, "postgres", prepare, ready)?;
        Ok(Self {
            server,
            port,
            sockets,
            _sandbox: sandbox,
        })
    }

    /// The port on the loopback address.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The folder of the socket.
    pub fn sockets(&self) -> &Path {
        &self.sockets
    }

    /// The process id of the server.
    pub fn pid(&self) -> Option<u32> {
        self.server.pid()
    }

    /// Runs statements as the superuser; gives rows as lines, values parted by `|`.
    ///
    /// # Errors
    ///
    /// With what the client said.
    pub fn sql(&self, statements: &str) -> Result<Vec<String>, String> {
        psql(&self.sockets, self.port, statements)
    }

    /// Kills the server and waits until it is gone.
    pub fn stop(&mut self) {
        self.server.stop();
    }
}

fn psql(sockets: &Path, port: u16, statements: &str) -> Result<Vec<String>, String> {
    let mut psql = Command::new(upstream::psql());
    psql.arg("-h")
        .arg(sockets)
        .args(["-p", &port.to_string()])
        .args(["-U", "postgres", "-d", "postgres"])
        .args(["-v", "ON_ERROR_STOP=1", "-qAtX", "-c", statements]);
    Ok(finish(&mut psql)?.lines().map(str::to_owned).collect())
}

fn finish(command: &mut Command) -> Result<String, String> {
    // What the tester has set for databases of their own is not for this one.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("PG") {
            command.env_remove(name);
        }
    }
    output(command)
}

/// The server does not run for root. In a user namespace root is called `nobody` and still owns its files; the namespace
/// for shared memory goes with the server, however it ends.
fn as_nobody(program: &Path) -> Command {
    const NOBODY: &str = "65534";
    if !rustix::process::getuid().is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("unshare");
    command
        .args(["--user", "--ipc"])
        .arg(format!("--map-user={NOBODY}"))
        .arg(format!("--map-group={NOBODY}"))
        // A new user namespace forgets that the process shall end with its parent.
        .args(["setpriv", "--pdeathsig", "KILL"])
        .arg(program);
    command
}
