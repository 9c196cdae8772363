//! Resealing of objects.

use super::*;

#[test]
fn t47_resealing_keeps_templates_verbatim_and_imports_no_server_fields() {
    let mut sealed = seal(
        &secret(&[("k", b"v"), ("n", b"w")]),
        &KEYS.old,
        Scope::Strict,
    )
    .unwrap();
    let template = &mut sealed.spec.template;
    template.data = BTreeMap::from([("t".into(), Some("{{ .k }}".into())), ("n".into(), None)]);
    template.metadata.labels = Some([("l".into(), "1".into())].into());
    Scope::ClusterWide.annotate(&mut template.metadata);
    sealed.metadata.resource_version = Some("7".into());
    sealed.metadata.uid = Some("u".into());
    sealed.metadata.labels = Some([("outer".into(), "1".into())].into());
    sealed.status = Some(SealedSecretStatus::default());

    let options = UnsealOptions::default();
    let again = reseal(&sealed, &KEYS.ring, &KEYS.new, Refresh::All, &options).unwrap();
    assert_eq!(again.changed, 2);
    assert_eq!(
        serde_json::to_value(&again.sealed.metadata).unwrap(),
        json!({"name": "name", "namespace": "ns"})
    );
    assert_eq!(
        serde_json::to_value(&again.sealed.spec.template).unwrap(),
        json!({
            "metadata": {"name": "name", "namespace": "ns", "labels": {"l": "1"}},
            "data": {"n": null, "t": "{{ .k }}"},
        })
    );
    assert_eq!(again.sealed.status, None);
    assert_eq!(
        values(&opened(&again.sealed)),
        [("k", &b"v"[..]), ("t", b"v")]
    );
}

#[test]
fn c85_only_a_template_that_contradicts_its_object_is_put_right() {
    let reseal = |sealed: &SealedSecret| {
        let options = UnsealOptions::default();
        reseal(sealed, &KEYS.ring, &KEYS.new, Refresh::All, &options).unwrap()
    };
    for scope in [Scope::Strict, Scope::NamespaceWide, Scope::ClusterWide] {
        let sealed = seal(&secret(&[("k", b"v")]), &KEYS.old, scope).unwrap();
        assert!(!reseal(&sealed).realigned);
        let mut own = sealed.clone();
        own.spec.template.metadata.labels = Some([("l".into(), "1".into())].into());
        own.spec.template.metadata.name = None;
        own.metadata.labels = Some([("argocd".into(), "1".into())].into());
        assert!(!reseal(&own).realigned, "what either may have for itself");

        let mut changed = [sealed.clone(), sealed.clone(), sealed];
        changed[0].spec.template.metadata.name = Some("other".into());
        changed[1].spec.template.metadata.namespace = Some("other".into());
        let mark = match scope {
            Scope::ClusterWide => Scope::Strict,
            _ => Scope::ClusterWide,
        };
        mark.annotate(&mut changed[2].spec.template.metadata);
        for sealed in changed {
            let renewed = reseal(&sealed);
            assert!(renewed.realigned);
            let template = &renewed.sealed.spec.template.metadata;
            assert_eq!(Scope::of(template), scope);
            assert_eq!(template.name, sealed.metadata.name);
            assert_eq!(template.namespace, sealed.metadata.namespace);
        }
    }
}

#[test]
fn resealing_what_is_outdated_keeps_the_other_texts() {
    let mut sealed = seal(&secret(&[("old", b"1")]), &KEYS.old, Scope::Strict).unwrap();
    let fresh = seal(&secret(&[("new", b"2")]), &KEYS.new, Scope::Strict).unwrap();
    sealed
        .spec
        .encrypted_data
        .extend(fresh.spec.encrypted_data.clone());
    let options = UnsealOptions::default();
    let again = reseal(&sealed, &KEYS.ring, &KEYS.new, Refresh::Outdated, &options).unwrap();
    assert_eq!(again.changed, 1);
    assert_eq!(
        again.sealed.spec.encrypted_data["new"],
        fresh.spec.encrypted_data["new"]
    );
    let quiet = reseal(
        &again.sealed,
        &KEYS.ring,
        &KEYS.new,
        Refresh::Outdated,
        &options,
    )
    .unwrap();
    assert_eq!(quiet.changed, 0);
    assert_eq!(quiet.sealed, again.sealed);
}
