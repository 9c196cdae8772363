//! AWS Certificate Manager: certificates that may be exported are read with their key, and TLS Secrets are imported.
//!
//! An export is paid for and rate-limited, so what was exported is kept as long as the public part, which is asked for at
//! every read, stays the same.

mod push;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures::future::BoxFuture;
use pkcs8::der::zeroize::Zeroizing;
use pkcs8::{EncryptedPrivateKeyInfo, LineEnding};
use sealwright_crypto::secret::{SecretBytes, SecretText, SecretWriter};
use sha2::{Digest, Sha256};

use super::api::{Api, CallError};
use crate::json::Json;
use crate::message::{Body, Reply};
use crate::outcome::{Absent, Answer, Outcome, Proof, StoreError, Trouble, shown};
use crate::remote::{MetadataPolicy, PushItem, PushSource, RemoteRef, SecretMap};
use crate::settings::aws::AwsSettings;
use crate::store::{
    Capabilities, Connection, Deleted, Inspection, Payload, Pushed, ReadKey, Store, Validation,
    WriteMode,
};

/// How many exported certificates are kept.
const MOST_KEPT: usize = 128;

/// AWS Certificate Manager as a store.
pub(super) struct CertificateManager {
    api: Api,
    tagging: Api,
    prefix: String,
    waits_for_consumer: bool,
    exported: Mutex<HashMap<String, Exported>>,
}

/// The fingerprint of the public part, and what was exported with it.
type Exported = ([u8; 32], Arc<SecretBytes>);

impl CertificateManager {
    pub(super) fn new(
        api: Api,
        tagging: Api,
        settings: &AwsSettings,
        connection: &Connection,
    ) -> Self {
        Self {
            api,
            tagging,
            prefix: settings.prefix.clone().unwrap_or_default(),
            waits_for_consumer: settings.depends_on_consumer()
                && connection.scope.consumer_namespace.is_none(),
            exported: Mutex::default(),
        }
    }

    async fn certificate(&self, arn: &str) -> Result<Option<Reply>, CallError> {
        let body = Body::new().text("CertificateArn", arn);
        match self.api.call("GetCertificate", body).await {
            Ok(reply) => Ok(Some(reply)),
            Err(error) if error.is("ResourceNotFoundException") => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn read_bundle(&self, arn: &str) -> Outcome<Payload> {
        let Some(public) = self.certificate(arn).await? else {
            return Ok(Answer::Absent(Absent::proved(Proof::NoSuchKey)));
        };
        let fingerprint = fingerprint(
            &public.name("Certificate").unwrap_or_default(),
            &public.name("CertificateChain").unwrap_or_default(),
        );
        if let Some(bundle) = self.kept(arn, fingerprint) {
            return Ok(Answer::Found(Payload::whole(SecretBytes::copy_of(
                bundle.expose(),
            ))));
        }
        let body = Body::new().text("CertificateArn", arn);
        let described = self.api.call("DescribeCertificate", body).await?;
        let options = described
            .json()
            .member("Certificate")
            .and_then(|one| one.member("Options"));
        let export = options.and_then(|options| crate::message::name_in(options, "Export"));
        if export.as_deref() != Some("ENABLED") {
            return Err(StoreError::invalid(format!(
                "certificate {} is not exportable (Options.Export is not ENABLED)",
                shown(arn)
            ))
            .at_store(self.api.describe()));
        }
        let passphrase = passphrase();
        let body = Body::new()
            .text("CertificateArn", arn)
            .secret_bytes("Passphrase", passphrase.expose());
        let exported = self.api.call("ExportCertificate", body).await?;
        let bundle = bundle(exported.json(), &passphrase)
            .map_err(|error| error.at_store(self.api.describe()))?;
        self.keep(arn, fingerprint, SecretBytes::copy_of(bundle.expose()));
        Ok(Answer::Found(Payload::whole(bundle)))
    }

    fn kept(&self, arn: &str, fingerprint: [u8; 32]) -> Option<Arc<SecretBytes>> {
        let kept = self.exported.lock().unwrap_or_else(PoisonError::into_inner);
        let (of, bundle) = kept.get(arn)?;
        (*of == fingerprint).then(|| Arc::clone(bundle))
    }

    fn keep(&self, arn: &str, fingerprint: [u8; 32], bundle: SecretBytes) {
        let mut kept = self.exported.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= MOST_KEPT && !kept.contains_key(arn) {
            kept.clear();
        }
        kept.insert(arn.to_owned(), (fingerprint, Arc::new(bundle)));
    }

    fn unsupported<T>(&self, what: &str) -> Result<T, StoreError> {
        Err(StoreError::new(
            Trouble::Unsupported,
            format!("AWS Certificate Manager cannot be read by {what}"),
        )
        .public()
        .at_store(self.api.describe()))
    }
}

impl Store for CertificateManager {
    fn describe(&self) -> &str {
        self.api.describe()
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::ReadWrite
    }

    fn locate(&self, at: &RemoteRef) -> Result<ReadKey, StoreError> {
        if at.metadata == MetadataPolicy::Fetch {
            return self.unsupported("`metadataPolicy: Fetch`");
        }
        if at.key.is_empty() {
            return Err(
                StoreError::invalid("certificate ARN must be specified in remoteRef.key")
                    .public()
                    .at_store(self.api.describe()),
            );
        }
        Ok(ReadKey::value(&at.key, None))
    }

    fn read<'a>(&'a self, key: &'a ReadKey) -> BoxFuture<'a, Outcome<Payload>> {
        Box::pin(self.read_bundle(&key.key))
    }

    fn value(&self, _: &RemoteRef, payload: &Payload) -> Outcome<SecretBytes> {
        Ok(Answer::Found(SecretBytes::copy_of(payload.bytes())))
    }

    fn map(&self, _: &RemoteRef, _: &Payload) -> Outcome<SecretMap> {
        self.unsupported("`extract`")
    }

    fn push<'a>(
        &'a self,
        source: &'a PushSource,
        item: &'a PushItem,
        mode: WriteMode,
    ) -> BoxFuture<'a, Result<Pushed, StoreError>> {
        Box::pin(self.push_item(source, item, mode))
    }

    fn delete<'a>(
        &'a self,
        item: &'a PushItem,
        mode: WriteMode,
    ) -> BoxFuture<'a, Result<Deleted, StoreError>> {
        Box::pin(self.delete_item(item, mode))
    }

    fn exists<'a>(&'a self, item: &'a PushItem) -> BoxFuture<'a, Result<bool, StoreError>> {
        Box::pin(async move {
            match self
                .arn_of(&format!("{}{}", self.prefix, item.remote_key))
                .await?
            {
                Some(arn) => Ok(self.tags_of(&arn).await?.is_some()),
                None => Ok(false),
            }
        })
    }

    fn validate(&self) -> BoxFuture<'_, Result<Validation, StoreError>> {
        Box::pin(async move {
            if self.waits_for_consumer {
                return Ok(Validation::Unknown);
            }
            self.api.signed_in().await?;
            Ok(Validation::Ready)
        })
    }

    fn inspect<'a>(&'a self, at: Option<&'a RemoteRef>) -> BoxFuture<'a, Inspection> {
        Box::pin(super::inspect(self, &self.api, at))
    }
}

/// What tells one certificate from another: the PEM texts without the line breaks behind them.
fn fingerprint(certificate: &str, chain: &str) -> [u8; 32] {
    let mut hasher = Sha256::new();
    hasher.update(certificate.trim_end_matches(['\r', '\n']));
    hasher.update(chain.trim_end_matches(['\r', '\n']));
    hasher.finalize().into()
}

/// Certificate, chain and decrypted key, one behind the other.
fn bundle(exported: Json<'_>, passphrase: &SecretBytes) -> Result<SecretBytes, StoreError> {
    let part = |name| exported.member(name).and_then(Json::string);
    let mut out = SecretWriter::default();
    for text in [part("Certificate"), part("CertificateChain")]
        .into_iter()
        .flatten()
    {
        push_part(&mut out, text.expose());
    }
    if let Some(key) = part("PrivateKey") {
        push_part(&mut out, decrypted(&key, passphrase)?.expose());
    }
    if out.is_empty() {
        return Err(StoreError::new(
            Trouble::Malformed,
            "the export holds no certificate",
        ));
    }
    Ok(out.finish())
}

fn push_part(out: &mut SecretWriter, text: &str) {
    out.push(text.trim_end_matches(['\r', '\n']).as_bytes());
    out.push_byte(b'\n');
}

/// The key in plain PKCS#8; Certificate Manager encrypts it with the passphrase of the export.
fn decrypted(key: &SecretText, passphrase: &SecretBytes) -> Result<SecretText, StoreError> {
    if key.expose().contains("-----BEGIN PRIVATE KEY-----") {
        return Ok(SecretText::copy_of(key.expose()));
    }
    let wrong = || {
        StoreError::new(
            Trouble::Malformed,
            "the exported private key cannot be decrypted",
        )
    };
    let body: Zeroizing<String> = Zeroizing::new(
        key.expose()
            .lines()
            .filter(|line| !line.starts_with("-----"))
            .map(str::trim)
            .collect(),
    );
    let der = Zeroizing::new(STANDARD.decode(body.as_bytes()).map_err(|_| wrong())?);
    let encrypted = EncryptedPrivateKeyInfo::try_from(der.as_slice()).map_err(|_| wrong())?;
    let plain = encrypted
        .decrypt(passphrase.expose())
        .map_err(|_| wrong())?;
    let pem = plain
        .to_pem("PRIVATE KEY", LineEnding::LF)
        .map_err(|_| wrong())?;
    Ok(SecretText::copy_of(&pem))
}

/// A random passphrase of letters and digits: the service refuses `#`, `$` and `%`.
fn passphrase() -> SecretBytes {
    const LETTERS: &[u8; 64] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789ab";
    let mut out = SecretWriter::with_capacity(43);
    let place = out.extend_zeroed(43);
    getrandom::fill(place).expect("the system gives random numbers");
    for byte in place {
        *byte = LETTERS[usize::from(*byte & 63)];
    }
    out.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passphrases_differ_and_are_letters_and_digits() {
        let one = passphrase();
        assert!(one.expose().iter().all(u8::is_ascii_alphanumeric));
        assert_ne!(one, passphrase());
    }

    #[test]
    fn an_export_becomes_one_bundle() {
        let text = br#"{"Certificate": "C\n\n", "CertificateChain": "D",
            "PrivateKey": "-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n"}"#;
        let bundle = bundle(Json::parse(text).unwrap(), &passphrase()).unwrap();
        let text = std::str::from_utf8(bundle.expose()).unwrap();
        assert!(
            text.starts_with("C\nD\n-----BEGIN PRIVATE KEY-----\n"),
            "{text}"
        );
        assert!(super::bundle(Json::parse(b"{}").unwrap(), &passphrase()).is_err());
    }
}
