//! SealedSecrets like files: values are read, set, removed and edited where they stand.

use super::desk::Desk;

const SECRET: &str = "# The database.\napiVersion: v1\nkind: Secret\nmetadata:\n  name: db\n  namespace: shop\nstringData:\n  user: shop\n  password: \"correct horse\"\n";

/// A desk with two key pairs and a SealedSecret for the first. In memory, so that texts that are kept go with it.
fn desk() -> Desk {
    let desk = Desk::in_memory();
    for pair in ["one", "two"] {
        let (key, cert) = (format!("{pair}.pem"), format!("{pair}.crt"));
        desk.run([
            "sealing-key",
            "--bits",
            "2048",
            "--key",
            &key,
            "--cert",
            &cert,
        ])
        .good();
    }
    desk.write("s.yaml", SECRET);
    desk.run([
        "seal",
        "s.yaml",
        "--cert",
        "one.crt",
        "--out",
        "sealed.yaml",
    ])
    .good();
    let text = desk.read("sealed.yaml");
    desk.write("sealed.yaml", format!("# kept\n{text}"));
    desk
}

fn get(desk: &Desk, key: &str) -> String {
    desk.run(["get", "sealed.yaml", key, "--key", "one.pem"])
        .good()
}

/// The sealed text of a value.
fn sealed(desk: &Desk, key: &str) -> String {
    let text = desk.read("sealed.yaml");
    let mark = format!(" {key}: A");
    let line = text.lines().find(|line| line.contains(&mark));
    line.unwrap_or_else(|| panic!("{key}: {text}")).to_owned()
}

#[test]
fn one_value_is_read_set_and_removed() {
    let desk = desk();
    assert_eq!(get(&desk, "password"), "correct horse");
    let (user, password) = (sealed(&desk, "user"), sealed(&desk, "password"));

    // New values need the certificate only; what is not named keeps its text.
    desk.run(["set", "sealed.yaml", "tls.crt", "a\nb", "--cert", "one.crt"])
        .good();
    desk.run_with(
        [
            "set",
            "sealed.yaml",
            "password",
            "--stdin",
            "--cert",
            "one.crt",
        ],
        b"n3w\n",
    )
    .good();
    assert_eq!(get(&desk, "tls.crt"), "a\nb");
    assert_eq!(get(&desk, "password"), "n3w");
    assert_eq!(sealed(&desk, "user"), user);
    assert_ne!(sealed(&desk, "password"), password);
    assert!(desk.read("sealed.yaml").starts_with("# kept\n"));

    // With a key at hand a value that is there already is not sealed again.
    let before = desk.read("sealed.yaml");
    let words = ["set", "sealed.yaml", "password", "n3w", "--cert", "one.crt"];
    desk.run([&words[..], &["--key", "one.pem"]].concat())
        .good();
    assert_eq!(desk.read("sealed.yaml"), before);
    desk.run([&words[..], &["--dry-run"]].concat()).good();
    assert_eq!(desk.read("sealed.yaml"), before);

    desk.run(["unset", "sealed.yaml", "tls.crt"]).good();
    assert!(!desk.read("sealed.yaml").contains("tls.crt"));
    let opened = desk.run(["unseal", "--decode", "--key", "one.pem", "sealed.yaml"]);
    insta::assert_snapshot!("unseal_decode", opened.good());
}

/// A backup of private keys may come through a pipe, encrypted or not.
#[test]
fn a_private_key_comes_through_a_pipe() {
    let desk = desk();
    let words = ["get", "sealed.yaml", "password", "--key", "/dev/stdin"];
    let key = desk.read("one.pem");
    let value = desk.run_with(words, key.as_bytes());
    assert_eq!(value.good(), "correct horse");
    desk.run(["encrypt", "-i", "one.pem"]).good();
    let key = desk.read("one.pem");
    assert!(!key.contains("PRIVATE KEY"), "{key}");
    let value = desk.run_with(words, key.as_bytes());
    assert_eq!(value.good(), "correct horse");
}

/// An old content that values could be kept of is looked for in files only.
#[test]
fn a_secret_is_sealed_into_a_pipe() {
    let desk = desk();
    let words = [
        "seal",
        "s.yaml",
        "--cert",
        "one.crt",
        "--out",
        "/dev/stdout",
    ];
    let sealed = desk.run(words).good();
    assert!(sealed.contains("kind: SealedSecret"), "{sealed}");
}

#[test]
fn a_backup_that_no_key_opens_is_named() {
    let desk = desk();
    desk.rule(&[2], "");
    desk.run(["encrypt", "one.pem", "--out", "one.enc"]).good();
    let words = ["get", "sealed.yaml", "password", "--key", "one.enc"];
    let err = desk.run(words).fails(128);
    assert!(
        err.starts_with("cannot decrypt one.enc: no key here opens it"),
        "{err}"
    );
}

#[test]
fn what_cannot_be_done_says_why() {
    let desk = desk();
    let before = desk.read("sealed.yaml");
    let mut text = desk.transcript(&["get", "sealed.yaml", "password"]);
    text += &desk.transcript(&["get", "sealed.yaml", "password", "--key", "two.pem"]);
    text += &desk.transcript(&["get", "sealed.yaml", "password", "--key", "missing.pem"]);
    text += &desk.transcript(&["get", "sealed.yaml", "passwort", "--key", "one.pem"]);
    text += &desk.transcript(&["unset", "sealed.yaml", "passwort"]);
    text += &desk.transcript(&["set", "sealed.yaml", "a/b", "x", "--cert", "one.crt"]);
    text += &desk.transcript(&["set", "sealed.yaml", "a", "x", "--cert", "nowhere.crt"]);
    text += &desk.transcript(&[
        "--output",
        "json",
        "get",
        "sealed.yaml",
        "user",
        "--key",
        "one.pem",
    ]);
    insta::assert_snapshot!("sealed_refused", text);
    assert_eq!(desk.read("sealed.yaml"), before);
}

#[test]
fn an_editor_shows_what_a_key_opens_and_keeps_the_rest() {
    let mut desk = desk();
    let (user, password) = (sealed(&desk, "user"), sealed(&desk, "password"));
    let shown = desk.home().join("shown");
    let script = |edit: &str| format!("sh -c 'cp \"$0\" {}; {edit}'", shown.display());
    desk.set("EDITOR", &script("sed -i s/horse/mule/ \"$0\""));
    desk.run([
        "edit",
        "sealed.yaml",
        "--key",
        "one.pem",
        "--cert",
        "one.crt",
    ])
    .good();
    let text = std::fs::read_to_string(&shown).unwrap();
    assert!(text.contains("password: correct horse\n"), "{text}");
    assert_eq!(get(&desk, "password"), "correct mule");
    assert_eq!(sealed(&desk, "user"), user);
    assert_ne!(sealed(&desk, "password"), password);

    // Without a key: the values stay, and new ones come in.
    let password = sealed(&desk, "password");
    desk.set(
        "EDITOR",
        &script("echo \"port: 5432\" >> \"$0\"; sed -i /^user/d \"$0\""),
    );
    desk.run(["edit", "sealed.yaml", "--cert", "one.crt"])
        .good();
    let text = std::fs::read_to_string(&shown).unwrap();
    assert!(text.contains("password: <sealed>\n"), "{text}");
    assert_eq!(sealed(&desk, "password"), password);
    assert_eq!(get(&desk, "port"), "5432");
    assert!(!desk.read("sealed.yaml").contains("user: A"));

    let before = desk.read("sealed.yaml");
    desk.set("EDITOR", "true");
    let error = desk.run(["edit", "sealed.yaml"]).fails(200);
    assert_eq!(error.lines().next(), Some("sealed.yaml is as it was"));
    desk.set("EDITOR", &script("echo \"a: [1]\" >> \"$0\""));
    let err = desk
        .run(["edit", "sealed.yaml", "--cert", "one.crt"])
        .fails(2);
    assert!(err.contains("the value of a is no text"), "{err}");
    assert_eq!(desk.read("sealed.yaml"), before);
}

/// What was typed is not lost, whatever fails after the editor has closed. Faults that can be known earlier are reported earlier.
#[test]
fn edited_values_that_cannot_be_written_are_kept_and_resumed() {
    let mut desk = desk();
    let kept = |desk: &Desk| std::fs::read_dir(desk.root().join("run")).unwrap().count();
    desk.set("EDITOR", "sh editor.sh");
    desk.run(["seal", "s.yaml", "--cert", "one.crt", "--out", "db.json"])
        .good();

    // No cluster that could be asked for the certificate.
    for name in ["sealed.yaml", "db.json"] {
        let before = desk.read(name);
        desk.write("editor.sh", "sed -i s/horse/mule/ \"$1\"\n");
        let err = desk.run(["edit", name, "--key", "one.pem"]).fails(1);
        assert!(err.contains(&format!("edit --resume {name}")), "{err}");
        assert_eq!((desk.read(name), kept(&desk)), (before, 1), "{err}");
        desk.write("editor.sh", "cp \"$1\" seen\n");
        let words = [
            "edit", "--resume", name, "--key", "one.pem", "--cert", "one.crt",
        ];
        desk.run(words).good();
        assert!(desk.read("seen").contains("password: correct mule\n"));
        let password = desk.run(["get", name, "password", "--key", "one.pem"]);
        assert_eq!(
            (password.good(), kept(&desk)),
            ("correct mule".to_owned(), 0)
        );
    }

    // Another program puts another file in the place.
    let edit = [
        "edit",
        "sealed.yaml",
        "--key",
        "one.pem",
        "--cert",
        "one.crt",
    ];
    desk.write(
        "editor.sh",
        "sed -i s/mule/ox/ \"$1\"; cp sealed.yaml new; mv new sealed.yaml\n",
    );
    let err = desk.run(edit).fails(3);
    assert!(err.contains("was changed by another program"), "{err}");
    assert_eq!(kept(&desk), 1, "{err}");
    desk.write("editor.sh", "true\n");
    let words = [&["edit", "--resume"][..], &edit[1..]].concat();
    desk.run(words).good();
    assert_eq!(
        (get(&desk, "password"), kept(&desk)),
        ("correct ox".to_owned(), 0)
    );

    desk.write("editor.sh", "touch opened\n");
    let err = desk
        .run(["edit", "sealed.yaml", "--cert", "nowhere.crt"])
        .fails(1);
    assert!(err.contains("nowhere.crt"), "{err}");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o444);
    std::fs::set_permissions(desk.path("sealed.yaml"), mode).unwrap();
    let err = desk.run(edit).fails(3);
    assert!(
        err.contains("sealed.yaml is read-only (mode 0444)"),
        "{err}"
    );
    assert!(!desk.path("opened").exists());
}

#[test]
fn a_folder_of_secrets_is_sealed() {
    let desk = desk();
    desk.write("in/db.yaml", SECRET);
    desk.write("in/deep/all.json", SECRET_JSON);
    desk.write(
        "in/map.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n",
    );
    let mut text = desk.transcript(&[
        "seal",
        "in",
        "--cert",
        "one.crt",
        "--out",
        "sealed",
        "--dry-run",
    ]);
    assert!(!desk.path("sealed").exists());
    text += &desk.transcript(&["seal", "in", "--cert", "one.crt", "--out", "sealed"]);
    text += &desk.transcript(&[
        "seal", "in", "--cert", "one.crt", "--key", "one.pem", "--out", "sealed",
    ]);
    text += &desk.transcript(&["seal", "in", "--cert", "one.crt"]);
    text += &desk.transcript(&["seal", "in", "--cert", "one.crt", "--out", "in/sealed"]);
    text += &desk.transcript(&["seal", "in", "--cert", "one.crt", "--in-place"]);
    insta::assert_snapshot!("seal_folder", text);
    for name in ["sealed/db.yaml", "in/db.yaml"] {
        let opened = desk
            .run(["unseal", "--decode", "--key", "one.pem", name])
            .good();
        assert!(opened.contains("correct horse"), "{opened}");
    }
    assert!(
        desk.read("in/deep/all.json")
            .contains("\"kind\": \"SealedSecret\"")
    );
    assert!(desk.read("in/map.yaml").contains("ConfigMap"));
}

const SECRET_JSON: &str = "{\"apiVersion\": \"v1\", \"kind\": \"Secret\", \"metadata\": {\"name\": \"j\", \"namespace\": \"n\"}, \"stringData\": {\"a\": \"b\"}}\n";

/// The key Secret of a controller, from a file, into an encrypted back-up that opens what it sealed.
#[test]
fn sealing_keys_are_backed_up_encrypted() {
    let desk = desk();
    let indented = |name: &str| -> String {
        let text = desk.read(name);
        text.lines().map(|line| format!("    {line}\n")).collect()
    };
    desk.write(
        "../home/controller.yaml",
        format!(
            "apiVersion: v1\nkind: Secret\ntype: kubernetes.io/tls\nmetadata:\n  name: sealed-secrets-keyabc\n  namespace: kube-system\n  \
             uid: 1234\n  labels:\n    sealedsecrets.bitnami.com/sealed-secrets-key: active\nstringData:\n  tls.crt: |\n{}  tls.key: |\n{}",
            indented("one.crt"),
            indented("one.pem")
        ),
    );
    let from = desk.home().join("controller.yaml");
    let from = from.to_str().unwrap();
    let mut text = desk.transcript(&[
        "sealing-key",
        "export",
        "--from",
        from,
        "--out",
        "keys.yaml",
        "--dry-run",
    ]);
    assert!(!desk.path("keys.yaml").exists());
    text += &desk.transcript(&[
        "sealing-key",
        "export",
        "--from",
        from,
        "--out",
        "keys.yaml",
    ]);
    text += &desk.transcript(&[
        "sealing-key",
        "export",
        "--from",
        from,
        "--out",
        "keys.yaml",
    ]);
    text += &desk.transcript(&[
        "sealing-key",
        "export",
        "--from",
        "s.yaml",
        "--out",
        "other.yaml",
    ]);
    text += &desk.transcript(&["sealing-key", "import", "keys.yaml", "--dry-run"]);
    text += &desk.transcript(&["sealing-key"]);
    insta::assert_snapshot!("sealing_key_backup", text);
    let backup = desk.read("keys.yaml");
    assert!(backup.contains("name: sealed-secrets-keyabc"), "{backup}");
    assert!(
        !backup.contains("PRIVATE KEY") && !backup.contains("uid:"),
        "{backup}"
    );
    let opened = desk.run(["get", "sealed.yaml", "password", "--key", "keys.yaml"]);
    assert_eq!(opened.good(), "correct horse");
}
