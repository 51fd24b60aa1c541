//! Which metrics and labels a PromQL expression names. Prometheus itself answers a question for an
//! unknown name with nothing, and an alert on nothing never fires.

use std::collections::BTreeMap;

/// Words of PromQL itself.
const WORDS: [&str; 12] = [
    "and",
    "or",
    "unless",
    "bool",
    "offset",
    "by",
    "without",
    "on",
    "ignoring",
    "group_left",
    "group_right",
    "inf",
];

/// Words that a list of labels in parentheses follows.
const GROUPING: [&str; 6] = ["by", "without", "on", "ignoring", "group_left", "group_right"];

/// Labels that Prometheus itself adds.
const ADDED: [&str; 3] = ["job", "instance", "le"];

/// Every metric with its labels.
pub(crate) struct Known(BTreeMap<String, Vec<String>>);

impl Known {
    /// Reads lines of `name kind label,label`, and adds what Prometheus knows by itself.
    pub(crate) fn read(golden: &str) -> Self {
        let mut all = BTreeMap::from([("up".to_owned(), Vec::new())]);
        for line in golden.lines() {
            let mut words = line.split(' ');
            let (name, kind) = (words.next().unwrap(), words.next().unwrap());
            let labels: Vec<_> = words
                .next()
                .into_iter()
                .flat_map(|list| list.split(','))
                .map(str::to_owned)
                .collect();
            let series: &[&str] = match kind {
                "histogram" => &["_bucket", "_sum", "_count"],
                _ => &[""],
            };
            all.extend(series.iter().map(|end| (format!("{name}{end}"), labels.clone())));
        }
        Self(all)
    }

    fn has_label(&self, label: &str) -> bool {
        self.0.values().flatten().any(|known| known == label)
    }
}

/// One piece of an expression.
#[derive(Debug, PartialEq)]
enum Token<'a> {
    Name(&'a str),
    Mark(char),
}

/// Names and marks; texts, numbers and blanks are left out.
fn tokens(text: &str) -> Vec<Token<'_>> {
    let in_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || letter == ':';
    let (mut rest, mut found) = (text, Vec::new());
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '"' => {
                2 + rest[1..].find('"').unwrap_or_else(|| panic!("a text without an end: {text}"))
            }
            _ if in_name(first) => rest.find(|letter| !in_name(letter)).unwrap_or(rest.len()),
            _ => first.len_utf8(),
        };
        let (token, behind) = rest.split_at(length);
        match first {
            '"' => {}
            _ if first.is_ascii_digit() || first.is_whitespace() => {}
            _ if in_name(first) => found.push(Token::Name(token)),
            mark => found.push(Token::Mark(mark)),
        }
        rest = behind;
    }
    found
}

/// Every metric that isn't known, and every label that its metric doesn't have.
pub(crate) fn problems(expression: &str, known: &Known) -> Vec<String> {
    let tokens = tokens(expression);
    let (mut found, mut metric, mut selects, mut groups) = (Vec::new(), None, false, false);
    for (at, token) in tokens.iter().enumerate() {
        let next = tokens.get(at + 1);
        match token {
            Token::Mark('{') => selects = true,
            Token::Mark('}') => selects = false,
            Token::Mark(')') => groups = false,
            Token::Mark(_) => {}
            Token::Name(label) if selects => {
                let own: Option<&Vec<String>> = metric.and_then(|name| known.0.get(name));
                let has = own.is_some_and(|labels| labels.iter().any(|known| known == label));
                if !has && !ADDED.contains(label) {
                    found.push(format!("{metric:?} has no label {label}"));
                }
            }
            Token::Name(label) if groups => {
                if !known.has_label(label) && !ADDED.contains(label) {
                    found.push(format!("nothing has a label {label}"));
                }
            }
            Token::Name(word) if WORDS.contains(word) => {
                groups = GROUPING.contains(word) && next == Some(&Token::Mark('('));
            }
            // A function.
            Token::Name(_) if next == Some(&Token::Mark('(')) => {}
            Token::Name(operator) if matches!(next, Some(Token::Name("by" | "without"))) => {
                assert!(!operator.starts_with("portcullis_"), "{operator} isn't a function");
            }
            Token::Name(name) => {
                metric = Some(*name);
                if !known.0.contains_key(*name) {
                    found.push(format!("{name} is no metric"));
                }
            }
        }
    }
    found
}

#[test]
fn a_name_that_nothing_measures_is_found() {
    let known = Known::read("a_total counter route,reason\nb_seconds histogram route\n");
    for (expression, count) in [
        ("sum by (route) (rate(a_total{reason=~\"x|y_{}\"}[5m])) / 3 > 0.2", 0),
        ("histogram_quantile(0.9, sum by (le, route) (rate(b_seconds_bucket[15m]))) > 60", 0),
        ("up == 0 or vector(0) unless on (job, instance) a_total offset 1h", 0),
        ("rate(b_seconds[5m])", 1),
        ("c_total", 1),
        ("a_total{status=\"1\"}", 1),
        ("sum by (tool) (a_total)", 1),
        ("topk(3, c_total) + d_total{route=\"\"}", 3),
    ] {
        let found = problems(expression, &known);
        assert_eq!(found.len(), count, "{expression}: {found:?}");
    }
}
