//! Encrypted files whose `sops` block, or whose ciphertext, is made to take time and memory.

use serde_json::{Value, json};

/// A plain text with the block of a real file behind it; `None` where the format of the text has no place for it.
pub(super) fn spliced(suffix: &str, text: &str, real: &str) -> Option<String> {
    let break_before = if text.ends_with('\n') { "" } else { "\n" };
    match suffix {
        "yaml" => {
            let block = &real[real.find("sops:\n")?..];
            Some(format!("{text}{break_before}{block}"))
        }
        "json" => {
            let block: Value = serde_json::from_str(real).ok()?;
            let members = text.trim_end().strip_suffix('}')?;
            Some(format!("{members}, \"sops\": {}}}", block["sops"]))
        }
        "env" => {
            let lines = real.lines().filter(|line| line.starts_with("sops_"));
            let block: Vec<&str> = lines.collect();
            Some(format!("{text}{break_before}{}\n", block.join("\n")))
        }
        "ini" => {
            let block = &real[real.find("[sops]")?..];
            Some(format!("{text}{break_before}{block}"))
        }
        _ => None,
    }
}

/// JSON files made of a real one, each of about a given size.
pub(super) fn blocks(real: &str, size: usize) -> Vec<(String, String)> {
    let real: Value = serde_json::from_str(real).unwrap();
    let entry = real["sops"]["age"][0].clone();
    let cipher = real["k0"].as_str().unwrap().to_owned();
    let many = |entry: &Value| {
        let count = 1 + size / entry.to_string().len();
        Value::Array(vec![entry.clone(); count])
    };
    let mut list: Vec<(String, Value)> = Vec::new();
    let mut add = |name: &str, change: &dyn Fn(&mut Value)| {
        let mut file = real.clone();
        change(&mut file);
        list.push((name.to_owned(), file));
    };
    add("age entries", &|file| file["sops"]["age"] = many(&entry));
    add("empty age entries", &|file| {
        file["sops"]["age"] = many(&json!({}))
    });
    add("age entries of null", &|file| {
        file["sops"]["age"] = many(&Value::Null)
    });
    add("age entries that are no recipients", &|file| {
        file["sops"]["age"] = many(&json!({"recipient": "age1x", "enc": "x"}));
    });
    add("age entries without a key", &|file| {
        file["sops"]["age"] = many(&json!({"recipient": entry["recipient"], "enc": ""}));
    });
    add("a long wrapped key", &|file| {
        file["sops"]["age"][0]["enc"] = "A".repeat(size).into();
    });
    add("a long recipient", &|file| {
        file["sops"]["age"][0]["recipient"] = "age1".to_owned().repeat(size / 4).into();
    });
    let armor = "-----BEGIN PGP MESSAGE-----\n\nwV4D\n-----END PGP MESSAGE-----\n";
    add("empty pgp entries", &|file| {
        file["sops"]["pgp"] = many(&json!({}))
    });
    add("a long pgp message", &|file| {
        let entry = json!({"fp": "0".repeat(40), "enc": "-".repeat(size), "created_at": ""});
        file["sops"]["pgp"] = json!([entry]);
    });
    add("groups of pgp entries behind the age key", &|file| {
        let pgp = json!({"fp": "0".repeat(40), "enc": armor, "created_at": "2026-01-01T00:00:00Z"});
        let group = json!({"pgp": [pgp]});
        let mut groups = vec![json!({"age": file["sops"]["age"]})];
        groups.resize(size / group.to_string().len(), json!({"age": []}));
        file["sops"]["key_groups"] = groups.into();
        file["sops"]["shamir_threshold"] = json!(1);
    });
    for (section, entry) in [
        (
            "kms",
            json!({"arn": "arn:aws:kms:x", "enc": "x", "created_at": "2026-01-01T00:00:00Z"}),
        ),
        (
            "gcp_kms",
            json!({"resource_id": "x", "enc": "x", "created_at": "2026-01-01T00:00:00Z"}),
        ),
        (
            "azure_kv",
            json!({"vault_url": "x", "name": "x", "version": "x", "enc": "x", "created_at": "2026-01-01T00:00:00Z"}),
        ),
        (
            "hc_vault",
            json!({"vault_address": "x", "engine_path": "x", "key_name": "x", "enc": "x", "created_at": "2026-01-01T00:00:00Z"}),
        ),
        (
            "hckms",
            json!({"key_id": "x", "enc": "x", "created_at": "2026-01-01T00:00:00Z"}),
        ),
    ] {
        // The age key comes first in the order of decryption, so no service is asked.
        add(&format!("{section} entries"), &|file| {
            file["sops"][section] = many(&entry)
        });
    }
    add("groups", &|file| {
        file["sops"]["key_groups"] = many(&json!({"age": [entry]}))
    });
    add("empty groups", &|file| {
        file["sops"]["key_groups"] = many(&json!({}))
    });
    add("a threshold beyond all groups", &|file| {
        file["sops"]["shamir_threshold"] = json!(i64::MAX);
    });
    add("unknown fields", &|file| {
        for at in 0..size / 20 {
            file["sops"][format!("field{at}")] = json!("value");
        }
    });
    add("one field in many cases", &|file| {
        for at in 0..size / 24 {
            let letters = "shamir_threshold".bytes().enumerate();
            let name = letters.map(|(bit, letter)| match at >> bit & 1 {
                0 => char::from(letter),
                _ => char::from(letter.to_ascii_uppercase()),
            });
            file["sops"][name.collect::<String>()] = json!(0);
        }
    });
    for field in [
        "version",
        "lastmodified",
        "mac",
        "unencrypted_suffix",
        "sealwright",
    ] {
        add(&format!("a long {field}"), &|file| {
            file["sops"][field] = "9".repeat(size).into()
        });
        add(&format!("{field} is a map"), &|file| {
            file["sops"][field] = json!({"a": 1})
        });
    }
    for (name, pattern) in [
        ("stars of stars", "(a*)*b".repeat(size / 6)),
        ("counted counts", "((a{100}){100}){100}".to_owned()),
        ("open groups", "(".repeat(size)),
        (
            "groups in each other",
            format!("{}a{}", "(".repeat(size / 2), ")".repeat(size / 2)),
        ),
        ("alternatives", "(?i)secret|".repeat(size / 11)),
        ("open classes", "[".repeat(size)),
        ("classes", "[\\pL]".repeat(size / 6)),
        ("large classes", "\\pL{1000}".repeat(size / 9)),
    ] {
        for field in ["encrypted_regex", "unencrypted_comment_regex"] {
            add(&format!("{name} in {field}"), &|file| {
                let block = file["sops"].as_object_mut().unwrap();
                block.remove("unencrypted_suffix");
                block.insert(field.to_owned(), pattern.clone().into());
            });
        }
    }
    for part in ["data:", "iv:", "tag:", "type:"] {
        let from = cipher.find(part).unwrap() + part.len();
        let end = from + cipher[from..].find([',', ']']).unwrap();
        for (name, with) in [
            ("nothing", String::new()),
            ("no base64", "!".to_owned()),
            ("much", "AAAA".repeat(size / 4)),
            ("padding", "=".repeat(size)),
            ("commas", ",".repeat(size)),
            ("itself", cipher.repeat(1 + size / cipher.len())),
        ] {
            let value = format!("{}{with}{}", &cipher[..from], &cipher[end..]);
            add(&format!("{name} in {part}"), &|file| {
                file["k0"] = value.clone().into()
            });
        }
    }
    add("the beginning of a ciphertext", &|file| {
        file["k0"] = "ENC[AES256_GCM,".repeat(size / 15).into();
    });
    let texts = list.into_iter();
    texts.map(|(name, file)| (name, file.to_string())).collect()
}
