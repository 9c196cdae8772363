//! Go's layouts: the reference time `Mon Jan 2 15:04:05 MST 2006` written as one wants it.

use jiff::civil;
use jiff::tz::Offset;

use super::Time;

/// A piece of a layout that stands for a part of the time.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Piece {
    LongMonth,
    Month,
    NumMonth,
    ZeroMonth,
    LongWeekDay,
    WeekDay,
    Day,
    UnderDay,
    ZeroDay,
    UnderYearDay,
    ZeroYearDay,
    Hour,
    Hour12,
    ZeroHour12,
    Minute,
    ZeroMinute,
    Second,
    ZeroSecond,
    LongYear,
    Year,
    UpperHalf,
    LowerHalf,
    ZoneName,
    /// An offset: whether UTC is `Z`, whether there are colons, and how many parts.
    Offset {
        z: bool,
        colon: bool,
        parts: u8,
    },
    /// Digits of the second behind a point or comma; `9`s drop zeros at the end.
    Fraction {
        digits: usize,
        drops_zeros: bool,
    },
}

pub(super) const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
pub(super) const WEEK_DAYS: [&str; 7] = [
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
    "Sunday",
];

/// The fixed spellings, longer ones before their beginnings.
const SPELLINGS: &[(&str, Piece)] = &[
    ("January", Piece::LongMonth),
    ("Jan", Piece::Month),
    ("Monday", Piece::LongWeekDay),
    ("Mon", Piece::WeekDay),
    ("MST", Piece::ZoneName),
    ("002", Piece::ZeroYearDay),
    ("01", Piece::ZeroMonth),
    ("02", Piece::ZeroDay),
    ("03", Piece::ZeroHour12),
    ("04", Piece::ZeroMinute),
    ("05", Piece::ZeroSecond),
    ("06", Piece::Year),
    ("15", Piece::Hour),
    ("1", Piece::NumMonth),
    ("2006", Piece::LongYear),
    ("2", Piece::Day),
    ("__2", Piece::UnderYearDay),
    ("_2", Piece::UnderDay),
    ("3", Piece::Hour12),
    ("4", Piece::Minute),
    ("5", Piece::Second),
    ("PM", Piece::UpperHalf),
    ("pm", Piece::LowerHalf),
    (
        "-07:00:00",
        Piece::Offset {
            z: false,
            colon: true,
            parts: 3,
        },
    ),
    (
        "-070000",
        Piece::Offset {
            z: false,
            colon: false,
            parts: 3,
        },
    ),
    (
        "-07:00",
        Piece::Offset {
            z: false,
            colon: true,
            parts: 2,
        },
    ),
    (
        "-0700",
        Piece::Offset {
            z: false,
            colon: false,
            parts: 2,
        },
    ),
    (
        "-07",
        Piece::Offset {
            z: false,
            colon: false,
            parts: 1,
        },
    ),
    (
        "Z07:00:00",
        Piece::Offset {
            z: true,
            colon: true,
            parts: 3,
        },
    ),
    (
        "Z070000",
        Piece::Offset {
            z: true,
            colon: false,
            parts: 3,
        },
    ),
    (
        "Z07:00",
        Piece::Offset {
            z: true,
            colon: true,
            parts: 2,
        },
    ),
    (
        "Z0700",
        Piece::Offset {
            z: true,
            colon: false,
            parts: 2,
        },
    ),
    (
        "Z07",
        Piece::Offset {
            z: true,
            colon: false,
            parts: 1,
        },
    ),
];

/// Splits a layout at its first piece: what stands before, the piece, what follows.
pub(super) fn next_piece(layout: &[u8]) -> (&[u8], Option<Piece>, &[u8]) {
    for at in 0..layout.len() {
        let rest = &layout[at..];
        if let Some((digits, drops_zeros)) = fraction(rest) {
            let piece = Piece::Fraction {
                digits,
                drops_zeros,
            };
            return (&layout[..at], Some(piece), &rest[digits + 1..]);
        }
        for (spelling, piece) in SPELLINGS {
            let Some(after) = rest.strip_prefix(spelling.as_bytes()) else {
                continue;
            };
            // `Jan` is no month in `Janet`, and `_2006` is a year behind an underscore.
            let is_word = *piece == Piece::Month || *piece == Piece::WeekDay;
            if is_word && after.first().is_some_and(u8::is_ascii_lowercase) {
                continue;
            }
            if *piece == Piece::UnderDay && rest.starts_with(b"_2006") {
                return (&layout[..=at], Some(Piece::LongYear), &rest[5..]);
            }
            return (&layout[..at], Some(*piece), after);
        }
    }
    (layout, None, &[])
}

/// `.000` or `,999`, not followed by another digit.
fn fraction(rest: &[u8]) -> Option<(usize, bool)> {
    let (b'.' | b',', &digit @ (b'0' | b'9')) = (rest.first()?, rest.get(1)?) else {
        return None;
    };
    let digits = rest[1..].iter().take_while(|&&byte| byte == digit).count();
    match rest.get(digits + 1) {
        Some(after) if after.is_ascii_digit() => None,
        _ => Some((digits, digit == b'9')),
    }
}

/// Writes a time in a layout.
pub(super) fn format(layout: &[u8], time: &Time) -> Vec<u8> {
    let civil = time.civil();
    let mut out = Vec::with_capacity(layout.len() + 8);
    let mut rest = layout;
    while !rest.is_empty() {
        let (before, piece, after) = next_piece(rest);
        out.extend_from_slice(before);
        rest = after;
        let Some(piece) = piece else { break };
        let text = piece_text(piece, time, civil);
        if let Piece::Fraction { drops_zeros, .. } = piece
            && !(drops_zeros && text.is_empty())
        {
            out.push(layout[layout.len() - after.len() - piece_len(piece)]);
        }
        out.extend_from_slice(text.as_bytes());
    }
    out
}

fn piece_len(piece: Piece) -> usize {
    match piece {
        Piece::Fraction { digits, .. } => digits + 1,
        _ => 0,
    }
}

fn piece_text(piece: Piece, time: &Time, civil: civil::DateTime) -> String {
    let month = MONTHS[usize::from(civil.month().unsigned_abs()) - 1];
    let week_day = usize::from(
        civil
            .date()
            .weekday()
            .to_monday_zero_offset()
            .unsigned_abs(),
    );
    let week_day = WEEK_DAYS[week_day];
    let hour12 = match civil.hour() % 12 {
        0 => 12,
        hour => hour,
    };
    let half = if civil.hour() >= 12 { "PM" } else { "AM" };
    match piece {
        Piece::LongMonth => month.to_owned(),
        Piece::Month => month[..3].to_owned(),
        Piece::NumMonth => civil.month().to_string(),
        Piece::ZeroMonth => format!("{:02}", civil.month()),
        Piece::LongWeekDay => week_day.to_owned(),
        Piece::WeekDay => week_day[..3].to_owned(),
        Piece::Day => civil.day().to_string(),
        Piece::UnderDay => format!("{:2}", civil.day()),
        Piece::ZeroDay => format!("{:02}", civil.day()),
        Piece::UnderYearDay => format!("{:3}", civil.date().day_of_year()),
        Piece::ZeroYearDay => format!("{:03}", civil.date().day_of_year()),
        Piece::Hour => format!("{:02}", civil.hour()),
        Piece::Hour12 => hour12.to_string(),
        Piece::ZeroHour12 => format!("{hour12:02}"),
        Piece::Minute => civil.minute().to_string(),
        Piece::ZeroMinute => format!("{:02}", civil.minute()),
        Piece::Second => civil.second().to_string(),
        Piece::ZeroSecond => format!("{:02}", civil.second()),
        Piece::LongYear => format!("{:04}", civil.year()),
        Piece::Year => format!("{:02}", civil.year().rem_euclid(100)),
        Piece::UpperHalf => half.to_owned(),
        Piece::LowerHalf => half.to_lowercase(),
        Piece::ZoneName => time.abbreviation(),
        Piece::Offset { z: true, .. } if time.offset() == Offset::UTC => "Z".to_owned(),
        Piece::Offset { colon, parts, .. } => {
            let text = offset_text(time.offset(), colon);
            let seconds = time.offset().seconds().abs() % 60;
            match (parts, colon) {
                (1, _) => text[..3].to_owned(),
                (2, _) => text,
                (_, true) => format!("{text}:{seconds:02}"),
                (_, false) => format!("{text}{seconds:02}"),
            }
        }
        Piece::Fraction {
            digits,
            drops_zeros,
        } => {
            let nanoseconds = format!("{:09}", civil.subsec_nanosecond());
            let text = nanoseconds[..digits.min(9)].to_owned();
            match drops_zeros {
                true => text.trim_end_matches('0').to_owned(),
                false => text,
            }
        }
    }
}

/// `+02:00` or `+0200`.
pub(super) fn offset_text(offset: Offset, colon: bool) -> String {
    let sign = if offset.seconds() < 0 { '-' } else { '+' };
    let minutes = offset.seconds().abs() / 60;
    let colon = if colon { ":" } else { "" };
    format!("{sign}{:02}{colon}{:02}", minutes / 60, minutes % 60)
}
