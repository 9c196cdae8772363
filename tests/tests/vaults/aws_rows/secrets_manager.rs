//! Secrets Manager.

use std::collections::BTreeMap;
use std::sync::Arc;

use sealwright_providers::credential::held::Held;
use sealwright_providers::credential::{Scope, StoreKind};
use sealwright_providers::outcome::{Proof, Trouble};
use sealwright_providers::remote::{Find, PushItem, PushSource, RemoteRef};
use sealwright_providers::store::{Connection, Deleted, Pushed, WriteMode};
use serde_json::{Value, json};

use super::super::support::{connect_with, failed, get, item, proof, source, with_metadata};
use super::{against, manifest, on_moto, refusal, store};

#[tokio::test]
async fn p5_a_secret_that_waits_for_its_deletion_is_absent_under_either_code() {
    let case =
        "secrets_manager::p5_a_secret_that_waits_for_its_deletion_is_absent_under_either_code";
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
    let case = "secrets_manager::p11_a_secret_that_a_search_finds_and_cannot_read_is_no_silence";
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

#[tokio::test]
async fn p12_p13_p15_p16_secrets_have_what_the_metadata_says() {
    let case = "secrets_manager::p12_p13_p15_p16_secrets_have_what_the_metadata_says";
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
