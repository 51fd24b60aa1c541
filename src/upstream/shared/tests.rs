use tokio::io::AsyncReadExt;

use super::*;
use crate::{types::RequestId, upstream::tests::server};

fn hub() -> Arc<Hub> {
    let at = Arc::clone(server("hub.test", 1).upstream.endpoints.first());
    Arc::new(Hub::new(at, Fields::new(), "event: endpoint\ndata: /m\n\n".into(), None).unwrap())
}

async fn read(pipe: &mut PipeReader) -> String {
    let mut bytes = vec![0; 512 * 1024];
    let count = pipe.read(&mut bytes).await.unwrap();
    String::from_utf8(bytes[..count].to_vec()).unwrap()
}

fn event(data: &str) -> Vec<u8> {
    format!("data: {data}\n\n").into_bytes()
}

#[tokio::test]
async fn who_reads_too_slowly_is_cut_and_nobody_waits_for_it() {
    let hub = hub();
    let (slow, mut unread) = Seated::take(&hub).unwrap();
    let (_quick, mut pipe) = Seated::take(&hub).unwrap();
    let padding = "x".repeat(100 * 1024);
    let large = format!(r#"{{"method":"notifications/tools/list_changed","params":"{padding}"}}"#);
    for _ in 0..4 {
        hub.deliver(&event(&large));
        let mut seen = String::new();
        while !seen.contains(&large) {
            seen.push_str(&read(&mut pipe).await);
        }
    }
    let ping = br#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
    let late = slow.seat().expect(ping, RequestId::next());
    assert_eq!(late.err(), Some(NotAwaited::Ended));
    let mut all = Vec::new();
    assert!(unread.read_to_end(&mut all).await.is_err(), "cut, and not ended");
    assert!(all.len() < 400 * 1024);
}

#[tokio::test]
async fn ids_of_two_streams_are_nothing_to_each_other() {
    let (one, other) = (hub(), hub());
    let id = one.ids.write(7);
    assert_eq!((one.ids.read(&id), other.ids.read(&id)), (Some(7), None));
    for odd in ["7", "\"7\"", "\"\"", "", "\""] {
        assert_eq!(one.ids.read(odd), None, "{odd}");
    }
    for tail in ["+7", "07", " 7", "7 ", "", "-7", "99999999999999999999999"] {
        assert_eq!(one.ids.read(&id.replace("-7\"", &format!("-{tail}\""))), None, "{tail}");
    }
}

#[tokio::test]
async fn a_call_waits_for_as_long_as_its_client_and_no_longer() {
    let hub = hub();
    let (seated, _pipe) = Seated::take(&hub).unwrap();
    let ping = br#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
    let waiting = || hub.state().calls.len();
    let (_, refused) = seated.seat().expect(ping, RequestId::next()).unwrap();
    assert_eq!(waiting(), 1);
    drop(refused);
    assert_eq!(waiting(), 0);
    let (_, mut sent) = seated.seat().expect(ping, RequestId::next()).unwrap();
    sent.were_sent();
    drop(sent);
    assert_eq!(waiting(), 1);
    drop(seated);
    assert_eq!(waiting(), 0);
}

#[tokio::test]
async fn one_opens_and_the_next_does_where_it_fails() {
    let streams = Arc::new(SharedStreams::new(None));
    let whose = Secret::new("k".to_owned()).digest();
    let Entrance::Open(opener) = streams.enter(whose) else { panic!("nobody was there") };
    let Entrance::Wait(mut other) = streams.enter(whose) else { panic!("somebody opens it") };
    drop(opener);
    assert!(other.changed().await.is_err(), "it is over");
    assert!(matches!(streams.enter(whose), Entrance::Open(_)));
    assert!(streams.table().is_empty(), "nothing is left of it");
    streams.are_apart();
    assert!(matches!(streams.enter(whose), Entrance::Apart));
}
