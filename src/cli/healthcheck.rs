//! `mango-chat healthcheck`: asks `/health/ready` over plain HTTP. One request needs no client library.

use std::net::Ipv4Addr;
use std::process::ExitCode;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::config::Settings;
use crate::error::{Error, Result};

const TIMEOUT: Duration = Duration::from_secs(5);

pub async fn run(settings: &Settings) -> Result<ExitCode> {
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
    let response = timeout(TIMEOUT, exchange)
        .await
        .map_err(|_| Error::unavailable("no answer within 5 seconds"))?
        .map_err(|error| Error::unavailable(format!("{address}: {error}")))?;
    let is_ready = response.starts_with("HTTP/1.1 200");
    Ok(if is_ready { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
