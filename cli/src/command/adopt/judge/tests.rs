use serde_json::{Value, json};

use super::*;

fn workload(image: &str, replicas: i32, args: &[&str]) -> Workload {
    let deployment = json!({
        "metadata": {"name": "c", "namespace": "n"},
        "spec": {"replicas": replicas, "selector": {}, "template": {"spec": {"containers": [
            {"name": "c", "image": image, "args": args}]}}},
    });
    Workload::of(&serde_json::from_value(deployment).unwrap()).unwrap()
}

fn object(value: Value) -> Object {
    serde_json::from_value(value).unwrap()
}

fn blocking(report: &Report) -> Vec<&str> {
    let blocking = report.problems.iter().filter(|problem| problem.blocks);
    blocking.map(|problem| problem.text.as_str()).collect()
}

#[test]
fn two_controllers_of_the_same_objects_are_a_problem() {
    let mut seen = Seen::default();
    assert_eq!(judge(&seen).states[0].1, State::Absent);
    seen.keys.push(super::super::cluster::Key {
        namespace: "n".into(),
        name: "k".into(),
        created: String::new(),
        is_active: true,
    });
    assert_eq!(judge(&seen).states[0].1, State::Idle);
    seen.workloads = vec![workload("x/sealed-secrets-controller:1", 1, &[])];
    assert_eq!(judge(&seen).states[0].1, State::Upstream);
    assert!(blocking(&judge(&seen)).is_empty());
    seen.workloads
        .push(workload("x/sealwright-controller:1", 2, &[]));
    let report = judge(&seen);
    assert_eq!(report.states[0].1, State::Both);
    assert_eq!(blocking(&report).len(), 1);
    seen.workloads[0].replicas = 0;
    assert_eq!(judge(&seen).states[0].1, State::Adopted);
}

#[test]
fn what_would_not_work_is_told() {
    let mut seen = Seen {
        workloads: vec![workload(
            "x/external-secrets:v2.9.0",
            1,
            &[
                "--no-such-flag",
                "--enable-http2=true",
                "--metrics-secure=true",
            ],
        )],
        stores: vec![
            object(
                json!({"metadata": {"name": "d", "namespace": "n"}, "spec": {"provider": {"akeyless": {}}}}),
            ),
            object(json!({"metadata": {"name": "v"}, "spec": {"provider": {"vault": {}}}})),
        ],
        generators: vec![(
            "CloudsmithAccessToken".into(),
            object(json!({"metadata": {"name": "g", "namespace": "n"}})),
        )],
        ..Seen::default()
    };
    let report = judge(&seen);
    assert_eq!(
        blocking(&report),
        [
            "our controller does not support the flag --no-such-flag",
            "the flag --metrics-secure needs a certificate, which our chart does not mount",
            "this build has no provider akeyless",
            "this build has no generator CloudsmithAccessToken",
        ]
    );
    assert_eq!(report.problems.len(), 5);
    seen.workloads[0].beside = vec!["env HTTPS_PROXY".to_owned(), "volumes".to_owned()];
    let report = judge(&seen);
    let mut texts = report.problems.iter().map(|problem| problem.text.as_str());
    assert!(texts.any(|text| text.ends_with("not taken over: env HTTPS_PROXY, volumes")));
    seen.workloads = vec![workload("x/sealed-secrets-controller:1", 1, &[])];
    let report = judge(&seen);
    assert!(blocking(&report)[0].starts_with("it has no sealing key"));
}

#[test]
fn a_webhook_without_a_server_is_left_over() {
    let webhook = super::super::cluster::Webhook {
        name: "externalsecret-validate".into(),
        blocks: true,
        service: ("n".into(), "external-secrets-webhook".into()),
    };
    let mut seen = Seen {
        webhooks: vec![webhook],
        ..Seen::default()
    };
    assert_eq!(judge(&seen).problems.len(), 1);
    seen.services = vec![
        serde_json::from_value(
            json!({"metadata": {"name": "external-secrets-webhook", "namespace": "n"}}),
        )
        .unwrap(),
    ];
    assert_eq!(judge(&seen).problems.len(), 1);
    seen.workloads = vec![workload("x/external-secrets:v2.9.0", 1, &["webhook"])];
    assert_eq!(judge(&seen).problems.len(), 0);
}

#[test]
fn what_was_not_looked_at_is_not_taken_for_absent() {
    let webhook = super::super::cluster::Webhook {
        name: "secretstore-validate".into(),
        blocks: true,
        service: ("external-secrets".into(), "external-secrets-webhook".into()),
    };
    let mut seen = Seen {
        only: Some("team".into()),
        webhooks: vec![webhook],
        external_secrets: vec![object(
            json!({"metadata": {"name": "a", "namespace": "team"}}),
        )],
        ..Seen::default()
    };
    let report = judge(&seen);
    assert_eq!(report.states[1].1, State::Unknown);
    assert!(
        report
            .problems
            .iter()
            .all(|problem| problem.object != "secretstore-validate"),
        "its server may be in the other namespace"
    );
    seen.only = None;
    assert_eq!(judge(&seen).states[1].1, State::Idle);
    seen.hidden = vec![("Deployments", "forbidden".into())];
    assert_eq!(judge(&seen).states[1].1, State::Unknown);
}

#[test]
fn several_controllers_of_upstream_are_left_to_people() {
    let mut seen = Seen {
        workloads: vec![
            workload("x/external-secrets:v2.9.0", 1, &[]),
            workload("x/external-secrets:v2.9.0", 0, &[]),
        ],
        ..Seen::default()
    };
    assert!(blocking(&judge(&seen)).is_empty(), "one of them is off");
    seen.workloads[1].replicas_before = Some(1);
    let report = judge(&seen);
    assert!(
        blocking(&report)[0].starts_with("several controllers of upstream's program are running")
    );
}
