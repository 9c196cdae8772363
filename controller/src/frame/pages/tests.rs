use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::super::api_server::ApiServer;
use super::*;
use crate::page_size::MOST_BYTES;

impl ApiServer {
    async fn names(self: &Arc<Self>) -> Vec<String> {
        let mut pages = Pages::new(self.listed());
        let mut names = Vec::new();
        while !pages.is_last() {
            for object in pages.next().await.unwrap() {
                names.push(object.unwrap().meta().name.clone().unwrap());
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

#[tokio::test(start_paused = true)]
async fn few_large_pages_are_in_memory_at_a_time_and_small_ones_do_not_wait() {
    let large = ApiServer::with(vec![100_000; 5]).listed();
    let begin = || Pages::new(large.clone());
    let mut held = Vec::new();
    let waits = loop {
        let mut pages = begin();
        let page = timeout(PATIENCE, pages.next()).await;
        match page {
            Ok(page) => held.push(page.unwrap()),
            Err(_) => break held.len(),
        }
    };
    assert_eq!(waits, 4);
    // A listing without large objects goes on beside them.
    let places = large.places.clone();
    let small = ApiServer::with(vec![10; 20]).listed().sharing(&places);
    let mut small = Pages::new(small);
    let page = timeout(PATIENCE, small.next()).await;
    assert_eq!(page.unwrap().unwrap().count(), 20);
    // A place that is given back is taken, and what was asked for in vain is asked for again.
    let mut pages = begin();
    let (page, ()) = tokio::join!(timeout(PATIENCE, pages.next()), async {
        tokio::time::sleep(PATIENCE / 2).await;
        held.pop();
    });
    assert_eq!(page.unwrap().unwrap().count(), 5);
}
