//! The list of stores that manifests can name.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error, IgnoredAny, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Capabilities, Connection, Store};
use crate::credential::{Need, Scope};
use crate::fake::FakeStore;
use crate::file::FileStore;
#[cfg(feature = "clients")]
use crate::kubernetes::KubernetesStore;
use crate::outcome::{StoreError, Trouble, shown};
use crate::settings::aws::{AwsSessionTagsPolicy, AwsSettings};
use crate::settings::azure::AzureSettings;
use crate::settings::doppler::DopplerSettings;
use crate::settings::fake::FakeSettings;
use crate::settings::file::FileSettings;
use crate::settings::gcp::GcpSettings;
use crate::settings::gitlab::GitlabSettings;
use crate::settings::kubernetes::KubernetesSettings;
use crate::settings::onepassword::OnePasswordSettings;
use crate::settings::openbao::OpenBaoSettings;
use crate::settings::vault::VaultSettings;
use crate::settings::webhook::WebhookSettings;
#[cfg(feature = "clients")]
use crate::vault::VaultStore;
#[cfg(feature = "clients")]
use crate::webhook::WebhookStore;

/// The provider part of a store's manifest: exactly one of the providers, with its settings.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum StoreConfig {
    /// AWS Secrets Manager, Parameter Store, Certificate Manager.
    Aws(Box<AwsSettings>),
    /// HashiCorp Vault.
    Vault(Box<VaultSettings>),
    /// OpenBao.
    OpenBao(Box<OpenBaoSettings>),
    /// The Secrets of a cluster.
    Kubernetes(Box<KubernetesSettings>),
    /// Any endpoint that answers over HTTP.
    Webhook(Box<WebhookSettings>),
    /// Values in the manifest.
    Fake(FakeSettings),
    /// A folder or a file.
    File(FileSettings),
    /// Google Secret Manager.
    Gcp(Box<GcpSettings>),
    /// Azure Key Vault.
    Azure(Box<AzureSettings>),
    /// Variables of GitLab.
    Gitlab(Box<GitlabSettings>),
    /// Doppler.
    Doppler(Box<DopplerSettings>),
    /// 1Password Connect.
    OnePassword(Box<OnePasswordSettings>),
    /// A provider that upstream has and this build has not. Its manifests parse, and using it is a clear error.
    Other(OtherProvider),
}

/// A provider that this build does not have.
#[derive(Clone, PartialEq)]
pub struct OtherProvider {
    name: &'static str,
    settings: serde_json::Value,
}

impl OtherProvider {
    /// The name that manifests have for it.
    pub fn name(&self) -> &'static str {
        self.name
    }
}

impl fmt::Debug for OtherProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Some of these providers have credentials in their settings.
        write!(f, "OtherProvider({})", self.name)
    }
}

/// The providers that upstream has or had and this build has not, by the names that manifests have for them.
pub const OTHER_PROVIDERS: &[&str] = &[
    "akeyless",
    "alibaba",
    "barbican",
    "beyondtrust",
    "beyondtrustworkloadcredentials",
    "bitwardensecretsmanager",
    "chef",
    "cloudrusm",
    "conjur",
    "crd",
    "delinea",
    "device42",
    "dvls",
    "fortanix",
    "github",
    "ibm",
    "infisical",
    "keepersecurity",
    "nebiusmysterybox",
    "ngrok",
    "onboardbase",
    "onepasswordSDK",
    "oracle",
    "ovh",
    "passbolt",
    "passworddepot",
    "previder",
    "pulumi",
    "scaleway",
    "secretserver",
    "senhasegura",
    "volcengine",
    "yandexcertificatemanager",
    "yandexlockbox",
];

/// The providers of this build, by the names that manifests have for them.
pub const OWN_PROVIDERS: &[&str] = &[
    #[cfg(feature = "aws")]
    "aws",
    #[cfg(feature = "azure")]
    "azurekv",
    #[cfg(feature = "doppler")]
    "doppler",
    "fake",
    "file",
    #[cfg(feature = "gcp")]
    "gcpsm",
    #[cfg(feature = "gitlab")]
    "gitlab",
    #[cfg(feature = "clients")]
    "kubernetes",
    #[cfg(feature = "onepassword")]
    "onepassword",
    #[cfg(feature = "clients")]
    "openBao",
    #[cfg(feature = "clients")]
    "vault",
    #[cfg(feature = "clients")]
    "webhook",
];

impl StoreConfig {
    /// The name that manifests have for the provider.
    pub fn provider(&self) -> &'static str {
        match self {
            Self::Aws(_) => "aws",
            Self::Azure(_) => "azurekv",
            Self::Gcp(_) => "gcpsm",
            Self::Gitlab(_) => "gitlab",
            Self::Doppler(_) => "doppler",
            Self::OnePassword(_) => "onepassword",
            Self::Vault(_) => "vault",
            Self::OpenBao(_) => "openBao",
            Self::Kubernetes(_) => "kubernetes",
            Self::Webhook(_) => "webhook",
            Self::Fake(_) => "fake",
            Self::File(_) => "file",
            Self::Other(other) => other.name,
        }
    }

    /// What a store of this kind can do, as upstream publishes it in `status.capabilities`.
    pub fn capabilities(&self) -> Capabilities {
        match self {
            Self::OpenBao(_) | Self::Gitlab(_) | Self::Doppler(_) => Capabilities::ReadOnly,
            Self::File(_) => Capabilities::ReadWrite,
            Self::Other(other) => match other.name {
                "github" | "ngrok" => Capabilities::WriteOnly,
                "barbican"
                | "beyondtrustworkloadcredentials"
                | "chef"
                | "cloudrusm"
                | "crd"
                | "delinea"
                | "fortanix"
                | "ibm"
                | "nebiusmysterybox"
                | "onboardbase"
                | "passbolt"
                | "passworddepot"
                | "previder"
                | "pulumi"
                | "senhasegura"
                | "volcengine"
                | "yandexcertificatemanager"
                | "yandexlockbox" => Capabilities::ReadOnly,
                _ => Capabilities::ReadWrite,
            },
            _ => Capabilities::ReadWrite,
        }
    }

    /// Lists what the settings refer to outside of themselves.
    pub fn needs(&self) -> Vec<Need> {
        match self {
            Self::Aws(settings) => settings.needs().finish(),
            Self::Azure(settings) => settings.needs().finish(),
            Self::Gcp(settings) => settings.needs().finish(),
            Self::Gitlab(settings) => settings.needs().finish(),
            Self::Doppler(settings) => settings.needs().finish(),
            Self::OnePassword(settings) => settings.needs().finish(),
            Self::Vault(settings) => settings.needs().finish(),
            Self::OpenBao(settings) => settings.needs().finish(),
            Self::Kubernetes(settings) => settings.needs().finish(),
            Self::Webhook(settings) => settings.needs().finish(),
            Self::Fake(_) | Self::File(_) | Self::Other(_) => Vec::new(),
        }
    }

    /// Returns true if the store tells its server for whom it asks. Then its consumers cannot share one that has signed in, wherever
    /// its credentials lie.
    pub fn tells_consumer(&self) -> bool {
        let Self::Aws(settings) = self else {
            return false;
        };
        let role = settings.role.as_deref().unwrap_or_default();
        let policy = settings.session_tags_policy.unwrap_or_default();
        !role.is_empty() && policy != AwsSessionTagsPolicy::None
    }

    /// Checks the settings without any network, and returns warnings for the author of the manifest.
    ///
    /// # Errors
    ///
    /// Says what is wrong; the text may be shown to everyone.
    pub fn check(&self, scope: &Scope) -> Result<Vec<String>, StoreError> {
        match self {
            Self::Aws(settings) => settings.check(scope),
            Self::Azure(settings) => settings.check(scope),
            Self::Gcp(settings) => settings.check(scope),
            Self::Gitlab(settings) => settings.check(scope),
            Self::Doppler(settings) => settings.check(scope),
            Self::OnePassword(settings) => settings.check(scope),
            Self::Vault(settings) => settings.check(scope),
            Self::OpenBao(settings) => settings.check(scope),
            Self::Kubernetes(settings) => settings.check(scope),
            Self::Webhook(settings) => settings.check(scope),
            Self::Fake(settings) => {
                if settings.data.iter().any(|value| value.key.is_empty()) {
                    return Err(StoreError::invalid(
                        "every entry of `data` needs a key that is not empty",
                    )
                    .public());
                }
                if settings.data.iter().any(|value| value.value.is_empty()) {
                    return Err(StoreError::invalid(
                        "every entry of `data` needs a value that is not empty",
                    )
                    .public());
                }
                Ok(Vec::new())
            }
            Self::File(settings) if settings.path.is_empty() => {
                Err(StoreError::invalid("`path` is empty").public())
            }
            Self::File(_) => Ok(Vec::new()),
            Self::Other(other) => Err(missing(other.name)),
        }
    }

    /// Makes a store of the settings. It may sign in at once or at the first call.
    ///
    /// # Errors
    ///
    /// When the settings are wrong, this build has no such provider, or signing in fails.
    pub async fn connect(&self, connection: &Connection) -> Result<Arc<dyn Store>, StoreError> {
        self.check(&connection.scope)?;
        match self {
            Self::Fake(settings) => Ok(Arc::new(FakeStore::new(settings, &connection.scope))),
            Self::File(settings) => Ok(Arc::new(FileStore::new(
                settings,
                connection.files.as_ref(),
            )?)),
            #[cfg(feature = "clients")]
            Self::Vault(settings) => Ok(Arc::new(VaultStore::vault(settings, connection).await?)),
            #[cfg(feature = "clients")]
            Self::Webhook(settings) => Ok(Arc::new(WebhookStore::new(settings, connection).await?)),
            #[cfg(feature = "clients")]
            Self::Kubernetes(settings) => {
                Ok(Arc::new(KubernetesStore::new(settings, connection).await?))
            }
            #[cfg(feature = "clients")]
            Self::OpenBao(settings) => {
                Ok(Arc::new(VaultStore::openbao(settings, connection).await?))
            }
            #[cfg(feature = "aws")]
            Self::Aws(settings) => crate::aws::connect(settings, connection),
            #[cfg(feature = "azure")]
            Self::Azure(settings) => crate::azure::connect(settings, connection),
            #[cfg(feature = "gcp")]
            Self::Gcp(settings) => crate::gcp::connect(settings, connection),
            #[cfg(feature = "gitlab")]
            Self::Gitlab(settings) => Ok(Arc::new(
                crate::gitlab::Gitlab::new(settings, connection).await?,
            )),
            #[cfg(feature = "doppler")]
            Self::Doppler(settings) => Ok(Arc::new(crate::doppler::Doppler::new(
                settings, connection,
            )?)),
            #[cfg(feature = "onepassword")]
            Self::OnePassword(settings) => Ok(Arc::new(crate::onepassword::OnePassword::new(
                settings, connection,
            )?)),
            Self::Other(other) => Err(missing(other.name)),
            #[cfg(not(all(
                feature = "aws",
                feature = "azure",
                feature = "doppler",
                feature = "gcp",
                feature = "gitlab",
                feature = "onepassword",
                feature = "clients"
            )))]
            _ => Err(missing(self.provider())),
        }
    }
}

fn missing(provider: &str) -> StoreError {
    StoreError::new(
        Trouble::Unsupported,
        format!("this build has no provider {provider}"),
    )
    .with_hint(format!(
        "the providers of this build are {}",
        OWN_PROVIDERS.join(", ")
    ))
    .public()
}

impl<'de> Deserialize<'de> for StoreConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Provider;

        impl<'de> Visitor<'de> for Provider {
            type Value = StoreConfig;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object with exactly one provider")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<StoreConfig, M::Error> {
                let mut config: Option<StoreConfig> = None;
                while let Some(name) = map.next_key::<Cow<'de, str>>()? {
                    if let Some(first) = &config {
                        map.next_value::<IgnoredAny>()?;
                        return Err(M::Error::custom(format!(
                            "`provider` names both {} and {}; it must name exactly one",
                            first.provider(),
                            shown(&name)
                        )));
                    }
                    config = Some(match name.as_ref() {
                        "aws" => StoreConfig::Aws(map.next_value()?),
                        "azurekv" => StoreConfig::Azure(map.next_value()?),
                        "gcpsm" => StoreConfig::Gcp(map.next_value()?),
                        "gitlab" => StoreConfig::Gitlab(map.next_value()?),
                        "doppler" => StoreConfig::Doppler(map.next_value()?),
                        "onepassword" => StoreConfig::OnePassword(map.next_value()?),
                        "vault" => StoreConfig::Vault(map.next_value()?),
                        "openBao" => StoreConfig::OpenBao(map.next_value()?),
                        "kubernetes" => StoreConfig::Kubernetes(map.next_value()?),
                        "webhook" => StoreConfig::Webhook(map.next_value()?),
                        "fake" => StoreConfig::Fake(map.next_value()?),
                        "file" => StoreConfig::File(map.next_value()?),
                        name => match OTHER_PROVIDERS.iter().find(|other| **other == name) {
                            Some(name) => StoreConfig::Other(OtherProvider {
                                name,
                                settings: map.next_value()?,
                            }),
                            None => {
                                return Err(M::Error::custom(format!(
                                    "there is no provider {}; those of this build are {}",
                                    shown(name),
                                    OWN_PROVIDERS.join(", ")
                                )));
                            }
                        },
                    });
                }
                config.ok_or_else(|| M::Error::custom("`provider` names no provider"))
            }
        }

        deserializer.deserialize_map(Provider)
    }
}

impl Serialize for StoreConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        let name = self.provider();
        match self {
            Self::Aws(settings) => map.serialize_entry(name, settings)?,
            Self::Azure(settings) => map.serialize_entry(name, settings)?,
            Self::Gcp(settings) => map.serialize_entry(name, settings)?,
            Self::Gitlab(settings) => map.serialize_entry(name, settings)?,
            Self::Doppler(settings) => map.serialize_entry(name, settings)?,
            Self::OnePassword(settings) => map.serialize_entry(name, settings)?,
            Self::Vault(settings) => map.serialize_entry(name, settings)?,
            Self::OpenBao(settings) => map.serialize_entry(name, settings)?,
            Self::Kubernetes(settings) => map.serialize_entry(name, settings)?,
            Self::Webhook(settings) => map.serialize_entry(name, settings)?,
            Self::Fake(settings) => map.serialize_entry(name, settings)?,
            Self::File(settings) => map.serialize_entry(name, settings)?,
            Self::Other(other) => map.serialize_entry(name, &other.settings)?,
        }
        map.end()
    }
}

impl JsonSchema for StoreConfig {
    fn schema_name() -> Cow<'static, str> {
        "Provider".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut properties = serde_json::Map::new();
        let mut add = |name: &str, schema: Schema| {
            properties.insert(name.to_owned(), schema.into());
        };
        add("aws", generator.subschema_for::<AwsSettings>());
        add("azurekv", generator.subschema_for::<AzureSettings>());
        add("doppler", generator.subschema_for::<DopplerSettings>());
        add("fake", generator.subschema_for::<FakeSettings>());
        add("file", generator.subschema_for::<FileSettings>());
        add("gcpsm", generator.subschema_for::<GcpSettings>());
        add("gitlab", generator.subschema_for::<GitlabSettings>());
        add(
            "kubernetes",
            generator.subschema_for::<KubernetesSettings>(),
        );
        add(
            "onepassword",
            generator.subschema_for::<OnePasswordSettings>(),
        );
        add("openBao", generator.subschema_for::<OpenBaoSettings>());
        add("vault", generator.subschema_for::<VaultSettings>());
        add("webhook", generator.subschema_for::<WebhookSettings>());
        for name in OTHER_PROVIDERS {
            add(
                name,
                json_schema!({
                    "description": "A provider that this program does not have.",
                    "type": "object",
                    "x-kubernetes-preserve-unknown-fields": true,
                }),
            );
        }
        json_schema!({
            "description": "The provider: exactly one.",
            "type": "object",
            "properties": properties,
            "minProperties": 1,
            "maxProperties": 1,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credential::{NeededObject, StoreKind};

    fn parse(text: &str) -> Result<StoreConfig, serde_json::Error> {
        serde_json::from_str(text)
    }

    #[test]
    fn exactly_one_provider_is_named() {
        let error = parse("{}").unwrap_err().to_string();
        assert!(error.contains("names no provider"), "{error}");
        let both = r#"{"fake": {"data": []}, "file": {"path": "x"}}"#;
        let error = parse(both).unwrap_err().to_string();
        assert!(error.contains("both fake and file"), "{error}");
        let error = parse(r#"{"valut": {}}"#).unwrap_err().to_string();
        assert!(error.contains("no provider valut"), "{error}");
    }

    #[test]
    fn providers_of_other_builds_parse_and_are_refused_by_name() {
        for name in OTHER_PROVIDERS {
            let text = format!(r#"{{"{name}": {{"projectID": "p", "auth": {{}}}}}}"#);
            let config = parse(&text).unwrap();
            assert_eq!(config.provider(), *name);
            let error = config.check(&Scope::default()).unwrap_err();
            assert_eq!(error.trouble(), Trouble::Unsupported);
            assert!(error.to_string().contains(name), "{error}");
            let back: serde_json::Value = serde_json::to_value(&config).unwrap();
            assert_eq!(
                back,
                serde_json::from_str::<serde_json::Value>(&text).unwrap()
            );
        }
    }

    #[test]
    fn vault_settings_have_upstreams_fields() {
        let text = r#"{"vault": {
            "server": "https://v:8200", "path": "secret", "version": "v1", "namespace": "team",
            "caProvider": {"type": "ConfigMap", "name": "ca", "key": "ca.crt"},
            "tls": {"certSecretRef": {"name": "c"}, "keySecretRef": {"name": "c"}},
            "readYourWrites": true, "forwardInconsistent": true, "headers": {"X-A": "b"},
            "checkAndSet": {"required": false},
            "auth": {"namespace": "admin",
                "appRole": {"roleId": "r", "secretRef": {"name": "s", "key": "id"}},
                "kubernetes": {"mountPath": "k8s", "role": "r", "serviceAccountRef": {"name": "sa", "audiences": ["v"]}},
                "iam": {"vaultRole": "v", "externalID": "e", "vaultAwsIamServerID": "i",
                    "secretRef": {"accessKeyIDSecretRef": {"name": "a"}, "secretAccessKeySecretRef": {"name": "b"}}},
                "gcp": {"role": "g", "projectID": "p", "workloadIdentity": {"serviceAccountRef": {"name": "w"}, "clusterProjectID": "c"}},
                "jwt": {"role": "j", "kubernetesServiceAccountToken": {"serviceAccountRef": {"name": "t"}}},
                "userPass": {"username": "u", "secretRef": {"name": "p", "key": "p"}}}}}"#;
        let config = parse(text).unwrap();
        let StoreConfig::Vault(vault) = &config else {
            panic!("it is a Vault")
        };
        let auth = vault.auth.as_ref().unwrap();
        assert_eq!(auth.app_role.as_ref().unwrap().path, "approle");
        assert_eq!(auth.iam.as_ref().unwrap().server_id.as_deref(), Some("i"));
        let needs = config.needs();
        assert!(
            needs
                .iter()
                .any(|need| need.field == "auth.appRole.secretRef")
        );
        assert!(needs.iter().all(Need::depends_on_consumer));
        assert!(matches!(
            needs
                .iter()
                .find(|need| need.field == "caProvider")
                .unwrap()
                .object,
            NeededObject::ConfigMap { .. }
        ));
        let again: StoreConfig =
            serde_json::from_value(serde_json::to_value(&config).unwrap()).unwrap();
        assert_eq!(again, config);
    }

    #[test]
    fn entries_of_a_fake_store_have_keys_and_values() {
        let checked = |data: &str| {
            let config = parse(&format!(r#"{{"fake": {{"data": [{data}]}}}}"#)).unwrap();
            config.check(&Scope::default())
        };
        assert!(checked(r#"{"key": "k", "value": "v"}"#).is_ok());
        for (data, what) in [
            (r#"{"key": "", "value": "v"}"#, "a key"),
            (r#"{"key": "k", "value": ""}"#, "a value"),
        ] {
            let error = checked(data).unwrap_err();
            assert!(error.reason().contains(what), "{error}");
        }
    }

    #[test]
    fn sessions_with_tags_of_a_policy_tell_who_asks() {
        let tells = |more: &str| {
            let text = format!(
                r#"{{"aws": {{"service": "SecretsManager", "region": "eu-west-1"{more}}}}}"#
            );
            parse(&text).unwrap().tells_consumer()
        };
        assert!(tells(r#", "role": "r", "sessionTagsPolicy": "Simple""#));
        assert!(tells(r#", "role": "r", "sessionTagsPolicy": "Custom""#));
        for silent in [
            "",
            r#", "role": "r""#,
            r#", "role": "r", "sessionTagsPolicy": "None""#,
            r#", "role": "", "sessionTagsPolicy": "Simple""#,
            r#", "sessionTagsPolicy": "Simple""#,
        ] {
            assert!(!tells(silent), "{silent}");
        }
        assert!(!parse(r#"{"fake": {"data": []}}"#).unwrap().tells_consumer());
    }

    #[test]
    fn a_store_of_a_namespace_may_not_refer_to_another_one() {
        let config = parse(
            r#"{"vault": {"server": "https://v", "auth": {"tokenSecretRef": {"name": "t", "key": "k", "namespace": "other"}}}}"#,
        )
        .unwrap();
        let mut scope = Scope {
            store_namespace: "own".into(),
            ..Scope::default()
        };
        let error = config.check(&scope).unwrap_err();
        assert!(error.to_string().contains("auth.tokenSecretRef"), "{error}");
        scope.kind = StoreKind::Cluster;
        config.check(&scope).unwrap();
    }

    #[test]
    fn the_schema_names_every_provider() {
        let schema = schemars::generate::SchemaSettings::draft07()
            .with(|settings| settings.inline_subschemas = true)
            .into_generator()
            .into_root_schema_for::<StoreConfig>();
        let schema = serde_json::to_value(&schema).unwrap();
        let properties = schema["properties"].as_object().unwrap();
        assert_eq!(
            properties.len(),
            OTHER_PROVIDERS.len() + OWN_PROVIDERS.len()
        );
        let vault = &properties["vault"]["properties"];
        assert_eq!(vault["version"]["default"], "v2");
        assert!(
            vault["auth"]
                .to_string()
                .contains("kubernetesServiceAccountToken")
        );
    }
}
