//! Parameter Store.

use sealwright_providers::outcome::Trouble;
use sealwright_providers::remote::{Find, NamePattern, PushItem, RemoteRef};
use sealwright_providers::store::{Deleted, Pushed, WriteMode};
use serde_json::{Value, json};

use super::super::support::{failed, get, item, lines, source, with_metadata};
use super::{against, on_moto, refusal, store};

#[tokio::test]
async fn p17_p19_p20_parameters_have_what_the_metadata_says() {
    let case = "parameter_store::p17_p19_p20_parameters_have_what_the_metadata_says";
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
    let case = "parameter_store::p18_parameters_are_found_one_by_one_where_a_path_may_not_be_read";
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
