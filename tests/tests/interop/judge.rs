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

#[path = "judge/allowed.rs"]
mod allowed;
#[path = "judge/chain.rs"]
mod chain;
#[path = "judge/classes.rs"]
mod classes;
#[path = "judge/decisions.rs"]
mod decisions;
#[path = "judge/listing.rs"]
mod listing;
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
use allowed::Allowed;
use decisions::Decision;
use listing::{
    has_ciphertext, lost_comment, text_with_key, without_comments, without_empty_comments,
    without_key,
};
use ours::Ours;
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

#[test]
fn binary_is_to_both_the_same() {
    judge("binary");
}

/// A document of a format.
fn document(format: &str, dice: &mut Dice) -> Case {
    let is_one_in = |dice: &mut Dice, count: usize| dice.roll(count) == 0;
    match format {
        "yaml" if is_one_in(dice, 4) => {
            super::yaml::generator::yaml(dice, super::yaml::generator::Scope::Plain)
        }
        "yaml" => write_yaml::yaml(dice),
        "json" if is_one_in(dice, 2) => documents::json(dice),
        "json" => lines(
            flat::json(&mut flat_dice(dice)),
            b"{\n  ",
            b",\n  ",
            b"\n}\n",
        ),
        "dotenv" if is_one_in(dice, 2) => documents::dotenv(dice),
        "dotenv" => lines(flat::dotenv(&mut flat_dice(dice)), b"", b"\n", b"\n"),
        "ini" => lines(flat::ini(&mut flat_dice(dice)), b"", b"", b""),
        _ => documents::binary(dice),
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
        let mut settings = Settings::roll(&mut dice);
        if format == "binary" {
            // The one value of a file is always encrypted.
            settings.rule = None;
        }
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
    /// How many cases a decision had a part in.
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
            is_excused: false,
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
    /// Whether a difference was allowed.
    is_excused: bool,
}

impl Judgement<'_> {
    fn of(&mut self, text: &[u8]) -> Result<(), Fault> {
        let (format, settings) = (self.format, self.settings);
        let plain = self.upstream.list(format, text);
        let theirs = self.upstream.encrypt(format, text, settings);
        let ours = self.ours.encrypt(text, settings);
        let (decisions, allowed) = decisions::about(format, text, plain.as_ref().ok());
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
                None if decisions.contains(&Decision::CommentBehindNothing)
                    && ours.contains(ours::UNCOVERED_COMMENT) =>
                {
                    return self.decided(Decision::CommentUncovered);
                }
                None if self.is_own_affair(&theirs.text) => {
                    self.counts.own_affair += 1;
                    return Ok(());
                }
                None => return fault("upstream encrypts it and we do not", ours),
            },
            (_, Err(theirs), Ok(ours)) => match refusal(Decision::they_refuse) {
                Some(Decision::TextWithTab)
                    if self.unwritable(&ours) != Some(Decision::TextWithTab) =>
                {
                    return fault("we encrypt it and upstream does not", theirs);
                }
                Some(decision) => return self.decided(decision),
                None => return fault("we encrypt it and upstream does not", theirs),
            },
            (Err(theirs), Ok(_), Ok(_)) => return fault("upstream lists it no more", theirs),
        };
        self.counts.judged += 1;
        self.our_file(text, &plain, &theirs.text, &theirs.listing, &ours, &allowed)?;
        self.their_file(&theirs.text, &allowed)?;
        if self.is_excused {
            let held = decisions.iter().filter(|it| it.allows());
            held.for_each(|decision| drop(self.decided(*decision)));
        }
        let start = match self.dice.roll(2) {
            0 => ours,
            _ => theirs.text,
        };
        self.chain(start, &allowed)
    }

    /// Our file: what is encrypted in it, what upstream reads, what we read.
    fn our_file(
        &mut self,
        text: &[u8],
        plain: &[Value],
        their_file: &[u8],
        theirs: &[Value],
        ours: &[u8],
        allowed: &Allowed,
    ) -> Result<(), Fault> {
        let (format, settings) = (self.format, self.settings);
        let shown = || String::from_utf8_lossy(ours).into_owned();
        let in_ours = match self.upstream.list_encrypted(format, ours) {
            Ok(listing) => listing,
            Err(error) => return fault("upstream does not read our file", error + "\n" + &shown()),
        };
        if let Some(difference) = self.difference_of_values(theirs, &in_ours, allowed) {
            return fault("other leaves are encrypted", difference + "\n" + &shown());
        }
        if let Some(difference) = self.difference(theirs, &in_ours, allowed)
            && !self.is_as_in_another(text, &in_ours, allowed, |this, text| {
                let theirs = this.upstream.encrypt(format, text, settings);
                theirs.ok().map(|theirs| theirs.listing)
            })
        {
            return fault(
                "comments are encrypted otherwise",
                difference + "\n" + &shown(),
            );
        }
        match self.upstream.decrypt(format, ours) {
            Err(_) if self.is_own_affair(their_file) => self.counts.own_affair += 1,
            Err(error) => {
                return fault(
                    "upstream does not decrypt our file",
                    error + "\n" + &shown(),
                );
            }
            Ok(read) => {
                if let Some(difference) = self.difference(plain, &read, allowed)
                    && !self.is_as_in_another(text, &read, allowed, |this, text| {
                        this.upstream.list(format, text).ok()
                    })
                {
                    return fault(
                        "upstream reads our file otherwise",
                        difference + "\n" + &shown(),
                    );
                }
            }
        }
        match self.ours.decrypt(ours) {
            Err(error) => fault("we do not decrypt our own file", error),
            Ok(back) if back != text => fault(
                "our own file comes back changed",
                back.escape_ascii().to_string(),
            ),
            Ok(_) => Ok(()),
        }
    }

    /// Their file: what they read themselves, we read.
    fn their_file(&mut self, theirs: &[u8], allowed: &Allowed) -> Result<(), Fault> {
        let Ok(read) = self.upstream.decrypt(self.format, theirs) else {
            self.counts.own_affair += 1;
            return Ok(());
        };
        if read
            .iter()
            .map(without_comments)
            .any(|it| has_ciphertext(&it))
        {
            // Its own layout lets a comment decide about another element, which stays encrypted.
            self.counts.own_affair += 1;
            return Ok(());
        }
        let shown = || String::from_utf8_lossy(theirs).into_owned();
        let back = match self.ours.decrypt(theirs) {
            Ok(back) => back,
            Err(error) => {
                return fault("we do not decrypt upstream's file", error + "\n" + &shown());
            }
        };
        let show = || format!("\n{}\n{}", shown(), String::from_utf8_lossy(&back));
        let listing = match self.upstream.list(self.format, &back) {
            Ok(listing) => listing,
            Err(error) => return fault("what we decrypt is no longer read", error + &show()),
        };
        // Upstream's own layout moves comments, but none gets lost.
        if let Some(difference) = self.difference_of_values(&read, &listing, allowed) {
            return fault("we read upstream's file otherwise", difference + &show());
        }
        match lost_comment(&read, &listing, &back) {
            Some(lost) => fault("a comment of upstream's file is lost", lost + &show()),
            None => Ok(()),
        }
    }

    /// Where two listings differ in more than what is allowed.
    fn difference(
        &mut self,
        theirs: &[Value],
        ours: &[Value],
        allowed: &Allowed,
    ) -> Option<String> {
        Allowed::default().difference(theirs, ours)?;
        let difference = allowed.difference(theirs, ours);
        self.is_excused |= difference.is_none();
        difference
    }

    /// Where the values of two listings differ.
    fn difference_of_values(
        &mut self,
        theirs: &[Value],
        ours: &[Value],
        allowed: &Allowed,
    ) -> Option<String> {
        let values =
            |listing: &[Value]| -> Vec<Value> { listing.iter().map(without_comments).collect() };
        self.difference(&values(theirs), &values(ours), allowed)
    }

    /// Whether a listing is that of the plain text with a key where the block will be, without the comments that have no
    /// encrypted form, or both: what upstream finds there, it finds in our file.
    fn is_as_in_another(
        &mut self,
        text: &[u8],
        ours: &[Value],
        allowed: &Allowed,
        listing: impl Fn(&mut Self, &[u8]) -> Option<Vec<Value>>,
    ) -> bool {
        if self.format != "yaml" || !allowed.depends_on_what_follows() {
            return false;
        }
        let without_empty = without_empty_comments(text);
        let others = [
            text_with_key(text),
            text_with_key(&without_empty),
            without_empty,
        ];
        let is_as = others.iter().any(|other| {
            let theirs = listing(self, other);
            theirs.is_some_and(|theirs| allowed.difference(&without_key(&theirs), ours).is_none())
        });
        self.is_excused |= is_as;
        is_as
    }

    fn decided(&mut self, decision: Decision) -> Result<(), Fault> {
        *self.counts.decided.entry(decision).or_default() += 1;
        Ok(())
    }

    fn is_own_affair(&mut self, theirs: &[u8]) -> bool {
        self.upstream.decrypt(self.format, theirs).is_err()
    }

    /// The text in clear that upstream cannot write, if a file has one.
    fn unwritable(&mut self, file: &[u8]) -> Option<Decision> {
        let listing = self.upstream.list_encrypted(self.format, file).ok()?;
        listing.iter().find_map(decisions::unwritable)
    }
}
