//! One strict reading of JSON (RFC 8259), with the place of everything that was read.
//!
//! Two readers that differ are a way past a policy: of two members of one name one takes the first
//! and the other the last; one takes a number of a million digits and the other stops. So what they
//! could differ on is refused. A library reads what it can; here the rest has to be refused, and the
//! bytes of a part kept so that another part can be taken out without touching them.

mod text;

use std::{borrow::Cow, ops::Range};

use text::Raw;

/// What is too much, and what has to be unlike.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Objects and arrays within each other.
    depth: usize,
    /// Members of one object.
    members: usize,
    /// Whether what is passed over is held to the same as what is looked at.
    all: bool,
}

impl Bounds {
    /// What a client may send.
    pub(crate) const REQUEST: Self = Self { depth: 64, members: 1024, all: true };

    /// What a server may answer: results hold tables of any size, and nobody is judged by them.
    pub(crate) const ANSWER: Self = Self { depth: 128, members: usize::MAX, all: false };

    /// The longest number, in bytes: no reader keeps more digits, and some take time for them.
    const NUMBER: usize = 100;
}

/// Why a text was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It is no JSON.
    NotJson,
    /// It is JSON that two readers could read differently, or more than is ever needed.
    Doubtful,
}

/// What a value is, by its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sort {
    Object,
    Array,
    Text,
    Number,
    /// `true`, `false` or `null`.
    Word,
}

/// Reads a text from its beginning to its end, once.
pub(crate) struct Json<'a> {
    source: &'a str,
    at: usize,
    depth: usize,
    bounds: Bounds,
    /// The names of the objects that are open, the innermost last.
    names: Vec<Cow<'a, str>>,
}

impl<'a> Json<'a> {
    pub(crate) fn new(source: &'a str, bounds: Bounds) -> Self {
        // As many as most calls have at once.
        Self { source, at: 0, depth: 0, bounds, names: Vec::with_capacity(16) }
    }

    /// What comes next.
    pub(crate) fn sort(&mut self) -> Result<Sort, Fault> {
        self.blank();
        match self.byte() {
            Some(b'{') => Ok(Sort::Object),
            Some(b'[') => Ok(Sort::Array),
            Some(b'"') => Ok(Sort::Text),
            Some(b'-' | b'0'..=b'9') => Ok(Sort::Number),
            Some(b't' | b'f' | b'n') => Ok(Sort::Word),
            _ => Err(Fault::NotJson),
        }
    }

    /// Reads an object; `member` reads each value.
    pub(crate) fn object(
        &mut self,
        mut member: impl FnMut(&mut Self, &str) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let first = self.names.len();
        self.within(b'{', b'}', |json| {
            json.blank();
            let name = json.text()?;
            json.blank();
            json.expect(b':')?;
            if json.names.len() - first == json.bounds.members {
                return Err(Fault::Doubtful);
            }
            json.names.push(name.clone());
            member(json, &name)
        })?;
        let names = self.names.get_mut(first..).unwrap_or_default();
        names.sort_unstable();
        let twice = names.windows(2).any(|pair| matches!(pair, [one, other] if one == other));
        self.names.truncate(first);
        if twice { Err(Fault::Doubtful) } else { Ok(()) }
    }

    /// Reads an array; `element` reads each value.
    pub(crate) fn array(
        &mut self,
        element: impl FnMut(&mut Self) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        self.within(b'[', b']', element)
    }

    /// Reads a text, its escapes resolved.
    pub(crate) fn text(&mut self) -> Result<Cow<'a, str>, Fault> {
        self.blank();
        text::resolved(self.raw_text()?)
    }

    /// Reads over a value and returns its place.
    pub(crate) fn skip(&mut self) -> Result<Range<usize>, Fault> {
        let sort = self.sort()?;
        let start = self.at;
        match sort {
            Sort::Object if self.bounds.all => self.object(|json, _| json.skip().map(drop))?,
            Sort::Object => self.within(b'{', b'}', |json| {
                json.blank();
                json.raw_text()?;
                json.blank();
                json.expect(b':')?;
                json.skip().map(drop)
            })?,
            Sort::Array => self.array(|json| json.skip().map(drop))?,
            Sort::Text => self.raw_text().map(drop)?,
            Sort::Number => self.number()?,
            Sort::Word => self.word()?,
        }
        Ok(start..self.at)
    }

    /// Reads a text; over any other value, for `None`.
    pub(crate) fn text_or_skip(&mut self) -> Result<Option<Cow<'a, str>>, Fault> {
        match self.sort()? {
            Sort::Text => self.text().map(Some),
            _ => self.skip().map(|_| None),
        }
    }

    /// Reads an object; over any other value, without a member.
    pub(crate) fn object_or_skip(
        &mut self,
        member: impl FnMut(&mut Self, &str) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        match self.sort()? {
            Sort::Object => self.object(member),
            _ => self.skip().map(drop),
        }
    }

    /// The bytes at a place.
    pub(crate) fn at(&self, place: Range<usize>) -> &'a str {
        self.source.get(place).unwrap_or_default()
    }

    /// Where the reading stands, behind what was read last.
    pub(crate) const fn position(&self) -> usize {
        self.at
    }

    /// Nothing may follow.
    pub(crate) fn end(mut self) -> Result<(), Fault> {
        self.blank();
        if self.at == self.source.len() { Ok(()) } else { Err(Fault::NotJson) }
    }

    fn within(
        &mut self,
        open: u8,
        close: u8,
        mut item: impl FnMut(&mut Self) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        self.blank();
        self.expect(open)?;
        self.depth += 1;
        if self.depth > self.bounds.depth {
            return Err(Fault::Doubtful);
        }
        self.blank();
        if self.byte() != Some(close) {
            loop {
                item(self)?;
                self.blank();
                match self.byte() {
                    Some(b',') => self.at += 1,
                    _ => break,
                }
            }
        }
        self.expect(close)?;
        self.depth -= 1;
        Ok(())
    }

    fn raw_text(&mut self) -> Result<Raw<'a>, Fault> {
        self.expect(b'"')?;
        let raw = text::raw(self.rest()).ok_or(Fault::NotJson)?;
        self.at += raw.text.len() + 1;
        Ok(raw)
    }

    /// `-0.1e+2` (RFC 8259 6).
    fn number(&mut self) -> Result<(), Fault> {
        let start = self.at;
        self.take(|byte| byte == b'-');
        if self.take(|byte| byte == b'0') == 0 {
            self.digits()?;
        }
        if self.take(|byte| byte == b'.') > 0 {
            self.digits()?;
        }
        if self.take(|byte| matches!(byte, b'e' | b'E')) > 0 {
            self.take(|byte| matches!(byte, b'+' | b'-'));
            self.digits()?;
        }
        if self.at - start > Bounds::NUMBER { Err(Fault::Doubtful) } else { Ok(()) }
    }

    fn digits(&mut self) -> Result<(), Fault> {
        let mut any = false;
        while self.take(|byte| byte.is_ascii_digit()) > 0 {
            any = true;
        }
        if any { Ok(()) } else { Err(Fault::NotJson) }
    }

    fn word(&mut self) -> Result<(), Fault> {
        let rest = self.rest();
        let word = ["true", "false", "null"].into_iter().find(|w| rest.starts_with(w));
        self.at += word.ok_or(Fault::NotJson)?.len();
        Ok(())
    }

    /// Takes one byte where it is such a one; returns how many were taken.
    fn take(&mut self, such: impl Fn(u8) -> bool) -> usize {
        let taken = usize::from(self.byte().is_some_and(such));
        self.at += taken;
        taken
    }

    fn expect(&mut self, byte: u8) -> Result<(), Fault> {
        if self.take(|next| next == byte) == 1 { Ok(()) } else { Err(Fault::NotJson) }
    }

    fn blank(&mut self) {
        while self.take(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')) == 1 {}
    }

    fn byte(&self) -> Option<u8> {
        self.source.as_bytes().get(self.at).copied()
    }

    fn rest(&self) -> &'a str {
        self.source.get(self.at..).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
