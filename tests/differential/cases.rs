//! Connections for readers to disagree on: one request or several, written by a grammar that knows
//! where readers have disagreed before, and then damaged. A case is its seed: the same number makes
//! the same bytes, in every program that includes this file.

/// What is sent on one connection.
pub(crate) struct Case {
    pub(crate) seed: u64,
    /// In the order in which they are written; never empty.
    pub(crate) parts: Vec<Vec<u8>>,
}

impl Case {
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.parts.concat()
    }

    /// Whether the text stands in it, in whichever case.
    pub(crate) fn holds(&self, text: &str) -> bool {
        memchr::memmem::find(&self.bytes().to_ascii_lowercase(), text.as_bytes()).is_some()
    }

    /// As it can be copied into a row of `tests/suite/strict/rows.rs`.
    pub(crate) fn shown(&self) -> String {
        let cuts: Vec<usize> = self.parts.iter().map(Vec::len).collect();
        format!("seed {}, parts of {cuts:?}: b\"{}\"", self.seed, self.bytes().escape_ascii())
    }
}

/// The case of a seed.
pub(crate) fn case(seed: u64) -> Case {
    let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5bf0_3635);
    let mut bytes = request(&mut dice);
    while dice.one_in(3) {
        bytes.extend(request(&mut dice));
    }
    for _ in 0..dice.below(3) {
        damage(&mut dice, &mut bytes);
    }
    if dice.one_in(12) {
        bytes.truncate(dice.below(bytes.len()).max(1));
    }
    Case { seed, parts: split(&mut dice, bytes) }
}

/// `SplitMix64`: small, and the same everywhere.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Below the bound; 0 where that is 0.
    fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound).unwrap_or(1).max(1);
        usize::try_from(self.next() % bound).unwrap_or(0)
    }

    fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    fn pick<'a>(&mut self, from: &[&'a [u8]]) -> &'a [u8] {
        let at = self.below(from.len());
        from.get(at).copied().unwrap_or_default()
    }
}

const METHODS: &[&[u8]] =
    &[b"GET", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS", b"HEAD", b"POST", b"GET"];

const TARGETS: &[&[u8]] = &[
    b"/site/a",
    b"/site/a?b=c",
    b"/site/a%20b",
    b"/site/a/b.c",
    b"/site/",
    b"http://a.b/site/x?y",
];

const ODD_TARGETS: &[&[u8]] = &[
    b"*",
    b"/",
    b"//site/a",
    b"/site/../a",
    b"/site/%2e%2e/a",
    b"/site/a%2fb",
    b"/site/%00",
    b"/site/a;b",
    b"/site\\a",
    b"/site/a#b",
    b"/site/\x80",
    b"/site/a\tb",
    b"/site/a b",
    b"/site/%zz",
    b"a.b:80",
    b"http://a.b",
    b"http://c.d/site/a",
    b"http://u@a.b/site/a",
    b"HTTP://A.B/site/a",
    b"https://a.b/site/a",
    b"ftp://a.b/site/a",
    b"http:///site/a",
    b"site/a",
    b"?a",
    b"/site/?a=\"<>`{|}^",
    b"/site/a'()",
];

const VERSIONS: &[&[u8]] = &[
    b"HTTP/1.0",
    b"HTTP/1.0",
    b"HTTP/1.2",
    b"HTTP/2.0",
    b"HTTP/0.9",
    b"HTTP/01.1",
    b"HTTP/1.10",
    b"HTTP/11",
    b"http/1.1",
    b"HTTP/1.1 ",
    b"HTTP/1,1",
    b"ICE/1.0",
    b"",
];

const HOSTS: &[&[u8]] = &[
    b"",
    b"Host:\r\n",
    b"Host: a.b\r\nHost: a.b\r\n",
    b"Host: a.b\r\nHost: c.d\r\n",
    b"Host: A.B\r\n",
    b"Host: a.b.\r\n",
    b"Host: a.b:80\r\n",
    b"Host: a.b:\r\n",
    b"Host: a.b:x\r\n",
    b"Host: a.b:99999\r\n",
    b"Host: [::1]\r\n",
    b"Host: [::1]:80\r\n",
    b"Host: [::1\r\n",
    b"Host: a.b,c.d\r\n",
    b"Host: u@a.b\r\n",
    b"Host: a.b/c\r\n",
    b"Host: a b\r\n",
    b"Host: a%2eb\r\n",
    b"Host: a_b\r\n",
    b"host:a.b\r\n",
    b"Host:\ta.b \r\n",
    b"Host : a.b\r\n",
    b"Host: a.b\x00\r\n",
];

const FIELDS: &[&[u8]] = &[
    b"Accept: application/json, text/event-stream",
    b"Content-Type: application/json",
    b"Content-Type: text/plain",
    b"Connection: keep-alive",
    b"Connection: close",
    b"Connection: x-a, keep-alive",
    b"X-A: 1",
    b"x-a:\t2 ",
    b"X-Empty:",
    b"TE: trailers",
    b"Authorization: Bearer k",
    b"Cookie: a=b; c=d",
    b"User-Agent: differential",
];

const ODD_FIELDS: &[&[u8]] = &[
    b"Connection: Upgrade\r\nUpgrade: foo",
    b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__",
    b"Upgrade: websocket",
    b"Connection: close, keep-alive",
    b"Connection: Host",
    b"Connection: content-length",
    b"Connection: transfer-encoding",
    b"Expect: 100-continue",
    b"Expect: x",
    b"X_A: 1",
    b"X A: 1",
    b"X-A : 1",
    b"X-A\t: 1",
    b" X-A: 1",
    b": 1",
    b"X-A",
    b"X-A: 1\r\n 2",
    b"X-A: 1\r\n\t2",
    b"X(: 1",
    b"X\x80: 1",
    b"X\x00: 1",
    b"X-A: \x80\xff",
    b"X-A: a\x00b",
    b"X-A: a\x7fb",
    b"X-A: a\x0bb",
    b"X-A: a\rb",
    b"Content_Length: 3",
    b"Transfer_Encoding: chunked",
    b"Proxy-Connection: close",
    b"Keep-Alive: timeout=5",
    b"Trailer: X-T",
    b"Content-Encoding: gzip",
    b"GET /site/inner HTTP/1.1",
];

/// Where a body ends, told in a way that may be taken for more than one length.
const FRAMINGS: &[&[u8]] = &[
    b"Content-Length: 3\r\nContent-Length: 3",
    b"Content-Length: 3\r\nContent-Length: 4",
    b"Content-Length: 3, 3",
    b"Content-Length: +3",
    b"Content-Length: -3",
    b"Content-Length: 03",
    b"Content-Length: 0x3",
    b"Content-Length: 3 ",
    b"Content-Length:3",
    b"Content-Length: 3;",
    b"Content-Length:",
    b"Content-Length: 0",
    b"Content-Length: 3 3",
    b"Content-Length: 3e0",
    b"Content-Length: 18446744073709551619",
    b"Content-Length : 3",
    b"Content-Length: 3\r\nTransfer-Encoding: chunked",
    b"Transfer-Encoding: chunked\r\nContent-Length: 3",
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
    b"Transfer-Encoding: chunked, chunked",
    b"Transfer-Encoding: gzip, chunked",
    b"Transfer-Encoding: chunked, gzip",
    b"Transfer-Encoding: identity",
    b"Transfer-Encoding: Chunked",
    b"Transfer-Encoding:chunked ",
    b"Transfer-Encoding:\tchunked",
    b"Transfer-Encoding: \x0bchunked",
    b"Transfer-Encoding: chunked;a=b",
    b"Transfer-Encoding: ,chunked",
    b"Transfer-Encoding: chunked,",
    b"Transfer-Encoding: \"chunked\"",
    b"Transfer-Encoding: xchunked",
    b"Transfer-Encoding:",
    b"Transfer-Encoding:\r\n chunked",
    b"Transfer-Encoding : chunked",
];

const SIZES: &[&[u8]] =
    &[b"0x3", b" 3", b"3 ", b"+3", b"-3", b"", b"003", b"3\t", b"3g", b"10000000000000003", b"3,3"];

const EXTENSIONS: &[&[u8]] = &[
    b";",
    b";a",
    b";a=b",
    b";a=\"b c\"",
    b" ;a",
    b";a\x80",
    b";a\x00",
    b";a\nb",
    b";a\rb",
    b";a=\"b\r\n\"",
    b";a = b",
];

const TRAILERS: &[&[u8]] = &[
    b"X-T: 1\r\n",
    b"Content-Length: 7\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Host: c.d\r\n",
    b"X-T : 1\r\n",
    b" X-T: 1\r\n",
    b": 1\r\n",
    b"X-T\r\n",
    b"X-T: 1\n",
    b"X_T: \x80\r\n",
    b"GET /site/inner HTTP/1.1\r\n",
];

/// A message, one that is none, and bytes that a reader out of step takes for a request.
const BODIES: &[&[u8]] = &[
    br#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#,
    b"abc",
    b"GET /site/inner HTTP/1.1\r\nHost: a.b\r\n\r\n",
    b"0\r\n\r\n",
    b"\r\n",
];

fn request(dice: &mut Dice) -> Vec<u8> {
    // One thing is odd, more rarely several: with all of them odd, nothing would be taken.
    let odd = |dice: &mut Dice| dice.one_in(14);
    let target = if odd(dice) { ODD_TARGETS } else { TARGETS };
    let mut raw = [dice.pick(METHODS), b" ", dice.pick(target)].concat();
    let version = if odd(dice) { dice.pick(VERSIONS) } else { b"HTTP/1.1" };
    raw.extend_from_slice(&[b" ", version, b"\r\n"].concat());
    raw.extend_from_slice(if odd(dice) { dice.pick(HOSTS) } else { b"Host: a.b\r\n" });
    for _ in 0..dice.below(4) {
        let line = if odd(dice) { dice.pick(ODD_FIELDS) } else { dice.pick(FIELDS) };
        raw.extend_from_slice(&[line, b"\r\n"].concat());
    }
    let body = dice.pick(BODIES);
    match dice.below(8) {
        0..=1 => raw.extend_from_slice(b"\r\n"),
        2..=4 => {
            raw.extend_from_slice(format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes());
            raw.extend_from_slice(body);
        }
        5..=6 => {
            raw.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
            chunks(dice, &mut raw);
        }
        _ => {
            let framing = dice.pick(FRAMINGS);
            raw.extend_from_slice(&[framing, b"\r\n\r\n"].concat());
            if dice.one_in(2) {
                chunks(dice, &mut raw);
            } else {
                raw.extend_from_slice(b"abc");
            }
        }
    }
    raw
}

fn chunks(dice: &mut Dice, raw: &mut Vec<u8>) {
    for _ in 0..dice.below(3) {
        let data = dice.pick(BODIES);
        let size = format!("{:x}", data.len());
        raw.extend_from_slice(if dice.one_in(14) { dice.pick(SIZES) } else { size.as_bytes() });
        if dice.one_in(8) {
            raw.extend_from_slice(dice.pick(EXTENSIONS));
        }
        raw.extend_from_slice(&[b"\r\n", data].concat());
        let wrong: &[&[u8]] = &[b"", b"\n", b"\r", b"x\r\n", b"\r\n\r\n"];
        raw.extend_from_slice(if dice.one_in(20) { dice.pick(wrong) } else { b"\r\n" });
    }
    let last: &[&[u8]] =
        &[b"00\r\n", b"0;a\r\n", b"0\n", b"0 \r\n", b"\r\n", b"0000000000000000\r\n"];
    raw.extend_from_slice(if dice.one_in(14) { dice.pick(last) } else { b"0\r\n" });
    if dice.one_in(6) {
        raw.extend_from_slice(dice.pick(TRAILERS));
    }
    raw.extend_from_slice(b"\r\n");
}

/// Changes the bytes in one place: a line end, or any byte.
fn damage(dice: &mut Dice, raw: &mut Vec<u8>) {
    if dice.one_in(2) {
        return;
    }
    let at = dice.below(raw.len());
    if dice.one_in(2) {
        let ends: Vec<usize> = memchr::memmem::find_iter(raw, b"\r\n").collect();
        let Some(end) = ends.get(dice.below(ends.len())).copied() else { return };
        let wrong: &[&[u8]] =
            &[b"\n", b"\r", b"\r\r\n", b"\n\r", b"", b"\r\n ", b"\r\n\r\n", b" \r\n"];
        raw.splice(end..end + 2, dice.pick(wrong).iter().copied());
        return;
    }
    let odd = b"\r\n \t:;,\0\x7f\x80\xff_-aA019+x/#?\x0b\x0c\"*.%\\@=";
    let byte = odd.get(dice.below(odd.len())).copied().unwrap_or(b'x');
    match dice.below(3) {
        0 => raw.insert(at, byte),
        1 => drop(raw.splice(at..at + 1, [byte])),
        _ => drop(raw.remove(at)),
    }
}

/// Cuts the bytes into the parts in which they are written.
fn split(dice: &mut Dice, bytes: Vec<u8>) -> Vec<Vec<u8>> {
    if dice.one_in(2) {
        return vec![bytes];
    }
    let (mut parts, mut rest) = (Vec::new(), bytes);
    for _ in 0..dice.below(4) {
        let tail = rest.split_off(dice.below(rest.len()));
        if !rest.is_empty() {
            parts.push(std::mem::replace(&mut rest, tail));
        } else {
            rest = tail;
        }
    }
    parts.push(rest);
    parts
}
