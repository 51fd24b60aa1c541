//! `tools.arguments`: what the arguments of a tool have to be.
//!
//! ```toml
//! [consumers.tools.arguments.integrationSchedulePostTool]
//! "/socialPost/*/type" = { one_of = ["draft", "schedule"] }
//! ```

use jiff::SignedDuration;
use regex::RegexBuilder;
use toml::de::DeValue;

use super::{
    globs::glob,
    mask::shown,
    reading::Reading,
    table::{Item, Table},
    value::Fault,
};
use crate::policy::{ArgumentRules, Check, Glob, Moment, Scalar, time};

/// The most that a regular expression may take compiled, in bytes.
const REGEX_BYTES: usize = 256 << 10;

/// The largest count of a rule.
const MOST: u32 = 64 << 20;

const EXAMPLE: &str = "write \"/socialPost/*/type\" = { one_of = [\"draft\"] }";

/// Reads the rules of every tool.
pub(super) fn read(item: &Item<'_>, reading: &mut Reading<'_>) -> Vec<(Glob, ArgumentRules)> {
    let Some(mut tools) = item.table("`arguments`", reading) else { return Vec::new() };
    let tools = tools.take_all();
    if tools.is_empty() {
        reading.error(&item.at, "`arguments` says nothing").hint(EXAMPLE);
    }
    tools.iter().filter_map(|tool| one(tool, reading)).collect()
}

fn one(tool: &Item<'_>, reading: &mut Reading<'_>) -> Option<(Glob, ArgumentRules)> {
    let name = match glob(tool.name) {
        Ok(name) => Some(name),
        Err(Fault { message, hint }) => {
            reading.error(&tool.name_at, format!("`arguments`: {message}")).hint = hint;
            None
        }
    };
    let mut pointers = tool.table("the arguments of a tool", reading)?;
    let pointers = pointers.take_all();
    if pointers.is_empty() {
        reading.error(&tool.at, format!("nothing is said of {}", shown(tool.name))).hint(EXAMPLE);
    }
    let mut rules = ArgumentRules::default();
    for pointer in &pointers {
        argument(pointer, &mut rules, reading);
    }
    Some((name?, rules))
}

/// The rules about one argument.
fn argument(pointer: &Item<'_>, rules: &mut ArgumentRules, reading: &mut Reading<'_>) {
    let Some(mut table) = pointer.table("the rules of an argument", reading) else { return };
    let optional = flag(&mut table, "optional", reading);
    let checks = checks(&mut table, reading);
    let absent = checks.iter().any(|(check, _)| matches!(check, Check::Absent));
    if absent && (optional || checks.len() > 1) {
        reading.error(&pointer.at, "`absent` leaves nothing for another rule to be about");
    }
    if checks.is_empty() && !table.has_unread() {
        reading
            .error(&pointer.at, format!("nothing is asked of {}", shown(pointer.name)))
            .hint("write equals, one_of, max_items, max_length, matches, absent, before or after");
    }
    table.finish(&[], reading);
    for (check, must) in checks {
        let words = format!("{} {must}", pointer.name);
        if rules.add(pointer.name, (check, optional), &words).is_err() {
            reading
                .error(&pointer.name_at, format!("{} is no JSON pointer", shown(pointer.name)))
                .hint(
                    "write \"/socialPost/*/type\"; `*` is every element, ~1 a slash, ~0 a tilde; \
                       and each name in one case",
                );
            return;
        }
    }
}

/// What is asked, and what a model is told of it.
fn checks(table: &mut Table<'_>, reading: &mut Reading<'_>) -> Vec<(Check, String)> {
    let mut checks = Vec::new();
    if let Some(item) = table.take("equals")
        && let Some(value) = scalar(&item, reading)
    {
        let must = format!("must be {value}");
        checks.push((Check::OneOf(vec![value]), must));
    }
    if let Some(item) = table.take("one_of") {
        let items = item.list(reading).unwrap_or_default();
        let values: Vec<Scalar> = items.iter().filter_map(|item| scalar(item, reading)).collect();
        let words: Vec<String> = values.iter().map(Scalar::to_string).collect();
        if items.is_empty() {
            reading.error(&item.at, "`one_of` is empty").hint("name what is allowed");
        }
        checks.push((Check::OneOf(values), format!("must be one of {}", words.join(", "))));
    }
    type OfCount = fn(usize) -> Check;
    let counts: [(_, OfCount, _); 2] = [
        ("max_items", Check::MaxItems, "elements"),
        ("max_length", Check::MaxLength, "characters"),
    ];
    for (name, check, noun) in counts {
        if let Some(count) = table.take(name).and_then(|item| item.count(reading, (0, MOST))) {
            let most = usize::try_from(count).unwrap_or(usize::MAX);
            checks.push((check(most), format!("may have at most {count} {noun}")));
        }
    }
    if let Some(item) = table.take("matches")
        && let Some(regex) = item.read(reading, regex)
    {
        let must = format!("must match {}", item.value.as_str().unwrap_or_default());
        checks.push((Check::Matches(regex), must));
    }
    if flag(table, "absent", reading) {
        checks.push((Check::Absent, "must be left out".to_owned()));
    }
    type OfTime = fn(Moment) -> Check;
    let times: [(_, OfTime); 2] = [("before", Check::Before), ("after", Check::After)];
    for (name, check) in times {
        if let Some(item) = table.take(name)
            && let Some((moment, text)) = moment(&item, reading)
        {
            checks.push((check(moment), format!("must be a time {name} {text}, UTC")));
        }
    }
    checks
}

fn flag(table: &mut Table<'_>, name: &'static str, reading: &mut Reading<'_>) -> bool {
    let Some(item) = table.take(name) else { return false };
    let truth = matches!(item.value, DeValue::Boolean(true));
    if !truth {
        reading.error(&item.at, format!("`{name}` is true or left out"));
    }
    truth
}

fn scalar(item: &Item<'_>, reading: &mut Reading<'_>) -> Option<Scalar> {
    let number = |text: &str| text.replace('_', "").parse().ok().map(Scalar::Number);
    let value = match item.value {
        DeValue::String(text) => Some(Scalar::Text((&**text).into())),
        DeValue::Boolean(truth) => Some(Scalar::Truth(*truth)),
        DeValue::Integer(integer) if integer.radix() == 10 => number(integer.as_str()),
        DeValue::Float(float) => number(float.as_str()),
        _ => None,
    };
    if value.is_none() {
        let message = format!("`{}` holds what is no text, number, true or false", item.name);
        reading.error(&item.at, message);
    }
    value
}

/// The whole text has to match: a rule that is kept by a part of it is none.
fn regex(text: &str) -> Result<regex::Regex, Fault> {
    // By itself first: what closes a group that it didn't open would end the one around it.
    let compile = |text: &str| RegexBuilder::new(text).size_limit(REGEX_BYTES).build();
    let compiled = compile(text).and_then(|_| compile(&format!("^(?:{text})$")));
    compiled.map_err(|_| {
        Fault::new(format!("{} is no regular expression that is used here", shown(text))).hint(
            "write it as the regex crate has it, without look-around and back-references; it is \
             matched against the whole text",
        )
    })
}

/// A date or a time, or one that is counted from the call.
fn moment(item: &Item<'_>, reading: &mut Reading<'_>) -> Option<(Moment, String)> {
    let text = match item.value {
        DeValue::Datetime(written) => written.to_string(),
        _ => item.text(reading)?.to_owned(),
    };
    let counted = text.strip_prefix("now").map(from_now);
    let moment = match counted {
        Some(span) => span.map(Moment::FromNow),
        None => time(&text).map(Moment::At),
    };
    if moment.is_none() {
        reading
            .error(&item.at, format!("`{}`: {} is no time", item.name, shown(&text)))
            .hint("write 2027-01-31, \"2027-01-31T12:00:00Z\", \"now\", \"now+30d\" or \"now-1h\"");
    }
    moment.map(|moment| (moment, text))
}

/// `+30d`, `-1h`, or nothing.
fn from_now(text: &str) -> Option<SignedDuration> {
    if text.is_empty() {
        return Some(SignedDuration::ZERO);
    }
    let (sign, rest) = match text.split_at_checked(1)? {
        ("+", rest) => (1, rest),
        ("-", rest) => (-1, rest),
        _ => return None,
    };
    let (count, unit) = rest.split_at_checked(rest.len().checked_sub(1)?)?;
    let seconds = match unit {
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return None,
    };
    let count: i64 = count.parse::<u32>().ok().filter(|_| !count.starts_with('+'))?.into();
    Some(SignedDuration::from_secs(sign * count * seconds))
}
