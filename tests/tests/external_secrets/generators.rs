//! Generators on a real API server: what those with a state leave on a server is recorded, and taken back in time.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use sealwright_crypto::sealing::base64;
use sealwright_tests::harness::clouds::Clouds;
use sealwright_tests::harness::double::{self, Tokens};
use sealwright_tests::harness::server::Server;
use serde_json::{Value, json};

use super::fault_oracle::now;
use super::rig;
use super::support::{Place, eventually};

const GRAFANA: &str = "generators.external-secrets.io/v1alpha1";

/// A namespace with a Grafana generator, its double, and a controller that keeps outdated states for a second.
async fn grafana(name: &str) -> (Place, Tokens, Server) {
    let place = Place::new(name).await;
    let (server, tokens) = double::grafana("bot");
    place.secret("grafana", &json!({"token": "admin"})).await;
    place
        .apply(
            &json!({"apiVersion": GRAFANA, "kind": "Grafana", "metadata": {"name": "g"}, "spec": {
            "url": server.address(), "auth": {"token": {"name": "grafana", "key": "token"}},
            "serviceAccount": {"name": "bot", "role": "Viewer"}}}),
        )
        .await;
    let controller = place.controller("--generator-gc-grace-period=1s");
    (place, tokens, controller)
}

fn live(tokens: &Tokens) -> BTreeSet<i64> {
    tokens.lock().unwrap().keys().copied().collect()
}

/// The number of the token that the Secret holds.
async fn held(place: &Place) -> Option<i64> {
    let secret = place.get("Secret", "es").await?;
    let token = place.value(&secret, "token")?;
    token.strip_prefix("glsa_")?.parse().ok()
}

fn asks(more: &[Value]) -> Value {
    let mut from = vec![json!({"sourceRef": {"generatorRef": {"kind": "Grafana", "name": "g"}}})];
    from.extend_from_slice(more);
    json!({"refreshInterval": "2s", "dataFrom": from})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_token_in_use_is_good_and_old_ones_are_revoked() {
    let (place, tokens, _controller) = grafana("gen-states").await;
    place.external_secret("es", &asks(&[])).await;
    let first = eventually("a token is in the Secret", async || held(&place).await).await;
    assert!(live(&tokens).contains(&first));
    let state = eventually("its state is recorded", async || {
        place.list("GeneratorState").await.pop()
    })
    .await;
    let metadata = &state["metadata"];
    assert!(
        metadata["name"]
            .as_str()
            .unwrap()
            .starts_with("gen-externalsecret-es-")
    );
    let finalizers = json!(["generatorstate.externalsecrets.io/finalizer"]);
    assert_eq!(metadata["finalizers"], finalizers);
    assert_eq!(metadata["ownerReferences"][0]["name"], "es");
    assert!(metadata["ownerReferences"][0].get("controller").is_none());
    let account = &state["spec"]["state"]["serviceAccount"];
    assert!(account["id"] == 3 && account["login"] == "sa-the-bot");
    // Whatever is refreshed and revoked meanwhile: the token that is in use is never one that is gone.
    eventually("the first token is revoked", async || {
        let (before, held) = (live(&tokens), held(&place).await?);
        // A refresh in between makes another token, so only one that was there before and is gone would be wrong.
        assert!(
            before.contains(&held) || live(&tokens).contains(&held),
            "{held} is in use and revoked: {before:?}"
        );
        (!live(&tokens).contains(&first)).then_some(())
    })
    .await;
    // An object that is gone leaves nothing: what its owner references do elsewhere is done by hand here.
    place.delete("ExternalSecret", "es").await;
    eventually("the object is gone", async || {
        place
            .get("ExternalSecret", "es")
            .await
            .is_none()
            .then_some(())
    })
    .await;
    eventually("all tokens are revoked", async || {
        for state in place.list("GeneratorState").await {
            let name = state["metadata"]["name"].as_str().unwrap();
            place.delete("GeneratorState", name).await;
        }
        live(&tokens).is_empty().then_some(())
    })
    .await;
    eventually("no state is left", async || {
        place.list("GeneratorState").await.is_empty().then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_failed_refresh_made_is_taken_back() {
    let (place, tokens, _controller) = grafana("gen-rollback").await;
    let missing = json!({"sourceRef": {"generatorRef": {"kind": "Fake", "name": "none"}}});
    place.external_secret("es", &asks(&[missing])).await;
    eventually("the refresh has failed", async || {
        let es = place.get("ExternalSecret", "es").await?;
        let ready = &es["status"]["conditions"][0];
        let message = "could not get secret data from provider";
        let fails = ready["message"].as_str()?.starts_with(message);
        fails.then_some(())
    })
    .await;
    eventually("its token is revoked", async || {
        live(&tokens).is_empty().then_some(())
    })
    .await;
    assert_eq!(place.list("GeneratorState").await, [Value::Null; 0]);
    // What was missing comes, and the object recovers by itself.
    place
        .apply(
            &json!({"apiVersion": GRAFANA, "kind": "Fake", "metadata": {"name": "none"},
            "spec": {"data": {"a": "b"}}}),
        )
        .await;
    let held = eventually("a token is in the Secret", async || held(&place).await).await;
    assert!(live(&tokens).contains(&held));
}

/// A namespace with a generator of deploy tokens, the double that GitLab's own client has proved (`prove_gitlab.py`), and a
/// controller that keeps outdated states for an hour.
async fn gitlab(name: &str) -> (Place, Clouds, Server) {
    let place = Place::new(name).await;
    let clouds = Clouds::start().unwrap_or_else(|error| panic!("{error}"));
    let known = clouds.control("gitlab/token", &json!({}));
    place
        .secret("gitlab", &json!({"token": known["token"]}))
        .await;
    place
        .apply(
            &json!({"apiVersion": GRAFANA, "kind": "GitlabDeployToken", "metadata": {"name": "g"}, "spec": {
            "url": "https://gitlab.example", "projectID": "7", "name": "pull", "scopes": ["read_registry"],
            "auth": {"token": {"secretRef": {"name": "gitlab", "key": "token"}}}}}),
        )
        .await;
    let variables = clouds.variables();
    let controller = place.controller_with("--generator-gc-grace-period=1h", &variables);
    (place, clouds, controller)
}

fn asks_once_an_hour(kind: &str, name: &str, more: &[Value]) -> Value {
    let mut from = vec![json!({"sourceRef": {"generatorRef": {"kind": kind, "name": name}}})];
    from.extend_from_slice(more);
    json!({"refreshInterval": "1h", "dataFrom": from})
}

/// The numbers of the deploy tokens that GitLab has.
fn deploy_tokens(clouds: &Clouds) -> BTreeSet<i64> {
    let known = clouds.control("gitlab/token", &json!({}));
    serde_json::from_value(known["deploy_tokens"].clone()).unwrap()
}

/// The number of the deploy token that the Secret `es` holds.
async fn held_deploy_token(place: &Place) -> Option<i64> {
    let secret = place.get("Secret", "es").await?;
    let token = place.value(&secret, "token")?;
    token.strip_prefix("gldt-")?.parse().ok()
}

/// The states in a namespace by the numbers of their deploy tokens.
async fn states(place: &Place) -> BTreeMap<i64, Value> {
    let all = place.list("GeneratorState").await.into_iter();
    all.map(|state| (state["spec"]["state"]["tokenID"].as_i64().unwrap(), state))
        .collect()
}

/// The second after which a state is taken back.
fn deadline(state: &Value) -> Option<i64> {
    let deadline = state["spec"].get("garbageCollectionDeadline")?;
    let deadline: Time = serde_json::from_value(deadline.clone()).unwrap();
    Some(deadline.0.as_second())
}

/// Has the object refreshed, and returns the number of the deploy token that it holds then.
async fn superseded(place: &Place, mark: &str) -> i64 {
    // The API server keeps whole seconds of the creation of states, and by them the newest is known.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let before = held_deploy_token(place).await.unwrap();
    let marked = json!({"metadata": {"annotations": {"mark": mark}}});
    place.patch("ExternalSecret", "es", &marked).await;
    eventually("another token is in the Secret", async || {
        held_deploy_token(place)
            .await
            .filter(|held| *held != before)
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deploy_tokens_are_superseded_retained_and_taken_back_with_patience() {
    let (place, clouds, controller) = gitlab("gen-gitlab").await;
    let spec = asks_once_an_hour("GitlabDeployToken", "g", &[]);
    place.external_secret("es", &spec).await;
    let first = eventually("a token is in the Secret", async || {
        held_deploy_token(&place).await
    })
    .await;
    let secret = place.get("Secret", "es").await.unwrap();
    let user = place.value(&secret, "username").unwrap();
    assert_eq!(user, format!("gitlab+deploy-token-{first}"));
    // It was recorded before it was used.
    let state = states(&place).await.remove(&first).unwrap();
    let metadata = &state["metadata"];
    let finalizers = json!(["generatorstate.externalsecrets.io/finalizer"]);
    assert_eq!(metadata["finalizers"], finalizers);
    assert_eq!(metadata["ownerReferences"][0]["name"], "es");
    let left = json!({"url": "https://gitlab.example", "projectID": "7", "tokenID": first});
    assert_eq!(state["spec"]["state"], left);
    assert_eq!(state["spec"]["resource"]["kind"], "GitlabDeployToken");
    assert_eq!(deadline(&state), None);

    // With the next one both are good, and with the one after that the first is kept for the grace period.
    let second = superseded(&place, "1").await;
    let now_there = states(&place).await;
    assert_eq!(deadline(&now_there[&first]), None);
    assert_eq!(deadline(&now_there[&second]), None);
    let third = superseded(&place, "2").await;
    let now_there = states(&place).await;
    let kept_for = deadline(&now_there[&first]).unwrap() - now();
    assert!((3500..=3600).contains(&kept_for), "{kept_for}");
    assert_eq!(deadline(&now_there[&second]), None);
    assert_eq!(deadline(&now_there[&third]), None);
    let live = deploy_tokens(&clouds);
    let all = BTreeSet::from([first, second, third]);
    assert!(live.is_superset(&all), "{live:?}");

    // The grace period is over, and GitLab refuses: the state stays, and what it stands for is deleted later.
    clouds.control("deny", &json!(["destroy_deploy_token"]));
    clouds.control("forget-calls", &json!({}));
    let name = now_there[&first]["metadata"]["name"].as_str().unwrap();
    let over = json!({"spec": {"garbageCollectionDeadline": "2020-01-01T00:00:00Z"}});
    place.patch("GeneratorState", name, &over).await;
    eventually("GitLab is asked to delete the token", async || {
        let calls = clouds.calls();
        let asked = calls.iter().any(|call| call.starts_with("DELETE "));
        asked.then_some(())
    })
    .await;
    let state = place.get("GeneratorState", name).await;
    let state = state.expect("the token is not deleted yet");
    assert!(state["metadata"].get("deletionTimestamp").is_some());
    assert!(deploy_tokens(&clouds).contains(&first));
    eventually("it says so", async || {
        let told = "cannot take back what a generator made; the state stays until it can";
        controller.log_text().contains(told).then_some(())
    })
    .await;
    clouds.control("deny", &json!([]));
    eventually("the token and its state are gone", async || {
        let is_gone = place.get("GeneratorState", name).await.is_none();
        (is_gone && !deploy_tokens(&clouds).contains(&first)).then_some(())
    })
    .await;
    let live = deploy_tokens(&clouds);
    let others = BTreeSet::from([second, third]);
    assert!(live.is_superset(&others), "{live:?}");

    // A state is enough to delete a token: neither the generator nor the object has to be there. What its owner references do
    // elsewhere is done by hand here.
    place.delete("GitlabDeployToken", "g").await;
    place.delete("ExternalSecret", "es").await;
    eventually("all tokens are deleted", async || {
        for state in place.list("GeneratorState").await {
            let name = state["metadata"]["name"].as_str().unwrap();
            place.delete("GeneratorState", name).await;
        }
        deploy_tokens(&clouds).is_empty().then_some(())
    })
    .await;
    eventually("no state is left", async || {
        states(&place).await.is_empty().then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deploy_token_of_a_failed_refresh_is_taken_back_or_recorded() {
    let (place, clouds, _controller) = gitlab("gen-gitlab-back").await;
    let missing = json!({"sourceRef": {"generatorRef": {"kind": "Fake", "name": "none"}}});
    let spec = asks_once_an_hour("GitlabDeployToken", "g", &[missing]);
    place.external_secret("es", &spec).await;
    eventually("the refresh has failed", async || {
        let es = place.get("ExternalSecret", "es").await?;
        let message = es["status"]["conditions"][0]["message"].as_str()?;
        let fails = message.starts_with("could not get secret data from provider");
        fails.then_some(())
    })
    .await;
    eventually("its token is deleted", async || {
        deploy_tokens(&clouds).is_empty().then_some(())
    })
    .await;
    assert!(states(&place).await.is_empty());
    // What cannot be taken back at once is recorded as due.
    clouds.control("deny", &json!(["destroy_deploy_token"]));
    let (number, state) = eventually("a token is recorded", async || {
        states(&place).await.pop_first()
    })
    .await;
    assert!(deploy_tokens(&clouds).contains(&number));
    assert!(deadline(&state).unwrap() <= now());
    assert_eq!(state["metadata"]["ownerReferences"][0]["name"], "es");
    assert!(place.get("Secret", "es").await.is_none());
    clouds.control("deny", &json!([]));
    // What was missing comes, and nothing but the token that is in use is left.
    place
        .apply(
            &json!({"apiVersion": GRAFANA, "kind": "Fake", "metadata": {"name": "none"},
            "spec": {"data": {"a": "b"}}}),
        )
        .await;
    let held = eventually("a token is in the Secret", async || {
        held_deploy_token(&place).await
    })
    .await;
    eventually("only the token in use is left", async || {
        let (live, states) = (deploy_tokens(&clouds), states(&place).await);
        (live.iter().eq([&held]) && states.keys().eq([&held])).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_robot_account_of_quay_gets_a_token_for_that_of_a_service_account() {
    let place = Place::new("gen-quay").await;
    let clouds = Clouds::start().unwrap_or_else(|error| panic!("{error}"));
    let key = rig::shared().sandbox().path().join("accounts.pub");
    // The double checks signature, issuer, subject and audience, as Quay does (`doubles/quay.py`).
    clouds.control(
        "quay/robot",
        &json!({"name": "shop+puller", "issuer": "https://kubernetes.default.svc",
            "subject": format!("system:serviceaccount:{}:puller", place.name()),
            "audiences": ["quay.example"], "key": std::fs::read_to_string(key).unwrap()}),
    );
    for account in ["puller", "stranger"] {
        place
            .apply(
                &json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": account}}),
            )
            .await;
        place
            .apply(&json!({"apiVersion": GRAFANA, "kind": "QuayAccessToken", "metadata": {"name": account},
                "spec": {"url": "https://quay.example", "robotAccount": "shop+puller",
                    "serviceAccountRef": {"name": account, "audiences": ["quay.example"]}}}))
            .await;
    }
    let _controller = place.controller_with("", &clouds.variables());
    for account in ["puller", "stranger"] {
        let spec = asks_once_an_hour("QuayAccessToken", account, &[]);
        place.external_secret(account, &spec).await;
    }
    let secret = eventually("a token is in the Secret", async || {
        let secret = place.get("Secret", "puller").await?;
        place.value(&secret, "auth").is_some().then_some(secret)
    })
    .await;
    assert_eq!(place.value(&secret, "registry").unwrap(), "quay.example");
    let auth = place.value(&secret, "auth").unwrap();
    let issued = clouds.control("quay/tokens", &json!({}));
    let issued = issued["issued"].as_array().unwrap().iter();
    let mut held = issued.filter(|issued| {
        let pair = format!("shop+puller:{}", issued["token"].as_str().unwrap());
        auth == base64::encode(pair.as_bytes())
    });
    let held = held.next().expect("Quay has issued what is in the Secret");
    let expiry = place.value(&secret, "expiry").unwrap();
    assert_eq!(expiry, held["exp"].to_string());
    // The token of another service account is refused, and told to no one.
    let status = eventually("the refusal is told", async || {
        let es = place.get("ExternalSecret", "stranger").await?;
        let refused = es["status"]["conditions"][0]["status"] == "False";
        refused.then(|| es["status"].to_string())
    })
    .await;
    assert!(!status.contains("eyJ"), "{status}");
    assert!(place.get("Secret", "stranger").await.is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kind_that_this_build_has_not_is_said_by_its_name() {
    let place = Place::new("gen-other").await;
    place
        .apply(&json!({"apiVersion": GRAFANA, "kind": "CloudsmithAccessToken", "metadata": {"name": "c"},
            "spec": {"orgSlug": "o", "serviceSlug": "s", "serviceAccountRef": {"name": "a"}}}))
        .await;
    let _controller = place.controller("");
    let from =
        json!([{"sourceRef": {"generatorRef": {"kind": "CloudsmithAccessToken", "name": "c"}}}]);
    place
        .external_secret("es", &json!({"dataFrom": from}))
        .await;
    eventually("it says so", async || {
        let es = place.get("ExternalSecret", "es").await?;
        let message = es["status"]["conditions"][0]["message"]
            .as_str()?
            .to_owned();
        message
            .ends_with("this build has no generator CloudsmithAccessToken")
            .then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_generator_of_the_cluster_uses_what_lies_in_the_namespace() {
    let place = Place::new("gen-cluster").await;
    let name = "gen-cluster-mfa";
    place
        .apply(
            &json!({"apiVersion": GRAFANA, "kind": "ClusterGenerator", "metadata": {"name": name},
            "spec": {"kind": "MFA", "generator": {"mfaSpec": {
                "secret": {"name": "seed", "namespace": "kube-system", "key": "seed"},
                "when": "1970-01-01T00:00:59Z"}}}}),
        )
        .await;
    place
        .secret("seed", &json!({"seed": "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"}))
        .await;
    let _controller = place.controller("");
    let from = json!([{"sourceRef": {"generatorRef": {"kind": "ClusterGenerator", "name": name}}}]);
    place
        .external_secret("es", &json!({"dataFrom": from}))
        .await;
    let token = eventually("a password is in the Secret", async || {
        let secret = place.get("Secret", "es").await?;
        place.value(&secret, "token")
    })
    .await;
    assert_eq!(token, "287082");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edit_of_the_templates_makes_no_new_password() {
    let place = Place::new("gen-sources").await;
    place
        .apply(
            &json!({"apiVersion": GRAFANA, "kind": "Password", "metadata": {"name": "p"},
            "spec": {"length": 32}}),
        )
        .await;
    place
        .apply(&json!({"apiVersion": "external-secrets.io/v1", "kind": "SecretStore", "metadata": {"name": "fake"},
            "spec": {"provider": {"fake": {"data": [{"key": "a", "value": "value"}]}}}}))
        .await;
    let templates = |text: &str| {
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "templates"},
            "data": {"t": format!("{text} {{{{ .password }}}}")}})
    };
    place.apply(&templates("one")).await;
    let _controller = place.controller("");
    let target = json!({"template": {"templateFrom": [
        {"configMap": {"name": "templates", "items": [{"key": "t"}]}}]}});
    let from = json!([{"sourceRef": {"generatorRef": {"kind": "Password", "name": "p"}}}]);
    let generated = [
        ("once", json!({"refreshPolicy": "CreatedOnce"})),
        ("on-change", json!({"refreshPolicy": "OnChange"})),
        ("zero", json!({"refreshInterval": "0"})),
        ("hourly", json!({"refreshInterval": "1h"})),
    ];
    for (name, mut spec) in generated.clone() {
        spec["target"] = target.clone();
        spec["dataFrom"] = from.clone();
        place.external_secret(name, &spec).await;
    }
    place
        .external_secret(
            "read",
            &json!({"refreshInterval": "24h", "secretStoreRef": {"name": "fake"}, "target": target,
            "data": [{"secretKey": "password", "remoteRef": {"key": "a"}}]}),
        )
        .await;
    let text = async |name: &str| {
        let secret = place.get("Secret", name).await?;
        place.value(&secret, "t")
    };
    let mut before = Vec::new();
    for &(name, _) in &generated {
        before.push(eventually("a password is made", async || text(name).await).await);
    }
    eventually("the value is read", async || {
        (text("read").await? == "one value").then_some(())
    })
    .await;
    place.apply(&templates("two")).await;
    eventually("what is only read follows the template", async || {
        (text("read").await? == "two value").then_some(())
    })
    .await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    for (&(name, _), before) in generated.iter().zip(before) {
        assert!(before.starts_with("one "), "{name}: {before}");
        assert_eq!(text(name).await, Some(before), "{name}");
    }
}
