// How a page stays logged in: tokens shared by tabs, cookies, and requests from another origin. The server's access
// tokens expire so soon that a client refreshes them every few seconds.

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { after, before, describe, test } from 'node:test';
import { launch } from './chromium.mjs';
import { startServer } from './own_server.mjs';
import { sleep, unique } from './support.mjs';

const PASSWORD = 'correct horse battery';
/** The client refreshes a token that expires within a minute. */
const SETTINGS = { ACCESS_TOKEN_TTL_SECS: '63' };

let browser;
let otherOrigin;
let server;

before(async () => {
  // Every path returns an empty page.
  otherOrigin = createServer((_, response) => response.setHeader('content-type', 'text/html').end('<!doctype html><title>elsewhere</title>'));
  await new Promise((done) => otherOrigin.listen(0, '127.0.0.1', done));
  otherOrigin.origin = `http://127.0.0.1:${otherOrigin.address().port}`;
  server = await startServer({ ...SETTINGS, CORS_ORIGINS: otherOrigin.origin });
  browser = await launch({ bypassCSP: true });
});

after(async () => {
  await browser?.close();
  await server?.stop();
  otherOrigin?.closeAllConnections();
  otherOrigin?.close();
});

async function newAccount(name) {
  const credentials = { username: unique(name), password: PASSWORD };
  const headers = { 'content-type': 'application/json' };
  const response = await fetch(`${server.url}/user`, { method: 'POST', headers, body: JSON.stringify(credentials) });
  assert.equal(response.status, 201, await response.clone().text());
  return { ...credentials, id: (await response.json()).id };
}

/** Opens a page at an origin, with the module's exports as `mango`; `refreshes` collects the statuses of its refresh requests. */
async function openPage(origin = server.url) {
  const page = await browser.context.newPage();
  const refreshes = [];
  page.on('response', (response) => response.url().endsWith('/auth/refresh') && refreshes.push(response.status()));
  await page.goto(`${origin}${origin === server.url ? '/health/live' : '/'}`);
  await page.evaluate(async (module) => {
    globalThis.mango = await import(module);
    globalThis.errors = [];
    globalThis.start = (options) => {
      globalThis.chat = new mango.MangoChat({ backoff: { min: 20, max: 200 }, ...options });
      chat.on('error', ({ code }) => errors.push(code));
      return chat.connect();
    };
  }, `${server.url}/client/mango-chat.js`);
  return { page, refreshes };
}

/** Waits until the pages together have sent this many refresh requests. */
const refreshed = async (times, ...pages) => {
  const statuses = () => pages.flatMap(({ refreshes }) => refreshes);
  for (const deadline = Date.now() + 20_000; statuses().length < times; await sleep(50)) {
    assert.ok(Date.now() < deadline, `waited for ${times} refreshes, got ${statuses()}`);
  }
};

/** Uses the page's connection; returns its status, its number of chats, and all errors so far. */
const useConnection = (page) => page.evaluate(async () => {
  const { chats } = await chat.call('sync', {});
  return [chat.status, chats.length, ...errors];
});

describe('sessionTokens', () => {
  test('a tab that slept while another tab refreshed the tokens continues with the new ones', async () => {
    const { username, password } = await newAccount('alice');
    const [awake, sleeper] = [await openPage(), await openPage()];
    await awake.page.evaluate(async (credentials) => {
      globalThis.token = mango.sessionTokens();
      await token.login(credentials);
      await start({ token });
    }, { username, password });
    await sleeper.page.evaluate(async () => {
      globalThis.token = mango.sessionTokens();
      await start({ token });
      globalThis.stale = JSON.parse(localStorage.getItem('mango-chat')).refresh_token;
      chat.close();
    });
    // The successor has been used, so using the old token would end the session.
    await refreshed(3, awake);
    const isStale = () => sleeper.page.evaluate(() => stale !== JSON.parse(localStorage.getItem('mango-chat')).refresh_token);
    assert.equal(await isStale(), true);
    await sleeper.page.evaluate(() => chat.connect());
    await refreshed(awake.refreshes.length + sleeper.refreshes.length + 2, awake, sleeper);
    assert.deepEqual(await useConnection(sleeper.page), ['online', 0]);
    assert.deepEqual(await useConnection(awake.page), ['online', 0]);
    assert.deepEqual([...awake.refreshes, ...sleeper.refreshes].filter((status) => status !== 200), []);
    await Promise.all([awake, sleeper].map(({ page }) => page.close()));
  });

  test('tabs that need a new token at the same time request only one', async () => {
    const { username, password } = await newAccount('alice');
    const tabs = [await openPage(), await openPage(), await openPage()];
    await tabs[0].page.evaluate((credentials) => mango.sessionTokens().login(credentials), { username, password });
    await sleep(4_000);
    const tokens = await Promise.all(tabs.map(({ page }) => page.evaluate(() => mango.sessionTokens()())));
    assert.equal(new Set(tokens).size, 1, 'all tabs get the same token');
    assert.deepEqual(tabs.flatMap(({ refreshes }) => refreshes), [200]);
    await Promise.all(tabs.map(({ page }) => page.close()));
  });

  test('after a logout in another tab the client is dismissed and the storage is empty', async () => {
    const { username, password } = await newAccount('alice');
    const [first, second] = [await openPage(), await openPage()];
    await first.page.evaluate(async (credentials) => {
      globalThis.token = mango.sessionTokens();
      await token.login(credentials);
      await start({ token });
    }, { username, password });
    await second.page.evaluate(async () => {
      const token = mango.sessionTokens();
      await token.logout();
      return token.isLoggedIn();
    }).then((isLoggedIn) => assert.equal(isLoggedIn, false));
    await first.page.waitForFunction(() => chat.status === 'dismissed');
    assert.deepEqual(await first.page.evaluate(() => errors), ['session_ended']);
    await Promise.all([first, second].map(({ page }) => page.close()));
  });
});

describe('cookie mode', () => {
  for (const from of ['the server itself', 'another origin in CORS_ORIGINS']) {
    test(`from ${from}: the client refreshes the cookies, and the connection outlives the access token`, async () => {
      const { username, password } = await newAccount('alice');
      const tab = await openPage(from.startsWith('another') ? otherOrigin.origin : server.url);
      const { page, refreshes } = tab;
      await page.evaluate(async ([url, credentials]) => {
        const response = await fetch(`${url}/auth/login`, {
          method: 'POST', credentials: 'include', headers: { 'content-type': 'application/json' }, body: JSON.stringify(credentials),
        });
        if (!response.ok) throw new Error(await response.text());
        await start({ url });
      }, [server.url, { username, password }]);
      await refreshed(2, tab);
      assert.deepEqual(await useConnection(page), ['online', 0]);
      assert.deepEqual(refreshes.filter((status) => status !== 200), []);
      // A page that is opened after the access cookie has expired has only the refresh cookie.
      await browser.context.clearCookies({ name: 'access_token' });
      await page.evaluate(async (url) => { chat.close(); await start({ url }); }, server.url);
      assert.deepEqual((await useConnection(page)).slice(0, 2), ['online', 0]);
      await browser.context.clearCookies();
      await page.close();
    });
  }

  test('without a cookie connecting fails at once', async () => {
    await browser.context.clearCookies();
    const { page } = await openPage();
    const code = await page.evaluate(() => start({}).then(() => 'connected', (error) => error.code));
    assert.match(code, /^(token_missing|session_ended)$/);
    await page.close();
  });

  test('from an origin that is not allowed, a login sets no cookie', async () => {
    const forbiddenOrigin = createServer((_, response) => response.setHeader('content-type', 'text/html').end('<!doctype html>'));
    await new Promise((done) => forbiddenOrigin.listen(0, '127.0.0.1', done));
    const { username, password } = await newAccount('alice');
    const page = await browser.context.newPage();
    await page.goto(`http://127.0.0.1:${forbiddenOrigin.address().port}/`);
    const outcome = await page.evaluate(([url, credentials]) => fetch(`${url}/auth/login`, {
      method: 'POST', credentials: 'include', headers: { 'content-type': 'application/json' }, body: JSON.stringify(credentials),
    }).then(() => 'answered', (error) => error.name), [server.url, { username, password }]);
    assert.equal(outcome, 'TypeError', 'the browser hides the response from the page');
    assert.deepEqual(await browser.context.cookies(server.url), []);
    await page.close();
    forbiddenOrigin.closeAllConnections();
    forbiddenOrigin.close();
  });
});
