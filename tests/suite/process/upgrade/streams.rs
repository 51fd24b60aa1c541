use super::*;

#[test]
fn a_stream_lives_on_in_the_older_process_and_gets_its_events() {
    let house = House::new("");
    let old = house.first();
    let mut stream = house.connect().open("/api/mcp");
    assert_eq!(stream.line().unwrap(), "data: tick");
    let _new = house.upgrade(&old);
    for _ in 0..50 {
        assert_eq!(stream.line().unwrap(), "data: tick");
    }
    drop(stream);
    assert_eq!(old.ends().0, Some(0), "with its last stream it ends");
}

#[test]
fn a_legacy_stream_ends_at_the_hand_over_with_a_comment() {
    let house = House::new("");
    let old = house.first();
    let mut legacy = house.connect().open("/api/sse/one");
    assert_eq!(legacy.line().unwrap(), "event: endpoint");
    let _new = house.upgrade(&old);
    let rest = legacy.rest();
    assert!(rest.contains(&": handed over".to_owned()), "{rest:?}");
    assert!(rest.last().unwrap().starts_with("retry: "), "an EventSource comes back: {rest:?}");
    assert_eq!(old.ends().0, Some(0));
}

#[test]
fn at_its_deadline_a_stream_ends_with_a_comment_and_one_that_can_be_resumed_with_a_retry() {
    let house = House::new("");
    house.write(&house.text("").replace("\"1h\"", "\"500ms\""));
    let old = house.first();
    let mut plain = house.connect().open("/api/mcp");
    let mut resumable = house.connect().open("/api/mcp?ids");
    let begun = Instant::now();
    let _new = house.upgrade(&old);
    let rest = plain.rest();
    assert!(begun.elapsed() > Duration::from_millis(500), "{:?}", begun.elapsed());
    assert_eq!(rest.last().unwrap(), ": handed over");
    let rest = resumable.rest();
    assert!(rest.last().unwrap().starts_with("retry: "), "{rest:?}");
    assert!(rest.contains(&": handed over".to_owned()));
    assert_eq!(old.ends().0, Some(0));
}

#[test]
fn sigterm_still_ends_a_process_that_has_handed_over() {
    let house = House::new("");
    house.write(&house.text("").replace("\"1h\"", "\"1h\"\nshutdown = \"100ms\""));
    let old = house.first();
    let mut stream = house.connect().open("/api/mcp");
    let _new = house.upgrade(&old);
    old.signal("TERM");
    let rest = stream.rest();
    assert!(rest.last().unwrap().starts_with("retry: "), "{rest:?}");
    assert_eq!(old.ends().0, Some(0));
    assert!(house.connect().call("one").is_some(), "the newer one goes on");
}

#[test]
fn three_generations_live_at_once() {
    let house = House::new("");
    let mut residents = vec![house.first()];
    let mut streams = Vec::new();
    for _ in 0..2 {
        streams.push(house.connect().open("/api/mcp"));
        let next = house.upgrade(residents.last().unwrap());
        residents.push(next);
    }
    streams.push(house.connect().open("/api/mcp"));
    for stream in &mut streams {
        for _ in 0..5 {
            assert_eq!(stream.line().unwrap(), "data: tick");
        }
    }
    for resident in &mut residents {
        assert!(!resident.is_gone());
    }
    assert!(house.connect().call("one").is_some());
}
