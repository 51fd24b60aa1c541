use crate::{
    snapshot::{McpLead, OauthPart},
    types::Method,
    wire::RequestHead,
};

/// What a 401 of an endpoint with the upstream's own OAuth says: where to begin (RFC 9728 5.1). In
/// our words, because the upstream doesn't know under which origin it was asked. `None` on any other
/// path: a client that finds `resource_metadata` demands OAuth.
pub(super) fn challenge(
    head: &RequestHead,
    scheme: &str,
    lead: &McpLead<'_, '_>,
) -> Option<Box<str>> {
    if lead.route.oauth != Some(OauthPart::Resource) {
        return None;
    }
    let resource = lead.template.parts().flatten().last()?;
    let metadata = format!("{scheme}://{}/.well-known/oauth-protected-resource", head.host);
    Some(format!("Bearer resource_metadata=\"{metadata}/{resource}\"").into())
}

/// Whether a page of the upstream's OAuth has this method. `OPTIONS` is what a browser asks first.
pub(super) const fn takes(part: OauthPart, method: Method) -> bool {
    match part {
        // An endpoint is no page.
        OauthPart::Resource => false,
        OauthPart::Read => matches!(method, Method::Get | Method::Head | Method::Options),
        OauthPart::Write => matches!(method, Method::Post | Method::Options),
    }
}
