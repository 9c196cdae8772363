//! What single values of the chart do.

use std::process::Command;

use sealwright_tests::harness::cluster::run;
use sealwright_tests::harness::{programs, upstream};

use super::helm::{EVERYTHING, FURNISHED, NAMESPACED, chart, helm_ok, rendered, template};

#[test]
fn the_chart_passes_lint_and_its_crds_are_those_of_the_program() {
    let chart = chart();
    for values in ["replicaCount=1", EVERYTHING, NAMESPACED] {
        helm_ok(&[
            "lint",
            "--strict",
            "--kube-version=1.33.0",
            &chart,
            "--set",
            values,
        ]);
    }
    let printed = run(
        Command::new(programs::sealwright_controller()).arg("crd"),
        b"",
    );
    let shipped = include_bytes!("../../../../deploy/chart/files/crds.yaml");
    assert!(
        printed.stdout == shipped,
        "write it again: sealwright-controller crd > deploy/chart/files/crds.yaml"
    );
}

#[test]
fn values_that_mean_nothing_are_refused() {
    for (values, reason) in [
        ("replicaCont=3", "replicaCont"),
        ("metrics.serviceMonitor.enable=true", "enable"),
        ("replicaCount=many", "replicaCount"),
        ("image.pullPolicy=Sometimes", "pullPolicy"),
        ("containerPorts.http=0", "http"),
        ("additionalNamespaces=a", "additionalNamespaces"),
    ] {
        let output = template(&["--set", values]);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            !output.status.success() && error.contains(reason),
            "{values}: {error}"
        );
    }
}

#[test]
fn a_disruption_budget_says_what_the_values_say_and_lets_a_single_replica_go() {
    let budget = |values: &str| {
        // With the NetworkPolicy there is always something to show.
        let values = format!("networkPolicy.enabled=true,{values}");
        let output = template(&["--show-only=templates/policies.yaml", "--set", &values]);
        assert!(output.status.success(), "{values}");
        let text = String::from_utf8(output.stdout).unwrap();
        let line = text
            .lines()
            .map(str::trim)
            .find(|line| line.starts_with("minAvailable:") || line.starts_with("maxUnavailable:"));
        line.map(str::to_owned)
    };
    for (values, wanted) in [
        ("pdb.create=true", Some("minAvailable: 1")),
        ("pdb.minAvailable=50%", Some("minAvailable: 50%")),
        ("pdb.maxUnavailable=1", Some("maxUnavailable: 1")),
        ("pdb.maxUnavailable=0", Some("maxUnavailable: 0")),
        ("pdb.maxUnavailable=50%", Some("maxUnavailable: 50%")),
        ("pdb.maxUnavailable=null", Some("minAvailable: 1")),
        ("pdb.create=false", None),
        ("replicaCount=1", None),
        ("replicaCount=1,pdb.maxUnavailable=1", None),
    ] {
        assert_eq!(budget(values).as_deref(), wanted, "{values}");
    }
}

#[test]
fn roles_of_single_namespaces_are_in_the_controllers_own_unless_others_are_named() {
    for (named, namespaces) in [("", &["here"][..]), (r"a\, b", &["a", "b"][..])] {
        let values =
            format!("externalSecrets.enabled=true,scopedRBAC=true,scopedNamespace={named}");
        let text = rendered("external-secrets.yaml", &values);
        let lines = text.lines();
        let places: Vec<&str> = lines
            .filter_map(|line| line.strip_prefix("  namespace: "))
            .collect();
        // The Roles, and then their bindings.
        assert_eq!(places, [namespaces, namespaces].concat());
        assert!(!text.contains("kind: ClusterRole"), "{text}");
        let flag = format!("- --namespace={}\n", namespaces.join(","));
        let text = rendered("deployment.yaml", &values);
        assert!(text.contains(&flag), "{text}");
    }
}

#[test]
fn a_pod_has_what_it_is_given_beside_what_the_chart_gives_it() {
    let text = rendered("deployment.yaml", FURNISHED);
    for part in [
        "    seen: here\n",
        "            - name: SSL_CERT_FILE\n              value: /ca/ca.crt\n",
        "            - mountPath: /ca\n              name: ca\n",
        "            - mountPath: /etc/sealwright/refresh-tls\n",
        "        - image: i\n          name: beside\n",
        "      initContainers:\n        - image: i\n          name: before\n",
        "            name: of-vault\n          name: ca\n",
        "            secretName: of-refresh\n",
        "      dnsConfig:\n        nameservers:\n        - 10.0.0.1\n",
        "          - vault\n          ip: 10.0.0.2\n",
        "      schedulerName: other\n",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
}

#[test]
fn openshift_chooses_users_and_groups() {
    let chosen = |more: &[&str]| {
        let output = template(&[more, &["--show-only=templates/deployment.yaml"]].concat());
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{error}");
        let text = String::from_utf8(output.stdout).unwrap();
        // The rest of the profile `restricted` stays.
        assert!(text.contains("runAsNonRoot: true") && text.contains("type: RuntimeDefault"));
        text.contains("runAsUser:") || text.contains("fsGroup:")
    };
    let here = "--api-versions=security.openshift.io/v1";
    let adapt =
        |how: &str| format!("--set=global.compatibility.openshift.adaptSecurityContext={how}");
    assert!(chosen(&[]));
    assert!(!chosen(&[here]));
    assert!(!chosen(&[&adapt("force")]));
    assert!(chosen(&[here, &adapt("disabled")]));
    assert!(chosen(&["--set=global.of=others"]));
}

#[test]
fn an_image_is_named_in_one_value_or_in_several() {
    for (values, image) in [
        (
            "image.registry=r.example.com,image.repository=a/b,image.tag=v1",
            "r.example.com/a/b:v1",
        ),
        (
            "image.registry=,image.repository=r.example.com/a/b,image.tag=v1",
            "r.example.com/a/b:v1",
        ),
    ] {
        let text = rendered("deployment.yaml", values);
        assert!(text.contains(&format!("image: \"{image}\"\n")), "{text}");
    }
}

#[test]
fn a_constraint_of_the_topology_without_a_selector_counts_the_controllers_pods() {
    let labels = |values: &str| {
        let constraint = "topologySpreadConstraints[0].topologyKey=zone";
        let text = rendered("deployment.yaml", &format!("{constraint}{values}"));
        let (_, constraints) = text.split_once("topologySpreadConstraints:").unwrap();
        let (constraints, _) = constraints.split_once("containers:").unwrap();
        let lines = constraints.lines().map(str::trim);
        let labels = lines.filter(|line| line.starts_with("app"));
        labels.map(str::to_owned).collect::<Vec<_>>()
    };
    let own = [
        "app.kubernetes.io/name: sealwright",
        "app.kubernetes.io/instance: release",
    ];
    assert_eq!(labels(""), own);
    let other = ",topologySpreadConstraints[0].labelSelector.matchLabels.app=other";
    assert_eq!(labels(other), ["app: other"]);
}

#[test]
fn services_have_valid_names_however_long_that_of_the_release_is() {
    let long = "a".repeat(63);
    let text = rendered("services.yaml", &format!("fullnameOverride={long}"));
    let names: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("  name: "))
        .collect();
    assert_eq!(names, [long.as_str(), &format!("{}-metrics", &long[..55])]);
}

#[test]
fn the_network_policy_lets_the_controller_reach_the_api_server() {
    let ports = |values: &str| {
        let values =
            format!("networkPolicy.enabled=true,networkPolicy.egress.enabled=true{values}");
        let text = rendered("policies.yaml", &values);
        let (_, egress) = text.split_once("  egress:\n").unwrap();
        let (to_api_server, _) = egress.split_once("- port: 53\n").unwrap();
        let lines = to_api_server.lines();
        let ports = lines.filter_map(|line| line.trim().strip_prefix("- port: "));
        ports.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(ports(""), ["443", "6443"]);
    assert_eq!(ports(",networkPolicy.egress.kubeapiPort=8443"), ["8443"]);
}

#[test]
fn only_namespaces_that_are_named_are_looked_up() {
    for (values, rule) in [
        ("rbac.clusterRole=true", None),
        ("additionalNamespaces={a,b}", Some(r#"["a","b"]"#)),
    ] {
        let text = rendered("rbac.yaml", values);
        let found = text.split_once("resources: [namespaces]\n");
        let names = found.and_then(|(_, rest)| rest.lines().next());
        let names = names.and_then(|line| line.trim().strip_prefix("resourceNames: "));
        assert_eq!(names, rule, "{text}");
    }
}

#[test]
fn the_controllers_account_may_have_its_token_reviewed_where_that_is_asked_for() {
    for (is_on, bindings) in [(true, 1), (false, 0)] {
        let values = format!("externalSecrets.enabled=true,systemAuthDelegator={is_on}");
        let text = rendered("external-secrets.yaml", &values);
        let role = "  name: system:auth-delegator\n";
        assert_eq!(text.matches(role).count(), bindings, "{text}");
    }
}

#[test]
fn a_flag_that_is_off_grants_nothing() {
    for (value, is_on) in [("true", true), ("1", true), ("false", false)] {
        let text = rendered("rbac.yaml", &format!("extraArgs.old-gc-behavior={value}"));
        assert_eq!(text.contains("create, update, delete]"), is_on, "{value}");
        let values = format!("externalSecrets.enabled=true,extraArgs.metrics-auth={value}");
        let text = rendered("external-secrets.yaml", &values);
        assert_eq!(text.contains("tokenreviews"), is_on, "{value}");
    }
}

/// What kustomize users apply for ExternalSecrets is what the chart makes, without what is Helm's.
#[test]
fn the_folder_for_kustomize_is_what_the_chart_renders() {
    let values = "externalSecrets.enabled=true,sealedSecrets.enabled=false,crds.create=false";
    let text = helm_ok(&[
        "template",
        "sealwright",
        &chart(),
        "--namespace=external-secrets",
        "--kube-version=1.33.0",
        "--set",
        values,
    ]);
    let is_helms = |line: &&str| {
        !line.trim_start().starts_with("helm.sh/chart:")
            && !line.contains("app.kubernetes.io/managed-by: Helm")
            && !line.starts_with("# Source")
    };
    let lines: Vec<&str> = text.lines().filter(is_helms).collect();
    let head = "# Written from the chart with `helm template`, without what is Helm's own.";
    let wanted = format!("{head}\n{}\n", lines.join("\n"));
    let folder = format!("{}/../deploy/external-secrets", env!("CARGO_MANIFEST_DIR"));
    let path = format!("{folder}/controller.yaml");
    if std::env::var_os("SEALWRIGHT_WRITE").is_some() {
        std::fs::write(&path, &wanted).unwrap();
    }
    assert!(
        std::fs::read_to_string(&path).unwrap() == wanted,
        "{path} is not what the chart renders; SEALWRIGHT_WRITE=1 writes it again"
    );
    let output = run(
        Command::new(upstream::kubectl()).args(["kustomize", &folder]),
        b"",
    );
    assert!(output.status.success());
    let objects = String::from_utf8(output.stdout).unwrap();
    let count = |text: &str| {
        text.lines()
            .filter(|line| line.starts_with("kind: "))
            .count()
    };
    let definitions = include_str!("../../../../deploy/external-secrets/crds.yaml");
    assert_eq!(count(&objects), count(&wanted) + count(definitions));
}
