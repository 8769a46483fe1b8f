//! The demo data: three users, a group and a direct chat that show the product. It is created by the same commands
//! that clients use, so it contains nothing that they could not create.

use entity::user;
use sea_orm::{EntityTrait, PaginatorTrait};

use super::dispatch::CommandHandler;
use super::profiles::{Registration, register};
use super::{Actor, AppContext, Caller};
use crate::config::ContactRule;
use crate::config::Environment;
use crate::error::{Error, Result};
use crate::ids::{ChatId, MessageId, SessionId, UserId};
use crate::protocol::chats::{CreateChat, NewChat};
use crate::protocol::contacts::Follow;
use crate::protocol::message_type::MessageType;
use crate::protocol::messages::{LikedMessage, OutgoingMessage, SendMessage, ToggleLikeMessage};
use crate::protocol::own_state::{PinnedChat, ToggleChatPin};
use crate::protocol::parse::Envelope;
use crate::protocol::users::UserRef;

/// The password of all demo users.
pub const PASSWORD: &str = "mango-demo";

/// Username, display name, description.
const PEOPLE: [(&str, &str, &str); 3] = [
    ("alice", "Alice Alphonso", "Grows mangoes on a balcony."),
    ("bob", "Bob Badami", "Eats what Alice grows."),
    ("carol", "Carol Carabao", "Writes the recipes down."),
];

/// Returns whether the database has no users yet.
pub async fn is_empty(context: &AppContext) -> Result<bool> {
    Ok(user::Entity::find().count(context.db.read()).await? == 0)
}

/// Creates the demo data and returns the usernames.
pub async fn seed(context: &AppContext) -> Result<Vec<&'static str>> {
    if context.settings.environment == Environment::Prod {
        return Err(Error::forbidden("demo users have a known password: not in prod"));
    }
    if !is_empty(context).await? {
        return Err(Error::forbidden("the database already has users; demo data is for an empty one"));
    }
    let mut people = Vec::new();
    for (username, name, description) in PEOPLE {
        let request = Registration {
            password: PASSWORD.into(),
            phone: None,
            email: None,
            username: Some(username.into()),
            name: Some(name.into()),
            description: Some(description.into()),
            photo: None,
            invite: None,
        };
        people.push(register(context, request).await?.user.id);
    }
    let [alice, bob, carol] = people[..] else {
        return Err(Error::internal("the demo data has three users"));
    };
    if context.settings.contacts.requires(ContactRule::Mutual) {
        for (one, other) in [(alice, bob), (alice, carol), (bob, alice), (carol, alice)] {
            let follow = Follow { user: Envelope(UserRef { id: other }) };
            context.publish(follow.run(context, &caller(one)).await?).await;
        }
    }
    let group = create(context, alice, Some("Mango lovers"), &[bob, carol]).await?;
    say(
        context,
        alice,
        group,
        "Welcome to Mango Chat! Send something, like something, pin this chat.",
        "text",
    )
    .await?;
    let harvest = say(context, bob, group, "Is the harvest in yet?", "text").await?;
    say(
        context,
        carol,
        group,
        "## Mango lassi\n1. One ripe mango\n2. A cup of yoghurt\n3. Blend, drink, repeat",
        "markdown",
    )
    .await?;
    let direct = create(context, bob, None, &[alice]).await?;
    // If chats of strangers wait for approval, this approves Bob's chat; otherwise it changes nothing.
    create(context, alice, None, &[bob]).await?;
    let lunch = say(context, bob, direct, "Lunch on Friday?", "text").await?;
    for message in [harvest, lunch] {
        let like = ToggleLikeMessage { message: Envelope(LikedMessage { id: message, liked: Some(true) }) };
        context.publish(like.run(context, &caller(alice)).await?).await;
    }
    let pin = ToggleChatPin { chat: Envelope(PinnedChat { id: group, pinned: Some(true) }) };
    context.publish(pin.run(context, &caller(alice)).await?).await;
    Ok(PEOPLE.iter().map(|(username, _, _)| *username).collect())
}

fn caller(user_id: UserId) -> Caller {
    Caller::without_socket(Actor { user_id, session_id: SessionId(0) })
}

async fn create(context: &AppContext, by: UserId, name: Option<&str>, others: &[UserId]) -> Result<ChatId> {
    let chat = NewChat {
        name: name.map(str::to_owned),
        is_group: name.is_some(),
        members_array: others.to_vec(),
        description: None,
        client_id: None,
    };
    let request = CreateChat { chat: Envelope(chat), message: None };
    Ok(context.publish(request.run(context, &caller(by)).await?).await.chat.id)
}

async fn say(context: &AppContext, by: UserId, chat_id: ChatId, text: &str, kind: &str) -> Result<MessageId> {
    let message = OutgoingMessage {
        chat_id,
        content: text.to_owned(),
        message_type: MessageType::from_name(kind)
            .ok_or_else(|| Error::internal("an unknown message type"))?,
        client_id: None,
        reply_to: None,
        attachments: Vec::new(),
    };
    let request = SendMessage { message: Envelope(message) };
    Ok(context.publish(request.run(context, &caller(by)).await?).await.message.id)
}
