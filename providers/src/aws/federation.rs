//! Keys of AWS that prove an identity to another cloud.

use std::time::SystemTime;

use aws_credential_types::Credentials;

use super::sign_in::SignIn;
use super::signature::Signer;
use crate::credential::Scope;
use crate::http::Request;
use crate::outcome::StoreError;

/// Where the keys come from.
pub(crate) enum Federation<'a> {
    /// The program's surroundings.
    Surroundings { region: &'a str },
    /// A Secret with `aws_access_key_id`, `aws_secret_access_key` and `aws_session_token`.
    Secret {
        region: &'a str,
        name: &'a str,
        namespace: Option<&'a str>,
        credentials: &'a dyn crate::credential::Credentials,
        scope: &'a Scope,
    },
}

impl Federation<'_> {
    /// The region whose token service the other cloud asks.
    ///
    /// # Errors
    ///
    /// When the text is no name of a region.
    pub(crate) fn region(&self) -> Result<&str, StoreError> {
        let (Self::Surroundings { region } | Self::Secret { region, .. }) = self;
        let of_region = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        match !region.is_empty() && region.bytes().all(of_region) {
            true => Ok(region),
            false => Err(StoreError::invalid("the region of AWS is no name of a region").public()),
        }
    }

    /// Signs a request to the token service of the region with the keys.
    ///
    /// # Errors
    ///
    /// When there are no keys.
    pub(crate) async fn sign(&self, request: &mut Request) -> Result<(), StoreError> {
        let region = self.region()?;
        let credentials = match self {
            Self::Surroundings { .. } => {
                let sign_in = SignIn::of_surroundings(region, None, None)?;
                sign_in.credentials().await?
            }
            Self::Secret {
                name,
                namespace,
                credentials,
                scope,
                ..
            } => of_secret(*credentials, scope, name, *namespace).await?,
        };
        let signer = Signer {
            region,
            service: "sts",
            time: SystemTime::now(),
        };
        signer.sign(request, &credentials, b"")
    }
}

async fn of_secret(
    credentials: &dyn crate::credential::Credentials,
    scope: &Scope,
    name: &str,
    namespace: Option<&str>,
) -> Result<Credentials, StoreError> {
    const FIELD: &str = "auth.workloadIdentityFederation.awsSecurityCredentials";
    let secret = credentials.whole_secret(scope, name, namespace).await;
    let secret = secret.map_err(|error| error.at_field(FIELD))?;
    let text = |key: &str| {
        let value = secret.data.get(key)?;
        std::str::from_utf8(value.expose())
            .ok()
            .filter(|text| !text.is_empty())
    };
    let (Some(id), Some(key)) = (text("aws_access_key_id"), text("aws_secret_access_key")) else {
        return Err(StoreError::invalid(format!(
            "`{FIELD}`: the Secret needs aws_access_key_id and aws_secret_access_key"
        ))
        .public());
    };
    // The library's type takes texts of its own, which it wipes.
    let token = text("aws_session_token").map(str::to_owned);
    Ok(Credentials::new(id, key, token, None, "SecretStore"))
}
