//! A photo of 12 megapixels, uploaded over HTTP and rendered as squares of 400, 100 and 50 pixels.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::server::Server;
use super::usage;
use crate::Result;
use crate::photo::picture;

/// Uploads, one after the other. The first one warms up.
const UPLOADS: usize = 11;

const BOUNDARY: &str = "mango-bench-boundary";

/// Uploads photos. Returns the median of the time, milliseconds, and by how much the peak of memory rose, MB.
pub fn measure(server: &Server) -> Result<(f64, f64)> {
    let jpeg = picture(4_000, 3_000)?;
    let endpoint = server.endpoint()?;
    let request = if server.is_ours() {
        let login = endpoint.logins.first().ok_or("the server has no accounts")?;
        let token = login.split("\"token\":\"").nth(1).and_then(|rest| rest.split('"').next());
        of_ours(token.ok_or("the login has no token")?, &jpeg)
    } else {
        let head = format!("POST /photo HTTP/1.1\r\nhost: bench\r\ncontent-length: {}\r\n\r\n", jpeg.len());
        [head.as_bytes(), &jpeg].concat()
    };
    let pid = server.pid()?;
    let before = usage::rss_kib(pid)?;
    // Begins a new peak.
    fs::write(format!("/proc/{pid}/clear_refs"), "5")?;
    let mut times = Vec::with_capacity(UPLOADS);
    for _ in 0..UPLOADS {
        times.push(upload(endpoint.address, &request)?.as_secs_f64() * 1e3);
    }
    times.remove(0);
    times.sort_by(f64::total_cmp);
    let median = times.get(times.len() / 2).copied().ok_or("nothing was uploaded")?;
    let rise = usage::peak_kib(pid)?.saturating_sub(before) as f64 * 1.024 / 1e3;
    Ok((median, rise))
}

fn of_ours(token: &str, jpeg: &[u8]) -> Vec<u8> {
    let first = format!(
        "--{BOUNDARY}\r\ncontent-disposition: form-data; name=\"image\"; filename=\"photo.jpg\"\r\n\
         content-type: image/jpeg\r\n\r\n"
    );
    let last = format!("\r\n--{BOUNDARY}--\r\n");
    let length = first.len() + jpeg.len() + last.len();
    let head = format!(
        "PUT /user/me/photo HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {token}\r\n\
         content-type: multipart/form-data; boundary={BOUNDARY}\r\ncontent-length: {length}\r\n\r\n"
    );
    [head.as_bytes(), first.as_bytes(), jpeg, last.as_bytes()].concat()
}

/// Sends a request and waits for the first bytes of a successful response.
fn upload(address: SocketAddr, request: &[u8]) -> Result<Duration> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    let began = Instant::now();
    stream.write_all(request)?;
    let mut response = [0; 1_024];
    let count = stream.read(&mut response)?;
    let took = began.elapsed();
    let response = String::from_utf8_lossy(response.get(..count).unwrap_or_default());
    if response.starts_with("HTTP/1.1 200") {
        return Ok(took);
    }
    Err(format!("the photo was answered with {}", response.lines().next().unwrap_or_default()).into())
}
