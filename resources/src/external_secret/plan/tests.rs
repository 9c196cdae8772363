use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use sealwright_template::Budget;
use serde_json::json;

use super::super::data::{self, Answer, Failure};
use super::super::render::{Options, Sources};
use super::super::status::condition;
use super::super::{DATA_HASH_ANNOTATION, MANAGED_LABEL};
use super::*;

fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

fn object(target: serde_json::Value) -> ExternalSecret {
    serde_json::from_value(json!({
        "apiVersion": "external-secrets.io/v1", "kind": "ExternalSecret",
        "metadata": {"name": "es", "namespace": "ns", "uid": "u1", "generation": 1, "finalizers": [FINALIZER]},
        "spec": {"secretStoreRef": {"name": "s"}, "target": target,
            "data": [{"secretKey": "k", "remoteRef": {"key": "a"}}]},
    }))
    .unwrap()
}

fn finished(object: &ExternalSecret, target: Option<&PlainSecret>, answer: Answer) -> Plan {
    finished_if(object, target, answer, false)
}

fn finished_if(
    object: &ExternalSecret,
    target: Option<&PlainSecret>,
    answer: Answer,
    mass_deletion: bool,
) -> Plan {
    let budget = Budget::default();
    let seen = Seen {
        target,
        orphans: &[],
        inputs: Inputs {
            sources: &Sources::default(),
            options: &Options::default(),
            budget: &budget,
        },
        started: now(),
        zone: &TimeZone::UTC,
        mass_deletion,
    };
    finish(
        object,
        &seen,
        data::assemble(&object.spec, vec![answer], &budget),
    )
}

fn value(text: &str) -> Answer {
    Answer::Value(sealwright_crypto::secret::SecretBytes::copy_of(
        text.as_bytes(),
    ))
}

/// Actions in words.
fn shown(actions: &[Action]) -> Vec<String> {
    actions
        .iter()
        .map(|action| match action {
            Action::AddFinalizer => "add finalizer".to_owned(),
            Action::RemoveFinalizer => "remove finalizer".to_owned(),
            Action::MarkTarget => "mark".to_owned(),
            Action::Create(secret) => format!("create {}", secret.name()),
            Action::Update(secret) => format!("update {}", secret.name()),
            Action::Delete { name, orphan, .. } => format!("delete {name} {orphan}"),
            Action::Emit(event) => format!("{} {}", event.reason, event.message),
            Action::SetStatus(status) => {
                let ready = condition(&status.conditions, "Ready").unwrap();
                format!(
                    "{} {} {} [{}]",
                    ready.status,
                    ready.reason.as_deref().unwrap(),
                    ready.message.as_deref().unwrap(),
                    status.binding.name
                )
            }
        })
        .collect()
}

fn created(object: &ExternalSecret) -> PlainSecret {
    let plan = finished(object, None, value("one"));
    let secret = plan.actions.into_iter().find_map(|action| match action {
        Action::Create(secret) => Some(secret),
        _ => None,
    });
    let mut secret = secret.unwrap();
    secret.metadata.uid = Some("s1".to_owned());
    secret
}

#[test]
fn values_are_written_and_reported() {
    let es = object(json!({}));
    let plan = finished(&es, None, value("one"));
    assert_eq!(
        shown(&plan.actions),
        [
            "create es",
            "Created secret created",
            "True SecretSynced secret synced [es]"
        ]
    );
    assert_eq!(
        plan.again,
        Again::At(Timestamp::from_second(1_800_003_600).unwrap())
    );
    let secret = created(&es);
    let plan = finished(&es, Some(&secret), value("one"));
    assert_eq!(
        shown(&plan.actions),
        ["True SecretSynced secret synced [es]"]
    );
}

#[test]
fn t13_a_failure_keeps_the_time_of_the_last_refresh() {
    let mut es = object(json!({}));
    let Some(Action::SetStatus(status)) = finished(&es, None, value("one")).actions.pop() else {
        panic!("a status is written")
    };
    es.status = Some(status.clone());
    let failed = Answer::Failed(Failure {
        public: None,
        definite: false,
    });
    let mut plan = finished(&es, Some(&created(&es)), failed);
    assert_eq!(plan.again, Again::Retry);
    assert_eq!(
        shown(&plan.actions)[0],
        "UpdateFailed could not get secret data from provider: spec.data[0] (key: a): the store could not be read"
    );
    let Some(Action::SetStatus(after)) = plan.actions.pop() else {
        panic!("a status is written")
    };
    assert_eq!(after.refresh_time, status.refresh_time);
    assert_eq!(
        after.synced_resource_version,
        status.synced_resource_version
    );
}

#[test]
fn a_secret_goes_with_its_values_only_if_the_policy_says_so() {
    let es = object(json!({"deletionPolicy": "Delete"}));
    let secret = created(&es);
    let plan = finished(&es, Some(&secret), Answer::Absent);
    assert_eq!(
        shown(&plan.actions),
        [
            "MissingProviderSecret secret does not exist at provider using spec.dataFrom[0] (key=a)",
            "delete es false",
            "Deleted secret deleted due to DeletionPolicy=Delete",
            "True SecretDeleted secret deleted due to DeletionPolicy=Delete []",
        ]
    );
    let es = object(json!({"deletionPolicy": "Retain"}));
    let plan = finished(&es, Some(&secret), Answer::Absent);
    assert_eq!(plan.again, Again::RetrySeldom);
    assert!(shown(&plan.actions)[1].starts_with("False SecretSyncedError could not get"));
    let es = object(json!({"deletionPolicy": "Merge", "creationPolicy": "Merge"}));
    let plan = finished(&es, Some(&secret), Answer::Absent);
    assert_eq!(shown(&plan.actions)[1], "update es");
    let es = object(json!({"deletionPolicy": "Delete", "creationPolicy": "Orphan"}));
    let plan = finished(&es, Some(&secret), Answer::Absent);
    assert_eq!(plan.again, Again::Never);
    assert!(shown(&plan.actions)[2].starts_with("False SecretSyncedError could not delete secret"));
}

#[test]
fn a_secret_of_another_controller_is_never_deleted() {
    let es = object(json!({"deletionPolicy": "Delete"}));
    let mut secret = created(&es);
    secret.metadata.owner_references = Some(vec![OwnerReference {
        kind: "ExternalSecret".to_owned(),
        name: "other".to_owned(),
        controller: Some(true),
        ..OwnerReference::default()
    }]);
    let plan = finished(&es, Some(&secret), Answer::Absent);
    assert!(
        !shown(&plan.actions)
            .iter()
            .any(|action| action.starts_with("delete"))
    );
}

#[test]
fn t6_finalizer_and_label_come_before_everything_else() {
    let mut es = object(json!({"creationPolicy": "None"}));
    es.metadata.finalizers = None;
    let metadata = ObjectMeta::default();
    let seen = TargetSeen {
        metadata: Some(&metadata),
        data_hash: &|| None,
        untouched: false,
    };
    let Beginning::Done(plan) = begin(&es, true, &seen, now(), &TimeZone::UTC) else {
        panic!("a foreign class ends it")
    };
    assert_eq!(shown(&plan.actions), ["add finalizer"]);
    let Beginning::Mark(actions) = begin(&es, false, &seen, now(), &TimeZone::UTC) else {
        panic!("the label comes first")
    };
    assert_eq!(shown(&actions), ["add finalizer", "mark"]);
}

#[test]
fn a_label_that_was_taken_off_is_put_back_without_a_refresh() {
    let mut es = object(json!({}));
    let Some(Action::SetStatus(status)) = finished(&es, None, value("one")).actions.pop() else {
        panic!("a status is written")
    };
    es.status = Some(status);
    let mut metadata = ObjectMeta {
        annotations: Some([(DATA_HASH_ANNOTATION.to_owned(), "h".to_owned())].into()),
        ..ObjectMeta::default()
    };
    let begun = |metadata: &ObjectMeta, hash: &str| {
        let hash = hash.to_owned();
        let data_hash = move || Some(hash.clone());
        let seen = TargetSeen {
            metadata: Some(metadata),
            data_hash: &data_hash,
            untouched: false,
        };
        begin(&es, false, &seen, now(), &TimeZone::UTC)
    };
    let Beginning::Mark(actions) = begun(&metadata, "h") else {
        panic!("the label is put back")
    };
    assert_eq!(shown(&actions), ["mark"]);
    metadata.labels = Some([(MANAGED_LABEL.to_owned(), "true".to_owned())].into());
    assert!(matches!(begun(&metadata, "h"), Beginning::Done(_)));
    assert!(matches!(begun(&metadata, "edited"), Beginning::Read(_)));
}

#[test]
fn t8_a_target_that_drifted_is_repaired_whatever_the_policy() {
    let mut es = object(json!({}));
    es.spec.refresh_policy = Some(super::super::RefreshPolicy::CreatedOnce);
    let Some(Action::SetStatus(status)) = finished(&es, None, value("one")).actions.pop() else {
        panic!("a status is written")
    };
    es.status = Some(status);
    let metadata = ObjectMeta {
        labels: Some([(MANAGED_LABEL.to_owned(), "true".to_owned())].into()),
        annotations: Some([(DATA_HASH_ANNOTATION.to_owned(), "h".to_owned())].into()),
        ..ObjectMeta::default()
    };
    let with = |metadata, hash: &str| {
        let hash = hash.to_owned();
        let data_hash = move || Some(hash.clone());
        let seen = TargetSeen {
            metadata,
            data_hash: &data_hash,
            untouched: false,
        };
        matches!(
            begin(&es, false, &seen, now(), &TimeZone::UTC),
            Beginning::Read(_)
        )
    };
    assert!(!with(Some(&metadata), "h"));
    assert!(with(Some(&metadata), "i"));
    assert!(with(None, "h"));
}

#[test]
fn t28_only_the_policy_delete_takes_the_secret_of_a_deleted_object_away() {
    let mut es = object(json!({"deletionPolicy": "Delete"}));
    let secret = created(&es);
    es.metadata.deletion_timestamp =
        Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(now()));
    let actions = |es: &ExternalSecret, metadata: &ObjectMeta| {
        let seen = TargetSeen {
            metadata: Some(metadata),
            data_hash: &|| None,
            untouched: false,
        };
        let Beginning::Done(plan) = begin(es, false, &seen, now(), &TimeZone::UTC) else {
            panic!("a deleted object is not read for")
        };
        shown(&plan.actions)
    };
    assert_eq!(
        actions(&es, &secret.metadata),
        ["delete es false", "remove finalizer"]
    );
    // A Secret of another object of the same name is not ours.
    let mut other = secret.metadata.clone();
    other.owner_references.as_mut().unwrap()[0].uid = "u0".to_owned();
    assert_eq!(actions(&es, &other), ["remove finalizer"]);
    es.spec.target.deletion_policy = DeletionPolicy::Retain;
    assert_eq!(actions(&es, &secret.metadata), ["remove finalizer"]);
    es.metadata.finalizers = Some(vec!["other/one".to_owned()]);
    assert!(actions(&es, &secret.metadata).is_empty());
}

#[test]
fn targets_of_other_kinds_have_a_reason_of_their_own() {
    let es = object(json!({"manifest": {"apiVersion": "v1", "kind": "ConfigMap"}}));
    for (fixed, text) in [
        (
            status::NO_RESOURCE,
            "False ResourceSyncedError could not get target resource: why",
        ),
        (
            status::NOT_APPLIED,
            "False ResourceSyncedError could not apply template to manifest: why",
        ),
        // Before an object is looked at, the reason is that of a Secret.
        (
            status::INVALID_GENERIC,
            "False SecretSyncedError invalid generic target: why",
        ),
    ] {
        let actions = failure(&es, fixed, Some("why"), now());
        assert!(shown(&actions)[1].starts_with(text), "{text}");
    }
}

#[test]
fn t41_the_binding_is_set_before_a_secret_is_changed() {
    let es = object(json!({"template": {"data": {"t": "{{ nope }}"}}}));
    let plan = finished(&es, None, value("one"));
    assert!(shown(&plan.actions)[1].ends_with("[]"));
    let secret = created(&object(json!({})));
    let plan = finished(&es, Some(&secret), value("one"));
    assert!(shown(&plan.actions)[1].ends_with("[es]"));
    assert!(
        shown(&plan.actions)[0]
            .starts_with("UpdateFailed could not update secret: spec.target.template.data: ")
    );
}

#[test]
fn s3_an_api_servers_text_is_never_shown() {
    let es = object(json!({}));
    let actions = failed(&es, Attempt::Write { existing: true }, "conflict", now());
    assert_eq!(
        shown(&actions)[1],
        "False SecretSyncedError could not update secret: conflict [es]"
    );
}

#[test]
fn a_search_that_finds_less_than_half_empties_nothing() {
    let found = |count: usize| {
        let keys = (0..count).map(|number| format!("k{number}"));
        let value = |key: String| {
            let value = sealwright_crypto::secret::SecretBytes::copy_of(b"v");
            (key, value)
        };
        Answer::Values(keys.map(value).collect())
    };
    let searching = |deletion: &str| {
        let mut es = object(json!({"deletionPolicy": deletion}));
        es.spec.data.clear();
        es.spec.data_from =
            serde_json::from_value(json!([{"find": {"name": {"regexp": "^k"}}}])).unwrap();
        let mut plan = finished(&es, None, found(12));
        let Some(Action::SetStatus(status)) = plan.actions.pop() else {
            panic!("a status is written")
        };
        es.status = Some(status);
        let fields: serde_json::Map<String, serde_json::Value> = (0..12)
            .map(|number| (format!("f:k{number}"), json!({})))
            .collect();
        let mut secret = plan
            .actions
            .into_iter()
            .find_map(|action| match action {
                Action::Create(secret) => Some(secret),
                _ => None,
            })
            .unwrap();
        secret.metadata.managed_fields = serde_json::from_value(json!([
            {"manager": hash::field_manager("es"), "operation": "Update", "fieldsV1": {"f:data": fields}}
        ]))
        .unwrap();
        (es, secret)
    };
    let is_held = |plan: Plan| {
        let shown = shown(&plan.actions);
        shown[0].contains("more than half of what was found before is gone")
    };
    for policy in ["Retain", "Merge", "Delete"] {
        let (mut es, secret) = searching(policy);
        assert!(is_held(finished(&es, Some(&secret), found(5))), "{policy}");
        // Half of it may go.
        assert!(!is_held(finished(&es, Some(&secret), found(6))));
        let meant = finished_if(&es, Some(&secret), found(5), true);
        assert!(!is_held(meant));
        // With Retain, nothing at all leaves everything as it is anyway.
        let none = finished(&es, Some(&secret), found(0));
        assert_eq!(is_held(none), policy != "Retain");
        // A change of the object is a wish.
        es.metadata.generation = Some(2);
        assert!(!is_held(finished(&es, Some(&secret), found(5))));
    }
}
