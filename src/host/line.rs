use std::{
    io::{self, IoSlice, IoSliceMut, Read, Write},
    mem::MaybeUninit,
    os::{
        fd::{BorrowedFd, OwnedFd},
        unix::net::UnixStream,
    },
    time::{Duration, Instant},
};

use rustix::{
    io::retry_on_intr,
    net::{
        RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
        SendAncillaryMessage, SendFlags, recvmsg, sendmsg, sockopt,
    },
};
use zeroize::Zeroizing;

/// Descriptors that may come with one message. The kernel's own bound is 253.
const MOST_DESCRIPTORS: usize = 128;

/// The largest message, in bytes: the buckets of a million consumers.
const MOST_BYTES: usize = 64 << 20;

/// How long the other side may take to take a message.
const PATIENCE: Duration = Duration::from_secs(10);

/// One end of a conversation between two processes of one user, in which descriptors change hands.
///
/// Pingora's own `Fds` does the same and isn't used: it panics on what it doesn't expect, makes its
/// socket for everybody, looks for the other side once a second, and its bare numbers can't be owned
/// without `unsafe`.
pub struct Line(UnixStream);

/// What was heard.
pub struct Heard {
    /// Which message it is.
    pub kind: u8,
    /// What it says. Secrets may be among it.
    pub body: Zeroizing<Vec<u8>>,
    /// What came with it.
    pub descriptors: Vec<OwnedFd>,
}

impl Line {
    /// A conversation over a connected socket. It blocks.
    ///
    /// # Errors
    /// What the system says.
    pub fn new(stream: UnixStream) -> io::Result<Self> {
        stream.set_nonblocking(false)?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self(stream))
    }

    /// Says something, and hands descriptors over with it.
    ///
    /// # Errors
    /// Where the other side is gone, or takes it too slowly.
    pub fn say(&self, kind: u8, body: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        let too_much = || io::Error::new(io::ErrorKind::InvalidInput, "too much for one message");
        let length = u32::try_from(body.len()).map_err(|_| too_much())?;
        if body.len() > MOST_BYTES || descriptors.len() > MOST_DESCRIPTORS {
            return Err(too_much());
        }
        let [a, b, c, d] = length.to_le_bytes();
        let head = [kind, a, b, c, d];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_DESCRIPTORS))];
        let mut with = SendAncillaryBuffer::new(&mut space);
        if !descriptors.is_empty() && !with.push(SendAncillaryMessage::ScmRights(descriptors)) {
            return Err(too_much());
        }
        let sent = retry_on_intr(|| {
            sendmsg(&self.0, &[IoSlice::new(&head)], &mut with, SendFlags::NOSIGNAL)
        })?;
        (&self.0).write_all(head.get(sent..).unwrap_or_default())?;
        (&self.0).write_all(body)
    }

    /// Waits for what the other side says.
    ///
    /// # Errors
    /// `UnexpectedEof` where it is gone, `TimedOut` where it says nothing, `InvalidData` where it says
    /// what can't be a message.
    pub fn hear(&self, within: Duration) -> io::Result<Heard> {
        let until = Instant::now() + within;
        let mut head = [0; 5];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_DESCRIPTORS))];
        let mut with = RecvAncillaryBuffer::new(&mut space);
        self.wait_until(until)?;
        let heard = retry_on_intr(|| {
            let head = &mut [IoSliceMut::new(&mut head)];
            recvmsg(&self.0, head, &mut with, RecvFlags::CMSG_CLOEXEC)
        });
        let heard = heard.map_err(|error| timed_out(error.into()))?;
        let mut descriptors = Vec::new();
        for message in with.drain() {
            if let RecvAncillaryMessage::ScmRights(all) = message {
                descriptors.extend(all);
            }
        }
        if heard.flags.contains(ReturnFlags::CTRUNC) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "too many descriptors"));
        }
        if heard.bytes == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.fill(head.get_mut(heard.bytes..).unwrap_or_default(), until)?;
        let [kind, a, b, c, d] = head;
        let length = usize::try_from(u32::from_le_bytes([a, b, c, d])).unwrap_or(usize::MAX);
        if length > MOST_BYTES {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a message is too long"));
        }
        let mut body = Zeroizing::new(vec![0; length]);
        self.fill(&mut body, until)?;
        Ok(Heard { kind, body, descriptors })
    }

    fn fill(&self, mut room: &mut [u8], until: Instant) -> io::Result<()> {
        while !room.is_empty() {
            self.wait_until(until)?;
            match (&self.0).read(room) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => room = room.get_mut(count..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(timed_out(error)),
            }
        }
        Ok(())
    }

    fn wait_until(&self, until: Instant) -> io::Result<()> {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        self.0.set_read_timeout(Some(left))
    }
}

/// A read that had a deadline fails as one that would block.
fn timed_out(error: io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::WouldBlock { io::ErrorKind::TimedOut.into() } else { error }
}

/// Whether a descriptor is a socket that is listened on.
pub fn is_listening(descriptor: BorrowedFd<'_>) -> bool {
    sockopt::socket_acceptconn(descriptor).unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use std::{net::TcpListener, os::fd::AsFd};

    use super::*;

    const SOON: Duration = Duration::from_millis(20);

    fn lines() -> (Line, Line) {
        let (one, other) = UnixStream::pair().unwrap();
        (Line::new(one).unwrap(), Line::new(other).unwrap())
    }

    #[test]
    fn what_is_said_is_heard_with_the_sockets_that_came_with_it() {
        let (one, other) = lines();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        one.say(1, b"first", &[]).unwrap();
        one.say(2, b"", &[listener.as_fd()]).unwrap();
        let first = other.hear(SOON).unwrap();
        assert_eq!((first.kind, &first.body[..], first.descriptors.len()), (1, &b"first"[..], 0));
        let mut second = other.hear(SOON).unwrap();
        drop((one, listener));
        let socket = second.descriptors.pop().unwrap();
        assert!(is_listening(socket.as_fd()));
        assert_eq!(TcpListener::from(socket).local_addr().unwrap(), address);
        assert!(std::net::TcpStream::connect(address).is_err(), "nobody holds it any more");
    }

    #[test]
    fn a_side_that_is_gone_silent_or_mad_is_an_error() {
        let (one, other) = lines();
        let failed = |line: &Line| line.hear(SOON).err().unwrap().kind();
        assert_eq!(failed(&other), io::ErrorKind::TimedOut);
        (&one.0).write_all(&[1, 255, 255, 255, 255]).unwrap();
        assert_eq!(failed(&other), io::ErrorKind::InvalidData);
        (&one.0).write_all(&[1, 2, 0, 0, 0, 7]).unwrap();
        assert_eq!(failed(&other), io::ErrorKind::TimedOut, "half a message");
        drop(one);
        assert_eq!(failed(&other), io::ErrorKind::UnexpectedEof);
    }
}
