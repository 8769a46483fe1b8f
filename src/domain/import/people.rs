//! Imports users. Password hashes are imported unchanged. A phone, e-mail address or username that an account here
//! already has stays with that account: a stranger who registered it first must not get the other user's chats, nor
//! lose their own account.

use crate::protocol::moderation::Role;
use std::collections::HashSet;

use entity::user;
use sea_orm::ActiveValue::Set;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QuerySelect};

use super::report::{Kind, Report, Tally};
use super::target::{LIST, Noted, Target, Writing};
use crate::domain::{photos, users};
use crate::error::Result;
use crate::platform::passwords::foreign;
use crate::platform::progress::Progress;
use crate::text::{fold, presentable};
use import::read_time;
use import::{Source, SourceUser, read_user};

/// A hash that no password matches; the account's owner sets a new password by e-mail, or an operator helps.
const UNUSABLE: &str = "!";

/// Maximum length of a description, in characters.
const LONGEST_DESCRIPTION: usize = 1_000;

/// Imports all users.
pub async fn bring(
    source: &Source,
    target: &mut Target<'_>,
    report: &mut Report,
    progress: &Progress,
) -> Result<()> {
    super::begin(progress, Kind::User, source.number(&source.schema.counts.users).await?);
    source.declare("people", &source.schema.users).await?;
    loop {
        let page = source.fetch("people", read_user).await?;
        if page.is_empty() {
            return Ok(());
        }
        let now = target.now();
        report.add(target.batch(async |to| write(to, &page, now).await).await?)?;
        progress.advance(page.len());
    }
}

async fn write(to: &Writing<'_>, page: &[SourceUser], now: i64) -> Result<Tally> {
    let mut tally = Tally::default();
    let known = to.known(Noted::User, page.iter().map(|it| it.id)).await?;
    tally.known(Kind::User, known.len());
    let fresh: Vec<&SourceUser> = page.iter().filter(|it| !known.contains_key(&it.id)).collect();
    let mut taken = Taken::read(to, &fresh).await?;
    let ids = to.new_ids("users", fresh.len()).await?;
    let mut rows = Vec::with_capacity(fresh.len());
    for (person, id) in fresh.iter().zip(&ids) {
        rows.push(row(person, *id, &mut taken, &mut tally, now));
    }
    to.insert::<user::Entity, _>(rows).await?;
    let pairs: Vec<(i64, i64)> = fresh.iter().map(|it| it.id).zip(ids).collect();
    to.note(Noted::User, &pairs).await?;
    tally.taken(Kind::User, pairs.len());
    Ok(tally)
}

fn row(person: &SourceUser, id: i64, taken: &mut Taken, tally: &mut Tally, now: i64) -> user::ActiveModel {
    let text = |text: &Option<String>| text.clone().filter(|it| !it.trim().is_empty());
    let phone = taken.phone(person, tally);
    let username = taken.username(person, tally);
    let email = taken.email(person, tally);
    if phone.is_none() && username.is_none() && email.is_none() {
        tally.leave_out(Kind::User, person.id, "there is nothing to log in with");
    }
    let password = text(&person.password).filter(|it| foreign::is_usable(it));
    if password.is_none() {
        tally.leave_out(
            Kind::User,
            person.id,
            "the password's hash is of an unknown kind, or costs too much",
        );
    }
    let name = text(&person.name).map(|it| presentable(&it)).filter(|it| !it.is_empty());
    if name != text(&person.name) {
        tally.change(
            Kind::User,
            person.id,
            "the name was too long, or had characters that a name cannot have",
        );
    }
    let description = text(&person.description).map(|it| it.chars().take(LONGEST_DESCRIPTION).collect());
    if description != text(&person.description) {
        tally.change(Kind::User, person.id, "the description was too long");
    }
    let created_at = person.created_at.as_deref().and_then(read_time);
    if created_at.is_none() {
        tally.change(
            Kind::User,
            person.id,
            "the time of registration could not be read; the current time is used",
        );
    }
    user::ActiveModel {
        id: Set(id),
        username_key: Set(username.as_ref().map(|it| it.to_lowercase())),
        username: Set(username),
        phone: Set(phone),
        email_key: Set(email.as_ref().map(|it| it.to_lowercase())),
        email: Set(email),
        email_verified: Set(false),
        name_key: Set(name.as_ref().map(|it| fold(it))),
        name: Set(name),
        description: Set(description),
        photo: Set(photos::default_avatar()),
        role: Set(Role::User),
        password_hash: Set(password.unwrap_or_else(|| UNUSABLE.into())),
        user_rev: Set(0),
        created_at: Set(created_at.unwrap_or(now)),
        ..Default::default()
    }
}

/// Values that are taken, here or earlier in the batch. Deleted accounts count too, because the database's unique
/// indexes include them.
#[derive(Default)]
struct Taken {
    phones: HashSet<String>,
    emails: HashSet<String>,
    usernames: HashSet<String>,
}

impl Taken {
    async fn read(to: &Writing<'_>, people: &[&SourceUser]) -> Result<Self> {
        let phones = people.iter().filter_map(|it| users::normalize_phone(it.phone.as_deref()?.trim()));
        let emails = people.iter().filter_map(|it| Some(it.email.as_deref()?.trim().to_lowercase()));
        let usernames = people.iter().filter_map(|it| Some(it.username.as_deref()?.trim().to_lowercase()));
        Ok(Self {
            phones: there(to, user::Column::Phone, phones.collect()).await?,
            emails: there(to, user::Column::EmailKey, emails.collect()).await?,
            usernames: there(to, user::Column::UsernameKey, usernames.collect()).await?,
        })
    }

    fn phone(&mut self, person: &SourceUser, tally: &mut Tally) -> Option<String> {
        let given = person.phone.as_deref().map(str::trim).filter(|it| !it.is_empty())?;
        let Some(phone) = users::normalize_phone(given) else {
            tally.leave_out(Kind::User, person.id, "the phone is invalid");
            return None;
        };
        if self.phones.insert(phone.clone()) {
            return Some(phone);
        }
        tally.leave_out(Kind::User, person.id, "the phone belongs to another account");
        None
    }

    fn username(&mut self, person: &SourceUser, tally: &mut Tally) -> Option<String> {
        let given = person.username.as_deref().filter(|it| !it.trim().is_empty())?;
        let Some(username) = users::read_username(given) else {
            tally.leave_out(Kind::User, person.id, "the username is invalid");
            return None;
        };
        if self.usernames.insert(username.to_lowercase()) {
            return Some(username);
        }
        tally.leave_out(Kind::User, person.id, "the username belongs to another account");
        None
    }

    fn email(&mut self, person: &SourceUser, tally: &mut Tally) -> Option<String> {
        let given = person.email.as_deref().filter(|it| !it.trim().is_empty())?;
        let Some(email) = users::read_email(given) else {
            tally.leave_out(Kind::User, person.id, "the e-mail address is invalid");
            return None;
        };
        if self.emails.insert(email.to_lowercase()) {
            return Some(email);
        }
        tally.leave_out(Kind::User, person.id, "the e-mail address belongs to another account");
        None
    }
}

/// Returns which of these values exist in a column.
async fn there(to: &Writing<'_>, column: user::Column, values: Vec<String>) -> Result<HashSet<String>> {
    let mut there = HashSet::new();
    for some in values.chunks(LIST) {
        let rows: Vec<Option<String>> = user::Entity::find()
            .select_only()
            .column(column)
            .filter(column.is_in(some))
            .into_tuple()
            .all(to.conn)
            .await?;
        there.extend(rows.into_iter().flatten());
    }
    Ok(there)
}
