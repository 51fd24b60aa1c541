//! A process that can't take over leaves the older one as it was. Here the test itself is the newer one,
//! as far as it should come.

use super::*;

/// What the messages are called; `gateway/upgrade/words.rs` has them.
const HELLO: u8 = 0;
const REFUSED: u8 = 1;
const SOCKETS: u8 = 2;
const SECRETS: u8 = 3;
const READY: u8 = 4;
const END: u8 = 7;
const TAKEN: u8 = 8;
const GO: u8 = 9;

/// The test's end of a hand-over.
struct Line(UnixStream);

impl Line {
    fn open(house: &House) -> Self {
        let socket = UnixStream::connect(house.dir.path().join("admin.sock.d/next")).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut line = Self(socket);
        line.say(HELLO, br#"{"protocol":1,"version":"9"}"#);
        line
    }

    fn say(&mut self, word: u8, body: &[u8]) {
        let length = u32::try_from(body.len()).unwrap().to_le_bytes();
        self.0.write_all(&[&[word][..], &length, body].concat()).unwrap();
    }

    /// The next message. Descriptors that come with it are closed by the system.
    fn hear(&mut self) -> (u8, Vec<u8>) {
        let mut head = [0; 5];
        self.0.read_exact(&mut head).unwrap();
        let length = u32::from_le_bytes(head[1..].try_into().unwrap());
        let mut body = vec![0; usize::try_from(length).unwrap()];
        self.0.read_exact(&mut body).unwrap();
        (head[0], body)
    }

    fn hear_all(&mut self, last: u8) {
        while self.hear().0 != last {}
    }
}

#[test]
fn a_process_that_goes_away_at_any_stage_changes_nothing() {
    let house = House::new("");
    let old = house.first();
    let mut stream = house.connect().open("/api/mcp");
    let stages: [fn(&mut Line); 5] = [
        |_| {},
        |line| line.hear_all(SECRETS),
        |line| {
            line.hear_all(SECRETS);
            line.say(READY, b"");
        },
        |line| {
            line.hear_all(SECRETS);
            line.say(READY, b"");
            line.hear_all(END);
            line.say(TAKEN, b"");
        },
        |line| {
            line.hear_all(SECRETS);
            line.say(READY, b"");
            line.hear_all(END);
            line.say(TAKEN, b"");
            line.hear_all(GO);
        },
    ];
    for (stage, go) in stages.into_iter().enumerate() {
        let mut line = Line::open(&house);
        go(&mut line);
        drop(line);
        let failures = || {
            let said = old.out.so_far.lock().unwrap();
            memchr::memmem::find_iter(&said, "handing over failed: this process goes on").count()
        };
        until("it is said", || failures() == stage + 1);
        assert_eq!(house.connect().call("one").unwrap().0, 200, "after stage {stage}");
        assert_eq!(stream.line().unwrap(), "data: tick", "after stage {stage}");
        assert!(house.admin("/readyz").unwrap().contains("200 OK"), "after stage {stage}");
    }
    assert!(!old.has_said("handed over"));
    let _new = house.upgrade(&old);
}

/// By another salt the same key has another mark.
#[test]
fn a_process_with_another_salt_does_not_take_over_from_one_that_has_revoked_a_key() {
    let house = House::new("");
    let key = crate::harness::Key::new();
    let text = format!("[[consumers]]\nname = \"one\"\nkey_sha256 = \"{}\"\n", key.sha256());
    house.write(&house.text(&text));
    let _old = house.first();
    let body = "{\"consumer\":\"one\"}";
    let head = "POST /revocations HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length:";
    let revoke = format!("{head} {}\r\n\r\n{body}", body.len());
    assert!(house.ask(&house.socket(), &revoke).starts_with("HTTP/1.1 200"));
    let state = TempDir::new().unwrap();
    house.write(&house.text(&format!("{text}[state]\ndir = {:?}\n", state.path())));
    let (code, said) = house.next().ends();
    assert_eq!(code, Some(1));
    assert!(said.contains("another fingerprint-salt"), "{said}");
    let (status, ..) = house.connect().call(key.text()).unwrap();
    assert_eq!(status, 401, "the older one goes on");
}

/// It has been told who is revoked, and would let in who is revoked now.
#[test]
fn while_another_process_takes_over_nobody_is_revoked_where_it_would_be_lost() {
    let house = House::new("");
    let key = crate::harness::Key::new();
    let consumer = format!("[[consumers]]\nname = \"one\"\nkey_sha256 = \"{}\"\n", key.sha256());
    house.write(&house.text(&consumer));
    let old = house.first();
    let own = house.own_socket(&old);
    let _stream = house.connect().open("/api/mcp");
    let body = "{\"consumer\":\"one\"}";
    let revoke = format!(
        "POST /revocations HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let lift = "DELETE /revocations/one HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let mut line = Line::open(&house);
    line.hear_all(SECRETS);
    line.say(READY, b"");
    line.hear_all(END);
    for asked in [&*revoke, lift] {
        let said = house.ask(&own, asked);
        assert!(said.starts_with("HTTP/1.1 503") && said.contains("ask again"), "{said}");
    }
    drop(line);
    old.says("handing over failed");
    let said = house.ask(&house.socket(), &revoke);
    assert!(said.starts_with("HTTP/1.1 200"), "{said}");
    let _new = house.upgrade(&old);
    until("the older one is told too", || house.ask(&own, lift).starts_with("HTTP/1.1 200"));
}

#[test]
fn while_one_process_takes_over_another_is_refused_with_a_sentence() {
    let house = House::new("");
    let old = house.first();
    let mut line = Line::open(&house);
    assert_eq!(line.hear().0, SOCKETS);
    let mut other = Line::open(&house);
    let (word, text) = other.hear();
    assert_eq!((word, &*String::from_utf8(text).unwrap()), (REFUSED, TOO_LATE));
    let (code, said) = house.next().ends();
    assert_eq!(code, Some(1));
    assert!(
        said.contains(&format!("--upgrade: {TOO_LATE}; the running process goes on")),
        "{said}"
    );
    drop(line);
    old.says("handing over failed");
    let _new = house.upgrade(&old);
}

const TOO_LATE: &str = "another process is taking over already";

#[test]
fn what_speaks_another_protocol_or_none_is_refused() {
    let house = House::new("");
    let old = house.first();
    let mut line = Line(UnixStream::connect(house.dir.path().join("admin.sock.d/next")).unwrap());
    line.say(HELLO, br#"{"protocol":2,"version":"9"}"#);
    let (word, text) = line.hear();
    assert_eq!(word, REFUSED);
    assert!(String::from_utf8(text).unwrap().contains("restart it instead"));
    let mut line = Line(UnixStream::connect(house.dir.path().join("admin.sock.d/next")).unwrap());
    line.say(READY, b"");
    old.says("it says what wasn't expected");
}

#[test]
fn a_bad_file_and_a_port_in_use_leave_the_older_process_as_it_was() {
    let house = House::new("");
    let old = house.first();
    house.write(&house.text("nonsense = 1\n"));
    let (code, said) = house.next().ends();
    assert_eq!(code, Some(1));
    assert!(said.contains("error: "), "{said}");
    assert!(!old.has_said("wants to take over"));
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = holder.local_addr().unwrap();
    house.write(&house.text(&format!("[[listeners]]\nname = \"two\"\naddress = \"{taken}\"\n")));
    let (code, said) = house.next().ends();
    assert_eq!(code, Some(1));
    assert!(said.contains("the port is in use"), "{said}");
    old.says("handing over failed: this process goes on");
    assert_eq!(house.connect().call("one").unwrap().0, 200);
    assert!(house.socket().exists() && house.dir.path().join("admin.sock.d/next").exists());
}

#[test]
fn without_an_admin_socket_it_is_said_how_to_mend_it() {
    let house = House::new("");
    let text = house.text("").replace(&format!("socket = {:?}", house.socket()), "");
    house.write(&text);
    let (code, said) = house.next().ends();
    assert_eq!(code, Some(1));
    assert!(said.contains("found by its admin socket; add to [admin]: socket = "), "{said}");
}

#[test]
fn a_directory_that_others_may_enter_is_not_trusted() {
    use std::os::unix::fs::PermissionsExt;
    let house = House::new("");
    let _old = house.first();
    let open = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(house.dir.path().join("admin.sock.d"), open).unwrap();
    let (code, said) = house.next().ends();
    assert_eq!(code, Some(1));
    assert!(said.contains("nobody else may enter"), "{said}");
}
