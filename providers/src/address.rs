//! Addresses that no store may have: those at which a machine's own services answer.
//!
//! The author of a SecretStore chooses where the controller sends requests. At link-local addresses clouds hand out the
//! machine's credentials to everyone who asks, so they are refused, after the name was resolved: a name that leads there
//! is refused too. Loopback addresses are allowed: agents run beside the program.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Which addresses are refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Guard {
    /// Link-local addresses, those of metadata services, and those that are no host's.
    #[default]
    Machine,
    /// None. For addresses that the person who runs the program has chosen.
    Open,
}

impl Guard {
    /// Returns true if a connection to `address` may be made.
    pub fn allows(self, address: IpAddr) -> bool {
        match self {
            Self::Open => true,
            Self::Machine => match address.to_canonical() {
                IpAddr::V4(address) => allows_v4(address),
                IpAddr::V6(address) => allows_v6(address),
            },
        }
    }
}

fn allows_v4(address: Ipv4Addr) -> bool {
    let [first, ..] = address.octets();
    // 168.63.129.16 answers for Azure's machines, 100.100.100.200 and 192.0.0.192 for those of Alibaba and Oracle.
    let metadata = [
        Ipv4Addr::new(168, 63, 129, 16),
        Ipv4Addr::new(100, 100, 100, 200),
        Ipv4Addr::new(192, 0, 0, 192),
    ];
    !(address.is_link_local()
        || address.is_broadcast()
        || address.is_multicast()
        || first == 0
        || metadata.contains(&address))
}

fn allows_v6(address: Ipv6Addr) -> bool {
    // Addresses that carry an IPv4 address lead to it on machines that translate: 64:ff9b::/96 and 2002::/16.
    let parts = address.segments();
    let v4 = |high: u16, low: u16| {
        let [a, b] = high.to_be_bytes();
        let [c, d] = low.to_be_bytes();
        Ipv4Addr::new(a, b, c, d)
    };
    let carried = match parts {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Some(v4(high, low)),
        [0x2002, high, low, ..] => Some(v4(high, low)),
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 => Some(v4(high, low)),
        _ => None,
    };
    // fd00:ec2::254 and fd20:ce::254 answer for the machines of AWS and Google.
    let metadata = matches!(
        parts,
        [0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254] | [0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254]
    );
    !(address.is_unicast_link_local()
        || address.is_multicast()
        || address.is_unspecified()
        || metadata)
        && carried.is_none_or(allows_v4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machines_own_services_are_refused() {
        for refused in [
            "169.254.169.254",
            "169.254.170.2",
            "0.0.0.0",
            "0.1.2.3",
            "224.0.0.1",
            "255.255.255.255",
            "168.63.129.16",
            "100.100.100.200",
            "::",
            "fe80::1",
            "fd00:ec2::254",
            "fd20:ce::254",
            "::ffff:169.254.169.254",
            "::169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "2002:a9fe:a9fe::1",
            "ff02::1",
        ] {
            let address: IpAddr = refused.parse().unwrap();
            assert!(!Guard::Machine.allows(address), "{refused}");
            assert!(Guard::Open.allows(address), "{refused}");
        }
        for allowed in [
            "127.0.0.1",
            "::1",
            "10.0.0.1",
            "192.168.1.1",
            "93.184.216.34",
            "2606::1",
            "fd12::1",
        ] {
            assert!(Guard::Machine.allows(allowed.parse().unwrap()), "{allowed}");
        }
    }
}
