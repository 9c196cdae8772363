use super::*;

const DOCUMENT: &str = r#"{
    "name": {"first": "Tom", "last": "Anderson"}, "age": 37, "pi": 3.50, "big": 12345678901234567890,
    "children": ["Sara", "Alex", "Jack"], "fav.movie": "Deer Hunter", "none": null, "yes": true,
    "friends": [
        {"first": "Dale", "last": "Murphy", "age": 44, "nets": ["ig", "fb", "tw"]},
        {"first": "Roger", "last": "Craig", "age": 68, "nets": ["fb", "tw"]},
        {"first": "Jane", "last": "Murphy", "age": 47, "nets": ["ig", "tw"]}
    ], "@odd": "at", "inner": "{\"a\": [1, 2]}"}"#;

fn text(path: &str) -> Option<String> {
    let found = get(DOCUMENT.as_bytes(), path)?;
    Some(String::from_utf8(found.text().expose().to_vec()).unwrap())
}

#[test]
fn paths_lead_where_gjson_leads() {
    for (path, expected) in [
        ("name.last", "Anderson"),
        ("age", "37"),
        ("pi", "3.5"),
        ("big", "12345678901234567890"),
        ("none", ""),
        ("yes", "true"),
        ("children", r#"["Sara", "Alex", "Jack"]"#),
        ("children.1", "Alex"),
        ("children.#", "3"),
        ("child*.2", "Jack"),
        ("c?ildren.0", "Sara"),
        (r"fav\.movie", "Deer Hunter"),
        ("friends.#.first", r#"["Dale","Roger","Jane"]"#),
        ("friends.1.last", "Craig"),
        (r#"friends.#(last=="Murphy").first"#, "Dale"),
        (r#"friends.#(last=="Murphy")#.first"#, r#"["Dale","Jane"]"#),
        (r#"friends.#(age>45)#.last"#, r#"["Craig","Murphy"]"#),
        (r#"friends.#(first%"D*").last"#, "Murphy"),
        (r#"friends.#(first!%"D*").last"#, "Craig"),
        (r#"friends.#(nets.#(=="fb"))#.first"#, r#"["Dale","Roger"]"#),
        (r#"children.#(="Alex")"#, "Alex"),
        ("friends.#.first|0", "Dale"),
        (r#"friends.#(last=="Murphy")#|#"#, "2"),
        ("children|@reverse", r#"["Jack","Alex","Sara"]"#),
        ("children.@reverse.0", "Jack"),
        ("name.@keys", r#"["first","last"]"#),
        ("name|@values|1", "Anderson"),
        ("name.@this.first", "Tom"),
        ("@odd", "at"),
        ("inner.@fromstr.a.1", "2"),
        ("{age,name.first}", r#"{"age":37,"first":"Tom"}"#),
        (r#"[age,"x",yes]"#, r#"[37,true]"#),
        (r#"friends.#(missing=="x")#.first"#, "[]"),
    ] {
        assert_eq!(text(path).as_deref(), Some(expected), "{path}");
    }
}

#[test]
fn what_is_not_there_is_not_found() {
    for path in [
        "nome",
        "name.middle",
        "age.x",
        "children.3",
        "children.x",
        r#"friends.#(first=="X")"#,
        "friends.#(",
        "fav.movie",
        "name|",
    ] {
        assert_eq!(text(path), None, "{path}");
    }
    assert!(get(b"plain text", "a").is_none());
}

#[test]
fn the_literal_name_wins() {
    let document = br#"{"a.b": "literal", "a": {"b": "path", "c": "only"}}"#;
    let text = |path| get_literal_first(document, path).unwrap().text();
    assert_eq!(text("a.b").expose(), b"literal");
    assert_eq!(text("a.c").expose(), b"only");
}

#[test]
fn hostile_paths_end() {
    let deep = "a.".repeat(10_000);
    assert!(get(b"{\"a\": 1}", &deep).is_none());
    let nested = "[".repeat(1000) + &"]".repeat(1000);
    let found = get(b"{\"a\": 1}", &nested).map(|found| found.text().len());
    assert!(found.is_none_or(|length| length <= 2 * DEPTH), "{found:?}");
    let many = format!("[{}]", vec!["1"; 20_000].join(","));
    let query = "#(=1)#.".repeat(70);
    let found = get(many.as_bytes(), &query).map(|found| found.text().len());
    assert_eq!(found, Some(2), "the elements have no parts: an empty list");
    let stars = "*a".repeat(200);
    let long = format!("{{\"{}\": 1}}", "a".repeat(2000) + "b");
    assert!(get(long.as_bytes(), &stars).is_none());
}

#[test]
fn a_path_cannot_multiply_what_it_finds() {
    let document = format!("{{\"a\": \"{}\"}}", "\\\"".repeat(50_000));
    let most = |path: &str| get(document.as_bytes(), path).map_or(0, |found| found.text().len());
    // Eight copies, eight of each of those, and so on; and each step doubles the backslashes.
    assert!(most(&"[@this,@this,@this,@this,@this,@this,@this,@this].".repeat(20)) <= ROOM);
    assert!(most(&"@tostr|".repeat(500)) <= ROOM);
    assert!(
        most("[@this,@this,@this]") > 300_000,
        "a few copies are all right"
    );
    let large = format!("[{}]", vec!["[1]"; 100_000].join(","));
    let reversed = get(large.as_bytes(), "@reverse").map(|found| found.text().len());
    assert_eq!(reversed, Some(large.len()));
}

#[test]
fn a_pattern_is_not_matched_for_ever() {
    let document = format!("[\"{}\"]", "a".repeat(100_000));
    let pattern = format!("#(%\"{}b\")", "*a".repeat(1000));
    assert!(get(document.as_bytes(), &pattern).is_none());
    assert!(get(document.as_bytes(), "#(%\"a*\")").is_some());
}
