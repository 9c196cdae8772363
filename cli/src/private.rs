//! A folder of our own for plaintext that another program must read from a file.
//!
//! It lies in memory where the system has such a place (`$XDG_RUNTIME_DIR` or `/dev/shm`, when a tmpfs), so that not even
//! a kill or a power cut leaves plaintext on a disk. Its mode is 0700, its name is drawn at random; what is in it is
//! overwritten and removed when the value is dropped, and on SIGINT, SIGTERM and SIGHUP.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;

/// A private folder; dropping it wipes and removes it.
#[derive(Debug)]
pub(crate) struct PrivateFolder {
    path: PathBuf,
    in_memory: bool,
}

impl PrivateFolder {
    /// Makes one whose name begins with `prefix`. `TMPDIR` decides where when it is set and is in memory, or when nothing
    /// else is.
    pub(crate) fn create(prefix: &str) -> io::Result<Self> {
        let mut last = io::Error::from(io::ErrorKind::NotFound);
        for (parent, in_memory) in parents() {
            match make_in(&parent, prefix) {
                Ok(path) => return Ok(Self { path, in_memory }),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether its content lies in memory and on no disk.
    pub(crate) fn in_memory(&self) -> bool {
        self.in_memory
    }

    /// Wipes the folder and ends the program with code 1 when a signal asks it to end, until the guard is dropped.
    pub(crate) fn wipe_on_signals(&self) -> SignalGuard {
        let path = self.path.clone();
        let (done, ended) = tokio::sync::oneshot::channel();
        let (ready, is_ready) = mpsc::channel();
        let thread = thread::spawn(move || {
            let Ok(runtime) = tokio::runtime::Builder::new_current_thread()
                .enable_io()
                .build()
            else {
                return;
            };
            runtime.block_on(async move {
                use tokio::signal::unix::{SignalKind, signal};
                let signals = (
                    signal(SignalKind::interrupt()),
                    signal(SignalKind::terminate()),
                    signal(SignalKind::hangup()),
                );
                let (Ok(mut interrupt), Ok(mut terminate), Ok(mut hangup)) = signals else {
                    return;
                };
                let _ = ready.send(());
                let asked = tokio::select! {
                    _ = interrupt.recv() => true,
                    _ = terminate.recv() => true,
                    _ = hangup.recv() => true,
                    _ = ended => false,
                };
                if asked {
                    wipe(&path);
                    // The main thread waits for a child that nobody wants any more.
                    std::process::exit(1);
                }
            });
        });
        // Until the handlers stand, a signal would still end the program at once.
        let _ = is_ready.recv();
        SignalGuard {
            done: Some(done),
            thread: Some(thread),
        }
    }
}

impl Drop for PrivateFolder {
    fn drop(&mut self) {
        wipe(&self.path);
    }
}

/// Ends the watch for signals when it is dropped.
#[derive(Debug)]
pub(crate) struct SignalGuard {
    done: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Drop for SignalGuard {
    fn drop(&mut self) {
        if let Some(done) = self.done.take() {
            let _ = done.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn parents() -> Vec<(PathBuf, bool)> {
    let mut parents = Vec::new();
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    let temporary = std::env::temp_dir();
    let candidates = [
        runtime.filter(|path| path.is_absolute()),
        Some(temporary.clone()),
        Some(PathBuf::from("/dev/shm")),
    ];
    for candidate in candidates.into_iter().flatten() {
        if is_in_memory(&candidate) {
            parents.push((candidate, true));
        }
    }
    parents.push((temporary, false));
    parents
}

fn is_in_memory(folder: &Path) -> bool {
    const TMPFS: u64 = 0x0102_1994;
    const RAMFS: u64 = 0x8584_58f6;
    rustix::fs::statfs(folder).is_ok_and(|system| {
        let kind = system.f_type as u64 & 0xffff_ffff; // its width and sign differ between machines
        kind == TMPFS || kind == RAMFS
    })
}

fn make_in(parent: &Path, prefix: &str) -> io::Result<PathBuf> {
    for _ in 0..16 {
        let mut random = [0; 8];
        rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty())?;
        let path = parent.join(format!("{prefix}{:016x}", u64::from_ne_bytes(random)));
        match fs::DirBuilder::new().mode(0o700).create(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            other => return other.map(|()| path),
        }
    }
    Err(io::Error::from(io::ErrorKind::AlreadyExists))
}

/// Overwrites every regular file below with zeros, then removes all of it. Best effort: it runs on the way out.
fn wipe(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let Ok(kind) = entry.file_type() else {
            continue;
        };
        if kind.is_dir() {
            wipe(&path);
        } else if kind.is_file() && !kind.is_fifo() {
            let _ = overwrite(&path);
        }
    }
    let _ = fs::remove_dir_all(folder);
}

fn overwrite(path: &Path) -> io::Result<()> {
    let mut file = File::options().write(true).open(path)?;
    let mut left = file.metadata()?.len();
    let zeros = [0; 4096];
    while left > 0 {
        let step = usize::try_from(left.min(4096)).unwrap_or(4096);
        file.write_all(&zeros[..step])?;
        left -= step as u64;
    }
    file.sync_data()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn it_is_private_and_goes_away() {
        let folder = PrivateFolder::create("sealwright-test-").unwrap();
        let path = folder.path().to_owned();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o700);
        File::create(path.join("a")).unwrap();
        fs::create_dir(path.join("b")).unwrap();
        let guard = folder.wipe_on_signals();
        drop(guard);
        drop(folder);
        assert!(!path.exists());
    }
}
