use portcullis::{
    proxy::present,
    types::{Credential, CredentialForm, Denial, Path, Secret, Template, write_key_segment},
    wire::Fields,
};

/// What a request shows of a key: its target, and each value of `Authorization`.
struct Shown<'b> {
    target: &'b str,
    authorization: Vec<&'b [u8]>,
}

/// The first line is the target, each line behind it one `Authorization`. A key that is accepted is
/// the one that every reader finds, wherever it looks; every form of it is the same key; and beside
/// another one it is refused.
pub(crate) fn credential(bytes: &[u8]) {
    let mut lines = bytes.split(|byte| *byte == b'\n');
    let Ok(target) = std::str::from_utf8(lines.next().unwrap_or_default()) else { return };
    let shown = Shown { target, authorization: lines.collect() };
    let Ok(found) = read(&shown) else { return };
    let key = found.key.expose();
    assert!(!key.is_empty() && key.bytes().all(|byte| byte.is_ascii_graphic()), "a blank or less");
    assert!(found.digest == Secret::new(key.to_owned()).digest(), "another key's digest");
    assert!(shown.authorization.len() <= 1, "one of several");
    for value in &shown.authorization {
        every_reader_finds(value, &found);
    }
    assert!(!query_shows_a_key(target), "a key in the query");
    every_form_is_one_key(key);
    another_is_refused(key);
}

fn read(shown: &Shown<'_>) -> Result<Credential, Denial> {
    let Ok(path) = Path::read(shown.target) else { return Err(Denial::KeyMissing) };
    let Some(template) = Template::parse("/mcp/{key}") else { panic!("the template") };
    let key = template.matches(&path).and_then(|matched| matched.key);
    let mut fields = Fields::new();
    for value in &shown.authorization {
        fields.push("authorization", value);
    }
    present(&fields, &path, key)
}

/// Postiz takes the first `Bearer ` away wherever it stands; others take the second word, or all.
fn every_reader_finds(value: &[u8], found: &Credential) {
    let Ok(value) = std::str::from_utf8(value) else { panic!("no text") };
    let key = found.key.expose();
    let words: Vec<&str> = value.split(' ').filter(|word| !word.is_empty()).collect();
    match *words {
        // Nothing, or the scheme alone: the key stands in the path.
        [] => assert!(found.form == CredentialForm::Path),
        [scheme] if scheme.eq_ignore_ascii_case("bearer") => {
            assert!(found.form == CredentialForm::Path);
        }
        [word] => assert!(word == key && value.trim_end_matches(' ') == key, "{value:?}"),
        [scheme, word] => assert!(scheme.eq_ignore_ascii_case("bearer") && word == key),
        _ => panic!("three words: {value:?}"),
    }
    let postiz = value.replacen("Bearer ", "", 1);
    if value.starts_with("Bearer ") {
        assert!(matches!(postiz.trim(), word if word == key || word.is_empty()), "{value:?}");
    }
}

/// Whether a query has a parameter of a name that keys go by, for whoever decodes it.
fn query_shows_a_key(target: &str) -> bool {
    let query = target.split_once('?').map_or("", |(_, query)| query).to_ascii_lowercase();
    query.split(['&', ';']).any(|parameter| {
        let name = parameter.split('=').next().unwrap_or_default();
        let names = ["access_token", "api_key", "apikey", "authorization", "key", "token"];
        name.contains('%') || names.contains(&name)
    })
}

fn every_form_is_one_key(key: &str) {
    let bearer = format!("Bearer {key}");
    let is_same = |shown: Shown<'_>| read(&shown).is_ok_and(|found| found.key.expose() == key);
    let head = |value| Shown { target: "/mcp", authorization: vec![value] };
    assert!(is_same(head(bearer.as_bytes())), "as Bearer: {key}");
    // As it stands, this one is the scheme and no key.
    let is_scheme = key.eq_ignore_ascii_case("bearer");
    assert!(is_same(head(key.as_bytes())) != is_scheme, "as it stands: {key}");
    let mut path = b"/mcp/".to_vec();
    write_key_segment(&mut path, key);
    let Ok(path) = String::from_utf8(path) else { panic!("{key} left ASCII") };
    // A key with a delimiter has no form in a path: that is a refusal, never another key.
    if Path::read(&path).is_ok() {
        let both = Shown { target: &path, authorization: vec![bearer.as_bytes()] };
        assert!(is_same(both), "in the path: {path}");
    }
}

fn another_is_refused(key: &str) {
    let refused = |target: &str, value: &str| {
        let shown = Shown { target, authorization: vec![value.as_bytes()] };
        matches!(read(&shown), Err(Denial::CredentialAmbiguous))
    };
    for other in [format!("{key}x"), format!("x{key}"), key.to_owned() + key] {
        let mut path = b"/mcp/".to_vec();
        write_key_segment(&mut path, &other);
        let path = String::from_utf8(path).unwrap_or_default();
        if Path::read(&path).is_ok() {
            assert!(refused(&path, &format!("Bearer {key}")), "{path} beside {key}");
        }
    }
}
