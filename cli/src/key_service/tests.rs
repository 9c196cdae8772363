use std::{path::PathBuf, sync::Mutex};

use sealwright_crypto::{key_kind::AGE, master_key::Callbacks, secret::SecretText};
use tokio::{runtime::Runtime, sync::oneshot};

use super::*;
use crate::wait::block_on as wait;

/// Wraps by writing the bytes after its name; knows nothing of what another name wrapped.
struct Fake(String);

impl MasterKey for Fake {
    fn kind(&self) -> &'static KeyKind {
        &AGE
    }

    fn identity(&self) -> String {
        self.0.clone()
    }

    fn wrap_key<'a>(&'a self, part: &'a KeyPart) -> Pending<'a, Result<Wrapped, KeyError>> {
        Box::pin(async move {
            if self.0 == "broken" {
                return Err(KeyError {
                    reason: "it is broken".to_owned(),
                    tried: vec!["a hammer: no".to_owned()],
                });
            }
            let part = std::str::from_utf8(part.expose()).unwrap();
            Ok(Wrapped(format!("{}:{part}\n", self.0)))
        })
    }

    fn unwrap_key<'a>(
        &'a self,
        wrapped: &'a Wrapped,
    ) -> Pending<'a, Result<Option<KeyPart>, KeyError>> {
        Box::pin(async move {
            let part = wrapped.0.strip_prefix(&format!("{}:", self.0));
            Ok(part.map(|part| KeyPart::copy_of(part.trim_end().as_bytes())))
        })
    }
}

fn recipient(name: &str) -> KeyFields {
    KeyFields::of(&AGE, name)
}

fn fake(fields: &KeyFields) -> Arc<dyn MasterKey> {
    Arc::new(Fake(fields.identity()))
}

/// Says what it was told to say, one answer after the other.
struct Person(Mutex<Vec<Option<&'static str>>>);

impl Callbacks for Person {
    fn show(&self, _: &str) {}

    fn passphrase(&self, _: &str) -> Option<SecretText> {
        None
    }

    fn ask(&self, what: &str) -> Option<String> {
        assert!(
            what.contains("request using age key with recipient "),
            "{what}"
        );
        self.0.lock().unwrap().remove(0).map(str::to_owned)
    }
}

/// A service that runs as long as this is there.
struct Running {
    address: String,
    log: Arc<Mutex<Vec<String>>>,
    stop: Option<oneshot::Sender<()>>,
    runtime: Option<Runtime>,
    ended: oneshot::Receiver<()>,
}

impl Running {
    fn start(network: &str, address: &str, consent: Option<Arc<dyn Callbacks>>) -> Self {
        let runtime = Runtime::new().unwrap();
        let door = runtime.block_on(Door::open(network, address)).unwrap();
        let address = door.address();
        let log: Arc<Mutex<Vec<String>>> = Arc::default();
        let heard = Arc::clone(&log);
        let server = Server::new(
            Arc::new(fake),
            consent,
            Arc::new(move |line: &str| heard.lock().unwrap().push(line.to_owned())),
        );
        let (stop, stopped) = oneshot::channel::<()>();
        let (end, ended) = oneshot::channel();
        runtime.spawn(async move {
            server
                .serve(door, async { drop(stopped.await) })
                .await
                .unwrap();
            end.send(()).unwrap();
        });
        Self {
            address,
            log,
            stop: Some(stop),
            runtime: Some(runtime),
            ended,
        }
    }

    fn finish(mut self) -> Vec<String> {
        drop(self.stop.take());
        let runtime = self.runtime.take().unwrap();
        runtime.block_on(async { (&mut self.ended).await.unwrap() });
        self.log.lock().unwrap().clone()
    }
}

fn remotes(addresses: &[&str]) -> Vec<Arc<Remote>> {
    addresses
        .iter()
        .map(|address| Arc::new(Remote::parse(address).unwrap()))
        .collect()
}

fn served(name: &str, local: Option<&str>, remotes: &[Arc<Remote>]) -> ServedKey {
    let local = local.map(|name| Arc::new(Fake(name.into())) as _);
    let fields = recipient(name);
    let ways = ways(&fields, local, remotes, &Network::default());
    ServedKey::new(fields, ways)
}

fn socket(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("sw-ks-{name}-{}", std::process::id()))
}

fn goes_both_ways(key: &ServedKey) {
    let wrapped = wait(key.wrap_key(&KeyPart::copy_of(b"part"))).unwrap();
    assert_eq!(wrapped.0, format!("{}:part\n", key.identity()));
    let part = wait(key.unwrap_key(&wrapped)).unwrap().unwrap();
    assert_eq!(part.expose(), b"part");
}

#[test]
fn a_remote_service_serves_over_tcp_and_unix_with_and_without_a_runtime() {
    let path = socket("both");
    for (network, address) in [("tcp", "127.0.0.1:0"), ("unix", path.to_str().unwrap())] {
        let service = Running::start(network, address, None);
        let key = served("age1x", None, &remotes(&[&service.address]));
        goes_both_ways(&key);
        Runtime::new().unwrap().block_on(async {
            let wrapped = key.wrap_key(&KeyPart::copy_of(b"part")).await.unwrap();
            assert_eq!(wrapped.0, "age1x:part\n");
        });
        let log = service.finish();
        assert_eq!(log[0], "encrypt with age key with recipient age1x: done");
        assert_eq!(log[1], "decrypt with age key with recipient age1x: done");
    }
    assert!(!path.exists(), "the socket is removed");
}

#[test]
fn the_local_service_comes_first_and_remote_ones_in_their_order() {
    let service = Running::start("tcp", "127.0.0.1:0", None);
    let nowhere = format!("unix://{}", socket("nowhere").display());
    let services = remotes(&[&nowhere, &service.address]);

    let local = served("age1x", Some("near"), &services);
    let wrapped = wait(local.wrap_key(&KeyPart::copy_of(b"part"))).unwrap();
    assert_eq!(wrapped.0, "near:part\n");

    let broken = served("age1x", Some("broken"), &services);
    goes_both_ways(&broken);

    let hopeless = served("broken", Some("broken"), &services);
    let error = wait(hopeless.wrap_key(&KeyPart::copy_of(b"part"))).unwrap_err();
    assert_eq!(error.reason, "no key service succeeded");
    assert_eq!(error.tried[0], "local key service: it is broken");
    assert_eq!(error.tried[1], "a hammer: no");
    assert!(
        error.tried[2].starts_with(&format!("key service {nowhere}: ")),
        "{:?}",
        error.tried
    );
    assert!(error.tried[2].contains("No such file"), "{:?}", error.tried);
    assert_eq!(
        error.tried[3],
        format!(
            "key service {}: it is broken; a hammer: no",
            service.address
        )
    );
    let error = wait(hopeless.unwrap_key(&Wrapped("x".into())))
        .err()
        .unwrap();
    assert_eq!(
        error.tried[0],
        "local key service: its private key is not here"
    );
    service.finish();
}

#[test]
fn without_remote_services_the_local_answers_are_unchanged() {
    let none = remotes(&[]);
    let local = served("x", Some("broken"), &none);
    let error = wait(local.unwrap_key(&Wrapped("y:part".into())))
        .err()
        .unwrap();
    assert_eq!(error.reason, "its private key is not here");
    let error = wait(local.wrap_key(&KeyPart::copy_of(b"part"))).unwrap_err();
    assert_eq!(error.reason, "it is broken");
    let nobody = served("x", None, &none);
    let error = wait(nobody.wrap_key(&KeyPart::copy_of(b"part"))).unwrap_err();
    assert_eq!(error.reason, "no key service is configured");
}

#[test]
fn consent_is_asked_until_the_answer_is_y_or_n() {
    let answers = vec![Some("what?"), Some(""), Some("y"), Some("n"), None];
    let person = Arc::new(Person(Mutex::new(answers)));
    let service = Running::start("tcp", "127.0.0.1:0", Some(person));
    let key = served("age1x", None, &remotes(&[&service.address]));
    let wrap = || wait(key.wrap_key(&KeyPart::copy_of(b"part")));
    assert!(wrap().is_ok());
    assert!(
        wrap()
            .unwrap_err()
            .reason
            .ends_with("Request rejected by user")
    );
    assert!(
        wrap()
            .unwrap_err()
            .reason
            .ends_with("there is no one to ask for consent")
    );
    let log = service.finish();
    assert!(
        log[1].ends_with("refused: Request rejected by user"),
        "{log:?}"
    );
}

#[test]
fn a_socket_that_is_there_is_somebody_elses() {
    let path = socket("taken");
    let service = Running::start("unix", path.to_str().unwrap(), None);
    let second = Runtime::new()
        .unwrap()
        .block_on(Door::open("unix", path.to_str().unwrap()));
    assert!(second.is_err());
    assert!(path.exists());
    service.finish();
    assert!(!path.exists());
}

#[test]
fn addresses_are_checked() {
    for good in [
        "tcp://127.0.0.1:5000",
        "tcp://[::1]:1",
        "tcp://host:1/",
        "tcp://:5000",
        "unix:///run/x",
        "unix:/run/x",
        "unix:x",
    ] {
        assert_eq!(Remote::parse(good).unwrap().to_string(), good);
    }
    for bad in [
        "",
        "127.0.0.1:5000",
        "tcp://host",
        "tcp://host:x",
        "unix://x",
        "unix:",
        "http://h:1",
        "tcp://a b:1",
    ] {
        assert!(Remote::parse(bad).is_err(), "{bad}");
    }
}
