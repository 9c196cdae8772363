//! Listings in pages: as many objects at a time as fit into the memory that there is for them.
//!
//! A page [may not be too large](PageSize), whatever its authors do. It lies in memory as text, of which one object at a time is
//! read, as a thousand short texts take ten times their length as objects; and few pages that are not small lie in memory
//! [at a time](Places).

use std::marker::PhantomData;
use std::ops::Range;
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
use serde_json::value::RawValue;
use tokio::time::timeout;

use crate::api::{Api, METADATA_LIST, Newest};
use crate::page_size::{PageSize, Place, Places};

/// The first page of a listing.
const FIRST: usize = 50;
/// More objects are not asked for at once: the API server makes its answer as a whole.
const MOST: usize = 500;
/// A page that has not arrived by then is asked for again.
const PATIENCE: Duration = Duration::from_secs(60);
/// What is listed and watched.
#[derive(Clone)]
pub(crate) struct Listed<T> {
    pub(super) api: kube::Api<T>,
    label_selector: String,
    pub(super) field_selector: Option<String>,
    pub(super) newest: Arc<Newest>,
    places: Places,
}

/// A listing, page by page.
pub(crate) struct Pages<T> {
    client: Client,
    listed: Listed<T>,
    size: PageSize,
    /// Where the next page begins.
    token: Option<String>,
    /// The resource version of the last page.
    pub(super) version: String,
    is_last: bool,
    of: PhantomData<fn() -> T>,
}

#[derive(Deserialize)]
struct List<'a> {
    metadata: ListMeta,
    // An empty list of metadata has null here.
    #[serde(borrow)]
    items: Option<Vec<&'a RawValue>>,
}

/// The objects of a page, each of which is read when its turn comes.
pub(crate) struct Page<T> {
    text: Vec<u8>,
    /// Where they are in the text.
    objects: std::vec::IntoIter<Range<usize>>,
    _place: Place,
    of: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned> Iterator for Page<T> {
    type Item = Result<T, kube::Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let object = serde_json::from_slice(&self.text[self.objects.next()?]);
        Some(object.map_err(kube::Error::SerdeError))
    }
}

impl<T> Listed<T> {
    /// All objects behind `api` with these labels, if any are named.
    pub(crate) fn new(api: kube::Api<T>, label_selector: &str) -> Self {
        Self {
            api,
            label_selector: label_selector.to_owned(),
            field_selector: None,
            newest: Arc::default(),
            places: Places::default(),
        }
    }

    /// Notes there which versions are shown.
    fn noting(mut self, newest: &Arc<Newest>) -> Self {
        self.newest = Arc::clone(newest);
        self
    }

    /// Shares these places in memory with others.
    pub(crate) fn sharing(mut self, places: &Places) -> Self {
        self.places = places.clone();
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
            size: PageSize::new(FIRST, MOST),
            token: None,
            version: String::new(),
            is_last: false,
            of: PhantomData,
        }
    }

    /// Asks for no more objects at once.
    pub(crate) fn have_at_most(&mut self, most: usize) {
        self.size = PageSize::new(FIRST, most);
    }

    /// Returns true if there is no page after the one that was read last.
    pub(crate) fn is_last(&self) -> bool {
        self.is_last
    }

    /// Reads the next page. The one before is to be dropped first, which gives its place back.
    pub(crate) async fn next(&mut self) -> Result<Page<T>, kube::Error> {
        let (text, place) = loop {
            let (place, most) = self.size.place(&self.listed.places).await;
            match timeout(PATIENCE, self.ask(most)).await {
                Err(_) => {
                    let late = "a page of a listing did not arrive in time";
                    return Err(kube::Error::Service(late.into()));
                }
                Ok(Err(error)) => return Err(error),
                Ok(Ok(Some(text))) => break (text, place),
                Ok(Ok(None)) => self.size.exceeded(&place),
            }
        };
        let list: List<'_> = serde_json::from_slice(&text).map_err(kube::Error::SerdeError)?;
        let start = text.as_ptr().addr();
        let objects = list.items.into_iter().flatten().map(|object| {
            let at = object.get().as_ptr().addr() - start;
            at..at + object.get().len()
        });
        let objects: Vec<Range<usize>> = objects.collect();
        let place = self.size.read(objects.len(), text.len(), place);
        self.version = list.metadata.resource_version.unwrap_or_default();
        self.listed.newest.see(&self.version);
        self.token = list.metadata.continue_.filter(|token| !token.is_empty());
        self.is_last = self.token.is_none();
        Ok(Page {
            text,
            objects: objects.into_iter(),
            _place: place,
            of: PhantomData,
        })
    }

    /// Asks for a page; returns nothing if its text has more than `most` bytes.
    async fn ask(&self, most: usize) -> Result<Option<Vec<u8>>, kube::Error> {
        let params = ListParams {
            label_selector: self.listed.selector(),
            field_selector: self.listed.field_selector.clone(),
            limit: u32::try_from(self.size.objects()).ok(),
            continue_token: self.token.clone(),
            ..ListParams::default()
        };
        let request = Request::new(self.listed.api.resource_url()).list(&params);
        let mut request = request.map_err(kube::Error::BuildRequest)?;
        if T::metadata_api() {
            let accept = HeaderValue::from_static(METADATA_LIST);
            request.headers_mut().insert(ACCEPT, accept);
        }
        let response = self.client.send(request.map(Body::from)).await?;
        if !response.status().is_success() {
            return Err(refusal(response).await);
        }
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
    let client = match namespace {
        Some(namespace) => kube::Api::namespaced_with(api.client(), namespace, &()),
        None => kube::Api::all_with(api.client(), &()),
    };
    let listed = Listed::new(client, label_selector);
    listed.noting(api.newest()).sharing(api.places())
}

#[cfg(test)]
mod tests;
