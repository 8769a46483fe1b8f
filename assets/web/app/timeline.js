// The messages of a chat that are loaded for the screen: a window without gaps, anywhere in the history. What the client
// keeps in memory is taken from there, the rest from the server; what is far from the screen is dropped again.
import { session } from './session.js';

const PAGE = 50;
/** So many messages are loaded at most; more than fill any screen several times. */
const MOST = 240;
const LEFT = 160;

export class Timeline {
  /** @type {object[]} Messages, oldest first. */
  items = [];
  atStart = false;
  atEnd = false;
  isLoading = { older: false, newer: false };
  failed = null;
  #generation = 0;
  #fetching = 0;
  /** Events that arrived during a fetch: its page may be older than they are. */
  #late = [];

  constructor(chatId, onChange) {
    this.chatId = chatId;
    this.onChange = onChange;
  }

  get state() {
    return session.client.chats.get(this.chatId);
  }

  /** Shows the newest messages. */
  openLatest() {
    const { state } = this;
    this.#generation += 1;
    this.isLoading = { older: false, newer: false };
    this.items = state.messages.slice(-PAGE);
    this.atEnd = true;
    this.#setStart();
    this.onChange('open');
  }

  /** Shows the messages around one; resolves when they are loaded. */
  async openAround(seq) {
    const { state } = this;
    const generation = ++this.#generation;
    const at = state.messages.findIndex((it) => it.seq >= seq);
    if (at >= 0 && (seq > state.floor || state.floor === 0)) {
      this.items = state.messages.slice(Math.max(0, at - PAGE), at + PAGE);
      this.atEnd = at + PAGE >= state.messages.length;
      this.#setStart();
    } else {
      const { messages } = await this.#history({ around: seq, limit: PAGE * 2 });
      if (generation !== this.#generation) return;
      this.items = messages;
      this.atStart = !messages.length || messages[0].seq === 1;
      this.atEnd = (messages.at(-1)?.seq ?? 0) >= state.chat.last_seq;
      this.#catchUp();
    }
    this.isLoading = { older: false, newer: false };
    this.onChange('open');
  }

  #setStart() {
    const { state } = this;
    this.atStart = state.floor === 0 && (!this.items.length || this.items[0] === state.messages[0]);
  }

  async loadOlder() {
    if (this.atStart || this.isLoading.older || !this.items.length) return;
    const { state } = this;
    const first = this.items[0].seq;
    const known = state.messages.filter((it) => it.seq < first);
    if (first > state.floor + 1 && known.length) {
      this.items = [...known.slice(-PAGE), ...this.items];
      this.#setStart();
      this.#trim('newer');
      this.onChange('older');
      return;
    }
    await this.#fetch('older', { before: first }, ({ messages, hasMore }) => {
      this.items = [...messages, ...this.items];
      this.atStart = !hasMore;
      this.#trim('newer');
    });
  }

  async loadNewer() {
    if (this.atEnd || this.isLoading.newer || !this.items.length) return;
    const { state } = this;
    const last = this.items.at(-1).seq;
    if (last >= state.floor) {
      const known = state.messages.filter((it) => it.seq > last);
      this.items = [...this.items, ...known.slice(0, PAGE)];
      this.atEnd = known.length <= PAGE;
      this.#trim('older');
      this.onChange('newer');
      return;
    }
    await this.#fetch('newer', { after: last }, ({ messages, hasMore }) => {
      this.items = [...this.items, ...messages];
      // What arrived meanwhile is in the client's copy, as far as that reaches.
      this.atEnd = !hasMore && (this.items.at(-1)?.seq ?? 0) >= this.state.floor;
      this.#trim('older');
    });
  }

  async #fetch(side, range, merge) {
    const generation = this.#generation;
    const edge = () => this.items.at(side === 'older' ? 0 : -1)?.seq;
    const from = edge();
    this.isLoading[side] = true;
    this.onChange('loading');
    try {
      const page = await this.#history({ ...range, limit: PAGE });
      if (generation !== this.#generation || !this.state) return;
      this.failed = null;
      // The window may have been cut at this end: the page would leave a gap, and is fetched again when needed.
      if (edge() === from) {
        merge(page);
        this.#catchUp();
      }
    } catch (error) {
      if (generation !== this.#generation) return;
      this.failed = error.code === 'closed' ? null : error;
    }
    this.isLoading[side] = false;
    this.onChange(side);
  }

  /** Fetches a page; remembers the events that arrive meanwhile. */
  async #history(range) {
    if (!this.#fetching) this.#late = [];
    this.#fetching += 1;
    try {
      return await session.client.history(this.chatId, range);
    } finally {
      this.#fetching -= 1;
    }
  }

  /** Applies what arrived while a page was fetched. */
  #catchUp() {
    this.refresh();
    for (const [name, data] of this.#late) this.#apply(name, data);
  }

  #trim(side) {
    if (this.items.length <= MOST) return;
    if (side === 'newer') {
      this.items = this.items.slice(0, LEFT + PAGE);
      this.atEnd = false;
    } else {
      this.items = this.items.slice(-(LEFT + PAGE));
      this.atStart = false;
    }
  }

  /** Drops old messages while one stays at the end. */
  trimOld() {
    if (this.atEnd) this.#trim('older');
  }

  /** Takes over what has changed in the client's copy of the chat. */
  refresh(change) {
    const { state } = this;
    if (!state) return;
    if (change?.type === 'reset') {
      if (this.atEnd) {
        this.openLatest();
        return;
      }
      const middle = this.items[this.items.length >> 1];
      if (middle) this.openAround(middle.seq).catch(() => {});
      return;
    }
    const first = this.items[0]?.seq ?? 0;
    const last = this.items.at(-1)?.seq ?? 0;
    const old = this.items.filter((it) => it.seq <= state.floor);
    const fresh = state.messages.filter(
      (it) => it.seq > state.floor && it.seq >= first && (this.atEnd || it.seq <= last),
    );
    if (!this.items.length && this.atEnd) this.atStart = state.floor === 0;
    this.items = old.length ? [...old, ...fresh] : fresh;
  }

  /** Changes one loaded message that is older than what the client keeps. */
  patch(id, change) {
    const index = this.items.findIndex((it) => it.id === id);
    if (index < 0 || this.items[index].seq > (this.state?.floor ?? 0)) return false;
    const before = this.items[index];
    const after = { ...before, ...change(before) };
    if (after.rev < before.rev) return false;
    this.items = this.items.with(index, after);
    return true;
  }

  /** Applies an event of the server to messages that are older than what the client keeps. */
  applyEvent(name, data) {
    if (this.#fetching) this.#late.push([name, data]);
    return this.#apply(name, data);
  }

  #apply(name, data) {
    const { message } = data;
    if (message)
      return this.patch(message.id, (before) => ({
        ...message,
        my: message.deleted_at ? { liked: false, reactions: [], mentioned: false } : (message.my ?? before.my),
      }));
    const isOwn = data.by === session.userId;
    if (name === 'message_liked')
      return this.patch(data.message_id, ({ my }) => ({
        likes: data.likes,
        rev: data.rev,
        my: { ...my, liked: isOwn ? data.liked : my.liked },
      }));
    if (name === 'message_reacted') {
      return this.patch(data.message_id, ({ my }) => {
        const others = my.reactions.filter((it) => it !== data.emoji);
        return {
          reactions: data.reactions,
          rev: data.rev,
          my: { ...my, reactions: isOwn ? (data.on ? [...others, data.emoji] : others) : my.reactions },
        };
      });
    }
    return false;
  }

  find(id) {
    return this.items.find((it) => it.id === id);
  }
}
