//! Limits and clients that exceed them: token buckets, logins, sockets that do not authenticate, slow and endless
//! requests, forged addresses, and the headers that browsers act on.

mod addresses;
mod costs;
mod headers;
mod login;
mod rates;
mod slow;
mod sockets;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::TestApp;

/// Starts a server with rate limits on and these additional settings.
async fn limited(extra: &[(&str, &str)]) -> TestApp {
    let mut settings = vec![("RATE_LIMIT", "on")];
    settings.extend_from_slice(extra);
    TestApp::with(&settings).await
}

/// Sends a request over a bare connection and reads until the server closes it.
async fn bare(app: &TestApp, request: &str) -> String {
    let mut stream = TcpStream::connect(&app.host).await.expect("connects");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.expect("answered");
    String::from_utf8_lossy(&answer).into_owned()
}
