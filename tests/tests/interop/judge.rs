//! The judge: generated documents, encrypted, decrypted and changed by upstream's code and by ours in every pairing.
//!
//! Compared are which leaves and comments are encrypted, the data, the comments and where upstream lists them, values
//! behind list indices, and chains of changes in place by either side. The other side is `servers/sops-oracle`, upstream's
//! own packages in a program of ours; `sops_cli` runs the real program.
//!
//! A case that fails is cut down and shown with its seed. `SEALWRIGHT_CASES` sets how many documents of each format are
//! tried, `SEALWRIGHT_SEED` the first seed; `SEALWRIGHT_SOAK=1` tries 20,000. `SEALWRIGHT_PROGRAMS` names a folder with a
//! `sealwright` that is judged in the place of our packages, that of another commit for one. Deliberate differences are the list in
//! [`decisions`], and each is counted.

#[path = "judge/classes.rs"]
mod classes;
#[path = "judge/decisions.rs"]
mod decisions;
#[path = "judge/ours.rs"]
mod ours;
#[path = "judge/program.rs"]
mod program;
#[path = "judge/reproducers.rs"]
mod reproducers;
#[path = "judge/upstream.rs"]
mod upstream;
#[path = "judge/write_yaml.rs"]
mod write_yaml;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::sops_format::generate as flat;
use super::yaml::generate::{self as documents, Case, Dice};
use decisions::Decision;
use ours::{Ours, Step};
use serde_json::Value;
use upstream::{Holder, Settings, Upstream};

/// How many documents of each format when no one asks for more: about five seconds each.
const CASES: u64 = 100;
const SOAK: u64 = 20_000;
/// How many cases of one kind are cut down; of the others the seed is shown.
const SHOWN: usize = 5;

#[test]
fn yaml_is_to_both_the_same() {
    judge("yaml");
}

#[test]
fn json_is_to_both_the_same() {
    judge("json");
}

#[test]
fn dotenv_is_to_both_the_same() {
    judge("dotenv");
}

#[test]
fn ini_is_to_both_the_same() {
    judge("ini");
}

/// A document of a format.
fn document(format: &str, dice: &mut Dice) -> Case {
    match (
        format,
        format != "ini" && dice.roll(if format == "yaml" { 4 } else { 2 }) == 0,
    ) {
        ("yaml", true) => super::yaml::generator::yaml(dice, super::yaml::generator::Scope::Plain),
        ("yaml", false) => write_yaml::yaml(dice),
        ("json", true) => documents::json(dice),
        ("json", false) => lines(
            flat::json(&mut flat_dice(dice)),
            b"{\n  ",
            b",\n  ",
            b"\n}\n",
        ),
        ("dotenv", true) => documents::dotenv(dice),
        ("dotenv", false) => lines(flat::dotenv(&mut flat_dice(dice)), b"", b"\n", b"\n"),
        _ => lines(flat::ini(&mut flat_dice(dice)), b"", b"", b""),
    }
}

fn flat_dice(dice: &mut Dice) -> flat::Dice {
    flat::Dice::new(dice.roll(1 << 40) as u64)
}

fn lines(chunks: Vec<String>, head: &[u8], between: &[u8], tail: &[u8]) -> Case {
    Case {
        head: head.to_vec(),
        pieces: chunks.into_iter().map(String::into_bytes).collect(),
        between: between.to_vec(),
        tail: tail.to_vec(),
    }
}

#[allow(
    clippy::print_stdout,
    reason = "seeds and decisions are shown, so that a run can be repeated and judged"
)]
fn judge(format: &'static str) {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let soaks = std::env::var_os("SEALWRIGHT_SOAK").is_some_and(|value| value == "1");
    let cases = number("SEALWRIGHT_CASES").unwrap_or(if soaks { SOAK } else { CASES });
    let first: u64 = number("SEALWRIGHT_SEED").unwrap_or(0);
    let mut upstream = Upstream::start();
    let mut counts = Counts::default();
    let mut failures: BTreeMap<&'static str, Vec<String>> = BTreeMap::new();
    for seed in first..first + cases {
        let mut dice = Dice::new(seed);
        let mut case = document(format, &mut dice);
        let settings = Settings::roll(&mut dice);
        let Err(mut fault) = judged(&mut upstream, format, &case, &settings, seed, &mut counts)
        else {
            continue;
        };
        let known = failures.entry(fault.kind).or_default();
        if known.len() >= SHOWN {
            let shown = match Holder::of_programs() {
                // What another commit gets wrong is looked through by what it is about.
                Some(_) => format!(": {}", case.text().escape_ascii()),
                None => String::new(),
            };
            known.push(format!("seed {seed}{shown}"));
            continue;
        }
        let mut at = 0;
        while at < case.pieces.len() {
            let mut smaller = case.clone();
            smaller.pieces.remove(at);
            let mut aside = Counts::default();
            match judged(&mut upstream, format, &smaller, &settings, seed, &mut aside) {
                Err(other) if other.kind == fault.kind => (case, fault) = (smaller, other),
                _ => at += 1,
            }
        }
        let shown = case.text().escape_ascii().to_string();
        let rule = settings.shown();
        known.push(format!(
            "seed {seed}, {rule}: \"{shown}\"\n    {}",
            fault.text
        ));
    }
    let Counts {
        judged,
        refused,
        own_affair,
        decided,
    } = &counts;
    println!(
        "{format}: {cases} cases from seed {first}: {judged} judged, {refused} refused by both, {own_affair} that upstream \
         does not read itself; decisions: {decided:?}"
    );
    let list: Vec<String> = failures
        .into_iter()
        .map(|(kind, cases)| {
            let shown: Vec<String> = cases.iter().map(|case| format!("  {case}")).collect();
            format!("{} times: {kind}\n{}", cases.len(), shown.join("\n"))
        })
        .collect();
    assert!(list.is_empty(), "{format}:\n{}", list.join("\n"));
    assert!(judged * 2 > cases, "only {judged} of {cases} were judged");
}

/// What became of the cases.
#[derive(Debug, Default)]
struct Counts {
    judged: u64,
    refused: u64,
    own_affair: u64,
    decided: BTreeMap<Decision, u64>,
}

/// A difference: which kind, and what exactly.
struct Fault {
    kind: &'static str,
    text: String,
}

fn fault<T>(kind: &'static str, text: impl Into<String>) -> Result<T, Fault> {
    Err(Fault {
        kind,
        text: text.into(),
    })
}

fn judged(
    upstream: &mut Upstream,
    format: &'static str,
    case: &Case,
    settings: &Settings,
    seed: u64,
    counts: &mut Counts,
) -> Result<(), Fault> {
    let run = || {
        Judgement {
            upstream,
            ours: Ours::new(format),
            format,
            settings,
            counts,
            dice: Dice::new(seed ^ 0xD1CE),
        }
        .of(&case.text())
    };
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(judged) => judged,
        Err(_) => fault("our code panics", ""),
    }
}

struct Judgement<'a> {
    upstream: &'a mut Upstream,
    ours: Ours,
    format: &'static str,
    settings: &'a Settings,
    counts: &'a mut Counts,
    dice: Dice,
}

impl Judgement<'_> {
    fn of(&mut self, text: &[u8]) -> Result<(), Fault> {
        let (format, settings) = (self.format, self.settings);
        let plain = self.upstream.list(format, text);
        let theirs = self.upstream.encrypt(format, text, settings);
        let ours = self.ours.encrypt(text, settings);
        let decisions = Decision::of(format, text, plain.as_ref().ok());
        let refusal = |refuses: fn(Decision) -> bool| {
            let mut decisions = decisions.iter();
            decisions.find(|decision| refuses(**decision)).copied()
        };
        let (plain, theirs, ours) = match (plain, theirs, ours) {
            (Ok(plain), Ok(theirs), Ok(ours)) => (plain, theirs, ours),
            (_, Err(_), Err(_)) | (Err(_), _, Err(_)) => {
                self.counts.refused += 1;
                return Ok(());
            }
            (_, Ok(theirs), Err(ours)) => match refusal(Decision::we_refuse) {
                Some(decision) => return self.decided(decision),
                // What upstream makes of it is lost: it does not decrypt it.
                None if self.is_own_affair(&theirs.text) => {
                    self.counts.own_affair += 1;
                    return Ok(());
                }
                None => return fault("upstream encrypts it and we do not", ours),
            },
            (_, Err(theirs), Ok(_)) => match refusal(Decision::they_refuse) {
                Some(decision) => return self.decided(decision),
                None => return fault("we encrypt it and upstream does not", theirs),
            },
            (Err(theirs), Ok(_), Ok(_)) => return fault("upstream lists it no more", theirs),
        };
        self.counts.judged += 1;
        for decision in &decisions {
            self.decided(*decision)?;
        }
        let allowed = Allowed {
            at_the_end: decisions.contains(&Decision::CommentAtTheEnd),
            anywhere: decisions.contains(&Decision::WrittenAnew)
                || decisions.contains(&Decision::AliasWrittenOut),
            empty_texts: decisions.contains(&Decision::EmptyComment),
            unplaced: decisions.contains(&Decision::CommentBehindNothing),
            written_out: decisions.contains(&Decision::AliasWrittenOut),
            of_nothing: decisions.contains(&Decision::AliasOfNothing),
            lost: ours::comments(format, text).saturating_sub(plain.iter().map(comments_in).sum()),
        };

        // Our file: what is encrypted in it, what upstream reads, what we read.
        let shown = || String::from_utf8_lossy(&ours).into_owned();
        let in_ours = match self.upstream.list_encrypted(format, &ours) {
            Ok(listing) => listing,
            Err(error) => return fault("upstream does not read our file", error + "\n" + &shown()),
        };
        if let Some(difference) = difference_of_values(&theirs.listing, &in_ours, &allowed) {
            return fault("other leaves are encrypted", difference + "\n" + &shown());
        }
        if let Some(difference) = difference(&theirs.listing, &in_ours, &allowed)
            && !self.is_as_in_another(text, |this, text| {
                let theirs = this.upstream.encrypt(format, text, settings).ok()?;
                Some(difference_without_key(&theirs.listing, &in_ours, &allowed).is_none())
            })
        {
            return fault(
                "comments are encrypted otherwise",
                difference + "\n" + &shown(),
            );
        }
        match self.upstream.decrypt(format, &ours) {
            Err(_) if self.is_own_affair(&theirs.text) => self.counts.own_affair += 1,
            Err(error) => {
                return fault(
                    "upstream does not decrypt our file",
                    error + "\n" + &shown(),
                );
            }
            Ok(read) => {
                if let Some(difference) = difference(&plain, &read.listing, &allowed)
                    && !self.is_as_in_another(text, |this, text| {
                        let plain = this.upstream.list(format, text).ok()?;
                        Some(difference_without_key(&plain, &read.listing, &allowed).is_none())
                    })
                {
                    return fault(
                        "upstream reads our file otherwise",
                        difference + "\n" + &shown(),
                    );
                }
            }
        }
        match self.ours.decrypt(&ours) {
            Err(error) => return fault("we do not decrypt our own file", error),
            Ok(back) if back != text => {
                return fault(
                    "our own file comes back changed",
                    back.escape_ascii().to_string(),
                );
            }
            Ok(_) => {}
        }

        // Their file: what they read themselves, we read.
        if let Ok(read) = self.upstream.decrypt(format, &theirs.text) {
            let shown = || String::from_utf8_lossy(&theirs.text).into_owned();
            let back = match self.ours.decrypt(&theirs.text) {
                Ok(back) => back,
                Err(error) => {
                    return fault("we do not decrypt upstream's file", error + "\n" + &shown());
                }
            };
            let show = || format!("\n{}\n{}", shown(), String::from_utf8_lossy(&back));
            match self.upstream.list(format, &back) {
                Err(error) => {
                    return fault("what we decrypt is no longer read", error + &show());
                }
                Ok(listing) => {
                    // Upstream's own layout moves comments, but none gets lost.
                    let values = difference_of_values(&read.listing, &listing, &allowed);
                    if let Some(difference) = values {
                        return fault("we read upstream's file otherwise", difference + &show());
                    }
                    if let Some(lost) = lost_comment(&read.listing, &listing, &back) {
                        return fault("a comment of upstream's file is lost", lost + &show());
                    }
                }
            }
        } else {
            self.counts.own_affair += 1;
        }
        let start = match self.dice.roll(2) {
            0 => ours,
            _ => theirs.text,
        };
        if decisions.contains(&Decision::TextWithTab) {
            // Upstream writes the text as something else whenever it changes the file.
            return Ok(());
        }
        self.chain(start, &allowed)
    }

    /// Whether a question is answered with yes for the plain text with a key where the block will be, without the comments that
    /// have no encrypted form, or both: what upstream finds there, it finds in our file.
    fn is_as_in_another(
        &mut self,
        text: &[u8],
        is_as: impl Fn(&mut Self, &[u8]) -> Option<bool>,
    ) -> bool {
        if self.format != "yaml" {
            return false;
        }
        let without_empty = without_empty_comments(text);
        let others = [
            text_with_key(text),
            text_with_key(&without_empty),
            without_empty,
        ];
        others.iter().any(|other| is_as(self, other) == Some(true))
    }

    fn decided(&mut self, decision: Decision) -> Result<(), Fault> {
        *self.counts.decided.entry(decision).or_default() += 1;
        Ok(())
    }

    fn is_own_affair(&mut self, theirs: &[u8]) -> bool {
        self.upstream.decrypt(self.format, theirs).is_err()
    }

    /// Changes in place, each made by both to the same file; the next one starts from the file of either.
    fn chain(&mut self, mut file: Vec<u8>, allowed: &Allowed) -> Result<(), Fault> {
        let format = self.format;
        for _ in 0..self.dice.roll(4) {
            let Ok(read) = self.upstream.decrypt(format, &file) else {
                return Ok(());
            };
            let mut paths = paths(&read.listing[0]);
            // Comments that upstream's own layout has moved shift indices.
            let plain = self.ours.decrypt(&file);
            let listing = plain.and_then(|plain| self.upstream.list(format, &plain));
            let exact = Allowed::default();
            let is_moved =
                !listing.is_ok_and(|listing| difference(&read.listing, &listing, &exact).is_none());
            // An empty comment is no element of our file, and one of the text.
            if is_moved || allowed.empty_texts {
                paths.retain(|(path, ..)| path.iter().all(|it| matches!(it, Step::Key(_))));
            }
            if is_moved {
                self.decided(Decision::CommentMovedByLayout)?;
            }
            if paths.is_empty() {
                return Ok(());
            }
            let (path, is_comment, is_scalar) = &paths[self.dice.roll(paths.len())];
            let shown = |text: &[u8]| format!("{path:?}\n{}", String::from_utf8_lossy(text));
            if *is_comment {
                continue;
            }
            // A value behind an index.
            let theirs = self.upstream.extract(format, &file, path);
            let ours = self.ours.extract(&file, path);
            let values = |listing: &Value| {
                let mut values = normal(&without_comments(listing));
                if allowed.empty_texts {
                    take_empty_texts(&mut values);
                }
                values
            };
            match (theirs, ours) {
                (Ok(theirs), Some(Ok(ours))) if values(&theirs) != values(&ours) => {
                    let both = format!("{theirs} and ours {ours} at {}", shown(&file));
                    return fault("another value is extracted", both);
                }
                (Ok(_), Some(Err(error))) => {
                    return fault("we do not extract a value", error + &shown(&file));
                }
                _ => {}
            }
            let sets = *is_scalar && self.dice.roll(3) > 0;
            let (theirs, ours) = if sets {
                let value = format!("new {}", self.dice.roll(1000));
                (
                    self.upstream.set(format, &file, path, &value),
                    self.ours.set(&file, path, &value),
                )
            } else {
                if format == "ini" && path.len() < 2 {
                    continue;
                }
                (
                    self.upstream.unset(format, &file, path),
                    self.ours.unset(&file, path),
                )
            };
            let (theirs, ours) = match (theirs, ours) {
                (Ok(theirs), Ok(ours)) => (theirs, ours),
                (Err(_), _) => return Ok(()),
                (Ok(_), Err(error)) => {
                    if error.starts_with(ours::UNCOVERED) {
                        return self.decided(Decision::ChangeUncovers);
                    }
                    return fault("we do not change a value", error + &shown(&file));
                }
            };
            let after = |this: &mut Self, file: &[u8]| this.upstream.decrypt(format, file);
            let (their_data, our_data) = (after(self, &theirs), after(self, &ours));
            let Ok(their_data) = their_data else {
                return Ok(());
            };
            if their_data.listing.iter().any(has_ciphertext) {
                // Upstream has written what it does not decrypt itself.
                self.counts.own_affair += 1;
                return Ok(());
            }
            let our_data = match our_data {
                Ok(data) => data,
                Err(error) => {
                    let both = format!(
                        "{error} {}\n{}",
                        shown(&file),
                        String::from_utf8_lossy(&ours)
                    );
                    return fault("upstream does not read our change", both);
                }
            };
            if let Some(both) =
                difference_of_values(&their_data.listing, &our_data.listing, allowed)
            {
                return fault("a change does something else", both + &shown(&file));
            }
            let encrypted = (
                self.upstream.list_encrypted(format, &theirs),
                self.upstream.list_encrypted(format, &ours),
            );
            if let (Ok(of_theirs), Ok(of_ours)) = encrypted
                && let Some(difference) = difference_of_values(&of_theirs, &of_ours, allowed)
            {
                let values =
                    |listing: Vec<Value>| normal(&without_comments(&Value::Array(listing)));
                let by_comments = self.settings.is_on_comments();
                if by_comments && allowed.unplaced {
                    self.decided(Decision::CommentBehindNothing)?;
                } else if !by_comments || !hides_no_less(&values(of_theirs), &values(of_ours)) {
                    let both = difference + &shown(&file) + "\n" + &String::from_utf8_lossy(&ours);
                    return fault("a change leaves other values encrypted", both);
                } else {
                    self.decided(Decision::ChangeCovers)?;
                }
            }
            match self.ours.decrypt(&ours) {
                Err(error) => return fault("we do not read our change", error + &shown(&file)),
                Ok(plain) => {
                    let both = match self.upstream.list(format, &plain) {
                        Ok(listing) => {
                            let exact = Allowed::default();
                            difference_of_values(&our_data.listing, &listing, &exact)
                        }
                        Err(error) => Some(error),
                    };
                    if let Some(both) = both {
                        return fault("we read our change otherwise", both + &shown(&file));
                    }
                }
            }
            file = match self.dice.roll(2) {
                0 => ours,
                _ => theirs,
            };
        }
        Ok(())
    }
}

/// In what two listings of one document may differ, by the decisions about its plain text.
#[derive(Clone, Copy, Default)]
struct Allowed {
    /// In which collection the comments behind its last value stand.
    at_the_end: bool,
    /// In which collection any comment stands.
    anywhere: bool,
    /// In empty texts in lists.
    empty_texts: bool,
    /// In comments altogether.
    unplaced: bool,
    /// An alias is written out, and a comment may be encrypted with the collection that it comes to belong to.
    written_out: bool,
    /// In the comments of collections without values.
    of_nothing: bool,
    /// How many comments of the plain text upstream's reader loses. With the block behind them it may find those at the end.
    lost: usize,
}

impl Allowed {
    /// Whether our comments are those of upstream and at most those that its reader loses; where an alias is written out,
    /// more of them may be encrypted.
    fn are_no_fewer(&self, theirs: &[String], ours: &[String]) -> bool {
        let more = ours.len().wrapping_sub(theirs.len());
        let mut left = ours.to_vec();
        let mut missing = 0;
        for comment in theirs {
            match left.iter().position(|other| other == comment) {
                Some(at) => drop(left.remove(at)),
                None => missing += 1,
            }
        }
        let hidden = left.iter().filter(|it| it.contains("enc")).count();
        let is_hidden_instead = self.written_out && missing <= hidden;
        more <= self.lost && (missing == 0 || is_hidden_instead) && (more > 0 || self.written_out)
    }

    /// A listing as it is compared: without what may differ, and the comments that may stand elsewhere by themselves.
    fn compared(&self, listing: &[Value]) -> (Value, Vec<String>) {
        let mut apart = Vec::new();
        let mut documents: Vec<Value> = normal(&Value::Array(listing.to_vec()))
            .as_array()
            .cloned()
            .unwrap_or_default();
        for document in &mut documents {
            if self.of_nothing {
                take_lone_comments(document);
            }
            if self.anywhere {
                take_comments(document, &mut apart);
            } else if self.at_the_end {
                take_last_comments(document, &mut apart);
            }
            if self.empty_texts {
                take_empty_texts(document);
            }
        }
        if self.unplaced {
            let mut aside = Vec::new();
            documents
                .iter_mut()
                .for_each(|document| take_comments(document, &mut aside));
            apart.clear();
        }
        apart.sort();
        (Value::Array(documents), apart)
    }
}

fn take_comments(value: &mut Value, out: &mut Vec<String>) {
    let Value::Array(items) = value else {
        return;
    };
    items.retain(|item| {
        if is_comment(item) || is_hidden_comment(item) {
            out.push(item.to_string());
            return false;
        }
        true
    });
    items.iter_mut().for_each(|item| take_comments(item, out));
}

/// Takes the comments behind the last value, in whatever collection that ends there.
fn take_last_comments(value: &mut Value, out: &mut Vec<String>) {
    let Value::Array(items) = value else {
        return;
    };
    while let Some(last) = items.pop_if(|last| is_comment(last) || is_hidden_comment(last)) {
        out.push(last.to_string());
    }
    if let Some(last) = items.last_mut() {
        take_last_comments(last, out);
    }
}

/// Takes the comments of collections that have nothing else.
fn take_lone_comments(value: &mut Value) {
    let Value::Array(items) = value else {
        return;
    };
    let is_collection =
        matches!(items.first(), Some(Value::String(kind)) if kind == "m" || kind == "l");
    let is_any_comment = |item: &Value| is_comment(item) || is_hidden_comment(item);
    if is_collection && items[1..].iter().all(is_any_comment) {
        items.truncate(1);
    }
    items.iter_mut().for_each(take_lone_comments);
}

/// The key that stands for the block.
const KEY_OF_BLOCK: &str = "zzz";

/// A YAML text with one key more at the end of each document.
fn text_with_key(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + 32);
    let mut has_content = false;
    let add = |out: &mut Vec<u8>, has_content: &mut bool| {
        if std::mem::take(has_content) {
            if !out.ends_with(b"\n") {
                out.push(b'\n');
            }
            out.extend_from_slice(format!("{KEY_OF_BLOCK}: 1\n").as_bytes());
        }
    };
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        let is_marker = line.starts_with(b"---") || line.starts_with(b"...");
        if is_marker {
            add(&mut out, &mut has_content);
        }
        out.extend_from_slice(line);
        let content = line.trim_ascii();
        has_content |= !is_marker && !content.is_empty() && !matches!(content[0], b'#' | b'%');
    }
    add(&mut out, &mut has_content);
    out
}

/// A YAML text without comments that have no text.
fn without_empty_comments(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        let content = line.trim_ascii_end();
        match content.strip_suffix(b"#") {
            Some(before) if before.trim_ascii().is_empty() => {}
            Some(before) if before.ends_with(b" ") => {
                out.extend_from_slice(before.trim_ascii_end());
                out.extend_from_slice(&line[content.len()..]);
            }
            _ => out.extend_from_slice(line),
        }
    }
    out
}

/// As [`difference`], with the key that stands for the block taken from the first one.
fn difference_without_key(theirs: &[Value], ours: &[Value], allowed: &Allowed) -> Option<String> {
    difference(&without_key(theirs), ours, allowed)
}

/// A listing without that key.
fn without_key(listing: &[Value]) -> Vec<Value> {
    let key = format!("string {}", upstream::hex(KEY_OF_BLOCK.as_bytes()));
    let mut documents = listing.to_vec();
    for document in &mut documents {
        if let Value::Array(items) = document {
            items.retain(|item| item.get(0) != Some(&Value::from(key.as_str())));
        }
    }
    documents
}

fn take_empty_texts(value: &mut Value) {
    let Value::Array(items) = value else {
        return;
    };
    if items.first() == Some(&Value::from("l")) {
        items.retain(|item| *item != serde_json::json!(["str", ""]));
    }
    items.iter_mut().for_each(take_empty_texts);
}

/// Where two listings differ. Empty comments have no encrypted form, and upstream does not keep them apart from empty texts.
fn difference(theirs: &[Value], ours: &[Value], allowed: &Allowed) -> Option<String> {
    if allowed.lost > 0 || allowed.written_out {
        // By themselves, wherever they stand.
        let apart = Allowed {
            anywhere: true,
            ..*allowed
        };
        let (theirs, ours) = (apart.compared(theirs), apart.compared(ours));
        if theirs.0 == ours.0 && allowed.are_no_fewer(&theirs.1, &ours.1) {
            return None;
        }
    }
    let (theirs, ours) = (allowed.compared(theirs), allowed.compared(ours));
    (theirs != ours).then(|| {
        let show =
            |(listing, apart): (Value, Vec<String>)| format!("{listing} {}", apart.join(" "));
        format!("upstream {}\n    ours     {}", show(theirs), show(ours))
    })
}

/// Where the values of two listings differ.
fn difference_of_values(theirs: &[Value], ours: &[Value], allowed: &Allowed) -> Option<String> {
    let values =
        |listing: &[Value]| -> Vec<Value> { listing.iter().map(without_comments).collect() };
    difference(&values(theirs), &values(ours), allowed)
}

/// A comment that one listing has and the other has not, and that is not in the text either: upstream's reader drops what stands
/// behind a bracket, the only place in an empty list that is an element of a list.
fn lost_comment(theirs: &[Value], ours: &[Value], text: &[u8]) -> Option<String> {
    fn collect(listing: &Value, out: &mut Vec<String>) {
        if is_comment(listing) {
            let text = listing[1].as_str().filter(|text| !text.is_empty());
            out.extend(text.map(str::to_owned));
        } else if let Value::Array(items) = listing {
            items.iter().for_each(|item| collect(item, out));
        }
    }
    let comments = |of: &[Value]| {
        let mut out = Vec::new();
        of.iter().for_each(|document| collect(document, &mut out));
        out
    };
    let mut left = comments(ours);
    // `ENC[`: upstream does not find the path of some comments of its own files.
    let wanted = comments(theirs).into_iter();
    for comment in wanted.filter(|text| !text.starts_with("454e435b")) {
        match left.iter().position(|other| *other == comment) {
            Some(at) => drop(left.remove(at)),
            None => {
                let lost = format!("#{}", upstream::text_of(&comment).unwrap_or_default());
                if !String::from_utf8_lossy(text).contains(&lost) {
                    return Some(lost);
                }
            }
        }
    }
    None
}

/// A listing without empty comments, and with numbers as upstream writes them: a float without a fraction is an integer.
fn normal(listing: &Value) -> Value {
    match listing {
        Value::Array(items) if *items == ["enc", "int"] || *items == ["enc", "float"] => {
            serde_json::json!(["enc", "number"])
        }
        Value::Array(items) if items.len() == 2 && (items[0] == "int" || items[0] == "float") => {
            let text = items[1].as_str().filter(|text| *text != "2d30");
            serde_json::json!(["number", text.unwrap_or("30")])
        }
        Value::Array(items) => {
            let kept = items
                .iter()
                .filter(|item| **item != serde_json::json!(["#", ""]));
            Value::Array(kept.map(normal).collect())
        }
        other => other.clone(),
    }
}

fn is_comment(item: &Value) -> bool {
    item.get(0) == Some(&Value::from("#"))
}

/// How many comments with a text a listing has.
fn comments_in(listing: &Value) -> usize {
    match listing {
        _ if is_comment(listing) => usize::from(listing[1] != ""),
        Value::Array(items) => items.iter().map(comments_in).sum(),
        _ => 0,
    }
}

/// Whether a ciphertext stands in a decrypted listing as a text. `ENC[AES256_GCM,`
fn has_ciphertext(listing: &Value) -> bool {
    const START: &str = "454e435b4145533235365f47434d2c";
    match listing {
        Value::Array(items) => items.iter().any(has_ciphertext),
        Value::String(text) => text.starts_with(START),
        _ => false,
    }
}

/// Whether a listing of an encrypted file has the same values as another, and all of those encrypted that the other has.
fn hides_no_less(theirs: &Value, ours: &Value) -> bool {
    let is_hidden = |value: &Value| value.get(0) == Some(&Value::from("enc"));
    let is_leaf = |value: &Value| value.get(1).is_some_and(Value::is_string);
    match (theirs, ours) {
        (theirs, ours) if is_leaf(theirs) && is_hidden(ours) => true,
        (Value::Array(theirs), Value::Array(ours)) => {
            theirs.len() == ours.len()
                && theirs
                    .iter()
                    .zip(ours)
                    .all(|(theirs, ours)| hides_no_less(theirs, ours))
        }
        (theirs, ours) => theirs == ours,
    }
}

fn is_hidden_comment(item: &Value) -> bool {
    *item == serde_json::json!(["enc", "comment"])
}

fn without_comments(listing: &Value) -> Value {
    match listing {
        Value::Array(items) => {
            let kept = items
                .iter()
                .filter(|item| !is_comment(item) && !is_hidden_comment(item));
            Value::Array(kept.map(without_comments).collect())
        }
        other => other.clone(),
    }
}

/// The paths to everything in a document, with whether it is a comment and whether it is a scalar.
fn paths(document: &Value) -> Vec<(Vec<Step>, bool, bool)> {
    fn walk(value: &Value, path: &mut Vec<Step>, out: &mut Vec<(Vec<Step>, bool, bool)>) {
        let items = value.as_array().map_or(&[][..], Vec::as_slice);
        let kind = items.first().and_then(Value::as_str).unwrap_or_default();
        let is_collection = matches!(kind, "m" | "l");
        if !path.is_empty() {
            out.push((path.clone(), is_comment(value), !is_collection));
        }
        for (index, item) in items.iter().skip(1).enumerate() {
            match kind {
                "l" => {
                    path.push(Step::Index(index));
                    walk(item, path, out);
                    path.pop();
                }
                "m" if !is_comment(item) => {
                    let key = item[0].as_str().and_then(|key| key.strip_prefix("string "));
                    let Some(key) = key.and_then(upstream::text_of) else {
                        continue;
                    };
                    // The first of several equal keys is the one that counts.
                    let is_first = items[1..1 + index]
                        .iter()
                        .all(|other| is_comment(other) || other[0] != item[0]);
                    if is_first {
                        path.push(Step::Key(key));
                        walk(&item[1], path, out);
                        path.pop();
                    }
                }
                _ => {}
            }
        }
    }
    let mut out = Vec::new();
    walk(document, &mut Vec::new(), &mut out);
    out
}
