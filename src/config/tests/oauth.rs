//! `oauth`.

use super::*;
use crate::snapshot::OauthPart;

/// One route at `/api/mcp`, with these settings.
fn with(lines: &str) -> String {
    let paths = "paths = [\"/api/mcp/{key}\", \"/api/mcp\"], ";
    MINIMAL.replace("paths = [\"/mcp/{key}\"], ", &format!("{paths}{lines}, "))
}

fn behind_a_prefix(lines: &str) -> String {
    with(lines).replace("3000\"]", "3000\"], strip_prefix = \"/api\"")
}

/// Which part of OAuth a path leads to, and what the upstream takes off it.
fn leads(snapshot: &Snapshot, target: &str) -> Option<(OauthPart, usize)> {
    let lead = snapshot.routes.find("any.example.com", target).ok()?;
    Some((lead.route().oauth?, lead.route().upstream.strip_prefix.len()))
}

#[test]
fn the_paths_that_postiz_announces_lead_to_it_with_nothing_taken_off() {
    let site = Site::new();
    let text = behind_a_prefix("oauth = \"upstream\"");
    assert_eq!(site.messages(&text), Vec::<String>::new());
    let snapshot = site.compiled(&text);
    assert_eq!(snapshot.routes.iter().count(), 1, "to an operator it is one route");
    for (target, part) in [
        ("/mcp-oauth", OauthPart::Resource),
        ("/.well-known/oauth-protected-resource/mcp-oauth-claude", OauthPart::Read),
        ("/oauth/userinfo", OauthPart::Read),
        ("/oauth/register", OauthPart::Write),
    ] {
        assert_eq!(leads(&snapshot, target), Some((part, 0)), "{target}");
    }
    assert_eq!(leads(&snapshot, "/api/mcp-oauth"), Some((OauthPart::Resource, 1)));
    assert_eq!(leads(&snapshot, "/api/oauth/token"), Some((OauthPart::Write, 1)));
    for target in [
        "/api/mcp",
        "/mcp-oauth/x",
        "/oauth/authorize",
        "/api/.well-known/openid-configuration/mcp-oauth",
    ] {
        assert_eq!(leads(&snapshot, target), None, "{target}");
    }
}

#[test]
fn without_a_prefix_each_path_is_there_once() {
    let snapshot = Site::new().compiled(&with("oauth = \"upstream\""));
    assert_eq!(leads(&snapshot, "/mcp-oauth"), Some((OauthPart::Resource, 0)));
    assert_eq!(leads(&snapshot, "/api/mcp-oauth"), None);
    let none = Site::new().compiled(&with("max_streams = 8"));
    assert_eq!(leads(&none, "/mcp-oauth"), None);
}

#[test]
fn tokens_are_unknown_keys_so_a_route_that_refuses_those_is_warned_of() {
    let text = behind_a_prefix("oauth = \"upstream\"").replace("\"forward\"", "\"refuse\"");
    let warned = "no token of this OAuth gets in: tokens are keys that no consumer has";
    assert!(Site::new().messages(&text).iter().any(|message| message == warned));
}

#[test]
fn a_path_that_oauth_needs_is_not_another_routes() {
    let other = "routes = [{ name = \"o\", paths = [\"/oauth/token\", \"/api/mcp-oauth\"], upstream = \"postiz\" }, ";
    let text = with("oauth = \"upstream\"").replace("routes = [", other);
    let messages = Site::new().messages(&text);
    assert!(messages.contains(&"\"/oauth/token\" is claimed twice for any host".to_owned()));
    // Nothing is taken off, so the other one is free.
    assert!(!messages.iter().any(|message| message.contains("/api/mcp-oauth")));
}
