//! Damaged, hostile and random input is refused with the right error, cheaply and without a panic.

use image::{DynamicImage, GrayImage, ImageFormat, RgbImage};
use jpeg_encoder::SamplingFactor;
use proptest::prelude::*;

use super::*;

/// A lossy WebP chunk that claims a size and has no content.
fn empty_vp8(side: u16) -> Vec<u8> {
    [[0x10, 0, 0, 0x9D, 0x01, 0x2A].as_slice(), &side.to_le_bytes(), &side.to_le_bytes(), &[0; 40]].concat()
}

#[test]
fn a_truncated_jpeg_is_refused_even_with_an_end_marker_glued_on() {
    let picture = busy(200, 150);
    let kinds = [
        jpeg(&picture),
        jpeg_with(&picture, |encoder| encoder.set_restart_interval(5)),
        jpeg_with(&picture, |encoder| encoder.set_progressive(true)),
        jpeg_with(&picture, |encoder| {
            encoder.set_sampling_factor(SamplingFactor::F_1_1);
        }),
    ];
    for bytes in &kinds {
        ok(render(bytes, &LIMITS));
        for length in [bytes.len() / 2, bytes.len() * 9 / 10, bytes.len() - 20] {
            assert_broken(&bytes[..length]);
        }
    }
    for bytes in &kinds[..2] {
        for length in [bytes.len() / 2, bytes.len() * 9 / 10] {
            assert_broken(&[&bytes[..length], &[0xFF, 0xD9]].concat());
        }
    }
    let first_scan = kinds[2].windows(2).position(|pair| pair == [0xFF, 0xDA]).unwrap_or_default();
    assert_broken(&[&kinds[2][..first_scan + 60], &[0xFF, 0xD9]].concat());
}

#[test]
fn truncated_png_webp_and_gif_are_refused() {
    let picture = DynamicImage::ImageRgb8(busy(120, 90));
    let lossless = encoded(&picture, ImageFormat::WebP);
    let lossy = webp::Encoder::from_rgb(picture.as_bytes(), 120, 90).encode(80.0).to_vec();
    let animated = animation(&lossless[12..], (120, 90), (120, 90));
    let gif = encoded(&picture, ImageFormat::Gif);
    let pictures = [encoded(&picture, ImageFormat::Png), lossless, lossy, animated, gif];
    for bytes in pictures {
        ok(render(&bytes, &LIMITS));
        for length in [bytes.len() / 2, bytes.len() * 9 / 10, bytes.len() - 10] {
            assert_broken(&bytes[..length]);
        }
    }
}

#[test]
fn a_gigapixel_is_refused_by_its_header() {
    let too_many = Err(ImageError::TooManyPixels { max: LIMITS.max_pixels });

    let mut png = encoded(&DynamicImage::ImageRgb8(quarters(4, 4)), ImageFormat::Png);
    png[16..24].copy_from_slice(&[0, 0, 0x80, 0, 0, 0, 0x80, 0]);
    assert_eq!(render(&png, &LIMITS), too_many);

    let mut jpeg = jpeg(&quarters(16, 16));
    let frame = jpeg.windows(2).position(|pair| pair == [0xFF, 0xC0]).unwrap_or_default();
    jpeg[frame + 5..frame + 9].copy_from_slice(&[0x80, 0, 0x80, 0]);
    assert_eq!(render(&jpeg, &LIMITS), too_many);

    let canvas = [0, 0, 0, 0, 0xFF, 0x7F, 0, 0xFF, 0x7F, 0];
    assert_eq!(render(&riff(&[(b"VP8X", &canvas), (b"VP8 ", &empty_vp8(16))]), &LIMITS), too_many);
    assert_eq!(render(&riff(&[(b"VP8 ", &empty_vp8(16_383))]), &LIMITS), too_many);
    assert_eq!(render(&riff(&[(b"VP8L", &[0x2F, 0xFF, 0xFF, 0xFF, 0x0F, 0, 0, 0])]), &LIMITS), too_many);

    let mut gif = encoded(&DynamicImage::ImageRgb8(quarters(4, 4)), ImageFormat::Gif);
    gif[6..10].copy_from_slice(&[0xFF; 4]);
    assert_eq!(render(&gif, &LIMITS), too_many);

    // The same, hidden inside a canvas of one pixel.
    let large = empty_vp8(16_383);
    assert_eq!(render(&riff(&[(b"VP8X", &[0; 10]), (b"VP8 ", &large)]), &LIMITS), too_many);
    let chunk = riff(&[(b"VP8 ", &large)]);
    assert_eq!(render(&animation(&chunk[12..], (1, 1), (1, 1)), &LIMITS), too_many);
    let mut gif = encoded(&DynamicImage::ImageRgb8(quarters(4, 4)), ImageFormat::Gif);
    let frame = gif.windows(5).position(|bytes| bytes == [0x2C, 0, 0, 0, 0]).unwrap_or_default();
    gif[frame + 5..frame + 9].copy_from_slice(&[0xFF; 4]);
    assert_broken(&gif);
}

#[test]
fn a_chunk_that_claims_gigabytes_costs_nothing() {
    let still = webp::Encoder::from_rgb(quarters(16, 16).as_raw(), 16, 16).encode(80.0).to_vec();
    let extended = [8, 0, 0, 0, 15, 0, 0, 15, 0, 0];
    let mut bytes = riff(&[(b"VP8X", &extended), (b"VP8 ", &still[20..]), (b"EXIF", &exif(1))]);
    ok(render(&bytes, &LIMITS));
    let at = bytes.windows(4).position(|name| name == b"EXIF").unwrap_or_default() + 4;
    bytes[at..at + 4].copy_from_slice(&0xFFFF_FFF0_u32.to_le_bytes());
    assert_broken(&bytes);
}

#[test]
fn a_side_longer_than_jpeg_can_count_is_refused() {
    let long = DynamicImage::ImageLuma8(GrayImage::new(70_000, 1));
    let result = render(&encoded(&long, ImageFormat::Png), &LIMITS);
    assert_eq!(result, Err(ImageError::SideTooLong { max: MAX_SIDE }));
}

#[test]
fn what_is_no_picture_is_called_so() {
    for text in [
        b"hello, I am a photo".as_slice(),
        b"",
        b"GIF90a\x01\0\x01\0",
        b"<html/>",
        b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom",
        b"RIFF\0\0\0\0WAVE",
        &[0xFF, 0xD8],
    ] {
        assert_eq!(render(text, &LIMITS), Err(ImageError::NotAnImage));
    }
    for start in [
        b"\x89PNG\r\n\x1a\n".as_slice(),
        b"RIFF\x04\0\0\0WEBP",
        b"GIF89a",
        b"GIF89a\0\0\x01\0\0\0\0",
        b"GIF89a\x01\0\x01\0\0\0\0;",
        &[0xFF, 0xD8, 0xFF],
        &[0xFF, 0xD8, 0xFF, 0xD9],
    ] {
        assert_broken(start);
    }
}

#[test]
fn formats_that_people_have_and_that_are_not_taken_are_called_by_name() {
    for (bytes, format) in [
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic".as_slice(), "HEIC"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic", "HEIC"),
        (b"\0\0\0\x1cftypmif1\0\0\0\0mif1avifmiaf", "AVIF"),
        (b"\0\0\0\x20ftypavif\0\0\0\0avifmif1miafMA1B", "AVIF"),
        (b"BM\x46\0\0\0\0\0\0\0", "BMP"),
        (b"II*\0\x08\0\0\0", "TIFF"),
        (b"MM\0*\0\0\0\x08", "TIFF"),
        (&[0xFF, 0x0A, 0xFA], "JPEG XL"),
        (b"<svg/>", "SVG"),
        (b"\xEF\xBB\xBF \n<?xml version=\"1.0\"?>\n<!-- drawn --><svg xmlns=\"http://www.w3.org/2000/svg\"/>", "SVG"),
    ] {
        let refused = render(bytes, &LIMITS).map(drop).unwrap_err().to_string();
        assert_eq!(refused, format!("{format} pictures are not accepted: send a JPEG, PNG, WebP or GIF."));
    }
}

#[test]
fn too_many_bytes_are_refused() {
    let bytes = jpeg(&busy(50, 50));
    let limits = Limits { max_bytes: bytes.len() - 1, ..LIMITS };
    assert_eq!(render(&bytes, &limits), Err(ImageError::TooManyBytes { max: bytes.len() - 1 }));
    ok(render(&bytes, &Limits { max_bytes: bytes.len(), ..LIMITS }));
}

/// Small valid pictures of every kind, to be damaged.
fn samples() -> Vec<Vec<u8>> {
    let picture = busy(40, 30);
    let dynamic = DynamicImage::ImageRgb8(picture.clone());
    let alpha = DynamicImage::ImageRgba8(dynamic.to_rgba8());
    let lossy = webp::Encoder::from_rgba(alpha.as_bytes(), 40, 30).encode(80.0).to_vec();
    let lossless = encoded(&alpha, ImageFormat::WebP);
    vec![
        jpeg(&picture),
        jpeg_with(&picture, |encoder| encoder.set_progressive(true)),
        jpeg_with(&picture, |encoder| encoder.set_restart_interval(3)),
        encoded(&dynamic, ImageFormat::Png),
        encoded(&alpha, ImageFormat::Png),
        animation(&lossless[12..], (40, 30), (40, 30)),
        animation(&lossy[12..], (40, 30), (40, 30)),
        lossy,
        lossless,
        encoded(&alpha, ImageFormat::Gif),
        jpeg_with(&picture, |encoder| ok(encoder.add_icc_profile(&icc(&ColorProfile::new_display_p3())))),
        jpeg_with(&picture, |encoder| ok(encoder.add_icc_profile(&ink_profile()))),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn noise_never_panics(head in 0_usize..6, noise in prop::collection::vec(any::<u8>(), 0..600)) {
        let heads = [b"".as_slice(), &[0xFF, 0xD8, 0xFF], b"\x89PNG\r\n\x1a\n\0\0\0\x0DIHDR", b"RIFF\0\x01\0\0WEBPVP8X", b"RIFF\0\x01\0\0WEBPVP8 ", b"GIF89a"];
        let bytes = [heads[head], &noise].concat();
        // Not through `render`, whose `catch_unwind` would hide a panic of the decoders.
        let _ = decode::decode(&bytes, &Limits { max_bytes: 1 << 20, max_pixels: 1 << 20 });
        let _ = from_base64(&String::from_utf8_lossy(&noise), &LIMITS);
    }

    #[test]
    fn damaged_pictures_never_panic(
        which in 0_usize..12,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut bytes = samples().swap_remove(which);
        for (place, value) in changes {
            let at = place.index(bytes.len());
            bytes[at] = value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        let _ = render(&bytes, &Limits { max_bytes: 1 << 20, max_pixels: 1 << 20 });
    }

    #[test]
    fn every_complete_jpeg_is_accepted_with_an_end_marker_and_without(
        width in 1_u32..70, height in 1_u32..70, flat in any::<bool>(), progressive in any::<bool>(),
        full_colour in any::<bool>(), interval in 0_u16..9,
    ) {
        let picture = if flat { RgbImage::new(width, height) } else { busy(width, height) };
        let bytes = jpeg_with(&picture, |encoder| {
            encoder.set_progressive(progressive);
            encoder.set_restart_interval(interval);
            encoder.set_sampling_factor(if full_colour { SamplingFactor::F_1_1 } else { SamplingFactor::F_2_2 });
        });
        let whole = decode::decode(&bytes, &LIMITS);
        prop_assert!(whole.is_ok());
        let without = decode::decode(&bytes[..bytes.len() - 2], &LIMITS);
        prop_assert_eq!(without.map(|it| it.picture), whole.map(|it| it.picture));
    }
}
