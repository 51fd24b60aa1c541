use super::*;

fn key_of(template: &str, target: &str) -> Option<String> {
    let path = Path::read(target).ok()?;
    Template::parse(template)?.matches(&path)?.key.map(|segment| segment.decoded())
}

#[test]
fn every_spelling_of_a_key_is_one_key() {
    for spelling in ["/api/mcp/abc/sse", "/API/Mcp/%61bc/sse", "/api/mcp/%61%62%63"] {
        assert_eq!(key_of("/api/mcp/{key}", spelling).as_deref(), Some("abc"), "{spelling}");
    }
    assert_eq!(key_of("/api/mcp/{key}", "/api/mcp/a=b+c,d").as_deref(), Some("a=b+c,d"));
}

#[test]
fn what_two_readers_could_resolve_differently_is_refused() {
    for path in [
        "//p",
        "/a//b",
        "/a/../p",
        "/a/..",
        "/./a",
        "/a/%2e%2e/p",
        "/a/..%2fp",
        "/a%252fp",
        "/a;x=/p",
        "/a\\b",
        "/%zz",
        "/%0",
        "/%00",
        "/a%5cb",
        "/a/%2E",
        "/a/%3d",
        "a",
        "",
        "*",
        "/a//",
        "//",
    ] {
        assert!(Path::read(path).is_err(), "{path}");
    }
}

#[test]
fn a_template_matches_itself_and_what_follows_on_a_border() {
    let template = Template::parse("/api/mcp").unwrap();
    let matches = |target| template.matches(&Path::read(target).unwrap()).is_some();
    assert!(matches("/api/mcp") && matches("/api/mcp/") && matches("/api/mcp/x?y=1"));
    assert!(!matches("/api/mcp-oauth") && !matches("/api") && !matches("/"));
    assert!(!matches("/%61pi/mcp"), "a fixed segment has one spelling but for its case");
}

#[test]
fn a_template_is_refused_unless_every_reader_agrees_on_it() {
    for text in ["", "api", "/api//x", "/{key}/{key}", "/a%20b", "/a/{other}", "/a/../b"] {
        assert!(Template::parse(text).is_none(), "{text}");
    }
    assert!(Template::parse("/").unwrap().matches(&Path::read("/x").unwrap()).is_some());
}

#[test]
fn templates_overlap_where_only_their_order_could_choose() {
    let overlap = |a: &str, b: &str| {
        let (a, b) = (Template::parse(a).unwrap(), Template::parse(b).unwrap());
        assert_eq!(a.overlaps(&b), b.overlaps(&a));
        a.overlaps(&b)
    };
    assert!(overlap("/a/{key}", "/A/{key}") && overlap("/a/b", "/a/B"));
    assert!(overlap("/a/{key}/c", "/a/b/{key}") && overlap("/{key}/b", "/a/{key}"));
    assert!(!overlap("/a/{key}", "/a/b"), "the fixed one is more specific");
    assert!(!overlap("/a/{key}", "/a/b/{key}"), "the longer one is more specific");
    assert!(!overlap("/a/{key}/c", "/b/{key}/c") && !overlap("/a/{key}/c", "/b/c/{key}"));
}

#[test]
fn a_key_is_written_as_one_segment_whatever_it_holds() {
    let mut out = Vec::new();
    write_key_segment(&mut out, "a/b;c%d é=");
    assert_eq!(out, b"a%2Fb%3Bc%25d%20%C3%A9=");
}

#[test]
fn a_key_is_a_segment_as_it_stands_or_not_at_all() {
    for key in ["a", "5ca1ab1e", "a=b+c,d~", "...", "a:b@c"] {
        assert!(is_key_segment(key), "{key}");
    }
    for key in ["", ".", "..", "a/b", "a\\b", "a;b", "a%2fb", "a?b", "a#b", "a b", "\u{e9}"] {
        assert!(!is_key_segment(key), "{key}");
    }
}

#[test]
fn a_template_differs_from_another_by_its_key_alone() {
    let adds = |with: &str, other: &str| {
        Template::parse(with).unwrap().adds_key_to(&Template::parse(other).unwrap())
    };
    assert!(adds("/a/{key}/b", "/A/b") && adds("/{key}", "/") && adds("/a/{key}", "/a"));
    assert!(!adds("/a/{key}/b", "/a") && !adds("/a/b", "/a/b") && !adds("/a/{key}", "/a/{key}"));
}
