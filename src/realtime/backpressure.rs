//! Backpressure for one byte stream: reading pauses while too many of its commands are in flight (TCP then slows the
//! client), and the stream can be ended from outside, however stuck it is.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};

use futures_util::task::AtomicWaker;
use parking_lot::Mutex;

use crate::platform::limits::ConcurrencyPermit;

/// Commands of one connection that may be in flight before reading pauses.
const MAX_IN_FLIGHT: usize = 64;

/// The state of one stream.
#[derive(Default)]
pub struct Backpressure {
    in_flight: AtomicUsize,
    written: AtomicU64,
    read: AtomicU64,
    /// Bytes read at which the connection ends; 0 for no limit.
    max_read: AtomicU64,
    paused: AtomicBool,
    ended: AtomicBool,
    /// Whether the stream carries a `101 Switching Protocols` response and frames.
    upgraded: AtomicBool,
    reader: AtomicWaker,
    writer: AtomicWaker,
    /// The permit that counts the connection as unauthenticated, until it authenticates or closes.
    unauthenticated: Mutex<Option<Arc<ConcurrencyPermit>>>,
}

impl Backpressure {
    /// Counts a received command. Reading resumes once enough of the returned guards are dropped.
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

    /// Marks the connection as a websocket. Must be called before the response is written.
    pub fn upgrade(&self) {
        self.upgraded.store(true, Ordering::Release);
    }

    /// Whether the connection is a websocket.
    pub fn is_upgraded(&self) -> bool {
        self.upgraded.load(Ordering::Acquire)
    }

    /// Waits until another command may be received; for polling requests, which have no stream to pause.
    pub async fn room(&self) {
        std::future::poll_fn(|cx| {
            self.reader.register(cx.waker());
            if self.in_flight.load(Ordering::Acquire) < MAX_IN_FLIGHT {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
    }

    /// Wakes `cx` when reading may resume or the stream must end.
    pub fn register_reader(&self, cx: &Context<'_>) {
        self.reader.register(cx.waker());
    }

    /// Wakes `cx` when the stream must end.
    pub fn register_writer(&self, cx: &Context<'_>) {
        self.writer.register(cx.waker());
    }

    /// Whether the stream must not be read now.
    pub fn is_reading_paused(&self) -> bool {
        self.in_flight.load(Ordering::Acquire) >= MAX_IN_FLIGHT || self.paused.load(Ordering::Acquire)
    }

    /// Counts bytes that were written.
    pub fn add_written(&self, bytes: u64) {
        self.written.fetch_add(bytes, Ordering::AcqRel);
    }

    /// Returns the bytes written so far.
    pub fn written(&self) -> u64 {
        self.written.load(Ordering::Acquire)
    }

    /// Counts bytes that were read.
    pub fn add_read(&self, bytes: u64) {
        self.read.fetch_add(bytes, Ordering::AcqRel);
    }

    /// Returns the bytes read so far.
    pub fn read(&self) -> u64 {
        self.read.load(Ordering::Acquire)
    }

    /// Ends the connection once this many more bytes have been read.
    pub fn limit_reading(&self, bytes: u64) {
        self.max_read.store(self.read() + bytes, Ordering::Release);
    }

    /// Lifts the limit.
    pub fn lift_read_limit(&self) {
        self.max_read.store(0, Ordering::Release);
    }

    /// Whether more was read than the limit allows.
    pub fn is_over_read_limit(&self) -> bool {
        let max = self.max_read.load(Ordering::Acquire);
        max != 0 && self.read() > max
    }

    /// Holds the permit of an unauthenticated websocket until the connection is gone.
    pub fn hold(&self, permit: Arc<ConcurrencyPermit>) {
        *self.unauthenticated.lock() = Some(permit);
    }

    /// Stops reading for good because the node is shutting down; commands already received are completed.
    pub fn pause(&self) {
        self.paused.store(true, Ordering::Release);
    }

    /// Whether the connection has ended.
    pub fn is_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// Marks the stream as gone. This value may outlive the stream, so the wakers of waiting tasks are dropped here.
    pub fn stream_dropped(&self) {
        drop((self.reader.take(), self.writer.take()));
        self.end();
        if let Some(permit) = self.unauthenticated.lock().take() {
            permit.release();
        }
    }
}

/// One command in flight.
pub struct InFlight(Arc<Backpressure>);

impl Drop for InFlight {
    fn drop(&mut self) {
        if self.0.in_flight.fetch_sub(1, Ordering::AcqRel) == MAX_IN_FLIGHT {
            self.0.reader.wake();
        }
    }
}
