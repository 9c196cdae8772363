//! Writing the Secret that an object asks for.
//!
//! A Secret is written under the version that was looked at, so what another writer did in between is never overwritten unseen:
//! it is read again and judged again.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use sealwright_resources::plain_secret::PlainSecret;

use super::object::{Key, Version};
use crate::action;
use crate::api::{Api, ApiError};

/// How often the Secret is looked at again because another writer was faster.
const LOOKS: u32 = 4;

/// What is to become of a Secret that was looked at.
pub(crate) enum Judgement<'a> {
    /// It is as it should be.
    Keep,
    /// There is none, and there is to be this one.
    Create(&'a PlainSecret),
    /// It is to become this one.
    Replace(Box<PlainSecret>),
    /// It belongs to another writer.
    Refuse,
    /// Another writer has changed it, and that is only reported.
    Leave,
}

/// A Secret that is as it should be.
pub(crate) struct Written {
    pub(crate) version: Version,
    /// As it was kept or written; the API server has changed its version.
    pub(crate) metadata: ObjectMeta,
    /// It was there and had to be changed.
    pub(crate) replaced: bool,
}

/// Why a Secret is not as it should be.
pub(crate) struct NotWritten {
    /// The Secret that was looked at last: its version, or that there was none. Nothing, if it could not be read.
    pub(crate) looked_at: Option<Option<Version>>,
    pub(crate) cause: Cause,
}

/// What stood in the way.
pub(crate) enum Cause {
    /// The judgement.
    Refused,
    /// It was changed by another writer, and stays as it is.
    Drifted,
    /// The API server.
    Api(ApiError),
}

/// Makes the Secret of this key what `judge` says, given the one that is there.
///
/// With `look` it is read first; without, it is taken for absent until the API server says otherwise.
pub(crate) async fn write<'a>(
    api: &Api,
    key: &Key,
    mut look: bool,
    mut judge: impl FnMut(Option<&PlainSecret>) -> Judgement<'a> + Send,
) -> Result<Written, NotWritten> {
    for _ in 0..LOOKS {
        let target = match look {
            true => read(api, key).await.map_err(|error| NotWritten {
                looked_at: None,
                cause: Cause::Api(error),
            })?,
            false => None,
        };
        look = true;
        let there = target.as_ref().map(|target| Version::of(&target.metadata));
        let fails = |cause| {
            Err(NotWritten {
                looked_at: Some(there.clone()),
                cause,
            })
        };
        let (written, metadata, replaced) = match judge(target.as_ref()) {
            Judgement::Keep => {
                let target = target.expect("only what is there is kept");
                (Ok(Version::of(&target.metadata)), target.metadata, false)
            }
            Judgement::Create(new) => {
                let written = action::create_secret(api, new).await;
                (written, new.metadata.clone(), false)
            }
            Judgement::Replace(new) => {
                let written = action::replace_secret(api, &new).await;
                (written, new.metadata.clone(), true)
            }
            Judgement::Refuse => return fails(Cause::Refused),
            Judgement::Leave => return fails(Cause::Drifted),
        };
        match written {
            Ok(version) => {
                return Ok(Written {
                    version,
                    metadata,
                    replaced,
                });
            }
            Err(error) if error.is_conflict() || error.is_not_found() => {
                tracing::debug!(key = %key, "another writer was faster, reading the Secret again");
            }
            Err(error) => return fails(Cause::Api(error)),
        }
    }
    Err(NotWritten {
        looked_at: None,
        cause: Cause::Api(ApiError::Unreachable(
            "the Secret keeps changing".to_owned(),
        )),
    })
}

/// Reads a Secret, with its values.
pub(crate) async fn read(api: &Api, key: &Key) -> Result<Option<PlainSecret>, ApiError> {
    let path = action::secret(&key.namespace, &key.name);
    match api.get(&path).await {
        Ok(answer) => PlainSecret::from_json(answer.expose())
            .map(Some)
            .map_err(|_| ApiError::Unreadable),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Reads the version of a Secret, and no values.
pub(crate) async fn read_version(api: &Api, key: &Key) -> Result<Option<Version>, ApiError> {
    let path = action::secret(&key.namespace, &key.name);
    match api.get_metadata(&path).await {
        Ok(answer) => action::metadata_of(&answer).map(|metadata| Some(Version::of(&metadata))),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}
