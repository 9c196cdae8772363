//! Generators that ask a server: Vault's dynamic secrets on OpenBao, the others on doubles of the vendors' APIs.
//!
//! The doubles answer as the vendors' documentation says, and keep what they made: a token that was deleted is gone.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use sealwright_crypto::sealing::PrivateKey;
use sealwright_crypto::secret::SecretBytes;
use sealwright_providers::credential::WholeSecret;
use sealwright_providers::generators::{self, github, gitlab, grafana};
use sealwright_providers::outcome::{Answer, Trouble};
use sealwright_tests::harness::double::{Double, grafana as grafana_double};
use sealwright_tests::harness::openbao::ROOT;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::support::{connection, failed, lines, openbao};

fn settings<T: DeserializeOwned>(json: Value) -> T {
    serde_json::from_value(json).unwrap()
}

#[tokio::test]
async fn openbao_makes_secrets_when_asked() {
    let server = openbao();
    let body = json!({"policy": "path \"*\" { capabilities = [\"read\"] }"});
    server.api("PUT", "sys/policies/acl/dynamic", Some(&body));
    let (connection, _) = connection(ROOT);
    let ask = async |more: Value| {
        let mut all = json!({"provider": {"server": server.address(),
            "auth": {"tokenSecretRef": {"name": "vault", "key": "token"}}}});
        for (name, value) in more.as_object().unwrap() {
            all[name] = value.clone();
        }
        generators::vault_dynamic_secret(&settings(all), &connection).await
    };
    // A token with a life of its own is what every server can make.
    let token = ask(
        json!({"path": "auth/token/create", "method": "POST", "resultType": "Auth",
        "parameters": {"policies": ["dynamic"], "ttl": "60s", "no_parent": true}}),
    )
    .await
    .unwrap();
    assert_eq!(token["lease_duration"].expose(), b"60");
    assert_eq!(token["policies"].expose(), br#"["default","dynamic"]"#);
    let made = String::from_utf8(token["client_token"].expose().to_vec()).unwrap();
    let (status, answer) = server.try_api(&made, "GET", "auth/token/lookup-self", None);
    assert_eq!((status, &answer["data"]["ttl"].is_number()), (200, &true));
    let read = ask(json!({"path": "/sys/policies/acl/dynamic"}))
        .await
        .unwrap();
    assert_eq!(read["name"].expose(), b"dynamic");
    let raw = ask(json!({"path": "sys/policies/acl/dynamic", "resultType": "Raw"}))
        .await
        .unwrap();
    assert!(raw.contains_key("request_id") && raw.contains_key("data"));
    let listed = ask(json!({"path": "sys/policies/acl", "method": "LIST"}))
        .await
        .unwrap();
    assert!(lines(&listed)[0].contains("\"dynamic\""));
    // An answer without a body is an error, unless it is what is wanted.
    let nothing = json!({"path": "sys/policies/acl/dynamic", "method": "DELETE"});
    assert_eq!(
        failed(ask(nothing.clone()).await).trouble(),
        Trouble::Missing
    );
    let mut allowed = nothing;
    allowed["allowEmptyResponse"] = true.into();
    assert!(ask(allowed).await.unwrap().is_empty());
    let refused = ask(json!({"path": "no/such/engine"})).await;
    assert_eq!(failed(refused).trouble(), Trouble::Invalid);
}

#[tokio::test]
async fn a_webhook_is_asked_without_a_reference() {
    let server = Double::start(|asked| match asked.path.as_str() {
        "/token" => (
            200,
            json!({"data": {"user": "u", "n": 1, "nested": {"a": "b"}}}),
        ),
        "/text" => (200, json!({"data": "{\"a\": \"b\"}"})),
        "/list" => (200, json!({"data": [1]})),
        _ => (404, json!({})),
    });
    let (connection, held) = connection("unused");
    held.put_secret(
        "",
        "hook",
        WholeSecret {
            data: [("key".to_owned(), SecretBytes::copy_of(b"k1"))].into(),
            labels: BTreeMap::from([("external-secrets.io/type".into(), "webhook".into())]),
        },
    );
    let ask = async |path: &str| {
        let settings = settings(
            json!({"url": format!("{}{path}", server.address()), "method": "POST",
            "headers": {"X-Key": "{{ .auth.key }}"}, "body": "{\"k\": \"{{ .auth.key }}\"}",
            "secrets": [{"name": "auth", "secretRef": {"name": "hook"}}],
            "result": {"jsonPath": "$.data"}}),
        );
        generators::webhook(&settings, &connection).await
    };
    let made = ask("/token").await.unwrap().found().unwrap();
    assert_eq!(lines(&made), ["n=1", "nested={\"a\":\"b\"}", "user=u"]);
    let asked = server.asked().remove(0);
    assert_eq!(asked.method, "POST");
    assert_eq!(asked.headers["x-key"], "k1");
    assert_eq!(asked.body, json!({"k": "k1"}));
    let made = ask("/text").await.unwrap().found().unwrap();
    assert_eq!(lines(&made), ["a=b"]);
    assert!(ask("/list").await.is_err());
    assert!(matches!(ask("/gone").await, Ok(Answer::Absent(_))));
}

#[tokio::test]
async fn github_gives_a_token_to_an_app_that_proves_itself() {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let server = Double::start(|asked| match asked.path.as_str() {
        "/api/v3/app/installations/42/access_tokens" => (
            201,
            json!({"token": "ghs_made", "expires_at": "2030-01-01T00:00:00Z"}),
        ),
        _ => (404, json!({"message": "Not Found"})),
    });
    let (connection, held) = connection("unused");
    let key = PrivateKey::generate(2048).unwrap();
    held.put("app", "pem", key.to_pkcs1_pem().unwrap().expose());
    held.put("app", "id", b"7\n");
    let ask = async |more: Value| {
        let mut all = json!({"url": format!("{}/api/v3", server.address()),
            "auth": {"privateKey": {"secretRef": {"name": "app", "key": "pem"}}}});
        for (name, value) in more.as_object().unwrap() {
            all[name] = value.clone();
        }
        github::generate(&settings(all), &connection, 1_800_000_000).await
    };
    let made = ask(
        json!({"appIDRef": {"name": "app", "key": "id"}, "installID": "42",
        "repositories": ["one"], "permissions": {"contents": "read"}}),
    )
    .await
    .unwrap();
    assert_eq!(lines(&made), ["token=ghs_made"]);
    let asked = server.asked().remove(0);
    assert_eq!(asked.method, "POST");
    assert_eq!(asked.headers["accept"], "application/vnd.github.v3+json");
    let wanted = json!({"repositories": ["one"], "permissions": {"contents": "read"}});
    assert_eq!(asked.body, wanted);
    let proof = asked.headers["authorization"]
        .strip_prefix("Bearer ")
        .unwrap();
    let parts: Vec<&str> = proof.split('.').collect();
    let decoded = |part: &str| -> Value {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
    };
    assert_eq!(decoded(parts[0]), json!({"alg": "RS256", "typ": "JWT"}));
    let claims = json!({"iss": "7", "iat": 1_799_999_990, "exp": 1_800_000_300});
    assert_eq!(decoded(parts[1]), claims);
    let signed = format!("{}.{}", parts[0], parts[1]);
    let expected = key.sign_sha256(signed.as_bytes()).unwrap();
    assert_eq!(URL_SAFE_NO_PAD.decode(parts[2]).unwrap(), expected);
    // An installation that is not there, and ids that are given twice or not at all.
    let missing = ask(json!({"appID": "7", "installID": "43"})).await;
    assert_eq!(failed(missing).trouble(), Trouble::Invalid);
    for wrong in [
        json!({"installID": "42"}),
        json!({"appID": "7", "appIDRef": {"name": "app", "key": "id"}, "installID": "42"}),
    ] {
        assert_eq!(failed(ask(wrong).await).trouble(), Trouble::Invalid);
    }
}

#[tokio::test]
async fn grafana_makes_tokens_and_takes_them_back() {
    let (server, tokens) = grafana_double("the%20bot");
    let (connection, held) = connection("unused");
    held.put("grafana", "token", b"admin");
    let settings = settings(json!({"url": server.address(),
        "auth": {"token": {"name": "grafana", "key": "token"}},
        "serviceAccount": {"name": "the bot", "role": "Viewer", "secondsToLive": 60}}));
    let first = grafana::generate(&settings, &connection).await.unwrap();
    assert_eq!(lines(&first.values), ["login=sa-the-bot", "token=glsa_10"]);
    let state = first.state.unwrap();
    let expected = json!({"serviceAccount": {"id": 3, "login": "sa-the-bot", "tokenID": 10}});
    assert_eq!(state, expected);
    let asked = server.asked();
    assert_eq!(asked.last().unwrap().body["secondsToLive"], 60);
    // The account is there now and is used again; the token is another one.
    let second = grafana::generate(&settings, &connection).await.unwrap();
    assert_eq!(lines(&second.values)[1], "token=glsa_11");
    let asked = server.asked();
    assert!(
        !asked
            .iter()
            .any(|asked| asked.path == "/api/serviceaccounts")
    );
    grafana::clean_up(&settings, &state, &connection)
        .await
        .unwrap();
    assert_eq!(tokens.lock().unwrap().keys().collect::<Vec<_>>(), [&11]);
    // It is gone already, which is fine; what is no state is not.
    grafana::clean_up(&settings, &state, &connection)
        .await
        .unwrap();
    assert!(
        grafana::clean_up(&settings, &json!({}), &connection)
            .await
            .is_err()
    );
    // An address without service accounts says nothing about the token.
    let mut elsewhere = settings.clone();
    elsewhere.url = format!("{}/elsewhere", server.address());
    let gone = grafana::clean_up(&elsewhere, second.state.as_ref().unwrap(), &connection).await;
    assert_eq!(failed(gone).trouble(), Trouble::Invalid);
    held.put("grafana", "token", b"someone");
    let refused = grafana::generate(&settings, &connection).await;
    assert_eq!(failed(refused).trouble(), Trouble::Unauthenticated);
    let refused = grafana::clean_up(&settings, &second.state.unwrap(), &connection).await;
    assert_eq!(failed(refused).trouble(), Trouble::Unauthenticated);
}

#[tokio::test]
async fn gitlab_makes_deploy_tokens_and_takes_them_back() {
    let tokens: Arc<Mutex<BTreeMap<i64, Value>>> = Arc::default();
    let made = Arc::clone(&tokens);
    let server = Double::start(move |asked| {
        if asked.headers.get("private-token").map(String::as_str) != Some("glpat") {
            return (401, json!({"message": "401 Unauthorized"}));
        }
        let mut tokens = made.lock().unwrap();
        let folder = "/api/v4/projects/group%2Fapp/deploy_tokens";
        match (asked.method.as_str(), asked.path.strip_prefix(folder)) {
            ("POST", Some("")) => {
                let id = 5 + i64::try_from(tokens.len()).unwrap();
                tokens.insert(id, asked.body.clone());
                let name = format!("gitlab+deploy-token-{id}");
                (
                    201,
                    json!({"id": id, "name": asked.body["name"], "username": name, "token": format!("gldt-{id}")}),
                )
            }
            ("DELETE", Some(id)) => {
                let id = id.trim_start_matches('/').parse().unwrap();
                match tokens.remove(&id) {
                    Some(_) => (204, Value::Null),
                    None => (404, json!({"message": "404 Deploy Token Not Found"})),
                }
            }
            _ => (404, json!({"message": "404 Project Not Found"})),
        }
    });
    let (connection, held) = connection("unused");
    held.put("gitlab", "token", b"glpat");
    let of = |more: Value| {
        let mut all = json!({"url": format!("{}/", server.address()), "name": "pull",
            "scopes": ["read_registry", "read_package_registry"], "expiresAt": "2030-01-01T00:00:00Z",
            "auth": {"token": {"secretRef": {"name": "gitlab", "key": "token"}}}});
        for (name, value) in more.as_object().unwrap() {
            all[name] = value.clone();
        }
        settings(all)
    };
    let project = of(json!({"projectID": "group/app"}));
    let first = gitlab::generate(&project, &connection).await.unwrap();
    let expected = ["token=gldt-5", "username=gitlab+deploy-token-5"];
    assert_eq!(lines(&first.values), expected);
    let wanted = json!({"name": "pull", "scopes": ["read_registry", "read_package_registry"],
        "expires_at": "2030-01-01T00:00:00Z"});
    assert_eq!(tokens.lock().unwrap()[&5], wanted);
    let state = first.state.unwrap();
    let expected =
        json!({"url": format!("{}/", server.address()), "projectID": "group/app", "tokenID": 5});
    assert_eq!(state, expected);
    // The state says where it was made, whatever the settings say by now.
    let moved = of(json!({"groupID": "9"}));
    for _ in 0..2 {
        gitlab::clean_up(&moved, &state, &connection).await.unwrap();
        assert!(tokens.lock().unwrap().is_empty());
    }
    // A state that names no token leaves nothing to do.
    for none in [
        json!({}),
        json!({"url": "", "projectID": "7", "tokenID": 0}),
    ] {
        gitlab::clean_up(&moved, &none, &connection).await.unwrap();
    }
    assert_eq!(
        failed(gitlab::generate(&moved, &connection).await).trouble(),
        Trouble::Invalid
    );
    assert_eq!(
        failed(gitlab::generate(&of(json!({})), &connection).await).trouble(),
        Trouble::Invalid
    );
}

#[tokio::test]
async fn a_token_whose_answer_lacks_a_part_is_not_left_behind() {
    let server = Double::start(|asked| match (asked.method.as_str(), asked.path.as_str()) {
        ("POST", "/api/v4/projects/7/deploy_tokens") => {
            (201, json!({"id": 5, "username": "", "token": "gldt-5"}))
        }
        ("POST", "/api/v4/projects/8/deploy_tokens") => (201, json!({"id": 6, "username": "u"})),
        ("GET", path) if path.starts_with("/api/serviceaccounts/search") => (
            200,
            json!({"serviceAccounts": [{"id": 3, "name": "bot", "login": "sa-bot"}]}),
        ),
        ("POST", "/api/serviceaccounts/3/tokens") => (200, json!({"id": 9, "key": ""})),
        ("DELETE", "/api/v4/projects/8/deploy_tokens/6") => (403, json!({})),
        ("DELETE", _) => (200, json!({})),
        _ => (404, json!({})),
    });
    let (connection, held) = connection("unused");
    held.put("made", "token", b"t");
    let deploy = |project: &str| {
        settings(
            json!({"url": server.address(), "projectID": project, "name": "pull", "scopes": ["read_registry"],
            "auth": {"token": {"secretRef": {"name": "made", "key": "token"}}}}),
        )
    };
    let deleted = || {
        let asked = server.asked().into_iter();
        let deletions = asked.filter(|asked| asked.method == "DELETE");
        deletions.map(|asked| asked.path).collect::<Vec<_>>()
    };
    let refused = failed(gitlab::generate(&deploy("7"), &connection).await);
    assert_eq!(refused.trouble(), Trouble::Malformed);
    assert_eq!(deleted(), ["/api/v4/projects/7/deploy_tokens/5"]);
    // The reason stays what it was where the deletion fails, too.
    let refused = failed(gitlab::generate(&deploy("8"), &connection).await);
    assert_eq!(refused.trouble(), Trouble::Malformed);
    assert_eq!(deleted(), ["/api/v4/projects/8/deploy_tokens/6"]);
    let settings = settings(json!({"url": server.address(),
        "auth": {"token": {"name": "made", "key": "token"}},
        "serviceAccount": {"name": "bot", "role": "Viewer"}}));
    let refused = failed(grafana::generate(&settings, &connection).await);
    assert_eq!(refused.trouble(), Trouble::Malformed);
    assert_eq!(deleted(), ["/api/serviceaccounts/3/tokens/9"]);
}
