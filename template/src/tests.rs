//! Templates by themselves; the interop tests compare them with Go.

use super::*;

fn render(source: &str) -> Result<Vec<u8>, String> {
    let mut context = Context::at(Timestamp::from_second(1_700_000_000).unwrap());
    context.insert("user", b"admin");
    context.insert("secret", b"canary");
    context.insert("number", b"987654321");
    context.insert("bytes", b"\xff\x00\xfe");
    Template::parse("out", source, &Options::of(Dialect::SealedSecrets))
        .and_then(|template| template.render(&context))
        .map(|text| text.expose().to_vec())
        .map_err(|error| error.to_string())
}

fn text(source: &str) -> String {
    String::from_utf8(render(source).unwrap()).unwrap()
}

/// The names of the contract: sprig's generic map without the three that look at the machine.
const NAMES: &str = "abbrev abbrevboth add add1 add1f addf adler32sum ago all any append atoi b32dec b32enc b64dec b64enc base bcrypt biggest
buildCustomCert camelcase cat ceil chunk clean coalesce compact concat contains date dateInZone dateModify date_in_zone date_modify
decryptAES deepCopy deepEqual default derivePassword dict dig dir div divf duration durationRound empty encryptAES ext fail first float64
floor fromJson genCA genCAWithKey genPrivateKey genSelfSignedCert genSelfSignedCertWithKey genSignedCert genSignedCertWithKey get has
hasKey hasPrefix hasSuffix hello htmlDate htmlDateInZone htpasswd indent initial initials int int64 isAbs join kebabcase keys kindIs
kindOf last list lower max maxf merge mergeOverwrite min minf mod mul mulf mustAppend mustChunk mustCompact mustDateModify mustDeepCopy
mustFirst mustFromJson mustHas mustInitial mustLast mustMerge mustMergeOverwrite mustPrepend mustPush mustRegexFind mustRegexFindAll
mustRegexMatch mustRegexReplaceAll mustRegexReplaceAllLiteral mustRegexSplit mustRest mustReverse mustSlice mustToDate mustToJson
mustToPrettyJson mustToRawJson mustUniq mustWithout must_date_modify nindent nospace now omit osBase osClean osDir osExt osIsAbs pick
pluck plural prepend push quote randAlpha randAlphaNum randAscii randBytes randInt randNumeric regexFind regexFindAll regexMatch
regexQuoteMeta regexReplaceAll regexReplaceAllLiteral regexSplit repeat replace rest reverse round semver semverCompare seq set sha1sum
sha256sum sha512sum shuffle slice snakecase sortAlpha split splitList splitn squote sub subf substr swapcase ternary title toDate
toDecimal toJson toPrettyJson toRawJson toString toStrings trim trimAll trimPrefix trimSuffix trimall trunc tuple typeIs typeIsLike
typeOf uniq unixEpoch unset until untilStep untitle upper urlJoin urlParse uuidv4 values without wrap wrapWith";
const BUILTINS: &str =
    "and call html index js len not or print printf println urlquery eq ge gt le lt ne";

#[test]
fn t45_there_are_exactly_the_functions_of_the_contract() {
    let wanted: std::collections::BTreeSet<&str> = NAMES
        .split_whitespace()
        .chain(BUILTINS.split_whitespace())
        .collect();
    assert_eq!(NAMES.split_whitespace().count(), 208);
    assert_eq!(
        Dialect::SealedSecrets
            .names()
            .collect::<std::collections::BTreeSet<_>>(),
        wanted
    );
}

#[test]
fn t45_missing_keys_are_no_value_and_no_error() {
    assert_eq!(text("{{ .missing }}"), "<no value>");
    assert_eq!(text("[{{ index . \"missing\" }}]"), "[]");
    assert_eq!(text("{{ if .missing }}a{{ else }}b{{ end }}"), "b");
    assert_eq!(text("{{ .missing | default \"d\" }}"), "d");
    assert_eq!(
        render("{{ .missing | upper }}").unwrap_err(),
        "template: out:1:14: executing \"out\" at <upper>: invalid value; expected string"
    );
}

#[test]
fn missing_keys_delimiters_and_functions_are_those_of_the_options() {
    let mut context = Context::default();
    context.insert("user", b"admin");
    let render = |options: Options, source: &str| {
        Template::parse("out", source, &options)
            .and_then(|template| template.render(&context))
            .map(|text| String::from_utf8(text.expose().to_vec()).unwrap())
            .map_err(|error| error.to_string())
    };
    let eso = || Options::of(Dialect::ExternalSecrets);
    assert_eq!(
        render(eso(), "a\n{{ .missing }}").unwrap_err(),
        "template: out:2:3: executing \"out\" at <.missing>: map has no entry for key \"missing\""
    );
    assert!(render(eso(), "{{ (dict).missing }}").is_err());
    assert_eq!(render(eso(), "[{{ index . \"missing\" }}]").unwrap(), "[]");
    let zero = eso().with_missing_key(MissingKey::Zero);
    assert_eq!(
        render(zero, "[{{ .missing }}][{{ (dict).missing }}]").unwrap(),
        "[][<no value>]"
    );
    let lenient = eso().with_missing_key(MissingKey::NoValue);
    assert_eq!(render(lenient, "{{ .missing }}").unwrap(), "<no value>");
    assert_eq!(
        render(eso(), "{{ fail \"x\" }}").unwrap_err(),
        "template: out:1: function \"fail\" not defined"
    );
    let marks = eso().with_delimiters(Delimiters::new("<<", ">>"));
    assert_eq!(
        render(marks, "{{ .user }} << .user >>").unwrap(),
        "{{ .user }} admin"
    );
    let half = eso().with_delimiters(Delimiters::new("[[", ""));
    assert_eq!(render(half, "[[ .user }}").unwrap(), "admin");
}

#[test]
fn t45_functions_that_look_at_the_machine_do_not_exist() {
    for name in ["env", "expandenv", "getHostByName"] {
        let source = format!("\n{{{{ if false }}}}{{{{ {name} \"HOME\" }}}}{{{{ end }}}}");
        let parsed = Template::parse("out", &source, &Options::of(Dialect::SealedSecrets));
        assert_eq!(
            parsed.err().unwrap().to_string(),
            format!("template: out:2: function {name:?} not defined")
        );
    }
}

#[test]
fn bytes_that_are_no_text_come_through() {
    assert_eq!(render("{{ .bytes }}").unwrap(), b"\xff\x00\xfe");
    assert_eq!(render("{{ b64dec \"/wD+\" }}").unwrap(), b"\xff\x00\xfe");
    assert_eq!(render(r#"{{ "\xff\001" }}"#).unwrap(), b"\xff\x01");
    assert_eq!(text("{{ .bytes | b64enc }}"), "/wD+");
}

#[test]
fn the_time_is_that_of_the_context() {
    assert_eq!(text("{{ now | unixEpoch }}"), "1700000000");
    assert_eq!(
        text("{{ dateInZone \"15:04 MST\" now \"Europe/Berlin\" }}"),
        "23:13 CET"
    );
}

#[test]
fn errors_tell_places_and_never_values() {
    for source in [
        "{{ fail .secret }}",
        "{{ printf \"%s\" .secret | fail }}",
        "{{ fail (printf \"no %s\" .secret) }}",
        "{{ range .secret }}{{ end }}",
        "{{ .secret.field }}",
        "{{ index .secret .secret }}",
        "{{ index (list) (atoi .number) }}",
        "{{ slice (list 1) (atoi .number) }}",
        "{{ substr (atoi .number) 1 \"x\" }}",
        "{{ semver .secret }}",
        "{{ semverCompare .secret .secret }}",
        "{{ mustToDate \"2006\" .secret }}",
        "{{ mustDateModify .secret now }}",
        "{{ mustFromJson .secret }}",
        "{{ mustRegexMatch (printf \"[%s\" .secret) \"x\" }}",
        "{{ urlParse (printf \"http://a b:%s@\" .secret) }}",
        "{{ urlJoin (dict \"userinfo\" (printf \"%s /\" .secret)) }}",
        "{{ decryptAES \"k\" .secret }}",
        "{{ genSelfSignedCert \"x\" (list .secret) nil 1 }}",
        "{{ genCAWithKey \"x\" 1 .secret }}",
        "{{ buildCustomCert .secret .secret }}",
        "{{ eq (list .secret) (list .secret) }}",
        "{{ dig .secret .secret .secret }}",
        "{{ randInt (atoi .number) 1 }}",
        "{{ repeat (atoi .number) .secret }}",
        "{{ call .secret }}",
        "{{ template \"x\" .secret }}",
        "{{ $x := .secret }}{{ $x.y }}",
    ] {
        let error = render(source).expect_err(source);
        assert!(error.starts_with("template: out:1:"), "{error}");
        for canary in ["canary", "987654321"] {
            assert!(!error.contains(canary), "{source}: {error}");
        }
    }
    assert!(
        render("{{ fail \"said so\" }}")
            .unwrap_err()
            .ends_with(": said so")
    );
}

/// Templates that would run for ever, fill the memory or overflow the stack.
const HOSTILE: &[&str] = &[
    "{{ range until 100000000 }}{{ end }}",
    "{{ range 10000000 }}{{ range 10000000 }}{{ end }}{{ end }}",
    "{{ define \"a\" }}{{ template \"a\" }}{{ end }}{{ template \"a\" }}",
    "{{ define \"a\" }}{{ template \"a\" }}{{ template \"a\" }}{{ end }}{{ template \"a\" }}",
    "{{ $x := \"aaaaaaaaaaaaaaaa\" }}{{ range until 40 }}{{ $x = printf \"%s%s\" $x $x }}{{ end }}",
    "{{ $x := list 1 2 }}{{ range until 40 }}{{ $x = concat $x $x }}{{ end }}",
    "{{ range until 1000 }}{{ repeat 100000 \"x\" }}{{ end }}",
    "{{ $l := list }}{{ range until 30 }}{{ $l = append $l (repeat 16777216 \"x\") }}{{ end }}",
    "{{ repeat 9223372036854775807 \"ab\" }}",
    "{{ indent 2000000000 \"x\" }}",
    "{{ $x := repeat 100000 \"\\n\" }}{{ indent 100000 $x }}",
    "{{ randAlpha 2000000000 }}",
    "{{ randBytes 2000000000 }}",
    "{{ seq 1 2000000000 }}",
    "{{ untilStep 0 2000000000 1 }}",
    "{{ range until 50 }}{{ $_ := genPrivateKey \"rsa\" }}{{ end }}",
    "{{ range until 1000 }}{{ $_ := genCA \"x\" 1 }}{{ end }}",
    "{{ range until 1000 }}{{ $_ := bcrypt \"x\" }}{{ end }}",
    "{{ range until 1000 }}{{ $_ := htpasswd \"x\" \"y\" }}{{ end }}",
    "{{ range until 1000 }}{{ $_ := derivePassword 1 \"long\" \"a\" \"b\" \"c\" }}{{ end }}",
    "{{ $f := repeat 200 \"%1000000d\" }}{{ printf $f 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 }}",
    "{{ $x := repeat 1000000 \"a\" }}{{ splitList \"\" $x | len }}",
    "{{ $x := repeat 1000000 \"a\" }}{{ split \"\" $x | len }}",
    "{{ $x := repeat 1000000 \"a \" }}{{ wrapWith 1 $x $x }}",
    "{{ $x := repeat 1000000 \"a\" }}{{ replace \"a\" $x $x }}",
    "{{ $x := repeat 100000 \"a\" }}{{ regexReplaceAll \"a\" $x \"$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0\" }}",
    "{{ $x := repeat 300000 \"A\" }}{{ regexFindAll \".*[^A-Z]|[A-Z]\" $x -1 | len }}{{ range 1000 }}{{ regexFindAll \".*[^A-Z]|[A-Z]\" $x -1 | len }}{{ end }}",
    "{{ $x := repeat 500000 \"[],\" }}{{ fromJson (printf \"[%s0]\" $x) | len }}",
    "{{ $l := list }}{{ range until 40 }}{{ $l = list $l $l }}{{ end }}{{ toString $l }}",
    "{{ $l := list }}{{ range until 40 }}{{ $l = list $l $l }}{{ end }}{{ toJson $l }}",
    "{{ $l := list }}{{ range until 40 }}{{ $l = list $l $l }}{{ end }}{{ deepCopy $l | len }}",
    "{{ $l := list }}{{ range until 40 }}{{ $l = list $l $l }}{{ end }}{{ deepEqual $l (list $l $l | first) }}",
    "{{ $l := list }}{{ range until 40 }}{{ $l = list $l $l }}{{ end }}{{ $_ := set (dict) \"a\" $l }}",
    "{{ $d := dict }}{{ range until 1000000 }}{{ $_ := set $d (toString .) . }}{{ end }}",
    "{{ $l := until 20000 }}{{ uniq $l | len }}{{ range 100 }}{{ $_ := uniq $l }}{{ end }}",
    "{{ $x := repeat 1000000 \"a\" }}{{ trimAll $x $x }}{{ range 1000 }}{{ $_ := trimAll $x $x }}{{ end }}",
    "{{ $x := repeat 1000000 \"ab\" }}{{ range 1000 }}{{ $_ := sha512sum $x }}{{ end }}",
    "{{ $x := repeat 500000 \"ab\" }}{{ range 1000 }}{{ $_ := shuffle $x }}{{ end }}",
    "{{ $l := list }}{{ range until 200000 }}{{ $l = list $l }}{{ end }}",
    "{{ $l := list }}{{ range until 200000 }}{{ $l = prepend (list 1) $l }}{{ end }}",
    "{{ $d := dict }}{{ range until 200000 }}{{ $d = dict \"a\" $d }}{{ end }}",
    "{{ $d := dict }}{{ range until 200000 }}{{ $e := dict }}{{ $_ := set $e \"a\" $d }}{{ $d = $e }}{{ end }}",
    "{{ $l := list (repeat 1000000 \"a\") }}{{ range 12 }}{{ $l = concat $l $l }}{{ end }}{{ join \"\" $l }}",
    "{{ $l := list (repeat 1000000 \"a\") (repeat 1000000 \"a\") }}{{ range 16 }}{{ $l = concat $l $l }}{{ end }}{{ sortAlpha $l }}",
    "{{ $l := list (repeat 1000000 \"a\") }}{{ range 16 }}{{ $l = concat $l $l }}{{ end }}{{ has (repeat 1000000 \"a\") $l }}{{ without $l (repeat 999999 \"a\") }}",
];

#[test]
fn an_assignment_declares_nothing() {
    // Go's parser takes it for a declaration, and so does ours; found by the fuzz target.
    for source in [
        "{{ range until 2 }}{{ $l = list $l }}{{ end }}",
        "{{ if $l = $l }}{{ end }}",
        "{{ range $l = until 2 }}{{ $l }}{{ end }}",
    ] {
        let error = render(source).unwrap_err();
        assert!(
            error.ends_with("undefined variable: $l"),
            "{source}: {error}"
        );
    }
}

#[test]
fn what_never_ends_or_fills_the_memory_exceeds_a_budget() {
    let options = Options::of(Dialect::SealedSecrets).with_limits(Limits {
        time: std::time::Duration::from_millis(200),
        ..Limits::default()
    });
    for source in HOSTILE {
        let error = Template::parse("out", source, &options)
            .and_then(|template| template.render(&Context::default()))
            .err()
            .map(|error| error.to_string());
        let error = error.unwrap_or_else(|| panic!("{source} rendered"));
        assert!(error.starts_with("template: out:"), "{source}: {error}");
    }
}

#[test]
fn errors_name_the_template_and_the_budget() {
    assert_eq!(
        render("a\n{{ repeat 16777217 \"x\" }}").unwrap_err(),
        "template: out:2:3: executing \"out\" at <repeat 16777217 \"x\">: error calling repeat: \
         more is needed than the budget of 16 MiB of memory for live values"
    );
    let error = render("{{ range until 300000 }}{{ range until 1000 }}{{ end }}{{ end }}");
    let error = error.unwrap_err();
    assert!(
        error.ends_with("the budget of 2 s of processor time is used up"),
        "{error}"
    );
    let tight = Options::of(Dialect::SealedSecrets).with_limits(Limits {
        memory: 64 * 1024,
        ..Limits::default()
    });
    let template = Template::parse("k", "{{ repeat 65536 .x }}", &tight).unwrap();
    let mut context = Context::default();
    context.insert("x", b"y");
    let error = template.render(&context).unwrap_err();
    assert_eq!(error.cause(), Cause::Budget);
    assert_eq!(
        error.public_text(),
        "k:1: the template exceeds its budget of time, memory or depth"
    );
}

#[test]
fn templates_of_one_object_share_their_budget() {
    let options = Options::of(Dialect::SealedSecrets);
    let budget = Budget::new(options.limits);
    let source = "{{ repeat 6000000 \"x\" }}";
    let rendered: Vec<bool> = (0..3)
        .map(|_| {
            let template = Template::parse_within("out", source, &options, &budget).unwrap();
            let rendered = template.render_within(&Context::default(), &budget);
            rendered.is_ok()
        })
        .collect();
    assert_eq!(rendered, [true, false, false]);
}

#[test]
fn no_depth_of_a_source_overflows_the_stack() {
    let many = |piece: &str, count: usize| piece.repeat(count);
    let chain = format!("{{{{if 1}}}}{}{{{{end}}}}", many("{{else if 1}}", 100_000));
    let parsed = Template::parse("out", &chain, &Options::of(Dialect::SealedSecrets));
    // It may exceed the budget, and does not nest.
    assert!(
        parsed
            .err()
            .is_none_or(|error| error.cause() == Cause::Budget)
    );
    let chain = format!(
        "{{{{if 0}}}}{}x{{{{end}}}}",
        many("{{else if 0}}", 5000) + "{{else}}"
    );
    assert_eq!(text(&chain), "x");
    let chain = format!(
        "{{{{with \"\"}}}}{}{{{{end}}}}",
        many("{{else with .user}}{{.}}", 5000)
    );
    assert_eq!(text(&chain), "admin");
    for source in [
        many("{{if 1}}", 100_000),
        many("{{with 1}}", 100_000) + &many("{{end}}", 100_000),
        many("{{range 1}}{{if 1}}", 50_000),
        format!("{{{{{}1{}}}}}", many("(", 100_000), many(")", 100_000)),
        format!("{{{{{}", many("(", 100_000)),
        many("{{block \"a\" .}}", 100_000),
        many("{{define \"a\"}}", 100_000),
        format!("{{{{{}}}}}", many(".a", 100_000)),
        format!("{{{{ 1 {}}}}}", many("| print ", 100_000)),
        many("{{/* a */}}", 100_000),
        many("{{- /* a */ -}} ", 100_000),
        many("{{$x := 1}}{{$x}}", 30_000),
    ] {
        let _ = render(&source);
    }
}

#[test]
fn the_deepest_template_that_is_allowed_fits_a_small_stack() {
    let deep = |piece: &str, count: usize| piece.repeat(count);
    let parens = format!("{{{{ {}list {} }}}}", deep("(list ", 85), deep(")", 85));
    let blocks = format!("{}{}{}", deep("{{if true}}", 9), parens, deep("{{end}}", 9));
    let calls = format!(
        "{{{{define \"a\"}}}}{{{{if lt (len .) 25}}}}{}{{{{template \"a\" (append . 1)}}}}{}{blocks}{{{{end}}}}{{{{end}}}}\
         {{{{template \"a\" (list)}}}}",
        deep("{{if true}}", 2),
        deep("{{end}}", 2),
    );
    // Threads of the controller's pool have 2 MiB.
    std::thread::Builder::new()
        .stack_size(1024 * 1024)
        .spawn(move || {
            render(&blocks).unwrap();
            render(&calls).unwrap();
        })
        .unwrap()
        .join()
        .unwrap();
}

#[test]
fn a_map_cannot_hold_itself() {
    for source in [
        "{{ $d := dict }}{{ $_ := set $d \"d\" $d }}{{ $d }}",
        "{{ $d := dict }}{{ $_ := set $d \"l\" (list (dict \"d\" $d)) }}{{ $d }}",
        "{{ $d := dict \"a\" (dict) }}{{ $_ := merge $d.a (dict \"x\" $d) }}{{ $d }}",
    ] {
        assert!(
            render(source).unwrap_err().contains("cannot hold itself"),
            "{source}"
        );
    }
    let same = text("{{ $d := dict \"a\" (dict \"b\" 1) }}{{ merge $d $d }}");
    assert_eq!(same, "map[a:map[b:1]]");
}

#[test]
fn deep_nesting_is_an_error_and_no_crash() {
    let deep = "{{ if true }}".repeat(90) + "x" + &"{{ end }}".repeat(90);
    assert_eq!(text(&deep), "x");
    let deeper = "{{ if true }}".repeat(5000) + &"{{ end }}".repeat(5000);
    render(&deeper).unwrap_err();
    let lists = "{{ $x := list }}{{ range until 5000 }}{{ $x = list $x }}{{ end }}";
    assert!(
        render(lists)
            .unwrap_err()
            .ends_with("values nest deeper than 100 levels")
    );
    let lists = lists.replace("5000", "90");
    assert_eq!(text(&format!("{lists}{{{{ len (toJson $x) }}}}")), "182");
    // From the outside in, the maps above do not know how deep they became.
    let maps = "{{ $d := dict }}{{ $e := $d }}{{ range until 20000 }}{{ $n := dict }}\
                {{ $_ := set $e \"a\" $n }}{{ $e = $n }}{{ end }}";
    assert_eq!(text(maps), "");
    for end in [
        "{{ toJson $d }}",
        "{{ mustToJson $d }}",
        "{{ $d }}",
        "{{ deepCopy $d }}",
        "{{ deepEqual $d (deepCopy $d) }}",
        "{{ merge (dict) $d }}",
        "{{ printf \"%#v\" $d }}",
        "{{ $_ := set (dict) \"a\" $d }}",
    ] {
        let _ = render(&format!("{maps}{end}"));
    }
    let json = "[".repeat(100_000);
    assert_eq!(
        text(&format!("{{{{ fromJson \"{json}\" }}}}")),
        "<no value>"
    );
}

#[test]
fn an_end_too_many_is_refused() {
    for source in [
        "{{ end }}",
        "a{{ end }}b",
        "{{ else }}",
        "{{ if true }}{{ end }}{{ end }}",
    ] {
        assert!(
            render(source).unwrap_err().contains("unexpected"),
            "{source}"
        );
    }
    assert_eq!(text(""), "");
    assert_eq!(text("a{{ \"b\" -}}  "), "ab");
    assert!(render("{{ break }}").is_err());
}

#[test]
fn dates_beyond_all_bounds_are_errors() {
    for shift in [
        "0 0 200000000000000",
        "0 0 9223372036854775807",
        "0 9223372036854775807 0",
        "9223372036854775807 12 0",
        "-9223372036854775808 0 0",
        "0 -9223372036854775808 -1",
    ] {
        let error = render(&format!("{{{{ (now.AddDate {shift}).Year }}}}")).unwrap_err();
        assert!(error.contains("out of range"), "{shift}: {error}");
    }
}
