//! Keeps the turn of a read until its response has been fetched: a client that reads slowly delays only its own further
//! reads, and cannot use up memory that other clients need.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use http_body::{Body as HttpBody, Frame, SizeHint};
use parking_lot::Mutex;

use crate::platform::limits::Turn;

/// Maximum bytes that the server buffers of a response at a time, so that the rest stays here.
const PIECE: usize = 16 * 1_024;

/// Where the extractor of a handler stores the turn of a request.
#[derive(Clone, Default)]
pub struct Slot(Arc<Mutex<Option<Turn>>>);

impl Slot {
    /// Stores the turn of the request.
    pub fn keep(&self, turn: Turn) {
        *self.0.lock() = Some(turn);
    }
}

/// Attaches the turn of a request to its response; see the module's documentation.
pub async fn hold(mut request: Request, next: Next) -> Response {
    let slot = Slot::default();
    request.extensions_mut().insert(slot.clone());
    let response = next.run(request).await;
    match slot.0.lock().take() {
        Some(turn) => response.map(|body| Body::new(Held { body, rest: Bytes::new(), _turn: turn })),
        None => response,
    }
}

/// A body in pieces, and the turn that is released with it.
struct Held {
    body: Body,
    rest: Bytes,
    _turn: Turn,
}

impl HttpBody for Held {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        while self.rest.is_empty() {
            let frame = match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => frame,
                other => return Poll::Ready(other),
            };
            match frame.into_data() {
                Ok(data) => self.rest = data,
                Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
            }
        }
        let length = self.rest.len().min(PIECE);
        Poll::Ready(Some(Ok(Frame::data(self.rest.split_to(length)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (inner, rest) = (self.body.size_hint(), self.rest.len() as u64);
        let mut hint = SizeHint::new();
        hint.set_lower(inner.lower() + rest);
        if let Some(upper) = inner.upper() {
            hint.set_upper(upper + rest);
        }
        hint
    }
}
