//! Bodies of requests have to come whole within a time, however they are read. A client that sends a byte now
//! and then would otherwise hold a request, and its turn for a large body, without end.

use std::error::Error as StdError;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::LengthLimitError;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::error::{Code, Error};

/// A body has to come whole within.
pub const BODY_WITHIN: Duration = Duration::from_secs(30);

/// It did not.
#[derive(Clone, Copy, Debug)]
pub struct TooSlow;

impl fmt::Display for TooSlow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the body did not arrive within {} s", BODY_WITHIN.as_secs())
    }
}

impl StdError for TooSlow {}

impl From<TooSlow> for Error {
    fn from(slow: TooSlow) -> Self {
        Self::new(Code::RequestTimeout, slow.to_string())
    }
}

/// What is wrong where a body could not be read: too slow, over its limit, or broken off in `field`.
pub fn unreadable(field: &str, error: &(dyn StdError + 'static)) -> Error {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if error.is::<TooSlow>() {
            return TooSlow.into();
        }
        if error.is::<LengthLimitError>() {
            return Error::field(Code::TooLarge, field, "is too large");
        }
        cause = error.source();
    }
    Error::invalid(field, format!("could not be read: {error}"))
}

/// Puts the clock on the body of every request that has one.
pub async fn time(request: Request, next: Next) -> Response {
    if request.body().is_end_stream() {
        return next.run(request).await;
    }
    let end = Instant::now() + BODY_WITHIN;
    let request = request.map(|inner| Body::new(TimedBody { inner, end, sleep: None }));
    next.run(request).await
}

/// A body and when it has to be there.
struct TimedBody {
    inner: Body,
    end: Instant,
    /// Set when it is first waited for: most bodies are there with their headers.
    sleep: Option<Pin<Box<Sleep>>>,
}

impl http_body::Body for TimedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.inner).poll_frame(cx) {
            return Poll::Ready(frame);
        }
        let end = self.end;
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(end)));
        sleep.as_mut().poll(cx).map(|()| Some(Err(axum::Error::new(TooSlow))))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
