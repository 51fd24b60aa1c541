//! What is asked of the gateway reaches the older processes as well, and what the newer one's file no longer
//! lets in ends there.

use super::*;
use crate::harness::Key;

/// What an operator may expect.
const SOON: Duration = Duration::from_secs(1);

/// A gateway of two consumers, and their keys.
fn house() -> (House, [Key; 2]) {
    let (house, keys) = (House::new(""), [Key::new(), Key::new()]);
    house.write(&text(&house, &keys));
    (house, keys)
}

/// A file that knows consumers of these keys, and no others.
fn text(house: &House, keys: &[Key]) -> String {
    let text = house.text("").replace("unknown_keys = \"forward\"", "unknown_keys = \"refuse\"");
    let consumer = |(at, key): (usize, &Key)| {
        format!("[[consumers]]\nname = \"c{at}\"\nkey_sha256 = \"{}\"\n", key.sha256())
    };
    text + &keys.iter().enumerate().map(consumer).collect::<String>()
}

/// How long a stream still goes on.
fn lives(mut stream: Wire) -> Duration {
    let begun = Instant::now();
    while stream.line().is_some() {}
    begun.elapsed()
}

fn ticks(stream: &mut Wire) {
    for _ in 0..5 {
        assert_eq!(stream.line().unwrap(), "data: tick");
    }
}

fn post(house: &House, path: &str, body: &str) -> String {
    let request = format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    house.ask(&house.socket(), &request)
}

/// Streams of both consumers in the older process, and the newer one.
fn handed_over(house: &House, keys: &[Key; 2]) -> ([Wire; 2], [Resident; 2]) {
    let old = house.first();
    let streams = [0, 1].map(|at| house.connect().open_as("/api/mcp", keys[at].text()));
    let new = house.upgrade(&old);
    (streams, [old, new])
}

#[test]
fn who_is_removed_by_a_signal_is_ended_in_the_older_process() {
    let (house, keys) = house();
    let ([mut first, second], [_old, new]) = handed_over(&house, &keys);
    house.write(&text(&house, &keys[..1]));
    new.signal("HUP");
    assert!(lives(second) < 2 * SOON);
    ticks(&mut first);
}

#[test]
fn who_is_removed_over_the_socket_is_ended_in_the_older_process() {
    let (house, keys) = house();
    let ([mut first, second], _both) = handed_over(&house, &keys);
    house.write(&text(&house, &keys[..1]));
    let said = post(&house, "/reload", "");
    assert!(said.starts_with("HTTP/1.1 200") && said.contains("\"elders\":[{"), "{said}");
    assert!(lives(second) < 2 * SOON);
    ticks(&mut first);
}

#[test]
fn whom_the_newer_processs_file_does_not_know_is_ended_in_the_older_one() {
    let (house, keys) = house();
    let old = house.first();
    let [mut first, second] = [0, 1].map(|at| house.connect().open_as("/api/mcp", keys[at].text()));
    house.write(&text(&house, &keys[..1]));
    let _new = house.upgrade(&old);
    assert!(lives(second) < 2 * SOON);
    ticks(&mut first);
}

#[test]
fn a_bad_file_is_refused_by_both_and_ends_nothing() {
    let (house, keys) = house();
    let (mut streams, _both) = handed_over(&house, &keys);
    house.write("nonsense");
    assert!(post(&house, "/reload", "").contains("\"applied\":false"));
    let refused = "portcullis_config_reloads_total{outcome=\"refused\"} 1";
    assert!(house.admin("/metrics").unwrap().contains(refused));
    streams.iter_mut().for_each(ticks);
}

#[test]
fn a_revocation_reaches_the_older_process_and_status_shows_what_it_has() {
    let (house, keys) = house();
    let ([mut first, second], [old, _new]) = handed_over(&house, &keys);
    let list = "GET /status HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    let status = house.ask(&house.socket(), list);
    let of_the_old = format!("\"pid\":{}", old.child.id());
    assert!(status.contains("\"c1\"") && status.contains(&of_the_old), "{status}");
    let said = post(&house, "/revocations", "{\"consumer\":\"c1\"}");
    assert!(said.contains("\"ended\":1"), "{said}");
    assert!(lives(second) < SOON);
    ticks(&mut first);
    assert_eq!(house.connect().call(keys[1].text()).unwrap().0, 401);
    let said = post(&house, "/kill", "{\"key\":\"c0\"}");
    assert!(said.contains("\"ended\":1"), "{said}");
    assert!(lives(first) < SOON);
    assert_eq!(house.connect().call(keys[0].text()).unwrap().0, 200);
}

#[test]
fn a_listener_that_a_reload_opened_is_handed_over_and_a_reload_that_fails_leaves_none() {
    let (house, keys) = house();
    let old = house.first();
    let (more, never) = (free(), free());
    let listener = |name: &str, address: SocketAddr| {
        format!("[[listeners]]\nname = \"{name}\"\naddress = \"{address}\"\n")
    };
    let with_more = text(&house, &keys) + &listener("more", more);
    house.write(&with_more);
    assert!(post(&house, "/reload", "").contains("\"applied\":true"));
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let in_use = listener("used", taken.local_addr().unwrap());
    house.write(&(with_more.clone() + &listener("never", never) + &in_use));
    assert!(post(&house, "/reload", "").contains("\"applied\":false"));
    assert!(TcpStream::connect(never).is_err());
    house.write(&with_more);
    let ask = || Wire::new(TcpStream::connect(more).unwrap()).call(keys[0].text()).unwrap().0;
    assert_eq!(ask(), 200);
    let _new = house.upgrade(&old);
    assert_eq!(old.ends().0, Some(0));
    assert_eq!(ask(), 200);
}
