use proptest::prelude::*;
use serde_json::Value;

use super::*;

fn read(text: &str, bounds: Bounds) -> Result<(), Fault> {
    let mut json = Json::new(text, bounds);
    json.skip()?;
    json.end()
}

fn request(text: &str) -> Result<(), Fault> {
    read(text, Bounds::REQUEST)
}

#[test]
fn what_is_no_json_is_not_read() {
    for text in [
        "",
        " ",
        "{",
        "[",
        "[1",
        "{\"a\"",
        "{\"a\":",
        "{\"a\":1",
        "{\"a\":1,}",
        "[1,]",
        "[,]",
        "{a:1}",
        "1 2",
        "{} {}",
        "\u{feff}{}",
        "01",
        "-",
        "1.",
        ".5",
        "1e",
        "+1",
        "NaN",
        "nul",
        "truex",
        "'a'",
        "\"a",
        "\"\n\"",
        "\"\\x\"",
        "\"\\u12g4\"",
        "\"\\u12",
        "\u{a0}1",
        "// x\n1",
        "[1]\0",
    ] {
        assert_eq!(request(text), Err(Fault::NotJson), "{text:?}");
    }
}

#[test]
fn what_two_readers_could_read_differently_is_doubtful() {
    let many = |n: usize| {
        let members: Vec<_> = (0..n).map(|i| format!("\"{i}\":0")).collect();
        format!("{{{}}}", members.join(","))
    };
    let deep = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
    for text in [
        r#"{"a":1,"a":1}"#,
        r#"{"a":1,"b":2,"\u0061":3}"#,
        r#"[{"x":{"n":1,"m":2,"n":3}}]"#,
        r#"{"\ud800":1}"#,
        &"1".repeat(101),
        &deep(65),
        &many(1025),
    ] {
        assert_eq!(request(text), Err(Fault::Doubtful), "{text:.40}");
    }
    for text in [
        " {\t\"a\" :\r\n[ ] , \"A\":{}} ",
        r#"["\ud83d","\ud83d\ude00","\"\\\/\b\f\n\r\t"]"#,
        "[-0,0.5e+10,1E-2,true,false,null]",
        &"1".repeat(100),
        &deep(64),
        &many(1024),
    ] {
        assert_eq!(request(text), Ok(()), "{text:.40}");
    }
}

#[test]
fn a_depth_of_ten_thousand_ends_at_the_bound() {
    for text in ["[".repeat(10_000), "{\"a\":".repeat(10_000)] {
        assert_eq!(request(&text), Err(Fault::Doubtful));
        assert_eq!(read(&text, Bounds::ANSWER), Err(Fault::Doubtful));
    }
}

#[test]
fn an_escape_is_what_it_stands_for() {
    let text = |raw: &str| Json::new(raw, Bounds::REQUEST).text().map(Cow::into_owned);
    assert_eq!(text(r#""n\u0061me""#).unwrap(), "name");
    assert_eq!(text(r#""\u00e9\ud83d\ude00\n\/""#).unwrap(), "é😀\n/");
    for half in [r#""\ud83d""#, r#""\ud83dx""#, r#""\ud83d\n""#, r#""\ude00\ud83d""#] {
        assert_eq!(text(half), Err(Fault::Doubtful), "{half}");
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_filter("finite", |n| n.is_finite()).prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 64, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
            prop::collection::vec((any::<String>(), inner), 0..8)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_json_is_read(value in any_json(), pretty: bool) {
        let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) };
        prop_assert_eq!(request(&text.unwrap()), Ok(()));
    }

    #[test]
    fn what_is_read_another_reader_reads_too(text in r#"[\[\]{}:,"\\ua0-9eE+. \n-]{0,24}|true|null"#) {
        if request(&text).is_ok() {
            let sound = serde_json::from_str::<Value>(&text);
            // A number may be out of anyone's range, half a pair of surrogates no character.
            let excused = sound.as_ref().is_err_and(|e| {
                ["out of range", "surrogate", "hex escape"].iter().any(|s| e.to_string().contains(s))
            });
            prop_assert!(sound.is_ok() || excused, "{text}");
        }
        if serde_json::from_str::<Value>(&text).is_ok() {
            prop_assert_ne!(request(&text), Err(Fault::NotJson));
        }
    }

    #[test]
    fn a_text_is_read_as_it_was_written(text: String) {
        let written = serde_json::to_string(&text).unwrap();
        prop_assert_eq!(Json::new(&written, Bounds::REQUEST).text().unwrap(), text);
    }
}
