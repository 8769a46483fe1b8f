import { ChatState, MAX_UNREAD } from './chat.js';

/** Without another event, a user has stopped typing after this time. */
const TYPING_MS = 7000;
/** How an event changes a contact. */
export const CONTACT = {
  followed: { following: true }, unfollowed: { following: false },
  blocked: { following: false, blocked: true }, unblocked: { blocked: false },
};

const authorOf = ({ id, username, name, photo, role }) => ({ id, username, name, photo, role });

/** The chats, contacts and presence that the client knows. Applies events and replies; sends nothing. */
export class Replica {
  /** @type {Map<number, ChatState>} */
  chats = new Map();
  presence = new Map();
  contacts = new Map();
  userId = null;
  epoch;
  /** All changes up to this revision of the user's own state are known. */
  userRev;

  /** @param {{keep: number, emit: (name: string, ...data: any[]) => void}} options */
  constructor({ keep, emit }) {
    this.keep = keep;
    this.emit = emit;
  }

  /**
   * Announces a change of a chat to the listeners.
   * @param {string} type
   * @param {ChatState} chat
   * @param {{message?: object, data?: object, synced?: boolean}} [details]
   */
  announce(type, chat, { message, data, synced = false } = {}) {
    const change = { type, chat, message, data, synced };
    if (type === 'new_message') this.emit('message', message, chat);
    this.emit('change', change);
    if (!message) this.emit('chat', chat);
    chat.notify(change);
  }

  /** Starts over if another user logs in; returns whether it is the same user, or the first one. */
  setUser(userId) {
    const isSame = this.userId === null || this.userId === userId;
    if (!isSame) {
      for (const chat of [...this.chats.values()]) this.remove(chat, 'reset');
      this.contacts.clear();
      this.presence.clear();
      this.epoch = this.userRev = undefined;
    }
    this.userId = userId;
    return isSame;
  }

  remove(chat, reason) {
    this.chats.delete(chat.id);
    this.emit('gone', { chatId: chat.id, reason, chat });
    chat.notify(null);
  }

  setTyping({ chat: id, user_id: user, is_typing: isTyping }) {
    const chat = this.chats.get(id);
    if (!chat) return;
    clearTimeout(chat.typing.get(user));
    chat.typing.delete(user);
    if (!isTyping) return;
    const timer = setTimeout(() => chat.typing.delete(user), TYPING_MS);
    timer.unref?.();
    chat.typing.set(user, timer);
  }

  setPresence({ user_id: user, online, last_seen_at }) {
    this.presence.set(user, { online, last_seen_at });
  }

  putContact(user, { following, blocked }) {
    if (following || blocked) this.contacts.set(user, { following, blocked });
    else this.contacts.delete(user);
  }

  /**
   * Applies an event or an acknowledgement.
   * @returns {'done'|'gap'|'incomplete'} `gap`: not applied, because earlier changes of the chat are missing;
   *   `incomplete`: applied, but the chat has to be fetched, because the event lacks data.
   */
  apply({ name, data }) {
    if (name === 'user_updated') return this.#applyUser(data.user);
    if (name in CONTACT) return this.#applyContact(CONTACT[name], data);
    let chat = this.chats.get(data.chat);
    const known = chat?.rev ?? 0;
    const isOrdered = data.prev !== undefined;
    // A message that arrives late carries the `rev` of its latest change; its position is its `seq`.
    const rev = name === 'new_message' ? data.seq : data.rev;
    if (isOrdered && rev <= known) return 'done';
    const isRemoved = name === 'chat_deleted' || name === 'chat_declined';
    if (isRemoved || (name === 'member_removed' && data.member.user.id === this.userId)) {
      const reason = isRemoved ? name.slice(5) : data.by === this.userId ? 'left' : 'removed';
      if (chat) this.remove(chat, reason);
      return 'done';
    }
    if (isOrdered ? data.prev > known || !(chat || data.details) : data.upto > known) return 'gap';
    if (data.user_rev <= this.userRev) return 'done';
    let first;
    if (!chat && data.details) [chat, first] = this.#addChat(data.details);
    if (!chat) return 'done';
    const { message, isIncomplete } = this.#change(chat, name, data);
    // Counters do not advance past an incomplete change, so it is requested again after a lost connection.
    if (isOrdered && !isIncomplete) chat.rev = rev;
    if (data.user_rev === this.userRev + 1 && !isIncomplete) this.userRev += 1;
    chat.recalculate();
    if (name && message !== null) this.announce(name, chat, { message, data });
    if (first) this.announce('new_message', chat, { message: first, data });
    return isIncomplete ? 'incomplete' : 'done';
  }

  /** Adds a chat from the details of an event; returns it, and its first message if there is one to announce. */
  #addChat(details) {
    const { my, last_message: message } = details;
    const chat = new ChatState(this, { ...details }, my ?? this.#firstMy(details));
    this.chats.set(chat.id, chat);
    // The connection that creates a chat gets no event for its first message: the acknowledgement replaces it.
    return [chat, my && message ? chat.put(message) : undefined];
  }

  #firstMy({ is_group: isGroup, owner_id: owner }) {
    const role = isGroup && owner === this.userId ? 'owner' : 'member';
    return {
      role, pinned: false, muted_until: null, archived: false, unread: 0, mentions: 0, last_read_seq: 0, draft: null,
    };
  }

  /** Applies an event to a chat. `isIncomplete`: the event lacks data. */
  #change(chat, name, data) {
    const { my } = chat;
    switch (name) {
      case 'new_message': {
        const { prev, by, at, ...message } = data;
        this.setTyping({ chat: chat.id, user_id: by, is_typing: false });
        return { message: chat.put(message) };
      }
      case 'message_liked': {
        const stored = chat.find(data.message_id);
        if (!stored) return { message: null };
        const liked = data.by === this.userId ? data.liked : stored.my.liked;
        return { message: chat.put({ ...stored, likes: data.likes, rev: data.rev, my: { ...stored.my, liked } }) };
      }
      case 'message_reacted': {
        const stored = chat.find(data.message_id);
        if (!stored) return { message: null };
        const others = stored.my.reactions.filter((emoji) => emoji !== data.emoji);
        const own = data.by !== this.userId ? stored.my.reactions : data.on ? [...others, data.emoji] : others;
        const { reactions, rev } = data;
        return { message: chat.put({ ...stored, reactions, rev, my: { ...stored.my, reactions: own } }) };
      }
      case 'draft_saved': my.draft = data.draft; return {};
      case 'join_requested': case 'join_declined': return {};
      case 'member_added': case 'member_removed': case 'member_role_changed':
        chat.chat.member_count = data.member_count;
        return { isIncomplete: !chat.putMember(data.member, name === 'member_removed') };
      case 'chat_read':
        for (const member of chat.chat.members) {
          if (member.user.id === data.user_id) member.last_read_seq = Math.max(member.last_read_seq, data.seq);
        }
        if (data.user_id !== this.userId) return {};
        my.last_read_seq = Math.max(my.last_read_seq, data.seq);
        return { isIncomplete: my.last_read_seq < chat.floor };
      case 'chat_pinned': case 'chat_unpinned': my.pinned = name === 'chat_pinned'; return {};
      case 'chat_archived': case 'chat_unarchived': my.archived = name === 'chat_archived'; return {};
      case 'chat_muted': case 'chat_unmuted':
        my.muted_until = data.muted_until ?? null;
        return { isIncomplete: name === 'chat_muted' && !data.muted_until };
      default:
        if (data.details) {
          const { my: _, ...info } = data.details;
          chat.chat = info;
        }
        // If more messages are unread than the server counts, the count after a deletion is unknown.
        if (data.message) {
          const isIncomplete = my.unread === MAX_UNREAD || chat.hidesMention(data.message);
          return { message: chat.put(data.message), isIncomplete };
        }
        return { isIncomplete: Boolean(name) && !data.details };
    }
  }

  /** Changes the user's own contacts; being followed changes nothing. */
  #applyContact(change, { user_id: user, by, user_rev: userRev }) {
    if (by === this.userId) {
      this.putContact(user, { ...(this.contacts.get(user) ?? { following: false, blocked: false }), ...change });
      if (userRev === this.userRev + 1) this.userRev = userRev;
    }
    return 'done';
  }

  #applyUser(user) {
    const author = authorOf(user);
    // What does not show this user stays the same object.
    const renamed = (it) => (it?.user.id === user.id ? { ...it, user: author } : it);
    const withAuthor = (it) => {
      const { reply, forwarded_from: origin } = it;
      const shows = [reply, origin].some((part) => part?.user.id === user.id);
      return renamed(shows ? { ...it, reply: renamed(reply), forwarded_from: renamed(origin) } : it);
    };
    for (const chat of this.chats.values()) {
      chat.messages = chat.messages.map(withAuthor);
      chat.chat.members = chat.chat.members.map(withAuthor);
      chat.recalculate();
      this.announce('user_updated', chat, { data: { user } });
    }
    return 'done';
  }

  /** Everything known, as plain data. */
  snapshot() {
    const chats = [...this.chats.values()].filter(({ stale }) => !stale);
    return {
      user_id: this.userId, epoch: this.epoch, user_rev: this.userRev, contacts: [...this.contacts],
      chats: chats.map(({ chat, my, rev, messages, floor, unreadBelow, mentionsBelow }) => (
        { chat, my, rev, messages, floor, unreadBelow, mentionsBelow })),
    };
  }

  restore({ user_id: userId, epoch, user_rev: userRev, chats, contacts = [] }) {
    this.userId = userId;
    [this.epoch, this.userRev] = [epoch, userRev];
    this.contacts = new Map(contacts);
    for (const { chat, my, ...rest } of chats) {
      this.chats.set(chat.id, Object.assign(new ChatState(this, chat, my), rest));
    }
  }
}
