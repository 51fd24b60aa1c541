//! A consumer's second key.

use super::*;

#[test]
fn a_key_that_is_replaced_has_to_have_an_end() {
    let site = Site::new();
    let old = "cd".repeat(32);
    let with = |inner: &str| consumer(&format!("previous = {{ {inner} }}"));
    let whole = format!("key_sha256 = \"{old}\", expires = ");
    let snapshot = site.compiled(&with(&format!("{whole}2027-01-31")));
    assert_eq!(snapshot.consumers.iter().count(), 1, "two keys are one consumer");
    let previous = snapshot.consumers.iter().next().unwrap().previous.unwrap();
    assert_eq!(Some(previous.digest), KeyDigest::parse_hex(&old));
    assert_eq!(previous.expires_at, 1_801_440_000, "2027-02-01T00:00:00Z");
    let ended = "this key has ended: it is refused";
    assert_eq!(site.messages(&with(&format!("{whole}2026-11-22"))), [ended]);
    let lacks = "`previous` needs `key_sha256` and `expires`";
    for half in ["", "expires = 2027-01-31", &format!("key_sha256 = \"{old}\"")] {
        assert_eq!(site.messages(&with(half)), [lacks], "{half}");
    }
}

#[test]
fn one_key_is_one_consumers_also_where_it_is_replaced() {
    let site = Site::new();
    let (own, old) = ("ab".repeat(32), "cd".repeat(32));
    let previous =
        |key: &str| format!("previous = {{ key_sha256 = \"{key}\", expires = 2027-01-31 }}\n");
    let second = |key: &str, lines: &str| {
        let first = consumer(&previous(&old));
        format!("{first}[[consumers]]\nname = \"d\"\nkey_sha256 = \"{key}\"\n{lines}")
    };
    let (third, taken) = ("ef".repeat(32), ["another consumer has this key"]);
    assert_eq!(site.messages(&consumer(&previous(&own))), taken);
    assert_eq!(site.messages(&second(&old, "")), taken);
    assert_eq!(site.messages(&second(&third, &previous(&old))), taken);
    assert_eq!(site.messages(&second(&third, &previous(&own))), taken);
    assert_eq!(site.messages(&second(&third, "")), Vec::<String>::new());
}

#[test]
fn a_key_in_the_place_of_the_previous_digest_is_not_shown() {
    let site = Site::new();
    for line in [
        "previous = \"CANARY\"",
        "previous = [\"CANARY\"]",
        "previous = CANARY",
        "previuos = \"CANARY\"",
        "previous = { key_sha256 = \"CANARY\", expires = 2027-01-31 }",
        "previous = { key_sha256 = \"CANARY\" }",
        "previous = { key = \"CANARY\", expires = 2027-01-31 }",
        "previous = { key_sha256 = \"CANARY\", expires = \"2027-01-31\" }",
        "previous = { key_sha256 = CANARY, expires = 2027-01-31 }",
    ] {
        let text = consumer(line);
        let loaded = site.compile(&text);
        let said = render(&loaded.problems, &text, "test", false);
        assert!(loaded.snapshot.is_none() && !said.contains("CANARY"), "{line}: {said}");
    }
}
