//! What a browser's script of an allowed origin may send and read (Fetch, *CORS protocol*).

use http::HeaderName;

use crate::wire::{Fields, Outgoing};

/// What every MCP client in a browser may send.
const SENT: &str = "authorization, content-type, accept, last-event-id, mcp-protocol-version, \
    mcp-session-id, mcp-method, mcp-name";

/// What an MCP client in a browser has to read.
const EXPOSED: &str =
    "mcp-session-id, mcp-protocol-version, last-event-id, retry-after, www-authenticate";

/// Arguments that a tool wants in fields of their own (MCP 2026-07-28): only a client knows their
/// names, and no wildcard of CORS stands for a part of a name.
const PARAMETER: &str = "mcp-param-";

/// How many names of parameters are allowed at once.
const MOST_PARAMETERS: usize = 32;

/// The longest name of a parameter, in bytes.
const LONGEST_PARAMETER: usize = 64;

/// The fields that a preflight may ask for: the fixed list, and of what it asks for itself the names
/// of parameters. Nothing else of the request is repeated.
pub(super) fn allowed_headers(fields: &Fields) -> String {
    let asked = fields.get_all("access-control-request-headers");
    let names = asked.flat_map(|line| line.split(|byte| *byte == b','));
    let parameters = names.filter_map(parameter).take(MOST_PARAMETERS);
    parameters.fold(SENT.to_owned(), |list, name| list + ", " + name.as_str())
}

fn parameter(name: &[u8]) -> Option<HeaderName> {
    let name = name.trim_ascii();
    if name.len() > LONGEST_PARAMETER {
        return None;
    }
    // Reads tokens alone, in lower case.
    let name = HeaderName::from_bytes(name).ok()?;
    name.as_str().strip_prefix(PARAMETER).is_some_and(|own| !own.is_empty()).then_some(name)
}

/// Lets a script of this origin read the answer.
pub(super) fn write(out: &mut Outgoing, origin: &str) {
    out.field("access-control-allow-origin", origin.as_bytes());
    out.field("access-control-expose-headers", EXPOSED.as_bytes());
    out.field("vary", b"origin");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn added(lines: &[&str]) -> Vec<String> {
        let mut fields = Fields::new();
        for line in lines {
            fields.push("access-control-request-headers", line.as_bytes());
        }
        let allowed = allowed_headers(&fields);
        let rest = allowed.strip_prefix(SENT).unwrap();
        rest.split(", ").skip(1).map(str::to_owned).collect()
    }

    #[test]
    fn names_of_parameters_are_allowed_and_nothing_else_is_repeated() {
        for (lines, expected) in [
            (&[][..], &[][..]),
            (&["content-type,mcp-param-a"], &["mcp-param-a"]),
            (&["Mcp-Param-Region , MCP-PARAM-x_y"], &["mcp-param-region", "mcp-param-x_y"]),
            (&["mcp-param-a", "x, mcp-param-b"], &["mcp-param-a", "mcp-param-b"]),
            (&["mcp-param-", "mcp-param", "x-mcp-param-a", "mcp-params-a", "*", "cookie"], &[]),
            (&["mcp-param-a b", "mcp-param-a\u{e9}", "mcp-param-\"a\"", "mcp-param-a:b"], &[]),
        ] {
            assert_eq!(added(lines), expected, "{lines:?}");
        }
    }

    #[test]
    fn so_many_names_of_such_a_length_are_allowed() {
        let longest = format!("{PARAMETER}{}", "a".repeat(LONGEST_PARAMETER - PARAMETER.len()));
        assert_eq!(added(&[&format!("{longest}a, {longest}")]), [longest]);
        let many: Vec<String> = (0..40).map(|n| format!("{PARAMETER}{n}")).collect();
        assert_eq!(added(&[&many.join(",")]), many[..MOST_PARAMETERS]);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn whatever_is_asked_for_the_list_stays_a_short_list_of_names(
            line in "(mcp-param-|MCP-Param-|x|,| |\\PC){0,400}",
        ) {
            let names = added(&[&line]);
            prop_assert!(names.len() <= MOST_PARAMETERS);
            for name in names {
                prop_assert!(name.starts_with(PARAMETER) && name.len() <= LONGEST_PARAMETER);
                prop_assert!(name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b','));
            }
        }
    }
}
