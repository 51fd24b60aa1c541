use std::{net::IpAddr, sync::Arc};

use ipnet::IpNet;
use prefix_trie::PrefixMap;

use crate::types::canonical;

/// An allow list and a deny list of nets, compiled so that ten nets and a hundred thousand cost
/// the same to ask.
///
/// The longest prefix wins; deny wins a tie; an allow list denies the rest.
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

    /// Whether the address is let in.
    pub fn lets_in(&self, address: IpAddr) -> bool {
        let verdict = match canonical(address) {
            IpAddr::V4(v4) => self.v4.get_lpm(&v4.into()).map(|(_, verdict)| *verdict),
            IpAddr::V6(v6) => self.v6.get_lpm(&v6.into()).map(|(_, verdict)| *verdict),
        };
        verdict.unwrap_or(self.otherwise) == Verdict::Allow
    }

    /// Whether every address of the net is kept out.
    pub fn keeps_out_all_of(&self, net: IpNet) -> bool {
        // What the net inherits, and whether a part of it has something else.
        let (inherited, lets_in_part) = match unmapped(net.trunc()) {
            IpNet::V4(net) => (
                self.v4.get_lpm(&net).map(|(_, verdict)| *verdict),
                self.v4.children(&net).any(|(_, part)| *part == Verdict::Allow),
            ),
            IpNet::V6(net) => (
                self.v6.get_lpm(&net).map(|(_, verdict)| *verdict),
                self.v6.children(&net).any(|(_, part)| *part == Verdict::Allow),
            ),
        };
        inherited.unwrap_or(self.otherwise) == Verdict::Deny && !lets_in_part
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
pub(super) fn unmapped(net: IpNet) -> IpNet {
    let IpNet::V6(v6) = net else { return net };
    let inside = v6.prefix_len().checked_sub(96).zip(v6.addr().to_ipv4_mapped());
    inside
        .and_then(|(prefix, address)| ipnet::Ipv4Net::new(address, prefix).ok())
        .map_or(net, IpNet::V4)
}

/// The address lists of one place of the configuration: of `[access]`, a route or a consumer.
///
/// A list in observe mode refuses nobody and lets nobody in: it only says whom it would refuse if it
/// stood beside the others in force. Without lists everyone is let in. Shared, because a thousand
/// consumers may name one set of ten thousand nets.
#[derive(Clone, Default)]
pub struct AddressPolicy {
    /// The lists in force.
    enforced: Option<Arc<NetList>>,
    /// All lists, where one is observed.
    all: Option<Arc<NetList>>,
}

/// What an address policy says of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admittance {
    /// It may come.
    LetIn,
    /// It may come; a list in observe mode would refuse it.
    Observed,
    /// It may not come.
    KeptOut,
}

impl AddressPolicy {
    /// The lists in force, and all lists where one is observed.
    pub fn new(enforced: Option<NetList>, all: Option<NetList>) -> Self {
        Self { enforced: enforced.map(Arc::new), all: all.map(Arc::new) }
    }

    /// Whether the address may come.
    pub fn judge(&self, address: IpAddr) -> Admittance {
        let refuses =
            |list: &Option<Arc<NetList>>| list.as_ref().is_some_and(|list| !list.lets_in(address));
        if refuses(&self.enforced) {
            Admittance::KeptOut
        } else if refuses(&self.all) {
            Admittance::Observed
        } else {
            Admittance::LetIn
        }
    }

    /// Whether the two are one compiled list.
    #[cfg(test)]
    pub(crate) fn is_shared_with(&self, other: &Self) -> bool {
        let both = self.enforced.as_ref().zip(other.enforced.as_ref());
        both.is_some_and(|(one, other)| Arc::ptr_eq(one, other))
    }

    /// Whether no list is written.
    pub fn is_open(&self) -> bool {
        self.enforced.is_none() && self.all.is_none()
    }

    /// Whether every address of the net is kept out.
    pub fn keeps_out_all_of(&self, net: IpNet) -> bool {
        self.enforced.as_ref().is_some_and(|list| list.keeps_out_all_of(net))
    }
}

/// The peers whose forwarding header is believed.
pub struct TrustedProxies(NetList);

impl TrustedProxies {
    /// Compiles the nets of `trusted_proxies`.
    pub fn new(nets: &[IpNet]) -> Self {
        Self(NetList::new(Some(nets), &[]))
    }

    /// Whether a peer is one of them. Its connections carry many clients.
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

    #[test]
    fn an_observed_list_refuses_nobody_lets_nobody_in_and_says_whom_it_would_refuse() {
        let list = |allow: Option<&[&str]>, deny: &[&str]| {
            NetList::new(allow.map(nets).as_deref(), &nets(deny))
        };
        // `deny = ["10.0.0.0/8"]` in force, and of `allow = ["10.1.0.0/16"]` is asked what it would do.
        let policy = AddressPolicy::new(
            Some(list(None, &["10.0.0.0/8"])),
            Some(list(Some(&["10.1.0.0/16"]), &["10.0.0.0/8"])),
        );
        let judge = |address: &str| policy.judge(address.parse().unwrap());
        assert_eq!(judge("10.1.0.1"), Admittance::KeptOut, "observed, it lets nobody in");
        assert_eq!(judge("192.0.2.1"), Admittance::Observed);
        let policy = AddressPolicy::new(None, Some(list(None, &["192.0.2.0/24"])));
        let judge = |address: &str| policy.judge(address.parse().unwrap());
        assert_eq!(judge("::ffff:192.0.2.1"), Admittance::Observed);
        assert_eq!(judge("198.51.100.1"), Admittance::LetIn);
        assert_eq!(AddressPolicy::default().judge([192, 0, 2, 1].into()), Admittance::LetIn);
    }

    #[test]
    fn a_net_is_kept_out_where_no_part_of_it_is_let_in() {
        let list = NetList::new(Some(&nets(&["10.1.2.3", "2001:db8::/32"])), &[]);
        for (net, out) in [
            ("10.0.0.0/8", false),
            ("10.1.2.0/24", false),
            ("10.1.3.0/24", true),
            ("::ffff:10.1.2.3/128", false),
            ("2001:db8:1::/48", false),
            ("2001:db9::/48", true),
        ] {
            assert_eq!(list.keeps_out_all_of(net.parse().unwrap()), out, "{net}");
        }
    }
}
