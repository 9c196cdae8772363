//! What goes over the wire between our controller and the API server.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use sealwright_tests::harness::cluster::{Account, eventually};
use sealwright_tests::harness::{cluster, upstream};
use serde_json::json;

use super::rig::{Rig, Variant};

type Bytes = Arc<Mutex<Vec<u8>>>;

/// `kubectl proxy` in front of the API server, and a listener in front of that: what is sent is read on its way.
struct Wire {
    proxy: Child,
    port: u16,
    connections: Arc<Mutex<Vec<[Bytes; 2]>>>,
}

impl Wire {
    fn to(account: &Account) -> Self {
        let mut proxy = Command::new(upstream::program("kubectl"))
            .arg("--kubeconfig")
            .arg(&account.kubeconfig)
            .args(["proxy", "--port=0"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let stdout = proxy.stdout.take().unwrap();
        BufReader::new(stdout).read_line(&mut line).unwrap();
        let behind: u16 = line.trim().rsplit(':').next().unwrap().parse().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let connections = Arc::new(Mutex::new(Vec::new()));
        let known = Arc::clone(&connections);
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Ok(server) = TcpStream::connect(("127.0.0.1", behind)) else {
                    continue;
                };
                let ways = [Bytes::default(), Bytes::default()];
                known.lock().unwrap().push(ways.clone());
                let [asked, answered] = ways;
                pass(&client, &server, asked);
                pass(&server, &client, answered);
            }
        });
        Self {
            proxy,
            port,
            connections,
        }
    }

    /// The requests: method, path and `Accept`.
    fn asked(&self) -> Vec<(String, String, String)> {
        let mut all = Vec::new();
        for [asked, _] in self.connections.lock().unwrap().iter() {
            let text = String::from_utf8_lossy(&asked.lock().unwrap()).into_owned();
            let mut lines = text.lines();
            while let Some(line) = lines.next() {
                let mut words = line.split(' ');
                let (Some(method), Some(path), Some("HTTP/1.1")) =
                    (words.next(), words.next(), words.next())
                else {
                    continue;
                };
                let headers = lines.by_ref().take_while(|line| !line.is_empty());
                let accept = headers
                    .filter_map(|line| line.split_once(": "))
                    .filter(|(name, _)| name.eq_ignore_ascii_case("accept"))
                    .map(|(_, value)| value.to_owned())
                    .last();
                // The method may stand right behind the body of the request before.
                let method = method.rsplit('}').next().unwrap().to_owned();
                all.push((method, path.to_owned(), accept.unwrap_or_default()));
            }
        }
        all
    }

    /// Whether the API server sent a text.
    fn sent(&self, text: &str) -> bool {
        self.connections
            .lock()
            .unwrap()
            .iter()
            .any(|[_, answered]| String::from_utf8_lossy(&answered.lock().unwrap()).contains(text))
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        drop(self.proxy.kill());
        drop(self.proxy.wait());
    }
}

fn pass(from: &TcpStream, to: &TcpStream, seen: Bytes) {
    let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
    std::thread::spawn(move || {
        let mut buffer = [0; 16 << 10];
        while let Ok(length @ 1..) = from.read(&mut buffer) {
            seen.lock().unwrap().extend_from_slice(&buffer[..length]);
            if to.write_all(&buffer[..length]).is_err() {
                break;
            }
        }
        drop(to.shutdown(Shutdown::Write));
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn c50_secrets_of_others_are_seen_as_metadata_only() {
    let mut rig = Rig::prepare(cluster(), "wire", Variant::Namespaced).await;
    let wire = Wire::to(&rig.account);
    let text = std::fs::read_to_string(&rig.account.kubeconfig).unwrap();
    let mut config: serde_json::Value = serde_json::from_str(&text).unwrap_or_else(|_| {
        panic!("the harness writes kubeconfigs in JSON, which is YAML: {text}")
    });
    config["clusters"][0]["cluster"] =
        json!({ "server": format!("http://127.0.0.1:{}", wire.port), "disable-compression": true });
    let through = rig.account.kubeconfig.with_extension("wire");
    std::io::Write::write_all(
        &mut std::fs::File::create(&through).unwrap(),
        config.to_string().as_bytes(),
    )
    .unwrap();
    rig.flag(&format!("--kubeconfig={}", through.display()));

    // One that is there before the start, one that comes and changes while it runs.
    let other = |name: &str| {
        json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": name },
                "stringData": { "k": "a-canary-of-somebody-else" } })
    };
    rig.create_secret(other("stranger-before")).await;
    rig.add_replica();
    rig.create_secret(other("stranger-later")).await;
    let patch = json!({ "metadata": { "labels": { "changed": "yes" } } });
    rig.patch_secret("stranger-later", patch).await;
    rig.create(&rig.sealed("a", &[("foo", "bar")])).await;
    rig.eventually_data("a", &[("foo", "bar")]).await;
    rig.delete_secret("a").await;
    rig.eventually_data("a", &[("foo", "bar")]).await;
    for name in ["stranger-before", "stranger-later"] {
        eventually(&format!("the controller hears of {name}"), async || {
            wire.sent(name).then_some(())
        })
        .await;
    }
    let canary = sealwright_crypto::sealing::base64::encode(b"a-canary-of-somebody-else");
    assert!(!wire.sent(&canary), "the value of a stranger's Secret");

    let mut watches = 0;
    for (method, path, accept) in wire.asked() {
        let (path, query) = path.split_once('?').unwrap_or((&path, ""));
        let Some((_, name)) = path.split_once("/secrets") else {
            continue;
        };
        // By their label, and the one from before labels by its name.
        let of_keys = query.contains("sealedsecrets.bitnami.com%2Fsealed-secrets-key")
            || query.contains("fieldSelector=metadata.name%3Dsealed-secrets-key");
        let metadata = accept.contains("as=PartialObjectMetadata");
        match name.strip_prefix('/') {
            None if method == "GET" => {
                assert!(of_keys || metadata, "{path}?{query} {accept}");
                watches += usize::from(metadata && query.contains("watch="));
            }
            Some(name) if method == "GET" => {
                let own = name == "a" || name.starts_with("sealed-secrets-key");
                assert!(own || metadata, "{name} {accept}");
            }
            _ => {}
        }
    }
    assert!(watches >= 1, "{:?}", wire.asked());
}
