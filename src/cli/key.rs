//! `portcullis key new NAME`: a key for a consumer, shown once.

use std::{
    io::{self, IsTerminal, Write},
    process::ExitCode,
};

use aws_lc_rs::rand;

use crate::types::{Name, Secret};

/// What a key of this gateway begins with, so that scanners of repositories and logs know it.
pub const PREFIX: &str = "ptc_";

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// 238 bits of chance.
const RANDOM_CHARS: usize = 40;

/// 62^6 is more than 2^32, so a CRC-32 fits.
const CHECKSUM_CHARS: usize = 6;

/// Makes a key and prints it once, with the consumer block to paste. The key itself is kept
/// nowhere. Exit code 1 where the name is none, or the system has no random bytes.
pub fn new(name: &str) -> ExitCode {
    let out = &mut io::stdout();
    let decorated = io::stdout().is_terminal();
    let Some(name) = Name::parse(name) else {
        // Not echoed: a key pasted as the name would stay on the screen.
        return fail("a name is 1 to 64 of the letters A-Z and a-z, digits, `_`, `.` and `-`");
    };
    let Some(key) = generate() else { return fail("this system gave no random bytes") };
    match print(&name, &key, decorated, out) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => fail("the key could not be written"),
    }
}

fn fail(message: &str) -> ExitCode {
    // Where standard error is closed too, the exit code has to do.
    let _ = writeln!(io::stderr(), "error: {message}");
    ExitCode::FAILURE
}

fn print(name: &Name, key: &Secret, decorated: bool, out: &mut impl Write) -> io::Result<()> {
    if decorated {
        writeln!(out, "The key of {name}. It is shown this once; give it to the client:\n")?;
    }
    writeln!(out, "{}\n", key.expose())?;
    if decorated {
        writeln!(out, "Its consumer. Paste this into the configuration:\n")?;
    }
    writeln!(out, "[[consumers]]")?;
    writeln!(out, "name       = \"{name}\"")?;
    writeln!(out, "key_sha256 = \"{}\"", hex::encode(key.digest().as_bytes()))?;
    if decorated {
        writeln!(
            out,
            "\nTo replace the key of a consumer that exists, give it this key_sha256 and:"
        )?;
        // A month to tell everyone who has the old one.
        let today = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date();
        let end = today.saturating_add(jiff::Span::new().days(30));
        writeln!(out, "previous = {{ key_sha256 = \"the one that it had\", expires = {end} }}")?;
    }
    out.flush()
}

/// A new key. `None` where the system has no random bytes.
pub(super) fn generate() -> Option<Secret> {
    let mut key = String::with_capacity(PREFIX.len() + RANDOM_CHARS + CHECKSUM_CHARS);
    let mut random = String::with_capacity(RANDOM_CHARS);
    while random.len() < RANDOM_CHARS {
        let mut bytes = zeroize::Zeroizing::new([0_u8; 64]);
        rand::fill(bytes.as_mut_slice()).ok()?;
        // 248 is four times 62. Bytes above would make the first eight characters likelier.
        let letters = bytes.iter().filter(|byte| **byte < 248).map(|byte| letter(u32::from(*byte)));
        random.extend(letters.take(RANDOM_CHARS - random.len()));
    }
    key.push_str(PREFIX);
    key.push_str(&random);
    key.push_str(&checksum(&random));
    zeroize::Zeroize::zeroize(&mut random);
    Some(Secret::new(key))
}

/// The CRC-32 of the random part in six letters, the highest first. It tells a mistyped or cut key
/// from a wrong one; it keeps no secret.
fn checksum(random: &str) -> String {
    let mut rest = crc32fast::hash(random.as_bytes());
    let mut letters = [char::from(b'0'); CHECKSUM_CHARS];
    for place in letters.iter_mut().rev() {
        *place = letter(rest);
        rest /= 62;
    }
    letters.iter().collect()
}

fn letter(number: u32) -> char {
    let at = usize::try_from(number % 62).unwrap_or(0);
    ALPHABET.get(at).copied().map_or('0', char::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_its_prefix_its_length_and_a_checksum_that_holds() {
        let (first, second) = (generate().unwrap(), generate().unwrap());
        assert!(!first.matches(&second));
        let body = first.expose().strip_prefix(PREFIX).unwrap();
        assert_eq!(body.len(), RANDOM_CHARS + CHECKSUM_CHARS);
        assert!(body.bytes().all(|b| b.is_ascii_alphanumeric()));
        let (random, sum) = body.split_at(RANDOM_CHARS);
        assert_eq!(sum, checksum(random));
    }

    #[test]
    fn a_checksum_is_the_crc_in_base_62() {
        // The check value of CRC-32 is 0xcbf43926 = 3421780262.
        assert_eq!(checksum("123456789"), "3jZRME");
    }

    #[test]
    fn what_is_printed_can_be_pasted() {
        let (name, key) = (Name::parse("claude-desktop").unwrap(), generate().unwrap());
        let mut out = Vec::new();
        print(&name, &key, false, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        let (shown, block) = text.split_once("\n\n").unwrap();
        assert_eq!(shown, key.expose());
        let digest = hex::encode(key.digest().as_bytes());
        let expected =
            format!("[[consumers]]\nname       = \"claude-desktop\"\nkey_sha256 = \"{digest}\"\n");
        assert_eq!(block, expected);
    }
}
