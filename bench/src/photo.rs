//! `photo`: the cost of a large photo, from the request until the response, when all its sizes are stored.

use std::time::Instant;

use clap::Args;
use jpeg_encoder::{ColorType, Encoder};
use serde_json::json;

use crate::Result;
use crate::report::Report;
use crate::users;

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
    let user = users::register(&options.url, 1).await?.remove(0);
    let body = json!({"photo": base64(&picture)});
    let http = reqwest::Client::builder().no_proxy().build()?;
    let mut micros = Vec::with_capacity(options.times);
    let mut rejected = 0;
    for _ in 0..options.times.max(1) {
        let start = Instant::now();
        let response = http
            .put(format!("{}/user/me/photo", options.url))
            .bearer_auth(&user.token)
            .json(&body)
            .send()
            .await?;
        rejected += i32::from(!response.status().is_success());
        response.bytes().await?;
        micros.push(u32::try_from(start.elapsed().as_micros()).unwrap_or(u32::MAX));
    }
    let mut report = Report::new("photo", options.label.as_deref());
    let pixels = f64::from(options.width) * f64::from(options.height) / 1e6;
    report.number("megapixels", pixels, "of the photo");
    report.number("megabytes", picture.len() as f64 / 1e6, "of the photo as JPEG");
    report.latency("photo", micros, "of one upload as base64: decode, resize to four sizes, encode, store");
    report.number("refused", f64::from(rejected), "should be 0: uploads that were rejected");
    Ok(report.finish(rejected == 0))
}

/// Creates a JPEG with gradients and texture, which compresses like a photo.
pub fn picture(width: u16, height: u16) -> Result<Vec<u8>> {
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

/// Encodes standard base64; a dependency would not be worth it.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let word =
            three.iter().fold(0_u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
        for position in 0..4 {
            let digit = DIGITS[(word >> (18 - 6 * position) & 63) as usize];
            text.push(if position <= three.len() { char::from(digit) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::base64;

    #[test]
    fn base64_matches_the_test_vectors_of_rfc_4648() {
        for (plain, encoded) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")]
        {
            assert_eq!(base64(plain.as_bytes()), encoded);
        }
    }
}
