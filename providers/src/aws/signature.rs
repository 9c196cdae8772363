//! Signatures of requests (SigV4).

use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use http::HeaderMap;
use http::header::HeaderName;
use sealwright_crypto::secret::SecretBytes;

use crate::http::{Request, secret_header};
use crate::outcome::StoreError;

/// Signs requests (SigV4).
pub(crate) struct Signer<'a> {
    pub(crate) region: &'a str,
    pub(crate) service: &'a str,
    pub(crate) time: SystemTime,
}

impl Signer<'_> {
    /// Adds the headers of the signature to a request whose other headers are complete.
    #[cfg(feature = "gcp")]
    pub(crate) fn sign(
        &self,
        request: &mut Request,
        credentials: &Credentials,
        body: &[u8],
    ) -> Result<(), StoreError> {
        self.sign_by(request, credentials, body, SigningSettings::default())
    }

    /// Adds the headers of the signature, by rules of the service's own.
    pub(crate) fn sign_by(
        &self,
        request: &mut Request,
        credentials: &Credentials,
        body: &[u8],
        settings: SigningSettings,
    ) -> Result<(), StoreError> {
        let cannot = || StoreError::invalid("the request cannot be signed");
        let identity = credentials.clone().into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(self.region)
            .name(self.service)
            .time(self.time)
            .settings(settings)
            .build()
            .map_err(|_| cannot())?
            .into();
        let (url, method) = (&request.url, request.method.clone());
        let query = url
            .query()
            .map(|query| format!("?{query}"))
            .unwrap_or_default();
        let address = format!("{}{}{query}", url.origin(), url.path());
        let headers = request.headers.clone();
        let signable = SignableRequest::new(
            method.as_str(),
            address,
            signed_headers(&headers),
            SignableBody::Bytes(body),
        )
        .map_err(|_| cannot())?;
        let (instructions, _) = sign(signable, &params).map_err(|_| cannot())?.into_parts();
        for (name, value) in instructions.headers() {
            let name = HeaderName::try_from(name).map_err(|_| cannot())?;
            let value = secret_header(SecretBytes::copy_of(value.as_bytes()))?;
            request.headers.insert(name, value);
        }
        Ok(())
    }
}

fn signed_headers(headers: &HeaderMap) -> impl Iterator<Item = (&str, &str)> {
    headers
        .iter()
        .filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)))
}
