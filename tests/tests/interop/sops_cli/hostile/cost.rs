//! What a verb may take for a file: the price of an ordinary file, times the size.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use sealwright_tests::harness::measure::{Sample, measure};

use super::super::{Desk, Whose};
use super::attacks;

/// How many times as much as an ordinary file of its size a file may take.
const FACTOR: f64 = 4.0;
/// What may come on top of that: other work on the machine, a first page of memory.
const MILLISECONDS: f64 = 400.0;
const MIB: f64 = 32.0;
/// The size of the ordinary files.
const SIZE: usize = 100_000;

/// A verb with what it is given; `FILE` is the file that it works on, `ELSEWHERE` one that the editor writes.
struct Verb {
    name: &'static str,
    whose: Whose,
    words: &'static [&'static str],
    editor: Option<&'static str>,
}

/// The verbs, for plain files and for encrypted ones.
pub(super) const PLAIN: [&str; 7] = [
    "sops encrypt",
    "sops edit into",
    "sops decrypt",
    "sops filestatus",
    "status",
    "doctor",
    "textconv",
];
pub(super) const ENCRYPTED: [&str; 13] = [
    "sops decrypt",
    "sops decrypt --ignore-mac",
    "sops set",
    "sops unset",
    "sops edit",
    "sops rotate",
    "sops updatekeys",
    "sops filestatus",
    "get",
    "status",
    "doctor",
    "textconv",
    "diff",
];

fn verb(name: &str) -> Verb {
    let (whose, words, editor): (_, &'static [&'static str], _) = match name {
        "sops encrypt" => (Whose::Ours, &["encrypt", "FILE"], None),
        "sops edit into" => (Whose::Ours, &["edit", "SMALL"], Some("cp FILE")),
        "sops decrypt" => (Whose::Ours, &["decrypt", "FILE"], None),
        "sops decrypt --ignore-mac" => (Whose::Ours, &["decrypt", "--ignore-mac", "FILE"], None),
        "sops set" => (Whose::Ours, &["set", "FILE", "PATH", "\"v\""], None),
        "sops unset" => (Whose::Ours, &["unset", "FILE", "PATH"], None),
        "sops edit" => (Whose::Ours, &["edit", "FILE"], Some("true")),
        "sops rotate" => (Whose::Ours, &["rotate", "-i", "FILE"], None),
        "sops updatekeys" => (Whose::Ours, &["updatekeys", "-y", "FILE"], None),
        "sops filestatus" => (Whose::Ours, &["filestatus", "FILE"], None),
        "get" => (Whose::Sealwright, &["get", "FILE", "PATH"], None),
        "status" => (Whose::Sealwright, &["status", "FILE"], None),
        "doctor" => (Whose::Sealwright, &["doctor", "FILE"], None),
        "textconv" => (
            Whose::Sealwright,
            &["git", "textconv", "--reveal", "FILE"],
            None,
        ),
        "diff" => (
            Whose::Sealwright,
            &["diff", "--reveal", "HEAD", "FILE"],
            None,
        ),
        _ => panic!("no verb {name}"),
    };
    let name = PLAIN.into_iter().chain(ENCRYPTED).find(|it| *it == name);
    Verb {
        name: name.unwrap(),
        whose,
        words,
        editor,
    }
}

impl Verb {
    fn is_for_plain_files(&self) -> bool {
        PLAIN[..2].contains(&self.name)
    }

    /// Runs on a file of the working folder, which may be changed by it.
    fn run(&self, desk: &Desk, file: &str) -> (Sample, String) {
        let suffix = file.rsplit('.').next().unwrap();
        let path = match suffix {
            "ini" => "[\"s\"][\"k0\"]",
            "bin" => "[\"data\"]",
            _ => "[\"k0\"]",
        };
        let full = desk.path(file);
        let full = full.to_str().unwrap();
        let mut command = Command::new("sh");
        desk.furnish(&mut command);
        // The limits are for the machine; what is judged is far below them.
        command
            .args(["-c", "ulimit -t 60; ulimit -v 6000000; exec \"$0\" \"$@\""])
            .arg(desk.program(self.whose));
        for word in self.words {
            command.arg(match *word {
                "FILE" => file.to_owned(),
                "SMALL" => {
                    let small = format!("small.{suffix}");
                    if !desk.path(&small).exists() {
                        desk.write(&small, attacks::ordinary(suffix, 10));
                        desk.ours(["encrypt", "-i", &small]).good();
                    }
                    small
                }
                "PATH" => path.to_owned(),
                other => other.to_owned(),
            });
        }
        if let Some(editor) = self.editor {
            command.env("EDITOR", editor.replace("FILE", full));
        }
        let output = desk.root.path().join("tmp/measured.out");
        measure(&command, Path::new("/dev/null"), &output).unwrap()
    }
}

/// What verbs take for ordinary files, found out when it is asked for.
pub(super) struct Scale {
    of: BTreeMap<(&'static str, String), Price>,
    allowed_milliseconds: f64,
    allowed_mib: f64,
}

/// What any run takes, and what each byte adds.
#[derive(Clone, Copy, Debug)]
struct Price {
    milliseconds: f64,
    milliseconds_a_byte: f64,
    mib: f64,
    mib_a_byte: f64,
}

impl Scale {
    pub(super) fn new() -> Self {
        Self {
            of: BTreeMap::new(),
            allowed_milliseconds: MILLISECONDS,
            allowed_mib: MIB,
        }
    }

    /// Allows so much for what is more than reading.
    pub(super) fn allow_milliseconds(&mut self, milliseconds: f64) {
        self.allowed_milliseconds = milliseconds;
    }

    /// Allows what compiling one regular expression may take, or no longer.
    pub(super) fn allow_expression(&mut self, is_expression: bool) {
        (self.allowed_milliseconds, self.allowed_mib) = match is_expression {
            true => (5_000.0, 96.0),
            false => (MILLISECONDS, MIB),
        };
    }

    /// Runs a verb on a file and fails when it takes more than the size of the file explains, dies or panics.
    pub(super) fn within(&mut self, desk: &Desk, name: &str, file: &str) -> (Sample, String) {
        self.judge(desk, name, file)
            .unwrap_or_else(|fault| panic!("{fault}"))
    }

    /// The same with the fault as a value.
    pub(super) fn judge(
        &mut self,
        desk: &Desk,
        name: &str,
        file: &str,
    ) -> Result<(Sample, String), String> {
        let verb = verb(name);
        let suffix = file.rsplit('.').next().unwrap().to_owned();
        let price = self.price(desk, &verb, &suffix);
        let bytes = desk.bytes(file).len();
        let copy = format!("copy.{suffix}");
        desk.write(&copy, desk.bytes(file));
        let (taken, errors) = verb.run(desk, &copy);
        let times = FACTOR * bytes as f64;
        let time =
            price.milliseconds + self.allowed_milliseconds + times * price.milliseconds_a_byte;
        let memory = price.mib + self.allowed_mib + times * price.mib_a_byte;
        if taken.processor_milliseconds > time || taken.peak_mib > memory {
            return Err(format!(
                "{name} of {bytes} bytes: {:.0} of {time:.0} ms, {:.0} of {memory:.0} MiB",
                taken.processor_milliseconds, taken.peak_mib
            ));
        }
        if !(0..=255).contains(&taken.code) || taken.code == 101 || errors.contains("panicked") {
            let errors: String = errors.chars().take(300).collect();
            return Err(format!("{name} of {bytes} bytes: {}: {errors}", taken.code));
        }
        Ok((taken, errors))
    }

    fn price(&mut self, desk: &Desk, verb: &Verb, suffix: &str) -> Price {
        let key = (verb.name, suffix.to_owned());
        if let Some(price) = self.of.get(&key) {
            return *price;
        }
        let take = |size: usize| {
            let file = format!("ordinary.{suffix}");
            desk.write(&file, attacks::ordinary(suffix, size));
            if !verb.is_for_plain_files() {
                desk.ours(["encrypt", "-i", &file]).good();
            }
            let bytes = desk.bytes(&file).len();
            let (taken, _) = verb.run(desk, &file);
            (bytes as f64, taken)
        };
        let (few, small) = take(100);
        let (many, large) = take(SIZE);
        let per_byte = |small: f64, large: f64| (large - small).max(0.0) / (many - few);
        let price = Price {
            milliseconds: small.processor_milliseconds,
            milliseconds_a_byte: per_byte(
                small.processor_milliseconds,
                large.processor_milliseconds,
            ),
            mib: small.peak_mib,
            mib_a_byte: per_byte(small.peak_mib, large.peak_mib),
        };
        self.of.insert(key, price);
        price
    }
}
