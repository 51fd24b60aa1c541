//! Where the names stand by which two sides tell messages apart: the `id` of a call and of its answer,
//! the call that is cancelled, the token of its progress. Where many clients share one stream of a
//! server, each of these has to be another there than here, and nothing else may be.

use std::ops::Range;

use super::{
    Unreadable,
    json::{Bounds, Fault, Json, Sort},
};

/// A place in a text.
pub type Place = Range<usize>;

/// What a body or the data of an event says, as far as names of messages go.
#[derive(Debug, PartialEq, Eq)]
pub struct Marks {
    /// Each message, in order.
    pub messages: Vec<Marked>,
    /// Whether they are a batch.
    pub is_batch: bool,
}

/// The places in one message. A value that is neither a text nor a number is the name of nothing, and
/// has none.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Marked {
    /// The whole message.
    pub whole: Place,
    /// Its `method`; a response has none.
    pub method: Option<String>,
    /// Its `id`.
    pub id: Option<Place>,
    /// `params.requestId`: the call that `notifications/cancelled` is about.
    pub cancels: Option<Place>,
    /// `params._meta.progressToken`: by what a call wants to hear of its progress.
    pub token: Option<Place>,
    /// `params.progressToken`: whose progress `notifications/progress` tells of.
    pub progress: Option<Place>,
}

/// Finds the names in a text. It is held to what an answer is held to; a request was read more strictly
/// before.
///
/// # Errors
/// `Unreadable` for what is no JSON, no object and no array of objects, and where a member that is
/// looked at stands twice.
pub fn marks(text: &str) -> Result<Marks, Unreadable> {
    let mut json = Json::new(text, Bounds::ANSWER);
    let (mut messages, is_batch) = (Vec::new(), json.sort()? == Sort::Array);
    if is_batch {
        json.array(|json| {
            messages.push(Marked::read(json)?);
            Ok(())
        })?;
    } else {
        messages.push(Marked::read(&mut json)?);
    }
    json.end()?;
    Ok(Marks { messages, is_batch })
}

impl Marked {
    fn read(json: &mut Json<'_>) -> Result<Self, Fault> {
        if json.sort()? != Sort::Object {
            return Err(Fault::Doubtful);
        }
        let (mut marked, start) = (Self::default(), json.position());
        json.object(|json, name| {
            match name {
                "method" => marked.method = json.text_or_skip()?.map(Into::into),
                "id" => marked.id = name_of_a_message(json)?,
                "params" => json.object_or_skip(|json, name| marked.param(json, name))?,
                _ => {
                    json.skip()?;
                }
            }
            Ok(())
        })?;
        marked.whole = start..json.position();
        Ok(marked)
    }

    fn param(&mut self, json: &mut Json<'_>, name: &str) -> Result<(), Fault> {
        match name {
            "requestId" => self.cancels = name_of_a_message(json)?,
            "progressToken" => self.progress = name_of_a_message(json)?,
            "_meta" => json.object_or_skip(|json, name| {
                match name {
                    "progressToken" => self.token = name_of_a_message(json)?,
                    _ => {
                        json.skip()?;
                    }
                }
                Ok(())
            })?,
            _ => {
                json.skip()?;
            }
        }
        Ok(())
    }
}

fn name_of_a_message(json: &mut Json<'_>) -> Result<Option<Place>, Fault> {
    let names = matches!(json.sort()?, Sort::Text | Sort::Number);
    let place = json.skip()?;
    Ok(names.then_some(place))
}

/// A part of a text with other words at some places, which are given in any order and don't overlap. All
/// the rest keeps its bytes.
pub fn with_instead(text: &str, part: Place, mut instead: Vec<(Place, String)>) -> String {
    instead.sort_unstable_by_key(|(place, _)| place.start);
    let longer: usize = instead.iter().map(|(_, words)| words.len()).sum();
    let mut out = String::with_capacity(part.len() + longer);
    let mut at = part.start;
    for (place, words) in instead {
        out.push_str(text.get(at..place.start).unwrap_or_default());
        out.push_str(&words);
        at = place.end;
    }
    out.push_str(text.get(at..part.end).unwrap_or_default());
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Map, Value, json};

    use super::*;

    /// Every name in a text, as it is written there.
    fn names(text: &str) -> Vec<String> {
        let at = |place: Option<Place>| place.map(|place| text[place].to_owned());
        let found = marks(text).unwrap();
        let of = |marked: Marked| [marked.id, marked.cancels, marked.token, marked.progress];
        found.messages.into_iter().flat_map(of).filter_map(at).collect()
    }

    #[test]
    fn names_are_found_where_they_name_a_message_and_nowhere_else() {
        for (text, found) in [
            (r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#, &["1"][..]),
            (
                r#"{"id" : "a\u0062" ,"result":{"id":7,"params":{"requestId":8}}}"#,
                &[r#""a\u0062""#],
            ),
            (r#"{"params":{"requestId":-0.5e3,"id":1}}"#, &["-0.5e3"]),
            (
                r#"{"id":3,"params":{"_meta":{"progressToken":"t"},"arguments":{"id":9}}}"#,
                &["3", "\"t\""],
            ),
            (r#"{"params":{"progressToken":4,"progress":1}}"#, &["4"]),
            (r#"[{"id":1},{"id":2},{"method":"x"}]"#, &["1", "2"]),
            (r#"{"params":[1],"Id":5,"i\u0064":6}"#, &["6"]),
            (r#"{"id":null}"#, &[]),
            (r#"{"id":{"id":1},"params":{"_meta":[2]}}"#, &[]),
            ("{}", &[]),
            ("[]", &[]),
        ] {
            assert_eq!(names(text), found, "{text}");
        }
        for bad in ["", "1", "\"x\"", "null", "[1]", "[[{}]]", "{\"id\":1,\"id\":2}", "{} {}", "{"]
        {
            assert_eq!(marks(bad), Err(Unreadable), "{bad}");
        }
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<i64>().prop_map(Value::from),
            "[a-z\"\\\\\u{e9}{}:,]{0,6}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 16, 4, |inner| {
            let named = ("id|params|requestId|progressToken|_meta|x", inner.clone());
            prop_oneof![
                prop::collection::vec(inner, 0..4).prop_map(Value::from),
                prop::collection::vec(named, 0..4)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    /// A message with whatever members, written in one of two manners.
    fn message() -> impl Strategy<Value = (Value, String)> {
        let members = ("id|method|params|result|x", value());
        let members = prop::collection::vec(members, 0..6);
        (members, any::<bool>()).prop_map(|(members, pretty)| {
            let message = Value::Object(members.into_iter().collect::<Map<_, _>>());
            let text = if pretty { format!("{message:#}") } else { message.to_string() };
            (message, text)
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_is_written_anew_differs_in_nothing_but_the_id_and_back_again_in_nothing(
            (mut message, text) in message(),
        ) {
            let marked = marks(&text).unwrap().messages.pop().unwrap();
            prop_assert_eq!(&text[marked.whole.clone()], text.as_str());
            let Some(id) = marked.id else {
                prop_assert!(!matches!(message.get("id"), Some(Value::String(_) | Value::Number(_))));
                return Ok(());
            };
            let original = text[id.clone()].to_owned();
            let other = with_instead(&text, marked.whole, vec![(id, "\"other\"".to_owned())]);
            message["id"] = json!("other");
            prop_assert_eq!(serde_json::from_str::<Value>(&other).unwrap(), message);
            let marked = marks(&other).unwrap().messages.pop().unwrap();
            let back = with_instead(&other, marked.whole, vec![(marked.id.unwrap(), original)]);
            prop_assert_eq!(back, text);
        }

        #[test]
        fn of_a_batch_every_message_is_found_whole(all in prop::collection::vec(message(), 0..5)) {
            let texts: Vec<&str> = all.iter().map(|(_, text)| text.as_str()).collect();
            let batch = format!("[ {} ]", texts.join(" ,\n"));
            let found = marks(&batch).unwrap();
            prop_assert!(found.is_batch);
            let found: Vec<&str> =
                found.messages.into_iter().map(|marked| &batch[marked.whole]).collect();
            prop_assert_eq!(found, texts);
        }

        #[test]
        fn any_text_is_read_or_refused(text in "[\\[\\]{}:,\" 0-9a-d\\\\]{0,40}") {
            let _ = marks(&text);
        }
    }
}
