use portcullis::types::{Path, Template, WebPath, write_key_segment};

/// A path that is read has one reading: the one of a server that decodes, cuts, merges and resolves
/// whatever it can. Its key survives the way upstream.
pub(crate) fn path(bytes: &[u8]) {
    let Ok(target) = std::str::from_utf8(bytes) else { return };
    of_a_site(target);
    let Ok(read) = Path::read(target) else { return };
    let segments: Vec<String> =
        read.segments().iter().map(|segment| segment.decoded().to_ascii_lowercase()).collect();
    assert_eq!(segments, naive(target), "{target}");
    for segment in read.segments() {
        let raw = segment.raw();
        assert!(!matches!(raw, "" | "." | "..") && !raw.contains(['/', '\\', ';', '\0']), "{raw}");
        arrives(&segment.decoded());
    }
    matches(&read, &segments);
}

/// Where a lenient server sees an MCP path, the reading of a page's path has seen it too, so that it
/// is no page. What the strict reading takes for one is one of these.
fn of_a_site(target: &str) {
    let visible = target.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
    let Ok(read) = WebPath::read(target) else { return };
    if !visible || target.contains("%2525") {
        return;
    }
    let Some(template) = Template::parse("/api/mcp") else { panic!("a template") };
    if naive_of_a_site(target).starts_with(&["api".into(), "mcp".into()]) {
        assert!(read.touches(&template), "{target}");
    }
}

/// As [`naive`], of a path whose triplets may be no text; those lead to no template.
fn naive_of_a_site(target: &str) -> Vec<String> {
    let path = target.split('?').next().unwrap_or_default();
    let decoded = WebPath::decoded(path);
    let Ok(path) = String::from_utf8(decoded) else { return Vec::new() };
    path.split('/')
        .map(|segment| segment.split(';').next().unwrap_or_default().to_owned())
        .filter(|segment| !segment.is_empty())
        .collect()
}

/// What a lenient server makes of a path: triplets are decoded until none is left, a backslash is a
/// slash, `;` ends a segment, case is nothing, slashes are merged and dot segments resolved.
fn naive(target: &str) -> Vec<String> {
    let mut path = target.split('?').next().unwrap_or_default().as_bytes().to_vec();
    loop {
        let decoded = decode_once(&path);
        if decoded == path {
            break;
        }
        path = decoded;
    }
    let Ok(path) = String::from_utf8(path) else { panic!("{target} left ASCII") };
    let path = path.replace('\\', "/").to_ascii_lowercase();
    let mut segments: Vec<String> = Vec::new();
    for segment in path.split('/').map(|segment| segment.split(';').next().unwrap_or_default()) {
        match segment {
            "" | "." => {}
            ".." => drop(segments.pop()),
            plain => segments.push(plain.to_owned()),
        }
    }
    segments
}

fn decode_once(path: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::new();
    let mut rest = path;
    while let Some((byte, after)) = rest.split_first() {
        let pair = after.get(..2).and_then(|pair| std::str::from_utf8(pair).ok());
        let triplet = pair.and_then(|pair| u8::from_str_radix(pair, 16).ok());
        match triplet.filter(|_| *byte == b'%') {
            Some(letter) => {
                decoded.push(letter);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                decoded.push(*byte);
                rest = after;
            }
        }
    }
    decoded
}

/// A key that is written into a path is read out of it again.
fn arrives(key: &str) {
    let mut written = b"/mcp/".to_vec();
    write_key_segment(&mut written, key);
    let Ok(written) = String::from_utf8(written) else { panic!("{key:?} left ASCII") };
    let Ok(again) = Path::read(&written) else { panic!("{written} isn't read") };
    let Some(template) = Template::parse("/mcp/{key}") else { panic!("the template") };
    let found = template.matches(&again).and_then(|matched| matched.key);
    assert_eq!(found.map(|segment| segment.decoded()).as_deref(), Some(key));
}

/// What lies under a template lies there for the lenient server, with the same key.
fn matches(read: &Path<'_>, naive: &[String]) {
    let Some(template) = Template::parse("/api/mcp/{key}") else { panic!("the template") };
    let Some(found) = template.matches(read) else { return };
    let key = found.key.map(|segment| segment.decoded().to_ascii_lowercase());
    let seen: Vec<Option<&str>> = naive.iter().map(|segment| Some(&**segment)).take(3).collect();
    assert_eq!(seen, [Some("api"), Some("mcp"), key.as_deref()]);
    assert_eq!(found.rest.len() + 3, naive.len());
}
