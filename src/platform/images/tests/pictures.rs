//! Valid pictures of every kind become upright, opaque and square, without their metadata.

use std::io::Cursor;

use image::codecs::gif::GifEncoder;
use image::codecs::jpeg::JpegDecoder;
use image::codecs::png::PngEncoder;
use image::codecs::webp::WebPEncoder;
use image::{
    DynamicImage, Frame, ImageBuffer, ImageDecoder, ImageEncoder, ImageFormat, Luma, LumaA, Rgb, RgbImage,
    Rgba, RgbaImage,
};
use jpeg_encoder::{ColorType, Encoder, SamplingFactor};
use moxcms::ColorProfile;

use super::*;

#[test]
fn the_four_pictures_have_their_promised_sizes_and_formats() {
    let rendered = ok(render(&jpeg(&quarters(120, 80)), &LIMITS));
    assert_eq!(original(&rendered).dimensions(), (120, 80));
    assert_eq!(square(&rendered.webp_400).dimensions(), (400, 400));
    assert_eq!(square(&rendered.webp_100).dimensions(), (100, 100));
    assert_eq!(square(&rendered.webp_50).dimensions(), (50, 50));
    assert_corners(&rendered, [RED, GREEN, BLUE, YELLOW]);
}

#[test]
fn all_eight_orientations_are_applied_in_all_formats_that_have_them() {
    let source = quarters(64, 48);
    let expected = [
        [RED, GREEN, BLUE, YELLOW],
        [GREEN, RED, YELLOW, BLUE],
        [YELLOW, BLUE, GREEN, RED],
        [BLUE, YELLOW, RED, GREEN],
        [RED, BLUE, GREEN, YELLOW],
        [BLUE, RED, YELLOW, GREEN],
        [YELLOW, GREEN, BLUE, RED],
        [GREEN, YELLOW, RED, BLUE],
    ];
    for (orientation, corners) in (1..=8).zip(expected) {
        let block = exif(orientation);
        let as_jpeg = jpeg_with(&source, |encoder| ok(encoder.add_exif_metadata(&block)));
        let (mut as_png, mut as_webp) = (Vec::new(), Vec::new());
        let mut encoder = PngEncoder::new(&mut as_png);
        ok(encoder.set_exif_metadata(block.clone()));
        ok(encoder.write_image(source.as_raw(), 64, 48, image::ExtendedColorType::Rgb8));
        let mut encoder = WebPEncoder::new_lossless(&mut as_webp);
        ok(encoder.set_exif_metadata([b"Exif\0\0".as_slice(), &block].concat()));
        ok(encoder.write_image(source.as_raw(), 64, 48, image::ExtendedColorType::Rgb8));
        for bytes in [as_jpeg, as_png, as_webp] {
            let rendered = ok(render(&bytes, &LIMITS));
            let size = if orientation > 4 { (48, 64) } else { (64, 48) };
            assert_eq!(original(&rendered).dimensions(), size);
            assert_corners(&rendered, corners);
        }
    }
}

#[test]
fn no_metadata_reaches_the_outputs() {
    let comment = b"<x:xmpmeta>GPS 52.5163N</x:xmpmeta>".to_vec();
    let bytes = jpeg_with(&busy(90, 60), |encoder| {
        ok(encoder.add_exif_metadata(&exif(6)));
        ok(encoder.add_app_segment(1, [b"http://ns.adobe.com/xap/1.0/\0".as_slice(), &comment].concat()));
        ok(encoder.add_icc_profile(b"a profile named GPS"));
    });
    let rendered = ok(render(&bytes, &LIMITS));
    for output in [&rendered.original_jpeg, &rendered.webp_400, &rendered.webp_100, &rendered.webp_50] {
        for trace in [b"Exif".as_slice(), b"EXIF", b"GPS", b"xmp", b"ICC", b"II*\0"] {
            assert!(!output.windows(trace.len()).any(|window| window == trace), "{trace:?} is left");
        }
    }
    let mut decoder = ok(JpegDecoder::new(Cursor::new(&rendered.original_jpeg)));
    assert_eq!(ok(decoder.exif_metadata()), None);
    assert_eq!(ok(decoder.icc_profile()), None);
}

#[test]
fn alpha_is_laid_on_white() {
    let half = RgbaImage::from_fn(80, 80, |x, _| Rgba(if x < 40 { [0, 0, 0, 0] } else { [0, 0, 0, 128] }));
    let grey = ImageBuffer::from_fn(80, 80, |x, _| LumaA([0, if x < 40 { 0 } else { 128_u8 }]));
    let wide = ImageBuffer::from_fn(80, 80, |x, _| Rgba([0, 0, 0, if x < 40 { 0 } else { 128 * 257_u16 }]));
    let pictures =
        [DynamicImage::ImageRgba8(half), DynamicImage::ImageLumaA8(grey), DynamicImage::ImageRgba16(wide)];
    for picture in pictures {
        for format in [ImageFormat::Png, ImageFormat::WebP] {
            let picture = if format == ImageFormat::WebP {
                DynamicImage::ImageRgba8(picture.to_rgba8())
            } else {
                picture.clone()
            };
            let rendered = ok(render(&encoded(&picture, format), &LIMITS));
            assert_corners(&rendered, [[255; 3], [127; 3], [255; 3], [127; 3]]);
        }
    }
}

#[test]
fn a_palette_with_transparency_works() {
    // Two bits per pixel: four pixels of colour 0, which is transparent, then four of colour 1.
    let rows = [0, 0x00, 0x55].repeat(8);
    let bytes = png(&[
        (b"IHDR", &[0, 0, 0, 8, 0, 0, 0, 8, 2, 3, 0, 0, 0]),
        (b"PLTE", &[0, 0, 0, 230, 30, 30, 30, 30, 230, 9, 9, 9]),
        (b"tRNS", &[0]),
        (b"IDAT", &zlib(&rows)),
    ]);
    let rendered = ok(render(&bytes, &LIMITS));
    let square = square(&rendered.webp_400);
    assert_near(*square.get_pixel(20, 200), [255; 3]);
    assert_near(*square.get_pixel(380, 200), RED);
}

#[test]
fn grey_sixteen_bit_and_cmyk_pictures_work() {
    let deep = ImageBuffer::from_fn(60, 60, |_, _| Rgb([230 * 257, 30 * 257, 30 * 257_u16]));
    let rendered = ok(render(&encoded(&DynamicImage::ImageRgb16(deep), ImageFormat::Png), &LIMITS));
    assert_corners(&rendered, [RED; 4]);
    let grey = ImageBuffer::from_pixel(60, 60, Luma([90 * 257_u16]));
    let rendered = ok(render(&encoded(&DynamicImage::ImageLuma16(grey), ImageFormat::Png), &LIMITS));
    assert_corners(&rendered, [[90; 3]; 4]);

    let mut luma = Vec::new();
    ok(Encoder::new(&mut luma, 90).encode(&[90; 60 * 60], 60, 60, ColorType::Luma));
    assert_corners(&ok(render(&luma, &LIMITS)), [[90; 3]; 4]);
    for kind in [ColorType::Cmyk, ColorType::CmykAsYcck] {
        let mut cmyk = Vec::new();
        ok(Encoder::new(&mut cmyk, 90).encode(&[0, 255, 255, 0].repeat(60 * 60), 60, 60, kind));
        assert_corners(&ok(render(&cmyk, &LIMITS)), [[255, 0, 0]; 4]);
    }
}

#[test]
fn colours_are_converted_from_the_embedded_profile_in_all_formats() {
    // The red, green and blue of sRGB in the other colour spaces, as given by CSS Color 4 and Adobe.
    let display_p3 = (ColorProfile::new_display_p3(), [[234, 51, 35], [117, 251, 76], [0, 0, 245]]);
    let adobe_rgb = (ColorProfile::new_adobe_rgb(), [[219, 0, 0], [144, 255, 60], [0, 0, 250]]);
    for (profile, stored) in [display_p3, adobe_rgb] {
        for (stored, seen) in stored.into_iter().zip([[255, 0, 0], [0, 255, 0], [0, 0, 255]]) {
            let rgb = RgbImage::from_pixel(48, 48, Rgb(stored));
            let rgba = DynamicImage::ImageRgb8(rgb.clone()).into_rgba8();
            let deep = DynamicImage::ImageRgb8(rgb.clone()).into_rgb16();
            let mut pictures = vec![jpeg_with(&rgb, |encoder| ok(encoder.add_icc_profile(&icc(&profile))))];
            for picture in [rgb.into(), rgba.into(), DynamicImage::ImageRgb16(deep)] {
                let mut bytes = Vec::new();
                let mut encoder = PngEncoder::new(&mut bytes);
                ok(encoder.set_icc_profile(icc(&profile)));
                ok(picture.write_with_encoder(encoder));
                pictures.push(bytes);
                if picture.color().bytes_per_pixel() < 6 {
                    let mut bytes = Vec::new();
                    let mut encoder = WebPEncoder::new_lossless(&mut bytes);
                    ok(encoder.set_icc_profile(icc(&profile)));
                    ok(picture.write_with_encoder(encoder));
                    pictures.push(bytes);
                }
            }
            for bytes in pictures {
                assert_corners(&ok(render(&bytes, &LIMITS)), [seen; 4]);
            }
        }
    }
}

#[test]
fn grey_is_converted_from_its_profile_too() {
    // A fifth of the light is half of the sRGB scale.
    let linear = icc(&ColorProfile::new_gray_with_gamma(1.0));
    let mut luma = Vec::new();
    let mut encoder = Encoder::new(&mut luma, 90);
    ok(encoder.add_icc_profile(&linear));
    ok(encoder.encode(&[55; 48 * 48], 48, 48, ColorType::Luma));
    let mut pictures = vec![luma];
    let grey = DynamicImage::ImageLuma8(ImageBuffer::from_pixel(48, 48, Luma([55])));
    let alpha = DynamicImage::ImageLumaA8(ImageBuffer::from_pixel(48, 48, LumaA([55, 255])));
    for picture in [grey, alpha] {
        let mut bytes = Vec::new();
        let mut encoder = PngEncoder::new(&mut bytes);
        ok(encoder.set_icc_profile(linear.clone()));
        ok(picture.write_with_encoder(encoder));
        pictures.push(bytes);
    }
    for bytes in pictures {
        assert_corners(&ok(render(&bytes, &LIMITS)), [[128; 3]; 4]);
    }
}

#[test]
fn inks_are_converted_from_their_profile() {
    for kind in [ColorType::Cmyk, ColorType::CmykAsYcck] {
        for (inks, seen) in [([255, 0, 0, 0], [255, 0, 0]), ([0, 255, 255, 255], [255; 3])] {
            let mut bytes = Vec::new();
            let mut encoder = Encoder::new(&mut bytes, 95);
            ok(encoder.add_icc_profile(&ink_profile()));
            ok(encoder.encode(&inks.repeat(48 * 48), 48, 48, kind));
            assert_corners(&ok(render(&bytes, &LIMITS)), [seen; 4]);
        }
    }
}

#[test]
fn a_profile_that_is_none_or_of_other_channels_is_ignored() {
    let grey = icc(&ColorProfile::new_gray_with_gamma(1.0));
    for profile in [b"no profile".to_vec(), grey, ink_profile()] {
        let bytes = jpeg_with(&quarters(48, 48), |encoder| ok(encoder.add_icc_profile(&profile)));
        assert_corners(&ok(render(&bytes, &LIMITS)), [RED, GREEN, BLUE, YELLOW]);
    }
    for kind in [ColorType::Cmyk, ColorType::CmykAsYcck] {
        let mut bytes = Vec::new();
        let mut encoder = Encoder::new(&mut bytes, 95);
        ok(encoder.add_icc_profile(&icc(&ColorProfile::new_display_p3())));
        ok(encoder.encode(&[0, 255, 255, 0].repeat(48 * 48), 48, 48, kind));
        assert_corners(&ok(render(&bytes, &LIMITS)), [[255, 0, 0]; 4]);
    }
}

#[test]
fn a_jpeg_without_an_end_marker_is_taken_when_it_is_complete_or_nearly_so() {
    let picture = busy(96, 1_600);
    let kinds = [
        jpeg(&picture),
        jpeg_with(&picture, |encoder| encoder.set_restart_interval(5)),
        jpeg_with(&picture, |encoder| encoder.set_progressive(true)),
        jpeg_with(&picture, |encoder| encoder.set_sampling_factor(SamplingFactor::F_2_2)),
    ];
    for bytes in &kinds {
        let whole = ok(decode::decode(bytes, &LIMITS));
        let without = &bytes[..bytes.len() - 2];
        for ending in [b"".as_slice(), &[0xFF], &[0xFF, 0xFF], b"SEFH\x6a\0\0\0", &[0xFF, 0xC9, 0xFF, 0xFF]] {
            let found = ok(decode::decode(&[without, ending].concat(), &LIMITS));
            assert!(found.picture == whole.picture, "{ending:?}");
        }
    }
    for bytes in [&kinds[0], &kinds[1], &kinds[3]] {
        let whole = ok(decode::decode(bytes, &LIMITS));
        let nearly = ok(decode::decode(&bytes[..bytes.len() - bytes.len() / 200], &LIMITS));
        assert_eq!(nearly.picture.dimensions(), whole.picture.dimensions());
        let rows = whole.picture.width() as usize * 3;
        assert!(
            nearly.picture.as_raw()[..1_550 * rows] == whole.picture.as_raw()[..1_550 * rows],
            "what is there is the same"
        );
        assert_broken(&bytes[..bytes.len() * 9 / 10]);
    }
}

#[test]
fn the_first_frame_of_a_gif_is_taken() {
    let first = DynamicImage::ImageRgb8(quarters(40, 40)).into_rgba8();
    let second = RgbaImage::from_pixel(40, 40, Rgba([9, 9, 9, 255]));
    let mut animated = Vec::new();
    let mut encoder = GifEncoder::new(&mut animated);
    ok(encoder.encode_frames([first.clone(), second].map(Frame::new)));
    drop(encoder);
    assert_corners(&ok(render(&animated, &LIMITS)), [RED, GREEN, BLUE, YELLOW]);
    let trailing = [animated.as_slice(), b"a trailer"].concat();
    assert_corners(&ok(render(&trailing, &LIMITS)), [RED, GREEN, BLUE, YELLOW]);
    // On a larger canvas, the rest is white.
    animated[6..10].copy_from_slice(&[80, 0, 80, 0]);
    assert_corners(&ok(render(&animated, &LIMITS)), [RED, [255; 3], [255; 3], [255; 3]]);

    let mut clear = first;
    for (x, y, pixel) in clear.enumerate_pixels_mut() {
        if x < 20 && y < 20 {
            *pixel = Rgba([0; 4]);
        }
    }
    let bytes = encoded(&DynamicImage::ImageRgba8(clear), ImageFormat::Gif);
    assert_corners(&ok(render(&bytes, &LIMITS)), [[255; 3], GREEN, BLUE, YELLOW]);
}

#[test]
fn the_first_frame_of_an_animation_is_taken() {
    let still = encoded(&DynamicImage::ImageRgb8(quarters(40, 40)), ImageFormat::WebP);
    let rendered = ok(render(&animation(&still[12..], (40, 40), (40, 40)), &LIMITS));
    assert_corners(&rendered, [RED, GREEN, BLUE, YELLOW]);
    // With a frame in the corner of a larger canvas, the rest is white.
    let rendered = ok(render(&animation(&still[12..], (80, 80), (40, 40)), &LIMITS));
    assert_corners(&rendered, [RED, [255; 3], [255; 3], [255; 3]]);

    let rows: Vec<u8> = quarters(40, 40)
        .rows()
        .flat_map(|row| [vec![0], row.flat_map(|pixel| pixel.0).collect()].concat())
        .collect();
    let control = |number: u8| {
        [[0, 0, 0, number].as_slice(), &[0, 0, 0, 40, 0, 0, 0, 40], &[0; 8], &[0, 1, 0, 1, 0, 0]].concat()
    };
    let bytes = png(&[
        (b"IHDR", &[0, 0, 0, 40, 0, 0, 0, 40, 8, 2, 0, 0, 0]),
        (b"acTL", &[0, 0, 0, 2, 0, 0, 0, 0]),
        (b"fcTL", &control(0)),
        (b"IDAT", &zlib(&rows)),
        (b"fcTL", &control(1)),
        (b"fdAT", &[[0, 0, 0, 2].as_slice(), &zlib(&[0; 40 * 121])].concat()),
    ]);
    assert_corners(&ok(render(&bytes, &LIMITS)), [RED, GREEN, BLUE, YELLOW]);
}

#[test]
fn tiny_and_stretched_pictures_work() {
    for (width, height) in [(1, 1), (65_535, 1), (1, 10_000), (2, 3), (17, 5)] {
        let picture = RgbImage::from_pixel(width, height, Rgb(RED));
        let dynamic = DynamicImage::ImageRgb8(picture.clone());
        let mut kinds = vec![jpeg(&picture), encoded(&dynamic, ImageFormat::Png)];
        // WebP supports no longer sides.
        if width < 16_384 {
            kinds.push(encoded(&dynamic, ImageFormat::WebP));
        }
        for bytes in kinds {
            let rendered = ok(render(&bytes, &LIMITS));
            assert_eq!(original(&rendered).dimensions(), (width, height));
            assert_near(*square(&rendered.webp_400).get_pixel(200, 200), RED);
        }
    }
}

#[test]
fn the_crop_is_central() {
    let stripes = RgbImage::from_fn(300, 100, |x, _| Rgb(if (100..200).contains(&x) { GREEN } else { RED }));
    let rendered = ok(render(&jpeg(&stripes), &LIMITS));
    assert_near(*square(&rendered.webp_400).get_pixel(8, 200), GREEN);
    assert_near(*square(&rendered.webp_400).get_pixel(391, 200), GREEN);
}

#[test]
fn stray_bytes_and_trailers_of_cameras_are_forgiven() {
    let bytes = jpeg(&quarters(40, 40));
    let table = bytes.windows(2).position(|pair| pair == [0xFF, 0xDB]).unwrap_or_default();
    let strays = [&bytes[..table], &[0, 1, 2, 3, 4, 5, 6, 7, 0xFF, 0xFF], &bytes[table..]].concat();
    assert_corners(&ok(render(&strays, &LIMITS)), [RED, GREEN, BLUE, YELLOW]);
    let trailer = [bytes.as_slice(), b"a film", &bytes].concat();
    assert_corners(&ok(render(&trailer, &LIMITS)), [RED, GREEN, BLUE, YELLOW]);
    let webp = encoded(&DynamicImage::ImageRgb8(quarters(40, 40)), ImageFormat::WebP);
    assert_corners(
        &ok(render(&[webp.as_slice(), b"EXIF\xF0\xFF\xFF\xFF"].concat(), &LIMITS)),
        [RED, GREEN, BLUE, YELLOW],
    );
}

/// Returns the codes of the segments of a JPEG before its compressed data.
fn segments(bytes: &[u8]) -> Vec<u8> {
    let (mut codes, mut at) = (Vec::new(), 2);
    while let Some([0xFF, code, high, low]) = bytes.get(at..at + 4) {
        codes.push(*code);
        at += 2 + usize::from(u16::from_be_bytes([*high, *low]));
        if *code == 0xDA {
            break;
        }
    }
    codes
}

#[test]
fn an_original_that_needs_no_change_keeps_its_compressed_data_and_loses_its_metadata() {
    let picture = busy(96, 64);
    for bytes in [
        jpeg(&picture),
        jpeg_with(&picture, |encoder| encoder.set_progressive(true)),
        jpeg_with(&picture, |encoder| encoder.set_restart_interval(5)),
    ] {
        let comment = [&[0xFF, 0xFE, 0, 8][..], b"secret"].concat();
        let exif = [&[0xFF, 0xE1, 0, 14][..], b"Exif\0\0secret"].concat();
        let preview = [&[0xFF, 0xE0, 0, 8][..], b"JFXX\0x"].concat();
        let with_metadata = [&bytes[..2], &comment, &exif, &bytes[2..], b"appended secret"].concat();
        let original = ok(render(&with_metadata, &LIMITS)).original_jpeg;
        assert!(!original.windows(6).any(|it| it == b"secret"));
        assert!(segments(&original).iter().all(|code| !matches!(code, 0xE1..=0xED | 0xFE)));
        let decoded = ok(decode::decode(&original, &LIMITS)).picture;
        assert!(decoded == ok(decode::decode(&bytes, &LIMITS)).picture, "not one value changes");
        // A segment that may hide something: encoded again.
        let unusual = ok(render(&[&bytes[..2], &preview, &bytes[2..]].concat(), &LIMITS)).original_jpeg;
        assert!(unusual != original && !unusual.windows(4).any(|it| it == b"JFXX"));
    }
}
