//! Service-wide roles, and the proof that a user has one.

use entity::user;
use sea_orm::sea_query::LockType;
use sea_orm::{ColumnTrait, Condition, ConnectionTrait, QueryFilter, QueryOrder, QuerySelect};

use crate::domain::{Actor, AppContext, users};
use crate::error::{Error, Result};
use crate::ids::UserId;
use crate::platform::db::Tx;
use crate::protocol::moderation::Role;

/// Proof that a user is a moderator or an admin, as of the last read of the database.
#[derive(Clone, Debug)]
pub struct Moderator {
    id: UserId,
    role: Role,
    address: Option<String>,
}

/// Proof that a user is an admin, as of the last read of the database.
#[derive(Clone, Debug)]
pub struct Admin(Moderator);

impl Moderator {
    /// Reads the user's row and fails if the user is no moderator. `address` is the origin of the request, for the
    /// audit log.
    pub async fn prove(context: &AppContext, actor: Actor, address: Option<String>) -> Result<Self> {
        let row = users::find(context.db.read(), actor.user_id).await?;
        if row.role < Role::Moderator || row.is_banned(context.clock.now()) {
            return Err(Error::forbidden("this is for moderators and admins"));
        }
        Ok(Self { id: actor.user_id, role: row.role, address })
    }

    /// Returns the user's id.
    pub fn id(&self) -> UserId {
        self.id
    }

    /// Whether the user is an admin, who may see more than moderators do.
    pub fn is_admin(&self) -> bool {
        self.role == Role::Admin
    }

    /// Returns the address that the request came from.
    pub fn address(&self) -> Option<&str> {
        self.address.as_deref()
    }
}

impl Admin {
    /// Reads the user's row and fails if the user is no admin.
    pub async fn prove(context: &AppContext, actor: Actor, address: Option<String>) -> Result<Self> {
        let refused = || Error::forbidden("this is for admins");
        let proof = Moderator::prove(context, actor, address).await.map_err(|error| match error.source {
            None => refused(),
            Some(_) => error,
        })?;
        if proof.is_admin() { Ok(Self(proof)) } else { Err(refused()) }
    }

    /// Returns the proof as a moderator's: an admin may do everything that a moderator may.
    pub fn as_moderator(&self) -> &Moderator {
        &self.0
    }
}

/// The rows of the acting user, of the user acted on, and of all admins, locked in the order of their ids: no role that
/// the action requires changes before the commit.
pub(super) struct Locked {
    rows: Vec<user::Model>,
}

impl Locked {
    /// Locks the rows. Fails if `by` no longer has at least the role `least`.
    pub(super) async fn read(
        context: &AppContext,
        tx: &Tx,
        by: &Moderator,
        least: Role,
        target: UserId,
    ) -> Result<Self> {
        let locked = Self { rows: lock_with_admins(tx.conn(), &[by.id, target]).await? };
        let still = locked.find(by.id)?;
        if still.role < least || still.is_banned(context.clock.now()) {
            return Err(Error::forbidden("the role that this requires was revoked"));
        }
        Ok(locked)
    }

    /// Returns one of the rows.
    pub(super) fn find(&self, id: UserId) -> Result<&user::Model> {
        self.rows.iter().find(|row| row.id == id.0).ok_or_else(|| Error::not_found("user"))
    }

    /// Fails if no admin other than `than` would be left.
    pub(super) fn require_another_admin(&self, than: UserId) -> Result<()> {
        let other = self.rows.iter().any(|row| row.id != than.0 && row.role == Role::Admin);
        if other {
            return Ok(());
        }
        Err(Error::forbidden("the last admin cannot lose the role; make another user an admin first"))
    }
}

/// Locks the rows of this user and of all admins, and fails if `leaving` is the only admin. For callers that delete an
/// account.
pub async fn require_another_admin(conn: &impl ConnectionTrait, leaving: UserId) -> Result<user::Model> {
    let locked = Locked { rows: lock_with_admins(conn, &[leaving]).await? };
    let row = locked.find(leaving)?.clone();
    if row.role == Role::Admin {
        locked.require_another_admin(leaving)?;
    }
    Ok(row)
}

/// Locks the rows of an admin, of the user whose account is deleted, and of all admins. Fails if the role was revoked, or
/// if the user is the last admin.
pub async fn lock_for_deletion(
    context: &AppContext,
    tx: &Tx,
    by: &Admin,
    target: UserId,
) -> Result<user::Model> {
    let locked = Locked::read(context, tx, by.as_moderator(), Role::Admin, target).await?;
    let row = locked.find(target)?.clone();
    if row.role == Role::Admin {
        locked.require_another_admin(target)?;
    }
    Ok(row)
}

async fn lock_with_admins(conn: &impl ConnectionTrait, ids: &[UserId]) -> Result<Vec<user::Model>> {
    let which = Condition::any()
        .add(user::Column::Role.eq(Role::Admin))
        .add(user::Column::Id.is_in(ids.iter().map(|id| id.0)));
    let rows = user::Entity::present()
        .filter(which)
        .order_by_asc(user::Column::Id)
        // A weak lock: transactions that only reference a row, such as the insert of a like, do not conflict with
        // it.
        .lock(LockType::NoKeyUpdate)
        .all(conn)
        .await?;
    Ok(rows)
}
