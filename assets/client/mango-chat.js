// The Mango Chat client: one ES module without dependencies, for browsers and Node.js 20+. It connects, stays connected,
// and keeps `chats` equal to what the server has. docs/sdk.md explains how to use it.
//
// Joined from assets/client/src by scripts/join-sdk.mjs; do not edit.

// --- types ---

/**
 * The payloads of commands and events are typed in events.d.ts, which is generated from the server's AsyncAPI document.
 * @typedef {import('./events.js').Author} Author
 * @typedef {import('./events.js').MyMessage} MyMessage
 * @typedef {import('./events.js').Message & {my: MyMessage}} Message
 * @typedef {import('./events.js').Member} Member
 * @typedef {import('./events.js').MyChat} MyChat
 * @typedef {Omit<import('./events.js').Chat, 'my'>} Chat
 * @typedef {import('./events.js').ClientEvents} ClientEvents
 * @typedef {import('./events.js').ServerEvents} ServerEvents
 * @typedef {{type: string, chat: ChatState, message?: Message, data?: object, synced: boolean}} Change
 *   `type` is the name of the server event. With `synced` the change came by `sync`, and `type` is `new_message`,
 *   `message_edited`, `message_deleted`, `chat_updated`, or `reset` (the chat was fetched again: render it anew).
 * @typedef {{clientId: string, chatId: number, content: string, messageType: string, replyTo: ?number}} OutboxEntry
 * @typedef {{load(): OutboxEntry[]|Promise<OutboxEntry[]>, save(entry: OutboxEntry): void, remove(clientId: string): void}} OutboxStore
 * @typedef {'closed'|'connecting'|'syncing'|'online'|'waiting'|'dismissed'} Status
 * @typedef {{
 *   status: [Status], synced: [{full: boolean}], message: [Message, ChatState], change: [Change], chat: [ChatState],
 *   gone: [{chatId: number, reason: string, chat: ChatState}], error: [MangoError], contacts_truncated: [{}],
 * }} OwnEvents Events of the client itself.
 * @typedef {OwnEvents & {[Name in keyof ServerEvents]: [ServerEvents[Name]]}} Events What listeners get, by event.
 * @typedef {{access_token: string, refresh_token: string, expires_in: number}} TokenPair The response of a login.
 * @typedef {{getItem(key: string): ?string|Promise<?string>, setItem(key: string, value: string): *,
 *   removeItem(key: string): *}} TokenStorage Such as `localStorage`.
 * @typedef {(why?: {refresh?: boolean}) => Promise<string>} GetToken
 */

// --- errors ---

const LOST = 'connection_lost';
const UNREACHABLE = 'unreachable';
/** After one of these the client does not reconnect. */
const FINAL = new Set(['session_ended', 'user_banned', 'refresh_reused']);

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Why something failed. `code` is the server's error code, or `connection_lost`, `unreachable`, `closed`. */
export class MangoError extends Error {
  /** @param {{code: string, message?: string, errors?: Object<string, string[]>, retry_after_ms?: number}} error */
  constructor({ code, message = code, errors = {}, retry_after_ms }) {
    super(message);
    this.name = 'MangoError';
    this.code = code;
    this.errors = errors;
    this.retryAfterMs = retry_after_ms;
  }
}

/** The error of a server that does not answer. */
function unreachable(url, cause) {
  const why = cause?.cause?.message || cause?.message || 'no answer';
  return new MangoError({ code: UNREACHABLE, message: `cannot reach ${url}: ${why}` });
}

// --- tokens ---

/** An access token that expires within this time is refreshed before it is used. */
const EXPIRES_SOON_MS = 60_000;
const REQUEST_TIMEOUT_MS = 20_000;
/**
 * How long a lock is kept after the work, in milliseconds. What one tab writes to the storage reaches the other tabs a
 * moment later, whereas a lock is passed on at once.
 */
const STORAGE_SETTLES_MS = 250;
const queues = new Map();

/** The URL of a path on the server; `url` may be that of its plain WebSocket. */
function address(url, path) {
  const at = new URL(url, globalThis.location?.href);
  at.protocol = at.protocol.replace('ws', 'http');
  at.pathname = at.pathname.replace(/\/(ws)?$/, '') + path;
  at.search = at.hash = '';
  return at;
}

/** Sends a REST request; returns its response, or throws the problem as an error. */
async function post(url, path, body, init = {}) {
  const at = address(url, path);
  let response;
  try {
    response = await fetch(at, {
      method: 'POST', body: JSON.stringify(body), signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS), ...init,
      headers: { ...(body && { 'content-type': 'application/json' }), ...init.headers },
    });
  } catch (cause) {
    throw unreachable(at, cause);
  }
  const data = await response.json().catch(() => ({}));
  if (response.ok) return data;
  const wait = Number(response.headers.get('retry-after')) * 1000 || undefined;
  const message = data.detail ?? `${at} answers ${response.status}`;
  throw new MangoError({ code: data.code ?? 'internal', message, errors: data.errors, retry_after_ms: wait });
}

/** Whether an error means that the session is over, whatever was wrong with its tokens. */
const isOver = ({ code }) => FINAL.has(code) || /^token_/.test(code) || code === 'invalid_credentials';
const asOver = (error) =>
  FINAL.has(error.code) ? error : new MangoError({ code: 'session_ended', message: `log in again: ${error.message}` });

/** Runs jobs of the same name one at a time, across all tabs of the origin if the browser can (https and localhost). */
function exclusively(name, job) {
  if (globalThis.navigator?.locks) {
    return new Promise((resolve, reject) => {
      navigator.locks.request(name, async () => {
        await job().then(resolve, reject);
        await new Promise((done) => setTimeout(done, STORAGE_SETTLES_MS));
      }).catch(reject);
    });
  }
  const done = (queues.get(name) ?? Promise.resolve()).then(job);
  queues.set(name, done.catch(() => {}));
  return done;
}

/** The storage that all tabs share, or memory if there is none or the browser forbids it. */
function defaultStorage() {
  try {
    if (globalThis.localStorage) return globalThis.localStorage;
  } catch { /* A browser may forbid even reading the property. */ }
  const items = new Map();
  return {
    getItem: (key) => items.get(key) ?? null,
    setItem: (key, value) => items.set(key, value),
    removeItem: (key) => items.delete(key),
  };
}

/**
 * The tokens of one session, in a storage that all tabs share; one tab at a time refreshes them. Pass it as the option
 * `token` of `MangoChat`; call it to get an access token for a REST request.
 * @param {object} [options]
 * @param {string} [options.url] URL of the server; default: the page's own origin.
 * @param {TokenStorage} [options.storage] Default: `localStorage`, or memory if there is none.
 * @param {string} [options.key] Name of the item in the storage.
 * @returns {GetToken & {
 *   login(credentials: {username: string, password: string}): Promise<void>,
 *   save(pair: TokenPair): Promise<void>,
 *   logout(): Promise<void>,
 *   isLoggedIn(): Promise<boolean>,
 * }}
 */
export function sessionTokens({ url = '/', storage = defaultStorage(), key = 'mango-chat' } = {}) {
  /** The token that was returned last. A caller who asks for another one found that it is refused. */
  let latest;
  // Always from the storage: another tab may have refreshed the tokens.
  const read = async () => JSON.parse((await storage.getItem(key)) ?? 'null');
  const write = async ({ access_token, refresh_token, expires_in }) => {
    const pair = { access_token, refresh_token, expires_at: Date.now() + expires_in * 1000 };
    await storage.setItem(key, JSON.stringify(pair));
    return pair;
  };
  const isGood = (pair, refused) => pair.expires_at - Date.now() > EXPIRES_SOON_MS && pair.access_token !== refused;
  const stored = async () => {
    const pair = await read();
    if (!pair) throw new MangoError({ code: 'token_missing', message: 'not logged in: call login() or save() first' });
    return pair;
  };
  const refreshed = async (refused) => {
    const pair = await stored();
    if (isGood(pair, refused)) return pair;
    try {
      return await write(await post(url, '/auth/refresh', { refresh_token: pair.refresh_token }, { credentials: 'omit' }));
    } catch (error) {
      if (!isOver(error)) throw error;
      const now = await read();
      // If tabs cannot wait for each other, another one may have been faster.
      if (now && now.refresh_token !== pair.refresh_token) return now;
      await storage.removeItem(key);
      throw asOver(error);
    }
  };
  const token = async ({ refresh = false } = {}) => {
    // Read now: another caller may get a new token first, which then serves both.
    const refused = refresh ? latest : undefined;
    let pair = await stored();
    if (!isGood(pair, refused)) pair = await exclusively(`mango-chat ${key}`, () => refreshed(refused));
    latest = pair.access_token;
    return latest;
  };
  return Object.assign(token, {
    login: async ({ username, password }) => {
      await write(await post(url, '/auth/login', { username, password }, { credentials: 'omit' }));
    },
    save: async (pair) => { await write(pair); },
    logout: async () => {
      const pair = await read();
      await storage.removeItem(key);
      if (!pair) return;
      const headers = { authorization: `Bearer ${pair.access_token}` };
      await post(url, '/auth/logout', undefined, { headers, credentials: 'omit' }).catch((error) => {
        if (!isOver(error)) throw error;
      });
    },
    isLoggedIn: async () => Boolean(await read()),
  });
}

/** After a login with cookies, the browser sends them by itself; only the refresh needs a request. */
const cookieTokens = (url) => async ({ refresh }) => {
  if (!refresh) return undefined;
  const exchange = () => post(url, '/auth/refresh', undefined, { credentials: 'include' });
  try {
    return (await exclusively('mango-chat cookie', exchange)).access_token;
  } catch (error) {
    throw isOver(error) ? asOver(error) : error;
  }
};

// --- connections ---

/** What both kinds of connection share: calls that are answered or lost, and the end. */
class Connection {
  heardAt = Date.now();
  /** Whether `ready` has arrived. */
  isOpen = false;
  isOver = false;
  /** @type {?string} The event that announced the end. */
  farewell = null;
  #calls = new Set();
  #end;

  constructor(timeoutMs, onEvent) {
    this.timeoutMs = timeoutMs;
    this.onEvent = onEvent;
    /** Resolves with the reason when the connection is over. */
    this.lost = new Promise((resolve) => { this.#end = resolve; });
  }

  /** Closes what the connection uses. */
  drop() {}

  /** Ends the connection; all calls without an answer fail. */
  fail(code = LOST, message = undefined) {
    if (this.isOver) return;
    this.isOver = true;
    this.drop();
    const error = new MangoError({ code: this.farewell ?? code, message });
    for (const { reject } of [...this.#calls]) reject(this.isOpen ? new MangoError({ code: LOST }) : error);
    this.#end(error);
  }

  /**
   * Starts a call by `start`. The connection ends if nothing arrives for longer than the timeout. `onAck` runs at the
   * answer's place among the events, which a promise would miss.
   */
  track(start, onAck) {
    return new Promise((resolve, reject) => {
      if (this.isOver) return reject(new MangoError({ code: LOST }));
      let timer;
      const call = { resolve: (ack) => settle(resolve, ack), reject: (error) => settle(reject, error) };
      const settle = (how, what) => {
        clearTimeout(timer);
        this.#calls.delete(call);
        how(what);
      };
      const arm = (since) => {
        timer = setTimeout(() => (this.heardAt > since ? arm(this.heardAt) : this.fail()), this.timeoutMs);
      };
      this.#calls.add(call);
      arm(Date.now());
      const answer = (ack) => {
        this.heardAt = Date.now();
        if (!ack?.ok) return call.reject(new MangoError(ack?.error ?? { code: 'internal' }));
        onAck?.(ack);
        call.resolve(ack);
      };
      try {
        start(answer);
      } catch (error) {
        // Such as a payload that JSON cannot express.
        call.reject(error);
      }
    });
  }
}

/** JSON frames over a WebSocket. */
class WebSocketConnection extends Connection {
  #acks = new Map();
  #nextId = 1;

  open(url, WebSocketClass, token) {
    const socket = (this.socket = new WebSocketClass(url));
    socket.onmessage = ({ data }) => {
      this.heardAt = Date.now();
      const { type, ...payload } = JSON.parse(data);
      if (type !== 'ack') return this.onEvent(type, payload);
      // The answer to a token that was sent with the request has no id.
      const { id, ...ack } = payload;
      this.#acks.get(id ?? 0)?.(ack);
      this.#acks.delete(id ?? 0);
    };
    // Browsers do not tell the cause.
    let cause;
    socket.onclose = ({ code, reason }) => {
      const event = { 4401: 'token_expired', 4403: 'session_ended' }[code];
      if (event || this.isOpen) return this.fail(event);
      if (code !== 1006) cause = { message: `closed with ${code} ${reason}` };
      this.fail(UNREACHABLE, unreachable(url, cause).message);
    };
    socket.onerror = (event) => { cause = event.error ?? event; };
    // Also without a token: if no cookie was sent either, the server says so at once.
    socket.onopen = () => socket.send(JSON.stringify({ type: 'auth', id: 0, token }));
    return this.track((answer) => this.#acks.set(0, answer));
  }

  call(event, payload, onAck) {
    return this.track((answer) => {
      const id = this.#nextId++;
      const frame = JSON.stringify({ ...payload, type: event, id });
      this.#acks.set(id, answer);
      this.socket.send(frame);
    }, onAck);
  }

  tell(event, payload) {
    this.socket.send(JSON.stringify({ ...payload, type: event }));
  }

  drop() {
    const { socket } = this;
    if (!socket) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
    // A peer that is gone never answers the closing handshake; `ws` can end without it.
    if (socket.terminate) setTimeout(() => socket.terminate(), 1000).unref?.();
  }
}

/** A socket of socket.io-client. When to reconnect is decided here, not by the socket. */
class SocketIoConnection extends Connection {
  #off = [];

  open(socket, token) {
    this.socket = socket;
    if (token) socket.auth = { token };
    // Nobody here heard the `ready` of an earlier connection.
    if (socket.connected) socket.disconnect();
    const on = (emitter, name, listener) => {
      emitter.on(name, listener);
      this.#off.push(() => emitter.off(name, listener));
    };
    on(socket, 'connect_error', ({ message, description, data }) => {
      const code = /^unauthorized: (\w+)/.exec(message)?.[1] ?? data?.code;
      if (code) return this.fail(code, message);
      this.fail(UNREACHABLE, unreachable(socket.io.uri, description?.error ?? { message }).message);
    });
    on(socket, 'disconnect', () => this.fail());
    on(socket.io, 'ping', () => { this.heardAt = Date.now(); });
    return this.track((answer) => {
      const any = (name, payload) => {
        this.heardAt = Date.now();
        if (name === 'ready') answer({ ok: true, ...payload });
        else this.onEvent(name, payload);
      };
      socket.onAny(any);
      this.#off.push(() => socket.offAny(any));
      socket.connect();
    });
  }

  call(event, payload, onAck) {
    return this.track((answer) => this.socket.emit(event, payload, answer), onAck);
  }

  tell(event, payload) {
    this.socket.emit(event, payload);
  }

  drop() {
    for (const off of this.#off.splice(0)) off();
    this.socket?.disconnect();
  }
}

// --- chat ---

/** The server counts unread messages up to this. */
const UNREAD_MOST = 1000;
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

// --- replica ---

/** Without another event, a user has stopped typing after this time. */
const TYPING_MS = 7000;
/** How an event changes a contact. */
const CONTACT = {
  followed: { following: true }, unfollowed: { following: false },
  blocked: { following: false, blocked: true }, unblocked: { blocked: false },
};

const authorOf = ({ id, username, name, photo, role }) => ({ id, username, name, photo, role });

/** The chats, contacts and presence that the client knows. Applies events and replies; sends nothing. */
class Replica {
  /** @type {Map<number, ChatState>} */
  chats = new Map();
  presence = new Map();
  contacts = new Map();
  userId = null;
  epoch;
  /** The value of the user's own counter up to which everything is known. */
  userRev;

  /** @param {{keep: number, emit: (name: string, ...data: any[]) => void}} options */
  constructor({ keep, emit }) {
    this.keep = keep;
    this.emit = emit;
  }

  /** Announces a change of a chat to the listeners. */
  tell(type, chat, { message, data, synced = false } = {}) {
    const change = { type, chat, message, data, synced };
    if (type === 'new_message') this.emit('message', message, chat);
    this.emit('change', change);
    if (!message) this.emit('chat', chat);
    chat.tell(change);
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
    chat.tell(null);
  }

  noteTyping({ chat: id, user_id: user, is_typing: isTyping }) {
    const chat = this.chats.get(id);
    if (!chat) return;
    clearTimeout(chat.typing.get(user));
    chat.typing.delete(user);
    if (!isTyping) return;
    const timer = setTimeout(() => chat.typing.delete(user), TYPING_MS);
    timer.unref?.();
    chat.typing.set(user, timer);
  }

  notePresence({ user_id: user, online, last_seen_at }) {
    this.presence.set(user, { online, last_seen_at });
  }

  putContact(user, { following, blocked }) {
    if (following || blocked) this.contacts.set(user, { following, blocked });
    else this.contacts.delete(user);
  }

  /**
   * Applies an event or an acknowledgement.
   * @returns {'done'|'gap'|'vague'} `gap`: not applied, because earlier changes of the chat are missing; `vague`: applied, but
   *   the chat has to be fetched, because the event does not say enough.
   */
  apply({ name, data }) {
    if (name === 'user_updated') return this.#applyUser(data.user);
    if (name in CONTACT) return this.#applyContact(CONTACT[name], data);
    let chat = this.chats.get(data.chat);
    const known = chat?.rev ?? 0;
    const isOrdered = data.prev !== undefined;
    // A message that arrives late carries the `rev` of its latest change; its place is its `seq`.
    const rev = name === 'new_message' ? data.seq : data.rev;
    if (isOrdered && rev <= known) return 'done';
    const isEnd = name === 'chat_deleted' || name === 'chat_declined';
    if (isEnd || (name === 'member_removed' && data.member.user.id === this.userId)) {
      const reason = isEnd ? name.slice(5) : data.by === this.userId ? 'left' : 'removed';
      if (chat) this.remove(chat, reason);
      return 'done';
    }
    if (isOrdered ? data.prev > known || !(chat || data.details) : data.upto > known) return 'gap';
    if (data.user_rev <= this.userRev) return 'done';
    let first;
    if (!chat && data.details) [chat, first] = this.#addChat(data.details);
    if (!chat) return 'done';
    const { message, isVague } = this.#change(chat, name, data);
    // Counters stay behind a vague change: if the connection is lost now, it is requested again.
    if (isOrdered && !isVague) chat.rev = rev;
    if (data.user_rev === this.userRev + 1 && !isVague) this.userRev += 1;
    chat.settle();
    if (name && message !== null) this.tell(name, chat, { message, data });
    if (first) this.tell('new_message', chat, { message: first, data });
    return isVague ? 'vague' : 'done';
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
    return { role, pinned: false, muted_until: null, archived: false, unread: 0, last_read_seq: 0 };
  }

  /** Applies an event to a chat. With `isVague` it does not say enough. */
  #change(chat, name, data) {
    const { my } = chat;
    switch (name) {
      case 'new_message': {
        const { prev, by, at, ...message } = data;
        this.noteTyping({ chat: chat.id, user_id: by, is_typing: false });
        return { message: chat.put(message) };
      }
      case 'message_liked': {
        const stored = chat.find(data.message_id);
        if (!stored) return { message: null };
        const liked = data.by === this.userId ? data.liked : stored.my.liked;
        return { message: chat.put({ ...stored, likes: data.likes, rev: data.rev, my: { ...stored.my, liked } }) };
      }
      case 'member_added': case 'member_removed': case 'member_role_changed':
        chat.chat.member_count = data.member_count;
        return { isVague: !chat.putMember(data.member, name === 'member_removed') };
      case 'chat_read':
        for (const member of chat.chat.members) {
          if (member.user.id === data.user_id) member.last_read_seq = Math.max(member.last_read_seq, data.seq);
        }
        if (data.user_id !== this.userId) return {};
        my.last_read_seq = Math.max(my.last_read_seq, data.seq);
        return { isVague: my.last_read_seq < chat.floor };
      case 'chat_pinned': case 'chat_unpinned': my.pinned = name === 'chat_pinned'; return {};
      case 'chat_archived': case 'chat_unarchived': my.archived = name === 'chat_archived'; return {};
      case 'chat_muted': case 'chat_unmuted':
        my.muted_until = data.muted_until ?? null;
        return { isVague: name === 'chat_muted' && !data.muted_until };
      default:
        if (data.details) {
          const { my: _, ...info } = data.details;
          chat.chat = info;
        }
        // If more messages are unread than the server counts, the count after a deletion is unknown.
        if (data.message) return { message: chat.put(data.message), isVague: my.unread === UNREAD_MOST };
        return { isVague: Boolean(name) && !data.details };
    }
  }

  /** Changes the user's own contacts; that another user follows them changes nothing here. */
  #applyContact(change, { user_id: user, by, user_rev: userRev }) {
    if (by === this.userId) {
      this.putContact(user, { ...(this.contacts.get(user) ?? { following: false, blocked: false }), ...change });
      if (userRev === this.userRev + 1) this.userRev = userRev;
    }
    return 'done';
  }

  #applyUser(user) {
    const author = authorOf(user);
    const renew = (it) => (it.user.id === user.id ? { ...it, user: author } : it);
    for (const chat of this.chats.values()) {
      chat.messages = chat.messages.map(renew);
      chat.chat.members = chat.chat.members.map(renew);
      chat.settle();
      this.tell('user_updated', chat, { data: { user } });
    }
    return 'done';
  }

  /** Everything known, as plain data. */
  snapshot() {
    const chats = [...this.chats.values()].filter(({ stale }) => !stale);
    return {
      user_id: this.userId, epoch: this.epoch, user_rev: this.userRev, contacts: [...this.contacts],
      chats: chats.map(({ chat, my, rev, messages, floor, unreadBelow }) => ({ chat, my, rev, messages, floor, unreadBelow })),
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

// --- synchronizer ---

/** After so many attempts to fill a gap, the connection is replaced. */
const MOST_TRIES = 3;

/**
 * Keeps the replica in order. An event is applied if its `prev` is known, dropped if its `rev` is, and held if there is a
 * gap, until `sync` has filled it. During a `sync`, events of its chats are held too: its replies are then never older
 * than the replica.
 */
class Synchronizer {
  #replica;
  #emit;
  #options;
  #connection = null;
  /** The running sync: of the chats in `only`, or of all. */
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
      // A gap that sync does not fill: something is wrong with this connection.
      if (item.tries > MOST_TRIES) this.#connection?.fail();
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

  /** Syncs a chat soon; until then its events are held. */
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
      // An event that requested a chat which is not the user's.
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
      // For single chats the latest change is requested again, and own state whatever its counter.
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
    // Too many changes to send: the application fetches the lists.
    if (reply.contacts_truncated) this.#emit('contacts_truncated', {});
    if (!only) [replica.epoch, replica.userRev] = [reply.epoch, reply.user_rev];
    const news = [];
    /** The chats of this page: whether they came whole, and the server's count of unread messages. */
    const touched = new Map();
    const touch = (chat) => touched.get(chat) ?? touched.set(chat, {}).get(chat);
    for (const { my, truncated, ...info } of reply.chats) {
      // The user was removed while the page was read; an event says so.
      if (!my) continue;
      let chat = replica.chats.get(info.id);
      const isWhole = !chat || chat.stale || truncated;
      if (!chat) replica.chats.set(info.id, (chat = new ChatState(replica, info, my)));
      if (isWhole) Object.assign(chat, { messages: [], floor: 0, unreadBelow: 0, stale: false });
      Object.assign(chat, { chat: info, my });
      Object.assign(touch(chat), { isWhole, unread: my.unread });
      news.push([isWhole ? 'reset' : 'chat_updated', chat]);
    }
    for (const message of reply.messages.sort((one, other) => one.seq - other.seq)) {
      const chat = replica.chats.get(message.chat_id);
      if (!chat) continue;
      const { isWhole } = touch(chat);
      const isNew = !chat.has(message.seq);
      const stored = chat.put(message);
      if (isWhole || !stored) continue;
      const change = message.deleted_at ? 'message_deleted' : 'message_edited';
      news.push([isNew ? 'new_message' : change, chat, stored]);
    }
    for (const { chat_id: id, my } of reply.mine) {
      const chat = replica.chats.get(id);
      if (!chat) continue;
      chat.my = my;
      touch(chat).unread = my.unread;
      news.push(['chat_updated', chat]);
    }
    for (const [id, rev] of Object.entries(reply.revs)) {
      const chat = replica.chats.get(Number(id));
      if (!chat) continue;
      chat.rev = rev;
      touch(chat);
    }
    for (const [chat, { isWhole, unread }] of touched) {
      if (isWhole) chat.floor = (chat.messages[0]?.seq ?? 1) - 1;
      chat.settle(unread);
    }
    for (const [type, chat, message] of news) {
      replica.tell(type, chat, { message, synced: true });
      if (type === 'reset' && this.#options.tellUnread) this.#tellUnread(chat);
    }
    for (const { chat_id: id, rev, reason } of reply.left) {
      const chat = replica.chats.get(id);
      if (chat && (rev >= chat.rev || reason === 'unknown')) replica.remove(chat, reason);
    }
    return reply.has_more;
  }

  /** Announces the unread messages of a chat that came whole, as far as they are known. */
  #tellUnread(chat) {
    const unread = chat.messages.filter(({ seq, user, deleted_at }) =>
      seq > chat.my.last_read_seq && user.id !== this.#replica.userId && !deleted_at);
    for (const message of unread) this.#replica.tell('new_message', chat, { message, synced: true });
  }
}

// --- sender ---

/** A send that fails with one of these is tried again. */
const TEMPORARY = new Set(['rate_limited', 'unavailable', 'internal', 'token_expired', 'session_ended']);
/** After so many internal errors a send is given up. */
const MOST_FAILURES = 5;

/** Sends messages in the order of calls, chat by chat, each once, also across lost connections. */
class Sender {
  /** Unsent messages by chat. */
  #queues = new Map();
  #sending = new Set();
  #options;

  /**
   * @param {object} options
   * @param {OutboxStore} [options.outbox]
   * @param {() => object} options.connection The open connection, if any.
   * @param {(error: Error) => void} options.onError
   * @param {(ack: object) => Promise<void>} options.apply Applies the acknowledgement of a send.
   */
  constructor(options) {
    this.#options = options;
  }

  /** @returns {OutboxEntry[]} Unsent messages, of one chat or of all. */
  pending(chatId) {
    const jobs = chatId === undefined ? [...this.#queues.values()].flat() : (this.#queues.get(chatId) ?? []);
    return jobs.map(({ entry }) => entry);
  }

  /** Queues the entries of the outbox. */
  async load() {
    try {
      for (const entry of (await this.#options.outbox?.load()) ?? []) this.enqueue(entry);
    } catch (error) {
      this.#options.onError(error);
    }
  }

  /** Saves a message to the outbox and sends it; resolves with the stored message. */
  send(entry) {
    this.#options.outbox?.save(entry);
    return new Promise((resolve, reject) => this.enqueue(entry, resolve, reject));
  }

  enqueue(entry, resolve = () => {}, reject = () => {}) {
    const queue = this.#queues.get(entry.chatId) ?? [];
    if (queue.some((job) => job.entry.clientId === entry.clientId)) return;
    queue.push({ entry, resolve, reject, failures: 0 });
    this.#queues.set(entry.chatId, queue);
    this.#pump(entry.chatId);
  }

  /** Continues after a new connection was opened. */
  resume() {
    for (const chatId of this.#queues.keys()) this.#pump(chatId);
  }

  rejectAll(why) {
    for (const { reject } of [...this.#queues.values()].flat()) reject(why);
    this.#queues.clear();
  }

  /** Sends the queue of a chat, one message at a time: a message that is tried again keeps its place. */
  async #pump(chatId) {
    if (this.#sending.has(chatId)) return;
    this.#sending.add(chatId);
    const { connection, apply } = this.#options;
    for (let job; connection() && (job = this.#queues.get(chatId)?.[0]);) {
      const { clientId: client_id, content, messageType: message_type, replyTo: reply_to } = job.entry;
      const message = { chat_id: chatId, content, message_type, client_id, reply_to };
      try {
        await connection().call('send_message', { message }, (ack) => {
          this.#remove(job);
          apply(ack).then(() => job.resolve(ack.message));
        });
      } catch (error) {
        if (error.code === LOST) break;
        job.failures += error.code === 'internal' ? 1 : 0;
        if (TEMPORARY.has(error.code) && job.failures < MOST_FAILURES) {
          await sleep(error.retryAfterMs ?? 500);
          continue;
        }
        this.#remove(job);
        job.reject(error);
      }
    }
    this.#sending.delete(chatId);
  }

  #remove({ entry: { chatId, clientId } }) {
    const queue = this.#queues.get(chatId);
    queue?.shift();
    if (!queue?.length) this.#queues.delete(chatId);
    try {
      this.#options.outbox?.remove(clientId);
    } catch (error) {
      this.#options.onError(error);
    }
  }
}

// --- connector ---

/** After so many refused tokens in a row, the client gives up. */
const MOST_REFUSALS = 5;

/** Keeps one connection at a time: connects, and reconnects until it is closed or dismissed. */
class Connector {
  /** @type {Status} */
  status = 'closed';
  /** The connection that is ready. */
  connection = null;
  #opening = null;
  #options;
  #handlers;
  #waiters = new Set();
  /** Stands for the wish to be connected; a new object with every `connect`. */
  #wanted = null;
  #running = Promise.resolve();
  #wake = () => {};
  #retryAfter;
  #wasOnline = false;

  /**
   * @param {object} options Those of `MangoChat`.
   * @param {object} handlers
   * @param {(name: string, ...data: any[]) => void} handlers.emit
   * @param {() => Promise<void>} handlers.prepare Runs before the first attempt.
   * @param {() => void} handlers.onOpening An attempt begins.
   * @param {(ready: object) => void} handlers.onReady The server has accepted the connection.
   * @param {(connection: object) => void} handlers.onOpen The connection can be used.
   * @param {(name: string, data: object) => void} handlers.onEvent
   * @param {() => void} handlers.onLost
   * @param {(why: MangoError) => void} handlers.onStop Closed or dismissed.
   */
  constructor(options, handlers) {
    this.#options = options;
    this.#handlers = handlers;
  }

  connect() {
    if (this.#wanted) {
      this.#wake();
    } else {
      const wanted = (this.#wanted = {});
      this.#running = this.#running.then(() => this.#run(wanted));
    }
    const online = this.#when(() => this.status === 'online');
    online.catch(() => {});
    return online;
  }

  close() {
    if (this.#wanted) this.#stop('closed', new MangoError({ code: 'closed' }));
  }

  /** The first sync is done. */
  setOnline() {
    this.#wasOnline = true;
    this.#setStatus('online');
  }

  /** Resolves with the open connection as soon as there is one. */
  async opened() {
    let found;
    await this.#when(() => (found = this.connection));
    return found;
  }

  #stop(status, why) {
    this.#wanted = null;
    this.#opening?.fail('closed');
    this.#wake();
    this.#setStatus(status);
    for (const { reject } of [...this.#waiters]) reject(why);
    this.#handlers.onStop(why);
  }

  async #run(wanted) {
    const { token, backoff } = this.#options;
    const { emit, prepare } = this.#handlers;
    await prepare();
    const online = () => this.#wake();
    globalThis.addEventListener?.('online', online);
    let [failures, refusals, refresh, saidAway] = [0, 0, false, false];
    while (this.#wanted === wanted) {
      this.#setStatus('connecting');
      // A listener may have called `close`.
      if (this.#wanted !== wanted) break;
      const why = await this.#attempt(refresh);
      if (this.#wanted !== wanted) break;
      if (this.#wasOnline) [failures, refusals, saidAway, this.#wasOnline] = [0, 0, false, false];
      const wasRefreshed = refresh;
      refresh = /^token_/.test(why.code);
      if (refresh) refusals += 1;
      const isHopeless = typeof token !== 'function' || refusals > MOST_REFUSALS
        || (why.code === 'token_missing' && wasRefreshed);
      if (FINAL.has(why.code) || (refresh && isHopeless)) {
        emit('error', why);
        if (this.#wanted === wanted) this.#stop('dismissed', why);
        break;
      }
      // An unreachable server is reported once, until it was reached again.
      const isAway = why.code === UNREACHABLE;
      if (why.code !== LOST && !(isAway && saidAway)) emit('error', why);
      if (this.#wanted !== wanted) break;
      saidAway ||= isAway;
      const patience = Math.min(backoff.max, backoff.min * 2 ** failures) * (0.5 + Math.random() / 2);
      const delay = this.#retryAfter ?? why.retryAfterMs ?? (refusals === 1 && refresh ? 0 : patience);
      this.#retryAfter = undefined;
      failures += 1;
      this.#setStatus('waiting');
      let timer;
      await new Promise((wake) => {
        this.#wake = wake;
        timer = setTimeout(wake, delay);
      });
      clearTimeout(timer);
    }
    globalThis.removeEventListener?.('online', online);
  }

  /** Runs one connection from start to end; returns why it ended. */
  async #attempt(refresh) {
    const { socket, url, token, usesCookies, WebSocket, timeoutMs } = this.#options;
    const { onOpening, onReady, onOpen, onLost } = this.#handlers;
    const Kind = socket ? SocketIoConnection : WebSocketConnection;
    const connection = new Kind(timeoutMs, (name, data) => this.#hear(connection, name, data));
    this.#opening = connection;
    onOpening();
    try {
      const shown = typeof token === 'function' ? await token({ refresh }) : token;
      if (!shown && !socket && !usesCookies) {
        throw new MangoError({ code: 'token_missing', message: 'the option `token` is missing, or its function returned none' });
      }
      // If `close` was called meanwhile, nothing may be opened, because no one would close it.
      if (connection.isOver) return await connection.lost;
      const { ok, ...ready } = await (socket ? connection.open(socket, shown) : connection.open(url, WebSocket, shown));
      connection.isOpen = true;
      this.connection = connection;
      onReady(ready);
      if (!connection.isOver) this.#setStatus('syncing');
      if (connection.isOver) return await connection.lost;
      onOpen(connection);
      this.#keepAlive(connection);
      return await connection.lost;
    } catch (error) {
      return error;
    } finally {
      connection.fail();
      this.connection = this.#opening = null;
      onLost();
    }
  }

  /** Asks for a sign of life after a silence. */
  #keepAlive(connection) {
    const { aliveMs } = this.#options;
    const pulse = setInterval(() => {
      if (Date.now() - connection.heardAt >= aliveMs) connection.call('sync', { only: [] }).catch(() => {});
    }, aliveMs / 4);
    connection.lost.then(() => clearInterval(pulse));
  }

  #hear(connection, name, data) {
    const { emit, onEvent } = this.#handlers;
    if (name !== 'ready') emit(name, data);
    switch (name) {
      case 'token_expired': case 'session_ended': case 'user_banned': connection.farewell = name; return;
      case 'token_expiring': this.#renew(connection); return;
      case 'server_shutdown': this.#retryAfter = data.retry_after_ms; return;
      case 'exception': emit('error', new MangoError(data.error)); return;
      default: onEvent(name, data);
    }
  }

  async #renew(connection) {
    const { token } = this.#options;
    if (typeof token !== 'function') return;
    try {
      await connection.call('authenticate', { token: await token({ refresh: true }) });
    } catch (error) {
      if (error.code !== LOST) this.#handlers.emit('error', error);
    }
  }

  #setStatus(status) {
    if (status === this.status) return;
    this.status = status;
    this.#handlers.emit('status', status);
    for (const waiter of [...this.#waiters]) waiter.check();
  }

  /** Waits until `test` holds; checked whenever the status changes. */
  #when(test) {
    return new Promise((resolve, reject) => {
      if (test()) return resolve();
      if (!this.#wanted) return reject(new MangoError({ code: 'closed' }));
      const settle = (how) => (what) => { this.#waiters.delete(waiter); how(what); };
      const waiter = { check: () => test() && settle(resolve)(), reject: settle(reject) };
      this.#waiters.add(waiter);
    });
  }
}

// --- listeners ---

/** The event names that `on` accepts; a test compares them with the server's. */
const EVENTS = new Set(`
  status synced message change chat gone error contacts_truncated
  ready chat_created chat_updated chat_approved chat_declined chat_deleted member_added member_removed
  member_role_changed chat_pinned chat_unpinned chat_muted chat_unmuted chat_archived chat_unarchived new_message
  message_edited message_deleted message_liked chat_read typing presence sync_hint user_updated followed unfollowed
  blocked unblocked token_expiring token_expired session_ended user_banned server_shutdown exception
`.trim().split(/\s+/));

/** The listeners of the client, by event. */
class Listeners {
  #byName = new Map();

  add(name, listener) {
    if (!EVENTS.has(name)) throw new TypeError(`there is no event '${name}', only ${[...EVENTS].join(', ')}`);
    if (!this.#byName.has(name)) this.#byName.set(name, new Set());
    this.#byName.get(name).add(listener);
  }

  remove(name, listener) {
    this.#byName.get(name)?.delete(listener);
  }

  emit(name, ...data) {
    for (const listener of [...(this.#byName.get(name) ?? [])]) {
      try {
        listener(...data);
      } catch (error) {
        // A mistake of the listener must not stop the client; it is reported like any uncaught error.
        queueMicrotask(() => { throw error; });
      }
    }
  }
}

// --- requests ---

/** Sends commands over the connection, and applies what their responses say. */
class Requests {
  #connector;
  #synchronizer;
  #userId;

  constructor(connector, synchronizer, userId) {
    this.#connector = connector;
    this.#synchronizer = synchronizer;
    this.#userId = userId;
  }

  /** Waits for the connection, then sends a command. If it is `repeatable`, it is sent again after a lost response. */
  async send(event, payload, repeatable = true, onAck = undefined) {
    for (;;) {
      const connection = await this.#connector.opened();
      try {
        return await connection.call(event, payload, onAck);
      } catch (error) {
        if (!repeatable || !(error.code === LOST || error.code === 'rate_limited')) throw error;
        await sleep(error.retryAfterMs ?? 50);
      }
    }
  }

  /** Sends a command and waits until its change is applied. `item` makes an event of the response and its position, if any. */
  async change(event, payload, item) {
    let applied;
    const ack = await this.send(event, payload, true, (answer) => {
      const { chat_id: chat, rev, prev } = answer;
      const change = item(answer, rev && { chat, rev, prev, by: this.#userId() });
      applied = change && this.#synchronizer.applied(...change);
    });
    await applied;
    return ack;
  }
}

// --- client ---

const randomId = () =>
  Array.from(globalThis.crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('');

/** The chats of one user, kept up to date over one connection at a time. */
export class MangoChat {
  #listeners = new Listeners();
  #replica;
  #synchronizer;
  #connector;
  #requests;
  #sender;
  #watched = null;

  /**
   * @param {object} options
   * @param {string} [options.url] URL of the server; default: the page's own origin.
   * @param {object} [options.socket] Instead of `url`, a socket of socket.io-client, created with `autoConnect: false`.
   * @param {string|GetToken|((why: {refresh: boolean}) => string|Promise<string>)} [options.token] An access token, or a
   *   function that returns one, such as `sessionTokens()`; with `refresh` the last one has expired or is about to. To
   *   give up, it throws an error with the `code` `session_ended`. Without this option, the cookies of a login are used,
   *   or the authentication of the given socket.
   * @param {typeof globalThis.WebSocket} [options.WebSocket] For Node.js before 22: the class of the package `ws`.
   * @param {*} [options.state] The result of an earlier `snapshot()`.
   * @param {OutboxStore} [options.outbox] Keeps unsent messages beyond the life of this object.
   * @param {number} [options.keep] Number of messages kept per chat, the newest; default 1000.
   * @param {number} [options.maxBehind] A chat with more changes than this is fetched again; default `keep`.
   * @param {{min?: number, max?: number}} [options.backoff] Milliseconds between attempts; default 500 to 30000.
   * @param {boolean} [options.tellUnread] Emit `message` for the unread messages of a chat that is seen for the first time.
   * @param {number} [options.timeoutMs] How long to wait for a response before the connection counts as lost,
   *   milliseconds; default 20000.
   * @param {number} [options.aliveMs] After this time without data the server is asked for a sign of life, milliseconds;
   *   default 30000.
   */
  constructor(options = {}) {
    const {
      url = '/', socket, WebSocket = globalThis.WebSocket, state, outbox, keep = 1000, maxBehind = keep,
      backoff = {}, tellUnread = false, timeoutMs = 20_000, aliveMs = 30_000,
    } = options;
    // A token that is present but undefined was meant to be one.
    const usesCookies = !('token' in options) && !socket && globalThis.location !== undefined;
    const token = usesCookies ? cookieTokens(url) : options.token;
    const settings = { socket, token, usesCookies, WebSocket, timeoutMs, aliveMs, backoff: { min: 500, max: 30_000, ...backoff } };
    if (!socket) {
      if (!WebSocket) throw new TypeError('there is no WebSocket here: pass the class as an option');
      settings.url = address(url, '/ws');
      settings.url.protocol = settings.url.protocol.replace('http', 'ws');
    }
    const emit = (name, ...data) => this.#listeners.emit(name, ...data);
    this.#replica = new Replica({ keep, emit });
    const onUpToDate = () => this.#connector.setOnline();
    this.#synchronizer = new Synchronizer(this.#replica, emit, { maxBehind, tellUnread, onUpToDate });
    this.#connector = new Connector(settings, {
      emit,
      prepare: () => this.#sender.load(),
      onOpening: () => this.#synchronizer.hold(),
      onReady: (ready) => { this.#setUser(ready.user_id); emit('ready', ready); },
      onOpen: (connection) => this.#resume(connection),
      onEvent: (name, data) => this.#hear(name, data),
      onLost: () => this.#synchronizer.stop(),
      onStop: (why) => this.#end(why),
    });
    this.#requests = new Requests(this.#connector, this.#synchronizer, () => this.userId);
    this.#sender = new Sender({
      outbox, connection: () => this.#connector.connection, apply: (ack) => this.#applySent(ack),
      onError: (error) => emit('error', error),
    });
    if (state?.version === 1) {
      const { outbox: unsent, ...known } = structuredClone(state);
      this.#replica.restore(known);
      for (const entry of unsent) this.#sender.enqueue(entry);
    }
  }

  /** @returns {Map<number, ChatState>} The user's chats, by id. */
  get chats() { return this.#replica.chats; }

  /** @returns {Map<number, {online: boolean, last_seen_at: ?string}>} Presence of the watched users, by id. */
  get presence() { return this.#replica.presence; }

  /** @returns {Map<number, {following: boolean, blocked: boolean}>} Users whom the user follows or blocks, by id. */
  get contacts() { return this.#replica.contacts; }

  /** @returns {?number} The user's own id. */
  get userId() { return this.#replica.userId; }

  /** @returns {Status} */
  get status() { return this.#connector.status; }

  /**
   * Calls `listener` for every event of this name.
   * @template {keyof Events} Name
   * @param {Name} name
   * @param {(...what: Events[Name]) => void} listener
   * @returns {this}
   */
  on(name, listener) {
    this.#listeners.add(name, listener);
    return this;
  }

  /**
   * @template {keyof Events} Name
   * @param {Name} name
   * @param {(...what: Events[Name]) => void} listener
   * @returns {this}
   */
  off(name, listener) {
    this.#listeners.remove(name, listener);
    return this;
  }

  /**
   * Connects and stays connected until `close`. Resolves when everything is up to date, rejects when dismissed.
   * @returns {Promise<void>}
   */
  connect() {
    return this.#connector.connect();
  }

  /** Ends the connection. Unsent messages are rejected with `closed`; an outbox store keeps them. */
  close() {
    this.#connector.close();
  }

  /** Drops everything that belongs to another user. */
  #setUser(userId) {
    if (this.#replica.setUser(userId)) return;
    this.#watched = null;
    this.#sender.rejectAll(new MangoError({ code: 'closed', message: 'another user has logged in' }));
  }

  #resume(connection) {
    this.#synchronizer.start(connection);
    if (this.#watched) this.watchPresence(this.#watched).catch(() => {});
    this.#sender.resume();
  }

  #end(why) {
    this.#sender.rejectAll(why);
    for (const chat of this.chats.values()) chat.tell(null);
  }

  #hear(name, data) {
    switch (name) {
      case 'typing': this.#replica.noteTyping(data); return;
      case 'presence': this.#replica.notePresence(data); return;
      case 'sync_hint':
        if (data.rev > (this.chats.get(data.chat)?.rev ?? 0)) this.#synchronizer.fetch(data.chat);
        return;
      default: if (data?.chat || data?.user || name in CONTACT) this.#synchronizer.take({ name, data });
    }
  }

  /** Applies the acknowledgement of a send as the event that the sender's connection does not get. */
  #applySent({ message, prev, duplicate }) {
    if (duplicate) return this.#synchronizer.applied(null, { chat: message.chat_id, message, upto: message.rev });
    const data = { ...message, prev, by: this.userId, at: message.created_at };
    return this.#synchronizer.applied('new_message', data);
  }

  /**
   * Sends any command; resolves with its response. Rejects with `connection_lost` if the response was lost.
   * @template {keyof ClientEvents} Name
   * @param {Name} event
   * @param {ClientEvents[Name]['payload']} payload
   * @returns {Promise<ClientEvents[Name]['ack']>}
   */
  call(event, payload = {}) {
    return this.#requests.send(event, payload, false);
  }

  /**
   * Sends a message now, or after a reconnect: in the order of calls, exactly once.
   * @param {number} chatId
   * @param {string} content
   * @param {{messageType?: string, replyTo?: ?number, clientId?: string}} [options]
   * @returns {Promise<Message>}
   */
  send(chatId, content, { messageType = 'text', replyTo = null, clientId = randomId() } = {}) {
    return this.#sender.send({ clientId, chatId, content, messageType, replyTo });
  }

  /**
   * @param {number} [chatId]
   * @returns {OutboxEntry[]} Unsent messages, of one chat or of all.
   */
  pending(chatId) {
    return this.#sender.pending(chatId);
  }

  /**
   * @param {number} messageId
   * @param {string} content
   * @returns {Promise<Message>}
   */
  async edit(messageId, content) {
    const item = ({ message }, place) => place && ['message_edited', { ...place, message }];
    return (await this.#requests.change('edit_message', { message: { id: messageId, content } }, item)).message;
  }

  /**
   * @param {number} messageId
   * @returns {Promise<Message>} What is left of the message.
   */
  async delete(messageId) {
    const item = ({ message }, place) => place && ['message_deleted', { ...place, message }];
    return (await this.#requests.change('delete_message', { message: { id: messageId } }, item)).message;
  }

  /**
   * @param {number} messageId
   * @param {boolean} [liked]
   * @returns {Promise<{liked: boolean, likes: number}>}
   */
  async like(messageId, liked = true) {
    const item = (ack, place) => place && ['message_liked', { ...ack, ...place, message_id: messageId }];
    const ack = await this.#requests.change('toggle_like_message', { message: { id: messageId, liked } }, item);
    return { liked: ack.liked, likes: ack.likes };
  }

  /**
   * Marks messages up to `seq` as read; default: up to the newest known message.
   * @param {number} chatId
   * @param {number} [seq]
   * @returns {Promise<{unread: number, seq: number}>}
   */
  async markRead(chatId, seq = this.chats.get(chatId)?.messages.at(-1)?.seq) {
    return this.#requests.send('mark_read', { chat: { id: chatId }, seq });
  }

  /**
   * Says that the user is typing, or has stopped. Without a connection nothing is sent.
   * @param {number} chatId
   * @param {boolean} [isTyping]
   */
  typing(chatId, isTyping = true) {
    this.#connector.connection?.tell('typing', { chat: { id: chatId }, is_typing: isTyping });
  }

  /**
   * Creates a group, or without a `name` a direct chat; the direct chat of two users exists once.
   * @param {{name?: string, members: number[], description?: string, clientId?: string}} chat
   * @param {string} [content] The first message.
   * @returns {Promise<ChatState>}
   */
  async createChat({ name, members, description, clientId = randomId() }, content = undefined) {
    const chat = { name, is_group: name !== undefined, members_array: members, description, client_id: clientId };
    const message = content === undefined ? undefined : { content, message_type: 'text', client_id: clientId };
    const ack = await this.#requests.change('create_chat', { chat, message }, ({ chat: made }, place) => {
      if (!place) return [null, { chat: made.id, upto: 1 }];
      if (place.prev === 0) return ['chat_created', { ...place, details: made }];
      return ['new_message', { ...made.last_message, ...place }];
    });
    return this.chats.get(ack.chat.id);
  }

  /**
   * Returns a page of messages, oldest first. A page that is adjacent to the known messages of the chat is added to them.
   * @param {number} chatId
   * @param {{before?: number, after?: number, limit?: number}} [range] `seq`, exclusive.
   * @returns {Promise<{messages: Message[], hasMore: boolean}>}
   */
  async history(chatId, { before, after, limit } = {}) {
    const ack = await this.#requests.send('history', { chat: { id: chatId }, before, after, limit });
    const messages = ack.messages.sort((one, other) => one.seq - other.seq);
    this.chats.get(chatId)?.absorb(messages, { before, after, hasMore: ack.has_more });
    return { messages, hasMore: ack.has_more };
  }

  /**
   * Watches which of these users are online, instead of those watched before. Resolves with their current presence.
   * @param {number[]} userIds
   * @returns {Promise<Map<number, {online: boolean, last_seen_at: ?string}>>}
   */
  async watchPresence(userIds) {
    this.#watched = userIds;
    const { presence } = await this.#requests.send('watch_presence', { users: userIds });
    this.presence.clear();
    presence.forEach((it) => this.#replica.notePresence(it));
    return this.presence;
  }

  /**
   * Everything known, as plain data for the option `state` of a later client.
   * @returns {object}
   */
  snapshot() {
    return structuredClone({ version: 1, ...this.#replica.snapshot(), outbox: this.pending() });
  }
}
