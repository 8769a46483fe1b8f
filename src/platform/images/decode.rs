//! Decodes a picture into upright, opaque RGB.
//!
//! JPEG goes to zune-jpeg itself instead of through `image`, which switches its strict mode off and thereby turns
//! damage into grey areas.

use std::io::Cursor;

use image::codecs::png::PngDecoder;
use image::codecs::webp::WebPDecoder;
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, RgbImage, Rgba};
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use super::container::{self, Kind};
use super::{ImageError, Limits, MAX_SIDE};

/// Scans a progressive JPEG may have. Encoders write about ten; each one costs a pass over the whole picture.
const MAX_SCANS: usize = 40;

/// What a PNG may additionally unpack next to its pixels: colour profiles and texts.
const PNG_EXTRAS: u64 = 16 << 20;

/// Decodes the first frame of a JPEG, PNG or WebP, turned upright by its EXIF orientation, transparent parts on
/// white.
pub(super) fn decode(bytes: &[u8], limits: &Limits) -> Result<RgbImage, ImageError> {
    match container::sniff(bytes)? {
        Kind::Jpeg => jpeg(bytes, limits),
        Kind::Png => png(bytes, limits),
        Kind::WebP => webp(bytes, limits),
    }
}

fn jpeg(bytes: &[u8], limits: &Limits) -> Result<RgbImage, ImageError> {
    let found = container::jpeg(bytes, limits)?;
    let options = DecoderOptions::default()
        .set_strict_mode(true)
        .set_max_width(MAX_SIDE as usize)
        .set_max_height(MAX_SIDE as usize)
        .jpeg_set_max_scans(MAX_SCANS)
        .jpeg_set_out_colorspace(ColorSpace::RGB);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(found.clean.as_slice()), options);
    decoder.decode_headers().map_err(ImageError::broken)?;
    let (width, height) = found.size;
    let length = width as usize * height as usize * 3;
    if decoder.output_buffer_size() != Some(length) {
        return Err(ImageError::broken("the JPEG contradicts itself about its size"));
    }
    let mut pixels = vec![0; length];
    decoder.decode_into(&mut pixels).map_err(ImageError::broken)?;
    let upright = decoder.exif().map_or(Orientation::NoTransforms, |exif| orientation(exif));
    let picture = RgbImage::from_raw(width, height, pixels);
    Ok(turned(picture.ok_or_else(|| ImageError::broken("the JPEG has no pixels"))?, upright))
}

fn png(bytes: &[u8], limits: &Limits) -> Result<RgbImage, ImageError> {
    let (width, height) = container::png(bytes, limits)?;
    let mut allowed = image::Limits::default();
    // Two rows of four 16-bit channels and the unpacked chunks are all the decoder keeps for itself.
    allowed.max_alloc = Some(PNG_EXTRAS + u64::from(width) * 16);
    allowed.max_image_width = Some(width);
    allowed.max_image_height = Some(height);
    let decoder = PngDecoder::with_limits(Cursor::new(bytes), allowed).map_err(ImageError::broken)?;
    by_image(decoder)
}

fn webp(bytes: &[u8], limits: &Limits) -> Result<RgbImage, ImageError> {
    let picture = container::webp(bytes, limits)?;
    let mut decoder = WebPDecoder::new(Cursor::new(picture)).map_err(ImageError::broken)?;
    limits.check_size(decoder.dimensions())?;
    if decoder.has_animation() {
        // The first frame need not cover the canvas.
        decoder.set_background_color(Rgba([255; 4])).map_err(ImageError::broken)?;
    }
    by_image(decoder)
}

fn by_image(mut decoder: impl ImageDecoder) -> Result<RgbImage, ImageError> {
    // Unreadable metadata is no reason to refuse a good picture.
    let exif = decoder.exif_metadata().ok().flatten();
    let upright = exif.map_or(Orientation::NoTransforms, |exif| orientation(&exif));
    let picture = DynamicImage::from_decoder(decoder).map_err(ImageError::broken)?;
    let opaque =
        if picture.color().has_alpha() { on_white(&picture.into_rgba8()) } else { picture.into_rgb8() };
    Ok(turned(opaque, upright))
}

/// The orientation in an EXIF block; some writers leave the prefix on that belongs to JPEG only.
fn orientation(exif: &[u8]) -> Orientation {
    let exif = exif.strip_prefix(b"Exif\0\0").unwrap_or(exif);
    Orientation::from_exif_chunk(exif).unwrap_or(Orientation::NoTransforms)
}

fn turned(picture: RgbImage, upright: Orientation) -> RgbImage {
    let mut picture = DynamicImage::ImageRgb8(picture);
    picture.apply_orientation(upright);
    picture.into_rgb8()
}

/// Lays a picture with alpha onto white, rounding to the nearest value.
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
