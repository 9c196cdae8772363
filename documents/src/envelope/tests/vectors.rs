//! The known answers of the contract as whole files.

use super::*;
use crate::format::yaml::Yaml;

const VALUES: &str = "\
#ENC[AES256_GCM,data:mP/cC90=,iv:BgYGBgYGBgYGBgYGBgYGBgYGBgYGBgYGBgYGBgYGBgY=,tag:ePS8xG+ICFlIaLKcGB5kgQ==,type:comment]
a: ENC[AES256_GCM,data:0cHFi7Y=,iv:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=,tag:ymZUyOw8wR96TPf7Sj/n1A==,type:str]
n:
    i: ENC[AES256_GCM,data:W0k=,iv:AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=,tag:Eo1nDgQ6sUmjIjVx7Xde/g==,type:int]
t: ENC[AES256_GCM,data:PgY2CQ==,iv:AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM=,tag:TNMx9xspnRYlPWRHgdH2Bg==,type:bool]
f: ENC[AES256_GCM,data:XyJa,iv:BAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQ=,tag:7SbrjcRP55l62SAN+ALc7w==,type:float]
d: ENC[AES256_GCM,data:worKiOnyXj4UdXrh6nH8anZH678=,iv:BQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQU=,tag:mqoQw2MJkOISkW2ItZnIxg==,type:time]
l:
    - ENC[AES256_GCM,data:QQ==,iv:BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=,tag:UCzZvPMv6Zv7Z/fD5QyYLg==,type:str]
    - k: ENC[AES256_GCM,data:7w==,iv:CAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAg=,tag:7xgLpEbZrnjSepSBXvY2PA==,type:str]
p_unencrypted: 5
e: \"\"
z: null
";

const MAC: &str = "ENC[AES256_GCM,data:u/g6YABnrjY8R18hg32kS7aqgNSmJ8uQxmGEiz/MLIfuKXYtwpE7qBn0X0UTEjvK5KJQospa6u2HwyiuDuBIKi/wh1wu/FH630/u+gCWesiKL8aEYGz5gutp1oOHtxmFY+q6YRlObOEvjHRHGdXk8i/0a7ML746oay0u+bBE2Cs=,iv:CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk=,tag:kNc/bVuJLbuDM35yilNwFw==,type:str]";

const MAC_ONLY: &str = "ENC[AES256_GCM,data:yYs4YQVs30dIMyQi+3zXPrCog6ahJrmVsB/zgjvLJILpLgIvw5RM2hX0JEYQZkrN5tYk0sZe6OyFwy+rBJQ/Vyj1hyoujln8q0Tg+wmWcr6PLsv0Fm75/usd1YCDtx/ybOa4HBRJG5Iri3M0aKTi+Vj0ZrMKnvitHlMm/sJJqSg=,iv:CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk=,tag:rwUeVy96DDF3AP7JWB1seQ==,type:str]";

fn file(mac: &str, more: &str) -> String {
    format!(
        "{VALUES}sops:\n    age:\n        - recipient: age1a\n          enc: x\n    lastmodified: \"2020-01-01T00:00:00Z\"\n    mac: {mac}\n{more}    unencrypted_suffix: _unencrypted\n    version: 3.13.3\n"
    )
}

#[test]
fn the_vectors_of_the_contract_make_a_file_that_opens() {
    let plain = "# note\na: hello\nn:\n    i: 42\nt: true\nf: 1.5\nd: 2024-01-01T00:00:00Z\nl:\n    - x\n    - k: \"y\"\np_unencrypted: 5\ne: \"\"\nz: null\n";
    let only = "    mac_only_encrypted: true\n";
    assert_eq!(decrypted(&Yaml, &file(MAC, "")), plain);
    assert_eq!(decrypted(&Yaml, &file(MAC_ONLY, only)), plain);
    for wrong in [file(MAC, only), file(MAC_ONLY, "")] {
        let error = decrypt(&parsed(&Yaml, &wrong), &key()).err();
        assert_eq!(error, Some(DecryptError::MacMismatch));
    }
    let other = file(MAC, "").replace("p_unencrypted: 5", "p_unencrypted: 6");
    assert!(decrypt(&parsed(&Yaml, &other), &key()).is_err());
    let other = file(MAC_ONLY, only).replace("p_unencrypted: 5", "p_unencrypted: 6");
    assert!(decrypt(&parsed(&Yaml, &other), &key()).is_ok());
}

#[test]
fn strings_of_json_are_printed_in_yaml_as_the_reference_prints_them() {
    let long = "a".repeat(130);
    let cases = [
        (" ", "' '"),
        ("a ", "'a '"),
        ("\n", "|4+\n"),
        ("\n\n", "|4+\n\n"),
        ("a\n", "|\n    a"),
        ("a\n\n", "|+\n    a\n"),
        ("a\nb", "|-\n    a\n    b"),
        ("  lead\nx", "|4-\n      lead\n    x"),
        ("\n  x\n", "|4\n\n      x"),
        ("a \nb", "\"a \\nb\""),
        ("a\r\nb", "\"a\\r\\nb\""),
        ("a\tb", "\"a\\tb\""),
        ("tab\there\nnl", "|-\n    tab\there\n    nl"),
        ("\u{1b}[0m", "\"\\e[0m\""),
        ("\u{85}", "\"\\N\""),
        ("\u{feff}", "\"\\uFEFF\""),
        ("\u{7f}", "\"\\x7F\""),
        ("\0", "\"\\0\""),
        ("é", "é"),
        ("😀", "\"\\U0001F600\""),
        ("\u{2028}", "'\u{2028}'"),
        ("null", "\"null\""),
        ("yes", "\"yes\""),
        ("y", "\"y\""),
        ("017", "\"017\""),
        ("1_000", "\"1_000\""),
        (".5", "\".5\""),
        ("+1", "\"+1\""),
        ("0.", "\"0.\""),
        ("1__0", "\"1__0\""),
        (".inf", "\".inf\""),
        ("2024-1-1", "\"2024-1-1\""),
        ("12:30:45", "\"12:30:45\""),
        ("1e", "1e"),
        ("inf", "inf"),
        ("1.2.3", "1.2.3"),
        ("_", "_"),
        ("=", "="),
        ("-a", "-a"),
        ("a:b", "a:b"),
        (":a", ":a"),
        ("a#b", "a#b"),
        ("say \"hi\"", "say \"hi\""),
        ("'q'", "'''q'''"),
        ("'", "''''"),
        ("\"", "'\"'"),
        ("<<", "!!merge <<"),
        (&long, &long),
    ];
    for (text, printed) in cases {
        let data = crate::data::Data::Map(vec![(
            crate::data::Data::key("k"),
            crate::data::Data::str(text),
        )]);
        let out = Yaml.render(&[data], Layout::default()).unwrap();
        let out = String::from_utf8(out.expose().to_vec()).unwrap();
        assert_eq!(out, format!("k: {printed}\n"), "{text:?}");
    }
    let data = crate::data::Data::Map(vec![(
        crate::data::Data::key(&long),
        crate::data::Data::str("v"),
    )]);
    let out = Yaml.render(&[data], Layout::default()).unwrap();
    assert_eq!(out.expose(), format!("? {long}\n: v\n").as_bytes());
}
