use proptest::prelude::*;

use super::*;

fn globs(texts: &[&str]) -> Vec<Glob> {
    texts.iter().map(|text| Glob::parse(text).unwrap()).collect()
}

fn names(allow: Option<&[&str]>, deny: &[&str]) -> Names {
    Names { allow: allow.map(globs), deny: globs(deny) }
}

#[test]
fn a_star_stands_for_any_run_of_characters() {
    for (glob, yes, no) in [
        ("list", &["list"][..], &["List", "list ", "lists", "", "ⅼist"][..]),
        ("*", &["", "a", "a/b"], &[]),
        ("post*", &["post", "posts/x"], &["xpost", "pos"]),
        ("*Tool", &["Tool", "aTool", "ToolTool"], &["Tools"]),
        ("a*b*c", &["abc", "axbxc", "abbcc", "abcbc"], &["ab", "acb", "abcx"]),
        ("a*a", &["aa", "aba"], &["a"]),
        ("a?[b]", &["a?[b]"], &["axb", "a?b"]),
        ("**", &["", "x"], &[]),
    ] {
        let glob = Glob::parse(glob).unwrap();
        for name in yes {
            assert!(glob.matches(name), "{glob:?} {name:?}");
        }
        for name in no {
            assert!(!glob.matches(name), "{glob:?} {name:?}");
        }
    }
    assert_eq!(Glob::parse(""), Err(BadGlob::Empty));
    assert_eq!(Glob::parse(&"a".repeat(257)), Err(BadGlob::TooLong));
    assert_eq!(Glob::parse("a b"), Err(BadGlob::Blank));
}

#[test]
fn an_allow_list_denies_the_rest_and_deny_wins() {
    let some = names(Some(&["integration*", "triggerTool"]), &["triggerTool"]);
    assert!(some.let_in("integrationList") && !some.let_in("triggerTool") && !some.let_in("x"));
    let but = names(None, &["triggerTool"]);
    assert!(but.let_in("x") && !but.let_in("triggerTool"));
    assert!(!Names::none().let_in("x") && Names::default().let_in("x"));
}

#[test]
fn the_route_and_the_consumer_have_to_agree() {
    let rules = |tools| Arc::new(Rules { tools, ..Rules::default() });
    let (route, consumer) = (rules(names(None, &["b"])), rules(names(Some(&["a", "b"]), &[])));
    let both = Rulebook::of(Some(&route), Some(&consumer)).unwrap();
    assert!(both.tool("a") && !both.tool("b") && !both.tool("c"));
    assert!(Rulebook::of(Some(&route), None).unwrap().tool("c"));
    assert!(Rulebook::of(None, None).is_none());
}

/// Spelled as every parser spells them.
const PLAIN: &[&str] = &[
    "docs://posts/1",
    "docs://posts/1?a=b#c",
    "postiz:posts",
    "a+b.c://X/%20%C3%A9",
    "docs://",
    "https://a.example/x",
    "https://a.example:8443/x",
    "http://127.0.0.1/",
    "file:///etc/x",
    "docs://a:80/x",
    "urn:a:b",
    "docs://a/...",
    "ui://widget/a.html",
];

/// Other spellings of some URI, or of none.
const RESPELLED: &[&str] = &[
    "docs://mail/boss%40corp",
    "docs://mail/%28x%29",
    "docs://a/..%2Fsecret",
    "docs://a/%5Cb",
    "docs://a/%00",
    "docs://a/%25",
    "docs://a/%3F",
    "",
    "x",
    "DOCS://a",
    "docs://a/../b",
    "docs://a/.",
    "docs://a/%2E%2E/b",
    "docs://a/%2e./b",
    "docs://a/%61",
    "docs://a/%c3",
    "docs://a/%",
    "docs://a/%4",
    "docs://a\\b",
    "docs://a/ b",
    "docs://a/\u{e9}",
    "docs://a/b\n",
    "docs:/a",
    "https:a/b",
    "https:/a/b",
    "https:///a/b",
    "https://a.example",
    "https://A.example/",
    "https://a.example:443/",
    "http://a:/",
    "http://a:080/",
    "docs://@a/secret",
    "docs://:@a/secret",
    "docs://u@a/x",
    "docs://a:/secret",
    "docs://a:080/x",
    "docs://a:+80/x",
    "docs://a:99999/x",
    "docs://[0:0::1]/x",
    "https://1.2.3.4./x",
    "http://0x7f./x",
    "https://a.example./x",
    "https://a.example/x?q='",
    "https://u@a.example/",
    "http://127.1/",
    "http://0x7f.0.0.0x1/",
    "http://2130706433/",
    "file://host/x",
    "file:/x",
    "1a://b",
    "docs://a/{id}",
    "a/../b:c",
];

#[test]
fn a_uri_that_a_server_could_take_for_another_is_not_judged() {
    for plain in PLAIN {
        assert!(uri::is_canonical(plain), "{plain}");
    }
    for other in RESPELLED {
        assert!(!uri::is_canonical(other), "{other}");
    }
}

#[test]
fn no_spelling_of_a_resource_is_a_way_past_its_rules() {
    let rules =
        Arc::new(Rules { resources: names(Some(&["docs://a/*"]), &[]), ..Rules::default() });
    let book = Rulebook::of(Some(&rules), None).unwrap();
    assert!(book.resource("docs://a/b") && !book.resource("docs://a/../b"));
    assert!(book.template("docs://a/{id}") && !book.template("docs://b/{id}"));
    // A respelling is no way past a deny list either.
    let rules =
        Arc::new(Rules { resources: names(None, &["docs://a/secret*"]), ..Rules::default() });
    let book = Rulebook::of(Some(&rules), None).unwrap();
    assert!(book.resource("docs://a/x") && !book.resource("docs://@a/secret"));
    let free = Arc::new(Rules::default());
    assert!(Rulebook::of(Some(&free), None).unwrap().resource("anything at all"));
}

#[test]
fn a_glob_that_no_judged_uri_could_match_is_told_apart() {
    let names = |text: &str| names_a_resource(&Glob::parse(text).unwrap());
    for good in ["docs://a/*", "*", "https://*/x", "docs://a/{id}", "docs://a/%C3%A9*", "docs://a"]
    {
        assert!(names(good), "{good}");
    }
    for dead in
        ["docs://mail/\u{e9}", "docs://\u{e9}*", "DOCS://x", "docs://a/../*b%40", "https://a"]
    {
        assert!(!names(dead), "{dead}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_glob_matches_as_a_slow_search_does(glob in "[ab*]{1,8}", name in "[ab]{0,10}") {
        fn slow(glob: &[u8], name: &[u8]) -> bool {
            match (glob, name) {
                ([], []) => true,
                ([b'*', glob @ ..], _) => (0..=name.len()).any(|at| slow(glob, &name[at..])),
                ([g, glob @ ..], [n, name @ ..]) if g == n => slow(glob, name),
                _ => false,
            }
        }
        let fast = Glob::parse(&glob).unwrap().matches(&name);
        prop_assert_eq!(fast, slow(glob.as_bytes(), name.as_bytes()));
    }
}
