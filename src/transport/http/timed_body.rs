//! Sets a deadline for the whole body of a request, however it is read. A client that sends a byte now and then would
//! otherwise hold a request, and its turn for a large body, forever.

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

/// How long a whole body may take to arrive.
pub const BODY_WITHIN: Duration = Duration::from_secs(30);

/// How long the file of a message may take: at 256 KiB per second, 25 MiB take less than two minutes.
const FILE_WITHIN: Duration = Duration::from_mins(5);

/// The error of a body that did not arrive in time.
#[derive(Clone, Copy, Debug)]
pub struct TooSlow;

impl fmt::Display for TooSlow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the body did not arrive in time")
    }
}

impl StdError for TooSlow {}

impl From<TooSlow> for Error {
    fn from(slow: TooSlow) -> Self {
        Self::new(Code::RequestTimeout, slow.to_string())
    }
}

/// Returns why a body could not be read: it was too slow, over its limit, or broke off in `field`.
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

/// Sets the deadline for the body of every request that has one.
pub async fn time(request: Request, next: Next) -> Response {
    if request.body().is_end_stream() {
        return next.run(request).await;
    }
    let is_file = request.uri().path().trim_end_matches('/').ends_with("/attachment");
    let end = Instant::now() + if is_file { FILE_WITHIN } else { BODY_WITHIN };
    let request = request.map(|inner| Body::new(TimedBody { inner, end, sleep: None }));
    next.run(request).await
}

/// A body and its deadline.
struct TimedBody {
    inner: Body,
    end: Instant,
    /// Created at the first wait, because most bodies arrive with their headers.
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
