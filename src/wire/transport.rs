use std::{
    io::{self, IoSlice},
    mem::MaybeUninit,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use socket2::{SockRef, TcpKeepalive};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::TlsStream;

use super::pipe::PipeReader;

/// The bytes under HTTP: a socket, in clear or under TLS, on either side of the gateway.
pub enum Transport {
    /// In clear.
    Plain(TcpStream),
    /// Under TLS. Boxed, because an idle plain connection shouldn't pay for its size.
    Tls(Box<TlsStream<Socket>>),
    /// No socket: what another task of the process puts there. It can only be read.
    Pipe(PipeReader),
}

/// A socket under TLS. rustls writes a list of parts that nearly always is one; the kernel takes one
/// part by `send` in less time than by `writev`.
pub struct Socket(pub TcpStream);

impl Transport {
    /// The socket below, where there is one.
    pub fn socket(&self) -> Option<&TcpStream> {
        match self {
            Self::Plain(socket) => Some(socket),
            Self::Tls(tls) => Some(&tls.get_ref().0.0),
            Self::Pipe(_) => None,
        }
    }

    /// Whether the two sides agreed on HTTP/2 (RFC 7301). In clear nobody could.
    pub fn speaks_http2(&self) -> bool {
        match self {
            Self::Plain(_) | Self::Pipe(_) => false,
            Self::Tls(tls) => tls.get_ref().1.alpn_protocol() == Some(b"h2"),
        }
    }

    /// Has the system ask now and then whether the peer is still there, where nobody else does.
    pub fn probe_when_idle(&self) {
        let probes = TcpKeepalive::new()
            .with_time(Duration::from_secs(60))
            .with_interval(Duration::from_secs(15))
            .with_retries(4);
        // Where the system refuses, the connection is gone already.
        let _ = self.socket().map(|socket| SockRef::from(socket).set_tcp_keepalive(&probes));
    }

    /// Makes the end of the connection a reset: the peer can't take it for an end of input.
    pub fn reset_on_drop(&self) {
        let reset = |socket| SockRef::from(socket).set_linger(Some(Duration::ZERO));
        // Where the system refuses, the connection is gone already.
        let _ = self.socket().map(reset);
    }

    /// Whether nothing has come and nobody hung up since the last answer. A connection of which
    /// that isn't true must not carry another request: what waits there belongs to no request.
    ///
    /// The system is asked, and not the reactor: what the reactor knows is as old as its last turn,
    /// and bytes that came since would be read as the next client's answer.
    pub fn is_quiet(&self) -> bool {
        let read_ahead = match self {
            Self::Plain(_) | Self::Pipe(_) => false,
            // TLS decrypts whole records: what is left of one isn't in the socket any more.
            Self::Tls(tls) => !tls.get_ref().1.wants_read(),
        };
        // A pipe carries one answer and nothing more.
        let Some(socket) = self.socket() else { return false };
        let waiting = SockRef::from(socket).recv(&mut [MaybeUninit::uninit()]);
        !read_ahead && waiting.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }
}

impl AsyncRead for Transport {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_read(cx, buf),
            Self::Tls(tls) => Pin::new(tls).poll_read(cx, buf),
            Self::Pipe(pipe) => Pin::new(pipe).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Transport {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_write(cx, bytes),
            Self::Tls(tls) => Pin::new(tls).poll_write(cx, bytes),
            Self::Pipe(_) => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_write_vectored(cx, parts),
            Self::Tls(tls) => Pin::new(tls).poll_write_vectored(cx, parts),
            Self::Pipe(_) => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(socket) => socket.is_write_vectored(),
            Self::Tls(tls) => tls.is_write_vectored(),
            Self::Pipe(_) => false,
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_flush(cx),
            Self::Tls(tls) => Pin::new(tls).poll_flush(cx),
            Self::Pipe(_) => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_shutdown(cx),
            Self::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
            Self::Pipe(_) => Poll::Ready(Ok(())),
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match parts {
            [one] => Pin::new(&mut self.0).poll_write(cx, one),
            parts => Pin::new(&mut self.0).poll_write_vectored(cx, parts),
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests;
