//! Replicas beside a pretended API server, on a clock that jumps from one timer to the next.

use std::sync::Mutex;

use hyper::{Method, Request, Response, StatusCode};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};

use super::*;

const NAMESPACE: &str = "ns";

fn settings() -> ElectionSettings {
    ElectionSettings {
        lease: "lease".to_owned(),
        duration: Duration::from_secs(15),
        deadline: Duration::from_secs(8),
        period: Duration::from_secs(2),
    }
}

/// An API server that stores one Lease.
#[derive(Default)]
struct ApiServer {
    lease: Mutex<Option<Value>>,
    version: Mutex<u64>,
    /// What every request is answered with instead.
    fault: Mutex<Option<StatusCode>>,
}

impl ApiServer {
    fn fail(&self, fault: Option<StatusCode>) {
        *self.fault.lock().unwrap() = fault;
    }

    fn holder(&self) -> String {
        let lease = self.lease.lock().unwrap();
        let holder = lease
            .as_ref()
            .map(|lease| lease["spec"]["holderIdentity"].clone());
        holder
            .and_then(|holder| Some(holder.as_str()?.to_owned()))
            .unwrap_or_default()
    }

    fn answer(&self, method: &Method, uri: &str, body: &[u8]) -> (StatusCode, Value) {
        let status = |code: StatusCode| {
            let message = code.to_string();
            (
                code,
                json!({"kind": "Status", "code": code.as_u16(), "message": message}),
            )
        };
        if let Some(fault) = *self.fault.lock().unwrap() {
            return status(fault);
        }
        let mut lease = self.lease.lock().unwrap();
        let stored = |mut object: Value| {
            let mut version = self.version.lock().unwrap();
            *version += 1;
            object["metadata"]["resourceVersion"] = version.to_string().into();
            object
        };
        match (method, &*lease) {
            (&Method::GET, Some(lease)) => (StatusCode::OK, lease.clone()),
            (&Method::POST, None) => {
                let object = stored(serde_json::from_slice(body).unwrap());
                if !uri.contains("dryRun=All") {
                    *lease = Some(object.clone());
                }
                (StatusCode::CREATED, object)
            }
            (&Method::PUT, Some(old)) => {
                let object: Value = serde_json::from_slice(body).unwrap();
                let version = |object: &Value| object["metadata"]["resourceVersion"].clone();
                if version(&object) != version(old) {
                    return status(StatusCode::CONFLICT);
                }
                let object = stored(object);
                *lease = Some(object.clone());
                (StatusCode::OK, object)
            }
            (&Method::POST, Some(_)) => status(StatusCode::CONFLICT),
            _ => status(StatusCode::NOT_FOUND),
        }
    }

    fn client(self: &Arc<Self>) -> Client {
        let server = Arc::clone(self);
        let service = tower::service_fn(move |request: Request<Body>| {
            let server = Arc::clone(&server);
            async move {
                let (parts, body) = request.into_parts();
                let body = body.collect_bytes().await.unwrap();
                // The way there and back takes time on this clock too.
                tokio::time::sleep(Duration::from_millis(5)).await;
                let (code, json) = server.answer(&parts.method, &parts.uri.to_string(), &body);
                let mut response = Response::new(Body::from(json.to_string().into_bytes()));
                *response.status_mut() = code;
                Ok::<_, std::convert::Infallible>(response)
            }
        });
        Client::new(service, NAMESPACE)
    }
}

/// Replicas that take part from the moment they are started.
struct Replicas {
    server: Arc<ApiServer>,
    candidates: Vec<Arc<Candidate>>,
    stops: Vec<watch::Sender<bool>>,
    start: Instant,
}

impl Replicas {
    fn new() -> Self {
        Self {
            server: Arc::default(),
            candidates: Vec::new(),
            stops: Vec::new(),
            start: Instant::now(),
        }
    }

    fn start(&mut self) {
        let api = Api::new(self.server.client(), None, 1);
        self.start_with(&api);
    }

    fn start_with(&mut self, api: &Api) {
        let metrics = Arc::new(Metrics::new(false, false));
        let identity = format!("replica-{}", self.candidates.len());
        let candidate = Candidate::new(api, metrics, NAMESPACE, &identity);
        let candidate = Arc::new(candidate);
        let (stop, stopped) = watch::channel(false);
        tokio::spawn({
            let candidate = Arc::clone(&candidate);
            async move { candidate.run(settings(), stopped).await }
        });
        self.candidates.push(candidate);
        self.stops.push(stop);
    }

    fn leading(&self) -> Vec<bool> {
        let leading = self.candidates.iter().map(|one| *one.leading.borrow());
        leading.collect()
    }

    /// Lets time pass and looks every tenth of a second that no more than one leads. Returns who led at the end.
    async fn pass(&self, seconds: u64) -> Vec<bool> {
        for _ in 0..seconds * 10 {
            tokio::time::sleep(Duration::from_millis(100)).await;
            let leading = self.leading();
            let leaders = leading.iter().filter(|leads| **leads).count();
            assert!(leaders <= 1, "{leading:?} after {:?}", self.start.elapsed());
        }
        self.leading()
    }
}

#[tokio::test(start_paused = true)]
async fn of_two_replicas_whose_role_comes_late_one_leads() {
    for late in [1, 10, 29, 31] {
        let mut replicas = Replicas::new();
        replicas.server.fail(Some(StatusCode::FORBIDDEN));
        replicas.start();
        if late > 30 {
            // The one that has been alone for a moment is not the only one any more.
            replicas.pass(30).await;
            replicas.start();
            replicas.pass(late - 30).await;
        } else {
            replicas.start();
            assert_eq!(replicas.pass(late).await, [false, false], "{late}");
        }
        replicas.server.fail(None);
        let leading = replicas.pass(40).await;
        assert_eq!(leading.iter().filter(|leads| **leads).count(), 1, "{late}");
        assert!(!replicas.server.holder().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_starts_makes_no_second_leader() {
    for refusal in [StatusCode::FORBIDDEN, StatusCode::UNAUTHORIZED] {
        let mut replicas = Replicas::new();
        replicas.start();
        replicas.pass(1).await;
        replicas.server.fail(Some(StatusCode::BAD_GATEWAY));
        replicas.start();
        replicas.pass(3).await;
        replicas.server.fail(Some(refusal));
        replicas.start();
        replicas.pass(1).await;
        replicas.server.fail(None);
        let leading = replicas.pass(40).await;
        assert_eq!(leading.iter().filter(|leads| **leads).count(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn without_permission_it_works_alone_and_steps_back_when_permission_comes() {
    let mut replicas = Replicas::new();
    replicas.server.fail(Some(StatusCode::FORBIDDEN));
    replicas.start();
    assert_eq!(replicas.pass(29).await, [false]);
    assert_eq!(replicas.pass(5).await, [true]);
    assert_eq!(replicas.pass(600).await, [true], "it goes on");
    replicas.server.fail(None);
    let mut watch = replicas.candidates[0].watch();
    watch.wait_for(|leading| !*leading).await.unwrap();
    assert_eq!(replicas.server.holder(), "");
    assert_eq!(replicas.pass(20).await, [true]);
    assert_eq!(replicas.server.holder(), "replica-0");
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_works_alone_stops_when_nothing_confirms_it() {
    let mut replicas = Replicas::new();
    replicas.server.fail(Some(StatusCode::FORBIDDEN));
    replicas.start();
    assert_eq!(replicas.pass(35).await, [true]);
    replicas.server.fail(Some(StatusCode::UNAUTHORIZED));
    assert_eq!(replicas.pass(9).await, [false]);
    assert_eq!(
        replicas.pass(600).await,
        [false],
        "401 is no permission to work"
    );
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_is_refused_stops_and_never_works_alone() {
    let mut replicas = Replicas::new();
    replicas.start();
    assert_eq!(replicas.pass(5).await, [true]);
    replicas.server.fail(Some(StatusCode::FORBIDDEN));
    assert_eq!(replicas.pass(9).await, [false]);
    assert_eq!(replicas.pass(600).await, [false]);
    replicas.server.fail(None);
    assert_eq!(replicas.pass(40).await, [true]);
}

#[tokio::test(start_paused = true)]
async fn the_lease_changes_hands_when_its_holder_stops_or_is_cut_off() {
    let mut replicas = Replicas::new();
    replicas.start();
    replicas.pass(3).await;
    replicas.start();
    assert_eq!(replicas.pass(60).await, [true, false]);
    replicas.stops[0].send_replace(true);
    assert_eq!(replicas.pass(4).await, [false, true], "it was given up");
    replicas.server.fail(Some(StatusCode::SERVICE_UNAVAILABLE));
    assert_eq!(
        replicas.pass(9).await,
        [false, false],
        "before the Lease expires"
    );
}

#[tokio::test(start_paused = true)]
async fn the_lead_is_kept_while_a_limit_makes_other_requests_wait() {
    let mut replicas = Replicas::new();
    let api = Arc::new(Api::new(replicas.server.client(), Some(1.0), 1));
    replicas.start_with(&api);
    assert_eq!(replicas.pass(5).await, [true]);
    // The work of two minutes, of which every request has its turn already.
    for _ in 0..120 {
        let api = Arc::clone(&api);
        tokio::spawn(async move { api.get("/").await.map(drop) });
    }
    for _ in 0..60 {
        assert_eq!(replicas.pass(1).await, [true]);
    }
}

#[tokio::test(start_paused = true)]
async fn series_of_objects_go_with_the_lead() {
    let mut replicas = Replicas::new();
    replicas.start();
    replicas.pass(3).await;
    let metrics = &replicas.candidates[0].metrics;
    metrics.show_conditions("ns", "a", "", vec![("Synced".into(), -1)]);
    assert!(metrics.whole_text().contains("condition_info"));
    replicas.server.fail(Some(StatusCode::BAD_GATEWAY));
    assert_eq!(replicas.pass(9).await, [false]);
    assert!(!metrics.whole_text().contains("condition_info"));
}

fn lease(holder: &str, version: &str) -> Lease {
    Lease {
        metadata: ObjectMeta {
            resource_version: Some(version.into()),
            ..ObjectMeta::default()
        },
        spec: Some(LeaseSpec {
            holder_identity: Some(holder.into()),
            lease_duration_seconds: Some(15),
            // Long ago by the clock of another machine, which counts for nothing.
            renew_time: Some(MicroTime(Timestamp::UNIX_EPOCH)),
            ..LeaseSpec::default()
        }),
    }
}

#[test]
fn a_lease_is_free_when_it_did_not_change_for_its_duration_before_our_eyes() {
    let held = lease("other", "1");
    assert!(!may_take(&held, "me", Duration::from_secs(15)));
    assert!(may_take(&held, "me", Duration::from_secs(16)));
    assert!(may_take(&lease("me", "1"), "me", Duration::ZERO));
    assert!(may_take(&lease("", "1"), "me", Duration::ZERO));
}

#[test]
fn a_renewed_lease_counts_from_its_renewal() {
    let start = Instant::now();
    let mut view = View::new(settings());
    view.see(lease("other", "1"), start);
    view.see(lease("other", "1"), start + Duration::from_secs(9));
    assert_eq!(view.seen, start);
    view.see(lease("other", "2"), start + Duration::from_secs(10));
    assert_eq!(view.seen, start + Duration::from_secs(10));
}
