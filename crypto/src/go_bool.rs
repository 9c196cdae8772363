//! Booleans as text, in the spellings of Go's `strconv.ParseBool`.

/// Reads a boolean; returns `None` for every other text.
///
/// Flags, environment variables and fields of files all follow this rule, because upstream's programs read each of them
/// with the same function.
pub fn read_bool(text: impl AsRef<[u8]>) -> Option<bool> {
    match text.as_ref() {
        b"1" | b"t" | b"T" | b"true" | b"TRUE" | b"True" => Some(true),
        b"0" | b"f" | b"F" | b"false" | b"FALSE" | b"False" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn six_words_are_true_and_six_are_false() {
        let on = ["1", "t", "T", "true", "TRUE", "True"];
        assert_eq!(on.map(read_bool), [Some(true); 6]);
        let off = ["0", "f", "F", "false", "FALSE", "False"];
        assert_eq!(off.map(read_bool), [Some(false); 6]);
        assert_eq!(["", "yes", "tRUE", " 1", "01"].map(read_bool), [None; 5]);
    }
}
