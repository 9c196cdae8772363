//! Random texts, password hashes and the small ciphers of sprig.

use std::sync::{Mutex, PoisonError};

use aws_lc_rs::cipher::{
    AES_256, DecryptingKey, DecryptionContext, PaddedBlockEncryptingKey, UnboundCipherKey,
};
use aws_lc_rs::digest::{self, SHA1_FOR_LEGACY_USE_ONLY};
use aws_lc_rs::hmac;
use aws_lc_rs::iv::FixedLength;
use blowfish::Blowfish;
use sealwright_crypto::sealing::base64;
use zeroize::Zeroizing;

use crate::budget::Limits;
use crate::function::Parameter::{Int, Literal, Text, Uint32};
use crate::function::{Entry, Environment, bytes, fixed, int, out_of_bounds};
use crate::random::{no_randomness, random_below, random_bytes};
use crate::uuid;
use crate::value::Value;

const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const DIGITS: &[u8] = b"0123456789";

pub(super) const FUNCTIONS: &[Entry] = &[
    (
        "randAlpha",
        fixed(&[Int], |e, a| random_text(e, int(a, 0), LETTERS)),
    ),
    (
        "randNumeric",
        fixed(&[Int], |e, a| random_text(e, int(a, 0), DIGITS)),
    ),
    (
        "randAlphaNum",
        fixed(&[Int], |e, a| {
            random_text(e, int(a, 0), &[LETTERS, DIGITS].concat())
        }),
    ),
    (
        "randAscii",
        fixed(&[Int], |e, a| {
            random_text(e, int(a, 0), &(b' '..=b'~').collect::<Vec<u8>>())
        }),
    ),
    (
        "randBytes",
        fixed(&[Int], |e, a| {
            let count = usize::try_from(int(a, 0)).map_err(|_| "the count is negative")?;
            e.budget.check_room(count.saturating_mul(3))?;
            let random = random_bytes(count)?;
            Ok(Value::text(base64::encode(&random)))
        }),
    ),
    (
        "randInt",
        fixed(&[Int, Int], |_, a| {
            let (least, end) = (int(a, 0), int(a, 1));
            let count = end
                .checked_sub(least)
                .and_then(|count| u64::try_from(count).ok());
            let count = count
                .filter(|&count| count > 0)
                .ok_or("invalid argument to Intn")?;
            Ok(Value::Int(
                least.wrapping_add_unsigned(random_below(count)?),
            ))
        }),
    ),
    (
        "uuidv4",
        fixed(&[], |_, _| {
            let mut random = [0u8; 16];
            random.copy_from_slice(&random_bytes(16)?);
            Ok(Value::text(uuid::version_4(random)))
        }),
    ),
    (
        "bcrypt",
        fixed(&[Text], |e, a| bcrypt(e, bytes(a, 0)).map(Value::text)),
    ),
    (
        "htpasswd",
        fixed(&[Text, Text], |e, a| {
            let name = bytes(a, 0);
            if name.contains(&b':') {
                return Ok(Value::text([b"invalid username: ", name].concat()));
            }
            let hash = bcrypt(e, bytes(a, 1))?;
            Ok(Value::text([name, b":", hash.as_bytes()].concat()))
        }),
    ),
    (
        "encryptAES",
        fixed(&[Text, Text], |_, a| encrypt_aes(bytes(a, 0), bytes(a, 1))).growing(6),
    ),
    (
        "decryptAES",
        fixed(&[Text, Text], |_, a| decrypt_aes(bytes(a, 0), bytes(a, 1))),
    ),
    (
        "derivePassword",
        fixed(&[Uint32, Text, Text, Text, Text], |e, a| {
            let counter = u32::try_from(int(a, 0)).map_err(|_| "the counter is out of range")?;
            derive_password(
                e,
                counter,
                [bytes(a, 1), bytes(a, 2), bytes(a, 3), bytes(a, 4)],
            )
        }),
    ),
];

/// The work that drawing a character counts as: a call of the system.
const STEP: usize = 512;

/// What the External Secrets Operator has in another form: `htpasswd` takes the kind of hash.
pub(super) const EXTERNAL_SECRETS: &[Entry] = &[(
    "htpasswd",
    fixed(&[Text, Text, Literal], |e, a| {
        let name = bytes(a, 0);
        if name.contains(&b':') {
            return Ok(Value::text([b"invalid username: ", name].concat()));
        }
        let hash = match bytes(a, 2) {
            b"sha" => {
                let hash = digest::digest(&SHA1_FOR_LEGACY_USE_ONLY, bytes(a, 1));
                format!("{{SHA}}{}", base64::encode(hash.as_ref()))
            }
            _ => bcrypt(e, bytes(a, 1))?,
        };
        Ok(Value::text([name, b":", hash.as_bytes()].concat()))
    }),
)];

fn random_text(e: &Environment, count: i64, alphabet: &[u8]) -> Result<Value, String> {
    // As in sprig, a count below zero gives nothing.
    let count = usize::try_from(count).unwrap_or(0);
    e.budget.check_room(count)?;
    let mut out = Zeroizing::new(Vec::with_capacity(count));
    for _ in 0..count {
        e.budget.tick(STEP)?;
        let index = random_below(alphabet.len() as u64)?;
        out.push(alphabet[usize::try_from(index).expect("below the length")]);
    }
    Ok(Value::text(std::mem::take(&mut *out)))
}

/// Hashes a password with a cost of 10 (Provos and Mazières, "A Future-Adaptable Password Scheme").
fn bcrypt(e: &Environment, password: &[u8]) -> Result<String, String> {
    e.budget.check_time()?;
    if password.len() > 72 {
        return Ok(
            "failed to encrypt string with bcrypt: bcrypt: password length exceeds 72 bytes"
                .to_owned(),
        );
    }
    let mut salt = [0u8; 16];
    getrandom::fill(&mut salt).map_err(no_randomness)?;
    Ok(bcrypt_with(password, salt))
}

const BCRYPT_COST: u32 = 10;

fn bcrypt_with(password: &[u8], salt: [u8; 16]) -> String {
    let key = Zeroizing::new([password, &[0]].concat());
    let mut state: Blowfish = Blowfish::bc_init_state();
    state.salted_expand_key(&salt, &key);
    for _ in 0..1u32 << BCRYPT_COST {
        state.bc_expand_key(&key);
        state.bc_expand_key(&salt);
    }
    let mut words = [0u32; 6];
    for (word, chunk) in words.iter_mut().zip(b"OrpheanBeholderScryDoubt".chunks(4)) {
        *word = u32::from_be_bytes(chunk.try_into().expect("4 bytes"));
    }
    for pair in words.chunks_mut(2) {
        for _ in 0..64 {
            let next = state.bc_encrypt([pair[0], pair[1]]);
            pair.copy_from_slice(&next);
        }
    }
    let hash: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
    let (salt, hash) = (bcrypt_base64(&salt), bcrypt_base64(&hash[..23]));
    format!("$2a${BCRYPT_COST:02}${salt}{hash}")
}

/// Base64 with an alphabet of its own and without padding.
fn bcrypt_base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let mut block = [0u8; 4];
        block[1..=chunk.len()].copy_from_slice(chunk);
        let bits = u32::from_be_bytes(block);
        for index in 0..=chunk.len() {
            let sextet = bits >> (18 - 6 * index) & 63;
            out.push(char::from(ALPHABET[sextet as usize]));
        }
    }
    out
}

/// The password, cut or filled with zeros, is the key, as in sprig.
fn aes_key(password: &[u8]) -> Result<UnboundCipherKey, String> {
    let mut key = Zeroizing::new([0u8; 32]);
    let length = password.len().min(32);
    key[..length].copy_from_slice(&password[..length]);
    UnboundCipherKey::new(&AES_256, &key[..]).map_err(|_| "cannot use the key".to_owned())
}

fn encrypt_aes(password: &[u8], plaintext: &[u8]) -> Result<Value, String> {
    if plaintext.is_empty() {
        return Ok(Value::text(""));
    }
    let failed = |_| "cannot encrypt".to_owned();
    let key = PaddedBlockEncryptingKey::cbc_pkcs7(aes_key(password)?).map_err(failed)?;
    let mut text = Zeroizing::new(Vec::with_capacity(plaintext.len() + 16));
    text.extend_from_slice(plaintext);
    let mut ciphertext = std::mem::take(&mut *text);
    let context = key.encrypt(&mut ciphertext).map_err(failed)?;
    let DecryptionContext::Iv128(iv) = context else {
        return Err("cannot encrypt".to_owned());
    };
    Ok(Value::text(base64::encode(
        &[&iv.as_ref()[..], &ciphertext].concat(),
    )))
}

fn decrypt_aes(password: &[u8], text: &[u8]) -> Result<Value, String> {
    if text.is_empty() {
        return Ok(Value::text(""));
    }
    let sealed = base64::decode(text).map_err(|error| error.to_string())?;
    let (iv, body) = sealed.split_first_chunk::<16>().ok_or_else(out_of_bounds)?;
    if body.is_empty() || body.len() % 16 != 0 {
        return Err("crypto/cipher: input not full blocks".to_owned());
    }
    let failed = |_| "cannot decrypt".to_owned();
    let key = DecryptingKey::cbc(aes_key(password)?).map_err(failed)?;
    let context = DecryptionContext::Iv128(FixedLength::from(*iv));
    let mut body = Zeroizing::new(body.to_vec());
    let plaintext = key.decrypt(&mut body, context).map_err(failed)?;
    let padding = usize::from(*plaintext.last().expect("at least one block"));
    // A wrong password shows here, if at all: there is no tag.
    let end = plaintext
        .len()
        .checked_sub(padding)
        .ok_or_else(out_of_bounds)?;
    Ok(Value::text(&plaintext[..end]))
}

/// The templates of the Master Password algorithm, by strength.
fn password_templates(kind: &[u8]) -> Option<&'static [&'static str]> {
    Some(match kind {
        b"maximum" => &["anoxxxxxxxxxxxxxxxxx", "axxxxxxxxxxxxxxxxxno"],
        b"long" => &[
            "CvcvnoCvcvCvcv",
            "CvcvCvcvnoCvcv",
            "CvcvCvcvCvcvno",
            "CvccnoCvcvCvcv",
            "CvccCvcvnoCvcv",
            "CvccCvcvCvcvno",
            "CvcvnoCvccCvcv",
            "CvcvCvccnoCvcv",
            "CvcvCvccCvcvno",
            "CvcvnoCvcvCvcc",
            "CvcvCvcvnoCvcc",
            "CvcvCvcvCvccno",
            "CvccnoCvccCvcv",
            "CvccCvccnoCvcv",
            "CvccCvccCvcvno",
            "CvcvnoCvccCvcc",
            "CvcvCvccnoCvcc",
            "CvcvCvccCvccno",
            "CvccnoCvcvCvcc",
            "CvccCvcvnoCvcc",
            "CvccCvcvCvccno",
        ],
        b"medium" => &["CvcnoCvc", "CvcCvcno"],
        b"short" => &["Cvcn"],
        b"basic" => &["aaanaaan", "aannaaan", "aaannaaa"],
        b"pin" => &["nnnn"],
        _ => return None,
    })
}

fn password_alphabet(class: u8) -> &'static [u8] {
    match class {
        b'V' => b"AEIOU",
        b'C' => b"BCDFGHJKLMNPQRSTVWXYZ",
        b'v' => b"aeiou",
        b'c' => b"bcdfghjklmnpqrstvwxyz",
        b'A' => b"AEIOUBCDFGHJKLMNPQRSTVWXYZ",
        b'a' => b"AEIOUaeiouBCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz",
        b'n' => DIGITS,
        b'o' => b"@&%?,=[]_:-+*$#!'^~;()/.",
        _ => b"AEIOUaeiouBCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz0123456789!@#$%^&*()",
    }
}

/// The Master Password algorithm: a password for a site out of one for all.
fn derive_password(
    e: &Environment,
    counter: u32,
    [kind, password, user, site]: [&[u8]; 4],
) -> Result<Value, String> {
    const SEED: &[u8] = b"com.lyndir.masterpassword";
    let Some(templates) = password_templates(kind) else {
        return Ok(Value::text(
            [b"cannot find password template ", kind].concat(),
        ));
    };
    let length = |text: &[u8]| u32::try_from(text.len()).unwrap_or(u32::MAX).to_be_bytes();
    let salt = [SEED, &length(user), user].concat();
    let params = scrypt::Params::new(15, 8, 2, 64).map_err(|_| "cannot derive a password")?;
    let mut key = Zeroizing::new([0u8; 64]);
    e.budget.check_time()?;
    // It takes 32 MiB for a moment, so one thread at a time does it. That is more than a whole budget: it counts as half of
    // the usual one, so what may use less than that, such as a first attempt of the controller, does not even try.
    static TURN: Mutex<()> = Mutex::new(());
    let _table = e.budget.charge(Limits::DEFAULT.memory / 2)?;
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    scrypt::scrypt(password, &salt, &params, &mut key[..])
        .map_err(|_| "cannot derive a password")?;
    drop(turn);
    let message = [SEED, &length(site), site, &counter.to_be_bytes()].concat();
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key[..]), &message);
    let seed = tag.as_ref();
    let template = templates[usize::from(seed[0]) % templates.len()];
    let derived = template.bytes().zip(&seed[1..]).map(|(class, &byte)| {
        let alphabet = password_alphabet(class);
        alphabet[usize::from(byte) % alphabet.len()]
    });
    Ok(Value::text(derived.collect::<Vec<u8>>()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BCRYPT_OF_GO: [(&[u8], &str, &str); 2] = [
        (
            b"",
            "9a1b45365696024e514c7c7e11b9d217",
            "$2a$10$kfrDLjYU.i3PRFv8CZlQDufvS9e0NuN7c4eh2uJpIuxOlQEhMe2X.",
        ),
        (
            b"secret",
            "14d127f400583248a9a145bdaba448e2",
            "$2a$10$DLCl7./WKignmSU7o4PG2ePcPjXToQQGAcGXpwaNu1Q9AQ5lpvsVC",
        ),
    ];

    /// Made by golang.org/x/crypto/bcrypt v0.26.0 (`GenerateFromPassword`), whose salt is read
    /// back from the hash.
    #[test]
    fn bcrypt_is_that_of_go() {
        for (password, salt, hash) in BCRYPT_OF_GO {
            let salt: [u8; 16] =
                std::array::from_fn(|i| u8::from_str_radix(&salt[2 * i..2 * i + 2], 16).unwrap());
            assert_eq!(bcrypt_with(password, salt), hash);
        }
    }
}
