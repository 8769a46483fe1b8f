/** The server stops counting unread messages at this number. */
export const MAX_UNREAD = 1000;
/** A chat includes at most this many members. */
const MEMBERS_SHOWN = 50;
/** Characters that a reply shows of the message it answers. */
const EXCERPT = 200;

/** The local copy of a chat. Read it, do not change it. */
export class ChatState {
  /** All changes up to this revision are known. */
  rev = 0;
  /** @type {Message[]} The newest messages in the order of `seq`, without a gap. */
  messages = [];
  /** @type {Map<number, *>} Who is typing, by user id. */
  typing = new Map();
  /** @internal From another epoch: will be fetched again or removed. */
  stale = false;
  /** All messages with a higher `seq` are in `messages`. */
  floor = 0;
  /** @internal Unread messages that are not in `messages`. */
  unreadBelow = 0;
  /** @internal Those among them that mention the user. */
  mentionsBelow = 0;
  #replica;
  /** References to the queues of the iterators. */
  #queues = new Set();

  /** @internal */
  constructor(replica, chat, my) {
    this.#replica = replica;
    /** @type {Chat} As `GET /chat/{id}` returns it, without `my`. */
    this.chat = chat;
    /** @type {MyChat} */
    this.my = my;
  }

  get id() { return this.chat.id; }

  /**
   * The changes of this chat from now on. Ends when the chat is gone or the client is closed.
   * @returns {AsyncGenerator<Change>}
   */
  events() {
    const queue = { changes: [], wake() {} };
    // The iterator has all changes from now on, but one that is never read must not keep them in memory.
    const unread = new WeakRef(queue);
    this.#queues.add(unread);
    return this.#read(queue, unread);
  }

  async *#read(queue, unread) {
    const read = { deref: () => queue };
    this.#queues.delete(unread);
    this.#queues.add(read);
    try {
      for (;;) {
        while (!queue.changes.length) await new Promise((resolve) => { queue.wake = resolve; });
        const change = queue.changes.shift();
        if (!change) return;
        yield change;
      }
    } finally {
      this.#queues.delete(read);
    }
  }

  /** @internal Passes a change to the iterators; null ends them. */
  notify(change) {
    for (const reference of this.#queues) {
      const queue = reference.deref();
      queue?.changes.push(change);
      queue?.wake();
      if (!queue) this.#queues.delete(reference);
    }
  }

  /** The index of the message in `messages`, or where it would be inserted. */
  #indexOf(seq) {
    let low = 0;
    for (let high = this.messages.length; low < high;) {
      const middle = (low + high) >> 1;
      if (this.messages[middle].seq < seq) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #isUnread = ({ seq, user, deleted_at }) =>
    seq > this.my.last_read_seq && user.id !== this.#replica.userId && !deleted_at;

  #mentionsUser = ({ user, mentions, mentions_all }) =>
    user.id !== this.#replica.userId && (mentions_all || mentions.includes(this.#replica.userId));

  /**
   * @internal Whether the number of unread mentions is unknown after this change, because the message is not stored: the
   * event does not tell whether it mentioned the user before.
   */
  hidesMention(message) {
    return message.seq <= this.floor && message.seq > this.my.last_read_seq &&
      (this.mentionsBelow > 0 || this.#mentionsUser(message));
  }

  /** @internal Whether the message with this `seq` is stored. */
  has(seq) {
    return this.messages[this.#indexOf(seq)]?.seq === seq;
  }

  /** @internal Stores a message; returns it as stored, or null if it is not newer. */
  put(message) {
    const at = this.#indexOf(message.seq);
    const existing = this.messages[at]?.seq === message.seq ? this.messages[at] : null;
    if (existing && (message.rev < existing.rev || (message.rev === existing.rev && !message.my))) return null;
    if (!existing && message.seq <= this.floor) {
      const isNewDeletion = message.rev > this.rev && message.deleted_at;
      if (isNewDeletion && this.#isUnread({ ...message, deleted_at: null })) this.unreadBelow -= 1;
      if (message.rev > this.rev) this.#updateReplies(message);
      return null;
    }
    const keep = !message.deleted_at && existing?.my;
    const own = { ...(keep || { liked: false, reactions: [] }), mentioned: this.#mentionsUser(message) };
    const stored = { ...message, my: message.my ?? own };
    if (existing && message.rev > existing.rev) this.#updateReplies(message);
    this.messages.splice(at, existing ? 1 : 0, stored);
    return message.rev === existing?.rev ? null : stored;
  }

  /** Shows a changed message beside the replies to it. */
  #updateReplies({ id, seq, user, message_type, content, deleted_at }) {
    const excerpt = [...content].slice(0, EXCERPT).join('');
    const reply = { id, seq, user, message_type, excerpt, deleted: Boolean(deleted_at) };
    this.messages = this.messages.map((it) => (it.reply_to === id ? { ...it, reply } : it));
  }

  /** @internal The message with this id. */
  find(id) {
    return this.messages.findLast((message) => message.id === id);
  }

  /** @internal Stores a page of `history` that is adjacent to the stored messages. */
  mergePage(page, { before = Infinity, after = 0, hasMore }) {
    const isForward = after > 0;
    const from = isForward ? after : hasMore ? page[0].seq - 1 : 0;
    const to = isForward ? (hasMore ? page.at(-1).seq : Infinity) : before - 1;
    if (to < this.floor || from >= this.floor) return;
    const { unread, mentions } = this.my;
    this.floor = from;
    for (const message of page) if (message.seq <= this.rev) this.put(message);
    this.recalculate({ unread, mentions });
  }

  /** @internal Updates what is derived from the messages. The counts are the server's, if it sent them. */
  recalculate({ unread, mentions } = {}) {
    const { messages, my, chat } = this;
    const surplus = messages.splice(0, Math.max(0, messages.length - this.#replica.keep));
    if (surplus.length) {
      this.floor = surplus.at(-1).seq;
      this.unreadBelow += surplus.filter(this.#isUnread).length;
      this.mentionsBelow += surplus.filter((it) => this.#isUnread(it) && it.my.mentioned).length;
    }
    let count = 0;
    let mentioning = 0;
    for (let at = messages.length - 1; at >= 0 && messages[at].seq > my.last_read_seq; at -= 1) {
      if (!this.#isUnread(messages[at])) continue;
      count += 1;
      if (messages[at].my.mentioned) mentioning += 1;
    }
    if (my.last_read_seq >= this.floor) this.unreadBelow = this.mentionsBelow = 0;
    else if (unread !== undefined) {
      this.unreadBelow = Math.max(0, unread - count);
      this.mentionsBelow = Math.max(0, mentions - mentioning);
    }
    my.unread = Math.min(MAX_UNREAD, Math.max(0, this.unreadBelow) + count);
    my.mentions = Math.min(MAX_UNREAD, Math.max(0, this.mentionsBelow) + mentioning);
    if (messages.length) {
      chat.last_message = messages.at(-1);
      chat.last_seq = chat.last_message.seq;
      chat.visible = true;
    }
    chat.rev = this.rev;
    const own = chat.members.find(({ user }) => user.id === this.#replica.userId);
    if (own) own.last_read_seq = my.last_read_seq;
  }

  /** @internal Adds, changes or (`removed`) removes a member. Returns false if the first 50 are no longer known. */
  putMember(member, removed) {
    const { chat } = this;
    const before = chat.members.length;
    chat.members = chat.members.filter(({ user }) => user.id !== member.user.id);
    if (!removed) {
      const order = (a, b) => a.joined_at.localeCompare(b.joined_at) || a.user.id - b.user.id;
      chat.members = [...chat.members, member].sort(order).slice(0, MEMBERS_SHOWN);
      if (member.role === 'owner') chat.owner_id = member.user.id;
      if (member.user.id === this.#replica.userId) this.my.role = member.role;
    }
    return chat.members.length >= Math.min(before, chat.member_count, MEMBERS_SHOWN);
  }
}
