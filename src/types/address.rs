use std::net::{IpAddr, Ipv6Addr};

use ipnet::IpNet;

/// An address as every policy sees it: an IPv4 address mapped into IPv6 (RFC 4291 2.5.5.2) is that
/// IPv4 address, or a dual-stack listener would let `::ffff:192.0.2.1` past a rule on `192.0.2.1`.
pub fn canonical(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

/// Appends an address as text. Each request needs it twice, and `Display`, which can pad, takes five
/// times as long.
pub fn write_address(out: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(v4) => {
            let mut digits = itoa::Buffer::new();
            for (at, octet) in v4.octets().into_iter().enumerate() {
                if at > 0 {
                    out.push(b'.');
                }
                out.extend_from_slice(digits.format(octet).as_bytes());
            }
        }
        IpAddr::V6(v6) => out.extend_from_slice(v6.to_string().as_bytes()),
    }
}

/// Who is counted as one by limits per address: an IPv4 address, or an IPv6 /64.
///
/// A /64 is what one customer gets; counted singly, its 2^64 addresses would outrun any table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AddressGroup(IpAddr);

impl From<IpAddr> for AddressGroup {
    fn from(address: IpAddr) -> Self {
        match canonical(address) {
            IpAddr::V6(v6) => {
                Self(IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))))
            }
            v4 @ IpAddr::V4(_) => Self(v4),
        }
    }
}

impl AddressGroup {
    /// The group as a net.
    pub fn net(self) -> IpNet {
        match self.0 {
            IpAddr::V4(_) => self.0.into(),
            IpAddr::V6(_) => self.wider(64),
        }
    }

    /// The IPv6 /48 that a site gets, with 65,536 groups in it. IPv4 has none.
    pub fn site(self) -> Option<IpNet> {
        self.0.is_ipv6().then(|| self.wider(48))
    }

    fn wider(self, prefix: u8) -> IpNet {
        IpNet::new(self.0, prefix).map_or(self.0.into(), |net| net.trunc())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(text: &str) -> AddressGroup {
        text.parse::<IpAddr>().unwrap().into()
    }

    #[test]
    fn an_address_is_written_as_it_prints() {
        for text in ["192.0.2.1", "0.0.0.0", "255.255.255.255", "2001:db8::1", "::"] {
            let mut out = Vec::new();
            write_address(&mut out, text.parse().unwrap());
            assert_eq!(out, text.as_bytes());
        }
    }

    #[test]
    fn ipv6_is_counted_by_its_64_and_mapped_ipv4_as_itself() {
        assert_eq!(group("2001:db8:1:2::1"), group("2001:db8:1:2:ffff::9"));
        assert_ne!(group("2001:db8:1:2::1"), group("2001:db8:1:3::1"));
        assert_eq!(group("::ffff:192.0.2.1"), group("192.0.2.1"));
        assert_ne!(group("192.0.2.1"), group("192.0.2.2"));
    }
}
