//! Accepting connections, with a gate in front of each: reading stops while too many of its events are in
//! flight (TCP then slows the client), and a connection can be ended from outside however stuck it is.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::task::AtomicWaker;
use ipnet::IpNet;
use parking_lot::Mutex;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

use super::frames::Frames;
use crate::config::Rates;
use crate::error::Result;
use crate::platform::limits::{Place, Places};

/// Events of one connection that may be in flight before its reading stops.
const MAX_IN_FLIGHT: usize = 64;

/// The first byte of a close frame (RFC 6455, section 5.5.1).
const CLOSE_FRAME: u8 = 0x88;

/// A peer that acknowledges nothing for this long is gone, whatever TCP still hopes for.
const STALLED_AFTER: Duration = Duration::from_secs(30);

/// The gate of one TCP connection.
#[derive(Default)]
pub struct Gate {
    in_flight: AtomicUsize,
    written: AtomicU64,
    read: AtomicU64,
    /// Bytes read at which the connection ends; none is 0.
    read_most: AtomicU64,
    paused: AtomicBool,
    ended: AtomicBool,
    /// Whether what is written are the answer `101 Switching Protocols` and frames.
    upgraded: AtomicBool,
    /// The code that the websocket is to be closed with; none is 0.
    close_code: AtomicU16,
    reader: AtomicWaker,
    writer: AtomicWaker,
    /// Counts as one that has not authenticated, until it does or the connection is gone.
    pending: Mutex<Option<Arc<Place>>>,
}

impl Gate {
    /// An event came in; reading goes on when enough of these are dropped.
    pub fn enter(self: &Arc<Self>) -> InFlight {
        self.in_flight.fetch_add(1, Ordering::AcqRel);
        InFlight(self.clone())
    }

    /// Ends the connection: reads and writes fail from now on.
    pub fn end(&self) {
        self.ended.store(true, Ordering::Release);
        self.reader.wake();
        self.writer.wake();
    }

    /// The connection becomes a websocket; called before that is answered.
    pub fn upgrade(&self) {
        self.upgraded.store(true, Ordering::Release);
    }

    /// Ends a websocket with a close frame of this code. A frame that is being written is finished before; nothing else
    /// is. Clients take that as a lost connection and come back, where the engine's own packet for closing tells some
    /// of them to stay away.
    pub fn close(&self, code: u16) {
        self.close_code.store(code, Ordering::Release);
        self.reader.wake();
        self.writer.wake();
    }

    /// Waits until there is room for another event; for requests, which have no stream to stop reading.
    pub async fn room(&self) {
        std::future::poll_fn(|cx| {
            self.reader.register(cx.waker());
            let free = self.in_flight.load(Ordering::Acquire) < MAX_IN_FLIGHT;
            if free { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    /// Counts bytes that left by another way than the stream.
    pub fn wrote(&self, bytes: u64) {
        self.written.fetch_add(bytes, Ordering::AcqRel);
    }

    /// Bytes that have left so far.
    pub fn written(&self) -> u64 {
        self.written.load(Ordering::Acquire)
    }

    /// Bytes that have come in so far.
    pub fn read(&self) -> u64 {
        self.read.load(Ordering::Acquire)
    }

    /// Ends the connection once it has read so many bytes more.
    pub fn restrict(&self, bytes: u64) {
        self.read_most.store(self.read() + bytes, Ordering::Release);
    }

    /// Lifts the restriction.
    pub fn lift(&self) {
        self.read_most.store(0, Ordering::Release);
    }

    /// Counts bytes that came in.
    pub fn came(&self, bytes: u64) {
        self.read.fetch_add(bytes, Ordering::AcqRel);
    }

    /// The connection is a websocket that has not authenticated: when it goes, it counts no more.
    pub fn hold(&self, socket: Arc<Place>) {
        *self.pending.lock() = Some(socket);
    }

    /// Stops reading for good: the node goes, and what came so far is finished.
    pub fn pause(&self) {
        self.paused.store(true, Ordering::Release);
    }

    /// Whether it has ended.
    pub fn is_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }
}

/// One event in flight.
pub struct InFlight(Arc<Gate>);

impl Drop for InFlight {
    fn drop(&mut self) {
        if self.0.in_flight.fetch_sub(1, Ordering::AcqRel) == MAX_IN_FLIGHT {
            self.0.reader.wake();
        }
    }
}

/// A TCP stream behind its gate.
pub struct GatedStream {
    tcp: TcpStream,
    gate: Arc<Gate>,
    frames: Frames,
    /// Bytes of the close frame that were written.
    close_written: usize,
    /// Of its address.
    _place: Option<Place>,
}

impl Drop for GatedStream {
    /// The gate may be held longer than the stream: it must not keep the tasks that waited for it.
    fn drop(&mut self) {
        drop((self.gate.reader.take(), self.gate.writer.take()));
        self.gate.end();
        if let Some(pending) = self.gate.pending.lock().take() {
            pending.release();
        }
    }
}

impl AsyncRead for GatedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.gate.reader.register(cx.waker());
        if self.close(cx)? {
            return Poll::Pending;
        }
        let full = self.gate.in_flight.load(Ordering::Acquire) >= MAX_IN_FLIGHT;
        if full || self.gate.paused.load(Ordering::Acquire) {
            return Poll::Pending;
        }
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.tcp).poll_read(cx, buf);
        self.gate.came((buf.filled().len() - before) as u64);
        let most = self.gate.read_most.load(Ordering::Acquire);
        if most != 0 && self.gate.read() > most {
            self.gate.end();
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        polled
    }
}

impl GatedStream {
    /// Fails once the connection has ended; true while the close frame waits for room.
    fn close(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        let ended = || io::Error::from(io::ErrorKind::ConnectionReset);
        if self.gate.is_ended() {
            return Err(ended());
        }
        let code = self.gate.close_code.load(Ordering::Acquire);
        if code == 0 || !self.frames.is_between() {
            return Ok(false);
        }
        let [high, low] = code.to_be_bytes();
        let frame = [CLOSE_FRAME, 2, high, low];
        while let Poll::Ready(written) =
            Pin::new(&mut self.tcp).poll_write(cx, frame.get(self.close_written..).unwrap_or_default())
        {
            self.close_written += written?;
            if self.close_written >= frame.len() {
                self.gate.end();
                return Err(ended());
            }
        }
        Ok(true)
    }
}

impl AsyncWrite for GatedStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.gate.writer.register(cx.waker());
        if self.close(cx)? {
            return Poll::Pending;
        }
        let closing = self.gate.close_code.load(Ordering::Acquire) != 0;
        let upgraded = self.gate.upgraded.load(Ordering::Acquire);
        // No further frame is begun.
        let buf = if closing && upgraded { &buf[..self.frames.clone().follow(buf)] } else { buf };
        let written = std::task::ready!(Pin::new(&mut self.tcp).poll_write(cx, buf))?;
        self.gate.written.fetch_add(written as u64, Ordering::AcqRel);
        if upgraded {
            let mut followed = 0;
            while followed < written {
                followed += self.frames.follow(&buf[followed..written]);
            }
        }
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.gate.upgraded.load(Ordering::Acquire) {
            let first = bufs.iter().find(|it| !it.is_empty()).map_or(&[][..], |it| it);
            return self.poll_write(cx, first);
        }
        self.gate.writer.register(cx.waker());
        if self.gate.is_ended() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        let written = std::task::ready!(Pin::new(&mut self.tcp).poll_write_vectored(cx, bufs))?;
        self.gate.written.fetch_add(written as u64, Ordering::AcqRel);
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}

/// Who is on the other side, and the gate of the connection they came on.
#[derive(Clone)]
pub struct Peer {
    /// Address of the TCP peer.
    pub address: SocketAddr,
    /// The connection's gate.
    pub gate: Arc<Gate>,
}

/// A TCP listener that puts a gate in front of every connection.
pub struct GatedListener {
    tcp: TcpListener,
    /// Connections by address, apart from those of proxies, behind which are many clients.
    connections: Places,
    proxies: Vec<IpNet>,
}

/// The part of all descriptors that one address may have.
const SHARE_OF_AN_ADDRESS: u64 = 4;

/// Raises how many files and sockets the process may have open to what the system lets it, and answers how many.
fn raise_descriptors() -> u64 {
    let limit = rlimit::increase_nofile_limit(DESCRIPTORS).or_else(|_| rlimit::Resource::NOFILE.get_soft());
    limit.unwrap_or(1_024)
}

/// Descriptors that are enough for any node.
const DESCRIPTORS: u64 = 1_048_576;

impl GatedListener {
    /// Listens on `address`; port 0 picks a free one.
    pub async fn bind(address: SocketAddr, rates: &Rates) -> io::Result<Self> {
        let most = usize::try_from(raise_descriptors() / SHARE_OF_AN_ADDRESS).unwrap_or(usize::MAX);
        Ok(Self {
            tcp: TcpListener::bind(address).await?,
            connections: Places::new(rates.on.then_some(most), "too many connections of this address"),
            proxies: rates.trusted_proxies.clone(),
        })
    }

    /// A place for one more connection of this address, where it is counted.
    fn place(&self, address: IpAddr) -> Result<Option<Place>> {
        if self.proxies.iter().any(|net| net.contains(&address.to_canonical())) {
            return Ok(None);
        }
        self.connections.enter(Some(address)).map(Some)
    }

    /// The next connection, and who is on its other side.
    pub async fn accept(&self) -> (GatedStream, Peer) {
        loop {
            match self.tcp.accept().await {
                Ok((tcp, address)) => {
                    // Too many: it is closed without a word, which costs nothing.
                    let Ok(place) = self.place(address.ip()) else { continue };
                    tune(&tcp);
                    let gate = Arc::<Gate>::default();
                    return (
                        GatedStream {
                            tcp,
                            gate: gate.clone(),
                            frames: Frames::default(),
                            close_written: 0,
                            _place: place,
                        },
                        Peer { address, gate },
                    );
                }
                Err(error) => {
                    // Out of file descriptors, mostly: those who are in go on, new ones wait a moment.
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    /// Where it listens.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.tcp.local_addr()
    }
}

/// Small frames leave at once, and a peer that vanished is noticed. A kernel that refuses costs only that.
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
