//! Counts of all kinds of objects, computed by the database. Every count stops at a million, so that its cost is
//! bounded however large the tables are; the caller caches the result for some seconds.

use crate::protocol::moderation::{MailState, ReportState};
use entity::{chat, mail, message, report, session, user};
use sea_orm::sea_query::{Alias, Expr, Query};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait,
};

use super::moderators::Admin;
use super::user_view::banned_at;
use crate::clock::Timestamp;
use crate::domain::AppContext;
use crate::error::Result;
use crate::protocol::moderation::Statistics;

/// The number at which counting stops.
const MOST: u64 = 1_000_000;

const DAY_MS: i64 = 24 * 3_600 * 1_000;

/// Counts everything.
pub async fn count(context: &AppContext, _: &Admin) -> Result<Statistics> {
    let conn = context.db.read();
    let now = context.clock.now();
    let since = now - DAY_MS;
    let mut logged_in = Query::select();
    logged_in
        .column(session::Column::UserId)
        .from(session::Entity)
        .and_where(session::Column::LastUsedAt.gt(since));
    let active =
        Condition::any().add(user::Column::LastSeenAt.gt(since)).add(user::Column::Id.in_subquery(logged_in));
    let (online, sockets) = context.presence.count();
    let mails = |state| mail::Entity::find().filter(mail::Column::State.eq(state));
    let (messages, messages_24h) = messages(conn, since).await?;
    Ok(Statistics {
        users: counted(conn, user::Entity::present()).await?,
        users_active_24h: counted(conn, user::Entity::present().filter(active)).await?,
        users_banned: counted(conn, user::Entity::present().filter(banned_at(now))).await?,
        users_deleted: counted(conn, user::Entity::find().filter(user::Column::DeletedAt.is_not_null()))
            .await?,
        chats: counted(conn, chat::Entity::present()).await?,
        groups: counted(conn, chat::Entity::present().filter(chat::Column::IsGroup.eq(true))).await?,
        messages,
        messages_24h,
        online,
        sockets,
        mails_queued: counted(conn, mails(MailState::Queued)).await?,
        mails_failed: counted(conn, mails(MailState::Failed)).await?,
        open_reports: counted(
            conn,
            report::Entity::find().filter(report::Column::State.eq(ReportState::Open)),
        )
        .await?,
        counted_at: Timestamp(now),
    })
}

/// Counts the rows, up to `MOST`.
async fn counted<E: EntityTrait>(conn: &impl ConnectionTrait, select: sea_orm::Select<E>) -> Result<i64> {
    let mut rows = select.select_only().expr_as(Expr::val(1), "one").limit(MOST).into_query();
    let rows = rows.take();
    let mut all = Query::select();
    all.expr_as(Expr::cust("COUNT(*)"), Alias::new("count")).from_subquery(rows, Alias::new("counted"));
    let row = conn.query_one(&all).await?;
    Ok(row.map(|row| row.try_get("", "count")).transpose()?.unwrap_or(0))
}

/// Counts all messages, and those since a time (milliseconds). Messages have no index by time, so the latter are
/// searched among the latest million.
async fn messages(conn: &impl ConnectionTrait, since: i64) -> Result<(i64, i64)> {
    let newest = message::Entity::find()
        .select_only()
        .column(message::Column::Id)
        .order_by_desc(message::Column::Id)
        .limit(1)
        .into_tuple::<i64>()
        .one(conn)
        .await?
        .unwrap_or(0);
    let all = if newest > MOST as i64 { newest } else { counted(conn, message::Entity::find()).await? };
    let lately = message::Entity::find()
        .filter(message::Column::Id.gt(newest - MOST as i64))
        .filter(message::Column::CreatedAt.gt(since));
    Ok((all, counted(conn, lately).await?))
}
