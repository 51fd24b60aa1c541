use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::*;

/// What clients saw while something was done: calls that were answered, calls that weren't, connections
/// that were refused.
fn under_load(house: &House, done: impl FnOnce()) -> [usize; 3] {
    let over = AtomicBool::new(false);
    let counts = [const { AtomicUsize::new(0) }; 3];
    let count = |at: usize| counts[at].fetch_add(1, Ordering::Relaxed);
    let client = |keeps: bool| {
        while !over.load(Ordering::Relaxed) {
            let Ok(socket) = TcpStream::connect(house.http) else {
                count(2);
                continue;
            };
            let mut wire = Wire::new(socket);
            loop {
                match wire.call("one") {
                    Some((200, closes, _)) => {
                        count(0);
                        if closes || !keeps || over.load(Ordering::Relaxed) {
                            break;
                        }
                    }
                    _ => {
                        count(1);
                        break;
                    }
                }
            }
        }
    };
    std::thread::scope(|scope| {
        for keeps in [true, true, true, false, false] {
            scope.spawn(move || client(keeps));
        }
        done();
        over.store(true, Ordering::Relaxed);
    });
    counts.map(|count| count.load(Ordering::Relaxed))
}

#[test]
fn no_connection_is_refused_and_no_call_fails() {
    let house = House::new("");
    let mut running = vec![house.first()];
    let mut said = [0; 3];
    for _ in 0..3 {
        let old = running.pop().unwrap();
        let seen = under_load(&house, || {
            let before = Instant::now() + Duration::from_millis(50);
            until("some calls", || Instant::now() > before);
            running.push(house.upgrade(&old));
        });
        said = [0, 1, 2].map(|at| said[at] + seen[at]);
        let (code, _) = old.ends();
        assert_eq!(code, Some(0), "with nothing left to do it ends");
    }
    assert_eq!(said[1..], [0, 0], "{said:?}");
    assert!(said[0] > 100, "{said:?}");
}

#[test]
fn who_is_connected_and_silent_is_still_answered_once_and_then_let_go() {
    let house = House::new("");
    let old = house.first();
    let mut client = house.connect();
    assert_eq!(client.call("one").map(|(status, closes, _)| (status, closes)), Some((200, false)));
    let _new = house.upgrade(&old);
    assert_eq!(client.call("one").map(|(status, closes, _)| (status, closes)), Some((200, true)));
    assert_eq!(old.ends().0, Some(0));
}

#[test]
fn without_a_process_to_take_over_from_it_just_begins() {
    let house = House::new("");
    let first = house.next();
    until("it serves", || house.admin("/readyz").is_some_and(|said| said.contains("200 OK")));
    first.says("there is no process to take over from");
    assert!(house.connect().call("one").is_some());
}

#[test]
fn a_new_listener_is_bound_and_one_that_is_gone_is_closed() {
    let house = House::new("");
    let old = house.first();
    let (before, after) = (house.http, free());
    house.write(&house.text("").replace(&before.to_string(), &after.to_string()));
    let new = house.upgrade(&old);
    assert!(Wire::new(TcpStream::connect(after).unwrap()).call("one").is_some());
    until("it is closed", || TcpStream::connect(before).is_err());
    drop(new);
}
