//! Decodes a picture into upright, opaque sRGB.
//!
//! JPEG is decoded by zune-jpeg directly. The `image` crate turns its strict mode off, so damage would become grey
//! areas.

use std::io::Cursor;

use image::codecs::gif::GifDecoder;
use image::codecs::png::PngDecoder;
use image::codecs::webp::WebPDecoder;
use image::metadata::Orientation;
use image::{ColorType, DynamicImage, GrayAlphaImage, GrayImage, ImageDecoder, RgbImage, Rgba, RgbaImage};
use moxcms::{ColorProfile, DataColorSpace};
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use super::container::{self, Kind};
use super::{ImageError, Limits, MAX_SIDE, colour};

/// Maximum number of scans of a progressive JPEG. Encoders write about ten; each costs a pass over the whole picture.
const MAX_SCANS: usize = 40;

/// Bytes that a PNG may unpack in addition to its pixels: colour profiles and texts.
const PNG_EXTRAS: u64 = 16 << 20;

/// One part in this many of a picture's rows may be missing at its end.
const MISSING_ROWS: usize = 50;

/// The value of rows that are not decoded. The decoder also writes it if a picture ends too early.
const UNDECODED: u8 = 128;

/// A decoded upload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Decoded {
    /// The colours.
    pub(super) picture: RgbImage,
    /// The upload itself without metadata, if it is a JPEG that shows exactly these colours.
    pub(super) original: Option<Vec<u8>>,
    /// Whether the picture was turned, so the upload shows it differently without its metadata.
    pub(super) is_turned: bool,
}

/// Decodes the first frame of a JPEG, PNG, WebP or GIF into sRGB, rotated by its EXIF orientation, with a white
/// background.
pub(super) fn decode(bytes: &[u8], limits: &Limits) -> Result<Decoded, ImageError> {
    match container::sniff(bytes)? {
        Kind::Jpeg => jpeg(bytes, limits),
        Kind::Png => png(bytes, limits),
        Kind::WebP => webp(bytes, limits),
        Kind::Gif => gif(bytes, limits),
    }
}

/// Estimates the bytes of memory that decoding and rendering need: the decoded pixels, and the copies for rotating,
/// converting and scaling.
///
/// # Errors
/// Returns the error already if the data is not a picture or is too large.
pub(super) fn cost(bytes: &[u8], limits: &Limits) -> Result<u64, ImageError> {
    limits.check_bytes(bytes.len())?;
    let ((width, height), per_pixel) = match container::sniff(bytes)? {
        // The decoder of a progressive JPEG keeps its coefficients.
        Kind::Jpeg => (container::jpeg(bytes, limits)?.size, 15),
        Kind::Png => (container::png(bytes, limits)?, 11),
        Kind::WebP => (
            WebPDecoder::new(Cursor::new(container::webp(bytes, limits)?))
                .map_err(ImageError::broken)?
                .dimensions(),
            11,
        ),
        Kind::Gif => (container::gif(bytes, limits)?, 11),
    };
    Ok(u64::from(width) * u64::from(height) * per_pixel)
}

fn jpeg(bytes: &[u8], limits: &Limits) -> Result<Decoded, ImageError> {
    let found = container::jpeg(bytes, limits)?;
    let (width, height) = found.size;
    let options = DecoderOptions::default()
        .set_strict_mode(true)
        .set_max_width(MAX_SIDE as usize)
        .set_max_height(MAX_SIDE as usize)
        .jpeg_set_max_scans(MAX_SCANS)
        .jpeg_set_out_colorspace(ColorSpace::RGB);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(found.clean.as_slice()), options);
    decoder.decode_headers().map_err(ImageError::broken)?;
    let profile = colour::profile(decoder.icc_profile());
    let stored = decoder.input_colorspace().unwrap_or(ColorSpace::YCbCr);
    // A profile describes the channels as they are stored.
    let channels = match (profile.as_ref().map(|profile| profile.color_space), stored) {
        (Some(DataColorSpace::Gray), ColorSpace::Luma) => ColorSpace::Luma,
        (Some(DataColorSpace::Cmyk), ColorSpace::CMYK | ColorSpace::YCCK) => stored,
        _ => ColorSpace::RGB,
    };
    decoder.set_options(options.jpeg_set_out_colorspace(channels));
    let row = width as usize * channels.num_components();
    let length = row * height as usize;
    if decoder.output_buffer_size() != Some(length) {
        return Err(ImageError::broken("the JPEG contradicts itself about its size"));
    }
    let mut pixels = vec![UNDECODED; length];
    let result = decoder.decode_into(&mut pixels);
    let is_whole = result.is_ok();
    if let Err(reason) = result
        && !complete(&mut pixels, row)
    {
        return Err(ImageError::broken(reason));
    }
    let upright = decoder.exif().map_or(Orientation::NoTransforms, |exif| orientation(exif));
    let shows_the_same = is_whole
        && profile.is_none()
        && upright == Orientation::NoTransforms
        && matches!(stored, ColorSpace::YCbCr | ColorSpace::Luma);
    let picture = match (channels, profile) {
        (ColorSpace::Luma, profile) => GrayImage::from_raw(width, height, pixels)
            .map(|grey| colour::to_srgb(DynamicImage::ImageLuma8(grey), profile.as_ref())),
        (ColorSpace::CMYK | ColorSpace::YCCK, Some(profile)) => {
            let inks = inks(pixels, channels);
            let colours = colour::inks_to_srgb(&inks, &profile).unwrap_or_else(|| without_profile(&inks));
            RgbImage::from_raw(width, height, colours).map(DynamicImage::ImageRgb8)
        }
        (_, profile) => RgbImage::from_raw(width, height, pixels)
            .map(|rgb| colour::to_srgb(DynamicImage::ImageRgb8(rgb), profile.as_ref())),
    };
    let picture = picture.ok_or_else(|| ImageError::broken("the JPEG has no pixels"))?;
    let original = if shows_the_same { found.without_metadata() } else { None };
    let is_turned = upright != Orientation::NoTransforms;
    Ok(Decoded { picture: turned(picture.into_rgb8(), upright), original, is_turned })
}

/// Fills missing rows with the last decoded row if only a small part is missing. Otherwise returns false.
fn complete(pixels: &mut [u8], row: usize) -> bool {
    let missing = pixels.rchunks_exact(row).take_while(|row| row.iter().all(|value| *value == UNDECODED));
    let missing = missing.count();
    let rows = pixels.len() / row;
    if missing * MISSING_ROWS > rows {
        return false;
    }
    let decoded = (rows - missing) * row;
    for start in (decoded..pixels.len()).step_by(row) {
        pixels.copy_within(decoded - row..decoded, start);
    }
    true
}

/// Converts stored values to amounts of ink. Adobe's programs store the inks inverted, or the first three as `YCbCr`
/// and not inverted, and browsers expect that.
fn inks(mut stored: Vec<u8>, channels: ColorSpace) -> Vec<u8> {
    let (pixels, _) = stored.as_chunks_mut::<4>();
    for [first, second, third, black] in pixels {
        if channels == ColorSpace::YCCK {
            // ITU-T T.871, section 7.
            let (luma, blue, red) =
                (f32::from(*first), f32::from(*second) - 128.0, f32::from(*third) - 128.0);
            *first = (luma + 1.402 * red).round() as u8;
            *second = (luma - 0.344_136 * blue - 0.714_136 * red).round() as u8;
            *third = (luma + 1.772 * blue).round() as u8;
        } else {
            [*first, *second, *third] = [*first, *second, *third].map(|ink| 255 - ink);
        }
        *black = 255 - *black;
    }
    stored
}

/// Converts inks to RGB without a profile.
fn without_profile(inks: &[u8]) -> Vec<u8> {
    let (pixels, _) = inks.as_chunks::<4>();
    let light = |ink: u8, black: u8| ((255 - u16::from(ink)) * (255 - u16::from(black)) / 255) as u8;
    pixels
        .iter()
        .flat_map(|[cyan, magenta, yellow, black]| [cyan, magenta, yellow].map(|ink| light(*ink, *black)))
        .collect()
}

fn gif(bytes: &[u8], limits: &Limits) -> Result<Decoded, ImageError> {
    let (width, height) = container::gif(bytes, limits)?;
    let mut allowed = image::Limits::default();
    // A frame that does not fill the canvas needs its own buffer.
    allowed.max_alloc = Some(limits.max_pixels * 4);
    allowed.max_image_width = Some(width);
    allowed.max_image_height = Some(height);
    let mut decoder = GifDecoder::new(Cursor::new(bytes)).map_err(ImageError::broken)?;
    decoder.set_limits(allowed).map_err(ImageError::broken)?;
    by_image(decoder)
}

fn png(bytes: &[u8], limits: &Limits) -> Result<Decoded, ImageError> {
    let (width, height) = container::png(bytes, limits)?;
    let mut allowed = image::Limits::default();
    // The decoder itself keeps only two rows of four 16-bit channels and the unpacked chunks.
    allowed.max_alloc = Some(PNG_EXTRAS + u64::from(width) * 16);
    allowed.max_image_width = Some(width);
    allowed.max_image_height = Some(height);
    let decoder = PngDecoder::with_limits(Cursor::new(bytes), allowed).map_err(ImageError::broken)?;
    if matches!(decoder.color_type(), ColorType::L16 | ColorType::La16 | ColorType::Rgb16 | ColorType::Rgba16)
    {
        return deep_png(bytes, decoder);
    }
    by_image(decoder)
}

/// Decodes a PNG with 16 bits per channel and narrows it row by row: the whole picture would take twice the memory.
fn deep_png(bytes: &[u8], mut about: PngDecoder<Cursor<&[u8]>>) -> Result<Decoded, ImageError> {
    let exif = about.exif_metadata().ok().flatten();
    let upright = exif.map_or(Orientation::NoTransforms, |exif| orientation(&exif));
    let profile = colour::profile(about.icc_profile().ok().flatten());
    let mut decoder =
        png::Decoder::new_with_limits(Cursor::new(bytes), png::Limits { bytes: PNG_EXTRAS as usize });
    decoder.set_transformations(png::Transformations::EXPAND | png::Transformations::STRIP_16);
    let mut reader = decoder.read_info().map_err(ImageError::broken)?;
    let length = reader.output_buffer_size().ok_or_else(|| ImageError::broken("the PNG is too large"))?;
    let mut pixels = vec![0; length];
    let frame = reader.next_frame(&mut pixels).map_err(ImageError::broken)?;
    pixels.truncate(frame.buffer_size());
    let (width, height) = (frame.width, frame.height);
    let picture = match frame.color_type {
        png::ColorType::Grayscale => GrayImage::from_raw(width, height, pixels).map(DynamicImage::ImageLuma8),
        png::ColorType::GrayscaleAlpha => {
            GrayAlphaImage::from_raw(width, height, pixels).map(DynamicImage::ImageLumaA8)
        }
        png::ColorType::Rgb => RgbImage::from_raw(width, height, pixels).map(DynamicImage::ImageRgb8),
        png::ColorType::Rgba => RgbaImage::from_raw(width, height, pixels).map(DynamicImage::ImageRgba8),
        png::ColorType::Indexed => None,
    };
    let picture = picture.ok_or_else(|| ImageError::broken("the PNG has no pixels"))?;
    Ok(finished(picture, upright, profile.as_ref()))
}

fn webp(bytes: &[u8], limits: &Limits) -> Result<Decoded, ImageError> {
    let picture = container::webp(bytes, limits)?;
    let mut decoder = WebPDecoder::new(Cursor::new(picture)).map_err(ImageError::broken)?;
    limits.check_size(decoder.dimensions())?;
    if decoder.has_animation() {
        // The first frame may not cover the canvas.
        decoder.set_background_color(Rgba([255; 4])).map_err(ImageError::broken)?;
    }
    by_image(decoder)
}

fn by_image(mut decoder: impl ImageDecoder) -> Result<Decoded, ImageError> {
    // Unreadable metadata is no reason to refuse a good picture.
    let exif = decoder.exif_metadata().ok().flatten();
    let upright = exif.map_or(Orientation::NoTransforms, |exif| orientation(&exif));
    let profile = colour::profile(decoder.icc_profile().ok().flatten());
    let picture = DynamicImage::from_decoder(decoder).map_err(ImageError::broken)?;
    Ok(finished(picture, upright, profile.as_ref()))
}

/// Converts a decoded picture to sRGB, lays it on white and rotates it.
fn finished(picture: DynamicImage, upright: Orientation, profile: Option<&ColorProfile>) -> Decoded {
    let picture = colour::to_srgb(picture, profile);
    let opaque =
        if picture.color().has_alpha() { on_white(&picture.into_rgba8()) } else { picture.into_rgb8() };
    let is_turned = upright != Orientation::NoTransforms;
    Decoded { picture: turned(opaque, upright), original: None, is_turned }
}

/// Returns the orientation in an EXIF block. Some encoders include the prefix that only belongs in JPEG.
fn orientation(exif: &[u8]) -> Orientation {
    let exif = exif.strip_prefix(b"Exif\0\0").unwrap_or(exif);
    Orientation::from_exif_chunk(exif).unwrap_or(Orientation::NoTransforms)
}

fn turned(picture: RgbImage, upright: Orientation) -> RgbImage {
    let mut picture = DynamicImage::ImageRgb8(picture);
    picture.apply_orientation(upright);
    picture.into_rgb8()
}

/// Blends a picture with alpha onto white, rounding to the nearest value.
fn on_white(picture: &image::RgbaImage) -> RgbImage {
    let mut opaque = RgbImage::new(picture.width(), picture.height());
    let (pixels, _) = picture.as_chunks::<4>();
    let (targets, _) = opaque.as_chunks_mut::<3>();
    for ([red, green, blue, alpha], target) in pixels.iter().zip(targets) {
        let alpha = u16::from(*alpha);
        let blend = |colour: u8| ((u16::from(colour) * alpha + 255 * (255 - alpha) + 127) / 255) as u8;
        *target = [blend(*red), blend(*green), blend(*blue)];
    }
    opaque
}
