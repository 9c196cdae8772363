//! The workload identity of the pod that the program runs in.

use std::path::Path;

use sealwright_crypto::surroundings::Surroundings;

use super::LARGEST_FILE;
use super::endpoint::{Proof, TokenEndpoint};
use crate::bearer::assertion::trimmed;
use crate::bearer::token::AccessToken;
use crate::outcome::{StoreError, Trouble, shown};

pub(super) fn variable(surroundings: &dyn Surroundings, name: &str) -> Option<String> {
    let value = surroundings.var(name)?.into_string().ok()?;
    Some(value).filter(|value| !value.is_empty())
}

/// The workload identity of the pod, by its variables.
pub(super) struct Workload {
    tenant: String,
    client: String,
    file: String,
    endpoint: TokenEndpoint,
}

impl Workload {
    pub(super) fn of_surroundings(
        surroundings: &dyn Surroundings,
        endpoint: TokenEndpoint,
    ) -> Option<Self> {
        Some(Self {
            tenant: variable(surroundings, "AZURE_TENANT_ID")?,
            client: variable(surroundings, "AZURE_CLIENT_ID")?,
            file: variable(surroundings, "AZURE_FEDERATED_TOKEN_FILE")?,
            endpoint,
        })
    }

    pub(super) async fn sign_in(
        &self,
        surroundings: &dyn Surroundings,
    ) -> Result<AccessToken, StoreError> {
        let token = surroundings.read(Path::new(&self.file), LARGEST_FILE);
        let token = token.ok().as_ref().and_then(trimmed).ok_or_else(|| {
            StoreError::new(
                Trouble::Unauthenticated,
                format!(
                    "AZURE_FEDERATED_TOKEN_FILE names {}, which holds no token",
                    shown(&self.file)
                ),
            )
        })?;
        let proof = Proof::Assertion(token);
        self.endpoint.token(&self.tenant, &self.client, proof).await
    }
}
