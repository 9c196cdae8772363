use futures::executor::block_on;
use std::os::unix::fs::symlink;

use super::*;
use crate::remote::NamePattern;

fn store(base: &Path, path: &str, anywhere: bool) -> Result<FileStore, StoreError> {
    let settings = FileSettings { path: path.into() };
    FileStore::new(
        &settings,
        Some(&Files {
            base: base.to_owned(),
            anywhere,
            decrypt: None,
        }),
    )
}

fn get(store: &FileStore, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
    let found = block_on(store.get(&RemoteRef::new(key)))?.found();
    Ok(found.map(|value| value.expose().to_vec()))
}

#[test]
fn a_folder_has_a_file_for_each_key() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("a/b")).unwrap();
    fs::write(folder.path().join("a/b/key"), b"\xff\0").unwrap();
    fs::write(
        folder.path().join("json"),
        br#"{"x.y": 1, "x": {"z": "deep"}}"#,
    )
    .unwrap();
    let store = store(folder.path(), ".", true).unwrap();
    assert_eq!(get(&store, "a/b/key").unwrap().unwrap(), b"\xff\0");
    assert_eq!(get(&store, "a/b").unwrap(), None);
    assert_eq!(get(&store, "a/b/key/more").unwrap(), None);
    assert_eq!(get(&store, "none").unwrap(), None);
    let property = |name| {
        let at = RemoteRef::new("json").property(name);
        block_on(store.get(&at)).map(|found| found.found().unwrap().expose().to_vec())
    };
    assert_eq!(property("x.y").unwrap(), b"1");
    assert_eq!(property("x.z").unwrap(), b"deep");
    assert_eq!(property("q").unwrap_err().trouble(), Trouble::Missing);
    let find = Find {
        name: Some(NamePattern::new("key").unwrap()),
        ..Find::default()
    };
    let found = block_on(store.find(&find)).unwrap().found().unwrap();
    assert_eq!(found.keys().collect::<Vec<_>>(), ["a/b/key"]);
}

#[test]
fn keys_stay_in_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let inner = folder.path().join("inner");
    fs::create_dir(&inner).unwrap();
    fs::write(folder.path().join("outside"), "canary").unwrap();
    symlink("../outside", inner.join("link")).unwrap();
    symlink("..", inner.join("up")).unwrap();
    let store = store(folder.path(), "inner", true).unwrap();
    for key in [
        "../outside",
        "link",
        "up/outside",
        "/etc/passwd",
        "a/../../outside",
        "",
        "a//b",
        ".",
    ] {
        let error = get(&store, key).unwrap_err();
        assert_eq!(error.trouble(), Trouble::Invalid, "{key}");
    }
    let found = block_on(store.find(&Find::default()))
        .unwrap()
        .found()
        .unwrap();
    assert!(found.is_empty(), "links are not listed");
}

#[test]
fn a_cluster_allows_what_lies_below_its_root_only() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("team")).unwrap();
    symlink("/", folder.path().join("root")).unwrap();
    assert!(store(folder.path(), "team", false).is_ok());
    assert!(store(folder.path(), "/team", false).is_ok());
    for path in ["..", "../x", "root", "root/etc", "/etc"] {
        assert!(store(folder.path(), path, false).is_err(), "{path}");
    }
    let settings = FileSettings {
        path: "team".into(),
    };
    let error = FileStore::new(&settings, None).err().unwrap();
    assert_eq!(error.trouble(), Trouble::Unsupported);
}

#[test]
fn a_file_is_a_map_of_keys() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(
        folder.path().join("all.json"),
        br#"{"a/b": "1", "n": {"x": 2}}"#,
    )
    .unwrap();
    let store = store(folder.path(), "all.json", true).unwrap();
    assert_eq!(get(&store, "a/b").unwrap().unwrap(), b"1");
    assert_eq!(get(&store, "n").unwrap().unwrap(), br#"{"x": 2}"#);
    assert_eq!(get(&store, "q").unwrap(), None);
    fs::remove_file(folder.path().join("all.json")).unwrap();
    let error = get(&store, "q").unwrap_err();
    assert_eq!(
        error.trouble(),
        Trouble::Unavailable,
        "no proof without the file"
    );
}

#[test]
fn pushes_write_only_what_differs() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path(), ".", true).unwrap();
    let source = PushSource {
        data: SecretMap::from([("k".into(), SecretBytes::copy_of(b"v"))]),
        ..PushSource::default()
    };
    let whole = PushItem {
        secret_key: Some("k".into()),
        remote_key: "a/b".into(),
        ..PushItem::default()
    };
    let push = |item: &PushItem, mode| block_on(store.push(&source, item, mode)).unwrap();
    assert_eq!(push(&whole, WriteMode::DryRun), Pushed::Created);
    assert!(!folder.path().join("a").exists());
    assert_eq!(push(&whole, WriteMode::Apply), Pushed::Created);
    assert_eq!(push(&whole, WriteMode::Apply), Pushed::Unchanged);
    assert_eq!(fs::read(folder.path().join("a/b")).unwrap(), b"v");
    let property = PushItem {
        property: Some("p".into()),
        remote_key: "json".into(),
        ..whole.clone()
    };
    assert_eq!(push(&property, WriteMode::Apply), Pushed::Created);
    assert_eq!(
        fs::read(folder.path().join("json")).unwrap(),
        br#"{"p":"v"}"#
    );
    assert_eq!(
        block_on(store.delete(&whole, WriteMode::Apply)).unwrap(),
        Deleted::Key
    );
    assert_eq!(
        block_on(store.delete(&whole, WriteMode::Apply)).unwrap(),
        Deleted::Nothing
    );
}
