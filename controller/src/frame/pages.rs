//! Listings in pages: as many objects at a time as fit into the memory that there is for them.
//!
//! A page lies in memory twice, as text and as objects. Most objects have a few thousand bytes and may come by hundreds; one may
//! have 1.5 MiB, and one author many of those. So pages grow while the objects are small, and one whose text is larger than
//! [`MOST_BYTES`] is not read to its end but asked for again with fewer objects: what came before says nothing about what an
//! author has put behind it.

use std::collections::VecDeque;
use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use futures::stream::{BoxStream, unfold};
use futures::{Stream, StreamExt};
use http_body_util::BodyExt;
use hyper::Response;
use hyper::header::{ACCEPT, HeaderValue};
use kube::api::{ListParams, WatchParams};
use kube::client::Body;
use kube::core::{DynamicResourceScope, ListMeta, Request, Status, WatchEvent};
use kube::runtime::watcher::{Error, Event};
use kube::{Client, Resource};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep, timeout};

use crate::api::Api;

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
/// A watch that has not begun by then is asked for again: the API server answers before there is anything to show.
const BEGINS: Duration = Duration::from_secs(30);
/// A watch that is silent for so long is dead, or its connection is: each minute the API server sends a bookmark at least. What
/// has none is begun again where it was.
const SILENCE: Duration = Duration::from_secs(130);
/// A watch that ends so soon, and has shown nothing, is not begun again sooner than after as long a pause.
const AT_ONCE: Duration = Duration::from_secs(1);
/// What lists of metadata alone are asked for with.
const METADATA: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";

/// Called whenever a watch proves that it works without having anything to show.
pub(crate) type Alive = Box<dyn Fn() + Send + Sync>;

/// What is listed and watched.
#[derive(Clone)]
pub(crate) struct Listed<T> {
    api: kube::Api<T>,
    label_selector: String,
    field_selector: Option<String>,
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
    version: String,
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
        }
    }

    /// Of these, only the ones with these fields.
    pub(crate) fn with_fields(mut self, selector: &str) -> Self {
        self.field_selector = Some(selector.to_owned());
        self
    }

    fn selector(&self) -> Option<String> {
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

/// Where a watch is.
enum State<T> {
    Start,
    Listing(Box<Pages<T>>, VecDeque<T>),
    /// Everything of this version is known.
    Known(String),
    /// With when it began, as long as it has shown nothing.
    Watching(
        String,
        BoxStream<'static, kube::Result<WatchEvent<T>>>,
        Option<Instant>,
    ),
}

/// Lists objects, in [`Pages`], and then shows what happens to them. After an error it goes on when it is polled again: from
/// where it was, or from the start if the API server no longer knows that.
pub(crate) fn follow<T>(
    listed: Listed<T>,
    alive: Alive,
) -> impl Stream<Item = Result<Event<T>, Error>> + Send
where
    T: Resource + Clone + fmt::Debug + DeserializeOwned + Send + 'static,
{
    unfold(
        (listed, State::Start, alive),
        |(listed, mut state, alive)| async {
            loop {
                let (event, next) = step(&listed, state, &*alive).await;
                state = next;
                if let Some(event) = event {
                    return Some((event, (listed, state, alive)));
                }
            }
        },
    )
}

async fn step<T>(
    listed: &Listed<T>,
    state: State<T>,
    alive: &(dyn Fn() + Send + Sync),
) -> (Option<Result<Event<T>, Error>>, State<T>)
where
    T: Resource + Clone + fmt::Debug + DeserializeOwned + Send + 'static,
{
    match state {
        State::Start => {
            let pages = Pages::new(listed.clone());
            let state = State::Listing(Box::new(pages), VecDeque::new());
            (Some(Ok(Event::Init)), state)
        }
        State::Listing(mut pages, mut items) => {
            if let Some(item) = items.pop_front() {
                let state = State::Listing(pages, items);
                return (Some(Ok(Event::InitApply(item))), state);
            }
            if pages.is_last() {
                return match pages.version.is_empty() {
                    true => (Some(Err(Error::NoResourceVersion)), State::Start),
                    false => (Some(Ok(Event::InitDone)), State::Known(pages.version)),
                };
            }
            match pages.next().await {
                Ok(items) => (None, State::Listing(pages, items.into())),
                Err(error) => (Some(Err(Error::InitialListFailed(error))), State::Start),
            }
        }
        State::Known(version) => {
            let params = WatchParams {
                label_selector: listed.selector(),
                field_selector: listed.field_selector.clone(),
                bookmarks: true,
                ..WatchParams::default()
            };
            let begun = timeout(BEGINS, listed.api.watch(&params, &version)).await;
            let begun = begun.unwrap_or_else(|_| {
                let late = "the watch did not begin in time";
                Err(kube::Error::Service(late.into()))
            });
            match begun {
                Ok(events) => {
                    alive();
                    let began = Some(Instant::now());
                    (None, State::Watching(version, events.boxed(), began))
                }
                Err(error) => {
                    let state = match &error {
                        kube::Error::Api(status) if status.code == 410 => State::Start,
                        _ => State::Known(version),
                    };
                    (Some(Err(Error::WatchStartFailed(error))), state)
                }
            }
        }
        State::Watching(version, mut events, began) => {
            let event = match timeout(SILENCE, events.next()).await {
                Err(_) => return (None, State::Known(version)),
                // The API server ends every watch now and then.
                Ok(None) => {
                    if began.is_some_and(|began| began.elapsed() < AT_ONCE) {
                        sleep(AT_ONCE).await;
                    }
                    return (None, State::Known(version));
                }
                Ok(Some(Err(error))) => {
                    let state = State::Watching(version, events, None);
                    return (Some(Err(Error::WatchFailed(error))), state);
                }
                Ok(Some(Ok(event))) => event,
            };
            let (object, deleted) = match event {
                WatchEvent::Added(object) | WatchEvent::Modified(object) => (object, false),
                WatchEvent::Deleted(object) => (object, true),
                WatchEvent::Bookmark(bookmark) => {
                    alive();
                    let version = bookmark.metadata.resource_version;
                    return (None, State::Watching(version, events, began));
                }
                WatchEvent::Error(status) => {
                    let state = match status.code {
                        410 => State::Start,
                        _ => State::Watching(version, events, None),
                    };
                    return (Some(Err(Error::WatchError(status))), state);
                }
            };
            let Some(version) = object.meta().resource_version.clone() else {
                return (Some(Err(Error::NoResourceVersion)), State::Start);
            };
            let event = match deleted {
                true => Event::Delete(object),
                false => Event::Apply(object),
            };
            (Some(Ok(event)), State::Watching(version, events, None))
        }
    }
}

/// The objects of one namespace, or all.
pub(super) fn listed<T>(api: &Api, namespace: Option<&str>, label_selector: &str) -> Listed<T>
where
    T: Resource<Scope = DynamicResourceScope, DynamicType = ()>,
{
    let api = match namespace {
        Some(namespace) => kube::Api::namespaced_with(api.client(), namespace, &()),
        None => kube::Api::all_with(api.client(), &()),
    };
    Listed::new(api, label_selector)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::atomic::AtomicUsize;
    use std::sync::atomic::Ordering::Relaxed;
    use std::sync::{Arc, Mutex};

    use http_body_util::combinators::UnsyncBoxBody;
    use http_body_util::{Full, StreamBody};
    use hyper::body::{Bytes, Frame};
    use hyper::{Request, StatusCode};
    use sealwright_resources::sealed_secret::SealedSecret;
    use serde_json::{Value, json};

    use super::super::read::Read;
    use super::*;

    /// What becomes of a watch.
    #[derive(Debug, Clone, Copy)]
    enum Watch {
        NeverBegins,
        Silent,
        Shows,
        Ends,
        EndsAfterBookmark,
    }

    /// An API server that has objects of these sizes, and streams its answers.
    #[derive(Default)]
    struct ApiServer {
        sizes: Vec<usize>,
        /// What becomes of the next watches.
        watches: Mutex<VecDeque<Watch>>,
        /// How many objects were asked for at a time.
        limits: Mutex<Vec<usize>>,
        /// The most bytes of one answer that were taken.
        most_taken: AtomicUsize,
        /// The next request is refused with this.
        refuses: Mutex<Option<StatusCode>>,
    }

    impl ApiServer {
        fn with(sizes: Vec<usize>) -> Arc<Self> {
            Arc::new(Self {
                sizes,
                ..Self::default()
            })
        }

        fn object(&self, number: usize) -> Value {
            json!({
                "apiVersion": "bitnami.com/v1alpha1", "kind": "SealedSecret",
                "metadata": {"name": format!("s{number}"), "namespace": "ns", "uid": "u", "resourceVersion": "5"},
                "spec": {"encryptedData": {"k": "x".repeat(self.sizes[number])}},
            })
        }

        fn answer(
            self: &Arc<Self>,
            uri: &hyper::Uri,
        ) -> Response<UnsyncBoxBody<Bytes, Infallible>> {
            if let Some(code) = self.refuses.lock().unwrap().take() {
                let status = json!({"kind": "Status", "code": code.as_u16(), "message": "no"});
                let body = Full::new(Bytes::from(status.to_string()));
                let mut response = Response::new(body.boxed_unsync());
                *response.status_mut() = code;
                return response;
            }
            let query = uri.query().unwrap_or_default();
            let number = |name: &str| -> Option<usize> {
                let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
                pairs.find(|(key, _)| *key == name)?.1.parse().ok()
            };
            let (first, limit) = (number("continue").unwrap_or(0), number("limit").unwrap());
            self.limits.lock().unwrap().push(limit);
            let end = (first + limit).min(self.sizes.len());
            let items: Vec<Value> = (first..end).map(|number| self.object(number)).collect();
            let token = match end < self.sizes.len() {
                true => end.to_string(),
                false => String::new(),
            };
            let list =
                json!({"metadata": {"resourceVersion": "9", "continue": token}, "items": items});
            let text = Bytes::from(list.to_string());
            let (server, mut taken) = (Arc::clone(self), 0);
            let pieces: Vec<Bytes> = (0..text.len())
                .step_by(16 << 10)
                .map(|at| text.slice(at..(at + (16 << 10)).min(text.len())))
                .collect();
            let frames = futures::stream::iter(pieces).map(move |piece| {
                taken += piece.len();
                server.most_taken.fetch_max(taken, Relaxed);
                Ok::<_, Infallible>(Frame::data(piece))
            });
            Response::new(StreamBody::new(frames).boxed_unsync())
        }

        /// Answers a watch; nothing if it does not begin.
        fn watch(&self) -> Option<Response<UnsyncBoxBody<Bytes, Infallible>>> {
            let watch = self.watches.lock().unwrap().pop_front();
            let line = match watch {
                Some(Watch::Shows) => {
                    let event = json!({"type": "MODIFIED", "object": self.object(0)});
                    Some(format!("{event}\n"))
                }
                Some(Watch::Silent) => None,
                Some(Watch::Ends) => {
                    let body = Full::new(Bytes::new());
                    return Some(Response::new(body.boxed_unsync()));
                }
                Some(Watch::EndsAfterBookmark) => {
                    let event = json!({"type": "BOOKMARK", "object": {
                        "apiVersion": "bitnami.com/v1alpha1", "kind": "SealedSecret",
                        "metadata": {"resourceVersion": "9"}}});
                    let body = Full::new(Bytes::from(format!("{event}\n")));
                    return Some(Response::new(body.boxed_unsync()));
                }
                Some(Watch::NeverBegins) | None => return None,
            };
            let line = line.map(|line| Ok::<_, Infallible>(Frame::data(Bytes::from(line))));
            let frames = futures::stream::iter(line).chain(futures::stream::pending());
            Some(Response::new(StreamBody::new(frames).boxed_unsync()))
        }

        fn listed(self: &Arc<Self>) -> Listed<Read<SealedSecret>> {
            let server = Arc::clone(self);
            let service = tower::service_fn(move |request: Request<Body>| {
                let uri = request.uri();
                let answer = match uri.query().unwrap_or_default().contains("watch=true") {
                    true => server.watch(),
                    false => Some(server.answer(uri)),
                };
                async move {
                    match answer {
                        Some(answer) => Ok::<_, Infallible>(answer),
                        None => std::future::pending().await,
                    }
                }
            });
            let client = Client::new(service, "ns");
            Listed::new(kube::Api::all_with(client, &()), "")
        }

        async fn names(self: &Arc<Self>) -> Vec<String> {
            let mut pages = Pages::new(self.listed());
            let mut names = Vec::new();
            while !pages.is_last() {
                for object in pages.next().await.unwrap() {
                    names.push(object.meta().name.clone().unwrap());
                }
            }
            assert_eq!(pages.version, "9");
            names
        }
    }

    #[tokio::test]
    async fn pages_grow_while_the_objects_are_small_and_are_cut_off_where_they_are_not() {
        // A tenant may put the largest behind hundreds of the smallest.
        let mut sizes = vec![300; 700];
        sizes.extend([1_400_000; 30]);
        sizes.extend([300; 700]);
        let server = ApiServer::with(sizes);
        let expected: Vec<String> = (0..1430).map(|number| format!("s{number}")).collect();
        assert_eq!(server.names().await, expected);
        let limits = server.limits.lock().unwrap();
        assert_eq!(limits[..4], [50, 150, 450, 500]);
        let most = server.most_taken.load(Relaxed);
        assert!(most < MOST_BYTES + (32 << 10), "{most} bytes of one answer");
    }

    #[tokio::test]
    async fn a_great_many_objects_of_the_usual_size_are_few_pages() {
        let server = ApiServer::with(vec![3500; 4000]);
        assert_eq!(server.names().await.len(), 4000);
        let limits = server.limits.lock().unwrap();
        assert!(limits.len() <= 12, "{limits:?}");
    }

    #[tokio::test]
    async fn one_object_that_is_larger_than_a_page_is_a_page() {
        let server = ApiServer::with(vec![MOST_BYTES + 1; 3]);
        assert_eq!(server.names().await.len(), 3);
    }

    #[tokio::test]
    async fn a_listing_that_fails_begins_again() {
        let server = ApiServer::with(vec![10; 60]);
        let mut events = Box::pin(follow(server.listed(), Box::new(|| {})));
        let (mut begun, mut seen) = (0, Vec::new());
        loop {
            match events.next().await.unwrap() {
                Ok(Event::Init) => {
                    begun += 1;
                    seen.clear();
                }
                Ok(Event::InitApply(object)) => {
                    if (begun, seen.len()) == (1, 49) {
                        // A token of a page expires.
                        *server.refuses.lock().unwrap() = Some(StatusCode::GONE);
                    }
                    seen.push(object);
                }
                Ok(Event::InitDone) => break,
                Ok(_) => panic!("the watch has not begun"),
                Err(Error::InitialListFailed(kube::Error::Api(status))) => {
                    assert_eq!((status.code, &*status.message), (410, "no"));
                }
                Err(error) => panic!("{error}"),
            }
        }
        assert_eq!((begun, seen.len()), (2, 60));
    }

    #[tokio::test(start_paused = true)]
    async fn a_watch_that_does_not_begin_or_falls_silent_is_begun_again() {
        let server = ApiServer::with(vec![10]);
        let watches = [Watch::NeverBegins, Watch::Silent, Watch::Shows];
        server.watches.lock().unwrap().extend(watches);
        let alive = Arc::new(AtomicUsize::new(0));
        let count = {
            let alive = Arc::clone(&alive);
            move || {
                alive.fetch_add(1, Relaxed);
            }
        };
        let mut events = Box::pin(follow(server.listed(), Box::new(count)));
        let mut failures = Vec::new();
        // Three bookmarks at most are missed before it shows what it would have shown.
        let shown = timeout(Duration::from_secs(180), async {
            loop {
                match events.next().await.unwrap() {
                    Ok(Event::Apply(object)) => return object,
                    Ok(_) => {}
                    Err(error) => failures.push(error),
                }
            }
        });
        let shown = shown.await.unwrap();
        assert_eq!(shown.meta().name.as_deref(), Some("s0"));
        assert_eq!(alive.load(Relaxed), 2, "two watches have begun");
        assert!(
            matches!(failures[..], [Error::WatchStartFailed(_)]),
            "{failures:?}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn watches_that_end_at_once_do_not_follow_on_each_other_without_a_pause() {
        for watch in [Watch::Ends, Watch::EndsAfterBookmark] {
            let server = ApiServer::with(vec![10]);
            server.watches.lock().unwrap().extend([watch; 500]);
            let mut events = Box::pin(follow(server.listed(), Box::new(|| {})));
            let watching = async { while events.next().await.is_some() {} };
            assert!(timeout(Duration::from_secs(20), watching).await.is_err());
            let left = server.watches.lock().unwrap().len();
            assert!((475..485).contains(&left), "{watch:?}: {left}");
        }
    }
}
