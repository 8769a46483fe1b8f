//! Imports photos from Mango's `static` folder: `{photo}/original.jpg` or one of its sizes. They are untrusted
//! uploads, so they are processed like every upload here.
//!
//! They are imported last, because they take the longest, and can be imported by a later run. Users who have chosen
//! another photo here meanwhile keep it.

use std::io::Read;
use std::path::{Component, Path, PathBuf};

use entity::user;
use futures_util::StreamExt;
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};

use super::report::{Kind, Report, Tally};
use super::target::{LIST, Noted, Target, Writing};
use crate::domain::{AppContext, photos};
use crate::error::{Code, Error, Result};
use crate::platform::progress::Progress;
use import::{Source, SourceUser, read_user};

/// Photos per transaction; a crash leaves at most this many unused.
const BATCH: usize = 16;

/// Images that are processed at the same time.
const AT_ONCE: usize = 4;

/// Files of a photo, in order of preference.
const FILES: [&str; 9] = [
    "original.jpeg",
    "original.jpg",
    "original.png",
    "original.webp",
    "400x400.webp",
    "400x400.jpg",
    "100x100.webp",
    "100x100.jpg",
    "50x50.webp",
];

/// A user whose photo is to be imported.
struct Wanted {
    old: i64,
    new: i64,
    photo: String,
    /// The user's current default avatar.
    now: String,
}

/// Imports all photos.
pub async fn bring(
    context: &AppContext,
    folder: &Path,
    source: &Source,
    target: &mut Target<'_>,
    report: &mut Report,
    progress: &Progress,
) -> Result<()> {
    super::begin(progress, Kind::Photo, source.number(&source.schema.counts.users).await?);
    source.declare("photos", &source.schema.users).await?;
    loop {
        let page = source.fetch("photos", read_user).await?;
        if page.is_empty() {
            return Ok(());
        }
        let (wanted, tally) = target.batch(async |to| wanted(to, &page).await).await?;
        report.add(tally)?;
        progress.advance(page.len() - wanted.len());
        for some in wanted.chunks(BATCH) {
            let mut tally = Tally::default();
            let made = make(context, folder, some, target.is_dry(), &mut tally).await?;
            let kept = target.batch(async |to| give(to, &made).await).await;
            match &kept {
                Ok(kept) => {
                    tally.taken(Kind::Photo, kept.len());
                    for (who, name) in made.iter().filter(|(who, _)| !kept.contains(&who.old)) {
                        tally.skip(Kind::Photo, who.old, "the user has chosen another photo here since");
                        photos::discard(context, name).await;
                    }
                }
                Err(_) => {
                    for (_, name) in &made {
                        photos::discard(context, name).await;
                    }
                }
            }
            kept?;
            report.add(tally)?;
            progress.advance(some.len());
        }
    }
}

/// Returns the users of a page who have a photo in Mango and a default avatar here.
async fn wanted(to: &Writing<'_>, page: &[SourceUser]) -> Result<(Vec<Wanted>, Tally)> {
    let mut tally = Tally::default();
    let with: Vec<(i64, &str)> = page
        .iter()
        .filter_map(|it| Some((it.id, it.photo.as_deref().filter(|name| !name.trim().is_empty())?)))
        .collect();
    let people = to.known(Noted::User, with.iter().map(|(old, _)| *old)).await?;
    let done = to.known(Noted::Photo, with.iter().map(|(old, _)| *old)).await?;
    tally.known(Kind::Photo, done.len());
    let mut have = std::collections::HashMap::new();
    let ids: Vec<i64> = people.values().copied().collect();
    for some in ids.chunks(LIST) {
        let rows = user::Entity::present().filter(user::Column::Id.is_in(some.iter().copied())).all(to.conn);
        have.extend(rows.await?.into_iter().map(|row| (row.id, row.photo)));
    }
    let mut wanted = Vec::new();
    for (old, photo) in with {
        let Some(new) = people.get(&old).filter(|_| !done.contains_key(&old)) else { continue };
        match have.get(new) {
            Some(now) if photos::is_default(now) => {
                wanted.push(Wanted { old, new: *new, photo: photo.to_owned(), now: now.clone() });
            }
            Some(_) => tally.skip(Kind::Photo, old, "the user has chosen another photo here since"),
            None => tally.skip(Kind::Photo, old, "the account was deleted here"),
        }
    }
    Ok((wanted, tally))
}

/// Renders and stores images, several at a time; a dry run only checks that they are valid.
async fn make<'a>(
    context: &AppContext,
    folder: &Path,
    wanted: &'a [Wanted],
    dry: bool,
    tally: &mut Tally,
) -> Result<Vec<(&'a Wanted, String)>> {
    let most = context.images.limits().max_bytes as u64;
    let mut work = futures_util::stream::iter(wanted)
        .map(async |who| {
            let folder = folder.to_owned();
            let photo = who.photo.clone();
            let bytes = tokio::task::spawn_blocking(move || read_photo(&folder, &photo, most))
                .await
                .map_err(Error::internal)?;
            let bytes = match bytes {
                Ok(bytes) => bytes,
                Err(reason) => return Ok((who, Err(reason))),
            };
            let stored = if dry {
                photos::check(context, "photo", bytes).await.map(|()| String::new())
            } else {
                photos::store(context, "photo", bytes).await
            };
            match stored {
                Ok(name) => Ok((who, Ok(name))),
                Err(error) if error.code == Code::ValidationFailed => Ok((who, Err("the image is broken"))),
                Err(error) if error.code == Code::TooLarge => Ok((who, Err("the image is too large"))),
                Err(error) => Err(error),
            }
        })
        .buffered(AT_ONCE);
    let mut made = Vec::with_capacity(wanted.len());
    let mut failed: Option<Error> = None;
    while let Some(result) = work.next().await {
        match result {
            Ok((who, Ok(name))) => made.push((who, name)),
            Ok((who, Err(reason))) => tally.skip(Kind::Photo, who.old, reason),
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    drop(work);
    let Some(error) = failed else { return Ok(made) };
    for (_, name) in &made {
        photos::discard(context, name).await;
    }
    Err(error)
}

/// Sets the photos of users; returns the source ids of those whose photo was set.
async fn give(to: &Writing<'_>, made: &[(&Wanted, String)]) -> Result<Vec<i64>> {
    let mut kept = Vec::with_capacity(made.len());
    for (who, name) in made {
        let changed = user::Entity::update_many()
            .col_expr(user::Column::Photo, Expr::value(name.clone()))
            .filter(user::Column::Id.eq(who.new))
            .filter(user::Column::Photo.eq(&who.now))
            .filter(user::Column::DeletedAt.is_null())
            .exec(to.conn)
            .await?;
        if changed.rows_affected > 0 {
            kept.push(who.old);
        }
    }
    let pairs: Vec<(i64, i64)> =
        made.iter().filter(|(who, _)| kept.contains(&who.old)).map(|(who, _)| (who.old, who.new)).collect();
    to.note(Noted::Photo, &pairs).await?;
    Ok(kept)
}

/// Reads the best file of a photo.
fn read_photo(folder: &Path, photo: &str, most: u64) -> std::result::Result<Vec<u8>, &'static str> {
    let place = place_of(folder, photo).ok_or("its name leads out of the folder")?;
    let Some(file) = FILES.iter().find_map(|name| std::fs::File::open(place.join(name)).ok()) else {
        return Err("there is no such file");
    };
    let mut bytes = Vec::new();
    // One extra byte shows that the file is too large, without reading all of it.
    file.take(most + 1).read_to_end(&mut bytes).map_err(|_| "the file could not be read")?;
    Ok(bytes)
}

/// Returns the folder of one photo; `None` if the name would lead outside `folder`.
fn place_of(folder: &Path, photo: &str) -> Option<PathBuf> {
    let name = Path::new(photo.trim());
    let mut parts = name.components();
    match (parts.next(), parts.next()) {
        (Some(Component::Normal(_)), None) => Some(folder.join(name)),
        _ => None,
    }
}
