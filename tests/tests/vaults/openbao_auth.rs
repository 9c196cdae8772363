//! Signing in to a real server: every method that OpenBao has, and the life of a token.

use std::process::Command;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sealwright_crypto::secret::SecretBytes;
use sealwright_providers::outcome::Trouble;
use sealwright_providers::remote::RemoteRef;
use sealwright_providers::store::{Connection, Validation};
use sealwright_tests::harness::cluster;
use sealwright_tests::harness::cluster::rule;
use sealwright_tests::harness::openbao::{OpenBao, ROOT};
use serde_json::{Value, json};

use super::support::{connect, connect_with, connection, failed, get, mount, openbao, vault};

const POLICY: &str =
    r#"path "secret/*" { capabilities = ["create", "read", "update", "delete", "list"] }"#;

/// A server of one's own, with a value and a policy that reads it.
fn server() -> OpenBao {
    let server = OpenBao::start().unwrap();
    server.api(
        "PUT",
        "sys/policies/acl/reader",
        Some(&json!({"policy": POLICY})),
    );
    server.api(
        "POST",
        "secret/data/k",
        Some(&json!({"data": {"a": "value"}})),
    );
    server
}

fn enable(server: &OpenBao, method: &str, path: &str) {
    server.api(
        "POST",
        &format!("sys/auth/{path}"),
        Some(&json!({"type": method})),
    );
}

fn signs_in_with(server: &OpenBao, auth: Value) -> Value {
    json!({"vault": {"server": server.address(), "path": "secret", "auth": auth}})
}

fn key() -> RemoteRef {
    RemoteRef::new("k").property("a")
}

#[tokio::test]
async fn approle_and_userpass_sign_in_once_and_revoke_at_the_end() {
    let server = server();
    enable(&server, "approle", "roles");
    server.api(
        "POST",
        "auth/roles/role/web",
        Some(&json!({"token_policies": "reader"})),
    );
    let id = server.api("GET", "auth/roles/role/web/role-id", None);
    let id = id["data"]["role_id"].as_str().unwrap();
    let secret = server.api("POST", "auth/roles/role/web/secret-id", Some(&json!({})));
    let secret = secret["data"]["secret_id"].as_str().unwrap();
    enable(&server, "userpass", "userpass");
    let user = json!({"password": "p\"w", "token_policies": "reader"});
    server.api("POST", "auth/userpass/users/jo", Some(&user));
    let (connection, held) = connection(ROOT);
    held.put("role", "id", id.as_bytes());
    held.put("role", "secret", secret.as_bytes());
    held.put("user", "password", b"p\"w");
    let secret_ref = json!({"name": "role", "key": "secret"});
    for auth in [
        json!({"appRole": {"path": "roles", "roleId": format!(" {id} "), "secretRef": secret_ref}}),
        json!({"appRole": {"path": "roles", "roleRef": {"name": "role", "key": "id"}, "secretRef": secret_ref}}),
        json!({"userPass": {"username": "jo", "secretRef": {"name": "user", "key": "password"}}}),
    ] {
        let manifest = signs_in_with(&server, auth);
        let store = connect_with(&manifest, &connection).await;
        let logins = |server: &OpenBao| server.calls(|_, path| path.contains("/login"));
        let before = logins(&server);
        let readers: Vec<_> = (0..20)
            .map(|_| {
                let store = Arc::clone(&store);
                tokio::spawn(async move { get(&store, &key()).await })
            })
            .collect();
        for reader in readers {
            assert_eq!(reader.await.unwrap(), "value");
        }
        assert_eq!(logins(&server) - before, 1, "{manifest}");
        let revoked = |server: &OpenBao| server.calls(|_, path| path == "auth/token/revoke-self");
        let before = revoked(&server);
        store.close().await.unwrap();
        assert_eq!(revoked(&server) - before, 1);
        store.close().await.unwrap();
        assert_eq!(
            revoked(&server) - before,
            1,
            "there is nothing left to revoke"
        );
        // After that it signs in again.
        assert_eq!(get(&store, &key()).await, "value");
    }
    held.put("role", "secret", b"wrong");
    let auth = json!({"appRole": {"path": "roles", "roleId": id, "secretRef": secret_ref}});
    let store = connect_with(&signs_in_with(&server, auth), &connection).await;
    let error = failed(store.get(&key()).await);
    assert_eq!(error.trouble(), Trouble::Unauthenticated, "{error}");
    assert!(error.to_string().contains("AppRole"), "{error}");
    // A wrong password is not tried once for each of those that wait.
    let logins = |server: &OpenBao| server.calls(|_, path| path.contains("/login"));
    let before = logins(&server);
    let all = futures::future::join_all((0..20).map(|_| async { get(&store, &key()).await })).await;
    assert!(
        all.iter().all(|answer| answer == "(unauthenticated)"),
        "{all:?}"
    );
    assert_eq!(logins(&server) - before, 1);
    let gone = json!({"appRole": {"roleId": "x", "secretRef": {"name": "nothing", "key": "x"}}});
    let store = connect_with(&signs_in_with(&server, gone), &connection).await;
    let error = failed(store.get(&key()).await);
    assert!(
        error
            .to_string()
            .contains("`auth.appRole.secretRef`: there is no Secret"),
        "{error}"
    );
}

#[tokio::test]
async fn a_token_that_ends_in_the_middle_of_a_run_is_replaced() {
    let server = server();
    enable(&server, "userpass", "userpass");
    let user = json!({"password": "pw", "token_policies": "reader"});
    server.api("POST", "auth/userpass/users/jo", Some(&user));
    let (connection, held) = connection(ROOT);
    held.put("user", "password", b"pw");
    let auth =
        json!({"userPass": {"username": "jo", "secretRef": {"name": "user", "key": "password"}}});
    let store = connect_with(&signs_in_with(&server, auth), &connection).await;
    assert_eq!(get(&store, &key()).await, "value");
    // Everything that was signed in for by that method is revoked behind the store's back.
    server.api(
        "PUT",
        "sys/leases/revoke-prefix/auth/userpass",
        Some(&json!({"sync": true})),
    );
    assert_eq!(get(&store, &key()).await, "value");
    // A missing right is told apart from it, and signs in no further time.
    let logins = |server: &OpenBao| server.calls(|_, path| path.contains("/login"));
    let before = logins(&server);
    server.api(
        "PUT",
        "sys/policies/acl/reader",
        Some(&json!({"policy": "path \"other/*\" { capabilities = [\"read\"] }"})),
    );
    let error = failed(store.get(&key()).await);
    assert_eq!(error.trouble(), Trouble::Forbidden, "{error}");
    assert_eq!(error.permission(), Some("read on secret/data/k"));
    assert!(error.principal().unwrap().contains("jo"), "{error}");
    assert_eq!(logins(&server), before);
}

#[tokio::test]
async fn short_tokens_are_renewed_or_replaced_and_static_ones_left_alone() {
    let server = server();
    let made = json!({"policies": ["reader"], "ttl": "1h", "renewable": false});
    let token = server.api("POST", "auth/token/create", Some(&made));
    let token = token["auth"]["client_token"].as_str().unwrap();
    let (connection, _) = connection(token);
    let store = connect_with(&vault(&server.address(), Some("secret"), "v2"), &connection).await;
    assert_eq!(store.validate().await.unwrap(), Validation::Ready);
    // The server itself revokes a token while it starts.
    let revoked = |server: &OpenBao| server.calls(|_, path| path == "auth/token/revoke-self");
    let before = revoked(&server);
    store.close().await.unwrap();
    assert_eq!(revoked(&server), before);
    assert_eq!(get(&store, &key()).await, "value");
    server.api("POST", "auth/token/revoke", Some(&json!({"token": token})));
    let error = failed(store.validate().await);
    assert_eq!(error.trouble(), Trouble::Unauthenticated, "{error}");
    enable(&server, "userpass", "short");
    let user = json!({"password": "pw", "token_policies": "reader", "token_ttl": "3s", "token_max_ttl": "30s"});
    server.api("POST", "auth/short/users/jo", Some(&user));
    let (connection, held) = super::support::connection(ROOT);
    held.put("user", "password", b"pw");
    let auth = json!({"userPass": {"path": "short", "username": "jo", "secretRef": {"name": "user", "key": "password"}}});
    let store = connect_with(&signs_in_with(&server, auth), &connection).await;
    assert_eq!(get(&store, &key()).await, "value");
    let tokens = |server: &OpenBao| {
        let login = |path: &str| path == "auth/token/renew-self" || path.contains("/login");
        server.calls(|_, path| login(path))
    };
    let before = tokens(&server);
    // Into the margin before its end, a third of its life: the next read renews it first, or signs in again when the
    // machine was too slow for that.
    tokio::time::sleep(std::time::Duration::from_millis(2_200)).await;
    assert_eq!(get(&store, &key()).await, "value");
    assert_eq!(tokens(&server) - before, 1);
}

#[tokio::test]
async fn json_web_tokens_sign_in() {
    let server = server();
    let folder = tempfile::tempdir().unwrap();
    let private = folder.path().join("key.pem");
    let openssl = |arguments: &[&str]| {
        let output = Command::new("openssl").args(arguments).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        output.stdout
    };
    openssl(&["genrsa", "-out", private.to_str().unwrap(), "2048"]);
    let public = openssl(&["rsa", "-in", private.to_str().unwrap(), "-pubout"]);
    let url_safe = |bytes: &[u8]| {
        STANDARD
            .encode(bytes)
            .replace('+', "-")
            .replace('/', "_")
            .trim_end_matches('=')
            .to_owned()
    };
    let token = |audience: &str| {
        let claims =
            json!({"sub": "robot", "aud": audience, "exp": 4_000_000_000u64, "iat": 1_700_000_000});
        let text = format!(
            "{}.{}",
            url_safe(br#"{"alg":"RS256","typ":"JWT"}"#),
            url_safe(claims.to_string().as_bytes())
        );
        let file = folder.path().join("text");
        std::fs::write(&file, &text).unwrap();
        let signature = openssl(&[
            "dgst",
            "-sha256",
            "-sign",
            private.to_str().unwrap(),
            file.to_str().unwrap(),
        ]);
        format!("{text}.{}", url_safe(&signature))
    };
    enable(&server, "jwt", "jwt");
    let config = json!({"jwt_validation_pubkeys": [String::from_utf8(public).unwrap()]});
    server.api("POST", "auth/jwt/config", Some(&config));
    let role = json!({"role_type": "jwt", "user_claim": "sub", "bound_audiences": ["vault"], "token_policies": "reader"});
    server.api("POST", "auth/jwt/role/robot", Some(&role));
    let (connection, held) = connection(ROOT);
    held.put("jwt", "good", token("vault").as_bytes());
    held.put("jwt", "other", token("other").as_bytes());
    held.put_token("robot", SecretBytes::copy_of(token("vault").as_bytes()));
    let secret =
        |key: &str| json!({"jwt": {"role": "robot", "secretRef": {"name": "jwt", "key": key}}});
    let account = json!({"jwt": {"role": "robot", "kubernetesServiceAccountToken": {"serviceAccountRef": {"name": "robot"}}}});
    for (auth, expected) in [
        (secret("good"), "value"),
        (account, "value"),
        (secret("other"), "(unauthenticated)"),
    ] {
        let store = connect_with(&signs_in_with(&server, auth.clone()), &connection).await;
        assert_eq!(get(&store, &key()).await, expected, "{auth}");
    }
}

#[tokio::test]
async fn p39_service_accounts_sign_in_and_the_server_reviews_their_tokens() {
    let server = server();
    let namespace = cluster().namespace("bao-login").await;
    let review = rule("authentication.k8s.io", &["tokenreviews"], &["create"]);
    let reviewer = namespace.cluster_account("reviewer", &[review]).await;
    let app = namespace.account("app", &[]).await;
    enable(&server, "kubernetes", "kubernetes");
    let authority = std::fs::read_to_string(cluster().authority()).unwrap();
    let config = json!({"kubernetes_host": cluster().url(), "kubernetes_ca_cert": authority,
        "token_reviewer_jwt": reviewer.token, "disable_local_ca_jwt": true});
    server.api("POST", "auth/kubernetes/config", Some(&config));
    let role = json!({"bound_service_account_names": "app", "token_policies": "reader",
        "bound_service_account_namespaces": namespace.name()});
    server.api("POST", "auth/kubernetes/role/web", Some(&role));
    let (connection, held) = connection(ROOT);
    held.put_token("app", SecretBytes::copy_of(app.token.as_bytes()));
    held.put_token("other", SecretBytes::copy_of(reviewer.token.as_bytes()));
    held.put("jwt", "token", app.token.as_bytes());
    let account = |name: &str| json!({"role": "web", "serviceAccountRef": {"name": name}});
    for (auth, expected) in [
        (account("app"), "value"),
        (
            json!({"role": "web", "secretRef": {"name": "jwt"}}),
            "value",
        ),
        (account("other"), "(unauthenticated)"),
    ] {
        for provider in ["vault", "openBao"] {
            let manifest = json!({provider: {"server": server.address(), "path": "secret",
                "auth": {"kubernetes": auth}}});
            let store = connect_with(&manifest, &connection).await;
            assert_eq!(get(&store, &key()).await, expected, "{manifest}");
        }
    }
}

#[tokio::test]
async fn openbao_checks_the_engine_and_never_writes() {
    let server = openbao();
    mount(server, "bao", 2);
    mount(server, "bao-v1", 1);
    let manifest = |path: &str, version: &str| {
        json!({"openBao": {"server": server.address(), "path": path, "version": version,
            "auth": {"tokenSecretRef": {"name": "vault", "key": "token"}}}})
    };
    let store = connect(&manifest("bao", "v2")).await;
    assert_eq!(store.validate().await.unwrap(), Validation::Ready);
    for (path, version, text) in [
        ("bao", "v1", "expected kv engine version 1 found version 2"),
        (
            "bao-v1",
            "v2",
            "expected kv engine version 2 found version 1",
        ),
        ("sys", "v2", "expected mount type \"kv\" found \"system\""),
    ] {
        let error = failed(connect(&manifest(path, version)).await.validate().await);
        assert!(error.to_string().contains(text), "{error}");
    }
    let at = RemoteRef::new("k").version("1");
    let error = failed(connect(&manifest("bao-v1", "v1")).await.get(&at).await);
    assert!(
        error.to_string().contains("do not support versioning"),
        "{error}"
    );
    let item = sealwright_providers::remote::PushItem {
        remote_key: "k".into(),
        ..Default::default()
    };
    let source = sealwright_providers::remote::PushSource::default();
    let error = failed(store.push(&source, &item, Default::default()).await);
    assert_eq!(error.trouble(), Trouble::Unsupported);
    // Keys are taken as they are: the mount path in front of one is a folder of that name.
    server.api(
        "POST",
        "bao/data/bao/k",
        Some(&json!({"data": {"a": "inner"}})),
    );
    assert_eq!(
        get(&store, &RemoteRef::new("bao/k").property("a")).await,
        "inner"
    );
}

#[tokio::test]
async fn namespaces_are_those_of_the_store_and_of_its_login() {
    let server = server();
    server.api("POST", "sys/namespaces/team", Some(&json!({})));
    let engine = json!({"type": "kv", "options": {"version": "2"}});
    server.api_in("team", "POST", "sys/mounts/kv", Some(&engine));
    for _ in 0..500 {
        let header = "team/kv/config";
        if server.try_api(ROOT, "GET", header, None).0 == 200 {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    server.api_in(
        "team",
        "POST",
        "kv/data/k",
        Some(&json!({"data": {"a": "of team"}})),
    );
    let mut manifest = vault(&server.address(), Some("kv"), "v2");
    manifest["vault"]["namespace"] = "team".into();
    let store = connect(&manifest).await;
    assert_eq!(get(&store, &key()).await, "of team");
    // The method is mounted at the root, the engine in the namespace: the login goes elsewhere than the reads.
    enable(&server, "userpass", "userpass");
    let rules = r#"path "team/kv/*" { capabilities = ["read", "list"] }"#;
    server.api(
        "PUT",
        "sys/policies/acl/team",
        Some(&json!({"policy": rules})),
    );
    let user = json!({"password": "pw", "token_policies": "team"});
    server.api("POST", "auth/userpass/users/jo", Some(&user));
    let (connection, held) = connection(ROOT);
    held.put("user", "password", b"pw");
    manifest["vault"]["auth"] = json!({"namespace": "root",
        "userPass": {"username": "jo", "secretRef": {"name": "user", "key": "password"}}});
    let store = connect_with(&manifest, &connection).await;
    let got = get(&store, &key()).await;
    assert_eq!(got, "of team");
}

#[tokio::test]
async fn tls_needs_the_servers_authority_and_certificates_sign_in() {
    let server = OpenBao::start_tls().unwrap();
    let authority = std::fs::read_to_string(server.authority().unwrap()).unwrap();
    let bao = |arguments: &[&str]| {
        let output = server.bao().args(arguments).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    };
    bao(&["kv", "put", "secret/k", "a=over TLS"]);
    let mut manifest = vault(&server.address(), Some("secret"), "v2");
    let (connection, held) = connection(ROOT);
    let ask = async |manifest: &Value, connection: &Connection| {
        let store = connect_with(manifest, connection).await;
        store.get(&key()).await
    };
    let unknown = failed(ask(&manifest, &connection).await);
    assert!(
        unknown
            .to_string()
            .contains("authority that is not trusted"),
        "{unknown}"
    );
    assert!(unknown.hint().unwrap().contains("caBundle"));
    manifest["vault"]["caBundle"] = STANDARD.encode(&authority).into();
    let value = ask(&manifest, &connection).await.unwrap().found().unwrap();
    assert_eq!(value.expose(), b"over TLS");
    held.put("ca", "ca.crt", authority.as_bytes());
    manifest["vault"]
        .as_object_mut()
        .unwrap()
        .remove("caBundle");
    manifest["vault"]["caProvider"] = json!({"type": "Secret", "name": "ca", "key": "ca.crt"});
    assert!(ask(&manifest, &connection).await.unwrap().found().is_some());
    // A certificate of the client signs in.
    let made = rcgen::generate_simple_self_signed(vec!["client".to_owned()]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let certificate = folder.path().join("client.pem");
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    let rules = folder.path().join("reader.hcl");
    std::fs::write(&rules, POLICY).unwrap();
    bao(&["policy", "write", "reader", rules.to_str().unwrap()]);
    bao(&["auth", "enable", "cert"]);
    bao(&[
        "write",
        "auth/cert/certs/client",
        "policies=reader",
        &format!("certificate=@{}", certificate.display()),
    ]);
    held.put("client", "tls.crt", made.cert.pem().as_bytes());
    held.put(
        "client",
        "tls.key",
        made.signing_key.serialize_pem().as_bytes(),
    );
    manifest["vault"]["auth"] =
        json!({"cert": {"clientCert": {"name": "client"}, "secretRef": {"name": "client"}}});
    let value = ask(&manifest, &connection).await;
    let value = value
        .unwrap_or_else(|error| panic!("{error}"))
        .found()
        .unwrap();
    assert_eq!(value.expose(), b"over TLS");
    held.put("client", "tls.key", b"no key");
    let error = super::support::config(&manifest).connect(&connection).await;
    let error = failed(error);
    assert!(error.to_string().contains("no private key"), "{error}");
}
