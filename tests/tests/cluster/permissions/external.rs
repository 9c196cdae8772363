//! The permissions of the side of External Secrets: what is done with them, and [which of them](needs) it takes.

#[path = "external/needs.rs"]
mod needs;

use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::{Api, PostParams};
use sealwright_tests::harness::cluster::{Cluster, eventually, run};
use sealwright_tests::harness::double;
use serde_json::{Value, json};

use super::super::objects::{self, external_secret, fake_store, is_ready};
use super::{OF_OPENSHIFT, Place, Role, Stage, Work, each_is_needed};

const CONTROLLER: Role = Role {
    kind: "ClusterRole",
    name: "sealwright-external-secrets",
    place: Place::Work,
};
/// Of who may be asked to refresh at once.
const REFRESH: Role = Role {
    kind: "ClusterRole",
    name: "sealwright-external-secrets-refresh",
    place: Place::Work,
};

/// What is done with them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum External {
    /// An ExternalSecret gets its Secret.
    Synced,
    /// A new value of the store arrives in the Secret.
    Refreshed,
    /// A Secret goes with its ExternalSecret.
    Deleted,
    /// A Secret that was there before is taken over.
    Adopted,
    /// A template comes from a ConfigMap.
    Rendered,
    /// The Secret changes with the ConfigMap.
    RenderedAgain,
    /// A ConfigMap in the place of a Secret.
    OtherTarget,
    /// It gets a new value.
    OtherTargetRefreshed,
    /// It goes with its ExternalSecret.
    OtherTargetDeleted,
    /// A store is validated.
    Validated(&'static str),
    /// It is validated again and again.
    ValidatedAgain(&'static str),
    /// A store signs in with a token of a ServiceAccount.
    SignedIn,
    /// A store signs in as the ServiceAccount says.
    SignedInByAnnotation,
    /// A ClusterExternalSecret or ClusterPushSecret makes an object in a namespace.
    Spread(Spreads),
    /// It makes one in a namespace that comes later.
    SpreadLater(Spreads),
    /// It changes the one it has made.
    SpreadAgain(Spreads),
    /// It deletes the one in a namespace that it does not select any more.
    Withdrawn(Spreads),
    /// A Secret is pushed to a store.
    Pushed,
    /// It is pushed again and again.
    PushedAgain,
    /// It is to be deleted from the store one day, which must not go before.
    PushedForGood(&'static str),
    /// A generator makes values.
    Generated,
    /// A generator leaves something on a server, which is recorded.
    Recorded,
    /// What is outdated is given up.
    Outdated,
    /// Left-over webhooks are looked for.
    WebhooksFound,
    /// A user of the cluster announces a new value.
    Announced,
}

/// A kind of the whole cluster that makes objects in namespaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Spreads {
    ExternalSecret,
    PushSecret,
}

impl Spreads {
    fn kind(self) -> &'static str {
        match self {
            Self::ExternalSecret => "ClusterExternalSecret",
            Self::PushSecret => "ClusterPushSecret",
        }
    }

    fn child(self) -> &'static str {
        &self.kind()["Cluster".len()..]
    }

    /// An object that selects the namespaces with its name as label.
    fn object(self, name: &str, interval: &str) -> Value {
        let selectors = json!([{"matchLabels": {"of": name}}]);
        match self {
            Self::ExternalSecret => {
                let spec = external_secret("", "store", "a", interval)["spec"].clone();
                json!({"apiVersion": "external-secrets.io/v1", "kind": self.kind(), "metadata": {"name": name},
                    "spec": {"namespaceSelectors": selectors, "externalSecretName": name, "externalSecretSpec": spec}})
            }
            Self::PushSecret => {
                let spec = push_secret("", "store", "SecretStore", interval)["spec"].clone();
                json!({"apiVersion": "external-secrets.io/v1alpha1", "kind": self.kind(), "metadata": {"name": name},
                    "spec": {"namespaceSelectors": selectors, "pushSecretName": name, "pushSecretSpec": spec}})
            }
        }
    }
}

fn push_secret(name: &str, store: &str, kind: &str, interval: &str) -> Value {
    json!({"apiVersion": "external-secrets.io/v1alpha1", "kind": "PushSecret", "metadata": {"name": name}, "spec": {
        "secretStoreRefs": [{"name": store, "kind": kind}], "refreshInterval": interval,
        "selector": {"secret": {"name": "source"}},
        "data": [{"match": {"secretKey": "k", "remoteRef": {"remoteKey": name}}}]}})
}

/// A store of another kind in the work namespace.
fn store(name: &str, provider: Value) -> Value {
    json!({"apiVersion": "external-secrets.io/v1", "kind": "SecretStore", "metadata": {"name": name}, "spec": {"provider": provider}})
}

fn config_map(name: &str, text: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"t": text}})
}

impl External {
    /// The ExternalSecret of the work.
    fn object(self, name: &str) -> Value {
        let mut object = external_secret(name, name, "a", "1s");
        let spec = &mut object["spec"];
        match self {
            Self::Deleted => spec["target"] = json!({"deletionPolicy": "Delete"}),
            Self::Rendered | Self::RenderedAgain => {
                let from = json!([{"configMap": {"name": name, "items": [{"key": "t"}]}}]);
                spec["target"] = json!({"template": {"templateFrom": from}});
                spec["refreshInterval"] = json!("1h");
            }
            Self::OtherTarget | Self::OtherTargetRefreshed => {
                spec["target"] =
                    json!({"name": name, "manifest": {"apiVersion": "v1", "kind": "ConfigMap"}});
            }
            Self::OtherTargetDeleted => {
                spec["target"] = json!({"name": name, "deletionPolicy": "Delete",
                    "manifest": {"apiVersion": "v1", "kind": "ConfigMap"}});
            }
            Self::Generated | Self::Recorded | Self::Outdated => {
                let kind = if self == Self::Generated {
                    "Password"
                } else {
                    "Grafana"
                };
                spec.as_object_mut().unwrap().remove("data");
                spec.as_object_mut().unwrap().remove("secretStoreRef");
                spec["refreshInterval"] = json!("2s");
                spec["dataFrom"] = json!([{"sourceRef": {"generatorRef": {
                    "apiVersion": "generators.external-secrets.io/v1alpha1", "kind": kind, "name": "generator"}}}]);
            }
            _ => {}
        }
        object
    }

    /// Returns true if the Secret, or what stands for it, has this value.
    async fn has(self, stage: &Stage<'_>, name: &str, value: &str) -> bool {
        let object = objects::get(stage.work, "ExternalSecret", name).await;
        if !object.is_some_and(|object| is_ready(&object)) {
            return false;
        }
        match self {
            Self::OtherTarget | Self::OtherTargetRefreshed | Self::OtherTargetDeleted => {
                let target = objects::get(stage.work, "ConfigMap", name).await;
                target.is_some_and(|target| target["data"]["k"] == value)
            }
            _ => {
                let key = match self {
                    Self::Rendered | Self::RenderedAgain => "t",
                    _ => "k",
                };
                let encoded = sealwright_crypto::sealing::base64::encode(value.as_bytes());
                let target = objects::get(stage.work, "Secret", name).await;
                target.is_some_and(|target| target["data"][key] == *encoded)
            }
        }
    }

    async fn make(self, stage: &Stage<'_>, name: &str) {
        objects::apply(stage.work, fake_store("SecretStore", name, &[("a", "one")])).await;
        if matches!(self, Self::Rendered | Self::RenderedAgain) {
            objects::apply(stage.work, config_map(name, "<{{ .k }}>")).await;
        }
        objects::apply(stage.work, self.object(name)).await;
    }
}

impl Work for External {
    fn starts(self) -> bool {
        self == Self::WebhooksFound
    }

    fn is_asked_once(self) -> bool {
        // They are looked for every five minutes.
        self == Self::WebhooksFound
    }

    async fn prepare(self, stage: &mut Stage<'_>, number: usize) {
        let name = format!("e-{number}");
        match self {
            Self::Refreshed
            | Self::Deleted
            | Self::OtherTargetRefreshed
            | Self::OtherTargetDeleted => {
                self.make(stage, &name).await;
                eventually("it is synced", async || {
                    self.has(stage, &name, "one").await.then_some(())
                })
                .await;
            }
            Self::RenderedAgain => {
                self.make(stage, &name).await;
                eventually("it is rendered", async || {
                    self.has(stage, &name, "<one>").await.then_some(())
                })
                .await;
            }
            Self::Adopted => {
                let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": {"k": "old"}});
                objects::apply(stage.work, secret).await;
            }
            Self::ValidatedAgain(kind) => {
                let mut store = fake_store(kind, &name, &[]);
                store["spec"]["refreshInterval"] = json!(1);
                objects::apply(stage.work, store).await;
                eventually("it is validated", async || {
                    is_valid(stage, kind, &name).await.then_some(())
                })
                .await;
            }
            Self::SpreadAgain(cluster) | Self::Withdrawn(cluster) => {
                label(stage, &name, true).await;
                objects::apply(stage.work, cluster.object(&name, "1h")).await;
                eventually("its object is made", async || {
                    objects::get(stage.work, cluster.child(), &name).await
                })
                .await;
            }
            Self::SpreadLater(cluster) => {
                objects::apply(stage.work, cluster.object(&name, "1h")).await;
                eventually("it says that it selects nothing", async || {
                    let object = objects::get(stage.work, cluster.kind(), &name).await?;
                    object["status"]["conditions"][0]["status"]
                        .as_str()
                        .map(drop)
                })
                .await;
            }
            Self::PushedAgain => {
                objects::apply(stage.work, push_secret(&name, "store", "SecretStore", "1s")).await;
                eventually("it is pushed", async || {
                    self.is_done(stage, number).await.then_some(())
                })
                .await;
            }
            Self::PushedForGood(kind) => {
                objects::apply(stage.work, fake_store(kind, &name, &[])).await;
            }
            Self::Outdated => {
                objects::apply(stage.work, self.object(&name)).await;
                eventually("what it has made is recorded", async || {
                    has_state(stage, &name).await.then_some(())
                })
                .await;
            }
            _ => {}
        }
    }

    async fn ask(self, stage: &Stage<'_>, number: usize) {
        let name = format!("e-{number}");
        match self {
            Self::Synced | Self::Adopted | Self::Rendered | Self::OtherTarget => {
                self.make(stage, &name).await;
            }
            Self::Refreshed | Self::OtherTargetRefreshed => {
                objects::apply(
                    stage.work,
                    fake_store("SecretStore", &name, &[("a", "two")]),
                )
                .await;
            }
            Self::Deleted | Self::OtherTargetDeleted => {
                objects::delete(stage.work, "ExternalSecret", &name).await;
            }
            Self::RenderedAgain => {
                objects::apply(stage.work, config_map(&name, "[{{ .k }}]")).await;
            }
            Self::Validated(kind) => objects::apply(stage.work, fake_store(kind, &name, &[])).await,
            Self::SignedIn => {
                let authority = std::fs::read(stage.work.cluster().authority()).unwrap();
                let authority = sealwright_crypto::sealing::base64::encode(&authority);
                let provider = json!({"kubernetes": {"remoteNamespace": stage.work.name(),
                    "server": {"url": stage.work.cluster().url(), "caBundle": authority},
                    "auth": {"serviceAccount": {"name": "robot"}}}});
                objects::apply(stage.work, store(&name, provider)).await;
            }
            Self::SignedInByAnnotation => {
                let provider = json!({"aws": {"service": "SecretsManager", "region": "eu-central-1",
                    "auth": {"jwt": {"serviceAccountRef": {"name": "robot"}}}}});
                objects::apply(stage.work, store(&name, provider)).await;
            }
            Self::Spread(cluster) => {
                label(stage, &name, true).await;
                objects::apply(stage.work, cluster.object(&name, "1h")).await;
            }
            Self::SpreadLater(_) => label(stage, &name, true).await,
            Self::SpreadAgain(cluster) => {
                objects::apply(stage.work, cluster.object(&name, "2h")).await;
            }
            Self::Withdrawn(_) => label(stage, &name, false).await,
            Self::Pushed => {
                objects::apply(stage.work, push_secret(&name, "store", "SecretStore", "1h")).await;
            }
            Self::PushedForGood(kind) => {
                let mut push = push_secret(&name, &name, kind, "1h");
                push["spec"]["deletionPolicy"] = json!("Delete");
                objects::apply(stage.work, push).await;
            }
            Self::Generated | Self::Recorded => {
                objects::apply(stage.work, self.object(&name)).await;
            }
            Self::Announced => announce(stage).await,
            Self::ValidatedAgain(_) | Self::PushedAgain | Self::Outdated | Self::WebhooksFound => {}
        }
    }

    async fn is_done(self, stage: &Stage<'_>, number: usize) -> bool {
        let name = format!("e-{number}");
        match self {
            Self::Synced | Self::Adopted | Self::OtherTarget => self.has(stage, &name, "one").await,
            Self::Refreshed | Self::OtherTargetRefreshed => self.has(stage, &name, "two").await,
            Self::Rendered => self.has(stage, &name, "<one>").await,
            Self::RenderedAgain => {
                // What changed before the watch began is seen with the next refresh, an hour later.
                let touch = json!({"metadata": {"annotations": {"touched": k8s_openapi::jiff::Timestamp::now().to_string()}}});
                objects::patch(stage.work, "ConfigMap", &name, touch).await;
                self.has(stage, &name, "[one]").await
            }
            Self::Deleted | Self::OtherTargetDeleted => {
                let kind = if self == Self::Deleted {
                    "Secret"
                } else {
                    "ConfigMap"
                };
                objects::get(stage.work, kind, &name).await.is_none()
                    && objects::get(stage.work, "ExternalSecret", &name)
                        .await
                        .is_none()
            }
            Self::Validated(kind) | Self::ValidatedAgain(kind) => {
                is_valid(stage, kind, &name).await
            }
            Self::Spread(cluster) | Self::SpreadLater(cluster) => {
                let object = objects::get(stage.work, cluster.kind(), &name).await;
                objects::get(stage.work, cluster.child(), &name)
                    .await
                    .is_some()
                    && object.is_some_and(|object| is_ready(&object))
            }
            Self::SpreadAgain(cluster) => {
                let child = objects::get(stage.work, cluster.child(), &name).await;
                child.is_some_and(|child| child["spec"]["refreshInterval"] == "2h")
            }
            Self::Withdrawn(cluster) => objects::get(stage.work, cluster.child(), &name)
                .await
                .is_none(),
            Self::Pushed | Self::PushedAgain => {
                let object = objects::get(stage.work, "PushSecret", &name).await;
                object.is_some_and(|object| is_ready(&object))
            }
            Self::PushedForGood(kind) => {
                let store = objects::get(stage.work, kind, &name).await;
                let push = objects::get(stage.work, "PushSecret", &name).await;
                [store, push].into_iter().all(|object| {
                    let object = object.unwrap_or_default();
                    object["metadata"]["finalizers"]
                        .as_array()
                        .is_some_and(|all| !all.is_empty())
                })
            }
            Self::Generated => objects::get(stage.work, "Secret", &name).await.is_some(),
            Self::Recorded => has_state(stage, &name).await,
            Self::Announced => {
                // It has to be announced again, as a refused caller does.
                announce(stage).await;
                true
            }
            Self::SignedIn | Self::SignedInByAnnotation | Self::Outdated | Self::WebhooksFound => {
                true
            }
        }
    }

    async fn clean(self, stage: &Stage<'_>, number: usize) {
        stage.work.cluster().kubectl(&[
            "delete",
            "externalsecrets,pushsecrets",
            &format!("e-{number}"),
            "--namespace",
            stage.work.name(),
            "--ignore-not-found",
            "--wait=false",
        ]);
        let everywhere = format!("e-{number}");
        stage.work.cluster().kubectl(&[
            "delete",
            "clusterexternalsecrets,clusterpushsecrets",
            &everywhere,
            "--ignore-not-found",
            "--wait=false",
        ]);
    }
}

async fn is_valid(stage: &Stage<'_>, kind: &str, name: &str) -> bool {
    let store = objects::get(stage.work, kind, name).await;
    store.is_some_and(|store| is_ready(&store))
}

/// Returns true if a GeneratorState is recorded for an ExternalSecret.
async fn has_state(stage: &Stage<'_>, name: &str) -> bool {
    let states = stage.work.cluster().kubectl(&[
        "get",
        "generatorstates",
        "--namespace",
        stage.work.name(),
        "--output=name",
    ]);
    states.contains(&format!("gen-externalsecret-{name}-"))
}

/// Makes the work namespace one that an object of the cluster selects, or not.
async fn label(stage: &Stage<'_>, name: &str, selected: bool) {
    let value = if selected { json!(name) } else { Value::Null };
    let patch = json!({"metadata": {"labels": {"of": value}}});
    objects::patch(stage.work, "Namespace", stage.work.name(), patch).await;
}

/// Announces something as a user of the cluster.
async fn announce(stage: &Stage<'_>) {
    let request = TokenRequest {
        spec: TokenRequestSpec {
            audiences: vec!["sealwright".to_owned()],
            ..TokenRequestSpec::default()
        },
        ..TokenRequest::default()
    };
    let accounts: Api<ServiceAccount> = stage.work.api();
    let answer = accounts
        .create_token_request("robot", &PostParams::default(), &request)
        .await
        .unwrap();
    let token = answer.status.unwrap().token;
    let port = stage.replica.as_ref().expect("it runs").refresh;
    let mut command = std::process::Command::new("curl");
    command.args(["--silent", "--max-time", "20", "--data"]);
    command.arg(json!({"namespace": stage.work.name(), "name": "e-0"}).to_string());
    command
        .arg("--header")
        .arg(format!("Authorization: Bearer {token}"));
    command.arg(format!("http://127.0.0.1:{port}/v1/refresh"));
    run(&mut command, b"");
}

#[tokio::test]
async fn each_permission_of_the_side_of_external_secrets_is_needed() {
    let cluster = Cluster::start_with_admission(OF_OPENSHIFT);
    let home = cluster.namespace("permissions").await;
    let work = cluster.namespace("permissions-work").await;
    let values = "sealedSecrets.enabled=false,externalSecrets.enabled=true,replicaCount=1,leaderElect=false,\
        genericTargets.enabled=true,refresh.enabled=true,extraArgs.generator-gc-grace-period=1s";
    let stage = Stage::start(&home, &work, values).await;
    let (grafana, _tokens) = double::grafana("bot");
    let generator = "generators.external-secrets.io/v1alpha1";
    for object in [
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "robot"}}),
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "source"}, "stringData": {"k": "v"}}),
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "grafana"}, "stringData": {"token": "admin"}}),
        json!({"apiVersion": generator, "kind": "Password", "metadata": {"name": "generator"}, "spec": {"length": 20, "allowRepeat": true}}),
        json!({"apiVersion": generator, "kind": "Grafana", "metadata": {"name": "generator"}, "spec": {
            "url": grafana.address(), "auth": {"token": {"name": "grafana", "key": "token"}},
            "serviceAccount": {"name": "bot", "role": "Viewer"}}}),
        fake_store("SecretStore", "store", &[("a", "one")]),
    ] {
        objects::apply(&work, object).await;
    }
    each_is_needed(stage, &[CONTROLLER, REFRESH], needs::all(), 4).await;
}
