use proptest::prelude::*;

use super::*;

/// The variants of an enum as a list, and a match over them without a wildcard: a new one doesn't
/// compile before it is in the list.
macro_rules! every {
    ($of:ident: $($variant:ident)+, $($known:pat)?) => {{
        const _: fn($of) = |one| match one {
            $($of::$variant => {})+
            $($known => {})?
        };
        vec![$($of::$variant),+]
    }};
}

/// One of each, and of those with a cap one for each cap.
pub(crate) fn every_denial(wait: Duration) -> Vec<Denial> {
    let malformations = every!(Malformation:
        RequestLine Version LineEnd Field FieldName Framing TransferCoding Chunk Host Target Path
        Connection,);
    let mut all = every!(Denial:
        TargetTooLong Expectation NoRoute Host Method MediaType Address Origin
        Insecure CredentialAmbiguous KeyMissing KeyUnknown KeyExpired KeyRevoked Certificate Killed Session BodyTooLarge NotJson
        NotRpc HeadMismatch Tool Argument Prompt Resource MethodDenied MethodGone Discovery UpstreamDown
        UpstreamBad UpstreamGone,
        Denial::Malformed(_) | Denial::HeadTooLarge(_) | Denial::Timeout(_) | Denial::Rate { .. }
            | Denial::Budget { .. } | Denial::DiscoverRate { .. } | Denial::Streams(_) | Denial::Overload(_)
            | Denial::UpstreamSlow(_) | Denial::Banned { .. });
    all.push(Denial::Banned { retry_after: wait });
    for limit in Limit::ALL.iter().copied() {
        all.extend([
            Denial::HeadTooLarge(limit),
            Denial::Timeout(limit),
            Denial::Rate { retry_after: wait, limit },
            Denial::DiscoverRate { retry_after: wait, limit },
            Denial::Budget { retry_after: wait, calls: 50, limit },
            Denial::Streams(limit),
            Denial::Overload(limit),
            Denial::UpstreamSlow(limit),
        ]);
    }
    all.extend(malformations.into_iter().map(Denial::Malformed));
    all
}

fn waits() -> impl Strategy<Value = Duration> {
    (0..=365 * 86_400_u64, 0..1_000_000_000_u32)
        .prop_map(|(secs, nanos)| Duration::new(secs, nanos))
}

proptest! {
    #[test]
    fn no_text_of_a_refusal_needs_an_escape(wait in waits()) {
        // `mcp::error_response` writes them into JSON as they are, and a field can't hold a line end.
        for denial in every_denial(wait) {
            for text in [&*denial.text(RequestId::next()), denial.face().text, denial.face().reason] {
                prop_assert_eq!(serde_json::to_string(text).unwrap(), format!("\"{text}\""));
                prop_assert!(text.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{}", text);
            }
        }
    }

    #[test]
    fn a_wait_is_told_in_whole_seconds_that_are_enough(wait in waits()) {
        for denial in every_denial(wait) {
            let request = RequestId::next();
            let Some(seconds) = denial.retry_after_seconds(request) else { continue };
            let told = format!(" Retry in {seconds} s.");
            prop_assert!(seconds >= 1 && denial.text(request).ends_with(&told));
            if denial.retry_after().is_some() {
                prop_assert!(Duration::from_secs(seconds) >= wait);
                prop_assert!(Duration::from_secs(seconds - 1) <= wait);
            }
        }
    }
}

#[test]
fn a_face_keeps_to_what_clients_and_the_specification_expect() {
    for denial in every_denial(Duration::ZERO) {
        let Face { status, code, reason, text } = denial.face();
        assert!(status.is_client_error() || status.is_server_error(), "{denial:?}");
        // JSON-RPC 2.0 5.1 reserves these; where it or MCP has a word for what is meant, that is ours.
        let reserved = (-32768..=-32000).contains(&code);
        let worded = matches!(
            denial,
            Denial::NotJson | Denial::NotRpc | Denial::HeadMismatch | Denial::MethodGone
        );
        assert_eq!(reserved, worded || denial.is_of_the_call(), "{denial:?}");
        assert!(reason.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{reason}");
        // A name may follow in the specification's own texts.
        assert_eq!(text.ends_with('.'), !denial.is_of_the_call(), "{text}");
        assert!(!text.contains(['<', '>']), "{text}");
    }
}
