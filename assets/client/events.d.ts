// Made by tests/clients/make_types.mjs; do not edit.

/**
 * The id of a chat.
 */
export type ChatId = number;
/**
 * A member's role in a chat.
 */
export type ChatRole = 'member' | 'admin' | 'owner';
/**
 * The id of a user.
 */
export type UserId = number;
export type Timestamp = string;
/**
 * A user's role in the whole service, in ascending order of rights.
 */
export type Role = 'user' | 'moderator' | 'admin';
export type MessageType =
  | 'text'
  | 'html'
  | 'json'
  | 'xml'
  | 'binary'
  | 'image'
  | 'pdf'
  | 'csv'
  | 'excel'
  | 'word'
  | 'zip'
  | 'gzip'
  | 'tar'
  | 'audio'
  | 'video'
  | 'rtf'
  | 'yaml'
  | 'javascript'
  | 'css'
  | 'svg'
  | 'markdown'
  | 'protobuf'
  | 'avro'
  | 'parquet'
  | 'orc';
/**
 * The id of a message.
 */
export type MessageId = number;
/**
 * A chat in the reply to `sync`.
 */
export type SyncedChat = Chat & {
  /**
   * Drop what you have of this chat: only its newest messages follow; fetch the others with `history`.
   */
  truncated: boolean;
};
/**
 * `chat_updated`, `chat_approved`.
 */
export type ChatChanged = Change & {
  /**
   * The chat, without `my`.
   */
  details: Chat;
};
/**
 * `chat_created`.
 */
export type ChatCreated = Change & {
  /**
   * The chat, without `my`.
   */
  details: Chat;
};
/**
 * `chat_deleted`, `chat_declined`.
 */
export type ChatDeleted = Change;
/**
 * `chat_muted`, `chat_unmuted`: sent to the user's own devices.
 */
export type OwnChatMuted = OwnChatChange & {
  muted_until?: Timestamp | null;
};
/**
 * `member_added`, `member_removed`, `member_role_changed`.
 */
export type MemberChange = Change & {
  /**
   * The member concerned.
   */
  member: Member;
  /**
   * Number of members after the change.
   */
  member_count: number;
};
/**
 * `message_edited`, `message_deleted`.
 */
export type MessageChanged = Change & {
  /**
   * The message after the change, without `my`.
   */
  message: Message;
};
/**
 * `message_liked`.
 */
export type MessageLiked = Change & {
  /**
   * Whether `by` likes it.
   */
  liked: boolean;
  /**
   * Number of likes after the change.
   */
  likes: number;
  /**
   * The message's id.
   */
  message_id: MessageId;
};
/**
 * `new_message`: the fields of the message at top level, with `prev`.
 */
export type NewMessage = Message & {
  /**
   * When it happened.
   */
  at: Timestamp;
  /**
   * The sender.
   */
  by: UserId;
  /**
   * The chat's counter before the change.
   */
  prev: number;
};
/**
 * The id of a session, the `sid` of its tokens.
 */
export type SessionId = number;

export interface EveryEvent {
  client: ClientEvents;
  server: ServerEvents;
}
export interface ClientEvents {
  /**
   * Adds a user to a group. For owner and admins.
   */
  add_member: {
    payload: AddMember;
    ack: AckOk & MemberReply;
  };
  /**
   * Approves a pending direct chat. For its recipient.
   */
  approve_chat: {
    payload: ApproveChat;
    ack: AckOk;
  };
  /**
   * Replaces the token of the connection by a newer one.
   */
  authenticate: {
    payload: Authenticate;
    ack: AckOk & AuthenticateReply;
  };
  /**
   * Blocks a user: no direct messages in either direction, no presence, no adding to groups.
   */
  block: {
    payload: Block;
    ack: AckOk & ContactReply;
  };
  /**
   * Creates a group or a direct chat. The direct chat of two users exists once: creating it again returns it.
   */
  create_chat: {
    payload: CreateChat;
    ack: AckOk & ChatReply;
  };
  /**
   * Declines a pending direct chat, which removes it for both. For its recipient.
   */
  decline_chat: {
    payload: DeclineChat;
    ack: AckOk;
  };
  /**
   * Deletes a group for all members. For the owner.
   */
  delete_chat: {
    payload: DeleteChat;
    ack: AckOk;
  };
  /**
   * Deletes a message: its content is removed, its place stays. For its author, the chat's owner and admins, and moderators.
   */
  delete_message: {
    payload: DeleteMessage;
    ack: AckOk & MessageReply;
  };
  /**
   * Changes the content of a message. For its author.
   */
  edit_message: {
    payload: EditMessage;
    ack: AckOk & MessageReply;
  };
  /**
   * Follows a user, who may then create a direct chat without approval.
   */
  follow: {
    payload: Follow;
    ack: AckOk & ContactReply;
  };
  /**
   * Returns a page of a chat's messages, newest first.
   */
  history: {
    payload: History;
    ack: AckOk & HistoryReply;
  };
  /**
   * Leaves a group. If the owner leaves, the admin or else the member who has been there longest becomes the owner.
   */
  leave_chat: {
    payload: LeaveChat;
    ack: AckOk;
  };
  /**
   * Moves the user's read mark forward; it never moves back.
   */
  mark_read: {
    payload: MarkRead;
    ack: AckOk & ReadReply;
  };
  /**
   * Removes a user from a group. For owner and admins.
   */
  remove_member: {
    payload: RemoveMember;
    ack: AckOk & MemberReply;
  };
  /**
   * Sends a message to a chat.
   */
  send_message: {
    payload: SendMessage;
    ack: AckOk & SendReply;
  };
  /**
   * Sets a member's role, or hands the group over. For the owner.
   */
  set_member_role: {
    payload: SetMemberRole;
    ack: AckOk & MemberReply;
  };
  /**
   * Returns what changed while the client was away, in pages.
   */
  sync: {
    payload: Sync;
    ack: AckOk & SyncReply;
  };
  /**
   * Archives or unarchives a chat in the user's own list.
   */
  toggle_chat_archive: {
    payload: ToggleChatArchive;
    ack: AckOk & ArchiveReply;
  };
  /**
   * Mutes or unmutes a chat for the user.
   */
  toggle_chat_mute: {
    payload: ToggleChatMute;
    ack: AckOk & MuteReply;
  };
  /**
   * Pins or unpins a chat in the user's own list.
   */
  toggle_chat_pin: {
    payload: ToggleChatPin;
    ack: AckOk & PinReply;
  };
  /**
   * Likes a message, or removes the like.
   */
  toggle_like_message: {
    payload: ToggleLikeMessage;
    ack: AckOk & LikeReply;
  };
  /**
   * Tells that the user is typing, or has stopped; ends by itself after 6 seconds.
   */
  typing: {
    payload: Typing;
    ack: AckOk;
  };
  /**
   * Unblocks a user.
   */
  unblock: {
    payload: Unblock;
    ack: AckOk & ContactReply;
  };
  /**
   * Unfollows a user.
   */
  unfollow: {
    payload: Unfollow;
    ack: AckOk & ContactReply;
  };
  /**
   * Changes a group's name, description or photo. For owner and admins.
   */
  update_chat: {
    payload: UpdateChat;
    ack: AckOk & ChatReply;
  };
  /**
   * Watches which of these users are online.
   */
  watch_presence: {
    payload: WatchPresence;
    ack: AckOk & PresenceReply;
  };
}
/**
 * `add_member`.
 */
export interface AddMember {
  /**
   * The chat.
   */
  chat: ChatRef;
  role?: ChatRole | null;
  /**
   * The user.
   */
  user: UserRef;
}
/**
 * Names a chat by its id.
 */
export interface ChatRef {
  /**
   * The chat's id.
   */
  id: ChatId;
}
/**
 * Names a user by their id.
 */
export interface UserRef {
  /**
   * The user's id.
   */
  id: UserId;
}
export interface AckOk {
  /**
   * Of a change in a chat.
   */
  chat_id?: number;
  ok: true;
  /**
   * The counter's value before it.
   */
  prev?: number;
  /**
   * The counter's value that the change took.
   */
  rev?: number;
}
/**
 * A reply with a member.
 */
export interface MemberReply {
  /**
   * The member; after a removal, the last state.
   */
  member: Member;
}
/**
 * A member of a chat.
 */
export interface Member {
  /**
   * When the user last joined.
   */
  joined_at: Timestamp;
  /**
   * The user has read up to this `seq`.
   */
  last_read_seq: number;
  /**
   * The role; both users of a direct chat are a `member`.
   */
  role: ChatRole;
  /**
   * The user.
   */
  user: Author;
}
/**
 * A user, as the author of something.
 */
export interface Author {
  /**
   * The user's id.
   */
  id: UserId;
  /**
   * Display name.
   */
  name?: string | null;
  /**
   * Name for `/static/{photo}/…`.
   */
  photo: string;
  /**
   * Their role in the whole service.
   */
  role: Role;
  /**
   * Login name, if the user has one.
   */
  username?: string | null;
}
/**
 * `approve_chat`.
 */
export interface ApproveChat {
  /**
   * The chat.
   */
  chat: ChatRef;
}
/**
 * `authenticate`: replaces the token of the connection by a newer one of the same session.
 */
export interface Authenticate {
  /**
   * An access token.
   */
  token: string;
}
/**
 * The reply to `authenticate`.
 */
export interface AuthenticateReply {
  /**
   * When the new token expires.
   */
  expires_at: Timestamp;
}
/**
 * `block`.
 */
export interface Block {
  /**
   * The user.
   */
  user: UserRef;
}
/**
 * A reply with a contact.
 */
export interface ContactReply {
  /**
   * The relation after the command.
   */
  contact: Contact;
}
/**
 * The user's relation to another user.
 */
export interface Contact {
  /**
   * The user blocks them.
   */
  blocked: boolean;
  /**
   * The user follows them.
   */
  following: boolean;
  /**
   * The other user.
   */
  user_id: UserId;
}
/**
 * `create_chat`.
 */
export interface CreateChat {
  /**
   * The chat to create.
   */
  chat: NewChat;
  message?: FirstMessage | null;
}
/**
 * A chat to create.
 */
export interface NewChat {
  /**
   * Makes a retry return the group that was created first; 1 to 64 characters.
   */
  client_id?: string | null;
  /**
   * Only groups have one.
   */
  description?: string | null;
  /**
   * False for a direct chat, which has exactly two members.
   */
  is_group: boolean;
  /**
   * User ids, with or without the creator's.
   */
  members_array: UserId[];
  /**
   * Required for a group, 1 to 100 characters; ignored for a direct chat.
   */
  name?: string | null;
}
/**
 * The first message of a new chat.
 */
export interface FirstMessage {
  /**
   * As in `send_message`.
   */
  client_id?: string | null;
  /**
   * The text to store.
   */
  content: string;
  /**
   * Type of the content.
   */
  message_type: MessageType;
}
/**
 * A reply with a chat.
 */
export interface ChatReply {
  /**
   * The chat.
   */
  chat: Chat;
}
/**
 * A conversation.
 */
export interface Chat {
  /**
   * False while a direct chat waits for its recipient's approval.
   */
  approved: boolean;
  /**
   * When it was created.
   */
  created_at: Timestamp;
  /**
   * Only groups have one.
   */
  description?: string | null;
  /**
   * Unique; never reused.
   */
  id: ChatId;
  /**
   * False for a direct chat.
   */
  is_group: boolean;
  last_message?: null | Message;
  /**
   * `seq` of its newest message; 0 if there is none.
   */
  last_seq: number;
  /**
   * Number of members.
   */
  member_count: number;
  /**
   * The first 50 members.
   */
  members: Member[];
  my?: MyChat | null;
  /**
   * Only groups have one.
   */
  name?: string | null;
  /**
   * The owner of a group, the creator of a direct chat, the first member of the lobby.
   */
  owner_id: UserId;
  /**
   * Name for `/static/{photo}/…`.
   */
  photo?: string | null;
  /**
   * The chat's counter.
   */
  rev: number;
  /**
   * False while a direct chat has no message; then only its creator sees it in lists.
   */
  visible: boolean;
}
/**
 * A message. A deleted message keeps its place, with empty content.
 */
export interface Message {
  /**
   * Attachments; empty in this version.
   */
  attachments: number[];
  /**
   * The chat, under Mango's name.
   */
  chat: ChatId;
  /**
   * The chat.
   */
  chat_id: ChatId;
  /**
   * The `client_id` that it was sent with.
   */
  client_id?: string | null;
  /**
   * The text, as it was sent.
   */
  content: string;
  /**
   * When it was stored.
   */
  created_at: Timestamp;
  deleted_at?: Timestamp | null;
  edited_at?: Timestamp | null;
  /**
   * Unique; never reused.
   */
  id: MessageId;
  /**
   * Number of likes.
   */
  likes: number;
  /**
   * Type of the content.
   */
  message_type: MessageType;
  my?: MyMessage | null;
  /**
   * Pinned in the chat.
   */
  pinned: boolean;
  /**
   * Reactions by emoji.
   */
  reactions: Reaction[];
  reply_to?: MessageId | null;
  /**
   * The chat's counter at its latest change.
   */
  rev: number;
  /**
   * Its permanent position in the chat; rising, not contiguous.
   */
  seq: number;
  /**
   * Its author.
   */
  user: Author;
}
/**
 * The user's own state of a message.
 */
export interface MyMessage {
  /**
   * The user likes it.
   */
  liked: boolean;
  /**
   * Emoji that the user reacted with.
   */
  reactions: string[];
}
/**
 * How many users reacted with an emoji.
 */
export interface Reaction {
  /**
   * Number of users.
   */
  count: number;
  /**
   * The emoji.
   */
  emoji: string;
}
/**
 * The user's own state in a chat.
 */
export interface MyChat {
  /**
   * Archived in the user's own list.
   */
  archived: boolean;
  /**
   * The user has read up to this `seq`.
   */
  last_read_seq: number;
  muted_until?: Timestamp | null;
  /**
   * Pinned in the user's own list.
   */
  pinned: boolean;
  /**
   * The user's role.
   */
  role: ChatRole;
  /**
   * Unread messages of others; counted up to 1000.
   */
  unread: number;
}
/**
 * `decline_chat`.
 */
export interface DeclineChat {
  /**
   * The chat.
   */
  chat: ChatRef;
}
/**
 * `delete_chat`.
 */
export interface DeleteChat {
  /**
   * The chat's id.
   */
  chat: ChatRef;
}
/**
 * `delete_message`.
 */
export interface DeleteMessage {
  /**
   * The message's id.
   */
  message: MessageRef;
}
/**
 * Names a message by its id.
 */
export interface MessageRef {
  /**
   * The message's id.
   */
  id: MessageId;
}
/**
 * A reply with a message.
 */
export interface MessageReply {
  /**
   * The message after the command.
   */
  message: Message;
}
/**
 * `edit_message`.
 */
export interface EditMessage {
  /**
   * The message, and what to change.
   */
  message: EditedMessage;
}
/**
 * A message and its new content.
 */
export interface EditedMessage {
  /**
   * The new text.
   */
  content: string;
  /**
   * The message's id.
   */
  id: MessageId;
}
/**
 * `follow`.
 */
export interface Follow {
  /**
   * The user.
   */
  user: UserRef;
}
/**
 * `history`.
 */
export interface History {
  /**
   * The next messages with a higher `seq`.
   */
  after?: number | null;
  /**
   * Messages on both sides of this `seq`, itself included.
   */
  around?: number | null;
  /**
   * Messages with a lower `seq`.
   */
  before?: number | null;
  /**
   * The chat.
   */
  chat: ChatRef;
  /**
   * 1 to 200, default 50.
   */
  limit?: number | null;
}
/**
 * A page of messages, newest first.
 */
export interface HistoryReply {
  /**
   * There are more messages in the requested direction.
   */
  has_more: boolean;
  /**
   * Newest first.
   */
  messages: Message[];
}
/**
 * `leave_chat`.
 */
export interface LeaveChat {
  /**
   * The chat.
   */
  chat: ChatRef;
}
/**
 * `mark_read`.
 */
export interface MarkRead {
  /**
   * The chat.
   */
  chat: ChatRef;
  last_read_message_id?: MessageId | null;
  /**
   * Read up to this `seq`. Without either: everything.
   */
  seq?: number | null;
}
/**
 * The reply to `mark_read`.
 */
export interface ReadReply {
  /**
   * The read mark after the command.
   */
  seq: number;
  /**
   * Unread messages of others; counted up to 1000.
   */
  unread: number;
}
/**
 * `remove_member`.
 */
export interface RemoveMember {
  /**
   * The chat.
   */
  chat: ChatRef;
  /**
   * The user.
   */
  user: UserRef;
}
/**
 * `send_message`.
 */
export interface SendMessage {
  /**
   * The message to send.
   */
  message: OutgoingMessage;
}
/**
 * A message to send.
 */
export interface OutgoingMessage {
  /**
   * Ids of uploaded attachments; not supported by this version.
   */
  attachments?: number[];
  /**
   * The chat.
   */
  chat_id: ChatId;
  /**
   * Makes a retry return the message that was sent first; 1 to 64 characters, unique per user, forever.
   */
  client_id?: string | null;
  /**
   * Stored and sent unchanged.
   */
  content: string;
  /**
   * Type of the content.
   */
  message_type: MessageType;
  reply_to?: MessageId | null;
}
/**
 * The reply to `send_message`.
 */
export interface SendReply {
  /**
   * It was already sent with this `client_id`.
   */
  duplicate: boolean;
  /**
   * The stored message.
   */
  message: Message;
}
/**
 * `set_member_role`.
 */
export interface SetMemberRole {
  /**
   * The chat.
   */
  chat: ChatRef;
  /**
   * `member`, `admin`, or `owner`: the caller then becomes an admin.
   */
  role: ChatRole;
  /**
   * The user.
   */
  user: UserRef;
}
/**
 * `sync`.
 */
export interface Sync {
  /**
   * The epoch that the client's data belongs to.
   */
  epoch?: string | null;
  /**
   * Messages per page: 1 to 500, default 200.
   */
  limit?: number | null;
  /**
   * A chat with more changes than this is returned whole, with `truncated`.
   */
  max_behind?: number | null;
  /**
   * Limits the reply to these chats.
   */
  only?: ChatId[] | null;
  /**
   * For each chat id the `rev` that the client has; 0 means from the beginning. Chats that are not listed are returned whole.
   */
  since?: {
    [k: string]: number;
  };
  /**
   * The value of the user's own counter that the client has. Without it, own state is only part of whole chats.
   */
  user_rev?: number | null;
}
/**
 * The reply to `sync`: one page of changes.
 */
export interface SyncReply {
  /**
   * Chats that are new to the client or have changed.
   */
  chats: SyncedChat[];
  /**
   * Contacts that changed after `user_rev`; without it all. Not with `only`.
   */
  contacts: Contact[];
  /**
   * More than 500 contacts changed and none is listed: fetch the lists.
   */
  contacts_truncated?: boolean;
  /**
   * Identifies the history of the database; changes when a backup is restored.
   */
  epoch: string;
  /**
   * There is another page: ask again with the new `revs`.
   */
  has_more: boolean;
  /**
   * Listed chats that the user does not belong to.
   */
  left: LeftChat[];
  /**
   * New and changed messages, chat by chat in `rev` order.
   */
  messages: Message[];
  /**
   * Own state that has changed.
   */
  mine: Mine[];
  /**
   * The database has another history than the client's data: drop everything.
   */
  reset?: boolean;
  /**
   * Merge this into the client's values, and send the result as the next `since`.
   */
  revs: {
    [k: string]: number;
  };
  /**
   * The value of the user's own counter.
   */
  user_rev: number;
}
/**
 * A listed chat that the user does not belong to.
 */
export interface LeftChat {
  /**
   * The chat.
   */
  chat_id: ChatId;
  /**
   * `left`, `removed`, `deleted`, `declined`, or `unknown` if the user was never a member.
   */
  reason: string;
  /**
   * The chat's counter when the user left. Ignore the entry if it is below what the client has.
   */
  rev: number;
}
/**
 * The user's own state in a chat.
 */
export interface Mine {
  /**
   * The chat.
   */
  chat_id: ChatId;
  /**
   * The current state.
   */
  my: MyChat;
}
/**
 * `toggle_chat_archive`.
 */
export interface ToggleChatArchive {
  /**
   * The chat, and the new state.
   */
  chat: ArchivedChat;
}
/**
 * A chat, and whether to archive it.
 */
export interface ArchivedChat {
  /**
   * Without it, the state is switched.
   */
  archived?: boolean | null;
  /**
   * The chat's id.
   */
  id: ChatId;
}
/**
 * The reply to `toggle_chat_archive`.
 */
export interface ArchiveReply {
  /**
   * The state after the command.
   */
  archived: boolean;
}
/**
 * `toggle_chat_mute`.
 */
export interface ToggleChatMute {
  /**
   * The chat, and the new state.
   */
  chat: MutedChat;
}
/**
 * A chat, and whether to mute it.
 */
export interface MutedChat {
  /**
   * The chat's id.
   */
  id: ChatId;
  /**
   * Without it, the state is switched.
   */
  muted?: boolean | null;
  /**
   * Duration, seconds; without it the chat stays muted until it is unmuted.
   */
  seconds?: number | null;
}
/**
 * The reply to `toggle_chat_mute`.
 */
export interface MuteReply {
  /**
   * The state after the command.
   */
  muted: boolean;
  muted_until?: Timestamp | null;
}
/**
 * `toggle_chat_pin`.
 */
export interface ToggleChatPin {
  /**
   * The chat, and the new state.
   */
  chat: PinnedChat;
}
/**
 * A chat, and whether to pin it.
 */
export interface PinnedChat {
  /**
   * The chat's id.
   */
  id: ChatId;
  /**
   * Without it, the state is switched.
   */
  pinned?: boolean | null;
}
/**
 * The reply to `toggle_chat_pin`.
 */
export interface PinReply {
  /**
   * The state after the command.
   */
  pinned: boolean;
}
/**
 * `toggle_like_message`.
 */
export interface ToggleLikeMessage {
  /**
   * The message, and what to change.
   */
  message: LikedMessage;
}
/**
 * A message, and whether to like it.
 */
export interface LikedMessage {
  /**
   * The message's id.
   */
  id: MessageId;
  /**
   * Without it, the state is switched.
   */
  liked?: boolean | null;
}
/**
 * The reply to `toggle_like_message`.
 */
export interface LikeReply {
  /**
   * The message after the command.
   */
  liked: boolean;
  /**
   * Number of likes after the change.
   */
  likes: number;
}
/**
 * `typing`.
 */
export interface Typing {
  /**
   * The chat.
   */
  chat: ChatRef;
  /**
   * True while typing; ends by itself after 6 seconds.
   */
  is_typing: boolean;
}
/**
 * `unblock`.
 */
export interface Unblock {
  /**
   * The user.
   */
  user: UserRef;
}
/**
 * `unfollow`.
 */
export interface Unfollow {
  /**
   * The user.
   */
  user: UserRef;
}
/**
 * `update_chat`.
 */
export interface UpdateChat {
  /**
   * The chat, and what to change.
   */
  chat: ChatPatch;
}
/**
 * Fields that are left out stay; `null` clears a field.
 */
export interface ChatPatch {
  /**
   * Up to 1,000 characters.
   */
  description?: string | null;
  /**
   * The chat's id.
   */
  id: ChatId;
  /**
   * 1 to 100 characters; cannot be cleared.
   */
  name?: string | null;
  /**
   * Base64 of a JPEG, PNG, WebP or GIF, bare or as a data URL.
   */
  photo?: string | null;
}
/**
 * `watch_presence`: replaces what the connection watched before.
 */
export interface WatchPresence {
  /**
   * Ids of users who share a chat with the user; others are ignored.
   */
  users: UserId[];
}
/**
 * The reply to `watch_presence`.
 */
export interface PresenceReply {
  /**
   * The current presence of the watched users.
   */
  presence: PresenceChanged[];
}
/**
 * `presence`.
 */
export interface PresenceChanged {
  last_seen_at?: Timestamp | null;
  /**
   * Whether any device is connected.
   */
  online: boolean;
  /**
   * The user.
   */
  user_id: UserId;
}
export interface ServerEvents {
  /**
   * The user blocked another user, on any device.
   */
  blocked: ContactChanged;
  /**
   * A direct chat was approved.
   */
  chat_approved: ChatChanged;
  /**
   * The user archived a chat, on any device.
   */
  chat_archived: OwnChatChange;
  /**
   * The user is a member of a new chat.
   */
  chat_created: ChatCreated;
  /**
   * A direct chat was declined; its last event.
   */
  chat_declined: ChatDeleted;
  /**
   * A chat was deleted; its last event.
   */
  chat_deleted: ChatDeleted;
  /**
   * The user muted a chat, on any device.
   */
  chat_muted: OwnChatMuted;
  /**
   * The user pinned a chat, on any device.
   */
  chat_pinned: OwnChatChange;
  /**
   * A user has read up to a `seq`; sent in chats of up to 200 members.
   */
  chat_read: ChatRead;
  /**
   * The user unarchived a chat, on any device.
   */
  chat_unarchived: OwnChatChange;
  /**
   * The user unmuted a chat, on any device.
   */
  chat_unmuted: OwnChatMuted;
  /**
   * The user unpinned a chat, on any device.
   */
  chat_unpinned: OwnChatChange;
  /**
   * A chat's name, description or photo changed.
   */
  chat_updated: ChatChanged;
  /**
   * A command without an acknowledgement failed.
   */
  exception: Exception;
  /**
   * The user follows another user, or is followed.
   */
  followed: ContactChanged;
  /**
   * A user was added to a chat.
   */
  member_added: MemberChange;
  /**
   * A user was removed from a chat; for them its last event.
   */
  member_removed: MemberChange;
  /**
   * A member's role changed.
   */
  member_role_changed: MemberChange;
  /**
   * A message was deleted; its place stays.
   */
  message_deleted: MessageChanged;
  /**
   * A message changed.
   */
  message_edited: MessageChanged;
  /**
   * A user liked a message, or removed the like.
   */
  message_liked: MessageLiked;
  /**
   * A message arrived.
   */
  new_message: NewMessage;
  /**
   * A watched user came online or went offline.
   */
  presence: PresenceChanged;
  /**
   * Sent once after each connect, when all chats are joined.
   */
  ready: Ready;
  /**
   * The server shuts down; reconnect after the given time.
   */
  server_shutdown: ServerShutdown;
  /**
   * The session of the connection has ended; a DISCONNECT follows.
   */
  session_ended: Farewell;
  /**
   * More happened in a chat than can be sent: `sync` it.
   */
  sync_hint: SyncHint;
  /**
   * The token of the connection has expired; a DISCONNECT follows.
   */
  token_expired: Farewell;
  /**
   * The token of the connection expires within a minute.
   */
  token_expiring: TokenExpiring;
  /**
   * A user is typing, or has stopped.
   */
  typing: TypingChanged;
  /**
   * The user unblocked another user, on any device.
   */
  unblocked: ContactChanged;
  /**
   * The user unfollowed another user, on any device.
   */
  unfollowed: ContactChanged;
  /**
   * The user was banned; a DISCONNECT follows.
   */
  user_banned: UserBanned;
  /**
   * A user who shares a chat changed their profile.
   */
  user_updated: UserUpdated;
}
/**
 * `followed`, `unfollowed`, `blocked`, `unblocked`: sent to the user's devices; `followed` also to the user who is followed.
 */
export interface ContactChanged {
  /**
   * When it happened.
   */
  at: Timestamp;
  /**
   * The user who follows, blocks and so on.
   */
  by: UserId;
  /**
   * The other user.
   */
  user_id: UserId;
  /**
   * The value of the user's own counter; only on the user's own devices.
   */
  user_rev?: number | null;
}
/**
 * The fields that all events about changes in a chat share.
 */
export interface Change {
  /**
   * When it happened.
   */
  at: Timestamp;
  /**
   * The user who made the change.
   */
  by: UserId;
  /**
   * The chat.
   */
  chat: ChatId;
  /**
   * The chat's counter before the change. If it is above what the client has, the client has missed something.
   */
  prev: number;
  /**
   * The chat's counter after the change.
   */
  rev: number;
}
/**
 * `chat_pinned`, `chat_unpinned`, `chat_archived`, `chat_unarchived`: sent to the user's own devices.
 */
export interface OwnChatChange {
  /**
   * When it happened.
   */
  at: Timestamp;
  /**
   * The chat.
   */
  chat: ChatId;
  /**
   * The value of the user's own counter.
   */
  user_rev: number;
}
/**
 * `chat_read`: does not change the chat's counter.
 */
export interface ChatRead {
  /**
   * The chat.
   */
  chat: ChatId;
  /**
   * The current value of the chat's counter.
   */
  rev: number;
  /**
   * The user has read up to this `seq`.
   */
  seq: number;
  /**
   * The user.
   */
  user_id: UserId;
  /**
   * The value of the user's own counter; only on the user's own devices.
   */
  user_rev?: number | null;
}
/**
 * `exception`.
 */
export interface Exception {
  /**
   * What went wrong.
   */
  error: ErrorObject;
  /**
   * The command that failed.
   */
  event: string;
}
/**
 * An error.
 */
export interface ErrorObject {
  /**
   * Stable code.
   */
  code: string;
  /**
   * Maps the path of each invalid field to what is wrong with it.
   */
  errors?: BTreeMap;
  /**
   * A human-readable explanation.
   */
  message: string;
  /**
   * When to try again, milliseconds; with `rate_limited`.
   */
  retry_after_ms?: number | null;
}
export interface BTreeMap {
  [k: string]: string[];
}
/**
 * `ready`.
 */
export interface Ready {
  /**
   * Identifies the history of the database; changes when a backup is restored.
   */
  epoch: string;
  /**
   * The server's time.
   */
  server_time: Timestamp;
  /**
   * The session of the token.
   */
  session_id: SessionId;
  /**
   * The user.
   */
  user_id: UserId;
}
/**
 * `server_shutdown`.
 */
export interface ServerShutdown {
  /**
   * Reconnect after this many milliseconds; different for each client, so that not all reconnect at once.
   */
  retry_after_ms: number;
}
/**
 * `token_expired`, `session_ended`: why the connection is closed.
 */
export interface Farewell {
  /**
   * A human-readable explanation.
   */
  message: string;
}
/**
 * `sync_hint`.
 */
export interface SyncHint {
  /**
   * The chat.
   */
  chat: ChatId;
  /**
   * The current value of the chat's counter.
   */
  rev: number;
}
/**
 * `token_expiring`.
 */
export interface TokenExpiring {
  /**
   * When the token expires.
   */
  expires_at: Timestamp;
}
/**
 * `typing`.
 */
export interface TypingChanged {
  /**
   * The chat.
   */
  chat: ChatId;
  /**
   * False when the user has stopped.
   */
  is_typing: boolean;
  /**
   * The user.
   */
  user_id: UserId;
}
/**
 * `user_banned`: why the connection is closed, and until when the ban lasts.
 */
export interface UserBanned {
  /**
   * A human-readable explanation.
   */
  message: string;
  /**
   * The reason, in the moderator's words.
   */
  reason: string;
  until?: Timestamp | null;
}
/**
 * `user_updated`.
 */
export interface UserUpdated {
  /**
   * The profile after the change.
   */
  user: User;
}
/**
 * A user, as others see them.
 */
export interface User {
  /**
   * When the user registered.
   */
  created_at: Timestamp;
  /**
   * The account was deleted; its messages stay.
   */
  deleted: boolean;
  /**
   * Free text about the user.
   */
  description?: string | null;
  /**
   * Unique; never reused.
   */
  id: UserId;
  last_seen_at?: Timestamp | null;
  /**
   * Display name.
   */
  name?: string | null;
  /**
   * Whether any device is connected.
   */
  online: boolean;
  /**
   * Name for `/static/{photo}/…`.
   */
  photo: string;
  /**
   * Their role in the whole service.
   */
  role: Role;
  /**
   * Login name, if the user has one.
   */
  username?: string | null;
}
export interface AckError {
  error: ErrorObject;
  ok: false;
}
