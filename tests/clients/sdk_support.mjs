// What the suites of the JavaScript client share: clients over both transports, a TCP proxy that can be cut, frozen and
// made deaf, and the check that a client's chats equal a fresh fetch.

import assert from 'node:assert/strict';
import { createServer, connect as connectTcp } from 'node:net';
import { isDeepStrictEqual } from 'node:util';
import WebSocket from 'ws';
import { io } from 'socket.io-client';
import { MangoChat } from '../../assets/client/mango-chat.js';
import { everyPage, expectStatus, sleep, storedMessages, url } from './support.mjs';

const PATIENCE = 10_000;

/** Short times: a test waits milliseconds where a real client waits seconds. */
const QUICK = { backoff: { min: 20, max: 200 }, timeoutMs: 1_000, aliveMs: 500 };

/** The transports: `connection` returns the options of the client that select one. */
export const ways = [
  { label: 'the plain WebSocket', connection: (at) => ({ url: at, WebSocket }) },
  {
    label: 'a socket of socket.io-client',
    connection: (at) => ({ socket: io(at, { path: '/ws/socket.io', transports: ['websocket'], autoConnect: false, forceNew: true }) }),
  },
];

/** Runs a test's body with clients that are closed at its end; `open` connects a client, `make` does not. */
export async function withChats(way, body) {
  const made = [];
  const make = (user, { at = url, ...options } = {}) => {
    const chat = new MangoChat({ ...way.connection(at), ...QUICK, token: user.accessToken, ...options });
    // Unexpected errors of a client do not fail the test, but they help if it fails.
    chat.complaints = [];
    chat.on('error', (error) => chat.complaints.push(`${error.code}: ${error.message}`));
    made.push(chat);
    return chat;
  };
  const open = async (...args) => {
    const chat = make(...args);
    await chat.connect();
    return chat;
  };
  try {
    return await body(open, make);
  } finally {
    for (const chat of made) chat.close();
  }
}

/** Waits until `look` returns a truthy value, and returns it. */
export async function until(look, what, patience = PATIENCE) {
  for (const deadline = Date.now() + patience; ; await sleep(5)) {
    const found = await look();
    if (found) return found;
    assert.ok(Date.now() < deadline, `waited ${patience} ms for ${typeof what === 'function' ? what() : what}`);
  }
}

/** Returns the next event with this name for which `fits` is true. */
export function next(chat, name, fits = () => true) {
  return new Promise((resolve, reject) => {
    const listener = (...what) => {
      if (!fits(...what)) return;
      clearTimeout(timer);
      chat.off(name, listener);
      resolve(what.length > 1 ? what : what[0]);
    };
    const timer = setTimeout(() => reject(new Error(`waited ${PATIENCE} ms for ${name}`)), PATIENCE);
    chat.on(name, listener);
  });
}

/** Returns a chat without what the promise leaves out: the read marks of other members. */
function promised({ members, ...chat }, me) {
  return { ...chat, members: members.map((it) => (it.user.id === me ? it : { ...it, last_read_seq: 0 })) };
}

async function freshly(client, user) {
  const chats = new Map();
  for (const state of ['active', 'archived']) {
    for (const chat of await everyPage(`/chat?state=${state}`, user)) {
      const messages = await storedMessages(user, chat.id);
      const held = client.chats.get(chat.id)?.messages.length ?? 0;
      chats.set(chat.id, { chat: promised(chat, user.id), messages: messages.slice(-held || messages.length) });
    }
  }
  return chats;
}

const heldBy = (client, user) =>
  new Map([...client.chats].map(([id, { chat, my, messages }]) => [id, { chat: promised({ ...chat, my }, user.id), messages }]));

/** Waits until the client's chats, with their newest messages, equal a fresh fetch. */
export async function assertFresh(client, user) {
  const byId = (chats) => [...chats.entries()].sort(([one], [other]) => one - other);
  let [held, fresh] = [];
  const same = async () => {
    [held, fresh] = [byId(heldBy(client, user)), byId(await freshly(client, user))];
    return isDeepStrictEqual(held, fresh);
  };
  for (const deadline = Date.now() + 5_000; !(await same()) && Date.now() < deadline; await sleep(50));
  assert.deepEqual(held, fresh, `complaints: ${client.complaints}`);
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
    const pair = { near, far, isDeaf: false };
    this.#pairs.add(pair);
    for (const [from, to] of [[near, far], [far, near]]) {
      this.#sockets.add(from);
      from.setNoDelay(true);
      from.on('data', (bytes) => pair.isDeaf || to.write(bytes));
      from.on('error', () => {});
      from.on('close', () => {
        this.#pairs.delete(pair);
        this.#sockets.delete(from);
        if (!pair.isDeaf) to.destroy();
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
    for (const { near, far } of pairs) [near, far].forEach((it) => it.pause());
    await sleep(ms);
    for (const { near, far } of pairs) [near, far].forEach((it) => it.resume());
  }

  /** Keeps the existing connections open, but forwards nothing on them any more. */
  deafen() {
    for (const pair of this.#pairs) pair.isDeaf = true;
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

/** Runs a test's body with a proxy. */
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
