//! Certificates that are replaced while the gateway runs. Each is looked at by a handshake of its own.

use crate::harness::{Call, Gateway, Key, Pair, Setup, Upstream, tool_call};

const EXPIRY: &str = "portcullis_certificate_expiry_timestamp_seconds";

/// A gateway with certificates from files of these names.
fn serving(upstream: &Upstream, files: &[(&str, &Pair)]) -> Gateway {
    let mut setup = Setup::new(upstream);
    let mut list = Vec::new();
    for (name, pair) in files {
        setup = setup.pair(name, pair);
        list.push(format!("{{ cert = \"{name}.pem\", key = \"{name}.key\" }}"));
    }
    setup.https(&format!("certificates = [{}]", list.join(", "))).start()
}

#[tokio::test]
async fn a_new_certificate_is_shown_and_a_live_stream_notices_nothing() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream).tls().start();
    let mut client = gateway.tls_client().await;
    client.send(&Call::post(&format!("/api/mcp/{}", Key::new().text()), &tool_call(1))).await;
    let mut from_upstream = upstream.next().await.stream(&[]).await;
    let mut stream = client.stream().await;
    let new = Pair::until(&["gateway.test"], 2500);
    gateway.put("cert.pem", &new.cert);
    gateway.put("key.pem", &new.key);
    gateway.shows("gateway.test", &new.der).await;
    from_upstream.event("message", "{}").await;
    assert_eq!(stream.next_event().await.unwrap().data, "{}");
    from_upstream.finish().await;
    assert_eq!(stream.next_event().await, None);
    assert!(stream.ended_whole());
    gateway.metric_becomes(EXPIRY, &["https", "gateway.test"], 16_725_225_600.0).await;
}

#[tokio::test]
async fn the_exact_name_comes_before_the_wildcard_and_that_before_the_first() {
    let upstream = Upstream::start().await;
    let (first, wild) = (Pair::of(&["first.test"]), Pair::of(&["*.wild.test"]));
    let exact = Pair::of(&["a.wild.test"]);
    let files = [("first", &first), ("wild", &wild), ("exact", &exact)];
    let gateway = serving(&upstream, &files);
    for (name, shown) in [
        ("first.test", &first),
        ("a.wild.test", &exact),
        ("b.wild.test", &wild),
        ("a.b.wild.test", &first),
        ("nobody.test", &first),
    ] {
        assert_eq!(gateway.shown(name).await.as_ref(), Some(&shown.der), "{name}");
    }
    let renewed = Pair::of(&["*.wild.test"]);
    gateway.put("wild.pem", &renewed.cert);
    gateway.put("wild.key", &renewed.key);
    gateway.shows("b.wild.test", &renewed.der).await;
    assert_eq!(gateway.shown("a.wild.test").await, Some(exact.der));
}

#[tokio::test]
async fn a_link_that_leads_elsewhere_is_a_new_certificate() {
    let upstream = Upstream::start().await;
    let (old, new) = (Pair::of(&["gateway.test"]), Pair::of(&["gateway.test"]));
    let setup = Setup::new(&upstream).directory("one").directory("two");
    let setup = setup.pair("one/site", &old).pair("two/site", &new).leads_to("data", "one");
    // As Kubernetes lays them: the files lead through a directory that is swapped.
    let setup = setup.leads_to("site.pem", "data/site.pem").leads_to("site.key", "data/site.key");
    let files = "certificates = [{ cert = \"site.pem\", key = \"site.key\" }]";
    let gateway = setup.https(files).start();
    assert_eq!(gateway.shown("gateway.test").await, Some(old.der));
    gateway.link("data", "two");
    gateway.shows("gateway.test", &new.der).await;
}

#[tokio::test]
async fn the_end_of_a_certificate_is_shown_under_the_name_that_it_has_now() {
    let upstream = Upstream::start().await;
    let gateway = serving(&upstream, &[("site", &Pair::until(&["old.test"], 2100))]);
    assert_eq!(gateway.metric(EXPIRY, &["https", "old.test"]), 4_102_444_800.0);
    let new = Pair::until(&["new.test"], 2500);
    gateway.put("site.pem", &new.cert);
    gateway.put("site.key", &new.key);
    gateway.metric_becomes(EXPIRY, &["https", "new.test"], 16_725_225_600.0).await;
    assert_eq!(gateway.metric(EXPIRY, &["old.test"]), 0.0);
}
