//! The value cipher: AES-256-GCM into the text form `ENC[AES256_GCM,data:…,iv:…,tag:…,type:…]`.

use std::ops::Range;

use aes::Aes256;
use aes::cipher::consts::{U12, U16, U32};
use aes::cipher::{Array, BlockCipherEncrypt, InnerIvInit, KeyInit, StreamCipherCore};
use aes_gcm::{AeadInOut, AesGcm};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ghash::{GHash, universal_hash::UniversalHash};
use subtle::ConstantTimeEq;
use zeroize::Zeroize;

use crate::data_key::DataKey;
use crate::secret::SecretWriter;

/// The type that the text form names. It is not covered by the tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Text, or bytes.
    Str,
    /// A 64-bit signed integer.
    Int,
    /// A 64-bit float.
    Float,
    /// `True` or `False`.
    Bool,
    /// An RFC 3339 timestamp.
    Time,
    /// A comment.
    Comment,
    /// Written by no known program, read as text.
    Bytes,
}

impl Kind {
    /// The name in the text form.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Str => "str",
            Kind::Int => "int",
            Kind::Float => "float",
            Kind::Bool => "bool",
            Kind::Time => "time",
            Kind::Comment => "comment",
            Kind::Bytes => "bytes",
        }
    }

    fn from_name(name: &[u8]) -> Option<Self> {
        [
            Kind::Str,
            Kind::Int,
            Kind::Float,
            Kind::Bool,
            Kind::Time,
            Kind::Comment,
            Kind::Bytes,
        ]
        .into_iter()
        .find(|kind| kind.name().as_bytes() == name)
    }
}

/// A value could not be decrypted. It says what is wrong with the form, never with the content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CipherError {
    /// The text does not have the `ENC[…]` form.
    #[error("not of the form ENC[AES256_GCM,data:…,iv:…,tag:…,type:…]")]
    Form,
    /// A field is not base64.
    #[error("the {0} field is not valid base64")]
    Base64(&'static str),
    /// The nonce is empty.
    #[error("the iv field is empty")]
    EmptyNonce,
    /// The tag does not have 16 bytes.
    #[error("the tag field has {0} bytes, not 16")]
    TagLength(usize),
    /// The type is not known.
    #[error("unknown value type")]
    UnknownKind,
    /// Wrong key, wrong place, or changed bytes: there is no way to tell which.
    #[error("the value does not open: it was changed or moved, or belongs to another key")]
    Refused,
}

/// Nonces drawn from the operating system in batches.
pub struct Nonces {
    pool: Box<[u8; 4096]>,
    used: usize,
}

impl Default for Nonces {
    fn default() -> Self {
        Self {
            pool: Box::new([0; 4096]),
            used: 4096,
        }
    }
}

impl Nonces {
    fn draw(&mut self) -> [u8; 32] {
        if self.used == self.pool.len() {
            getrandom::fill(&mut self.pool[..])
                .expect("the operating system's random source answers");
            self.used = 0;
        }
        let mut nonce = [0; 32];
        nonce.copy_from_slice(&self.pool[self.used..self.used + 32]);
        self.used += 32;
        nonce
    }
}

/// Encrypts and decrypts the values of one file: one key schedule for all of them.
pub struct ValueCipher {
    written: AesGcm<Aes256, U32>,
    aes: Aes256,
}

static_assertions::assert_not_impl_any!(ValueCipher: Clone, std::fmt::Debug);

const HEAD: &[u8] = b"ENC[AES256_GCM,data:";
const IV: &[u8] = b",iv:";
const TAG: &[u8] = b",tag:";
const TYPE: &[u8] = b",type:";

impl ValueCipher {
    /// Prepares the key schedule.
    pub fn new(key: &DataKey) -> Self {
        let aes = Aes256::new(key.expose().into());
        Self {
            written: AesGcm::from(aes.clone()),
            aes,
        }
    }

    /// Appends the text form of `plaintext` to `out`. An empty plaintext stays empty, as the format has it.
    pub fn encrypt(
        &self,
        plaintext: &[u8],
        aad: &[u8],
        kind: Kind,
        nonces: &mut Nonces,
        out: &mut Vec<u8>,
    ) {
        if plaintext.is_empty() {
            return;
        }
        let nonce = nonces.draw();
        let mut data = plaintext.to_vec(); // holds ciphertext in the next statement
        let tag = self
            .written
            .encrypt_inout_detached(&nonce.into(), aad, data.as_mut_slice().into())
            .expect("a value is far shorter than the limit of GCM");
        out.reserve(encrypted_len(data.len(), kind));
        out.extend_from_slice(HEAD);
        append_base64(&data, out);
        out.extend_from_slice(IV);
        append_base64(&nonce, out);
        out.extend_from_slice(TAG);
        append_base64(&tag, out);
        out.extend_from_slice(TYPE);
        out.extend_from_slice(kind.name().as_bytes());
        out.push(b']');
    }

    /// Appends the plaintext of `text` to `out` and tells its type. On an error `out` is as it was.
    ///
    /// Empty text is the text form of an empty string. A nonce may have any length, as older writers chose others.
    pub fn decrypt(
        &self,
        text: &[u8],
        aad: &[u8],
        out: &mut SecretWriter,
    ) -> Result<Kind, CipherError> {
        if text.is_empty() {
            return Ok(Kind::Str);
        }
        let form = Form::find(text).ok_or(CipherError::Form)?;
        let kind = Kind::from_name(&text[form.kind]).ok_or(CipherError::UnknownKind)?;
        let mut nonce_room = [0u8; 48];
        let mut long_nonce = Vec::new();
        let nonce_text = &text[form.iv];
        let nonce: &[u8] = if nonce_text.len() <= 64 {
            let len = STANDARD
                .decode_slice(nonce_text, &mut nonce_room)
                .map_err(|_| CipherError::Base64("iv"))?;
            &nonce_room[..len]
        } else {
            STANDARD
                .decode_vec(nonce_text, &mut long_nonce)
                .map_err(|_| CipherError::Base64("iv"))?;
            &long_nonce
        };
        if nonce.is_empty() {
            return Err(CipherError::EmptyNonce);
        }
        let mut tag_room = [0u8; 32];
        let tag_text = &text[form.tag];
        if tag_text.len() > 32 {
            return Err(CipherError::TagLength(tag_text.len() / 4 * 3));
        }
        let tag_len = STANDARD
            .decode_slice(tag_text, &mut tag_room)
            .map_err(|_| CipherError::Base64("tag"))?;
        let tag: &[u8; 16] = tag_room[..tag_len]
            .try_into()
            .map_err(|_| CipherError::TagLength(tag_len))?;

        let start = out.len();
        let data_text = &text[form.data];
        let room = out.extend_zeroed(data_text.len() / 4 * 3 + 3);
        let opened = STANDARD
            .decode_slice(data_text, room)
            .map_err(|_| CipherError::Base64("data"))
            .and_then(|len| self.open(nonce, aad, &mut room[..len], tag).map(|()| len));
        match opened {
            Ok(len) => {
                out.truncate(start + len);
                Ok(kind)
            }
            Err(error) => {
                out.truncate(start);
                Err(error)
            }
        }
    }

    fn open(
        &self,
        nonce: &[u8],
        aad: &[u8],
        data: &mut [u8],
        tag: &[u8; 16],
    ) -> Result<(), CipherError> {
        let tag_array = Array::from(*tag);
        let refused = |_| CipherError::Refused;
        match nonce.len() {
            32 => {
                let nonce: Array<u8, U32> = nonce.try_into().expect("32 bytes");
                self.written
                    .decrypt_inout_detached(&nonce, aad, data.into(), &tag_array)
                    .map_err(refused)
            }
            12 => {
                let nonce: Array<u8, U12> = nonce.try_into().expect("12 bytes");
                let cipher = AesGcm::<Aes256, U12>::from(self.aes.clone());
                cipher
                    .decrypt_inout_detached(&nonce, aad, data.into(), &tag_array)
                    .map_err(refused)
            }
            16 => {
                let nonce: Array<u8, U16> = nonce.try_into().expect("16 bytes");
                let cipher = AesGcm::<Aes256, U16>::from(self.aes.clone());
                cipher
                    .decrypt_inout_detached(&nonce, aad, data.into(), &tag_array)
                    .map_err(refused)
            }
            _ => self.open_with_odd_nonce(nonce, aad, data, tag),
        }
    }

    /// GCM for nonce lengths that have no type of their own (NIST SP 800-38D, section 7.2): J0 = GHASH(nonce).
    fn open_with_odd_nonce(
        &self,
        nonce: &[u8],
        aad: &[u8],
        data: &mut [u8],
        tag: &[u8; 16],
    ) -> Result<(), CipherError> {
        let mut hash_key = ghash::Key::default();
        self.aes.encrypt_block(&mut hash_key);
        let fresh = GHash::new(&hash_key);
        hash_key.zeroize();
        let lengths = |aad: usize, data: usize| {
            let mut block = ghash::Block::default();
            block[..8].copy_from_slice(&(aad as u64 * 8).to_be_bytes());
            block[8..].copy_from_slice(&(data as u64 * 8).to_be_bytes());
            block
        };
        let mut nonce_hash = fresh.clone();
        nonce_hash.update_padded(nonce);
        nonce_hash.update(&[lengths(0, nonce.len())]);
        let counter = nonce_hash.finalize();
        let mut stream =
            ctr::CtrCore::<&Aes256, ctr::flavors::Ctr32BE>::inner_iv_init(&self.aes, &counter);
        let mut mask = ghash::Block::default();
        stream.write_keystream_block(&mut mask);

        let mut data_hash = fresh;
        data_hash.update_padded(aad);
        data_hash.update_padded(data);
        data_hash.update(&[lengths(aad.len(), data.len())]);
        let mut expected = data_hash.finalize();
        for (byte, mask) in expected.iter_mut().zip(mask) {
            *byte ^= mask;
        }
        if !bool::from(expected.as_slice().ct_eq(&tag[..])) {
            return Err(CipherError::Refused);
        }
        stream.apply_keystream_partial(data.into());
        Ok(())
    }
}

/// Tells whether `text` has the form of an encrypted value; nothing is decrypted.
pub fn looks_encrypted(text: &[u8]) -> bool {
    Form::find(text).is_some()
}

/// The type that an encrypted value names; nothing is decrypted, so nothing vouches for it.
pub fn encrypted_kind(text: &[u8]) -> Option<Kind> {
    Form::find(text).and_then(|form| Kind::from_name(&text[form.kind]))
}

/// The length of the text form of `len` bytes of plaintext.
pub fn encrypted_len(len: usize, kind: Kind) -> usize {
    if len == 0 {
        return 0;
    }
    HEAD.len()
        + len.div_ceil(3) * 4
        + IV.len()
        + 44
        + TAG.len()
        + 24
        + TYPE.len()
        + kind.name().len()
        + 1
}

fn append_base64(bytes: &[u8], out: &mut Vec<u8>) {
    let at = out.len();
    out.resize(at + bytes.len().div_ceil(3) * 4, 0);
    STANDARD
        .encode_slice(bytes, &mut out[at..])
        .expect("sized above");
}

/// Where the fields of the text form lie. The last separator of each kind counts and text after the last `]` is
/// ignored, as in the reference's greedy pattern; like its `.`, no field spans lines.
struct Form {
    data: Range<usize>,
    iv: Range<usize>,
    tag: Range<usize>,
    kind: Range<usize>,
}

impl Form {
    fn find(text: &[u8]) -> Option<Self> {
        if !text.starts_with(HEAD) {
            return None;
        }
        let line = memchr::memchr(b'\n', text).map_or(text, |end| &text[..end]);
        let close = memchr::memrchr(b']', line)?;
        // All marks begin with a comma, and there is hardly another one: the last one found nearly always is it.
        let before = |end: usize, mark: &[u8]| {
            let before = &line[..end];
            memchr::memrchr_iter(b',', before).find(|at| before[*at..].starts_with(mark))
        };
        // Each field needs one byte at least, so its separator lies at least one byte before the next one.
        let kind = before(close.checked_sub(1)?, TYPE)?;
        let tag = before(kind.checked_sub(1)?, TAG)?;
        let iv = before(tag.checked_sub(1)?, IV)?;
        let data = HEAD.len()..iv;
        if data.is_empty() {
            return None;
        }
        Some(Self {
            data,
            iv: iv + IV.len()..tag,
            tag: tag + TAG.len()..kind,
            kind: kind + TYPE.len()..close,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data_key::KeyPart;

    fn counting_key() -> DataKey {
        let bytes: Vec<u8> = (0..32).collect();
        DataKey::from_part(&KeyPart::from(bytes)).unwrap()
    }

    fn open(text: &str, aad: &str) -> Result<(Kind, String), CipherError> {
        let mut out = SecretWriter::default();
        let kind =
            ValueCipher::new(&counting_key()).decrypt(text.as_bytes(), aad.as_bytes(), &mut out)?;
        Ok((kind, String::from_utf8(out.expose().to_vec()).unwrap()))
    }

    #[test]
    fn t8_known_answers() {
        let cases = [
            (
                "hello",
                Kind::Str,
                "a:",
                "0cHFi7Y=,iv:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=,tag:ymZUyOw8wR96TPf7Sj/n1A==,type:str]",
            ),
            (
                "42",
                Kind::Int,
                "n:i:",
                "W0k=,iv:AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=,tag:Eo1nDgQ6sUmjIjVx7Xde/g==,type:int]",
            ),
            (
                "True",
                Kind::Bool,
                "t:",
                "PgY2CQ==,iv:AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM=,tag:TNMx9xspnRYlPWRHgdH2Bg==,type:bool]",
            ),
            (
                "1.5",
                Kind::Float,
                "f:",
                "XyJa,iv:BAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQ=,tag:7SbrjcRP55l62SAN+ALc7w==,type:float]",
            ),
            (
                "2024-01-01T00:00:00Z",
                Kind::Time,
                "d:",
                "worKiOnyXj4UdXrh6nH8anZH678=,iv:BQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQU=,tag:mqoQw2MJkOISkW2ItZnIxg==,type:time]",
            ),
            (
                " note",
                Kind::Comment,
                ":",
                "mP/cC90=,iv:BgYGBgYGBgYGBgYGBgYGBgYGBgYGBgYGBgYGBgYGBgY=,tag:ePS8xG+ICFlIaLKcGB5kgQ==,type:comment]",
            ),
            (
                "x",
                Kind::Str,
                "l:",
                "QQ==,iv:BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=,tag:UCzZvPMv6Zv7Z/fD5QyYLg==,type:str]",
            ),
            (
                "y",
                Kind::Str,
                "l:k:",
                "7w==,iv:CAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAg=,tag:7xgLpEbZrnjSepSBXvY2PA==,type:str]",
            ),
        ];
        for (plain, kind, aad, tail) in cases {
            let text = format!("ENC[AES256_GCM,data:{tail}");
            assert_eq!(open(&text, aad), Ok((kind, plain.to_owned())));
            assert_eq!(open(&text, "other:"), Err(CipherError::Refused));
        }
    }

    #[test]
    fn t8_nonces_of_any_length_open() {
        let cipher = ValueCipher::new(&counting_key());
        let nonce = [7u8; 32];
        let mut data = b"hello".to_vec();
        let tag = cipher
            .written
            .encrypt_inout_detached(&nonce.into(), b"a:", data.as_mut_slice().into())
            .unwrap();
        cipher
            .open_with_odd_nonce(&nonce, b"a:", &mut data, &tag.into())
            .unwrap();
        assert_eq!(
            data, b"hello",
            "the path for odd lengths agrees with the library at a length both know"
        );
        let nonce = [9u8; 16];
        let library = AesGcm::<Aes256, U16>::from(cipher.aes.clone());
        let tag = library
            .encrypt_inout_detached(&nonce.into(), b"a:", data.as_mut_slice().into())
            .unwrap();
        cipher
            .open_with_odd_nonce(&nonce, b"a:", &mut data, &tag.into())
            .unwrap();
        assert_eq!(data, b"hello");
    }

    #[test]
    fn t9_the_form_is_greedy_and_open_at_the_end() {
        let mut text = Vec::new();
        ValueCipher::new(&counting_key()).encrypt(
            b"v",
            b"a:",
            Kind::Str,
            &mut Nonces::default(),
            &mut text,
        );
        assert_eq!(text.len(), encrypted_len(1, Kind::Str));
        let text = String::from_utf8(text).unwrap();
        assert_eq!(
            open(&format!("{text} trailing"), "a:"),
            Ok((Kind::Str, "v".to_owned()))
        );
        assert_eq!(open(&format!(" {text}"), "a:"), Err(CipherError::Form));
        assert_eq!(
            open("ENC[AES256_GCM,data:,iv:AA==,tag:AA==,type:str]", "a:"),
            Err(CipherError::Form)
        );
        assert_eq!(
            open(&text.replace(",type:str", ",type:what"), "a:"),
            Err(CipherError::UnknownKind)
        );
        assert!(!looks_encrypted(b"ENC[") && looks_encrypted(text.as_bytes()));
    }

    #[test]
    fn t10_the_empty_string_stays_empty() {
        let mut text = Vec::new();
        ValueCipher::new(&counting_key()).encrypt(
            b"",
            b"a:",
            Kind::Str,
            &mut Nonces::default(),
            &mut text,
        );
        assert!(text.is_empty());
        assert_eq!(open("", "a:"), Ok((Kind::Str, String::new())));
    }

    #[test]
    fn a_refused_value_leaves_nothing_behind() {
        let cipher = ValueCipher::new(&counting_key());
        let mut text = Vec::new();
        cipher.encrypt(
            b"value",
            b"a:",
            Kind::Str,
            &mut Nonces::default(),
            &mut text,
        );
        let mut out = SecretWriter::default();
        out.push(b"before");
        assert_eq!(
            cipher.decrypt(&text, b"b:", &mut out),
            Err(CipherError::Refused)
        );
        assert_eq!(out.expose(), b"before");
    }
}
