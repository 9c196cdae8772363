//! Reads times that are written in one of Go's layouts.

use jiff::civil;
use jiff::tz::{Offset, TimeZone};

use super::layout::{MONTHS, Piece, WEEK_DAYS, next_piece};
use super::{Time, Zone};

/// The parts of a time as they are read.
#[derive(Default)]
struct Parts {
    year: Option<i16>,
    month: Option<i8>,
    day: Option<i8>,
    year_day: Option<i16>,
    hour: i8,
    minute: i8,
    second: i8,
    nanosecond: i32,
    is_afternoon: Option<bool>,
    is_utc: bool,
    offset: Option<i32>,
    zone_name: Option<String>,
}

/// Reads a time in a layout; `None` if it does not fit.
pub(super) fn parse(layout: &[u8], text: &[u8]) -> Option<Time> {
    let mut parts = Parts::default();
    let (mut layout, mut text) = (layout, text);
    loop {
        let (before, piece, after) = next_piece(layout);
        text = skip(before, text)?;
        layout = after;
        let Some(piece) = piece else {
            return if text.is_empty() { finish(parts) } else { None };
        };
        text = read(piece, text, &mut parts, layout)?;
    }
}

/// Literal text; blanks in the layout match any number of blanks.
fn skip<'a>(mut literal: &[u8], mut text: &'a [u8]) -> Option<&'a [u8]> {
    let cut = |text: &'a [u8]| {
        let blanks = text.iter().take_while(|&&byte| byte == b' ').count();
        &text[blanks..]
    };
    while let Some((&byte, rest)) = literal.split_first() {
        if byte == b' ' {
            if text.first().is_some_and(|&byte| byte != b' ') {
                return None;
            }
            literal = &literal[literal.iter().take_while(|&&byte| byte == b' ').count()..];
            text = cut(text);
            continue;
        }
        text = text.strip_prefix(&[byte])?;
        literal = rest;
    }
    Some(text)
}

fn read<'a>(piece: Piece, text: &'a [u8], parts: &mut Parts, layout: &[u8]) -> Option<&'a [u8]> {
    let two = |text: &'a [u8], fixed: bool| number(text, if fixed { 2 } else { 1 }, 2);
    match piece {
        Piece::LongMonth | Piece::Month => {
            let (index, rest) = name(text, &MONTHS, piece == Piece::Month)?;
            parts.month = Some(i8::try_from(index + 1).ok()?);
            Some(rest)
        }
        Piece::LongWeekDay | Piece::WeekDay => {
            let (_, rest) = name(text, &WEEK_DAYS, piece == Piece::WeekDay)?;
            Some(rest)
        }
        Piece::NumMonth | Piece::ZeroMonth => {
            let (month, rest) = two(text, piece == Piece::ZeroMonth)?;
            (1..=12).contains(&month).then_some(())?;
            parts.month = Some(i8::try_from(month).ok()?);
            Some(rest)
        }
        Piece::Day | Piece::UnderDay | Piece::ZeroDay => {
            let text = match piece {
                Piece::UnderDay => text.strip_prefix(b" ").unwrap_or(text),
                _ => text,
            };
            let (day, rest) = two(text, piece == Piece::ZeroDay)?;
            parts.day = Some(i8::try_from(day).ok()?);
            Some(rest)
        }
        Piece::UnderYearDay | Piece::ZeroYearDay => {
            let mut digits = text;
            if piece == Piece::UnderYearDay {
                let blanks = text
                    .iter()
                    .take(2)
                    .take_while(|&&byte| byte == b' ')
                    .count();
                digits = &text[blanks..];
            }
            let (day, rest) = number(digits, 3 - (text.len() - digits.len()), 3)?;
            parts.year_day = Some(i16::try_from(day).ok()?);
            Some(rest)
        }
        Piece::Hour | Piece::Hour12 | Piece::ZeroHour12 => {
            let (hour, rest) = two(text, piece == Piece::ZeroHour12)?;
            let limit = if piece == Piece::Hour { 23 } else { 12 };
            (hour <= limit).then_some(())?;
            parts.hour = i8::try_from(hour).ok()?;
            Some(rest)
        }
        Piece::Minute | Piece::ZeroMinute => {
            let (minute, rest) = two(text, piece == Piece::ZeroMinute)?;
            (minute < 60).then_some(())?;
            parts.minute = i8::try_from(minute).ok()?;
            Some(rest)
        }
        Piece::Second | Piece::ZeroSecond => {
            let (second, rest) = two(text, piece == Piece::ZeroSecond)?;
            (second < 60).then_some(())?;
            parts.second = i8::try_from(second).ok()?;
            // A fraction is read even if the layout has none.
            let has_own = matches!(next_piece(layout), (b"", Some(Piece::Fraction { .. }), _));
            match rest {
                [b'.' | b',', digit, ..] if digit.is_ascii_digit() && !has_own => {
                    read_fraction(rest, None, parts)
                }
                _ => Some(rest),
            }
        }
        Piece::LongYear => {
            let (year, rest) = number(text, 4, 4)?;
            parts.year = Some(i16::try_from(year).ok()?);
            Some(rest)
        }
        Piece::Year => {
            let (year, rest) = number(text, 2, 2)?;
            let year = i16::try_from(year).ok()?;
            parts.year = Some(if year >= 69 { 1900 + year } else { 2000 + year });
            Some(rest)
        }
        Piece::UpperHalf | Piece::LowerHalf => {
            let (half, rest) = text.split_at_checked(2)?;
            parts.is_afternoon = Some(match (half, piece) {
                (b"PM", Piece::UpperHalf) | (b"pm", Piece::LowerHalf) => true,
                (b"AM", Piece::UpperHalf) | (b"am", Piece::LowerHalf) => false,
                _ => return None,
            });
            Some(rest)
        }
        Piece::ZoneName => read_zone_name(text, parts),
        Piece::Offset {
            z,
            colon,
            parts: count,
        } => {
            if z && let Some(rest) = text.strip_prefix(b"Z") {
                parts.is_utc = true;
                return Some(rest);
            }
            let (&sign, mut rest) = text.split_first()?;
            let sign = match sign {
                b'+' => 1,
                b'-' => -1,
                _ => return None,
            };
            let mut seconds = 0;
            for (index, unit) in [3600, 60, 1]
                .into_iter()
                .take(usize::from(count))
                .enumerate()
            {
                if colon && index > 0 {
                    rest = rest.strip_prefix(b":")?;
                }
                let (value, after) = number(rest, 2, 2)?;
                (index > 0 || value <= 24).then_some(())?;
                (index == 0 || value < 60).then_some(())?;
                seconds += value * unit;
                rest = after;
            }
            parts.offset = Some(sign * seconds);
            Some(rest)
        }
        Piece::Fraction {
            digits,
            drops_zeros: false,
        } => read_fraction(text, Some(digits), parts),
        Piece::Fraction { .. } => match text {
            [b'.' | b',', digit, ..] if digit.is_ascii_digit() => read_fraction(text, None, parts),
            _ => Some(text),
        },
    }
}

fn read_fraction<'a>(text: &'a [u8], digits: Option<usize>, parts: &mut Parts) -> Option<&'a [u8]> {
    let (b'.' | b',', rest) = text.split_first()? else {
        return None;
    };
    let found = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let digits = digits.unwrap_or(found);
    if found < digits {
        return None;
    }
    let (fraction, rest) = rest.split_at(digits);
    let mut nanoseconds = String::from_utf8_lossy(&fraction[..digits.min(9)]).into_owned();
    while nanoseconds.len() < 9 {
        nanoseconds.push('0');
    }
    parts.nanosecond = nanoseconds.parse().ok()?;
    Some(rest)
}

/// `UTC`, three or four capitals, or an offset such as `+03`.
fn read_zone_name<'a>(text: &'a [u8], parts: &mut Parts) -> Option<&'a [u8]> {
    if let Some(rest) = text.strip_prefix(b"UTC") {
        parts.is_utc = true;
        return Some(rest);
    }
    let capitals = text
        .iter()
        .take_while(|byte| byte.is_ascii_uppercase())
        .count();
    let length = match capitals {
        3 => 3,
        4 if text[3] == b'T' || text.starts_with(b"WITA") => 4,
        5 if text[4] == b'T' => 5,
        _ => return None,
    };
    let (name, rest) = text.split_at(length);
    parts.zone_name = Some(String::from_utf8_lossy(name).into_owned());
    Some(rest)
}

fn name<'a>(text: &'a [u8], names: &[&str], is_short: bool) -> Option<(usize, &'a [u8])> {
    names.iter().enumerate().find_map(|(index, name)| {
        let name = if is_short { &name[..3] } else { name };
        let (start, rest) = text.split_at_checked(name.len())?;
        start
            .eq_ignore_ascii_case(name.as_bytes())
            .then_some((index, rest))
    })
}

fn number(text: &[u8], least: usize, most: usize) -> Option<(i32, &[u8])> {
    let digits = text
        .iter()
        .take(most)
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    if digits < least {
        return None;
    }
    let (digits, rest) = text.split_at(digits);
    let number = std::str::from_utf8(digits).ok()?.parse().ok()?;
    Some((number, rest))
}

fn finish(parts: Parts) -> Option<Time> {
    let hour = match (parts.is_afternoon, parts.hour) {
        (Some(true), hour) if hour < 12 => hour + 12,
        (Some(false), 12) => 0,
        (_, hour) => hour,
    };
    let year = parts.year.unwrap_or(0);
    let mut date = civil::Date::new(year, parts.month.unwrap_or(1), parts.day.unwrap_or(1)).ok()?;
    if let Some(day) = parts.year_day {
        let by_day = civil::Date::new(year, 1, 1)
            .ok()?
            .with()
            .day_of_year(day)
            .build()
            .ok()?;
        let agrees = parts.month.is_none_or(|month| month == by_day.month())
            && parts.day.is_none_or(|day| day == by_day.day());
        agrees.then_some(())?;
        date = by_day;
    }
    let time = civil::Time::new(hour, parts.minute, parts.second, parts.nanosecond).ok()?;
    let civil = date.to_datetime(time);
    let utc = || Zone::Named(TimeZone::UTC);
    let (offset, zone) = match (parts.is_utc, parts.offset, parts.zone_name) {
        (true, None, _) | (_, None, None) => (Offset::UTC, utc()),
        (_, Some(0), None) => (Offset::UTC, utc()),
        (_, Some(seconds), name) => {
            let offset = Offset::from_seconds(seconds).ok()?;
            (offset, Zone::Fixed(offset, name.map(Into::into)))
        }
        // An abbreviation alone says nothing about the offset, but for `GMT+3`.
        (_, None, Some(name)) => (Offset::UTC, Zone::Fixed(Offset::UTC, Some(name.into()))),
    };
    let at = offset.to_timestamp(civil).ok()?;
    Some(Time { at, zone })
}
