// Shared by all suites of this folder: accounts, REST, and a thin recorder around the unchanged socket.io-client. It
// knows no rules of the chat; only the tests do.
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
const TIMEOUT_MS = 10_000;

// --- message types ----------------------------------------------------------------------------

/** The 25 types in the order of their ids, 1 to 25. */
export const MESSAGE_TYPES = [
  'text', 'html', 'json', 'xml', 'binary', 'image', 'pdf', 'csv', 'excel', 'word', 'zip', 'gzip', 'tar',
  'audio', 'video', 'rtf', 'yaml', 'javascript', 'css', 'svg', 'markdown', 'protobuf', 'avro', 'parquet', 'orc',
];

/**
 * The form of `Message.message_type` in responses and events: 'name' or 'id'. Mango's clients send the name
 * and get it back in `new_message`; only Mango's own `GET /message/{chat_id}` returns the number.
 */
const MESSAGE_TYPE_IN_RESPONSES = 'name';

/** Returns the given type as it appears in responses. */
export function typeInResponses(name) {
  return MESSAGE_TYPE_IN_RESPONSES === 'name' ? name : MESSAGE_TYPES.indexOf(name) + 1;
}

// --- endpoints --------------------------------------------------------------------------------

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

/** Every endpoint: a combination of transport, path and namespace. */
export const endpoints = transports.flatMap((transport) =>
  mounts.map((mount) => ({
    ...transport,
    ...mount,
    label: `${mount.path} namespace ${mount.namespace} over ${transport.label}`,
  })),
);

/** The endpoint of Mango's clients, for tests in which the endpoint does not matter. */
export const defaultEndpoint = endpoints.find((endpoint) => endpoint.path === '/ws/socket.io' && endpoint.namespace === '/ws');

/** Returns an endpoint that differs from the given one in transport, path and namespace. */
export function oppositeEndpoint(endpoint) {
  return endpoints.find(
    (other) =>
      other.path !== endpoint.path &&
      other.namespace !== endpoint.namespace &&
      (other.transports.length !== endpoint.transports.length || other.transports[0] !== endpoint.transports[0]),
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
    method, headers: all, body: payload, redirect: 'manual', signal: AbortSignal.timeout(TIMEOUT_MS),
  });
  const bytes = Buffer.from(await response.arrayBuffer());
  const text = bytes.toString('utf8');
  const isJson = /json/.test(response.headers.get('content-type') ?? '');
  return { status: response.status, headers: response.headers, text, bytes, body: isJson && text ? JSON.parse(text) : null };
}

/** Sends a request and expects this status; returns the body. */
export async function expectStatus(status, method, path, options) {
  const response = await request(method, path, options);
  assert.equal(response.status, status, `${method} ${path}: ${response.status} ${response.text.slice(0, 500)}`);
  assert.ok(response.headers.get('x-request-id'), `${method} ${path}: every response has an x-request-id`);
  return response.body;
}

/** Sends a request and expects an RFC 9457 problem with these values; returns `{...response, problem}`. */
export async function expectProblem(status, code, method, path, options) {
  const response = await request(method, path, options);
  const context = `${method} ${path}: ${response.status} ${response.text.slice(0, 500)}`;
  assert.equal(response.status, status, context);
  assert.match(response.headers.get('content-type') ?? '', /^application\/problem\+json/, context);
  const problem = response.body;
  for (const key of ['type', 'title', 'detail', 'code', 'request_id']) {
    assert.equal(typeof problem[key], 'string', `${context}: ${key}`);
  }
  assert.equal(problem.status, status, context);
  assert.equal(problem.code, code, context);
  assert.equal(problem.request_id, response.headers.get('x-request-id'), context);
  assert.ok('errors' in problem, `${context}: errors is always present`);
  if (status === 401) assert.match(response.headers.get('www-authenticate') ?? '', /^Bearer/, context);
  return { ...response, problem };
}

/** Returns the target of `Link: <…>; rel="next"` as path and query, or null. */
export function nextLink(headers) {
  const match = /<([^>]+)>\s*;\s*rel="?next"?/.exec(headers.get('link') ?? '');
  if (!match) return null;
  const target = new URL(match[1], url);
  return target.pathname + target.search;
}

/** Returns all items of a REST list, from all pages. */
export async function fetchAllPages(path, user) {
  const items = [];
  for (let next = path, pages = 0; next; pages += 1) {
    assert.ok(pages < 100, `${path} has too many pages`);
    const response = await request('GET', next, { user });
    assert.equal(response.status, 200, `GET ${next}: ${response.text.slice(0, 300)}`);
    assert.ok(Array.isArray(response.body), `GET ${next}: lists are plain arrays`);
    items.push(...response.body);
    next = nextLink(response.headers);
  }
  return items;
}

// --- accounts ---------------------------------------------------------------------------------

export const unique = (prefix = 'u') => `${prefix}_${randomBytes(6).toString('hex')}`;
export const uniquePhone = () => `+7900${String(randomInt(1e9)).padStart(9, '0')}`;

/** Logs in; returns `{accessToken, refreshToken, response}`. */
export async function login(username, password) {
  const response = await expectStatus(200, 'POST', '/auth/login', { body: { username, password } });
  return { accessToken: response.access_token, refreshToken: response.refresh_token, response };
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

/** Returns the claims of a JSON Web Token without verifying it. */
export const claimsOf = (token) => JSON.parse(Buffer.from(token.split('.')[1], 'base64url').toString());

/** Returns a token with these claims, signed with HS256 and the given key. */
export function signed(claims, key = jwtSecret, header = { alg: 'HS256', typ: 'JWT' }) {
  const head = `${part(header)}.${part(claims)}`;
  return `${head}.${createHmac('sha256', key).update(head).digest('base64url')}`;
}

/** Returns the same token, but expired and signed with the server's key. */
export function expired(token) {
  const past = Math.floor(Date.now() / 1000) - 3600;
  return signed({ ...claimsOf(token), iat: past - 1800, ...('nbf' in claimsOf(token) ? { nbf: past - 1800 } : {}), exp: past });
}

/** Returns a token with the same claims and `alg: none`. */
export const unsigned = (token) => `${part({ alg: 'none', typ: 'JWT' })}.${part(claimsOf(token))}.`;

// --- Socket.IO --------------------------------------------------------------------------------

/** Creates a socket that is not connected yet; `options` are passed to the stock client unchanged. */
export function openSocket(endpoint, options = {}) {
  const target = endpoint.namespace === '/' ? url : new URL(endpoint.namespace, url).href;
  return io(target, { path: endpoint.path, transports: endpoint.transports, forceNew: true, reconnection: false, ...options });
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

  /** Waits until `find` returns a value, now or after a later event. */
  #until(find, what) {
    return new Promise((resolve, reject) => {
      const check = () => {
        const found = find();
        if (found === undefined || found === null) return;
        clearTimeout(timer);
        this.waiters.delete(check);
        resolve(found);
      };
      const timer = setTimeout(() => {
        this.waiters.delete(check);
        const seen = this.events.map(({ name }) => name).join(', ') || 'nothing';
        reject(new Error(`waited ${TIMEOUT_MS} ms for ${what}; received so far: ${seen}`));
      }, TIMEOUT_MS);
      this.waiters.add(check);
      check();
    });
  }

  /** Returns the first event with this name for which `matches` is true, already received or later. */
  next(name, matches = () => true) {
    return this.#until(() => this.events.find((event) => event.name === name && matches(event.payload))?.payload, name);
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
  all(name, matches = () => true) {
    return this.events.filter((event) => event.name === name && matches(event.payload)).map(({ payload }) => payload);
  }

  /** Emits an event and returns the ack, whether it is a success or a failure. */
  call(event, ...payload) {
    return this.socket.timeout(TIMEOUT_MS).emitWithAck(event, ...payload);
  }

  /** Emits an event and expects a success; returns the ack. */
  async ok(event, payload) {
    const ack = await this.call(event, payload);
    assert.equal(ack?.ok, true, `${event}: ${JSON.stringify(ack)}`);
    return ack;
  }

  /** Emits an event and expects a failure with this code, or one of these; returns its error. */
  async expectError(codes, event, ...payload) {
    const ack = await this.call(event, ...payload);
    assert.equal(ack?.ok, false, `${event} must fail: ${JSON.stringify(ack)}`);
    assert.equal(typeof ack.error?.message, 'string', `${event}: ${JSON.stringify(ack)}`);
    assert.ok([codes].flat().includes(ack.error.code), `${event}: expected ${codes}: ${JSON.stringify(ack)}`);
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
export async function connect(user, endpoint = defaultEndpoint, options = undefined) {
  const socket = openSocket(endpoint, options ?? { auth: { token: user.accessToken } });
  const client = new Client(socket);
  const rejection = new Promise((_, reject) => {
    socket.once('connect_error', (error) => reject(new Error(`${endpoint.label}: ${error.message}`)));
  });
  try {
    client.ready = await Promise.race([client.next('ready'), rejection]);
  } catch (error) {
    socket.disconnect();
    throw error;
  }
  rejection.catch(() => {});
  return client;
}

/** Opens a connection that the server must reject; returns the message of `connect_error`. */
export async function connectError(endpoint, options) {
  const socket = openSocket(endpoint, options);
  try {
    return await new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`${endpoint.label}: neither rejected nor connected`)), TIMEOUT_MS);
      const settle = (done) => (value) => { clearTimeout(timer); done(value); };
      socket.once('connect_error', settle((error) => resolve(error.message)));
      socket.once('connect', settle(() => reject(new Error(`${endpoint.label}: connected, but should have been rejected`))));
    });
  } finally {
    socket.disconnect();
  }
}

/** Runs the body of a test and then closes its connections, even if it fails. */
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

/** Creates a group of the caller and these users; returns when all `listeners` have received its event. */
export async function newGroup(caller, users, { name = unique('group'), listeners = [] } = {}) {
  const ack = await caller.ok('create_chat', {
    chat: { name, is_group: true, members_array: users.map(({ id }) => id) },
  });
  await Promise.all([caller, ...listeners].map((client) => client.next('chat_created', (event) => event.chat === ack.chat.id)));
  return ack.chat;
}

/** Creates the direct chat of the caller and this user. */
export async function newDirect(caller, user, { listeners = [], message } = {}) {
  const ack = await caller.ok('create_chat', {
    chat: { name: 'a direct chat has no name of its own', is_group: false, members_array: [user.id] }, ...(message ? { message } : {}),
  });
  await Promise.all(listeners.map((client) => client.next('chat_created', (event) => event.chat === ack.chat.id)));
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

/** Returns all messages of a chat over REST, oldest first. */
export async function storedMessages(user, chatId) {
  const messages = await fetchAllPages(`/chat/${chatId}/messages?limit=200`, user);
  return messages.sort((a, b) => a.seq - b.seq);
}

export const storedChat = (user, chatId) => expectStatus(200, 'GET', `/chat/${chatId}`, { user });

/** Returns the ids of a chat's members over REST, in ascending order. */
export async function memberIds(user, chatId) {
  const members = await fetchAllPages(`/chat/${chatId}/members`, user);
  return members.map((member) => member.user.id).sort((a, b) => a - b);
}

/** Checks that a live `new_message` has every field of the stored message, except those that differ per reader. */
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

/** Checks that the object has all of these keys; an unset value must be null, not absent. */
export function assertKeys(object, keys) {
  for (const key of keys) assert.ok(key in object, `${key} is missing in ${JSON.stringify(object).slice(0, 300)}`);
}

/** Checks that the text is an RFC 3339 time in UTC with milliseconds. */
export function assertTime(text) {
  assert.match(text, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
}
