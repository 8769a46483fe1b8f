//! The demo landscape: three people, a group and a direct chat that show the product. Made by the same
//! commands that clients use, so it can never hold what they could not make.

use entity::user;
use sea_orm::{EntityTrait, PaginatorTrait};

use super::dispatch::Behaviour;
use super::users::{Registration, register};
use super::{Actor, Caller, Core};
use crate::config::Landscape;
use crate::error::{Error, Result};
use crate::ids::{ChatId, MessageId, SessionId, UserId};
use crate::protocol::commands::chats::{CreateChat, NewChat, PinnedChat, ToggleChatPin, UserRef};
use crate::protocol::commands::contacts::Follow;
use crate::protocol::commands::messages::{LikedMessage, OutgoingMessage, SendMessage, ToggleLikeMessage};
use crate::protocol::message_type::MessageType;
use crate::protocol::parse::Envelope;

/// Everybody's password in the landscape.
pub const PASSWORD: &str = "mango-demo";

/// Username, display name, description.
const PEOPLE: [(&str, &str, &str); 3] = [
    ("alice", "Alice Alphonso", "Grows mangoes on a balcony."),
    ("bob", "Bob Badami", "Eats what Alice grows."),
    ("carol", "Carol Carabao", "Writes the recipes down."),
];

/// Whether nobody has registered yet.
pub async fn is_empty(core: &Core) -> Result<bool> {
    Ok(user::Entity::find().count(core.db.read()).await? == 0)
}

/// Plants the landscape; answers the usernames.
pub async fn seed(core: &Core) -> Result<Vec<&'static str>> {
    if core.settings.landscape == Landscape::Prod {
        return Err(Error::forbidden("demo users have a known password: not in prod"));
    }
    if !is_empty(core).await? {
        return Err(Error::forbidden(
            "the database has users already, the demo landscape is for an empty one",
        ));
    }
    let mut people = Vec::new();
    for (username, name, description) in PEOPLE {
        let wish = Registration {
            password: PASSWORD.into(),
            phone: None,
            email: None,
            username: Some(username.into()),
            name: Some(name.into()),
            description: Some(description.into()),
            photo: None,
        };
        people.push(register(core, wish).await?.user.id);
    }
    let [alice, bob, carol] = people[..] else {
        return Err(Error::internal("three people make the landscape"));
    };
    if core.settings.contacts.mutual {
        for (one, other) in [(alice, bob), (alice, carol), (bob, alice), (carol, alice)] {
            let follow = Follow { user: Envelope(UserRef { id: other }) };
            core.publish(follow.run(core, &caller(one)).await?).await;
        }
    }
    let group = create(core, alice, Some("Mango lovers"), &[bob, carol]).await?;
    say(core, alice, group, "Welcome to Mango Chat! Send something, like something, pin this chat.", "text")
        .await?;
    let harvest = say(core, bob, group, "Is the harvest in yet?", "text").await?;
    say(
        core,
        carol,
        group,
        "## Mango lassi\n1. One ripe mango\n2. A cup of yoghurt\n3. Blend, drink, repeat",
        "markdown",
    )
    .await?;
    let direct = create(core, bob, None, &[alice]).await?;
    // Where strangers' chats wait for approval, this is hers; elsewhere it changes nothing.
    create(core, alice, None, &[bob]).await?;
    let lunch = say(core, bob, direct, "Lunch on Friday?", "text").await?;
    for message in [harvest, lunch] {
        let like = ToggleLikeMessage { message: Envelope(LikedMessage { id: message, liked: Some(true) }) };
        core.publish(like.run(core, &caller(alice)).await?).await;
    }
    let pin = ToggleChatPin { chat: Envelope(PinnedChat { id: group, pinned: Some(true) }) };
    core.publish(pin.run(core, &caller(alice)).await?).await;
    Ok(PEOPLE.iter().map(|(username, _, _)| *username).collect())
}

fn caller(user_id: UserId) -> Caller {
    Caller::without_socket(Actor { user_id, session_id: SessionId(0) })
}

async fn create(core: &Core, by: UserId, name: Option<&str>, others: &[UserId]) -> Result<ChatId> {
    let chat = NewChat {
        name: name.map(str::to_owned),
        is_group: name.is_some(),
        members_array: others.to_vec(),
        description: None,
        client_id: None,
    };
    let wish = CreateChat { chat: Envelope(chat), message: None };
    Ok(core.publish(wish.run(core, &caller(by)).await?).await.chat.id)
}

async fn say(core: &Core, by: UserId, chat_id: ChatId, text: &str, kind: &str) -> Result<MessageId> {
    let message = OutgoingMessage {
        chat_id,
        content: text.to_owned(),
        message_type: MessageType::from_name(kind)
            .ok_or_else(|| Error::internal("an unknown message type"))?,
        client_id: None,
        reply_to: None,
        attachments: Vec::new(),
    };
    let wish = SendMessage { message: Envelope(message) };
    Ok(core.publish(wish.run(core, &caller(by)).await?).await.message.id)
}
