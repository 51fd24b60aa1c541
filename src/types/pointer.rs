//! Places in JSON, by name.

use std::{borrow::Cow, collections::BTreeMap};

/// JSON pointers (RFC 6901) as one tree, so that a text is walked once for all of them. A `*` stands
/// for every element of an array.
#[derive(Debug, Default)]
pub struct Pointers {
    root: Pointed,
    count: usize,
}

/// A place that pointers lead to or through.
#[derive(Debug, Default)]
pub struct Pointed {
    /// By name, without regard to case.
    members: BTreeMap<Box<str>, (Box<str>, Pointed)>,
    each: Option<Box<Pointed>>,
    ends: Vec<usize>,
}

/// What stands at a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found<'a> {
    /// Nothing.
    Missing,
    /// Something else than what the pointer leads through: a text where an object has to be.
    Elsewhere,
    /// A text.
    Text(Cow<'a, str>),
    /// A number, as it is written.
    Number(&'a str),
    /// `true`, `false` or `null`.
    Word(&'a str),
    /// An array of so many elements.
    Array(usize),
    /// An object.
    Object,
}

/// Why a text is no pointer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadPointer {
    /// It doesn't begin with `/`.
    NoSlash,
    /// A `~` without `0` or `1` behind it.
    Escape,
    /// Another pointer has the name in another case, and only one of them can be meant.
    Case,
}

impl Pointers {
    /// Adds a pointer, and returns its number.
    ///
    /// # Errors
    /// Where the text is none.
    pub fn add(&mut self, text: &str) -> Result<usize, BadPointer> {
        let mut at = &mut self.root;
        let segments = text.strip_prefix('/').ok_or(BadPointer::NoSlash)?;
        for segment in segments.split('/') {
            at = match segment {
                "*" => at.each.get_or_insert_default(),
                name => at.add_member(&unescaped(name)?)?,
            };
        }
        let number = self.count;
        at.ends.push(number);
        self.count += 1;
        Ok(number)
    }

    /// Where all of them begin.
    pub const fn root(&self) -> &Pointed {
        &self.root
    }
}

impl Pointed {
    /// The pointers that end here.
    pub fn ends(&self) -> &[usize] {
        &self.ends
    }

    /// Whether pointers lead on from here.
    pub fn leads_on(&self) -> bool {
        self.each.is_some() || !self.members.is_empty()
    }

    /// What follows in an object.
    pub fn members(&self) -> impl Iterator<Item = &Self> {
        self.members.values().map(|(_, next)| next)
    }

    /// What follows under a name, which is given as a reader has it that doesn't tell upper case from
    /// lower: with the name that is meant.
    pub fn member(&self, folded: &str) -> Option<(&str, &Self)> {
        self.members.get(folded).map(|(name, next)| (&**name, next))
    }

    /// What follows under names that are no element's of an array of `count`, and whether they could
    /// be a longer one's.
    pub fn beyond(&self, count: usize) -> impl Iterator<Item = (bool, &Self)> {
        self.members.values().filter_map(move |(name, next)| match number(name) {
            Some(number) if number < count => None,
            number => Some((number.is_some(), next)),
        })
    }

    /// What follows for every element of an array.
    pub fn each(&self) -> Option<&Self> {
        self.each.as_deref()
    }

    /// What follows for the element of that number.
    pub fn element(&self, at: usize) -> Option<&Self> {
        self.members.get(itoa::Buffer::new().format(at)).map(|(_, next)| next)
    }

    /// Every pointer that ends here or behind.
    pub fn all_ends(&self, end: &mut impl FnMut(usize)) {
        self.ends.iter().copied().for_each(&mut *end);
        // As deep as what the configuration writes.
        self.members().chain(self.each()).for_each(|next| next.all_ends(end));
    }

    fn add_member(&mut self, name: &str) -> Result<&mut Self, BadPointer> {
        let entry = self.members.entry(fold(name).into());
        let (known, next) = entry.or_insert_with(|| (name.into(), Self::default()));
        if **known == *name { Ok(next) } else { Err(BadPointer::Case) }
    }
}

/// The number of an element (RFC 6901 4).
fn number(name: &str) -> Option<usize> {
    let plain = name == "0" || !name.starts_with('0');
    name.parse().ok().filter(|_| plain && name.bytes().all(|byte| byte.is_ascii_digit()))
}

/// A name as a reader has it that doesn't tell upper case from lower. Go's is one, and takes two
/// letters beyond ASCII for an `s` and a `k`.
pub fn fold(name: &str) -> Cow<'_, str> {
    let changes = |c: char| c.is_ascii_uppercase() || matches!(c, '\u{17f}' | '\u{212a}');
    if !name.contains(changes) {
        return Cow::Borrowed(name);
    }
    let folded = |c: char| match c {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        other => other.to_ascii_lowercase(),
    };
    Cow::Owned(name.chars().map(folded).collect())
}

fn unescaped(segment: &str) -> Result<Cow<'_, str>, BadPointer> {
    if !segment.contains('~') {
        return Ok(Cow::Borrowed(segment));
    }
    let mut parts = segment.split('~');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (sign, rest) = match part.as_bytes().first() {
            Some(b'0') => ('~', part.get(1..)),
            Some(b'1') => ('/', part.get(1..)),
            _ => return Err(BadPointer::Escape),
        };
        out.push(sign);
        out.push_str(rest.unwrap_or_default());
    }
    Ok(Cow::Owned(out))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_begins_with_a_slash_and_escapes_two_signs() {
        let mut pointers = Pointers::default();
        assert_eq!(pointers.add("/a~1b/~0/*/0"), Ok(0));
        assert_eq!(pointers.add("/a~1b"), Ok(1));
        assert_eq!(pointers.add("a"), Err(BadPointer::NoSlash));
        assert_eq!(pointers.add(""), Err(BadPointer::NoSlash));
        assert_eq!(pointers.add("/~2"), Err(BadPointer::Escape));
        assert_eq!(pointers.add("/a~"), Err(BadPointer::Escape));
        assert_eq!(pointers.add("/A~1B"), Err(BadPointer::Case));
        let (name, at) = pointers.root().member("a/b").unwrap();
        assert_eq!((name, at.ends()), ("a/b", &[1][..]));
        let (_, at) = at.member("~").unwrap();
        assert_eq!(at.each().unwrap().element(0).unwrap().ends(), [0]);
        assert!(at.each().unwrap().element(1).is_none());
        let mut all = Vec::new();
        pointers.root().all_ends(&mut |end| all.push(end));
        assert_eq!(all, [1, 0]);
    }

    #[test]
    fn a_name_is_folded_as_a_careless_reader_does() {
        assert_eq!(fold("PARAM\u{17f}"), "params");
        assert_eq!(fold("to\u{212a}en"), "token");
        assert_eq!(fold("Näme"), "näme");
        assert!(matches!(fold("name"), Cow::Borrowed("name")));
    }
}
