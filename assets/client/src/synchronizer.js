import { ChatState } from './chat.js';
import { LOST, sleep } from './errors.js';

/** The connection is replaced after this many attempts to fill a gap. */
const MAX_TRIES = 3;

/**
 * Keeps the replica in order. An event is applied if its `prev` is known, dropped if its `rev` is already known, and held
 * while there is a gap, which `sync` fills. During a `sync`, events of its chats are held too: its replies are then never
 * older than the replica.
 */
export class Synchronizer {
  #replica;
  #emit;
  #options;
  #connection = null;
  /** The running sync, of all chats or of those in `only`. */
  #syncing = null;
  /** Chats to sync next. */
  #behind = new Set();
  #held = [];

  /** @param {{maxBehind: number, tellUnread: boolean, onUpToDate: () => void}} options */
  constructor(replica, emit, options) {
    this.#replica = replica;
    this.#emit = emit;
    this.#options = options;
  }

  /** Holds all events, until the first sync of a connection is done. */
  hold() {
    this.#syncing = { only: null };
  }

  /** Syncs everything over a new connection. */
  start(connection) {
    this.#connection = connection;
    this.#sync(null);
  }

  /** The connection is over. */
  stop() {
    this.#connection = this.#syncing = null;
    this.#behind.clear();
    // These changes are committed; the next sync brings them.
    for (const { done } of this.#held.splice(0)) done?.();
  }

  /** Applies an event or an acknowledgement, or holds it while its chat is being synced. `done` runs once it is applied. */
  take(item) {
    const { chat } = item.data;
    const only = this.#syncing?.only;
    const isHeld = this.#behind.has(chat) || (this.#syncing && (!only || !chat || only.has(chat)));
    if (isHeld) {
      this.#held.push(item);
      return;
    }
    const outcome = this.#replica.apply(item);
    if (outcome === 'gap') {
      item.tries = (item.tries ?? 0) + 1;
      // Sync did not fill the gap: replace the connection.
      if (item.tries > MAX_TRIES) this.#connection?.fail();
      this.#held.push(item);
    } else {
      item.done?.();
    }
    if (outcome !== 'done') this.fetch(chat);
  }

  /** Resolves when an acknowledged change is applied. */
  applied(name, data) {
    return new Promise((done) => this.take({ name, data, done }));
  }

  /** Syncs a chat as soon as possible; its events are held until then. */
  fetch(id) {
    this.#behind.add(id);
    this.#catchUp();
  }

  #catchUp() {
    if (!this.#connection || this.#syncing || !this.#behind.size) return;
    const only = new Set(this.#behind);
    this.#behind.clear();
    this.#sync(only);
  }

  async #sync(only) {
    const connection = this.#connection;
    const { chats } = this.#replica;
    this.#syncing = { only };
    for (let more = true; more;) {
      try {
        const reply = await connection.call('sync', this.#request(only));
        if (connection !== this.#connection) return;
        more = this.#merge(reply, only);
      } catch (error) {
        if (connection !== this.#connection || error.code === LOST) return;
        this.#emit('error', error);
        await sleep(error.retryAfterMs ?? 1000);
        if (connection !== this.#connection) return;
      }
    }
    if (!only) [...chats.values()].filter(({ stale }) => stale).forEach((chat) => this.#replica.remove(chat, 'reset'));
    this.#syncing = null;
    const held = this.#held.splice(0);
    this.#catchUp();
    for (const item of held) {
      // The event is of a chat the user does not belong to.
      if (item.tries && only?.has(item.data.chat) && !chats.has(item.data.chat)) item.done?.();
      else this.take(item);
    }
    // A listener may have closed the connection.
    if (connection !== this.#connection || connection.isOver) return;
    if (!only) this.#options.onUpToDate();
    this.#emit('synced', { full: !only });
  }

  #request(only) {
    const { epoch, userRev: user_rev, chats } = this.#replica;
    const { maxBehind } = this.#options;
    const since = {};
    for (const { id, rev, stale } of chats.values()) {
      // For single chats, request the latest change again, and own state regardless of its counter.
      if (!stale && (!only || only.has(id))) since[id] = only ? Math.max(0, rev - 1) : rev;
    }
    const scope = only ? { only: [...only], user_rev: 0 } : { epoch, user_rev };
    return { since, limit: 500, max_behind: Number.isFinite(maxBehind) ? maxBehind : undefined, ...scope };
  }

  /** Applies a page of `sync`; returns whether there are more. */
  #merge(reply, only) {
    const replica = this.#replica;
    if (reply.reset) for (const chat of replica.chats.values()) chat.stale = true;
    if (reply.reset || reply.contacts_truncated) replica.contacts.clear();
    for (const { user_id: user, ...contact } of reply.contacts ?? []) replica.putContact(user, contact);
    // Too many changes to include: the application must fetch the lists.
    if (reply.contacts_truncated) this.#emit('contacts_truncated', {});
    if (!only) [replica.epoch, replica.userRev] = [reply.epoch, reply.user_rev];
    const changes = [];
    /** The chats of this page: whether they were fetched completely, and the server's counts of unread messages. */
    const touched = new Map();
    const touch = (chat) => touched.get(chat) ?? touched.set(chat, {}).get(chat);
    for (const { my, truncated, ...info } of reply.chats) {
      // The user was removed meanwhile; an event reports it.
      if (!my) continue;
      let chat = replica.chats.get(info.id);
      const isComplete = !chat || chat.stale || truncated;
      if (!chat) replica.chats.set(info.id, (chat = new ChatState(replica, info, my)));
      if (isComplete) Object.assign(chat, { messages: [], floor: 0, unreadBelow: 0, mentionsBelow: 0, stale: false });
      Object.assign(chat, { chat: info, my });
      Object.assign(touch(chat), { isComplete, counts: { unread: my.unread, mentions: my.mentions } });
      changes.push([isComplete ? 'reset' : 'chat_updated', chat]);
    }
    for (const message of reply.messages.sort((a, b) => a.seq - b.seq)) {
      const chat = replica.chats.get(message.chat_id);
      if (!chat) continue;
      const { isComplete } = touch(chat);
      const isNew = !chat.has(message.seq);
      // Which counts changed is not known from the message: ask for them.
      if (!only && !isComplete && message.rev > chat.rev && chat.hidesMention(message)) this.#behind.add(chat.id);
      // A changed message that is older than those stored is announced as the server sent it.
      const isOld = isNew && message.seq <= chat.floor && message.rev > chat.rev;
      const stored = chat.put(message) ?? (isOld ? message : null);
      if (isComplete || !stored) continue;
      const change = message.deleted_at ? 'message_deleted' : 'message_edited';
      changes.push([isNew && !isOld ? 'new_message' : change, chat, stored]);
    }
    for (const { chat_id: id, my } of reply.mine) {
      const chat = replica.chats.get(id);
      if (!chat) continue;
      chat.my = my;
      touch(chat).counts = { unread: my.unread, mentions: my.mentions };
      changes.push(['chat_updated', chat]);
    }
    for (const [id, rev] of Object.entries(reply.revs)) {
      const chat = replica.chats.get(Number(id));
      if (!chat) continue;
      chat.rev = rev;
      touch(chat);
    }
    for (const [chat, { isComplete, counts }] of touched) {
      if (isComplete) chat.floor = (chat.messages[0]?.seq ?? 1) - 1;
      chat.recalculate(counts);
    }
    for (const [type, chat, message] of changes) {
      replica.announce(type, chat, { message, synced: true });
      if (type === 'reset' && this.#options.tellUnread) this.#tellUnread(chat);
    }
    for (const { chat_id: id, rev, reason } of reply.left) {
      const chat = replica.chats.get(id);
      if (chat && (rev >= chat.rev || reason === 'unknown')) replica.remove(chat, reason);
    }
    return reply.has_more;
  }

  /** Announces the unread messages of a chat that was fetched completely, as far as they are known. */
  #tellUnread(chat) {
    const unread = chat.messages.filter(({ seq, user, deleted_at }) =>
      seq > chat.my.last_read_seq && user.id !== this.#replica.userId && !deleted_at);
    for (const message of unread) this.#replica.announce('new_message', chat, { message, synced: true });
  }
}
