//! A panic in the middle of an exchange: a bug that isn't known yet, and what it may cost.

use std::fmt;

use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};

use crate::harness::{Call, Key, Setup, Upstream, tool_call};

/// The upstream whose faults make a panic.
const CHOKING: &str = "choking";

/// What an `unwrap` would quote.
const QUOTED: &str = "zXcanaryXz";

/// Stands in for a bug: it panics where the gateway says, in the middle of an exchange, that this
/// upstream's answer is bad. The gateway is built as ever, and nothing in it knows of this.
struct Chokes;

impl Subscriber for Chokes {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("portcullis::proxy")
    }

    fn event(&self, event: &Event<'_>) {
        event.record(&mut Self);
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

impl Visit for Chokes {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let chokes = field.name() == "upstream" && format!("{value:?}") == CHOKING;
        assert!(!chokes, "cannot unwrap {QUOTED}");
    }
}

#[tokio::test]
async fn a_panic_costs_one_connection_and_is_one_line_without_what_it_quotes() {
    let mut upstream = Upstream::start().await;
    let choking = format!(
        "[upstreams.{CHOKING}]\nendpoints = [\"http://{}\"]\n[[routes]]\nname = \"{CHOKING}\"\n\
         paths = [\"/choking\"]\nupstream = \"{CHOKING}\"\nunknown_keys = \"forward\"\n\
         max_streams = 1",
        upstream.address()
    );
    let gateway = Setup::new(&upstream).also(&choking).start();
    tracing::subscriber::set_global_default(Chokes).unwrap();
    gateway.tells_of_panics();
    let key = Key::new();
    // One more than there are workers, so that some stream shares its worker with the panic.
    let workers = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let mut bystanders = Vec::new();
    for _ in 0..=workers {
        let mut client = gateway.client().await;
        client.send(&Call::get("/api/mcp").bearer(&Key::new())).await;
        let from_upstream = upstream.next().await.stream(&[]).await;
        bystanders.push((client.stream().await, from_upstream));
    }
    let open = f64::from(u32::try_from(bystanders.len()).unwrap());
    for _ in 0..3 * workers {
        let mut client = gateway.client().await;
        client.send(&Call::get("/choking").bearer(&key)).await;
        let mut request = upstream.next().await;
        request.raw("SSH-2.0-OpenSSH_9.2\r\n").await;
        client.is_closed().await;
        request.is_abandoned().await;
    }
    drop(std::panic::take_hook());

    for gauge in ["portcullis_connections_open", "portcullis_streams_open"] {
        gateway.metric_becomes(gauge, &[], open).await;
    }
    for (stream, from_upstream) in &mut bystanders {
        from_upstream.event("message", "{}").await;
        assert_eq!(stream.next_event().await.unwrap().data, "{}");
    }
    let told = gateway.log().into_iter().filter(|line| line["level"] != "info");
    let told: Vec<_> = told.map(|line| line["event"].as_str().unwrap().to_owned()).collect();
    assert_eq!(told.len(), 3 * workers, "{told:?}");
    assert!(told.iter().all(|event| event.starts_with("panic at tests/suite/panics.rs:")));
    // The only slot that the key has for a stream came back each time.
    gateway.pass(&mut upstream, &Call::get("/choking").bearer(&key)).await;
    gateway.pass(&mut upstream, &Call::post("/api/mcp", &tool_call(1)).bearer(&key)).await;
    for (stream, from_upstream) in bystanders {
        drop(stream);
        from_upstream.finish().await;
    }
}
