//! `photo`: the cost of a large photo, from the request to the answer that all its sizes are stored.

use std::time::Instant;

use clap::Args;
use jpeg_encoder::{ColorType, Encoder};
use serde_json::json;

use crate::Result;
use crate::people;
use crate::report::Report;

/// Options of `photo`.
#[derive(Args)]
pub struct Options {
    /// URL of the server.
    #[arg(long, default_value = "http://127.0.0.1:5000")]
    url: String,
    /// Width in pixels.
    #[arg(long, default_value_t = 4_000)]
    width: u16,
    /// Height in pixels.
    #[arg(long, default_value_t = 3_000)]
    height: u16,
    /// Uploads, one after the other.
    #[arg(long, default_value_t = 10)]
    times: usize,
    /// A name for this run in the output.
    #[arg(long)]
    label: Option<String>,
}

/// Runs the bench; returns whether every upload was accepted.
pub async fn run(options: Options) -> Result<bool> {
    let picture = picture(options.width, options.height)?;
    let person = people::register(&options.url, 1).await?.remove(0);
    let body = json!({"photo": base64(&picture)});
    let http = reqwest::Client::builder().no_proxy().build()?;
    let mut micros = Vec::with_capacity(options.times);
    let mut refused = 0;
    for _ in 0..options.times.max(1) {
        let began = Instant::now();
        let answer = http
            .put(format!("{}/user/me/photo", options.url))
            .bearer_auth(&person.token)
            .json(&body)
            .send()
            .await?;
        refused += i32::from(!answer.status().is_success());
        answer.bytes().await?;
        micros.push(u32::try_from(began.elapsed().as_micros()).unwrap_or(u32::MAX));
    }
    let mut report = Report::new("photo", options.label.as_deref());
    let pixels = f64::from(options.width) * f64::from(options.height) / 1e6;
    report.number("megapixels", pixels, "of the photo");
    report.number("megabytes", picture.len() as f64 / 1e6, "of the photo as JPEG");
    report.latency("photo", micros, "of one upload as base64: decode, four sizes, encode, store");
    report.number("refused", f64::from(refused), "should be 0: uploads that were not taken");
    Ok(report.finish(refused == 0))
}

/// Creates a JPEG with gradients and texture, which compresses like a photo.
fn picture(width: u16, height: u16) -> Result<Vec<u8>> {
    let mut pixels = Vec::with_capacity(usize::from(width) * usize::from(height) * 3);
    let mut state = 0x2545_f491_u32;
    for y in 0..u32::from(height) {
        for x in 0..u32::from(width) {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            let grain = (state & 15) as u8;
            pixels.extend([(x / 16) as u8 ^ grain, (y / 12) as u8 ^ grain, ((x + y) / 28) as u8 ^ grain]);
        }
    }
    let mut jpeg = Vec::new();
    Encoder::new(&mut jpeg, 85).encode(&pixels, width, height, ColorType::Rgb)?;
    Ok(jpeg)
}

/// Encodes standard base64; not worth a dependency.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let word =
            three.iter().fold(0_u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
        for place in 0..4 {
            let digit = DIGITS[(word >> (18 - 6 * place) & 63) as usize];
            text.push(if place <= three.len() { char::from(digit) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::base64;

    #[test]
    fn base64_is_padded_as_the_rfc_says() {
        for (plain, encoded) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")]
        {
            assert_eq!(base64(plain.as_bytes()), encoded);
        }
    }
}
