//! `keyservice`: this machine's keys for other machines.

use std::sync::Arc;

use rustix::process::Signal;

use crate::error::{Error, Result};
use crate::key_service::{Door, Server};
use crate::signals::{Watch, code_of, end};
use crate::terminal::Level;
use crate::world::World;

/// Serves keys over gRPC, until it is interrupted.
#[derive(Debug)]
pub(crate) struct KeyService {
    pub(crate) network: String,
    pub(crate) address: String,
    pub(crate) prompt: bool,
}

impl KeyService {
    /// Listens and answers.
    pub(crate) fn run(self, world: &World) -> Result<()> {
        let failed = |cause: Box<dyn std::error::Error + Send + Sync>| {
            let place = format!("{}://{}", self.network, self.address);
            Error::generic(format!("cannot serve keys on {place}")).because(cause)
        };
        let consent = self.prompt.then(|| Arc::clone(&world.terminal) as _);
        let terminal = Arc::clone(&world.terminal);
        let log = Arc::new(move |line: &str| terminal.log_always(Level::Info, "KEYSERVICE", line));
        let server = Server::new(world.keys.for_others(), consent, log.clone());
        // The passphrase of a key may be asked for: when that watch is over, these signals are still for the service.
        let _watch = Watch::start(|signal| {
            if signal == Signal::HUP {
                end(code_of(signal));
            }
        });
        let served = world.network.block_on(async {
            // Before the door: who sees it open may send a signal at once.
            let stop = interrupted().map_err(|error| failed(error.into()))?;
            let door = Door::open(&self.network, &self.address)
                .await
                .map_err(|error| failed(error.into()))?;
            log(&format!("Listening on {}", door.address()));
            // Without waiting for clients: they keep idle connections, and a request may wait for a person.
            tokio::select! {
                served = server.serve(door, std::future::pending()) => {
                    served.map_err(|error| failed(error.into()))
                }
                signal = stop => {
                    log(&format!("Caught signal {signal}: shutting down."));
                    Ok(())
                }
            }
        });
        served.map_err(|error| failed(error.into()))?
    }
}

/// Waits for the request to end.
fn interrupted() -> std::io::Result<impl Future<Output = &'static str>> {
    use tokio::signal::unix::{SignalKind, signal};

    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => "interrupt",
            _ = terminate.recv() => "terminated",
        }
    })
}
