//! Who a request comes from, when there may be a proxy in between.

use std::net::IpAddr;

use hyper::HeaderMap;

/// The proxies whose `X-Forwarded-For` is believed.
///
/// That header is whatever the client wrote, with the addresses that each proxy saw appended to it. So it is read from its
/// end, and only as far as the addresses are those of trusted proxies.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct TrustedProxies(Vec<Network>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Network {
    address: IpAddr,
    prefix: u32,
}

impl TrustedProxies {
    /// Reads a comma-separated list of addresses and CIDR ranges; returns the first entry that is neither.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        text.split(',')
            .map(str::trim)
            .filter(|entry| !entry.is_empty())
            .map(|entry| Network::parse(entry).ok_or_else(|| entry.to_owned()))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Returns the address that a request is accounted to: the peer's, or the one that trusted proxies vouch for.
    pub(super) fn caller(&self, peer: IpAddr, headers: &HeaderMap) -> String {
        let mut caller = peer;
        let forwarded = headers.get_all("x-forwarded-for").iter().rev();
        let entries = forwarded.flat_map(|value| value.to_str().unwrap_or_default().rsplit(','));
        for entry in entries {
            if !self.contain(caller) {
                break;
            }
            match entry.trim().parse::<IpAddr>() {
                Ok(address) => caller = address.to_canonical(),
                Err(_) => break,
            }
        }
        caller.to_string()
    }

    fn contain(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(address))
    }
}

impl Network {
    fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix.parse().ok()?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.unwrap_or(longest);
        (prefix <= longest).then_some(Self { address, prefix })
    }

    fn contains(self, other: IpAddr) -> bool {
        match (self.address, other) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let rest = 32 - self.prefix;
                u32::from(own).checked_shr(rest) == u32::from(other).checked_shr(rest)
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let rest = 128 - self.prefix;
                u128::from(own).checked_shr(rest) == u128::from(other).checked_shr(rest)
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(proxies: &str, peer: &str, forwarded: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append("x-forwarded-for", value.parse().unwrap());
        }
        let proxies = TrustedProxies::parse(proxies).unwrap();
        proxies.caller(peer.parse().unwrap(), &headers)
    }

    #[test]
    fn a_header_counts_only_from_a_trusted_proxy() {
        assert_eq!(caller("", "10.0.0.1", &["1.2.3.4"]), "10.0.0.1");
        assert_eq!(caller("10.0.0.2", "10.0.0.1", &["1.2.3.4"]), "10.0.0.1");
        assert_eq!(caller("10.0.0.0/8", "10.0.0.1", &["1.2.3.4"]), "1.2.3.4");
        assert_eq!(caller("0.0.0.0/0", "10.0.0.1", &[]), "10.0.0.1");
        assert_eq!(caller("fd00::/8", "fd00::7", &["1.2.3.4"]), "1.2.3.4");
    }

    #[test]
    fn what_the_client_wrote_itself_does_not_count() {
        let trusted = "10.0.0.1, 10.1.0.0/16";
        assert_eq!(
            caller(trusted, "10.0.0.1", &["6.6.6.6, 1.2.3.4"]),
            "1.2.3.4"
        );
        assert_eq!(
            caller(trusted, "10.0.0.1", &["6.6.6.6", "1.2.3.4, 10.1.2.3"]),
            "1.2.3.4"
        );
        assert_eq!(caller(trusted, "10.0.0.1", &["1.2.3.4, junk"]), "10.0.0.1");
    }

    #[test]
    fn what_is_no_address_is_named() {
        assert_eq!(
            TrustedProxies::parse("10.0.0.0/8,example.com"),
            Err("example.com".to_owned())
        );
        assert!(TrustedProxies::parse("10.0.0.0/33").is_err());
        assert!(TrustedProxies::parse("").is_ok());
    }
}
