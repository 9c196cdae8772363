#![allow(missing_docs, clippy::all, unused)]
#[path = "/work/wt/sealing/tests/tests/interop/template/generator.rs"]
mod generator;
use sealwright_crypto::sealing::base64;
use sealwright_resources::template::{Context, Template};
use serde_json::{Map, Value, json};
use std::{
    io::{BufRead, BufReader, Write},
    process::{Command, Stdio},
};
const DATA: [(&str, &[u8]); 8] = [
    ("user", b"admin"),
    ("with.dots", b"dotted"),
    ("bin", b"\xffa\xc3\x28b\x00 \xe9z"),
    ("html", b"<a>&'\""),
    ("num", b"42"),
    ("multi", b"l1\nl2\n"),
    ("empty", b""),
    ("json", b"{\"a\":{\"b\":[1,2]},\"c\":\"d\"}"),
];
fn main() {
    let seed: u64 = std::env::args().nth(1).unwrap().parse().unwrap();
    let n: usize = std::env::args().nth(2).unwrap().parse().unwrap();
    let mut g = generator::Generator::new(seed);
    let cases: Vec<String> = (0..n).map(|_| g.template()).collect();
    let data: Map<String, Value> = DATA
        .iter()
        .map(|(k, v)| (k.to_string(), json!(base64::encode(v))))
        .collect();
    let q: String = cases
        .iter()
        .map(|t| json!({"template": t, "data": data}).to_string() + "\n")
        .collect();
    let mut c = Command::new("/tmp/oracle/template-oracle")
        .env("TZ", "UTC")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut i = c.stdin.take().unwrap();
    let h = std::thread::spawn(move || i.write_all(q.as_bytes()).unwrap());
    let lines: Vec<String> = BufReader::new(c.stdout.take().unwrap())
        .lines()
        .map(|l| l.unwrap())
        .collect();
    let (mut ok, mut bad, mut err) = (0, 0, 0);
    for (t, l) in cases.iter().zip(&lines) {
        let a: Value = serde_json::from_str(l).unwrap();
        let go = match a.get("error") {
            Some(e) => Err(e.as_str().unwrap().to_owned()),
            None => Ok(a["output"]
                .as_str()
                .map(|x| base64::decode(x.as_bytes()).unwrap())
                .unwrap_or_default()),
        };
        let mut ctx = Context::default();
        for (k, v) in DATA {
            ctx.insert(k, v);
        }
        let ours = std::panic::catch_unwind(|| {
            Template::parse("t", t)
                .and_then(|t| t.render(&ctx))
                .map(|t| t.expose().to_vec())
                .map_err(|e| e.to_string())
        })
        .unwrap_or(Err("PANIC".into()));
        let show = |r: &Result<Vec<u8>, String>| match r {
            Ok(x) => format!("{:?}", x.escape_ascii().to_string()),
            Err(e) => format!("ERR {e}"),
        };
        match (&go, &ours) {
            (Ok(a), Ok(b)) if a == b => ok += 1,
            (Err(_), Err(e)) if e != "PANIC" => err += 1,
            _ => {
                bad += 1;
                if bad < 40 {
                    println!("--- {t}\n  go {}\n  rs {}", show(&go), show(&ours));
                }
            }
        }
    }
    println!("ok {ok} err {err} bad {bad} of {n} ({})", lines.len());
}
