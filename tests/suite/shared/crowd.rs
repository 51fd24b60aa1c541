//! Many clients before a server that is as forgetful as Postiz v2.7.0: it tells no client from another,
//! and one that closes silences all others.

use std::{collections::HashSet, net::SocketAddr, rc::Rc};

use serde_json::{Value, json};
use tokio::{
    net::TcpListener,
    sync::oneshot,
    task::{JoinSet, LocalSet},
};

use super::*;

const CLIENTS: usize = 50;
const KEYS: usize = 10;

/// The server, and what ends it.
async fn serve(key: &Key) -> (SocketAddr, oneshot::Sender<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let ended = async move { drop(stopped.await) };
    tokio::spawn(portcullis::demo::postiz::serve(listener, key.text().to_owned(), ended));
    (address, stop)
}

/// Numbers that are the same in every run (SplitMix64).
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (x ^ (x >> 31)) % bound
    }
}

/// A call whose answer tells whose it is: of so many posts so many drafts are kept.
fn call(id: u64, client: usize) -> String {
    let post = json!({"integrationId": "x", "type": "draft", "content": ""});
    let posts = vec![post; client + 1];
    json!({"jsonrpc": "2.0", "id": id, "method": "tools/call",
           "params": {"name": "integrationSchedulePostTool", "arguments": {"socialPost": posts}}})
    .to_string()
}

fn whose(answer: &Value) -> usize {
    let text = answer["result"]["content"][0]["text"].as_str().expect("a result");
    serde_json::from_str::<Vec<Value>>(text).unwrap().len() - 1
}

/// Comes, asks, hears and leaves, again and again, until so many calls were answered. How often it came.
async fn behave(gateway: Rc<Gateway>, key: Rc<Key>, client: usize, calls: u64) -> u64 {
    let mut chance = Chance(client.try_into().unwrap());
    let (mut asked, mut came) = (0, 0);
    while asked < calls {
        came += 1;
        let mut member = join(&gateway, &key).await;
        // Every client counts from one, on every stream anew.
        let (mut id, mut waiting) = (0, HashSet::new());
        let mut posting = gateway.client().await;
        let stays = (1 + chance.below(60)).min(calls - asked);
        while id < stays || !waiting.is_empty() {
            if id < stays && waiting.len() < 8 {
                id += 1;
                posting.send(&Call::post(&member.endpoint, &call(id, client))).await;
                assert_eq!(posting.answer().await.status, 201);
                waiting.insert(id);
            }
            if waiting.len() >= 8 || id == stays || chance.below(2) == 0 {
                let answer = member.hears().await;
                assert_eq!(whose(&answer), client, "another's answer: {answer}");
                assert!(waiting.remove(&answer["id"].as_u64().unwrap()), "not asked: {answer}");
            }
        }
        asked += stays;
        if chance.below(3) == 0 {
            // Leaves without waiting for the answer.
            posting.send(&Call::post(&member.endpoint, &call(id + 1, client))).await;
            assert_eq!(posting.answer().await.status, 201);
        }
    }
    came
}

#[expect(clippy::print_stdout, reason = "what was measured")]
async fn crowd(calls: u64) {
    let real = Key::new();
    let (server, stop) = serve(&real).await;
    let keys: Vec<Rc<Key>> = std::iter::repeat_with(|| Rc::new(Key::new())).take(KEYS).collect();
    let mut setup = Setup::before(server)
        .upstream(LEGACY)
        .route("max_streams = 64")
        .also("[limits]\nstreams_per_address = 1000");
    for (index, key) in keys.iter().enumerate() {
        setup = setup.injected(&format!("c{index}"), key, &real, "");
    }
    let gateway = Rc::new(setup.start());
    let (here, mut clients) = (LocalSet::new(), JoinSet::new());
    for client in 0..CLIENTS {
        let key = Rc::clone(&keys[client % KEYS]);
        let each = calls / u64::try_from(CLIENTS).unwrap();
        clients.spawn_local_on(behave(Rc::clone(&gateway), key, client, each), &here);
    }
    let begun = std::time::Instant::now();
    let came: u64 = here.run_until(clients.join_all()).await.into_iter().sum();
    println!("{calls} calls of {CLIENTS} clients who came {came} times: {:?}", begun.elapsed());
    assert!(gateway.metric("portcullis_shared_streams_open", &[]) <= 1.0);
    drop(Rc::into_inner(gateway));
    let _ = stop.send(());
}

#[tokio::test]
async fn every_answer_reaches_its_own_client_and_no_other_and_none_is_lost() {
    crowd(10_000).await;
}
