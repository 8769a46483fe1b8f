//! Converts pictures to sRGB, which browsers assume if a picture names no colour space.
//!
//! A profile that cannot be read, or that describes other channels than the picture has, is ignored, as browsers do:
//! the colours are then treated as sRGB.

use image::{DynamicImage, RgbImage, RgbaImage};
use moxcms::{ColorProfile, DataColorSpace, Layout, TransformOptions};

/// Reads an embedded ICC profile.
pub(super) fn profile(icc: Option<Vec<u8>>) -> Option<ColorProfile> {
    ColorProfile::new_from_slice(&icc?).ok()
}

/// Converts a picture with 8 bits per channel, grey or RGB, with or without alpha. Alpha is not changed.
pub(super) fn to_srgb(picture: DynamicImage, profile: Option<&ColorProfile>) -> DynamicImage {
    let Some(profile) = profile else {
        return picture;
    };
    let (width, height) = (picture.width(), picture.height());
    let grey = profile.color_space == DataColorSpace::Gray && !picture.color().has_color();
    if !grey && profile.color_space != DataColorSpace::Rgb {
        return picture;
    }
    let alpha = picture.color().has_alpha();
    let converted = match (grey, alpha) {
        (true, false) => convert(profile, picture.to_luma8().as_raw(), Layout::Gray, Layout::Rgb),
        (true, true) => convert(profile, picture.to_luma_alpha8().as_raw(), Layout::GrayAlpha, Layout::Rgba),
        (false, false) => convert(profile, picture.to_rgb8().as_raw(), Layout::Rgb, Layout::Rgb),
        (false, true) => convert(profile, picture.to_rgba8().as_raw(), Layout::Rgba, Layout::Rgba),
    };
    let converted = converted.and_then(|colours| {
        if alpha {
            RgbaImage::from_raw(width, height, colours).map(DynamicImage::ImageRgba8)
        } else {
            RgbImage::from_raw(width, height, colours).map(DynamicImage::ImageRgb8)
        }
    });
    converted.unwrap_or(picture)
}

/// Converts amounts of cyan, magenta, yellow and black ink (255 is full) to RGB.
pub(super) fn inks_to_srgb(inks: &[u8], profile: &ColorProfile) -> Option<Vec<u8>> {
    // The library accepts four inks in the layout of four colour channels.
    convert(profile, inks, Layout::Rgba, Layout::Rgb)
}

fn convert(profile: &ColorProfile, source: &[u8], from: Layout, to: Layout) -> Option<Vec<u8>> {
    let options = TransformOptions::default();
    let transform = profile.create_transform_8bit(from, &ColorProfile::new_srgb(), to, options).ok()?;
    let mut target = vec![0; source.len() / from.channels() * to.channels()];
    transform.transform(source, &mut target).ok()?;
    Some(target)
}
