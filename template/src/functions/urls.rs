//! URLs in parts and together again, as Go's `net/url` sees them.

use crate::function::Parameter::{Dict as DictParameter, Text as TextParameter};
use crate::function::{Entry, bytes, dict, fixed};
use crate::text::Text;
use crate::value::{Dict, Value};

pub(super) const FUNCTIONS: &[Entry] = &[
    (
        "urlParse",
        fixed(&[TextParameter], |_, a| {
            // The text may hold a password, so the error does not repeat it.
            let url = Url::parse(bytes(a, 0)).ok_or("unable to parse url")?;
            let parts = [
                ("scheme", url.scheme),
                ("hostname", hostname(&url.host).to_vec()),
                ("host", url.host),
                ("path", url.path),
                ("query", url.query),
                ("opaque", url.opaque),
                ("fragment", url.fragment),
                (
                    "userinfo",
                    url.userinfo.map(|user| user.to_text()).unwrap_or_default(),
                ),
            ];
            Ok(Value::dict(
                parts.map(|(name, part)| (Text::from(name), Value::text(part))),
            ))
        }),
    ),
    (
        "urlJoin",
        fixed(&[DictParameter], |_, a| {
            let parts = dict(a, 0);
            let part = |name: &str| get_text(parts, name);
            let userinfo = match &part("userinfo")?[..] {
                b"" => None,
                text => Some(Userinfo::parse(text).ok_or("unable to parse userinfo in dict")?),
            };
            let url = Url {
                scheme: part("scheme")?,
                host: part("host")?,
                path: part("path")?,
                query: part("query")?,
                opaque: part("opaque")?,
                fragment: part("fragment")?,
                userinfo,
            };
            Ok(Value::text(url.to_text()))
        }),
    ),
];

fn get_text(parts: &Dict, name: &str) -> Result<Vec<u8>, String> {
    match parts.get(name.as_bytes()) {
        None => Ok(Vec::new()),
        Some(Value::Text(text)) => Ok(text.bytes().to_vec()),
        Some(other) => Err(format!(
            "unable to parse {name} key, must be of type string, but {} found",
            other.kind_name()
        )),
    }
}

struct Url {
    scheme: Vec<u8>,
    userinfo: Option<Userinfo>,
    host: Vec<u8>,
    path: Vec<u8>,
    query: Vec<u8>,
    opaque: Vec<u8>,
    fragment: Vec<u8>,
}

struct Userinfo {
    name: Vec<u8>,
    password: Option<Vec<u8>>,
}

/// Where a text stands decides what has to be escaped in it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Userinfo,
    Host,
    Path,
    Fragment,
}

impl Url {
    fn parse(text: &[u8]) -> Option<Self> {
        if text.iter().any(|byte| *byte < b' ' || *byte == 0x7f) {
            return None;
        }
        let (text, fragment) = cut(text, b'#');
        let fragment = unescape(fragment.unwrap_or_default(), Place::Fragment)?;
        let mut url = Self {
            scheme: Vec::new(),
            userinfo: None,
            host: Vec::new(),
            path: Vec::new(),
            query: Vec::new(),
            opaque: Vec::new(),
            fragment,
        };
        if text == b"*" {
            url.path = b"*".to_vec();
            return Some(url);
        }
        let (scheme, rest) = split_scheme(text)?;
        url.scheme = scheme.to_ascii_lowercase();
        let (rest, query) = cut(rest, b'?');
        url.query = query.unwrap_or_default().to_vec();
        if !rest.starts_with(b"/") {
            if !scheme.is_empty() {
                url.opaque = rest.to_vec();
                return Some(url);
            }
            // `a:b` could be a scheme, so the first part of a path has no colon.
            let first = rest.split(|&byte| byte == b'/').next().unwrap_or_default();
            if first.contains(&b':') {
                return None;
            }
        }
        let mut path = rest;
        let has_authority =
            rest.starts_with(b"//") && (!scheme.is_empty() || !rest.starts_with(b"///"));
        if has_authority {
            let after = &rest[2..];
            let end = after
                .iter()
                .position(|&byte| byte == b'/')
                .unwrap_or(after.len());
            let authority = &after[..end];
            path = &after[end..];
            let host = match authority.iter().rposition(|&byte| byte == b'@') {
                Some(at) => {
                    url.userinfo = Some(Userinfo::parse(&authority[..at])?);
                    &authority[at + 1..]
                }
                None => authority,
            };
            url.host = parse_host(host)?;
        }
        url.path = unescape(path, Place::Path)?;
        Some(url)
    }

    fn to_text(&self) -> Vec<u8> {
        let mut out = Vec::new();
        if !self.scheme.is_empty() {
            out.extend_from_slice(&self.scheme);
            out.push(b':');
        }
        if self.opaque.is_empty() {
            let needs_slashes =
                !self.scheme.is_empty() || !self.host.is_empty() || self.userinfo.is_some();
            if needs_slashes {
                if !self.host.is_empty() || !self.path.is_empty() || self.userinfo.is_some() {
                    out.extend_from_slice(b"//");
                }
                if let Some(userinfo) = &self.userinfo {
                    out.extend_from_slice(&userinfo.to_text());
                    out.push(b'@');
                }
                out.extend_from_slice(&escape(&self.host, Place::Host));
            }
            let path = escape(&self.path, Place::Path);
            if !path.is_empty() && path[0] != b'/' && !self.host.is_empty() {
                out.push(b'/');
            }
            if out.is_empty() {
                let first = path.split(|&byte| byte == b'/').next().unwrap_or_default();
                if first.contains(&b':') {
                    out.extend_from_slice(b"./");
                }
            }
            out.extend_from_slice(if self.path == b"*" { b"*" } else { &path });
        } else {
            out.extend_from_slice(&self.opaque);
        }
        if !self.query.is_empty() {
            out.push(b'?');
            out.extend_from_slice(&self.query);
        }
        if !self.fragment.is_empty() {
            out.push(b'#');
            out.extend_from_slice(&escape(&self.fragment, Place::Fragment));
        }
        out
    }
}

impl Userinfo {
    fn parse(text: &[u8]) -> Option<Self> {
        let is_valid =
            |byte: &u8| byte.is_ascii_alphanumeric() || b"-._:~!$&'()*+,;=%@".contains(byte);
        if !text.iter().all(is_valid) {
            return None;
        }
        let (name, password) = cut(text, b':');
        Some(Self {
            name: unescape(name, Place::Userinfo)?,
            password: match password {
                Some(password) => Some(unescape(password, Place::Userinfo)?),
                None => None,
            },
        })
    }

    fn to_text(&self) -> Vec<u8> {
        let mut out = escape(&self.name, Place::Userinfo);
        if let Some(password) = &self.password {
            out.push(b':');
            out.extend_from_slice(&escape(password, Place::Userinfo));
        }
        out
    }
}

/// Splits at the first `mark`.
fn cut(text: &[u8], mark: u8) -> (&[u8], Option<&[u8]>) {
    match text.iter().position(|&byte| byte == mark) {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    }
}

/// The scheme, if there is one, and the rest; `None` for a colon without one.
fn split_scheme(text: &[u8]) -> Option<(&[u8], &[u8])> {
    for (at, byte) in text.iter().enumerate() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' => {}
            b'0'..=b'9' | b'+' | b'-' | b'.' if at > 0 => {}
            b':' if at > 0 => return Some((&text[..at], &text[at + 1..])),
            b':' => return None,
            _ => break,
        }
    }
    Some((b"", text))
}

fn parse_host(host: &[u8]) -> Option<Vec<u8>> {
    let port = match (
        host.starts_with(b"["),
        host.iter().rposition(|&byte| byte == b']'),
    ) {
        (true, Some(end)) => &host[end + 1..],
        (true, None) => return None,
        (false, _) => match host.iter().rposition(|&byte| byte == b':') {
            Some(colon) => &host[colon..],
            None => b"",
        },
    };
    let is_port = match port.split_first() {
        None => true,
        Some((b':', digits)) => digits.iter().all(u8::is_ascii_digit),
        Some(_) => false,
    };
    if !is_port {
        return None;
    }
    unescape(host, Place::Host)
}

fn hostname(host: &[u8]) -> &[u8] {
    let without_port = match host.iter().rposition(|&byte| byte == b':') {
        Some(colon) if host[colon + 1..].iter().all(u8::is_ascii_digit) => &host[..colon],
        _ => host,
    };
    match without_port
        .strip_prefix(b"[")
        .and_then(|host| host.strip_suffix(b"]"))
    {
        Some(address) => address,
        None => without_port,
    }
}

fn unescape(text: &[u8], place: Place) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte == b'%' {
            let digits = std::str::from_utf8(rest.get(..2)?).ok()?;
            let is_hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
            let code = u8::from_str_radix(digits, 16).ok().filter(|_| is_hex)?;
            // In a host only what is no ASCII may be escaped, but for the `%` of a zone.
            if place == Place::Host && code < 0x80 && code != b'%' {
                return None;
            }
            out.push(code);
            rest = &rest[2..];
        } else {
            if place == Place::Host && byte < 0x80 && must_escape(byte, place) {
                return None;
            }
            out.push(byte);
        }
    }
    Some(out)
}

fn escape(text: &[u8], place: Place) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for &byte in text {
        if must_escape(byte, place) {
            out.extend_from_slice(format!("%{byte:02X}").as_bytes());
        } else {
            out.push(byte);
        }
    }
    out
}

fn must_escape(byte: u8, place: Place) -> bool {
    let allowed: &[u8] = match place {
        Place::Host => b"!$&'()*+,;=:[]<>\"",
        Place::Path => b"$&+,/:;=@",
        Place::Userinfo => b"$&+,;=",
        Place::Fragment => b"$&+,/:;=?@!()*",
    };
    !(byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) || allowed.contains(&byte))
}
