//! `kseal`, which other people wrote around `kubeseal`: with our program in its place, and our controller.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use sealwright_tests::harness::cluster::{eventually, rule, run};
use sealwright_tests::harness::{cluster, programs, upstream};

use super::rig::Rig;

/// A folder with a home, in which `kubeseal` is our program.
struct Desk {
    folder: tempfile::TempDir,
    python: PathBuf,
    variables: Vec<(&'static str, String)>,
}

impl Desk {
    fn new(python: PathBuf, kubeconfig: &Path, namespace: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["bin", "home", "work"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        let link = folder.path().join("bin/kubeseal");
        std::os::unix::fs::symlink(programs::sealwright(), link).unwrap();
        let path = format!("{}:/usr/bin:/bin", folder.path().join("bin").display());
        let variables = vec![
            ("PATH", path),
            ("HOME", folder.path().join("home").display().to_string()),
            ("KUBECONFIG", kubeconfig.display().to_string()),
            // The version it wants decides whether it takes the program in the search path, or downloads another.
            ("KSEAL_VERSION", "0.40.0".to_owned()),
            (
                "KSEAL_CONTROLLER_NAME",
                "sealed-secrets-controller".to_owned(),
            ),
            ("KSEAL_CONTROLLER_NAMESPACE", namespace.to_owned()),
            ("LC_ALL", "C.UTF-8".to_owned()),
        ];
        Self {
            folder,
            python,
            variables,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("work").join(name)
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    fn write(&self, name: &str, text: &str) {
        let mut file = std::fs::File::create(self.path(name)).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    fn kseal(&self, words: &[&str]) -> Output {
        let mut command = Command::new(&self.python);
        command
            .args(["-m", "kseal"])
            .args(words)
            .current_dir(self.path(""))
            .env_clear()
            .envs(self.variables.clone());
        run(&mut command, b"")
    }

    fn ok(&self, words: &[&str]) -> String {
        let output = self.kseal(words);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{words:?}: {told}");
        assert_eq!(told, "", "{words:?}");
        String::from_utf8(output.stdout).unwrap()
    }
}

const PLAIN: &str = "\
apiVersion: v1
kind: ConfigMap
metadata:
  name: beside
data:
  a: b
---
apiVersion: v1
kind: Secret
metadata:
  name: app
  namespace: NAMESPACE
  labels:
    team: a
stringData:
  password: s3cr3t
  text: |
    two
    lines
";

#[tokio::test(flavor = "multi_thread")]
async fn kseal_works_with_our_kubeseal_and_our_controller() {
    let python = match upstream::kseal() {
        Ok(python) => python,
        Err(reason) => {
            // Written past the test runner, which keeps what a passing test prints.
            let told = format!(
                "\n*** NOT RUN: kseal_works_with_our_kubeseal_and_our_controller: {reason} ***\n\n"
            );
            std::io::stderr().write_all(told.as_bytes()).unwrap();
            return;
        }
    };
    let rig = Rig::start(cluster(), "kseal", &["--key-renew-period=0"]).await;
    rig.serve().await;
    let here = rig.namespace.name();
    let rules = [rule("", &["secrets"], &["get", "list"])];
    let account = rig.namespace.account("developer", &rules).await;
    let desk = Desk::new(python, &account.kubeconfig, here);

    // Sealed with the certificate that our program fetches; what is no Secret stays where it is.
    desk.write("plain.yaml", &PLAIN.replace("NAMESPACE", here));
    // The roles of the proxy count a moment after they were applied.
    eventually("it seals", async || {
        let output = desk.kseal(&["encrypt", "plain.yaml", "-o", "app.yaml"]);
        output.status.success().then_some(())
    })
    .await;
    let sealed = desk.read("app.yaml");
    assert!(sealed.contains("kind: ConfigMap") && sealed.contains("kind: SealedSecret"));
    assert!(!sealed.contains("s3cr3t"), "{sealed}");
    assert!(
        desk.ok(&["encrypt", "plain.yaml"])
            .contains("kind: SealedSecret")
    );

    // Applied, unsealed by our controller, and read back by it.
    let document = sealed
        .split("---\n")
        .find(|text| text.contains("SealedSecret"));
    cluster().apply(document.unwrap());
    let values = [("password", "s3cr3t"), ("text", "two\nlines\n")];
    rig.eventually_data("app", &values).await;
    let shown = desk.ok(&["cat", "--no-color", "app.yaml"]);
    for part in [
        "  password: s3cr3t\n",
        "  text: |\n    two\n    lines\n",
        "    team: a\n",
    ] {
        assert!(shown.contains(part), "{part} in {shown}");
    }
    desk.ok(&["export", "app.yaml"]);
    assert_eq!(desk.read(".unsealed/app.yaml"), shown);
    desk.ok(&["export", "--all"]);

    // The keys as it takes them out of the cluster open everything offline.
    desk.ok(&["export-keys", "-n", here]);
    let opened = desk.ok(&["decrypt", "--no-color", "app.yaml"]);
    for part in ["  password: s3cr3t\n", "  text: |\n    two\n    lines\n"] {
        assert!(opened.contains(part), "{part} in {opened}");
    }
    assert!(
        desk.ok(&["decrypt-all", "--no-color", "."])
            .contains("s3cr3t")
    );

    // Edited: opened, changed and resealed, and the cluster follows.
    desk.write("editor.sh", "#!/bin/sh\nsed -i s/s3cr3t/ch4nged/ \"$1\"\n");
    let editor = desk.path("editor.sh");
    std::fs::set_permissions(&editor, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut desk = desk;
    desk.variables
        .push(("EDITOR", editor.display().to_string()));
    desk.ok(&["edit", "app.yaml"]);
    let edited = desk.read("app.yaml");
    assert!(edited.contains("kind: ConfigMap") && !edited.contains("ch4nged"));
    let document = edited
        .split("---\n")
        .find(|text| text.contains("SealedSecret"));
    cluster().apply(document.unwrap());
    let values = [("password", "ch4nged"), ("text", "two\nlines\n")];
    rig.eventually_data("app", &values).await;
    assert!(desk.ok(&["edit", "app.yaml"]).contains("No changes made"));

    // A value that was moved to another name does not open, and it hears so.
    desk.write("moved.yaml", &edited.replace("name: app", "name: moved"));
    let output = desk.kseal(&["decrypt", "moved.yaml"]);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1));
    // It breaks lines as it likes.
    let words: Vec<&str> = told.split_whitespace().collect();
    assert!(
        words
            .join(" ")
            .contains("no key could decrypt secret (password, text)"),
        "{told}"
    );

    let downloads = desk.folder.path().join("home/.local/share/kseal");
    assert!(!downloads.exists(), "it took our program, and no other");
}
