//! `adopt` of a repository: what upstream's programs have left there, and what would not work.

use serde_json::Value;

use super::desk::Desk;

fn look(desk: &Desk, words: &[&str]) -> (Value, i32) {
    let ran = desk.run([&["--output", "json", "adopt"], words].concat());
    let value = serde_json::from_str(&ran.out)
        .unwrap_or_else(|error| panic!("{error}: {}{}", ran.out, ran.err));
    (value, ran.code)
}

fn of<'a>(value: &'a Value, list: &str, field: &str, is: &str) -> &'a Value {
    let mut all = value[list].as_array().unwrap().iter();
    let found = all.find(|one| one[field] == is);
    found.unwrap_or_else(|| panic!("no {is} in {value:#}"))
}

#[test]
fn a_repository_says_what_it_holds_and_what_would_not_work() {
    let desk = Desk::with_rule();
    desk.encrypted("secrets/db.yaml", "a: 1\n");
    desk.encrypted("secrets/more.json", "{\"a\": 1}\n");
    desk.write(
        "apps/store.yaml",
        "apiVersion: external-secrets.io/v1\nkind: SecretStore\nmetadata: {name: s}\nspec: {provider: {vault: {server: x}}}\n",
    );
    desk.write(
        "apps/sealed.yaml",
        "apiVersion: bitnami.com/v1alpha1\nkind: SealedSecret\nmetadata: {name: a, namespace: b}\nspec: {encryptedData: {}}\n",
    );
    desk.write(
        "apps/release.yaml",
        "apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nmetadata: {name: es}\nspec: {chart: {spec: {chart: external-secrets}}}\n",
    );
    // A template of a chart is no manifest, and no reason to stop.
    desk.write(
        "chart/templates/a.yaml",
        "{{- if .Values.a }}\nkind: Secret\n",
    );
    desk.write(
        "deploy.sh",
        "#!/bin/sh\n# sops is called below\nsops -d secrets/db.yaml | kubectl apply -f -\n",
    );
    desk.write(
        ".github/workflows/ci.yml",
        "jobs:\n  a:\n    steps:\n      - run: kubeseal --validate < apps/sealed.yaml\n",
    );
    let (value, code) = look(&desk, &["--check", "."]);
    assert_eq!(code, 0, "{value:#}");
    let files = of(&value, "found", "kind", "encrypted files");
    assert_eq!(files["name"], "2");
    assert!(
        files["text"]
            .as_str()
            .unwrap()
            .starts_with("keys of age 2;")
    );
    assert_eq!(
        of(&value, "found", "name", "SealedSecret")["text"],
        "1, in apps/sealed.yaml"
    );
    assert_eq!(
        of(&value, "found", "kind", "chart")["text"],
        "installed by apps/release.yaml"
    );
    assert!(value.to_string().contains("\"deploy.sh:3\""));
    assert!(value.to_string().contains("\".github/workflows/ci.yml:4\""));
    assert_eq!(value["problems"].as_array().unwrap().len(), 0, "{value:#}");

    // What would not work, and what is only worth a word.
    desk.write(
        "apps/more.yaml",
        "apiVersion: external-secrets.io/v1beta1\nkind: ClusterSecretStore\nmetadata: {name: d}\nspec: {provider: {akeyless: {}}}\n---\n\
         apiVersion: generators.external-secrets.io/v1alpha1\nkind: ClusterGenerator\nmetadata: {name: g}\nspec: {kind: CloudsmithAccessToken}\n---\n\
         apiVersion: v1\nkind: Secret\nmetadata: {name: p}\nstringData: {password: hunter2}\n",
    );
    let encrypted = desk.read("secrets/db.yaml");
    desk.write(
        "secrets/broken.yaml",
        encrypted.replace("sops:", "sops: 5\nx:"),
    );
    let (value, code) = look(&desk, &["--check", "."]);
    assert_eq!(code, 1);
    for (text, blocks) in [
        ("this build has no provider akeyless", true),
        ("this build has no generator CloudsmithAccessToken", true),
        (
            "external-secrets.io/v1beta1 is not served by default",
            false,
        ),
        ("Secrets in plaintext", false),
    ] {
        assert_eq!(of(&value, "problems", "message", text)["blocks"], blocks);
    }
    assert_eq!(
        of(&value, "problems", "object", "secrets/broken.yaml")["blocks"],
        true
    );
    assert!(!value.to_string().contains("hunter2"));
    assert_eq!(look(&desk, &["."]).1, 0, "without --check it only tells");

    let text = desk.run(["adopt", "."]).good();
    for line in [
        "sops",
        "    encrypted files 3: ",
        "    note: apps/more.yaml: Secrets in plaintext; ",
        "steps:",
    ] {
        assert!(
            text.lines().any(|one| one.starts_with(line)),
            "{line:?} in\n{text}"
        );
    }
    // A repository without steps has nothing to do only if it has no problem either.
    let desk = Desk::with_rule();
    assert!(
        desk.run(["adopt", "--check", "."])
            .good()
            .contains("nothing to do")
    );
    let broken = encrypted.replace("sops:", "sops: 5\nx:");
    desk.write("secrets/broken.yaml", broken);
    let ran = desk.run(["adopt", "--check", "."]);
    assert_eq!(ran.code, 1);
    assert!(ran.out.ends_with("\nno steps\n"), "{}", ran.out);
    assert!(!ran.out.contains("nothing to do"), "{}", ran.out);
    assert!(ran.err.contains("1 problem"), "{}", ran.err);

    let error = desk.run(["adopt", "nowhere"]).fails(100);
    assert!(error.contains("nowhere is not there"), "{error}");
    // A cluster is looked at only when no path is named.
    desk.run(["adopt", "--run", "."]).fails(1);
}
