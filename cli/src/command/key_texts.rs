//! Master keys from the texts of flags and variables.

use std::collections::BTreeMap;

use sealwright_crypto::age::AgeKey;
use sealwright_crypto::master_key::Kind as KeyKind;
use sealwright_documents::metadata::KeyFields;

use super::KeyTexts;
use crate::error::{Error, Result};
use crate::world::World;

impl KeyTexts {
    /// Reads all of them, in the order in which they stand in a group: kms, gcp, hckms, azure, pgp, vault, age (S85).
    pub(crate) fn parse(
        &self,
        world: &World,
        aws_profile: Option<&str>,
        context: &BTreeMap<String, String>,
    ) -> Result<Vec<KeyFields>> {
        let kinds = [
            (KeyKind::Kms, &self.kms),
            (KeyKind::GcpKms, &self.gcp_kms),
            (KeyKind::HcKms, &self.hckms),
            (KeyKind::AzureKv, &self.azure_kv),
            (KeyKind::Pgp, &self.pgp),
            (KeyKind::HcVault, &self.hc_vault),
            (KeyKind::Age, &self.age),
        ];
        let mut keys = Vec::new();
        for (kind, texts) in kinds {
            for text in texts.iter().flat_map(|texts| texts.split(',')) {
                let mut key = KeyFields::parse(kind, text)
                    .map_err(|error| Error::generic(error.to_string()))?;
                match &mut key {
                    KeyFields::Kms {
                        aws_profile: profile,
                        context: own,
                        ..
                    } => {
                        profile.push_str(aws_profile.unwrap_or_default());
                        own.clone_from(context);
                    }
                    KeyFields::Age { recipient } => {
                        AgeKey::parse(recipient, world.keys.identities())
                            .map_err(|error| Error::generic(error.to_string()))?;
                    }
                    _ => {}
                }
                keys.push(key);
            }
        }
        Ok(keys)
    }
}
