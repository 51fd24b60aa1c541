use super::*;
use crate::{harness::Key, noon};

#[test]
fn rates_bans_and_budgets_go_on_where_nothing_is_kept() {
    let house = House::new("");
    let text = house.text("").replace(
        "upstream = \"postiz\"\n",
        "upstream = \"postiz\"\nrate = \"4/h\"\nburst = 4\nbudgets = { post = \"5/day\" }\n",
    );
    let key = Key::new();
    let consumer = format!("[[consumers]]\nname = \"one\"\nkey_sha256 = \"{}\"\n", key.sha256());
    house.write(&format!(
        "{}\n{consumer}",
        text.replace("[limits]\n", &format!("{}\n", noon::limits()))
    ));
    let old = house.first();
    let call = |key: &Key| house.connect().call(key.text()).unwrap().2;
    for _ in 0..3 {
        assert_eq!(call(&key), "{}");
    }
    let said = ban(&house, "192.0.2.7");
    assert!(said.starts_with("HTTP/1.1 200"), "{said}");
    let new = house.upgrade(&old);
    assert!(bans(&house, &house.socket()).contains("192.0.2.7"));
    assert_eq!(call(&key), "{}", "the fourth");
    let refused = call(&key);
    assert!(refused.contains("\"rate\""), "{refused}");
    drop(new);
}

#[test]
fn what_is_kept_has_one_writer() {
    let house = House::new("");
    let state = TempDir::new().unwrap();
    house.write(&house.text(&format!("[state]\ndir = {:?}\n", state.path())));
    let old = house.first();
    let stream = house.connect().open("/api/mcp");
    ban(&house, "192.0.2.7");
    let new = house.upgrade(&old);
    ban(&house, "192.0.2.8");
    let file = state.path().join("bans");
    let lines = || std::fs::read_to_string(&file).unwrap_or_default();
    until("the newer one writes", || {
        lines().contains("192.0.2.8") && lines().contains("192.0.2.7")
    });
    drop(stream);
    assert_eq!(old.ends().0, Some(0));
    assert!(lines().contains("192.0.2.8"), "the older one's end writes nothing");
    drop(new);
}

#[test]
fn a_session_goes_on_where_its_secret_is_not_kept() {
    let house = House::new("");
    let old = house.first();
    let mut first = house.connect();
    let session = first.session(None).expect("a session");
    let _new = house.upgrade(&old);
    assert_eq!(house.connect().session(Some(&session)).as_deref(), Some(&*session));
}
