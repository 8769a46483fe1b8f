// Made by tests/clients/make_types.mjs; do not edit.

/**
 * A chat's number.
 */
export type ChatId = number;
/**
 * A member's role in a chat.
 */
export type ChatRole = 'member' | 'admin' | 'owner';
/**
 * A user's number.
 */
export type UserId = number;
export type Timestamp = string;
/**
 * A user's role in the whole service, in ascending order of power.
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
 * A message's number.
 */
export type MessageId = number;
/**
 * A chat as `sync` gives it.
 */
export type SyncedChat = Chat & {
  /**
   * Drop what you hold of it: only its newest messages follow, the rest is in `history`.
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
 * `chat_muted`, `chat_unmuted`: goes to one's own devices.
 */
export type OwnChatMuted = OwnChatChange & {
  muted_until?: Timestamp | null;
};
/**
 * `member_added`, `member_removed`.
 */
export type MemberChange = Change & {
  /**
   * Who it is about.
   */
  member: Member;
  /**
   * Members now.
   */
  member_count: number;
};
/**
 * `message_edited`, `message_deleted`.
 */
export type MessageChanged = Change & {
  /**
   * As it is now, without `my`.
   */
  message: Message;
};
/**
 * `message_liked`.
 */
export type MessageLiked = Change & {
  /**
   * Whether `by` likes it now.
   */
  liked: boolean;
  /**
   * Number of likes now.
   */
  likes: number;
  /**
   * Which.
   */
  message_id: MessageId;
};
/**
 * `new_message`: a Message's fields at top level, with `rev` and `prev`.
 */
export type NewMessage = Message & {
  /**
   * When.
   */
  at: Timestamp;
  /**
   * Who sent it.
   */
  by: UserId;
  /**
   * The counter's value before it.
   */
  prev: number;
};
/**
 * A session's number, the `sid` of its tokens.
 */
export type SessionId = number;

export interface EveryEvent {
  client: ClientEvents;
  server: ServerEvents;
}
export interface ClientEvents {
  /**
   * Adds a user to a group. Owner and admins.
   */
  add_member: {
    payload: AddMember;
    ack: AckOk & MemberReply;
  };
  /**
   * Lets a stranger's direct chat in. The other side of it.
   */
  approve_chat: {
    payload: ApproveChat;
    ack: AckOk;
  };
  /**
   * Renews the connection's token in place.
   */
  authenticate: {
    payload: Authenticate;
    ack: AckOk & AuthenticateReply;
  };
  /**
   * Blocks somebody: no direct messages either way, no presence, no adding to groups.
   */
  block: {
    payload: Block;
    ack: AckOk & ContactReply;
  };
  /**
   * Creates a group or a direct chat; the direct chat of two people exists once.
   */
  create_chat: {
    payload: CreateChat;
    ack: AckOk & ChatReply;
  };
  /**
   * Removes a stranger's direct chat that waits for approval. The other side of it.
   */
  decline_chat: {
    payload: DeclineChat;
    ack: AckOk;
  };
  /**
   * Deletes a group for everybody. Owner.
   */
  delete_chat: {
    payload: DeleteChat;
    ack: AckOk;
  };
  /**
   * Takes a message's content away; its place stays. Author, the chat's owner and admins, moderators.
   */
  delete_message: {
    payload: DeleteMessage;
    ack: AckOk & MessageReply;
  };
  /**
   * Changes the content of one's own message.
   */
  edit_message: {
    payload: EditMessage;
    ack: AckOk & MessageReply;
  };
  /**
   * Follows somebody, who may then begin a direct chat without approval.
   */
  follow: {
    payload: Follow;
    ack: AckOk & ContactReply;
  };
  /**
   * A page of a chat's messages, newest first.
   */
  history: {
    payload: History;
    ack: AckOk & HistoryReply;
  };
  /**
   * Leaves a group; the owner's place goes to the longest-serving admin, else member.
   */
  leave_chat: {
    payload: LeaveChat;
    ack: AckOk;
  };
  /**
   * Moves one's read mark forward; it never goes back.
   */
  mark_read: {
    payload: MarkRead;
    ack: AckOk & ReadReply;
  };
  /**
   * Removes a user from a group. Owner and admins.
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
   * Makes a member an admin, an admin a member, or somebody else the owner. Owner.
   */
  set_member_role: {
    payload: SetMemberRole;
    ack: AckOk & MemberReply;
  };
  /**
   * What changed since one was last here, page by page.
   */
  sync: {
    payload: Sync;
    ack: AckOk & SyncReply;
  };
  /**
   * Puts a chat away in one's own list, or takes it out again.
   */
  toggle_chat_archive: {
    payload: ToggleChatArchive;
    ack: AckOk & ArchiveReply;
  };
  /**
   * Mutes or unmutes a chat for oneself.
   */
  toggle_chat_mute: {
    payload: ToggleChatMute;
    ack: AckOk & MuteReply;
  };
  /**
   * Pins or unpins a chat in one's own list.
   */
  toggle_chat_pin: {
    payload: ToggleChatPin;
    ack: AckOk & PinReply;
  };
  /**
   * Likes a message or takes the like back.
   */
  toggle_like_message: {
    payload: ToggleLikeMessage;
    ack: AckOk & LikeReply;
  };
  /**
   * Says that one is typing, or no longer; ends by itself after 6 seconds.
   */
  typing: {
    payload: Typing;
    ack: AckOk;
  };
  /**
   * Blocks somebody no longer.
   */
  unblock: {
    payload: Unblock;
    ack: AckOk & ContactReply;
  };
  /**
   * Follows somebody no longer.
   */
  unfollow: {
    payload: Unfollow;
    ack: AckOk & ContactReply;
  };
  /**
   * Changes a group's name, description or photo. Owner and admins.
   */
  update_chat: {
    payload: UpdateChat;
    ack: AckOk & ChatReply;
  };
  /**
   * Watches who of these is online.
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
   * Where.
   */
  chat: ChatRef;
  role?: ChatRole | null;
  /**
   * Who.
   */
  user: UserRef;
}
/**
 * A chat by its id.
 */
export interface ChatRef {
  /**
   * Which.
   */
  id: ChatId;
}
/**
 * A user by their id.
 */
export interface UserRef {
  /**
   * Who.
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
 * Answer that carries a member.
 */
export interface MemberReply {
  /**
   * The member, as they are or were.
   */
  member: Member;
}
/**
 * One member of a chat.
 */
export interface Member {
  /**
   * Latest joining.
   */
  joined_at: Timestamp;
  /**
   * Has read up to this `seq`.
   */
  last_read_seq: number;
  /**
   * Everybody in a direct chat is a `member`.
   */
  role: ChatRole;
  /**
   * Who.
   */
  user: Author;
}
/**
 * A person as the author of something.
 */
export interface Author {
  /**
   * Who.
   */
  id: UserId;
  /**
   * Display name.
   */
  name?: string | null;
  /**
   * Bare name for `/static/{photo}/…`.
   */
  photo: string;
  /**
   * `user`, `moderator` or `admin`.
   */
  role: Role;
  /**
   * Login name, if chosen.
   */
  username?: string | null;
}
/**
 * `approve_chat`.
 */
export interface ApproveChat {
  /**
   * Which.
   */
  chat: ChatRef;
}
/**
 * `authenticate`: a newer access token of the same user takes the place of the connection's.
 */
export interface Authenticate {
  /**
   * A fresh access token.
   */
  token: string;
}
/**
 * Answer to `authenticate`.
 */
export interface AuthenticateReply {
  /**
   * When the connection's token ends now.
   */
  expires_at: Timestamp;
}
/**
 * `block`.
 */
export interface Block {
  /**
   * Whom.
   */
  user: UserRef;
}
/**
 * Answer that carries a contact.
 */
export interface ContactReply {
  /**
   * What the other is to one now.
   */
  contact: Contact;
}
/**
 * What somebody is to one, as one has decided.
 */
export interface Contact {
  /**
   * One blocks them.
   */
  blocked: boolean;
  /**
   * One follows them.
   */
  following: boolean;
  /**
   * Who.
   */
  user_id: UserId;
}
/**
 * `create_chat`.
 */
export interface CreateChat {
  /**
   * The chat wished for.
   */
  chat: NewChat;
  message?: FirstMessage | null;
}
/**
 * A chat to be.
 */
export interface NewChat {
  /**
   * Makes a retry answer the chat made first.
   */
  client_id?: string | null;
  /**
   * Groups only.
   */
  description?: string | null;
  /**
   * False: a direct chat of exactly two.
   */
  is_group: boolean;
  /**
   * User ids; the creator may be among them or not.
   */
  members_array: UserId[];
  /**
   * A group needs one; a direct chat has none of its own.
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
   * As it is to be stored.
   */
  content: string;
  /**
   * Kind of content.
   */
  message_type: MessageType;
}
/**
 * Answer that carries a chat.
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
   * Whether the other side lets the opener write on.
   */
  approved: boolean;
  /**
   * Creation.
   */
  created_at: Timestamp;
  /**
   * Groups only.
   */
  description?: string | null;
  /**
   * Never used again.
   */
  id: ChatId;
  /**
   * False for a direct chat of two.
   */
  is_group: boolean;
  last_message?: null | Message;
  /**
   * `seq` of its newest message, 0 without one.
   */
  last_seq: number;
  /**
   * Present members.
   */
  member_count: number;
  /**
   * The first 50 of them.
   */
  members: Member[];
  my?: MyChat | null;
  /**
   * Groups only.
   */
  name?: string | null;
  /**
   * Owner of a group, opener of a direct chat, first member of the lobby.
   */
  owner_id: UserId;
  /**
   * Bare name for `/static/{photo}/…`.
   */
  photo?: string | null;
  /**
   * Counter value of its latest change.
   */
  rev: number;
  /**
   * Whether it shows in everybody's list.
   */
  visible: boolean;
}
/**
 * A message. A deleted one keeps its place with empty content.
 */
export interface Message {
  /**
   * Ids of attachments.
   */
  attachments: number[];
  /**
   * Its chat, by Mango's name.
   */
  chat: ChatId;
  /**
   * Its chat.
   */
  chat_id: ChatId;
  /**
   * The author's mark of the request.
   */
  client_id?: string | null;
  /**
   * As it came.
   */
  content: string;
  /**
   * Arrival.
   */
  created_at: Timestamp;
  deleted_at?: Timestamp | null;
  edited_at?: Timestamp | null;
  /**
   * Never used again.
   */
  id: MessageId;
  /**
   * Number of likes.
   */
  likes: number;
  /**
   * Kind of content.
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
   * Counter value of its latest change.
   */
  rev: number;
  /**
   * Its place in the chat, for good; rising, not contiguous.
   */
  seq: number;
  /**
   * Who wrote it.
   */
  user: Author;
}
/**
 * One's own marks on a message.
 */
export interface MyMessage {
  /**
   * One likes it.
   */
  liked: boolean;
  /**
   * Emoji one reacted with.
   */
  reactions: string[];
}
/**
 * How often an emoji was given.
 */
export interface Reaction {
  /**
   * By how many.
   */
  count: number;
  /**
   * The emoji.
   */
  emoji: string;
}
/**
 * What is one's own in a chat.
 */
export interface MyChat {
  /**
   * Put away.
   */
  archived: boolean;
  /**
   * Has read up to this `seq`.
   */
  last_read_seq: number;
  muted_until?: Timestamp | null;
  /**
   * Pinned in one's own list.
   */
  pinned: boolean;
  /**
   * `owner`, `admin` or `member`.
   */
  role: ChatRole;
  /**
   * Messages of others not yet read, counted to 1000.
   */
  unread: number;
}
/**
 * `decline_chat`.
 */
export interface DeclineChat {
  /**
   * Which.
   */
  chat: ChatRef;
}
/**
 * `delete_chat`.
 */
export interface DeleteChat {
  /**
   * Which.
   */
  chat: ChatRef;
}
/**
 * `delete_message`.
 */
export interface DeleteMessage {
  /**
   * Which.
   */
  message: MessageRef;
}
/**
 * A message by its id.
 */
export interface MessageRef {
  /**
   * Which.
   */
  id: MessageId;
}
/**
 * Answer that carries a message.
 */
export interface MessageReply {
  /**
   * As it is now.
   */
  message: Message;
}
/**
 * `edit_message`.
 */
export interface EditMessage {
  /**
   * Which, and how.
   */
  message: EditedMessage;
}
/**
 * A message and its new content.
 */
export interface EditedMessage {
  /**
   * As it is to be stored.
   */
  content: string;
  /**
   * Which.
   */
  id: MessageId;
}
/**
 * `follow`.
 */
export interface Follow {
  /**
   * Whom.
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
   * Only messages with a lower `seq`.
   */
  before?: number | null;
  /**
   * Where.
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
   * There are more in the direction asked for.
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
   * Which.
   */
  chat: ChatRef;
}
/**
 * `mark_read`.
 */
export interface MarkRead {
  /**
   * Where.
   */
  chat: ChatRef;
  last_read_message_id?: MessageId | null;
  /**
   * Or up to this `seq`. With neither: everything.
   */
  seq?: number | null;
}
/**
 * Answer to `mark_read`.
 */
export interface ReadReply {
  /**
   * Where the mark stands now.
   */
  seq: number;
  /**
   * Messages of others beyond the mark, counted to 1000.
   */
  unread: number;
}
/**
 * `remove_member`.
 */
export interface RemoveMember {
  /**
   * Where.
   */
  chat: ChatRef;
  /**
   * Who.
   */
  user: UserRef;
}
/**
 * `send_message`.
 */
export interface SendMessage {
  /**
   * The message wished for.
   */
  message: OutgoingMessage;
}
/**
 * A message to be.
 */
export interface OutgoingMessage {
  /**
   * Ids of uploaded attachments; not taken by this version.
   */
  attachments?: number[];
  /**
   * Where.
   */
  chat_id: ChatId;
  /**
   * 1 to 64 characters, unique per user for ever: makes a retry answer the message sent first.
   */
  client_id?: string | null;
  /**
   * Stored and sent as it comes.
   */
  content: string;
  /**
   * Kind of content.
   */
  message_type: MessageType;
  reply_to?: MessageId | null;
}
/**
 * Answer to `send_message`.
 */
export interface SendReply {
  /**
   * It had been sent before under this `client_id`.
   */
  duplicate: boolean;
  /**
   * The message as it is stored.
   */
  message: Message;
}
/**
 * `set_member_role`.
 */
export interface SetMemberRole {
  /**
   * Where.
   */
  chat: ChatRef;
  /**
   * `member`, `admin`, or `owner`: the caller then becomes an admin.
   */
  role: ChatRole;
  /**
   * Who.
   */
  user: UserRef;
}
/**
 * `sync`.
 */
export interface Sync {
  /**
   * The epoch that one's state is of.
   */
  epoch?: string | null;
  /**
   * Messages of a page, 1 to 500, default 200.
   */
  limit?: number | null;
  /**
   * A chat with more changes than this comes whole, `truncated`.
   */
  max_behind?: number | null;
  /**
   * Answer for these chats only.
   */
  only?: ChatId[] | null;
  /**
   * Chat id to the `rev` that one has of it; 0 is from the beginning. Chats that are not named come whole.
   */
  since?: {
    [k: string]: number;
  };
  /**
   * One's own counter as one has it; left out, own state comes only with whole chats.
   */
  user_rev?: number | null;
}
/**
 * Answer to `sync`: one page of what changed.
 */
export interface SyncReply {
  /**
   * Chats that are new to one or changed themselves.
   */
  chats: SyncedChat[];
  /**
   * Contacts that changed after `user_rev`; all of them without it. Not with `only`.
   */
  contacts: Contact[];
  /**
   * More than 500 did: none is told, fetch the lists anew.
   */
  contacts_truncated?: boolean;
  /**
   * Which history this database has.
   */
  epoch: string;
  /**
   * Ask again with the new `revs`.
   */
  has_more: boolean;
  /**
   * Named chats that are not one's own.
   */
  left: LeftChat[];
  /**
   * Messages that are new or changed, chat by chat in `rev` order.
   */
  messages: Message[];
  /**
   * Own state that changed.
   */
  mine: Mine[];
  /**
   * The database has another history than one's state is of: drop everything.
   */
  reset?: boolean;
  /**
   * What to send as `since` next, merged over what one has.
   */
  revs: {
    [k: string]: number;
  };
  /**
   * One's own counter now.
   */
  user_rev: number;
}
/**
 * A chat that is not, or no longer, the user's.
 */
export interface LeftChat {
  /**
   * Which.
   */
  chat_id: ChatId;
  /**
   * `left`, `removed`, `deleted`, `declined`, or `unknown` where the user never was in it.
   */
  reason: string;
  /**
   * The chat's counter when it ended for the user; older than what one knows: ignore it.
   */
  rev: number;
}
/**
 * One's own state in a chat.
 */
export interface Mine {
  /**
   * Where.
   */
  chat_id: ChatId;
  /**
   * As it is now.
   */
  my: MyChat;
}
/**
 * `toggle_chat_archive`.
 */
export interface ToggleChatArchive {
  /**
   * Which, and how.
   */
  chat: ArchivedChat;
}
/**
 * A chat and whether it is to be put away.
 */
export interface ArchivedChat {
  /**
   * Left out: the other way round from now.
   */
  archived?: boolean | null;
  /**
   * Which.
   */
  id: ChatId;
}
/**
 * Answer to `toggle_chat_archive`.
 */
export interface ArchiveReply {
  /**
   * As it is now.
   */
  archived: boolean;
}
/**
 * `toggle_chat_mute`.
 */
export interface ToggleChatMute {
  /**
   * Which, and how.
   */
  chat: MutedChat;
}
/**
 * A chat and whether it is to be muted.
 */
export interface MutedChat {
  /**
   * Which.
   */
  id: ChatId;
  /**
   * Left out: the other way round from now.
   */
  muted?: boolean | null;
  /**
   * For how long, seconds; left out: until it is taken back.
   */
  seconds?: number | null;
}
/**
 * Answer to `toggle_chat_mute`.
 */
export interface MuteReply {
  /**
   * As it is now.
   */
  muted: boolean;
  muted_until?: Timestamp | null;
}
/**
 * `toggle_chat_pin`.
 */
export interface ToggleChatPin {
  /**
   * Which, and how.
   */
  chat: PinnedChat;
}
/**
 * A chat and whether it is to be pinned.
 */
export interface PinnedChat {
  /**
   * Which.
   */
  id: ChatId;
  /**
   * Left out: the other way round from now.
   */
  pinned?: boolean | null;
}
/**
 * Answer to `toggle_chat_pin`.
 */
export interface PinReply {
  /**
   * As it is now.
   */
  pinned: boolean;
}
/**
 * `toggle_like_message`.
 */
export interface ToggleLikeMessage {
  /**
   * Which, and how.
   */
  message: LikedMessage;
}
/**
 * A message and whether one is to like it.
 */
export interface LikedMessage {
  /**
   * Which.
   */
  id: MessageId;
  /**
   * Left out: the other way round from now.
   */
  liked?: boolean | null;
}
/**
 * Answer to `toggle_like_message`.
 */
export interface LikeReply {
  /**
   * As it is now.
   */
  liked: boolean;
  /**
   * Number of likes now.
   */
  likes: number;
}
/**
 * `typing`.
 */
export interface Typing {
  /**
   * Where.
   */
  chat: ChatRef;
  /**
   * Ends by itself after 6 seconds.
   */
  is_typing: boolean;
}
/**
 * `unblock`.
 */
export interface Unblock {
  /**
   * Whom.
   */
  user: UserRef;
}
/**
 * `unfollow`.
 */
export interface Unfollow {
  /**
   * Whom.
   */
  user: UserRef;
}
/**
 * `update_chat`.
 */
export interface UpdateChat {
  /**
   * Which, and how.
   */
  chat: ChatPatch;
}
/**
 * A field that is left out stays; `null` clears it.
 */
export interface ChatPatch {
  /**
   * Up to 1,000 characters.
   */
  description?: string | null;
  /**
   * Which.
   */
  id: ChatId;
  /**
   * 1 to 100 characters; a group always has one.
   */
  name?: string | null;
  /**
   * Base64 of a JPEG, PNG, WebP or GIF, bare or as a data URL.
   */
  photo?: string | null;
}
/**
 * `watch_presence`: takes the place of what the connection watched before.
 */
export interface WatchPresence {
  /**
   * People who share a chat with one; others are passed over.
   */
  users: UserId[];
}
/**
 * Answer to `watch_presence`.
 */
export interface PresenceReply {
  /**
   * As it is now, of those that are watched.
   */
  presence: PresenceChanged[];
}
/**
 * `presence`.
 */
export interface PresenceChanged {
  last_seen_at?: Timestamp | null;
  /**
   * Any device is connected.
   */
  online: boolean;
  /**
   * Who.
   */
  user_id: UserId;
}
export interface ServerEvents {
  /**
   * One blocks somebody, on any device.
   */
  blocked: ContactChanged;
  /**
   * A direct chat was let in.
   */
  chat_approved: ChatChanged;
  /**
   * One put a chat away, on any device.
   */
  chat_archived: OwnChatChange;
  /**
   * One is a member of a new chat.
   */
  chat_created: ChatCreated;
  /**
   * A direct chat was not let in; its last event.
   */
  chat_declined: ChatDeleted;
  /**
   * A chat was deleted; its last event.
   */
  chat_deleted: ChatDeleted;
  /**
   * One muted a chat, on any device.
   */
  chat_muted: OwnChatMuted;
  /**
   * One pinned a chat, on any device.
   */
  chat_pinned: OwnChatChange;
  /**
   * Somebody has read up to a `seq`; told in chats of up to 200 members.
   */
  chat_read: ChatRead;
  /**
   * One took a chat out again, on any device.
   */
  chat_unarchived: OwnChatChange;
  /**
   * One unmuted a chat, on any device.
   */
  chat_unmuted: OwnChatMuted;
  /**
   * One unpinned a chat, on any device.
   */
  chat_unpinned: OwnChatChange;
  /**
   * A chat's name, description or photo changed.
   */
  chat_updated: ChatChanged;
  /**
   * A command without a callback failed.
   */
  exception: Exception;
  /**
   * Somebody follows somebody: one of them is oneself.
   */
  followed: ContactChanged;
  /**
   * Somebody was added to a chat.
   */
  member_added: MemberChange;
  /**
   * Somebody was removed from a chat; for them the last event of that chat.
   */
  member_removed: MemberChange;
  /**
   * Somebody's role in a chat changed.
   */
  member_role_changed: MemberChange;
  /**
   * A message's content is gone; its place stays.
   */
  message_deleted: MessageChanged;
  /**
   * A message changed.
   */
  message_edited: MessageChanged;
  /**
   * Somebody likes a message, or no longer.
   */
  message_liked: MessageLiked;
  /**
   * A message arrived.
   */
  new_message: NewMessage;
  /**
   * Somebody who is watched came or went.
   */
  presence: PresenceChanged;
  /**
   * Sent once after every connect, when all rooms are joined.
   */
  ready: Ready;
  /**
   * The node goes; come back after the given time.
   */
  server_shutdown: ServerShutdown;
  /**
   * The connection's session was ended; a DISCONNECT follows.
   */
  session_ended: Farewell;
  /**
   * More happened in a chat than could be told: `sync` it.
   */
  sync_hint: SyncHint;
  /**
   * The connection's token ended; a DISCONNECT follows.
   */
  token_expired: Farewell;
  /**
   * The connection's token ends within a minute.
   */
  token_expiring: TokenExpiring;
  /**
   * Somebody is typing, or no longer.
   */
  typing: TypingChanged;
  /**
   * One blocks somebody no longer, on any device.
   */
  unblocked: ContactChanged;
  /**
   * One follows somebody no longer, on any device.
   */
  unfollowed: ContactChanged;
  /**
   * The user was banned; a DISCONNECT follows.
   */
  user_banned: UserBanned;
  /**
   * Somebody who shares a chat changed their profile.
   */
  user_updated: UserUpdated;
}
/**
 * `followed`, `unfollowed`, `blocked`, `unblocked`: goes to one's own devices; `followed` also to who is followed.
 */
export interface ContactChanged {
  /**
   * When.
   */
  at: Timestamp;
  /**
   * Who decided.
   */
  by: UserId;
  /**
   * About whom.
   */
  user_id: UserId;
  /**
   * One's own counter; only to the devices of who decided, and not where a group made it so.
   */
  user_rev?: number | null;
}
/**
 * What every event of a change in a chat says.
 */
export interface Change {
  /**
   * When.
   */
  at: Timestamp;
  /**
   * Who did it.
   */
  by: UserId;
  /**
   * Where.
   */
  chat: ChatId;
  /**
   * The counter's value before it: there is a hole where this is above what one knows.
   */
  prev: number;
  /**
   * The counter's value that the change took.
   */
  rev: number;
}
/**
 * `chat_pinned`, `chat_unpinned` and the like: goes to one's own devices.
 */
export interface OwnChatChange {
  /**
   * When.
   */
  at: Timestamp;
  /**
   * Where.
   */
  chat: ChatId;
  /**
   * One's own counter.
   */
  user_rev: number;
}
/**
 * `chat_read`: takes no value of the chat's counter.
 */
export interface ChatRead {
  /**
   * Where.
   */
  chat: ChatId;
  /**
   * The chat's counter as it stands.
   */
  rev: number;
  /**
   * Has read up to this `seq`.
   */
  seq: number;
  /**
   * Who.
   */
  user_id: UserId;
  /**
   * One's own counter; only to one's own devices.
   */
  user_rev?: number | null;
}
/**
 * `exception`.
 */
export interface Exception {
  /**
   * Why.
   */
  error: ErrorObject;
  /**
   * The command that failed.
   */
  event: string;
}
/**
 * A failure as sockets are told of it.
 */
export interface ErrorObject {
  /**
   * Stable name.
   */
  code: string;
  /**
   * Field path to what is wrong with it.
   */
  errors?: BTreeMap;
  /**
   * A sentence for a person.
   */
  message: string;
  /**
   * When to come back, milliseconds; with `rate_limited`.
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
   * Which history this database has.
   */
  epoch: string;
  /**
   * Now.
   */
  server_time: Timestamp;
  /**
   * The session of the token.
   */
  session_id: SessionId;
  /**
   * Who one is.
   */
  user_id: UserId;
}
/**
 * `server_shutdown`.
 */
export interface ServerShutdown {
  /**
   * Come back after this many milliseconds; spread so that not all come at once.
   */
  retry_after_ms: number;
}
/**
 * `token_expired`, `session_ended`: why the connection is closed.
 */
export interface Farewell {
  /**
   * A sentence for a person.
   */
  message: string;
}
/**
 * `sync_hint`.
 */
export interface SyncHint {
  /**
   * Where.
   */
  chat: ChatId;
  /**
   * The chat's counter as it stands.
   */
  rev: number;
}
/**
 * `token_expiring`.
 */
export interface TokenExpiring {
  /**
   * When it ends.
   */
  expires_at: Timestamp;
}
/**
 * `typing`.
 */
export interface TypingChanged {
  /**
   * Where.
   */
  chat: ChatId;
  /**
   * Or no longer.
   */
  is_typing: boolean;
  /**
   * Who.
   */
  user_id: UserId;
}
/**
 * `user_banned`: why the connection is closed, and for how long no other is taken.
 */
export interface UserBanned {
  /**
   * A sentence for a person.
   */
  message: string;
  /**
   * Why, in the moderator's words.
   */
  reason: string;
  until?: Timestamp | null;
}
/**
 * `user_updated`.
 */
export interface UserUpdated {
  /**
   * As they are now.
   */
  user: User;
}
/**
 * A person as others see them.
 */
export interface User {
  /**
   * Registration.
   */
  created_at: Timestamp;
  /**
   * The account is gone; its messages stay.
   */
  deleted: boolean;
  /**
   * A line about oneself.
   */
  description?: string | null;
  /**
   * Never used again.
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
   * Bare name for `/static/{photo}/…`.
   */
  photo: string;
  /**
   * `user`, `moderator` or `admin`.
   */
  role: Role;
  /**
   * Login name, if chosen.
   */
  username?: string | null;
}
export interface AckError {
  error: ErrorObject;
  ok: false;
}
