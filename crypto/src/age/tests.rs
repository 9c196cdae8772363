use std::{
    io::{BufRead, BufReader, Write},
    os::unix::net::UnixListener,
    sync::Arc,
};

use super::*;
use crate::{
    master_key::Callbacks,
    surroundings::fake::{Fake, Person, finish},
};

macro_rules! fixture {
    ($name:literal) => {
        include_str!(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/fixtures/age/",
            $name
        ))
    };
}

// Behind the macro, which it uses.
mod ssh;

const PART: &[u8; 32] = b"0123456789abcdef0123456789ABCDEF";
const CONFIG: &str = "/home/nobody/.config/sops/age/keys.txt";

fn key(recipient: &str, surroundings: Arc<Fake>) -> AgeKey {
    AgeKey::stored(recipient, &Identities::new(surroundings, Person::nobody()))
}

fn key_of(recipient: &str, surroundings: Arc<Fake>, person: &Arc<Person>) -> AgeKey {
    let person: Arc<dyn Callbacks> = Arc::clone(person) as _;
    AgeKey::stored(recipient, &Identities::new(surroundings, person))
}

fn open(key: &AgeKey, enc: &str) -> Result<Vec<u8>, KeyError> {
    let wrapped = Wrapped(enc.to_owned());
    match finish(key.unwrap_key(&wrapped))? {
        Some(part) => Ok(part.expose().to_vec()),
        None => Err(key.not_mine(&wrapped)),
    }
}

fn wrap(key: &AgeKey) -> String {
    finish(key.wrap_key(&KeyPart::copy_of(PART))).unwrap().0
}

fn identity_line(file: &str) -> &str {
    file.lines().last().unwrap()
}

fn recipient_of(file: &str) -> &str {
    file.lines()
        .find_map(|line| line.strip_prefix("# public key: "))
        .unwrap()
}

#[test]
fn what_age_wrapped_opens() {
    for (recipient, identity, enc) in [
        (
            recipient_of(fixture!("x25519.txt")),
            fixture!("x25519.txt"),
            fixture!("x25519.age"),
        ),
        (
            recipient_of(fixture!("hybrid.txt")),
            fixture!("hybrid.txt"),
            fixture!("hybrid.age"),
        ),
    ] {
        let surroundings = Fake::with(&[]).file(CONFIG, identity).shared();
        assert_eq!(open(&key(recipient, surroundings), enc).unwrap(), PART);
    }
}

#[test]
fn what_is_wrapped_opens_and_ends_with_a_newline() {
    for (recipient, identity) in [
        (recipient_of(fixture!("x25519.txt")), fixture!("x25519.txt")),
        (recipient_of(fixture!("hybrid.txt")), fixture!("hybrid.txt")),
    ] {
        let surroundings = Fake::with(&[("SOPS_AGE_KEY", identity)]).shared();
        let key = key(recipient, surroundings);
        let enc = wrap(&key);
        assert!(enc.starts_with("-----BEGIN AGE ENCRYPTED FILE-----\n"));
        assert!(enc.ends_with("-----END AGE ENCRYPTED FILE-----\n"));
        assert_ne!(enc, wrap(&key), "two wraps never look alike");
        assert_eq!(open(&key, &enc).unwrap(), PART);
    }
}

#[test]
fn generated_identities_open_what_their_recipients_wrap() {
    for generated in [generate(), generate_hybrid()] {
        let identities = Identities::only(
            &generated.identity,
            Fake::with(&[]).shared(),
            Person::nobody(),
        )
        .unwrap();
        let key = AgeKey::parse(&generated.recipient, &identities).unwrap();
        assert_eq!(open(&key, &wrap(&key)).unwrap(), PART);
    }
}

#[test]
fn t53_several_identities_a_line_are_for_the_variable_only() {
    let other = generate();
    let line = format!(
        "{} \t{}",
        other.identity.expose(),
        identity_line(fixture!("x25519.txt"))
    );
    let enc = fixture!("x25519.age");
    let text = format!("# a comment\n\n {line}\n");
    let several = Fake::with(&[("SOPS_AGE_KEY", &text)]).shared();
    assert_eq!(open(&key("age1", several), enc).unwrap(), PART);

    for (path, content) in [
        ("two on a line", line.clone()),
        (
            "a leading blank",
            format!(" {}", fixture!("x25519.txt").trim()),
        ),
        (
            "a trailing blank",
            format!("{} \n", fixture!("x25519.txt").trim()),
        ),
        (
            "lower case",
            identity_line(fixture!("x25519.txt")).to_lowercase(),
        ),
        (
            "one bad line",
            format!("{}nonsense\n", fixture!("x25519.txt")),
        ),
    ] {
        let file = Fake::with(&[("SOPS_AGE_KEY_FILE", path)])
            .file(path, content.clone())
            .shared();
        let error = open(&key("age1", file), enc).unwrap_err();
        assert!(
            error.tried[1].contains("is not an identity"),
            "{path}: {:?}",
            error.tried
        );

        let command = Fake::with(&[("SOPS_AGE_KEY_CMD", "show")])
            .command("show", Ok(content.as_str()))
            .shared();
        assert!(open(&key("age1", command), enc).is_err(), "{path}");
    }

    let crlf = fixture!("x25519.txt").replace('\n', "\r\n");
    let file = Fake::with(&[("SOPS_AGE_KEY_FILE", "f")])
        .file("f", crlf)
        .shared();
    assert_eq!(open(&key("age1", file), enc).unwrap(), PART);
}

#[test]
fn d25_every_place_counts_and_they_are_told_in_their_order() {
    let other = generate();
    let surroundings = || {
        Fake::with(&[
            ("SOPS_AGE_KEY", other.identity.expose()),
            ("SOPS_AGE_KEY_FILE", "/missing"),
            ("SOPS_AGE_KEY_CMD", "fail now"),
        ])
        .command("fail", Err(7))
    };
    let right = surroundings().file(CONFIG, fixture!("x25519.txt")).shared();
    assert_eq!(
        open(&key("age1", right.clone()), fixture!("x25519.age")).unwrap(),
        PART
    );
    assert_eq!(
        right.log(),
        [
            "read /missing".to_owned(),
            r#"run fail ["now"] with [("SOPS_AGE_RECIPIENT", "age1")]"#.to_owned(),
            format!("read {CONFIG}"),
        ]
    );

    let error = open(
        &key("age1", surroundings().shared()),
        fixture!("x25519.age"),
    )
    .unwrap_err();
    assert_eq!(error.to_string(), "no age identity opens it");
    assert_eq!(
        error.tried,
        [
            format!("SOPS_AGE_KEY ({}): not the one it is for", other.recipient),
            "SOPS_AGE_KEY_FILE (/missing): entity not found".to_owned(),
            "SOPS_AGE_KEY_CMD: the command \"fail now\" failed: exit 7".to_owned(),
            format!("{CONFIG}: not there"),
            "SSH keys: not looked at, they do not open X25519".to_owned(),
        ]
    );
}

#[test]
fn what_no_identity_fits_is_not_mine_and_what_a_place_may_hold_has_failed() {
    let wrapped = Wrapped(fixture!("x25519.age").to_owned());
    let answer = |surroundings: Fake| {
        let key = key("age1", surroundings.shared());
        (finish(key.unwrap_key(&wrapped)), key.not_mine(&wrapped))
    };
    let other = generate();
    let (none, report) = answer(Fake::with(&[("SOPS_AGE_KEY", other.identity.expose())]));
    assert!(none.unwrap().is_none(), "every place could be read");
    assert_eq!(report.reason, "no age identity opens it");
    assert_eq!(
        report.tried,
        [
            format!("SOPS_AGE_KEY ({}): not the one it is for", other.recipient),
            "SOPS_AGE_KEY_FILE: not set".to_owned(),
            "SOPS_AGE_KEY_CMD: not set".to_owned(),
            format!("{CONFIG}: not there"),
            "SSH keys: not looked at, they do not open X25519".to_owned(),
        ]
    );
    let (failed, _) = answer(Fake::with(&[("SOPS_AGE_KEY_FILE", "/missing")]));
    assert!(failed.is_err(), "the file may have held it");
    let (failed, _) = answer(Fake::with(&[("SOPS_AGE_KEY", fixture!("locked.txt"))]));
    assert!(failed.is_err(), "the locked file may have held it");
}

#[test]
fn nothing_is_looked_at_before_it_is_needed_and_nothing_twice() {
    let surroundings = Fake::with(&[("SOPS_AGE_KEY_CMD", "show")])
        .command("show", Ok(""))
        .shared();
    let identities = Identities::new(surroundings.clone(), Person::nobody());
    let recipient = recipient_of(fixture!("x25519.txt"));
    let key = AgeKey::parse(recipient, &identities).unwrap();
    wrap(&key);
    assert!(surroundings.log().is_empty());
    assert!(open(&key, fixture!("x25519.age")).is_err());
    let looked = surroundings.log();
    assert_eq!(looked.len(), 2, "{looked:?}");
    assert!(open(&key, fixture!("x25519.age")).is_err());
    assert_eq!(surroundings.log(), looked);

    // Commands are told the recipient, so another one is another question.
    let other = AgeKey::stored("age1other", &identities);
    assert!(open(&other, fixture!("x25519.age")).is_err());
    assert_eq!(surroundings.log().len(), 3);
    assert!(surroundings.log()[2].contains(r#"("SOPS_AGE_RECIPIENT", "age1other")"#));
}

#[test]
fn d7_an_empty_command_is_an_error() {
    for command in ["", "  ", "# nothing", "'open", "not-there"] {
        let surroundings = Fake::with(&[("SOPS_AGE_KEY_CMD", command)]).shared();
        let error = open(&key("age1", surroundings), fixture!("x25519.age")).unwrap_err();
        let report = &error.tried[2];
        assert!(
            report.starts_with("SOPS_AGE_KEY_CMD: the command "),
            "{report}"
        );
    }
}

#[test]
fn a_locked_file_opens_with_its_passphrase_and_asks_once() {
    let binary = armor::decode(fixture!("locked.txt")).unwrap();
    for content in [fixture!("locked.txt").as_bytes().to_vec(), binary] {
        let surroundings = Fake::with(&[("SOPS_AGE_KEY_FILE", "/k")])
            .file("/k", content.clone())
            .file(CONFIG, content)
            .shared();
        let person = Person::knowing("open sesame");
        let key = key_of("age1", surroundings, &person);
        assert_eq!(open(&key, fixture!("x25519.age")).unwrap(), PART);
        assert_eq!(open(&key, fixture!("x25519.age")).unwrap(), PART);
        assert!(open(&key, fixture!("hybrid.age")).is_err());
        assert_eq!(
            person.asked(),
            ["Enter passphrase for identity 'SOPS_AGE_KEY_FILE (/k)'"]
        );
    }
}

#[test]
fn nobody_is_asked_when_an_open_identity_fits() {
    let surroundings = Fake::with(&[("SOPS_AGE_KEY", fixture!("locked.txt"))])
        .file(CONFIG, fixture!("x25519.txt"))
        .shared();
    let person = Person::knowing("open sesame");
    let key = key_of("age1", surroundings, &person);
    assert_eq!(open(&key, fixture!("x25519.age")).unwrap(), PART);
    assert!(person.asked().is_empty());
}

#[test]
fn a_locked_file_that_does_not_open_says_why() {
    let report = |content: &str, person: &Arc<Person>| {
        let surroundings = Fake::with(&[("SOPS_AGE_KEY", content)]).shared();
        let error = open(
            &key_of("age1", surroundings, person),
            fixture!("x25519.age"),
        );
        error.unwrap_err().tried[0].clone()
    };
    let locked = fixture!("locked.txt");
    assert!(report(locked, &Person::knowing("x")).ends_with("the passphrase is wrong"));
    assert!(
        report(locked, &Person::nobody()).ends_with("there is no one to ask for its passphrase")
    );
    assert!(report(&locked[..34], &Person::nobody()).ends_with("END AGE ENCRYPTED FILE-----"));
    assert!(
        report(fixture!("x25519.age"), &Person::nobody())
            .ends_with("it is an age file, but not one with a passphrase")
    );
    let long = armor::encode(&[b"age-encryption".as_slice(), &[0; 16 << 20]].concat());
    assert!(report(&long, &Person::nobody()).ends_with("the file is too long"));
}

#[test]
fn the_agent_is_asked_first_and_forgets_wrong_passphrases() {
    let directory = std::env::temp_dir().join(format!("sw-agent-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let socket = directory.join("S.gpg-agent");
    let listener = UnixListener::bind(&socket).unwrap();
    let answers = [
        "OK 6F70656E20736573616D65",
        "ERR 83886179 cancelled",
        "ERR 1 no pinentry",
        "OK 78",
    ];
    let agent = std::thread::spawn(move || {
        let mut heard = Vec::new();
        let mut answers = answers.iter();
        // Each passphrase is one connection; the wrong one brings a second, to have it forgotten.
        for connection in listener.incoming().take(5) {
            let mut connection = connection.unwrap();
            let mut lines = BufReader::new(connection.try_clone().unwrap()).lines();
            writeln!(connection, "OK Pleased to meet you").unwrap();
            while let Some(Ok(line)) = lines.next() {
                if line.starts_with("GET_PASSPHRASE") {
                    writeln!(connection, "S INQUIRE_MAXLEN 255").unwrap();
                    writeln!(connection, "{}", answers.next().unwrap()).unwrap();
                    heard.push(line);
                } else {
                    writeln!(connection, "OK").unwrap();
                    if !line.starts_with("OPTION") {
                        heard.push(line);
                    }
                }
            }
        }
        heard
    });

    let info = format!("{}:0:1", socket.display());
    let attempt = |person: &Arc<Person>| {
        let surroundings = Fake::with(&[
            ("GPG_AGENT_INFO", &info),
            ("SOPS_AGE_KEY", fixture!("locked.txt")),
        ])
        .shared();
        open(
            &key_of("age1", surroundings, person),
            fixture!("x25519.age"),
        )
    };
    let person = Person::knowing("open sesame");
    assert_eq!(attempt(&person).unwrap(), PART, "the agent knows it");
    let error = attempt(&person).unwrap_err();
    assert!(error.tried[0].ends_with("its passphrase was not given"));
    assert!(person.asked().is_empty());
    assert_eq!(
        attempt(&person).unwrap(),
        PART,
        "the agent cannot ask, the terminal can"
    );
    assert_eq!(person.asked().len(), 1);
    let error = attempt(&person).unwrap_err();
    assert!(error.tried[0].ends_with("the passphrase is wrong"));

    let heard = agent.join().unwrap();
    let request = heard[0].split(' ').collect::<Vec<_>>();
    assert_eq!(request.len(), 5);
    assert!(request[1].starts_with("SopsAge") && request[1].len() == 47);
    assert_eq!(request[2..4], ["X", "Passphrase"]);
    assert_eq!(
        request[4],
        "Enter+passphrase+for+identity+%27SOPS_AGE_KEY%27%3A"
    );
    assert_eq!(heard[4], format!("CLEAR_PASSPHRASE {}", request[1]));
    std::fs::remove_dir_all(&directory).unwrap();
}

#[test]
fn recipients_are_told_apart_by_their_beginnings() {
    let identities = Identities::new(Fake::with(&[]).shared(), Person::nobody());
    let x25519 = recipient_of(fixture!("x25519.txt"));
    let hybrid = recipient_of(fixture!("hybrid.txt"));
    for valid in [
        x25519,
        hybrid,
        fixture!("ssh_rsa.pub"),
        fixture!("ssh_ed25519.pub"),
    ] {
        assert_eq!(
            AgeKey::parse(valid, &identities).unwrap().identity(),
            valid.trim()
        );
    }
    for (invalid, reason) in [
        ("", "it begins neither with age1 nor with ssh-"),
        ("AGE1QQQ", "it begins neither"),
        (
            identity_line(fixture!("x25519.txt")),
            "this is a private key; use its public key",
        ),
        (
            "age1qqq",
            "it is not an age recipient: invalid Bech32 encoding",
        ),
        (
            "age1pq1qqq",
            "it is not a hybrid age recipient: it is not Bech32",
        ),
        ("age1name1qqq", "it is not a recipient of an age plugin"),
        ("ssh-rsa", "it has no key after its type"),
        ("ssh-dss AAAAB3NzaC1kc3M=", "only ssh-ed25519 and ssh-rsa"),
        ("ssh-ed25519 AAAA", "it is not an SSH public key"),
        (
            &x25519.replace("age1", "age1 "),
            "it is not an age recipient",
        ),
        (&x25519.to_uppercase(), "it begins neither"),
    ] {
        let error = AgeKey::parse(invalid, &identities).err().unwrap();
        assert!(error.reason.contains(reason), "{invalid}: {}", error.reason);
        assert!(!error.reason.contains("AGE-SECRET-KEY-"));
    }
}

#[test]
fn a_stored_recipient_that_is_invalid_still_opens_and_does_not_wrap() {
    let surroundings = Fake::with(&[("SOPS_AGE_KEY", fixture!("x25519.txt"))]).shared();
    let key = key("age1nonsense", surroundings);
    assert_eq!(open(&key, fixture!("x25519.age")).unwrap(), PART);
    assert!(finish(key.wrap_key(&KeyPart::copy_of(PART))).is_err());
}

#[test]
fn damaged_files_are_called_so() {
    let surroundings = Fake::with(&[("SOPS_AGE_KEY", fixture!("x25519.txt"))]).shared();
    let key = key("age1", surroundings);
    let file = armor::decode(fixture!("x25519.age")).unwrap();
    assert_eq!(open(&key, &armor::encode(&file)).unwrap(), PART);
    for at in 0..file.len() {
        let mut changed = file.clone();
        changed[at] ^= 1;
        assert!(open(&key, &armor::encode(&changed)).is_err(), "byte {at}");
        assert!(
            open(&key, &armor::encode(&file[..at])).is_err(),
            "cut at {at}"
        );
    }
    for (enc, reason) in [
        ("", "begin"),
        ("-----BEGIN PGP MESSAGE-----\n", "begin"),
        (&armor::encode(b"nonsense"), "damaged"),
        (&fixture!("x25519.age").replace('\n', " "), "begin"),
    ] {
        let error = open(&key, enc).unwrap_err().to_string();
        assert!(error.contains("its age file is damaged"), "{error}");
        assert!(error.contains(reason), "{error}");
    }
}

#[test]
fn a_changed_hybrid_file_never_opens() {
    let surroundings = Fake::with(&[("SOPS_AGE_KEY", fixture!("hybrid.txt"))]).shared();
    let key = key("age1pq1", surroundings);
    let file = armor::decode(fixture!("hybrid.age")).unwrap();
    for at in (0..file.len()).step_by(37) {
        let mut changed = file.clone();
        changed[at] ^= 1;
        assert!(open(&key, &armor::encode(&changed)).is_err(), "byte {at}");
    }
}

#[test]
fn errors_show_no_secret() {
    let secret = identity_line(fixture!("x25519.txt"));
    let other = generate();
    for content in [
        format!("{secret}X"),
        format!("x{secret}"),
        other.identity.expose().to_owned(),
        secret.replace("AGE-SECRET-KEY-1", "AGE-SECRET-KEY-PQ-1"),
        secret.replace("AGE-SECRET-KEY-1", "AGE-PLUGIN-"),
    ] {
        let surroundings = Fake::with(&[("SOPS_AGE_KEY", &content), ("SOPS_AGE_KEY_FILE", "f")])
            .file("f", content.clone())
            .shared();
        let error = open(&key("age1", surroundings), fixture!("x25519.age")).unwrap_err();
        let shown = format!("{error} {error:?}");
        for hidden in [&secret[20..40], &other.identity.expose()[20..40]] {
            assert!(!shown.contains(hidden), "{shown}");
        }
    }
}

/// A plugin is looked for in the `PATH` of the process, which a test must not change: it starts itself again.
#[test]
fn plugins_wrap_and_unwrap_and_ask_through_the_callbacks() {
    if std::env::var_os("SEALWRIGHT_TEST_PLUGIN").is_some() {
        return plugin_case();
    }
    let plugins = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/age");
    let path = std::env::var("PATH").unwrap();
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "age::tests::plugins_wrap_and_unwrap_and_ask_through_the_callbacks",
        ])
        .env("PATH", format!("{plugins}:{path}"))
        .env("SEALWRIGHT_TEST_PLUGIN", "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}"
    );
}

fn plugin_case() {
    let encode = |prefix: &str| {
        age_core::primitives::bech32_encode(bech32::Hrp::parse(prefix).unwrap(), b"fake")
    };
    let recipient = encode("age1fake");
    let identity = encode("age-plugin-fake-").to_uppercase();
    let surroundings = Fake::with(&[("SOPS_AGE_KEY", &identity)]).shared();

    let person = Person::knowing("open sesame");
    let key = key_of(&recipient, surroundings.clone(), &person);
    let enc = wrap(&key);
    let header = String::from_utf8_lossy(&armor::decode(&enc).unwrap()).into_owned();
    assert!(
        header.contains(&format!("\n-> fake {recipient}\n")),
        "{header}"
    );
    assert_eq!(open(&key, &enc).unwrap(), PART);
    assert_eq!(person.asked(), ["show touch nothing", "say it"]);

    let wrong = key_of(&recipient, surroundings.clone(), &Person::knowing("x"));
    let error = open(&wrong, &enc).unwrap_err();
    assert!(
        error.tried[0].contains("that was wrong"),
        "{:?}",
        error.tried
    );
    let error = open(&wrong, fixture!("x25519.age")).unwrap_err();
    assert_eq!(
        error.tried[0],
        "SOPS_AGE_KEY (plugin fake): not the one it is for"
    );

    let missing = encode("age1nowhere");
    let surroundings = Fake::with(&[(
        "SOPS_AGE_KEY",
        &encode("age-plugin-nowhere-").to_uppercase(),
    )]);
    let missing = key_of(&missing, surroundings.shared(), &Person::nobody());
    let error = finish(missing.wrap_key(&KeyPart::copy_of(PART)))
        .unwrap_err()
        .to_string();
    assert!(error.contains("age-plugin-nowhere"), "{error}");
    let error = open(&missing, &enc).unwrap_err();
    assert!(
        error.tried[0].contains("age-plugin-nowhere"),
        "{:?}",
        error.tried
    );
}
