// What all suites of this folder share: accounts, REST, and a thin recorder around the unchanged socket.io-client. It
// contains no rule of the chat: only the tests say what is right.
//
// MANGO_URL is the URL of a running server (MANGO_ENV=test, no rate limit); MANGO_JWT_SECRET is its JWT_SECRET, with
// which the tests forge tokens. `scripts/test clients` sets both, and for the Python suite MANGO_ADMIN_PASSWORD, the
// password of its admin `root`.

import assert from 'node:assert/strict';
import { createHmac, randomBytes, randomInt } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { io } from 'socket.io-client';

export { sleep };

export const url = process.env.MANGO_URL;
export const jwtSecret = process.env.MANGO_JWT_SECRET;
if (!url) throw new Error('MANGO_URL is not set: run `scripts/test clients`');

/** The time limit for anything that must arrive, in milliseconds. */
const PATIENCE = 10_000;

// --- message types ----------------------------------------------------------------------------

/** The 25 types in the order of their ids, 1 to 25. */
export const MESSAGE_TYPES = [
  'text', 'html', 'json', 'xml', 'binary', 'image', 'pdf', 'csv', 'excel', 'word', 'zip', 'gzip', 'tar',
  'audio', 'video', 'rtf', 'yaml', 'javascript', 'css', 'svg', 'markdown', 'protobuf', 'avro', 'parquet', 'orc',
];

/**
 * What `Message.message_type` is in answers and events: 'name' or 'id'. Mango's clients send the name
 * and get it back in `new_message`; only Mango's own `GET /message/{chat_id}` returns the number.
 */
const MESSAGE_TYPE_IN_ANSWERS = 'name';

/** Returns the given type as it appears in answers. */
export function typeAsAnswered(name) {
  return MESSAGE_TYPE_IN_ANSWERS === 'name' ? name : MESSAGE_TYPES.indexOf(name) + 1;
}

// --- doors ------------------------------------------------------------------------------------

const transports = [
  { label: 'websocket', transports: ['websocket'] },
  { label: 'polling', transports: ['polling'] },
  { label: 'polling, then upgrade', transports: ['polling', 'websocket'] },
];

const mounts = [
  { path: '/ws/socket.io', namespace: '/' },
  { path: '/ws/socket.io', namespace: '/ws' },
  { path: '/socket.io', namespace: '/' },
  { path: '/socket.io', namespace: '/ws' },
];

/** Every door: a combination of transport, path and namespace. */
export const doors = transports.flatMap((transport) =>
  mounts.map((mount) => ({
    ...transport,
    ...mount,
    label: `${mount.path} namespace ${mount.namespace} over ${transport.label}`,
  })),
);

/** The door of Mango's clients, for tests in which the door does not matter. */
export const usualDoor = doors.find((door) => door.path === '/ws/socket.io' && door.namespace === '/ws');

/** Returns a door that differs from the given one in transport, path and namespace. */
export function oppositeDoor(door) {
  return doors.find(
    (other) =>
      other.path !== door.path &&
      other.namespace !== door.namespace &&
      (other.transports.length !== door.transports.length || other.transports[0] !== door.transports[0]),
  );
}

// --- REST -------------------------------------------------------------------------------------

/**
 * Sends a request: `body` as JSON, `form` URL-encoded, `raw` unchanged.
 * Returns `{status, headers, body, text, bytes}`; `body` is the parsed JSON or null.
 */
export async function request(method, path, { user, token = user?.accessToken, body, form, raw, headers = {} } = {}) {
  const all = { ...headers };
  if (token) all.authorization = `Bearer ${token}`;
  let payload = raw;
  if (body !== undefined) {
    all['content-type'] ??= 'application/json';
    payload = JSON.stringify(body);
  } else if (form !== undefined) {
    payload = new URLSearchParams(form);
  }
  const response = await fetch(new URL(path, url), {
    method, headers: all, body: payload, redirect: 'manual', signal: AbortSignal.timeout(PATIENCE),
  });
  const bytes = Buffer.from(await response.arrayBuffer());
  const text = bytes.toString('utf8');
  const isJson = /json/.test(response.headers.get('content-type') ?? '');
  return { status: response.status, headers: response.headers, text, bytes, body: isJson && text ? JSON.parse(text) : null };
}

/** Sends a request that must be answered with this status; returns the body. */
export async function expectStatus(status, method, path, options) {
  const answer = await request(method, path, options);
  assert.equal(answer.status, status, `${method} ${path}: ${answer.status} ${answer.text.slice(0, 500)}`);
  assert.ok(answer.headers.get('x-request-id'), `${method} ${path}: every answer has an x-request-id`);
  return answer.body;
}

/** Sends a request that must be refused by an RFC 9457 problem with these values; returns `{...answer, problem}`. */
export async function expectProblem(status, code, method, path, options) {
  const answer = await request(method, path, options);
  const where = `${method} ${path}: ${answer.status} ${answer.text.slice(0, 500)}`;
  assert.equal(answer.status, status, where);
  assert.match(answer.headers.get('content-type') ?? '', /^application\/problem\+json/, where);
  const problem = answer.body;
  for (const key of ['type', 'title', 'detail', 'code', 'request_id']) {
    assert.equal(typeof problem[key], 'string', `${where}: ${key}`);
  }
  assert.equal(problem.status, status, where);
  assert.equal(problem.code, code, where);
  assert.equal(problem.request_id, answer.headers.get('x-request-id'), where);
  assert.ok('errors' in problem, `${where}: errors is always present`);
  if (status === 401) assert.match(answer.headers.get('www-authenticate') ?? '', /^Bearer/, where);
  return { ...answer, problem };
}

/** Returns the target of `Link: <…>; rel="next"` as path and query, or null. */
export function nextLink(headers) {
  const match = /<([^>]+)>\s*;\s*rel="?next"?/.exec(headers.get('link') ?? '');
  if (!match) return null;
  const target = new URL(match[1], url);
  return target.pathname + target.search;
}

/** Returns all items of a REST list, from all pages. */
export async function everyPage(path, user) {
  const items = [];
  for (let next = path, pages = 0; next; pages += 1) {
    assert.ok(pages < 100, `${path} has no end`);
    const answer = await request('GET', next, { user });
    assert.equal(answer.status, 200, `GET ${next}: ${answer.text.slice(0, 300)}`);
    assert.ok(Array.isArray(answer.body), `GET ${next}: lists are plain arrays`);
    items.push(...answer.body);
    next = nextLink(answer.headers);
  }
  return items;
}

// --- accounts ---------------------------------------------------------------------------------

export const unique = (prefix = 'u') => `${prefix}_${randomBytes(6).toString('hex')}`;
export const uniquePhone = () => `+7900${String(randomInt(1e9)).padStart(9, '0')}`;

/** Logs in; returns `{accessToken, refreshToken, answer}`. */
export async function login(username, password) {
  const answer = await expectStatus(200, 'POST', '/auth/login', { body: { username, password } });
  return { accessToken: answer.access_token, refreshToken: answer.refresh_token, answer };
}

/** Creates a user with a session. */
export async function newUser(name = 'user', extra = {}) {
  const username = unique(name);
  const password = `correct horse ${randomBytes(4).toString('hex')}`;
  const me = await expectStatus(201, 'POST', '/user', { body: { username, password, name, ...extra } });
  return { id: me.id, username, password, name, me, ...(await login(username, password)) };
}

export const newUsers = (...names) => Promise.all(names.map((name) => newUser(name)));

// --- tokens -----------------------------------------------------------------------------------

const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');

/** Returns the claims of a JSON Web Token without checking it. */
export const claimsOf = (token) => JSON.parse(Buffer.from(token.split('.')[1], 'base64url').toString());

/** Returns a token with these claims, signed with HS256 and the given key. */
export function signed(claims, key = jwtSecret, header = { alg: 'HS256', typ: 'JWT' }) {
  const head = `${part(header)}.${part(claims)}`;
  return `${head}.${createHmac('sha256', key).update(head).digest('base64url')}`;
}

/** Returns the same token, but expired; signed as by the server. */
export function expired(token) {
  const past = Math.floor(Date.now() / 1000) - 3600;
  return signed({ ...claimsOf(token), iat: past - 1800, ...('nbf' in claimsOf(token) ? { nbf: past - 1800 } : {}), exp: past });
}

/** Returns a token with the same claims and `alg: none`. */
export const unsigned = (token) => `${part({ alg: 'none', typ: 'JWT' })}.${part(claimsOf(token))}.`;

// --- Socket.IO --------------------------------------------------------------------------------

/** Creates a socket that is not connected yet; `options` are passed to the stock client unchanged. */
export function openSocket(door, options = {}) {
  const target = door.namespace === '/' ? url : new URL(door.namespace, url).href;
  return io(target, { path: door.path, transports: door.transports, forceNew: true, reconnection: false, ...options });
}

/** The five ways to send a token in the handshake. */
export const tokenForms = [
  { label: 'an auth header', options: (token) => ({ extraHeaders: { auth: token } }) },
  { label: 'an auth header with Bearer prefix', options: (token) => ({ extraHeaders: { auth: `Bearer ${token}` } }) },
  { label: 'Authorization: Bearer', options: (token) => ({ extraHeaders: { authorization: `Bearer ${token}` } }) },
  { label: 'the payload of CONNECT', options: (token) => ({ auth: { token } }) },
  { label: 'the access_token cookie', options: (token) => ({ extraHeaders: { cookie: `access_token=${token}` } }) },
];

/** A connection of a user that records every event in the order of arrival. */
export class Client {
  constructor(socket) {
    this.socket = socket;
    this.events = []; // {name, payload}
    this.waiters = new Set();
    this.disconnected = null;
    socket.onAny((name, payload) => {
      this.events.push({ name, payload });
      for (const check of [...this.waiters]) check();
    });
    socket.on('disconnect', (reason) => {
      this.disconnected = reason;
      for (const check of [...this.waiters]) check();
    });
  }

  /** Waits until `look` returns a value, at once or after a later event. */
  #until(look, what) {
    return new Promise((resolve, reject) => {
      const check = () => {
        const found = look();
        if (found === undefined || found === null) return;
        clearTimeout(timer);
        this.waiters.delete(check);
        resolve(found);
      };
      const timer = setTimeout(() => {
        this.waiters.delete(check);
        const seen = this.events.map(({ name }) => name).join(', ') || 'nothing';
        reject(new Error(`waited ${PATIENCE} ms for ${what}; this connection has seen: ${seen}`));
      }, PATIENCE);
      this.waiters.add(check);
      check();
    });
  }

  /** Returns the first event with this name for which `fits` is true, received already or later. */
  next(name, fits = () => true) {
    return this.#until(() => this.events.find((event) => event.name === name && fits(event.payload))?.payload, name);
  }

  /** Returns the nth event with this name, counted from 1. */
  nth(number, name) {
    return this.#until(() => this.all(name)[number - 1], `${name} number ${number}`);
  }

  /** Waits until the connection ends; returns the stock client's reason. */
  ended() {
    return this.#until(() => this.disconnected, 'the end of the connection');
  }

  /** Returns all payloads of this event so far. */
  all(name, fits = () => true) {
    return this.events.filter((event) => event.name === name && fits(event.payload)).map(({ payload }) => payload);
  }

  /** Emits an event and returns the ack, whether it is a success or a failure. */
  call(event, ...payload) {
    return this.socket.timeout(PATIENCE).emitWithAck(event, ...payload);
  }

  /** Emits an event; the ack must be a success. */
  async ok(event, payload) {
    const ack = await this.call(event, payload);
    assert.equal(ack?.ok, true, `${event}: ${JSON.stringify(ack)}`);
    return ack;
  }

  /** Emits an event; the ack must be a failure with this code, or one of these. Returns its error. */
  async refused(codes, event, ...payload) {
    const ack = await this.call(event, ...payload);
    assert.equal(ack?.ok, false, `${event} has to fail: ${JSON.stringify(ack)}`);
    assert.equal(typeof ack.error?.message, 'string', `${event}: ${JSON.stringify(ack)}`);
    assert.ok([codes].flat().includes(ack.error.code), `${event}: wanted ${codes}: ${JSON.stringify(ack)}`);
    return ack.error;
  }

  /** Sends a text; returns the ack. */
  send(chatId, content, extra = {}) {
    return this.ok('send_message', { message: { chat_id: chatId, content, message_type: 'text', ...extra } });
  }

  close() {
    this.socket.disconnect();
  }
}

/** Connects and waits for `ready`. */
export async function connect(user, door = usualDoor, options = undefined) {
  const socket = openSocket(door, options ?? { auth: { token: user.accessToken } });
  const client = new Client(socket);
  const refusal = new Promise((_, reject) => {
    socket.once('connect_error', (error) => reject(new Error(`${door.label}: ${error.message}`)));
  });
  try {
    client.ready = await Promise.race([client.next('ready'), refusal]);
  } catch (error) {
    socket.disconnect();
    throw error;
  }
  refusal.catch(() => {});
  return client;
}

/** Opens a connection that must be refused; returns the message of `connect_error`. */
export async function refusal(door, options) {
  const socket = openSocket(door, options);
  try {
    return await new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`${door.label}: neither refused nor connected`)), PATIENCE);
      const settle = (done) => (value) => { clearTimeout(timer); done(value); };
      socket.once('connect_error', settle((error) => resolve(error.message)));
      socket.once('connect', settle(() => reject(new Error(`${door.label}: connected, but had to be refused`))));
    });
  } finally {
    socket.disconnect();
  }
}

/** Runs a test's body with connections that are closed at its end, even if it fails. */
export async function withClients(body) {
  const clients = [];
  const open = async (...args) => {
    const client = await connect(...args);
    clients.push(client);
    return client;
  };
  try {
    return await body(open);
  } finally {
    for (const client of clients) client.close();
  }
}

// --- chats ------------------------------------------------------------------------------------

/** Creates a group of the caller and these users; returns when all `hearers` have received its event. */
export async function newGroup(caller, users, { name = unique('group'), hearers = [] } = {}) {
  const ack = await caller.ok('create_chat', {
    chat: { name, is_group: true, members_array: users.map(({ id }) => id) },
  });
  await Promise.all([caller, ...hearers].map((client) => client.next('chat_created', (event) => event.chat === ack.chat.id)));
  return ack.chat;
}

/** Creates the direct chat of the caller and this user. */
export async function newDirect(caller, user, { hearers = [], message } = {}) {
  const ack = await caller.ok('create_chat', {
    chat: { name: 'a direct chat has no name of its own', is_group: false, members_array: [user.id] }, ...(message ? { message } : {}),
  });
  await Promise.all(hearers.map((client) => client.next('chat_created', (event) => event.chat === ack.chat.id)));
  return ack.chat;
}

/**
 * Sends a last message and waits until the listeners have received it. A connection receives a chat's events in order,
 * so all earlier events have arrived by then, and tests need not wait for silence.
 */
export async function settle(sender, chatId, ...listeners) {
  const content = unique('settled');
  const { message } = await sender.send(chatId, content);
  await Promise.all(listeners.map((listener) => listener.next('new_message', (event) => event.id === message.id)));
  return message;
}

/** Returns a chat's whole history from REST, oldest first. */
export async function storedMessages(user, chatId) {
  const messages = await everyPage(`/chat/${chatId}/messages?limit=200`, user);
  return messages.sort((left, right) => left.seq - right.seq);
}

export const storedChat = (user, chatId) => expectStatus(200, 'GET', `/chat/${chatId}`, { user });

/** Returns the ids of a chat's members from REST, in ascending order. */
export async function memberIds(user, chatId) {
  const members = await everyPage(`/chat/${chatId}/members`, user);
  return members.map((member) => member.user.id).sort((left, right) => left - right);
}

/** Checks that a live `new_message` has every field of the stored message, except those that belong to one reader. */
export function assertSameMessage(event, stored) {
  for (const [key, value] of Object.entries(stored)) {
    if (key === 'my') continue;
    assert.deepEqual(event[key], value, `new_message.${key}`);
  }
  assert.ok(!('my' in event), 'my is never in a broadcast');
}

export const MESSAGE_KEYS = [
  'id', 'chat_id', 'chat', 'seq', 'rev', 'content', 'message_type', 'user', 'client_id', 'reply_to', 'attachments',
  'likes', 'reactions', 'pinned', 'edited_at', 'deleted_at', 'created_at', 'my',
];
export const CHAT_KEYS = [
  'id', 'name', 'is_group', 'description', 'photo', 'owner_id', 'approved', 'visible', 'created_at', 'rev', 'last_seq',
  'member_count', 'members', 'last_message', 'my',
];
export const USER_KEYS = ['id', 'username', 'name', 'photo', 'description', 'role', 'online', 'last_seen_at', 'created_at', 'deleted'];
export const ME_KEYS = [...USER_KEYS, 'phone', 'email', 'email_verified'];
export const AUTHOR_KEYS = ['id', 'username', 'name', 'photo', 'role'];
export const MEMBER_KEYS = ['user', 'role', 'joined_at', 'last_read_seq'];

/** Checks that the object has all of these keys: unset is null, never absent. */
export function assertKeys(object, keys) {
  for (const key of keys) assert.ok(key in object, `${key} is missing in ${JSON.stringify(object).slice(0, 300)}`);
}

/** Checks for RFC 3339 in UTC with milliseconds. */
export function assertTime(text) {
  assert.match(text, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
}
