//! Listings in pages: as many objects at a time as fit into the memory that there is for them.
//!
//! A page lies in memory twice, as text and as objects. Most objects have a few thousand bytes and may come by hundreds; one may
//! have 1.5 MiB, and one author many of those. So pages grow while the objects are small, and one whose text is larger than
//! [`MOST_BYTES`] is not read to its end but asked for again with fewer objects: what came before says nothing about what an
//! author has put behind it.

use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::Response;
use hyper::header::{ACCEPT, HeaderValue};
use kube::api::ListParams;
use kube::client::Body;
use kube::core::{DynamicResourceScope, ListMeta, Request, Status};
use kube::{Client, Resource};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use crate::api::{Api, Newest};

/// The first page of a listing.
const FIRST: usize = 50;
/// More objects are not asked for at once: the API server makes its answer as a whole.
const MOST: usize = 500;
/// How many times larger a page may be than the one before.
const GROWTH: usize = 3;
/// The text of a page of several objects.
const MOST_BYTES: usize = 3 << 20;
/// The text that the next page should have.
const GOOD_BYTES: usize = 2 << 20;
/// A page that has not arrived by then is asked for again.
const PATIENCE: Duration = Duration::from_secs(60);
/// What lists of metadata alone are asked for with.
const METADATA: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";

/// What is listed and watched.
#[derive(Clone)]
pub(crate) struct Listed<T> {
    pub(super) api: kube::Api<T>,
    label_selector: String,
    pub(super) field_selector: Option<String>,
    pub(super) newest: Arc<Newest>,
}

/// A listing, page by page.
pub(crate) struct Pages<T> {
    client: Client,
    listed: Listed<T>,
    /// How many objects are asked for next, and at most.
    size: usize,
    most: usize,
    /// Where the next page begins.
    token: Option<String>,
    /// The resource version of the last page.
    pub(super) version: String,
    is_last: bool,
    of: PhantomData<fn() -> T>,
}

#[derive(Deserialize)]
struct List<T> {
    metadata: ListMeta,
    // An empty list of metadata has null here.
    #[serde(bound(deserialize = "T: DeserializeOwned"))]
    items: Option<Vec<T>>,
}

impl<T> Listed<T> {
    /// All objects behind `api` with these labels, if any are named.
    pub(crate) fn new(api: kube::Api<T>, label_selector: &str) -> Self {
        Self {
            api,
            label_selector: label_selector.to_owned(),
            field_selector: None,
            newest: Arc::default(),
        }
    }

    /// Notes there which versions are shown.
    fn noting(mut self, newest: &Arc<Newest>) -> Self {
        self.newest = Arc::clone(newest);
        self
    }

    /// Of these, only the ones with these fields.
    pub(crate) fn with_fields(mut self, selector: &str) -> Self {
        self.field_selector = Some(selector.to_owned());
        self
    }

    pub(super) fn selector(&self) -> Option<String> {
        Some(self.label_selector.clone()).filter(|text| !text.is_empty())
    }
}

impl<T: Resource + Clone + DeserializeOwned> Pages<T> {
    /// Begins a listing.
    pub(crate) fn new(listed: Listed<T>) -> Self {
        Self {
            client: listed.api.clone().into_client(),
            listed,
            size: FIRST,
            most: MOST,
            token: None,
            version: String::new(),
            is_last: false,
            of: PhantomData,
        }
    }

    /// Asks for no more objects at once.
    pub(crate) fn have_at_most(&mut self, most: usize) {
        self.most = most;
        self.size = self.size.min(most);
    }

    /// Returns true if there is no page after the one that was read last.
    pub(crate) fn is_last(&self) -> bool {
        self.is_last
    }

    /// Reads the next page.
    pub(crate) async fn next(&mut self) -> Result<Vec<T>, kube::Error> {
        let text = loop {
            match timeout(PATIENCE, self.ask()).await {
                Err(_) => {
                    let late = "a page of a listing did not arrive in time";
                    return Err(kube::Error::Service(late.into()));
                }
                Ok(Err(error)) => return Err(error),
                Ok(Ok(Some(text))) => break text,
                Ok(Ok(None)) => self.size = (self.size / 8).max(1),
            }
        };
        let list: List<T> = serde_json::from_slice(&text).map_err(kube::Error::SerdeError)?;
        let items = list.items.unwrap_or_default();
        let fitting = GOOD_BYTES * items.len() / text.len().max(1);
        self.size = fitting.clamp(1, self.size.saturating_mul(GROWTH).min(self.most));
        self.version = list.metadata.resource_version.unwrap_or_default();
        self.listed.newest.see(&self.version);
        self.token = list.metadata.continue_.filter(|token| !token.is_empty());
        self.is_last = self.token.is_none();
        Ok(items)
    }

    /// Asks for a page; returns nothing if its text is too long for several objects.
    async fn ask(&self) -> Result<Option<Vec<u8>>, kube::Error> {
        let params = ListParams {
            label_selector: self.listed.selector(),
            field_selector: self.listed.field_selector.clone(),
            limit: u32::try_from(self.size).ok(),
            continue_token: self.token.clone(),
            ..ListParams::default()
        };
        let request = Request::new(self.listed.api.resource_url()).list(&params);
        let mut request = request.map_err(kube::Error::BuildRequest)?;
        if T::metadata_api() {
            let accept = HeaderValue::from_static(METADATA);
            request.headers_mut().insert(ACCEPT, accept);
        }
        let response = self.client.send(request.map(Body::from)).await?;
        if !response.status().is_success() {
            return Err(refusal(response).await);
        }
        let most = match self.size {
            1 => usize::MAX,
            _ => MOST_BYTES,
        };
        read(response.into_body(), most).await
    }
}

/// Reads a body of up to `most` bytes.
async fn read(mut body: Body, most: usize) -> Result<Option<Vec<u8>>, kube::Error> {
    let mut text = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame?;
        if let Some(data) = frame.data_ref() {
            if text.len() + data.len() > most {
                return Ok(None);
            }
            text.extend_from_slice(data);
        }
    }
    Ok(Some(text))
}

async fn refusal(response: Response<Body>) -> kube::Error {
    const MOST_WORDS: usize = 64 << 10;
    let code = response.status().as_u16();
    let words = match read(response.into_body(), MOST_WORDS).await {
        Ok(words) => words.unwrap_or_default(),
        Err(error) => return error,
    };
    let status = serde_json::from_slice::<Status>(&words);
    let status = status.unwrap_or_else(|_| Status::failure("", "").with_code(code));
    kube::Error::Api(status.boxed())
}

/// The objects of one namespace, or all.
pub(super) fn listed<T>(api: &Api, namespace: Option<&str>, label_selector: &str) -> Listed<T>
where
    T: Resource<Scope = DynamicResourceScope, DynamicType = ()>,
{
    let newest = api.newest();
    let api = match namespace {
        Some(namespace) => kube::Api::namespaced_with(api.client(), namespace, &()),
        None => kube::Api::all_with(api.client(), &()),
    };
    Listed::new(api, label_selector).noting(newest)
}

#[cfg(test)]
mod tests;
