use std::net::IpAddr;

use super::*;
use crate::policy::Admittance;

/// A listener that others can reach, so that nothing is said of loopback.
fn with(sections: &str) -> String {
    let redirect =
        "listeners = [{ name = \"r\", address = \"192.0.2.1:0\", redirect = \"https\" }, ";
    let tls = "{ name = \"https\", address = \"192.0.2.1:0\", tls = { certificates = \
               [{ cert = \"a.pem\", key = \"a.key\" }] } }]";
    let (_, rest) = MINIMAL.split_once("}]").unwrap();
    format!("{redirect}{tls}{rest}\n{sections}")
}

fn site() -> Site {
    let site = Site::new();
    site.certificate("a", (2026, 1, 1), (2027, 12, 1));
    site
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn the_name_of_a_set_stands_wherever_a_net_may() {
    let snapshot = site().compiled(&with(
        "[access]\nallow = [\"office\", \"10.0.0.0/8\"]\ndeny = { nets = [\"guests\"], mode = \"enforce\" }\n\
         trusted_proxies = [\"proxies\"]\n\
         [sets]\noffice = [\"203.0.113.0/24\", \"2001:db8::/32\"]\nguests = [\"203.0.113.128/25\"]\n\
         proxies = [\"10.0.0.1\"]",
    ));
    let access = &snapshot.access;
    for (from, admittance) in [
        ("203.0.113.7", Admittance::LetIn),
        ("2001:db8::1", Admittance::LetIn),
        ("10.9.9.9", Admittance::LetIn),
        ("203.0.113.200", Admittance::KeptOut),
        ("192.0.2.1", Admittance::KeptOut),
    ] {
        assert_eq!(access.nets.judge(address(from)), admittance, "{from}");
    }
    assert!(access.trusted_proxies.trusts(address("10.0.0.1")));
    assert!(!access.trusted_proxies.trusts(address("10.0.0.2")));
}

#[test]
fn what_is_wrong_with_a_set_is_said_where_it_is_written() {
    for (sections, message) in [
        ("[sets]\noffice = [\"192.0.2.1\"]", "no list names this set"),
        ("[sets]\n\"10.0.0.1\" = [\"192.0.2.1\"]", "\"10.0.0.1\" could be an address"),
        ("[sets]\n\"10\" = [\"192.0.2.1\"]", "\"10\" could be an address"),
        ("[sets]\n\"2001:db8::1\" = [\"192.0.2.1\"]", "\"2001:db8::1\" is no name"),
        ("[sets]\na = [\"b\"]\n[access]\ndeny = [\"a\"]", "`a`: \"b\" is no address and no net"),
        ("[sets]\na = [\"::\"]\n[access]\ndeny = [\"a\", \"b\"]", "there is no set \"b\""),
        ("[sets]\na = []\n[access]\ndeny = [\"a\"]", "an empty set stands for no address"),
        ("[sets]\na = \"::\"\n[access]\ndeny = [\"a\"]", "`a` must be a list, this is a text"),
        ("[access]\ndeny = [\"a\"]", "`deny`: \"a\" is no address and no net"),
    ] {
        assert_eq!(site().messages(&with(sections)), [message], "{sections}");
    }
}

#[test]
fn equal_lists_that_name_sets_are_each_judged_for_mistakes() {
    let lists =
        "[access]\nallow = [\"a\", \"b\"]\ndeny = [\"a\", \"b\"]\n[sets]\na = [\"192.0.2.1\"]";
    let unknown = "there is no set \"b\"";
    assert_eq!(site().messages(&with(lists)), [unknown, unknown]);
}

#[test]
fn a_list_in_observe_mode_refuses_nobody() {
    let snapshot = site().compiled(&with(
        "[access]\nallow = { nets = [\"10.0.0.0/8\"], mode = \"observe\" }\ndeny = [\"192.0.2.0/24\"]",
    ));
    for (from, admittance) in [
        ("10.0.0.1", Admittance::LetIn),
        ("198.51.100.1", Admittance::Observed),
        ("192.0.2.1", Admittance::KeptOut),
    ] {
        assert_eq!(snapshot.access.nets.judge(address(from)), admittance, "{from}");
    }
}

#[test]
fn a_proxy_that_cannot_connect_is_warned_of() {
    let warning = ["this proxy can't connect: `allow` or `deny` keeps its own address out"];
    let access = |allow: &str| {
        let text = format!("[access]\ntrusted_proxies = [\"10.0.0.0/24\"]\nallow = {allow}");
        site().messages(&with(&text))
    };
    assert_eq!(access("[\"203.0.113.0/24\"]"), warning);
    assert_eq!(access("[\"203.0.113.0/24\", \"10.0.0.7\"]"), [""; 0]);
    assert_eq!(access("{ nets = [\"203.0.113.0/24\"], mode = \"observe\" }"), [""; 0]);
}

#[test]
fn a_proxy_header_needs_proxies_that_are_trusted() {
    let with_header = |access: &str| {
        let text = with(access)
            .replace("redirect = \"https\"", "redirect = \"https\", proxy_protocol = true");
        site().messages(&text)
    };
    let refused = ["no peer may send the PROXY header: `trusted_proxies` names nobody"];
    assert_eq!(with_header(""), refused);
    assert_eq!(with_header("[access]\ntrusted_proxies = []"), refused);
    let empty = with_header("[access]\ntrusted_proxies = [\"nobody\"]\n[sets]\nnobody = []");
    assert!(empty.contains(&refused[0].to_owned()), "{empty:?}");
    assert_eq!(with_header("[access]\ntrusted_proxies = [\"10.0.0.1\"]"), [""; 0]);
}

#[test]
fn address_lists_behind_loopback_without_a_trusted_proxy_are_warned_of() {
    let warning = ["every client has the address of the proxy before this listener"];
    let said = |sections: &str| Site::new().messages(&format!("{MINIMAL}\n{sections}"));
    assert_eq!(said("[access]\nallow = [\"203.0.113.0/24\"]"), warning);
    assert_eq!(said("[access]\nallow = [\"203.0.113.0/24\"]\ntrusted_proxies = []"), [""; 0]);
    assert_eq!(
        said("[access]\ndeny = [\"192.0.2.1\"]\ntrusted_proxies = [\"127.0.0.1\"]"),
        [""; 0]
    );
    assert_eq!(said(""), [""; 0], "without lists nothing goes by the address but limits");
}

#[test]
fn a_list_with_many_faults_is_told_in_part() {
    let nets = vec!["\"192.0.2.7/24\""; 5_000].join(", ");
    for sections in [format!("[access]\ndeny = [{nets}]"), format!("[sets]\na = [{nets}]")] {
        let messages = site().messages(&with(&sections));
        assert!(
            messages.contains(&"`deny`: 4980 more elements weren't looked at".to_owned())
                || messages.contains(&"`a`: 4980 more elements weren't looked at".to_owned())
        );
        assert!((21..=22).contains(&messages.len()), "{}", messages.len());
    }
}

#[test]
fn consumers_that_name_one_set_hold_one_copy_of_it() {
    let nets: Vec<_> = (0..2_000).map(|i| format!("\"10.{}.{}.0/24\"", i / 256, i % 256)).collect();
    let sets = format!("[sets]\noffice = [{}]\n", nets.join(", "));
    let consumer = |i: usize| {
        let digest = format!("{i:064x}");
        format!("[[consumers]]\nname = \"c{i}\"\nkey_sha256 = \"{digest}\"\nallow = [\"office\"]\n")
    };
    let consumers: String = (0..500).map(consumer).collect();
    let snapshot = site().compiled(&with(&(sets + &consumers)));
    let mut all = snapshot.consumers.iter();
    let first = all.next().unwrap();
    assert!(all.all(|consumer| consumer.nets.is_shared_with(&first.nets)));
}
