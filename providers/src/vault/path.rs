//! Where a key of a KV engine lies.

use crate::outcome::StoreError;
use crate::settings::vault::KvVersion;

/// The engine that a store reads: its mount path, if that is known, and its version.
#[derive(Clone, Debug)]
pub(super) struct Engine {
    pub(super) mount: Option<String>,
    pub(super) version: KvVersion,
    /// Whether a key that begins with the mount path means what is behind it (Vault), or is taken as it is (OpenBao).
    pub(super) strips: bool,
}

impl Engine {
    /// The path of the value of a key.
    pub(super) fn data(&self, key: &str) -> Result<String, StoreError> {
        check(key)?;
        Ok(clean(match (&self.mount, self.version) {
            (Some(mount), KvVersion::V2) => format!("{mount}/data/{}", self.inside(mount, key)),
            (Some(mount), KvVersion::V1) => format!("{mount}/{}", self.inside(mount, key)),
            (None, KvVersion::V1) => key.to_owned(),
            (None, KvVersion::V2) if key.contains("/data/") => key.to_owned(),
            (None, KvVersion::V2) => match key.split_once('/') {
                Some((mount, rest)) => format!("{mount}/data/{rest}"),
                None => {
                    return Err(StoreError::invalid(
                        "the key names no engine: without `path` in the store it begins with the mount path",
                    )
                    .public());
                }
            },
        }))
    }

    /// The path of what is known about a key.
    pub(super) fn metadata(&self, key: &str) -> Result<String, StoreError> {
        let data = self.data(key)?;
        Ok(match (&self.mount, self.version) {
            (_, KvVersion::V1) => data,
            (Some(mount), KvVersion::V2) => {
                let inside = data.strip_prefix(&format!("{mount}/data/")).unwrap_or(key);
                format!("{mount}/metadata/{inside}")
            }
            (None, KvVersion::V2) => data.replacen("/data/", "/metadata/", 1),
        })
    }

    /// Where upstream kept what is known about a key up to 2.13, if that is elsewhere: keys that begin with the mount path
    /// had it twice.
    pub(super) fn doubled_metadata(&self, key: &str) -> Option<String> {
        let mount = self.mount.as_deref()?;
        let doubled = self.version == KvVersion::V2 && self.strips;
        (doubled && key.starts_with(&format!("{mount}/")))
            .then(|| format!("{mount}/metadata/{key}"))
    }

    /// Splits a folder of the engine into what is listed, and what stands before the names of `find`: the mount, and the
    /// folder inside of it.
    pub(super) fn folder(&self, path: &str) -> Result<(String, String), StoreError> {
        check(path)?;
        let path = path.trim_matches('/');
        if let Some(mount) = &self.mount {
            return Ok((mount.clone(), path.to_owned()));
        }
        let whole = format!("{path}/");
        let split = match self.version {
            KvVersion::V1 => whole.split_once('/'),
            // The mount path may have several parts, so it is known only by what follows it.
            KvVersion::V2 => whole.split_once("/data/"),
        };
        match split {
            Some((mount, inside)) if !mount.is_empty() => {
                Ok((mount.to_owned(), inside.trim_end_matches('/').to_owned()))
            }
            _ => Err(StoreError::invalid(
                "`find.path` names no engine: without `path` in the store it begins with the mount path, and `/data/` behind \
                 it in version 2",
            )
            .public()),
        }
    }

    /// The path under which a folder of a mount is listed.
    pub(super) fn listed(&self, mount: &str, inside: &str) -> String {
        let tree = match self.version {
            KvVersion::V1 => mount.to_owned(),
            KvVersion::V2 => format!("{mount}/metadata"),
        };
        if inside.is_empty() {
            tree
        } else {
            format!("{tree}/{inside}")
        }
    }

    /// The path of the value of a name that was listed: without any second thought about its beginning.
    pub(super) fn exact(&self, mount: &str, name: &str) -> String {
        match self.version {
            KvVersion::V1 => format!("{mount}/{name}"),
            KvVersion::V2 => format!("{mount}/data/{name}"),
        }
    }

    fn inside<'a>(&self, mount: &str, key: &'a str) -> &'a str {
        if !self.strips {
            return key;
        }
        let Some(rest) = key
            .strip_prefix(mount)
            .and_then(|rest| rest.strip_prefix('/'))
        else {
            return key;
        };
        match self.version {
            KvVersion::V2 => rest.strip_prefix("data/").unwrap_or(rest),
            KvVersion::V1 => rest,
        }
    }
}

/// Takes out slashes that stand for nothing, as upstream's client does with every path.
fn clean(path: String) -> String {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    parts.join("/")
}

/// Refuses keys that would lead out of the engine.
fn check(key: &str) -> Result<(), StoreError> {
    if key.split('/').any(|part| part == "." || part == "..") {
        return Err(StoreError::invalid("a key must not have parts `.` or `..`").public());
    }
    if key.contains('\0') {
        return Err(StoreError::invalid("a key must not have a NUL character").public());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn engine(mount: Option<&str>, version: KvVersion) -> Engine {
        Engine {
            mount: mount.map(str::to_owned),
            version,
            strips: true,
        }
    }

    #[test]
    fn keys_lie_where_upstream_looks_for_them() {
        use KvVersion::{V1, V2};
        for (mount, version, key, data) in [
            (Some("secret"), V2, "foo", "secret/data/foo"),
            (Some("secret"), V2, "secret/foo", "secret/data/foo"),
            (Some("secret"), V2, "secret/data/foo", "secret/data/foo"),
            (Some("secret"), V2, "data/foo", "secret/data/data/foo"),
            (Some("secret"), V2, "/foo", "secret/data/foo"),
            (Some("secret"), V2, "foo//bar/", "secret/data/foo/bar"),
            (Some("a/b"), V2, "foo", "a/b/data/foo"),
            (Some("secret"), V1, "foo", "secret/foo"),
            (Some("secret"), V1, "secret/foo", "secret/foo"),
            (None, V2, "secret/foo", "secret/data/foo"),
            (None, V2, "team/kv/foo", "team/data/kv/foo"),
            (None, V2, "team/kv/data/foo", "team/kv/data/foo"),
            (None, V1, "secret/foo", "secret/foo"),
        ] {
            assert_eq!(
                engine(mount, version).data(key).unwrap(),
                data,
                "{mount:?} {key}"
            );
        }
        assert!(engine(None, V2).data("foo").is_err());
        for bad in ["../sys/seal", "a/../../b", "./a", "a/.."] {
            assert!(engine(Some("secret"), V2).data(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn folders_of_a_store_without_a_path_name_the_engine() {
        use KvVersion::{V1, V2};
        let folder = |mount, version, path| engine(mount, version).folder(path).ok();
        let pair = |mount: &str, inside: &str| Some((mount.to_owned(), inside.to_owned()));
        assert_eq!(folder(Some("secret"), V2, "a/b/"), pair("secret", "a/b"));
        assert_eq!(folder(None, V2, "team/kv/data/a"), pair("team/kv", "a"));
        assert_eq!(folder(None, V2, "secret/data"), pair("secret", ""));
        assert_eq!(folder(None, V2, "secret/a"), None);
        assert_eq!(folder(None, V1, "kv/a"), pair("kv", "a"));
        assert_eq!(folder(None, V1, ""), None);
    }

    #[test]
    fn metadata_lies_beside_the_data() {
        use KvVersion::{V1, V2};
        for (mount, version, key, metadata) in [
            (Some("secret"), V2, "foo", "secret/metadata/foo"),
            (Some("secret"), V2, "secret/foo", "secret/metadata/foo"),
            (Some("secret"), V2, "secret/data/foo", "secret/metadata/foo"),
            (Some("data"), V2, "foo", "data/metadata/foo"),
            (None, V2, "secret/foo", "secret/metadata/foo"),
            (None, V2, "a/b/data/foo", "a/b/metadata/foo"),
            (Some("secret"), V1, "foo", "secret/foo"),
            (None, V1, "secret/foo", "secret/foo"),
        ] {
            let engine = engine(mount, version);
            assert_eq!(engine.metadata(key).unwrap(), metadata, "{mount:?} {key}");
        }
        let secret = engine(Some("secret"), V2);
        assert_eq!(
            secret.doubled_metadata("secret/foo").as_deref(),
            Some("secret/metadata/secret/foo")
        );
        assert_eq!(secret.doubled_metadata("foo"), None);
    }

    #[test]
    fn openbao_takes_keys_as_they_are() {
        let engine = Engine {
            strips: false,
            ..engine(Some("kv"), KvVersion::V2)
        };
        assert_eq!(engine.data("kv/foo").unwrap(), "kv/data/kv/foo");
        assert_eq!(engine.metadata("kv/foo").unwrap(), "kv/metadata/kv/foo");
    }
}
