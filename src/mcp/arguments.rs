//! What stands at the places of a call's arguments that pointers name.

use std::ops::ControlFlow;

use super::json::{Bounds, Fault, Json, Sort};
use crate::types::{Denial, Found, Pointed, Pointers, fold};

/// What the rules of a call may cost: a look at a value is one, and so are 64 bytes of a text. A call of
/// 4 MiB has room for half a million values, and each could be held to every one of a thousand rules.
const MOST_LOOKS: usize = 1 << 19;

/// How many bytes of a text cost as much as a look at a value.
const BYTES: usize = 64;

/// Walks the arguments of a call once, and tells of each pointer what it leads to, with a `*` of each
/// element, until `found` breaks off. A member that differs from one of them in case alone is the
/// other one for some servers.
///
/// # Errors
/// `NotRpc` where there is such a member, or something that two readers could read differently;
/// `Argument` where the pointers lead to more than anybody means to send.
pub fn look_at(
    arguments: &str,
    pointers: &Pointers,
    found: impl FnMut(usize, &Found<'_>) -> ControlFlow<()>,
) -> Result<(), Denial> {
    let mut json = Json::new(arguments, Bounds::REQUEST);
    let mut walk = Walk { found, broken_off: false, looks: 0 };
    let walked = walk.value(&mut json, &[pointers.root()]).and_then(|()| json.end());
    match walked {
        Err(_) if walk.broken_off => Ok(()),
        Err(_) if walk.looks > MOST_LOOKS => Err(Denial::Argument),
        walked => walked.map_err(|_: Fault| Denial::NotRpc),
    }
}

struct Walk<F> {
    found: F,
    broken_off: bool,
    looks: usize,
}

impl<F: FnMut(usize, &Found<'_>) -> ControlFlow<()>> Walk<F> {
    /// A value that some pointers lead to.
    fn value(&mut self, json: &mut Json<'_>, at: &[&Pointed]) -> Result<(), Fault> {
        if at.is_empty() {
            return json.skip().map(drop);
        }
        self.look(at.len())?;
        let leaf = match json.sort()? {
            Sort::Object => {
                self.ends(at, &Found::Object)?;
                return self.object(json, at);
            }
            Sort::Array => {
                let count = self.array(json, at)?;
                return self.ends(at, &Found::Array(count));
            }
            Sort::Text => Found::Text(json.text()?),
            Sort::Number => Found::Number(part(json)?),
            Sort::Word => Found::Word(part(json)?),
        };
        self.ends(at, &leaf)?;
        let mut behind = at.iter().flat_map(|at| at.members().chain(at.each()));
        behind.try_for_each(|behind| self.all(behind, &Found::Elsewhere))
    }

    fn object(&mut self, json: &mut Json<'_>, at: &[&Pointed]) -> Result<(), Fault> {
        let mut seen: Vec<&Pointed> = Vec::new();
        json.object(|json, name| {
            let mut next = Vec::new();
            let folded = fold(name);
            for (meant, behind) in at.iter().filter_map(|at| at.member(&folded)) {
                if meant != name {
                    return Err(Fault::Doubtful);
                }
                next.push(behind);
            }
            seen.extend(&next);
            self.value(json, &next)
        })?;
        seen.sort_unstable_by_key(|seen| std::ptr::from_ref(*seen));
        let is_seen = |behind: &Pointed| {
            let place = std::ptr::from_ref(behind);
            seen.binary_search_by_key(&place, |seen| std::ptr::from_ref(*seen)).is_ok()
        };
        for behind in at.iter().flat_map(|at| at.members()).filter(|behind| !is_seen(behind)) {
            self.all(behind, &Found::Missing)?;
        }
        at.iter().filter_map(|at| at.each()).try_for_each(|each| self.all(each, &Found::Elsewhere))
    }

    /// Returns how many elements there are.
    fn array(&mut self, json: &mut Json<'_>, at: &[&Pointed]) -> Result<usize, Fault> {
        let mut count = 0;
        json.array(|json| {
            let every = at.iter().filter_map(|at| at.each());
            let next: Vec<&Pointed> =
                every.chain(at.iter().filter_map(|at| at.element(count))).collect();
            count += 1;
            self.value(json, &next)
        })?;
        for (could_be, behind) in at.iter().flat_map(|at| at.beyond(count)) {
            let found = if could_be { Found::Missing } else { Found::Elsewhere };
            self.all(behind, &found)?;
        }
        Ok(count)
    }

    /// Tells it of the pointers that end here.
    fn ends(&mut self, at: &[&Pointed], found: &Found<'_>) -> Result<(), Fault> {
        at.iter().flat_map(|at| at.ends()).try_for_each(|end| self.tell(*end, found))
    }

    /// Tells it of the pointers that end here or behind.
    fn all(&mut self, at: &Pointed, found: &Found<'_>) -> Result<(), Fault> {
        let mut told = Ok(());
        at.all_ends(&mut |end| {
            if told.is_ok() {
                told = self.tell(end, found);
            }
        });
        told
    }

    fn tell(&mut self, end: usize, found: &Found<'_>) -> Result<(), Fault> {
        let length = if let Found::Text(text) = found { text.len() / BYTES } else { 0 };
        self.look(1 + length)?;
        self.broken_off |= (self.found)(end, found).is_break();
        if self.broken_off { Err(Fault::Doubtful) } else { Ok(()) }
    }

    fn look(&mut self, looks: usize) -> Result<(), Fault> {
        self.looks = self.looks.saturating_add(looks);
        if self.looks > MOST_LOOKS { Err(Fault::Doubtful) } else { Ok(()) }
    }
}

fn part<'a>(json: &mut Json<'a>) -> Result<&'a str, Fault> {
    let place = json.skip()?;
    Ok(json.at(place))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(pointers: &[&str], arguments: &str) -> Result<Vec<String>, Denial> {
        let mut tree = Pointers::default();
        for pointer in pointers {
            tree.add(pointer).unwrap();
        }
        let mut seen = Vec::new();
        look_at(arguments, &tree, |number, found| {
            seen.push(format!("{} {found:?}", pointers[number]));
            ControlFlow::Continue(())
        })?;
        Ok(seen)
    }

    #[test]
    fn each_pointer_is_told_what_it_leads_to() {
        let arguments = r#"{"a":[{"t":"x"},{"t":1},{}],"b":{"c":null},"d":"e"}"#;
        for (pointer, found) in [
            ("/a/*/t", &[r#"Text("x")"#, r#"Number("1")"#, "Missing"][..]),
            ("/a/1/t", &[r#"Number("1")"#]),
            ("/a/01/t", &["Elsewhere"]),
            ("/a/3", &["Missing"]),
            ("/a", &["Array(3)"]),
            ("/a/t", &["Elsewhere"]),
            ("/b", &["Object"]),
            ("/b/c", &[r#"Word("null")"#]),
            ("/b/*", &["Elsewhere"]),
            ("/b/c/x", &["Elsewhere"]),
            ("/x/y/*", &["Missing"]),
            ("/d/*/f", &["Elsewhere"]),
        ] {
            let found: Vec<_> = found.iter().map(|found| format!("{pointer} {found}")).collect();
            assert_eq!(seen(&[pointer], arguments).unwrap(), found, "{pointer}");
        }
    }

    #[test]
    fn a_member_in_another_case_is_refused_where_a_pointer_names_it() {
        assert_eq!(seen(&["/type"], r#"{"Type":"now","type":"draft"}"#), Err(Denial::NotRpc));
        assert_eq!(seen(&["/type"], r#"{"tYPE":"now"}"#), Err(Denial::NotRpc));
        assert_eq!(seen(&["/type"], r#"{"types":"now"}"#).unwrap(), ["/type Missing"]);
        assert_eq!(seen(&["/a/*/t"], r#"{"a":[{"T":1}]}"#), Err(Denial::NotRpc));
    }

    #[test]
    fn pointers_share_the_walk() {
        let all = ["/a/*/x", "/a/0/x", "/a", "/a/*"];
        let mut told = seen(&all, r#"{"a":[{"x":true},{"x":false}]}"#).unwrap();
        told.sort();
        assert_eq!(
            told,
            [
                "/a Array(2)",
                "/a/* Object",
                "/a/* Object",
                r#"/a/*/x Word("false")"#,
                r#"/a/*/x Word("true")"#,
                r#"/a/0/x Word("true")"#,
            ]
        );
    }

    #[test]
    fn what_rules_may_cost_has_an_end() {
        let told = |rules: usize, arguments: &str| {
            let mut tree = Pointers::default();
            for number in 0..rules {
                tree.add(&format!("/a/*/m{number}")).unwrap();
            }
            let mut told = 0;
            let walked = look_at(arguments, &tree, |_, _| {
                told += 1;
                ControlFlow::Continue(())
            });
            (walked, told)
        };
        let empty = format!(r#"{{"a":[{}{{}}]}}"#, "{},".repeat(100_000));
        assert_eq!(told(2, &empty), (Ok(()), 200_002));
        let (walked, told) = told(1000, &empty);
        assert_eq!(walked, Err(Denial::Argument));
        assert!(told <= MOST_LOOKS, "{told}");
        let long = format!(r#"{{"t":"{}"}}"#, "x".repeat(4 << 20));
        let read_by = |rules: usize| {
            let mut tree = Pointers::default();
            for _ in 0..rules {
                tree.add("/t").unwrap();
            }
            look_at(&long, &tree, |_, _| ControlFlow::Continue(()))
        };
        assert_eq!((read_by(7), read_by(9)), (Ok(()), Err(Denial::Argument)));
    }

    #[test]
    fn an_element_is_found_by_its_number_however_many_are_named() {
        let all: Vec<String> = (0..1000).map(|number| format!("/a/{number}")).collect();
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        let arguments = format!(r#"{{"a":[{}0]}}"#, "0,".repeat(999_999));
        assert_eq!(seen(&all, &arguments).unwrap().len(), 1000);
    }
}
