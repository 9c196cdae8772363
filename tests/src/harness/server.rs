//! The one shape of a server: start, wait until it really answers, hand out, stop.
//!
//! The server is not a child of the test process but of a supervisor (see `src/bin/supervisor.rs`), so it ends with the
//! test process however that ends. What it prints goes to a log in the sandbox, and a server that dies or stays silent
//! is reported with the last lines of it.

use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::thread;
use std::time::{Duration, Instant};

use super::sandbox::{Sandbox, supervisor};

/// How long a server may take until it answers; machines under load are slow.
const PATIENCE: Duration = Duration::from_secs(90);
/// How often a server is restarted because another process was faster to take a port.
const ATTEMPTS: usize = 5;

/// A running server. Killed when dropped.
#[derive(Debug)]
pub struct Server {
    name: String,
    command: Command,
    log: PathBuf,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    supervisor: Child,
    line: ChildStdin,
    pid: u32,
    ended: Receiver<String>,
}

impl Server {
    /// Starts what `prepare` describes and waits until `ready` agrees.
    ///
    /// `prepare` picks fresh ports each time it is called ([`free_port`]) and returns the command with
    /// whatever the caller wants to know about it; it is called again when a port turns out to be taken. `ready` is
    /// asked again and again; its error is part of the report if it never agrees.
    ///
    /// # Errors
    ///
    /// Says which server, why, and what it printed last.
    pub fn start<A>(
        sandbox: &Sandbox,
        name: &str,
        mut prepare: impl FnMut() -> Result<(Command, A), String>,
        mut ready: impl FnMut(&A) -> Result<(), String>,
    ) -> Result<(Self, A), String> {
        let mut attempt = 1;
        loop {
            let (command, about) = prepare()?;
            let log = sandbox.path().join(format!("{name}-{attempt}.log"));
            let mut server = Self {
                name: name.to_owned(),
                command: supervised(&command)?,
                log,
                running: None,
            };
            match server.launch(|| ready(&about)) {
                Ok(()) => return Ok((server, about)),
                Err(error)
                    if attempt < ATTEMPTS
                        && server
                            .log_text()
                            .to_lowercase()
                            .contains("address already in use") =>
                {
                    drop(error);
                    attempt += 1;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Starts the same command again after [`Server::stop`] and waits until `ready` agrees.
    ///
    /// # Errors
    ///
    /// As [`Server::start`].
    pub fn start_again(
        &mut self,
        mut ready: impl FnMut() -> Result<(), String>,
    ) -> Result<(), String> {
        self.launch(&mut ready)
    }

    /// Kills the server and waits until it is gone.
    pub fn stop(&mut self) {
        if let Some(Running {
            mut supervisor,
            line,
            ..
        }) = self.running.take()
        {
            drop(line);
            drop(supervisor.wait());
        }
    }

    /// The process id of the program itself, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.running.as_ref().map(|running| running.pid)
    }

    /// How the program ended, if it ended by itself.
    pub fn ended(&self) -> Option<String> {
        self.running
            .as_ref()
            .and_then(|running| running.ended.try_recv().ok())
    }

    /// Asks the program to end, as a cluster does (SIGTERM), and waits for it; says how it ended.
    ///
    /// # Errors
    ///
    /// When the program does not end in time.
    pub fn terminate(&mut self, patience: Duration) -> Result<String, String> {
        let Some(running) = &self.running else {
            return Err(format!("{} does not run", self.name));
        };
        let pid = i32::try_from(running.pid)
            .ok()
            .and_then(rustix::process::Pid::from_raw);
        let pid = pid.ok_or_else(|| format!("{} has no process id", self.name))?;
        rustix::process::kill_process(pid, rustix::process::Signal::TERM)
            .map_err(|error| format!("cannot end {}: {error}", self.name))?;
        let status = running.ended.recv_timeout(patience);
        let status = status.map_err(|_| self.report("did not end on SIGTERM"))?;
        self.stop();
        Ok(status)
    }

    /// All that the program has printed since it was started first.
    pub fn log_text(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    fn launch(&mut self, mut ready: impl FnMut() -> Result<(), String>) -> Result<(), String> {
        self.stop();
        self.running = Some(self.spawn()?);
        let start = Instant::now();
        let mut pause = Duration::from_millis(20);
        loop {
            let why = match ready() {
                Ok(()) => return Ok(()),
                Err(why) => why,
            };
            let ended = self
                .running
                .as_ref()
                .map(|running| running.ended.try_recv());
            match ended {
                Some(Ok(status)) => {
                    return Err(self.fail(&format!("ended at its start ({status})")));
                }
                Some(Err(TryRecvError::Disconnected)) => {
                    return Err(self.fail("lost its supervisor"));
                }
                _ if start.elapsed() > PATIENCE => {
                    return Err(self.fail(&format!(
                        "did not answer within {} s: {why}",
                        PATIENCE.as_secs()
                    )));
                }
                _ => thread::sleep(pause),
            }
            pause = (pause * 3 / 2).min(Duration::from_millis(250));
        }
    }

    fn spawn(&mut self) -> Result<Running, String> {
        let failed = |error| format!("cannot start {}: {error}", self.name);
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.log)
            .map_err(failed)?;
        self.command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log);
        let mut supervisor = self.command.spawn().map_err(failed)?;
        let line = supervisor.stdin.take().expect("standard input is piped");
        let mut reports =
            BufReader::new(supervisor.stdout.take().expect("standard output is piped")).lines();
        let first = reports.next().and_then(Result::ok).unwrap_or_default();
        let pid = first
            .strip_prefix("pid ")
            .and_then(|number| number.parse().ok());
        let pid = pid.ok_or_else(|| self.report("could not be started"))?;
        let (sender, ended) = channel();
        thread::spawn(move || {
            reports
                .map_while(Result::ok)
                .try_for_each(|report| sender.send(report))
        });
        Ok(Running {
            supervisor,
            line,
            pid,
            ended,
        })
    }

    fn fail(&mut self, what: &str) -> String {
        let report = self.report(what);
        self.stop();
        report
    }

    fn report(&self, what: &str) -> String {
        let text = self.log_text();
        let lines: Vec<&str> = text.lines().collect();
        let last = lines[lines.len().saturating_sub(15)..].join("\n  ");
        let program = self
            .command
            .get_args()
            .nth(1)
            .map(Path::new)
            .unwrap_or(Path::new(""));
        format!(
            "{} {what}; its last lines:\n  {last}\nthe program is {} (`make servers` rebuilds it when that file is removed)",
            self.name,
            program.display()
        )
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A loopback port that was free a moment ago. Another process may be faster: see [`Server::start`].
///
/// # Errors
///
/// When no port can be had at all.
pub fn free_port() -> Result<u16, String> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .map_err(|error| format!("no free loopback port: {error}"))
}

/// The same command under a supervisor.
fn supervised(command: &Command) -> Result<Command, String> {
    let mut outer = supervisor("run")?;
    outer.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => outer.env(name, value),
            None => outer.env_remove(name),
        };
    }
    if let Some(folder) = command.get_current_dir() {
        outer.current_dir(folder);
    }
    Ok(outer)
}
