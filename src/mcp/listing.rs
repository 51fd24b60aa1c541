//! The lists in a server's answers, with what may not be used taken out of them. Whatever stays keeps
//! its bytes and its order, and the cursor its meaning.

use std::ops::Range;

use super::json::{Bounds, Fault, Json, Sort};
use crate::types::fold;

/// What a list is of, told by the member of the result that holds it. Which request an answer is to
/// doesn't matter: on a resumed stream nobody knows, and two requests of one id would pass for each
/// other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listed {
    /// An element of `tools`, by its `name`.
    Tool,
    /// An element of `prompts`, by its `name`.
    Prompt,
    /// An element of `resources`, by its `uri`.
    Resource,
    /// An element of `resourceTemplates`, by its `uriTemplate`.
    Template,
}

impl Listed {
    /// What a member of a result, in lower case, lists, and the member that names each element.
    fn of(member: &str) -> Option<(Self, &'static str)> {
        match member {
            "tools" => Some((Self::Tool, "name")),
            "prompts" => Some((Self::Prompt, "name")),
            "resources" => Some((Self::Resource, "uri")),
            "resourcetemplates" => Some((Self::Template, "uriTemplate")),
            _ => None,
        }
    }
}

/// An element of a list.
#[derive(Clone, Copy, Debug)]
pub struct Element<'a> {
    /// What it is.
    pub listed: Listed,
    /// What names it.
    pub name: &'a str,
    /// As it is written.
    pub text: &'a str,
}

/// What became of an answer.
#[derive(Debug, PartialEq, Eq)]
pub enum Sifted {
    /// Nothing had to be taken out.
    AsItIs,
    /// The text without it.
    Rewritten(String),
}

/// An answer that can't be read, so that nobody knows what it lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreadable;

impl From<Fault> for Unreadable {
    fn from(_: Fault) -> Self {
        Self
    }
}

/// Takes out of an answer (one message, or a batch of them) what `keeps` doesn't keep, and an element
/// that has no name. What goes to one key is nobody else's: `cacheScope` becomes `private`.
///
/// # Errors
/// `Unreadable` for what is no JSON, and where a member that is looked at stands twice.
pub fn sift(text: &str, mut keeps: impl FnMut(&Element<'_>) -> bool) -> Result<Sifted, Unreadable> {
    let mut edits = Edits(Vec::new());
    let mut json = Json::new(text, Bounds::ANSWER);
    // A client that doesn't tell upper case from lower reads a `Result` too.
    let mut message = |json: &mut Json<'_>| {
        json.object_or_skip(|json, name| match &*fold(name) {
            "result" => {
                json.object_or_skip(|json, name| result(json, &fold(name), &mut keeps, &mut edits))
            }
            _ => json.skip().map(drop),
        })
    };
    match json.sort()? {
        Sort::Array => json.array(|json| match json.sort()? {
            Sort::Array => Err(Fault::Doubtful),
            _ => message(json),
        })?,
        _ => message(&mut json)?,
    }
    json.end()?;
    Ok(edits.apply(text))
}

fn result(
    json: &mut Json<'_>,
    member: &str,
    keeps: &mut impl FnMut(&Element<'_>) -> bool,
    edits: &mut Edits,
) -> Result<(), Fault> {
    if let Some((listed, named_by)) = Listed::of(member)
        && json.sort()? == Sort::Array
    {
        return list(json, (listed, named_by), keeps, edits);
    }
    let place = json.skip()?;
    if member == "cachescope" && json.at(place.clone()) != PRIVATE {
        edits.0.push((place, PRIVATE.to_owned()));
    }
    Ok(())
}

const PRIVATE: &str = "\"private\"";

fn list(
    json: &mut Json<'_>,
    (listed, named_by): (Listed, &str),
    keeps: &mut impl FnMut(&Element<'_>) -> bool,
    edits: &mut Edits,
) -> Result<(), Fault> {
    let start = json.position();
    let (mut kept, mut whole) = (Vec::new(), true);
    json.array(|json| {
        let (mut named, mut named_twice) = (None, false);
        json.sort()?;
        let begins = json.position();
        json.object_or_skip(|json, member| {
            if member == named_by {
                named = json.text_or_skip()?;
            } else {
                named_twice |= fold(member).eq_ignore_ascii_case(named_by);
                json.skip()?;
            }
            Ok(())
        })?;
        let text = json.at(begins..json.position());
        let named = named.filter(|_| !named_twice);
        let keep = named.is_some_and(|name| keeps(&Element { listed, name: &name, text }));
        if keep {
            kept.push(text);
        }
        whole &= keep;
        Ok(())
    })?;
    if !whole {
        edits.0.push((start..json.position(), format!("[{}]", kept.join(","))));
    }
    Ok(())
}

/// Places of a text and what is to stand there, in order.
struct Edits(Vec<(Range<usize>, String)>);

impl Edits {
    fn apply(self, text: &str) -> Sifted {
        if self.0.is_empty() {
            return Sifted::AsItIs;
        }
        let mut out = String::with_capacity(text.len());
        let mut at = 0;
        for (place, instead) in self.0 {
            out.push_str(text.get(at..place.start).unwrap_or_default());
            out.push_str(&instead);
            at = place.end;
        }
        out.push_str(text.get(at..).unwrap_or_default());
        Sifted::Rewritten(out)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn without(name: &str) -> impl FnMut(&Element<'_>) -> bool {
        move |element| element.name != name
    }

    fn sifted(text: &str) -> String {
        match sift(text, without("b")) {
            Ok(Sifted::Rewritten(text)) => text,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn what_is_left_keeps_its_bytes_and_its_order() {
        let list = r#"{ "id":1.0,"result":{"tools":[ {"name":"a", "x":[1]} ,{"n\u0061me":"b"},{"title":"z","name":"c"}],"nextCursor":"q"} }"#;
        let kept = r#"{ "id":1.0,"result":{"tools":[{"name":"a", "x":[1]},{"title":"z","name":"c"}],"nextCursor":"q"} }"#;
        assert_eq!(sifted(list), kept);
        assert_eq!(sift(kept, without("b")), Ok(Sifted::AsItIs));
        for (member, named_by) in
            [("prompts", "name"), ("resources", "uri"), ("resourceTemplates", "uriTemplate")]
        {
            let text = format!(r#"{{"result":{{"{member}":[{{"{named_by}":"b"}}]}}}}"#);
            assert_eq!(sifted(&text), format!(r#"{{"result":{{"{member}":[]}}}}"#));
        }
    }

    #[test]
    fn an_element_without_a_name_is_taken_out() {
        let text = r#"{"result":{"tools":[1,"b",{},{"name":7},{"Name":"a"},null,{"name":"a"}]}}"#;
        assert_eq!(sifted(text), r#"{"result":{"tools":[{"name":"a"}]}}"#);
        let variants =
            r#"{"Result":{"TOOLS":[{"name":"a"},{"name":"b"},{"name":"a","Name":"b"}]}}"#;
        assert_eq!(sifted(variants), r#"{"Result":{"TOOLS":[{"name":"a"}]}}"#);
    }

    #[test]
    fn every_message_of_a_batch_is_sifted_and_nothing_else() {
        let text = r#"[{"result":{"tools":[{"name":"b"}]}},{"result":{"tools":[{"name":"a"}]}}]"#;
        assert_eq!(
            sifted(text),
            r#"[{"result":{"tools":[]}},{"result":{"tools":[{"name":"a"}]}}]"#
        );
        for other in [
            r#"{"params":{"tools":[{"name":"b"}]}}"#,
            r#"{"result":{"content":[{"name":"b"}],"structuredContent":{"tools":[{"name":"b"}]}}}"#,
            r#"{"result":{"tools":{"name":"b"}}}"#,
            r#"{"result":[{"tools":[{"name":"b"}]}]}"#,
            "7",
        ] {
            assert_eq!(sift(other, without("b")), Ok(Sifted::AsItIs), "{other}");
        }
    }

    #[test]
    fn what_one_key_sees_is_in_no_shared_cache() {
        let text = r#"{"result":{"tools":[],"cacheScope":"public","ttlMs":5}}"#;
        assert_eq!(sifted(text), r#"{"result":{"tools":[],"cacheScope":"private","ttlMs":5}}"#);
        assert_eq!(sifted(&text.replace("\"public\"", "null")), text.replace("public", "private"));
        let private = text.replace("public", "private");
        assert_eq!(sift(&private, without("b")), Ok(Sifted::AsItIs));
    }

    #[test]
    fn what_two_readers_could_read_differently_is_unreadable() {
        for text in [
            "",
            "{",
            r#"[[{"result":{"tools":[{"name":"b"}]}}]]"#,
            r#"{"result":{"tools":[{"name":"a","name":"b"}]}}"#,
            r#"{"result":{"tools":[],"tools":[{"name":"b"}]}}"#,
            r#"{"result":{},"result":{"tools":[{"name":"b"}]}}"#,
            r#"{"result":{"tools":[{"name":"b\ud800"}]}}"#,
            r#"{"result":{}} {}"#,
        ] {
            assert_eq!(sift(text, without("b")), Err(Unreadable), "{text}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_sifted_list_is_the_list_less_what_is_not_kept(
            names in prop::collection::vec("[a-d\"\\\\é]{0,3}", 0..8), pretty: bool,
        ) {
            let list = |names: Vec<&String>| {
                let tools: Vec<Value> = names.iter().map(|name| json!({"name": name, "in": [name]})).collect();
                json!({"jsonrpc": "2.0", "id": 1, "result": {"tools": tools, "nextCursor": "]"}})
            };
            let value = list(names.iter().collect());
            let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) };
            let text = text.unwrap();
            let keep = |name: &str| !name.contains('b');
            let kept = match sift(&text, |element| keep(element.name)).unwrap() {
                Sifted::AsItIs => text,
                Sifted::Rewritten(text) => text,
            };
            let expected = list(names.iter().filter(|name| keep(name)).collect());
            prop_assert_eq!(serde_json::from_str::<Value>(&kept).unwrap(), expected);
        }
    }
}
