//! Spoils documents that were made.

use super::super::generate::{Case, Dice};

/// Puts in, takes out and repeats what matters to the grammar.
pub(crate) fn damage(mut case: Case, dice: &mut Dice) -> Case {
    const PIECES: [&str; 52] = [
        "\n",
        " ",
        "  ",
        "#",
        " #x",
        "- ",
        "-",
        ": ",
        ":",
        "? ",
        "[",
        "]",
        "{",
        "}",
        ",",
        "'",
        "\"",
        "|",
        ">",
        "|+\n",
        ">-\n",
        "&x ",
        "*x",
        "!!str ",
        "!",
        "%",
        "---\n",
        "...\n",
        "\t",
        "\r\n",
        "\r",
        "\u{85}",
        "\u{2028}",
        "\\",
        "a: b\n",
        "x",
        "1",
        "~",
        "<<: ",
        "\u{feff}",
        "\u{7f}",
        "é",
        "@",
        "`",
        "!<",
        "|2",
        "\n\n",
        "\n# c\n",
        "%YAML 1.2\n",
        "- - ",
        "? - ",
        "\0",
    ];
    for _ in 0..=dice.roll(3) {
        if case.pieces.is_empty() {
            break;
        }
        let which = dice.roll(case.pieces.len());
        let piece = &mut case.pieces[which];
        let boundary = |piece: &[u8], mut at: usize| {
            while piece.get(at).is_some_and(|byte| byte & 0xC0 == 0x80) {
                at += 1;
            }
            at
        };
        let at = boundary(piece, dice.roll(piece.len() + 1));
        let end = boundary(piece, (at + dice.roll(4)).min(piece.len()));
        let new = PIECES[dice.roll(PIECES.len())].as_bytes();
        match dice.roll(4) {
            0 => drop(piece.splice(at..end, new.iter().copied())),
            1 => drop(piece.drain(at..end)),
            _ => drop(piece.splice(at..at, new.iter().copied())),
        }
    }
    case
}
