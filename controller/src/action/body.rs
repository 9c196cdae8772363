//! The bodies of requests and answers.

use hyper::Method;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use sealwright_crypto::secret::SecretBytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::api::{Api, ApiError};
use crate::frame::object::Version;

pub(crate) const JSON: &str = "application/json";
/// What is written is not sent back: its metadata says all that we need to know, and a Secret need not travel twice. A
/// server that cannot leave the rest out may send it.
pub(super) const METADATA: &str =
    "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json";

/// Reads an answer whose content is no secret.
pub(crate) fn read<T: for<'de> Deserialize<'de>>(answer: &SecretBytes) -> Result<T, ApiError> {
    serde_json::from_slice(answer.expose()).map_err(|_| ApiError::Unreadable)
}

pub(super) async fn written(
    api: &Api,
    method: Method,
    path: &str,
    body: &SecretBytes,
) -> Result<Version, ApiError> {
    let answer = api.call(method, path, METADATA, Some(body)).await?;
    metadata_of(&answer).map(|metadata| Version::of(&metadata))
}

/// Reads the metadata of an answer and nothing else of it.
pub(crate) fn metadata_of(answer: &SecretBytes) -> Result<ObjectMeta, ApiError> {
    #[derive(Deserialize)]
    struct Object<'a> {
        #[serde(borrow)]
        metadata: &'a RawValue,
    }
    let unreadable = |_| ApiError::Unreadable;
    let object: Object<'_> = serde_json::from_slice(answer.expose()).map_err(unreadable)?;
    crate::frame::read::metadata(object.metadata.get()).map_err(unreadable)
}

pub(super) fn bytes(value: &serde_json::Value) -> SecretBytes {
    SecretBytes::from(value.to_string().into_bytes())
}
