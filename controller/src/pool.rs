//! Threads for what takes a processor: private-key operations, templates, key generation.
//!
//! There are as many as processors, and the system prefers every other thread of the process to
//! them (`nice`), so watches, probes and requests are served while thousands of values are opened.
//! One more, with a still lower priority, is for objects that take long. Namespaces take turns on them.

use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex};

use thiserror::Error;
use tokio::sync::oneshot;

use crate::frame::turns::Turns;

/// How nice the threads for ordinary work are.
const NICENESS: i32 = 10;

type Job = Box<dyn FnOnce() + Send>;

/// The threads and what waits for them.
pub(crate) struct Pool {
    shared: Arc<Shared>,
    threads: usize,
}

struct Shared {
    jobs: Mutex<Jobs>,
    wake: Condvar,
}

#[derive(Default)]
struct Jobs {
    waiting: Turns<Arc<str>, Job>,
    closed: bool,
}

/// The work panicked, which is a fault of this program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("an internal fault stopped the work on this object")]
pub(crate) struct Panicked;

impl Pool {
    /// Starts one thread per processor.
    pub(crate) fn start() -> Self {
        let threads = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        Self::with_threads("work", threads, NICENESS)
    }

    /// Starts one thread to which the system prefers even those of the other pool, for work that takes long.
    pub(crate) fn slow() -> Self {
        Self::with_threads("slow", 1, 15)
    }

    fn with_threads(name: &str, threads: usize, niceness: i32) -> Self {
        let shared = Arc::new(Shared {
            jobs: Mutex::default(),
            wake: Condvar::new(),
        });
        for number in 0..threads {
            let shared = Arc::clone(&shared);
            std::thread::Builder::new()
                .name(format!("{name}-{number}"))
                .spawn(move || shared.work(niceness))
                .expect("the system has room for a thread");
        }
        Self { shared, threads }
    }

    /// The number of threads.
    pub(crate) fn threads(&self) -> usize {
        self.threads
    }

    /// Runs `work` on a thread of the pool, for no namespace.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Panicked> {
        self.run_for(&"".into(), work).await
    }

    /// Runs `work` on a thread of the pool when it is the turn of this namespace.
    pub(crate) async fn run_for<T: Send + 'static>(
        &self,
        namespace: &Arc<str>,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Panicked> {
        let (sender, receiver) = oneshot::channel();
        let job = Box::new(move || {
            // The caller may be gone.
            if !sender.is_closed() {
                let _ = sender.send(catch_unwind(AssertUnwindSafe(work)));
            }
        });
        self.shared
            .jobs
            .lock()
            .expect("no holder panics")
            .waiting
            .push(Arc::clone(namespace), job);
        self.shared.wake.notify_one();
        match receiver.await {
            Ok(Ok(result)) => Ok(result),
            Ok(Err(_)) | Err(_) => Err(Panicked),
        }
    }
}

/// Runs `work` on a thread of its own, to which the system prefers all but those of the slow lane, and waits for it. For what
/// borrows from the caller.
pub(crate) fn aside<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    let done = std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            be_nice(NICENESS);
            work()
        });
        thread.join()
    });
    done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Makes the system prefer other threads to the calling one. Not being allowed to be nice is no reason not to work.
fn be_nice(niceness: i32) {
    // On Linux this is the niceness of the calling thread alone.
    let _ = rustix::process::setpriority_process(None, niceness);
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.jobs.lock().expect("no holder panics").closed = true;
        self.shared.wake.notify_all();
    }
}

impl Shared {
    fn work(&self, niceness: i32) {
        be_nice(niceness);
        loop {
            let mut jobs = self.jobs.lock().expect("no holder panics");
            let job = loop {
                match jobs.waiting.pop(|_| true) {
                    Some(job) => break job,
                    None if jobs.closed => return,
                    None => jobs = self.wake.wait(jobs).expect("no holder panics"),
                }
            };
            drop(jobs);
            job();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_an_error_and_the_thread_lives_on() {
        let pool = Pool::with_threads("work", 1, 10);
        assert_eq!(
            pool.run(|| panic!("on purpose")).await,
            Err::<(), _>(Panicked)
        );
        assert_eq!(pool.run(|| 6 * 7).await, Ok(42));
        assert_eq!(pool.threads(), 1);
    }

    #[tokio::test]
    async fn a_namespace_with_much_work_makes_itself_wait() {
        let pool = Pool::with_threads("work", 1, 10);
        let done: Arc<Mutex<Vec<&str>>> = Arc::default();
        let (busy, quiet): (Arc<str>, Arc<str>) = ("busy".into(), "quiet".into());
        let work = |name: &'static str| {
            let done = Arc::clone(&done);
            move || {
                std::thread::sleep(std::time::Duration::from_millis(5));
                done.lock().unwrap().push(name);
            }
        };
        // All of them wait before the first one is done, and the last one is asked for last.
        let mut all = Vec::new();
        for _ in 0..10 {
            all.push(pool.run_for(&busy, work("busy")));
        }
        all.push(pool.run_for(&quiet, work("quiet")));
        futures::future::join_all(all).await;
        let done = done.lock().unwrap();
        let at = done.iter().position(|name| *name == "quiet");
        assert!(at.is_some_and(|at| at <= 2), "{done:?}");
    }
}
