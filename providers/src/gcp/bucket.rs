//! Buckets of Google Cloud Storage, into which whole files are published.

use std::sync::Arc;

use http::Method;
use sealwright_crypto::secret::SecretBytes;
use sealwright_crypto::surroundings::Surroundings;

use super::api::GoogleErrors;
use super::sign_in::DefaultCredentials;
use crate::address::Guard;
use crate::bearer::token::Tokens;
use crate::bearer::{Call, Rest};
use crate::http::url::Url;
use crate::http::{HttpClient, HttpSettings};
use crate::outcome::{StoreError, shown};

/// Writes an object with the application default credentials.
///
/// # Errors
///
/// Says what was refused and what permission it takes.
pub async fn put(
    surroundings: Arc<dyn Surroundings>,
    bucket: &str,
    name: &str,
    content: &SecretBytes,
) -> Result<(), StoreError> {
    let what = format!("put {} into the bucket {}", shown(name), shown(bucket));
    if name.is_empty() || bucket.is_empty() {
        return Err(StoreError::invalid("an object needs a bucket and a name").while_trying(what));
    }
    let http = Arc::new(HttpClient::new(HttpSettings {
        // The bucket is the user's own choice.
        guard: Guard::Open,
        ..HttpSettings::default()
    })?);
    let tokens = Tokens::new(Box::new(DefaultCredentials::new(surroundings)));
    let describe = "Google Cloud Storage".to_owned();
    let rest = Rest::new(http, Arc::new(tokens), &GoogleErrors, describe);
    let base = Url::parse("https://storage.googleapis.com").expect("it is an address");
    let url = base.with_segments(["upload", "storage", "v1", "b", bucket, "o"]);
    let url = url.with_query([("uploadType", "media"), ("name", name)]);
    let body = (SecretBytes::copy_of(content.expose()), false);
    let call = Call::of(Method::POST, url, &what, "storage.objects.create").with(&body);
    rest.call(call.of_type("application/octet-stream")).await?;
    Ok(())
}
