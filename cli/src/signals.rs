//! Signals that ask the program to end while it holds what must not stay behind: plaintext in a file, a silent terminal,
//! a child.
//!
//! What was ignored when the program started stays ignored, as `nohup` and shells without job control want it.
//!
//! Flow for a child: it runs ([`Child::start`]), signals are passed on to it, it ends, the signals that came before its end
//! are seen to, and only then is its number given up. So no signal ever goes to a process that got the number later, and
//! none that was for the child counts as one for this program.

use std::fs;
use std::io;
use std::process::{Command, ExitStatus};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};
use tokio::signal::unix::{self, SignalKind, signal};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

/// Watches for SIGINT, SIGTERM and SIGHUP until it is dropped.
///
/// A process never loses the handlers that it once got. So one thread has the signals for as long as the program runs, and the
/// watches are a stack: the newest gets a signal, and where there is none a signal ends the program, as it does before the
/// first.
#[derive(Debug)]
pub(crate) struct Watch {
    number: u64,
}

impl Watch {
    /// Gives each signal to `on`, in a thread of its own. Without a thread the signals do what they always do.
    pub(crate) fn start(on: impl FnMut(Signal) + Send + 'static) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);

        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        watches().push(Watched {
            number,
            on: Box::new(on),
        });
        let _ = questions();
        Self { number }
    }

    /// Waits until the signals that came so far were seen to, however late the thread gets its turn.
    fn settle(&self) {
        let (answer, settled) = mpsc::channel();
        if let Some(questions) = questions()
            && questions.send(answer).is_ok()
        {
            let _ = settled.recv();
        }
    }
}

impl Drop for Watch {
    /// Waits for the signal that is being seen to.
    fn drop(&mut self) {
        watches().retain(|watched| watched.number != self.number);
    }
}

/// What a watch does about signals.
struct Watched {
    number: u64,
    on: Box<dyn FnMut(Signal) + Send>,
}

/// All that are on, the newest last.
fn watches() -> MutexGuard<'static, Vec<Watched>> {
    static WATCHES: Mutex<Vec<Watched>> = Mutex::new(Vec::new());

    WATCHES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Gives a signal to the newest watch. If that asks for the end, the older ones get it as well: they may hold what must not
/// stay behind.
fn see_to(signal: Signal) {
    let mut watches = watches();
    for watched in watches.iter_mut().rev() {
        (watched.on)(signal);
        if WANTED.get().is_none() {
            return;
        }
    }
    leave(WANTED.get().copied().unwrap_or_else(|| code_of(signal)));
}

/// Asks whether all signals so far were seen to.
type Questions = UnboundedSender<mpsc::Sender<()>>;

/// The way to the thread that has the signals; `None` where there can be none.
fn questions() -> Option<&'static Questions> {
    static QUESTIONS: OnceLock<Option<Questions>> = OnceLock::new();

    QUESTIONS.get_or_init(start_thread).as_ref()
}

fn start_thread() -> Option<Questions> {
    let (questions, mut asked) = unbounded_channel::<mpsc::Sender<()>>();
    let (ready, is_ready) = mpsc::channel();
    let ignored = ignored();
    let work = move || {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()
        else {
            return;
        };
        runtime.block_on(async move {
            let watched = |wanted: Signal, kind: SignalKind| {
                let watched = !ignored.contains(&wanted);
                watched.then(|| signal(kind).ok()).flatten()
            };
            let mut signals = Signals {
                interrupt: watched(Signal::INT, SignalKind::interrupt()),
                terminate: watched(Signal::TERM, SignalKind::terminate()),
                hangup: watched(Signal::HUP, SignalKind::hangup()),
            };
            let _ = ready.send(());
            loop {
                let answer = tokio::select! {
                    signal = signals.next() => {
                        see_to(signal);
                        continue;
                    }
                    question = asked.recv() => question,
                };
                let Some(answer) = answer else { return };
                // The runtime looks for what the handlers left only between two turns.
                tokio::task::yield_now().await;
                while let Some(signal) = signals.waiting().await {
                    see_to(signal);
                }
                let _ = answer.send(());
            }
        });
    };
    thread::Builder::new().spawn(work).ok()?;
    // Until the handlers stand, a signal would still end the program at once.
    is_ready.recv().ok()?;
    Some(questions)
}

/// The three signals, but those that are ignored.
struct Signals {
    interrupt: Option<unix::Signal>,
    terminate: Option<unix::Signal>,
    hangup: Option<unix::Signal>,
}

impl Signals {
    async fn next(&mut self) -> Signal {
        tokio::select! {
            () = one(&mut self.interrupt) => Signal::INT,
            () = one(&mut self.terminate) => Signal::TERM,
            () = one(&mut self.hangup) => Signal::HUP,
        }
    }

    /// One that is there already.
    async fn waiting(&mut self) -> Option<Signal> {
        tokio::select! {
            biased;
            signal = self.next() => Some(signal),
            () = std::future::ready(()) => None,
        }
    }
}

async fn one(signals: &mut Option<unix::Signal>) {
    match signals {
        Some(signals) => {
            let _ = signals.recv().await;
        }
        None => std::future::pending().await,
    }
}

/// Which of the three are ignored. Linux tells it without changing it.
fn ignored() -> Vec<Signal> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or(0);
    let mut signals = vec![Signal::INT, Signal::TERM, Signal::HUP];
    signals.retain(|signal| mask & (1 << (signal.as_raw() - 1)) != 0);
    signals
}

/// The code a shell shows for a program that a signal ended.
pub(crate) fn code_of(signal: Signal) -> u8 {
    u8::try_from(128 + signal.as_raw()).unwrap_or(u8::MAX)
}

/// The exit code that a watch asked for.
static WANTED: OnceLock<u8> = OnceLock::new();

/// Asks from within a watch for the end of the program: the main thread may wait for what does not come any more. The program
/// ends when all watches were told of the signal.
pub(crate) fn end(code: u8) {
    let _ = WANTED.set(code);
}

#[allow(clippy::exit, reason = "the main thread cannot return")]
fn leave(code: u8) -> ! {
    std::process::exit(code.into())
}

/// Whether a SIGINT comes from the keyboard, most likely: the terminal is ours at the moment. Then every process of the
/// group got it, and programs such as emacs have a use for it other than to end.
pub(crate) fn from_keyboard(signal: Signal) -> bool {
    signal == Signal::INT
        && fs::File::open("/dev/tty")
            .ok()
            .and_then(|tty| rustix::termios::tcgetpgrp(tty).ok())
            .is_some_and(|foreground| foreground == rustix::process::getpgrp())
}

/// The process that the program waits for, shared with its watch.
#[derive(Clone, Debug, Default)]
pub(crate) struct Child(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    running: Option<Pid>,
    /// It is over, but its number is still its own.
    has_ended: bool,
    got: Option<Signal>,
}

impl Child {
    /// Starts a command and waits for its end. `watch` is the one that uses this value. After a signal nothing is started any
    /// more.
    pub(crate) fn start(
        &self,
        command: &mut Command,
        watch: Option<&Watch>,
    ) -> io::Result<ExitStatus> {
        let mut child = {
            let mut state = self.state();
            if state.got.is_some() {
                return Err(io::ErrorKind::Interrupted.into());
            }
            let child = command.spawn()?;
            state.running = Some(Pid::from_child(&child));
            state.has_ended = false;
            child
        };
        let pid = Pid::from_child(&child);
        // Its number stays its own until `wait`.
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        while let Err(rustix::io::Errno::INTR) = rustix::process::waitid(WaitId::Pid(pid), options)
        {
        }
        self.state().has_ended = true;
        if let Some(watch) = watch {
            watch.settle();
        }
        self.state().running = None;
        child.wait()
    }

    /// Whether there is one, or one just ended and its signals are still seen to.
    pub(crate) fn is_running(&self) -> bool {
        self.state().running.is_some()
    }

    /// Passes a signal on, and remembers that it came.
    pub(crate) fn pass_on(&self, signal: Signal) {
        let mut state = self.state();
        state.got = Some(signal);
        if let Some(pid) = state.running {
            let _ = rustix::process::kill_process(pid, signal);
        }
    }

    /// Remembers that a signal came that it got, too.
    pub(crate) fn note(&self, signal: Signal) {
        self.state().got = Some(signal);
    }

    /// The last signal that came.
    pub(crate) fn got(&self) -> Option<Signal> {
        self.state().got
    }

    /// Waits for its end, but not for ever.
    pub(crate) fn wait_at_most(&self, longest: Duration) {
        let end = Instant::now() + longest;
        let is_over = |state: MutexGuard<'_, State>| state.running.is_none() || state.has_ended;
        while !is_over(self.state()) && Instant::now() < end {
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_gets_what_is_passed_on_and_its_status_comes_back() {
        let child = Child::default();
        let waiting = child.clone();
        let waiter = thread::spawn(move || waiting.start(Command::new("sleep").arg("30"), None));
        while !child.is_running() {
            thread::sleep(Duration::from_millis(5));
        }
        child.pass_on(Signal::TERM);
        let status = waiter.join().unwrap().unwrap();
        assert_eq!(
            std::os::unix::process::ExitStatusExt::signal(&status),
            Some(Signal::TERM.as_raw())
        );
        assert_eq!(child.got(), Some(Signal::TERM));
        assert!(!child.is_running());
    }

    #[test]
    fn after_a_signal_nothing_is_started() {
        let child = Child::default();
        child.pass_on(Signal::TERM);
        let refused = child.start(&mut Command::new("true"), None).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::Interrupted);
        assert_eq!(child.got(), Some(Signal::TERM));
    }

    #[test]
    fn the_newest_watch_has_the_signals_until_it_is_over() {
        let told = Arc::new(Mutex::new(Vec::new()));
        let start = |name: &'static str| {
            let told = Arc::clone(&told);
            Watch::start(move |signal| told.lock().unwrap().push((name, signal)))
        };
        let (older, newer) = (start("older"), start("newer"));
        see_to(Signal::TERM);
        drop(newer);
        see_to(Signal::HUP);
        older.settle();
        assert_eq!(
            *told.lock().unwrap(),
            [("newer", Signal::TERM), ("older", Signal::HUP)]
        );
    }
}
