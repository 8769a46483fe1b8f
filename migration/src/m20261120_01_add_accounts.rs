//! Accounts: bans, one-time tokens, the mail outbox and its log, contacts, reports, the audit log, and imported items.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{
    big_integer, big_integer_null, big_pk_auto, boolean, integer, string, string_null, text, text_null,
};

/// The migration; see the module documentation.
#[derive(DeriveMigrationName)]
pub struct Migration;

/// New columns of `users`. SQLite adds one column per statement.
fn columns_of_users() -> [ColumnDef; 5] {
    [
        big_integer_null("banned_at"),
        big_integer_null("banned_until"),
        string_null("ban_reason"),
        // Language of mails to the user.
        string_null("language"),
        // Time of the latest password change.
        big_integer_null("password_changed_at"),
    ]
}

/// Whether one member of a direct chat blocks the other. Stored with the chat, so that sending a message needs no other
/// table.
fn blocked() -> ColumnDef {
    boolean("blocked").default(false).take()
}

fn client_ids_of(who: &'static str) -> IndexCreateStatement {
    Index::create()
        .unique()
        .table("chats")
        .name("chats_client_id_unique")
        .col(who)
        .col("client_id")
        .to_owned()
}

const TABLES: [&str; 8] = [
    "account_endings",
    "imports",
    "audit_log",
    "reports",
    "contacts",
    "mail_outbox",
    "mail_log",
    "one_time_tokens",
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for column in columns_of_users() {
            manager.alter_table(Table::alter().table("users").add_column(column).to_owned()).await?;
        }
        manager.alter_table(Table::alter().table("chats").add_column(blocked()).to_owned()).await?;
        // A group's `client_id` belongs to its creator for ever, even if the group gets a new owner.
        let creator = big_integer("creator_id").default(0).take();
        manager.alter_table(Table::alter().table("chats").add_column(creator).to_owned()).await?;
        let creators = Query::update().table("chats").value("creator_id", Expr::col("owner_id")).to_owned();
        manager.execute(creators).await?;
        manager.drop_index(Index::drop().name("chats_client_id_unique").table("chats").to_owned()).await?;
        manager.create_index(client_ids_of("creator_id")).await?;
        for table in tables() {
            manager.create_table(table).await?;
        }
        for index in indexes() {
            manager.create_index(index).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_index(Index::drop().name("users_by_role").table("users").to_owned()).await?;
        manager.drop_index(Index::drop().name("messages_of_user").table("messages").to_owned()).await?;
        for table in TABLES {
            manager.drop_table(Table::drop().table(table).to_owned()).await?;
        }
        for column in columns_of_users() {
            let name = column.get_column_name().clone();
            manager.alter_table(Table::alter().table("users").drop_column(name).to_owned()).await?;
        }
        manager.alter_table(Table::alter().table("chats").drop_column("blocked").to_owned()).await?;
        manager.drop_index(Index::drop().name("chats_client_id_unique").table("chats").to_owned()).await?;
        // The new owner of a transferred group may have used the same `client_id`.
        let foreign = Query::update()
            .table("chats")
            .value("client_id", None::<String>)
            .and_where(Expr::col("owner_id").ne(Expr::col("creator_id")))
            .to_owned();
        manager.execute(foreign).await?;
        manager.create_index(client_ids_of("owner_id")).await?;
        manager.alter_table(Table::alter().table("chats").drop_column("creator_id").to_owned()).await?;
        Ok(())
    }
}

fn belongs_to(from: &'static str, column: &'static str, to: &'static str) -> ForeignKeyCreateStatement {
    ForeignKey::create().from(from, column).to(to, "id").on_delete(ForeignKeyAction::Cascade).to_owned()
}

fn tables() -> Vec<TableCreateStatement> {
    let one_time_tokens = Table::create()
        .table("one_time_tokens")
        .col(big_pk_auto("id"))
        .col(big_integer("user_id"))
        .col(string("purpose"))
        .col(string("token_hash"))
        .col(string_null("email"))
        .col(big_integer("created_at"))
        .col(big_integer("expires_at"))
        .col(big_integer_null("used_at"))
        .foreign_key(&mut belongs_to("one_time_tokens", "user_id", "users"))
        .to_owned();
    let mail_log = Table::create()
        .table("mail_log")
        .col(big_pk_auto("id"))
        .col(big_integer_null("user_id"))
        .col(string("template"))
        .col(string("recipient"))
        .col(string("subject"))
        .col(string("message_id"))
        .col(string("state"))
        .col(integer("attempts").default(0))
        .col(big_integer("created_at"))
        .col(big_integer_null("next_attempt_at"))
        .col(big_integer_null("claimed_until"))
        // Expiry of the one-time token in it: the mail is not sent after that.
        .col(big_integer_null("expires_at"))
        .col(big_integer_null("finished_at"))
        .col(text_null("last_error"))
        .to_owned();
    let mail_outbox = Table::create()
        .table("mail_outbox")
        .col(big_integer("mail_id").primary_key())
        .col(text("content"))
        .col(text_null("link"))
        .foreign_key(&mut belongs_to("mail_outbox", "mail_id", "mail_log"))
        .to_owned();
    let contacts = Table::create()
        .table("contacts")
        .col(big_integer("user_id"))
        .col(big_integer("other_id"))
        .col(big_integer_null("followed_at"))
        .col(big_integer_null("blocked_at"))
        .col(big_integer("user_rev"))
        .primary_key(Index::create().col("user_id").col("other_id"))
        .foreign_key(&mut belongs_to("contacts", "user_id", "users"))
        .foreign_key(&mut belongs_to("contacts", "other_id", "users"))
        .to_owned();
    let reports = Table::create()
        .table("reports")
        .col(big_pk_auto("id"))
        .col(big_integer("reporter_id"))
        .col(big_integer("user_id"))
        .col(big_integer_null("chat_id"))
        .col(big_integer_null("message_id"))
        .col(text_null("content"))
        .col(text("reason"))
        .col(string("state"))
        .col(big_integer("created_at"))
        .col(big_integer_null("resolved_at"))
        .col(big_integer_null("resolved_by"))
        .col(text_null("resolution"))
        .foreign_key(&mut belongs_to("reports", "reporter_id", "users"))
        .foreign_key(&mut belongs_to("reports", "user_id", "users"))
        .to_owned();
    let audit_log = Table::create()
        .table("audit_log")
        .col(big_pk_auto("id"))
        .col(big_integer_null("actor_id"))
        .col(string("action"))
        .col(string_null("target_kind"))
        .col(big_integer_null("target_id"))
        .col(text("details"))
        .col(string_null("address"))
        .col(big_integer("created_at"))
        .to_owned();
    let imports = Table::create()
        .table("imports")
        .col(string("source"))
        .col(string("kind"))
        .col(big_integer("old_id"))
        .col(big_integer("new_id"))
        .primary_key(Index::create().col("source").col("kind").col("old_id"))
        .to_owned();
    let account_endings = Table::create()
        .table("account_endings")
        .col(big_integer("user_id").primary_key())
        .col(string("photo"))
        .col(big_integer("created_at"))
        .foreign_key(&mut belongs_to("account_endings", "user_id", "users"))
        .to_owned();
    vec![one_time_tokens, mail_log, mail_outbox, contacts, reports, audit_log, imports, account_endings]
}

fn indexes() -> Vec<IndexCreateStatement> {
    let plain = |table: &'static str, name: &'static str, columns: &[&'static str]| {
        let mut index = Index::create().table(table).name(name).to_owned();
        for column in columns {
            index.col(*column);
        }
        index
    };
    let unique = |table, name, columns: &[&'static str]| plain(table, name, columns).unique().to_owned();
    vec![
        unique("one_time_tokens", "one_time_tokens_hash_unique", &["token_hash"]),
        plain("one_time_tokens", "one_time_tokens_of_user", &["user_id", "purpose"]),
        plain("mail_log", "mail_log_due", &["state", "next_attempt_at"]),
        plain("mail_log", "mail_log_of_user", &["user_id"]),
        plain("contacts", "contacts_of_other", &["other_id", "user_id"]),
        plain("reports", "reports_by_state", &["state", "id"]),
        plain("reports", "reports_of_reporter", &["reporter_id", "id"]),
        plain("audit_log", "audit_log_of_target", &["target_kind", "target_id"]),
        plain("audit_log", "audit_log_of_actor", &["actor_id", "id"]),
        plain("users", "users_by_role", &["role"]),
        plain("messages", "messages_of_user", &["user_id", "id"]),
    ]
}
