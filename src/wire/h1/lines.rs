use std::ops::Range;

use httparse::{EMPTY_HEADER, Header, parse_headers};

use super::scan::HeadEnd;
use crate::{types::Malformation, wire::fields::Line};

/// Heads of up to so many fields are read without an allocation for them.
const USUAL_FIELDS: usize = 32;

/// Reads the field lines of a head that `scan` found whole, and turns their names to lower case
/// where they stand. `start` is the end of the first line.
///
/// `httparse` refuses what RFC 9112 5 forbids: an empty name, a name with anything but token
/// bytes, white space before the colon, a folded line, control bytes in a value.
pub(super) fn read_lines(
    head: &mut [u8],
    start: usize,
    end: HeadEnd,
) -> Result<Vec<Line>, Malformation> {
    let lines = if end.fields <= USUAL_FIELDS {
        split(head, start, &mut [EMPTY_HEADER; USUAL_FIELDS])?
    } else {
        split(head, start, &mut vec![EMPTY_HEADER; end.fields])?
    };
    for line in &lines {
        head.get_mut(line.name()).unwrap_or_default().make_ascii_lowercase();
    }
    Ok(lines)
}

fn split<'h>(
    head: &'h [u8],
    start: usize,
    room: &mut [Header<'h>],
) -> Result<Vec<Line>, Malformation> {
    let section = head.get(start..).ok_or(Malformation::Field)?;
    let Ok(httparse::Status::Complete((used, found))) = parse_headers(section, room) else {
        return Err(Malformation::Field);
    };
    // Two readers of one head that see different ends of it are what smuggling lives on.
    if used != section.len() {
        return Err(Malformation::Field);
    }
    let base = head.as_ptr().addr();
    let place = |part: &[u8]| -> Range<usize> {
        let from = part.as_ptr().addr().saturating_sub(base);
        from..from + part.len()
    };
    let line =
        |header: &Header<'_>| Line::new(&place(header.name.as_bytes()), &place(header.value));
    Ok(found.iter().map(line).collect())
}
