//! The ConfigMaps and Secrets that the templates of ExternalSecrets and PushSecrets are read from.

use std::collections::{BTreeMap, BTreeSet};

use sealwright_crypto::secret::SecretBytes;
use sealwright_resources::external_secret::render::Sources;
use sealwright_resources::external_secret::template_spec::{TargetTemplate, TemplateRef};
use thiserror::Error;

use crate::action;
use crate::api::{Api, ApiError};
use crate::frame::object::Key;
use crate::frame::secret_target;

/// How many bytes the templates of one object may have together. Each of them may be in an object of 1 MiB, and nothing else limits
/// how many are named.
const MOST_BYTES: usize = 4 << 20;

/// Why templates could not be read.
#[derive(Debug, Error)]
pub(super) enum SourcesError {
    /// The API server refuses one of the objects.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// The text is public.
    #[error("the templates of ConfigMaps and Secrets are together larger than 4 MiB")]
    TooLarge,
}

/// Reads the keys that a template names, and no others; objects that are not there are left out.
pub(super) async fn read(
    api: &Api,
    namespace: &str,
    template: &TargetTemplate,
) -> Result<Sources, SourcesError> {
    let from = &template.template_from;
    let mut sources = Sources::default();
    let mut bytes = 0;
    for (name, keys) in keys_by_name(from.iter().filter_map(|from| from.config_map.as_ref())) {
        let read = action::read_config_map(api, namespace, name).await?;
        let Some(mut data) = read else { continue };
        data.retain(|key, _| keys.contains(key.as_str()));
        bytes += data.values().map(String::len).sum::<usize>();
        if bytes > MOST_BYTES {
            return Err(SourcesError::TooLarge);
        }
        sources.config_maps.insert(name.to_owned(), data);
    }
    for (name, keys) in keys_by_name(from.iter().filter_map(|from| from.secret.as_ref())) {
        let read = secret_target::read(api, &Key::new(namespace, name)).await?;
        let Some(secret) = read else { continue };
        let mut values = secret.into_values();
        values.retain(|key, _| keys.contains(key.as_str()));
        bytes += values.values().map(SecretBytes::len).sum::<usize>();
        if bytes > MOST_BYTES {
            return Err(SourcesError::TooLarge);
        }
        sources.secrets.insert(name.to_owned(), values);
    }
    Ok(sources)
}

/// The keys that are named of each object.
fn keys_by_name<'a>(
    references: impl Iterator<Item = &'a TemplateRef>,
) -> BTreeMap<&'a str, BTreeSet<&'a str>> {
    let mut names: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for reference in references {
        let keys = reference.items.iter().map(|item| item.key.as_str());
        names
            .entry(reference.name.as_str())
            .or_default()
            .extend(keys);
    }
    names
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use hyper::{Request, Response};
    use k8s_openapi::ByteString;
    use kube::Client;
    use kube::client::Body;
    use serde_json::json;

    use super::*;

    /// An API server on which every ConfigMap and Secret has the same two keys, and the number of its answers.
    fn api(large: usize) -> (Api, Arc<AtomicUsize>) {
        let answers = Arc::new(AtomicUsize::new(0));
        let service = tower::service_fn({
            let answers = Arc::clone(&answers);
            move |request: Request<Body>| {
                answers.fetch_add(1, Ordering::Relaxed);
                let value = |size: usize| match request.uri().path().contains("/configmaps/") {
                    true => json!("x".repeat(size)),
                    false => json!(ByteString(vec![b'x'; size])),
                };
                let object = json!({
                    "metadata": {"name": "a", "namespace": "ns"},
                    "data": {"large": value(large), "small": value(10)},
                });
                let answer = Response::new(Body::from(object.to_string().into_bytes()));
                async move { Ok::<_, Infallible>(answer) }
            }
        });
        (Api::new(Client::new(service, "ns"), None, 1), answers)
    }

    /// A template that is read from 200 objects of a kind.
    fn template(kind: &str, key: &str) -> TargetTemplate {
        let from =
            |number: usize| json!({kind: {"name": format!("a{number}"), "items": [{"key": key}]}});
        let from: Vec<_> = (0..200).map(from).collect();
        serde_json::from_value(json!({ "templateFrom": from })).unwrap()
    }

    #[tokio::test]
    async fn no_more_is_read_than_templates_may_have_together() {
        for kind in ["configMap", "secret"] {
            let (api, answers) = api(1 << 20);
            let read = read(&api, "ns", &template(kind, "large")).await;
            assert_eq!(
                read.unwrap_err().to_string(),
                "the templates of ConfigMaps and Secrets are together larger than 4 MiB"
            );
            assert_eq!(answers.load(Ordering::Relaxed), 5, "{kind}");
        }
    }

    #[tokio::test]
    async fn only_the_keys_that_are_named_are_kept() {
        let (api, answers) = api(100_000);
        let sources = read(&api, "ns", &template("configMap", "small"))
            .await
            .unwrap();
        assert_eq!(answers.load(Ordering::Relaxed), 200);
        assert_eq!(sources.config_maps.len(), 200);
        let only = BTreeMap::from([("small".to_owned(), "x".repeat(10))]);
        assert!(sources.config_maps.values().all(|data| *data == only));
        let sources = read(&api, "ns", &template("secret", "small"))
            .await
            .unwrap();
        let keys = sources.secrets.values().map(|values| values.len());
        assert_eq!(keys.collect::<Vec<_>>(), [1; 200]);
    }
}
