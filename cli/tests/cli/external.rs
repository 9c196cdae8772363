//! `fetch -f` and `template`: what the controller would make, worked out from files.

use super::desk::Desk;

const STORE: &str = "apiVersion: external-secrets.io/v1\nkind: SecretStore\nmetadata: { name: files, namespace: shop }\n\
                     spec: { provider: { file: { path: vault } } }\n";

const EXTERNAL_SECRET: &str = r#"apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata:
  name: db
  namespace: shop
spec:
  secretStoreRef:
    name: files
  target:
    name: db-login
    template:
      type: Opaque
      metadata:
        labels:
          app: shop
      data:
        url: "postgres://{{ .user }}:{{ .password | upper }}@db"
      templateFrom:
        - configMap:
            name: more
            items:
              - key: note
  data:
    - secretKey: user
      remoteRef:
        key: app/db
        property: user
  dataFrom:
    - extract:
        key: app/db
"#;

const CONFIG_MAP: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: more, namespace: shop }\ndata:\n  note: 'for {{ .user }}'\n";

fn desk() -> Desk {
    let desk = Desk::with_rule();
    desk.write("store.yaml", STORE);
    desk.write(
        "es.yaml",
        format!("{EXTERNAL_SECRET}---\n{CONFIG_MAP}---\nkind: Secret\nmetadata: {{ name: other }}\nstringData: {{ a: b }}\n"),
    );
    desk.write("vault/app/db", r#"{"user": "admin", "password": "canary"}"#);
    desk
}

#[test]
fn an_external_secret_is_worked_out_without_a_cluster() {
    let desk = desk();
    let words = ["fetch", "-f", "es.yaml", "-f", "store.yaml", "--decode"];
    let mut text = desk.transcript(&words);
    text += &desk.transcript(&["fetch", "-f", "es.yaml", "--store", "store.yaml"]);
    text += &desk.transcript(&[
        "--output",
        "env",
        "fetch",
        "-f",
        "es.yaml",
        "--store",
        "store.yaml",
    ]);
    insta::assert_snapshot!("fetch_external_secret", text);
    desk.run([&words[..], &["--out", "secret.yaml"]].concat())
        .good();
    assert!(
        desk.read("secret.yaml").contains("ADMIN") || desk.read("secret.yaml").contains("CANARY")
    );
}

#[test]
fn what_the_controller_refuses_is_refused() {
    let desk = desk();
    let fetch = |desk: &Desk| desk.transcript(&["fetch", "-f", "es.yaml", "-f", "store.yaml"]);
    let mut text = desk.transcript(&["fetch", "-f", "es.yaml"]);
    desk.write(
        "store.yaml",
        STORE.replace("namespace: shop", "namespace: other"),
    );
    text += &fetch(&desk);
    desk.write(
        "store.yaml",
        "apiVersion: external-secrets.io/v1\nkind: ClusterSecretStore\nmetadata: { name: files }\n\
         spec:\n  conditions: [{ namespaces: [other] }]\n  provider: { file: { path: vault } }\n",
    );
    let cluster = EXTERNAL_SECRET.replace(
        "    name: files",
        "    name: files\n    kind: ClusterSecretStore",
    );
    desk.write("es.yaml", format!("{cluster}---\n{CONFIG_MAP}"));
    text += &fetch(&desk);
    desk.write("store.yaml", STORE);
    desk.write("es.yaml", EXTERNAL_SECRET);
    text += &fetch(&desk);
    desk.write(
        "es.yaml",
        format!(
            "{}---\n{CONFIG_MAP}",
            EXTERNAL_SECRET.replace("key: app/db", "key: app/bd")
        ),
    );
    text += &fetch(&desk);
    desk.write(
        "es.yaml",
        format!(
            "{}---\n{CONFIG_MAP}",
            EXTERNAL_SECRET.replace("| upper", "| nonsense")
        ),
    );
    text += &fetch(&desk);
    desk.write("es.yaml", CONFIG_MAP);
    text += &fetch(&desk);
    assert!(!text.contains("canary"), "{text}");
    insta::assert_snapshot!("fetch_refused", text);
}

#[test]
fn templates_are_rendered_against_given_values() {
    let desk = desk();
    desk.write("es.yaml", EXTERNAL_SECRET);
    desk.write("more.yaml", CONFIG_MAP);
    desk.encrypted("values.yaml", "user: root\npassword: pw\nport: 5432\n");
    let mut text = desk.transcript(&[
        "template",
        "es.yaml",
        "--data",
        "values.yaml",
        "--from",
        "more.yaml",
        "--decode",
    ]);
    text += &desk.transcript(&["template", "es.yaml", "--data", "values.yaml", "--decode"]);
    desk.write(
        "sealed.yaml",
        "apiVersion: bitnami.com/v1alpha1\nkind: SealedSecret\nmetadata: { name: a, namespace: b }\nspec:\n  \
         encryptedData:\n    user: AgB\n  template:\n    data:\n      url: \"db://{{ .user }}:{{ .port }}\"\n",
    );
    text += &desk.transcript(&[
        "template",
        "sealed.yaml",
        "--data",
        "values.yaml",
        "--decode",
    ]);
    text += &desk.transcript(&[
        "--output",
        "json",
        "template",
        "sealed.yaml",
        "--data",
        "values.yaml",
    ]);
    desk.write(
        "push.yaml",
        "apiVersion: external-secrets.io/v1alpha1\nkind: PushSecret\nmetadata: { name: p, namespace: b }\nspec:\n  \
         secretStoreRefs: [{ name: files }]\n  selector: { secret: { name: a } }\n  template:\n    data:\n      x: \"{{ .user | b64enc }}\"\n",
    );
    text += &desk.transcript(&["template", "push.yaml", "--data", "values.yaml", "--decode"]);
    text += &desk.transcript(&["template", "more.yaml", "--data", "values.yaml"]);
    desk.write("list.yaml", "- a\n");
    text += &desk.transcript(&["template", "es.yaml", "--data", "list.yaml"]);
    insta::assert_snapshot!("template", text);
}

/// What a pipe gives is gone once it is read, so the text that was read is looked at, and not the path again.
#[test]
fn values_come_through_pipes() {
    let desk = desk();
    desk.write(
        "sealed.yaml",
        "apiVersion: bitnami.com/v1alpha1\nkind: SealedSecret\nmetadata: { name: a, namespace: b }\nspec:\n  \
         encryptedData:\n    user: AgB\n  template:\n    data:\n      url: \"db://{{ .user }}\"\n",
    );
    let values = "user: root\n";
    desk.encrypted("values.yaml", values);
    let words = |data| ["template", "sealed.yaml", "--data", data, "--decode"];
    let expected = desk.run(words("values.yaml")).good();
    assert!(expected.contains("db://root"), "{expected}");
    let piped = desk.run_with(words("/dev/stdin"), values.as_bytes());
    assert_eq!(piped.good(), expected);
    // Encrypted, and of a name that says the format.
    let pipe = desk.path("pipe.yaml");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    let encrypted = desk.read("values.yaml");
    let writer = std::thread::spawn(move || std::fs::write(pipe, encrypted));
    assert_eq!(desk.run(words("pipe.yaml")).good(), expected);
    writer.join().unwrap().unwrap();

    let words = |file| ["fetch", "-f", file, "-f", "store.yaml", "--decode"];
    let expected = desk.run(words("es.yaml")).good();
    let piped = desk.run_with(words("/dev/stdin"), desk.read("es.yaml").as_bytes());
    assert_eq!(piped.good(), expected);
}

#[test]
fn esoctl_users_find_their_verb() {
    let desk = desk();
    desk.write("es.yaml", EXTERNAL_SECRET);
    desk.write("more.yaml", CONFIG_MAP);
    desk.write("values.yaml", "user: root\npassword: pw\n");
    let words = [
        "esoctl",
        "template",
        "--source-templated-object",
        "es.yaml",
        "--source-secret-data-file",
        "values.yaml",
        "--template-from-config-map",
        "more.yaml",
        "--output",
        "out.yaml",
    ];
    desk.run(words).good();
    assert!(
        desk.read("out.yaml")
            .contains("cG9zdGdyZXM6Ly9yb290OlBXQGRi")
    );
}
