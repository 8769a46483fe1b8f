// Shared by the suites of the JavaScript client: clients over both transports, a TCP proxy that can cut, freeze and
// blackhole connections, and the check that a client's chats equal a fresh fetch.

import assert from 'node:assert/strict';
import { createServer, connect as connectTcp } from 'node:net';
import { isDeepStrictEqual } from 'node:util';
import WebSocket from 'ws';
import { io } from 'socket.io-client';
import { MangoChat } from '../../assets/client/mango-chat.js';
import { expectStatus, fetchAllPages, sleep, storedMessages, url } from './support.mjs';

const TIMEOUT_MS = 10_000;

/** Short times, so that tests wait milliseconds instead of seconds. */
const SHORT_TIMES = { backoff: { min: 20, max: 200 }, timeoutMs: 1_000, aliveMs: 500 };

/** The transports; `connection` returns the client's options for one. */
export const transports = [
  { label: 'the plain WebSocket', connection: (at) => ({ url: at, WebSocket }) },
  {
    label: 'a socket of socket.io-client',
    connection: (at) => ({ socket: io(at, { path: '/ws/socket.io', transports: ['websocket'], autoConnect: false, forceNew: true }) }),
  },
];

/** Runs the body of a test and then closes its clients; `open` creates and connects a client, `create` only creates it. */
export async function withChats(transport, body) {
  const clients = [];
  const create = (user, { at = url, ...options } = {}) => {
    const chat = new MangoChat({ ...transport.connection(at), ...SHORT_TIMES, token: user.accessToken, ...options });
    // Unexpected errors of a client do not fail the test, but help to explain a failure.
    chat.reportedErrors = [];
    chat.on('error', (error) => chat.reportedErrors.push(`${error.code}: ${error.message}`));
    clients.push(chat);
    return chat;
  };
  const open = async (...args) => {
    const chat = create(...args);
    await chat.connect();
    return chat;
  };
  try {
    return await body(open, create);
  } finally {
    for (const chat of clients) chat.close();
  }
}

/** Waits until `find` returns a truthy value, and returns it. */
export async function until(find, what, timeout = TIMEOUT_MS) {
  for (const deadline = Date.now() + timeout; ; await sleep(5)) {
    const found = await find();
    if (found) return found;
    assert.ok(Date.now() < deadline, `waited ${timeout} ms for ${typeof what === 'function' ? what() : what}`);
  }
}

/** Returns the next event with this name for which `matches` is true. */
export function next(chat, name, matches = () => true) {
  return new Promise((resolve, reject) => {
    const listener = (...what) => {
      if (!matches(...what)) return;
      clearTimeout(timer);
      chat.off(name, listener);
      resolve(what.length > 1 ? what : what[0]);
    };
    const timer = setTimeout(() => reject(new Error(`waited ${TIMEOUT_MS} ms for ${name}`)), TIMEOUT_MS);
    chat.on(name, listener);
  });
}

/** Returns a chat without the read marks of other members, which may be out of date. */
function comparable({ members, ...chat }, me) {
  return { ...chat, members: members.map((member) => (member.user.id === me ? member : { ...member, last_read_seq: 0 })) };
}

async function fetchState(client, user) {
  const chats = new Map();
  for (const state of ['active', 'archived']) {
    for (const chat of await fetchAllPages(`/chat?state=${state}`, user)) {
      const messages = await storedMessages(user, chat.id);
      const local = client.chats.get(chat.id)?.messages.length ?? 0;
      chats.set(chat.id, { chat: comparable(chat, user.id), messages: messages.slice(-local || messages.length) });
    }
  }
  return chats;
}

const localState = (client, user) =>
  new Map([...client.chats].map(([id, { chat, my, messages }]) => [id, { chat: comparable({ ...chat, my }, user.id), messages }]));

/** Waits until the client's chats, with their newest messages, equal a fresh fetch. */
export async function assertFresh(client, user) {
  const byId = (chats) => [...chats.entries()].sort(([a], [b]) => a - b);
  let [local, fresh] = [];
  const isSame = async () => {
    [local, fresh] = [byId(localState(client, user)), byId(await fetchState(client, user))];
    return isDeepStrictEqual(local, fresh);
  };
  for (const deadline = Date.now() + 5_000; !(await isSame()) && Date.now() < deadline; await sleep(50));
  assert.deepEqual(local, fresh, `reported errors: ${client.reportedErrors}`);
}

/** A TCP proxy in front of the server. */
export class Proxy {
  #pairs = new Set();
  #sockets = new Set();
  #refuses = false;

  static async start(target = url) {
    const proxy = new Proxy();
    const { hostname, port } = new URL(target);
    proxy.server = createServer((near) => proxy.#join(near, connectTcp(Number(port), hostname)));
    await new Promise((resolve) => proxy.server.listen(0, '127.0.0.1', resolve));
    proxy.url = `http://127.0.0.1:${proxy.server.address().port}`;
    return proxy;
  }

  #join(near, far) {
    if (this.#refuses) {
      near.destroy();
      far.destroy();
      return;
    }
    const pair = { near, far, isBlackholed: false };
    this.#pairs.add(pair);
    for (const [from, to] of [[near, far], [far, near]]) {
      this.#sockets.add(from);
      from.setNoDelay(true);
      from.on('data', (bytes) => pair.isBlackholed || to.write(bytes));
      from.on('error', () => {});
      from.on('close', () => {
        this.#pairs.delete(pair);
        this.#sockets.delete(from);
        if (!pair.isBlackholed) to.destroy();
      });
    }
  }

  get connections() { return this.#pairs.size; }

  /** Ends every connection without a close frame. */
  cut() {
    for (const { near, far } of this.#pairs) {
      near.destroy();
      far.destroy();
    }
  }

  /** Holds all data back for this time, then forwards it. */
  async freeze(ms) {
    const pairs = [...this.#pairs];
    for (const { near, far } of pairs) [near, far].forEach((socket) => socket.pause());
    await sleep(ms);
    for (const { near, far } of pairs) [near, far].forEach((socket) => socket.resume());
  }

  /** Keeps the open connections open, but no longer forwards data on them. */
  blackhole() {
    for (const pair of this.#pairs) pair.isBlackholed = true;
  }

  refuse(refuses) {
    this.#refuses = refuses;
    if (refuses) this.cut();
  }

  async close() {
    this.server.close();
    for (const socket of this.#sockets) socket.destroy();
  }
}

/** Runs the body of a test with a proxy. */
export async function withProxy(body) {
  const proxy = await Proxy.start();
  try {
    return await body(proxy);
  } finally {
    await proxy.close();
  }
}

export const getMe = (user) => expectStatus(200, 'GET', '/user/me', { user });
export { WebSocket };
