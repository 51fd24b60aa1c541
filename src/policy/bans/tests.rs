use std::num::NonZeroU32;

use proptest::prelude::*;

use super::*;
use crate::policy::{NetList, Quota};

const SECOND: u64 = 1_000_000_000;
const MINUTE: Duration = Duration::from_secs(60);

fn rules(count: u32) -> BanRules {
    let count = NonZeroU32::new(count).unwrap();
    BanRules {
        mode: BanMode::Enforce,
        wrong_keys: Quota { count, period: MINUTE, burst: count },
        first: MINUTE,
        longest: 24 * 60 * MINUTE,
        exempt: NetList::new(Some(&["198.51.100.0/24".parse().unwrap()]), &[]),
    }
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn net(text: &str) -> IpNet {
    text.parse().unwrap()
}

fn after(seconds: u64) -> Nanos {
    Nanos(seconds * SECOND)
}

/// The wait in seconds of who is banned.
fn wait(bans: &Bans, rules: &BanRules, client: &str, now: Nanos) -> Option<u64> {
    match bans.judge(rules, ip(client), now) {
        Judgement::Banned { retry_after, .. } => Some(retry_after.as_secs()),
        Judgement::Free | Judgement::Observed => None,
    }
}

/// So many wrong keys at once.
fn guess(bans: &Bans, rules: &BanRules, client: &str, (count, now): (u32, Nanos)) -> Vec<Ban> {
    (0..count).flat_map(|_| bans.wrong_key(rules, (ip(client), None), now)).collect()
}

#[test]
fn more_wrong_keys_than_the_rate_are_a_ban_and_each_further_one_lasts_twice_as_long() {
    let (bans, rules, client) = (Bans::new(64), rules(10), "192.0.2.7");
    assert_eq!(guess(&bans, &rules, client, (10, after(0))), []);
    assert_eq!(bans.judge(&rules, ip(client), after(0)), Judgement::Free);
    let mut now = 0;
    for (strikes, seconds) in [(1, 60), (2, 120), (3, 240)] {
        let begun = guess(&bans, &rules, client, (11, after(now)));
        let left = Some(SignedDuration::from_secs(seconds));
        let cause = BanCause::WrongKeys;
        let ban = Ban { net: net("192.0.2.7/32"), left, strikes, cause };
        // The ten before the first ban are still counted.
        assert_eq!(begun, [ban]);
        assert_eq!(wait(&bans, &rules, client, after(now)), u64::try_from(seconds).ok());
        assert_eq!(wait(&bans, &rules, "192.0.2.8", after(now)), None);
        now += u64::try_from(seconds).unwrap();
        assert_eq!(wait(&bans, &rules, client, after(now)), None, "it has ended");
    }
    assert_eq!(bans.changes(), 3);
}

#[test]
fn a_ban_lasts_no_longer_than_the_longest_and_is_forgotten_as_long_after_its_end() {
    let (bans, rules, client) = (Bans::new(64), rules(1), "192.0.2.7");
    let day = 24 * 60 * 60;
    let (mut now, mut lasted) = (0, 0);
    for _ in 0..40 {
        let begun = guess(&bans, &rules, client, (2, after(now)));
        lasted = begun[0].left.unwrap().as_secs();
        now += lasted.unsigned_abs();
    }
    assert_eq!(lasted, day);
    let again = |from: u64| guess(&bans, &rules, client, (2, after(from)))[0].strikes;
    now += day.unsigned_abs() - 1;
    assert_eq!(again(now), 41);
    now += 2 * day.unsigned_abs();
    assert_eq!(again(now), 1);
}

#[test]
fn wrong_keys_wear_off_and_a_right_one_clears_them() {
    let (bans, rules, client) = (Bans::new(64), rules(10), "192.0.2.7");
    for minute in 0..60 {
        assert_eq!(guess(&bans, &rules, client, (10, after(60 * minute))), []);
    }
    bans.right_key(ip(client));
    assert_eq!(guess(&bans, &rules, client, (10, after(3541))), []);
    assert_eq!(guess(&bans, &rules, client, (1, after(3541))).len(), 1);
    bans.right_key(ip(client));
    assert!(wait(&bans, &rules, client, after(3541)).is_some(), "a ban that runs isn't lifted");
}

#[test]
fn who_has_a_key_cant_guess_on_by_putting_it_between_the_guesses() {
    let (bans, rules, client) = (Bans::new(64), rules(10), "192.0.2.7");
    let begun = (0..12).flat_map(|_| {
        let begun = guess(&bans, &rules, client, (9, after(0)));
        bans.right_key(ip(client));
        begun
    });
    assert_eq!(begun.count(), 1);
}

#[test]
fn one_key_that_a_server_refuses_again_and_again_is_one_guess() {
    let (bans, rules, client) = (Bans::new(64), rules(2), ip("192.0.2.7"));
    let key = |text: &str| Some(crate::types::Secret::new(text.to_owned()).digest());
    for _ in 0..20 {
        assert_eq!(bans.wrong_key(&rules, (client, key("the friend's")), after(0)), []);
    }
    assert_eq!(bans.wrong_key(&rules, (client, key("b")), after(0)), []);
    assert_eq!(bans.wrong_key(&rules, (client, key("c")), after(0)).len(), 1);
}

#[test]
fn where_all_are_banned_the_ban_that_ends_first_makes_way() {
    let (bans, rules) = (Bans::new(8), rules(1));
    for last in 0..9 {
        let client = format!("192.0.2.{last}");
        assert_eq!(guess(&bans, &rules, &client, (2, after(last))).len(), 1, "{client}");
    }
    assert!(wait(&bans, &rules, "192.0.2.0", after(9)).is_none());
    assert!(wait(&bans, &rules, "192.0.2.8", after(9)).is_some());
}

#[test]
fn a_64_is_one_address_and_a_48_may_have_ten_times_as_many() {
    let (bans, rules) = (Bans::new(4096), rules(10));
    let begun = guess(&bans, &rules, "2001:db8:1:2::1", (11, after(0)));
    assert_eq!(begun.iter().map(|ban| ban.net).collect::<Vec<_>>(), [net("2001:db8:1:2::/64")]);
    assert!(wait(&bans, &rules, "2001:db8:1:2:ffff::9", after(0)).is_some());
    assert!(wait(&bans, &rules, "2001:db8:1:3::1", after(0)).is_none());
    let mut begun = Vec::new();
    for subnet in 0..90 {
        let client = format!("2001:db8:1:{:x}::1", subnet + 16);
        bans.right_key(ip(&client));
        begun.extend(guess(&bans, &rules, &client, (1, after(0))));
    }
    assert_eq!(begun.iter().map(|ban| ban.net).collect::<Vec<_>>(), [net("2001:db8:1::/48")]);
    assert!(wait(&bans, &rules, "2001:db8:1:9999::1", after(0)).is_some());
    assert!(wait(&bans, &rules, "2001:db8:2::1", after(0)).is_none());
    let ipv4 = guess(&bans, &rules, "::ffff:192.0.2.7", (11, after(0)));
    assert_eq!(ipv4[0].net, net("192.0.2.7/32"));
}

#[test]
fn strangers_evict_no_ban_and_made_up_addresses_take_no_memory() {
    let (bans, rules) = (Bans::new(64), rules(10));
    guess(&bans, &rules, "192.0.2.7", (11, after(0)));
    for number in 0..100_000_u32 {
        let client = IpAddr::from(number.wrapping_mul(2_654_435_761).to_be_bytes());
        bans.wrong_key(&rules, (client, None), after(1));
    }
    assert!(wait(&bans, &rules, "192.0.2.7", after(1)).is_some());
    assert!(bans.in_use.load(Ordering::Relaxed) <= 64);
    assert_eq!(bans.list(after(1)).len(), 1);
    assert_eq!(bans.sweep(&rules, after(90_000)), 0);
    assert_eq!(bans.in_use.load(Ordering::Relaxed), 0, "what is over is forgotten");
}

#[test]
fn what_was_silent_for_longest_makes_way_to_a_new_address() {
    let (bans, rules) = (Bans::new(8), rules(1));
    for last in 1..=9_u64 {
        guess(&bans, &rules, &format!("192.0.2.{last}"), (1, after(last)));
    }
    assert_eq!(guess(&bans, &rules, "192.0.2.9", (1, after(10))).len(), 1);
    assert_eq!(guess(&bans, &rules, "192.0.2.2", (1, after(10))).len(), 1);
    assert_eq!(guess(&bans, &rules, "192.0.2.1", (1, after(10))), [], "it was forgotten");
}

#[test]
fn exempt_addresses_are_never_banned_by_anyone() {
    let (bans, rules) = (Bans::new(64), rules(1));
    assert_eq!(guess(&bans, &rules, "198.51.100.9", (50, after(0))), []);
    bans.add(net("198.51.100.0/23"), None, after(0)).unwrap();
    assert_eq!(wait(&bans, &rules, "198.51.100.9", after(0)), None);
    assert_eq!(wait(&bans, &rules, "198.51.101.9", after(0)), Some(86_400));
}

#[test]
fn where_bans_are_observed_it_is_only_said_who_would_be_refused() {
    let bans = Bans::new(64);
    let with = |mode| BanRules { mode, ..rules(1) };
    assert_eq!(guess(&bans, &with(BanMode::Off), "192.0.2.7", (50, after(0))), []);
    let begun = guess(&bans, &with(BanMode::Observe), "192.0.2.7", (50, after(0)));
    assert_eq!(begun.len(), 1, "while it lasts it isn't counted again");
    let judged = |mode| bans.judge(&with(mode), ip("192.0.2.7"), after(0));
    assert_eq!(judged(BanMode::Observe), Judgement::Observed);
    assert_eq!(judged(BanMode::Off), Judgement::Free);
    bans.add(net("192.0.2.0/24"), Some(MINUTE), after(0)).unwrap();
    for mode in [BanMode::Enforce, BanMode::Observe, BanMode::Off] {
        assert!(matches!(judged(mode), Judgement::Banned { .. }), "{mode:?}");
    }
}

#[test]
fn an_operator_bans_nets_of_any_size_and_lifts_them() {
    let (bans, rules) = (Bans::new(64), rules(1));
    bans.add(net("192.0.2.0/24"), Some(MINUTE), after(0)).unwrap();
    bans.add(net("192.0.2.7/32"), Some(MINUTE / 2), after(0)).unwrap();
    bans.add(net("2001:db8::/29"), None, after(0)).unwrap();
    bans.add(net("::ffff:203.0.113.0/120"), None, after(0)).unwrap();
    assert_eq!(wait(&bans, &rules, "192.0.2.7", after(0)), Some(60), "the longest of them");
    assert_eq!(wait(&bans, &rules, "192.0.3.7", after(0)), None);
    assert_eq!(wait(&bans, &rules, "203.0.113.7", after(0)), Some(86_400));
    assert_eq!(wait(&bans, &rules, "2001:db8:ffff::1", after(1)), Some(86_400));
    assert_eq!(wait(&bans, &rules, "192.0.2.7", after(60)), None);
    assert_eq!((bans.sweep(&rules, after(60)), bans.list(after(60)).len()), (2, 2));
    assert!(bans.lift(net("2001:db8::/29"), after(60)));
    assert!(!bans.lift(net("2001:db8::/29"), after(60)));
    assert_eq!(wait(&bans, &rules, "2001:db8:ffff::1", after(60)), None);
    guess(&bans, &rules, "192.0.2.7", (2, after(60)));
    assert!(bans.lift(net("192.0.2.7/32"), after(60)), "one for wrong keys too");
    assert_eq!(wait(&bans, &rules, "192.0.2.7", after(60)), None);
}

#[test]
fn an_operators_bans_are_bounded() {
    let bans = Bans::new(8);
    for number in 0..10_000_u32 {
        bans.add(IpAddr::from(number.to_be_bytes()).into(), None, after(0)).unwrap();
    }
    assert_eq!(bans.add(net("192.0.2.7/32"), None, after(0)), Err(TooManyBans));
    bans.add(net("0.0.0.1/32"), Some(MINUTE), after(0)).expect("it is there already");
}

#[test]
fn a_ban_that_was_told_often_enough_is_told_no_more() {
    let (bans, rules) = (Bans::new(64), rules(1));
    guess(&bans, &rules, "192.0.2.7", (2, after(0)));
    bans.add(net("203.0.113.9/32"), None, after(0)).unwrap();
    bans.add(net("198.18.0.0/15"), None, after(0)).unwrap();
    for _ in 0..=TOLD {
        bans.told(ip("198.18.0.1"), after(1));
    }
    assert!(!bans.judge(&rules, ip("198.18.0.2"), after(1)).closes(), "nobody told this one");
    bans.add(net("2001:db8::1/128"), None, after(0)).unwrap();
    for _ in 0..=TOLD {
        bans.told(ip("2001:db8::2"), after(1));
    }
    assert!(!bans.judge(&rules, ip("2001:db8::1"), after(1)).closes(), "its neighbour was told");
    for client in ["192.0.2.7", "203.0.113.9"] {
        for _ in 0..TOLD {
            assert!(!bans.judge(&rules, ip(client), after(1)).closes());
            bans.told(ip(client), after(1));
        }
        assert!(bans.judge(&rules, ip(client), after(1)).closes());
    }
    guess(&bans, &rules, "192.0.2.7", (2, after(61)));
    assert!(!bans.judge(&rules, ip("192.0.2.7"), after(61)).closes(), "a new one is told anew");
}

#[test]
fn bans_and_the_memory_of_them_outlive_a_restart() {
    let (bans, rules) = (Bans::new(64), rules(1));
    guess(&bans, &rules, "192.0.2.7", (2, after(0)));
    guess(&bans, &rules, "192.0.2.8", (2, after(50)));
    bans.add(net("203.0.113.0/24"), None, after(0)).unwrap();
    let written = jiff::Timestamp::from_second(1_800_000_000).unwrap();
    let mut text = String::new();
    bans.kept(after(70)).iter().for_each(|ban| write_line(&mut text, ban, written));
    assert_eq!(text.lines().next(), Some("203.0.113.0/24 lifted 1 operator"));
    // Ten seconds later, in a process that has just begun.
    let read = written.checked_add(SignedDuration::from_secs(10)).unwrap();
    let later = Bans::new(64);
    for line in text.lines() {
        assert!(later.restore(&rules, &read_line(line, read).unwrap(), after(0)));
    }
    assert_eq!(wait(&later, &rules, "192.0.2.7", after(0)), None);
    assert_eq!(wait(&later, &rules, "192.0.2.8", after(0)), Some(30));
    assert_eq!(wait(&later, &rules, "203.0.113.7", after(0)), Some(86_400));
    assert_eq!(guess(&later, &rules, "192.0.2.7", (2, after(0)))[0].strikes, 2);
}

fn any_ban() -> impl Strategy<Value = Ban> {
    let net = (any::<IpAddr>(), any::<u8>()).prop_map(|(address, prefix)| {
        let most = if address.is_ipv4() { 32 } else { 128 };
        IpNet::new(address, prefix % (most + 1)).unwrap().trunc()
    });
    let left = -1_000_000_000_i64..1_000_000_000;
    (net, left, 1..u32::MAX, any::<bool>()).prop_map(|(net, left, strikes, operator)| {
        let left = Some(SignedDuration::from_secs(left));
        if operator {
            let left = left.filter(SignedDuration::is_positive);
            return Ban { net, left, strikes, cause: BanCause::Operator };
        }
        Ban { net, left, strikes, cause: BanCause::WrongKeys }
    })
}

proptest! {
    #[test]
    fn a_line_that_was_written_is_read_back(ban in any_ban(), now in 0..4_000_000_000_i64) {
        let now = jiff::Timestamp::from_second(now).unwrap();
        let mut text = String::new();
        write_line(&mut text, &ban, now);
        prop_assert_eq!(read_line(text.trim_end_matches('\n'), now), Ok(ban));
    }

    #[test]
    fn any_line_is_read_or_refused(line in "\\PC*") {
        let _ = read_line(&line, jiff::Timestamp::UNIX_EPOCH);
    }

    #[test]
    fn whatever_is_restored_can_be_judged_and_kept(bans in prop::collection::vec(any_ban(), 0..50)) {
        let (all, rules) = (Bans::new(16), rules(10));
        for ban in &bans {
            let _ = all.restore(&rules, ban, after(1));
            let _ = all.judge(&rules, ban.net.addr(), after(1));
        }
        let held = all.list(after(1)).len();
        prop_assert_eq!(all.sweep(&rules, after(1)), held);
    }
}
