//! Texts that come through standard input and leave through standard output, in every form that scripts use, by both programs
//! in all four pairings.

use super::{Desk, Ran, Whose, run};

const TEXTS: [(&str, &str); 6] = [
    (
        "yaml",
        "# Default values\nimage:\n    tag: \"1.2\"\nsecrets:\n    - name: A\n      value: s3cr3t\n# last\nempty: {}\n",
    ),
    ("yaml", "a: 1\n---\nb: two\n"),
    (
        "json",
        "{\n\t\"a\": {\n\t\t\"b\": [\n\t\t\t1,\n\t\t\t\"x\"\n\t\t]\n\t}\n}\n",
    ),
    ("env", "# note\nexport A=1\nB=\"x y\"\nC=\n"),
    ("ini", "[db]\nuser = admin\n\n[more]\na = 1\n"),
    ("bin", "just a text\n"),
];

fn piped(desk: &Desk, whose: Whose, words: &[&str], input: &[u8]) -> Ran {
    let mut command = desk.command(whose);
    run(command.args(words), input)
}

#[test]
fn every_form_of_standard_input_goes_both_ways() {
    let desk = Desk::with_rule();
    for (suffix, text) in TEXTS {
        let format = match suffix {
            "env" => "dotenv",
            "bin" => "binary",
            other => other,
        };
        let name = format!("x.{suffix}");
        let types = ["--input-type", format, "--output-type", format];
        let with = |first: &[&'static str], last: &[&'static str]| -> Vec<String> {
            let all = first.iter().chain(&types).chain(last);
            all.map(|word| (*word).to_owned()).collect()
        };
        let named = |verb: &str| vec![verb.to_owned(), "--filename-override".into(), name.clone()];
        let encrypting = [
            with(&["encrypt"], &["/dev/stdin"]),
            with(&["--encrypt"], &["/dev/stdin"]),
            named("encrypt"),
        ];
        let decrypting = [
            with(&["decrypt"], &["/dev/stdin"]),
            with(&["-d"], &["/dev/stdin"]),
            with(&["decrypt"], &[]),
            named("decrypt"),
        ];
        for encrypt in &encrypting {
            for one in [Whose::Theirs, Whose::Ours] {
                let words: Vec<&str> = encrypt.iter().map(String::as_str).collect();
                let file = piped(&desk, one, &words, text.as_bytes()).good();
                assert!(
                    !file.contains("s3cr3t") && !file.contains("admin"),
                    "{file}"
                );
                for decrypt in &decrypting {
                    let words: Vec<&str> = decrypt.iter().map(String::as_str).collect();
                    let of = |whose| piped(&desk, whose, &words, file.as_bytes()).good();
                    let (theirs, ours) = (of(Whose::Theirs), of(Whose::Ours));
                    // All texts are laid out as upstream lays them out, so that nothing needs to be told apart.
                    assert_eq!(theirs.trim_end(), text.trim_end(), "{one:?} {words:?}");
                    assert_eq!(ours.trim_end(), text.trim_end(), "{one:?} {words:?}");
                    if one == Whose::Ours {
                        assert_eq!(ours, text, "{words:?}");
                    }
                }
            }
        }
    }
}

#[test]
fn a_pipe_of_both_programs_changes_nothing() {
    let desk = Desk::with_rule();
    for (whose, other) in [(Whose::Theirs, Whose::Ours), (Whose::Ours, Whose::Theirs)] {
        for (suffix, text) in TEXTS {
            let file = format!("f.{suffix}");
            desk.write(&file, text);
            desk.run(whose, ["encrypt", "-i", &file]).good();
            desk.run(other, ["rotate", "-i", &file]).good();
            desk.run(whose, ["updatekeys", "-y", &file]).good();
            desk.run(other, ["decrypt", "-i", &file]).good();
            assert_eq!(desk.read(&file).trim_end(), text.trim_end(), "{whose:?}");
        }
    }
}
