//! Accepts connections and applies backpressure to each (see `realtime::backpressure`).

use std::io::{self, IoSlice};
use std::net::{IpAddr, Shutdown, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use ipnet::IpNet;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::io::poll_read_buf;

use crate::config::Rates;
use crate::error::{Error, Result};
use crate::platform::limits::{ConcurrencyLimit, ConcurrencyPermit};
use crate::realtime::write_queue::WriteQueue;

/// A peer that acknowledges nothing for this long counts as gone, even if TCP would still retry.
const STALLED_AFTER: Duration = Duration::from_secs(30);

/// What ends the head of a response.
const HEAD_END: &[u8; 4] = b"\r\n\r\n";

/// A TCP stream with backpressure. After an upgrade, what is written goes through the connection's queue.
pub struct BackpressureStream {
    tcp: OwnedReadHalf,
    writes: Arc<WriteQueue>,
    /// Bytes that were read before an upgrade, and not consumed.
    unread: Bytes,
    /// Number of bytes of [`HEAD_END`] that were written last, during an upgrade; all of them once frames have begun.
    head_end: usize,
    /// The permit of the peer's address.
    _place: Option<ConcurrencyPermit>,
}

impl Drop for BackpressureStream {
    fn drop(&mut self) {
        self.writes.backpressure().stream_dropped();
        self.writes.end();
    }
}

impl AsyncRead for BackpressureStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // The space is there already.
        self.poll_read_buf(cx, buf, |_| {}).map_ok(|_| ())
    }
}

impl BackpressureStream {
    /// Appends bytes to `buffer`, and makes this much space for them, but not before there are some. Returns their
    /// number; 0 at the end.
    pub fn poll_read_into(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut BytesMut,
        space: usize,
    ) -> Poll<io::Result<usize>> {
        self.poll_read_buf(cx, buffer, |buffer| buffer.reserve(space))
    }

    fn poll_read_buf<B: BufMut>(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut B,
        make_space: impl Fn(&mut B),
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_resumed(cx));
        let backpressure = self.writes.backpressure();
        if backpressure.is_ended() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        if !self.unread.is_empty() {
            make_space(buffer);
            let count = self.unread.len().min(buffer.remaining_mut());
            buffer.put_slice(&self.unread.split_to(count));
            return Poll::Ready(Ok(count));
        }
        ready!(self.tcp.as_ref().poll_read_ready(cx))?;
        make_space(buffer);
        let count = ready!(poll_read_buf(Pin::new(&mut self.tcp), cx, buffer))?;
        backpressure.add_read(count as u64);
        if backpressure.is_over_read_limit() {
            self.writes.end();
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        Poll::Ready(Ok(count))
    }

    /// Waits until commands may be received, or the connection has ended.
    pub fn poll_resumed(&self, cx: &Context<'_>) -> Poll<()> {
        let backpressure = self.writes.backpressure();
        backpressure.register_reader(cx);
        if backpressure.is_ended() || !backpressure.is_reading_paused() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }

    /// Takes the stream of an upgraded connection out of hyper, which would keep memory for it.
    pub fn from_upgraded(upgraded: Upgraded) -> Result<Self> {
        let parts = upgraded
            .downcast::<TokioIo<Self>>()
            .map_err(|_| Error::internal("an upgraded connection of another listener"))?;
        let mut stream = parts.io.into_inner();
        // A copy: even an empty slice keeps the whole buffer.
        stream.unread = Bytes::copy_from_slice(&parts.read_buf);
        stream.head_end = HEAD_END.len();
        Ok(stream)
    }

    /// Returns the queue of the connection's frames.
    pub fn writes(&self) -> &Arc<WriteQueue> {
        &self.writes
    }

    /// Returns how many of these bytes belong to the head of the response that upgrades the connection.
    fn head_of<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let mut seen = self.head_end;
        for (place, byte) in bytes.iter().enumerate() {
            if seen == HEAD_END.len() {
                return &bytes[..place];
            }
            seen = if *byte == HEAD_END[seen] { seen + 1 } else { usize::from(*byte == HEAD_END[0]) };
        }
        bytes
    }

    fn note_head(&mut self, written: &[u8]) {
        for byte in written {
            let seen = self.head_end;
            self.head_end =
                if *byte == HEAD_END[seen] { seen + 1 } else { usize::from(*byte == HEAD_END[0]) };
        }
    }
}

impl AsyncWrite for BackpressureStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let is_upgraded = this.writes.backpressure().is_upgraded();
        this.writes.backpressure().register_writer(cx);
        if this.writes.backpressure().is_ended() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        if this.head_end == HEAD_END.len() {
            return if this.writes.push_engine(buf, cx) { Poll::Ready(Ok(buf.len())) } else { Poll::Pending };
        }
        let buf = if is_upgraded { this.head_of(buf) } else { buf };
        let written = ready!(this.poll_tcp(cx, |tcp| tcp.try_write(buf)))?;
        if is_upgraded {
            this.note_head(&buf[..written]);
        }
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.writes.backpressure().is_upgraded() || self.head_end == HEAD_END.len() {
            let first = bufs.iter().find(|it| !it.is_empty()).map_or(&[][..], |it| it);
            return self.poll_write(cx, first);
        }
        self.writes.backpressure().register_writer(cx);
        if self.writes.backpressure().is_ended() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        self.poll_tcp(cx, |tcp| tcp.try_write_vectored(bufs))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// Frames are on their way as soon as they are in the queue. Waiting for it to be empty would mean waiting for the
    /// publisher's frames too.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.writes.is_written(cx) {
            Poll::Ready(SockRef::from(self.writes.tcp().as_ref()).shutdown(Shutdown::Write))
        } else {
            Poll::Pending
        }
    }
}

impl BackpressureStream {
    /// Writes to the socket, past the queue.
    fn poll_tcp(
        &self,
        cx: &mut Context<'_>,
        write: impl Fn(&OwnedWriteHalf) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        let tcp = self.writes.tcp();
        loop {
            ready!(tcp.as_ref().poll_write_ready(cx))?;
            match write(tcp) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                written => {
                    if let Ok(written) = written {
                        self.writes.backpressure().add_written(written as u64);
                    }
                    return Poll::Ready(written);
                }
            }
        }
    }
}

/// The peer of a connection, and the connection's outgoing bytes.
#[derive(Clone)]
pub struct Peer {
    /// Address of the TCP peer.
    pub address: SocketAddr,
    /// The queue of the connection's frames.
    pub writes: Arc<WriteQueue>,
}

/// A TCP listener that applies backpressure to every connection.
pub struct BackpressureListener {
    tcp: TcpListener,
    /// Counts connections by address, except those of proxies, which serve many clients.
    connections: ConcurrencyLimit,
    proxies: Vec<IpNet>,
}

/// One address may use all descriptors divided by this number.
const SHARE_OF_AN_ADDRESS: u64 = 4;

/// Raises the limit of open files and sockets as far as the system allows, and returns the new limit.
fn raise_descriptors() -> u64 {
    let limit = rlimit::increase_nofile_limit(DESCRIPTORS).or_else(|_| rlimit::Resource::NOFILE.get_soft());
    limit.unwrap_or(1_024)
}

/// Number of descriptors that is enough for any node.
const DESCRIPTORS: u64 = 1_048_576;

impl BackpressureListener {
    /// Listens on `address`; port 0 picks a free port.
    pub async fn bind(address: SocketAddr, rates: &Rates) -> io::Result<Self> {
        let most = usize::try_from(raise_descriptors() / SHARE_OF_AN_ADDRESS).unwrap_or(usize::MAX);
        Ok(Self {
            tcp: TcpListener::bind(address).await?,
            connections: ConcurrencyLimit::new(
                rates.on.then_some(most),
                "too many connections of this address",
            ),
            proxies: rates.trusted_proxies.clone(),
        })
    }

    /// Reserves a place for one more connection of this address. Returns `None` for a proxy, which is not
    /// counted, and an error if the address has too many.
    fn place(&self, address: IpAddr) -> Result<Option<ConcurrencyPermit>> {
        if self.proxies.iter().any(|net| net.contains(&address.to_canonical())) {
            return Ok(None);
        }
        self.connections.enter(Some(address)).map(Some)
    }

    /// Waits for the next connection, and returns its stream and its peer.
    pub async fn accept(&self) -> (BackpressureStream, Peer) {
        loop {
            match self.tcp.accept().await {
                Ok((tcp, address)) => {
                    // Too many connections: close it without a response, which costs nothing.
                    let Ok(place) = self.place(address.ip()) else { continue };
                    tune(&tcp);
                    let (tcp, writing) = tcp.into_split();
                    let writes = WriteQueue::new(writing, Arc::default());
                    let peer = Peer { address, writes: writes.clone() };
                    let unread = Bytes::new();
                    return (BackpressureStream { tcp, writes, unread, head_end: 0, _place: place }, peer);
                }
                Err(error) => {
                    // Usually there are no file descriptors left: open connections continue, new ones wait a moment.
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    /// Returns the address that it listens on.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.tcp.local_addr()
    }
}

/// Sends small frames immediately, and detects peers that have vanished. If the kernel refuses an option, the
/// connection works without it.
fn tune(tcp: &TcpStream) {
    let socket = SockRef::from(tcp);
    let keepalive = TcpKeepalive::new().with_time(Duration::from_mins(1));
    let done = tcp
        .set_nodelay(true)
        .and_then(|()| socket.set_tcp_keepalive(&keepalive))
        .and_then(|()| socket.set_tcp_user_timeout(Some(STALLED_AFTER)));
    if let Err(error) = done {
        tracing::debug!(%error, "a socket option was refused");
    }
}

#[cfg(test)]
#[expect(clippy::missing_panics_doc, reason = "only tests use it")]
impl BackpressureStream {
    /// Returns the stream of an upgraded connection, and its peer.
    pub async fn pair() -> (Self, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("listens");
        let address = listener.local_addr().expect("an address");
        let (peer, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
        let (tcp, writing) = accepted.expect("accepted").0.into_split();
        let writes = WriteQueue::new(writing, Arc::default());
        let stream = Self { tcp, writes, unread: Bytes::new(), head_end: HEAD_END.len(), _place: None };
        (stream, peer.expect("connects"))
    }
}
