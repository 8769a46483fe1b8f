//! `mango-chat healthcheck`: asks `/health/ready` over plain HTTP. One request needs no client library.

use std::net::Ipv4Addr;
use std::process::ExitCode;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::config::Settings;

const TIMEOUT: Duration = Duration::from_secs(5);

/// Exits with 0 if the server is ready, with 1 if it is not or cannot be reached: Docker reserves all other codes.
#[expect(clippy::print_stderr, reason = "the output of this command")]
pub async fn run(settings: &Settings) -> ExitCode {
    let mut address = settings.bind;
    if address.ip().is_unspecified() {
        address.set_ip(Ipv4Addr::LOCALHOST.into());
    }
    let exchange = async {
        let mut stream = TcpStream::connect(address).await?;
        let request = format!("GET /health/ready HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut response = String::new();
        stream.read_to_string(&mut response).await?;
        std::io::Result::Ok(response)
    };
    let problem = match timeout(TIMEOUT, exchange).await {
        Ok(Ok(response)) if response.starts_with("HTTP/1.1 200") => return ExitCode::SUCCESS,
        Ok(Ok(response)) => response.lines().next().unwrap_or("no response").to_owned(),
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("no response within {TIMEOUT:?}"),
    };
    eprintln!("mango-chat: {address} is not ready: {problem}");
    ExitCode::FAILURE
}
