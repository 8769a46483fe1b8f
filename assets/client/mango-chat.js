// The Mango Chat client: one ES module without dependencies, for browsers and Node.js 20+. It connects, stays
// connected, and keeps `chats` equal to what a fresh fetch would give. docs/sdk.md says how to use it.
//
// How it stays right: a chat's counter (`rev`) orders everything. An event is applied where its `prev` is known,
// dropped where its `rev` is, and held where there is a hole, until `sync` has filled it. While a `sync` is under
// way, events of its chats are held too: what it brings is then never older than what is here.

/**
 * What the server takes and tells is typed in events.d.ts, which is made from its AsyncAPI document.
 * @typedef {import('./events.js').Author} Author
 * @typedef {import('./events.js').MyMessage} MyMessage
 * @typedef {import('./events.js').Message & {my: MyMessage}} Message
 * @typedef {import('./events.js').Member} Member
 * @typedef {import('./events.js').MyChat} MyChat
 * @typedef {Omit<import('./events.js').Chat, 'my'>} Chat
 * @typedef {import('./events.js').ClientEvents} ClientEvents
 * @typedef {import('./events.js').ServerEvents} ServerEvents
 * @typedef {{type: string, chat: ChatState, message?: Message, data?: object, synced: boolean}} Change
 *   `type` is the server event's name; `synced`: it came by `sync`, and `type` is then `new_message`,
 *   `message_edited`, `message_deleted`, `chat_updated`, or `reset` (the chat was read anew, look at it whole).
 * @typedef {{clientId: string, chatId: number, content: string, messageType: string, replyTo: ?number}} OutboxEntry
 * @typedef {{load(): OutboxEntry[]|Promise<OutboxEntry[]>, save(entry: OutboxEntry): void, remove(clientId: string): void}} OutboxStore
 * @typedef {'closed'|'connecting'|'syncing'|'online'|'waiting'|'dismissed'} Status
 * @typedef {{
 *   status: [Status], synced: [{full: boolean}], message: [Message, ChatState], change: [Change], chat: [ChatState],
 *   gone: [{chatId: number, reason: string, chat: ChatState}], error: [MangoError], contacts_truncated: [{}],
 * }} OwnEvents Events of the client itself.
 * @typedef {OwnEvents & {[Name in keyof ServerEvents]: [ServerEvents[Name]]}} Events What listeners get, by event.
 * @typedef {{access_token: string, refresh_token: string, expires_in: number}} TokenPair As a login answers it.
 * @typedef {{getItem(key: string): ?string|Promise<?string>, setItem(key: string, value: string): *,
 *   removeItem(key: string): *}} TokenStorage Such as `localStorage`.
 * @typedef {(why?: {refresh?: boolean}) => Promise<string>} GetToken
 */

const LOST = 'connection_lost';
const UNREACHABLE = 'unreachable';
/** A token that ends within this time is exchanged before it is shown. */
const ENDS_SOON_MS = 60_000;
const REQUEST_TIMEOUT_MS = 20_000;
/** Who is told one of these stays away. */
const FINAL = new Set(['session_ended', 'user_banned', 'refresh_reused']);
/** A send that is refused with one of these is tried again. */
const PASSING = new Set(['rate_limited', 'unavailable', 'internal', 'token_expired', 'session_ended']);
/** What becomes of a contact by an event. */
const CONTACT = {
  followed: { following: true }, unfollowed: { following: false },
  blocked: { following: false, blocked: true }, unblocked: { blocked: false },
};
/** The names that `on` takes; a test compares them with the server's. */
const EVENTS = new Set(`
  status synced message change chat gone error contacts_truncated
  ready chat_created chat_updated chat_approved chat_declined chat_deleted member_added member_removed
  member_role_changed chat_pinned chat_unpinned chat_muted chat_unmuted chat_archived chat_unarchived new_message
  message_edited message_deleted message_liked chat_read typing presence sync_hint user_updated followed unfollowed
  blocked unblocked token_expiring token_expired session_ended user_banned server_shutdown exception
`.trim().split(/\s+/));
const UNREAD_MOST = 1000;
const MEMBERS_SHOWN = 50;
const TYPING_MS = 7000;

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const authorOf = ({ id, username, name, photo, role }) => ({ id, username, name, photo, role });
const randomId = () =>
  Array.from(globalThis.crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('');

/** Why something failed. `code` is the server's, or `connection_lost`, `unreachable`, `closed`. */
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

// --- tokens ------------------------------------------------------------------------------------------------

/** The address of a path at the server; `url` may be the one of its plain WebSocket. */
function address(url, path) {
  const at = new URL(url, globalThis.location?.href);
  at.protocol = at.protocol.replace('ws', 'http');
  at.pathname = at.pathname.replace(/\/(ws)?$/, '') + path;
  at.search = at.hash = '';
  return at;
}

/** Nobody answers at an address. */
function unreachable(url, cause) {
  const why = cause?.cause?.message || cause?.message || 'no answer';
  return new MangoError({ code: UNREACHABLE, message: `cannot reach ${url}: ${why}` });
}

/** A request of the REST interface: its answer, or the problem as an error. */
async function post(url, path, body, init = {}) {
  const at = address(url, path);
  let answer;
  try {
    answer = await fetch(at, {
      method: 'POST', body: JSON.stringify(body), signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS), ...init,
      headers: { ...(body && { 'content-type': 'application/json' }), ...init.headers },
    });
  } catch (cause) {
    throw unreachable(at, cause);
  }
  const told = await answer.json().catch(() => ({}));
  if (answer.ok) return told;
  const wait = Number(answer.headers.get('retry-after')) * 1000 || undefined;
  const message = told.detail ?? `${at} answers ${answer.status}`;
  throw new MangoError({ code: told.code ?? 'internal', message, errors: told.errors, retry_after_ms: wait });
}

/** A session that cannot be gone on with, whatever was wrong with its tokens. */
const isOver = ({ code }) => FINAL.has(code) || /^token_/.test(code) || code === 'invalid_credentials';
const asOver = (error) =>
  FINAL.has(error.code) ? error : new MangoError({ code: 'session_ended', message: `log in again: ${error.message}` });

const queues = new Map();
/**
 * How long a lock is kept after the work, in milliseconds: what one tab writes into the storage reaches the others a
 * moment later, while a lock is handed on at once.
 */
const STORAGE_SETTLES_MS = 250;
/** Does work of one name one after the other, in all tabs of the origin if the browser can (https and localhost). */
function exclusively(name, work) {
  if (globalThis.navigator?.locks) {
    return new Promise((resolve, reject) => {
      navigator.locks.request(name, async () => {
        await work().then(resolve, reject);
        await new Promise((done) => setTimeout(done, STORAGE_SETTLES_MS));
      }).catch(reject);
    });
  }
  const done = (queues.get(name) ?? Promise.resolve()).then(work);
  queues.set(name, done.catch(() => {}));
  return done;
}

/** What all tabs share; without a browser, or where it forbids it, something that lasts as long as the page. */
function usualStorage() {
  try {
    if (globalThis.localStorage) return globalThis.localStorage;
  } catch { /* A browser may refuse even to look. */ }
  const items = new Map();
  return {
    getItem: (key) => items.get(key) ?? null,
    setItem: (key, value) => items.set(key, value),
    removeItem: (key) => items.delete(key),
  };
}

/**
 * The tokens of one session, in a storage that all tabs share, exchanged by one tab at a time. It is the option
 * `token` of `MangoChat`; called by itself it gives an access token for a REST request.
 * @param {object} [options]
 * @param {string} [options.url] Where the server is; the page's own origin if left out.
 * @param {TokenStorage} [options.storage] Default `localStorage`, or memory where there is none.
 * @param {string} [options.key] The item in the storage.
 * @returns {GetToken & {
 *   login(credentials: {username: string, password: string}): Promise<void>,
 *   save(pair: TokenPair): Promise<void>,
 *   logout(): Promise<void>,
 *   isLoggedIn(): Promise<boolean>,
 * }}
 */
export function sessionTokens({ url = '/', storage = usualStorage(), key = 'mango-chat' } = {}) {
  /** The token that was given last: who asks for another one has found that it does not do. */
  let given;
  // Always from the storage: what this tab knew may be long exchanged.
  const read = async () => JSON.parse((await storage.getItem(key)) ?? 'null');
  const keep = async ({ access_token, refresh_token, expires_in }) => {
    const pair = { access_token, refresh_token, expires_at: Date.now() + expires_in * 1000 };
    await storage.setItem(key, JSON.stringify(pair));
    return pair;
  };
  const isGood = (pair, refused) => pair.expires_at - Date.now() > ENDS_SOON_MS && pair.access_token !== refused;
  const held = async () => {
    const pair = await read();
    if (!pair) throw new MangoError({ code: 'token_missing', message: 'nobody is logged in: call login() or save() first' });
    return pair;
  };
  const exchange = async (refused) => {
    const pair = await held();
    if (isGood(pair, refused)) return pair;
    try {
      return await keep(await post(url, '/auth/refresh', { refresh_token: pair.refresh_token }, { credentials: 'omit' }));
    } catch (error) {
      if (!isOver(error)) throw error;
      const now = await read();
      // Where tabs cannot wait for each other, another one was quicker.
      if (now && now.refresh_token !== pair.refresh_token) return now;
      await storage.removeItem(key);
      throw asOver(error);
    }
  };
  const token = async ({ refresh = false } = {}) => {
    // Of now: who asks at the same time may be given another one first, which then does for both.
    const refused = refresh ? given : undefined;
    let pair = await held();
    if (!isGood(pair, refused)) pair = await exclusively(`mango-chat ${key}`, () => exchange(refused));
    given = pair.access_token;
    return given;
  };
  return Object.assign(token, {
    login: async ({ username, password }) => {
      await keep(await post(url, '/auth/login', { username, password }, { credentials: 'omit' }));
    },
    save: async (pair) => { await keep(pair); },
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

/** Where a login has set cookies, the browser shows them by itself; only an exchange has to be asked for. */
const cookieTokens = (url) => async ({ refresh }) => {
  if (!refresh) return undefined;
  const exchange = () => post(url, '/auth/refresh', undefined, { credentials: 'include' });
  try {
    return (await exclusively('mango-chat cookie', exchange)).access_token;
  } catch (error) {
    throw isOver(error) ? asOver(error) : error;
  }
};

// --- lines: one connection each ----------------------------------------------------------------------------

/** What both kinds of line share: calls that are answered or lost, and the end. */
class Line {
  heardAt = Date.now();
  /** `ready` came. */
  isOpen = false;
  over = false;
  /** @type {?string} The event that told of the end. */
  farewell = null;
  #calls = new Set();
  #end;

  constructor(timeoutMs, onEvent) {
    this.timeoutMs = timeoutMs;
    this.onEvent = onEvent;
    /** Settles, with the reason, when the connection is over. */
    this.lost = new Promise((resolve) => { this.#end = resolve; });
  }

  drop() {}

  /** The connection is over; every call that waits is lost. */
  fail(code = LOST, message = undefined) {
    if (this.over) return;
    this.over = true;
    this.drop();
    const error = new MangoError({ code: this.farewell ?? code, message });
    for (const { reject } of [...this.#calls]) reject(this.isOpen ? new MangoError({ code: LOST }) : error);
    this.#end(error);
  }

  /**
   * Lets `start` begin a call; silence for longer than the time-out means that the line is dead. `onAck` runs at the
   * answer's place among the events, which a promise would miss.
   */
  track(start, onAck) {
    return new Promise((resolve, reject) => {
      if (this.over) return reject(new MangoError({ code: LOST }));
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
      start((ack) => {
        this.heardAt = Date.now();
        if (!ack?.ok) return call.reject(new MangoError(ack?.error ?? { code: 'internal' }));
        onAck?.(ack);
        call.resolve(ack);
      });
    });
  }
}

/** JSON frames over a WebSocket. */
class PlainLine extends Line {
  #acks = new Map();
  #nextId = 1;

  open(url, WebSocketClass, token) {
    const socket = (this.socket = new WebSocketClass(url));
    socket.onmessage = ({ data }) => {
      this.heardAt = Date.now();
      const { type, ...payload } = JSON.parse(data);
      if (type !== 'ack') return this.onEvent(type, payload);
      // The answer to a token that came with the request has no id.
      const { id, ...ack } = payload;
      this.#acks.get(id ?? 0)?.(ack);
      this.#acks.delete(id ?? 0);
    };
    // Browsers say no more than that it failed.
    let cause;
    socket.onclose = ({ code, reason }) => {
      const told = { 4401: 'token_expired', 4403: 'session_ended' }[code];
      if (told || this.isOpen) return this.fail(told);
      if (code !== 1006) cause = { message: `closed with ${code} ${reason}` };
      this.fail(UNREACHABLE, unreachable(url, cause).message);
    };
    socket.onerror = (event) => { cause = event.error ?? event; };
    // Without a token too: where no cookie came along, the server says so at once.
    socket.onopen = () => socket.send(JSON.stringify({ type: 'auth', id: 0, token }));
    return this.track((answer) => this.#acks.set(0, answer));
  }

  call(event, payload, onAck) {
    return this.track((answer) => {
      const id = this.#nextId++;
      this.#acks.set(id, answer);
      this.socket.send(JSON.stringify({ ...payload, type: event, id }));
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
    // A peer that is gone never answers a closing handshake; `ws` can do without.
    if (socket.terminate) setTimeout(() => socket.terminate(), 1000).unref?.();
  }
}

/** A given socket of socket.io-client; when to come back is decided here, not there. */
class SocketIoLine extends Line {
  #off = [];

  open(socket, token) {
    this.socket = socket;
    if (token) socket.auth = { token };
    // The `ready` of an earlier connection was told to nobody here.
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

// --- one chat ----------------------------------------------------------------------------------------------

/** A chat as it is here. Read it, do not change it. */
export class ChatState {
  /** Counter value up to which everything is here. */
  rev = 0;
  /** @type {Message[]} The newest, by `seq`, without a hole. */
  messages = [];
  /** @type {Map<number, *>} Who is typing, by user id. */
  typing = new Map();
  /** @internal Of another history than the server's; soon read anew, or gone. */
  stale = false;
  /** Messages with a higher `seq` are all in `messages`. */
  floor = 0;
  /** @internal Unread messages that are not in `messages`. */
  unreadBelow = 0;
  #client;
  #readers = new Set();

  /** @internal */
  constructor(client, chat, my) {
    this.#client = client;
    /** @type {Chat} As `GET /chat/{id}` answers it, without `my`. */
    this.chat = chat;
    /** @type {MyChat} */
    this.my = my;
  }

  get id() { return this.chat.id; }

  /**
   * Changes of this chat from now on; ends when the chat is gone or the client is closed.
   * @returns {AsyncGenerator<Change>}
   */
  events() {
    const waiting = [];
    let wake = () => {};
    const reader = (change) => { waiting.push(change); wake(); };
    // At once, not when the first change is asked for.
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

  /** @internal Null ends the iterators. */
  tell(change) {
    for (const reader of this.#readers) reader(change);
  }

  /** The message's place in `messages`, or where it would be. */
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
    seq > this.my.last_read_seq && user.id !== this.#client.userId && !deleted_at;

  /** @internal Whether the message at this place is held. */
  has(seq) {
    return this.messages[this.#place(seq)]?.seq === seq;
  }

  /** @internal Takes a message in; answers it as it is held, or null where it says nothing new. */
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

  /** @internal The message of this id. */
  find(id) {
    return this.messages.findLast((message) => message.id === id);
  }

  /** @internal Holds a page of `history` that joins on to what is held. */
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

  /** @internal Brings what follows from the messages up to date; `unread` is the server's count, where it said one. */
  settle(unread) {
    const { messages, my, chat } = this;
    const surplus = messages.splice(0, Math.max(0, messages.length - this.#client.options.keep));
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
    const own = chat.members.find(({ user }) => user.id === this.#client.userId);
    if (own) own.last_read_seq = my.last_read_seq;
  }

  /** @internal A member who came, changed or (`gone`) went. False where the first 50 are no longer known. */
  putMember(member, gone) {
    const { chat } = this;
    const before = chat.members.length;
    chat.members = chat.members.filter(({ user }) => user.id !== member.user.id);
    if (!gone) {
      const order = (a, b) => a.joined_at.localeCompare(b.joined_at) || a.user.id - b.user.id;
      chat.members = [...chat.members, member].sort(order).slice(0, MEMBERS_SHOWN);
      if (member.role === 'owner') chat.owner_id = member.user.id;
      if (member.user.id === this.#client.userId) this.my.role = member.role;
    }
    return chat.members.length >= Math.min(before, chat.member_count, MEMBERS_SHOWN);
  }
}

// --- the client --------------------------------------------------------------------------------------------

/** The chats of one user, kept up to date over one connection at a time. */
export class MangoChat {
  /** @type {Map<number, ChatState>} */
  chats = new Map();
  /** @type {Map<number, {online: boolean, last_seen_at: ?string}>} Of those who are watched. */
  presence = new Map();
  /** Whom one follows or blocks. @type {Map<number, {following: boolean, blocked: boolean}>} */
  contacts = new Map();
  /** @type {Status} */
  status = 'closed';
  /** @type {?number} Own id. */
  userId = null;

  #epoch;
  #userRev;
  #listeners = new Map();
  #waiters = new Set();
  /** Stands for the wish to be connected; a new object with every `connect`. */
  #wanted = null;
  #running = Promise.resolve();
  #wake = () => {};
  #retryAfter;
  /** The connection in the making, and the one that is ready. */
  #opening = null;
  #line = null;
  #wasOnline = false;
  /** The sync under way: `only` these chats, or all. */
  #syncing = null;
  /** Chats that are to be synced next. */
  #behind = new Set();
  #held = [];
  /** Unsent messages by chat. */
  #queues = new Map();
  #sending = new Set();
  #watched = null;

  /**
   * @param {object} options
   * @param {string} [options.url] Where the server is; the page's own origin if left out.
   * @param {object} [options.socket] A socket of socket.io-client instead, made with `autoConnect: false`.
   * @param {string|GetToken|((why: {refresh: boolean}) => string|Promise<string>)} [options.token] An access token, or a
   *   function that gives one, such as `sessionTokens()`; `refresh`: the last one has ended or is about to. It gives up
   *   by throwing an error with the `code` `session_ended`. Left out: the cookies of a login, or what the given socket
   *   shows by itself.
   * @param {typeof globalThis.WebSocket} [options.WebSocket] For Node.js before 22: the class of the package `ws`.
   * @param {*} [options.state] What `snapshot()` gave.
   * @param {OutboxStore} [options.outbox] Keeps unsent messages beyond the life of this object.
   * @param {number} [options.keep] Messages held per chat, the newest; default 1000.
   * @param {number} [options.maxBehind] A chat with more changes than this is read anew; default `keep`.
   * @param {{min?: number, max?: number}} [options.backoff] Milliseconds between attempts; default 500 to 30000.
   * @param {boolean} [options.tellUnread] Of a chat that is met for the first time, tell the unread messages as `message`.
   * @param {number} [options.timeoutMs] Silence after a question that means a dead connection; default 20000.
   * @param {number} [options.aliveMs] Silence after which the server is asked whether it is there; default 30000.
   */
  constructor(options = {}) {
    const {
      url = '/', socket, WebSocket = globalThis.WebSocket, state, outbox, keep = 1000, maxBehind = keep,
      backoff = {}, tellUnread = false, timeoutMs = 20_000, aliveMs = 30_000,
    } = options;
    // A token that is there but undefined was meant to be one.
    const usesCookies = !('token' in options) && !socket && globalThis.location !== undefined;
    const token = usesCookies ? cookieTokens(url) : options.token;
    /** @internal */
    this.options = { socket, token, usesCookies, WebSocket, outbox, keep, maxBehind, tellUnread, timeoutMs, aliveMs };
    this.options.backoff = { min: 500, max: 30_000, ...backoff };
    if (!socket) {
      if (!WebSocket) throw new TypeError('there is no WebSocket here: pass the class as an option');
      this.options.url = address(url, '/ws');
      this.options.url.protocol = this.options.url.protocol.replace('http', 'ws');
    }
    if (state?.version === 1) this.#restore(state);
  }

  // --- events ---

  /**
   * Calls `listener` at every event of this name.
   * @template {keyof Events} Name
   * @param {Name} name
   * @param {(...what: Events[Name]) => void} listener
   * @returns {this}
   */
  on(name, listener) {
    if (!EVENTS.has(name)) throw new TypeError(`there is no event '${name}', only ${[...EVENTS].join(', ')}`);
    if (!this.#listeners.has(name)) this.#listeners.set(name, new Set());
    this.#listeners.get(name).add(listener);
    return this;
  }

  /**
   * @template {keyof Events} Name
   * @param {Name} name
   * @param {(...what: Events[Name]) => void} listener
   * @returns {this}
   */
  off(name, listener) {
    this.#listeners.get(name)?.delete(listener);
    return this;
  }

  #emit(name, ...what) {
    for (const listener of [...(this.#listeners.get(name) ?? [])]) {
      try {
        listener(...what);
      } catch (error) {
        // The listener's own mistake must not become ours; it is reported as any uncaught one.
        queueMicrotask(() => { throw error; });
      }
    }
  }

  /**
   * @param {string} type
   * @param {ChatState} chat
   * @param {{message?: Message, data?: object, synced?: boolean}} [what]
   */
  #tell(type, chat, { message, data, synced = false } = {}) {
    const change = { type, chat, message, data, synced };
    if (type === 'new_message') this.#emit('message', message, chat);
    this.#emit('change', change);
    if (!message) this.#emit('chat', chat);
    chat.tell(change);
  }

  // --- connecting ---

  /**
   * Connects and stays connected until `close`; resolves when everything is up to date, rejects when dismissed.
   * @returns {Promise<void>}
   */
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

  /** Ends the connection. What is not sent yet is rejected with `closed`; an outbox store keeps it. */
  close() {
    if (this.#wanted) this.#stop('closed', new MangoError({ code: 'closed' }));
  }

  #stop(status, why) {
    this.#wanted = null;
    this.#opening?.fail('closed');
    this.#wake();
    this.#setStatus(status);
    for (const { reject } of [...this.#waiters]) reject(why);
    for (const { reject } of [...this.#queues.values()].flat()) reject(why);
    this.#queues.clear();
    for (const chat of this.chats.values()) chat.tell(null);
  }

  async #run(wanted) {
    const { token, outbox, backoff } = this.options;
    try {
      for (const entry of (await outbox?.load()) ?? []) this.#enqueue(entry);
    } catch (error) {
      this.#emit('error', error);
    }
    const online = () => this.#wake();
    globalThis.addEventListener?.('online', online);
    let [failures, refusals, refresh, toldAway] = [0, 0, false, false];
    while (this.#wanted === wanted) {
      this.#setStatus('connecting');
      const why = await this.#attempt(refresh);
      if (this.#wanted !== wanted) break;
      if (this.#wasOnline) [failures, refusals, toldAway, this.#wasOnline] = [0, 0, false, false];
      const wasRefreshed = refresh;
      refresh = /^token_/.test(why.code);
      if (refresh) refusals += 1;
      const isHopeless = typeof token !== 'function' || refusals > 5 || (why.code === 'token_missing' && wasRefreshed);
      if (FINAL.has(why.code) || (refresh && isHopeless)) {
        this.#emit('error', why);
        this.#stop('dismissed', why);
        break;
      }
      // A server that is away is told of once, until it has been there again.
      const isAway = why.code === UNREACHABLE;
      if (why.code !== LOST && !(isAway && toldAway)) this.#emit('error', why);
      toldAway ||= isAway;
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

  /** One connection from its making to its end; answers why it ended. */
  async #attempt(refresh) {
    const { socket, url, token, usesCookies, WebSocket, timeoutMs } = this.options;
    const Kind = socket ? SocketIoLine : PlainLine;
    const line = new Kind(timeoutMs, (name, data) => this.#hear(line, name, data));
    this.#opening = line;
    // Until the first sync is through, every event waits.
    this.#syncing = { only: null };
    try {
      const shown = typeof token === 'function' ? await token({ refresh }) : token;
      if (!shown && !socket && !usesCookies) {
        throw new MangoError({ code: 'token_missing', message: 'the option `token` is missing, or its function gave none' });
      }
      const { ok, ...ready } = await (socket ? line.open(socket, shown) : line.open(url, WebSocket, shown));
      line.isOpen = true;
      this.#line = line;
      this.#welcome(line, ready);
      return await line.lost;
    } catch (error) {
      return error;
    } finally {
      line.fail();
      this.#line = this.#opening = this.#syncing = null;
      this.#behind.clear();
      // What these tell of is committed; the next sync brings it.
      for (const { done } of this.#held.splice(0)) done?.();
    }
  }

  #welcome(line, ready) {
    if (this.userId !== null && this.userId !== ready.user_id) {
      for (const chat of [...this.chats.values()]) this.#remove(chat, 'reset');
      this.#epoch = this.#userRev = undefined;
    }
    this.userId = ready.user_id;
    this.#emit('ready', ready);
    this.#setStatus('syncing');
    this.#sync(null);
    if (this.#watched) this.watchPresence(this.#watched).catch(() => {});
    for (const chatId of this.#queues.keys()) this.#pump(chatId);
    const { aliveMs } = this.options;
    const pulse = setInterval(() => {
      if (Date.now() - line.heardAt >= aliveMs) line.call('sync', { only: [] }).catch(() => {});
    }, aliveMs / 4);
    line.lost.then(() => clearInterval(pulse));
  }

  #setStatus(status) {
    if (status === this.status) return;
    this.status = status;
    this.#emit('status', status);
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

  async #renew(line) {
    if (typeof this.options.token !== 'function') return;
    try {
      await line.call('authenticate', { token: await this.options.token({ refresh: true }) });
    } catch (error) {
      if (error.code !== LOST) this.#emit('error', error);
    }
  }

  // --- what the server tells ---

  #hear(line, name, data) {
    if (name !== 'ready') this.#emit(name, data);
    switch (name) {
      case 'token_expired': case 'session_ended': case 'user_banned':
        line.farewell = name;
        return;
      case 'token_expiring': this.#renew(line); return;
      case 'server_shutdown': this.#retryAfter = data.retry_after_ms; return;
      case 'exception': this.#emit('error', new MangoError(data.error)); return;
      case 'typing': this.#noteTyping(data); return;
      case 'presence': this.#notePresence(data); return;
      case 'sync_hint': if (data.rev > (this.chats.get(data.chat)?.rev ?? 0)) this.#fetch(data.chat); return;
      default: if (data?.chat || data?.user || name in CONTACT) this.#take({ name, data });
    }
  }

  #noteTyping({ chat: id, user_id: user, is_typing: isTyping }) {
    const chat = this.chats.get(id);
    if (!chat) return;
    clearTimeout(chat.typing.get(user));
    chat.typing.delete(user);
    if (!isTyping) return;
    const timer = setTimeout(() => chat.typing.delete(user), TYPING_MS);
    timer.unref?.();
    chat.typing.set(user, timer);
  }

  #notePresence({ user_id: user, online, last_seen_at }) {
    this.presence.set(user, { online, last_seen_at });
  }

  /** Applies an event or an ack, or holds it while its chat is being synced. `done` runs when it is applied. */
  #take(item) {
    const { chat } = item.data;
    const only = this.#syncing?.only;
    const isHeld = this.#behind.has(chat) || (this.#syncing && (!only || !chat || only.has(chat)));
    if (isHeld) this.#held.push(item);
    else this.#apply(item);
  }

  #apply(item) {
    const { name, data, done } = item;
    if (name === 'user_updated') return this.#applyUser(data.user);
    if (name in CONTACT) return this.#applyContact(CONTACT[name], data);
    let chat = this.chats.get(data.chat);
    let told;
    const known = chat?.rev ?? 0;
    const isOrdered = data.prev !== undefined;
    // A message that is told late carries the `rev` of its latest change; its place is its `seq`.
    const rev = name === 'new_message' ? data.seq : data.rev;
    if (isOrdered && rev <= known) return done?.();
    const isOver = name === 'chat_deleted' || name === 'chat_declined';
    if (isOver || (name === 'member_removed' && data.member.user.id === this.userId)) {
      const reason = isOver ? name.slice(5) : data.by === this.userId ? 'left' : 'removed';
      if (chat) this.#remove(chat, reason);
      return done?.();
    }
    if (isOrdered ? data.prev > known || !(chat || data.details) : data.upto > known) {
      item.tries = (item.tries ?? 0) + 1;
      // A hole that sync does not fill: something is wrong with this connection.
      if (item.tries > 3) this.#line?.fail();
      this.#held.push(item);
      return this.#fetch(data.chat);
    }
    if (data.user_rev <= this.#userRev) return done?.();
    if (!chat && data.details) {
      const { my, last_message: first } = data.details;
      chat = new ChatState(this, { ...data.details }, my ?? this.#firstMy(data.details));
      this.chats.set(chat.id, chat);
      // The socket that makes a chat is not told of its first message: the ack stands for it.
      if (my && first) told = chat.put(first);
    }
    if (chat) {
      const { message, isVague } = this.#change(chat, name, data);
      // Counters stay behind what is vague: should the connection be lost now, it is asked for again.
      if (isOrdered && !isVague) chat.rev = rev;
      if (data.user_rev === this.#userRev + 1 && !isVague) this.#userRev += 1;
      if (isVague) this.#fetch(chat.id);
      chat.settle();
      if (name && message !== null) this.#tell(name, chat, { message, data });
      if (told) this.#tell('new_message', chat, { message: told, data });
    }
    done?.();
  }

  /** What an event does to a chat; `isVague`: it does not say enough, the chat has to be asked for. */
  #change(chat, name, data) {
    const { my } = chat;
    switch (name) {
      case 'new_message': {
        const { prev, by, at, ...message } = data;
        this.#noteTyping({ chat: chat.id, user_id: by, is_typing: false });
        return { message: chat.put(message) };
      }
      case 'message_liked': {
        const held = chat.find(data.message_id);
        if (!held) return { message: null };
        const liked = data.by === this.userId ? data.liked : held.my.liked;
        return { message: chat.put({ ...held, likes: data.likes, rev: data.rev, my: { ...held.my, liked } }) };
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
        // One counted message less may leave more than are counted.
        if (data.message) return { message: chat.put(data.message), isVague: my.unread === UNREAD_MOST };
        return { isVague: Boolean(name) && !data.details };
    }
  }

  /** Whom one follows and blocks is one's own; that somebody follows one is only told. */
  #applyContact(change, { user_id: user, by, user_rev: userRev }) {
    if (by !== this.userId) return;
    this.#putContact(user, { ...(this.contacts.get(user) ?? { following: false, blocked: false }), ...change });
    if (userRev === this.#userRev + 1) this.#userRev = userRev;
  }

  #putContact(user, { following, blocked }) {
    if (following || blocked) this.contacts.set(user, { following, blocked });
    else this.contacts.delete(user);
  }

  #firstMy({ is_group: isGroup, owner_id: owner }) {
    const role = isGroup && owner === this.userId ? 'owner' : 'member';
    return { role, pinned: false, muted_until: null, archived: false, unread: 0, last_read_seq: 0 };
  }

  #applyUser(user) {
    const author = authorOf(user);
    const renew = (it) => (it.user.id === user.id ? { ...it, user: author } : it);
    for (const chat of this.chats.values()) {
      chat.messages = chat.messages.map(renew);
      chat.chat.members = chat.chat.members.map(renew);
      chat.settle();
      this.#tell('user_updated', chat, { data: { user } });
    }
  }

  #remove(chat, reason) {
    this.chats.delete(chat.id);
    this.#emit('gone', { chatId: chat.id, reason, chat });
    chat.tell(null);
  }

  // --- sync ---

  /** Asks for a chat soon; until then its events wait. */
  #fetch(id) {
    this.#behind.add(id);
    this.#catchUp();
  }

  #catchUp() {
    if (!this.#line || this.#syncing || !this.#behind.size) return;
    const only = new Set(this.#behind);
    this.#behind.clear();
    this.#sync(only);
  }

  async #sync(only) {
    const line = this.#line;
    this.#syncing = { only };
    for (let more = true; more;) {
      try {
        const reply = await line.call('sync', this.#syncRequest(only));
        if (line !== this.#line) return;
        more = this.#merge(reply, only);
      } catch (error) {
        if (line !== this.#line || error.code === LOST) return;
        this.#emit('error', error);
        await sleep(error.retryAfterMs ?? 1000);
        if (line !== this.#line) return;
      }
    }
    for (const chat of only ? [] : [...this.chats.values()].filter(({ stale }) => stale)) this.#remove(chat, 'reset');
    this.#syncing = null;
    const held = this.#held.splice(0);
    this.#catchUp();
    for (const item of held) {
      // What asked for a chat that is not ours.
      if (item.tries && only?.has(item.data.chat) && !this.chats.has(item.data.chat)) item.done?.();
      else this.#take(item);
    }
    if (!only) {
      this.#wasOnline = true;
      this.#setStatus('online');
    }
    this.#emit('synced', { full: !only });
  }

  #syncRequest(only) {
    const { maxBehind } = this.options;
    const since = {};
    for (const { id, rev, stale } of this.chats.values()) {
      // Of single chats the latest change is asked for again, and own state whatever its counter.
      if (!stale && (!only || only.has(id))) since[id] = only ? Math.max(0, rev - 1) : rev;
    }
    const scope = only ? { only: [...only], user_rev: 0 } : { epoch: this.#epoch, user_rev: this.#userRev };
    return { since, limit: 500, max_behind: Number.isFinite(maxBehind) ? maxBehind : undefined, ...scope };
  }

  /** Takes a page of `sync` in; answers whether there is more. */
  #merge(reply, only) {
    if (reply.reset) for (const chat of this.chats.values()) chat.stale = true;
    if (reply.reset || reply.contacts_truncated) this.contacts.clear();
    for (const { user_id: user, ...contact } of reply.contacts ?? []) this.#putContact(user, contact);
    // Too many to be told: the lists have them.
    if (reply.contacts_truncated) this.#emit('contacts_truncated', {});
    if (!only) [this.#epoch, this.#userRev] = [reply.epoch, reply.user_rev];
    const news = [];
    /** The chats of this page: whether they came whole, and the server's count of unread messages. */
    const touched = new Map();
    const touch = (chat) => touched.get(chat) ?? touched.set(chat, {}).get(chat);
    for (const { my, truncated, ...info } of reply.chats) {
      // One was removed while this was read; the event says so.
      if (!my) continue;
      let chat = this.chats.get(info.id);
      const isWhole = !chat || chat.stale || truncated;
      if (!chat) this.chats.set(info.id, (chat = new ChatState(this, info, my)));
      if (isWhole) Object.assign(chat, { messages: [], floor: 0, unreadBelow: 0, stale: false });
      Object.assign(chat, { chat: info, my });
      Object.assign(touch(chat), { isWhole, unread: my.unread });
      news.push([isWhole ? 'reset' : 'chat_updated', chat]);
    }
    for (const message of reply.messages.sort((one, other) => one.seq - other.seq)) {
      const chat = this.chats.get(message.chat_id);
      if (!chat) continue;
      const { isWhole } = touch(chat);
      const isNew = !chat.has(message.seq);
      const held = chat.put(message);
      if (isWhole || !held) continue;
      const change = message.deleted_at ? 'message_deleted' : 'message_edited';
      news.push([isNew ? 'new_message' : change, chat, held]);
    }
    for (const { chat_id: id, my } of reply.mine) {
      const chat = this.chats.get(id);
      if (!chat) continue;
      chat.my = my;
      touch(chat).unread = my.unread;
      news.push(['chat_updated', chat]);
    }
    for (const [id, rev] of Object.entries(reply.revs)) {
      const chat = this.chats.get(Number(id));
      if (!chat) continue;
      chat.rev = rev;
      touch(chat);
    }
    for (const [chat, { isWhole, unread }] of touched) {
      if (isWhole) chat.floor = (chat.messages[0]?.seq ?? 1) - 1;
      chat.settle(unread);
    }
    for (const [type, chat, message] of news) {
      this.#tell(type, chat, { message, synced: true });
      if (type === 'reset' && this.options.tellUnread) this.#tellUnread(chat);
    }
    for (const { chat_id: id, rev, reason } of reply.left) {
      const chat = this.chats.get(id);
      if (chat && (rev >= chat.rev || reason === 'unknown')) this.#remove(chat, reason);
    }
    return reply.has_more;
  }

  /** Tells what is unread of a chat that came whole, as far as it came along. */
  #tellUnread(chat) {
    const unread = chat.messages.filter(({ seq, user, deleted_at }) =>
      seq > chat.my.last_read_seq && user.id !== this.userId && !deleted_at);
    for (const message of unread) this.#tell('new_message', chat, { message, synced: true });
  }

  // --- asking ---

  /** Waits for the connection and asks. Where `isSafe` to repeat, a lost answer is asked for again. */
  async #ask(event, payload, isSafe = true, onAck = undefined) {
    for (;;) {
      await this.#when(() => this.#line);
      try {
        return await this.#line.call(event, payload, onAck);
      } catch (error) {
        if (!isSafe || !(error.code === LOST || error.code === 'rate_limited')) throw error;
        await sleep(error.retryAfterMs ?? 50);
      }
    }
  }

  #applied(name, data) {
    return new Promise((done) => this.#take({ name, data, done }));
  }

  /** Asks for a change and waits until it is applied; `item` makes an event of the ack and of its place, if it has one. */
  async #askChange(event, payload, item) {
    let applied;
    const ack = await this.#ask(event, payload, true, (answer) => {
      const { chat_id: chat, rev, prev } = answer;
      const told = item(answer, rev && { chat, rev, prev, by: this.userId });
      applied = told && this.#applied(...told);
    });
    await applied;
    return ack;
  }

  /**
   * Any client event; resolves with its ack. Rejects with `connection_lost` where the answer was lost.
   * @template {keyof ClientEvents} Name
   * @param {Name} event
   * @param {ClientEvents[Name]['payload']} payload
   * @returns {Promise<ClientEvents[Name]['ack']>}
   */
  call(event, payload = {}) {
    return this.#ask(event, payload, false);
  }

  /**
   * Sends a message, now or when connected again, in the order of calls, once.
   * @param {number} chatId
   * @param {string} content
   * @param {{messageType?: string, replyTo?: ?number, clientId?: string}} [options]
   * @returns {Promise<Message>}
   */
  send(chatId, content, { messageType = 'text', replyTo = null, clientId = randomId() } = {}) {
    const entry = { clientId, chatId, content, messageType, replyTo };
    this.options.outbox?.save(entry);
    return new Promise((resolve, reject) => this.#enqueue(entry, resolve, reject));
  }

  /**
   * @param {number} [chatId]
   * @returns {OutboxEntry[]} What is not sent yet, of one chat or of all.
   */
  pending(chatId) {
    const jobs = chatId === undefined ? [...this.#queues.values()].flat() : (this.#queues.get(chatId) ?? []);
    return jobs.map(({ entry }) => entry);
  }

  #enqueue(entry, resolve = () => {}, reject = () => {}) {
    const queue = this.#queues.get(entry.chatId) ?? [];
    if (queue.some((job) => job.entry.clientId === entry.clientId)) return;
    queue.push({ entry, resolve, reject, failures: 0 });
    this.#queues.set(entry.chatId, queue);
    this.#pump(entry.chatId);
  }

  /** Sends what waits for a chat, one after the other: so a refused one never falls behind its successor. */
  async #pump(chatId) {
    if (this.#sending.has(chatId)) return;
    this.#sending.add(chatId);
    for (let job; this.#line && (job = this.#queues.get(chatId)?.[0]);) {
      const { clientId: client_id, content, messageType: message_type, replyTo: reply_to } = job.entry;
      const message = { chat_id: chatId, content, message_type, client_id, reply_to };
      try {
        await this.#line.call('send_message', { message }, (ack) => {
          this.#sent(job);
          const told = { ...ack.message, prev: ack.prev, by: this.userId, at: ack.message.created_at };
          const again = { chat: chatId, message: ack.message, upto: ack.message.rev };
          this.#applied(...(ack.duplicate ? [null, again] : ['new_message', told])).then(() => job.resolve(ack.message));
        });
      } catch (error) {
        if (error.code === LOST) break;
        job.failures += error.code === 'internal' ? 1 : 0;
        if (PASSING.has(error.code) && job.failures < 5) {
          await sleep(error.retryAfterMs ?? 500);
          continue;
        }
        this.#sent(job);
        job.reject(error);
      }
    }
    this.#sending.delete(chatId);
  }

  #sent({ entry: { chatId, clientId } }) {
    const queue = this.#queues.get(chatId);
    queue?.shift();
    if (!queue?.length) this.#queues.delete(chatId);
    this.options.outbox?.remove(clientId);
  }

  /**
   * @param {number} messageId
   * @param {string} content
   * @returns {Promise<Message>}
   */
  async edit(messageId, content) {
    const item = ({ message }, place) => place && ['message_edited', { ...place, message }];
    return (await this.#askChange('edit_message', { message: { id: messageId, content } }, item)).message;
  }

  /**
   * @param {number} messageId
   * @returns {Promise<Message>} What is left of it.
   */
  async delete(messageId) {
    const item = ({ message }, place) => place && ['message_deleted', { ...place, message }];
    return (await this.#askChange('delete_message', { message: { id: messageId } }, item)).message;
  }

  /**
   * @param {number} messageId
   * @param {boolean} [liked]
   * @returns {Promise<{liked: boolean, likes: number}>}
   */
  async like(messageId, liked = true) {
    const item = (ack, place) => place && ['message_liked', { ...ack, ...place, message_id: messageId }];
    const ack = await this.#askChange('toggle_like_message', { message: { id: messageId, liked } }, item);
    return { liked: ack.liked, likes: ack.likes };
  }

  /**
   * Marks everything up to `seq` as read; without it, up to the newest message that is here.
   * @param {number} chatId
   * @param {number} [seq]
   * @returns {Promise<{unread: number, seq: number}>}
   */
  async markRead(chatId, seq = this.chats.get(chatId)?.messages.at(-1)?.seq) {
    return this.#ask('mark_read', { chat: { id: chatId }, seq });
  }

  /**
   * Says that one is typing, or no longer; forgotten where there is no connection.
   * @param {number} chatId
   * @param {boolean} [isTyping]
   */
  typing(chatId, isTyping = true) {
    this.#line?.tell('typing', { chat: { id: chatId }, is_typing: isTyping });
  }

  /**
   * Makes a group, or a direct chat where there is no `name`; the direct chat of two exists once.
   * @param {{name?: string, members: number[], description?: string, clientId?: string}} chat
   * @param {string} [content] A first message.
   * @returns {Promise<ChatState>}
   */
  async createChat({ name, members, description, clientId = randomId() }, content = undefined) {
    const chat = { name, is_group: name !== undefined, members_array: members, description, client_id: clientId };
    const message = content === undefined ? undefined : { content, message_type: 'text', client_id: clientId };
    const ack = await this.#askChange('create_chat', { chat, message }, ({ chat: made }, place) => {
      if (!place) return [null, { chat: made.id, upto: 1 }];
      if (place.prev === 0) return ['chat_created', { ...place, details: made }];
      return ['new_message', { ...made.last_message, ...place }];
    });
    return this.chats.get(ack.chat.id);
  }

  /**
   * A page of messages, oldest first; what joins on to what is held is held from then on.
   * @param {number} chatId
   * @param {{before?: number, after?: number, limit?: number}} [range] Exclusive `seq`.
   * @returns {Promise<{messages: Message[], hasMore: boolean}>}
   */
  async history(chatId, { before, after, limit } = {}) {
    const ack = await this.#ask('history', { chat: { id: chatId }, before, after, limit });
    const messages = ack.messages.sort((one, other) => one.seq - other.seq);
    this.chats.get(chatId)?.absorb(messages, { before, after, hasMore: ack.has_more });
    return { messages, hasMore: ack.has_more };
  }

  /**
   * Watches who of these is online, in place of whom was watched before; answers how they are now.
   * @param {number[]} userIds
   */
  async watchPresence(userIds) {
    this.#watched = userIds;
    const { presence } = await this.#ask('watch_presence', { users: userIds });
    this.presence.clear();
    presence.forEach((it) => this.#notePresence(it));
    return this.presence;
  }

  // --- keeping ---

  /**
   * All that is known, as plain data for the option `state` of a later client.
   * @returns {object}
   */
  snapshot() {
    const chats = [...this.chats.values()].filter(({ stale }) => !stale);
    return structuredClone({
      version: 1, user_id: this.userId, epoch: this.#epoch, user_rev: this.#userRev, outbox: this.pending(),
      contacts: [...this.contacts],
      chats: chats.map(({ chat, my, rev, messages, floor, unreadBelow }) => ({ chat, my, rev, messages, floor, unreadBelow })),
    });
  }

  #restore(state) {
    const { user_id: userId, epoch, user_rev: userRev, chats, outbox, contacts = [] } = structuredClone(state);
    this.userId = userId;
    [this.#epoch, this.#userRev] = [epoch, userRev];
    this.contacts = new Map(contacts);
    for (const { chat, my, ...rest } of chats) {
      this.chats.set(chat.id, Object.assign(new ChatState(this, chat, my), rest));
    }
    for (const entry of outbox) this.#enqueue(entry);
  }
}
