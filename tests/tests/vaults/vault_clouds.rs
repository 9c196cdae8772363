//! Signing in to Vault with an identity of a cloud (P41). The server here has no such methods: a double takes the login and
//! keeps it, and what it holds is shown to those who know, an STS that checks signatures and a server that checks tokens.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use sealwright_providers::credential::held::Held;
use sealwright_providers::outcome::Trouble;
use sealwright_providers::remote::RemoteRef;
use sealwright_providers::store::{Connection, Store};
use sealwright_tests::harness::double::{Asked, Double};
use sealwright_tests::harness::moto::Moto;
use sealwright_tests::harness::openbao::OpenBao;
use serde_json::{Value, json};

use super::support::{connect_with, failed, get, in_clouds};

/// A Vault that signs everyone in and has one value.
fn double() -> Double {
    Double::start(|asked| match asked.path.as_str() {
        path if path.ends_with("/login") => {
            let auth = json!({"client_token": "t", "lease_duration": 3600, "renewable": false});
            (200, json!({"auth": auth}))
        }
        "/v1/secret/data/k"
            if asked
                .headers
                .get("x-vault-token")
                .is_some_and(|it| it == "t") =>
        {
            let known = json!({"version": 1, "deletion_time": "", "destroyed": false});
            (
                200,
                json!({"data": {"data": {"a": "value"}, "metadata": known}}),
            )
        }
        _ => (204, Value::Null),
    })
}

async fn store(address: &str, auth: Value, held: Held) -> Arc<dyn Store> {
    let connection = Connection {
        credentials: Arc::new(held),
        ..Connection::default()
    };
    let manifest = json!({"vault": {"server": address, "path": "secret", "auth": auth}});
    connect_with(&manifest, &connection).await
}

fn key() -> RemoteRef {
    RemoteRef::new("k").property("a")
}

fn login(double: &Double) -> Asked {
    let asked = double.asked();
    let mut logins = asked.into_iter().filter(|it| it.path.ends_with("/login"));
    let login = logins.next().unwrap();
    assert!(logins.next().is_none(), "one login serves all reads");
    login
}

fn decoded(text: &Value) -> String {
    String::from_utf8(STANDARD.decode(text.as_str().unwrap()).unwrap()).unwrap()
}

/// Sends what was signed to an STS, as Vault would, and returns its answer.
fn replayed(moto: &Moto, headers: &BTreeMap<String, Vec<String>>, body: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", moto.port())).unwrap();
    let mut text = format!(
        "POST / HTTP/1.1\r\nHost: sts.eu-central-1.amazonaws.com\r\nConnection: close\r\nContent-Length: {}\r\n",
        body.len()
    );
    for (name, values) in headers {
        for value in values {
            text += &format!("{name}: {value}\r\n");
        }
    }
    stream
        .write_all(format!("{text}\r\n{body}").as_bytes())
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[tokio::test]
async fn p41_iam_sends_a_request_that_sts_accepts_as_it_was_signed() {
    let moto = Moto::start().unwrap_or_else(|error| panic!("{error}"));
    let keys = moto.with_vendors_client(
        "iam = client('iam')\niam.create_user(UserName='jo')\n\
         key = iam.create_access_key(UserName='jo')['AccessKey']\n\
         print(key['AccessKeyId'], key['SecretAccessKey'])",
    );
    let (id, secret) = keys.trim().split_once(' ').unwrap();
    let held = Held::default();
    held.put("aws", "id", id.as_bytes());
    held.put("aws", "key", secret.as_bytes());
    let double = double();
    let auth = json!({"iam": {"path": "clouds/aws", "region": "eu-central-1", "vaultRole": "web",
        "vaultAwsIamServerID": "vault.example", "secretRef": {
            "accessKeyIDSecretRef": {"name": "aws", "key": "id"},
            "secretAccessKeySecretRef": {"name": "aws", "key": "key"}}}});
    let store = store(double.address(), auth, held).await;
    for _ in 0..3 {
        assert_eq!(get(&store, &key()).await, "value");
    }
    let login = login(&double);
    assert_eq!(login.method, "PUT");
    assert_eq!(login.path, "/v1/auth/clouds/aws/login");
    assert_eq!(login.body["role"], "web");
    assert_eq!(login.body["iam_http_request_method"], "POST");
    let url = decoded(&login.body["iam_request_url"]);
    assert_eq!(url, "https://sts.eu-central-1.amazonaws.com/");
    let body = decoded(&login.body["iam_request_body"]);
    assert_eq!(body, "Action=GetCallerIdentity&Version=2011-06-15");
    let headers = decoded(&login.body["iam_request_headers"]);
    assert!(!headers.contains(secret));
    let headers: BTreeMap<String, Vec<String>> = serde_json::from_str(&headers).unwrap();
    assert_eq!(headers["x-vault-aws-iam-server-id"], ["vault.example"]);
    let signed = &headers["authorization"][0];
    assert!(signed.contains("x-vault-aws-iam-server-id"), "{signed}");
    moto.check_permissions_after(0);
    let answer = replayed(&moto, &headers, &body);
    assert!(answer.contains(":user/jo"), "{answer}");
    // What was signed is good for that request only.
    let mut changed = headers;
    changed.insert(
        "x-vault-aws-iam-server-id".to_owned(),
        vec!["other".to_owned()],
    );
    let answer = replayed(&moto, &changed, &body);
    assert!(answer.contains("SignatureDoesNotMatch"), "{answer}");
}

#[tokio::test]
async fn p41_iam_takes_no_keys_of_the_machine() {
    let double = double();
    let store = store(
        double.address(),
        json!({"iam": {"vaultRole": "web"}}),
        Held::default(),
    )
    .await;
    let error = failed(store.get(&key()).await);
    assert_eq!(error.trouble(), Trouble::Unauthenticated);
    assert!(
        error.to_string().contains("IRSA or Pod Identity"),
        "{error}"
    );
    assert!(double.asked().is_empty());
}

#[tokio::test]
async fn p41_gcp_signs_a_token_for_the_role_by_the_key_of_a_service_account() {
    let server = OpenBao::start().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let private = folder.path().join("key.pem");
    let openssl = |arguments: &[&str]| {
        let output = Command::new("openssl").args(arguments).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    openssl(&["genrsa", "-out", private.to_str().unwrap(), "2048"]);
    let public = openssl(&["rsa", "-in", private.to_str().unwrap(), "-pubout"]);
    let account = json!({"type": "service_account", "client_email": "robot@shop.iam.gserviceaccount.com",
        "private_key_id": "key-1", "private_key": std::fs::read_to_string(&private).unwrap()});
    // The method `jwt` takes the same login, and checks signature, audience, subject and end.
    server.api("POST", "sys/auth/gcp", Some(&json!({"type": "jwt"})));
    let config = json!({"jwt_validation_pubkeys": [public]});
    server.api("POST", "auth/gcp/config", Some(&config));
    let policy = json!({"policy": "path \"secret/*\" { capabilities = [\"read\"] }"});
    server.api("PUT", "sys/policies/acl/reader", Some(&policy));
    // To this method a token that does not say when it was made begins shortly before its end.
    let role = json!({"role_type": "jwt", "user_claim": "sub", "bound_audiences": ["vault/web"], "clock_skew_leeway": 600,
        "bound_subject": "robot@shop.iam.gserviceaccount.com", "token_policies": "reader"});
    server.api("POST", "auth/gcp/role/web", Some(&role));
    let other = json!({"role_type": "jwt", "user_claim": "sub", "bound_audiences": ["vault/web"], "clock_skew_leeway": 600,
        "token_policies": "reader"});
    server.api("POST", "auth/gcp/role/other", Some(&other));
    let value = json!({"data": {"a": "value"}});
    server.api("POST", "secret/data/k", Some(&value));
    let auth = |role: &str| {
        json!({"gcp": {"role": role, "secretRef": {
            "secretAccessKeySecretRef": {"name": "google", "key": "key"}}}})
    };
    let held = |text: &str| {
        let held = Held::default();
        held.put("google", "key", text.as_bytes());
        held
    };
    let account = account.to_string();
    let store_of =
        async |role: &str, text: &str| store(&server.address(), auth(role), held(text)).await;
    assert_eq!(get(&store_of("web", &account).await, &key()).await, "value");
    // The token is for one role.
    let told = get(&store_of("other", &account).await, &key()).await;
    assert_eq!(told, "(unauthenticated)");
    let error = failed(store_of("web", "canary").await.get(&key()).await);
    assert_eq!(error.trouble(), Trouble::Invalid);
    assert!(
        error.to_string().contains("no key of a service account"),
        "{error}"
    );
    assert!(!format!("{error:?}").contains("canary"));
}

#[tokio::test]
async fn p41_gcp_asks_the_machine_for_a_token_where_no_key_is_given() {
    let case = "vault_clouds::p41_gcp_asks_the_machine_for_a_token_where_no_key_is_given";
    let Some(_clouds) = in_clouds(case, &[]) else {
        return;
    };
    let double = double();
    let auth = json!({"gcp": {"path": "gcp", "role": "web"}});
    let store = store(double.address(), auth, Held::default()).await;
    assert_eq!(get(&store, &key()).await, "value");
    let login = login(&double);
    assert_eq!(login.path, "/v1/auth/gcp/login");
    let jwt = login.body["jwt"].as_str().unwrap();
    let claims = URL_SAFE_NO_PAD
        .decode(jwt.split('.').nth(1).unwrap())
        .unwrap();
    let claims: Value = serde_json::from_slice(&claims).unwrap();
    assert_eq!(claims["aud"], format!("{}/vault/web", double.address()));
    assert_eq!(claims["format"], "full");
}
