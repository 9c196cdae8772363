//! Settings of 1Password Connect.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Needs, SecretKeySelector};
use crate::credential::Scope;
use crate::outcome::StoreError;

/// Items of 1Password behind a Connect server (`provider.onepassword`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OnePasswordSettings {
    /// How to sign in.
    pub auth: OnePasswordAuth,
    /// The address of the Connect server.
    pub connect_host: String,
    /// Names or ids of vaults with numbers: those with smaller numbers are looked in first.
    pub vaults: BTreeMap<String, i64>,
}

/// How to sign in to a Connect server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OnePasswordAuth {
    /// A token.
    pub secret_ref: OnePasswordSecretRef,
}

/// A token of a Connect server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OnePasswordSecretRef {
    /// Where it lies.
    pub connect_token_secret_ref: SecretKeySelector,
}

impl OnePasswordSettings {
    pub(crate) fn needs(&self) -> Needs {
        let mut needs = Needs::default();
        let token = &self.auth.secret_ref.connect_token_secret_ref;
        needs.secret(TOKEN_FIELD, Some(token));
        needs
    }

    pub(crate) fn check(&self, scope: &Scope) -> Result<Vec<String>, StoreError> {
        let invalid = |text: String| Err(StoreError::invalid(text).public());
        let token = &self.auth.secret_ref.connect_token_secret_ref;
        for (part, value) in [("name", &token.name), ("key", &token.key)] {
            if value.as_deref().is_none_or(str::is_empty) {
                return invalid(format!("`{TOKEN_FIELD}.{part}` is required"));
            }
        }
        if self.vaults.is_empty() {
            return invalid("`vaults` must name at least one vault".to_owned());
        }
        let orders: BTreeSet<i64> = self.vaults.values().copied().collect();
        if orders.len() < self.vaults.len() {
            return invalid("the numbers of `vaults` must differ".to_owned());
        }
        super::check_needs(scope, self.needs())?;
        Ok(Vec::new())
    }

    /// The vaults in the order in which they are looked in.
    #[cfg(feature = "onepassword")]
    pub(crate) fn ordered(&self) -> Vec<String> {
        let mut vaults: Vec<_> = self.vaults.iter().collect();
        vaults.sort_by_key(|(_, order)| **order);
        vaults.into_iter().map(|(name, _)| name.clone()).collect()
    }
}

/// The field that names the token.
pub(crate) const TOKEN_FIELD: &str = "auth.secretRef.connectTokenSecretRef";
