//! The catalogue: every command with its payload, reply and events, and every event that the server sends. Dispatch,
//! the constructors of events, AsyncAPI and the guards in the tests are generated from these two lists, so a command
//! without a handler does not compile, and the tests fail for an undocumented event.

use serde::Serialize;
use serde::de::DeserializeOwned;
use utoipa::ToSchema;

use super::change;
use super::parse::Check;
use super::{
    chat_bans, chats, contacts, drafts, errors, forwarding, history, invites, members, messages, moderation,
    own_state, pins, presence, reactions, reading, sessions, sync, users,
};

/// A client event, represented by its payload.
pub trait Command: DeserializeOwned + Check + ToSchema + Send + Sync + 'static {
    /// Its entry in the catalogue.
    const INFO: CommandInfo;
    /// What the acknowledgement adds to `ok` (and to `chat_id`, `rev`, `prev` of a change in a chat).
    type Reply: Serialize + ToSchema + Send;
}

/// The entry of a command in the catalogue.
#[derive(Clone, Copy, Debug)]
pub struct CommandInfo {
    /// Its name as clients send it.
    pub name: &'static str,
    /// The events that it may send.
    pub announces: &'static [EventName],
    /// How it names its chat.
    pub chat: ChatScope,
    /// When it starts, relative to earlier commands.
    pub order: Order,
    /// The rate limit that it counts for.
    pub limit: Limit,
    /// One sentence for the documents.
    pub about: &'static str,
}

/// How a command names its chat. The socket of a chat fills that in, and refuses another chat.
#[expect(non_camel_case_types, reason = "columns of the catalogue")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChatScope {
    /// `chat.id`.
    chat,
    /// `message.chat_id`.
    message,
    /// `only`, a list of ids.
    only,
    /// None: it names a message, users or nothing.
    any,
    /// It concerns no existing chat, so the socket of a chat refuses it.
    refused,
}

/// When a command starts, relative to earlier commands of the same connection.
#[expect(non_camel_case_types, reason = "columns of the catalogue")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// After all earlier commands have finished.
    in_turn,
    /// After the earlier commands have been passed to the writer, which keeps their order.
    pipelined,
}

/// The rate limit that a command counts for.
#[expect(non_camel_case_types, reason = "columns of the catalogue")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// `RATE_EVENT`.
    event,
    /// `RATE_SEND`.
    send,
    /// None: a client that renews its token too late would lose its connection.
    unlimited,
}

/// Passes the list of commands to another macro: `name: Payload => Reply, [events it announces], {chat, order, limit},
/// about`; the columns in braces are those of [`CommandInfo`].
///
/// `domain::dispatch` uses it to match names to handlers, this file to implement [`Command`], and `asyncapi` to
/// describe the commands.
macro_rules! for_each_command {
    ($use:ident) => {
        $use! {
            create_chat: chats::CreateChat => chats::ChatReply, [chat_created, new_message], {refused, in_turn, event},
                "Creates a group or a direct chat. The direct chat of two users exists once: creating it again returns it.";
            add_member: members::AddMember => members::MemberReply, [member_added], {chat, in_turn, event},
                "Adds a user to a group. For owner and admins.";
            remove_member: members::RemoveMember => members::MemberReply, [member_removed], {chat, in_turn, event},
                "Removes a user from a group. For owner and admins.";
            update_chat: chats::UpdateChat => chats::ChatReply, [chat_updated], {chat, in_turn, event},
                "Changes a group's name, description or photo. For owner and admins.";
            delete_chat: chats::DeleteChat => change::Done, [chat_deleted], {chat, in_turn, event},
                "Deletes a group for all members. For the owner.";
            leave_chat: members::LeaveChat => change::Done, [member_removed, member_role_changed, chat_deleted], {chat, in_turn, event},
                "Leaves a group. If the owner leaves, the admin or else the member who has been there longest becomes the owner.";
            accept_invite: invites::AcceptInvite => invites::AcceptReply, [member_added, join_requested], {refused, in_turn, event},
                "Joins a group by an invite link, or asks to join if the link needs approval.";
            approve_join: invites::ApproveJoin => chats::ChatReply, [member_added], {chat, in_turn, event},
                "Lets a user join who has asked for it. For owner and admins.";
            decline_join: invites::DeclineJoin => change::Done, [join_declined], {chat, in_turn, event},
                "Declines a request to join. For owner and admins.";
            ban_member: chat_bans::BanMember => chat_bans::BanReply, [member_removed], {chat, in_turn, event},
                "Bans a user from a group, and removes them if they are a member. For owner and admins.";
            unban_member: chat_bans::UnbanMember => change::Done, [], {chat, in_turn, event},
                "Ends a ban from a group. For owner and admins.";
            approve_chat: contacts::ApproveChat => change::Done, [chat_approved], {chat, in_turn, event},
                "Approves a pending direct chat. For its recipient.";
            decline_chat: contacts::DeclineChat => change::Done, [chat_declined], {chat, in_turn, event},
                "Declines a pending direct chat, which removes it for both. For its recipient.";
            set_member_role: members::SetMemberRole => members::MemberReply, [member_role_changed], {chat, in_turn, event},
                "Sets a member's role, or hands the group over. For the owner.";
            toggle_chat_pin: own_state::ToggleChatPin => own_state::PinReply, [chat_pinned, chat_unpinned], {chat, in_turn, event},
                "Pins or unpins a chat in the user's own list.";
            toggle_chat_mute: own_state::ToggleChatMute => own_state::MuteReply, [chat_muted, chat_unmuted], {chat, in_turn, event},
                "Mutes or unmutes a chat for the user.";
            toggle_chat_archive: own_state::ToggleChatArchive => own_state::ArchiveReply, [chat_archived, chat_unarchived], {chat, in_turn, event},
                "Archives or unarchives a chat in the user's own list.";
            send_message: messages::SendMessage => messages::SendReply, [new_message], {message, pipelined, send},
                "Sends a message to a chat.";
            edit_message: messages::EditMessage => messages::MessageReply, [message_edited], {any, in_turn, event},
                "Changes the content of a message. For its author.";
            delete_message: messages::DeleteMessage => messages::MessageReply, [message_deleted], {any, in_turn, event},
                "Deletes a message: its content is removed, its place stays. For its author, the chat's owner and admins, and moderators.";
            toggle_like_message: messages::ToggleLikeMessage => messages::LikeReply, [message_liked], {any, in_turn, event},
                "Likes a message, or removes the like.";
            toggle_reaction: reactions::ToggleReaction => reactions::ReactionReply, [message_reacted], {any, in_turn, event},
                "Reacts to a message with an emoji, or removes the reaction. A message has at most 20 different ones.";
            toggle_message_pin: pins::ToggleMessagePin => pins::MessagePinReply, [message_pinned, message_unpinned], {any, in_turn, event},
                "Pins or unpins a message for all members. For owner and admins of a group, and for both users of a direct chat.";
            forward_message: forwarding::ForwardMessage => messages::SendReply, [new_message], {chat, in_turn, send},
                "Sends a copy of a message to another chat; the copy names the author of the original.";
            save_draft: drafts::SaveDraft => drafts::DraftReply, [draft_saved], {chat, in_turn, event},
                "Saves what the user has begun to write in a chat, for all of their devices.";
            mark_read: reading::MarkRead => reading::ReadReply, [chat_read], {chat, in_turn, event},
                "Moves the user's read mark forward; it never moves back.";
            typing: presence::Typing => change::Done, [typing], {chat, in_turn, event},
                "Tells that the user is typing, or has stopped; ends by itself after 6 seconds.";
            follow: contacts::Follow => contacts::ContactReply, [followed], {any, in_turn, event},
                "Follows a user, who may then create a direct chat without approval.";
            unfollow: contacts::Unfollow => contacts::ContactReply, [unfollowed], {any, in_turn, event},
                "Unfollows a user.";
            block: contacts::Block => contacts::ContactReply, [blocked], {any, in_turn, event},
                "Blocks a user: no direct messages in either direction, no presence, no adding to groups.";
            unblock: contacts::Unblock => contacts::ContactReply, [unblocked], {any, in_turn, event},
                "Unblocks a user.";
            watch_presence: presence::WatchPresence => presence::PresenceReply, [presence], {any, in_turn, event},
                "Watches which of these users are online.";
            sync: sync::Sync => sync::SyncReply, [], {only, in_turn, event},
                "Returns what changed while the client was away, in pages.";
            history: history::History => history::HistoryReply, [], {chat, in_turn, event},
                "Returns a page of a chat's messages, newest first.";
            report: moderation::ReportSubject => moderation::ReportReply, [], {any, in_turn, event},
                "Reports a message or a user to the moderators.";
            authenticate: sessions::Authenticate => sessions::AuthenticateReply, [], {any, in_turn, unlimited},
                "Replaces the token of the connection by a newer one.";
        }
    };
}
pub(crate) use for_each_command;

/// Passes the list of server events to another macro: `name: Payload, [audiences], about`.
///
/// The audiences: `change` is all members of the chat, at a position in its order; `chat` and `chats` are all members
/// of one chat or of several, outside that order; `user` is all devices of a user, `session` those of one session,
/// `watchers` are the connections that watch a user, and `connection` is the one that the event is about.
macro_rules! for_each_event {
    ($use:ident) => {
        $use! {
            ready: sessions::Ready, [connection], "Sent once after each connect, when all chats are joined.";
            chat_created: chats::ChatCreated, [change], "The user is a member of a new chat.";
            chat_updated: chats::ChatChanged, [change], "A chat's name, description or photo changed.";
            chat_approved: chats::ChatChanged, [change], "A direct chat was approved.";
            chat_declined: chats::ChatDeleted, [change], "A direct chat was declined; its last event.";
            chat_deleted: chats::ChatDeleted, [change], "A chat was deleted; its last event.";
            member_added: members::MemberChange, [change], "A user was added to a chat.";
            member_removed: members::MemberChange, [change], "A user was removed from a chat; for them its last event.";
            member_role_changed: members::MemberChange, [change], "A member's role changed.";
            join_requested: invites::JoinRequested, [user], "A user asks to join a group; for its owner and admins.";
            join_declined: invites::JoinDeclined, [user], "A request to join a group was declined; for the user, and the group's owner and admins.";
            chat_pinned: own_state::OwnChatChange, [user], "The user pinned a chat, on any device.";
            chat_unpinned: own_state::OwnChatChange, [user], "The user unpinned a chat, on any device.";
            chat_muted: own_state::OwnChatMuted, [user], "The user muted a chat, on any device.";
            chat_unmuted: own_state::OwnChatMuted, [user], "The user unmuted a chat, on any device.";
            chat_archived: own_state::OwnChatChange, [user], "The user archived a chat, on any device.";
            chat_unarchived: own_state::OwnChatChange, [user], "The user unarchived a chat, on any device.";
            new_message: messages::NewMessage, [change], "A message arrived.";
            message_edited: messages::MessageChanged, [change], "A message changed.";
            message_deleted: messages::MessageChanged, [change], "A message was deleted; its place stays.";
            message_liked: messages::MessageLiked, [change], "A user liked a message, or removed the like.";
            message_reacted: reactions::MessageReacted, [change], "A user reacted to a message with an emoji, or removed the reaction.";
            message_pinned: messages::MessageChanged, [change], "A message was pinned.";
            message_unpinned: messages::MessageChanged, [change], "A message was unpinned.";
            draft_saved: drafts::DraftSaved, [user], "The user saved or removed a draft, on any device.";
            chat_read: reading::ChatRead, [user, chat], "A user has read up to a `seq`; sent in chats of up to 200 members.";
            typing: presence::TypingChanged, [chat], "A user is typing, or has stopped.";
            presence: presence::PresenceChanged, [watchers], "A watched user came online or went offline.";
            sync_hint: sync::SyncHint, [chat], "More happened in a chat than can be sent: `sync` it.";
            user_updated: users::UserUpdated, [chats, user], "A user who shares a chat changed their profile.";
            followed: contacts::ContactChanged, [user], "The user follows another user, or is followed.";
            unfollowed: contacts::ContactChanged, [user], "The user unfollowed another user, on any device.";
            blocked: contacts::ContactChanged, [user], "The user blocked another user, on any device.";
            unblocked: contacts::ContactChanged, [user], "The user unblocked another user, on any device.";
            token_expiring: sessions::TokenExpiring, [connection], "The token of the connection expires within a minute.";
            token_expired: sessions::Farewell, [connection], "The token of the connection has expired; a DISCONNECT follows.";
            session_ended: sessions::Farewell, [session], "The session of the connection has ended; a DISCONNECT follows.";
            user_banned: moderation::UserBanned, [session], "The user was banned; a DISCONNECT follows.";
            server_shutdown: sessions::ServerShutdown, [connection], "The server shuts down; reconnect after the given time.";
            exception: errors::Exception, [connection], "A command without an acknowledgement failed.";
        }
    };
}
pub(crate) use for_each_event;

macro_rules! implement_commands {
    ($($name:ident: $payload:ty => $reply:ty, [$($event:ident),*], {$chat:ident, $order:ident, $limit:ident},
        $about:literal;)*) => {
        $(impl Command for $payload {
            const INFO: CommandInfo = CommandInfo {
                name: stringify!($name),
                announces: &[$(EventName::$event),*],
                chat: ChatScope::$chat,
                order: Order::$order,
                limit: Limit::$limit,
                about: $about,
            };
            type Reply = $reply;
        })*

        /// All commands.
        pub const COMMANDS: &[CommandInfo] = &[$(<$payload as Command>::INFO),*];

        /// Returns the command with this name.
        pub fn command(name: &str) -> Option<&'static CommandInfo> {
            match name {
                $(stringify!($name) => Some(const { &<$payload as Command>::INFO }),)*
                _ => None,
            }
        }
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

        /// The name and description of every server event.
        pub const EVENTS: &[(&str, &str)] = &[$((stringify!($name), $about)),*];

        // Checks that the payload types exist and are documented.
        const _: fn() = || {
            fn documented<T: ToSchema>() {}
            $(documented::<$payload>();)*
        };
    };
}
for_each_event!(list_events);
