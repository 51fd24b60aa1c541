use super::*;

fn one(text: &str) -> Message {
    match read(text.as_bytes()) {
        Ok(Body::One(message)) => message,
        other => panic!("{text}: {other:?}"),
    }
}

/// A message with these members behind `jsonrpc`.
fn message(members: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0",{members}}}"#)
}

fn subject(method: &str, params: &str) -> Subject {
    one(&message(&format!(r#""id":1,"params":{params},"method":"{method}""#))).subject
}

fn untrusted(text: &str) -> Untrusted {
    Untrusted::new(text)
}

#[test]
fn a_call_is_known_by_its_id_method_and_tool() {
    let call = one(r#"{"jsonrpc":"2.0","id":"a\n","method":"tools/call","params":{"name":"x"}}"#);
    assert_eq!((call.kind, call.id.as_json()), (Kind::Request, r#""a\n""#));
    assert_eq!(call.method, Method::ToolsCall);
    assert_eq!(call.tool(), Some(&untrusted("x")));
    assert_eq!(one(&message(r#""method":"notifications/x""#)).kind, Kind::Notification);
    assert_eq!(one(&message(r#""id":1,"result":{}"#)).kind, Kind::Response);
    assert_eq!(one(&message(r#""id":null,"error":{}"#)).kind, Kind::Response);
    let escaped = message(r#""id":-1.5,"method":"tools\/list","params":null"#);
    assert_eq!(one(&format!(" {escaped}\n")).method, Method::ToolsList);
}

#[test]
fn what_a_method_asks_for_is_read_wherever_the_method_stands() {
    assert_eq!(
        subject("tools/call", r#"{"n\u0061me":"\u0061","x":1}"#),
        Subject::Tool(untrusted("a"))
    );
    assert_eq!(subject("prompts/get", r#"{"name":"p"}"#), Subject::Prompt(untrusted("p")));
    let uri = r#"{"uri":"a://b"}"#;
    for method in ["resources/read", "resources/subscribe", "resources/unsubscribe"] {
        assert_eq!(subject(method, uri), Subject::Resource(untrusted("a://b")));
    }
    assert_eq!(subject("tasks/get", r#"{"taskId":"7"}"#), Subject::Task(untrusted("7")));
    let reference = |sort: &str| {
        let params = format!(r#"{{"ref":{{"type":"ref/{sort}","name":"n","uri":"u"}}}}"#);
        subject("completion/complete", &params)
    };
    assert_eq!(reference("prompt"), Subject::Prompt(untrusted("n")));
    assert_eq!(reference("resource"), Subject::Template(untrusted("u")));
    assert_eq!(reference("else"), Subject::Nothing);
    let listens =
        r#"{"notifications":{"toolsListChanged":true,"resourceSubscriptions":["a","b"]}}"#;
    let both = vec![untrusted("a"), untrusted("b")];
    assert_eq!(subject("subscriptions/listen", listens), Subject::Resources(both));
    for odd in [r#"{"notifications":{"resourceSubscriptions":"a"}}"#, r#"{"notifications":["a"]}"#]
    {
        assert_eq!(subject("subscriptions/listen", odd), Subject::Nothing, "{odd}");
    }
    for nothing in [r#"{"notifications":{"resourceSubscriptions":null}}"#, "{}"] {
        assert_eq!(subject("subscriptions/listen", nothing), Subject::Resources(Vec::new()));
    }
    for nameless in [r#"{"name":1}"#, r#"{"name":null}"#, r#"["x"]"#, "{}", r#"{"uri":"a"}"#] {
        assert_eq!(subject("tools/call", nameless), Subject::Nothing, "{nameless}");
    }
}

#[test]
fn a_subscription_is_to_so_many_resources_and_no_more() {
    let listens = |n: usize| {
        let uris = vec![r#""""#; n].join(",");
        let params = format!(r#"{{"notifications":{{"resourceSubscriptions":[{uris}]}}}}"#);
        let text = message(&format!(r#""id":1,"method":"subscriptions/listen","params":{params}"#));
        read(text.as_bytes()).map(drop)
    };
    assert_eq!((listens(1024), listens(1025)), (Ok(()), Err(Denial::NotRpc)));
}

#[test]
fn the_version_in_the_meta_member_is_read() {
    let meta = r#""id":1,"method":"ping","params":{"_meta":{"x":{},"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}"#;
    assert_eq!(one(&message(meta)).version, Some(untrusted("2026-07-28")));
}

#[test]
fn of_a_long_name_only_the_beginning_outlives_its_judgement() {
    let name = "é".repeat(4096);
    let text = message(&format!(r#""id":1,"method":"tools/call","params":{{"name":"{name}"}}"#));
    let mut body = read(text.as_bytes()).unwrap();
    assert_eq!(body.single().unwrap().tool(), Some(&untrusted(&name)));
    body.settle();
    assert_eq!(body.single().unwrap().tool(), Some(&untrusted(&"é".repeat(MAX_KEPT))));
    for member in ["name", "uri", "taskId"] {
        let params = format!(r#"{{"{member}":"{name}x"}}"#);
        let text = message(&format!(r#""id":1,"method":"tools/call","params":{params}"#));
        assert_eq!(read(text.as_bytes()).unwrap_err(), Denial::NotRpc, "{member}");
    }
    let text = message(&format!(r#""id":1,"method":"{name}x""#));
    assert_eq!(read(text.as_bytes()).unwrap_err(), Denial::NotRpc);
}

#[test]
fn an_id_that_is_too_long_is_null() {
    let long = message(&format!(r#""id":"{}","method":"x""#, "a".repeat(300)));
    assert_eq!(one(&long).id, RpcId::NULL);
}

#[test]
fn what_is_no_json_is_told_from_what_is_no_message() {
    let two = message(r#""method":"x""#) + " {}";
    for text in ["", "{", "nope", &two, "\u{feff}{}", "{\"id\":1,}", "\u{0}"] {
        assert_eq!(read(text.as_bytes()).unwrap_err(), Denial::NotJson, "{text}");
    }
    let call = r#""id":1,"method":"tools/call""#;
    for bytes in [
        message(r#""method":"~""#),
        message(&format!(r#"{call},"params":{{"arguments":"~"}}"#)),
        message(r#""id":1,"result":"~""#),
    ] {
        let bytes: Vec<u8> = bytes.bytes().map(|b| if b == b'~' { 0xff } else { b }).collect();
        assert_eq!(read(&bytes).unwrap_err(), Denial::NotJson);
    }
    for members in [
        r#""id":1"#,
        r#""method":1"#,
        r#""method":"a","method":"b""#,
        r#""method":"a","m\u0065thod":"b""#,
        r#""id":null,"method":"a""#,
        r#""id":{},"method":"a""#,
        r#""id":true,"method":"a""#,
        r#""id":1,"method":"a","result":1"#,
        r#""id":1,"method":"a","error":1"#,
        r#""id":1,"result":1,"error":1"#,
        r#""id":null,"result":1"#,
        r#""id":1,"result":1,"params":{}"#,
        r#""method":"a","params":"b""#,
        r#""method":"a","params":true"#,
    ] {
        let text = message(members);
        assert_eq!(read(text.as_bytes()).unwrap_err(), Denial::NotRpc, "{text}");
    }
    let without = r#"{"id":1,"method":"a"}"#;
    let other = r#"{"jsonrpc":"1.0","id":1,"method":"a"}"#;
    for text in ["{}", "[]", "1", "\"a\"", "null", "[1]", "[[]]", without, other] {
        assert_eq!(read(text.as_bytes()).unwrap_err(), Denial::NotRpc, "{text}");
    }
    assert!(read("[".repeat(100_000).as_bytes()).is_err(), "depth is bounded");
}

#[test]
fn a_member_that_is_judged_has_one_spelling() {
    for members in [
        r#""id":1,"method":"ping","Method":"tools/call""#,
        r#""id":1,"METHOD":"ping""#,
        r#""id":1,"method":"ping","ID":2"#,
        r#""id":1,"method":"ping","paramſ":{}"#,
        r#""id":1,"method":"tools/call","params":{"name":"a","Name":"b"}"#,
        r#""id":1,"params":{"NAM\u0045":"b"},"method":"tools/call""#,
        r#""id":1,"method":"tools/call","params":{"Arguments":{}}"#,
        r#""id":1,"method":"resources/read","params":{"uri":"a","URI":"b"}"#,
        r#""id":1,"method":"tasks/get","params":{"taskid":"b"}"#,
        r#""id":1,"method":"tasks/get","params":{"taſKId":"b"}"#,
        r#""id":1,"method":"completion/complete","params":{"ref":{"Name":"b"}}"#,
    ] {
        let text = message(members);
        assert_eq!(read(text.as_bytes()).unwrap_err(), Denial::NotRpc, "{text}");
    }
    // What nobody judges has any name.
    for members in [
        r#""id":1,"method":"vendor/x","params":{"Name":"b"}"#,
        r#""id":1,"method":"tools/call","params":{"name":"a","arguments":{"Name":1,"METHOD":2}}"#,
        r#""id":1,"method":"ping","Vendor":{}"#,
    ] {
        one(&message(members));
    }
}

#[test]
fn a_batch_is_charged_by_its_elements_and_bounded() {
    let ping = message(r#""id":1,"method":"ping""#);
    let batch = |n: usize| format!("[{}]", vec![&*ping; n].join(","));
    assert_eq!(read(batch(3).as_bytes()).unwrap().cells().get(), 3);
    assert!(read(batch(64).as_bytes()).is_ok());
    assert_eq!(read(batch(65).as_bytes()).unwrap_err(), Denial::NotRpc);
    let starts = format!("[{ping},{}]", message(r#""id":1,"method":"initialize""#));
    assert_eq!(read(starts.as_bytes()).unwrap_err(), Denial::NotRpc);
}
