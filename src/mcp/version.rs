//! `MCP-Protocol-Version`: a date.

/// The first version without sessions.
const SESSIONLESS: &[u8] = b"2026-07-28";

/// Whether a request whose `MCP-Protocol-Version` lines say so may name a session. Only who says in
/// one word that it speaks a later version has none.
pub fn has_sessions<'v>(mut lines: impl Iterator<Item = &'v [u8]>) -> bool {
    match (lines.next(), lines.next()) {
        (Some(version), None) => !is_date(version) || version < SESSIONLESS,
        _ => true,
    }
}

fn is_date(text: &[u8]) -> bool {
    let sound = |(at, byte): (usize, &u8)| match at {
        4 | 7 => *byte == b'-',
        _ => byte.is_ascii_digit(),
    };
    text.len() == SESSIONLESS.len() && text.iter().enumerate().all(sound)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_single_later_date_has_no_sessions() {
        let has = |lines: &[&str]| has_sessions(lines.iter().map(|line| line.as_bytes()));
        for later in ["2026-07-28", "2026-12-01", "2027-01-01"] {
            assert!(!has(&[later]), "{later}");
            assert!(has(&[later, later]));
        }
        for other in ["2024-11-05", "2026-07-27", "", "DRAFT-2026", "2026-07-28-x", "2026x07x28"] {
            assert!(has(&[other]), "{other}");
        }
        assert!(has(&[]));
    }
}
