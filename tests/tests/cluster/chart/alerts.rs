//! The alerts of the chart.

use std::path::PathBuf;
use std::process::Command;

use sealwright_tests::harness::cluster::run;
use sealwright_tests::harness::upstream;

use super::helm::rendered;

#[test]
fn a_release_that_is_down_is_missed_though_another_one_is_up() {
    let text = rendered("monitoring.yaml", "metrics.prometheusRule.enabled=true");
    let rule = "expr: absent(sealwright_build_info{namespace=\"here\"})\n";
    assert!(text.contains(rule), "{text}");
}

#[test]
fn alerts_fire_when_they_should_and_every_one_has_a_page() {
    let folder = tempfile_folder();
    let fixtures = format!("{}/fixtures/prometheus", env!("CARGO_MANIFEST_DIR"));
    let rules = include_str!("../../../../deploy/chart/files/rules.yaml");
    std::fs::write(folder.join("rules.yaml"), rules).unwrap();
    std::fs::copy(
        format!("{fixtures}/rules.test.yaml"),
        folder.join("rules.test.yaml"),
    )
    .unwrap();
    let promtool = upstream::promtool();
    for arguments in [
        ["check", "rules", "rules.yaml"],
        ["test", "rules", "rules.test.yaml"],
    ] {
        let output = run(
            Command::new(&promtool).args(arguments).current_dir(&folder),
            b"",
        );
        let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(output.status.success(), "{text}");
    }
    std::fs::remove_dir_all(&folder).unwrap();
    let tests = std::fs::read_to_string(format!("{fixtures}/rules.test.yaml")).unwrap();
    let mut number = 0;
    for alert in rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "))
    {
        number += 1;
        assert!(
            tests.contains(&format!("alertname: {alert}\n")),
            "{alert} is not tested"
        );
        let page = format!(
            "{}/../docs/src/runbooks/{alert}.md",
            env!("CARGO_MANIFEST_DIR")
        );
        assert!(std::path::Path::new(&page).is_file(), "{alert} has no page");
        assert!(
            rules.contains(&format!("/runbooks/{alert}.html")),
            "{alert}"
        );
    }
    assert_eq!(number, 14);
}

fn tempfile_folder() -> PathBuf {
    let folder = std::env::temp_dir().join(format!("sealwright-rules-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    folder
}
