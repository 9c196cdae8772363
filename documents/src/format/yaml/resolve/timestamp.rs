//! Timestamps: the four layouts that yaml.v3 takes, and their RFC 3339 form.

use std::fmt::Write as _;

/// A point in time in RFC 3339 form.
#[derive(Debug, PartialEq)]
pub(in crate::format::yaml) struct Timestamp(String);

impl Timestamp {
    /// Its RFC 3339 form.
    pub(in crate::format::yaml) fn text(&self) -> &str {
        &self.0
    }

    /// Reads `2001-1-2`, `2001-1-2T3:4:5.6Z`, the same with `t` and an offset, and with blanks and without a zone.
    pub(in crate::format::yaml) fn parse(text: &[u8]) -> Option<Self> {
        let looks_so =
            text.len() >= 8 && text[4] == b'-' && text[..4].iter().all(u8::is_ascii_digit);
        if !looks_so {
            return None;
        }
        let mut rest = Rest(text);
        let year = rest.number(4, 4)?;
        rest.literal(b'-')?;
        let month = rest.number(1, 2)?;
        rest.literal(b'-')?;
        let day = rest.number(1, 2)?;
        if !(1..=12).contains(&month) || !(1..=days_in(year, month)).contains(&day) {
            return None;
        }
        let mut out = format!("{year:04}-{month:02}-{day:02}T");
        if rest.0.is_empty() {
            out.push_str("00:00:00Z");
            return Some(Self(out));
        }
        let blank = match rest.0[0] {
            b'T' | b't' => {
                rest.0 = &rest.0[1..];
                false
            }
            b' ' => {
                rest.0 = rest.0.trim_ascii_start();
                true
            }
            _ => return None,
        };
        let hour = rest.number(1, 2)?;
        rest.literal(b':')?;
        let minute = rest.number(1, 2)?;
        rest.literal(b':')?;
        let second = rest.number(1, 2)?;
        if hour > 23 || minute > 59 || second > 59 {
            return None;
        }
        write!(out, "{hour:02}:{minute:02}:{second:02}").expect("memory takes it");
        if let [b'.' | b',', first, ..] = rest.0
            && first.is_ascii_digit()
        {
            let len = rest.0[1..]
                .iter()
                .take_while(|b| b.is_ascii_digit())
                .count();
            let digits = &rest.0[1..=len.min(9)];
            let kept = digits.len() - digits.iter().rev().take_while(|b| **b == b'0').count();
            if kept > 0 {
                out.push('.');
                out.extend(digits[..kept].iter().map(|digit| *digit as char));
            }
            rest.0 = &rest.0[1 + len..];
        }
        match (blank, rest.0) {
            (true, []) | (false, [b'Z']) => out.push('Z'),
            (false, [sign @ (b'+' | b'-'), offset @ ..]) => {
                let mut offset = Rest(offset);
                let hours = offset.number(2, 2)?;
                offset.literal(b':')?;
                let minutes = offset.number(2, 2)?;
                if !offset.0.is_empty() || hours > 24 || minutes > 60 {
                    return None;
                }
                let total = hours * 60 + minutes;
                if total == 0 {
                    out.push('Z');
                } else {
                    let (hours, minutes) = (total / 60, total % 60);
                    write!(out, "{}{hours:02}:{minutes:02}", *sign as char)
                        .expect("memory takes it");
                }
            }
            _ => return None,
        }
        Some(Self(out))
    }
}

struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    fn number(&mut self, least: usize, most: usize) -> Option<u32> {
        let len = self
            .0
            .iter()
            .take(most)
            .take_while(|b| b.is_ascii_digit())
            .count();
        if len < least {
            return None;
        }
        let (digits, rest) = self.0.split_at(len);
        self.0 = rest;
        Some(
            digits
                .iter()
                .fold(0, |n, digit| n * 10 + u32::from(digit - b'0')),
        )
    }

    fn literal(&mut self, byte: u8) -> Option<()> {
        self.0 = self.0.strip_prefix(&[byte])?;
        Some(())
    }
}

fn days_in(year: u32, month: u32) -> u32 {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}
