//! What identifies a master key of each kind in a file.

use std::collections::BTreeMap;

use sealwright_crypto::master_key::Kind;

use super::MetadataError;
use super::fields::Fields;
use crate::data::Data;

/// A master key without what it wrapped: what the entry of its kind says besides `enc` and `created_at`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum KeyFields {
    /// AWS KMS.
    Kms {
        /// The ARN of a key or an alias.
        arn: String,
        /// The role to assume; empty for none.
        role: String,
        /// The encryption context.
        context: BTreeMap<String, String>,
        /// The shared profile; empty for the one by default.
        aws_profile: String,
    },
    /// Google Cloud KMS.
    GcpKms {
        /// The resource name of the key.
        resource_id: String,
    },
    /// Huawei Cloud KMS.
    HcKms {
        /// `region:key`.
        key_id: String,
    },
    /// Azure Key Vault.
    AzureKv {
        /// The address of the vault.
        vault_url: String,
        /// The name of the key.
        name: String,
        /// Its version; empty in a rule that leaves it to be looked up.
        version: String,
    },
    /// Vault's transit engine.
    HcVault {
        /// The address of the server.
        vault_address: String,
        /// The path at which the engine is mounted.
        engine_path: String,
        /// The name of the key.
        key_name: String,
    },
    /// OpenPGP.
    Pgp {
        /// The fingerprint as it was given, without spaces.
        fingerprint: String,
    },
    /// age.
    Age {
        /// The recipient as it was given.
        recipient: String,
    },
}

impl KeyFields {
    /// The kind of key.
    pub fn kind(&self) -> Kind {
        match self {
            KeyFields::Kms { .. } => Kind::Kms,
            KeyFields::GcpKms { .. } => Kind::GcpKms,
            KeyFields::HcKms { .. } => Kind::HcKms,
            KeyFields::AzureKv { .. } => Kind::AzureKv,
            KeyFields::HcVault { .. } => Kind::HcVault,
            KeyFields::Pgp { .. } => Kind::Pgp,
            KeyFields::Age { .. } => Kind::Age,
        }
    }

    /// The text that tells keys of one kind apart: compared by `updatekeys`, named by reports and by `rotate`'s removals.
    pub fn identity(&self) -> String {
        match self {
            KeyFields::Kms {
                arn,
                role,
                context,
                aws_profile,
            } => {
                let mut text = arn.clone();
                if !role.is_empty() {
                    text.push('+');
                    text.push_str(role);
                }
                let pairs: Vec<String> = context.iter().map(|(k, v)| format!("{k}:{v}")).collect();
                if !aws_profile.is_empty() {
                    text.push_str(&format!("|{}|{aws_profile}", pairs.join(",")));
                } else if !pairs.is_empty() {
                    text.push_str(&format!("|{}", pairs.join(",")));
                }
                text
            }
            KeyFields::GcpKms { resource_id } => resource_id.clone(),
            KeyFields::HcKms { key_id } => key_id.clone(),
            KeyFields::AzureKv {
                vault_url,
                name,
                version,
            } => format!("{vault_url}/keys/{name}/{version}"),
            KeyFields::HcVault {
                vault_address,
                engine_path,
                key_name,
            } => format!("{vault_address}/v1/{engine_path}/keys/{key_name}"),
            KeyFields::Pgp { fingerprint } => fingerprint.clone(),
            KeyFields::Age { recipient } => recipient.clone(),
        }
    }

    pub(super) fn read(kind: Kind, entry: &Fields<'_>) -> Result<Self, MetadataError> {
        let text = |name: &str| entry.text(name);
        Ok(match kind {
            Kind::Kms => KeyFields::Kms {
                arn: text("arn")?,
                role: text("role")?,
                context: entry.text_map("context")?,
                aws_profile: text("aws_profile")?,
            },
            Kind::GcpKms => KeyFields::GcpKms {
                resource_id: text("resource_id")?,
            },
            Kind::HcKms => {
                let key_id = text("key_id")?;
                let parts = key_id.split_once(':');
                if parts
                    .is_none_or(|(region, key)| region.trim().is_empty() || key.trim().is_empty())
                {
                    let reason = "not of the form region:key";
                    return Err(MetadataError::field(entry.path("key_id"), reason));
                }
                KeyFields::HcKms { key_id }
            }
            Kind::AzureKv => KeyFields::AzureKv {
                vault_url: text("vault_url")?,
                name: text("name")?,
                version: text("version")?,
            },
            Kind::HcVault => KeyFields::HcVault {
                vault_address: text("vault_address")?,
                engine_path: text("engine_path")?,
                key_name: text("key_name")?,
            },
            Kind::Pgp => KeyFields::Pgp {
                fingerprint: text("fp")?,
            },
            Kind::Age => KeyFields::Age {
                recipient: text("recipient")?,
            },
        })
    }

    pub(super) fn fields(&self) -> Vec<(&'static str, Data)> {
        match self {
            KeyFields::Kms {
                arn,
                role,
                context,
                aws_profile,
            } => {
                let mut out = vec![
                    ("arn", Data::str(arn)),
                    ("aws_profile", Data::str(aws_profile)),
                ];
                if !context.is_empty() {
                    let entries = context.iter().map(|(k, v)| (Data::key(k), Data::str(v)));
                    out.push(("context", Data::Map(entries.collect())));
                }
                if !role.is_empty() {
                    out.push(("role", Data::str(role)));
                }
                out
            }
            KeyFields::GcpKms { resource_id } => vec![("resource_id", Data::str(resource_id))],
            KeyFields::HcKms { key_id } => vec![("key_id", Data::str(key_id))],
            KeyFields::AzureKv {
                vault_url,
                name,
                version,
            } => vec![
                ("name", Data::str(name)),
                ("vault_url", Data::str(vault_url)),
                ("version", Data::str(version)),
            ],
            KeyFields::HcVault {
                vault_address,
                engine_path,
                key_name,
            } => vec![
                ("engine_path", Data::str(engine_path)),
                ("key_name", Data::str(key_name)),
                ("vault_address", Data::str(vault_address)),
            ],
            KeyFields::Pgp { fingerprint } => vec![("fp", Data::str(fingerprint))],
            KeyFields::Age { recipient } => vec![("recipient", Data::str(recipient))],
        }
    }
}
