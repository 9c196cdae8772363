//! Which bytes a YAML 1.1 reader takes at all, and how it classes them.

/// What a whole text is made of; the scanner takes shorter ways through plain ones.
#[derive(Clone, Copy, Debug)]
pub(super) struct Alphabet {
    /// Where the text starts: behind a byte order mark.
    pub(super) start: usize,
    /// Whether every character is one byte.
    pub(super) ascii: bool,
    /// Whether there is a carriage return, a tab, or a line break that is not ASCII.
    pub(super) odd_blanks: bool,
}

/// Checks that a text is UTF-8 without control characters, as yaml.v3 demands; gives the offset of what is wrong.
pub(super) fn check(text: &[u8]) -> Result<Alphabet, (usize, &'static str)> {
    if text.starts_with(b"\xff\xfe") || text.starts_with(b"\xfe\xff") {
        return Err((0, "UTF-16 is not supported, convert the file to UTF-8"));
    }
    if let Err(error) = std::str::from_utf8(text) {
        return Err((error.valid_up_to(), "invalid UTF-8"));
    }
    let start = if text.starts_with(b"\xef\xbb\xbf") {
        3
    } else {
        0
    };
    let (mut high, mut odd_blanks) = (0, false);
    for (index, chunk) in text.chunks(256).enumerate() {
        let (mut bits, mut blank, mut bad) = (0u8, 0u8, 0u8);
        for byte in chunk {
            let is_odd_blank = u8::from(*byte == b'\t') | u8::from(*byte == b'\r');
            let is_control = u8::from(*byte < 0x20) & u8::from(*byte != b'\n');
            bits |= *byte;
            blank |= is_odd_blank;
            bad |= (is_control & (is_odd_blank ^ 1)) | u8::from(*byte == 0x7F);
        }
        if bad != 0 {
            let wrong = |b: &u8| (*b < 0x20 && !matches!(b, b'\n' | b'\r' | b'\t')) || *b == 0x7F;
            let at = chunk.iter().position(wrong).unwrap_or(0);
            return Err((index * 256 + at, CONTROL));
        }
        high |= bits;
        odd_blanks |= blank != 0;
    }
    let ascii = high < 0x80;
    if !ascii {
        for at in memchr::memchr_iter(0xC2, text) {
            match text[at + 1] {
                0x85 => odd_blanks = true,
                0x80..=0x9F => return Err((at, CONTROL)),
                _ => {}
            }
        }
        for at in memchr::memchr_iter(0xEF, text) {
            if text[at + 1] == 0xBF && text[at + 2] >= 0xBE {
                return Err((at, CONTROL));
            }
        }
        odd_blanks = odd_blanks
            || memchr::memchr_iter(0xE2, text).any(|at| wide_break(&text[at..]).is_some());
    }
    Ok(Alphabet {
        start,
        ascii,
        odd_blanks,
    })
}

const CONTROL: &str = "control characters are not allowed, write them as escapes in double quotes";

/// The length of a line break that is not ASCII at the start of `text`.
pub(super) fn wide_break(text: &[u8]) -> Option<usize> {
    match text {
        [0xC2, 0x85, ..] => Some(2),
        [0xE2, 0x80, 0xA8 | 0xA9, ..] => Some(3),
        _ => None,
    }
}

/// The length of the line break at the start of `text`, where CR LF is one break; 0 when there is none.
pub(super) fn break_len(text: &[u8]) -> usize {
    match text {
        [b'\r', b'\n', ..] => 2,
        [b'\r' | b'\n', ..] => 1,
        [0xC2 | 0xE2, ..] => wide_break(text).unwrap_or(0),
        _ => 0,
    }
}

/// Whether a text ends in an ASCII line break, or is nothing yet.
pub(super) fn at_line_start(text: &[u8]) -> bool {
    matches!(text.last(), None | Some(b'\n' | b'\r')) || text == b"\xef\xbb\xbf"
}

/// Whether a text ends in a line break that is not ASCII.
pub(super) fn ends_in_wide_break(text: &[u8]) -> bool {
    [2, 3]
        .into_iter()
        .any(|len| text.len() >= len && wide_break(&text[text.len() - len..]) == Some(len))
}

/// Whether a byte may be part of an anchor or of a tag handle.
pub(super) fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
}
