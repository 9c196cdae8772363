//! An API server of tests, as listings and watches see it.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};

use futures::StreamExt;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Bytes, Frame};
use hyper::{Request, Response, StatusCode};
use kube::Client;
use kube::client::Body;
use sealwright_resources::sealed_secret::SealedSecret;
use serde_json::{Value, json};

use super::pages::Listed;
use super::read::Read;

/// What becomes of a watch.
#[derive(Debug, Clone, Copy)]
pub(super) enum Watch {
    NeverBegins,
    Silent,
    Shows,
    Ends,
    EndsAfterBookmark,
}

/// An API server that has objects of these sizes, and streams its answers.
#[derive(Default)]
pub(super) struct ApiServer {
    pub(super) sizes: Vec<usize>,
    /// What becomes of the next watches.
    pub(super) watches: Mutex<VecDeque<Watch>>,
    /// How many objects were asked for at a time.
    pub(super) limits: Mutex<Vec<usize>>,
    /// The most bytes of one answer that were taken.
    pub(super) most_taken: AtomicUsize,
    /// The next request is refused with this.
    pub(super) refuses: Mutex<Option<StatusCode>>,
}

impl ApiServer {
    pub(super) fn with(sizes: Vec<usize>) -> Arc<Self> {
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

    fn answer(self: &Arc<Self>, uri: &hyper::Uri) -> Response<UnsyncBoxBody<Bytes, Infallible>> {
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
        let list = json!({"metadata": {"resourceVersion": "9", "continue": token}, "items": items});
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

    pub(super) fn listed(self: &Arc<Self>) -> Listed<Read<SealedSecret>> {
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
}
