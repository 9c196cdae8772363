use super::*;

impl Grouped for &'static str {
    type Group = &'static str;

    fn group(&self) -> &'static str {
        self.split_once('/').map_or("", |(group, _)| group)
    }
}

fn taken(queue: &Queue<&'static str>) -> Option<&'static str> {
    queue
        .state
        .lock()
        .unwrap()
        .take(Lane::Quick, Instant::now())
}

async fn next_of(queue: &Queue<&'static str>, lane: Lane) -> &'static str {
    loop {
        match queue.take(lane) {
            Ok(key) => return key,
            Err(due) => queue.filled(lane, due).await,
        }
    }
}

#[tokio::test]
async fn new_things_go_first_but_the_backlog_is_not_starved() {
    let queue = Queue::new(100);
    for key in ["b1", "b2", "b3"] {
        queue.add(key, Urgency::Backlog);
    }
    let names = ["n1", "n2", "n3", "n4", "n5", "n6", "n7", "n8", "n9"];
    for key in names {
        queue.add(key, Urgency::Now);
    }
    let order: Vec<_> = std::iter::from_fn(|| taken(&queue)).collect();
    assert_eq!(order[..7], names[..7]);
    assert_eq!(order[7..], ["b1", "n8", "n9", "b2", "b3"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_due_waits_for_changes_and_makes_the_backlog_wait() {
    let queue = Queue::new(100);
    for key in ["d1", "d2"] {
        queue.add_after(key, Duration::from_secs(5));
    }
    // It comes back at once, so it is still what changed.
    queue.add_after("again", Duration::from_millis(100));
    tokio::time::advance(Duration::from_secs(6)).await;
    queue.add("b1", Urgency::Backlog);
    queue.add("n1", Urgency::Now);
    // A change of what is due does not wait with it.
    queue.add("d2", Urgency::Now);
    let order: Vec<_> = std::iter::from_fn(|| taken(&queue)).collect();
    assert_eq!(order, ["n1", "d2", "again", "d1", "b1"]);
    order.iter().for_each(|key| queue.done(key, None));
    for _ in 0..20 {
        queue.add_after("due", Duration::from_secs(5));
        tokio::time::advance(Duration::from_secs(6)).await;
        let names = ["n1", "n2", "n3", "n4", "n5", "n6", "n7", "n8", "n9"];
        for key in names {
            queue.add(key, Urgency::Now);
        }
        let order: Vec<_> = std::iter::from_fn(|| taken(&queue)).collect();
        let at = order.iter().position(|key| *key == "due").unwrap();
        assert!(at <= 7, "{order:?}");
        for key in order {
            queue.done(&key, None);
        }
    }
}

#[tokio::test]
async fn a_key_is_queued_once_and_never_on_two_workers() {
    let queue = Queue::new(100);
    queue.add("a", Urgency::Backlog);
    queue.add("a", Urgency::Now);
    queue.add("a", Urgency::Now);
    assert_eq!(next_of(&queue, Lane::Quick).await, "a");
    assert_eq!(taken(&queue), None);
    queue.add("a", Urgency::Now);
    queue.add("a", Urgency::Backlog);
    assert_eq!(taken(&queue), None);
    queue.done(&"a", None);
    assert_eq!(taken(&queue), Some("a"));
    queue.done(&"a", None);
    assert_eq!(taken(&queue), None);
}

#[tokio::test]
async fn retries_come_later_and_a_change_does_not_wait_for_them() {
    let queue = Queue::new(100);
    let minute = Duration::from_secs(60);
    let at = |later| {
        queue
            .state
            .lock()
            .unwrap()
            .take(Lane::Quick, Instant::now() + later)
    };
    queue.add("a", Urgency::Now);
    assert_eq!(next_of(&queue, Lane::Quick).await, "a");
    queue.done(&"a", Some(minute));
    assert_eq!(at(minute / 2), None);
    queue.add("a", Urgency::Now);
    assert_eq!(at(Duration::ZERO), Some("a"));
    queue.done(&"a", Some(minute));
    assert_eq!(at(minute + Duration::from_secs(1)), Some("a"));
}

#[tokio::test]
async fn keys_are_counted_by_where_they_are() {
    let queue = Queue::new(100);
    for key in ["a", "b", "c"] {
        queue.add(key, Urgency::Backlog);
    }
    queue.add("n", Urgency::Now);
    queue.add("n", Urgency::Now);
    queue.add_after("l", Duration::from_secs(60));
    assert_eq!(next_of(&queue, Lane::Quick).await, "n");
    let depth = QueueDepth {
        ready: 0,
        due: 0,
        backlog: 3,
        slow: 0,
        delayed: 1,
        working: 1,
    };
    assert_eq!(queue.depth(), depth);
}

#[tokio::test]
async fn the_earlier_of_two_delays_counts() {
    let queue = Queue::new(100);
    for seconds in [60, 5, 90] {
        queue.add_after("a", Duration::from_secs(seconds));
    }
    let at = |seconds| {
        let now = Instant::now() + Duration::from_secs(seconds);
        queue.state.lock().unwrap().take(Lane::Quick, now)
    };
    assert_eq!(at(4), None);
    assert_eq!(at(6), Some("a"));
    queue.done(&"a", None);
    assert_eq!(at(100), None);
}

#[tokio::test]
async fn a_delay_that_is_wanted_while_a_worker_has_the_key_is_kept() {
    let queue = Queue::new(100);
    let at = |seconds| {
        let now = Instant::now() + Duration::from_secs(seconds);
        queue.state.lock().unwrap().take(Lane::Quick, now)
    };
    queue.add("a", Urgency::Now);
    assert_eq!(at(0), Some("a"));
    queue.add_after("a", Duration::from_secs(60));
    queue.add_after("a", Duration::from_secs(5));
    assert_eq!(at(100), None);
    queue.done(&"a", Some(Duration::from_secs(30)));
    assert_eq!(at(4), None);
    assert_eq!(at(6), Some("a"));
    queue.done(&"a", None);
    assert_eq!(at(100), None);
}

#[tokio::test]
async fn a_worker_wakes_when_a_delay_is_over() {
    let queue = Queue::new(100);
    queue.add_after("a", Duration::from_millis(20));
    assert_eq!(next_of(&queue, Lane::Quick).await, "a");
}

#[tokio::test]
async fn a_group_that_floods_the_queue_makes_itself_wait() {
    let queue = Queue::new(100);
    for key in ["a/1", "a/2", "a/3", "a/4", "b/1", "b/2", "c/1"] {
        queue.add(key, Urgency::Now);
    }
    let order: Vec<_> = std::iter::from_fn(|| taken(&queue)).collect();
    assert_eq!(order, ["a/1", "b/1", "c/1", "a/2", "b/2", "a/3", "a/4"]);
}

#[tokio::test]
async fn no_group_has_all_workers() {
    let queue = Queue::new(4);
    for key in ["a/1", "a/2", "a/3", "a/4", "a/5"] {
        queue.add(key, Urgency::Now);
        queue.add(key, Urgency::Backlog);
    }
    let order: Vec<_> = std::iter::from_fn(|| taken(&queue)).collect();
    assert_eq!(order, ["a/1", "a/2", "a/3"]);
    queue.add("b/1", Urgency::Backlog);
    assert_eq!((taken(&queue), taken(&queue)), (Some("b/1"), None));
    // A worker that waits for one of them is notified when another is done, whatever becomes of that.
    let next = next_of(&queue, Lane::Quick);
    tokio::pin!(next);
    assert!(futures::poll!(&mut next).is_pending());
    queue.done(&"a/1", None);
    assert_eq!(next.await, "a/4");
    // As a key is slowed down, it no longer counts in the quick lane.
    queue.slow_down(&"a/2");
    queue.done(&"a/2", Some(Duration::ZERO));
    assert_eq!(next_of(&queue, Lane::Slow).await, "a/2");
    assert_eq!((taken(&queue), taken(&queue)), (Some("a/5"), None));
    // Nor does one that waits for an answer.
    queue.add("a/6", Urgency::Now);
    queue.add("a/7", Urgency::Now);
    assert_eq!(taken(&queue), None);
    queue.set_aside(&"a/3", true);
    queue.set_aside(&"a/3", true);
    assert_eq!((taken(&queue), taken(&queue)), (Some("a/6"), None));
    queue.set_aside(&"a/3", false);
    queue.done(&"a/4", None);
    assert_eq!(taken(&queue), None);
    queue.set_aside(&"a/3", true);
    assert_eq!(taken(&queue), Some("a/7"));
    queue.done(&"a/3", None);
    assert_eq!(queue.depth().working, 5);
}

#[tokio::test]
async fn work_that_is_continued_in_the_slow_lane_is_continued_once() {
    let queue = Queue::new(2);
    queue.add("a", Urgency::Now);
    assert!(taken(&queue).is_some() && !queue.is_continued(&"a"));
    queue.slow_down(&"a");
    queue.done(&"a", Some(Duration::ZERO));
    next_of(&queue, Lane::Slow).await;
    assert!(queue.is_continued(&"a") && !queue.is_continued(&"a"));
    queue.done(&"a", Some(Duration::ZERO));
    next_of(&queue, Lane::Slow).await;
    assert!(!queue.is_continued(&"a"));
}

#[tokio::test]
async fn slow_keys_wait_for_each_other_and_for_nothing_else() {
    let queue = Queue::new(100);
    let slow = || {
        let mut state = queue.state.lock().unwrap();
        state.take(Lane::Slow, Instant::now())
    };
    for key in ["a/1", "a/2", "b/1", "b/2"] {
        queue.add(key, Urgency::Now);
    }
    // Workers find out that three of them are slow.
    for key in ["a/1", "b/1", "a/2"] {
        assert_eq!(taken(&queue), Some(key));
        assert!(!queue.is_slow(&key) && !queue.was_slowed_down(&key));
        queue.slow_down(&key);
        assert!(queue.is_slow(&key) && queue.was_slowed_down(&key));
        queue.done(&key, Some(Duration::ZERO));
    }
    assert_eq!(taken(&queue), Some("b/2"));
    assert_eq!(taken(&queue), None);
    assert_eq!(queue.depth().slow, 3);
    assert_eq!(slow(), Some("a/1"));
    // Its old entry is skipped, and it is not handed out twice.
    queue.quicken(&"b/1");
    assert_eq!(taken(&queue), Some("b/1"));
    assert_eq!((slow(), slow()), (Some("a/2"), None));
    assert!(!queue.was_slowed_down(&"a/2"));
    // A slow key stays slow, whatever wakes it.
    queue.done(&"a/2", None);
    queue.add("a/2", Urgency::Backlog);
    queue.add_after("a/2", Duration::ZERO);
    assert_eq!((taken(&queue), slow()), (None, Some("a/2")));
    queue.quicken(&"a/2");
    queue.done(&"a/2", Some(Duration::ZERO));
    assert_eq!((slow(), taken(&queue)), (None, Some("a/2")));
}

#[tokio::test]
async fn a_worker_of_the_slow_lane_wakes_for_its_keys() {
    let queue = Queue::new(100);
    queue.slow_down(&"s");
    queue.add_after("s", Duration::from_millis(20));
    assert_eq!(next_of(&queue, Lane::Slow).await, "s");
    queue.add("s", Urgency::Now);
    queue.done(&"s", None);
    assert_eq!(next_of(&queue, Lane::Slow).await, "s");
}

#[tokio::test(start_paused = true)]
async fn a_lane_wakes_for_a_key_that_the_other_lane_has_lined_up() {
    let (queue, minute) = (Queue::new(100), Duration::from_secs(60));
    queue.add_after("a", minute);
    // Takes the notification of that.
    queue.filled(Lane::Quick, None).await;
    let Err(due) = queue.take(Lane::Quick) else {
        panic!("it is not due yet");
    };
    tokio::time::advance(2 * minute).await;
    // Between the look and the wait of one lane, the other looks.
    assert!(queue.take(Lane::Slow).is_err());
    let filled = queue.filled(Lane::Quick, due);
    assert!(tokio::time::timeout(minute, filled).await.is_ok());
    assert_eq!(queue.take(Lane::Quick), Ok("a"));
}

#[tokio::test]
async fn a_key_that_was_forgotten_with_all_others_does_not_come_again() {
    let queue = Queue::new(100);
    queue.add("a", Urgency::Now);
    assert_eq!(taken(&queue), Some("a"));
    // Its worker is still ending when the lead is lost.
    queue.clear();
    queue.done(&"a", Some(Duration::ZERO));
    assert_eq!(taken(&queue), None);
    assert_eq!(queue.depth(), QueueDepth::default());
}
