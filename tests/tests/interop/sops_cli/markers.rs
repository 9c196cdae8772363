//! What outside clients look for (`docs/src/parity/sops-cli.md`, L1 to L15), where no client of its own runs here.

use sealwright_tests::harness::upstream;
use serde_json::Value;

use super::{Desk, Whose, run};

#[test]
fn l1_version_and_help() {
    let desk = Desk::new();
    for words in [
        vec!["--version", "--disable-version-check"],
        vec!["-v"],
        vec!["--version", "--check-for-updates"],
    ] {
        let out = desk.ours(words).good();
        assert!(out.starts_with("sops 3.13.3"), "{out}");
    }
    let theirs = desk.theirs(["--version", "--disable-version-check"]).good();
    assert_eq!(
        desk.ours(["--version", "--disable-version-check"]).good(),
        theirs
    );
    assert!(desk.ours(["--help"]).good().contains("USAGE:"));
    // The own name tells its own version.
    assert!(
        desk.sealwright(["--version"])
            .good()
            .starts_with("sealwright ")
    );
    assert_eq!(
        desk.sealwright(["sops", "--version", "--disable-version-check"])
            .good(),
        theirs
    );
}

#[test]
fn l2_l3_l5_the_old_flags_in_any_order_and_repeated() {
    let mut desk = Desk::with_rule();
    desk.write("a.yaml", "a: 1\n");
    for words in [
        vec![
            "--encrypt",
            "--input-type",
            "yaml",
            "--output-type",
            "yaml",
            "--in-place",
            "a.yaml",
        ],
        vec!["--in-place", "--decrypt", "--output-type", "yaml", "a.yaml"],
        vec!["-e", "-i", "a.yaml"],
        vec![
            "--input-type",
            "\"yaml\"",
            "--decrypt",
            "--input-type",
            "yaml",
            "--output",
            "out.yaml",
            "a.yaml",
        ],
        vec![
            "--config",
            ".sops.yaml",
            "decrypt",
            "--extract",
            "[\"a\"]",
            "a.yaml",
        ],
        vec!["decrypt", "a.yaml", "--output-type", "json"],
        vec![
            "--output-type",
            "\"yaml\"",
            "--decrypt",
            "--output-type",
            "yaml",
            "a.yaml",
        ],
    ] {
        desk.ours(words).good();
    }
    assert_eq!(desk.read("out.yaml"), "a: 1\n");
    desk.set("EDITOR", "sed -i s/1/2/");
    desk.ours(["--input-type", "yaml", "--output-type", "yaml", "a.yaml"])
        .good();
    assert_eq!(desk.ours(["-d", "a.yaml"]).good(), "a: 2\n");
}

#[test]
fn l4_verbose_says_that_the_key_was_recovered() {
    let desk = Desk::with_rule();
    desk.theirs_encrypts("a.yaml", "a: 1\n", &[]);
    for words in [
        vec!["--verbose", "--decrypt", "a.yaml"],
        vec!["--verbose", "decrypt", "a.yaml"],
    ] {
        let ran = desk.ours(words);
        assert!(
            ran.err.contains("Data key recovered successfully"),
            "{}",
            ran.err
        );
    }
    assert!(!desk.ours(["decrypt", "a.yaml"]).err.contains("Data key"));
}

#[test]
fn l6_dev_stdin_and_an_override_without_a_file() {
    let desk = Desk::new();
    desk.rule("    path_regex: (dummy\\.yaml|plain)$\n");
    for (words, type_of) in [
        (
            vec![
                "encrypt",
                "--input-type",
                "yaml",
                "--output-type",
                "yaml",
                "--filename-override",
                "dummy.yaml",
                "/dev/stdin",
            ],
            "yaml",
        ),
        (vec!["encrypt", "--filename-override", "dummy.yaml"], "yaml"),
        (
            vec![
                "encrypt",
                "--filename-override",
                "plain",
                "--input-type",
                "yaml",
                "--output-type",
                "yaml",
            ],
            "yaml",
        ),
    ] {
        let encrypted = run(desk.command(Whose::Ours).args(&words), b"a: 1\n").good();
        assert!(encrypted.starts_with("a: ENC["), "{words:?}: {encrypted}");
        let back = [
            "decrypt",
            "--input-type",
            type_of,
            "--output-type",
            type_of,
            "/dev/stdin",
        ];
        assert_eq!(
            run(desk.command(Whose::Ours).args(back), encrypted.as_bytes()).good(),
            "a: 1\n"
        );
        let legacy = [
            "--decrypt",
            "--input-type",
            type_of,
            "--output-type",
            type_of,
            "/dev/stdin",
        ];
        assert_eq!(
            run(desk.command(Whose::Ours).args(legacy), encrypted.as_bytes()).good(),
            "a: 1\n"
        );
    }
    run(
        desk.command(Whose::Ours)
            .args(["encrypt", "--filename-override", "other"]),
        b"x",
    )
    .fails(1);
}

#[test]
fn l12_byte_markers() {
    let desk = Desk::with_rule();
    let encrypt = |name: &str, text: &[u8]| {
        desk.write(name, text);
        desk.ours(["encrypt", name]).good()
    };
    let yaml = encrypt("a.yaml", b"a: 1\n");
    assert!(
        yaml.contains("mac: ENC[") && yaml.lines().any(|line| line == "sops:"),
        "{yaml}"
    );
    assert!(
        yaml.lines()
            .any(|line| line.contains("mac: ENC[") && line.ends_with(",type:str]")),
        "{yaml}"
    );
    let last = yaml.lines().rfind(|line| !line.starts_with(' '));
    assert_eq!(last, Some("sops:"), "the block is last");
    let json = encrypt("a.json", b"{\"a\": 1}");
    assert!(json.contains("\"mac\": \"ENC["), "{json}");
    let binary = encrypt("a.bin", &[0, 255]);
    assert!(
        binary.contains("\"mac\": \"ENC[") && binary.contains("\"data\": \"ENC["),
        "{binary}"
    );
    let dotenv = encrypt("a.env", b"A=1\n");
    assert!(
        dotenv.lines().any(|line| line.starts_with("sops_mac=ENC[")),
        "{dotenv}"
    );
    let ini = encrypt("a.ini", b"[s]\na = 1\n");
    assert!(ini.lines().any(|line| line == "[sops]"), "{ini}");
    // The same after each of the commands that write again.
    desk.write("again.yaml", &yaml);
    desk.ours(["rotate", "-i", "again.yaml"]).good();
    desk.ours(["set", "again.yaml", "[\"a\"]", "2"]).good();
    let again = desk.read("again.yaml");
    assert!(
        again.contains("\n    mac: ENC[") && again.lines().any(|line| line == "sops:"),
        "{again}"
    );
}

#[test]
fn l13_yaml_decrypts_as_json_too() {
    let desk = Desk::with_rule();
    let text = "apiVersion: v1\ndata:\n    list: [1, true, text]\n    pi: 3.5\n# comment\nwhen: 2025-01-02T03:04:05Z\n";
    desk.write("a.yaml", text);
    let yaml = desk.ours(["encrypt", "a.yaml"]).good();
    // What a client makes of the encrypted YAML when it goes through JSON: comments are gone.
    let convert = "import json, sys, yaml; json.dump(yaml.safe_load(sys.stdin), sys.stdout)";
    let mut python = std::process::Command::new(upstream::sops_clients());
    let json = run(python.args(["-c", convert]), yaml.as_bytes()).good();
    desk.write("a.json", json);
    for whose in [Whose::Ours, Whose::Theirs] {
        let out = desk.run(whose, ["decrypt", "a.json"]).good();
        let value: Value = serde_json::from_str(&out).unwrap();
        assert_eq!(value["data"]["list"][2], "text", "{whose:?}");
    }
}

#[test]
fn l14_odd_paths_and_identities_from_the_environment() {
    let mut desk = Desk::with_rule();
    for name in [
        "a b.yaml",
        "$HOME.yaml",
        "back\\slash.yaml",
        "§.yaml",
        "😀.yaml",
        "it's.yaml",
        "-dash.yaml",
    ] {
        desk.write(name, "a: 1\n");
        let path = desk.path(name);
        let path = path.to_str().unwrap();
        desk.ours(["encrypt", "-i=true", path]).good();
        assert_eq!(desk.ours(["decrypt", path]).good(), "a: 1\n", "{name}");
        assert_eq!(desk.theirs(["decrypt", path]).good(), "a: 1\n", "{name}");
    }
    desk.theirs_encrypts(
        "third.yaml",
        "a: 1\n",
        &["--age", &desk.recipients[2].clone()],
    );
    desk.ours(["decrypt", "third.yaml"]).fails(128);
    desk.set("SOPS_AGE_KEY", desk.identities[2].clone());
    assert_eq!(desk.ours(["decrypt", "third.yaml"]).good(), "a: 1\n");
    desk.set("SOPS_AGE_KEY", "");
    let command = format!("printf '{}'", desk.identities[2]);
    desk.set("SOPS_AGE_KEY_CMD", command);
    assert_eq!(desk.ours(["decrypt", "third.yaml"]).good(), "a: 1\n");
}

#[test]
fn l15_values_of_a_secret_stay_apart_from_its_frame() {
    let desk = Desk::with_rule();
    desk.rule("    encrypted_regex: ^(data|stringData)$\n");
    let text = "apiVersion: v1\nkind: Secret\nmetadata:\n    name: s\nstringData:\n    a: x\ndata:\n    b: eA==\n";
    desk.write("secret.yaml", text);
    let hybrid = desk
        .sealwright(["keygen", "--hybrid", "--out", "hybrid.txt"])
        .good();
    let hybrid = hybrid
        .split_whitespace()
        .find(|word| word.starts_with("age1pq"))
        .unwrap()
        .to_owned();
    let recipients = format!("{},{hybrid}", desk.recipients[0]);
    let encrypted = desk
        .ours(["encrypt", "--age", &recipients, "secret.yaml"])
        .good();
    assert!(
        encrypted.contains("kind: Secret\n") && encrypted.contains("    name: s\n"),
        "{encrypted}"
    );
    assert!(
        encrypted.contains("    a: ENC[") && encrypted.contains("    b: ENC["),
        "{encrypted}"
    );
    desk.write("secret.yaml", &encrypted);
    for identities in [desk.key_file(), desk.path("hybrid.txt")] {
        for whose in [Whose::Theirs, Whose::Ours] {
            let mut command = desk.command(whose);
            command
                .env("SOPS_AGE_KEY_FILE", &identities)
                .args(["decrypt", "secret.yaml"]);
            assert_eq!(run(&mut command, b"").good(), text, "{whose:?}");
        }
    }
}

#[test]
fn l9_l11_filestatus() {
    let desk = Desk::with_rule();
    desk.theirs_encrypts("enc.yaml", "a: 1\n", &[]);
    desk.theirs_encrypts("enc.env", "a=1\n", &[]);
    desk.write("plain.yaml", "a: 1\n");
    desk.write("broken.json", "{");
    desk.write("plain.txt", "text");
    let no_mac = desk
        .read("enc.yaml")
        .lines()
        .filter(|line| !line.contains(" mac:"))
        .map(|line| format!("{line}\n"))
        .collect::<String>();
    desk.write("nomac.yaml", no_mac);
    for (name, expected) in [
        ("enc.yaml", Ok(true)),
        ("enc.env", Ok(true)),
        ("plain.yaml", Ok(false)),
        ("nomac.yaml", Ok(false)),
        ("broken.json", Err(1)),
        ("plain.txt", Err(1)),
        ("missing.yaml", Err(1)),
    ] {
        for whose in [Whose::Theirs, Whose::Ours] {
            let ran = desk.run(whose, ["filestatus", name]);
            match expected {
                Ok(encrypted) => assert_eq!(
                    ran.good(),
                    format!("{{\"encrypted\":{encrypted}}}\n"),
                    "{whose:?} {name}"
                ),
                Err(code) => assert_eq!(
                    (ran.code, ran.show_out().as_str()),
                    (code, ""),
                    "{whose:?} {name}"
                ),
            }
        }
    }
}

#[test]
fn s74_s144_completion_lists_what_the_real_program_lists() {
    let desk = Desk::new();
    for words in [
        vec![],
        vec!["groups"],
        vec!["completion"],
        vec!["groups", "add"],
    ] {
        let [theirs, ours] = [Whose::Theirs, Whose::Ours].map(|whose| {
            let mut words = words.clone();
            words.push("--generate-bash-completion");
            let text = desk.run(whose, words).good();
            let mut names: Vec<String> = text.lines().map(str::to_owned).collect();
            names.sort();
            names
        });
        assert_eq!(theirs, ours, "{words:?}");
    }
    for (shell, mark) in [("bash", "complete "), ("zsh", "#compdef sops")] {
        let script = desk.ours(["completion", shell]).good();
        assert!(
            script.contains(mark) && script.contains("--generate-bash-completion"),
            "{script}"
        );
    }
    let script = desk.ours(["completion", "bash"]).good();
    desk.write("complete.sh", format!("{script}\nCOMP_WORDS=(sops dec); COMP_CWORD=1; _sops_complete; echo \"${{COMPREPLY[@]}}\"\n"));
    let mut bash = std::process::Command::new("bash");
    desk.furnish(&mut bash);
    let path = format!(
        "{}:{}",
        desk.root.path().join("bin").display(),
        std::env::var("PATH").unwrap()
    );
    let ran = run(bash.env("PATH", path).arg("complete.sh"), b"");
    assert_eq!(ran.good().trim(), "decrypt");
}

#[test]
fn s28_to_s34_kinds_of_keys_that_are_not_in_this_build_are_named() {
    let desk = Desk::new();
    desk.write("a.yaml", "a: 1\n");
    for (flag, key) in [
        (
            "--kms",
            "arn:aws:kms:eu-west-1:000000000000:key/00000000-0000-0000-0000-000000000000",
        ),
        (
            "--gcp-kms",
            "projects/p/locations/global/keyRings/r/cryptoKeys/k",
        ),
        (
            "--azure-kv",
            "https://v.vault.azure.net/keys/k/0123456789abcdef0123456789abcdef",
        ),
        (
            "--hc-vault-transit",
            "https://127.0.0.1:1/v1/transit/keys/k",
        ),
        ("--hckms", "eu-west-1:00000000-0000-0000-0000-000000000000"),
    ] {
        let ran = desk.ours(["encrypt", flag, key, "a.yaml"]);
        assert_eq!(
            (ran.code, ran.show_out().as_str()),
            (1, ""),
            "{flag}: {}",
            ran.err
        );
        assert!(
            ran.err.lines().count() >= 1 && !ran.err.contains("panicked"),
            "{}",
            ran.err
        );
    }
    // A file with such a key and one of ours opens by ours, and keeps the other one's entry.
    desk.theirs_encrypts("b.yaml", "b: 1\n", &[]);
    let text = desk.read("b.yaml").replacen(
        "sops:\n",
        "sops:\n    gcp_kms:\n        - created_at: \"2025-01-01T00:00:00Z\"\n          enc: AAAA\n          resource_id: projects/p/locations/global/keyRings/r/cryptoKeys/k\n",
        1,
    );
    desk.write("b.yaml", text);
    assert_eq!(desk.ours(["decrypt", "b.yaml"]).good(), "b: 1\n");
    desk.ours(["set", "b.yaml", "[\"b\"]", "2"]).good();
    assert!(desk.read("b.yaml").contains("resource_id: projects/p"));
    assert_eq!(desk.theirs(["decrypt", "b.yaml"]).good(), "b: 2\n");
}

#[test]
fn d9_groups_add_does_not_pass_over_a_kind_of_key() {
    let desk = Desk::with_rule();
    desk.theirs_encrypts("a.yaml", "a: 1\n", &[]);
    let before = desk.bytes("a.yaml");
    let age = desk.recipients[1].clone();
    let key = "eu-west-1:00000000-0000-0000-0000-000000000000";
    let words = [
        "groups", "add", "-i", "--file", "a.yaml", "--age", &age, "--hckms", key,
    ];
    // The real program adds the group without that key, and says nothing.
    let err = desk.ours(words).fails(1);
    assert!(
        err.contains(key) && err.contains("Huawei Cloud KMS"),
        "{err}"
    );
    assert_eq!(desk.bytes("a.yaml"), before);
    desk.theirs(words).good();
    assert!(!desk.read("a.yaml").contains("hckms: ["));
}

#[test]
fn a_last_line_break_that_an_editor_takes_away_does_no_harm() {
    let desk = Desk::with_rule();
    for text in [
        "a: b\nc: |\n  one\n  two\n",
        "a: b\nc: |+\n  one\n  two\n\n",
        "a: b\nc_unencrypted: |\n  one\n  two\n",
    ] {
        desk.write("a.yaml", text);
        desk.ours(["encrypt", "-i", "a.yaml"]).good();
        let whole = desk.read("a.yaml");
        desk.write("a.yaml", whole.trim_end());
        desk.theirs(["decrypt", "a.yaml"]).good();
        assert_eq!(desk.ours(["decrypt", "a.yaml"]).good(), text);
    }
    // With the block in front, the value that stands in clear ends where the text ends: it was changed.
    let whole = desk.read("a.yaml");
    let (values, block) = whole.split_at(whole.find("sops:\n").unwrap());
    desk.write(
        "a.yaml",
        format!("{}\n{}", block.trim_end(), values.trim_end()),
    );
    for whose in [Whose::Theirs, Whose::Ours] {
        desk.run(whose, ["decrypt", "a.yaml"]).fails(51);
    }
    // What is edited comes back as it was edited.
    let mut desk = desk;
    desk.set("EDITOR", "perl -pi -e 'chomp if eof'");
    desk.write("a.yaml", "a: b\nc: |\n  one\n  two\n");
    desk.ours(["encrypt", "-i", "a.yaml"]).good();
    desk.ours(["edit", "a.yaml"]).good();
    assert_eq!(
        desk.ours(["decrypt", "a.yaml"]).good(),
        "a: b\nc: |\n  one\n  two"
    );
    desk.theirs(["decrypt", "a.yaml"]).good();
}
