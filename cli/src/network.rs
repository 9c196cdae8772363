//! The runtime for everything that needs a network.
//!
//! # Contract
//! - Nothing is started before the first need: a command that stays on this machine has no runtime.
//! - One thread drives all connections of a run, so connections and tokens are shared by everything that asks.
//! - Work that no one waits for any more is stopped.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use sealwright_crypto::data_key::KeyPart;
use sealwright_crypto::key_kind::KeyKind;
use sealwright_crypto::master_key::{KeyError, MasterKey, Pending, Wrapped};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

/// The runtime of a run; clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Network(Arc<Lazy>);

#[derive(Debug, Default)]
struct Lazy(OnceLock<Runtime>);

impl Network {
    /// Runs work on the runtime's thread. The future that is returned may be awaited anywhere; dropping it stops the work.
    pub(crate) fn spawn<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<Spawned<T>, NetworkError> {
        Ok(Spawned(self.runtime()?.spawn(work)))
    }

    /// Runs work on this thread, with the runtime behind it.
    pub(crate) fn block_on<F: Future>(&self, work: F) -> Result<F::Output, NetworkError> {
        Ok(self.runtime()?.handle().block_on(work))
    }

    /// Completes after a time. Only who waits for a network has a reason to look at the clock.
    pub(crate) fn sleep(&self, time: Duration) -> Pending<'static, ()> {
        // Made where it runs: a timer belongs to the runtime that it is made in.
        let until = tokio::time::Instant::now() + time;
        match self.spawn(async move { tokio::time::sleep_until(until).await }) {
            Ok(sleeping) => Box::pin(async move { drop(sleeping.await) }),
            Err(_) => Box::pin(std::future::pending()),
        }
    }

    fn runtime(&self) -> Result<&Runtime, NetworkError> {
        if let Some(runtime) = self.0.0.get() {
            return Ok(runtime);
        }
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("network")
            .enable_all()
            .build()
            .map_err(NetworkError::Start)?;
        Ok(self.0.0.get_or_init(|| runtime))
    }
}

impl Drop for Lazy {
    fn drop(&mut self) {
        // Without waiting: a request that hangs, or that waits for a person, does not keep the program alive.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// The network cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NetworkError {
    /// There is no runtime.
    #[error("cannot start a thread for the network")]
    Start(#[source] io::Error),
    /// The work came to no end.
    #[error("the network thread stopped")]
    Stopped,
}

impl From<NetworkError> for KeyError {
    fn from(error: NetworkError) -> Self {
        KeyError::new(crate::error::with_causes(&error))
    }
}

/// Work on the runtime's thread.
#[derive(Debug)]
pub(crate) struct Spawned<T>(JoinHandle<T>);

impl<T> Future for Spawned<T> {
    type Output = Result<T, NetworkError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let joined = Pin::new(&mut self.0).poll(context);
        joined.map(|result| result.map_err(|_| NetworkError::Stopped))
    }
}

impl<T> Drop for Spawned<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A far key whose calls run on the runtime's thread, whichever thread waits for them.
pub(crate) struct FarKey {
    key: Arc<dyn MasterKey>,
    network: Network,
}

impl FarKey {
    /// Takes a key that needs a runtime.
    pub(crate) fn new(key: Arc<dyn MasterKey>, network: &Network) -> Self {
        Self {
            key,
            network: network.clone(),
        }
    }
}

impl MasterKey for FarKey {
    fn kind(&self) -> &'static KeyKind {
        self.key.kind()
    }

    fn identity(&self) -> String {
        self.key.identity()
    }

    fn wrap_key<'a>(&'a self, part: &'a KeyPart) -> Pending<'a, Result<Wrapped, KeyError>> {
        let (key, part) = (Arc::clone(&self.key), KeyPart::copy_of(part.expose()));
        Box::pin(async move {
            let calling = self
                .network
                .spawn(async move { key.wrap_key(&part).await })?;
            calling.await?
        })
    }

    fn unwrap_key<'a>(
        &'a self,
        wrapped: &'a Wrapped,
    ) -> Pending<'a, Result<Option<KeyPart>, KeyError>> {
        let (key, wrapped) = (Arc::clone(&self.key), wrapped.clone());
        Box::pin(async move {
            let calling = self
                .network
                .spawn(async move { key.unwrap_key(&wrapped).await })?;
            calling.await?
        })
    }

    fn not_mine(&self, wrapped: &Wrapped) -> KeyError {
        self.key.not_mine(wrapped)
    }

    fn is_far(&self) -> bool {
        true
    }

    fn patience(&self) -> Duration {
        self.key.patience()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wait::block_on;

    #[test]
    fn nothing_is_started_before_the_first_need() {
        let network = Network::default();
        assert!(network.0.0.get().is_none());
        assert_eq!(block_on(network.spawn(async { 7 }).unwrap()).unwrap(), 7);
        assert!(network.clone().0.0.get().is_some());
    }

    #[test]
    fn work_that_no_one_waits_for_is_stopped() {
        struct Gone(std::sync::mpsc::Sender<()>);
        impl Drop for Gone {
            fn drop(&mut self) {
                let _ = self.0.send(());
            }
        }

        let network = Network::default();
        let (gone, heard) = std::sync::mpsc::channel();
        let gone = Gone(gone);
        let work = network.spawn(async move {
            let _gone = gone;
            std::future::pending::<()>().await;
        });
        drop(work);
        heard.recv().expect("the work was dropped");
    }

    #[test]
    fn a_hanging_call_does_not_keep_the_program() {
        let network = Network::default();
        let hanging = network.spawn(std::future::pending::<()>()).unwrap();
        drop(network);
        assert!(matches!(block_on(hanging), Err(NetworkError::Stopped)));
    }
}
