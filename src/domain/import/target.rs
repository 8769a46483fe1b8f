//! The database that is imported into: batches, the notes of earlier batches, and new ids.

use std::collections::HashMap;

use entity::{import, meta};
use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::OnConflict;
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbBackend, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Statement,
};

use crate::domain::AppContext;
use crate::error::{Error, Result};
use crate::platform::db::{Tx, TxConnection, retry};

/// Rows per insert; SQLite binds 32,766 values at most, PostgreSQL 65,535.
pub const ROWS: usize = 1_000;

/// Maximum number of values in a list.
pub const LIST: usize = 10_000;

/// A kind of object in the notes.
#[derive(Clone, Copy)]
pub enum Noted {
    /// An account.
    User,
    /// A chat.
    Chat,
    /// A message.
    Message,
    /// A photo, by the id of the account that shows it.
    Photo,
    /// The end of a chat (by its id here) before messages were imported into it.
    End,
}

impl Noted {
    fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Chat => "chat",
            Self::Message => "message",
            Self::Photo => "photo",
            Self::End => "end",
        }
    }
}

/// Size in bytes up to which a message is imported even if clients may not send such a message: existing messages
/// are kept, and they fit into a page.
const LONGEST_MESSAGE: usize = 900_000;

/// The database that is imported into.
pub struct Target<'a> {
    context: &'a AppContext,
    source: String,
    /// In a dry run, the single transaction for all batches, which is never committed.
    dry: Option<Tx>,
}

impl<'a> Target<'a> {
    /// Opens the database for a source with this name.
    pub async fn open(context: &'a AppContext, source: &str, dry_run: bool) -> Result<Self> {
        let dry = if dry_run { Some(context.db.begin().await?) } else { None };
        Ok(Self { context, source: source.to_owned(), dry })
    }

    /// Returns whether this is a dry run.
    pub fn is_dry(&self) -> bool {
        self.dry.is_some()
    }

    /// Returns the current time, milliseconds since the Unix epoch.
    pub fn now(&self) -> i64 {
        self.context.clock.now()
    }

    /// Ends the import; rolls a dry run back.
    pub async fn close(self) -> Result<()> {
        match self.dry {
            Some(tx) => tx.roll_back().await,
            None => Ok(()),
        }
    }

    /// Updates PostgreSQL's table statistics, which the following queries are planned with.
    pub async fn count_rows(&self) -> Result<()> {
        if self.context.db.backend() == DbBackend::Postgres {
            self.batch(async |to| Ok(to.conn.execute_unprepared("ANALYZE users, chats, members").await?))
                .await?;
        }
        Ok(())
    }

    /// Runs work in one transaction.
    pub async fn batch<T>(&self, work: impl AsyncFn(&Writing<'_>) -> Result<T>) -> Result<T> {
        if let Some(tx) = &self.dry {
            return work(&self.writing(tx)).await;
        }
        let attempt = async || {
            let tx = self.context.db.begin().await?;
            let done = work(&self.writing(&tx)).await?;
            // No events are published, see the module.
            tx.commit_silently().await?;
            Ok(done)
        };
        retry(attempt).await
    }

    fn writing<'b>(&'b self, tx: &'b Tx) -> Writing<'b> {
        let longest = self.context.limits.max_message_bytes.max(LONGEST_MESSAGE);
        Writing { conn: tx.conn(), longest, source: &self.source }
    }

    /// Refuses a source that is not the one that was imported under this name before: the same ids would mean other
    /// rows.
    pub async fn require_mark(&self, mark: &str) -> Result<()> {
        let known = self.batch(async |to| {
            let key = format!("import:{}", to.source);
            let row = meta::ActiveModel { key: Set(key.clone()), value: Set(mark.to_owned()) };
            let keep = OnConflict::column(meta::Column::Key).do_nothing().to_owned();
            meta::Entity::insert(row).on_conflict(keep).exec_without_returning(to.conn).await?;
            Ok(meta::Entity::find_by_id(key).one(to.conn).await?.map(|row| row.value))
        });
        if known.await?.as_deref() == Some(mark) {
            return Ok(());
        }
        let problem =
            format!("another Mango was imported as `{}` before; name this one with --source", self.source);
        Err(Error::invalid("--from", problem))
    }
}

/// A batch that is being written.
pub struct Writing<'a> {
    /// The transaction.
    pub conn: &'a TxConnection,
    /// Maximum size of a message, in bytes.
    pub longest: usize,
    source: &'a str,
}

impl Writing<'_> {
    /// Returns those of these ids that were imported, with their ids here.
    pub async fn known(&self, kind: Noted, old: impl IntoIterator<Item = i64>) -> Result<HashMap<i64, i64>> {
        let mut old: Vec<i64> = old.into_iter().collect();
        old.sort_unstable();
        old.dedup();
        let mut known = HashMap::with_capacity(old.len());
        let backend = self.conn.get_database_backend();
        let list = match backend {
            DbBackend::Postgres => "SELECT unnest(string_to_array($3, ',')::bigint[]) AS id",
            _ => "SELECT value AS id FROM json_each('[' || $3 || ']')",
        };
        // One index lookup per id, whatever plan the optimizer would choose for a table that is just being filled:
        // with a list and no statistics yet, PostgreSQL compared every row with every number.
        let sql = format!(
            "SELECT v.id AS old_id, (SELECT i.new_id FROM imports i WHERE i.source = $1 AND i.kind = $2 \
             AND i.old_id = v.id) AS new_id FROM ({list}) AS v"
        );
        for some in old.chunks(LIST) {
            let ids = some.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
            let values = [self.source.into(), kind.name().into(), ids.into()];
            for row in self.conn.query_all_raw(Statement::from_sql_and_values(backend, &sql, values)).await? {
                if let Some(new) = row.try_get::<Option<i64>>("", "new_id")? {
                    known.insert(row.try_get("", "old_id")?, new);
                }
            }
        }
        Ok(known)
    }

    /// Records what was imported, in the same transaction.
    pub async fn note(&self, kind: Noted, pairs: &[(i64, i64)]) -> Result<()> {
        self.insert::<import::Entity, _>(self.rows(kind, pairs)).await
    }

    /// Records pairs that have no note yet.
    pub async fn note_first(&self, kind: Noted, pairs: &[(i64, i64)]) -> Result<()> {
        use import::Column::{Kind, OldId, Source};
        for some in pairs.chunks(ROWS) {
            let keep = OnConflict::columns([Source, Kind, OldId]).do_nothing().to_owned();
            let rows = self.rows(kind, some);
            import::Entity::insert_many(rows).on_conflict(keep).exec_without_returning(self.conn).await?;
        }
        Ok(())
    }

    /// Returns up to `number` notes of a kind.
    pub async fn noted(&self, kind: Noted, number: u64) -> Result<HashMap<i64, i64>> {
        let rows: Vec<(i64, i64)> = import::Entity::find()
            .select_only()
            .columns([import::Column::OldId, import::Column::NewId])
            .filter(import::Column::Source.eq(self.source))
            .filter(import::Column::Kind.eq(kind.name()))
            .order_by_asc(import::Column::OldId)
            .limit(number)
            .into_tuple()
            .all(self.conn)
            .await?;
        Ok(rows.into_iter().collect())
    }

    /// Deletes notes.
    pub async fn forget(&self, kind: Noted, old: impl Iterator<Item = i64>) -> Result<()> {
        import::Entity::delete_many()
            .filter(import::Column::Source.eq(self.source))
            .filter(import::Column::Kind.eq(kind.name()))
            .filter(import::Column::OldId.is_in(old))
            .exec(self.conn)
            .await?;
        Ok(())
    }

    fn rows(&self, kind: Noted, pairs: &[(i64, i64)]) -> Vec<import::ActiveModel> {
        let row = |(old, new): &(i64, i64)| import::ActiveModel {
            source: Set(self.source.to_owned()),
            kind: Set(kind.name().to_owned()),
            old_id: Set(*old),
            new_id: Set(*new),
        };
        pairs.iter().map(row).collect()
    }

    /// Inserts rows, many per statement.
    pub async fn insert<E, A>(&self, rows: Vec<A>) -> Result<()>
    where
        E: EntityTrait,
        A: sea_orm::ActiveModelTrait<Entity = E>,
    {
        let mut rows = rows.into_iter().peekable();
        while rows.peek().is_some() {
            let some: Vec<A> = rows.by_ref().take(ROWS).collect();
            E::insert_many(some).exec_without_returning(self.conn).await?;
        }
        Ok(())
    }

    /// Returns ids that have never been used.
    pub async fn new_ids(&self, table: &str, number: usize) -> Result<Vec<i64>> {
        if number == 0 {
            return Ok(Vec::new());
        }
        let backend = self.conn.get_database_backend();
        if backend == DbBackend::Postgres {
            let sql = format!(
                "SELECT nextval(pg_get_serial_sequence('{table}', 'id')) AS id FROM generate_series(1, {number})"
            );
            let rows = self.conn.query_all_raw(Statement::from_string(backend, sql)).await?;
            return rows.iter().map(|row| Ok(row.try_get("", "id")?)).collect();
        }
        // On SQLite no other transaction can write now; explicit ids advance the table's own counter.
        let sql = format!(
            "SELECT MAX(COALESCE((SELECT seq FROM sqlite_sequence WHERE name = '{table}'), 0), \
             COALESCE((SELECT MAX(id) FROM {table}), 0)) AS last"
        );
        let row = self.conn.query_one_raw(Statement::from_string(backend, sql)).await?;
        let last: i64 = row.map_or(Ok(0), |row| row.try_get("", "last"))?;
        Ok((last + 1..).take(number).collect())
    }
}
