//! Which endpoint a request goes to.
//!
//! By rendezvous hashing: each endpoint has a number for each key, and the highest is the key's own.
//! So all requests of a key go to one endpoint, on every gateway that has the same list, in whatever
//! order; where one is out its keys alone move, each to the next by the same numbers, and come back
//! with it. A ring of addresses would have to be made anew whenever a name leads elsewhere.

use std::{hash::Hasher, net::IpAddr};

use siphasher::sip::SipHasher13;

use crate::{snapshot::Endpoint, types::AddressGroup};

/// What decides where a request goes.
#[derive(Clone, Copy)]
pub enum Choice<'c> {
    /// Any endpoint will do, and for one key it is always the same.
    Of(Affinity),
    /// This one alone: it has the session, or the stream that is meant.
    Bound(&'c Endpoint),
}

/// What a request has in common with others that should go to the same endpoint. It comes of a key, so
/// it isn't shown.
#[derive(Clone, Copy)]
pub struct Affinity(u64);

impl Affinity {
    /// Where there is nothing to choose.
    pub const NONE: Self = Self(0);

    /// Of a key.
    pub fn of(key: &[u8]) -> Self {
        Self(hash(key))
    }

    /// Of who has no key. The addresses of one machine are one.
    pub fn of_visitor(address: IpAddr) -> Self {
        Self(hash(AddressGroup::from(address).net().to_string().as_bytes()))
    }

    /// How much an endpoint is this one's own.
    pub(super) fn to(self, endpoint: Mark) -> u64 {
        mixed(self.0 ^ endpoint.0)
    }
}

/// What tells an endpoint from others, on every gateway alike.
#[derive(Clone, Copy)]
pub(super) struct Mark(u64);

impl Mark {
    pub(super) fn of(endpoint: &Endpoint) -> Self {
        Self(hash(endpoint.authority.as_bytes()))
    }
}

/// The same in every version and on every machine.
fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = SipHasher13::new_with_keys(0, 0);
    hasher.write(bytes);
    hasher.finish()
}

/// Each bit of the number moves half of all bits (the finalizer of SplitMix64).
const fn mixed(mut number: u64) -> u64 {
    number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::Scheme;

    fn marks(count: u16) -> Vec<Mark> {
        let endpoint = |port: u16| Endpoint {
            scheme: Scheme::Http,
            host: "10.0.0.1".into(),
            port,
            authority: format!("10.0.0.1:{port}").into(),
        };
        (3000..3000 + count).map(|port| Mark::of(&endpoint(port))).collect()
    }

    fn own(key: u32, marks: &[Mark]) -> usize {
        let affinity = Affinity::of(&key.to_be_bytes());
        (0..marks.len()).max_by_key(|at| affinity.to(marks[*at])).unwrap()
    }

    #[test]
    fn endpoints_share_the_keys_alike() {
        for count in [2, 3, 8, 32] {
            let marks = marks(count);
            let mut shares = vec![0_u32; marks.len()];
            (0..32_000).for_each(|key| shares[own(key, &marks)] += 1);
            let fair = 32_000 / u32::from(count);
            let close = |share: &u32| (fair * 8 / 10..fair * 12 / 10).contains(share);
            assert!(shares.iter().all(close), "{shares:?}");
        }
    }

    #[test]
    fn where_one_is_gone_its_own_keys_move_and_no_other() {
        let marks = marks(5);
        let mut went = [0; 5];
        for key in 0..10_000 {
            let (before, after) = (own(key, &marks), own(key, &marks[..4]));
            if before == 4 {
                went[after] += 1;
            } else {
                assert_eq!(before, after);
            }
        }
        assert!(went[..4].iter().all(|count| *count > 400), "to all others: {went:?}");
    }

    #[test]
    fn the_same_key_goes_to_the_same_endpoint_in_every_version() {
        let marks = marks(8);
        let found: Vec<_> = (0..12).map(|key| own(key, &marks)).collect();
        assert_eq!(found, [7, 1, 4, 4, 4, 7, 0, 4, 2, 5, 7, 4]);
    }
}
