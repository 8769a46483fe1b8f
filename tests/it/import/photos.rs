//! Photos from Mango's folder: as untrusted as every upload.

use image::{ImageFormat, RgbImage};
use mango_chat::domain::import::Options;
use mango_chat::domain::import::report::{Kind, Report};
use reqwest::Method;
use serde_json::json;
use std::fs;
use std::path::Path;

use super::login_imported;
use super::mango::{Mango, SALAD, import_with};
use crate::support::TestApp;

fn picture(format: ImageFormat) -> Vec<u8> {
    let mut bytes = Vec::new();
    let picture = RgbImage::from_fn(60, 40, |x, y| image::Rgb([x as u8 * 4, y as u8 * 5, 99]));
    picture.write_to(&mut std::io::Cursor::new(&mut bytes), format).expect("a picture");
    bytes
}

fn put(folder: &Path, photo: &str, file: &str, bytes: &[u8]) {
    fs::create_dir_all(folder.join(photo)).expect("a folder");
    fs::write(folder.join(photo).join(file), bytes).expect("a file");
}

/// Returns SQL that creates one user for each of these photos.
fn people(photos: &[&str]) -> String {
    let one = |(place, photo): (usize, &&str)| {
        format!("('{photo}', '7900{place}', '{photo}', '{SALAD}', '2023-02-01 10:00:00+00')")
    };
    let rows: Vec<String> = photos.iter().enumerate().map(one).collect();
    format!(
        "INSERT INTO user_table (name, phone, photo, hashed_password, created_at) VALUES {}",
        rows.join(", ")
    )
}

#[harness::test]
async fn photos_are_imported_and_invalid_ones_are_reported() {
    let names = [
        "jpeg",
        "png",
        "small-only",
        "broken",
        "missing",
        "../outside",
        "huge",
        "",
        "default",
        "/etc",
        "webp",
    ];
    let Some(mango) = Mango::with(&people(&names)).await else { return };
    let app = TestApp::with(&[("MAX_PHOTO_BYTES", "100000")]).await;
    let folder = tempfile::tempdir().expect("a folder");
    let statics = folder.path().join("static");
    put(&statics, "jpeg", "original.jpeg", &picture(ImageFormat::Jpeg));
    put(&statics, "png", "original.jpg", &picture(ImageFormat::Png));
    put(&statics, "small-only", "100x100.webp", &picture(ImageFormat::WebP));
    put(&statics, "broken", "original.jpg", &picture(ImageFormat::Jpeg)[..200]);
    put(&statics, "huge", "original.jpg", &vec![0xff; 200_000]);
    put(&statics, "webp", "original.jpg", &picture(ImageFormat::WebP));
    put(&statics, "default", "original.jpg", b"no picture at all");
    put(folder.path(), "outside", "original.jpg", &picture(ImageFormat::Jpeg));

    // Without the folder every user gets a default avatar; the photos can be imported later.
    let without = mango.import(&app.server.context).await;
    assert!(without.to_text().contains("--photos"), "{}", without.to_text());
    let chosen = login_imported(&app, "790010").await;
    let own = json!({"photo": base64(&picture(ImageFormat::Png))});
    let (status, chosen_photo) =
        app.send(Method::PUT, "/user/me/photo", Some(&chosen.access), Some(own)).await;
    assert!(status.is_success());
    let with = |dry_run| Options { photos: Some(statics.clone()), dry_run, ..mango.options() };
    let count = |report: &Report| (report.count(Kind::Photo).taken, report.count(Kind::Photo).skipped);
    let dry = import_with(&app.server.context, with(true)).await.expect("goes through");
    assert_eq!(count(&dry), (3, 7), "{}", dry.to_text());
    let report = import_with(&app.server.context, with(false)).await.expect("goes through");
    assert_eq!(report.to_text(), dry.to_text());
    for line in [
        "skipped: 2 photos: the image is broken (4, 9)",
        "skipped: 1 photos: there is no such file (5)",
        "skipped: 2 photos: its name leads out of the folder (6, 10)",
        "skipped: 1 photos: the image is too large (7)",
        "skipped: 1 photos: the user has chosen another photo here since (11)",
    ] {
        assert!(report.to_text().contains(line), "{line}: {}", report.to_text());
    }
    assert_eq!(
        app.get("/user/me", &chosen).await["photo"],
        chosen_photo["photo"],
        "what was chosen here stays"
    );

    let files = || fs::read_dir(app.folder.path().join("storage/photos")).expect("photos").count();
    assert_eq!(files(), 4, "three that came and one that was chosen; a dry run leaves none");
    for (place, name) in names.iter().enumerate().filter(|(place, _)| *place != 10) {
        let person = login_imported(&app, &format!("7900{place}")).await;
        let photo = app.get("/user/me", &person).await["photo"].as_str().expect("a photo").to_owned();
        assert_eq!(photo.len() == 32, place < 3, "{name}: {photo}");
        for file in ["original.jpeg", "400x400.webp", "50x50.webp"] {
            let answer = app.raw(Method::GET, &format!("/static/{photo}/{file}"), None, None).await;
            assert_eq!(answer.status(), 200, "{name} {file}");
            image::load_from_memory(&answer.bytes().await.expect("bytes")).expect("a picture");
        }
    }
    let again = import_with(&app.server.context, with(false)).await.expect("goes through");
    assert_eq!((again.count(Kind::Photo).taken, again.count(Kind::Photo).known), (0, 3));
    assert_eq!(files(), 4);
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}
