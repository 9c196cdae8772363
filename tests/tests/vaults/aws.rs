//! AWS's stores and key service on a double whose requests, versions, signatures and policies are those of AWS.
//!
//! Stores find the double through the environment, as upstream's do, and no test may change its own: so each case runs in
//! a process of its own, whose environment leads to the double.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::Arc;

use sealwright_crypto::secret::SecretBytes;
use sealwright_providers::aws::kms::{KeyService, KmsKey};
use sealwright_providers::credential::held::Held;
use sealwright_providers::outcome::{Answer, Proof, Trouble};
use sealwright_providers::remote::{Find, MetadataPolicy, NamePattern, PushItem, RemoteRef};
use sealwright_providers::store::{Connection, Deleted, Pushed, Store, WriteMode};
use sealwright_tests::harness::moto::{Moto, REGION};
use serde_json::{Value, json};

use super::cases::{Traits, content, every_case, every_write};
use super::support::{connect_with, failed, get, item, lines, proof, source};

/// Runs one case of this file in a process whose environment leads to a double of AWS.
fn on_aws(name: &str) -> bool {
    if std::env::var_os("SEALWRIGHT_ON_AWS").is_some() {
        return true;
    }
    let moto = Moto::start().unwrap_or_else(|error| panic!("{error}"));
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture", &format!("vaults::aws::{name}")])
        .env("SEALWRIGHT_ON_AWS", moto.port().to_string())
        .envs(moto.variables())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && told.contains("1 passed"),
        "{told}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    false
}

fn moto() -> Moto {
    let port = std::env::var("SEALWRIGHT_ON_AWS").unwrap();
    Moto::at(port.parse().unwrap())
}

async fn store(service: &str, more: Value) -> Arc<dyn Store> {
    let mut settings = json!({"service": service, "region": REGION});
    for (name, value) in more.as_object().unwrap() {
        settings[name] = value.clone();
    }
    connect_with(&json!({"aws": settings}), &Connection::default()).await
}

fn secret(moto: &Moto, name: &str, more: Value) {
    let mut body = json!({"Name": name});
    for (field, value) in more.as_object().unwrap() {
        body[field] = value.clone();
    }
    moto.call("secretsmanager.CreateSecret", &body);
}

#[tokio::test]
async fn secrets_manager_passes_every_case() {
    if !on_aws("secrets_manager_passes_every_case") {
        return;
    }
    for (key, value) in content() {
        secret(&moto(), key, json!({"SecretString": value.to_string()}));
    }
    let store = store("SecretsManager", json!({})).await;
    every_case(&store, Traits::default()).await;
    every_write(&store, "pushed", None).await;
    let dotted = RemoteRef::new("app-db").property("dotted.name");
    assert_eq!(get(&store, &dotted).await, "literal");
}

#[tokio::test]
async fn parameter_store_passes_every_case() {
    if !on_aws("parameter_store_passes_every_case") {
        return;
    }
    for (key, value) in content() {
        let body = json!({"Name": key, "Type": "SecureString", "Value": value.to_string()});
        moto().call("AmazonSSM.PutParameter", &body);
    }
    let store = store("ParameterStore", json!({})).await;
    every_case(&store, Traits::default()).await;
    every_write(&store, "pushed", None).await;
}

#[tokio::test]
async fn versions_bytes_tags_and_deleted_secrets() {
    if !on_aws("versions_bytes_tags_and_deleted_secrets") {
        return;
    }
    let moto = moto();
    secret(
        &moto,
        "p/v",
        json!({"SecretString": "one", "Tags": [{"Key": "team", "Value": "<a>"}]}),
    );
    let two = moto.call(
        "secretsmanager.PutSecretValue",
        &json!({"SecretId": "p/v", "SecretString": "two"}),
    );
    let store = store("SecretsManager", json!({"prefix": "p/"})).await;
    let at = |version: &str| RemoteRef::new("v").version(version);
    assert_eq!(get(&store, &at("")).await, "two");
    assert_eq!(get(&store, &at("AWSPREVIOUS")).await, "one");
    let id = format!("uuid/{}", two["VersionId"].as_str().unwrap());
    assert_eq!(get(&store, &at(&id)).await, "two");
    assert_eq!(
        proof(&store.get(&at("NOSUCHSTAGE")).await.unwrap()),
        Proof::NoSuchVersion
    );
    let mut tags = RemoteRef::new("v");
    tags.metadata = MetadataPolicy::Fetch;
    assert_eq!(get(&store, &tags).await, r#"{"team":"\u003ca\u003e"}"#);
    secret(&moto, "p/b", json!({"SecretBinary": "AP8="}));
    let bytes = store
        .get(&RemoteRef::new("b"))
        .await
        .unwrap()
        .found()
        .unwrap();
    assert_eq!(bytes.expose(), b"\0\xff");
    moto.call(
        "secretsmanager.DeleteSecret",
        &json!({"SecretId": "p/v", "RecoveryWindowInDays": 7}),
    );
    assert_eq!(proof(&store.get(&at("")).await.unwrap()), Proof::Deleted);
}

#[tokio::test]
async fn many_secrets_are_found_with_their_values() {
    if !on_aws("many_secrets_are_found_with_their_values") {
        return;
    }
    let moto = moto();
    for number in 0..45 {
        let tags = json!([{"Key": "set", "Value": (number % 2).to_string()}]);
        let value = format!("value {number}");
        secret(
            &moto,
            &format!("many/{number:02}"),
            json!({"SecretString": value, "Tags": tags}),
        );
        let body = json!({"Name": format!("/many/{number:02}"), "Type": "String", "Value": value, "Tags": tags});
        moto.call("AmazonSSM.PutParameter", &body);
    }
    let all = Find {
        name: Some(NamePattern::new("^/?many/").unwrap()),
        ..Find::default()
    };
    let below = Find {
        path: Some("many/1".to_owned()),
        ..all.clone()
    };
    let tagged = Find {
        tags: Some(BTreeMap::from([("set".to_owned(), "1".to_owned())])),
        ..Find::default()
    };
    let secrets = store("SecretsManager", json!({})).await;
    let parameters = store("ParameterStore", json!({})).await;
    for (store, slash) in [(&secrets, ""), (&parameters, "/")] {
        let found = store.find(&all).await.unwrap().found().unwrap();
        assert_eq!(found.len(), 45);
        assert_eq!(lines(&found)[44], format!("{slash}many/44=value 44"));
        let found = store.find(&tagged).await.unwrap().found().unwrap();
        assert_eq!(found.len(), 22);
        assert!(lines(&found).contains(&format!("{slash}many/01=value 1")));
    }
    assert_eq!(
        secrets.find(&below).await.unwrap().found().unwrap().len(),
        10
    );
    let error = failed(secrets.find(&Find::default()).await);
    assert_eq!(error.trouble(), Trouble::Invalid);
    // What is read together is what is read one by one, absences included.
    for store in [&secrets, &parameters] {
        let slash = if std::ptr::eq(store, &parameters) {
            "/"
        } else {
            ""
        };
        let names: Vec<String> = (40..50)
            .map(|number| format!("{slash}many/{number}"))
            .collect();
        let keys: Vec<_> = names
            .iter()
            .map(|name| store.locate(&RemoteRef::new(name)).unwrap())
            .collect();
        let together = store.read_many(&keys).await;
        for (number, outcome) in (40..50).zip(together) {
            match outcome.unwrap() {
                Answer::Found(_) => assert!(number < 45, "{number}"),
                Answer::Absent(_) => assert!(number >= 45, "{number}"),
            }
        }
    }
}

#[tokio::test]
async fn pushes_write_only_what_they_own_and_what_differs() {
    if !on_aws("pushes_write_only_what_they_own_and_what_differs") {
        return;
    }
    let moto = moto();
    let source = source(&[("user", "u"), ("password", "p<&>")]);
    for service in ["SecretsManager", "ParameterStore"] {
        let store = store(service, json!({})).await;
        let one = item(Some("user"), "pushed", None);
        let push = async |item: &PushItem, mode| store.push(&source, item, mode).await.unwrap();
        assert_eq!(push(&one, WriteMode::DryRun).await, Pushed::Created);
        assert!(!store.exists(&one).await.unwrap(), "{service}");
        assert_eq!(push(&one, WriteMode::Apply).await, Pushed::Created);
        assert_eq!(push(&one, WriteMode::Apply).await, Pushed::Unchanged);
        assert_eq!(get(&store, &RemoteRef::new("pushed")).await, "u");
        let other = item(Some("password"), "pushed", None);
        assert_eq!(push(&other, WriteMode::Apply).await, Pushed::Updated);
        assert_eq!(get(&store, &RemoteRef::new("pushed")).await, "p<&>");
        assert_eq!(
            store.delete(&one, WriteMode::Apply).await.unwrap(),
            Deleted::Key
        );
        assert!(!store.exists(&one).await.unwrap(), "{service}");
        assert_eq!(
            store.delete(&one, WriteMode::Apply).await.unwrap(),
            Deleted::Nothing
        );
    }
    secret(&moto, "foreign", json!({"SecretString": "theirs"}));
    let secrets = store("SecretsManager", json!({})).await;
    let foreign = item(Some("user"), "foreign", None);
    let error = failed(secrets.push(&source, &foreign, WriteMode::Apply).await);
    assert_eq!(error.trouble(), Trouble::Conflict);
    assert_eq!(
        secrets.delete(&foreign, WriteMode::Apply).await.unwrap(),
        Deleted::NotManaged
    );
    assert_eq!(get(&secrets, &RemoteRef::new("foreign")).await, "theirs");
    // Properties of one secret are pushed and deleted one by one.
    for key in ["user", "password"] {
        let item = item(Some(key), "object", Some(key));
        secrets
            .push(&source, &item, WriteMode::Apply)
            .await
            .unwrap();
    }
    let whole = get(&secrets, &RemoteRef::new("object")).await;
    assert_eq!(
        serde_json::from_str::<Value>(&whole).unwrap(),
        json!({"user": "u", "password": "p<&>"})
    );
    let user = item(Some("user"), "object", Some("user"));
    assert_eq!(
        secrets.delete(&user, WriteMode::Apply).await.unwrap(),
        Deleted::Property
    );
    let password = item(Some("password"), "object", Some("password"));
    assert_eq!(
        secrets.delete(&password, WriteMode::Apply).await.unwrap(),
        Deleted::Key
    );
}

#[tokio::test]
async fn signatures_and_permissions_are_real() {
    if !on_aws("signatures_and_permissions_are_real") {
        return;
    }
    let moto = moto();
    secret(&moto, "allowed", json!({"SecretString": "yes"}));
    secret(&moto, "denied", json!({"SecretString": "no"}));
    let script = r#"
iam = client("iam")
iam.create_user(UserName="jo")
iam.put_user_policy(UserName="jo", PolicyName="p", PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Action": ["secretsmanager:GetSecretValue"], "Resource": "*"},
    {"Effect": "Allow", "Action": ["sts:AssumeRole"], "Resource": "*"}]}))
iam.put_user_policy(UserName="jo", PolicyName="d", PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [
    {"Effect": "Deny", "Action": ["secretsmanager:ListSecrets"], "Resource": "*"}]}))
key = iam.create_access_key(UserName="jo")["AccessKey"]
print(key["AccessKeyId"], key["SecretAccessKey"])
"#;
    let keys = moto.with_vendors_client(script);
    let (id, key) = keys.trim().split_once(' ').unwrap();
    let held = Arc::new(Held::default());
    held.put("aws", "id", id.as_bytes());
    held.put("aws", "key", key.as_bytes());
    let connection = Connection {
        credentials: Arc::clone(&held) as Arc<_>,
        ..Connection::default()
    };
    let manifest = json!({"aws": {"service": "SecretsManager", "region": REGION, "auth": {"secretRef": {
        "accessKeyIDSecretRef": {"name": "aws", "key": "id"},
        "secretAccessKeySecretRef": {"name": "aws", "key": "key"}}}}});
    let store = connect_with(&manifest, &connection).await;
    moto.check_permissions_after(0);
    assert_eq!(get(&store, &RemoteRef::new("allowed")).await, "yes");
    let all = Find {
        name: Some(NamePattern::new(".").unwrap()),
        ..Find::default()
    };
    let error = failed(store.find(&all).await);
    assert_eq!(error.trouble(), Trouble::Forbidden, "{error}");
    assert_eq!(error.permission(), Some("secretsmanager:ListSecrets"));
    assert!(
        error
            .principal()
            .is_some_and(|who| who.ends_with(":user/jo")),
        "{error:?}"
    );
    // A key that is not the right one is told from a missing permission.
    held.put("aws", "key", b"canary-of-a-key-that-is-wrong");
    let wrong = connect_with(&manifest, &connection).await;
    let error = failed(wrong.get(&RemoteRef::new("allowed")).await);
    assert_eq!(error.trouble(), Trouble::Unauthenticated, "{error}");
    assert!(!format!("{error:?}{:?}", error.hint()).contains("canary"));
    moto.check_permissions_after(100_000_000);
}

#[tokio::test]
async fn roles_are_assumed_one_after_another() {
    if !on_aws("roles_are_assumed_one_after_another") {
        return;
    }
    let moto = moto();
    let script = r#"
iam = client("iam")
for name in ["first", "last"]:
    iam.create_role(RoleName=name, AssumeRolePolicyDocument="{}")
"#;
    moto.with_vendors_client(script);
    secret(&moto, "k", json!({"SecretString": "v"}));
    let role = |name: &str| format!("arn:aws:iam::123456789012:role/{name}");
    let more = json!({"additionalRoles": [role("first")], "role": role("last"), "externalID": "x",
        "sessionTags": [{"key": "a", "value": "b"}], "transitiveTagKeys": ["a"]});
    let store = store("SecretsManager", more).await;
    assert_eq!(get(&store, &RemoteRef::new("k")).await, "v");
    let inspection = store.inspect(Some(&RemoteRef::new("k"))).await;
    let principal = inspection.principal.unwrap_or_default();
    assert!(principal.contains(":assumed-role/last/"), "{principal}");
}

#[tokio::test]
async fn kms_wraps_and_unwraps_with_a_context() {
    if !on_aws("kms_wraps_and_unwraps_with_a_context") {
        return;
    }
    let moto = moto();
    let made = moto.call("TrentService.CreateKey", &json!({}));
    let key = KmsKey {
        arn: made["KeyMetadata"]["Arn"].as_str().unwrap().to_owned(),
        role: None,
        context: BTreeMap::from([("app".to_owned(), "web".to_owned())]),
        profile: None,
    };
    let service = KeyService::connect(&key, "host").unwrap();
    let plain = SecretBytes::copy_of(&[7; 32]);
    let blob = service.encrypt(&key, &plain).await.unwrap();
    assert_eq!(service.decrypt(&key, &blob).await.unwrap(), plain);
    let other = KmsKey {
        context: BTreeMap::new(),
        ..key.clone()
    };
    let error = failed(service.decrypt(&other, &blob).await);
    assert!(
        error.to_string().contains("InvalidCiphertextException"),
        "{error}"
    );
    // The vendor's own client opens what we wrapped.
    let script = format!(
        "import base64\nblob = base64.b64decode({:?})\n\
         print(client('kms').decrypt(CiphertextBlob=blob, EncryptionContext={{'app': 'web'}})['Plaintext'].hex())",
        base64::Engine::encode(&base64::engine::general_purpose::STANDARD, &blob)
    );
    assert_eq!(moto.with_vendors_client(&script).trim(), "07".repeat(32));
}

#[tokio::test]
async fn generators_get_passwords_and_session_tokens() {
    use sealwright_providers::generators::{ecr_authorization_token, sts_session_token};
    if !on_aws("generators_get_passwords_and_session_tokens") {
        return;
    }
    let held = Arc::new(Held::default());
    held.put("keys", "id", b"AKIAEXAMPLE");
    held.put("keys", "key", b"secret");
    let connection = Connection {
        credentials: Arc::clone(&held) as Arc<_>,
        ..Connection::default()
    };
    let auth = json!({"secretRef": {
        "accessKeyIDSecretRef": {"name": "keys", "key": "id"},
        "secretAccessKeySecretRef": {"name": "keys", "key": "key"}}});
    let settings = serde_json::from_value(json!({"region": REGION, "auth": auth})).unwrap();
    let ecr = ecr_authorization_token(&settings, &connection)
        .await
        .unwrap();
    let keys: Vec<&str> = ecr.keys().map(String::as_str).collect();
    assert_eq!(
        keys,
        ["expires_at", "password", "proxy_endpoint", "username"]
    );
    assert_eq!(ecr["username"].expose(), b"AWS");
    let text = |value: &SecretBytes| String::from_utf8(value.expose().to_vec()).unwrap();
    assert!(text(&ecr["proxy_endpoint"]).contains(REGION));
    let end: i64 = text(&ecr["expires_at"]).parse().unwrap();
    assert!(end > 1_400_000_000);
    let settings = serde_json::from_value(json!({"region": REGION, "auth": auth,
        "requestParameters": {"sessionDuration": 900}}));
    let sts = sts_session_token(&settings.unwrap(), &connection)
        .await
        .unwrap();
    let keys: Vec<&str> = sts.keys().map(String::as_str).collect();
    assert_eq!(
        keys,
        [
            "access_key_id",
            "expiration",
            "secret_access_key",
            "session_token"
        ]
    );
    assert!(sts.values().all(|value| !value.is_empty()));
    let jwt = json!({"region": REGION, "auth": {"jwt": {"serviceAccountRef": {"name": "a"}}}});
    let settings = serde_json::from_value(jwt).unwrap();
    let refused = failed(sts_session_token(&settings, &connection).await);
    assert_eq!(refused.trouble(), Trouble::Invalid);
    let odd = serde_json::from_value(json!({"region": REGION, "scope": "other"})).unwrap();
    let refused = failed(ecr_authorization_token(&odd, &connection).await);
    assert_eq!(refused.trouble(), Trouble::Invalid);
}

#[tokio::test]
async fn certificates_are_exported_with_their_key_and_imported() {
    if !on_aws("certificates_are_exported_with_their_key_and_imported") {
        return;
    }
    let moto = moto();
    let arns = moto.with_vendors_client(
        "for export in ['ENABLED', 'DISABLED']:\n    \
         print(client('acm').request_certificate(DomainName='shop.example', Options={'Export': export})['CertificateArn'])",
    );
    let mut arns = arns.lines();
    let (open, closed) = (arns.next().unwrap(), arns.next().unwrap());
    let store = store("CertificateManager", json!({})).await;
    let bundle = get(&store, &RemoteRef::new(open)).await;
    assert!(
        bundle.starts_with("-----BEGIN CERTIFICATE-----\n"),
        "{bundle}"
    );
    assert!(
        bundle.contains("-----BEGIN PRIVATE KEY-----\n"),
        "the key is decrypted"
    );
    assert_eq!(get(&store, &RemoteRef::new(open)).await, bundle);
    assert_eq!(get(&store, &RemoteRef::new(closed)).await, "(invalid)");
    // A missing certificate is no secret, as upstream has it since 2.12 (V2).
    let missing = open.replace(
        open.rsplit('/').next().unwrap(),
        "00000000-0000-0000-0000-000000000000",
    );
    let missing = RemoteRef::new(missing);
    assert_eq!(proof(&store.get(&missing).await.unwrap()), Proof::NoSuchKey);
    assert!(store.get_map(&RemoteRef::new(open)).await.is_err());
    let made = moto.with_vendors_client(
        "import datetime\n\
         from cryptography import x509\n\
         from cryptography.hazmat.primitives import hashes, serialization\n\
         from cryptography.hazmat.primitives.asymmetric import rsa\n\
         key = rsa.generate_private_key(65537, 2048)\n\
         name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, 'pushed.example')])\n\
         now = datetime.datetime.now(datetime.timezone.utc)\n\
         day = datetime.timedelta(days=1)\n\
         cert = x509.CertificateBuilder(name, name, key.public_key(), 7, now - day, now + 30 * day).sign(key, hashes.SHA256())\n\
         pem = serialization.Encoding.PEM\n\
         plain = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())\n\
         print(json.dumps([cert.public_bytes(pem).decode(), plain.decode()]))",
    );
    let made: [String; 2] = serde_json::from_str(&made).unwrap();
    let source = source(&[("tls.crt", &made[0]), ("tls.key", &made[1])]);
    let whole = item(None, "web", None);
    let push = async |mode| store.push(&source, &whole, mode).await;
    assert_eq!(push(WriteMode::DryRun).await.unwrap(), Pushed::Created);
    assert!(!store.exists(&whole).await.unwrap());
    assert_eq!(push(WriteMode::Apply).await.unwrap(), Pushed::Created);
    assert!(store.exists(&whole).await.unwrap());
    let part = item(Some("tls.crt"), "web", None);
    let refused = failed(store.push(&source, &part, WriteMode::Apply).await);
    assert_eq!(refused.trouble(), Trouble::Invalid);
    let delete = async || store.delete(&whole, WriteMode::Apply).await.unwrap();
    assert_eq!(delete().await, Deleted::Key);
    assert_eq!(delete().await, Deleted::Nothing);
    assert_eq!(push(WriteMode::Apply).await.unwrap(), Pushed::Created);
    // The double adds a root of its own to every chain, so to it nothing is ever the same; and what
    // is imported again loses its tags there, so nothing comes after this.
    assert_eq!(push(WriteMode::Apply).await.unwrap(), Pushed::Updated);
}
