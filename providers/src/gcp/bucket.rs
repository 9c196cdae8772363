//! Buckets of Google Cloud Storage, or of an emulator of it, into which whole files are published.

use std::sync::Arc;

use http::Method;
use sealwright_crypto::secret::SecretBytes;
use sealwright_crypto::surroundings::Surroundings;

use super::api::GoogleErrors;
use super::origin::variable;
use super::sign_in::DefaultCredentials;
use crate::address::Guard;
use crate::bearer::token::Tokens;
use crate::bearer::{Call, Rest};
use crate::http::url::Url;
use crate::http::{HttpClient, HttpSettings};
use crate::outcome::{StoreError, shown};

/// The server that takes the place of Google's, without any credentials: Google's own library follows this variable.
const EMULATOR: &str = "STORAGE_EMULATOR_HOST";

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
    let emulator = variable(&*surroundings, EMULATOR);
    let emulator = emulator.map(|named| address_of(&named)).transpose()?;
    let tokens = Tokens::new(Box::new(DefaultCredentials::new(surroundings)));
    let describe = "Google Cloud Storage".to_owned();
    let mut rest = Rest::new(http, Arc::new(tokens), &GoogleErrors, describe);
    let base = match emulator {
        Some(emulator) => {
            rest = rest.without_tokens();
            emulator
        }
        None => Url::parse("https://storage.googleapis.com").expect("it is an address"),
    };
    let url = base.with_segments(["upload", "storage", "v1", "b", bucket, "o"]);
    let url = url.with_query([("uploadType", "media"), ("name", name)]);
    let body = (SecretBytes::copy_of(content.expose()), false);
    let call = Call::of(Method::POST, url, &what, "storage.objects.create").with(&body);
    rest.call(call.of_type("application/octet-stream")).await?;
    Ok(())
}

/// The server of an emulator that is named by an address, whose path does not count, or by its host and port.
fn address_of(named: &str) -> Result<Url, StoreError> {
    let address = match named.contains("://") {
        true => named.to_owned(),
        false => format!("http://{named}"),
    };
    Url::parse(&address)
        .and_then(|url| url.join("/"))
        .map_err(|error| error.at_field(EMULATOR))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_emulator_is_named_as_for_googles_library() {
        for (named, address) in [
            ("localhost:9000", "http://localhost:9000/"),
            ("http://localhost:9000", "http://localhost:9000/"),
            (
                "https://gcs.test:4443/storage/v1/?x=y",
                "https://gcs.test:4443/",
            ),
            ("gcs.test:4443/path", "http://gcs.test:4443/"),
        ] {
            assert_eq!(
                address_of(named).unwrap(),
                Url::parse(address).unwrap(),
                "{named}"
            );
        }
        for named in ["ftp://localhost", "localhost:x", "user:pw@localhost:9000"] {
            let error = address_of(named).unwrap_err().to_string();
            assert!(error.contains(EMULATOR) && !error.contains("pw"), "{error}");
        }
    }
}
