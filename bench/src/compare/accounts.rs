//! The users and chats of a server: a chat of all 1,000 users, one of the first 100, and 100 chats of two.

use std::rc::Rc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use sea_orm::{ConnectionTrait, Database};
use serde_json::json;

use super::dialect::Dialect;
use super::server::Kind;
use crate::Result;
use crate::users::{self, User};

/// Users.
pub const USERS: usize = 1_000;

/// Members of the smaller of the two big chats.
pub const HUNDRED: usize = 100;

/// Chats of two members: chat `i` has the users `2 i` and `2 i + 1`.
pub const PAIRS: usize = 100;

/// The users and chats of a server.
pub struct World {
    /// The first frame that each user sends.
    pub logins: Rc<Vec<String>>,
    /// The id of the chat of all users.
    pub thousand: i64,
    /// The id of the chat of the first 100 users.
    pub hundred: i64,
    /// The ids of the chats of two.
    pub pairs: Vec<i64>,
}

/// The tables of the peers. Chat 1 is that of all users, chat 2 that of 100, and 3 and higher those of two.
const TABLES: &str = "
    CREATE TABLE members (chat_id integer, user_id integer, PRIMARY KEY (chat_id, user_id));
    CREATE INDEX members_of_user ON members (user_id);
    CREATE TABLE messages (id bigserial PRIMARY KEY, chat_id integer NOT NULL, user_id integer NOT NULL,
        content text NOT NULL, created_at timestamptz NOT NULL);
    INSERT INTO members SELECT 1, id FROM generate_series(0, 999) AS id;
    INSERT INTO members SELECT 2, id FROM generate_series(0, 99) AS id;
    INSERT INTO members SELECT 3 + id / 2, id FROM generate_series(0, 199) AS id;
    ANALYZE;";

/// Creates the accounts of a peer by SQL, if it has a database.
pub async fn of_peer(kind: &Kind, secret: &str, database_url: Option<&str>) -> Result<World> {
    if let Some(url) = database_url {
        let db = Database::connect(url).await?;
        db.execute_unprepared(TABLES).await?;
        db.close().await?;
    }
    let pairs: Vec<i64> = (3..).take(PAIRS).collect();
    let login = |user: usize| match kind {
        Kind::Bare | Kind::Floor => {
            let mut chats = vec![1];
            chats.extend((user < HUNDRED).then_some(2));
            chats.extend(pairs.get(user / 2));
            let dialect = if *kind == Kind::Floor { Dialect::Plain } else { Dialect::SocketIo };
            dialect.login(&format!(r#""chats":{}"#, json!(chats)))
        }
        _ => Dialect::SocketIo.login(&format!(r#""token":"{}""#, token(user, secret))),
    };
    Ok(World { logins: Rc::new((0..USERS).map(login).collect()), thousand: 1, hundred: 2, pairs })
}

/// Signs a JSON Web Token (RFC 7519) with HS256.
fn token(user: usize, secret: &str) -> String {
    let encode = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!(
        "{}.{}",
        encode(json!({"alg": "HS256", "typ": "JWT"})),
        encode(json!({"sub": user.to_string()}))
    );
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let signature = URL_SAFE_NO_PAD.encode(hmac::sign(&key, signed.as_bytes()));
    format!("{signed}.{signature}")
}

/// Registers the users of a Mango Chat server and creates the chats.
pub async fn of_ours(url: &str, dialect: Dialect) -> Result<World> {
    let users = users::register(url, USERS).await?;
    let creators: Vec<User> = users.iter().step_by(2).take(PAIRS).cloned().collect();
    let mut clients = users::connect(url, &creators).await?;
    let mut chats = Vec::with_capacity(PAIRS + 2);
    for (creator, members) in
        [(0, 0..USERS), (0, 0..HUNDRED)].into_iter().chain((0..PAIRS).map(|i| (i, 2 * i..2 * i + 2)))
    {
        let ids: Vec<i64> = users[members].iter().skip(1).map(|user| user.id).collect();
        let request = json!({"chat": {"name": "bench", "is_group": true, "members_array": ids}});
        let reply = clients[creator].call("create_chat", &request).await?;
        chats.push(reply["chat"]["id"].as_i64().ok_or("create_chat returned no id")?);
    }
    for client in clients {
        client.close().await;
    }
    let logins = users.iter().map(|user| dialect.login(&format!(r#""token":"{}""#, user.token)));
    let pairs = chats.split_off(2);
    Ok(World { logins: Rc::new(logins.collect()), thousand: chats[0], hundred: chats[1], pairs })
}

#[cfg(test)]
mod tests {
    use super::token;

    #[test]
    fn tokens_are_signed() {
        // Computed with another implementation.
        let expected = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiI3In0.YNVm3kTUe0hHLISakU4cmk8MSvtML_GbFX1hBFiznF0";
        assert_eq!(token(7, "secret"), expected);
    }
}
