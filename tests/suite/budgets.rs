//! How fast and how often a day tools may be called.

use std::net::Ipv4Addr;

use serde_json::json;

use crate::{
    harness::{Answer, Call, Client, Gateway, Key, Setup, Upstream, call_with_id},
    noon,
};

fn tool(name: &str) -> String {
    let params = json!({ "name": name, "arguments": {} });
    json!({ "jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": params }).to_string()
}

fn call(key: &Key, name: &str) -> Call {
    Call::post("/api/mcp", &tool(name)).bearer(key)
}

/// A gateway whose route has these lines, for a consumer with those.
fn start(upstream: &Upstream, key: &Key, route: &str, own: &str) -> Gateway {
    let setup = Setup::new(upstream).route(route).also(&noon::limits());
    setup.consumer("one", key, own).start()
}

fn used_up(answer: &Answer) {
    answer.refused(200, "budget");
}

#[tokio::test]
async fn of_a_thousand_calls_at_once_exactly_the_budget_reaches_the_upstream() {
    const BUDGET: usize = 50;
    let mut upstream = Upstream::start().await;
    let key = Key::new();
    let setup = Setup::new(&upstream).route("budgets = { \"post*\" = \"50/day\" }");
    let gateway = setup.also(&noon::limits()).consumer("one", &key, "").start();
    let mut clients: Vec<Client> = Vec::new();
    for number in 0..1_000_u16 {
        // From ten addresses of their own: so many ports of 127.0.0.1 would be missed by other tests.
        let from = Ipv4Addr::new(127, 0, 50, u8::try_from(number % 10).unwrap() + 1);
        clients.push(gateway.client_of("http", from).await);
    }
    let asking: Vec<_> = clients
        .into_iter()
        .map(|mut client| {
            let call = call(&key, "postNow");
            tokio::spawn(async move { client.ask(&call).await })
        })
        .collect();
    for _ in 0..BUDGET {
        upstream.answer("{}").await;
    }
    let (mut passed, mut refused) = (0, 0);
    for asked in asking {
        let answer = asked.await.unwrap();
        if answer.text() == "{}" {
            passed += 1;
        } else {
            used_up(&answer);
            refused += 1;
        }
    }
    assert_eq!((passed, refused), (BUDGET, 950));
    upstream.saw_nothing(&gateway).await;
}

#[tokio::test]
async fn a_call_over_its_budget_is_told_how_many_there_are_and_when_they_come_back() {
    let mut upstream = Upstream::start().await;
    let key = Key::new();
    let gateway = start(&upstream, &key, "budgets = { post = \"2/day\" }", "");
    for _ in 0..2 {
        gateway.pass(&mut upstream, &call(&key, "post")).await;
    }
    let answer = gateway.ask(&call(&key, "post")).await;
    used_up(&answer);
    let seconds = answer.field("retry-after").unwrap();
    let text = format!("The 2 calls that this tool has a day are used up. Retry in {seconds} s.");
    assert_eq!(answer.json()["error"]["message"], text);
    let off = noon::left_of_day().abs_diff(seconds.parse().unwrap());
    assert!(off <= 5, "until the day's end: {seconds}");
    let reached = ["limit=\"routes.budgets\""];
    gateway.metric_becomes("portcullis_limits_reached_total", &reached, 1.0).await;
    gateway.pass(&mut upstream, &call(&key, "other")).await;
    gateway
        .pass(&mut upstream, &Call::post("/api/mcp", &call_with_id(1, "tools/list")).bearer(&key))
        .await;
    upstream.saw_nothing(&gateway).await;
}

#[tokio::test]
async fn what_has_no_answer_to_read_and_a_route_that_wants_the_status_get_429() {
    let mut upstream = Upstream::start().await;
    let key = Key::new();
    let route = "refusals = \"http\"\nbudgets = { \"*\" = \"1/day\" }";
    let gateway = start(&upstream, &key, route, "");
    // A server may do what has no id, so it counts.
    let silent = r#"{"jsonrpc":"2.0","method":"tools/call","params":{"name":"post"}}"#;
    let silent = Call::post("/api/mcp", silent).bearer(&key);
    gateway.pass(&mut upstream, &silent).await;
    for call in [silent, call(&key, "post")] {
        let answer = gateway.ask(&call).await;
        assert!(answer.refused(429, "budget").field("retry-after").is_some());
    }
    upstream.saw_nothing(&gateway).await;
}

#[tokio::test]
async fn a_batch_counts_each_call_and_tells_which_was_too_much() {
    let mut upstream = Upstream::start().await;
    let key = Key::new();
    let gateway = start(&upstream, &key, "budgets = { \"post*\" = \"3/day\" }", "");
    let batch = |names: &[&str]| {
        let calls =
            names.iter().enumerate().map(|(at, name)| tool(name).replace("7", &at.to_string()));
        let body = format!("[{}]", calls.collect::<Vec<_>>().join(","));
        Call::post("/api/mcp", &body).bearer(&key)
    };
    gateway.pass(&mut upstream, &batch(&["post", "list", "postNow"])).await;
    let answer = gateway.ask(&batch(&["list", "post", "post"])).await;
    assert_eq!(answer.status, 200);
    let errors = answer.json();
    let texts: Vec<&str> = errors
        .as_array()
        .unwrap()
        .iter()
        .map(|error| error["error"]["message"].as_str().unwrap())
        .collect();
    let beside = "Refused with its batch: another message of it isn't allowed.";
    assert_eq!(texts[..2], [beside, beside]);
    assert!(texts[2].starts_with("The 3 calls"), "{texts:?}");
    // None of it was taken: one is left.
    gateway.pass(&mut upstream, &call(&key, "post")).await;
    used_up(&gateway.ask(&call(&key, "post")).await);
}

#[tokio::test]
async fn a_call_that_was_not_done_does_not_count() {
    let mut upstream = Upstream::start().await;
    let key = Key::new();
    let gateway = start(&upstream, &key, "budgets = { post = \"1/day\" }", "");
    for status in [500, 503, 401, 403] {
        let mut client = gateway.client().await;
        client.send(&call(&key, "post")).await;
        upstream.next().await.respond(status, &[], "no").await;
        assert_eq!(client.answer().await.status, status);
    }
    gateway.pass(&mut upstream, &call(&key, "post")).await;
    used_up(&gateway.ask(&call(&key, "post")).await);
}

#[tokio::test]
async fn a_call_that_somebody_between_gave_up_counts() {
    let mut upstream = Upstream::start().await;
    for status in [502, 504] {
        let key = Key::new();
        let gateway = start(&upstream, &key, "budgets = { post = \"1/day\" }", "");
        let mut client = gateway.client().await;
        client.send(&call(&key, "post")).await;
        upstream.next().await.respond(status, &[], "no").await;
        assert_eq!(client.answer().await.status, status);
        used_up(&gateway.ask(&call(&key, "post")).await);
    }
}

#[tokio::test]
async fn a_call_that_never_got_there_does_not_count() {
    let mut upstream = Upstream::start().await;
    let key = Key::new();
    let gateway = start(&upstream, &key, "budgets = { post = \"1/day\" }", "");
    let address = upstream.leave().await;
    gateway.ask(&call(&key, "post")).await.refused(502, "upstream_down");
    upstream = Upstream::start_on(&address.to_string()).await;
    gateway.pass(&mut upstream, &call(&key, "post")).await;
    used_up(&gateway.ask(&call(&key, "post")).await);
}

#[tokio::test]
async fn a_call_in_a_session_that_is_over_does_not_count() {
    let mut upstream = Upstream::start().await;
    let key = Key::new();
    let gateway = start(&upstream, &key, "budgets = { post = \"1/day\" }", "");
    let mut client = gateway.client().await;
    let initialize = call_with_id(1, "initialize");
    client.send(&Call::post("/api/mcp", &initialize).bearer(&key)).await;
    upstream.next().await.respond(200, &[("mcp-session-id", "s1")], "{}").await;
    let session = client.answer().await.field("mcp-session-id").unwrap().to_owned();
    let gone = r#"{"jsonrpc":"2.0","error":{"code":-32000,"message":"Bad Request: No valid session ID provided"},"id":null}"#;
    for (status, body) in [(404, "{}"), (400, gone)] {
        client.send(&call(&key, "post").field("mcp-session-id", &session)).await;
        upstream.next().await.respond(status, &[("content-type", "application/json")], body).await;
        assert_eq!(client.answer().await.status, 404, "{body}");
    }
    gateway.pass(&mut upstream, &call(&key, "post")).await;
    used_up(&gateway.ask(&call(&key, "post")).await);
}

#[tokio::test]
async fn a_call_that_may_have_been_done_counts() {
    for answered in [None, Some(400)] {
        let mut upstream = Upstream::start().await;
        let key = Key::new();
        let gateway = start(&upstream, &key, "budgets = { post = \"1/day\" }", "");
        let mut client = gateway.client().await;
        client.send(&call(&key, "post")).await;
        match answered {
            None => upstream.next().await.hang_up(),
            Some(status) => drop(upstream.next().await.respond(status, &[], "{}").await),
        }
        client.answer().await;
        used_up(&gateway.ask(&call(&key, "post")).await);
    }
}

#[tokio::test]
async fn a_client_that_leaves_has_made_its_call() {
    let mut upstream = Upstream::start().await;
    let key = Key::new();
    let gateway = start(&upstream, &key, "budgets = { post = \"1/day\" }", "");
    let mut client = gateway.client().await;
    client.send(&call(&key, "post")).await;
    let mut under_way = upstream.next().await;
    drop(client);
    under_way.is_abandoned().await;
    used_up(&gateway.ask(&call(&key, "post")).await);
}

#[tokio::test]
async fn what_the_rules_or_a_rate_refuse_costs_nothing() {
    let mut upstream = Upstream::start().await;
    let key = Key::new();
    let route = "tools = { deny = [\"postAll\"] }\nbudgets = { \"post*\" = \"2/day\" }\n\
                 rates = { postFast = \"1/day\" }";
    let gateway = start(&upstream, &key, route, "");
    gateway.ask(&call(&key, "postAll")).await.refused(200, "tool");
    gateway.pass(&mut upstream, &call(&key, "postFast")).await;
    for _ in 0..3 {
        let refused = gateway.ask(&call(&key, "postFast")).await;
        let text = refused.refused(200, "rate").json()["error"]["message"].to_string();
        assert!(text.contains("The rate limit of this tool is reached."), "{text}");
    }
    gateway.pass(&mut upstream, &call(&key, "post")).await;
    used_up(&gateway.ask(&call(&key, "post")).await);
    upstream.saw_nothing(&gateway).await;
}

#[tokio::test]
async fn a_consumers_own_tables_take_the_place_of_the_routes_and_span_routes() {
    let mut upstream = Upstream::start().await;
    let key = Key::new();
    let route = |name: &str| {
        format!(
            "[[routes]]\nname = \"{name}\"\npaths = [\"/api/{name}\"]\nupstream = \"postiz\"\n\
             budgets = {{ \"*\" = \"1/day\" }}\nrates = {{ \"*\" = \"1/day\" }}\n"
        )
    };
    let own = "budgets = { post = \"3/day\" }\nrates = { list = \"2/day\" }\n";
    let setup = Setup::new(&upstream).routes(&(route("a") + &route("b"))).also(&noon::limits());
    let gateway = setup.consumer("one", &key, own).start();
    let call =
        |route: &str, name: &str| Call::post(&format!("/api/{route}"), &tool(name)).bearer(&key);
    for route in ["a", "b", "a"] {
        gateway.pass(&mut upstream, &call(route, "post")).await;
    }
    used_up(&gateway.ask(&call("b", "post")).await);
    for route in ["a", "b"] {
        gateway.pass(&mut upstream, &call(route, "list")).await;
    }
    gateway.ask(&call("a", "list")).await.refused(200, "rate");
    for limit in ["consumers.budgets", "consumers.rates"] {
        let label = format!("limit=\"{limit}\"");
        gateway.metric_becomes("portcullis_limits_reached_total", &[&label], 1.0).await;
    }
    upstream.saw_nothing(&gateway).await;
}

#[tokio::test]
async fn each_key_has_the_routes_budget_to_itself_and_two_of_one_consumer_have_one() {
    let mut upstream = Upstream::start().await;
    let (old, new, stranger, other) = (Key::new(), Key::new(), Key::new(), Key::new());
    let own = format!("previous = {{ key_sha256 = \"{}\", expires = 2999-12-31 }}\n", old.sha256());
    let gateway = start(&upstream, &new, "budgets = { post = \"1/day\" }", &own);
    gateway.pass(&mut upstream, &call(&old, "post")).await;
    used_up(&gateway.ask(&call(&new, "post")).await);
    for key in [&stranger, &other] {
        gateway.pass(&mut upstream, &call(key, "post")).await;
        used_up(&gateway.ask(&call(key, "post")).await);
    }
    upstream.saw_nothing(&gateway).await;
}

#[tokio::test]
async fn made_up_keys_share_the_rate_of_a_tool_until_the_upstream_accepts_one() {
    let mut upstream = Upstream::start().await;
    let gateway = start(&upstream, &Key::new(), "rates = { post = \"2/day\" }", "");
    let mut client = gateway.client().await;
    for _ in 0..2 {
        client.send(&call(&Key::new(), "post")).await;
        upstream.next().await.respond(401, &[], "no").await;
        assert_eq!(client.answer().await.status, 401);
    }
    let good = Key::new();
    gateway.ask(&call(&good, "post")).await.refused(200, "rate");
    gateway.pass(&mut upstream, &call(&good, "list")).await;
    for _ in 0..2 {
        gateway.pass(&mut upstream, &call(&good, "post")).await;
    }
    gateway.ask(&call(&good, "post")).await.refused(200, "rate");
    upstream.saw_nothing(&gateway).await;
}

#[tokio::test]
async fn how_much_of_a_budget_is_used_is_a_metric() {
    let mut upstream = Upstream::start().await;
    let (key, stranger, other) = (Key::new(), Key::new(), Key::new());
    let gateway = start(&upstream, &key, "budgets = { \"post*\" = \"4/day\" }", "");
    for key in [&key, &stranger, &stranger, &stranger, &other] {
        gateway.pass(&mut upstream, &call(key, "post")).await;
    }
    // Of keys that nobody configured the one that has used most.
    for (consumer, share) in [("consumer=\"one\"", 0.25), ("consumer=\"\"", 0.75)] {
        let labels = [consumer, "route=\"mcp\"", "budget=\"post*\""];
        gateway.metric_becomes("portcullis_budget_used_ratio", &labels, share).await;
    }
}
