//! What a message shows of a picture: its size, a small version, a blurred placeholder, and the picture itself without
//! metadata such as the place where it was taken.

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};

use super::container::{self, Kind};
use super::decode::{self, Decoded};
use super::{ImageError, Limits, encode};

/// Longest side of the small version, pixels.
const THUMBNAIL: u32 = 480;

/// Longest side of what the placeholder is computed from, pixels.
const PLACEHOLDER: u32 = 32;

/// What a message shows of a picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preview {
    /// Width of the upright picture, pixels.
    pub width: u32,
    /// Height of the upright picture, pixels.
    pub height: u32,
    /// At most 480 pixels on the longer side, as WebP.
    pub thumbnail: Vec<u8>,
    /// A placeholder of about 30 characters (<https://blurha.sh>).
    pub blurhash: String,
    /// The picture without metadata: its compressed data unchanged where possible.
    pub clean: Vec<u8>,
    /// Media type of `clean`.
    pub mime: &'static str,
}

/// Decodes a picture and makes what a message shows of it. Blocks; on an async thread use
/// [`ImageWorker::preview`](super::ImageWorker::preview).
///
/// # Errors
/// As [`render`](super::render).
pub(super) fn preview(bytes: &[u8], limits: &Limits) -> Result<Preview, ImageError> {
    limits.check_bytes(bytes.len())?;
    let work = || preview_of(bytes, limits);
    std::panic::catch_unwind(work).unwrap_or_else(|_| Err(ImageError::broken("the decoder gave up")))
}

fn preview_of(bytes: &[u8], limits: &Limits) -> Result<Preview, ImageError> {
    let kind = container::sniff(bytes)?;
    let Decoded { picture, original, is_turned } = decode::decode(bytes, limits)?;
    let (width, height) = picture.dimensions();
    let whole =
        ImageRef::new(width, height, picture.as_raw(), PixelType::U8x3).map_err(ImageError::broken)?;
    let small = shrink(&whole, THUMBNAIL)?;
    let thumbnail = encode::webp(&small)?;
    let blurhash = placeholder(&shrink(&small, PLACEHOLDER)?)?;
    let (clean, mime) = match kind {
        // Without its metadata it would lie on its side.
        Kind::Png | Kind::WebP if is_turned => (encode::jpeg(&picture)?, "image/jpeg"),
        Kind::Jpeg => (original.map_or_else(|| encode::jpeg(&picture), Ok)?, "image/jpeg"),
        Kind::Png => (container::png_without_metadata(bytes), "image/png"),
        Kind::WebP => (container::webp_without_metadata(container::webp(bytes, limits)?), "image/webp"),
        Kind::Gif => (container::gif_without_metadata(bytes), "image/gif"),
    };
    Ok(Preview { width, height, thumbnail, blurhash, clean, mime })
}

/// Scales a picture down to this length of its longer side; a smaller one stays as it is.
fn shrink(
    source: &impl fast_image_resize::IntoImageView,
    longest: u32,
) -> Result<Image<'static>, ImageError> {
    let (width, height) = (source.width(), source.height());
    let longer = width.max(height).max(1);
    let scaled = |side: u32| {
        let side = u64::from(side) * u64::from(longest.min(longer)) / u64::from(longer);
        u32::try_from(side).unwrap_or(longest).max(1)
    };
    let mut target = Image::new(scaled(width), scaled(height), PixelType::U8x3);
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Lanczos3));
    Resizer::new().resize(source, &mut target, &options).map_err(ImageError::broken)?;
    Ok(target)
}

fn placeholder(small: &Image<'_>) -> Result<String, ImageError> {
    let (pixels, _) = small.buffer().as_chunks::<3>();
    let rgba: Vec<u8> = pixels.iter().flat_map(|[red, green, blue]| [*red, *green, *blue, 255]).collect();
    blurhash::encode(4, 3, small.width(), small.height(), &rgba)
        .map_err(|error| ImageError::broken(format!("{error:?}")))
}

#[cfg(test)]
mod tests {
    use image::{ImageFormat, RgbImage};

    use super::*;

    const LIMITS: Limits = Limits { max_bytes: 8 << 20, max_pixels: 50_000_000 };

    fn picture(width: u32, height: u32, format: ImageFormat) -> Vec<u8> {
        let mut bytes = std::io::Cursor::new(Vec::new());
        let pixels = RgbImage::from_fn(width, height, |x, y| image::Rgb([x as u8, y as u8, 120]));
        pixels.write_to(&mut bytes, format).expect("encodes");
        bytes.into_inner()
    }

    #[test]
    fn a_picture_of_each_format_has_a_size_a_thumbnail_and_a_placeholder() {
        for (format, mime) in [
            (ImageFormat::Jpeg, "image/jpeg"),
            (ImageFormat::Png, "image/png"),
            (ImageFormat::WebP, "image/webp"),
            (ImageFormat::Gif, "image/gif"),
        ] {
            let shown = preview(&picture(1_200, 300, format), &LIMITS).expect("a preview");
            assert_eq!((shown.width, shown.height, shown.mime), (1_200, 300, mime));
            let thumbnail = image::load_from_memory(&shown.thumbnail).expect("a WebP");
            assert_eq!((thumbnail.width(), thumbnail.height()), (480, 120));
            assert!((20..=40).contains(&shown.blurhash.len()), "{}", shown.blurhash);
            let clean = image::load_from_memory(&shown.clean).expect("a picture");
            assert_eq!((clean.width(), clean.height()), (1_200, 300));
        }
        let tiny = preview(&picture(3, 2_000, ImageFormat::Png), &LIMITS).expect("a preview");
        let thumbnail = image::load_from_memory(&tiny.thumbnail).expect("a WebP");
        assert_eq!((thumbnail.width(), thumbnail.height()), (1, 480));
        assert!(preview(b"GIF89a", &LIMITS).is_err());
    }

    #[test]
    fn comments_and_trailing_data_do_not_leave_with_a_gif_which_keeps_its_frames() {
        let gif = picture(8, 8, ImageFormat::Gif);
        let head = 13 + (3 << ((gif[10] & 7) + 1)) * usize::from(gif[10] >> 7);
        let repeats = b"\x21\xFF\x0BNETSCAPE2.0\x03\x01\0\0\0";
        let xmp = b"\x21\xFF\x0BXMP DataXMP\x04home\0";
        let comment = b"\x21\xFE\x04home\x02ly\0";
        let with = [&gif[..head], repeats, xmp, comment, &gif[head..], b"home"].concat();
        let clean = container::gif_without_metadata(&with);
        assert_eq!(clean, [&gif[..head], repeats, &gif[head..]].concat());
        for length in 0..with.len() {
            container::gif_without_metadata(&with[..length]);
        }
    }

    #[test]
    fn a_turned_picture_is_upright_without_its_metadata() {
        let webp = picture(16, 8, ImageFormat::WebP);
        // An extended header with the flag for EXIF, and the orientation 6: turned clockwise.
        let header = b"VP8X\x0A\0\0\0\x08\0\0\0\x0F\0\0\x07\0\0";
        let exif = b"EXIF\x1A\0\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
        let mut with = [&webp[..12], header, &webp[12..], exif].concat();
        let size = (with.len() as u32 - 8).to_le_bytes();
        with[4..8].copy_from_slice(&size);
        let shown = preview(&with, &LIMITS).expect("a preview");
        assert_eq!((shown.width, shown.height), (8, 16));
        let clean = image::load_from_memory(&shown.clean).expect("a picture");
        assert_eq!((clean.width(), clean.height()), (8, 16));
        assert!(!shown.clean.windows(4).any(|it| it == b"EXIF"));
    }

    #[test]
    fn texts_and_exif_do_not_leave_with_a_png_or_a_webp() {
        let png = picture(8, 8, ImageFormat::Png);
        // After the header chunk, which has 33 bytes with the signature.
        let secret = b"\0\0\0\x06tEXtsecret\0\0\0\0\0\0\0\x04eXIfhome\0\0\0\0";
        let with = [&png[..33], secret, &png[33..]].concat();
        assert_eq!(container::png_without_metadata(&with), png);
        let webp = picture(8, 8, ImageFormat::WebP);
        let mut with = [&webp[..], b"EXIF\x04\0\0\0home", b"XMP \x03\0\0\0abc\0"].concat();
        let size = (with.len() as u32 - 8).to_le_bytes();
        with[4..8].copy_from_slice(&size);
        assert_eq!(container::webp_without_metadata(&with), webp);
    }
}
