//! Crops, scales and encodes the pictures that are served. The input is only colours and compressed data, so no metadata
//! can reach the output.

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use image::RgbImage;
use jpeg_encoder::{ChromaSubsamplingMethod, ColorType, SamplingFactor};

use super::decode::Decoded;
use super::{ImageError, MAX_SIDE};

/// Quality of the stored original: no visible difference, and about half the bytes of quality 95.
const JPEG_QUALITY: u8 = 90;

/// Quality of the square pictures.
const WEBP_QUALITY: f32 = 80.0;

/// The four pictures made from one upload. None carries metadata.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    /// The whole picture, upright and at full size, as JPEG.
    pub original_jpeg: Vec<u8>,
    /// Its central square, 400 by 400 pixels, as lossy WebP.
    pub webp_400: Vec<u8>,
    /// The same square, 100 by 100 pixels.
    pub webp_100: Vec<u8>,
    /// The same square, 50 by 50 pixels.
    pub webp_50: Vec<u8>,
}

/// Renders all four. The small squares are scaled from the large one: a hundredth of the work and no visible loss. An
/// original that needs no change is not encoded again.
pub(super) fn render(decoded: Decoded) -> Result<Rendered, ImageError> {
    let Decoded { picture, original, .. } = decoded;
    let (width, height) = picture.dimensions();
    let whole =
        ImageRef::new(width, height, picture.as_raw(), PixelType::U8x3).map_err(ImageError::broken)?;
    let square = scale(&whole, 400)?;
    Ok(Rendered {
        original_jpeg: original.map_or_else(|| jpeg(&picture), Ok)?,
        webp_400: webp(&square)?,
        webp_100: webp(&scale(&square, 100)?)?,
        webp_50: webp(&scale(&square, 50)?)?,
    })
}

/// Scales the central square of a picture to the given side length, without copying the crop first.
fn scale(source: &impl fast_image_resize::IntoImageView, side: u32) -> Result<Image<'static>, ImageError> {
    let (width, height) = (f64::from(source.width()), f64::from(source.height()));
    let shorter = width.min(height);
    let (left, top) = (((width - shorter) / 2.0).floor(), ((height - shorter) / 2.0).floor());
    let options = ResizeOptions::new()
        .resize_alg(ResizeAlg::Convolution(FilterType::Lanczos3))
        .crop(left, top, shorter, shorter);
    let mut target = Image::new(side, side, PixelType::U8x3);
    Resizer::new().resize(source, &mut target, &options).map_err(ImageError::broken)?;
    Ok(target)
}

/// Encodes a picture as JPEG.
pub(super) fn jpeg(picture: &RgbImage) -> Result<Vec<u8>, ImageError> {
    let side = |length: u32| u16::try_from(length).map_err(|_| ImageError::SideTooLong { max: MAX_SIDE });
    let (width, height) = (side(picture.width())?, side(picture.height())?);
    let mut bytes = Vec::with_capacity(picture.len() / 8);
    let mut encoder = jpeg_encoder::Encoder::new(&mut bytes, JPEG_QUALITY);
    encoder.set_sampling_factor(SamplingFactor::F_2_2);
    // The default keeps one of four chroma values, which shows as steps along red edges.
    encoder.set_chroma_subsampling_method(ChromaSubsamplingMethod::Average);
    encoder.encode(picture.as_raw(), width, height, ColorType::Rgb).map_err(ImageError::broken)?;
    Ok(bytes)
}

/// Encodes a picture as lossy WebP.
pub(super) fn webp(square: &Image<'_>) -> Result<Vec<u8>, ImageError> {
    let encoder = webp::Encoder::from_rgb(square.buffer(), square.width(), square.height());
    let result = encoder.encode_simple(false, WEBP_QUALITY);
    // The encoder's memory belongs to libwebp and cannot be sent to another thread, so it is copied here.
    result.map(|memory| memory.to_vec()).map_err(|reason| ImageError::broken(format!("{reason:?}")))
}
