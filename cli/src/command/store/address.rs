//! Store addresses, each a store and a key: `SCHEME:PLACE/KEY[?version=…][#property]`.
//!
//! | word | store |
//! |---|---|
//! | `file:FOLDER/KEY`, `file:FILE.yaml/KEY` | a folder, or the members of a file, which may be encrypted |
//! | `vault://HOST/MOUNT/KEY`, `vault:MOUNT/KEY` | Vault at that host, or at `VAULT_ADDR`; `?mount=a/b`, `?kv=1`, `?namespace=…` |
//! | `openbao://HOST/MOUNT/KEY`, `openbao:MOUNT/KEY` | OpenBao, likewise, with `BAO_ADDR` |
//! | `aws-sm://REGION/KEY`, `aws-ps://REGION/KEY` | AWS Secrets Manager, Parameter Store |
//! | `gcp-sm://PROJECT/SECRET`, `gcp-sm:SECRET` | Google Secret Manager of that project, or of `GOOGLE_CLOUD_PROJECT`; `?location=…` |
//! | `azure-kv://VAULT/NAME` | Azure Key Vault; NAME may be `secret/…`, `key/…` or `cert/…` |
//!
//! In PLACE, KEY and property, `%` and two hexadecimal digits stand for a byte: `%23` for `#`, `%3F` for `?`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sealwright_providers::address::Guard;
#[cfg(feature = "azure")]
use sealwright_providers::azure::connect_as_user;
use sealwright_providers::credential::held::Held;
use sealwright_providers::remote::RemoteRef;
use sealwright_providers::store::{Connection, StoreConfig};

use super::{Opened, files, told};
use crate::command::Settings;
use crate::error::{Error, Kind, Result};
use crate::world::World;

/// A store address: a store and a key.
#[derive(Debug)]
pub(crate) struct Address {
    scheme: Scheme,
    host: Option<String>,
    path: String,
    options: BTreeMap<String, String>,
    property: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scheme {
    File,
    Vault,
    OpenBao,
    SecretsManager,
    ParameterStore,
    Google,
    Azure,
}

const SCHEMES: [(&str, Scheme); 7] = [
    ("file", Scheme::File),
    ("vault", Scheme::Vault),
    ("openbao", Scheme::OpenBao),
    ("aws-sm", Scheme::SecretsManager),
    ("aws-ps", Scheme::ParameterStore),
    ("gcp-sm", Scheme::Google),
    ("azure-kv", Scheme::Azure),
];

impl Address {
    /// Reads a word; nothing when it does not begin with a known scheme, and so is a plain key.
    pub(crate) fn parse(word: &str) -> Option<Result<Self>> {
        let (scheme, rest) = word.split_once(':')?;
        let (_, scheme) = SCHEMES.iter().find(|(name, _)| *name == scheme)?;
        Some(Self::read(*scheme, rest))
    }

    fn read(scheme: Scheme, rest: &str) -> Result<Self> {
        let usage = |text: &str| Error::new(Kind::Usage, text.to_owned());
        let (rest, property) = match rest.split_once('#') {
            Some((rest, property)) => (rest, Some(unescape(property)?)),
            None => (rest, None),
        };
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let mut options = BTreeMap::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            if !matches!(name, "version" | "mount" | "kv" | "namespace" | "location") {
                return Err(
                    usage(&format!("the option {name:?} of the address is not known"))
                        .hint("there are version, mount, kv, namespace and location"),
                );
            }
            options.insert(name.to_owned(), unescape(value)?);
        }
        let (host, path) = match rest.strip_prefix("//") {
            Some(rest) if scheme != Scheme::File => {
                let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
                (Some(host.to_owned()).filter(|host| !host.is_empty()), path)
            }
            Some(rest) => (None, rest),
            None => (None, rest),
        };
        let path = unescape(path)?;
        if path.is_empty() {
            return Err(usage("the address names no key"));
        }
        Ok(Self {
            scheme,
            host,
            path,
            options,
            property: property.filter(|property| !property.is_empty()),
        })
    }

    /// Opens the store, and says which key in it is meant.
    pub(crate) async fn open(
        &self,
        world: &World,
        settings: &Settings,
    ) -> Result<(Opened, RemoteRef)> {
        let held = Held::default();
        let mut base = PathBuf::from(".");
        let (config, key) = match self.scheme {
            Scheme::File => {
                let (place, key) = self.split_file()?;
                base = std::env::current_dir().unwrap_or(base);
                let path = place.to_string_lossy().into_owned();
                (serde_json::json!({"file": {"path": path}}), key)
            }
            Scheme::Vault | Scheme::OpenBao => self.vault(&held)?,
            Scheme::SecretsManager | Scheme::ParameterStore => self.aws()?,
            Scheme::Google => self.google(),
            Scheme::Azure => (serde_json::Value::Null, self.path.clone()),
        };
        if self.scheme == Scheme::Azure {
            return self.azure(key);
        }
        let config: StoreConfig = serde_json::from_value(config)
            .map_err(|error| Error::generic("the address makes no store").because(error))?;
        let connection = Connection {
            credentials: Arc::new(held),
            files: Some(files(world, settings, &base)),
            guard: Guard::Open,
            ..Connection::default()
        };
        let provider = config.provider();
        let store = config
            .connect(&connection)
            .await
            .map_err(|error| told(&error))?;
        Ok((Opened { store, provider }, self.reference(key)))
    }

    fn reference(&self, key: String) -> RemoteRef {
        RemoteRef::new(key)
            .property(self.property.clone().unwrap_or_default())
            .version(self.options.get("version").cloned().unwrap_or_default())
    }

    /// Splits a path into the store and the key: at the first part that is a file, or at the last slash.
    fn split_file(&self) -> Result<(PathBuf, String)> {
        let path = Path::new(&self.path);
        let parts: Vec<&str> = self.path.split('/').collect();
        let mut prefix = PathBuf::new();
        for (at, part) in parts.iter().enumerate() {
            if at == 0 && part.is_empty() {
                prefix.push("/");
                continue;
            }
            prefix.push(part);
            if prefix.is_file() && at + 1 < parts.len() {
                return Ok((prefix, parts[at + 1..].join("/")));
            }
        }
        let name = path.file_name().and_then(|name| name.to_str());
        let name = name.ok_or_else(|| Error::new(Kind::Usage, "the address names no key"))?;
        let folder = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        Ok((folder.unwrap_or(Path::new(".")).to_owned(), name.to_owned()))
    }

    fn vault(&self, held: &Held) -> Result<(serde_json::Value, String)> {
        let variable = |names: &[&str]| {
            names
                .iter()
                .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
        };
        let bao = self.scheme == Scheme::OpenBao;
        let pick = |own: &'static str, other: &'static str| {
            if bao {
                variable(&[own, other])
            } else {
                variable(&[other])
            }
        };
        let server = match &self.host {
            Some(host) => format!("https://{host}"),
            None => pick("BAO_ADDR", "VAULT_ADDR").ok_or_else(|| {
                Error::new(
                    Kind::Usage,
                    "the address names no host, and VAULT_ADDR is not set",
                )
            })?,
        };
        let (mount, key) = match self.options.get("mount") {
            Some(mount) => {
                let inside = self
                    .path
                    .strip_prefix(mount.as_str())
                    .and_then(|rest| rest.strip_prefix('/'));
                (mount.clone(), inside.unwrap_or(&self.path).to_owned())
            }
            None => match self.path.split_once('/') {
                Some((mount, key)) => (mount.to_owned(), key.to_owned()),
                None => {
                    return Err(Error::new(
                        Kind::Usage,
                        "the address names a mount path and no key in it",
                    )
                    .hint("write it as vault://HOST/MOUNT/KEY"));
                }
            },
        };
        let version = match self.options.get("kv").map(String::as_str) {
            None | Some("2" | "v2") => "v2",
            Some("1" | "v1") => "v1",
            Some(_) => return Err(Error::new(Kind::Usage, "the option kv must be 1 or 2")),
        };
        let token = match pick("BAO_TOKEN", "VAULT_TOKEN") {
            Some(token) => Some(sealwright_crypto::secret::SecretBytes::from(
                token.into_bytes(),
            )),
            None => std::env::home_dir()
                .and_then(|home| super::read(&home.join(".vault-token")).ok())
                .map(|token| {
                    let text = token.expose().trim_ascii();
                    sealwright_crypto::secret::SecretBytes::copy_of(text)
                }),
        };
        let mut store = serde_json::json!({"server": server, "path": mount, "version": version});
        if let Some(token) = token {
            held.put("VAULT_TOKEN", "token", token.expose());
            let reference = serde_json::json!({"name": "VAULT_TOKEN", "key": "token"});
            store["auth"] = serde_json::json!({"tokenSecretRef": reference});
        }
        let namespace = self.options.get("namespace").cloned();
        if let Some(namespace) = namespace.or_else(|| pick("BAO_NAMESPACE", "VAULT_NAMESPACE")) {
            store["namespace"] = namespace.into();
        }
        if let Some(path) = pick("BAO_CACERT", "VAULT_CACERT") {
            let bundle = super::read(Path::new(&path))?;
            store["caBundle"] = String::from_utf8_lossy(bundle.expose()).into_owned().into();
        }
        let name = if bao { "openBao" } else { "vault" };
        Ok((serde_json::json!({ name: store }), key))
    }

    fn aws(&self) -> Result<(serde_json::Value, String)> {
        let region = self.host.clone().or_else(|| {
            ["AWS_REGION", "AWS_DEFAULT_REGION"]
                .iter()
                .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
        });
        let region = region.ok_or_else(|| {
            Error::new(
                Kind::Usage,
                "the address names no region, and AWS_REGION is not set",
            )
            .hint("write it as aws-sm://REGION/KEY")
        })?;
        let (service, key) = match self.scheme {
            Scheme::SecretsManager => ("SecretsManager", self.path.clone()),
            // Names of parameters with slashes begin with one.
            _ if self.path.contains('/') => ("ParameterStore", format!("/{}", self.path)),
            _ => ("ParameterStore", self.path.clone()),
        };
        let store = serde_json::json!({"aws": {"service": service, "region": region}});
        Ok((store, key))
    }
}

impl Address {
    fn google(&self) -> (serde_json::Value, String) {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let project = self
            .host
            .clone()
            .or_else(|| variable("GOOGLE_CLOUD_PROJECT"))
            .or_else(|| variable("CLOUDSDK_CORE_PROJECT"));
        let mut store = serde_json::json!({});
        if let Some(project) = project {
            store["projectID"] = project.into();
        }
        if let Some(location) = self.options.get("location") {
            store["location"] = location.clone().into();
        }
        (serde_json::json!({ "gcpsm": store }), self.path.clone())
    }

    #[cfg(not(feature = "azure"))]
    fn azure(&self, _: String) -> Result<(Opened, RemoteRef)> {
        Err(Error::generic("this build has no provider azurekv"))
    }

    /// A vault with the credentials that Azure's own programs find.
    #[cfg(feature = "azure")]
    fn azure(&self, key: String) -> Result<(Opened, RemoteRef)> {
        let vault = self.host.as_deref().ok_or_else(|| {
            Error::new(Kind::Usage, "the address names no vault")
                .hint("write it as azure-kv://VAULT/NAME")
        })?;
        let host = match vault.contains('.') {
            true => vault.to_owned(),
            false => format!("{vault}.vault.azure.net"),
        };
        let store = connect_as_user(&format!("https://{host}")).map_err(|error| told(&error))?;
        let provider = "azurekv";
        Ok((Opened { store, provider }, self.reference(key)))
    }
}

/// Replaces `%` and two hexadecimal digits by their byte.
fn unescape(text: &str) -> Result<String> {
    let wrong = || {
        Error::new(
            Kind::Usage,
            "`%` in an address stands before two hexadecimal digits",
        )
    };
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        if *first != b'%' {
            bytes.push(*first);
            rest = tail;
            continue;
        }
        let digits = tail
            .get(..2)
            .and_then(|digits| std::str::from_utf8(digits).ok());
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(byte.ok_or_else(wrong)?);
        rest = &tail[2..];
    }
    String::from_utf8(bytes).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(word: &str) -> Address {
        Address::parse(word).unwrap().unwrap()
    }

    #[test]
    fn a_word_names_a_store_a_key_a_version_and_a_property() {
        let address = parse("vault://v.example:8200/secret/app/db?version=3&kv=2#user.name");
        assert_eq!(address.scheme, Scheme::Vault);
        assert_eq!(address.host.as_deref(), Some("v.example:8200"));
        assert_eq!(address.path, "secret/app/db");
        assert_eq!(address.options["version"], "3");
        assert_eq!(address.property.as_deref(), Some("user.name"));
        assert_eq!(parse("vault:secret/db").host, None);
        let google = parse("gcp-sm://shop/db?location=europe-west1");
        assert_eq!(google.host.as_deref(), Some("shop"));
        let (store, key) = google.google();
        assert_eq!(store["gcpsm"]["projectID"], "shop");
        assert_eq!(store["gcpsm"]["location"], "europe-west1");
        assert_eq!(key, "db");
        assert_eq!(parse("azure-kv://shop/cert/web").path, "cert/web");
        assert_eq!(parse("file:a%23b/c%20d#p%23q").path, "a#b/c d");
        assert!(Address::parse("app/db").is_none());
        assert!(Address::parse("other:x").is_none());
        for bad in ["vault:", "vault://h", "vault:a/b?x=1", "file:a%zz"] {
            assert!(Address::parse(bad).unwrap().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_first_file_on_the_way_is_the_store() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("keys")).unwrap();
        std::fs::File::create(folder.path().join("all.yaml")).unwrap();
        std::fs::File::create(folder.path().join("keys/db")).unwrap();
        let split = |inside: &str| {
            let word = format!("file:{}/{inside}", folder.path().display());
            let (place, key) = parse(&word).split_file().unwrap();
            let place = place.strip_prefix(folder.path()).unwrap().to_owned();
            (place.to_string_lossy().into_owned(), key)
        };
        assert_eq!(
            split("all.yaml/app/db"),
            ("all.yaml".into(), "app/db".into())
        );
        assert_eq!(split("keys/db"), ("keys".into(), "db".into()));
        assert_eq!(split("keys/none"), ("keys".into(), "none".into()));
    }
}
