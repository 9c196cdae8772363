//! The permissions of the side of Sealed Secrets.

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Event, Secret};
use kube::api::{Api, DeleteParams, ListParams};
use sealwright_crypto::sealing::Certificate;
use sealwright_resources::scope::Scope;
use sealwright_tests::harness::cluster::{Cluster, eventually};
use serde_json::json;

use super::super::kubelet;
use super::super::objects;
use super::super::sealed_secrets::rig::sealed_for;
use super::{Need, OF_OPENSHIFT, Place, Role, Stage, Work, each_is_needed, permissions, rules};

/// Of who unseals, in the namespace where the work is.
const UNSEALER: Role = Role {
    kind: "Role",
    name: "secrets-unsealer",
    place: Place::Work,
};
/// Of the namespace where the keys are.
const KEY_ADMIN: Role = Role {
    kind: "Role",
    name: "sealwright-key-admin",
    place: Place::Home,
};

const KEY_LABEL: &str = "sealedsecrets.bitnami.com/sealed-secrets-key=active";

/// What is done with them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sealed {
    /// A SealedSecret is unsealed.
    Unsealed,
    /// A new version of one replaces the values of its Secret.
    Replaced,
    /// A Secret that was edited is put back, with an event each time.
    PutBack,
    /// A namespace that is named in the flags is looked up.
    LookedUp,
    /// The first sealing key is made.
    KeyMade,
    /// The sealing keys are found.
    KeysFound,
    /// A Secret that holds no key is reported beside it.
    KeyReported,
    /// It is reported again.
    KeyReportedAgain,
    /// The first replica leads.
    LedFirst,
    /// One of several replicas leads.
    Led,
}

impl Work for Sealed {
    fn starts(self) -> bool {
        matches!(
            self,
            Self::KeyMade | Self::LedFirst | Self::Led | Self::LookedUp
        )
    }

    fn is_asked_once(self) -> bool {
        self == Self::LookedUp
    }

    async fn prepare(self, stage: &mut Stage<'_>, number: usize) {
        match self {
            Self::Replaced | Self::PutBack => {
                write(stage, number, "one").await;
                eventually("it is unsealed", async || {
                    has(stage, number, "one").await.then_some(())
                })
                .await;
            }
            Self::KeyMade => {
                stage.stop_controller().await;
                let secrets: Api<Secret> = stage.home.api();
                let keys = ListParams::default().labels(KEY_LABEL);
                secrets
                    .delete_collection(&DeleteParams::default(), &keys)
                    .await
                    .unwrap();
            }
            Self::LedFirst => {
                stage.stop_controller().await;
                let leases: Api<Lease> = stage.home.api();
                let all = ListParams::default();
                leases
                    .delete_collection(&DeleteParams::default(), &all)
                    .await
                    .unwrap();
            }
            Self::KeyReportedAgain => {
                broken_key(stage, number, "one").await;
                eventually("it is reported", async || {
                    let events: Api<Event> = stage.home.api();
                    let events = events.list(&ListParams::default()).await.unwrap();
                    let name = format!("broken-{number}");
                    let mut events = events.items.iter();
                    events
                        .any(|event| event.involved_object.name.as_ref() == Some(&name))
                        .then_some(())
                })
                .await;
            }
            _ => {}
        }
    }

    async fn ask(self, stage: &Stage<'_>, number: usize) {
        match self {
            Self::Unsealed | Self::Replaced => write(stage, number, "two").await,
            Self::PutBack => {
                let edit = json!({"stringData": {"k": "edited"}});
                objects::patch(stage.work, "Secret", &format!("s-{number}"), edit).await;
            }
            Self::KeyReported | Self::KeyReportedAgain => broken_key(stage, number, "two").await,
            Self::LookedUp | Self::KeyMade | Self::KeysFound | Self::LedFirst | Self::Led => {}
        }
    }

    async fn is_done(self, stage: &Stage<'_>, number: usize) -> bool {
        let replica = stage.replica.as_ref().expect("it runs");
        match self {
            Self::Unsealed | Self::Replaced => has(stage, number, "two").await,
            Self::PutBack => has(stage, number, "one").await,
            Self::LedFirst | Self::Led => kubelet::get(replica.metrics, "/metrics")
                .is_ok_and(|(_, text)| text.contains("sealwright_leader 1\n")),
            Self::KeyMade | Self::KeysFound => {
                kubelet::get(replica.api, "/v1/cert.pem").is_ok_and(|(code, _)| code == 200)
            }
            Self::LookedUp | Self::KeyReported | Self::KeyReportedAgain => true,
        }
    }
}

/// Writes a SealedSecret with this value.
async fn write(stage: &Stage<'_>, number: usize, value: &str) {
    let name = format!("s-{number}");
    let api = stage.replica.as_ref().expect("it runs").api;
    let pem = eventually("the certificate is served", async || {
        match kubelet::get(api, "/v1/cert.pem") {
            Ok((200, pem)) => Some(pem),
            _ => None,
        }
    })
    .await;
    let certificate = Certificate::from_pem(pem.as_bytes()).unwrap();
    let place = stage.work.name();
    let sealed = sealed_for(&certificate, Scope::Strict, place, &name, &[("k", value)]);
    let mut sealed = serde_json::to_value(sealed).unwrap();
    sealed["metadata"] = json!({"name": name});
    objects::apply(stage.work, sealed).await;
}

/// Returns true if the value is in the Secret, and the SealedSecret says so.
async fn has(stage: &Stage<'_>, number: usize, value: &str) -> bool {
    let name = format!("s-{number}");
    let secret = objects::get(stage.work, "Secret", &name).await;
    let encoded = sealwright_crypto::sealing::base64::encode(value.as_bytes());
    let is_there = secret.is_some_and(|secret| secret["data"]["k"] == *encoded);
    let object = objects::get(stage.work, "SealedSecret", &name).await;
    is_there && object.is_some_and(|object| object["status"]["conditions"][0]["status"] == "True")
}

/// Writes a Secret that says of itself that it is a sealing key, and is none.
async fn broken_key(stage: &Stage<'_>, number: usize, text: &str) {
    let (label, value) = KEY_LABEL.split_once('=').unwrap();
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
        "metadata": {"name": format!("broken-{number}"), "labels": {label: value}},
        "stringData": {"tls.crt": text, "tls.key": text}});
    objects::apply(stage.home, secret).await;
}

fn needs() -> Vec<Need<Sealed>> {
    let need = Need::new;
    vec![
        need(UNSEALER, "get", "sealedsecrets", Sealed::PutBack),
        need(UNSEALER, "list", "sealedsecrets", Sealed::Unsealed),
        need(UNSEALER, "watch", "sealedsecrets", Sealed::Unsealed),
        need(UNSEALER, "update", "sealedsecrets/status", Sealed::Unsealed),
        need(UNSEALER, "get", "secrets", Sealed::PutBack),
        need(UNSEALER, "list", "secrets", Sealed::Unsealed),
        need(UNSEALER, "watch", "secrets", Sealed::Unsealed),
        need(UNSEALER, "create", "secrets", Sealed::Unsealed),
        need(UNSEALER, "update", "secrets", Sealed::Replaced),
        need(UNSEALER, "create", "events", Sealed::Unsealed),
        need(UNSEALER, "patch", "events", Sealed::PutBack),
        need(UNSEALER, "get", "namespaces", Sealed::LookedUp),
        need(KEY_ADMIN, "create", "secrets", Sealed::KeyMade),
        need(KEY_ADMIN, "list", "secrets", Sealed::KeysFound),
        need(KEY_ADMIN, "watch", "secrets", Sealed::KeysFound),
        need(KEY_ADMIN, "create", "events", Sealed::KeyReported),
        need(KEY_ADMIN, "patch", "events", Sealed::KeyReportedAgain),
        need(KEY_ADMIN, "create", "leases", Sealed::LedFirst),
        need(KEY_ADMIN, "get", "leases", Sealed::Led),
        need(KEY_ADMIN, "update", "leases", Sealed::Led),
    ]
}

#[tokio::test]
async fn each_permission_of_the_sealed_side_is_needed() {
    let cluster = Cluster::start_with_admission(OF_OPENSHIFT);
    let home = cluster.namespace("permissions").await;
    let work = cluster.namespace("permissions-work").await;
    let values = format!(
        "rbac.clusterRole=false,rbac.namespacedRoles=true,replicaCount=1,leaderElect=true,additionalNamespaces={{{}}}",
        work.name()
    );
    let stage = Stage::start(&home, &work, &values).await;
    // The own namespace has the same role for SealedSecrets. It would hide what the role of the keys permits.
    let at_home = Role {
        place: Place::Home,
        ..UNSEALER
    };
    let mut left = permissions(&stage.rules_of(at_home).await);
    left.retain(|one| one.group == "bitnami.com" || one.resource == "namespaces");
    stage.set_rules(at_home, &rules(&left)).await;
    each_is_needed(stage, &[UNSEALER, KEY_ADMIN], needs(), 4).await;
}
