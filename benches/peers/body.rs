//! What a transfer carries: bytes that nobody keeps, and the checksum by which the receiving end
//! knows them.

use std::{fmt, io, iter, sync::LazyLock};

use crc32fast::Hasher;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// The length of the body of a transfer.
pub(crate) const BYTES: usize = 1_000_000_000;
/// A body is this piece over and over. Its length is prime: bytes that were lost, sent twice or put
/// elsewhere don't look alike in any buffer's size.
static PIECE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let next = |state: &u32| Some(state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223));
    iter::successors(Some(1), next).map(|state| state.to_be_bytes()[0]).take(65_521).collect()
});

/// What a receiving end found.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Digest {
    bytes: usize,
    checksum: u32,
}

impl Digest {
    /// Of a body that came whole.
    pub(crate) fn expected() -> &'static Self {
        static EXPECTED: LazyLock<Digest> = LazyLock::new(|| {
            let mut hasher = Hasher::new();
            pieces().for_each(|piece| hasher.update(piece));
            Digest { bytes: BYTES, checksum: hasher.finalize() }
        });
        &EXPECTED
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes, CRC-32 {:08x}", self.bytes, self.checksum)
    }
}

fn pieces() -> impl Iterator<Item = &'static [u8]> {
    let whole = PIECE.as_slice();
    let rest = whole.get(..BYTES % whole.len()).unwrap_or(whole);
    iter::repeat_n(whole, BYTES / whole.len()).chain([rest])
}

pub(crate) async fn send(to: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
    for piece in pieces() {
        to.write_all(piece).await?;
    }
    to.flush().await
}

/// Reads until `bytes` are there or nothing more comes; `begun` was read along with the head.
pub(crate) async fn receive(
    from: &mut (impl AsyncRead + Unpin),
    begun: &[u8],
    bytes: usize,
) -> io::Result<Digest> {
    let mut hasher = Hasher::new();
    hasher.update(begun);
    let mut came = begun.len();
    let mut buffer = vec![0; 1 << 16];
    while came < bytes {
        let read = from.read(&mut buffer).await?;
        if read == 0 {
            break;
        }
        hasher.update(buffer.get(..read).unwrap_or_default());
        came += read;
    }
    Ok(Digest { bytes: came, checksum: hasher.finalize() })
}
