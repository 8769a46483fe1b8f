//! The first schema: users and their sessions, chats, members, messages and likes.
//!
//! Unique indexes have names (`users_phone_unique`, …), which tell which field is taken when an insert violates one.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{
    big_integer, big_integer_null, big_pk_auto, boolean, integer, small_integer, string, string_null, text,
};

/// The migration; see the module documentation.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in tables() {
            manager.create_table(table).await?;
        }
        for index in indexes() {
            manager.create_index(index).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in [
            "likes",
            "messages",
            "message_types",
            "members",
            "chats",
            "refresh_tokens",
            "sessions",
            "users",
            "meta",
        ] {
            manager.drop_table(Table::drop().table(table).to_owned()).await?;
        }
        Ok(())
    }
}

/// Returns a foreign key to `id` of another table. Rows are deleted together with the row that they refer to.
fn belongs_to(from: &'static str, column: &'static str, to: &'static str) -> ForeignKeyCreateStatement {
    ForeignKey::create().from(from, column).to(to, "id").on_delete(ForeignKeyAction::Cascade).to_owned()
}

fn tables() -> Vec<TableCreateStatement> {
    let meta = Table::create().table("meta").col(string("key").primary_key()).col(string("value")).to_owned();
    let users = Table::create()
        .table("users")
        .col(big_pk_auto("id"))
        .col(string_null("username"))
        .col(string_null("username_key"))
        .col(string_null("phone"))
        .col(string_null("email"))
        .col(string_null("email_key"))
        .col(boolean("email_verified").default(false))
        .col(string_null("name"))
        .col(string_null("name_key"))
        .col(string_null("description"))
        .col(string("photo"))
        .col(string("role").default("user"))
        .col(string("password_hash"))
        .col(big_integer("user_rev").default(0))
        .col(big_integer_null("last_seen_at"))
        .col(big_integer("created_at"))
        .col(big_integer_null("deleted_at"))
        .to_owned();
    let sessions = Table::create()
        .table("sessions")
        .col(big_pk_auto("id"))
        .col(big_integer("user_id"))
        .col(string_null("user_agent"))
        .col(string_null("address"))
        .col(big_integer("created_at"))
        .col(big_integer("last_used_at"))
        .col(big_integer("expires_at"))
        .col(big_integer_null("ended_at"))
        .col(string_null("end_reason"))
        .foreign_key(&mut belongs_to("sessions", "user_id", "users"))
        .to_owned();
    let refresh_tokens = Table::create()
        .table("refresh_tokens")
        .col(big_pk_auto("id"))
        .col(string("token_hash"))
        .col(big_integer("session_id"))
        .col(big_integer_null("parent_id"))
        .col(big_integer("created_at"))
        .col(big_integer("expires_at"))
        .col(big_integer_null("exchanged_at"))
        .foreign_key(&mut belongs_to("refresh_tokens", "session_id", "sessions"))
        .to_owned();
    let chats = Table::create()
        .table("chats")
        .col(big_pk_auto("id"))
        .col(boolean("is_group"))
        .col(string_null("name"))
        .col(string_null("description"))
        .col(string_null("photo"))
        .col(big_integer("owner_id"))
        .col(string_null("direct_key"))
        .col(string_null("client_id"))
        .col(boolean("approved"))
        .col(boolean("visible"))
        .col(big_integer("rev"))
        .col(big_integer("meta_rev"))
        .col(big_integer("last_seq"))
        .col(integer("member_count"))
        .col(big_integer("last_activity_at"))
        .col(big_integer("created_at"))
        .col(big_integer_null("deleted_at"))
        .foreign_key(&mut belongs_to("chats", "owner_id", "users"))
        .to_owned();
    let members = Table::create()
        .table("members")
        .col(big_integer("chat_id"))
        .col(big_integer("user_id"))
        .col(string("role"))
        .col(big_integer("joined_at"))
        .col(big_integer("rev"))
        .col(big_integer("last_read_seq").default(0))
        .col(big_integer_null("pinned_at"))
        .col(big_integer_null("muted_until"))
        .col(boolean("archived").default(false))
        .col(big_integer("user_rev").default(0))
        .col(big_integer_null("left_at"))
        .col(string_null("left_reason"))
        .primary_key(Index::create().col("chat_id").col("user_id"))
        .foreign_key(&mut belongs_to("members", "chat_id", "chats"))
        .foreign_key(&mut belongs_to("members", "user_id", "users"))
        .to_owned();
    let message_types = Table::create()
        .table("message_types")
        .col(small_integer("id").primary_key())
        .col(string("name"))
        .col(string("mime"))
        .col(boolean("text"))
        .to_owned();
    let messages = Table::create()
        .table("messages")
        .col(big_pk_auto("id"))
        .col(big_integer("chat_id"))
        .col(big_integer("seq"))
        .col(big_integer("rev"))
        .col(big_integer("user_id"))
        .col(small_integer("message_type"))
        .col(text("content"))
        .col(string_null("client_id"))
        .col(string_null("fingerprint"))
        .col(big_integer_null("reply_to"))
        .col(integer("likes").default(0))
        .col(big_integer_null("pinned_at"))
        .col(big_integer_null("edited_at"))
        .col(big_integer_null("deleted_at"))
        .col(big_integer("created_at"))
        .foreign_key(&mut belongs_to("messages", "chat_id", "chats"))
        .foreign_key(&mut belongs_to("messages", "user_id", "users"))
        .to_owned();
    let likes = Table::create()
        .table("likes")
        .col(big_integer("message_id"))
        .col(big_integer("user_id"))
        .col(big_integer("created_at"))
        .primary_key(Index::create().col("message_id").col("user_id"))
        .foreign_key(&mut belongs_to("likes", "message_id", "messages"))
        .foreign_key(&mut belongs_to("likes", "user_id", "users"))
        .to_owned();
    vec![meta, users, sessions, refresh_tokens, chats, members, message_types, messages, likes]
}

fn indexes() -> Vec<IndexCreateStatement> {
    let unique = |table: &'static str, name: &'static str, columns: &[&'static str]| {
        let mut index = Index::create().unique().table(table).name(name).to_owned();
        for column in columns {
            index.col(*column);
        }
        index
    };
    let plain = |table: &'static str, name: &'static str, columns: &[&'static str]| {
        let mut index = Index::create().table(table).name(name).to_owned();
        for column in columns {
            index.col(*column);
        }
        index
    };
    vec![
        unique("users", "users_phone_unique", &["phone"]),
        unique("users", "users_email_unique", &["email_key"]),
        unique("users", "users_username_unique", &["username_key"]),
        plain("sessions", "sessions_of_user", &["user_id"]),
        unique("refresh_tokens", "refresh_tokens_hash_unique", &["token_hash"]),
        plain("refresh_tokens", "refresh_tokens_of_session", &["session_id"]),
        unique("chats", "chats_direct_unique", &["direct_key"]),
        unique("chats", "chats_client_id_unique", &["owner_id", "client_id"]),
        plain("members", "members_of_user", &["user_id", "chat_id"]),
        plain("members", "members_by_joining", &["joined_at"]),
        unique("messages", "messages_seq_unique", &["chat_id", "seq"]),
        plain("messages", "messages_by_rev", &["chat_id", "rev"]),
        unique("messages", "messages_client_id_unique", &["user_id", "client_id"]),
        plain("likes", "likes_of_user", &["user_id"]),
    ]
}
