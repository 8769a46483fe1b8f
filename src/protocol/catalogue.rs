//! THE catalogue: every command with its payload, its answer and what it announces, and every event that
//! the server sends. Dispatch, AsyncAPI and the guards in the tests are made from these two lists, so a
//! line here without its behaviour does not compile and an undocumented event does not pass.

use serde::Serialize;
use serde::de::DeserializeOwned;
use utoipa::ToSchema;

use super::commands::{chats, contacts, messages, presence, roles, session, sync};
use super::events;
use super::parse::Check;

/// A client event: its payload type carries its name and the type of its answer.
pub trait Command: DeserializeOwned + Check + ToSchema + Send + Sync + 'static {
    /// Name on the wire.
    const NAME: &'static str;
    /// What the ack adds to `ok` (and to `chat_id`, `rev`, `prev` of a change in a chat).
    type Reply: Serialize + ToSchema + Send;
}

/// Hands the list of commands to another macro: `name: Payload => Reply, announces [events], about`.
///
/// The one clever macro of the house. `domain::dispatch` calls it to build the match from names to
/// behaviours, this file to implement [`Command`], `asyncapi` to describe.
macro_rules! for_each_command {
    ($use:ident) => {
        $use! {
            create_chat: chats::CreateChat => chats::ChatReply, [chat_created, new_message],
                "Creates a group or a direct chat; the direct chat of two people exists once.";
            add_member: chats::AddMember => chats::MemberReply, [member_added],
                "Adds a user to a group. Owner and admins.";
            remove_member: chats::RemoveMember => chats::MemberReply, [member_removed],
                "Removes a user from a group. Owner and admins.";
            update_chat: roles::UpdateChat => chats::ChatReply, [chat_updated],
                "Changes a group's name, description or photo. Owner and admins.";
            delete_chat: roles::DeleteChat => roles::Done, [chat_deleted],
                "Deletes a group for everybody. Owner.";
            leave_chat: roles::LeaveChat => roles::Done, [member_removed, member_role_changed, chat_deleted],
                "Leaves a group; the owner's place goes to the longest-serving admin, else member.";
            approve_chat: contacts::ApproveChat => roles::Done, [chat_approved],
                "Lets a stranger's direct chat in. The other side of it.";
            decline_chat: contacts::DeclineChat => roles::Done, [chat_declined],
                "Removes a stranger's direct chat that waits for approval. The other side of it.";
            set_member_role: roles::SetMemberRole => chats::MemberReply, [member_role_changed],
                "Makes a member an admin, an admin a member, or somebody else the owner. Owner.";
            toggle_chat_pin: chats::ToggleChatPin => chats::PinReply, [chat_pinned, chat_unpinned],
                "Pins or unpins a chat in one's own list.";
            toggle_chat_mute: roles::ToggleChatMute => roles::MuteReply, [chat_muted, chat_unmuted],
                "Mutes or unmutes a chat for oneself.";
            toggle_chat_archive: roles::ToggleChatArchive => roles::ArchiveReply, [chat_archived, chat_unarchived],
                "Puts a chat away in one's own list, or takes it out again.";
            send_message: messages::SendMessage => messages::SendReply, [new_message],
                "Sends a message to a chat.";
            edit_message: messages::EditMessage => messages::MessageReply, [message_edited],
                "Changes the content of one's own message.";
            delete_message: messages::DeleteMessage => messages::MessageReply, [message_deleted],
                "Takes a message's content away; its place stays. Author, the chat's owner and admins, moderators.";
            toggle_like_message: messages::ToggleLikeMessage => messages::LikeReply, [message_liked],
                "Likes a message or takes the like back.";
            mark_read: roles::MarkRead => roles::ReadReply, [chat_read],
                "Moves one's read mark forward; it never goes back.";
            typing: roles::Typing => roles::Done, [typing],
                "Says that one is typing, or no longer; ends by itself after 6 seconds.";
            follow: contacts::Follow => contacts::ContactReply, [followed],
                "Follows somebody, who may then begin a direct chat without approval.";
            unfollow: contacts::Unfollow => contacts::ContactReply, [unfollowed],
                "Follows somebody no longer.";
            block: contacts::Block => contacts::ContactReply, [blocked],
                "Blocks somebody: no direct messages either way, no presence, no adding to groups.";
            unblock: contacts::Unblock => contacts::ContactReply, [unblocked],
                "Blocks somebody no longer.";
            watch_presence: presence::WatchPresence => presence::PresenceReply, [presence],
                "Watches who of these is online.";
            sync: sync::Sync => sync::SyncReply, [],
                "What changed since one was last here, page by page.";
            history: messages::History => messages::HistoryReply, [],
                "A page of a chat's messages, newest first.";
            authenticate: session::Authenticate => session::AuthenticateReply, [],
                "Renews the connection's token in place.";
        }
    };
}
pub(crate) use for_each_command;

/// Hands the list of server events to another macro: `name: Payload, [audiences], about`.
///
/// The audiences: `change` is everybody in the chat, at a position in its order; `chat` and `chats` are everybody in one
/// chat or any of several, outside that order; `user` is all devices of a user, `session` those of one session,
/// `watchers` are the connections that watch a user, and `connection` is the one that the event is about.
macro_rules! for_each_event {
    ($use:ident) => {
        $use! {
            ready: events::Ready, [connection], "Sent once after every connect, when all rooms are joined.";
            chat_created: events::ChatCreated, [change], "One is a member of a new chat.";
            chat_updated: events::ChatChanged, [change], "A chat's name, description or photo changed.";
            chat_approved: events::ChatChanged, [change], "A direct chat was let in.";
            chat_declined: events::ChatDeleted, [change], "A direct chat was not let in; its last event.";
            chat_deleted: events::ChatDeleted, [change], "A chat was deleted; its last event.";
            member_added: events::MemberChange, [change], "Somebody was added to a chat.";
            member_removed: events::MemberChange, [change], "Somebody was removed from a chat; for them the last event of that chat.";
            member_role_changed: events::MemberChange, [change], "Somebody's role in a chat changed.";
            chat_pinned: events::OwnChatChange, [user], "One pinned a chat, on any device.";
            chat_unpinned: events::OwnChatChange, [user], "One unpinned a chat, on any device.";
            chat_muted: events::OwnChatMuted, [user], "One muted a chat, on any device.";
            chat_unmuted: events::OwnChatMuted, [user], "One unmuted a chat, on any device.";
            chat_archived: events::OwnChatChange, [user], "One put a chat away, on any device.";
            chat_unarchived: events::OwnChatChange, [user], "One took a chat out again, on any device.";
            new_message: events::NewMessage, [change], "A message arrived.";
            message_edited: events::MessageChanged, [change], "A message changed.";
            message_deleted: events::MessageChanged, [change], "A message's content is gone; its place stays.";
            message_liked: events::MessageLiked, [change], "Somebody likes a message, or no longer.";
            chat_read: events::ChatRead, [user, chat], "Somebody has read up to a `seq`; told in chats of up to 200 members.";
            typing: events::TypingChanged, [chat], "Somebody is typing, or no longer.";
            presence: events::PresenceChanged, [watchers], "Somebody who is watched came or went.";
            sync_hint: events::SyncHint, [chat], "More happened in a chat than could be told: `sync` it.";
            user_updated: events::UserUpdated, [chats, user], "Somebody who shares a chat changed their profile.";
            followed: events::ContactChanged, [user], "Somebody follows somebody: one of them is oneself.";
            unfollowed: events::ContactChanged, [user], "One follows somebody no longer, on any device.";
            blocked: events::ContactChanged, [user], "One blocks somebody, on any device.";
            unblocked: events::ContactChanged, [user], "One blocks somebody no longer, on any device.";
            token_expiring: events::TokenExpiring, [connection], "The connection's token ends within a minute.";
            token_expired: events::Farewell, [connection], "The connection's token ended; a DISCONNECT follows.";
            session_ended: events::Farewell, [session], "The connection's session was ended; a DISCONNECT follows.";
            user_banned: events::UserBanned, [session], "The user was banned; a DISCONNECT follows.";
            server_shutdown: events::ServerShutdown, [connection], "The node goes; come back after the given time.";
            exception: events::Exception, [connection], "A command without a callback failed.";
        }
    };
}
pub(crate) use for_each_event;

macro_rules! implement_commands {
    ($($name:ident: $payload:ty => $reply:ty, [$($event:ident),*], $about:literal;)*) => {
        $(impl Command for $payload {
            const NAME: &'static str = stringify!($name);
            type Reply = $reply;
        })*

        /// Every command: name, what it announces, what it is about.
        pub const COMMANDS: &[(&str, &[&str], &str)] =
            &[$((stringify!($name), &[$(stringify!($event)),*], $about)),*];
    };
}
for_each_command!(implement_commands);

macro_rules! list_events {
    ($($name:ident: $payload:ty, [$($audience:ident),*], $about:literal;)*) => {
        /// The name of a server event.
        #[expect(non_camel_case_types, reason = "spelled as clients see them")]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum EventName {
            $(#[doc = $about] $name,)*
        }

        impl EventName {
            /// The name as clients see it.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)*
                }
            }
        }

        /// Every server event: name and what it is about.
        pub const EVENTS: &[(&str, &str)] = &[$((stringify!($name), $about)),*];

        // The payload types exist and are documented.
        const _: fn() = || {
            fn documented<T: ToSchema>() {}
            $(documented::<$payload>();)*
        };
    };
}
for_each_event!(list_events);
