//! The text form of an age file: markers around base64 in 64 columns.
//!
//! Written here and not taken from the age crate: the file format wants `\n` on every platform, and a reader that
//! takes exactly what upstream takes.

use base64::{Engine, engine::general_purpose::STANDARD};

const BEGIN: &str = "-----BEGIN AGE ENCRYPTED FILE-----";
const END: &str = "-----END AGE ENCRYPTED FILE-----";
const COLUMNS: usize = 64;
const BLANKS_LIMIT: usize = 1024;

/// Puts `file` between the markers, with a final newline.
pub(super) fn encode(file: &[u8]) -> String {
    let encoded = STANDARD.encode(file);
    let mut text = String::with_capacity(encoded.len() * 66 / 64 + BEGIN.len() + END.len() + 4);
    text.push_str(BEGIN);
    text.push('\n');
    let mut rest = encoded.as_str();
    while !rest.is_empty() {
        let (line, tail) = rest.split_at(rest.len().min(COLUMNS));
        text.push_str(line);
        text.push('\n');
        rest = tail;
    }
    text.push_str(END);
    text.push('\n');
    text
}

/// Takes the file out of its markers.
///
/// Blank lines before and after, CRLF and a missing final newline are accepted; other text around the markers,
/// indentation, and lines of any other length than 64 (but for the last) are not.
pub(super) fn decode(text: &str) -> Result<Vec<u8>, ArmorError> {
    let mut lines = text
        .split('\n')
        .map(|line| line.strip_suffix('\r').unwrap_or(line));
    let mut blanks = 0;
    loop {
        let line = lines.next().ok_or(ArmorError::Begin)?;
        if line == BEGIN {
            break;
        }
        blanks += line.len() + 1;
        if !line.trim().is_empty() || blanks > BLANKS_LIMIT {
            return Err(ArmorError::Begin);
        }
    }

    let mut file = Vec::with_capacity(text.len() / 4 * 3);
    let mut short = false;
    loop {
        let line = lines.next().ok_or(ArmorError::End)?;
        if line == END {
            break;
        }
        if short || line.is_empty() || line.len() > COLUMNS {
            return Err(ArmorError::Lines);
        }
        short = line.len() < COLUMNS || line.ends_with('=');
        STANDARD
            .decode_vec(line, &mut file)
            .map_err(|_| ArmorError::Base64)?;
    }

    let tail: usize = lines.clone().map(|line| line.len() + 1).sum();
    if lines.any(|line| !line.trim().is_empty()) || tail > BLANKS_LIMIT {
        return Err(ArmorError::Trailing);
    }
    Ok(file)
}

/// A text is not an armored age file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ArmorError {
    #[error("it does not begin with the line {BEGIN}")]
    Begin,
    #[error("it does not end with the line {END}")]
    End,
    #[error("its lines do not have {COLUMNS} characters")]
    Lines,
    #[error("it is not base64")]
    Base64,
    #[error("text follows its last line")]
    Trailing,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t20_the_armor_ends_with_a_newline() {
        assert_eq!(
            encode(&[7; 50]),
            format!(
                "{BEGIN}\n{}\nBwc=\n{END}\n",
                "Bwc".repeat(0) + &"BwcH".repeat(16)
            )
        );
    }

    #[test]
    fn every_length_comes_back() {
        for length in 0..200 {
            let file: Vec<u8> = (0..length as u8).collect();
            assert_eq!(decode(&encode(&file)).unwrap(), file);
        }
    }

    #[test]
    fn tolerated_spellings_are_read() {
        let text = encode(&[7; 50]);
        for variant in [
            text.trim_end().to_owned(),
            text.replace('\n', "\r\n"),
            format!("\n  \n{text}\n \n\t\n"),
        ] {
            assert_eq!(decode(&variant).unwrap(), [7; 50], "{variant:?}");
        }
    }

    #[test]
    fn other_spellings_are_refused() {
        let text = encode(&[7; 50]);
        for (variant, error) in [
            (format!("{text}x"), ArmorError::Trailing),
            (format!("x\n{text}"), ArmorError::Begin),
            (text.replace('\n', ""), ArmorError::Begin),
            (text.replace('\n', "\n  "), ArmorError::Lines),
            (text.replace(END, ""), ArmorError::Lines),
            (
                text.replace(&format!("{END}\n"), "")[..text.len() - END.len() - 2].to_owned(),
                ArmorError::End,
            ),
            (text.replace("Bwc=", "B=c="), ArmorError::Base64),
            (text.replace("Bwc=", "Bwd="), ArmorError::Base64),
            (text.replace("BwcHBwcH", "BwcH\nBwcH"), ArmorError::Lines),
            (format!("{}{text}", "\n".repeat(1100)), ArmorError::Begin),
            (String::new(), ArmorError::Begin),
        ] {
            assert_eq!(decode(&variant), Err(error), "{variant:?}");
        }
    }
}
