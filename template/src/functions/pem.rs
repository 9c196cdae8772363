//! PEM blocks and certificate chains, as the External Secrets Operator filters them.

use sealwright_crypto::sealing::pem::{self, Block};
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::function::Parameter::Text as TextParameter;
use crate::function::{Entry, bytes, fixed};
use crate::text::Text;
use crate::value::Value;

pub(super) const FUNCTIONS: &[Entry] = &[
    (
        "filterPEM",
        fixed(&[TextParameter, TextParameter], |_, a| {
            filter(bytes(a, 0), bytes(a, 1))
        }),
    ),
    (
        "filterCertChain",
        fixed(&[TextParameter, TextParameter], |_, a| {
            let chain = chain(bytes(a, 1))?;
            Ok(Value::text(part_of(&chain, bytes(a, 0))))
        }),
    ),
    (
        "certSANs",
        fixed(&[TextParameter], |_, a| names(bytes(a, 0))),
    ),
];

const CERTIFICATE: &str = "CERTIFICATE";

/// The text from its first block on, which may begin in the middle of a line.
fn from_first_block(text: &[u8]) -> &[u8] {
    memchr::memmem::find(text, b"-----BEGIN").map_or(text, |at| &text[at..])
}

/// Keeps the blocks of one type.
fn filter(kind: &[u8], text: &[u8]) -> Result<Value, String> {
    let text = from_first_block(text);
    let blocks: Vec<_> = pem::read(text)
        .into_iter()
        .filter(|block| block.content.is_some())
        .collect();
    let rest = blocks.last().map_or(0, |last| last.end);
    let mut out = Vec::with_capacity(text.len() + 64);
    for block in &blocks {
        if block.label.as_bytes().eq_ignore_ascii_case(kind) {
            write(&mut out, block);
        }
    }
    if out.is_empty() && rest < text.len() {
        return Err("error filtering pem: found junk".to_owned());
    }
    Ok(Value::text(out))
}

/// A block as Go writes it again, its headers included: `Proc-Type` first, then by name.
fn write(out: &mut Vec<u8>, block: &Block<'_>) {
    let Some(content) = &block.content else {
        return;
    };
    let written = pem::write(block.label, content);
    if block.headers.is_empty() {
        out.extend_from_slice(&written);
        return;
    }
    let mut headers: Vec<(Vec<u8>, Vec<u8>)> = block
        .headers
        .iter()
        .filter_map(|line| {
            let colon = line.iter().position(|&byte| byte == b':')?;
            let (name, value) = (&line[..colon], &line[colon + 1..]);
            Some((name.trim_ascii().to_vec(), value.trim_ascii().to_vec()))
        })
        .collect();
    headers.sort_by(|a, b| {
        let is_later = |name: &[u8]| name != b"Proc-Type";
        (is_later(&a.0), &a.0).cmp(&(is_later(&b.0), &b.0))
    });
    let first_line = written.iter().position(|&byte| byte == b'\n');
    let (start, body) = written.split_at(first_line.map_or(0, |at| at + 1));
    out.extend_from_slice(start);
    for (name, value) in headers {
        out.extend_from_slice(&[&name[..], b": ", &value, b"\n"].concat());
    }
    out.push(b'\n');
    out.extend_from_slice(body);
}

/// A certificate with what ties it to others.
#[derive(Clone)]
pub(super) struct Link {
    pub(super) der: Vec<u8>,
    authority: Option<Vec<u8>>,
    subject: Option<Vec<u8>>,
}

impl Link {
    pub(super) fn parse(der: &[u8]) -> Result<Self, String> {
        let (rest, certificate) =
            X509Certificate::from_der(der).map_err(|_| "malformed certificate".to_owned())?;
        if !rest.is_empty() {
            return Err("trailing data behind the certificate".to_owned());
        }
        let mut link = Self {
            der: der.to_vec(),
            authority: None,
            subject: None,
        };
        for extension in certificate.extensions() {
            match extension.parsed_extension() {
                ParsedExtension::AuthorityKeyIdentifier(id) => {
                    link.authority = id.key_identifier.as_ref().map(|id| id.0.to_vec());
                }
                ParsedExtension::SubjectKeyIdentifier(id) => link.subject = Some(id.0.to_vec()),
                _ => {}
            }
        }
        Ok(link)
    }

    fn is_root(&self) -> bool {
        self.authority.is_none() || self.authority == self.subject
    }
}

/// The certificates of a text as one chain from leaf to root, tied by their key identifiers. Nothing is verified.
fn chain(text: &[u8]) -> Result<Vec<Link>, String> {
    let links = pem::read(text)
        .iter()
        .filter_map(|block| block.content.as_ref())
        .map(|der| Link::parse(der))
        .collect::<Result<Vec<_>, _>>()?;
    ordered(&links)
}

/// Orders certificates from leaf to root.
pub(super) fn ordered(links: &[Link]) -> Result<Vec<Link>, String> {
    // No list is long: more than this do not fit a Secret.
    if links.len() > 2000 {
        return Err("too many certificates".to_owned());
    }
    let mut parents = vec![None; links.len()];
    let mut is_parent = vec![false; links.len()];
    for (index, link) in links.iter().enumerate() {
        let authority = link.authority.as_deref().unwrap_or_default();
        let parent = links.iter().enumerate().position(|(other, candidate)| {
            other != index && candidate.subject.as_deref().unwrap_or_default() == authority
        });
        if let Some(parent) = parent {
            is_parent[parent] = true;
            parents[index] = Some(parent);
        }
    }
    let mut leaves = (0..links.len()).filter(|&index| !is_parent[index]);
    let leaf = leaves.next().ok_or("no leaf certificate found")?;
    if leaves.next().is_some() {
        return Err("found multiple leaf or disjunct certificates".to_owned());
    }
    let mut chain = Vec::new();
    let mut next = Some(leaf);
    while let Some(index) = next {
        if chain.len() == links.len() {
            return Err("constructing chain resulted in cycle".to_owned());
        }
        chain.push(links[index].clone());
        next = parents[index];
    }
    Ok(chain)
}

/// Writes certificates as PEM.
pub(super) fn certificates<'a>(links: impl IntoIterator<Item = &'a Link>) -> Vec<u8> {
    let mut out = Vec::new();
    for link in links {
        out.extend_from_slice(&pem::write(CERTIFICATE, &link.der));
    }
    out
}

fn part_of(chain: &[Link], kind: &[u8]) -> Vec<u8> {
    let (Some(first), Some(last)) = (chain.first(), chain.last()) else {
        return Vec::new();
    };
    match kind {
        b"leaf" if !first.is_root() => certificates([first]),
        b"intermediate" => certificates(chain[1..].iter().take_while(|link| !link.is_root())),
        b"root" if last.is_root() => certificates([last]),
        _ => Vec::new(),
    }
}

/// The alternative names of the first certificate: DNS names, addresses, e-mail addresses and URIs.
fn names(text: &[u8]) -> Result<Value, String> {
    let blocks = pem::read(from_first_block(text));
    let first = blocks.iter().find_map(|block| block.content.as_ref());
    let der = first.ok_or("failed to decode PEM block")?;
    let (_, certificate) =
        X509Certificate::from_der(der).map_err(|_| "failed to parse certificate")?;
    let alternatives = certificate
        .subject_alternative_name()
        .map_err(|_| "failed to parse certificate")?;
    let mut lists: [Vec<Text>; 4] = Default::default();
    let general = alternatives
        .iter()
        .flat_map(|names| &names.value.general_names);
    for name in general {
        match name {
            GeneralName::DNSName(name) => lists[0].push(Text::from(*name)),
            GeneralName::IPAddress(bytes) => {
                let text = match **bytes {
                    [a, b, c, d] => std::net::Ipv4Addr::new(a, b, c, d).to_string(),
                    _ => <[u8; 16]>::try_from(*bytes)
                        .map(|bytes| std::net::Ipv6Addr::from(bytes).to_string())
                        .map_err(|_| "failed to parse certificate")?,
                };
                lists[1].push(Text::from(text));
            }
            GeneralName::RFC822Name(name) => lists[2].push(Text::from(*name)),
            GeneralName::URI(uri) => lists[3].push(Text::from(*uri)),
            _ => {}
        }
    }
    Ok(Value::texts(lists.concat()))
}
