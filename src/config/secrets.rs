//! `env:NAME` and `file:PATH`: where secrets come from. Their text is in no problem.

use zeroize::Zeroizing;

use super::{files, mask::shown, reading::Reading, table::Item};
use crate::types::Secret;

/// Longer than any key; what is longer is the wrong file.
const MAX_BYTES: usize = 4096;

/// Reads the secret that a setting refers to.
pub(super) fn read(item: &Item<'_>, reading: &mut Reading<'_>) -> Option<Secret> {
    let reference = item.value.as_str().unwrap_or("");
    if let Some(name) = reference.strip_prefix("env:").filter(|name| is_variable(name)) {
        from_environment(item, name, reading)
    } else if let Some(path) = reference.strip_prefix("file:").filter(|path| !path.is_empty()) {
        from_file(item, path, reading)
    } else {
        reading
            .error(&item.at, format!("`{}`: a secret is never written in the file", item.name))
            .hint("write \"env:NAME\" for a variable of the environment, or \"file:PATH\"")
            .conceal(&item.at);
        None
    }
}

fn from_environment(item: &Item<'_>, name: &str, reading: &mut Reading<'_>) -> Option<Secret> {
    let Some(value) = (reading.around.environment)(name) else {
        let message = format!("`{}`: the environment has no variable {}", item.name, shown(name));
        reading
            .error(&item.at, message)
            .hint("set it for the process, or write \"file:PATH\" and keep the secret there");
        return None;
    };
    let bytes = Zeroizing::new(value.into_encoded_bytes());
    accept(item, &bytes, reading)
}

fn from_file(item: &Item<'_>, path: &str, reading: &mut Reading<'_>) -> Option<Secret> {
    let contents = files::read(item, path, reading)?;
    contents.warn_if_world_readable(item, path, reading);
    accept(item, &contents.bytes, reading)
}

/// Takes a secret that can stand in a path and in a field. Anything else would be refused, or cut,
/// only when the first request needs it.
fn accept(item: &Item<'_>, bytes: &[u8], reading: &mut Reading<'_>) -> Option<Secret> {
    let bytes = bytes.trim_ascii();
    let fault = match bytes {
        [] => "is empty",
        b"." | b".." => "is a dot segment, which leads elsewhere in a path",
        long if long.len() > MAX_BYTES => "is longer than 4096 bytes",
        text if !text.iter().all(u8::is_ascii_graphic) => {
            "holds a blank, a line end or a character outside ASCII"
        }
        _ => {
            let text = String::from_utf8(bytes.to_vec()).ok()?;
            return Some(Secret::new(text));
        }
    };
    reading
        .error(&item.at, format!("`{}`: the secret {fault}", item.name))
        .hint("it must be one line of visible ASCII; blanks around it are taken off");
    None
}

fn is_variable(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}
