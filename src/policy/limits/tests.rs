use super::*;
use crate::types::Secret;

const ONE: NonZeroU32 = NonZeroU32::MIN;

fn limiter() -> Limiter {
    let sizes = LimiterSizes { configured: 64, proven: 8, addresses: 64, prefixes: 8 };
    Limiter::new(sizes, &[7; 16])
}

fn quota(count: u32, seconds: u64, burst: u32) -> Quota {
    let n = |n| NonZeroU32::new(n).unwrap();
    Quota { count: n(count), period: Duration::from_secs(seconds), burst: n(burst) }
}

fn key(text: &str) -> Holder {
    Holder::Key(Secret::new(text.to_owned()).digest())
}

#[test]
fn a_bucket_gives_its_burst_and_then_its_rate() {
    let (limiter, route, key) = (limiter(), Name::parse("mcp").unwrap(), key("k"));
    let take = |seconds: u64, cells: u32| {
        let now = Nanos(1_000_000_000 * (1_000 + seconds));
        let cells = NonZeroU32::new(cells).unwrap();
        limiter.charge_configured(Charge::Key(&route, &key), quota(60, 60, 3), (cells, now))
    };
    assert_eq!(take(0, 2), Ok(()));
    assert_eq!(take(0, 1), Ok(()));
    let second = Duration::from_secs(1);
    let over = |retry_after| Err(Denial::Rate { retry_after, limit: Limit::RouteRate });
    assert_eq!(take(0, 1), over(second));
    assert_eq!(take(1, 1), Ok(()), "one a second comes back");
    assert_eq!(take(1, 2), over(2 * second));
    assert!(take(9, 4).is_err(), "more than the bucket holds never passes");
    assert_eq!(take(9, 3), Ok(()));
}

#[test]
fn a_bucket_belongs_to_one_key_on_one_route() {
    let (limiter, now) = (limiter(), Nanos(5));
    let (mcp, other) = (Name::parse("mcp").unwrap(), Name::parse("other").unwrap());
    let (a, b) = (key("a"), key("b"));
    let take = |charge| limiter.charge_configured(charge, quota(1, 60, 1), (ONE, now)).is_ok();
    assert!(take(Charge::Key(&mcp, &a)) && !take(Charge::Key(&mcp, &a)));
    assert!(take(Charge::Key(&mcp, &b)) && take(Charge::Key(&other, &a)));
    assert!(take(Charge::Aside(Aside::Discover, &mcp, &a)) && take(Charge::Consumer(&mcp)));
}

#[test]
fn made_up_keys_share_the_bucket_of_their_address_until_one_is_proven() {
    let (limiter, route) = (limiter(), Name::parse("mcp").unwrap());
    let group = AddressGroup::from("192.0.2.1".parse::<std::net::IpAddr>().unwrap());
    let at = (ONE, Nanos(7));
    assert!(limiter.charge_address(Charge::Unproven(group), quota(2, 60, 2), at).is_ok());
    assert!(limiter.charge_address(Charge::Unproven(group), quota(2, 60, 2), at).is_ok());
    assert!(limiter.charge_address(Charge::Unproven(group), quota(2, 60, 2), at).is_err());
    let good = key("good");
    let good = Charge::Key(&route, &good);
    assert!(!limiter.is_proven(good));
    limiter.prove(good, Nanos(7));
    assert!(limiter.is_proven(good));
    assert!(limiter.charge_proven(good, quota(1, 60, 1), at).is_ok());
    assert!(limiter.charge_proven(good, quota(1, 60, 1), at).is_err());
}

/// Strangers could else fill the table, and then guess freely or keep everyone out.
#[test]
fn a_full_table_of_prefixes_limits_the_next_one_all_the_same() {
    let (limiter, quota, now) = (limiter(), quota(1, 86_400, 1), Nanos(7));
    let prefix = |number: u32| Secret::new(format!("{number:08}")).digest();
    for number in 0..100 {
        assert_eq!(limiter.charge_prefix(prefix(number), quota, (ONE, now)), Ok(()));
        assert!(limiter.glance_at_prefix(prefix(number), quota, now).is_err(), "{number}");
    }
}

#[test]
fn a_glance_at_a_prefix_takes_nothing_from_it() {
    let (limiter, quota, now) = (limiter(), quota(1, 60, 1), Nanos(7));
    let prefix = Secret::new("ptc_0123".to_owned()).digest();
    let glance = || limiter.glance_at_prefix(prefix, quota, now);
    assert_eq!((glance(), glance()), (Ok(()), Ok(())));
    assert_eq!(limiter.charge_prefix(prefix, quota, (ONE, now)), Ok(()));
    let minute = Duration::from_secs(60);
    for _ in 0..2 {
        assert_eq!(glance(), Err(Denial::Rate { retry_after: minute, limit: Limit::WrongKeys }));
    }
    assert_eq!(limiter.glance_at_prefix(prefix, quota, Nanos(60_000_000_007)), Ok(()));
}

#[test]
fn another_process_goes_on_with_the_same_buckets() {
    let (old, new, route, key) = (limiter(), limiter(), Name::parse("mcp").unwrap(), key("k"));
    let (then, now) = (Nanos(9_000_000_000_000), Nanos(5));
    let group = "192.0.2.1".parse::<std::net::IpAddr>().unwrap().into();
    let take = |limiter: &Limiter, now| {
        let at = (ONE, now);
        [
            limiter.charge_configured(Charge::Key(&route, &key), quota(1, 60, 1), at).is_ok(),
            limiter.charge_proven(Charge::Key(&route, &key), quota(1, 60, 1), at).is_ok(),
            limiter.charge_address(Charge::Unproven(group), quota(1, 60, 1), at).is_ok(),
        ]
    };
    assert_eq!(take(&old, then), [true; 3]);
    new.take_over(&old.hand_over(then), now);
    assert_eq!(take(&new, now), [false; 3]);
    assert!(new.is_proven(Charge::Key(&route, &key)));
    assert_eq!(take(&new, Nanos(60_000_000_006)), [true; 3]);
}
