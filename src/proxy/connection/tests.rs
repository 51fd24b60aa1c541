use std::{path::Path, time::SystemTime};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::*;
use crate::{
    config::{Surroundings, compile_text},
    observe::{LogSink, Metrics},
    policy::{Bans, Budgets, Leases, Limiter, LimiterSizes, Places, Pressure, TrustedProxies},
    proxy::{DoorKind, LegacyStreams, Memory, Seal},
    types::{Drain, FingerprintKey, Name},
    upstream::World,
};

/// A configuration with one route.
fn snapshot(path: &str) -> Snapshot {
    let text = format!(
        "[[listeners]]\nname = \"http\"\naddress = \"127.0.0.1:0\"\n\
         [upstreams.postiz]\nendpoints = [\"http://127.0.0.1:1\"]\n\
         [[routes]]\nname = \"mcp\"\nupstream = \"postiz\"\npaths = [\"{path}\"]\n"
    );
    let around = Surroundings {
        base_dir: Path::new("."),
        environment: &|_| None,
        now: SystemTime::UNIX_EPOCH,
    };
    compile_text(&text, around).snapshot.unwrap()
}

fn state(snapshot: Snapshot) -> State {
    let log = LogSink::memory();
    State {
        world: World::alone(snapshot),
        limiter: Arc::new(Limiter::new(
            LimiterSizes { configured: 1, proven: 1, addresses: 1, prefixes: 1 },
            &[7; 16],
        )),
        bans: Arc::new(Bans::new(1)),
        budgets: Arc::new(Budgets::new(1, &jiff::tz::TimeZone::UTC, jiff::Timestamp::now())),
        revocations: Arc::default(),
        living: crate::live::Living::default(),
        leases: Leases::default(),
        places: Places::new(1, 1),
        pressure: Pressure::none(),
        memory: Memory::default(),
        legacy: LegacyStreams::default(),
        tokens: crate::proxy::Tokens::default(),
        seal: Arc::new(Seal::new(&[0; 32]).unwrap()),
        fingerprints: Arc::new(FingerprintKey::new(&[0; 32])),
        metrics: Metrics::new(&log),
        log,
        audit: None,
    }
}

/// The status of the answer to a request.
async fn ask(client: &mut TcpStream) -> String {
    let request = b"GET /api/mcp HTTP/1.1\r\nhost: a.test\r\n\r\n";
    client.write_all(request).await.unwrap();
    let mut answer = vec![0; 4096];
    let count = client.read(&mut answer).await.unwrap();
    String::from_utf8(answer[9..12.min(count)].to_vec()).unwrap()
}

#[tokio::test]
async fn the_configuration_is_the_one_of_when_the_request_came() {
    let state = Arc::new(state(snapshot("/elsewhere")));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (socket, peer) = listener.accept().await.unwrap();
    let door = Arc::new(Door { name: Name::parse("http").unwrap(), kind: DoorKind::Plain });
    let (_drain, draining) = Drain::new();
    let ticket = state.places.take((peer.ip(), &TrustedProxies::new(&[])), |_| {}).unwrap();
    let transport = Transport::Plain(socket);
    tokio::spawn(serve(
        Arc::clone(&state),
        door,
        Visitor { peer, via: peer.ip(), ticket, certificate: None },
        transport,
        draining,
    ));
    assert_eq!(ask(&mut client).await, "404");
    state.world.store(World::alone(snapshot("/api/mcp")).load_full());
    assert_eq!(ask(&mut client).await, "401", "the connection waited through the change");
}
