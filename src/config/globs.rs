//! Names with stars in them, as rules write them.

use super::{mask::shown, value::Fault};
use crate::policy::{BadGlob, Glob, names_a_resource};

/// A name, with stars for any run of characters.
pub(super) fn glob(text: &str) -> Result<Glob, Fault> {
    Glob::parse(text).map_err(|bad| match bad {
        BadGlob::Empty => Fault::new("an empty name").hint("write a name, or \"*\" for every name"),
        BadGlob::TooLong => Fault::new("a name of more than 256 bytes").hint("shorten it with a *"),
        BadGlob::Blank => Fault::new(format!("{} holds a blank", shown(text)))
            .hint("write each name as an element of its own"),
    })
}

/// A resource is judged in one spelling alone, so a glob in another would let nothing in, and deny
/// nothing.
pub(super) fn resource(text: &str) -> Result<Glob, Fault> {
    let glob = glob(text)?;
    if names_a_resource(&glob) {
        return Ok(glob);
    }
    Err(Fault::new(format!("{} is no URI as servers spell it", shown(text)))
        .hint("write it as the server lists it: scheme and host in lower case, no . or .. segments, no port that goes without saying"))
}
