//! Verbs of the command line that ask a cluster, and need no controller in it.

use std::path::Path;
use std::process::Command;

use k8s_openapi::api::core::v1::Secret;
use sealwright_tests::harness::cluster::{Namespace, cluster, run};
use sealwright_tests::harness::programs;

use crate::schema::assert_is;

/// Runs the program in a folder, and gives its code and what it prints.
fn sealwright(folder: &Path, words: &[&str]) -> (i32, String) {
    let mut command = Command::new(programs::sealwright());
    command
        .current_dir(folder)
        .env_clear()
        .env("HOME", folder)
        .env("KUBECONFIG", cluster().kubeconfig())
        .args(words);
    let output = run(&mut command, b"");
    let text = [&output.stdout[..], &output.stderr].concat();
    let text = String::from_utf8(text).unwrap();
    (output.status.code().unwrap_or(-1), text)
}

#[track_caller]
fn good(folder: &Path, words: &[&str]) -> String {
    let (code, text) = sealwright(folder, words);
    assert_eq!(code, 0, "{words:?}: {text}");
    text
}

/// A key Secret as a controller makes it.
async fn key_secret(namespace: &Namespace<'_>, folder: &Path) -> Secret {
    good(
        folder,
        &[
            "sealing-key",
            "--bits",
            "2048",
            "--key",
            "k.pem",
            "--cert",
            "c.pem",
        ],
    );
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    let mut secret = Secret {
        type_: Some("kubernetes.io/tls".into()),
        string_data: Some(
            [
                ("tls.key".to_owned(), read("k.pem")),
                ("tls.crt".to_owned(), read("c.pem")),
            ]
            .into(),
        ),
        ..Secret::default()
    };
    secret.metadata.name = Some("sealed-secrets-key1".into());
    secret.metadata.labels = Some(
        [(
            "sealedsecrets.bitnami.com/sealed-secrets-key".to_owned(),
            "active".to_owned(),
        )]
        .into(),
    );
    namespace.create(&secret).await
}

#[tokio::test]
async fn sealing_keys_leave_a_cluster_encrypted_and_come_back() {
    let namespace = cluster().namespace("key-backup").await;
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let made = key_secret(&namespace, folder).await;
    let recipient = good(folder, &["keygen"]);
    let at = ["--controller-namespace", namespace.name()];
    let export = [
        "sealing-key",
        "export",
        "--out",
        "keys.yaml",
        "--age",
        recipient.trim(),
    ];
    let told = good(folder, &[&export[..], &at].concat());
    assert!(told.contains("1 sealing key exported"), "{told}");
    let again = ["--out", "again.yaml"];
    let again: Vec<&str> = [&export[..2], &again, &export[4..], &at].concat();
    let told = good(folder, &[&["--output", "json"], &again[..]].concat());
    assert_eq!(assert_is("exported_keys", &told)["sealing_keys"], 1);
    let text = std::fs::read_to_string(folder.join("keys.yaml")).unwrap();
    assert!(
        text.contains("tls.key: ENC[") && !text.contains("resourceVersion"),
        "{text}"
    );

    let api = namespace.api::<Secret>();
    let name = "sealed-secrets-key1";
    let import = [&["sealing-key", "import", "keys.yaml"][..], &at].concat();
    assert!(good(folder, &import).contains("as it was"));
    let told = good(folder, &[&["--output", "json"], &import[..]].concat());
    assert_is("imported_keys", &told);
    api.delete(name, &Default::default()).await.unwrap();
    assert!(good(folder, &[&import[..], &["--dry-run"]].concat()).contains("would be created"));
    assert!(api.get_opt(name).await.unwrap().is_none());
    assert!(good(folder, &import).contains(": created"));
    let back = api.get(name).await.unwrap();
    assert_eq!((back.data, back.type_), (made.data, made.type_));
    assert_eq!(back.metadata.labels, made.metadata.labels);

    // Another Secret of that name is not touched.
    api.delete(name, &Default::default()).await.unwrap();
    let mut other = Secret::default();
    other.metadata.name = Some(name.into());
    let other = namespace.create(&other).await;
    let (code, text) = sealwright(folder, &import);
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("it was not touched"), "{text}");
    let now = api.get(name).await.unwrap();
    assert_eq!(
        now.metadata.resource_version,
        other.metadata.resource_version
    );
    let empty = cluster().namespace("key-backup").await;
    let at = ["--controller-namespace", empty.name()];
    let (code, text) = sealwright(
        folder,
        &[
            &[
                "sealing-key",
                "export",
                "--out",
                "none.yaml",
                "--age",
                recipient.trim(),
            ][..],
            &at,
        ]
        .concat(),
    );
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("there is no sealing key"), "{text}");
}

#[tokio::test]
async fn the_state_of_all_objects_is_told() {
    let cluster = cluster();
    cluster.apply(include_str!("../../../deploy/base/crd.yaml"));
    let namespace = cluster.namespace("states").await;
    let name = namespace.name();
    let object = |object: &str| {
        format!(
            "apiVersion: bitnami.com/v1alpha1\nkind: SealedSecret\nmetadata: {{ name: {object}, namespace: {name} }}\nspec: {{ encryptedData: {{}} }}\n"
        )
    };
    cluster.apply(include_str!("../../../deploy/external-secrets/crds.yaml"));
    cluster.apply(&format!("{}---\n{}", object("good"), object("new")));
    cluster.apply(&format!(
        "apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata: {{ name: broken, namespace: {name} }}
spec: {{ refreshInterval: 1h, secretStoreRef: {{ name: vault }}, data: [{{ secretKey: a, remoteRef: {{ key: b }} }}] }}
---
apiVersion: external-secrets.io/v1alpha1
kind: PushSecret
metadata: {{ name: pushed, namespace: {name} }}
spec: {{ secretStoreRefs: [{{ name: vault }}], selector: {{ secret: {{ name: a }} }} }}
"
    ));
    let status =
        r#"{"status":{"conditions":[{"type":"Synced","status":"True","reason":"Unsealed"}]}}"#;
    cluster.kubectl(&[
        "patch",
        "sealedsecret",
        "good",
        "-n",
        name,
        "--subresource=status",
        "--type=merge",
        "-p",
        status,
    ]);
    let failed = r#"{"status":{"conditions":[{"type":"Ready","status":"False","reason":"SecretSyncedError"}]}}"#;
    cluster.kubectl(&[
        "patch",
        "externalsecret",
        "broken",
        "-n",
        name,
        "--subresource=status",
        "--type=merge",
        "-p",
        failed,
    ]);
    let folder = tempfile::tempdir().unwrap();
    let words = ["status", "--cluster", "--namespace", name];
    let told = good(folder.path(), &words);
    assert!(
        told.contains(&format!("SealedSecret {name}/good: ready (Unsealed)\n")),
        "{told}"
    );
    assert!(
        told.contains(&format!("SealedSecret {name}/new: unknown\n")),
        "{told}"
    );
    assert!(
        told.contains(&format!(
            "ExternalSecret {name}/broken: not ready (SecretSyncedError)"
        )),
        "{told}"
    );
    assert!(
        told.contains(&format!("PushSecret {name}/pushed: unknown")),
        "{told}"
    );
    assert!(told.contains("1 ready, 3 not ready"), "{told}");
    let (code, _) = sealwright(folder.path(), &[&words[..], &["--check"]].concat());
    assert_eq!(code, 1);
    let json = good(folder.path(), &[&["--output", "json"][..], &words].concat());
    let json = assert_is("cluster", &json);
    assert_eq!(json["not_ready"], 3);
    let objects = json["objects"].as_array().unwrap().iter();
    let states: Vec<_> = objects
        .map(|object| (object["name"].as_str().unwrap(), object["ready"].as_bool()))
        .collect();
    assert_eq!(
        states,
        [
            ("broken", Some(false)),
            ("pushed", None),
            ("good", Some(true)),
            ("new", None)
        ]
    );
}
