//! Invite links: whoever has one may join the group, or ask to join if the link needs approval.
//!
//! Every use locks the group's row, so the last use of a link cannot be taken twice, and nobody joins while being banned.

use entity::{chat, invite, join_request, member};
use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, EntityTrait, IntoActiveModel, PaginatorTrait,
    QueryFilter, QueryOrder, QuerySelect,
};

use super::access::{Membership, find_visible, lock, membership};
use super::bans::require_not_banned;
use super::joining::{Joined, Joining, join_locked};
use super::list::{Page, cut, id_cursor};
use super::members::lock_group;
use super::update::shown;
use super::view::Viewer;
use crate::clock::Timestamp;
use crate::domain::dispatch::CommandHandler;
use crate::domain::{Actor, AppContext, Caller, events, users};
use crate::error::{Code, Error, Result};
use crate::ids::{ChatId, UserId};
use crate::platform::db::{Outcome, Tx, retry};
use crate::platform::limits::Bucket;
use crate::protocol::change::Done;
use crate::protocol::chats::ChatReply;
use crate::protocol::invites::{
    AcceptInvite, AcceptReply, ApproveJoin, DeclineJoin, Invite, InvitePreview, JoinDeclined, JoinRequest,
    JoinRequested, NewInvite,
};
use crate::protocol::members::ChatRole;
use crate::random;

/// Links of a group that were not revoked.
const MAX_INVITES: u64 = 100;

/// Users who may wait for approval in a group.
const MAX_REQUESTS: u64 = 10_000;

fn invalid(field: &str) -> Error {
    Error::field(Code::NotFound, field, "there is no such invite, or it is not valid any more")
}

/// Creates a link. For owner and admins.
pub async fn create_invite(
    context: &AppContext,
    actor: Actor,
    chat_id: ChatId,
    request: &NewInvite,
) -> Result<Invite> {
    retry(async || {
        let tx = context.db.begin().await?;
        let found = lock(&tx, chat_id, actor.user_id).await?;
        require_group(&found)?;
        found.require_manager("create invite links")?;
        if invite::Entity::of_chat(chat_id.0).count(tx.conn()).await? >= MAX_INVITES {
            let problem = format!("the chat has {MAX_INVITES} invite links, which is the limit; revoke one");
            return Err(Error::invalid("chat.id", problem));
        }
        let now = context.clock.now();
        let row = invite::ActiveModel {
            chat_id: Set(chat_id.0),
            token: Set(random::hex(16)?),
            created_by: Set(actor.user_id.0),
            needs_approval: Set(request.approval),
            max_uses: Set(request.max_uses.and_then(|it| it.try_into().ok())),
            uses: Set(0),
            expires_at: Set(request.expires_in_secs.map(|secs| now + secs * 1_000)),
            revoked_at: Set(None),
            created_at: Set(now),
            ..Default::default()
        };
        let row = row.insert(tx.conn()).await?;
        Ok(context.publish(tx.commit(show(context, row)).await?).await)
    })
    .await
}

fn require_group(found: &Membership) -> Result<()> {
    if found.chat.is_group {
        return Ok(());
    }
    Err(Error::new(Code::DirectChatMembers, "a direct chat has exactly two members"))
}

fn show(context: &AppContext, row: invite::Model) -> Invite {
    let base = context.settings.public_url.as_str().trim_end_matches('/');
    Invite {
        id: row.id,
        chat_id: ChatId(row.chat_id),
        // After `#`, so that it is in no log of a server.
        url: format!("{base}/#/invite/{}", row.token),
        token: row.token,
        created_by: UserId(row.created_by),
        approval: row.needs_approval,
        max_uses: row.max_uses,
        uses: row.uses,
        expires_at: row.expires_at.map(Timestamp),
        created_at: Timestamp(row.created_at),
    }
}

/// Returns a page of the links of a group that were not revoked, newest first. For owner and admins.
pub async fn invites(
    context: &AppContext,
    actor: Actor,
    chat_id: ChatId,
    cursor: Option<&str>,
    limit: u64,
) -> Result<Page<Invite>> {
    let conn = context.db.read();
    find_visible(conn, chat_id, actor.user_id).await?.require_manager("see its invite links")?;
    let before = id_cursor(cursor, i64::MAX)?;
    let rows = invite::Entity::of_chat(chat_id.0)
        .filter(invite::Column::Id.lt(before))
        .order_by_desc(invite::Column::Id)
        .limit(limit + 1)
        .all(conn)
        .await?;
    let (rows, next) = cut(rows, limit, |row| row.id.to_string());
    Ok(Page { items: rows.into_iter().map(|row| show(context, row)).collect(), next })
}

/// Revokes a link. Users who have joined with it stay. For owner and admins.
pub async fn revoke_invite(context: &AppContext, actor: Actor, chat_id: ChatId, id: i64) -> Result<()> {
    retry(async || {
        let tx = context.db.begin().await?;
        lock(&tx, chat_id, actor.user_id).await?.require_manager("revoke invite links")?;
        let of_chat = invite::Entity::of_chat(chat_id.0).filter(invite::Column::Id.eq(id));
        let row = of_chat.one(tx.conn()).await?.ok_or_else(|| Error::not_found("invite"))?;
        let mut row = row.into_active_model();
        row.revoked_at = Set(Some(context.clock.now()));
        row.update(tx.conn()).await?;
        context.publish(tx.commit(()).await?).await;
        Ok(())
    })
    .await
}

async fn live(
    context: &AppContext,
    conn: &impl ConnectionTrait,
    token: &str,
    field: &str,
) -> Result<invite::Model> {
    let found = invite::Entity::find().filter(invite::Column::Token.eq(token)).one(conn).await?;
    found.filter(|row| row.is_live(context.clock.now())).ok_or_else(|| invalid(field))
}

/// Returns what a link shows before the user joins.
pub async fn preview(context: &AppContext, actor: Actor, token: &str) -> Result<InvitePreview> {
    let conn = context.db.read();
    let found = live(context, conn, token, "token").await?;
    let chat = chat::Entity::present().filter(chat::Column::Id.eq(found.chat_id));
    let chat = chat.one(conn).await?.ok_or_else(|| invalid("token"))?;
    let is_member = membership(conn, ChatId(chat.id), actor.user_id).await?.is_some();
    let request = join_request::Entity::find_by_id((chat.id, actor.user_id.0)).one(conn).await?;
    Ok(InvitePreview {
        chat_id: ChatId(chat.id),
        name: chat.name,
        description: chat.description,
        photo: chat.photo,
        member_count: chat.member_count,
        approval: found.needs_approval,
        is_member,
        is_requested: request.is_some(),
    })
}

impl CommandHandler for AcceptInvite {
    fn costs(&self) -> Vec<(Bucket, u32)> {
        vec![(Bucket::Member, 1)]
    }

    async fn run(&self, context: &AppContext, caller: &Caller) -> Result<Outcome<AcceptReply>> {
        let (user_id, token) = (caller.actor.user_id, &self.invite.0.token);
        // Before the transaction, so that guessed tokens hold up nobody.
        let found = invite::Entity::find().filter(invite::Column::Token.eq(token));
        found.one(context.db.read()).await?.ok_or_else(|| invalid("invite.token"))?;
        let tx = context.db.begin().await?;
        let Accepted { tx, chat_id, requested, is_changed } =
            use_invite(context, tx, token, user_id, "invite.token").await?;
        let viewer = Some(Viewer::now(context, user_id));
        let chat =
            if requested { None } else { Some(shown(tx.conn(), chat_id, viewer, context.links()).await?) };
        let reply = AcceptReply { chat, requested };
        if is_changed { tx.commit(reply).await } else { tx.unchanged(reply).await }
    }
}

/// The transaction in which a link was used.
pub struct Accepted {
    /// The transaction.
    pub tx: Tx,
    /// The group.
    pub chat_id: ChatId,
    /// Whether the user waits for approval.
    pub requested: bool,
    /// Whether anything has changed.
    pub is_changed: bool,
}

/// Makes a user a member of the group of a link, or asks its owner and admins to. `field` names the token in errors.
pub async fn use_invite(
    context: &AppContext,
    tx: Tx,
    token: &str,
    user_id: UserId,
    field: &str,
) -> Result<Accepted> {
    // A retry finds the member, whatever became of the link: its last use may have been their own.
    let found = invite::Entity::find().filter(invite::Column::Token.eq(token)).one(tx.conn()).await?;
    let chat_id = ChatId(found.ok_or_else(|| invalid(field))?.chat_id);
    let chat = tx.lock_row(chat::Entity::present().filter(chat::Column::Id.eq(chat_id.0))).await?;
    let mut chat = chat.ok_or_else(|| invalid(field))?;
    if membership(tx.conn(), chat_id, user_id).await?.is_some() {
        return Ok(Accepted { tx, chat_id, requested: false, is_changed: false });
    }
    // Read again under the lock: another user may have taken the last use.
    let found = live(context, tx.conn(), token, field).await?;
    require_not_banned(context, tx.conn(), chat.id, user_id).await.map_err(|error| match error.code {
        Code::Forbidden => Error::forbidden("you are banned from the chat"),
        _ => error,
    })?;
    if found.needs_approval {
        let asked = request(context, tx, &found, user_id).await;
        return asked.map_err(|error| error.rename("invite.token", field));
    }
    let joining = Joining { user_id, role: ChatRole::Member, by: user_id, is_wanted: true };
    let Joined { tx, .. } = join_locked(context, tx, &mut chat, joining)
        .await
        .map_err(|error| error.rename("invite.token", field))?;
    count_uses(tx.conn(), found.id, 1).await?;
    Ok(Accepted { tx, chat_id, requested: false, is_changed: true })
}

/// Fails unless the token is one of a link that can be used now.
pub async fn require_invite(context: &AppContext, token: &str, field: &str) -> Result<()> {
    live(context, context.db.read(), token, field).await.map(drop)
}

async fn count_uses(conn: &impl ConnectionTrait, id: i64, number: i32) -> Result<()> {
    invite::Entity::update_many()
        .col_expr(invite::Column::Uses, Expr::col(invite::Column::Uses).add(number))
        .filter(invite::Column::Id.eq(id))
        .exec(conn)
        .await?;
    Ok(())
}

/// Stores a request to join, and tells the owner and admins.
async fn request(
    context: &AppContext,
    mut tx: Tx,
    found: &invite::Model,
    user_id: UserId,
) -> Result<Accepted> {
    let chat_id = ChatId(found.chat_id);
    let key = (found.chat_id, user_id.0);
    if join_request::Entity::find_by_id(key).one(tx.conn()).await?.is_some() {
        return Ok(Accepted { tx, chat_id, requested: true, is_changed: false });
    }
    let of_chat = join_request::Entity::find().filter(join_request::Column::ChatId.eq(found.chat_id));
    if of_chat.count(tx.conn()).await? >= MAX_REQUESTS {
        return Err(Error::invalid("invite.token", "too many users wait for approval"));
    }
    let now = context.clock.now();
    join_request::Entity::insert(join_request::ActiveModel {
        chat_id: Set(found.chat_id),
        user_id: Set(user_id.0),
        invite_id: Set(found.id),
        created_at: Set(now),
    })
    .exec_without_returning(tx.conn())
    .await?;
    // A use is taken now, so that a link admits, or registers, no more users than it may; it is given back to those who are
    // declined.
    count_uses(tx.conn(), found.id, 1).await?;
    let user = users::author(&users::find(tx.conn(), user_id).await?);
    let event = JoinRequested { chat: ChatId(found.chat_id), user, at: Timestamp(now) };
    for manager in managers(tx.conn(), found.chat_id).await? {
        tx.announce(events::join_requested::to_user(manager, &event)?);
    }
    Ok(Accepted { tx, chat_id, requested: true, is_changed: true })
}

async fn managers(conn: &impl ConnectionTrait, chat_id: i64) -> Result<Vec<UserId>> {
    let manages = member::Column::Role.eq(ChatRole::Owner).or(member::Column::Role.eq(ChatRole::Admin));
    let ids: Vec<i64> = member::Entity::of_chat(chat_id)
        .select_only()
        .column(member::Column::UserId)
        .filter(manages)
        .into_tuple()
        .all(conn)
        .await?;
    Ok(ids.into_iter().map(UserId).collect())
}

fn no_request() -> Error {
    Error::field(Code::NotFound, "user.id", "has not asked to join")
}

impl CommandHandler for ApproveJoin {
    async fn run(&self, context: &AppContext, caller: &Caller) -> Result<Outcome<ChatReply>> {
        let (by, user_id, chat_id) = (caller.actor.user_id, self.user.0.id, self.chat.0.id);
        let tx = context.db.begin().await?;
        let mut chat = lock_group(&tx, chat_id, caller).await?.chat;
        let viewer = Some(Viewer::now(context, by));
        let waiting = join_request::Entity::find_by_id((chat.id, user_id.0)).one(tx.conn()).await?;
        if waiting.is_none() {
            // A retry finds that the user has joined.
            if membership(tx.conn(), chat_id, user_id).await?.is_none() {
                return Err(no_request());
            }
            let reply = ChatReply { chat: shown(tx.conn(), chat_id, viewer, context.links()).await? };
            return tx.unchanged(reply).await;
        }
        let joining = Joining { user_id, role: ChatRole::Member, by, is_wanted: true };
        let Joined { tx, .. } = join_locked(context, tx, &mut chat, joining).await?;
        let reply = ChatReply { chat: shown(tx.conn(), chat_id, viewer, context.links()).await? };
        tx.commit(reply).await
    }
}

impl CommandHandler for DeclineJoin {
    async fn run(&self, context: &AppContext, caller: &Caller) -> Result<Outcome<Done>> {
        let (user_id, chat_id) = (self.user.0.id, self.chat.0.id);
        let mut tx = context.db.begin().await?;
        let chat = lock_group(&tx, chat_id, caller).await?.chat;
        let waiting = join_request::Entity::find_by_id((chat.id, user_id.0)).one(tx.conn()).await?;
        let waiting = waiting.ok_or_else(no_request)?;
        join_request::Entity::delete_by_id((chat.id, user_id.0)).exec(tx.conn()).await?;
        count_uses(tx.conn(), waiting.invite_id, -1).await?;
        let event = JoinDeclined { chat: chat_id, user_id, at: Timestamp(context.clock.now()) };
        let mut audience = managers(tx.conn(), chat.id).await?;
        audience.push(user_id);
        for user in audience {
            tx.announce(events::join_declined::to_user(user, &event)?);
        }
        tx.commit(Done {}).await
    }
}

/// Returns a page of the users who ask to join, by id. For owner and admins.
pub async fn join_requests(
    context: &AppContext,
    actor: Actor,
    chat_id: ChatId,
    cursor: Option<&str>,
    limit: u64,
) -> Result<Page<JoinRequest>> {
    let conn = context.db.read();
    find_visible(conn, chat_id, actor.user_id).await?.require_manager("see who asks to join")?;
    let after = id_cursor(cursor, 0)?;
    let rows = join_request::Entity::find()
        .filter(join_request::Column::ChatId.eq(chat_id.0))
        .filter(join_request::Column::UserId.gt(after))
        .order_by_asc(join_request::Column::UserId)
        .limit(limit + 1)
        .all(conn)
        .await?;
    let (rows, next) = cut(rows, limit, |row| row.user_id.to_string());
    let authors = users::authors(conn, rows.iter().map(|row| row.user_id)).await?;
    let items = rows.into_iter().filter_map(|row| {
        let user = authors.get(&row.user_id)?.clone();
        Some(JoinRequest { user, created_at: Timestamp(row.created_at) })
    });
    Ok(Page { items: items.collect(), next })
}
