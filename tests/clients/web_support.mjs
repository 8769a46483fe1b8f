// Shared by the suites of the web client: a server of their own with demo users, and people, each in a browser context of
// their own. Elements are found by role and name, as assistive technology finds them.

import assert from 'node:assert/strict';
import { chromium } from 'playwright-core';
import { startServer } from './own_server.mjs';

const PASSWORD = 'mango-demo';
const ARGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/** Starts a server and a browser; `stop` ends both. */
export async function startWeb(settings = {}) {
  const server = await startServer({ MANGO_ENV: 'local', ...settings });
  const browser = await chromium
    .launch({ executablePath: process.env.CHROMIUM || '/usr/bin/chromium', headless: true, args: ARGS })
    .catch(async (error) => {
      await server.stop();
      throw error;
    });
  const web = {
    url: server.url,
    browser,
    stop: async () => {
      await browser.close();
      await server.stop();
    },
    /** A REST request; returns its JSON. */
    async rest(method, path, token, body) {
      const headers = {
        ...(token && { authorization: `Bearer ${token}` }),
        ...(body && { 'content-type': 'application/json' }),
      };
      const answer = await fetch(server.url + path, { method, headers, body: body && JSON.stringify(body) });
      const data = answer.status === 204 ? null : await answer.json();
      assert.ok(answer.ok, `${method} ${path}: ${JSON.stringify(data)}`);
      return data;
    },
    /** Logs in over REST: somebody who is not in a browser. */
    async user(username) {
      const { access_token: token } = await web.rest('POST', '/auth/login', null, { username, password: PASSWORD });
      const { id } = await web.rest('GET', '/user/me', token);
      const call = (event, payload) => web.rest('POST', `/events/${event}`, token, payload);
      return {
        id,
        username,
        token,
        call,
        send: async (chatId, content, more = {}) =>
          (await call('send_message', { message: { chat_id: chatId, content, message_type: 'text', ...more } }))
            .message,
      };
    },
    /** Creates a user with a unique name. */
    async newUser(name) {
      const username = `${name}_${Math.random().toString(36).slice(2, 8)}`;
      await web.rest('POST', '/user', null, {
        username,
        name: name[0].toUpperCase() + name.slice(1),
        password: PASSWORD,
      });
      return web.user(username);
    },
    /** Creates a group of these users, the first is the owner. */
    async group(name, [owner, ...others]) {
      return (
        await owner.call('create_chat', { chat: { is_group: true, name, members_array: others.map(({ id }) => id) } })
      ).chat.id;
    },
    async direct(a, b) {
      return (await a.call('create_chat', { chat: { is_group: false, members_array: [b.id] } })).chat.id;
    },
    /** Opens a browser window for a user, at a place of the app. */
    async open(user, { at = '', path = '/', ...options } = {}) {
      const context = await browser.newContext({
        viewport: { width: 1280, height: 800 },
        locale: 'en-GB',
        serviceWorkers: 'block',
        ...options,
      });
      context.setDefaultTimeout(10_000);
      if (user) {
        const answer = await context.request.post(`${server.url}/auth/login`, {
          data: { username: user.username, password: PASSWORD },
        });
        assert.ok(answer.ok());
        // Once: a page that has signed out must stay so.
        await context.addInitScript((id) => {
          if (localStorage.getItem('test-user')) return;
          localStorage.setItem('test-user', id);
          localStorage.setItem('mango-user', id);
        }, user.id);
      }
      const page = await context.newPage();
      const errors = watchErrors(page);
      await page.goto(server.url + path + at);
      return { context, page, errors, ...parts(page), close: () => context.close() };
    },
  };
  return web;
}

/** Collects what the page reports as an error. */
export function watchErrors(page) {
  const errors = [];
  page.on('pageerror', (error) => errors.push(error.message));
  page.on('console', (line) => {
    if (line.type() === 'error' && !/status of 4\d\d|net::ERR|WebSocket|Service Worker/.test(line.text()))
      errors.push(line.text());
  });
  return errors;
}

/** The parts of the page that the contract names. */
export function parts(page) {
  return {
    chats: page.getByRole('navigation', { name: 'Chats', exact: true }),
    chat: (name) =>
      page.getByRole('navigation', { name: 'Chats', exact: true }).getByRole('link', { name, exact: true }),
    search: page.getByRole('searchbox', { name: 'Search', exact: true }),
    log: page.getByRole('log', { name: 'Messages' }),
    message: (text) => page.getByRole('log', { name: 'Messages' }).getByRole('article').filter({ hasText: text }),
    box: page.getByRole('textbox', { name: 'Message', exact: true }),
    sendButton: page.getByRole('button', { name: 'Send', exact: true }),
    status: page.getByRole('status').filter({ hasText: /Offline|Connecting/ }),
    /** Does something with a message: opens its menu and chooses an item. */
    async choose(message, item) {
      await message.hover();
      await message.getByRole('button', { name: 'More', exact: true }).click();
      await page.getByRole('menuitem', { name: item, exact: true }).click();
    },
  };
}

/** Waits until `check` returns without throwing. */
export async function eventually(check, what = 'the condition', timeout = 8000) {
  const deadline = Date.now() + timeout;
  for (;;) {
    try {
      const result = await check();
      if (result !== false) return result;
    } catch (error) {
      if (Date.now() > deadline) throw error;
    }
    assert.ok(Date.now() < deadline, `waited ${timeout} ms for ${what}`);
    await new Promise((done) => setTimeout(done, 40));
  }
}

/** A PNG, drawn by the browser. */
export async function picture(page, width = 320, height = 200) {
  const data = await page.evaluate(
    ([w, h]) => {
      const canvas = Object.assign(document.createElement('canvas'), { width: w, height: h });
      const context = canvas.getContext('2d');
      context.fillStyle = '#f59f00';
      context.fillRect(0, 0, w, h);
      return canvas.toDataURL('image/png').split(',')[1];
    },
    [width, height],
  );
  return Buffer.from(data, 'base64');
}
