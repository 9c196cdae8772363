//! The service that gives tokens to those who prove who they are.

use std::sync::Arc;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sealwright_crypto::sealing::pem;
use sealwright_crypto::secret::{SecretBytes, SecretText};
use sealwright_template::pkcs12;
use serde_json::json;

use crate::azure::api::Cloud;
use crate::bearer::assertion::{Signer, now};
use crate::bearer::form::Form;
use crate::bearer::token::{AccessToken, ask_with_form};
use crate::http::HttpClient;
use crate::http::url::Url;
use crate::outcome::{StoreError, Trouble};

/// Where tokens come from.
#[derive(Clone)]
pub(super) struct TokenEndpoint {
    pub(super) cloud: Cloud,
    pub(super) http: Arc<HttpClient>,
}

/// What proves that a client is who it says.
pub(super) enum Proof<'a> {
    Secret(&'a SecretText),
    /// A certificate with its private key.
    Certificate(&'a Certificate),
    /// A token of someone whom Azure trusts.
    Assertion(SecretText),
}

impl TokenEndpoint {
    pub(super) async fn token(
        &self,
        tenant: &str,
        client: &str,
        proof: Proof<'_>,
    ) -> Result<AccessToken, StoreError> {
        let of_tenant = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
        if tenant.is_empty() || !tenant.bytes().all(of_tenant) || tenant.contains("..") {
            return Err(StoreError::invalid("the tenant is no id or domain of a tenant").public());
        }
        let login = Url::parse(&self.cloud.login);
        let login = login.map_err(|error| error.at_field("the login address of Azure"))?;
        if !login.is_https() {
            return Err(StoreError::invalid(
                "the login address of Azure must begin with https://",
            ));
        }
        let url = login.with_segments([tenant, "oauth2", "v2.0", "token"]);
        let form = Form::default()
            .field("grant_type", "client_credentials")
            .field("client_id", client)
            .field("scope", &self.cloud.scope());
        let assertion = match &proof {
            Proof::Secret(_) => None,
            Proof::Certificate(certificate) => Some(certificate.assertion(&url, client)?),
            Proof::Assertion(token) => Some(SecretText::copy_of(token.expose())),
        };
        let form = match (proof, assertion) {
            (Proof::Secret(secret), _) => form.field("client_secret", secret.expose()),
            (_, assertion) => form
                .field(
                    "client_assertion_type",
                    "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
                )
                .field(
                    "client_assertion",
                    assertion.as_ref().map_or("", SecretText::expose),
                ),
        };
        ask_with_form(&self.http, &url, form.finish()).await
    }
}

/// A certificate that a service principal signs in with.
pub(super) struct Certificate {
    signer: Signer,
    /// The hash by which Azure knows it.
    thumbprint: String,
}

impl Certificate {
    /// Reads a certificate and its key from one text in PEM, or from PKCS#12.
    pub(super) fn read(
        bytes: &SecretBytes,
        password: &str,
        field: &str,
    ) -> Result<Self, StoreError> {
        let wrong = |what: &str| StoreError::invalid(format!("`{field}` {what}")).public();
        let is_pem = bytes.expose().windows(10).any(|part| part == b"-----BEGIN");
        let (signer, certificates) = if is_pem {
            let certificates: Vec<Vec<u8>> = pem::read(bytes.expose())
                .into_iter()
                .filter(|block| block.label == "CERTIFICATE")
                .filter_map(|block| Some(block.content?.to_vec()))
                .collect();
            (Signer::from_pem(bytes.expose()), certificates)
        } else {
            let chain = pkcs12::read(bytes.expose(), password)
                .map_err(|error| wrong(&format!("is neither PEM nor PKCS#12: {error}")))?;
            (Signer::from_pkcs8(&chain.key), chain.certificates)
        };
        let signer = signer.ok_or_else(|| wrong("holds no private RSA key"))?;
        let own = certificates
            .iter()
            .find(|certificate| signer.is_of(certificate))
            .ok_or_else(|| wrong("holds no certificate of its private key"))?;
        let hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, own);
        Ok(Self {
            signer,
            thumbprint: URL_SAFE_NO_PAD.encode(hash),
        })
    }

    fn assertion(&self, audience: &Url, client: &str) -> Result<SecretText, StoreError> {
        let mut id = [0; 16];
        getrandom::fill(&mut id).map_err(|_| {
            StoreError::new(Trouble::Unavailable, "the system gives no random numbers")
        })?;
        let issued = now();
        let header = json!({"alg": "RS256", "typ": "JWT", "x5t": self.thumbprint});
        let claims = json!({"aud": audience.to_string(), "iss": client, "sub": client,
            "jti": URL_SAFE_NO_PAD.encode(id), "nbf": issued, "iat": issued, "exp": issued + 600});
        self.signer.sign(&header, &claims)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_read_with_its_key_and_known_by_its_hash() {
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256);
        let key = key.unwrap();
        let certificate = rcgen::CertificateParams::default()
            .self_signed(&key)
            .unwrap();
        let text = format!("{}{}", certificate.pem(), key.serialize_pem());
        let read = Certificate::read(&SecretBytes::copy_of(text.as_bytes()), "", "x").unwrap();
        let hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, certificate.der());
        assert_eq!(read.thumbprint, URL_SAFE_NO_PAD.encode(hash));
        let other = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
        let text = format!("{}{}", certificate.pem(), other.serialize_pem());
        let error = Certificate::read(&SecretBytes::copy_of(text.as_bytes()), "", "x");
        let Err(error) = error else {
            panic!("the key is another one")
        };
        assert!(
            error
                .to_string()
                .contains("no certificate of its private key")
        );
        assert!(Certificate::read(&SecretBytes::copy_of(b"canary"), "", "x").is_err());
    }
}
