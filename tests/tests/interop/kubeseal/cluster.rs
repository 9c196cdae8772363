//! `kubeseal` before a cluster: who it says it is, where it asks, and what it makes of the answers, beside the real one.
//! Every user has a token: without any credential the real one asks the terminal for a name and a password
//! (`terminal.rs`).

#[path = "cluster/certificates.rs"]
mod certificates;
#[path = "cluster/connection.rs"]
mod connection;
#[path = "cluster/namespaces.rs"]
mod namespaces;
#[path = "cluster/sealed_secrets.rs"]
mod sealed_secrets;

use std::process::Output;

use super::door::{Answers, Asked, Door};
use super::{BOTH, Bench};

impl Bench {
    /// A door that serves this bench's certificate.
    fn door(&self, answers: Answers) -> Door {
        Door::open(Answers {
            certificate: self.read("cert.pem"),
            ..answers
        })
    }

    /// Runs both programs on the same door and compares what they ask; gives what they said.
    fn asked_alike(
        &self,
        door: &Door,
        args: &[&str],
        env: &[(&str, &str)],
        input: &str,
    ) -> ([Output; 2], Vec<Asked>) {
        door.asked();
        let mut asked = Vec::new();
        let outputs = BOTH.map(|program| {
            let output = self.run_with(program, args, env, input);
            asked.push(door.asked());
            output
        });
        let compact = |asked: &[Asked]| -> Vec<_> {
            asked
                .iter()
                .map(|asked| {
                    (
                        asked.method.clone(),
                        asked.path.clone(),
                        asked.who.clone(),
                        parsed(&asked.body),
                    )
                })
                .collect()
        };
        assert_eq!(
            compact(&asked[1]),
            compact(&asked[0]),
            "{args:?} {env:?} {:?}",
            outputs.each_ref().map(told)
        );
        (outputs, asked.swap_remove(1))
    }
}

fn parsed(body: &str) -> serde_json::Value {
    serde_json::from_str(body).unwrap_or_else(|_| body.into())
}

fn told(output: &Output) -> (String, String, Option<i32>) {
    (
        String::from_utf8(output.stdout.clone()).unwrap(),
        String::from_utf8(output.stderr.clone()).unwrap(),
        output.status.code(),
    )
}
