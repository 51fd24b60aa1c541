//! Who answers for clients, and what consumers have to show.

use super::*;

fn asking(more: &str) -> String {
    let pair = "certificates = [{ cert = \"ca.pem\", key = \"ca.key\" }]";
    MINIMAL.replace(":0\"", &format!(":0\", tls = {{ {pair}{more} }}"))
}

fn site() -> Site {
    let site = Site::new();
    site.certificate("ca", (2026, 1, 1), (2027, 1, 1));
    site.write("nothing.pem", "nothing", 0o644);
    site
}

fn shows(certificate: &str) -> String {
    let text = asking(", client_ca = \"ca.pem\"");
    format!(
        "{text}\n[[consumers]]\nname = \"c\"\ncertificate = {certificate}\nupstream_key = \"env:KEY\"\n"
    )
}

#[test]
fn an_authority_is_enough_and_then_a_certificate_is_required() {
    for (more, required) in [("", true), (", client_auth = \"optional\"", false)] {
        let text = asking(&format!(", client_ca = \"ca.pem\"{more}"));
        let snapshot = site().compiled(&text);
        let clients = snapshot.listeners[0].tls().unwrap().clients.as_ref().unwrap();
        assert_eq!(clients.required, required);
    }
}

#[test]
fn what_would_let_nobody_or_anybody_in_is_an_error() {
    for (more, message) in [
        (", client_auth = \"optional\"", "`client_auth` without `client_ca`"),
        (", client_crl = \"ca.pem\"", "`client_crl` without `client_ca`"),
        (", client_ca = \"nothing.pem\"", "\"nothing.pem\" holds no authority that can be used"),
        (", client_ca = \"none.pem\"", "`client_ca`: \"none.pem\" does not exist"),
        (
            ", client_ca = \"ca.pem\", client_crl = \"nothing.pem\"",
            "\"nothing.pem\" holds no revocation list",
        ),
    ] {
        assert_eq!(site().messages(&asking(more)), [message]);
    }
}

#[test]
fn a_consumer_without_a_key_is_known_by_one_name_of_its_certificate() {
    for certificate in [
        "{ san_dns = \"Agent.Example.com\" }",
        "{ san_uri = \"spiffe://example.com/agent\" }",
        "{ san_email = \"ops@example.com\" }",
        "{ subject_cn = \"agent\" }",
    ] {
        let snapshot = site().compiled(&shows(certificate));
        let consumer = snapshot.consumers.iter().next().unwrap();
        assert!(!consumer.has_key && consumer.certificate.is_some(), "{certificate}");
    }
}

#[test]
fn a_name_that_is_none_or_twice_or_asked_of_nobody_is_an_error() {
    for (certificate, message) in [
        ("{}", "`certificate` needs exactly one name"),
        ("{ san_dns = \"a.test\", subject_cn = \"a\" }", "`certificate` needs exactly one name"),
        ("{ sha256 = \"ab\" }", "`sha256`: \"***\" is no such name"),
        ("{ san_email = \"ops\" }", "`san_email`: \"ops\" is no such name"),
    ] {
        assert_eq!(site().messages(&shows(certificate)), [message]);
    }
    let text = shows("{ subject_cn = \"a\" }");
    let twice = text[text.find("[[consumers]]").unwrap()..].replace("\"c\"", "\"d\"");
    assert_eq!(
        site().messages(&format!("{text}{twice}")),
        ["another consumer has this certificate"]
    );
    assert_eq!(
        site().messages(&text.replace(", client_ca = \"ca.pem\"", "")),
        ["no listener asks for client certificates"]
    );
    assert_eq!(
        site().messages(&text.replace("upstream_key = \"env:KEY\"", "")),
        ["a consumer with a certificate and no key has nothing for the server behind"]
    );
}
