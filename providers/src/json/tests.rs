use super::*;
use crate::remote::SecretMap;

fn encoded(text: &str, numbers: Numbers) -> String {
    let mut out = SecretWriter::default();
    encode(Json::parse(text.as_bytes()).unwrap(), numbers, &mut out);
    String::from_utf8(out.expose().to_vec()).unwrap()
}

#[test]
fn only_json_is_json() {
    for good in [
        "null",
        " {} ",
        "[1, -0.5e+7, \"\\ud83d\\ude00\"]",
        r#"{"a": {"b": [true, false]}}"#,
    ] {
        assert!(Json::parse(good.as_bytes()).is_ok(), "{good}");
    }
    for bad in [
        "",
        "nul",
        "{",
        "[1,]",
        "{\"a\"}",
        "01",
        "1.",
        "\"\t\"",
        "\"\\x\"",
        "1 2",
        "<html>",
        "{a: 1}",
        "\"\\u12\"",
    ] {
        assert!(Json::parse(bad.as_bytes()).is_err(), "{bad}");
    }
    assert!(Json::parse(b"\"\xff\"").is_err());
    let deep = "[".repeat(300) + &"]".repeat(300);
    assert!(Json::parse(deep.as_bytes()).is_err());
}

#[test]
fn strings_are_unescaped() {
    let text = br#""a\"\\\/\n\u0436\ud83d\ude00\ud800x""#;
    let value = Json::parse(text).unwrap().string().unwrap();
    assert_eq!(value.expose(), "a\"\\/\nж😀\u{fffd}x");
}

#[test]
fn members_keep_their_spelling() {
    let map =
        object_values(br#"{"a": "x", "n": 1e3, "o": { "y": 1 }, "z": null, "a": "last"}"#).unwrap();
    assert_eq!(map["a"].expose(), b"last");
    assert_eq!(map["n"].expose(), b"1e3");
    assert_eq!(map["o"].expose(), br#"{ "y": 1 }"#);
    assert_eq!(map["z"].expose(), b"");
    assert!(object_values(b" null ").unwrap().is_empty());
    let error = object_values(b"[\"canary\"]").unwrap_err();
    assert!(!format!("{error} {error:?}").contains("canary"));
}

#[test]
fn encoding_again_is_gos() {
    let text = r#"{"b": 1.0, "a": "<&>", "b": [1e3, 12345678901234567890, 1e21, 1e-7]}"#;
    assert_eq!(
        encoded(text, Numbers::Literal),
        r#"{"a":"\u003c\u0026\u003e","b":[1e3,12345678901234567890,1e21,1e-7]}"#
    );
    assert_eq!(
        encoded(text, Numbers::Float),
        r#"{"a":"\u003c\u0026\u003e","b":[1000,12345678901234567890,1e+21,1e-7]}"#
    );
    let mut out = SecretWriter::default();
    let value = Json::parse(br#"{"<b>": ["&", {"a": "\u003e"}]}"#).unwrap();
    encode_with(value, Numbers::Float, Html::Plain, &mut out);
    assert_eq!(out.expose(), br#"{"<b>":["&",{"a":">"}]}"#);
}

#[test]
fn members_are_in_the_order_of_what_their_names_stand_for() {
    let text =
        r#"{"b": 1, "\u0061": 2, "a": {"z": 1, "\"y": 2}, "B": 4, "c": 5, "\u0063": 6, "": 7}"#;
    let sorted = r#"{"":7,"B":4,"a":{"\"y":2,"z":1},"b":1,"c":6}"#;
    assert_eq!(encoded(text, Numbers::Literal), sorted);
}

#[test]
fn names_are_compared_as_their_texts_are() {
    let names = [
        r#""""#,
        r#""a""#,
        r#""\u0061""#,
        r#""\u0061b""#,
        r#""ab""#,
        r#""a\u0000""#,
        r#""a\"""#,
        r#""a\\""#,
        r#""a\/b""#,
        r#""a\nb""#,
        r#""\b\f\t\r""#,
        r#""é""#,
        r#""\u00e9""#,
        r#""ê""#,
        r#""€""#,
        r#""\u20ac!""#,
        r#""\ud83d\ude00""#,
        r#""😀""#,
        r#""😁""#,
        r#""\ud83d""#,
        r#""\ud83d\u0041""#,
        r#""\ufffd""#,
        r#""\uffff""#,
    ];
    let text = names.concat();
    let mut starts = Vec::new();
    let mut at = 0;
    for name in names {
        starts.push((at, name));
        at += name.len();
    }
    let stands_for = |name: &str| {
        let value = Json::parse(name.as_bytes()).unwrap();
        value.string().unwrap().expose().to_owned()
    };
    for (one, named) in &starts {
        for (other, against) in &starts {
            let order = scan::compare(text.as_bytes(), *one, *other);
            let wanted = stands_for(named).cmp(&stands_for(against));
            assert_eq!(order, wanted, "{named} {against}");
        }
    }
}

#[test]
fn to_sort_many_names_costs_little_more_than_to_write_as_many_texts() {
    let mut name: u32 = 1;
    let names: Vec<String> = (0..50_000)
        .map(|_| {
            name = name.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            format!("\"\\u0061{name:08x}\"")
        })
        .collect();
    let takes = |text: &str| {
        let rounds = (0..3).map(|_| {
            let began = std::time::Instant::now();
            assert!(!encoded(text, Numbers::Literal).is_empty());
            began.elapsed()
        });
        rounds.min().unwrap()
    };
    let list = takes(&format!("[{}]", names.join(",")));
    let object = takes(&format!("{{{}:0}}", names.join(":0,")));
    assert!(object < list * 16, "{object:?} instead of {list:?}");
}

#[test]
fn an_object_has_so_many_values_at_most() {
    let members = |count: usize| {
        let members: Vec<String> = (0..count).map(|name| format!("\"{name:x}\":0")).collect();
        object_values(format!("{{{}}}", members.join(",")).as_bytes())
    };
    assert_eq!(members(100_000).unwrap().len(), 100_000);
    let error = members(100_001).unwrap_err();
    assert_eq!(error.trouble(), Trouble::TooLarge);
}

#[test]
fn deep_documents_are_written_as_flat_ones_are() {
    let (open, close) = (
        r#"{"z": [0, {"b": "#.repeat(60),
        r#", "a": "]}"}]}"#.repeat(60),
    );
    let (sorted, end) = (r#"{"z":[0,{"a":"]}","b":"#.repeat(60), "}]}".repeat(60));
    let text = format!("{open}\"\\\"{{\"{close}");
    assert_eq!(
        encoded(&text, Numbers::Literal),
        format!("{sorted}\"\\\"{{\"{end}")
    );
    // Not each byte once more for each of the levels that it is in.
    let takes = |levels: usize| {
        let (open, close) = (r#"{"a":["#.repeat(levels), "]}".repeat(levels));
        let text = format!("{open}\"{}\"{close}", "x".repeat(1 << 20));
        let rounds = (0..3).map(|_| {
            let began = std::time::Instant::now();
            assert!(encoded(&text, Numbers::Literal) == text);
            began.elapsed()
        });
        rounds.min().unwrap()
    };
    let (flat, deep) = (takes(1), takes(99));
    assert!(deep < flat * 8, "{deep:?} instead of {flat:?}");
}

#[test]
fn texts_become_an_object() {
    let map = SecretMap::from([
        (
            "b".to_owned(),
            SecretBytes::copy_of("<\u{1}ж\u{2028}".as_bytes()),
        ),
        ("a".to_owned(), SecretBytes::copy_of(b"1")),
    ]);
    let text = object_of_texts(&map).unwrap();
    assert_eq!(
        String::from_utf8(text.expose().to_vec()).unwrap(),
        "{\"a\":\"1\",\"b\":\"<\\u0001ж\\u2028\"}"
    );
    let map = SecretMap::from([("x".to_owned(), SecretBytes::copy_of(b"\xff"))]);
    assert!(object_of_texts(&map).is_err());
}
