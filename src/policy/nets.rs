use std::net::IpAddr;

use ipnet::IpNet;
use prefix_trie::PrefixMap;

use crate::types::canonical;

/// An allow list and a deny list of nets, compiled so that ten nets and a hundred thousand cost
/// the same to ask.
///
/// The longest prefix wins; deny wins a tie; an allow list denies the rest.
#[derive(Clone)]
pub struct NetList {
    v4: PrefixMap<ipnet::Ipv4Net, Verdict>,
    v6: PrefixMap<ipnet::Ipv6Net, Verdict>,
    otherwise: Verdict,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Allow,
    Deny,
}

impl NetList {
    /// Compiles the two lists. Without an allow list (`None`) everyone is let in who isn't denied.
    pub fn new(allow: Option<&[IpNet]>, deny: &[IpNet]) -> Self {
        let otherwise = if allow.is_some() { Verdict::Deny } else { Verdict::Allow };
        let mut list = Self { v4: PrefixMap::new(), v6: PrefixMap::new(), otherwise };
        for net in allow.unwrap_or_default() {
            list.insert(*net, Verdict::Allow);
        }
        // After the allow list, so that deny wins where both name the same net.
        for net in deny {
            list.insert(*net, Verdict::Deny);
        }
        list
    }

    /// Lets everyone in.
    pub fn everyone() -> Self {
        Self::new(None, &[])
    }

    /// Whether the address is let in.
    pub fn lets_in(&self, address: IpAddr) -> bool {
        let verdict = match canonical(address) {
            IpAddr::V4(v4) => self.v4.get_lpm(&v4.into()).map(|(_, verdict)| *verdict),
            IpAddr::V6(v6) => self.v6.get_lpm(&v6.into()).map(|(_, verdict)| *verdict),
        };
        verdict.unwrap_or(self.otherwise) == Verdict::Allow
    }

    fn insert(&mut self, net: IpNet, verdict: Verdict) {
        match unmapped(net.trunc()) {
            IpNet::V4(net) => {
                self.v4.insert(net, verdict);
            }
            IpNet::V6(net) => {
                self.v6.insert(net, verdict);
            }
        }
    }
}

/// A net written as `::ffff:192.0.2.0/120` is the IPv4 net that it maps.
fn unmapped(net: IpNet) -> IpNet {
    let IpNet::V6(v6) = net else { return net };
    let inside = v6.prefix_len().checked_sub(96).zip(v6.addr().to_ipv4_mapped());
    inside
        .and_then(|(prefix, address)| ipnet::Ipv4Net::new(address, prefix).ok())
        .map_or(net, IpNet::V4)
}

/// The peers whose forwarding header is believed.
#[derive(Clone)]
pub struct TrustedProxies(NetList);

impl TrustedProxies {
    /// Compiles the nets of `trusted_proxies`.
    pub fn new(nets: &[IpNet]) -> Self {
        Self(NetList::new(Some(nets), &[]))
    }

    /// Whether a peer is one of them.
    pub fn trusts(&self, peer: IpAddr) -> bool {
        self.0.lets_in(peer)
    }

    /// The client behind a trusted peer: the rightmost hop of the forwarding header that no
    /// trusted proxy wrote for itself. Hops left of it are the client's own words.
    ///
    /// `None` where a hop that has to be read isn't an address; that is refused, never guessed.
    pub fn client(&self, peer: IpAddr, hops: &str) -> Option<IpAddr> {
        let mut client = canonical(peer);
        for hop in hops.rsplit(',') {
            if !self.trusts(client) {
                break;
            }
            client = canonical(address_of(hop.trim_matches([' ', '\t']))?);
        }
        Some(client)
    }
}

/// The address of a hop: `192.0.2.1`, `2001:db8::1`, and with the port that Azure's gateways and others
/// write behind it, `192.0.2.1:443` and `[2001:db8::1]:443`. Nothing else.
fn address_of(hop: &str) -> Option<IpAddr> {
    if let Ok(address) = hop.parse() {
        return Some(address);
    }
    let (address, port) = hop.rsplit_once(':')?;
    let is_port = port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok();
    let address = match address.strip_prefix('[') {
        Some(inner) => IpAddr::V6(inner.strip_suffix(']')?.parse().ok()?),
        None => IpAddr::V4(address.parse().ok()?),
    };
    is_port.then_some(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nets(texts: &[&str]) -> Vec<IpNet> {
        let read = |text: &&str| {
            text.parse().unwrap_or_else(|_| IpNet::from(text.parse::<IpAddr>().unwrap()))
        };
        texts.iter().map(read).collect()
    }

    fn check(allow: Option<&[&str]>, deny: &[&str], inside: &[&str], outside: &[&str]) {
        let list = NetList::new(allow.map(nets).as_deref(), &nets(deny));
        for address in inside {
            assert!(list.lets_in(address.parse().unwrap()), "{address} should be let in");
        }
        for address in outside {
            assert!(!list.lets_in(address.parse().unwrap()), "{address} should be kept out");
        }
    }

    #[test]
    fn the_longest_prefix_wins_and_deny_wins_a_tie() {
        check(
            Some(&["10.0.0.0/8", "10.1.2.3", "2001:db8::/32"]),
            &["10.1.0.0/16", "10.9.0.0/16", "2001:db8:bad::/48"],
            &["10.0.0.1", "10.1.2.3", "::ffff:10.1.2.3", "2001:db8::1"],
            &["10.1.2.4", "10.9.0.1", "192.0.2.1", "2001:db8:bad::1", "2001:db9::1"],
        );
        check(Some(&["10.0.0.0/8"]), &["10.0.0.0/8"], &[], &["10.0.0.1"]);
    }

    #[test]
    fn without_an_allow_list_only_the_denied_are_kept_out() {
        check(None, &["192.0.2.0/24"], &["198.51.100.1", "::1"], &["192.0.2.9"]);
        check(None, &["::ffff:192.0.2.0/120"], &["192.0.3.1"], &["192.0.2.9", "::ffff:192.0.2.9"]);
        check(Some(&[]), &[], &[], &["127.0.0.1", "::1"]);
    }

    #[test]
    fn the_client_is_the_rightmost_hop_that_no_trusted_proxy_wrote_for_itself() {
        let trusted = TrustedProxies::new(&nets(&["10.0.0.0/8"]));
        let client = |peer: &str, hops| {
            trusted.client(peer.parse().unwrap(), hops).map(|address| address.to_string())
        };
        assert_eq!(client("192.0.2.1", "198.51.100.7").as_deref(), Some("192.0.2.1"));
        assert_eq!(client("10.0.0.1", "6.6.6.6, 198.51.100.7").as_deref(), Some("198.51.100.7"));
        assert_eq!(client("10.0.0.1", "198.51.100.7, 10.0.0.2").as_deref(), Some("198.51.100.7"));
        assert_eq!(client("10.0.0.1", "junk, 198.51.100.7").as_deref(), Some("198.51.100.7"));
        assert_eq!(client("10.0.0.1", "198.51.100.7, junk"), None);
        assert_eq!(client("10.0.0.1", "10.0.0.3").as_deref(), Some("10.0.0.3"));
    }

    #[test]
    fn a_hop_is_an_address_with_or_without_a_port() {
        for (hop, address) in [
            ("192.0.2.1", Some("192.0.2.1")),
            ("192.0.2.1:443", Some("192.0.2.1")),
            ("2001:db8::1", Some("2001:db8::1")),
            ("2001:db8::1:443", Some("2001:db8::1:443")),
            ("[2001:db8::1]:443", Some("2001:db8::1")),
            ("[2001:db8::1]", None),
            ("[192.0.2.1]:443", None),
            ("192.0.2.1:", None),
            ("192.0.2.1:65536", None),
            ("192.0.2.1:+1", None),
            ("192.0.2.1:1:1", None),
            ("[fe80::1%1]:443", None),
            ("192.0.2.01", None),
            ("\"192.0.2.1\"", None),
            ("unknown", None),
            ("", None),
        ] {
            let read = address_of(hop).map(|address| address.to_string());
            assert_eq!(read.as_deref(), address, "{hop}");
        }
    }
}
