//! The presets for Postiz, held against the schemas of its tools in each version that speaks its own
//! dialect: what of them each lets in, as the table that the README shows.

use std::{collections::BTreeSet, fmt::Write};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use super::{Ruled, request};

/// Its tools, by name, with the schema of their arguments.
const V2_7: &str = include_str!("postiz/v2.7.0.json");
const V2_8: &str = include_str!("postiz/v2.8.0.json");
const MAIN: &str = include_str!("postiz/main.json");

const PRESETS: [&str; 5] =
    ["read-only", "drafts-only", "no-publish-now", "channels", "no-generation"];

/// The one channel of the preset for channels.
const OURS: &str = "cm-ours";

fn dialects() -> [Map<String, Value>; 3] {
    [V2_7, V2_8, MAIN].map(|text| serde_json::from_str(text).unwrap())
}

/// A call that keeps the schema, but for what the case is about.
struct Case {
    tool: String,
    /// What is special about it.
    about: &'static str,
    arguments: Value,
}

fn case(tool: &str, about: &'static str, arguments: Value) -> Case {
    Case { tool: tool.to_owned(), about, arguments }
}

/// Some value that a schema lets be.
fn example(schema: &Value) -> Value {
    match (schema["type"].as_str(), &schema["enum"]) {
        (_, Value::Array(words)) => words[0].clone(),
        (Some("object"), _) => {
            let properties = schema["properties"].as_object().unwrap();
            properties.iter().map(|(name, schema)| (name.clone(), example(schema))).collect()
        }
        (Some("array"), _) => json!([example(&schema["items"])]),
        (Some("boolean"), _) => json!(false),
        _ => json!("x"),
    }
}

fn from_now(hours: i64) -> String {
    let then = Timestamp::now() + SignedDuration::from_hours(hours);
    then.round(jiff::Unit::Second).unwrap().to_string()
}

/// A post, and what is done with it. Each is dated, and for our channel, unless it is about that.
fn posts(tool: &str, schema: &Value) -> Vec<Case> {
    let old = tool == "POSTIZ_SCHEDULE_POST";
    let (place, channel) =
        if old { ("", "/providerId") } else { ("/socialPost/0", "/integrationId") };
    let at = |name: &str| format!("{place}{name}");
    let with = |changes: &[(&str, Value)]| {
        let mut arguments = example(schema);
        let usual =
            [("/date", json!(from_now(24))), (channel, json!(OURS)), ("/type", json!("draft"))];
        for (name, value) in usual.iter().chain(changes) {
            *arguments.pointer_mut(&at(name)).unwrap() = value.clone();
        }
        arguments
    };
    let schedule = if old { "scheduled" } else { "schedule" };
    let mut cases = vec![
        case(tool, "a draft", with(&[])),
        case(tool, "scheduled", with(&[("/type", json!(schedule))])),
        case(
            tool,
            "scheduled in the past",
            with(&[("/type", json!(schedule)), ("/date", json!(from_now(-1)))]),
        ),
        case(tool, "on another channel", with(&[(channel, json!("cm-theirs"))])),
    ];
    if old {
        cases.push(case(tool, "with pictures made", with(&[("/generatePictures", json!(true))])));
    } else {
        cases.push(case(tool, "now", with(&[("/type", json!("now"))])));
        let date = from_now(24).trim_end_matches('Z').to_owned();
        let unzoned = with(&[("/type", json!(schedule)), ("/date", json!(date))]);
        cases.push(case(tool, "scheduled for a time without a zone", unzoned));
        let mut two = with(&[]);
        let now = with(&[("/type", json!("now")), (channel, json!("cm-theirs"))]);
        two["socialPost"].as_array_mut().unwrap().push(now["socialPost"][0].clone());
        cases.push(case(tool, "a draft, and one now elsewhere", two));
        let mut plug = with(&[]);
        plug["socialPost"][0]["settings"][0]["key"] = json!("plug--repost--integrations");
        cases.push(case(tool, "with a plug of another channel", plug));
        let mut wrapped = json!({"socialPost": [{"type": "draft", "integrationId": OURS}]});
        wrapped["socialPost"][0]["date"] = json!(from_now(24));
        wrapped["inputData"] = with(&[("/type", json!("now")), (channel, json!("cm-theirs"))]);
        cases.push(case(tool, "another one in `inputData`", wrapped));
        let text = json!({"socialPost": with(&[])["socialPost"].to_string()});
        cases.push(case(tool, "posts as a text", text));
    }
    cases
}

fn cases(tools: &Map<String, Value>) -> Vec<Case> {
    let of = |(tool, schema): (&String, &Value)| match tool.as_str() {
        "POSTIZ_SCHEDULE_POST" | "integrationSchedulePostTool" => posts(tool, schema),
        _ => vec![case(tool, "", example(schema))],
    };
    tools.iter().flat_map(of).collect()
}

/// Whether the call reaches the server; what the client is told where it doesn't.
async fn passes(ruled: &mut Ruled, case: &Case) -> Result<(), String> {
    let call = request("tools/call", json!({"name": case.tool, "arguments": case.arguments}));
    ruled.client.send(&ruled.post(&call)).await;
    let answer = tokio::select! {
        request = ruled.upstream.next() => {
            request.respond(200, &[("content-type", "application/json")], "{}").await;
            ruled.client.answer().await;
            return Ok(());
        }
        answer = ruled.client.answer() => answer,
    };
    Err(answer.json()["error"]["message"].as_str().unwrap().to_owned())
}

/// A consumer under one preset.
async fn under(preset: &str) -> Ruled {
    let channels =
        if preset == "channels" { format!(", channels = [\"{OURS}\"]") } else { String::new() };
    Ruled::by(&format!("tools = {{ presets = [\"{preset}\"]{channels} }}")).await
}

/// The rows of the table: a call, and for each preset whether it passes.
async fn table() -> String {
    let mut ruled = Vec::new();
    for preset in PRESETS {
        ruled.push(under(preset).await);
    }
    let mut rows = BTreeSet::new();
    for case in dialects().iter().flat_map(cases) {
        let comma = if case.about.is_empty() { "" } else { ", " };
        let mut row = format!("| `{}`{comma}{} |", case.tool, case.about);
        for ruled in &mut ruled {
            let cell = if passes(ruled, &case).await.is_ok() { "yes" } else { "no" };
            write!(row, " {cell} |").unwrap();
        }
        rows.insert(row);
    }
    let mut table =
        format!("| call | {} |\n|---|", PRESETS.map(|name| format!("`{name}`")).join(" | "));
    table += &"---|".repeat(PRESETS.len());
    rows.iter().fold(table, |table, row| table + "\n" + row) + "\n"
}

/// Versions that have one tool in two shapes have to agree on it, or it would have two rows.
#[tokio::test]
async fn what_each_preset_lets_in_of_each_version_is_what_the_readme_says() {
    let table = table().await;
    let readme = include_str!("../../../README.md");
    assert!(readme.contains(&table), "the README should have\n{table}");
    for tool in ["ask_postiz", "triggerTool"] {
        let row = table.lines().find(|row| row.contains(tool)).unwrap();
        assert!(!row.contains("yes"), "{row}");
    }
}

/// An argument that is called otherwise in some version would be asked in vain.
#[test]
fn every_argument_that_a_preset_asks_is_one_of_the_tool_in_every_version_that_has_it() {
    let mut asked = 0;
    for preset in PRESETS {
        let text = std::fs::read_to_string(format!("config/presets/{preset}.toml")).unwrap();
        let file: toml::de::DeTable<'_> = toml::de::DeTable::parse(&text).unwrap().into_inner();
        let tools = file.get("tools").unwrap().get_ref().as_table().unwrap();
        let Some(arguments) = tools.get("arguments") else { continue };
        for (tool, pointers) in arguments.get_ref().as_table().unwrap() {
            let tool = &**tool.get_ref();
            let has_it = dialects().into_iter().filter_map(|mut tools| tools.remove(tool));
            let schemas: Vec<Value> = has_it.collect();
            assert!(!schemas.is_empty(), "{preset}: no version has {tool}");
            for pointer in pointers.get_ref().as_table().unwrap().keys() {
                // Asked to be absent: they are no arguments of the tool.
                if ["/inputData", "/context"].contains(&&**pointer.get_ref()) {
                    continue;
                }
                let place = pointer
                    .get_ref()
                    .replace("/*", "/items")
                    .replace("/items/", "/items/properties/");
                let place = format!("/properties{place}");
                for schema in &schemas {
                    assert!(schema.pointer(&place).is_some(), "{preset}: {tool} has no {place}");
                    asked += 1;
                }
            }
        }
    }
    assert!(asked >= 10, "the presets can't be read");
}

#[tokio::test]
async fn a_model_reads_what_it_has_to_write_instead() {
    let tools = &dialects()[2];
    let about = |about: &str| cases(tools).into_iter().find(|case| case.about == about).unwrap();
    for (preset, case, told) in [
        ("drafts-only", "now", r#"/socialPost/*/type must be "draft""#),
        ("no-publish-now", "now", r#"/socialPost/*/type must be one of "draft", "schedule""#),
        (
            "no-publish-now",
            "scheduled in the past",
            "/socialPost/*/date must be a time after now+10m, UTC",
        ),
        (
            "channels",
            "on another channel",
            r#"/socialPost/*/integrationId must be one of "cm-ours""#,
        ),
    ] {
        let mut ruled = under(preset).await;
        let said = passes(&mut ruled, &about(case)).await.unwrap_err();
        assert_eq!(said, format!("Argument not allowed: {told}"));
    }
}

#[tokio::test]
async fn presets_hold_together_and_beside_rules_of_ones_own() {
    let all = r#"presets = ["drafts-only", "no-generation"]"#;
    let mut ruled = Ruled::by(&format!("tools = {{ {all}, deny = [\"postsList*\"] }}")).await;
    let tools = &dialects()[2];
    for case in cases(tools) {
        let expected = match case.tool.as_str() {
            "integrationSchedulePostTool" => matches!(
                case.about,
                "a draft" | "on another channel" | "with a plug of another channel"
            ),
            "integrationList" | "integrationSchema" | "groupList" | "uploadFromUrlTool" => true,
            _ => false,
        };
        let passed = passes(&mut ruled, &case).await;
        assert_eq!(passed.is_ok(), expected, "{} {}: {passed:?}", case.tool, case.about);
    }
}
