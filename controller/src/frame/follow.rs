//! Objects as they are and as they change: a listing and, behind it, one watch after another.

use std::fmt;
use std::time::Duration;

use futures::stream::{BoxStream, unfold};
use futures::{Stream, StreamExt};
use kube::Resource;
use kube::api::WatchParams;
use kube::core::WatchEvent;
use kube::runtime::watcher::{Error, Event};
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep, timeout};

use super::pages::{Listed, Page, Pages};

/// A watch that has not begun by then is asked for again: the API server answers before there is anything to show.
const BEGINS: Duration = Duration::from_secs(30);
/// A watch that is silent for so long is dead, or its connection is: each minute the API server sends a bookmark at least. What
/// has none is begun again where it was.
const SILENCE: Duration = Duration::from_secs(130);
/// A watch that ends so soon, and has shown nothing, is not begun again sooner than after as long a pause.
const AT_ONCE: Duration = Duration::from_secs(1);
/// A watch that has stayed open for so long works: an API server may answer each watch and end it with an error at once.
const HOLDS: Duration = Duration::from_secs(5);

/// Called whenever a watch proves that it works without having anything to show.
pub(crate) type Alive = Box<dyn Fn() + Send + Sync>;

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

/// Where a watch is.
enum State<T> {
    Start,
    Listing(Box<Pages<T>>, Option<Page<T>>),
    /// Everything of this version is known.
    Known(String),
    /// With when it began, until it has shown something or has stayed open.
    Watching(
        String,
        BoxStream<'static, kube::Result<WatchEvent<T>>>,
        Option<Instant>,
    ),
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
            let state = State::Listing(Box::new(pages), None);
            (Some(Ok(Event::Init)), state)
        }
        State::Listing(mut pages, mut page) => {
            match page.as_mut().and_then(Iterator::next) {
                Some(Ok(object)) => {
                    let state = State::Listing(pages, page);
                    return (Some(Ok(Event::InitApply(object))), state);
                }
                Some(Err(error)) => {
                    return (Some(Err(Error::InitialListFailed(error))), State::Start);
                }
                // It makes room for the next one.
                None => drop(page),
            }
            if pages.is_last() {
                return match pages.version.is_empty() {
                    true => (Some(Err(Error::NoResourceVersion)), State::Start),
                    false => (Some(Ok(Event::InitDone)), State::Known(pages.version)),
                };
            }
            match pages.next().await {
                Ok(page) => (None, State::Listing(pages, Some(page))),
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
            let patience = match began {
                Some(began) => HOLDS.saturating_sub(began.elapsed()),
                None => SILENCE,
            };
            let event = match timeout(patience, events.next()).await {
                Err(_) if began.is_some() => {
                    alive();
                    return (None, State::Watching(version, events, None));
                }
                Err(_) => return (None, State::Known(version)),
                // The API server ends every watch now and then.
                Ok(None) => {
                    match began {
                        Some(began) if began.elapsed() < AT_ONCE => sleep(AT_ONCE).await,
                        Some(_) => alive(),
                        None => {}
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
                    if began.is_none() {
                        alive();
                    }
                    let version = bookmark.metadata.resource_version;
                    return (None, State::Watching(version, events, began));
                }
                WatchEvent::Error(status) => {
                    let state = match status.code {
                        410 => State::Start,
                        429 => State::Known(version),
                        // It may be the version that cannot be served, and a listing has another one.
                        _ if began.is_some() => State::Start,
                        _ => State::Watching(version, events, None),
                    };
                    return (Some(Err(Error::WatchError(status))), state);
                }
            };
            let Some(version) = object.meta().resource_version.clone() else {
                return (Some(Err(Error::NoResourceVersion)), State::Start);
            };
            listed.newest.see(&version);
            let event = match deleted {
                true => Event::Delete(object),
                false => Event::Apply(object),
            };
            (Some(Ok(event)), State::Watching(version, events, None))
        }
    }
}

#[cfg(test)]
mod tests;
