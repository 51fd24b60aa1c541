//! A look at the 9-byte frame heads (RFC 9113 4.1) as they come, before the library acts on them:
//! it has no bound on pings, settings and the like, each of which costs an answer or a search.

use std::time::Instant;

const PREFACE_BYTES: u32 = 24;
const HEAD_BYTES: usize = 9;

/// The most frames that one header block may be cut into. A block of 16 KiB needs one.
const MAX_CONTINUATIONS: u32 = 20;

/// The most bytes of one header block, compressed.
const MAX_BLOCK_BYTES: u32 = 32 * 1024;

/// What a connection may send that carries no request and no body, at once and each second.
/// Friendly clients stay far below: a browser sends a ping a minute.
const PINGS: Budget = Budget { at_once: 20, per_second: 10 };
const SETTINGS: Budget = Budget { at_once: 10, per_second: 5 };
/// Each costs the work of a request that nobody waits for (CVE-2023-44487).
const RESETS: Budget = Budget { at_once: 100, per_second: 100 };
/// Frames that say nothing: empty data, priorities, what is unknown.
const IDLE_TALK: Budget = Budget { at_once: 100, per_second: 100 };
/// Room for data is announced often, but not more often than data is sent.
const WINDOW_UPDATES: Budget = Budget { at_once: 400, per_second: 200 };

/// So many bytes that we sent are worth one more `WINDOW_UPDATE`.
const BYTES_PER_UPDATE: u64 = 1024;

#[derive(Clone, Copy)]
struct Budget {
    at_once: u32,
    per_second: u32,
}

/// What is left of a budget.
struct Left {
    budget: Budget,
    frames: f64,
    at: Option<Instant>,
}

/// What a client does too much of. The connection ends with `ENHANCE_YOUR_CALM`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Flood;

/// Follows the bytes that a client sends.
pub(super) struct FrameWatch {
    at: At,
    block: Option<Block>,
    pings: Left,
    settings: Left,
    resets: Left,
    idle_talk: Left,
    window_updates: Left,
}

enum At {
    /// So many bytes of the preface are still to come.
    Preface(u32),
    Head {
        head: [u8; HEAD_BYTES],
        have: usize,
    },
    /// So many bytes of a payload are still to come.
    Payload(u32),
}

/// A header block that has begun.
#[derive(Clone, Copy)]
struct Block {
    bytes: u32,
    continuations: u32,
}

#[derive(Clone, Copy)]
struct FrameHead {
    length: u32,
    kind: u8,
    flags: u8,
}

impl FrameWatch {
    pub(super) const fn new() -> Self {
        Self {
            at: At::Preface(PREFACE_BYTES),
            block: None,
            pings: Left::of(PINGS),
            settings: Left::of(SETTINGS),
            resets: Left::of(RESETS),
            idle_talk: Left::of(IDLE_TALK),
            window_updates: Left::of(WINDOW_UPDATES),
        }
    }

    /// Looks at bytes that came. An error where there is too much of anything.
    pub(super) fn came(
        &mut self,
        mut bytes: &[u8],
        now: impl Fn() -> Instant,
    ) -> Result<(), Flood> {
        while let Some((first, rest)) = bytes.split_first() {
            match &mut self.at {
                At::Preface(left) | At::Payload(left) => {
                    let wanted = usize::try_from(*left).unwrap_or(usize::MAX);
                    let taken = wanted.min(bytes.len());
                    *left = left.saturating_sub(u32::try_from(taken).unwrap_or(u32::MAX));
                    if *left == 0 {
                        self.at = At::Head { head: [0; HEAD_BYTES], have: 0 };
                    }
                    bytes = bytes.get(taken..).unwrap_or_default();
                }
                At::Head { head, have } => {
                    if let Some(place) = head.get_mut(*have) {
                        *place = *first;
                    }
                    *have += 1;
                    bytes = rest;
                    if *have == HEAD_BYTES {
                        let head = FrameHead::read(*head);
                        if head.length > 0 {
                            self.at = At::Payload(head.length);
                        } else {
                            self.at = At::Head { head: [0; HEAD_BYTES], have: 0 };
                        }
                        self.judge(head, &now)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// So many bytes were sent to the client.
    pub(super) fn sent(&mut self, bytes: usize) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let earned = u32::try_from(bytes / BYTES_PER_UPDATE).unwrap_or(u32::MAX);
        self.window_updates.earn(earned.saturating_add(1));
    }

    fn judge(&mut self, head: FrameHead, now: &impl Fn() -> Instant) -> Result<(), Flood> {
        const END_STREAM: u8 = 0x1;
        const END_HEADERS: u8 = 0x4;
        let ends_block = head.flags & END_HEADERS != 0;
        match head.kind {
            // DATA with bytes is bounded by the window that we give, and what is padding alone by the
            // library, which counts frames that carry nothing.
            0 if head.length > 0 || head.flags & END_STREAM != 0 => Ok(()),
            // HEADERS
            1 => {
                self.block =
                    (!ends_block).then_some(Block { bytes: head.length, continuations: 0 });
                fits(head.length)
            }
            3 => self.resets.spend(now()),
            4 => self.settings.spend(now()),
            6 => self.pings.spend(now()),
            8 => self.window_updates.spend(now()),
            // CONTINUATION (CVE-2024-27316). Outside a block the library ends the connection.
            9 => {
                let block = self.block.unwrap_or(Block { bytes: 0, continuations: 0 });
                let block = Block {
                    bytes: block.bytes.saturating_add(head.length),
                    continuations: block.continuations + 1,
                };
                self.block = (!ends_block).then_some(block);
                if block.continuations > MAX_CONTINUATIONS { Err(Flood) } else { fits(block.bytes) }
            }
            _ => self.idle_talk.spend(now()),
        }
    }
}

fn fits(block_bytes: u32) -> Result<(), Flood> {
    if block_bytes > MAX_BLOCK_BYTES { Err(Flood) } else { Ok(()) }
}

impl FrameHead {
    fn read([a, b, c, kind, flags, ..]: [u8; HEAD_BYTES]) -> Self {
        Self { length: u32::from_be_bytes([0, a, b, c]), kind, flags }
    }
}

impl Left {
    const fn of(budget: Budget) -> Self {
        Self { budget, frames: 0.0, at: None }
    }

    fn spend(&mut self, now: Instant) -> Result<(), Flood> {
        let at_once = f64::from(self.budget.at_once);
        self.frames = match self.at {
            None => at_once,
            Some(before) => {
                let back = (now - before).as_secs_f64() * f64::from(self.budget.per_second);
                // What was earned by sending may stand above.
                if self.frames < at_once { at_once.min(self.frames + back) } else { self.frames }
            }
        } - 1.0;
        self.at = Some(now);
        if self.frames < 0.0 { Err(Flood) } else { Ok(()) }
    }

    fn earn(&mut self, frames: u32) {
        // As much as a window of bytes that are all announced one by one, and no more.
        let most = f64::from(self.budget.at_once) * 100.0;
        if self.at.is_some() {
            self.frames = most.min(self.frames + f64::from(frames));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn frame(kind: u8, flags: u8, length: usize) -> Vec<u8> {
        let [_, a, b, c] = u32::try_from(length).unwrap().to_be_bytes();
        let mut frame = vec![a, b, c, kind, flags, 0, 0, 0, 1];
        frame.resize(HEAD_BYTES + length, b'x');
        frame
    }

    /// How many of these frames pass, of `most`, all in one moment and cut into parts of any size.
    fn passes(frame: &[u8], most: usize, cut: usize) -> usize {
        let now = Instant::now();
        let mut watch = FrameWatch::new();
        watch.came(&[0; 24], || now).unwrap();
        for count in 0..most {
            for part in frame.chunks(cut) {
                if watch.came(part, || now).is_err() {
                    return count;
                }
            }
        }
        most
    }

    #[test]
    fn each_kind_of_empty_talk_has_its_budget_however_it_is_cut() {
        for (kind, length, passing) in [
            (6, 8, 20),
            (4, 0, 10),
            (3, 4, 100),
            (0, 0, 100),
            (2, 5, 100),
            (8, 4, 400),
            (0xbb, 1, 100),
        ] {
            for cut in [1, 2, 9, 10, 1000] {
                assert_eq!(passes(&frame(kind, 0, length), 1000, cut), passing, "{kind} by {cut}");
            }
        }
    }

    #[test]
    fn data_and_requests_have_none() {
        for (kind, flags, length) in [(0, 0, 1), (0, 1, 0), (1, 4, 20)] {
            assert_eq!(passes(&frame(kind, flags, length), 5000, 64), 5000, "{kind}");
        }
    }

    #[test]
    fn a_header_block_is_bounded_in_parts_and_in_bytes() {
        let block = |parts: usize, length: usize| {
            let mut frames = frame(1, 0, length);
            for part in 1..=parts {
                frames.extend(frame(9, if part == parts { 4 } else { 0 }, length));
            }
            frames
        };
        assert_eq!(passes(&block(20, 100), 3, 4096), 3);
        assert_eq!(passes(&block(21, 100), 3, 4096), 0);
        assert_eq!(passes(&block(1, 16 * 1024), 3, 4096), 3);
        assert_eq!(passes(&block(2, 16 * 1024), 3, 4096), 0);
        assert_eq!(passes(&block(20, 0), 3, 4096), 3, "a new block begins anew");
    }

    #[test]
    fn time_gives_a_budget_back_and_sending_gives_window_updates() {
        let begin = Instant::now();
        let mut watch = FrameWatch::new();
        watch.came(&[0; 24], || begin).unwrap();
        let ping = frame(6, 0, 8);
        for second in 0..100 {
            for _ in 0..10 {
                watch.came(&ping, || begin + Duration::from_secs(second)).unwrap();
            }
        }
        let update = frame(8, 0, 4);
        for _ in 0..10_000 {
            watch.sent(1024);
            watch.came(&update, || begin).unwrap();
        }
    }
}
