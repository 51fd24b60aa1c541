use super::*;
use crate::{
    policy::AuditLevel,
    snapshot::{Audit, AuditTo},
};

/// `[audit]` with these lines, and a state directory.
fn audit(lines: &str) -> Audit {
    let site = Site::new();
    site.compiled(&format!("{MINIMAL}\n[state]\ndir = \"s\"\n[audit]\n{lines}")).audit.unwrap()
}

#[test]
fn a_file_is_enough_and_the_rest_has_defaults() {
    let plain = audit("file = \"/a.jsonl\"\n");
    let to = AuditTo::File { path: "/a.jsonl".into(), size: 64 << 20, keep: 8 };
    assert_eq!((plain.to, plain.digest, plain.fields.len()), (to, false, 0));
    assert!(Site::new().compiled(MINIMAL).audit.is_none());
    let more = audit("file = \"stdout\"\ndigest = true\n[audit.fields]\n\"post*\" = [\"/a\"]");
    assert_eq!((more.to, more.digest), (AuditTo::Stdout, true));
    assert!(more.fields[0].are_of("posts") && more.fields[0].have("/a"));
}

#[test]
fn a_level_is_of_the_route_and_of_the_consumer() {
    let text = consumer("audit = \"off\"\n").replace("rate =", "audit = \"required\", rate =");
    let snapshot = Site::new().compiled(&format!("{text}[audit]\nfile = \"a\""));
    let route = snapshot.routes.iter().next().unwrap();
    assert_eq!(route.mcp().unwrap().audit, Some(AuditLevel::Required));
    assert_eq!(snapshot.consumers.iter().next().unwrap().audit, Some(AuditLevel::Off));
}

#[test]
fn what_is_to_be_recorded_needs_a_place() {
    let site = Site::new();
    let nowhere = "there is no [audit], so nothing would be recorded";
    for level in ["on", "required"] {
        let route = MINIMAL.replace("rate =", &format!("audit = \"{level}\", rate ="));
        assert_eq!(site.messages(&route), [nowhere], "{level}");
        assert_eq!(site.messages(&consumer(&format!("audit = \"{level}\""))), [nowhere]);
    }
    assert_eq!(site.messages(&consumer("audit = \"off\"")), Vec::<String>::new());
}

#[test]
fn digests_that_do_not_outlive_a_start_are_warned_of() {
    let text = format!("{MINIMAL}\n[audit]\nfile = \"a\"\ndigest = true\n");
    let said = Site::new().messages(&text);
    assert_eq!(said, ["without [state] the same arguments have another digest after each start"]);
}
