//! The provider part of a manifest: how it is read and written, and its schema.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error, IgnoredAny, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::super::providers::{OTHER_PROVIDERS, OWN_PROVIDERS, OtherProvider};
use super::StoreConfig;
use crate::outcome::shown;
use crate::settings::aws::AwsSettings;
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
