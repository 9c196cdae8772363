//! SSH keys.

use super::*;

#[test]
fn ssh_keys_open_what_age_wrapped_for_them() {
    for (enc, path, private) in [
        (
            fixture!("ssh_ed25519.age"),
            "id_ed25519",
            fixture!("ssh_ed25519"),
        ),
        (fixture!("ssh_rsa.age"), "id_rsa", fixture!("ssh_rsa")),
    ] {
        let at_home = Fake::with(&[])
            .file(&format!("/home/nobody/.ssh/{path}"), private)
            .shared();
        assert_eq!(open(&key("ssh-x", at_home), enc).unwrap(), PART);
        let named = Fake::with(&[("SOPS_AGE_SSH_PRIVATE_KEY_FILE", "/k")])
            .file("/k", private)
            .shared();
        assert_eq!(open(&key("ssh-x", named), enc).unwrap(), PART);
        let printed = Fake::with(&[("SOPS_AGE_SSH_PRIVATE_KEY_CMD", "show 'a key'")])
            .command("show", Ok(private))
            .shared();
        assert_eq!(open(&key("ssh-x", printed.clone()), enc).unwrap(), PART);
        assert_eq!(
            printed.log()[0],
            r#"run show ["a key"] with [("SOPS_AGE_RECIPIENT", "ssh-x")]"#
        );
    }
}

#[test]
fn t54_ssh_recipients_keep_their_comment() {
    let identities = Identities::new(
        Fake::with(&[])
            .file("/home/nobody/.ssh/id_rsa", fixture!("ssh_rsa"))
            .shared(),
        Person::nobody(),
    );
    let text = format!("  {}", fixture!("ssh_rsa.pub"));
    let key = AgeKey::parse(&text, &identities).unwrap();
    assert_eq!(key.identity(), fixture!("ssh_rsa.pub").trim());
    assert!(key.identity().ends_with(" nobody@test"));
    assert_eq!(open(&key, &wrap(&key)).unwrap(), PART);

    let without = key.identity().replace(" nobody@test", "");
    let spaced = key.identity().replacen(' ', " \t ", 1);
    for text in [without, spaced] {
        let key = AgeKey::parse(&text, &identities).unwrap();
        assert_eq!(key.identity(), text);
        assert_eq!(open(&key, &wrap(&key)).unwrap(), PART);
    }
}

#[test]
fn a_locked_ssh_key_is_asked_for_once_and_only_when_it_fits() {
    let path = "/home/nobody/.ssh/id_ed25519";
    let surroundings = Fake::with(&[]).file(path, fixture!("ssh_locked")).shared();
    let person = Person::knowing("open sesame");
    let key = key_of("ssh-x", surroundings.clone(), &person);

    let error = open(&key, fixture!("ssh_ed25519.age")).unwrap_err();
    assert_eq!(
        error.tried[2],
        format!("{path} (an SSH key behind a passphrase): not the one it is for")
    );
    assert!(person.asked().is_empty());

    assert_eq!(open(&key, fixture!("ssh_locked.age")).unwrap(), PART);
    assert_eq!(open(&key, fixture!("ssh_locked.age")).unwrap(), PART);
    assert_eq!(person.asked(), [format!("Enter passphrase for {path:?}")]);

    let wrong = key_of("ssh-x", surroundings.clone(), &Person::knowing("x"));
    let error = open(&wrong, fixture!("ssh_locked.age")).unwrap_err();
    assert!(
        error.tried[2].ends_with("the passphrase is wrong"),
        "{:?}",
        error.tried
    );

    let nobody = key_of("ssh-x", surroundings, &Person::nobody());
    let error = open(&nobody, fixture!("ssh_locked.age")).unwrap_err();
    assert!(error.tried[2].ends_with("there is no one to ask for its passphrase"));
}

#[test]
fn a_locked_ssh_key_from_a_command_is_refused() {
    let surroundings = Fake::with(&[("SOPS_AGE_SSH_PRIVATE_KEY_CMD", "show")])
        .command("show", Ok(fixture!("ssh_locked")))
        .shared();
    let person = Person::knowing("open sesame");
    let error = open(
        &key_of("ssh-x", surroundings, &person),
        fixture!("ssh_locked.age"),
    )
    .unwrap_err();
    assert!(error.tried[1].contains("which only a key file may be"));
    assert!(person.asked().is_empty());
}
