//! Rules for publishing.

use super::reader::{Map, Reader};
use super::{ConfigError, CreationRule, PathPattern, creation};

/// A rule for publishing files.
#[derive(Clone, Debug)]
pub struct DestinationRule {
    /// Its line, from 1.
    pub line: usize,
    /// The files that it is for.
    pub path_regex: PathPattern,
    /// Where they go; an error when nothing or more than one place is named.
    pub destination: Result<Destination, ConfigError>,
    /// The rule by which they are re-encrypted.
    pub recreation_rule: Option<CreationRule>,
    /// Whether they lose the end of their name.
    pub omit_extensions: bool,
}

/// Where published files go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// An S3 bucket.
    S3 {
        /// The bucket.
        bucket: String,
        /// What names begin with.
        prefix: String,
    },
    /// A bucket of Google Cloud Storage.
    Gcs {
        /// The bucket.
        bucket: String,
        /// What names begin with.
        prefix: String,
    },
    /// The key-value engine of Vault; files go there decrypted.
    Vault {
        /// The path below the mount.
        path: String,
        /// The address; empty for the one of the environment.
        address: String,
        /// The mount; empty for `secret/`.
        mount: String,
        /// The version of the engine, 1 or 2.
        version: u8,
    },
}

pub(super) fn read(reader: &mut Reader<'_>, map: &Map) -> Result<DestinationRule, ConfigError> {
    let known = [
        "path_regex",
        "s3_bucket",
        "s3_prefix",
        "gcs_bucket",
        "gcs_prefix",
        "vault_path",
        "vault_address",
        "vault_kv_mount_name",
        "vault_kv_version",
        "recreation_rule",
        "omit_extensions",
    ];
    reader.check_names(map, &known);
    let path_regex = PathPattern::new(
        reader.text(map, "path_regex")?,
        map.line_of("path_regex"),
        map.path.clone(),
        &reader.room,
    );
    let s3 = reader.text(map, "s3_bucket")?;
    let gcs = reader.text(map, "gcs_bucket")?;
    let vault = reader.text(map, "vault_path")?;
    let version = match reader.integer(map, "vault_kv_version")? {
        Some(1) => 1,
        _ => 2,
    };
    let named = [&s3, &gcs, &vault]
        .iter()
        .filter(|name| !name.is_empty())
        .count();
    let destination = match named {
        0 => Err(map.error(
            "s3_bucket",
            "none of s3_bucket, gcs_bucket and vault_path is set",
        )),
        1 if !s3.is_empty() => Ok(Destination::S3 {
            bucket: s3,
            prefix: reader.text(map, "s3_prefix")?,
        }),
        1 if !gcs.is_empty() => Ok(Destination::Gcs {
            bucket: gcs,
            prefix: reader.text(map, "gcs_prefix")?,
        }),
        1 => Ok(Destination::Vault {
            path: vault,
            address: reader.text(map, "vault_address")?,
            mount: reader.text(map, "vault_kv_mount_name")?,
            version,
        }),
        _ => Err(map.error(
            "s3_bucket",
            "more than one of s3_bucket, gcs_bucket and vault_path is set",
        )),
    };
    let recreation_rule = match reader.map_at(map, "recreation_rule")? {
        Some(rule) => Some(creation::read(reader, rule)?),
        None => None,
    };
    Ok(DestinationRule {
        line: map.line,
        path_regex,
        destination,
        recreation_rule,
        omit_extensions: reader.boolean(map, "omit_extensions")?,
    })
}
