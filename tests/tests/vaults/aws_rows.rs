//! Rows of AWS that moto answers otherwise than AWS, or does not check: here a peer answers in AWS's own words and keeps what
//! it was asked. What moto does keep (policies, replicas, tiers, keys) is looked at with the vendor's own client.

use std::collections::BTreeMap;
use std::net::TcpStream;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use sealwright_providers::credential::held::Held;
use sealwright_providers::credential::{Scope, StoreKind};
use sealwright_providers::outcome::{Proof, Trouble};
use sealwright_providers::remote::{Find, NamePattern, PushItem, PushSource, RemoteRef};
use sealwright_providers::settings::RetrySettings;
use sealwright_providers::store::{Connection, Deleted, Pushed, Store, WriteMode};
use sealwright_tests::harness::moto::{Moto, REGION};
use sealwright_tests::harness::peer::{Head, Peer, reply};
use serde_json::{Value, json};

use super::support::{connect_with, failed, get, item, lines, proof, source, with_metadata};

/// What the peer was asked: operations with their bodies.
type Asked = Arc<Mutex<Vec<(String, String)>>>;

/// Runs one case of this file in a process whose environment leads to a peer. Nothing comes out in that process, and
/// elsewhere what the peer was asked.
fn against(
    case: &str,
    answer: impl Fn(&str, &str) -> (u16, String) + Send + Sync + 'static,
) -> Option<Vec<(String, String)>> {
    let variable = "SEALWRIGHT_AWS_PEER";
    if std::env::var_os(variable).is_some() {
        return None;
    }
    let asked = Asked::default();
    let kept = Arc::clone(&asked);
    let peer = Peer::start(move |head: &Head, stream: &mut TcpStream| {
        let body = String::from_utf8_lossy(&head.body).into_owned();
        let operation = match head.headers.get("x-amz-target") {
            Some(target) => target.rsplit('.').next().unwrap().to_owned(),
            None => "STS".to_owned(),
        };
        let (status, answer) = answer(&operation, &body);
        kept.lock().unwrap().push((operation, body));
        reply(stream, status, &[], answer.as_bytes());
    });
    in_child(case, variable, &[("AWS_ENDPOINT_URL", peer.address())]);
    let asked = std::mem::take(&mut *asked.lock().unwrap());
    Some(asked)
}

/// Runs one case of this file in a process whose environment leads to moto.
fn on_moto(case: &str) -> Option<Moto> {
    let variable = "SEALWRIGHT_AWS_ROWS";
    if let Ok(port) = std::env::var(variable) {
        return Some(Moto::at(port.parse().unwrap()));
    }
    let moto = Moto::start().unwrap_or_else(|error| panic!("{error}"));
    let variables: Vec<_> = moto.variables();
    let port = moto.port().to_string();
    let mut command = child(case);
    command.env(variable, port).envs(variables);
    passes(&mut command);
    None
}

fn in_child(case: &str, variable: &str, more: &[(&str, String)]) {
    let mut command = child(case);
    command
        .env(variable, "1")
        .env("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
        .env("AWS_SECRET_ACCESS_KEY", "made-for-tests")
        .env("AWS_EC2_METADATA_DISABLED", "true");
    for (name, value) in more {
        command.env(name, value);
    }
    passes(&mut command);
}

fn child(case: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([
        "--exact",
        "--nocapture",
        &format!("vaults::aws_rows::{case}"),
    ]);
    command
}

fn passes(command: &mut Command) {
    let output = command.output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && told.contains("1 passed"),
        "{told}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

fn manifest(service: &str, more: Value) -> Value {
    let mut settings = json!({"service": service, "region": REGION});
    for (name, value) in more.as_object().unwrap() {
        settings[name] = value.clone();
    }
    json!({ "aws": settings })
}

async fn store(service: &str, more: Value) -> Arc<dyn Store> {
    connect_with(&manifest(service, more), &Connection::default()).await
}

fn refusal(code: &str, message: &str) -> (u16, String) {
    (400, json!({"__type": code, "Message": message}).to_string())
}

#[tokio::test]
async fn p5_a_secret_that_waits_for_its_deletion_is_absent_under_either_code() {
    let case = "p5_a_secret_that_waits_for_its_deletion_is_absent_under_either_code";
    let asked = against(case, |_, body| {
        let text =
            "You can't perform this operation on the secret because it was marked for deletion.";
        match body.contains("\"one\"") {
            true => refusal("InvalidRequestException", text),
            false => refusal("InvalidParameterException", text),
        }
    });
    if asked.is_some() {
        return;
    }
    let store = store("SecretsManager", json!({})).await;
    for key in ["one", "two"] {
        let answer = store.get(&RemoteRef::new(key)).await.unwrap();
        assert_eq!(proof(&answer), Proof::Deleted);
    }
}

#[tokio::test]
async fn p11_a_secret_that_a_search_finds_and_cannot_read_is_no_silence() {
    let case = "p11_a_secret_that_a_search_finds_and_cannot_read_is_no_silence";
    let asked = against(case, |_, _| {
        let found = json!({"SecretValues": [{"Name": "a", "SecretString": "canary"}],
            "Errors": [{"SecretId": "b", "ErrorCode": "AccessDeniedException", "Message": "no kms:Decrypt"}]});
        (200, found.to_string())
    });
    if let Some(asked) = asked {
        assert_eq!(asked.len(), 1);
        assert_eq!(asked[0].0, "BatchGetSecretValue");
        return;
    }
    let store = store("SecretsManager", json!({})).await;
    let find = Find {
        tags: Some(BTreeMap::from([("team".to_owned(), "a".to_owned())])),
        ..Find::default()
    };
    let error = failed(store.find(&find).await);
    assert_eq!(error.trouble(), Trouble::Forbidden, "{error}");
    assert!(error.to_string().contains("read b"), "{error}");
    assert!(!format!("{error:?}").contains("canary"));
}

/// What STS answers to the assumption of a role.
fn assumed() -> String {
    "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleResult><Credentials>\
     <AccessKeyId>ASIAEXAMPLE</AccessKeyId><SecretAccessKey>k</SecretAccessKey><SessionToken>t</SessionToken>\
     <Expiration>2099-01-01T00:00:00Z</Expiration></Credentials><AssumedRoleUser><AssumedRoleId>A:x</AssumedRoleId>\
     <Arn>arn:aws:sts::1:assumed-role/r/x</Arn></AssumedRoleUser></AssumeRoleResult></AssumeRoleResponse>"
        .to_owned()
}

/// The fields of a form, with `%3A` and the like written out.
fn form(body: &str) -> BTreeMap<String, String> {
    let plain = |text: &str| {
        let text = text.replace('+', " ");
        let mut out = Vec::new();
        let mut bytes = text.bytes();
        while let Some(byte) = bytes.next() {
            if byte != b'%' {
                out.push(byte);
                continue;
            }
            let digits = [bytes.next().unwrap(), bytes.next().unwrap()];
            let digits = std::str::from_utf8(&digits).unwrap().to_owned();
            out.push(u8::from_str_radix(&digits, 16).unwrap());
        }
        String::from_utf8(out).unwrap()
    };
    body.split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (plain(name), plain(value)))
        .collect()
}

#[tokio::test]
async fn p22_roles_external_ids_and_session_tags_are_sent_in_their_order() {
    let case = "p22_roles_external_ids_and_session_tags_are_sent_in_their_order";
    let asked = against(case, |operation, _| match operation {
        "STS" => (200, assumed()),
        _ => (200, json!({"SecretString": "v"}).to_string()),
    });
    let role = |name: &str| format!("arn:aws:iam::123456789012:role/{name}");
    if let Some(asked) = asked {
        let forms: Vec<_> = asked
            .iter()
            .filter(|(operation, _)| operation == "STS")
            .map(|(_, body)| form(body))
            .collect();
        assert_eq!(forms.len(), 6, "{forms:?}");
        for pair in forms.chunks(2) {
            let [first, last] = pair else { unreachable!() };
            assert_eq!(first["RoleArn"], role("first"));
            assert!(!first.contains_key("ExternalId"), "{first:?}");
            assert!(first.keys().all(|name| !name.starts_with("Tags")));
            assert_eq!(last["RoleArn"], role("last"));
            assert_eq!(last["ExternalId"], "x y");
        }
        let tags = |form: &BTreeMap<String, String>| {
            let mut tags = BTreeMap::new();
            for number in 1.. {
                let Some(key) = form.get(&format!("Tags.member.{number}.Key")) else {
                    break;
                };
                let value = form[&format!("Tags.member.{number}.Value")].clone();
                tags.insert(key.clone(), value);
            }
            tags
        };
        let expected = |pairs: &[(&str, &str)]| {
            let pairs = pairs.iter();
            pairs
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect::<BTreeMap<_, _>>()
        };
        assert_eq!(tags(&forms[1]), expected(&[("a", "b")]));
        assert_eq!(forms[1]["TransitiveTagKeys.member.1"], "a");
        let of_store = [
            ("esoNamespace", "team"),
            ("esoStoreKind", "SecretStore"),
            ("esoStoreName", "shop"),
        ];
        assert_eq!(tags(&forms[3]), expected(&of_store));
        let mut custom = expected(&of_store);
        custom.insert("own".to_owned(), "tag".to_owned());
        assert_eq!(tags(&forms[5]), custom);
        return;
    }
    let roles = json!({"additionalRoles": [role("first")], "role": role("last"), "externalID": "x y",
        "sessionTags": [{"key": "a", "value": "b"}], "transitiveTagKeys": ["a"]});
    let connection = Connection {
        scope: Scope {
            name: "shop".into(),
            store_namespace: "team".into(),
            consumer_namespace: Some("team".into()),
            ..Scope::default()
        },
        ..Connection::default()
    };
    for more in [
        json!({}),
        json!({"sessionTagsPolicy": "Simple"}),
        json!({"sessionTagsPolicy": "Custom", "customSessionTags": {"own": "tag", "empty": ""}}),
    ] {
        let mut settings = manifest("SecretsManager", roles.clone());
        for (name, value) in more.as_object().unwrap() {
            settings["aws"][name] = value.clone();
        }
        let store = connect_with(&settings, &connection).await;
        assert_eq!(get(&store, &RemoteRef::new("k")).await, "v");
    }
}

#[tokio::test]
async fn p26_attempts_and_pauses_are_those_of_the_settings() {
    let case = "p26_attempts_and_pauses_are_those_of_the_settings";
    let asked = against(case, |_, _| refusal("ThrottlingException", "Rate exceeded"));
    if let Some(asked) = asked {
        // Three attempts where nothing is said, then one, four and, of zero, as many as there may be.
        let keys: Vec<_> = asked.iter().map(|(_, body)| body.clone()).collect();
        let count = |key: &str| keys.iter().filter(|body| body.contains(key)).count();
        assert_eq!(count("\"default\""), 3);
        assert_eq!(count("\"once\""), 1);
        assert_eq!(count("\"four\""), 4);
        assert_eq!(count("\"zero\""), 10);
        return;
    }
    let connection = |attempts: Option<i32>| Connection {
        retry: attempts.map(|attempts| RetrySettings {
            max_retries: Some(attempts),
            retry_interval: Some("30ms".to_owned()),
        }),
        ..Connection::default()
    };
    for (key, attempts) in [
        ("default", None),
        ("once", Some(1)),
        ("four", Some(4)),
        ("zero", Some(0)),
    ] {
        let manifest = manifest("SecretsManager", json!({}));
        let store = connect_with(&manifest, &connection(attempts)).await;
        let started = Instant::now();
        let error = failed(store.get(&RemoteRef::new(key)).await);
        assert!(
            matches!(error.trouble(), Trouble::Throttled { .. }),
            "{error}"
        );
        if key == "four" {
            assert!(started.elapsed() >= Duration::from_millis(90));
        }
    }
}

#[tokio::test]
async fn p27_a_prefix_stands_before_every_key() {
    let Some(moto) = on_moto("p27_a_prefix_stands_before_every_key") else {
        return;
    };
    let source = source(&[("a", "one"), ("b", "two")]);
    for (service, prefix) in [("SecretsManager", "team/"), ("ParameterStore", "/team/")] {
        let with = store(service, json!({"prefix": prefix})).await;
        let without = store(service, json!({})).await;
        let pushed = item(Some("a"), "k", None);
        with.push(&source, &pushed, WriteMode::Apply).await.unwrap();
        let full = RemoteRef::new(format!("{prefix}k"));
        assert_eq!(get(&without, &full).await, "one", "{service}");
        assert_eq!(get(&without, &RemoteRef::new("k")).await, "(absent)");
        assert_eq!(get(&with, &RemoteRef::new("k")).await, "one");
        assert!(with.exists(&pushed).await.unwrap());
        assert!(!without.exists(&pushed).await.unwrap());
        let deleted = with.delete(&pushed, WriteMode::Apply).await.unwrap();
        assert_eq!(deleted, Deleted::Key);
        assert_eq!(get(&without, &full).await, "(absent)");
    }
    // What a search finds is read by the name that it has, and the prefix is not put before it again (T2).
    let body = json!({"Name": "team/found", "SecretString": "f"});
    moto.call("secretsmanager.CreateSecret", &body);
    let with = store("SecretsManager", json!({"prefix": "team/"})).await;
    let find = Find {
        name: Some(NamePattern::new("found").unwrap()),
        ..Find::default()
    };
    let found = with.find(&find).await.unwrap().found().unwrap();
    assert_eq!(lines(&found), ["team/found=f"]);
}

#[tokio::test]
async fn p12_p13_p15_p16_secrets_have_what_the_metadata_says() {
    let case = "p12_p13_p15_p16_secrets_have_what_the_metadata_says";
    let Some(moto) = on_moto(case) else {
        return;
    };
    let held = Held::default();
    let policy = |effect: &str| {
        json!({"Version": "2012-10-17", "Statement": [{"Effect": effect, "Principal": "*",
            "Action": "secretsmanager:GetSecretValue", "Resource": "*"}]})
    };
    let text = |effect: &str| policy(effect).to_string().into_bytes();
    let policies = BTreeMap::from([
        ("open".to_owned(), text("Allow")),
        ("closed".to_owned(), text("Deny")),
    ]);
    held.put_config_map("", "policies", policies);
    let of_team = BTreeMap::from([("open".to_owned(), text("Allow"))]);
    held.put_config_map("team", "of-team", of_team);
    let connection = Connection {
        credentials: Arc::new(held),
        ..Connection::default()
    };
    let store_of = async |deletion: Value| {
        let settings = manifest("SecretsManager", json!({"secretsManager": deletion}));
        connect_with(&settings, &connection).await
    };
    // A store of the cluster that needs no one's credentials reads the policy where it is pushed from.
    let of_cluster = Connection {
        credentials: Arc::clone(&connection.credentials),
        scope: Scope {
            kind: StoreKind::Cluster,
            ..Scope::default()
        },
        ..Connection::default()
    };
    let cluster = connect_with(&manifest("SecretsManager", json!({})), &of_cluster).await;
    let spec = json!({"resourcePolicy": {"policySourceRef": {"kind": "ConfigMap", "name": "of-team", "key": "open"}}});
    let of_team = with_metadata(&item(Some("a"), "of-team", None), spec);
    for (namespace, outcome) in [
        (None, None),
        (Some("other"), None),
        (Some("team"), Some(Pushed::Created)),
    ] {
        let pushed = PushSource {
            namespace: namespace.map(str::to_owned),
            ..source(&[("a", "one")])
        };
        let pushed = cluster.push(&pushed, &of_team, WriteMode::Apply).await;
        assert_eq!(pushed.ok(), outcome, "{namespace:?}");
    }
    let store = store_of(json!({"recoveryWindowInDays": 9})).await;
    let source = source(&[("a", "one"), ("b", "two"), ("n", "{\"x\": 1}")]);
    let push = async |item: &PushItem| store.push(&source, item, WriteMode::Apply).await;
    let with = |tags: Value, policy: &str, regions: Value| {
        let spec = json!({"tags": tags, "description": "of a test", "secretPushFormat": "string",
            "kmsKeyId": "alias/own", "replicationLocations": regions,
            "resourcePolicy": {"policySourceRef": {"kind": "ConfigMap", "name": "policies", "key": policy}}});
        with_metadata(&item(Some("a"), "p", None), spec)
    };
    let first = with(
        json!({"team": "a", "old": "x"}),
        "open",
        json!(["us-east-1", "us-west-2"]),
    );
    assert_eq!(push(&first).await.unwrap(), Pushed::Created);
    let looked = |what: &str| {
        let script = format!(
            "s = client('secretsmanager')\nd = s.describe_secret(SecretId='p')\n\
             print(json.dumps({what}, default=str))"
        );
        serde_json::from_str::<Value>(&moto.with_vendors_client(&script)).unwrap()
    };
    let tags = "{t['Key']: t['Value'] for t in d['Tags']}";
    let replicas = "sorted(r['Region'] for r in d.get('ReplicationStatus', []))";
    let held_policy =
        "json.loads(s.get_resource_policy(SecretId='p').get('ResourcePolicy', 'null'))";
    assert_eq!(
        looked(tags),
        json!({"team": "a", "old": "x", "managed-by": "external-secrets"})
    );
    assert_eq!(looked("d['Description']"), "of a test");
    assert_eq!(looked("d['KmsKeyId']"), "alias/own");
    assert_eq!(
        looked("s.get_secret_value(SecretId='p')['SecretString']"),
        "one"
    );
    assert_eq!(push(&first).await.unwrap(), Pushed::Unchanged);
    assert_eq!(looked(replicas), json!(["us-east-1", "us-west-2"]));
    assert_eq!(looked(held_policy), policy("Allow"));
    let versions = looked("len(d['VersionIdsToStages'])");
    let second = with(json!({"team": "b"}), "closed", json!(["us-west-2"]));
    push(&second).await.unwrap();
    assert_eq!(
        looked(tags),
        json!({"team": "b", "managed-by": "external-secrets"})
    );
    assert_eq!(looked(replicas), json!(["us-west-2"]));
    assert_eq!(looked(held_policy), policy("Deny"));
    assert_eq!(looked("len(d['VersionIdsToStages'])"), versions);
    // A property needs an object to be put into.
    let property = item(Some("b"), "p", Some("deep.b"));
    let error = failed(push(&property).await);
    assert!(error.to_string().contains("json"), "{error}");
    push(&item(Some("n"), "p", None)).await.unwrap();
    push(&property).await.unwrap();
    let whole: Value = serde_json::from_str(&get(&store, &RemoteRef::new("p")).await).unwrap();
    assert_eq!(whole, json!({"x": 1, "deep": {"b": "two"}}));
    let reserved = with_metadata(&first, json!({"tags": {"managed-by": "me"}}));
    assert_eq!(failed(push(&reserved).await).trouble(), Trouble::Invalid);
    // Deletions wait for as long as the store says, or not at all.
    let gone = item(None, "p", None);
    assert_eq!(
        store.delete(&gone, WriteMode::Apply).await.unwrap(),
        Deleted::Key
    );
    let days = looked(
        "round((d['DeletedDate'] - __import__('datetime').datetime.now(d['DeletedDate'].tzinfo)).total_seconds() / 86400)",
    );
    assert!(days == 9 || days == 0, "{days}");
    let at_once = store_of(json!({"forceDeleteWithoutRecovery": true})).await;
    let other = item(Some("a"), "other", None);
    at_once
        .push(&source, &other, WriteMode::Apply)
        .await
        .unwrap();
    at_once.delete(&other, WriteMode::Apply).await.unwrap();
    let left = moto.with_vendors_client(
        "print([s['Name'] for s in client('secretsmanager').list_secrets(IncludePlannedDeletion=True)['SecretList']])",
    );
    assert_eq!(left.trim(), "['of-team', 'p']");
}

#[tokio::test]
async fn p17_p19_p20_parameters_have_what_the_metadata_says() {
    let case = "p17_p19_p20_parameters_have_what_the_metadata_says";
    let Some(moto) = on_moto(case) else {
        return;
    };
    let store = store("ParameterStore", json!({})).await;
    let source = source(&[("a", "one"), ("b", "two")]);
    let push = async |item: &PushItem| store.push(&source, item, WriteMode::Apply).await;
    let secure = with_metadata(
        &item(Some("a"), "/secure", None),
        json!({"secretType": "SecureString", "kmsKeyID": "alias/own", "tags": {"team": "a"},
            "description": "of a test", "tier": {"type": "Advanced"}}),
    );
    assert_eq!(push(&secure).await.unwrap(), Pushed::Created);
    assert_eq!(push(&secure).await.unwrap(), Pushed::Unchanged);
    let looked = |script: &str| {
        let script = format!("s = client('ssm')\nprint(json.dumps({script}, default=str))");
        serde_json::from_str::<Value>(&moto.with_vendors_client(&script)).unwrap()
    };
    let described = looked("s.describe_parameters()['Parameters'][0]");
    assert_eq!(described["Type"], "SecureString");
    assert_eq!(described["KeyId"], "alias/own");
    assert_eq!(described["Tier"], "Advanced");
    assert_eq!(described["Description"], "of a test");
    let tags = "{t['Key']: t['Value'] for t in s.list_tags_for_resource(ResourceType='Parameter', ResourceId='/secure')['TagList']}";
    assert_eq!(
        looked(tags),
        json!({"team": "a", "managed-by": "external-secrets"})
    );
    push(&item(Some("a"), "/described", None)).await.unwrap();
    let described = "[p['Description'] for p in s.describe_parameters()['Parameters'] if p['Name'] == '/described']";
    assert_eq!(
        looked(described),
        json!(["secret 'managed-by:external-secrets'"])
    );
    // The decrypted value, by version and by label.
    assert_eq!(get(&store, &RemoteRef::new("/secure")).await, "one");
    let other = PushItem {
        secret_key: Some("b".to_owned()),
        ..secure.clone()
    };
    assert_eq!(push(&other).await.unwrap(), Pushed::Updated);
    looked("s.label_parameter_version(Name='/secure', ParameterVersion=1, Labels=['first'])");
    for (version, value) in [("1", "one"), ("2", "two"), ("first", "one")] {
        let at = RemoteRef::new("/secure").version(version);
        assert_eq!(get(&store, &at).await, value, "{version}");
    }
    // A version that is not there is no proof that the parameter is gone.
    let none = RemoteRef::new("/secure").version("9");
    assert_ne!(get(&store, &none).await, "(absent)");
    let mut fetched = RemoteRef::new("/secure").property("team");
    fetched.metadata = sealwright_providers::remote::MetadataPolicy::Fetch;
    assert_eq!(get(&store, &fetched).await, "a");
    // A whole Secret is an object whose values are base64, unless it is asked for otherwise (T9).
    push(&item(None, "/whole", None)).await.unwrap();
    let whole: Value = serde_json::from_str(&get(&store, &RemoteRef::new("/whole")).await).unwrap();
    assert_eq!(whole, json!({"a": "b25l", "b": "dHdv"}));
    let plain = with_metadata(
        &item(None, "/plain", None),
        json!({"encodeAsDecoded": true}),
    );
    push(&plain).await.unwrap();
    let plain: Value = serde_json::from_str(&get(&store, &RemoteRef::new("/plain")).await).unwrap();
    assert_eq!(plain, json!({"a": "one", "b": "two"}));
    let foreign = json!({"Name": "/foreign", "Type": "String", "Value": "theirs"});
    moto.call("AmazonSSM.PutParameter", &foreign);
    let foreign = item(Some("a"), "/foreign", None);
    assert_eq!(failed(push(&foreign).await).trouble(), Trouble::Conflict);
    let deleted = store.delete(&foreign, WriteMode::Apply).await.unwrap();
    assert_eq!(deleted, Deleted::NotManaged);
    assert_eq!(get(&store, &RemoteRef::new("/foreign")).await, "theirs");
}

#[tokio::test]
async fn p18_parameters_are_found_one_by_one_where_a_path_may_not_be_read() {
    let case = "p18_parameters_are_found_one_by_one_where_a_path_may_not_be_read";
    let asked = against(case, |operation, body| match operation {
        "GetParametersByPath" => refusal("AccessDeniedException", "no ssm:GetParametersByPath"),
        "DescribeParameters" => {
            let listed = json!({"Parameters": [{"Name": "/a/one"}, {"Name": "/a/two"}, {"Name": "/a/other"}]});
            (200, listed.to_string())
        }
        "GetParameters" => refusal("AccessDeniedException", "no ssm:GetParameters"),
        _ => {
            let asked: Value = serde_json::from_str(body).unwrap();
            let name = asked["Name"].clone();
            let value = json!({"Parameter": {"Name": name, "Value": name, "Type": "String"}});
            (200, value.to_string())
        }
    });
    if let Some(asked) = asked {
        let single = asked
            .iter()
            .filter(|(operation, _)| operation == "GetParameter");
        assert_eq!(single.count(), 2, "{asked:?}");
        return;
    }
    let store = store("ParameterStore", json!({})).await;
    let find = Find {
        path: Some("/a".to_owned()),
        name: Some(NamePattern::new("one|two").unwrap()),
        ..Find::default()
    };
    let found = store.find(&find).await.unwrap().found().unwrap();
    assert_eq!(lines(&found), ["/a/one=/a/one", "/a/two=/a/two"]);
}

/// Moto gives a root of its own to every certificate and loses the tags of one that is imported again, so only a peer can show
/// that an equal one is left alone and another one takes its place.
#[tokio::test]
async fn a_certificate_is_imported_again_only_if_it_is_another_one() {
    let case = "a_certificate_is_imported_again_only_if_it_is_another_one";
    let pem = |name: &str| {
        let encoded = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, name);
        format!("-----BEGIN CERTIFICATE-----\n{encoded}\n-----END CERTIFICATE-----\n")
    };
    let held = pem("the one that is there");
    let asked = against(case, move |operation, _| {
        let answer = match operation {
            "GetResources" => {
                json!({"ResourceTagMappingList": [{"ResourceARN": "arn:aws:acm:eu-west-1:1:certificate/x"}]})
            }
            "ListTagsForCertificate" => json!({"Tags": [
                {"Key": "managed-by", "Value": "external-secrets"},
                {"Key": "external-secrets-remote-key", "Value": "web"}]}),
            "GetCertificate" => json!({"Certificate": held, "CertificateChain": held}),
            _ => json!({"CertificateArn": "arn:aws:acm:eu-west-1:1:certificate/x"}),
        };
        (200, answer.to_string())
    });
    if let Some(asked) = asked {
        let imports: Vec<_> = asked
            .iter()
            .filter(|(operation, _)| operation == "ImportCertificate")
            .collect();
        assert_eq!(imports.len(), 1, "{asked:?}");
        // It takes the place of the one that is there, whose tags stay.
        let body: Value = serde_json::from_str(&imports[0].1).unwrap();
        assert_eq!(
            body["CertificateArn"],
            "arn:aws:acm:eu-west-1:1:certificate/x"
        );
        assert!(body.get("Tags").is_none(), "{body}");
        return;
    }
    let store = store("CertificateManager", json!({})).await;
    let whole = item(None, "web", None);
    for (name, expected) in [
        ("the one that is there", Pushed::Unchanged),
        ("another one", Pushed::Updated),
    ] {
        let source = source(&[("tls.crt", &pem(name)), ("tls.key", "key")]);
        let pushed = store.push(&source, &whole, WriteMode::Apply).await.unwrap();
        assert_eq!(pushed, expected, "{name}");
    }
}
