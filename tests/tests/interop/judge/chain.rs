//! Chains of changes in place, each made by both to the same file; the next one starts from the file of either.

use serde_json::Value;

use super::allowed::Allowed;
use super::decisions::{Decision, comment_behind_nothing};
use super::listing::{
    Leaf, following, has_ciphertext, normal, numbers_of, only_covered, paths, take_empty_texts,
    without_comments,
};
use super::ours::{self, Step};
use super::upstream::Listed;
use super::{Fault, Judgement, fault};

/// A change of one value.
struct Change<'a> {
    path: &'a [Step],
    /// The new value; `None` when it goes.
    value: Option<String>,
}

impl Judgement<'_> {
    pub(super) fn chain(&mut self, mut file: Vec<u8>, allowed: &Allowed) -> Result<(), Fault> {
        let format = self.format;
        for _ in 0..self.dice.roll(4) {
            let Ok(read) = self.upstream.decrypt(format, &file) else {
                return Ok(());
            };
            if read
                .iter()
                .map(without_comments)
                .any(|it| has_ciphertext(&it))
            {
                self.counts.own_affair += 1;
                return Ok(());
            }
            let mut paths = paths(&read[0]);
            // Comments that upstream's own layout has moved shift indices.
            let plain = self.ours.decrypt(&file);
            let listing = plain.and_then(|plain| self.upstream.list(format, &plain));
            let exact = Allowed::default();
            let is_moved =
                !listing.is_ok_and(|listing| exact.difference(&read, &listing).is_none());
            // An empty comment is no element of our file, and one of the text.
            if is_moved || allowed.empty_texts {
                paths.retain(|leaf| leaf.path.iter().all(|it| matches!(it, Step::Key(_))));
            }
            if is_moved {
                self.decided(Decision::CommentMovedByLayout)?;
            }
            if paths.is_empty() {
                return Ok(());
            }
            let Leaf {
                path,
                is_comment,
                is_scalar,
            } = &paths[self.dice.roll(paths.len())];
            if *is_comment {
                continue;
            }
            self.extracts(&file, path, allowed)?;
            let value = (*is_scalar && self.dice.roll(3) > 0)
                .then(|| format!("new {}", self.dice.roll(1000)));
            let stays = match format {
                "ini" => path.len() < 2,
                "binary" => true,
                _ => false,
            };
            if value.is_none() && stays {
                continue;
            }
            let change = Change { path, value };
            match self.change(&file, &read, &change, allowed)? {
                Some(next) => file = next,
                None => return Ok(()),
            }
        }
        Ok(())
    }

    /// A value behind an index.
    fn extracts(&mut self, file: &[u8], path: &[Step], allowed: &Allowed) -> Result<(), Fault> {
        let shown = || format!("{path:?}\n{}", String::from_utf8_lossy(file));
        let theirs = self.upstream.extract(self.format, file, path);
        let ours = self.ours.extract(file, path);
        let values = |listing: &Value| {
            let mut values = normal(&without_comments(listing));
            if allowed.empty_texts {
                take_empty_texts(&mut values);
            }
            values
        };
        match (theirs, ours) {
            (Ok(theirs), Some(Ok(ours))) if values(&theirs) != values(&ours) => {
                let both = format!("{theirs} and ours {ours} at {}", shown());
                fault("another value is extracted", both)
            }
            (Ok(_), Some(Err(error))) => fault("we do not extract a value", error + &shown()),
            _ => Ok(()),
        }
    }

    /// One change by both, and the file to go on with; `None` when there is none.
    fn change(
        &mut self,
        file: &[u8],
        before: &[Value],
        change: &Change<'_>,
        allowed: &Allowed,
    ) -> Result<Option<Vec<u8>>, Fault> {
        let format = self.format;
        let path = change.path;
        let shown = || format!("{path:?}\n{}", String::from_utf8_lossy(file));
        // What upstream cannot write is told by its tree alone.
        let unwritable = self.unwritable(file);
        let is_unwritable = unwritable.is_some();
        let (theirs, ours) = match &change.value {
            Some(value) => (
                self.upstream.set(format, file, path, value, is_unwritable),
                self.ours.set(file, path, value),
            ),
            None => (
                self.upstream.unset(format, file, path, is_unwritable),
                self.ours.unset(file, path),
            ),
        };
        let (theirs, ours) = match (theirs, ours) {
            (Ok(theirs), Ok(ours)) => (theirs, ours),
            (Err(_), _) => return Ok(None),
            (Ok(_), Err(error)) => {
                if error.starts_with(ours::UNCOVERED) {
                    self.decided(Decision::ChangeUncovers)?;
                    return Ok(None);
                }
                return fault("we do not change a value", error + &shown());
            }
        };
        let their_data = match unwritable {
            Some(decision) => {
                self.decided(decision)?;
                theirs.listing.clone()
            }
            None => match self.upstream.decrypt(format, &theirs.text) {
                Ok(data) => data,
                Err(_) => return Ok(None),
            },
        };
        if their_data.iter().any(has_ciphertext) {
            // Upstream has written what it does not decrypt itself.
            self.counts.own_affair += 1;
            return Ok(None);
        }
        let our_data = match self.upstream.decrypt(format, &ours) {
            Ok(data) => data,
            Err(error) => {
                let ours = String::from_utf8_lossy(&ours);
                let both = format!("{error} {}\n{ours}", shown());
                return fault("upstream does not read our change", both);
            }
        };
        if let Some(both) = self.difference_of_values(&their_data, &our_data, allowed) {
            return fault("a change does something else", both + &shown());
        }
        if !is_unwritable {
            self.covers((file, before), change, (&theirs, &ours[..]), allowed)
                .map_err(|fault| Fault {
                    text: fault.text + &shown() + "\n" + &String::from_utf8_lossy(&ours),
                    ..fault
                })?;
        }
        match self.ours.decrypt(&ours) {
            Err(error) => return fault("we do not read our change", error + &shown()),
            Ok(plain) => {
                let both = match self.upstream.list(format, &plain) {
                    Ok(listing) => {
                        self.difference_of_values(&our_data, &listing, &Allowed::default())
                    }
                    Err(error) => Some(error),
                };
                if let Some(both) = both {
                    return fault("we read our change otherwise", both + &shown());
                }
            }
        }
        Ok(Some(match is_unwritable || self.dice.roll(2) == 0 {
            true => ours,
            false => theirs.text,
        }))
    }

    /// The same values are encrypted after a change by either. By a rule about comments we may encrypt more: what follows an
    /// entry that is gone.
    fn covers(
        &mut self,
        (file, before): (&[u8], &[Value]),
        change: &Change<'_>,
        (theirs, ours): (&Listed, &[u8]),
        allowed: &Allowed,
    ) -> Result<(), Fault> {
        let encrypted = (
            self.upstream.list_encrypted(self.format, &theirs.text),
            self.upstream.list_encrypted(self.format, ours),
        );
        let (Ok(of_theirs), Ok(of_ours)) = encrypted else {
            return Ok(());
        };
        let Some(difference) = self.difference_of_values(&of_theirs, &of_ours, allowed) else {
            return Ok(());
        };
        let values = |listing: Vec<Value>| normal(&without_comments(&Value::Array(listing)));
        let covered = only_covered(&values(of_theirs), &values(of_ours));
        let by_comments = self.settings.is_on_comments();
        if let (Some(covered), true) = (covered, by_comments) {
            let at = numbers_of(&before[0], change.path);
            let next = at.as_ref().and_then(|at| following(&before[0], at));
            // In INI upstream lists a comment behind the entry below it.
            let next_but_one = next
                .clone()
                .filter(|_| self.format == "ini")
                .map(|mut next| {
                    next.last_mut().into_iter().for_each(|number| *number += 1);
                    next
                });
            let is_next_but_one = |place: &Vec<usize>| {
                let next = next_but_one.as_ref();
                place[0] == 0 && next.is_some_and(|next| place[1..].starts_with(next))
            };
            let is_next = |place: &Vec<usize>| match &next {
                _ if is_next_but_one(place) => true,
                Some(next) => place[0] == 0 && place[1..].starts_with(next),
                // What follows is another document.
                None => place[..2] == [1, 0],
            };
            // What is set where nothing was is beside the comments there.
            let is_set = |place: &Vec<usize>| place[0] == 0 && Some(&place[1..]) == at.as_deref();
            let is_decided = match change.value {
                None => covered.iter().all(is_next),
                Some(_) => covered.iter().all(is_set),
            };
            // A comment behind a tag without a value decided about what follows, and now decides about the value.
            let is_behind_set = |place: &Vec<usize>| {
                let is_same = next.as_ref().is_some_and(|next| Some(next) == at.as_ref());
                let behind = next.clone().map(|mut next| {
                    next.last_mut()
                        .into_iter()
                        .for_each(|number| *number += usize::from(is_same));
                    next
                });
                place[0] == 0 && behind.is_some_and(|behind| place[1..].starts_with(&behind))
            };
            let was_behind_nothing = || {
                let mut lines = file.split(|byte| *byte == b'\n');
                lines.any(|line| comment_behind_nothing(line).is_some())
            };
            if is_decided {
                return self.decided(Decision::ChangeCovers);
            }
            if change.value.is_some()
                && (!allowed.unplaced.is_empty()
                    || covered.iter().all(is_behind_set) && was_behind_nothing())
            {
                return self.decided(Decision::CommentBehindNothing);
            }
            if change.value.is_none() && allowed.may_find_more() {
                return self.decided(Decision::CommentLost);
            }
        }
        fault("a change leaves other values encrypted", difference)
    }
}
