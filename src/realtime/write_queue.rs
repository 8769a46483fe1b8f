//! The outgoing bytes of one TCP connection. Everything that writes to a websocket — the engine, the publisher, the acks
//! of commands — appends whole frames here, and the queue writes them in this order, many at a time.
//!
//! No task belongs to a queue. Whoever appends also writes; only if the client reads more slowly than the server sends, a
//! task waits until the rest can be written.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::sync::Arc;
use std::task::Context;

use bytes::{Buf, Bytes};
use futures_util::task::AtomicWaker;
use parking_lot::Mutex;
use socket2::SockRef;
use tokio::net::tcp::OwnedWriteHalf;

use super::backpressure::Backpressure;

/// Frames that are written with one system call. Linux takes at most 1,024.
const MAX_SLICES: usize = 64;

/// Bytes that may wait before the engine has to wait too.
const ENGINE_BACKLOG: usize = 64 * 1_024;

/// Bytes that a batch may gather for one connection before they are written: a backlog of our own making must not count
/// as one of the client's.
const BATCH_BYTES: usize = 64 * 1_024;

#[derive(Default)]
struct Queue {
    /// Whole frames; of the first one, what is not written yet.
    frames: VecDeque<Bytes>,
    /// The size of `frames`, bytes.
    bytes: usize,
    /// Whether the first frame is partly written.
    is_cut: bool,
    writer: Writer,
    /// Whether the last frame is a close frame: nothing may follow it.
    is_closing: bool,
}

/// Who will write what is queued.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Writer {
    /// Whoever appends next.
    #[default]
    Nobody,
    /// The running `batch_writes`.
    Batch,
    /// A task that waits until the socket takes more.
    Task,
}

/// The outgoing bytes of one connection.
pub struct WriteQueue {
    tcp: OwnedWriteHalf,
    backpressure: Arc<Backpressure>,
    queue: Mutex<Queue>,
    /// Wakes the engine's task when the queue is empty again.
    engine: AtomicWaker,
}

thread_local! {
    /// The queues with unwritten frames of the running `batch_writes`; `None` outside of one.
    static LISTED: RefCell<Option<Vec<Arc<WriteQueue>>>> = const { RefCell::new(None) };
}

/// Runs `append`, and writes what it appends to any queue only at its end: one system call per connection, however many
/// frames.
pub fn batch_writes<R>(append: impl FnOnce() -> R) -> R {
    struct Writing(bool);
    impl Drop for Writing {
        fn drop(&mut self) {
            if self.0 {
                let listed = LISTED.with_borrow_mut(Option::take);
                listed.into_iter().flatten().for_each(|queue| queue.write_listed());
            }
        }
    }
    let is_outermost = LISTED.with_borrow_mut(|listed| {
        let is_outermost = listed.is_none();
        listed.get_or_insert_default();
        is_outermost
    });
    // Written even after a panic.
    let _writing = Writing(is_outermost);
    append()
}

impl WriteQueue {
    /// Creates the queue of a connection.
    pub fn new(tcp: OwnedWriteHalf, backpressure: Arc<Backpressure>) -> Arc<Self> {
        Arc::new(Self { tcp, backpressure, queue: Mutex::default(), engine: AtomicWaker::new() })
    }

    /// Appends a frame.
    pub fn push(self: &Arc<Self>, frame: Bytes) {
        let mut queue = self.queue.lock();
        if queue.is_closing {
            return;
        }
        self.append(&mut queue, frame);
    }

    /// Appends whole frames of the engine. Returns `false`, and appends nothing, if the engine has to wait; it is woken
    /// later.
    pub fn push_engine(self: &Arc<Self>, frames: &[u8], context: &Context<'_>) -> bool {
        let mut queue = self.queue.lock();
        if queue.is_closing {
            return true;
        }
        if queue.bytes > ENGINE_BACKLOG {
            self.engine.register(context.waker());
            return false;
        }
        self.append(&mut queue, Bytes::copy_from_slice(frames));
        true
    }

    /// Returns the bytes that wait to be written.
    pub fn backlog(&self) -> usize {
        self.queue.lock().bytes
    }

    /// Whether nothing waits to be written.
    pub fn is_empty(&self) -> bool {
        self.queue.lock().frames.is_empty()
    }

    /// Whether everything is written. If not, wakes the engine later.
    pub fn is_written(&self, context: &Context<'_>) -> bool {
        let queue = self.queue.lock();
        if !queue.frames.is_empty() {
            self.engine.register(context.waker());
        }
        queue.frames.is_empty()
    }

    /// Returns the socket, for what is written past the queue before the connection becomes a WebSocket.
    pub fn tcp(&self) -> &OwnedWriteHalf {
        &self.tcp
    }

    /// Returns the state of the connection's stream.
    pub fn backpressure(&self) -> &Arc<Backpressure> {
        &self.backpressure
    }

    /// Ends the connection, however stuck it is.
    pub fn end(&self) {
        self.backpressure.end();
        // Fails if the peer has closed the connection, which is as well.
        drop(SockRef::from(self.tcp.as_ref()).shutdown(Shutdown::Both));
    }

    /// Appends a close frame; nothing is accepted after it.
    pub fn close_after(self: &Arc<Self>, frame: Bytes) {
        let mut queue = self.queue.lock();
        if queue.is_closing {
            return;
        }
        queue.is_closing = true;
        self.append(&mut queue, frame);
    }

    /// Drops what is queued, except for the rest of a frame that is partly written, and closes with this frame.
    pub fn close_now(self: &Arc<Self>, frame: Bytes) {
        let mut queue = self.queue.lock();
        let cut = queue.frames.pop_front().filter(|_| queue.is_cut);
        queue.frames.clear();
        queue.bytes = 0;
        queue.is_closing = false;
        queue.frames.extend(cut);
        queue.bytes = queue.frames.iter().map(Bytes::len).sum();
        drop(queue);
        self.close_after(frame);
    }

    /// Appends a frame, and writes it now or at the end of the running `batch_writes`.
    fn append(self: &Arc<Self>, queue: &mut Queue, mut frame: Bytes) {
        if queue.writer == Writer::Nobody {
            let is_listed = LISTED.with_borrow_mut(|listed| match listed {
                Some(listed) => {
                    listed.push(self.clone());
                    true
                }
                None => false,
            });
            if is_listed {
                queue.writer = Writer::Batch;
            } else if queue.frames.is_empty() {
                // The usual case needs no memory in the queue.
                match self.tcp.try_write(&frame) {
                    Ok(written) => {
                        self.backpressure.add_written(written as u64);
                        if written == frame.len() {
                            return;
                        }
                        queue.is_cut = written > 0;
                        frame.advance(written);
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(_) => {
                        queue.clear();
                        return self.backpressure.end();
                    }
                }
            }
        }
        queue.bytes += frame.len();
        queue.frames.push_back(frame);
        match queue.writer {
            Writer::Task => {}
            Writer::Batch if queue.bytes <= BATCH_BYTES => {}
            Writer::Batch | Writer::Nobody => self.write(queue),
        }
    }

    fn write_listed(self: &Arc<Self>) {
        let mut queue = self.queue.lock();
        if queue.writer == Writer::Batch {
            queue.writer = Writer::Nobody;
            self.write(&mut queue);
            if queue.writer == Writer::Nobody {
                queue.shrink();
                drop(queue);
                self.engine.wake();
            }
        }
    }

    /// Writes as much as the socket takes; a task writes the rest.
    fn write(self: &Arc<Self>, queue: &mut Queue) {
        if !self.try_write(queue) {
            queue.writer = Writer::Task;
            tokio::spawn(self.clone().drain());
        }
    }

    /// Writes as much as the socket takes. Returns whether nothing is left to wait for.
    fn try_write(&self, queue: &mut Queue) -> bool {
        while !queue.frames.is_empty() {
            let written = match queue.frames.make_contiguous() {
                [frame] => self.tcp.try_write(frame),
                frames => {
                    let mut slices = [IoSlice::new(&[]); MAX_SLICES];
                    let count = frames.len().min(MAX_SLICES);
                    for (slice, frame) in slices.iter_mut().zip(frames.iter()) {
                        *slice = IoSlice::new(frame);
                    }
                    self.tcp.try_write_vectored(&slices[..count])
                }
            };
            match written {
                Ok(written) => {
                    self.backpressure.add_written(written as u64);
                    queue.advance(written);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                Err(_) => {
                    queue.clear();
                    self.backpressure.end();
                    return true;
                }
            }
        }
        true
    }

    /// Writes the rest as the client reads. Ends with the connection, because its end shuts the socket down.
    async fn drain(self: Arc<Self>) {
        loop {
            let writable = self.tcp.writable().await;
            let mut queue = self.queue.lock();
            if writable.is_err() || self.backpressure.is_ended() {
                queue.clear();
            }
            let is_done = self.try_write(&mut queue);
            if is_done {
                queue.writer = Writer::Nobody;
                queue.shrink();
            }
            let engine_may_go_on = queue.bytes <= ENGINE_BACKLOG;
            drop(queue);
            if engine_may_go_on {
                self.engine.wake();
            }
            if is_done {
                return;
            }
        }
    }
}

impl Queue {
    /// Removes this many bytes from the front.
    fn advance(&mut self, mut written: usize) {
        self.bytes -= written;
        while let Some(first) = self.frames.front_mut() {
            if written < first.len() {
                self.is_cut |= written > 0;
                first.advance(written);
                return;
            }
            written -= first.len();
            self.is_cut = false;
            self.frames.pop_front();
        }
    }

    /// Frees the memory of a backlog, which an idle connection does not need.
    fn shrink(&mut self) {
        if self.frames.is_empty() && self.frames.capacity() > 8 {
            self.frames = VecDeque::new();
        }
    }

    fn clear(&mut self) {
        *self = Self { writer: self.writer, is_closing: true, ..Self::default() };
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::task::noop_waker;
    use tokio::io::AsyncReadExt;
    use tokio::net::{TcpListener, TcpStream};
    use tokio::time::{sleep, timeout};

    use super::*;

    /// Returns a queue, and the peer that reads what it writes.
    async fn queue() -> (Arc<WriteQueue>, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("listens");
        let address = listener.local_addr().expect("an address");
        let (peer, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
        let (stream, _) = accepted.expect("accepted");
        (WriteQueue::new(stream.into_split().1, Arc::default()), peer.expect("connects"))
    }

    async fn read(peer: &mut TcpStream, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        timeout(Duration::from_secs(5), peer.read_exact(&mut bytes)).await.expect("in time").expect("bytes");
        bytes
    }

    fn push_engine(queue: &Arc<WriteQueue>, frame: &[u8]) -> bool {
        queue.push_engine(frame, &Context::from_waker(&noop_waker()))
    }

    #[tokio::test]
    async fn a_batch_is_written_at_its_end_in_order() {
        let (queue, mut peer) = queue().await;
        let appended = batch_writes(|| {
            for number in 0..200_u8 {
                queue.push(Bytes::copy_from_slice(&[number]));
            }
            queue.queue.lock().frames.len()
        });
        assert_eq!(appended, 200, "nothing is written before the end");
        assert_eq!(read(&mut peer, 200).await, (0..200).collect::<Vec<u8>>());
    }

    #[tokio::test]
    async fn a_peer_that_reads_late_gets_every_byte_in_order() {
        let (queue, mut peer) = queue().await;
        let frame = |number: u32| Bytes::from(number.to_be_bytes().repeat(1_000));
        (0..2_000).for_each(|number| queue.push(frame(number)));
        assert_eq!(queue.queue.lock().writer, Writer::Task);
        assert!(!push_engine(&queue, b"engine"), "the engine waits behind a backlog");
        for number in 0..2_000 {
            assert_eq!(read(&mut peer, 4_000).await, frame(number), "{number}");
        }
        sleep(Duration::from_millis(20)).await;
        assert_eq!(queue.queue.lock().frames.capacity(), 0, "an idle queue keeps no memory");
        assert!(push_engine(&queue, b"engine"));
        assert_eq!(read(&mut peer, 6).await, b"engine");
    }

    #[tokio::test]
    async fn closing_now_ends_with_whole_frames() {
        let (queue, mut peer) = queue().await;
        (0..500).for_each(|_| queue.push(Bytes::from(vec![7; 100_000])));
        queue.close_now(Bytes::from_static(b"close"));
        queue.push(Bytes::from_static(b"never"));
        let mut bytes = Vec::new();
        let reading = timeout(Duration::from_millis(500), peer.read_to_end(&mut bytes)).await;
        assert!(reading.is_err(), "whoever closes ends the connection");
        assert_eq!(bytes.split_off(bytes.len() - 5), b"close");
        assert_eq!(bytes.len() % 100_000, 0);
        assert!(bytes.len() < 50_000_000, "queued frames are dropped");
    }

    #[tokio::test]
    async fn the_end_of_a_connection_frees_its_backlog() {
        let (queue, _peer) = queue().await;
        (0..500).for_each(|_| queue.push(Bytes::from(vec![7; 100_000])));
        queue.end();
        sleep(Duration::from_millis(50)).await;
        let state = queue.queue.lock();
        assert_eq!((state.frames.len(), state.bytes), (0, 0));
    }
}
