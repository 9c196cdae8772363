//! Roles that are assumed one after another.

use std::collections::BTreeMap;

use sealwright_providers::credential::Scope;
use sealwright_providers::remote::RemoteRef;
use sealwright_providers::store::Connection;
use serde_json::json;

use super::super::support::{connect_with, get};
use super::{against, manifest};

#[tokio::test]
async fn p22_roles_external_ids_and_session_tags_are_sent_in_their_order() {
    let case = "roles::p22_roles_external_ids_and_session_tags_are_sent_in_their_order";
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
