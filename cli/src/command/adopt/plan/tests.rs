use super::*;

fn workload(namespace: &str, name: &str, image: &str, release: &str, args: &[&str]) -> Workload {
    let labels = json!({"app.kubernetes.io/name": name, "app.kubernetes.io/instance": release});
    let deployment = json!({
        "metadata": {"name": name, "namespace": namespace, "labels": labels, "annotations": {
            "meta.helm.sh/release-name": release, "meta.helm.sh/release-namespace": namespace}},
        "spec": {"replicas": 1, "selector": {"matchLabels": labels}, "template": {"spec": {"containers": [
            {"name": "c", "image": image, "args": args}]}}},
    });
    Workload::of(&serde_json::from_value(deployment).unwrap()).unwrap()
}

fn operator(namespace: &str) -> Workload {
    let image = "x/external-secrets:v2.9.0";
    workload(
        namespace,
        "external-secrets",
        image,
        "es",
        &["--concurrent=1"],
    )
}

fn tools() -> Tools {
    Tools {
        kubeconfig: None,
        context: None,
        chart: "chart".to_owned(),
        values: Vec::new(),
        has_controller: false,
    }
}

fn lines(steps: &[Step]) -> Vec<String> {
    let commands = steps.iter().flat_map(|step| &step.commands);
    commands.map(|words| words.join(" ")).collect()
}

fn forward(seen: &Seen, state: State) -> Vec<Step> {
    let states = [(Program::ExternalSecrets, state)];
    steps(seen, &states, Direction::Forward, &tools())
}

#[test]
fn the_last_step_deletes_what_is_of_upstreams_chart_and_nothing_else_of_its_release() {
    let webhook = workload(
        "es",
        "external-secrets-webhook",
        "x/external-secrets:v2.9.0",
        "es",
        &["webhook"],
    );
    let mut seen = Seen {
        workloads: vec![operator("es"), webhook],
        ..Seen::default()
    };
    let last = |seen: &Seen| lines(&forward(seen, State::Adopted)).join("\n");
    let all = last(&seen);
    assert!(all.contains("kubectl delete secret --namespace es --selector owner=helm,name=es"));
    for chart in ["external-secrets", "external-secrets-webhook"] {
        let labels = format!(
            "kubectl delete clusterrole,clusterrolebinding --selector \
             app.kubernetes.io/instance=es,app.kubernetes.io/name={chart}\n"
        );
        assert!(all.contains(&labels), "{all}");
    }
    // A release with other programs in it keeps its record, and they their Deployments.
    seen.other_releases = [("es".to_owned(), "es".to_owned())].into();
    let all = last(&seen);
    assert!(!all.contains("owner=helm"), "{all}");
    assert!(all.contains("app.kubernetes.io/name=external-secrets-webhook"));
    seen.other_releases.clear();
    let image = "x/sealed-secrets-controller:0.40.0";
    let sealed = workload("es", "sealed-secrets", image, "es", &[]);
    seen.workloads.push(sealed);
    assert!(!last(&seen).contains("owner=helm"));
    // Labels that do not say which chart of the release it is select nothing.
    seen.workloads = vec![Workload {
        selector: "app.kubernetes.io/instance=es".to_owned(),
        ..operator("es")
    }];
    let all = last(&seen);
    assert!(!all.contains("clusterrole"), "{all}");
    assert!(all.contains("kubectl delete deployment external-secrets --namespace es\n"));
}

#[test]
fn the_operators_account_is_used_and_stays() {
    let mut operator = operator("es");
    operator.account = Some("of-operator".to_owned());
    operator.labels = vec![("cloud".to_owned(), "true".to_owned())];
    let seen = Seen {
        workloads: vec![operator],
        ..Seen::default()
    };
    let all = lines(&forward(&seen, State::Upstream)).join("\n");
    assert!(
        all.contains("--set serviceAccount.create=false --set serviceAccount.name=of-operator")
    );
    assert!(all.contains("--set-string podLabels.cloud=true"), "{all}");
    assert!(!all.contains(",serviceaccount,"), "{all}");
}

#[test]
fn the_service_of_another_port_leads_to_ours_too() {
    let service = |name: &str, port: i32| -> Service {
        serde_json::from_value(json!({
            "metadata": {"name": name, "namespace": "kube-system"},
            "spec": {"ports": [{"port": port}], "selector": {"app.kubernetes.io/name": "sealed-secrets"}},
        }))
        .unwrap()
    };
    let image = "x/sealed-secrets-controller:0.40.0";
    let seen = Seen {
        workloads: vec![workload("kube-system", "sealed-secrets", image, "s", &[])],
        services: vec![
            service("sealed-secrets", 80),
            service("sealed-secrets-metrics", 8081),
        ],
        ..Seen::default()
    };
    let states = [(Program::SealedSecrets, State::Upstream)];
    let all = lines(&steps(&seen, &states, Direction::Forward, &tools())).join("\n");
    assert!(all.contains("kubectl patch service sealed-secrets --namespace"));
    assert!(!all.contains("sealed-secrets-metrics"), "{all}");
}

#[test]
fn nothing_is_installed_where_a_controller_may_work_unseen() {
    let mut seen = Seen {
        only: Some("team".into()),
        ..Seen::default()
    };
    assert!(forward(&seen, State::Unknown).is_empty());
    seen.workloads = vec![operator("one"), operator("two")];
    assert!(forward(&seen, State::Upstream).is_empty());
    seen.workloads.pop();
    assert!(lines(&forward(&seen, State::Upstream))[0].starts_with("kubectl annotate"));
}

/// The commands of the way back, where both programs of upstream were stopped or only the operator.
fn back(seen: &Seen) -> Vec<String> {
    let states = [
        (Program::SealedSecrets, State::Adopted),
        (Program::ExternalSecrets, State::Adopted),
    ];
    lines(&steps(seen, &states, Direction::Back, &tools()))
}

fn stopped(workload: Workload) -> Workload {
    Workload {
        replicas: 0,
        replicas_before: Some(1),
        ..workload
    }
}

fn ours(namespace: &str, release: &str) -> Workload {
    let args = [
        "--enable-sealed-secrets=true",
        "--enable-external-secrets=true",
    ];
    workload(
        namespace,
        "ours",
        "x/sealwright-controller:1",
        release,
        &args,
    )
}

#[test]
fn one_release_in_the_place_of_both_programs_is_stopped_once() {
    let image = "x/sealed-secrets-controller:0.40.0";
    let sealed = workload("kube-system", "sealed-secrets", image, "s", &[]);
    let seen = Seen {
        workloads: vec![
            stopped(sealed),
            stopped(operator("es")),
            ours("kube-system", "both"),
        ],
        ..Seen::default()
    };
    let all = back(&seen);
    let number = |start: &str| all.iter().filter(|line| line.starts_with(start)).count();
    assert_eq!(
        number("helm uninstall both --namespace kube-system"),
        1,
        "{all:?}"
    );
    assert_eq!(number("kubectl scale deployment ours"), 1);
    assert_eq!(number("kubectl scale deployment sealed-secrets"), 1);
    assert_eq!(number("kubectl scale deployment external-secrets"), 1);
}

#[test]
fn what_works_for_a_program_that_does_not_go_back_goes_on() {
    let mut seen = Seen {
        workloads: vec![stopped(operator("es")), ours("es", "both")],
        ..Seen::default()
    };
    let all = back(&seen);
    assert!(
        all[0].starts_with(
            "helm upgrade both chart --namespace es --reuse-values --set externalSecrets.enabled=false"
        ),
        "{all:?}"
    );
    assert!(
        !all.iter().any(|line| line.contains("uninstall")),
        "{all:?}"
    );
    assert!(
        !all.iter()
            .any(|line| line.contains("scale deployment ours"))
    );
    // A release with more in it is no release of our chart.
    seen.other_releases = [("es".to_owned(), "both".to_owned())].into();
    let all = back(&seen);
    assert!(
        all[0].contains("--enable-external-secrets=false"),
        "{all:?}"
    );
}

#[test]
fn a_release_that_holds_upstreams_program_beside_ours_is_not_removed() {
    let args = ["external-secrets"];
    let seen = Seen {
        workloads: vec![
            stopped(operator("es")),
            workload("es", "ours", "x/sealwright-controller:1", "es", &args),
        ],
        ..Seen::default()
    };
    let all = back(&seen);
    assert!(
        all[0].starts_with("kubectl scale deployment ours"),
        "{all:?}"
    );
    assert!(!all.iter().any(|line| line.starts_with("helm")), "{all:?}");
}
