//! Which proxy leads to an address: the variables of the environment, read as Go programs read them, upstream's included.
//!
//! `HTTPS_PROXY` and `HTTP_PROXY` name the proxies, with `http` where no scheme stands. Loopback is never asked of a proxy,
//! nor what `NO_PROXY` lists: `*`, addresses, networks, and names with all that end in them (`.name` and `*.name` for
//! these alone); a port behind them narrows them. What cannot be read counts as not there.

use std::net::IpAddr;

use http::Uri;
use hyper_util::client::proxy::matcher::{Intercept, Matcher};

/// The proxies of a program, and what is reached without them.
pub struct Proxies {
    http: Option<Uri>,
    https: Option<Uri>,
    direct: Vec<Direct>,
    /// The same two, ready for connections.
    matcher: Matcher,
}

/// What is reached without a proxy.
enum Direct {
    Everything,
    Loopback,
    Network(IpAddr, u32),
    Address(IpAddr, String),
    Name {
        /// Begins with a dot.
        ending: String,
        /// Whether the name without that dot is meant, too.
        itself: bool,
        port: String,
    },
}

impl Proxies {
    /// Those of the environment.
    pub fn of_environment() -> Self {
        Self::of(|name| std::env::var(name).ok())
    }

    /// Those that variables name, each in large or in small letters.
    pub fn of(variable: impl Fn(&str) -> Option<String>) -> Self {
        let given = |name: &str| {
            [name.to_owned(), name.to_ascii_lowercase()]
                .iter()
                .filter_map(|name| variable(name))
                .find(|value| !value.is_empty())
        };
        let named = |name: &str| given(name).as_deref().and_then(address);
        // Servers hand a header of their clients to programs as HTTP_PROXY, and this to say that they do.
        let http = match given("REQUEST_METHOD") {
            Some(_) => None,
            None => named("HTTP_PROXY"),
        };
        let direct = direct(&given("NO_PROXY").unwrap_or_default());
        Self::new(http, named("HTTPS_PROXY"), direct)
    }

    /// None at all.
    pub(crate) fn none() -> Self {
        Self::new(None, None, Vec::new())
    }

    /// One for everything.
    pub(crate) fn always(proxy: &str) -> Self {
        let proxy = address(proxy);
        Self::new(proxy.clone(), proxy, Vec::new())
    }

    fn new(http: Option<Uri>, https: Option<Uri>, direct: Vec<Direct>) -> Self {
        let text = |proxy: &Option<Uri>| proxy.as_ref().map(Uri::to_string).unwrap_or_default();
        let matcher = Matcher::builder()
            .http(text(&http))
            .https(text(&https))
            .build();
        Self {
            http,
            https,
            direct,
            matcher,
        }
    }

    /// The address of the proxy that leads to `uri`, with its credentials; nothing where none does.
    pub fn proxy_for(&self, uri: &Uri) -> Option<&Uri> {
        let proxy = match uri.scheme_str() {
            Some("http") => self.http.as_ref(),
            Some("https") => self.https.as_ref(),
            _ => None,
        };
        proxy.filter(|_| !self.is_direct(uri))
    }

    /// The same, for connections.
    pub(crate) fn intercept(&self, uri: &Uri) -> Option<Intercept> {
        match self.is_direct(uri) {
            true => None,
            false => self.matcher.intercept(uri),
        }
    }

    fn is_direct(&self, uri: &Uri) -> bool {
        let host = uri.host().unwrap_or_default().to_ascii_lowercase();
        let host = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'))
            .unwrap_or(&host);
        let address = host
            .parse()
            .ok()
            .map(|address: IpAddr| address.to_canonical());
        let port = match (uri.port_u16(), uri.scheme_str()) {
            (Some(port), _) => port.to_string(),
            (None, Some("https")) => "443".to_owned(),
            (None, _) => "80".to_owned(),
        };
        self.direct
            .iter()
            .any(|direct| direct.covers(host, address, &port))
    }
}

impl Direct {
    fn covers(&self, host: &str, address: Option<IpAddr>, asked: &str) -> bool {
        let fits = |port: &str| port.is_empty() || port == asked;
        match self {
            Self::Everything => true,
            Self::Loopback => {
                host == "localhost" || address.is_some_and(|address| address.is_loopback())
            }
            Self::Network(network, prefix) => {
                address.is_some_and(|address| is_in(address, *network, *prefix))
            }
            Self::Address(listed, port) => address == Some(*listed) && fits(port),
            Self::Name {
                ending,
                itself,
                port,
            } => {
                address.is_none()
                    && (host.ends_with(ending.as_str()) || *itself && host == &ending[1..])
                    && fits(port)
            }
        }
    }

    /// Reads one entry of the list, in small letters.
    fn read(entry: &str) -> Option<Self> {
        if let Some((network, prefix)) = entry.split_once('/')
            && let (Ok(network), Ok(prefix)) = (network.parse::<IpAddr>(), prefix.parse::<u32>())
        {
            let longest = if network.is_ipv4() { 32 } else { 128 };
            return (prefix <= longest).then_some(Self::Network(network, prefix));
        }
        let (name, port) = match entry.rsplit_once(':') {
            Some((name, port)) if !name.contains(':') => (name, port),
            Some((name, port)) if name.starts_with('[') && name.ends_with(']') => {
                (&name[1..name.len() - 1], port)
            }
            _ => (entry, ""),
        };
        if name.is_empty() {
            return None;
        }
        let port = port.to_owned();
        if let Ok(address) = name.parse::<IpAddr>() {
            return Some(Self::Address(address.to_canonical(), port));
        }
        let name = match name.strip_prefix('*') {
            Some(rest) if rest.starts_with('.') => rest,
            _ => name,
        };
        let itself = !name.starts_with('.');
        let ending = match itself {
            true => format!(".{name}"),
            false => name.to_owned(),
        };
        Some(Self::Name {
            ending,
            itself,
            port,
        })
    }
}

/// What a list names, and loopback.
fn direct(list: &str) -> Vec<Direct> {
    let list = list.to_lowercase();
    let entries: Vec<&str> = list.split(',').map(str::trim).collect();
    if entries.contains(&"*") {
        return vec![Direct::Everything];
    }
    let named = entries.into_iter().filter_map(Direct::read);
    [Direct::Loopback].into_iter().chain(named).collect()
}

/// The address of a proxy, if it is one.
fn address(text: &str) -> Option<Uri> {
    let whole = match text.contains("://") {
        true => text.to_owned(),
        false => format!("http://{text}"),
    };
    let read: Option<Uri> = whole.parse().ok();
    read.filter(|uri| uri.host().is_some_and(|host| !host.is_empty()))
}

fn is_in(address: IpAddr, network: IpAddr, prefix: u32) -> bool {
    let (difference, bits) = match (address, network) {
        (IpAddr::V4(address), IpAddr::V4(network)) => {
            (u128::from(address.to_bits() ^ network.to_bits()), 32)
        }
        (IpAddr::V6(address), IpAddr::V6(network)) => (address.to_bits() ^ network.to_bits(), 128),
        _ => return false,
    };
    // A shift by all 128 bits leaves nothing.
    difference.checked_shr(bits - prefix).unwrap_or(0) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(variables: &[(&str, &str)]) -> Proxies {
        Proxies::of(|name| {
            let found = variables.iter().find(|(given, _)| *given == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    fn way(proxies: &Proxies, url: &str) -> Option<String> {
        let url: Uri = url.parse().unwrap();
        let named = proxies.proxy_for(&url).map(Uri::to_string);
        assert_eq!(
            proxies.intercept(&url).is_some(),
            named.is_some(),
            "both answer alike: {url}"
        );
        named
    }

    #[test]
    fn variables_name_proxies_by_the_scheme_of_the_address() {
        let both = proxies(&[
            ("HTTPS_PROXY", "http://user:pass@s:1"),
            ("http_proxy", "p:2"),
        ]);
        let through = way(&both, "https://api:6443/x");
        assert_eq!(through.as_deref(), Some("http://user:pass@s:1/"));
        assert_eq!(way(&both, "http://api/").as_deref(), Some("http://p:2/"));
        // Large letters count more, an empty value counts nothing, and what is no address is none.
        let both = proxies(&[("HTTPS_PROXY", "l:1"), ("https_proxy", "s:1")]);
        assert_eq!(way(&both, "https://api/").as_deref(), Some("http://l:1/"));
        let empty = proxies(&[("HTTPS_PROXY", ""), ("https_proxy", "s:1")]);
        assert_eq!(way(&empty, "https://api/").as_deref(), Some("http://s:1/"));
        let broken = proxies(&[("HTTPS_PROXY", "http://a b")]);
        assert_eq!(way(&broken, "https://api/"), None);
        // Other programs know this one; upstream's do not.
        let all = proxies(&[("ALL_PROXY", "http://a:1")]);
        assert_eq!(way(&all, "https://api/"), None);
        let cgi = proxies(&[("HTTP_PROXY", "p:2"), ("REQUEST_METHOD", "GET")]);
        assert_eq!(way(&cgi, "http://api/"), None);
    }

    #[test]
    fn some_addresses_are_reached_without_a_proxy() {
        // A list, what is reached without a proxy by it, and what is not.
        let cases: &[(&str, &[&str], &[&str])] = &[
            (
                "",
                &[
                    "https://localhost:1",
                    "https://127.0.0.1",
                    "https://127.9.9.9:6443",
                    "https://[::1]:2",
                    "https://[::ffff:127.0.0.1]",
                ],
                &[
                    "https://api",
                    "https://10.0.0.1",
                    "https://localhost.example",
                ],
            ),
            ("*", &["https://api", "https://10.0.0.1"], &[]),
            ("a, *", &["https://b"], &[]),
            (
                "localhost,",
                &["https://localhost"],
                &["https://api.example"],
            ),
            (" , ,", &[], &["https://api.example"]),
            (
                "example.com",
                &["https://example.com:6443", "https://API.Example.com"],
                &["https://notexample.com", "https://example.com.org"],
            ),
            (
                ".example.com",
                &["https://api.example.com"],
                &["https://example.com"],
            ),
            (
                "*.EXAMPLE.com",
                &["https://api.example.com"],
                &["https://example.com"],
            ),
            (
                "api.example:6443,b.example:443",
                &["https://api.example:6443", "https://b.example"],
                &["https://api.example", "https://b.example:6443"],
            ),
            (
                "10.0.0.0/8, 192.168.1.0/31,fd00::/8",
                &[
                    "https://10.255.1.1:6443",
                    "https://192.168.1.1",
                    "https://[fd12::1]",
                ],
                &[
                    "https://11.0.0.1",
                    "https://192.168.1.2",
                    "https://[fe12::1]",
                    "https://10.example",
                ],
            ),
            ("0.0.0.0/0", &["https://1.2.3.4"], &["https://[fd12::1]"]),
            ("::/0", &["https://[fd12::1]"], &["https://1.2.3.4"]),
            ("10.0.0.0/33", &[], &["https://10.0.0.1"]),
            (
                "10.0.0.1,10.0.0.2:6443,[fd00::1]:6443,fd00::2",
                &[
                    "https://10.0.0.1:9",
                    "https://10.0.0.2:6443",
                    "https://[fd00::1]:6443",
                    "https://[fd00::2]",
                ],
                &[
                    "https://10.0.0.2",
                    "https://[fd00::1]",
                    "https://10.0.0.3",
                    "https://x.10.0.0.1.example",
                ],
            ),
            (":80,[]:80", &[], &["https://api.example:80"]),
        ];
        for (list, direct, proxied) in cases {
            let proxies = proxies(&[("HTTPS_PROXY", "http://p:1"), ("NO_PROXY", list)]);
            for url in *direct {
                assert_eq!(way(&proxies, url), None, "{list:?}: {url}");
            }
            for url in *proxied {
                assert!(way(&proxies, url).is_some(), "{list:?}: {url}");
            }
        }
    }

    #[test]
    fn one_for_everything_has_no_exceptions() {
        let always = Proxies::always("http://p:1");
        assert!(way(&always, "https://127.0.0.1").is_some());
        assert!(way(&always, "http://127.0.0.1").is_some());
        assert_eq!(way(&Proxies::none(), "https://api"), None);
    }
}
