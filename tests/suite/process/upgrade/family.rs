use super::*;

#[test]
fn each_process_is_asked_on_its_own_socket_and_the_files_go_with_their_processes() {
    let house = House::new("");
    let mut old = house.first();
    let stream = house.connect().open("/api/mcp");
    let own = house.own_socket(&old);
    let list = "GET /bans HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    assert!(house.ask(&own, list).starts_with("HTTP/1.1 200"));
    let new = house.upgrade(&old);
    for socket in [&own, &house.own_socket(&new), &house.socket()] {
        assert!(house.ask(socket, list).starts_with("HTTP/1.1 200"), "{}", socket.display());
    }
    assert!(!old.is_gone());
    drop(stream);
    assert_eq!(old.ends().0, Some(0));
    assert!(!own.exists() && house.socket().exists());
    new.signal("TERM");
    assert_eq!(new.ends().0, Some(0));
    assert!(!house.socket().exists());
    let left = std::fs::read_dir(house.dir.path().join("admin.sock.d")).unwrap().count();
    assert_eq!(left, 0);
}

#[test]
fn a_ban_reaches_the_older_process_too() {
    let house = House::new("");
    let old = house.first();
    let _stream = house.connect().open("/api/mcp");
    let own = house.own_socket(&old);
    let _new = house.upgrade(&old);
    let said = ban(&house, "192.0.2.7");
    assert!(said.contains("\"elders\":[{") && said.contains("\"pid\":"), "{said}");
    assert!(bans(&house, &own).contains("192.0.2.7"));
    let lift = "DELETE /bans/192.0.2.7 HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    assert!(house.ask(&house.socket(), lift).starts_with("HTTP/1.1 200"));
    assert!(!bans(&house, &own).contains("192.0.2.7"));
    assert!(!house.ask(&own, lift).contains("elders"), "one that is asked by itself answers alone");
}

#[test]
fn a_key_has_its_streams_in_all_processes_together() {
    let house = House::new("");
    house.write(&house.text("").replace("unknown_keys", "max_streams = 1\nunknown_keys"));
    let old = house.first();
    let stream = house.connect().open("/api/mcp");
    let new = house.upgrade(&old);
    let ask = "GET /api/mcp HTTP/1.1\r\nhost: a.test\r\nauthorization: Bearer one\r\n\
               accept: text/event-stream\r\n\r\n";
    let opens = || {
        let mut wire = house.connect();
        wire.0.get_mut().write_all(ask.as_bytes()).unwrap();
        wire.head().unwrap().starts_with("HTTP/1.1 200")
    };
    // It asks the older one as soon as it serves, and once a second.
    until("it knows of the other", || !opens());
    drop(stream);
    assert_eq!(old.ends().0, Some(0));
    until("it knows that the other has ended", opens);
    drop(new);
}

#[test]
fn an_older_process_whose_newer_one_was_killed_is_found_by_whoever_starts_next() {
    let house = House::new("");
    let old = house.first();
    let mut stream = house.connect().open("/api/mcp");
    let mut new = house.upgrade(&old);
    new.child.kill().unwrap();
    new.child.wait().unwrap();
    let _next = house.first();
    let list = "GET /status HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    let status = house.ask(&house.socket(), list);
    assert!(status.contains(&format!("\"pid\":{}", old.child.id())), "{status}");
    let body = "{\"all\":true}";
    let killed = house.ask(
        &house.socket(),
        &format!(
            "POST /kill HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        ),
    );
    assert!(killed.contains("\"ended\":1"), "{killed}");
    while stream.line().is_some() {}
    assert_eq!(old.ends().0, Some(0));
}
