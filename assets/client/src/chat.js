/** The server counts unread messages up to this. */
export const UNREAD_MOST = 1000;
/** A chat carries its first members up to this number. */
const MEMBERS_SHOWN = 50;

/** The local copy of a chat. Read it, do not change it. */
export class ChatState {
  /** The value of the chat's counter up to which everything is known. */
  rev = 0;
  /** @type {Message[]} The newest messages in the order of `seq`, without a gap. */
  messages = [];
  /** @type {Map<number, *>} Who is typing, by user id. */
  typing = new Map();
  /** @internal Belongs to another epoch than the server's; about to be fetched again, or gone. */
  stale = false;
  /** All messages with a higher `seq` are in `messages`. */
  floor = 0;
  /** @internal Unread messages that are not in `messages`. */
  unreadBelow = 0;
  #replica;
  #readers = new Set();

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
    const waiting = [];
    let wake = () => {};
    const reader = (change) => { waiting.push(change); wake(); };
    // Now, not when the first change is awaited.
    this.#readers.add(reader);
    return this.#read(waiting, reader, (resolve) => { wake = resolve; });
  }

  async *#read(waiting, reader, wait) {
    try {
      for (;;) {
        while (!waiting.length) await new Promise(wait);
        const change = waiting.shift();
        if (!change) return;
        yield change;
      }
    } finally {
      this.#readers.delete(reader);
    }
  }

  /** @internal Passes a change to the iterators; null ends them. */
  tell(change) {
    for (const reader of this.#readers) reader(change);
  }

  /** The index of the message in `messages`, or where it would be inserted. */
  #place(seq) {
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

  /** @internal Whether the message with this `seq` is stored. */
  has(seq) {
    return this.messages[this.#place(seq)]?.seq === seq;
  }

  /** @internal Stores a message; returns it as stored, or null if it is not newer. */
  put(message) {
    const at = this.#place(message.seq);
    const held = this.messages[at]?.seq === message.seq ? this.messages[at] : null;
    if (held && (message.rev < held.rev || (message.rev === held.rev && !message.my))) return null;
    if (!held && message.seq <= this.floor) {
      const isNews = message.rev > this.rev && message.deleted_at;
      if (isNews && this.#isUnread({ ...message, deleted_at: null })) this.unreadBelow -= 1;
      return null;
    }
    const keep = !message.deleted_at && held?.my;
    const mine = { ...message, my: message.my ?? (keep || { liked: false, reactions: [] }) };
    this.messages.splice(at, held ? 1 : 0, mine);
    return message.rev === held?.rev ? null : mine;
  }

  /** @internal The message with this id. */
  find(id) {
    return this.messages.findLast((message) => message.id === id);
  }

  /** @internal Stores a page of `history` that is adjacent to the stored messages. */
  absorb(page, { before = Infinity, after = 0, hasMore }) {
    const isForward = after > 0;
    const from = isForward ? after : hasMore ? page[0].seq - 1 : 0;
    const to = isForward ? (hasMore ? page.at(-1).seq : Infinity) : before - 1;
    if (to < this.floor || from >= this.floor) return;
    const { unread } = this.my;
    this.floor = from;
    for (const message of page) if (message.seq <= this.rev) this.put(message);
    this.settle(unread);
  }

  /** @internal Updates what is derived from the messages. `unread` is the server's count, if it sent one. */
  settle(unread) {
    const { messages, my, chat } = this;
    const surplus = messages.splice(0, Math.max(0, messages.length - this.#replica.keep));
    if (surplus.length) {
      this.floor = surplus.at(-1).seq;
      this.unreadBelow += surplus.filter(this.#isUnread).length;
    }
    let held = 0;
    for (let at = messages.length - 1; at >= 0 && messages[at].seq > my.last_read_seq; at -= 1) {
      if (this.#isUnread(messages[at])) held += 1;
    }
    if (my.last_read_seq >= this.floor) this.unreadBelow = 0;
    else if (unread !== undefined) this.unreadBelow = Math.max(0, unread - held);
    my.unread = Math.min(UNREAD_MOST, Math.max(0, this.unreadBelow) + held);
    if (messages.length) {
      chat.last_message = messages.at(-1);
      chat.last_seq = chat.last_message.seq;
      chat.visible = true;
    }
    chat.rev = this.rev;
    const own = chat.members.find(({ user }) => user.id === this.#replica.userId);
    if (own) own.last_read_seq = my.last_read_seq;
  }

  /** @internal Adds, changes or (`gone`) removes a member. Returns false if the first 50 are no longer known. */
  putMember(member, gone) {
    const { chat } = this;
    const before = chat.members.length;
    chat.members = chat.members.filter(({ user }) => user.id !== member.user.id);
    if (!gone) {
      const order = (a, b) => a.joined_at.localeCompare(b.joined_at) || a.user.id - b.user.id;
      chat.members = [...chat.members, member].sort(order).slice(0, MEMBERS_SHOWN);
      if (member.role === 'owner') chat.owner_id = member.user.id;
      if (member.user.id === this.#replica.userId) this.my.role = member.role;
    }
    return chat.members.length >= Math.min(before, chat.member_count, MEMBERS_SHOWN);
  }
}
