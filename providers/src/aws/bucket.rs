//! Buckets of S3, into which whole files are published.

use aws_config::environment::region::EnvironmentVariableRegionProvider;
use aws_config::meta::region::ProvideRegion;
use aws_config::profile::ProfileFileRegionProvider;
use sealwright_crypto::secret::SecretBytes;

use super::api::{Api, Bounds};
use super::service::{STORAGE, endpoint, endpoint_override};
use super::sign_in::SignIn;
use crate::http::url::Url;
use crate::outcome::{StoreError, Trouble, shown};

/// Writes an object with the credentials that the vendor's own programs find.
///
/// # Errors
///
/// Says what was refused and what permission it takes, or that no region is set.
pub async fn put(bucket: &str, key: &str, content: &SecretBytes) -> Result<(), StoreError> {
    let what = format!("put {} into the bucket {}", shown(key), shown(bucket));
    if key.is_empty() || bucket.is_empty() {
        return Err(StoreError::invalid("an object needs a bucket and a name").while_trying(what));
    }
    let region = region().await?;
    let sign_in = SignIn::of_surroundings(&region, None, None)?;
    let (base, in_path) = address(bucket, &region)?;
    let api = Api::at(base, STORAGE, &region, sign_in, Bounds::default())?;
    let path: Vec<&str> = in_path.into_iter().chain(key.split('/')).collect();
    let put = api.put_object(&what, &path, content).await;
    put.map_err(|error| {
        let elsewhere = error.code.as_deref() == Some("PermanentRedirect");
        let error = error.error;
        match elsewhere {
            true => error.with_hint("the bucket is in another region: set AWS_REGION"),
            false => error,
        }
    })
}

/// The region of the environment, or of the profile.
async fn region() -> Result<String, StoreError> {
    let of_environment = EnvironmentVariableRegionProvider::new().region().await;
    let region = match of_environment {
        Some(region) => Some(region),
        None => ProfileFileRegionProvider::new().region().await,
    };
    let region = region.ok_or_else(|| {
        StoreError::new(Trouble::Invalid, "no region of AWS is set")
            .with_hint("set AWS_REGION, or `region` in the profile")
    })?;
    Ok(region.as_ref().to_owned())
}

/// Where a bucket is: at a host of its own, or in the path where its name makes no host or the endpoint is someone's own.
fn address<'a>(bucket: &'a str, region: &str) -> Result<(Url, Option<&'a str>), StoreError> {
    let (own, vendors) = STORAGE.variables();
    let own = endpoint_override(own, vendors);
    let text = own.clone().unwrap_or_else(|| endpoint("s3", region));
    let is_host = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let in_host = own.is_none() && bucket.bytes().all(is_host);
    let text = match in_host {
        true => text.replacen("://", &format!("://{bucket}."), 1),
        false => text,
    };
    let url = Url::parse(&text).map_err(|error| error.at_field("the endpoint of AWS"))?;
    Ok((url, (!in_host).then_some(bucket)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_is_in_the_host_where_its_name_can_be() {
        let (url, path) = address("shop-files", "eu-west-1").unwrap();
        assert_eq!(url.host(), "shop-files.s3.eu-west-1.amazonaws.com");
        assert_eq!(path, None);
        let (url, path) = address("shop.files", "eu-west-1").unwrap();
        assert_eq!(url.host(), "s3.eu-west-1.amazonaws.com");
        assert_eq!(path, Some("shop.files"));
    }
}
