use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use hyper::StatusCode;

use super::super::api_server::{ApiServer, Watch};
use super::*;

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
    assert_eq!(alive.load(Relaxed), 1, "one has stayed open");
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
