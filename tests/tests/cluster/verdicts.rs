//! What Flux and Argo CD say of our objects, by their own code: kstatus, and the Lua checks that Argo CD ships. The table in
//! `docs/src/gitops.md` is what this test finds.

use std::fmt::Write as _;
use std::process::Command;

use kube::Client;
use kube::api::{Api, DeleteParams, DynamicObject, Patch, PatchParams};
use kube::core::{ApiResource, GroupVersionKind};
use sealwright_crypto::sealing::Certificate;
use sealwright_resources::scope::Scope;
use sealwright_tests::harness::cluster::{Cluster, eventually, run};
use sealwright_tests::harness::upstream;
use serde_json::{Value, json};

use super::chart::Release;
use super::kubelet;
use super::sealed_secrets::rig::sealed_for;

/// What is true of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Truth {
    /// It is as it should be.
    Good,
    /// It is not, and it is tried again.
    Failing,
    /// It is not, and only a change of it helps.
    Failed,
    /// It is not, and it is tried again; the check of Argo CD for its kind knows only one condition, "Ready" with the status
    /// True, and waits for it.
    Waiting,
    /// It is being deleted.
    Deleting,
    /// It is another controller's.
    NotOurs,
}

impl Truth {
    /// The verdicts of Flux and of Argo CD that say so.
    fn verdicts(self) -> (&'static str, &'static str) {
        match self {
            Self::Good => ("Current", "Healthy"),
            // To Flux, what is tried again is on its way; it gives up when its own time is over.
            Self::Failing => ("InProgress", "Degraded"),
            Self::Waiting => ("InProgress", "Progressing"),
            Self::Failed => ("Failed", "Degraded"),
            Self::Deleting => ("Terminating", "Progressing"),
            // kstatus takes an object without a status for one that needs none.
            Self::NotOurs => ("Current", "Progressing"),
        }
    }
}

/// A state that an object can be in.
struct State {
    kind: &'static str,
    name: &'static str,
    /// What it is, for the table.
    text: &'static str,
    truth: Truth,
}

fn state(kind: &'static str, name: &'static str, text: &'static str, truth: Truth) -> State {
    State {
        kind,
        name,
        text,
        truth,
    }
}

use Truth::{Deleting, Failed, Failing, Good, NotOurs, Waiting};

/// All states, each with an object of this name that is in it in the end.
fn states() -> Vec<State> {
    let (sealed, external) = ("SealedSecret", "ExternalSecret");
    let (store, push) = ("SecretStore", "PushSecret");
    vec![
        state(sealed, "good", "unsealed", Good),
        state(sealed, "empty", "unsealed, without values", Good),
        state(sealed, "patched", "adds to a Secret that was there", Good),
        state(sealed, "back", "its Secret was deleted and is back", Good),
        state(
            sealed,
            "recovered",
            "was broken, and was sealed again",
            Good,
        ),
        state(sealed, "edited", "was edited by a newer seal", Good),
        state(sealed, "garbage", "no key opens it", Failed),
        state(sealed, "renamed", "sealed for another name", Failed),
        state(sealed, "half", "one of two values does not open", Failed),
        state(
            sealed,
            "old-stays",
            "was edited and does not open; its old Secret is there",
            Failed,
        ),
        state(
            sealed,
            "bad-template",
            "its template cannot be parsed",
            Failed,
        ),
        state(sealed, "unreadable", "a field cannot be read", Failed),
        state(
            sealed,
            "foreign",
            "a Secret of this name is not its own",
            Failed,
        ),
        state(
            sealed,
            "going",
            "deleted, and a finalizer holds it",
            Deleting,
        ),
        state(external, "good", "synced", Good),
        state(external, "once", "synced once and for all", Good),
        state(external, "generated", "from a generator", Good),
        state(external, "none", "creates no Secret", Good),
        state(external, "recovered", "the store came later", Good),
        state(external, "key-came", "the key came later", Good),
        state(
            external,
            "gone",
            "all its keys are gone, and its policy is Delete",
            Good,
        ),
        state(external, "no-store", "there is no such store", Failing),
        state(external, "bad-store", "its store cannot be used", Failing),
        state(external, "no-key", "the store has no such key", Failing),
        state(
            external,
            "no-generator",
            "there is no such generator",
            Failing,
        ),
        state(
            external,
            "old-stays",
            "was edited to a key that is not there; its old Secret is there",
            Failing,
        ),
        state(
            external,
            "bad-template",
            "its template cannot be parsed",
            Failing,
        ),
        // Upstream's condition is Ready, with this as its message.
        state(external, "merge", "there is no Secret to add to", Good),
        state(
            external,
            "taken",
            "another ExternalSecret owns the Secret",
            Failing,
        ),
        state(
            external,
            "going",
            "deleted, and a finalizer holds it",
            Deleting,
        ),
        state(
            external,
            "other-class",
            "its store is of another controller class",
            NotOurs,
        ),
        state(store, "good", "usable", Good),
        state(store, "recovered", "was corrected", Good),
        state(store, "bad", "its credentials are not there", Failing),
        state(
            store,
            "going",
            "deleted, and a finalizer holds it",
            Deleting,
        ),
        state("ClusterSecretStore", "everywhere", "usable", Good),
        state(
            "ClusterExternalSecret",
            "for-all",
            "all its ExternalSecrets are made",
            Good,
        ),
        state(
            "ClusterExternalSecret",
            "in-the-way",
            "an ExternalSecret of another owner is in the way",
            Waiting,
        ),
        state(push, "good", "pushed", Good),
        state(push, "recovered", "its Secret came later", Good),
        state(push, "no-secret", "there is no such Secret", Failing),
        state(push, "no-store", "there is no such store", Failing),
        state(push, "going", "deleted, and a finalizer holds it", Deleting),
    ]
}

/// Where objects are written.
struct Place {
    client: Client,
    namespace: String,
    certificate: Certificate,
}

impl Place {
    fn api(&self, api_version: &str, kind: &str) -> Api<DynamicObject> {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let name = GroupVersionKind::gvk(group, version, kind);
        let plural = format!("{}s", kind.to_ascii_lowercase());
        let resource = ApiResource::from_gvk_with_plural(&name, &plural);
        match kind.starts_with("Cluster") {
            true => Api::all_with(self.client.clone(), &resource),
            false => Api::namespaced_with(self.client.clone(), &self.namespace, &resource),
        }
    }

    fn of_kind(&self, kind: &str) -> Api<DynamicObject> {
        self.api(version_of(kind), kind)
    }

    async fn apply(&self, kind: &str, name: &str, spec: Value) {
        self.apply_whole(kind, name, json!({"spec": spec})).await;
    }

    async fn apply_whole(&self, kind: &str, name: &str, mut object: Value) {
        let api = self.of_kind(kind);
        object["apiVersion"] = version_of(kind).into();
        object["kind"] = kind.into();
        object["metadata"]["name"] = name.into();
        let object: DynamicObject = serde_json::from_value(object).unwrap();
        let params = PatchParams::apply("test").force();
        api.patch(name, &params, &Patch::Apply(&object))
            .await
            .unwrap_or_else(|error| panic!("{kind} {name}: {error}"));
    }

    async fn secret(&self, name: &str) {
        self.apply_whole("Secret", name, json!({"stringData": {"own": "1"}}))
            .await;
    }

    /// A SealedSecret as JSON, sealed for its own name.
    fn sealed(&self, name: &str, values: &[(&str, &str)]) -> Value {
        let sealed = sealed_for(
            &self.certificate,
            Scope::Strict,
            &self.namespace,
            name,
            values,
        );
        serde_json::to_value(sealed).unwrap()
    }

    async fn apply_sealed(&self, name: &str, sealed: &Value) {
        let metadata = json!({"annotations": sealed["metadata"]["annotations"]});
        let whole = json!({"metadata": metadata, "spec": sealed["spec"]});
        self.apply_whole("SealedSecret", name, whole).await;
    }

    async fn external_secret(&self, name: &str, store: &str, key: &str) {
        // SealedSecrets have the same names.
        let spec = json!({"secretStoreRef": {"name": store}, "refreshInterval": "1s",
            "target": {"name": format!("external-{name}")},
            "data": [{"secretKey": "k", "remoteRef": {"key": key}}]});
        self.apply("ExternalSecret", name, spec).await;
    }

    async fn fake_store(&self, kind: &str, name: &str, keys: &[&str]) {
        let data: Vec<Value> = keys
            .iter()
            .map(|key| json!({"key": key, "value": "v"}))
            .collect();
        self.apply(kind, name, json!({"provider": {"fake": {"data": data}}}))
            .await;
    }

    async fn push(&self, name: &str, store: &str, secret: &str) {
        let spec = json!({"refreshInterval": "1s", "deletionPolicy": "None",
            "secretStoreRefs": [{"name": store}], "selector": {"secret": {"name": secret}},
            "data": [{"match": {"secretKey": "own", "remoteRef": {"remoteKey": name}}}]});
        self.apply("PushSecret", name, spec).await;
    }

    /// Deletes an object that a finalizer of someone else holds.
    async fn delete_held(&self, kind: &str, name: &str) {
        let api = self.of_kind(kind);
        let hold = json!({"metadata": {"finalizers": ["example.com/hold"]}});
        let params = PatchParams::default();
        api.patch(name, &params, &Patch::Merge(hold)).await.unwrap();
        api.delete(name, &DeleteParams::default()).await.unwrap();
    }

    async fn get(&self, kind: &str, name: &str) -> Value {
        let object = self.of_kind(kind).get(name).await;
        let object = object.unwrap_or_else(|error| panic!("{kind} {name}: {error}"));
        serde_json::to_value(object).unwrap()
    }

    /// Waits until one of the conditions of an object has this status.
    async fn eventually(&self, kind: &str, name: &str, condition: &str, status: &str) {
        eventually(
            &format!("{kind} {name} is {condition}={status}"),
            async || {
                let object = self.get(kind, name).await;
                let current = kind != "SealedSecret"
                    || object["status"]["observedGeneration"] == object["metadata"]["generation"];
                let mut conditions = object["status"]["conditions"].as_array()?.iter();
                let found = conditions.find(|one| one["type"] == condition)?;
                (current && found["status"] == status).then_some(())
            },
        )
        .await;
    }
}

fn version_of(kind: &str) -> &'static str {
    match kind {
        "SealedSecret" => "bitnami.com/v1alpha1",
        "PushSecret" => "external-secrets.io/v1alpha1",
        "Secret" => "v1",
        "Fake" => "generators.external-secrets.io/v1alpha1",
        _ => "external-secrets.io/v1",
    }
}

async fn make_sealed_secrets(place: &Place) {
    let kind = "SealedSecret";
    let one = |name: &str| place.sealed(name, &[("a", "1")]);
    for name in ["good", "back", "going", "edited", "old-stays"] {
        place.apply_sealed(name, &one(name)).await;
    }
    place
        .apply_sealed("empty", &place.sealed("empty", &[]))
        .await;
    place.secret("patched").await;
    let mut patched = one("patched");
    patched["spec"]["template"]["metadata"]["annotations"] =
        json!({"sealedsecrets.bitnami.com/patch": "true"});
    let allow = json!({"metadata": {"annotations": {"sealedsecrets.bitnami.com/patch": "true"}}});
    place
        .of_kind("Secret")
        .patch("patched", &PatchParams::default(), &Patch::Merge(allow))
        .await
        .unwrap();
    place.apply_sealed("patched", &patched).await;
    let mut garbage = one("garbage");
    garbage["spec"]["encryptedData"]["a"] = "AgBy".into();
    place.apply_sealed("garbage", &garbage).await;
    place.apply_sealed("renamed", &one("someone-else")).await;
    let mut half = place.sealed("half", &[("a", "1"), ("b", "2")]);
    half["spec"]["encryptedData"]["b"] = "AgBy".into();
    place.apply_sealed("half", &half).await;
    let mut template = one("bad-template");
    template["spec"]["template"]["data"] = json!({"x": "{{ .a"});
    place.apply_sealed("bad-template", &template).await;
    let mut unreadable = one("unreadable");
    unreadable["spec"]["template"]["metadata"]["ownerReferences"] = json!(5);
    place.apply_sealed("unreadable", &unreadable).await;
    place.secret("foreign").await;
    place.apply_sealed("foreign", &one("foreign")).await;
    let mut broken = one("recovered");
    broken["spec"]["encryptedData"]["a"] = "AgBy".into();
    place.apply_sealed("recovered", &broken).await;

    // Second acts.
    for name in ["good", "back", "going", "edited", "old-stays"] {
        place.eventually(kind, name, "Synced", "True").await;
    }
    place
        .of_kind("Secret")
        .delete("back", &DeleteParams::default())
        .await
        .unwrap();
    place
        .apply_sealed("edited", &place.sealed("edited", &[("a", "2")]))
        .await;
    let mut broken = one("old-stays");
    broken["spec"]["encryptedData"]["a"] = "AgBy".into();
    place.apply_sealed("old-stays", &broken).await;
    place.eventually(kind, "recovered", "Synced", "False").await;
    place.apply_sealed("recovered", &one("recovered")).await;
    place.delete_held(kind, "going").await;
}

async fn make_external_secrets(place: &Place) {
    let kind = "ExternalSecret";
    let mut other = json!({"provider": {"fake": {"data": [{"key": "a", "value": "v"}]}}});
    other["controller"] = "another".into();
    place.apply("SecretStore", "other-class", other).await;
    place.fake_store("SecretStore", "good", &["a", "b"]).await;
    place.fake_store("SecretStore", "later-empty", &["a"]).await;
    place.fake_store("SecretStore", "going", &["a"]).await;
    let vault = |secret: &str| {
        json!({"provider": {"vault": {"server": "http://127.0.0.1:1", "path": "secret",
            "auth": {"tokenSecretRef": {"name": secret, "key": "token"}}}}})
    };
    place.apply("SecretStore", "bad", vault("not-there")).await;
    place
        .apply("SecretStore", "recovered", vault("not-there"))
        .await;
    // The store of another class came before it, so the controller knows that one as well.
    place
        .eventually("SecretStore", "good", "Ready", "True")
        .await;
    for name in ["good", "old-stays", "going"] {
        place.external_secret(name, "good", "a").await;
    }
    place
        .external_secret("other-class", "other-class", "a")
        .await;
    place.external_secret("no-store", "not-there", "a").await;
    place
        .external_secret("recovered", "store-comes-later", "a")
        .await;
    place.external_secret("bad-store", "bad", "a").await;
    place.external_secret("no-key", "good", "not-there").await;
    place
        .external_secret("key-came", "later-empty", "later")
        .await;
    let reference = json!([{"secretKey": "k", "remoteRef": {"key": "a"}}]);
    let from = |store: &str| json!({"secretStoreRef": {"name": store}, "refreshInterval": "1s", "data": reference});
    let mut once = from("good");
    once["refreshPolicy"] = "CreatedOnce".into();
    place.apply(kind, "once", once).await;
    let mut none = from("good");
    none["target"] = json!({"creationPolicy": "None"});
    place.apply(kind, "none", none).await;
    let mut gone = from("later-empty");
    gone["target"] = json!({"deletionPolicy": "Delete"});
    place.apply(kind, "gone", gone).await;
    let mut template = from("good");
    template["target"] =
        json!({"name": "external-bad-template", "template": {"data": {"x": "{{ .k"}}});
    place.apply(kind, "bad-template", template).await;
    let mut merge = from("good");
    merge["target"] = json!({"creationPolicy": "Merge", "name": "nothing-there"});
    place.apply(kind, "merge", merge).await;
    place
        .apply("Fake", "generator", json!({"data": {"k": "v"}}))
        .await;
    let generated = |name: &str| {
        json!({"refreshInterval": "1s", "dataFrom": [{"sourceRef": {"generatorRef": {
            "apiVersion": "generators.external-secrets.io/v1alpha1", "kind": "Fake", "name": name}}}]})
    };
    place.apply(kind, "generated", generated("generator")).await;
    place
        .apply(kind, "no-generator", generated("not-there"))
        .await;

    for name in ["good", "old-stays", "going", "gone"] {
        place.eventually(kind, name, "Ready", "True").await;
    }
    let mut taken = from("good");
    taken["target"] = json!({"name": "external-good"});
    place.apply(kind, "taken", taken).await;
    place
        .external_secret("old-stays", "good", "not-there")
        .await;
    place.eventually(kind, "recovered", "Ready", "False").await;
    place
        .fake_store("SecretStore", "store-comes-later", &["a"])
        .await;
    place.eventually(kind, "key-came", "Ready", "False").await;
    // One key comes, another one goes.
    place
        .fake_store("SecretStore", "later-empty", &["later"])
        .await;
    place.delete_held(kind, "going").await;
    place
        .eventually("SecretStore", "recovered", "Ready", "False")
        .await;
    place.fake_store("SecretStore", "recovered", &["a"]).await;
    place.delete_held("SecretStore", "going").await;
}

async fn make_others(place: &Place) {
    place
        .fake_store("ClusterSecretStore", "everywhere", &["a"])
        .await;
    place.external_secret("in-the-way", "good", "a").await;
    for name in ["for-all", "in-the-way"] {
        let spec = json!({
            "externalSecretName": name, "refreshTime": "1s",
            "namespaceSelectors": [{"matchLabels": {"kubernetes.io/metadata.name": place.namespace}}],
            "externalSecretSpec": {"secretStoreRef": {"name": "everywhere", "kind": "ClusterSecretStore"},
                "target": {"name": format!("{name}-target")},
                "data": [{"secretKey": "k", "remoteRef": {"key": "a"}}]},
        });
        place.apply("ClusterExternalSecret", name, spec).await;
    }
    place.secret("pushed").await;
    for name in ["good", "going"] {
        place.push(name, "good", "pushed").await;
    }
    place.push("no-secret", "good", "not-there").await;
    place.push("no-store", "not-there", "pushed").await;
    place.push("recovered", "good", "comes-later").await;
    place
        .eventually("PushSecret", "recovered", "Ready", "False")
        .await;
    place.secret("comes-later").await;
    place
        .eventually("PushSecret", "going", "Ready", "True")
        .await;
    place.delete_held("PushSecret", "going").await;
}

/// What the tools say of all states at the moment.
async fn verdicts(place: &Place, states: &[State]) -> Vec<Value> {
    let mut objects = Vec::new();
    for state in states {
        objects.push(place.get(state.kind, state.name).await);
    }
    let output = run(
        &mut Command::new(upstream::gitops_verdicts()),
        json!(objects).to_string().as_bytes(),
    );
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[tokio::test]
async fn flux_and_argo_cd_say_what_is_true_of_every_state() {
    let cluster = Cluster::start();
    let namespace = cluster.namespace("verdicts").await;
    let values =
        "externalSecrets.enabled=true,replicaCount=1,leaderElect=false,storeRequeueInterval=1s";
    let mut release = Release::install(&namespace, values).await;
    release.add_replica().await;
    let (_, pem) = kubelet::get(release.replicas[0].api, "/v1/cert.pem").unwrap();
    let place = Place {
        client: namespace.client().clone(),
        namespace: namespace.name().to_owned(),
        certificate: Certificate::from_pem(pem.as_bytes()).unwrap(),
    };
    make_sealed_secrets(&place).await;
    make_external_secrets(&place).await;
    make_others(&place).await;

    let states = states();
    assert!(states.len() >= 40);
    let wrong = |all: &[Value]| -> Vec<String> {
        let pairs = states.iter().zip(all);
        let wrong = pairs.filter(|(state, said)| {
            let (flux, argo) = state.truth.verdicts();
            said["flux"] != flux || said["argo"] != argo
        });
        wrong
            .map(|(state, said)| {
                format!("{} {} ({:?}): {said}", state.kind, state.name, state.truth)
            })
            .collect()
    };
    let start = std::time::Instant::now();
    loop {
        let found = wrong(&verdicts(&place, &states).await);
        if found.is_empty() {
            break;
        }
        assert!(
            start.elapsed() < std::time::Duration::from_secs(90),
            "{} of {} verdicts are not true:\n{}",
            found.len(),
            states.len(),
            found.join("\n")
        );
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    }
    // And it stays so: nothing flaps between two refreshes.
    for _ in 0..5 {
        tokio::time::sleep(std::time::Duration::from_millis(700)).await;
        assert_eq!(wrong(&verdicts(&place, &states).await), [""; 0]);
    }
    let page = include_str!("../../../docs/src/gitops.md");
    let table = table(&states);
    assert!(
        page.contains(&table),
        "docs/src/gitops.md should have\n{table}"
    );
}

/// The table of the page, kinds together.
fn table(states: &[State]) -> String {
    let mut table = String::from("| kind | state | Flux | Argo CD |\n|---|---|---|---|\n");
    for state in states {
        let (flux, argo) = state.truth.verdicts();
        writeln!(
            table,
            "| {} | {} | {flux} | {argo} |",
            state.kind, state.text
        )
        .unwrap();
    }
    table
}
