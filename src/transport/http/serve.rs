//! Serves connections: HTTP/1 with upgrades, time limits for slow headers and for idle connections, and a shutdown that
//! lets requests finish.
//!
//! It replaces `axum::serve`, which sets no time limits. hyper has one limit for both the headers of a request and the
//! wait for the next request. `HeaderTimer` distinguishes them by whether bytes have arrived, so that slow attackers
//! are cut off early and a proxy may keep its connections.

use std::convert::Infallible;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use axum::response::Response;
use hyper::body::Incoming;
use hyper::rt::{Sleep, Timer};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::{Service, ServiceExt};

use crate::realtime::backpressure::Backpressure;
use crate::transport::http::listener::{BackpressureListener, BackpressureStream, Peer};

/// How long the headers of a request may take to arrive.
const HEADERS_WITHIN: Duration = Duration::from_secs(10);

/// How long a connection may wait for its next request.
const IDLE_AT_MOST: Duration = Duration::from_secs(75);

/// Maximum buffer of one connection, bytes, headers included; larger headers are answered with 431.
const BUFFER: usize = 64 * 1_024;

/// Serves until `stop` is cancelled, then waits until the requests in progress have ended.
pub async fn serve<S>(listener: BackpressureListener, router: S, stop: CancellationToken)
where
    S: Service<Request, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    let connections = TaskTracker::new();
    loop {
        let (stream, peer) = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => break,
        };
        connections.spawn(connection(stream, peer, router.clone(), stop.clone()));
    }
    drop(listener);
    connections.close();
    connections.wait().await;
}

async fn connection<S>(stream: BackpressureStream, peer: Peer, router: S, stop: CancellationToken)
where
    S: Service<Request, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    let timer = HeaderTimer(peer.writes.backpressure().clone());
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(ConnectInfo(peer.clone()));
        router.clone().oneshot(request)
    });
    let serving = http1::Builder::new()
        .timer(timer)
        .header_read_timeout(HEADERS_WITHIN)
        .max_buf_size(BUFFER)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut serving = pin!(serving);
    let ended = tokio::select! {
        ended = serving.as_mut() => ended,
        () = stop.cancelled() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = ended {
        tracing::trace!(%error, "a connection broke");
    }
}

/// hyper's timer for one connection. hyper uses it for one purpose only: the timeout of a request's headers.
struct HeaderTimer(Arc<Backpressure>);

impl Timer for HeaderTimer {
    fn sleep(&self, _: Duration) -> Pin<Box<dyn Sleep>> {
        let read = self.0.read();
        let idle = read > 0;
        let patience = if idle { IDLE_AT_MOST } else { HEADERS_WITHIN };
        let sleep = Box::pin(tokio::time::sleep(patience));
        Box::pin(Patience { backpressure: self.0.clone(), read, idle, sleep })
    }

    fn sleep_until(&self, _: std::time::Instant) -> Pin<Box<dyn Sleep>> {
        self.sleep(HEADERS_WITHIN)
    }
}

/// Waits for the headers of a request: long for the first byte of a later request, short after it.
struct Patience {
    backpressure: Arc<Backpressure>,
    /// Number of bytes that had arrived when the wait began.
    read: u64,
    /// Whether nothing has arrived since.
    idle: bool,
    sleep: Pin<Box<tokio::time::Sleep>>,
}

impl Sleep for Patience {}

impl Future for Patience {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.idle && self.backpressure.read() > self.read {
            self.idle = false;
            self.sleep.as_mut().reset(tokio::time::Instant::now() + HEADERS_WITHIN);
        }
        self.sleep.as_mut().poll(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::Instant;

    #[tokio::test(start_paused = true)]
    async fn a_new_connection_has_ten_seconds_for_its_headers() {
        let started = Instant::now();
        HeaderTimer(Arc::default()).sleep(Duration::ZERO).await;
        assert_eq!(started.elapsed().as_secs(), HEADERS_WITHIN.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_was_served_may_wait_longer_until_something_comes() {
        let backpressure = Arc::<Backpressure>::default();
        backpressure.add_read(100);
        let started = Instant::now();
        HeaderTimer(backpressure.clone()).sleep(Duration::ZERO).await;
        assert_eq!(started.elapsed().as_secs(), IDLE_AT_MOST.as_secs());
        let started = Instant::now();
        let mut sleep = HeaderTimer(backpressure.clone()).sleep(Duration::ZERO);
        assert!(futures_util::poll!(&mut sleep).is_pending());
        tokio::time::sleep(Duration::from_secs(50)).await;
        backpressure.add_read(1);
        sleep.await;
        assert_eq!(started.elapsed().as_secs(), 50 + HEADERS_WITHIN.as_secs());
    }
}
