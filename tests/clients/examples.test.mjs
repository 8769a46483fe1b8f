// Runs the programs of examples/ against a real server that is killed and started again, and compares the code blocks of
// the guide with them. The server has its own data folder; MANGO_SERVER is its program, MANGO_PYTHON a Python with
// python-socketio (default: the one that `scripts/test` installs).

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { cp, mkdir, mkdtemp, readFile, readdir, rm, symlink } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath, pathToFileURL } from 'node:url';
import WebSocket from 'ws';
import { MangoChat, sessionTokens } from '../../assets/client/mango-chat.js';
import { launch } from './chromium.mjs';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '../..');
const packages = join(root, 'tests/clients/node_modules');
const program = process.env.MANGO_SERVER ?? join(root, 'target/debug/mango-chat');
const python = process.env.MANGO_PYTHON ?? join(dirname(program), '../test-venv/bin/python');
/** The server in the examples; the tests replace it by theirs. */
const SERVER_IN_EXAMPLES = 'http://localhost:5000';
const PASSWORD = 'mango-demo';
const TIMEOUT_MS = 15_000;

let folder;
let server;

// --- helpers ----------------------------------------------------------------------------------

async function until(find, what) {
  for (const deadline = Date.now() + TIMEOUT_MS; ; await sleep(20)) {
    const found = await find();
    if (found) return found;
    assert.ok(Date.now() < deadline, `waited ${TIMEOUT_MS} ms for ${typeof what === 'function' ? what() : what}`);
  }
}

async function freePort() {
  const probe = createServer().listen(0, '127.0.0.1');
  await new Promise((resolved) => { probe.once('listening', resolved); });
  const { port } = probe.address();
  await new Promise((resolved) => { probe.close(resolved); });
  return port;
}

/** A program that a test starts; everything it prints is in `output`. */
class Program {
  output = '';

  constructor(command, args, options) {
    this.child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], ...options });
    this.exited = new Promise((resolved) => {
      this.child.once('exit', resolved);
      this.child.once('error', ({ message }) => { this.output += message; resolved(); });
    });
    for (const stream of [this.child.stdout, this.child.stderr]) stream.on('data', (bytes) => { this.output += bytes; });
  }

  async stop(signal = 'SIGTERM') {
    this.child.kill(signal);
    await this.exited;
  }
}

/** A server that keeps its port and its data when it is killed and started again. */
async function createOwnServer() {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  let running;
  const start = async () => {
    running = new Program(program, ['serve'], {
      cwd: folder,
      env: {
        ...process.env, MANGO_ENV: 'local', BIND: `127.0.0.1:${port}`, PUBLIC_URL: url, DATABASE_URL: '', REDIS_URL: '',
        DATA_DIR: join(folder, 'data'), LOG_DIR: join(folder, 'logs'), PASSWORD_HASH: 'argon2id,m=64,t=1,p=1',
      },
    });
    const isReady = () => fetch(`${url}/health/ready`).then(({ ok }) => ok, () => false);
    await until(isReady, () => `the server; its log:\n${running.output}`);
  };
  await start();
  return { url, start, stop: (signal) => running.stop(signal) };
}

async function post(path, body, token) {
  const response = await fetch(`${server.url}${path}`, {
    method: 'POST', body: JSON.stringify(body),
    headers: { 'content-type': 'application/json', ...(token && { authorization: `Bearer ${token}` }) },
  });
  assert.ok(response.ok, `${path} answers ${response.status}`);
  return response.json();
}

const memory = () => {
  const items = new Map();
  return { getItem: (key) => items.get(key) ?? null, setItem: (key, value) => items.set(key, value), removeItem: (key) => items.delete(key) };
};

/** A client of the SDK that is not connected yet. */
async function createClient(username) {
  const token = sessionTokens({ url: server.url, storage: memory() });
  await token.login({ username, password: PASSWORD });
  return new MangoChat({ url: server.url, token, WebSocket, backoff: { min: 50, max: 500 } });
}

async function openClient(username) {
  const client = await createClient(username);
  await client.connect();
  return client;
}

/** A copy of an example beside the packages that it imports. */
async function install(example, names) {
  const target = join(folder, example);
  await cp(join(root, 'examples', example), target, { recursive: true });
  await mkdir(join(target, 'node_modules'));
  for (const name of names) {
    const source = name === 'mango-chat-client' ? join(root, 'assets/client') : join(packages, name);
    await symlink(source, join(target, 'node_modules', name));
  }
  return target;
}

const importFrom = (target, file) => import(pathToFileURL(join(target, file)));

/** Stored messages of a chat, as the server has them. */
const stored = async (client, chatId) => (await client.list(`/chat/${chatId}/messages?limit=200`)).items;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'mango-examples-'));
  server = await createOwnServer();
});

after(async () => {
  await server?.stop();
  await rm(folder, { recursive: true, force: true });
});

// --- bots -------------------------------------------------------------------------------------

describe('the bots', () => {
  const bots = [];
  let alice;

  async function start(bot) {
    const env = { ...process.env, MANGO_URL: server.url, MANGO_USERNAME: bot.username, MANGO_PASSWORD: PASSWORD, PYTHONDONTWRITEBYTECODE: '1' };
    bot.running = new Program(bot.command, [bot.file], { cwd: bot.folder, env });
    await until(() => /^online$/m.test(bot.running.output), () => `the bot ${bot.file}: ${bot.running.output}`);
  }

  /** Waits until the bot has replied to all these commands, and then a moment more for second replies. */
  async function assertAnsweredOnce(bot, commands) {
    const replies = async () => (await stored(alice, bot.chat.id)).filter(({ user, reply_to: to }) => user.id === bot.id && to !== null);
    const isComplete = async () => {
      const answered = new Set((await replies()).map((it) => it.reply_to));
      return commands.every(({ id }) => answered.has(id));
    };
    await until(isComplete, () => `all answers of ${bot.file}: ${bot.running.output}`);
    await sleep(300);
    const answered = (await replies()).map((it) => it.reply_to).sort((a, b) => a - b);
    assert.deepEqual(answered, [...new Set(answered)], `${bot.file} has answered twice`);
  }

  const welcomes = async (bot) => (await stored(alice, bot.chat.id)).filter(({ content }) => content.startsWith('Welcome')).map(({ content }) => content);

  before(async () => {
    for (const username of ['pybot', 'dave', 'erin']) await post('/user', { username, name: username, password: PASSWORD });
    const nodeBot = await install('node-bot', ['mango-chat-client', 'socket.io-client', 'ws']);
    const pythonBot = await install('python-bot', []);
    alice = await openClient('alice');
    bots.push(
      { username: 'bob', command: process.execPath, file: 'bot.mjs', folder: nodeBot },
      { username: 'carol', command: process.execPath, file: 'socketio-bot.mjs', folder: nodeBot },
      { username: 'pybot', command: python, file: 'bot.py', folder: pythonBot },
    );
    for (const bot of bots) {
      [{ id: bot.id }] = (await alice.list(`/user?query=${bot.username}`)).items;
      bot.chat = await alice.createChat({ name: `with ${bot.file}`, members: [bot.id] });
      await start(bot);
    }
  });

  after(async () => {
    alice?.close();
    await Promise.all(bots.map(({ running }) => running?.stop()));
  });

  const idOf = async (username) => (await alice.list(`/user?query=${username}`)).items[0].id;
  const addMember = async (bot, id) => alice.call('add_member', { chat: { id: bot.chat.id }, user: { id } });

  test('answer their commands, and nothing else', async () => {
    await Promise.all(bots.map(async (bot) => {
      const time = await alice.send(bot.chat.id, '!time');
      const roll = await alice.send(bot.chat.id, '!roll 2d6');
      await alice.send(bot.chat.id, 'Just talking about !time');
      await assertAnsweredOnce(bot, [time, roll]);
      const all = (await stored(alice, bot.chat.id)).filter(({ user }) => user.id === bot.id).reverse();
      assert.equal(all.length, 2);
      assert.match(all[0].content, /^It is \d{4}-/);
      assert.match(all[1].content, /^[1-6] \+ [1-6] = \d+$/);
    }));
  });

  test('greet a new member once', async () => {
    const dave = await idOf('dave');
    for (const bot of bots) {
      await addMember(bot, dave);
      await until(async () => (await welcomes(bot)).length === 1, `the greeting of ${bot.file}`);
    }
  });

  test('answer each command once, although the server is killed in between', async () => {
    const erin = await idOf('erin');
    const sent = bots.map((bot) => Array.from({ length: 8 }, () => alice.send(bot.chat.id, '!roll 3d6')));
    await Promise.all(sent.map(([first]) => first));
    await server.stop('SIGKILL');
    await sleep(300);
    await server.start();
    const commands = await Promise.all(sent.map((some) => Promise.all(some)));
    // This happens before the bots are back, which wait longer than Alice.
    for (const bot of bots) await addMember(bot, erin);
    for (const [at, bot] of bots.entries()) commands[at].push(await alice.send(bot.chat.id, '!time'));
    await Promise.all(bots.map((bot, at) => assertAnsweredOnce(bot, commands[at])));
    for (const bot of bots) {
      await until(async () => (await welcomes(bot)).length >= 2, `the second greeting of ${bot.file}`);
      const names = (await welcomes(bot)).map((text) => /Welcome, (\w+)!/.exec(text)[1]).sort();
      assert.deepEqual(names, ['dave', 'erin'], bot.file);
    }
  });

  test('answer after their own restart what was written meanwhile, unless they already have', async () => {
    await Promise.all(bots.map(async (bot) => {
      await bot.running.stop('SIGKILL');
      const commands = [await alice.send(bot.chat.id, '!time'), await alice.send(bot.chat.id, '!roll 1d20')];
      // As if the bot had been killed between its answer and the read mark.
      const { access_token: token } = await post('/auth/login', { username: bot.username, password: PASSWORD });
      const answer = { chat_id: bot.chat.id, content: 'It is late.', message_type: 'text', client_id: `answer-${commands[0].id}`, reply_to: commands[0].id };
      await post('/events/send_message', { message: answer }, token);
      await start(bot);
      await assertAnsweredOnce(bot, commands);
    }));
  });

  test('log in again when their session has been ended', async () => {
    await Promise.all(bots.map(async (bot) => {
      const { access_token: token } = await post('/auth/login', { username: bot.username, password: PASSWORD });
      const headers = { authorization: `Bearer ${token}` };
      const sessions = await (await fetch(`${server.url}/auth/session`, { headers })).json();
      const others = sessions.filter(({ current }) => !current);
      assert.ok(others.length, `${bot.file} has no session`);
      bot.running.output = '';
      const command = alice.send(bot.chat.id, '!roll 2d6');
      for (const { id } of others) await fetch(`${server.url}/auth/session/${id}`, { method: 'DELETE', headers });
      await until(() => /^online$/m.test(bot.running.output), () => `${bot.file}: ${bot.running.output}`);
      await assertAnsweredOnce(bot, [await command, await alice.send(bot.chat.id, '!time')]);
    }));
  });
});

// --- the page ---------------------------------------------------------------------------------

describe('the page in a browser', () => {
  let browser;
  let pages;
  let pageUrl;

  before(async () => {
    const types = { html: 'text/html', js: 'text/javascript' };
    pages = createServer(async ({ url }, response) => {
      const name = url === '/' ? 'index.html' : url.slice(1);
      const text = await readFile(join(root, 'examples/browser', name), 'utf8').catch(() => null);
      response.writeHead(text === null ? 404 : 200, { 'content-type': types[name.split('.').at(-1)] ?? 'text/plain' });
      response.end(text?.replaceAll(SERVER_IN_EXAMPLES, server.url));
    });
    await new Promise((resolved) => { pages.listen(0, '127.0.0.1', resolved); });
    pageUrl = `http://localhost:${pages.address().port}/`;
    browser = await launch();
  });

  after(async () => {
    await browser?.close();
    await new Promise((resolved) => { pages.close(resolved); pages.closeAllConnections(); });
  });

  test('signs in from another origin, sends, receives, waits offline, stays signed in, and signs out', async () => {
    const alice = await openClient('alice');
    const page = await browser.context.newPage();
    const errors = [];
    page.on('pageerror', (error) => errors.push(error.message));
    try {
      const bobId = (await alice.list('/user?query=bob')).items[0].id;
      const direct = await alice.createChat({ members: [bobId] }, 'Are you there?');
      await page.goto(pageUrl);
      await page.getByRole('button', { name: 'Sign in' }).click();
      await page.getByRole('heading', { name: 'Alice' }).waitFor();
      const log = page.getByRole('log', { name: 'Messages' });
      await log.getByText('Are you there?').waitFor();

      await page.getByLabel('Message', { exact: true }).fill('On a plain page <b>!</b>');
      await page.getByRole('button', { name: 'Send' }).click();
      await until(() => direct.messages.some(({ content }) => content === 'On a plain page <b>!</b>'), 'the message from the page');
      assert.equal(await log.getByText('On a plain page <b>!</b>').count(), 1);

      alice.typing(direct.id);
      await page.getByText('is typing…').waitFor();
      await alice.send(direct.id, 'And live?');
      await log.getByText('And live?').waitFor();

      await browser.context.setOffline(true);
      await page.getByText('Offline').waitFor();
      await page.getByLabel('Message', { exact: true }).fill('Written offline');
      await page.keyboard.press('Enter');
      await log.getByText('… Written offline').waitFor();
      await browser.context.setOffline(false);
      await until(() => direct.messages.some(({ content }) => content === 'Written offline'), 'the message that was written offline');
      await log.getByText('Bob Badami: Written offline').waitFor();
      assert.equal(await log.getByText('Written offline').count(), 1);

      await page.reload();
      await log.getByText('And live?').waitFor();
      await page.getByRole('button', { name: 'Sign out' }).click();
      await page.getByRole('button', { name: 'Sign in' }).waitFor();
      assert.equal(await page.evaluate(() => localStorage.length), 0);
      assert.deepEqual(errors, []);
    } finally {
      alice.close();
      await page.close();
    }
  });
});

// --- React and Vue ----------------------------------------------------------------------------

/** Listeners that are registered with a client now. */
function countListeners(client) {
  let count = 0;
  const { on, off } = client;
  client.on = (...args) => { count += 1; return on.apply(client, args); };
  client.off = (...args) => { count -= 1; return off.apply(client, args); };
  return () => count;
}

describe('the React hook', () => {
  const globals = ['window', 'document', 'navigator', 'HTMLElement', 'Event'];
  const originals = new Map();
  let dom;

  before(async () => {
    const { Window } = await import('happy-dom');
    dom = new Window({ url: 'http://localhost/' });
    for (const name of globals) {
      originals.set(name, Object.getOwnPropertyDescriptor(globalThis, name));
      const value = name === 'window' ? dom : dom[name];
      Object.defineProperty(globalThis, name, { configurable: true, writable: true, value });
    }
    globalThis.IS_REACT_ACT_ENVIRONMENT = false;
  });

  after(async () => {
    await dom.happyDOM.close();
    for (const [name, original] of originals) {
      if (original) Object.defineProperty(globalThis, name, original);
      else delete globalThis[name];
    }
  });

  test('shows messages, typing, unread and offline, sends, and leaves nothing behind', async () => {
    const target = await install('react', ['mango-chat-client', 'react', 'react-dom']);
    const { MangoProvider } = await importFrom(target, 'useChat.js');
    const { Chat } = await importFrom(target, 'Chat.js');
    const [{ createElement, StrictMode }, { createRoot }] = await Promise.all([import('react'), import('react-dom/client')]);
    const alice = await openClient('alice');
    const bob = await createClient('bob');
    const listeners = countListeners(bob);
    try {
      const bobId = (await alice.list('/user?query=bob')).items[0].id;
      const group = await alice.createChat({ name: 'React', members: [bobId] });
      const container = dom.document.body.appendChild(dom.document.createElement('div'));
      const rendered = createRoot(container);
      const shows = (text) => until(() => container.textContent.includes(text), () => `"${text}" in "${container.textContent}"`);
      let isFocused = false;
      dom.document.hasFocus = () => isFocused;

      // Strict mode mounts twice, as a page that comes back does: the hook and the client must stand that.
      rendered.render(createElement(StrictMode, null, createElement(MangoProvider, { client: bob }, createElement(Chat, { chatId: group.id }))));
      await shows('React');
      await alice.send(group.id, 'Hello, hook');
      await shows('Alice Alphonso: Hello, hook');
      await shows('1 unread');
      isFocused = true;
      dom.dispatchEvent(new dom.Event('focus'));
      await until(() => !container.textContent.includes('unread'), 'the read mark');

      alice.typing(group.id);
      await shows('is typing…');
      alice.typing(group.id, false);
      await until(() => !container.textContent.includes('is typing'), 'the end of typing');

      const input = container.querySelector('input');
      const type = (text) => {
        Object.getOwnPropertyDescriptor(dom.HTMLInputElement.prototype, 'value').set.call(input, text);
        input.dispatchEvent(new dom.Event('input', { bubbles: true }));
      };
      let typed = 0;
      alice.on('typing', () => { typed += 1; });
      type('Fro');
      type('From the');
      await until(() => typed === 1, 'typing at the other side');

      await server.stop('SIGKILL');
      await shows('Offline');
      type('From the hook');
      container.querySelector('form').dispatchEvent(new dom.Event('submit', { bubbles: true, cancelable: true }));
      await until(() => container.querySelector('[aria-busy]')?.textContent === 'From the hook', 'the unsent message');
      await server.start();
      await until(() => group.messages.some(({ content }) => content === 'From the hook'), 'the message at the other side');
      await until(() => !container.querySelector('[aria-busy]'), 'the end of the unsent message');
      assert.equal(container.textContent.split('From the hook').length, 2);

      rendered.unmount();
      await until(() => bob.status === 'closed', 'the end of the connection');
      assert.equal(listeners(), 0, 'listeners are left');
      container.remove();
    } finally {
      alice.close();
      bob.close();
    }
  });
});

describe('the Vue composable', () => {
  test('follows a chat, changes to another one, sends, and leaves nothing behind', async () => {
    const target = await install('vue', ['vue']);
    const { useChat } = await importFrom(target, 'useChat.js');
    const { effectScope, ref } = await import('vue');
    const [alice, bob] = [await openClient('alice'), await openClient('bob')];
    const listeners = countListeners(bob);
    try {
      const first = await alice.createChat({ name: 'Vue', members: [bob.userId] }, 'Hello, composable');
      const second = await alice.createChat({ name: 'Another', members: [bob.userId] }, 'Over here');
      await until(() => bob.chats.has(second.id), 'the second chat');
      const chatId = ref(first.id);
      const scope = effectScope();
      const { view, send, markRead } = scope.run(() => useChat(chatId, bob));
      assert.equal(view.value.messages.at(-1).content, 'Hello, composable');
      assert.equal(view.value.unread, 1);
      await markRead();
      await until(() => view.value.unread === 0, 'the read mark');

      const sent = send('From Vue');
      await until(() => view.value.unsent.length === 1 || view.value.messages.at(-1).content === 'From Vue', 'the unsent message');
      await sent;
      await until(() => view.value.unsent.length === 0 && view.value.messages.at(-1).content === 'From Vue', 'the stored message');
      chatId.value = second.id;
      assert.equal(view.value.messages.at(-1).content, 'Over here');
      alice.typing(second.id);
      await until(() => view.value.typing.includes(alice.userId), 'typing');
      scope.stop();
      assert.equal(listeners(), 0, 'listeners are left');
    } finally {
      alice.close();
      bob.close();
    }
  });
});

// --- documents --------------------------------------------------------------------------------

const AsyncFunction = (async () => {}).constructor;

/** The JavaScript blocks of a document that run on their own: without imports, and not quoted from a file. */
async function snippets(page) {
  const text = await readFile(join(root, 'docs', page), 'utf8');
  const all = [...text.matchAll(/(?:<!-- (.*) -->\n)?```js\n([^]*?)```/g)].map(([whole, comment, code]) => ({ comment, code, heading: headingOf(text, whole) }));
  return all.filter(({ comment, code }) => !comment && !/^ *import /m.test(code));
}

const headingOf = (text, block) => text.slice(0, text.indexOf(block)).match(/^#+ .*$/gm).at(-1);

describe('the documents', () => {
  for (const page of ['sdk.md', 'frontend.md']) {
    test(`the snippets of ${page} run`, async () => {
      globalThis.WebSocket ??= WebSocket;
      const client = await openClient('alice');
      const otherId = (await client.list('/user?query=carol')).items[0].id;
      const { id: chatId } = await client.createChat({ name: `Snippets of ${page}`, members: [otherId] }, 'The harvest is in');
      for (let count = 0; count < 40; count += 1) await client.send(chatId, `Basket ${count}`);
      const message = client.chats.get(chatId).messages.at(-1);
      const url = server.url;
      const token = sessionTokens({ url, storage: memory() });
      await token.login({ username: 'alice', password: PASSWORD });
      const quiet = { log() {}, warn() {} };
      const render = () => {};
      const scope = { MangoChat, sessionTokens, client, chatId, otherId, message, url, token, render, console: quiet };
      try {
        const found = (await snippets(page)).filter(({ heading }) => heading.startsWith('### ') || page !== 'sdk.md');
        assert.ok(found.length > 8, `${found.length} snippets`);
        for (const { heading, code } of found) {
          const run = new AsyncFunction(...Object.keys(scope), `{ ${code} }`);
          // What needs a page is only parsed.
          if (/localStorage|document/.test(code)) continue;
          await run(...Object.values(scope)).catch((error) => {
            throw new Error(`${heading}: ${error.code ?? ''} ${error.message}\n${code}`, { cause: error });
          });
        }
      } finally {
        client.close();
      }
    });
  }

  test('the guide quotes the examples', async () => {
    const text = await readFile(join(root, 'docs/frontend.md'), 'utf8');
    const quotes = [...text.matchAll(/<!-- file (\S+) -->\n```\w+\n([^]*?)```/g)];
    assert.equal(quotes.length, 4);
    for (const [, name, code] of quotes) assert.equal(code, await readFile(join(root, name), 'utf8'), `docs/frontend.md does not quote ${name}`);
  });

  test('the Vue template of the guide compiles', async () => {
    const { compile } = await import('vue');
    const text = await readFile(join(root, 'docs/frontend.md'), 'utf8');
    const template = /^<template>\n([^]*?)^<\/template>$/m.exec(text)[1];
    compile(template, { onError(error) { throw error; } });
  });

  test('every example has a README that the list names', async () => {
    const list = await readFile(join(root, 'examples/README.md'), 'utf8');
    for (const entry of await readdir(join(root, 'examples'), { withFileTypes: true })) {
      if (!entry.isDirectory()) continue;
      await readFile(join(root, 'examples', entry.name, 'README.md'));
      assert.ok(list.includes(`(${entry.name}/README.md)`), `examples/README.md does not list ${entry.name}`);
    }
  });
});
