//! Users as moderators and admins see them. Only admins see phones and e-mails.

use crate::protocol::moderation::ReportState;
use entity::{member, report, session, user};
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{ColumnTrait, Condition, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect};

use super::Numbered;
use super::moderators::{Admin, Moderator};
use crate::clock::Timestamp;
use crate::domain::profiles::containing;
use crate::domain::users::show as show_public;
use crate::domain::{Actor, AppContext, sessions};
use crate::error::{Error, Result};
use crate::ids::{SessionId, UserId};
use crate::protocol::moderation::{AdminUser, AdminUserDetails, Ban, Reach, Role};
use crate::protocol::sessions::Session;
use crate::text::fold;

/// A filter of the user list.
#[derive(Clone, Debug, Default)]
pub struct UserFilter {
    /// A part of the username or name; for admins also of phone or e-mail.
    pub query: Option<String>,
    /// Users with this role.
    pub role: Option<Role>,
    /// Whether the user is banned now.
    pub banned: Option<bool>,
}

/// Returns a page of accounts, ordered by id.
pub async fn list_users(
    context: &AppContext,
    by: &Moderator,
    filter: &UserFilter,
    after: Option<i64>,
    limit: u64,
) -> Result<Numbered<AdminUser>> {
    let mut select = user::Entity::present().filter(user::Column::Id.gt(after.unwrap_or(0)));
    let query = fold(filter.query.as_deref().unwrap_or_default().trim());
    if query.chars().count() > 100 || query.contains('\0') {
        return Err(Error::invalid("query", "must have at most 100 characters and no NUL"));
    }
    if !query.is_empty() {
        let holds = |column: user::Column| Expr::col(column).like(containing(&query));
        let mut any =
            Condition::any().add(holds(user::Column::UsernameKey)).add(holds(user::Column::NameKey));
        if by.is_admin() {
            any = any.add(holds(user::Column::EmailKey)).add(holds(user::Column::Phone));
        }
        select = select.filter(any);
    }
    if let Some(role) = filter.role {
        select = select.filter(user::Column::Role.eq(role.as_str()));
    }
    if let Some(banned) = filter.banned {
        let holds = banned_at(context.clock.now());
        select = select.filter(if banned { holds } else { holds.not() });
    }
    let rows = select.order_by_asc(user::Column::Id).limit(limit + 1).all(context.db.read()).await?;
    Ok(Numbered::cut(rows, limit, |row| row.id).map(|row| show(context, &row, by)))
}

/// Returns the condition for rows with a ban in effect at `now`. It is never null, so that it can be negated.
pub(super) fn banned_at(now: i64) -> Condition {
    let open_end = user::Column::BannedUntil.is_null().or(user::Column::BannedUntil.gt(now));
    Condition::all().add(user::Column::BannedAt.is_not_null()).add(open_end)
}

/// Returns the details of one account, deleted ones included.
pub async fn details(context: &AppContext, by: &Moderator, id: UserId) -> Result<AdminUserDetails> {
    let conn = context.db.read();
    let row = user::Entity::find_by_id(id.0).one(conn).await?.ok_or_else(|| Error::not_found("user"))?;
    let against = || report::Entity::find().filter(report::Column::UserId.eq(id.0));
    Ok(AdminUserDetails {
        user: show(context, &row, by),
        sessions: session::Entity::live_of(id.0, context.clock.now()).count(conn).await? as i64,
        chats: member::Entity::of_user(id.0).count(conn).await? as i64,
        open_reports: against().filter(report::Column::State.eq(ReportState::Open)).count(conn).await? as i64,
        reports: against().count(conn).await? as i64,
    })
}

/// Returns the live sessions of an account.
pub async fn sessions_of(context: &AppContext, _: &Admin, id: UserId) -> Result<Vec<Session>> {
    user::Entity::find_by_id(id.0).one(context.db.read()).await?.ok_or_else(|| Error::not_found("user"))?;
    // None of them is the session of the request.
    sessions::list(context, Actor { user_id: id, session_id: SessionId(0) }).await
}

/// Returns a user's row as the viewer may see it.
pub(super) fn show(context: &AppContext, row: &user::Model, viewer: &Moderator) -> AdminUser {
    let public = show_public(context, row);
    let ban = row.banned_at.filter(|_| row.is_banned(context.clock.now())).map(|since| Ban {
        since: Timestamp(since),
        until: row.banned_until.map(Timestamp),
        reason: row.ban_reason.clone().unwrap_or_default(),
    });
    let reach = viewer.is_admin().then(|| Reach {
        phone: row.phone.clone(),
        email: row.email.clone(),
        email_verified: row.email_verified,
    });
    AdminUser {
        id: public.id,
        username: public.username,
        name: public.name,
        photo: public.photo,
        role: public.role,
        online: public.online,
        last_seen_at: public.last_seen_at,
        created_at: public.created_at,
        deleted: public.deleted,
        ban,
        reach,
    }
}
