//! Tokens for the container registries of Google.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use sealwright_crypto::secret::SecretBytes;

use super::sign_in;
use crate::http::{HttpClient, HttpSettings, Limits};
use crate::outcome::StoreError;
use crate::remote::SecretMap;
use crate::settings::gcp::GcpSettings;
use crate::settings::generators::GcrAccessTokenSettings;
use crate::store::Connection;

/// The user that stands for a token.
const USER: &str = "oauth2accesstoken";

/// Gets a token of Google, with which its registries can be signed in to, and the second in which it ends.
///
/// # Errors
///
/// When the settings are wrong or signing in fails.
pub(crate) async fn gcr_access_token(
    settings: &GcrAccessTokenSettings,
    connection: &Connection,
) -> Result<SecretMap, StoreError> {
    let http = Arc::new(HttpClient::new(HttpSettings {
        guard: connection.guard,
        limits: Limits::within(connection.timeout),
        ..HttpSettings::default()
    })?);
    let of_project = GcpSettings {
        auth: Some(settings.auth.clone()),
        project_id: Some(settings.project_id.clone()),
        ..GcpSettings::default()
    };
    let tokens = sign_in::of_store(&of_project, connection, &http)?;
    let token = tokens.current().await?;
    let text = |text: &str| SecretBytes::copy_of(text.as_bytes());
    let mut values = SecretMap::from([
        ("username".to_owned(), text(USER)),
        ("password".to_owned(), text(token.expose())),
    ]);
    if let Some(lifetime) = token.lifetime {
        let end = SystemTime::now() + lifetime;
        let end = end.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        values.insert("expiry".to_owned(), text(&end.to_string()));
    }
    Ok(values)
}
