//! Certificates that are ordered.

use super::*;

/// A listener that orders what these settings say, with a state directory.
fn ordering(acme: &str) -> String {
    let tls = format!(":0\", tls = {{ acme = {{ {acme}, ca = \"ca.pem\" }} }}");
    format!("state = {{ dir = \"state\" }}\n{}", MINIMAL.replace(":0\"", &tls))
}

fn site() -> Site {
    let site = Site::new();
    site.certificate("ca", (2026, 1, 1), (2027, 1, 1));
    site
}

#[test]
fn an_order_needs_its_names_alone() {
    let site = site();
    let text = ordering("domains = [\"Mcp.Example.com\"]");
    assert_eq!(site.messages(&text), Vec::<String>::new());
    let snapshot = site.compiled(&text);
    let ListenerKind::Tls(Tls { certificates, acme: Some(acme), .. }) = &snapshot.listeners[0].kind
    else {
        panic!("nothing is ordered")
    };
    assert!(certificates.is_empty());
    assert_eq!(&*acme.domains[0], "mcp.example.com");
    assert_eq!(&*acme.directory, "https://acme-v02.api.letsencrypt.org/directory");
    assert_eq!((acme.retry, acme.contact.as_deref()), (Duration::from_secs(60), None));
    assert!(acme.file().starts_with("mcp.example.com-"), "{}", acme.file());
}

#[test]
fn an_order_that_no_authority_would_take_is_reported() {
    let site = site();
    let domains = |names: &str| format!("domains = [{names}]");
    let also = |more: &str| format!("domains = [\"a.test\"], {more}");
    for (acme, message) in [
        (domains(""), "`domains` must be from 1 to 100 names"),
        (domains("\"*.a.test\""), "`domains`: no certificate can be ordered for \"*.a.test\""),
        (domains("\"192.0.2.7\""), "`domains`: no certificate can be ordered for \"192.0.2.7\""),
        (domains("\"a.test\", \"A.test\""), "\"a.test\" is named twice"),
        (also("contact = \"ops@a.test\""), "`contact`: \"ops@a.test\" is no contact"),
        (
            also("directory = \"http://a.test/\""),
            "`directory`: \"http://a.test/\" is no directory of an authority",
        ),
        (
            also("retry = \"1s\""),
            "orders that fail are tried again sooner than public authorities allow",
        ),
    ] {
        assert_eq!(site.messages(&ordering(&acme)), [message]);
    }
}

#[test]
fn an_order_without_a_place_for_it_or_in_two_ways_is_an_error() {
    let site = site();
    let text = ordering("domains = [\"a.test\"]");
    let unkept = text.replace("state = { dir = \"state\" }", "");
    let message = "what `acme` orders is kept in a directory that isn't named";
    assert_eq!(site.messages(&unkept), [message]);
    let second = |names: &str| {
        format!(
            "{{ name = \"other\", address = \"127.0.0.2:0\", tls = {{ acme = {{ domains = [{names}], \
             ca = \"ca.pem\" }} }} }}]"
        )
    };
    let with = |names: &str| text.replacen("}]", &format!("}}, {}", second(names)), 1);
    assert_eq!(site.messages(&with("\"a.test\"")), Vec::<String>::new(), "it is shared");
    let two = ["\"a.test\" is ordered in two ways"];
    assert_eq!(site.messages(&with("\"a.test\", \"b.test\"")), two);
}

#[test]
fn an_authority_that_access_keeps_out_is_a_warning() {
    let text = ordering("domains = [\"a.test\"]");
    let text = format!("access = {{ allow = [\"192.0.2.0/24\"], trusted_proxies = [] }}\n{text}");
    let warning = "[access] keeps out the authority, which asks from any address";
    assert_eq!(site().messages(&text), [warning]);
}
