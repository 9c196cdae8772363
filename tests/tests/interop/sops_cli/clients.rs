//! Clients of `sops` that other people wrote, unchanged, with the real program and with ours: the same results.

use std::fs;
use std::path::Path;
use std::process::Command;

use sealwright_tests::harness::upstream;
use serde_json::{Value, json};

use super::{Desk, Ran, Whose, run};

/// Runs a Python program of the clients with one of the two programs as `sops`.
fn python(desk: &Desk, whose: Whose, words: &[&str]) -> Ran {
    let program = desk.program(whose);
    let mut path = program.parent().unwrap().as_os_str().to_owned();
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap());
    let mut command = Command::new(upstream::sops_clients());
    desk.furnish(&mut command);
    command
        .env("PATH", path)
        .env("LC_ALL", "C.UTF-8")
        .env("ANSIBLE_NOCOLOR", "1")
        .env("ANSIBLE_LOCALHOST_WARNING", "false")
        .env(
            "ANSIBLE_VARS_ENABLED",
            "host_group_vars,community.sops.sops",
        )
        .args(words);
    run(&mut command, b"")
}

const PLAYBOOK: &str = r#"
- hosts: localhost
  connection: local
  gather_facts: false
  vars:
    ansible_python_interpreter: "{{ ansible_playbook_python }}"
  tasks:
    - name: the module makes files of every type
      community.sops.sops_encrypt: "{{ {'path': item.path, item.kind: item.value, 'age': [recipient]} }}"
      loop:
        - {path: made.yaml, kind: content_yaml, value: {a: [1, two], b: {c: d}}}
        - {path: made.json, kind: content_json, value: {a: [1, two]}}
        - {path: made.bin, kind: content_binary, value: "/wABAg=="}
        - {path: made.txt, kind: content_text, value: "a text"}
        - {path: made_json, kind: content_json, value: {a: [1, two]}}
        - {path: made_yaml, kind: content_yaml, value: {a: [1, two]}}
        - {path: made_text, kind: content_text, value: "a text"}
        - {path: made_binary, kind: content_binary, value: "/wABAg=="}
      register: first
    - name: and leaves them alone the second time
      community.sops.sops_encrypt:
        path: made.yaml
        content_yaml: {a: [1, two], b: {c: d}}
        age: ["{{ recipient }}"]
      register: again
    - name: also where the name has no type
      community.sops.sops_encrypt:
        path: made_json
        content_json: {a: [1, two]}
        age: ["{{ recipient }}"]
      register: again_without_type
    - name: vars are loaded from a file
      community.sops.load_vars: {file: loaded.sops.yaml, name: loaded}
    - name: a file without a key is an error that names what happened
      ansible.builtin.debug: {msg: "{{ lookup('community.sops.sops', 'stranger.yaml') }}"}
      ignore_errors: true
      register: refused
    - ansible.builtin.copy:
        dest: results.json
        content: "{{ results | to_json }}"
      vars:
        results:
          whole: "{{ lookup('community.sops.sops', 'secret.yaml') }}"
          value: "{{ lookup('community.sops.sops', 'secret.yaml', extract='[\"db\"][\"password\"]') }}"
          binary: "{{ lookup('community.sops.sops', 'made.bin', base64=true, input_type='binary') }}"
          absent: "{{ lookup('community.sops.sops', 'missing.yaml', empty_on_not_exist=true) }}"
          odd: "{{ lookup('community.sops.sops', 'a b$§😀.yaml') }}"
          filtered: "{{ lookup('ansible.builtin.file', 'secret.yaml') | community.sops.decrypt(input_type='yaml', output_type='yaml') }}"
          from_vars: "{{ from_group_vars }}"
          loaded: "{{ loaded }}"
          changed: "{{ first.results | map(attribute='changed') | list }}"
          again: "{{ again.changed }}"
          again_without_type: "{{ again_without_type.changed }}"
          refused: "{{ refused is failed }}"
          message: "{{ refused.msg }}"
"#;

fn desk() -> Desk {
    let desk = Desk::new();
    desk.write("secret.yaml", "db:\n    password: s3cr3t\n    port: 5432\n");
    desk.theirs_encrypts(
        "secret.yaml",
        "db:\n    password: s3cr3t\n    port: 5432\n",
        &[],
    );
    desk.theirs_encrypts("loaded.sops.yaml", "one: 1\ntwo: [a, b]\n", &[]);
    desk.theirs_encrypts("a b$§😀.yaml", "k: v\n", &[]);
    desk.theirs_encrypts(
        "stranger.yaml",
        "k: v\n",
        &["--age", &desk.recipients[2].clone()],
    );
    fs::create_dir(desk.path("group_vars")).unwrap();
    desk.theirs_encrypts(
        "group_vars/all.sops.yaml",
        "from_group_vars: it works\n",
        &[],
    );
    desk.write("play.yml", PLAYBOOK);
    desk
}

fn play(desk: &Desk, whose: Whose) -> Value {
    for made in [
        "made.yaml",
        "made.json",
        "made.bin",
        "made.txt",
        "made_json",
        "made_yaml",
        "made_text",
        "made_binary",
        "results.json",
    ] {
        drop(fs::remove_file(desk.path(made)));
    }
    let recipient = format!("recipient={}", desk.recipients[0]);
    let ran = python(
        desk,
        whose,
        &[
            "-m",
            "ansible",
            "playbook",
            "-i",
            "localhost,",
            "-e",
            &recipient,
            "play.yml",
        ],
    );
    assert_eq!(
        ran.code,
        0,
        "{whose:?}: {}{}",
        ran.err,
        String::from_utf8_lossy(&ran.out)
    );
    serde_json::from_str(&desk.read("results.json")).unwrap()
}

#[test]
fn l1_l9_l11_ansible_lookup_filter_vars_plugin_and_module_do_the_same() {
    let desk = desk();
    let mut theirs = play(&desk, Whose::Theirs);
    let mut ours = play(&desk, Whose::Ours);
    // What the module made with our program is read by the real one, and decrypts to what was asked for.
    let made = desk
        .theirs(["decrypt", "--output-type", "json", "made.yaml"])
        .good();
    assert_eq!(
        serde_json::from_str::<Value>(&made).unwrap(),
        json!({"a": [1, "two"], "b": {"c": "d"}})
    );
    assert_eq!(desk.theirs(["decrypt", "made.bin"]).out, [255, 0, 1, 2]);
    assert_eq!(desk.theirs(["decrypt", "made.txt"]).good(), "a text");
    let words = [
        "decrypt",
        "--input-type",
        "json",
        "--output-type",
        "json",
        "made_json",
    ];
    assert_eq!(
        serde_json::from_str::<Value>(&desk.theirs(words).good()).unwrap(),
        json!({"a": [1, "two"]})
    );
    assert_eq!(desk.theirs(["decrypt", "made_text"]).good(), "a text");
    assert_eq!(desk.theirs(["decrypt", "made_binary"]).out, [255, 0, 1, 2]);
    // Where there is no key, the message names every recipient, and the code by its name (L9).
    for results in [&mut theirs, &mut ours] {
        let message = results
            .as_object_mut()
            .unwrap()
            .remove("message")
            .unwrap()
            .to_string();
        assert!(message.contains(&desk.recipients[2]), "{message}");
        assert!(message.contains("CouldNotRetrieveKey"), "{message}");
    }
    assert_eq!(theirs, ours);
    assert_eq!(ours["value"], "s3cr3t");
    assert_eq!(ours["from_vars"], "it works");
    assert_eq!(ours["changed"], json!(vec![true; 8]));
    assert_eq!(ours["again"], false);
    assert_eq!(ours["again_without_type"], false);
}

const SOPSY: &str = r#"
import json, sys
from pathlib import Path
from sopsy import Sops, SopsyInOutType, SopsyInputSource, SopsyError
recipient, results = sys.argv[1], {}
rules = {"creation_rules": [{"path_regex": r"\.json$|dummy\.yaml$|plain$", "age": recipient}]}
results["dict"] = Sops("secret.yaml").decrypt()
results["value"] = Sops("secret.yaml").get("db")
results["extracted"] = Sops("secret.yaml", extract='["db"]["password"]').decrypt(to_dict=False).decode()
Path("new.json").write_text(json.dumps({"hello": "world"}))
Sops("new.json", in_place=True, config_dict=rules).encrypt()
results["markers"] = ['"mac": "ENC[' in Path("new.json").read_text()]
Sops("new.json", in_place=True, config_dict=rules).rotate()
results["rotated"] = Sops("new.json").decrypt()
piped = Sops(b"a: 1\nb: [x]\n", input_source=SopsyInputSource.STDIN, input_type="yaml", config_dict=rules).encrypt(to_dict=False)
results["piped"] = Sops(piped, input_source=SopsyInputSource.STDIN, input_type="yaml").decrypt()
Path("plain").write_text("no extension")
Sops("plain", output="plain.enc", config_dict=rules).encrypt(to_dict=False)
results["no_extension"] = Sops("plain.enc", input_type="json", output_type=SopsyInOutType.BINARY).decrypt(to_dict=False).decode()
for name, work in {
    "not_encrypted": lambda: Sops("plain.yaml").decrypt(),
    "no_rule": lambda: Sops("plain.yaml").encrypt(),
}.items():
    try:
        work()
        results[name] = "no error"
    except SopsyError as error:
        results[name] = str(error)
print(json.dumps(results))
"#;

#[test]
fn l6_l7_l8_sopsy_does_the_same() {
    let desk = desk();
    desk.write("sopsy_case.py", SOPSY);
    desk.write("plain.yaml", "a: 1\n");
    let results = |whose| {
        let ran = python(&desk, whose, &["sopsy_case.py", &desk.recipients[0]]);
        serde_json::from_str::<Value>(&ran.good()).unwrap()
    };
    let (theirs, mut ours) = (results(Whose::Theirs), results(Whose::Ours));
    for name in ["not_encrypted", "no_rule"] {
        // Hints may follow, upstream's text is in it.
        let (they, we) = (theirs[name].as_str().unwrap(), ours[name].as_str().unwrap());
        assert!(we.contains(they.trim()), "{name}: {they:?} against {we:?}");
        ours[name] = theirs[name].clone();
    }
    assert_eq!(theirs, ours);
}

#[test]
fn the_collection_is_the_pinned_one() {
    let program = upstream::sops_clients();
    let home = Path::new(&program).ancestors().nth(2).unwrap();
    assert!(
        home.join("collections/ansible_collections/community/sops/plugins/lookup/sops.py")
            .is_file()
    );
}
