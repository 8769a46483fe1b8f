//! Accepts connections and applies backpressure to each (see [`Backpressure`]).

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use ipnet::IpNet;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

use crate::config::Rates;
use crate::error::Result;
use crate::platform::limits::{ConcurrencyLimit, ConcurrencyPermit};
use crate::realtime::backpressure::Backpressure;
use crate::transport::http::frames::Frames;

/// The first byte of a close frame (RFC 6455, section 5.5.1).
const CLOSE_FRAME: u8 = 0x88;

/// A peer that acknowledges nothing for this long counts as gone, even if TCP would still retry.
const STALLED_AFTER: Duration = Duration::from_secs(30);

/// A TCP stream with backpressure.
pub struct BackpressureStream {
    tcp: TcpStream,
    backpressure: Arc<Backpressure>,
    frames: Frames,
    /// Number of bytes of the close frame that were written.
    close_written: usize,
    /// The permit of the peer's address.
    _place: Option<ConcurrencyPermit>,
}

impl Drop for BackpressureStream {
    fn drop(&mut self) {
        self.backpressure.stream_dropped();
    }
}

impl AsyncRead for BackpressureStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.backpressure.register_reader(cx);
        if self.close(cx)? {
            return Poll::Pending;
        }
        if self.backpressure.is_reading_paused() {
            return Poll::Pending;
        }
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.tcp).poll_read(cx, buf);
        self.backpressure.add_read((buf.filled().len() - before) as u64);
        if self.backpressure.is_over_read_limit() {
            self.backpressure.end();
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        polled
    }
}

impl BackpressureStream {
    /// Writes the close frame if one is due. Fails once the connection has ended; returns true while the frame waits
    /// for buffer space.
    fn close(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        let ended = || io::Error::from(io::ErrorKind::ConnectionReset);
        if self.backpressure.is_ended() {
            return Err(ended());
        }
        let Some(code) = self.backpressure.close_code().filter(|_| self.frames.is_between()) else {
            return Ok(false);
        };
        let [high, low] = code.to_be_bytes();
        let frame = [CLOSE_FRAME, 2, high, low];
        while let Poll::Ready(written) =
            Pin::new(&mut self.tcp).poll_write(cx, frame.get(self.close_written..).unwrap_or_default())
        {
            self.close_written += written?;
            if self.close_written >= frame.len() {
                self.backpressure.end();
                return Err(ended());
            }
        }
        Ok(true)
    }
}

impl AsyncWrite for BackpressureStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.backpressure.register_writer(cx);
        if self.close(cx)? {
            return Poll::Pending;
        }
        let closing = self.backpressure.close_code().is_some();
        let upgraded = self.backpressure.is_upgraded();
        // Finish the current frame, but begin no other.
        let buf = if closing && upgraded { &buf[..self.frames.clone().follow(buf)] } else { buf };
        let written = std::task::ready!(Pin::new(&mut self.tcp).poll_write(cx, buf))?;
        self.backpressure.add_written(written as u64);
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
        if self.backpressure.is_upgraded() {
            let first = bufs.iter().find(|it| !it.is_empty()).map_or(&[][..], |it| it);
            return self.poll_write(cx, first);
        }
        self.backpressure.register_writer(cx);
        if self.backpressure.is_ended() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        let written = std::task::ready!(Pin::new(&mut self.tcp).poll_write_vectored(cx, bufs))?;
        self.backpressure.add_written(written as u64);
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

/// The peer of a connection, and the connection's backpressure.
#[derive(Clone)]
pub struct Peer {
    /// Address of the TCP peer.
    pub address: SocketAddr,
    /// The connection's backpressure.
    pub backpressure: Arc<Backpressure>,
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
                    let backpressure = Arc::<Backpressure>::default();
                    return (
                        BackpressureStream {
                            tcp,
                            backpressure: backpressure.clone(),
                            frames: Frames::default(),
                            close_written: 0,
                            _place: place,
                        },
                        Peer { address, backpressure },
                    );
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
