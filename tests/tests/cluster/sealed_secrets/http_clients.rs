//! Clients of the HTTP API that mean no good, and what the program takes meanwhile.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use sealwright_tests::harness::cluster;

use super::rig::{Reply, Rig};

/// The memory limit of the shipped Deployment.
pub(super) const LIMIT: u64 = 128 << 20;

/// The most memory that a process has had, in bytes.
pub(super) fn peak_memory(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kibibytes: u64 = line
        .and_then(|line| line.split_whitespace().nth(1)?.parse().ok())
        .unwrap();
    kibibytes << 10
}

fn connect(rig: &Rig<'_>) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", rig.port())).unwrap();
    stream
        .set_write_timeout(Some(Duration::from_secs(2)))
        .unwrap();
    stream
}

fn post(stream: &mut TcpStream, caller: usize, length: usize) {
    let [high, low] = [caller / 250, caller % 250];
    // A connection that had to make room is closed meanwhile.
    let _ = write!(
        stream,
        "POST /v1/verify HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 10.9.{high}.{low}\r\nContent-Length: {length}\r\n\r\n"
    );
}

/// Lists of 6,000 levels, of which 200 are written at a time.
fn nested_by_aliases() -> String {
    let (open, close) = ("[".repeat(200), "]".repeat(200));
    let mut text = "a0: &a0 [x]\n".to_owned();
    for link in 1..31 {
        text += &format!("a{link}: &a{link} {open}*a{}{close}\n", link - 1);
    }
    text
}

#[tokio::test]
async fn slow_large_and_invented_requests_stay_within_the_memory_limit() {
    let rig = Rig::start(cluster(), "bad-clients", &[]).await;
    let pid = rig.pid(0);
    let healthy = |what: &str| {
        let start = Instant::now();
        assert_eq!(rig.http("GET", "/healthz", "", "").status, 200, "{what}");
        // Upstream answers in 20 ms; the machine that runs this is shared.
        assert!(start.elapsed() < Duration::from_secs(2), "{what}");
        let peak = peak_memory(pid);
        assert!(peak < LIMIT, "{what}: {} MiB", peak >> 20);
    };

    let idle: Vec<_> = (0..1030).map(|_| connect(&rig)).collect();
    healthy("1,030 idle connections");
    drop(idle);

    // Bodies that are nearly there and never end.
    let almost = vec![b' '; (2 << 20) - 1];
    let mut slow: Vec<TcpStream> = Vec::new();
    for caller in 0..60 {
        let mut stream = connect(&rig);
        post(&mut stream, caller, almost.len() + 1);
        stream
            .set_write_timeout(Some(Duration::from_millis(50)))
            .unwrap();
        let _ = stream.write_all(&almost);
        slow.push(stream);
    }
    healthy("60 slow bodies");
    drop(slow);

    // Texts that take far more memory than their length, when they are read.
    let items = |item: &str| {
        let mut text = "{\"apiVersion\":\"bitnami.com/v1alpha1\",\"kind\":\"SealedSecret\",\"metadata\":{\"name\":\"a\",\"namespace\":\"b\"},\"spec\":{\"encryptedData\":{".to_owned();
        let mut number = 0;
        while text.len() < (2 << 20) - 100 && number < 49_000 {
            text += &format!("\"{number:x}\":{item},");
            number += 1;
        }
        text + "\"z\":0}}}"
    };
    let bodies = [
        items("0"),
        items("\"AgA=\""),
        "[".repeat(2 << 20),
        "- ".repeat(1 << 20),
        "a: &a [0]\n".to_owned() + &"b: *a\n".repeat(40_000),
        format!("a: {}", "{b: ".repeat(50_000)),
        // Aliases of a long text, in bodies that are not heavy, and lists that only aliases nest.
        format!(
            "a: &x \"{}\"\nb: [{}]\n",
            "x".repeat(60_000),
            "*x,".repeat(22_000)
        ),
        nested_by_aliases(),
    ];
    let port = rig.port();
    std::thread::scope(|scope| {
        for (number, body) in bodies.iter().enumerate() {
            for path in ["/v1/verify", "/v1/rotate"] {
                scope.spawn(move || {
                    let header = format!("X-Forwarded-For: 10.8.0.{number}\r\n");
                    // Where others take long, one is asked to come again.
                    let answered = (0..60).find_map(|_| {
                        let reply = Reply::to(port, "POST", path, &header, body);
                        (reply.status != 503).then_some(reply)
                    });
                    let reply = answered.expect("it is answered in the end");
                    assert!(
                        [409, 500].contains(&reply.status),
                        "{} {number}",
                        reply.status
                    );
                });
            }
        }
    });
    healthy("bodies of many fields");

    let mut stream = connect(&rig);
    for number in 0..5000 {
        let request = format!("M{number:04} /v1/cert.pem HTTP/1.1\r\nHost: x\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut head = [0; 12];
        stream.read_exact(&mut head).unwrap();
        assert_eq!(&head, b"HTTP/1.1 200");
        // The rest of the answer is as long as the first one's.
        let mut rest = Vec::new();
        while !rest.ends_with(b"END CERTIFICATE-----\n") {
            let mut byte = [0; 512];
            let length = stream.read(&mut byte).unwrap();
            assert!(length > 0);
            rest.extend_from_slice(&byte[..length]);
        }
    }
    healthy("5,000 invented methods");
    let metrics = rig.metrics_of(0);
    let invented = "http_requests_total{code=\"200\",method=\"unknown\",path=\"/v1/cert.pem\"}";
    assert_eq!(rig.metric(invented), 5000.0);
    assert!(metrics.len() < 64 << 10, "{} bytes", metrics.len());
}

#[tokio::test]
async fn x_forwarded_for_counts_only_from_a_configured_proxy() {
    let flags = ["--trusted-proxies=192.0.2.0/24"];
    let rig = Rig::start(cluster(), "untrusted-proxy", &flags).await;
    let sealed = serde_json::to_string(&rig.sealed("a", &[("foo", "bar")])).unwrap();
    let mut codes = Vec::new();
    for caller in 0..40 {
        let header = format!("X-Forwarded-For: 10.0.0.{caller}\r\n");
        codes.push(rig.http("POST", "/v1/verify", &header, &sealed).status);
        if codes.ends_with(&[429]) {
            return;
        }
    }
    panic!("40 callers were made up, and all were believed: {codes:?}");
}

#[tokio::test]
async fn requests_name_the_program_and_its_health_can_be_watched() {
    let rig = Rig::start(cluster(), "user-agent", &[]).await;
    rig.create(&rig.sealed("a", &[("foo", "bar")])).await;
    rig.eventually_synced("a", "True").await;
    let user = rig.account.user();
    let requests = cluster().requests();
    let mut ours = requests.iter().filter(|request| request.user() == user);
    let agent = "sealwright-controller/v";
    assert!(ours.clone().count() > 5);
    let other = ours.find(|request| !request.user_agent.starts_with(agent));
    assert!(other.is_none(), "{other:?}");

    let certificate = rig.certificate();
    assert_eq!(
        rig.metric("sealwright_sealing_certificate_expiry_timestamp_seconds"),
        certificate.not_after() as f64
    );
    assert_eq!(
        rig.metric("sealwright_sealing_key_created_timestamp_seconds"),
        certificate.not_before() as f64
    );
    assert_eq!(rig.metric("sealwright_sealing_keys"), 1.0);
    for watch in ["SealedSecrets", "Secrets", "sealing keys"] {
        let series = format!("sealwright_watch_up{{watch=\"{watch}\"}}");
        assert_eq!(rig.metric(&series), 1.0, "{}", rig.metrics_of(0));
    }
    assert!(
        rig.metrics_of(0)
            .contains("sealwright_queue_depth{kind=\"SealedSecret\",state=\"ready\"} ")
    );
}
