//! Tests of accepted and rejected pictures, and helpers that make them.
//!
//! Every sample is made in the test: there are no files, and each byte has a reason.

mod hostile;
mod pictures;
mod worker;

use std::fmt::Debug;
use std::io::Cursor;

use image::{DynamicImage, ImageFormat, Rgb, RgbImage};
use jpeg_encoder::{ColorType, Encoder};
use moxcms::ColorProfile;

use super::*;

const LIMITS: Limits = Limits { max_bytes: 8 << 20, max_pixels: 50_000_000 };

const RED: [u8; 3] = [230, 30, 30];

const GREEN: [u8; 3] = [30, 200, 30];

const BLUE: [u8; 3] = [30, 30, 230];

const YELLOW: [u8; 3] = [230, 220, 30];

fn ok<T, E: Debug>(result: Result<T, E>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("unexpected error: {error:?}"),
    }
}

/// A picture with red, green, blue and yellow quarters, in reading order.
fn quarters(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        Rgb(match (x < width / 2, y < height / 2) {
            (true, true) => RED,
            (false, true) => GREEN,
            (true, false) => BLUE,
            (false, false) => YELLOW,
        })
    })
}

/// A picture that does not compress well, so that truncating it removes pixels.
fn busy(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        let noise = (x.wrapping_mul(7919) ^ y.wrapping_mul(104_729)).wrapping_mul(2_654_435_761) >> 24;
        Rgb([noise as u8, (x * 255 / width) as u8, (y * 255 / height) as u8])
    })
}

fn jpeg_with(picture: &RgbImage, adjust: impl FnOnce(&mut Encoder<&mut Vec<u8>>)) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&mut bytes, 92);
    adjust(&mut encoder);
    ok(encoder.encode(picture.as_raw(), picture.width() as u16, picture.height() as u16, ColorType::Rgb));
    bytes
}

fn jpeg(picture: &RgbImage) -> Vec<u8> {
    jpeg_with(picture, |_| {})
}

fn encoded(picture: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    ok(picture.write_to(&mut bytes, format));
    bytes.into_inner()
}

fn icc(profile: &ColorProfile) -> Vec<u8> {
    ok(profile.encode())
}

/// A colour profile for inks that do not look like cyan, magenta, yellow and black: the first is red, the others are
/// invisible (ICC.1:2022, section 10.10: `lut8Type`).
fn ink_profile() -> Vec<u8> {
    let identity: Vec<u8> = (0..=255).collect();
    // CIELAB in 8 bits: white paper, and the red of sRGB.
    let table: Vec<u8> =
        (0..16).flat_map(|inks| if inks < 8 { [255, 128, 128] } else { [138, 209, 198] }).collect();
    let matrix: Vec<u8> =
        [1, 0, 0, 0, 1, 0, 0, 0, 1_u16].iter().flat_map(|one| [0, *one as u8, 0, 0]).collect();
    let lut =
        [b"mft1\0\0\0\0\x04\x03\x02\0".as_slice(), &matrix, &identity.repeat(4), &table, &identity.repeat(3)]
            .concat();
    let mut profile = vec![0; 128];
    profile[..4].copy_from_slice(&(144 + lut.len() as u32).to_be_bytes());
    profile[8..12].copy_from_slice(&[2, 0x40, 0, 0]);
    profile[12..24].copy_from_slice(b"prtrCMYKLab ");
    profile[36..40].copy_from_slice(b"acsp");
    profile[68..80].copy_from_slice(&[0, 0, 0xF6, 0xD6, 0, 1, 0, 0, 0, 0, 0xD3, 0x2D]);
    profile.extend([0, 0, 0, 1]);
    profile.extend(b"A2B0\0\0\0\x90");
    profile.extend((lut.len() as u32).to_be_bytes());
    profile.extend(lut);
    profile
}

/// A TIFF block with an orientation and a text that must be removed.
fn exif(orientation: u8) -> Vec<u8> {
    let mut block = b"II*\0\x08\0\0\0\x02\0".to_vec();
    block.extend([0x12, 0x01, 3, 0, 1, 0, 0, 0, orientation, 0, 0, 0]);
    block.extend([0x0E, 0x01, 2, 0, 20, 0, 0, 0, 38, 0, 0, 0, 0, 0, 0, 0]);
    block.extend(b"GPS 52.5163N 13.377E");
    block
}

fn original(rendered: &Rendered) -> RgbImage {
    ok(image::load_from_memory_with_format(&rendered.original_jpeg, ImageFormat::Jpeg)).into_rgb8()
}

fn square(webp: &[u8]) -> RgbImage {
    ok(image::load_from_memory_with_format(webp, ImageFormat::WebP)).into_rgb8()
}

#[track_caller]
fn assert_near(found: Rgb<u8>, expected: [u8; 3]) {
    let far = found.0.iter().zip(expected).any(|(one, other)| one.abs_diff(other) > 24);
    assert!(!far, "found {found:?}, expected {expected:?}");
}

/// Checks the four corners of the original and of the squares, in reading order.
#[track_caller]
fn assert_corners(rendered: &Rendered, corners: [[u8; 3]; 4]) {
    for picture in [
        original(rendered),
        square(&rendered.webp_400),
        square(&rendered.webp_100),
        square(&rendered.webp_50),
    ] {
        let (width, height) = picture.dimensions();
        let places = [(1, 1), (width - 2, 1), (1, height - 2), (width - 2, height - 2)];
        for ((x, y), expected) in places.into_iter().zip(corners) {
            assert_near(*picture.get_pixel(x, y), expected);
        }
    }
}

#[track_caller]
fn assert_broken(bytes: &[u8]) {
    let result = render(bytes, &LIMITS);
    assert!(matches!(result, Err(ImageError::Broken(_))), "{result:?}");
}

/// An animated WebP with one frame at (0, 0), made from the chunks of a still one.
fn animation(frame: &[u8], canvas: (u32, u32), size: (u32, u32)) -> Vec<u8> {
    let sides = |(width, height): (u32, u32)| {
        [&(width - 1).to_le_bytes()[..3], &(height - 1).to_le_bytes()[..3]].concat()
    };
    let body = [[0; 6].as_slice(), &sides(size), &[40, 0, 0, 0], frame].concat();
    let extended = [&[0x12, 0, 0, 0][..], &sides(canvas)].concat();
    riff(&[(b"VP8X", &extended), (b"ANIM", &[0; 6]), (b"ANMF", &body)])
}

fn riff(chunks: &[(&[u8; 4], &[u8])]) -> Vec<u8> {
    let mut body = b"WEBP".to_vec();
    for (name, content) in chunks {
        body.extend_from_slice(*name);
        body.extend((content.len() as u32).to_le_bytes());
        body.extend_from_slice(content);
        body.resize(body.len().next_multiple_of(2), 0);
    }
    [b"RIFF".as_slice(), &(body.len() as u32).to_le_bytes(), &body].concat()
}

/// A PNG with the given chunks and an end chunk.
fn png(chunks: &[(&[u8; 4], &[u8])]) -> Vec<u8> {
    let mut bytes = b"\x89PNG\r\n\x1a\n".to_vec();
    for (name, content) in chunks.iter().chain([&(b"IEND", [].as_slice())]) {
        let body = [name.as_slice(), content].concat();
        let sum = !body.iter().fold(u32::MAX, |sum, byte| {
            (0..8)
                .fold(sum ^ u32::from(*byte), |sum, _| sum >> 1 ^ if sum & 1 == 1 { 0xEDB8_8320 } else { 0 })
        });
        bytes.extend((content.len() as u32).to_be_bytes());
        bytes.extend(body);
        bytes.extend(sum.to_be_bytes());
    }
    bytes
}

/// A zlib stream that stores its content uncompressed.
fn zlib(content: &[u8]) -> Vec<u8> {
    let length = content.len() as u16;
    let (low, high) = content.iter().fold((1_u32, 0_u32), |(low, high), byte| {
        let low = (low + u32::from(*byte)) % 65_521;
        (low, (high + low) % 65_521)
    });
    let header = [[0x78, 0x01, 0x01].as_slice(), &length.to_le_bytes(), &(!length).to_le_bytes()].concat();
    [header.as_slice(), content, &(high << 16 | low).to_be_bytes()].concat()
}
