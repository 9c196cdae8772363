use super::*;

const STATUS: u64 = 70;

fn seen(version: &str, digest: u8, generation: i64, status: u64) -> Seen {
    Seen {
        resource_version: version.into(),
        digest: Digest([digest; 32]),
        generation: Some(generation),
        status,
        surroundings: 0,
    }
}

fn version(resource_version: &str) -> Version {
    Version {
        uid: "s".into(),
        resource_version: resource_version.into(),
    }
}

fn tracked(first: Seen) -> Tracked<()> {
    Tracked::new("u".into(), first, Target::Unknown, ())
}

fn applied(target: &str) -> Ended {
    Ended::Applied(Some(version(target)))
}

fn failed(looked_at: Option<Option<Version>>) -> Ended {
    Ended::Failed {
        count: 1,
        looked_at,
    }
}

/// An object whose first version was worked on, with its Secret at version 5 and its status in version 6.
fn settled() -> Tracked<()> {
    let mut object = tracked(seen("4", 1, 1, 0));
    object.finish(seen("4", 1, 1, 0), applied("5"));
    object.state_written(STATUS, "6");
    assert!(!object.observe_target(version("5"), true, true));
    assert!(!object.observe(seen("6", 1, 1, STATUS), true));
    assert_eq!(object.state(true), State::Settled);
    object
}

#[test]
fn a_change_while_its_predecessor_is_worked_on_is_work() {
    let mut object = tracked(seen("4", 1, 1, 0));
    let worked_on = object.observed().clone();
    assert!(object.observe(seen("5", 2, 2, 0), true));
    object.finish(worked_on, applied("6"));
    object.state_not_written();
    assert_eq!(object.state(true), State::Changed);
    // Also where no status is written.
    assert_eq!(object.state(false), State::Changed);
}

#[test]
fn a_version_that_was_read_before_the_watch_showed_it_is_dealt_with() {
    let mut object = tracked(seen("4", 1, 1, 0));
    object.finish(seen("8", 3, 3, 0), applied("9"));
    object.state_written(STATUS, "10");
    for (step, digest) in [("5", 1), ("6", 2), ("8", 3)] {
        assert!(!object.observe(seen(step, digest, i64::from(digest), 0), true));
    }
    assert!(!object.observe(seen("10", 3, 3, STATUS), true));
    assert_eq!(object.state(true), State::Settled);
    assert!(object.observe(seen("11", 4, 4, STATUS), true));
}

#[test]
fn a_revert_is_work_although_its_secret_is_there() {
    let mut object = settled();
    // Version 7 is one that cannot be unsealed, and version 9 is the first one again.
    assert!(object.observe(seen("7", 2, 2, STATUS), true));
    object.finish(seen("7", 2, 2, STATUS), failed(None));
    object.state_written(71, "8");
    assert!(!object.observe(seen("8", 2, 2, 71), true));
    assert_eq!(object.state(true), State::Failed);
    assert!(object.observe(seen("9", 1, 3, 71), true));
    assert_eq!(object.state(true), State::Changed);
    assert!(
        object.is_applied(Digest([1; 32])),
        "it need not be unsealed"
    );
    // The scope annotation there and back moves no generation.
    let mut object = settled();
    object.finish(seen("7", 2, 1, STATUS), failed(None));
    object.state_written(71, "8");
    assert!(object.observe(seen("9", 1, 1, 71), true));
}

#[test]
fn a_generation_that_the_status_does_not_know_is_work() {
    let mut object = settled();
    assert!(object.observe(seen("7", 1, 2, STATUS), true));
    // Labels and other metadata are not.
    assert!(!settled().observe(seen("7", 1, 1, STATUS), true));
}

#[test]
fn a_change_of_what_the_object_reads_is_work_until_it_was_worked_on() {
    let mut object = settled();
    let before = object.observed().clone();
    assert!(object.disturb(Instant::now()).is_zero());
    assert_eq!(object.state(true), State::Changed);
    // A worker that began before does not cover it.
    object.finish(before, applied("5"));
    object.state_written(STATUS, "6");
    assert_eq!(object.state(true), State::Changed);
    let now = object.observed().clone();
    object.finish(now, applied("5"));
    object.state_written(STATUS, "6");
    assert_eq!(object.state(true), State::Settled);
    assert!(!object.observe(seen("6", 1, 1, STATUS), true));
}

#[test]
fn an_object_that_keeps_waking_itself_is_slowed_down() {
    let mut object = settled();
    let start = Instant::now();
    let mut now = start;
    let mut wakes = 0;
    // Each time it is worked on it changes what it reads.
    while now < start + Duration::from_secs(600) {
        let wait = object.disturb(now);
        assert_eq!(object.pause(now), wait.max(object.pause(now)));
        now += wait.max(Duration::from_millis(10));
        wakes += 1;
    }
    assert!(wakes < 80, "{wakes}");
    // What it asks for itself is never slowed down.
    object.disturb(now);
    assert!(!object.pause(now).is_zero());
    object.observe(seen("99", 2, 2, STATUS), true);
    assert!(object.pause(now).is_zero());
    // After a calm minute it is as if nothing had been.
    now += Duration::from_secs(120);
    assert!(object.disturb(now).is_zero());
    assert!(object.disturb(now).is_zero());
}

#[test]
fn echoes_of_what_a_worker_wrote_are_no_work_in_any_order() {
    // The watch is faster than the answers.
    let mut object = tracked(seen("4", 1, 1, 0));
    object.observe_target(version("5"), true, true);
    object.finish(seen("4", 1, 1, 0), applied("5"));
    assert!(!object.observe(seen("6", 1, 1, STATUS), true));
    object.state_written(STATUS, "6");
    assert_eq!(object.state(true), State::Settled);
    // The answers are faster than the watch.
    let mut object = tracked(seen("4", 1, 1, 0));
    object.finish(seen("4", 1, 1, 0), applied("5"));
    object.state_written(STATUS, "6");
    assert!(!object.observe_target(version("3"), true, true));
    assert_eq!(object.state(true), State::Settled);
    assert!(!object.observe_target(version("5"), true, true));
    assert!(!object.observe(seen("5", 1, 1, 0), true));
    assert!(!object.observe(seen("6", 1, 1, STATUS), true));
    assert_eq!(object.state(true), State::Settled);
}

#[test]
fn an_edit_or_a_deletion_before_our_answer_arrives_is_not_overwritten() {
    let write = |observed: fn(&mut Tracked<()>)| {
        let mut object = tracked(seen("4", 1, 1, 0));
        object.observe_target(version("5"), true, true);
        observed(&mut object);
        object.finish(seen("4", 1, 1, 0), applied("5"));
        object.state_written(STATUS, "9");
        object.state(true)
    };
    assert_eq!(write(|_| {}), State::Settled);
    assert_eq!(
        write(|object| {
            object.observe_target(version("6"), true, true);
        }),
        State::TargetEdited
    );
    assert_eq!(
        write(|object| {
            object.observe_target_gone(&version("7"), true, true);
        }),
        State::TargetGone
    );
}

#[test]
fn a_status_that_another_writer_changed_is_work_and_our_own_is_not() {
    let mut object = settled();
    assert!(object.observe(seen("7", 1, 1, 99), true));
    assert_eq!(object.state(true), State::Changed);
    assert_eq!(object.state(false), State::Settled);
    // What came before our own write is history.
    let mut object = settled();
    object.finish(seen("7", 1, 1, STATUS), applied("5"));
    object.state_written(71, "9");
    assert!(!object.observe(seen("8", 1, 1, STATUS), true));
    assert!(!object.observe(seen("9", 1, 1, 71), true));
}

#[test]
fn a_status_that_was_never_written_is_work() {
    let mut object = settled();
    object.finish(seen("6", 1, 1, STATUS), applied("5"));
    object.state_not_written();
    assert_eq!(object.state(true), State::Changed);
    // A worker that died between its two writes.
    let mut object = settled();
    object.finish(seen("6", 1, 1, STATUS), applied("5"));
    assert_eq!(object.state(true), State::Changed);
}

#[test]
fn c48_i26_i27_only_controlled_or_managed_secrets_come_back() {
    let other = Version {
        uid: "another".into(),
        resource_version: "4".into(),
    };
    assert!(!settled().observe_target_gone(&other, true, true));
    let mut object = settled();
    assert!(object.observe_target_gone(&version("7"), true, true));
    assert_eq!(object.state(true), State::TargetGone);
    let mut object = settled();
    assert!(!object.observe_target_gone(&version("7"), false, true));
    assert_eq!(object.state(true), State::Settled);
    // The same when it was not seen to go.
    for (reclaimed, expected) in [(true, State::TargetGone), (false, State::Settled)] {
        let mut object = settled();
        object.observe_target(version("5"), reclaimed, true);
        object.observe_no_target();
        assert_eq!(object.state(true), expected);
    }
}

#[test]
fn a_failure_waits_for_what_plays_a_part_in_it() {
    let ended = |looked_at| {
        let mut object = settled();
        object.finish(seen("6", 1, 1, STATUS), failed(looked_at));
        object.state_written(71, "8");
        object.observe(seen("8", 1, 1, 71), true);
        object
    };
    assert_eq!(ended(None).state(true), State::Failed);
    assert!(!ended(None).observe_target(version("9"), true, true));
    let refused = || ended(Some(Some(version("5"))));
    assert_eq!(refused().state(true), State::Failed);
    assert!(refused().observe_target(version("9"), false, true));
    assert!(!refused().observe_target_gone(&version("9"), false, true));
    assert!(refused().observe_target_gone(&version("9"), true, true));
    let absent = || {
        let mut object = ended(Some(None));
        object.observe_target_gone(&version("6"), true, true);
        object
    };
    assert_eq!(absent().state(true), State::Failed);
    assert!(absent().observe_target(version("9"), false, true));
}

#[test]
fn failures_are_counted_by_what_failed() {
    let mut object = settled();
    assert_eq!(object.next_failure(Digest([1; 32])), 1);
    object.finish(seen("6", 1, 1, STATUS), failed(None));
    assert_eq!((object.failures(), object.is_failing()), (1, true));
    assert_eq!(object.next_failure(Digest([1; 32])), 2);
    assert_eq!(object.next_failure(Digest([2; 32])), 1);
}

#[test]
fn an_edit_war_slows_down_and_one_edit_after_a_calm_minute_does_not_wait() {
    let mut edits = Edits::default();
    let start = Instant::now();
    let mut now = start;
    let mut pauses = Vec::new();
    for _ in 0..14 {
        let wait = edits.wait(now);
        pauses.push(wait.as_secs());
        now += wait;
        edits.note(now);
        edits.put_back();
    }
    assert_eq!(pauses, [0, 0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 32, 32, 32]);
    assert!(edits.is_war());
    now += Duration::from_secs(61);
    assert!(edits.wait(now).is_zero());
    edits.note(now);
    assert!(edits.wait(now).is_zero() && !edits.is_war());
}

#[test]
fn an_object_read_ahead_is_used_only_while_it_is_what_the_watch_showed_last() {
    let object = settled();
    assert!(object.is_last_seen(Some("6")));
    assert!(!object.is_last_seen(Some("5")) && !object.is_last_seen(None));
    assert!(!tracked(seen("", 1, 1, 0)).is_last_seen(Some("")));
}

/// What a worker and the watches may do with one object and its Secret, in any order that the API server permits.
struct Model {
    object: Tracked<()>,
    /// The log of the API server: resource version, and the object after it.
    objects: Vec<Seen>,
    secrets: Vec<(Version, bool)>,
    shown: [usize; 2],
    counter: u64,
}

impl Model {
    fn new() -> Self {
        let first = seen("1", 1, 1, 0);
        Self {
            object: tracked(first.clone()),
            objects: vec![first],
            secrets: Vec::new(),
            shown: [1, 0],
            counter: 1,
        }
    }

    fn next(&mut self) -> String {
        self.counter += 1;
        self.counter.to_string()
    }

    fn show_object(&mut self) {
        if let Some(seen) = self.objects.get(self.shown[0]) {
            self.shown[0] += 1;
            self.object.observe(seen.clone(), true);
        }
    }

    fn show_secret(&mut self) {
        let Some((version, exists)) = self.secrets.get(self.shown[1]).cloned() else {
            return;
        };
        self.shown[1] += 1;
        match exists {
            true => self.object.observe_target(version, true, true),
            false => self.object.observe_target_gone(&version, true, true),
        };
    }

    fn change(&mut self, digest: u8) {
        let last = self.objects.last().unwrap().clone();
        let version = self.next();
        let generation = last.generation.unwrap() + 1;
        self.objects
            .push(seen(&version, digest, generation, last.status));
    }

    fn edit_secret(&mut self) {
        let version = version(&self.next());
        self.secrets.push((version, true));
    }

    fn delete_secret(&mut self) {
        if matches!(self.secrets.last(), Some((_, true))) {
            let version = version(&self.next());
            self.secrets.push((version, false));
        }
    }
}

/// Every interleaving of five steps ends, once the watches have shown all, with work that is known or nothing left to do.
/// `SEALWRIGHT_SOAK=1` makes it seven.
#[test]
fn no_order_of_events_and_answers_hides_the_last_change() {
    const KINDS: u32 = 8;
    let steps = match std::env::var_os("SEALWRIGHT_SOAK") {
        Some(_) => 7,
        None => 5,
    };
    for case in 0..KINDS.pow(steps) {
        let mut model = Model::new();
        // What the worker has read, and the digest that the Secret was last written from.
        let (mut read, mut written_from) = (None::<(Seen, u8)>, None::<u8>);
        let mut rest = case;
        for _ in 0..steps {
            let step = rest % KINDS;
            rest /= KINDS;
            match step {
                0 => model.show_object(),
                1 => model.show_secret(),
                2 => model.change(2),
                3 => model.change(1),
                4 => {
                    model.edit_secret();
                    written_from = None;
                }
                5 => {
                    model.delete_secret();
                    written_from = None;
                }
                6 => {
                    let last = model.objects.last().unwrap().clone();
                    read = Some((last.clone(), last.digest.0[0]));
                }
                _ => {
                    let Some((subject, digest)) = read.take() else {
                        continue;
                    };
                    model.edit_secret();
                    written_from = Some(digest);
                    let (target, _) = model.secrets.last().unwrap().clone();
                    model
                        .object
                        .finish(subject.clone(), Ended::Applied(Some(target)));
                    let last = model.objects.last().unwrap().clone();
                    if last.resource_version == subject.resource_version {
                        let version = model.next();
                        let status = last.generation.unwrap() as u64 * 100;
                        model.objects.push(seen(
                            &version,
                            digest,
                            last.generation.unwrap(),
                            status,
                        ));
                        model.object.state_written(status, &version);
                    } else {
                        model.object.state_not_written();
                    }
                }
            }
        }
        while model.shown[0] < model.objects.len() {
            model.show_object();
        }
        while model.shown[1] < model.secrets.len() {
            model.show_secret();
        }
        let last = model.objects.last().unwrap();
        let right = written_from == Some(last.digest.0[0])
            && last.status == last.generation.unwrap() as u64 * 100;
        let state = model.object.state(true);
        assert_eq!(
            right,
            state == State::Settled,
            "case {case}: {state:?} although right is {right}"
        );
    }
}

#[test]
fn what_was_worked_on_may_have_missed_what_is_newer() {
    let mut object = settled();
    let missed = |object: &Tracked<()>| {
        ["5", "6", "7", "x"].map(|version| object.may_have_missed(Some(version)))
    };
    assert_eq!(missed(&object), [false; 4], "it was not worked on here");
    assert!(!object.may_have_missed(None));
    object.looks(6);
    assert_eq!(missed(&object), [false, false, true, true]);
    assert!(object.may_have_missed(None));
    // What fails looks again anyway, but not for a change.
    object.finish(seen("6", 1, 1, STATUS), failed(None));
    assert!(object.may_have_missed(Some("7")) && !object.may_have_missed(None));
}
