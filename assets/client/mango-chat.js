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
 * @typedef {import('./events.js').Reaction} Reaction
 * @typedef {import('./events.js').ChatBan} ChatBan
 * @typedef {import('./events.js').Attachment} Attachment
 * @typedef {{id: number, chat_id: number, token: string, url: string, created_by: number, approval: boolean,
 *   max_uses: ?number, uses: number, expires_at: ?string, created_at: string}} Invite
 * @typedef {{chat_id: number, name: ?string, description: ?string, photo: ?string, member_count: number,
 *   approval: boolean, is_member: boolean, is_requested: boolean}} InvitePreview
 * @typedef {import('./events.js').SavedDraft} SavedDraft
 * @typedef {import('./events.js').MyChat} MyChat
 * @typedef {Omit<import('./events.js').Chat, 'my'>} Chat
 * @typedef {import('./events.js').ClientEvents} ClientEvents
 * @typedef {import('./events.js').ServerEvents} ServerEvents
 * @typedef {{type: string, chat: ChatState, message?: Message, data?: object, synced: boolean}} Change
 *   `type` is the name of the server event. With `synced` the change arrived through `sync`, and `type` is `new_message`,
 *   `message_edited`, `message_deleted`, `chat_updated`, or `reset` (the chat was fetched again: render it again).
 * @typedef {{clientId: string, chatId: number, content: string, messageType: string, replyTo: ?number,
 *   attachments?: number[], userId?: number}} OutboxEntry
 * @typedef {{load(): OutboxEntry[]|Promise<OutboxEntry[]>, save(entry: OutboxEntry): *, remove(clientId: string): *}} OutboxStore
 * @typedef {'closed'|'connecting'|'syncing'|'online'|'waiting'|'dismissed'} Status
 * @typedef {{
 *   status: [Status], synced: [{full: boolean}], message: [Message, ChatState], change: [Change], chat: [ChatState],
 *   gone: [{chatId: number, reason: string, chat: ChatState}], error: [MangoError], contacts_truncated: [{}],
 * }} OwnEvents Events of the client itself.
 * @typedef {OwnEvents & {[Name in keyof ServerEvents]: [ServerEvents[Name]]}} Events Listener arguments by event.
 * @typedef {{access_token: string, refresh_token: string, expires_in: number}} TokenPair The response of a login.
 * @typedef {{getItem(key: string): ?string|Promise<?string>, setItem(key: string, value: string): *,
 *   removeItem(key: string): *}} TokenStorage Such as `localStorage`.
 * @typedef {(why?: {refresh?: boolean}) => Promise<string>} GetToken
 */

// --- errors ---

const LOST = 'connection_lost';
const UNREACHABLE = 'unreachable';
/** The client does not reconnect after these errors. */
const FINAL = new Set(['session_ended', 'user_banned', 'refresh_reused']);

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** An error of the client. `code` is the server's error code, or `connection_lost`, `unreachable` or `closed`. */
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

/** The error for a server that does not respond. */
function unreachable(url, cause) {
  const reason = cause?.cause?.message || cause?.message || 'no answer';
  return new MangoError({ code: UNREACHABLE, message: `cannot reach ${url}: ${reason}` });
}

// --- rest ---

const REQUEST_TIMEOUT_MS = 20_000;

/** The URL of a path on the server; `url` may be the URL of its plain WebSocket. */
function address(url, path) {
  const target = new URL(url, globalThis.location?.href);
  target.protocol = target.protocol.replace('ws', 'http');
  const [pathname, search = ''] = path.split('?');
  target.pathname = target.pathname.replace(/\/(ws)?$/, '') + pathname;
  target.search = search;
  target.hash = '';
  return target;
}

/**
 * Sends a REST request; returns the response and its JSON or text, or throws its problem as a `MangoError`.
 * @param {string|URL} url
 * @param {string} method
 * @param {string} path
 * @param {any} [init]
 * @returns {Promise<any>}
 */
async function request(url, method, path, { body, form, headers, ...init } = {}) {
  const target = address(url, path);
  let response;
  try {
    response = await fetch(target, {
      method, body: form ?? JSON.stringify(body), signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS), ...init,
      headers: { ...(body && { 'content-type': 'application/json' }), ...headers },
    });
  } catch (cause) {
    throw unreachable(target, cause);
  }
  const isJson = /\bjson\b/.test(response.headers.get('content-type'));
  const data = isJson || !response.ok ? await response.json().catch(() => ({}))
    : await response.text().catch((cause) => { throw unreachable(target, cause); });
  if (response.ok) return { response, data };
  throw problem(target, response.status, data, response.headers.get('retry-after'));
}

/** Like `request` for a form, but tells how much of it has been sent; only XMLHttpRequest knows that. */
const requestWithProgress = (onProgress) => (url, method, path, { form, headers, signal }) => new Promise((resolve, reject) => {
  const target = address(url, path);
  const sending = new XMLHttpRequest();
  const lost = () => reject(unreachable(target, signal.reason));
  sending.open(method, target);
  sending.responseType = 'text';
  for (const [name, value] of Object.entries(headers ?? {})) sending.setRequestHeader(name, value);
  sending.upload.onprogress = ({ loaded, total }) => onProgress(total ? loaded / total : 0);
  sending.onload = () => {
    const data = parse(sending.responseText);
    if (sending.status >= 200 && sending.status < 300) resolve({ data });
    else reject(problem(target, sending.status, data, sending.getResponseHeader('retry-after')));
  };
  sending.onerror = sending.onabort = lost;
  if (signal.aborted) return lost();
  signal.addEventListener('abort', () => sending.abort(), { once: true });
  sending.send(form);
});

function parse(json) {
  try { return JSON.parse(json); } catch { return {}; }
}

/** The server's problem as an error. */
function problem(target, status, { code = 'internal', detail, errors }, retryAfter) {
  const message = detail ?? `${target} answers ${status}`;
  return new MangoError({ code, message, errors, retry_after_ms: Number(retryAfter) * 1000 || undefined });
}

/** Sends requests over REST, with the token of the connection. */
class Rest {
  #url;
  #token;

  /** `url` is null if the client was given a socket instead. */
  constructor(url, token) {
    this.#url = url;
    this.#token = token;
  }

  /** Returns a page, and the path of the next one. */
  async list(path) {
    const { response, data } = await this.send('GET', path);
    const link = response.headers.get('link') ?? '';
    const next = link.match(/<([^>]*)>; rel="next"/)?.[1];
    // The link has the path of the server's public URL, which `send` adds as well.
    const { pathname } = address(this.#url, '/');
    return { items: data, next: next ? next.replace(pathname, '/') : null };
  }

  /** Sends a form; returns the JSON of the response. */
  async upload(path, form, { timeoutMs, onProgress, signal }) {
    const send = onProgress && globalThis.XMLHttpRequest ? requestWithProgress(onProgress) : request;
    const timeout = AbortSignal.timeout(timeoutMs);
    const init = { form, signal: signal ? AbortSignal.any([signal, timeout]) : timeout };
    try {
      const { data } = await this.send('POST', path, undefined, init, send);
      onProgress?.(1);
      return data;
    } catch (error) {
      throw signal?.aborted ? new MangoError({ code: 'closed', message: 'cancelled' }) : error;
    }
  }

  /** Returns the response and its JSON, or its text. */
  async send(method, path, body, init = {}, send = request) {
    if (this.#url === null) throw new TypeError('this needs a client that was created with `url` instead of `socket`');
    const attempt = async (refresh) => {
      const token = typeof this.#token === 'function' ? await this.#token({ refresh }) : this.#token;
      return send(this.#url, method, path, { ...init, body, headers: token && { authorization: `Bearer ${token}` } });
    };
    try {
      return await attempt(false);
    } catch (error) {
      if (typeof this.#token !== 'function' || !/^token_/.test(error.code)) throw error;
      return attempt(true);
    }
  }
}

// --- tokens ---

/** An access token that expires within this time is refreshed before it is used. */
const EXPIRES_SOON_MS = 60_000;
/**
 * How long a lock is held after its job, in milliseconds. Other tabs see what a tab writes to the storage a moment
 * later, but they get a released lock at once.
 */
const STORAGE_DELAY_MS = 250;
const queues = new Map();

const post = async (url, path, body, init = {}) => (await request(url, 'POST', path, { ...init, body })).data;

/** Whether an error means that the session has ended, for any reason. */
const endsSession = ({ code }) => FINAL.has(code) || /^token_/.test(code) || code === 'invalid_credentials';
const toSessionEnded = (error) =>
  FINAL.has(error.code) ? error : new MangoError({ code: 'session_ended', message: `log in again: ${error.message}` });

/** Runs jobs with the same name one at a time; in all tabs of the origin if the browser has locks (https, localhost). */
function withLock(name, job) {
  if (globalThis.navigator?.locks) {
    return new Promise((resolve, reject) => {
      navigator.locks.request(name, async () => {
        await job().then(resolve, reject);
        await new Promise((done) => setTimeout(done, STORAGE_DELAY_MS));
      }).catch(reject);
    });
  }
  const done = (queues.get(name) ?? Promise.resolve()).then(job);
  queues.set(name, done.catch(() => {}));
  return done;
}

/** The storage that all tabs share, or memory if it is missing or forbidden. */
function defaultStorage() {
  try {
    if (globalThis.localStorage) return globalThis.localStorage;
  } catch { /* Some browsers forbid even reading the property. */ }
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
  /** The token that was returned last. A caller that asks for a refresh needs a different one. */
  let latest;
  // Always read the storage: another tab may have refreshed the tokens.
  const read = async () => JSON.parse((await storage.getItem(key)) ?? 'null');
  const write = async ({ access_token, refresh_token, expires_in }) => {
    const pair = { access_token, refresh_token, expires_at: Date.now() + expires_in * 1000 };
    await storage.setItem(key, JSON.stringify(pair));
    return pair;
  };
  const isUsable = (pair, rejected) => pair.expires_at - Date.now() > EXPIRES_SOON_MS && pair.access_token !== rejected;
  const requirePair = async () => {
    const pair = await read();
    if (!pair) throw new MangoError({ code: 'token_missing', message: 'not logged in: call login() or save() first' });
    return pair;
  };
  const refreshPair = async (rejected) => {
    const pair = await requirePair();
    if (isUsable(pair, rejected)) return pair;
    try {
      return await write(await post(url, '/auth/refresh', { refresh_token: pair.refresh_token }, { credentials: 'omit' }));
    } catch (error) {
      if (!endsSession(error)) throw error;
      const current = await read();
      // Without locks, another tab may have refreshed the tokens first.
      if (current && current.refresh_token !== pair.refresh_token) return current;
      await storage.removeItem(key);
      throw toSessionEnded(error);
    }
  };
  const token = async ({ refresh = false } = {}) => {
    // Read `latest` now: if another caller refreshes it first, this one uses the result.
    const rejected = refresh ? latest : undefined;
    let pair = await requirePair();
    if (!isUsable(pair, rejected)) pair = await withLock(`mango-chat ${key}`, () => refreshPair(rejected));
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
        if (!endsSession(error)) throw error;
      });
    },
    isLoggedIn: async () => Boolean(await read()),
  });
}

/** After a login with cookies, the browser sends them on its own; only a refresh needs a request. */
const cookieTokens = (url) => async ({ refresh }) => {
  if (!refresh) return undefined;
  const refreshCookies = () => post(url, '/auth/refresh', undefined, { credentials: 'include' });
  try {
    return (await withLock('mango-chat cookie', refreshCookies)).access_token;
  } catch (error) {
    throw endsSession(error) ? toSessionEnded(error) : error;
  }
};

// --- connections ---

/** The base of both connections: tracks each call until it is answered or the connection ends. */
class Connection {
  /** When data arrived last. */
  heardAt = Date.now();
  /** Whether `ready` has arrived. */
  isOpen = false;
  isOver = false;
  /** @type {?string} The event that announced the end. */
  endReason = null;
  #calls = new Set();
  #end;

  constructor(timeoutMs, onEvent) {
    this.timeoutMs = timeoutMs;
    this.onEvent = onEvent;
    /** Resolves with the reason when the connection is over. */
    this.lost = new Promise((resolve) => { this.#end = resolve; });
  }

  /** Releases the socket. */
  drop() {}

  /** Ends the connection; all calls without an answer fail. */
  fail(code = LOST, message = undefined) {
    if (this.isOver) return;
    this.isOver = true;
    this.drop();
    const error = new MangoError({ code: this.endReason ?? code, message });
    for (const { reject } of [...this.#calls]) reject(this.isOpen ? new MangoError({ code: LOST }) : error);
    this.#end(error);
  }

  /**
   * Starts a call with `start`. The connection ends if nothing arrives for longer than the timeout. `onAck` runs
   * synchronously, in the order in which acknowledgements and events arrive; a promise callback would run later.
   */
  track(start, onAck) {
    return new Promise((resolve, reject) => {
      if (this.isOver) return reject(new MangoError({ code: LOST }));
      let timer;
      const call = { resolve: (ack) => settle(resolve, ack), reject: (error) => settle(reject, error) };
      const settle = (callback, value) => {
        clearTimeout(timer);
        this.#calls.delete(call);
        callback(value);
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
        // For example, a payload that cannot be serialized as JSON.
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
      // The acknowledgement of a token that was sent with the upgrade request has no id.
      const { id, ...ack } = payload;
      this.#acks.get(id ?? 0)?.(ack);
      this.#acks.delete(id ?? 0);
    };
    // Browsers do not reveal the cause.
    let cause;
    socket.onclose = ({ code, reason }) => {
      const event = { 4401: 'token_expired', 4403: 'session_ended' }[code];
      if (event || this.isOpen) return this.fail(event);
      if (code !== 1006) cause = { message: `closed with ${code} ${reason}` };
      this.fail(UNREACHABLE, unreachable(url, cause).message);
    };
    socket.onerror = (event) => { cause = event.error ?? event; };
    // Sent even without a token: the server then rejects a connection without a cookie at once.
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
    // A dead peer never answers the closing handshake; `ws` can terminate without it.
    if (socket.terminate) setTimeout(() => socket.terminate(), 1000).unref?.();
  }
}

/** A socket of socket.io-client. The client decides when to reconnect, not the socket. */
class SocketIoConnection extends Connection {
  #off = [];

  open(socket, token) {
    this.socket = socket;
    if (token) socket.auth = { token };
    // The `ready` of an existing connection was missed: connect again.
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
      const onAnyEvent = (name, payload) => {
        this.heardAt = Date.now();
        if (name === 'ready') answer({ ok: true, ...payload });
        else this.onEvent(name, payload);
      };
      socket.onAny(onAnyEvent);
      this.#off.push(() => socket.offAny(onAnyEvent));
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

/** The server stops counting unread messages at this number. */
const MAX_UNREAD = 1000;
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

// --- synchronizer ---

/** The connection is replaced after this many attempts to fill a gap. */
const MAX_TRIES = 3;

/**
 * Keeps the replica in order. An event is applied if its `prev` is known, dropped if its `rev` is already known, and held
 * while there is a gap, which `sync` fills. During a `sync`, events of its chats are held too: its replies are then never
 * older than the replica.
 */
class Synchronizer {
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

// --- sender ---

/** A send that fails with one of these errors is retried. */
const TEMPORARY = new Set(['rate_limited', 'unavailable', 'internal', 'token_expired', 'session_ended']);
/** A send is given up after this many internal errors. */
const MAX_FAILURES = 5;

/** Sends the messages of each chat in the order of calls, each exactly once, even across reconnects. */
class Sender {
  /** Unsent messages, in the order of calls, by chat. */
  #queues = new Map();
  /** The same, by `clientId`. */
  #jobs = new Map();
  #sending = new Set();
  #options;

  /**
   * @param {object} options
   * @param {OutboxStore} [options.outbox]
   * @param {() => object} options.connection The open connection, if any.
   * @param {() => ?number} options.userId The user's own id, once it is known.
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
  async send(message) {
    const userId = this.#options.userId();
    const entry = userId === null ? message : { ...message, userId };
    const queued = this.#jobs.get(entry.clientId)?.entry;
    if (!queued) {
      this.#store((outbox) => outbox.save(entry));
    } else if (['chatId', 'content', 'messageType', 'replyTo', 'attachments'].some((key) => String(queued[key]) !== String(entry[key]))) {
      throw new MangoError({ code: 'client_id_conflict', message: 'another unsent message has this `clientId`' });
    }
    return this.enqueue(entry);
  }

  /** Queues a message, unless it is queued; returns the promise of the stored message. */
  enqueue(entry) {
    const { clientId, chatId } = entry;
    const queued = this.#jobs.get(clientId);
    if (queued) return queued.sent;
    const job = { entry, failures: 0 };
    job.sent = new Promise((resolve, reject) => Object.assign(job, { resolve, reject }));
    // No caller waits for an entry of the outbox.
    job.sent.catch(() => {});
    this.#jobs.set(clientId, job);
    if (!this.#queues.has(chatId)) this.#queues.set(chatId, []);
    this.#queues.get(chatId).push(job);
    this.#sendQueued(chatId);
    return job.sent;
  }

  /** Continues sending over a new connection. */
  resume() {
    for (const chatId of this.#queues.keys()) this.#sendQueued(chatId);
  }

  /** Drops what other users have not sent; the outbox keeps it for them. */
  keepOnly(userId) {
    for (const job of [...this.#jobs.values()]) {
      const { clientId, chatId, userId: author = null } = job.entry;
      if (author === null || author === userId) continue;
      this.#jobs.delete(clientId);
      const rest = this.#queues.get(chatId).filter((it) => it !== job);
      if (rest.length) this.#queues.set(chatId, rest);
      else this.#queues.delete(chatId);
      job.reject(new MangoError({ code: 'closed', message: 'another user has logged in' }));
    }
  }

  rejectAll(why) {
    for (const { reject } of this.#jobs.values()) reject(why);
    this.#jobs.clear();
    this.#queues.clear();
  }

  /** Sends a chat's queue one message at a time, so that a retry keeps the order. */
  async #sendQueued(chatId) {
    if (this.#sending.has(chatId)) return;
    this.#sending.add(chatId);
    const { connection, apply } = this.#options;
    for (let job; connection() && (job = this.#queues.get(chatId)?.[0]);) {
      const { clientId: client_id, content, messageType: message_type, replyTo: reply_to, attachments } = job.entry;
      const message = { chat_id: chatId, content, message_type, client_id, reply_to, attachments };
      try {
        await connection().call('send_message', { message }, (ack) => {
          this.#remove(job);
          apply(ack).then(() => job.resolve(ack.message));
        });
      } catch (error) {
        if (error.code === LOST) break;
        job.failures += error.code === 'internal' ? 1 : 0;
        if (TEMPORARY.has(error.code) && job.failures < MAX_FAILURES) {
          await sleep(error.retryAfterMs ?? 500);
          continue;
        }
        this.#remove(job);
        job.reject(error);
      }
    }
    this.#sending.delete(chatId);
  }

  #remove(job) {
    const { chatId, clientId } = job.entry;
    // `rejectAll` may have dropped the job, and the application may have sent the message again.
    if (this.#jobs.get(clientId) === job) {
      this.#jobs.delete(clientId);
      const queue = this.#queues.get(chatId);
      queue.shift();
      if (!queue.length) this.#queues.delete(chatId);
    }
    this.#store((outbox) => outbox.remove(clientId));
  }

  /** A failing outbox is reported, and delays no message. */
  async #store(change) {
    const { outbox, onError } = this.#options;
    try {
      if (outbox) await change(outbox);
    } catch (error) {
      onError(error);
    }
  }
}

// --- connector ---

/** The client gives up after more rejected tokens in a row than this. */
const MAX_REJECTED_TOKENS = 5;

/** Maintains one connection: connects, and reconnects until closed or dismissed. */
class Connector {
  /** @type {Status} */
  status = 'closed';
  /** The connection that is ready. */
  connection = null;
  #opening = null;
  #options;
  #handlers;
  #waiters = new Set();
  /** The current `connect`, until `close` or a dismissal ends it. */
  #session = null;
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
    if (this.#session) {
      this.#wake();
    } else {
      const session = (this.#session = {});
      this.#running = this.#running.then(() => this.#run(session));
    }
    const online = this.#when(() => this.status === 'online');
    online.catch(() => {});
    return online;
  }

  close() {
    if (this.#session) this.#stop('closed', new MangoError({ code: 'closed' }));
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
    this.#session = null;
    this.#opening?.fail('closed');
    this.connection = null;
    this.#wake();
    for (const { reject } of [...this.#waiters]) reject(why);
    this.#handlers.onStop(why);
    // Last, because a listener may connect again.
    this.#setStatus(status);
  }

  async #run(session) {
    const { token, backoff } = this.#options;
    const { emit, prepare } = this.#handlers;
    await prepare();
    const online = () => this.#wake();
    // A connection does not notice at once that the network is gone.
    const offline = () => this.#isCutOff().then((isCutOff) => { if (isCutOff) this.connection?.fail(); });
    globalThis.addEventListener?.('online', online);
    globalThis.addEventListener?.('offline', offline);
    let [failures, rejectedTokens, refresh, isReported] = [0, 0, false, false];
    while (this.#session === session) {
      this.#setStatus('connecting');
      // A listener may have called `close`.
      if (this.#session !== session) break;
      const why = await this.#attempt(refresh);
      if (this.#session !== session) break;
      if (this.#wasOnline) [failures, rejectedTokens, isReported, this.#wasOnline] = [0, 0, false, false];
      const wasRefreshed = refresh;
      refresh = /^token_/.test(why.code);
      if (refresh) rejectedTokens += 1;
      const cannotRefresh = typeof token !== 'function' || rejectedTokens > MAX_REJECTED_TOKENS
        || (why.code === 'token_missing' && wasRefreshed);
      if (FINAL.has(why.code) || (refresh && cannotRefresh)) {
        emit('error', why);
        if (this.#session === session) this.#stop('dismissed', why);
        break;
      }
      // An unreachable server is reported once per outage.
      const isUnreachable = why.code === UNREACHABLE;
      if (why.code !== LOST && !(isUnreachable && isReported)) emit('error', why);
      if (this.#session !== session) break;
      isReported ||= isUnreachable;
      const backoffDelay = Math.min(backoff.max, backoff.min * 2 ** failures) * (0.5 + Math.random() / 2);
      const delay = this.#retryAfter ?? why.retryAfterMs ?? (rejectedTokens === 1 && refresh ? 0 : backoffDelay);
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
    globalThis.removeEventListener?.('offline', offline);
  }

  /** Whether the browser is offline and cannot reach the server; one on the same machine can be reached all the same. */
  async #isCutOff() {
    const { url } = this.#options;
    if (!url || globalThis.navigator?.onLine !== false) return false;
    const target = address(url, '/health/live');
    return fetch(target, { method: 'HEAD', cache: 'no-store', signal: AbortSignal.timeout(5000) }).then(() => false, () => true);
  }

  /** Runs one connection from start to end; returns why it ended. */
  async #attempt(refresh) {
    const { socket, url, token, usesCookies, WebSocket, timeoutMs } = this.#options;
    const { onOpening, onReady, onOpen, onLost } = this.#handlers;
    const Kind = socket ? SocketIoConnection : WebSocketConnection;
    const connection = new Kind(timeoutMs, (name, data) => this.#handleEvent(connection, name, data));
    this.#opening = connection;
    onOpening();
    try {
      if (await this.#isCutOff()) throw unreachable(url, { message: 'the browser is offline' });
      const accessToken = typeof token === 'function' ? await token({ refresh }) : token;
      if (!accessToken && !socket && !usesCookies) {
        throw new MangoError({ code: 'token_missing', message: 'the option `token` is missing, or its function returned none' });
      }
      // If `close` was called meanwhile, do not connect: nothing would close the connection.
      if (connection.isOver) return await connection.lost;
      const target = socket ? [socket] : [url, WebSocket];
      const { ok, ...ready } = await connection.open(...target, accessToken);
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

  /** Pings the server after a silence. */
  #keepAlive(connection) {
    const { aliveMs } = this.#options;
    const timer = setInterval(() => {
      if (Date.now() - connection.heardAt >= aliveMs) connection.call('sync', { only: [] }).catch(() => {});
    }, aliveMs / 4);
    connection.lost.then(() => clearInterval(timer));
  }

  #handleEvent(connection, name, data) {
    const { emit, onEvent } = this.#handlers;
    if (name !== 'ready') emit(name, data);
    switch (name) {
      case 'token_expired': case 'session_ended': case 'user_banned': connection.endReason = name; return;
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

  /** Waits until `test` returns true; checked whenever the status changes. */
  #when(test) {
    return new Promise((resolve, reject) => {
      if (test()) return resolve();
      if (!this.#session) return reject(new MangoError({ code: 'closed' }));
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
  message_edited message_deleted message_liked message_reacted message_pinned message_unpinned draft_saved
  join_requested join_declined chat_read typing presence sync_hint user_updated followed unfollowed
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
        // A listener that throws must not stop the client; its error is reported like any uncaught one.
        queueMicrotask(() => { throw error; });
      }
    }
  }
}

// --- requests ---

/** Sends commands over the connection and applies the changes in their responses. */
class Requests {
  #connector;
  #synchronizer;
  #userId;

  constructor(connector, synchronizer, userId) {
    this.#connector = connector;
    this.#synchronizer = synchronizer;
    this.#userId = userId;
  }

  /** Waits for the connection, then sends a command. A `repeatable` command is sent again if its response is lost. */
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

  /**
   * Sends a command and waits until its change is applied. `toEvent` converts the response, and its position in the
   * chat if it has one, to the event to apply.
   */
  async change(event, payload, toEvent) {
    let applied;
    const ack = await this.send(event, payload, true, (answer) => {
      const { chat_id: chat, rev, prev } = answer;
      const change = toEvent(answer, rev && { chat, rev, prev, by: this.#userId() });
      applied = change && this.#synchronizer.applied(...change);
    });
    await applied;
    return ack;
  }
}

// --- commands ---

/** A new `client_id`. */
const randomId = () =>
  Array.from(globalThis.crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('');

/** The commands of a client that need nothing but its requests, and what it knows. */
class Commands {
  /** @internal */
  _replica;
  /** @internal */
  _requests;
  /** @internal */
  _rest;

  /** @returns {Map<number, ChatState>} The user's chats, by id. */
  get chats() { return this._replica.chats; }

  /** @returns {Map<number, {online: boolean, last_seen_at: ?string}>} Presence of the watched users, by id. */
  get presence() { return this._replica.presence; }

  /** @returns {Map<number, {following: boolean, blocked: boolean}>} Users whom the user follows or blocks, by id. */
  get contacts() { return this._replica.contacts; }

  /** @returns {?number} The user's own id. */
  get userId() { return this._replica.userId; }

  /**
   * Uploads a file for a message to a chat; send its `id` in `attachments`.
   * @param {number} chatId
   * @param {Blob} file
   * @param {{name?: string, asFile?: boolean, timeoutMs?: number, onProgress?: (share: number) => void,
   *   signal?: AbortSignal}} [options] With `asFile` a picture is stored as it is. `onProgress` gets the sent share, 0 to 1;
   *   in a browser as it grows. `signal` cancels: the promise is rejected with `closed`.
   * @returns {Promise<Attachment>}
   */
  upload(chatId, file, { name, asFile = false, timeoutMs = 300_000, onProgress, signal } = {}) {
    const form = new FormData();
    form.append('file', file, name ?? /** @type {File} */ (file).name ?? '');
    return this._rest.upload(`/chat/${chatId}/attachment?as_file=${asFile}`, form, { timeoutMs, onProgress, signal });
  }

  /**
   * Sends a REST request with the token of the connection; resolves with the JSON or text of the response.
   * @param {string} method
   * @param {string} path Such as `/user/me`.
   * @param {object} [body] Sent as JSON.
   * @param {{form?: FormData, signal?: AbortSignal}} [options] A form instead of `body`.
   * @returns {Promise<any>}
   */
  async rest(method, path, body, { form, signal } = {}) {
    const init = { ...(form && { form }), ...(signal && { signal }) };
    return (await this._rest.send(method, path, body, init)).data;
  }

  /**
   * Fetches a page of a list over REST.
   * @param {string} path Such as `/user?query=bob`, or `next` of the page before.
   * @returns {Promise<{items: object[], next: ?string}>}
   */
  list(path) {
    return this._rest.list(path);
  }

  /**
   * Reacts to a message with an emoji, or removes the reaction.
   * @param {number} messageId
   * @param {string} emoji
   * @param {boolean} [on]
   * @returns {Promise<Reaction[]>} The message's reactions.
   */
  async react(messageId, emoji, on = true) {
    const toEvent = (ack, position) => position && ['message_reacted', { ...ack, ...position, message_id: messageId }];
    const ack = await this._requests.change('toggle_reaction', { message: { id: messageId, emoji }, on }, toEvent);
    return ack.reactions;
  }

  /**
   * Pins or unpins a message for all members of its chat.
   * @param {number} messageId
   * @param {boolean} [pinned]
   * @returns {Promise<void>}
   */
  async pin(messageId, pinned = true) {
    const toEvent = (_, position) => position && [null, { chat: position.chat, upto: position.rev }];
    await this._requests.change('toggle_message_pin', { message: { id: messageId, pinned } }, toEvent);
  }

  /**
   * Sends a copy of a message to another chat.
   * @param {number} messageId
   * @param {number} chatId
   * @param {{clientId?: string}} [options]
   * @returns {Promise<Message>} The copy.
   */
  async forward(messageId, chatId, { clientId = randomId() } = {}) {
    const payload = { message: { id: messageId, client_id: clientId }, chat: { id: chatId } };
    const toEvent = ({ message, duplicate }, position) => {
      if (!position || duplicate) return [null, { chat: chatId, message, upto: message.rev }];
      return ['new_message', { ...message, prev: position.prev, by: this.userId, at: message.created_at }];
    };
    return (await this._requests.change('forward_message', payload, toEvent)).message;
  }

  /**
   * Saves what the user has begun to write, for all of their devices; an empty text removes it.
   * @param {number} chatId
   * @param {string} content
   * @param {{replyTo?: ?number}} [options]
   * @returns {Promise<?SavedDraft>}
   */
  async saveDraft(chatId, content, { replyTo = null } = {}) {
    const payload = { chat: { id: chatId }, content, reply_to: replyTo };
    return (await this._requests.send('save_draft', payload)).draft;
  }

  /**
   * Reports a message or a user to the moderators.
   * @param {{messageId?: number, userId?: number}} subject one of them
   * @param {string} reason
   * @returns {Promise<Report>}
   */
  async report({ messageId, userId }, reason) {
    const message = messageId === undefined ? undefined : { id: messageId };
    const user = userId === undefined ? undefined : { id: userId };
    return (await this._requests.send('report', { message, user, reason })).report;
  }

  /**
   * Creates an invite link of a group.
   * @param {number} chatId
   * @param {{expiresInSecs?: number, maxUses?: number, approval?: boolean}} [options]
   * @returns {Promise<Invite>}
   */
  async createInvite(chatId, { expiresInSecs, maxUses, approval = false } = {}) {
    const body = { expires_in_secs: expiresInSecs, max_uses: maxUses, approval };
    return (await this._rest.send('POST', `/chat/${chatId}/invite`, body)).data;
  }

  /**
   * @param {number} chatId
   * @param {number} inviteId
   */
  async revokeInvite(chatId, inviteId) {
    await this._rest.send('DELETE', `/chat/${chatId}/invite/${inviteId}`);
  }

  /**
   * Shows the group that an invite link leads to.
   * @param {string} token
   * @returns {Promise<InvitePreview>}
   */
  async previewInvite(token) {
    return (await this._rest.send('GET', `/invite/${encodeURIComponent(token)}`)).data;
  }

  /**
   * Joins a group by an invite link; resolves with null if the group's admins have to approve first.
   * @param {string} token
   * @returns {Promise<?ChatState>}
   */
  async acceptInvite(token) {
    const toEvent = ({ chat }) => chat && [null, { chat: chat.id, upto: chat.rev }];
    const { chat } = await this._requests.change('accept_invite', { invite: { token } }, toEvent);
    return chat ? this.chats.get(chat.id) ?? null : null;
  }

  /**
   * Lets a user join who has asked for it, or declines.
   * @param {number} chatId
   * @param {number} userId
   * @param {boolean} [approve]
   */
  async answerJoinRequest(chatId, userId, approve = true) {
    await this._requests.send(approve ? 'approve_join' : 'decline_join', { chat: { id: chatId }, user: { id: userId } });
  }

  /**
   * Bans a user from a group; a member is removed.
   * @param {number} chatId
   * @param {number} userId
   * @param {{reason?: string, seconds?: number}} [options] Without `seconds` the ban has no end.
   * @returns {Promise<ChatBan>}
   */
  async ban(chatId, userId, { reason, seconds } = {}) {
    const payload = { chat: { id: chatId }, user: { id: userId }, reason, seconds };
    return (await this._requests.send('ban_member', payload)).ban;
  }

  /**
   * @param {number} chatId
   * @param {number} userId
   */
  async unban(chatId, userId) {
    await this._requests.send('unban_member', { chat: { id: chatId }, user: { id: userId } });
  }

  /**
   * A page of what belongs to a group, for its owner and admins.
   * @param {number} chatId
   * @param {'invite'|'join_request'|'ban'} what
   * @param {{next?: string, limit?: number}} [options] `next` of the page before.
   * @returns {Promise<{items: object[], next: ?string}>}
   */
  ofChat(chatId, what, { next, limit = 50 } = {}) {
    return this._rest.list(next ?? `/chat/${chatId}/${what}?limit=${limit}`);
  }

  /**
   * A page of the users who like a message, of its reactions, of the members who have read it, or of its earlier versions.
   * @param {number} messageId
   * @param {'likes'|'reactions'|'reads'|'edits'} what
   * @param {{next?: string, limit?: number}} [options] `next` of the page before.
   * @returns {Promise<{items: object[], next: ?string}>}
   */
  about(messageId, what, { next, limit = 50 } = {}) {
    return this._rest.list(next ?? `/message/${messageId}/${what}?limit=${limit}`);
  }

  /**
   * A message's content as HTML that is safe to insert into a page.
   * @param {number} messageId
   * @returns {Promise<string>}
   */
  async rendered(messageId) {
    return (await this._rest.send('GET', `/message/${messageId}/rendered`)).data;
  }

  /**
   * A page of the messages that contain all words, best first. Each result has the `message`, a `snippet` of parts
   * `{text, hit}`, which is plain text, and a `rank` from 0 to 1.
   * @param {string} q The words; there are no operators.
   * @param {{chatId?: number, author?: number, type?: string, from?: string, to?: string, prefix?: boolean,
   *   sort?: 'rank'|'date', next?: string, limit?: number}} [options] `from` and `to` are times or dates; `prefix` says
   *   that the last word is still being typed; `next` of the page before.
   * @returns {Promise<{items: {message: Message, snippet: {text: string, hit: boolean}[], rank: number}[], next: ?string}>}
   */
  search(q, { chatId, next, ...options } = {}) {
    const query = new URLSearchParams({ q });
    for (const [name, value] of Object.entries(options)) if (value !== undefined) query.set(name, value);
    return this._rest.list(next ?? `${chatId === undefined ? '' : `/chat/${chatId}`}/search?${query}`);
  }

  /**
   * A page of the pinned messages of a chat, latest pin first.
   * @param {number} chatId
   * @param {{next?: string, limit?: number}} [options] `next` of the page before.
   * @returns {Promise<{items: Message[], next: ?string}>}
   */
  pinnedMessages(chatId, { next, limit = 50 } = {}) {
    return this._rest.list(next ?? `/chat/${chatId}/pinned_messages?limit=${limit}`);
  }
}

// --- client ---

/** The chats of one user, kept up to date over one connection at a time. */
export class MangoChat extends Commands {
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
   * @param {number} [options.aliveMs] After this time without data the server is pinged, milliseconds;
   *   default 30000.
   */
  constructor(options = {}) {
    super();
    const {
      url = '/', socket, WebSocket = globalThis.WebSocket, state, outbox, keep = 1000, maxBehind = keep,
      backoff = {}, tellUnread = false, timeoutMs = 20_000, aliveMs = 30_000,
    } = options;
    // An explicit `token: undefined` is an error, not cookie mode.
    const usesCookies = !('token' in options) && !socket && globalThis.location !== undefined;
    const token = usesCookies ? cookieTokens(url) : options.token;
    const settings = { socket, token, usesCookies, WebSocket, timeoutMs, aliveMs, backoff: { min: 500, max: 30_000, ...backoff } };
    if (!socket) {
      if (!WebSocket) throw new TypeError('there is no WebSocket here: pass the class as an option');
      settings.url = address(url, '/ws');
      settings.url.protocol = settings.url.protocol.replace('http', 'ws');
    }
    const emit = (name, ...data) => this.#listeners.emit(name, ...data);
    this._replica = this.#replica = new Replica({ keep, emit });
    this._rest = new Rest(socket ? null : url, token);
    const onUpToDate = () => this.#connector.setOnline();
    this.#synchronizer = new Synchronizer(this.#replica, emit, { maxBehind, tellUnread, onUpToDate });
    this.#connector = new Connector(settings, {
      emit,
      prepare: () => this.#sender.load(),
      onOpening: () => this.#synchronizer.hold(),
      onReady: (ready) => { this.#setUser(ready.user_id); emit('ready', ready); },
      onOpen: (connection) => this.#resume(connection),
      onEvent: (name, data) => this.#handleEvent(name, data),
      onLost: () => this.#synchronizer.stop(),
      onStop: (why) => this.#end(why),
    });
    this._requests = this.#requests = new Requests(this.#connector, this.#synchronizer, () => this.userId);
    this.#sender = new Sender({
      outbox, connection: () => this.#connector.connection, apply: (ack) => this.#applySent(ack),
      userId: () => this.userId, onError: (error) => emit('error', error),
    });
    if (state?.version === 1) {
      const { outbox: unsent, ...replicaState } = structuredClone(state);
      this.#replica.restore(replicaState);
      for (const entry of unsent) this.#sender.enqueue(entry);
    }
  }

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
   * Connects and stays connected until `close`. Resolves when everything is up to date, rejects if the client is dismissed.
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
    const isSame = this.#replica.setUser(userId);
    this.#sender.keepOnly(userId);
    if (isSame) return;
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
    for (const chat of this.chats.values()) chat.notify(null);
  }

  #handleEvent(name, data) {
    switch (name) {
      case 'typing': this.#replica.setTyping(data); return;
      case 'presence': this.#replica.setPresence(data); return;
      case 'sync_hint':
        if (data.rev > (this.chats.get(data.chat)?.rev ?? 0)) this.#synchronizer.fetch(data.chat);
        return;
      default: if (data?.chat || data?.user || name in CONTACT) this.#synchronizer.take({ name, data });
    }
  }

  /** Applies a send's acknowledgement in place of the event, which the sending connection does not get. */
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
   * @param {{messageType?: string, replyTo?: ?number, attachments?: number[], clientId?: string}} [options]
   * @returns {Promise<Message>}
   */
  send(chatId, content, { messageType = 'text', replyTo = null, attachments = [], clientId = randomId() } = {}) {
    return this.#sender.send({ clientId, chatId, content, messageType, replyTo, attachments });
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
    const toEvent = ({ message }, position) => position && ['message_edited', { ...position, message }];
    return (await this.#requests.change('edit_message', { message: { id: messageId, content } }, toEvent)).message;
  }

  /**
   * @param {number} messageId
   * @returns {Promise<Message>} The deleted message.
   */
  async delete(messageId) {
    const toEvent = ({ message }, position) => position && ['message_deleted', { ...position, message }];
    return (await this.#requests.change('delete_message', { message: { id: messageId } }, toEvent)).message;
  }

  /**
   * @param {number} messageId
   * @param {boolean} [liked]
   * @returns {Promise<{liked: boolean, likes: number}>}
   */
  async like(messageId, liked = true) {
    const toEvent = (ack, position) => position && ['message_liked', { ...ack, ...position, message_id: messageId }];
    const ack = await this.#requests.change('toggle_like_message', { message: { id: messageId, liked } }, toEvent);
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
   * Tells the server that the user is typing, or has stopped. Without a connection nothing is sent.
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
    const ack = await this.#requests.change('create_chat', { chat, message }, ({ chat: created }, position) => {
      if (!position) return [null, { chat: created.id, upto: 1 }];
      if (position.prev === 0) return ['chat_created', { ...position, details: created }];
      return ['new_message', { ...created.last_message, ...position }];
    });
    return this.chats.get(ack.chat.id);
  }

  /**
   * Returns a page of messages, oldest first. A page that is adjacent to the known messages of the chat is added to them.
   * @param {number} chatId
   * @param {{before?: number, after?: number, around?: number, date?: string, limit?: number}} [range] One `seq`, or a
   *   time; `before` and `after` are exclusive. A page `around` a message, or the first one not older than `date`, is not
   *   added to the chat's `messages`.
   * @returns {Promise<{messages: Message[], hasMore: boolean}>}
   */
  async history(chatId, { before, after, around, date, limit } = {}) {
    const ack = await this.#requests.send('history', { chat: { id: chatId }, before, after, around, date, limit });
    const messages = ack.messages.sort((a, b) => a.seq - b.seq);
    if (around === undefined && date === undefined) this.chats.get(chatId)?.mergePage(messages, { before, after, hasMore: ack.has_more });
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
    presence.forEach((entry) => this.#replica.setPresence(entry));
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
