//! However a run ends, no process and no folder of it is left.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use sealwright_tests::harness::cluster::Cluster;

#[test]
fn a_run_that_is_killed_leaves_no_process_and_no_folder() {
    for signal in [Signal::KILL, Signal::INT, Signal::TERM] {
        let (mut run, folder) = start_a_run();
        assert_eq!(servers_of(&folder).len(), 3);
        // A terminal sends Ctrl-C to all of the process group.
        kill_process_group(Pid::from_child(&run), signal).unwrap();
        run.wait().unwrap();
        wait_until_gone(&folder);
    }
}

#[test]
fn even_killed_supervisors_take_their_servers_with_them() {
    let (mut run, folder) = start_a_run();
    for supervisor in processes_of(&folder, "supervisor") {
        kill_process(supervisor, Signal::KILL).unwrap();
    }
    let start = Instant::now();
    while !servers_of(&folder).is_empty() {
        assert!(
            start.elapsed() < Duration::from_secs(10),
            "left: {:?}",
            servers_of(&folder)
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    run.kill().unwrap();
    run.wait().unwrap();
    // The keeper of the folder was among those killed.
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_case_that_panics_leaves_nothing() {
    let folder = std::thread::spawn(|| {
        let cluster = Cluster::start();
        std::panic::panic_any(cluster.sandbox().path().to_owned());
    })
    .join()
    .unwrap_err();
    wait_until_gone(folder.downcast_ref::<PathBuf>().unwrap());
}

/// A process with a cluster, as any run of tests has it, and the folder of the cluster.
fn start_a_run() -> (Child, PathBuf) {
    // A run in the background of a script ignores Ctrl-C and would hand that on.
    let mut run = Command::new("env")
        .args([
            "--default-signal=INT,TERM,HUP",
            env!("CARGO_BIN_EXE_playground"),
        ])
        .process_group(0)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let line = BufReader::new(run.stdout.take().unwrap())
        .lines()
        .next()
        .unwrap()
        .unwrap();
    let kubeconfig = line.strip_prefix("export KUBECONFIG=").unwrap();
    (run, Path::new(kubeconfig).parent().unwrap().to_owned())
}

fn wait_until_gone(folder: &Path) {
    let start = Instant::now();
    while folder.exists() || !processes_of(folder, "").is_empty() {
        assert!(
            start.elapsed() < Duration::from_secs(10),
            "left: {} {:?}",
            folder.exists(),
            processes_of(folder, "")
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn servers_of(folder: &Path) -> Vec<Pid> {
    ["etcd", "kube-apiserver", "kube-controller-manager"]
        .iter()
        .flat_map(|program| processes_of(folder, program))
        .collect()
}

/// Processes whose command line names the folder, and whose program's name is `program` (any, if that is empty).
fn processes_of(folder: &Path, program: &str) -> Vec<Pid> {
    let folder = folder.to_str().unwrap();
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let found = entries.filter(|entry| {
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).into_owned();
        let name = Path::new(line.split('\0').next().unwrap_or_default())
            .file_name()
            .map(|name| name.to_owned());
        line.contains(folder) && (program.is_empty() || name.is_some_and(|name| name == program))
    });
    found
        .filter_map(|entry| Pid::from_raw(entry.file_name().to_str()?.parse().ok()?))
        .collect()
}
