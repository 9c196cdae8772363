//! Base64, base32, hashes and JSON.

use aws_lc_rs::digest::{self, SHA1_FOR_LEGACY_USE_ONLY, SHA256, SHA512};
use sealwright_crypto::sealing::base64;

use crate::format::{JsonStyle, from_json, to_json};
use crate::function::Parameter::{Any, Text};
use crate::function::{Entry, Environment, Function, bytes, fixed};
use crate::value::Value;

pub(super) const FUNCTIONS: &[Entry] = &[
    (
        "b64enc",
        fixed(&[Text], |_, a| Ok(Value::text(base64::encode(bytes(a, 0))))),
    ),
    // A text that is no base64 gives the error as the result, as in sprig.
    (
        "b64dec",
        fixed(&[Text], |_, a| {
            Ok(match base64::decode(bytes(a, 0)) {
                Ok(decoded) => Value::text(decoded),
                Err(error) => Value::text(error.to_string()),
            })
        }),
    ),
    (
        "b32enc",
        fixed(&[Text], |_, a| Ok(Value::text(base32_encode(bytes(a, 0))))),
    ),
    (
        "b32dec",
        fixed(&[Text], |_, a| {
            Ok(match base32_decode(bytes(a, 0)) {
                Ok(decoded) => Value::text(decoded),
                Err(at) => Value::text(format!("illegal base32 data at input byte {at}")),
            })
        }),
    ),
    (
        "sha1sum",
        fixed(&[Text], |_, a| {
            Ok(Value::text(hex(digest::digest(
                &SHA1_FOR_LEGACY_USE_ONLY,
                bytes(a, 0),
            )
            .as_ref())))
        }),
    ),
    (
        "sha256sum",
        fixed(&[Text], |_, a| {
            Ok(Value::text(hex(
                digest::digest(&SHA256, bytes(a, 0)).as_ref()
            )))
        }),
    ),
    (
        "sha512sum",
        fixed(&[Text], |_, a| {
            Ok(Value::text(hex(
                digest::digest(&SHA512, bytes(a, 0)).as_ref()
            )))
        }),
    ),
    (
        "adler32sum",
        fixed(&[Text], |_, a| {
            Ok(Value::text(adler32(bytes(a, 0)).to_string()))
        }),
    ),
    (
        "toJson",
        fixed(&[Any], |e, a| lenient(e, &a[0], JsonStyle::Compact)),
    ),
    (
        "toPrettyJson",
        fixed(&[Any], |e, a| lenient(e, &a[0], JsonStyle::Pretty)),
    ),
    ("toRawJson", strict(JsonStyle::Raw)),
    ("mustToJson", strict(JsonStyle::Compact)),
    ("mustToPrettyJson", strict(JsonStyle::Pretty)),
    ("mustToRawJson", strict(JsonStyle::Raw)),
    (
        "fromJson",
        fixed(&[Text], |e, a| {
            let value = from_json(bytes(a, 0), &e.budget);
            e.budget.check()?;
            Ok(value.unwrap_or(Value::Nil))
        }),
    ),
    (
        "mustFromJson",
        fixed(&[Text], |e, a| from_json(bytes(a, 0), &e.budget)),
    ),
];

/// What the External Secrets Operator adds.
pub(super) const EXTERNAL_SECRETS: &[Entry] = &[(
    "hexdec",
    // As with base64, what is none gives the error as the result.
    fixed(&[Text], |_, a| {
        Ok(match hex_decode(bytes(a, 0)) {
            Ok(decoded) => Value::text(decoded),
            Err(error) => Value::text(error),
        })
    }),
)];

/// Decodes hexadecimal digits; the error is that of Go and names the byte, as there.
fn hex_decode(text: &[u8]) -> Result<Vec<u8>, String> {
    let digit = |byte: u8| {
        let value = char::from(byte).to_digit(16);
        value.ok_or_else(|| {
            let shown = char::from(byte);
            format!("encoding/hex: invalid byte: U+{byte:04X} {shown:?}")
        })
    };
    let mut out = Vec::with_capacity(text.len() / 2);
    for pair in text.chunks(2) {
        let high = digit(pair[0])?;
        let Some(&low) = pair.get(1) else {
            return Err("encoding/hex: odd length hex string".to_owned());
        };
        out.push(u8::try_from(high << 4 | digit(low)?).expect("two digits"));
    }
    Ok(out)
}

const fn strict(style: JsonStyle) -> Function {
    match style {
        JsonStyle::Compact => fixed(&[Any], |e, a| {
            to_json(&a[0], JsonStyle::Compact, &e.budget).map(Value::Text)
        }),
        JsonStyle::Pretty => fixed(&[Any], |e, a| {
            to_json(&a[0], JsonStyle::Pretty, &e.budget).map(Value::Text)
        }),
        JsonStyle::Raw => fixed(&[Any], |e, a| {
            to_json(&a[0], JsonStyle::Raw, &e.budget).map(Value::Text)
        }),
    }
}

/// What JSON has no word for is the empty text; a budget that is used up is an error nonetheless.
fn lenient(e: &Environment, value: &Value, style: JsonStyle) -> Result<Value, String> {
    let text = to_json(value, style, &e.budget);
    e.budget.check()?;
    Ok(text.map_or_else(|_| Value::text(""), Value::Text))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn adler32(bytes: &[u8]) -> u32 {
    let (mut a, mut b) = (1u32, 0u32);
    for &byte in bytes {
        a = (a + u32::from(byte)) % 65_521;
        b = (b + a) % 65_521;
    }
    b << 16 | a
}

const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

fn base32_encode(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len().div_ceil(5) * 8);
    for chunk in bytes.chunks(5) {
        let mut block = [0u8; 8];
        block[3..3 + chunk.len()].copy_from_slice(chunk);
        let bits = u64::from_be_bytes(block);
        let digits = (chunk.len() * 8).div_ceil(5);
        for index in 0..8 {
            out.push(match index < digits {
                true => BASE32[usize::try_from(bits >> (35 - 5 * index) & 31).expect("5 bits")],
                false => b'=',
            });
        }
    }
    out
}

/// Decodes with padding, skipping line breaks; an error is the place Go names.
fn base32_decode(text: &[u8]) -> Result<Vec<u8>, usize> {
    let text: Vec<u8> = text
        .iter()
        .copied()
        .filter(|byte| !b"\r\n".contains(byte))
        .collect();
    let mut out = Vec::with_capacity(text.len() / 8 * 5);
    let mut at = 0;
    while at < text.len() {
        let mut bits = 0u64;
        let mut digits = 0;
        let mut is_last = false;
        while digits < 8 {
            let Some(&byte) = text.get(at) else {
                return Err(at - digits);
            };
            at += 1;
            if byte == b'=' && digits >= 2 && text.len() - at < 8 {
                let missing = 8 - digits - 1;
                if text.len() - at < missing {
                    return Err(text.len());
                }
                if let Some(wrong) = (0..missing).find(|&i| text[at + i] != b'=') {
                    return Err(at + wrong - 1);
                }
                if matches!(digits, 1 | 3 | 6) {
                    return Err(at - 1);
                }
                at += missing;
                is_last = true;
                break;
            }
            let value = BASE32
                .iter()
                .position(|&digit| digit == byte)
                .ok_or(at - 1)?;
            bits |= (value as u64) << (35 - 5 * digits);
            digits += 1;
        }
        let count = digits * 5 / 8;
        out.extend_from_slice(&bits.to_be_bytes()[3..3 + count]);
        if is_last {
            return if at < text.len() { Err(at) } else { Ok(out) };
        }
    }
    Ok(out)
}
