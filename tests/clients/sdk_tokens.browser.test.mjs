// How a page stays logged in: tokens that tabs share, cookies that are exchanged, and calls from another origin. The
// server's access tokens expire so soon that a client exchanges them every few seconds.

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { after, before, describe, test } from 'node:test';
import { launch } from './chromium.mjs';
import { startServer } from './own_server.mjs';
import { sleep, unique } from './support.mjs';

const PASSWORD = 'correct horse battery';
/** The client exchanges a token in its last minute. */
const SETTINGS = { ACCESS_TOKEN_TTL_SECS: '63' };

let browser;
let elsewhere;
let server;

before(async () => {
  // Every path returns an empty page.
  elsewhere = createServer((_, answer) => answer.setHeader('content-type', 'text/html').end('<!doctype html><title>elsewhere</title>'));
  await new Promise((done) => elsewhere.listen(0, '127.0.0.1', done));
  elsewhere.origin = `http://127.0.0.1:${elsewhere.address().port}`;
  server = await startServer({ ...SETTINGS, CORS_ORIGINS: elsewhere.origin });
  browser = await launch({ bypassCSP: true });
});

after(async () => {
  await browser?.close();
  await server?.stop();
  elsewhere?.closeAllConnections();
  elsewhere?.close();
});

async function newAccount(name) {
  const credentials = { username: unique(name), password: PASSWORD };
  const headers = { 'content-type': 'application/json' };
  const answer = await fetch(`${server.url}/user`, { method: 'POST', headers, body: JSON.stringify(credentials) });
  assert.equal(answer.status, 201, await answer.clone().text());
  return { ...credentials, id: (await answer.json()).id };
}

/** Opens a page at an origin, with the module's exports as `mango`; `asked` collects statuses of token exchanges. */
async function openPage(origin = server.url) {
  const page = await browser.context.newPage();
  const asked = [];
  page.on('response', (answer) => answer.url().endsWith('/auth/refresh') && asked.push(answer.status()));
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
  return { page, asked };
}

/** Waits until the pages together have requested this many exchanges, no matter which page requests them. */
const exchanged = async (times, ...pages) => {
  const statuses = () => pages.flatMap(({ asked }) => asked);
  for (const deadline = Date.now() + 20_000; statuses().length < times; await sleep(50)) {
    assert.ok(Date.now() < deadline, `waited for ${times} exchanges, saw ${statuses()}`);
  }
};

/** Shows that the page can still use its connection: returns its status, its number of chats, and all errors so far. */
const isAlive = (page) => page.evaluate(async () => {
  const { chats } = await chat.call('sync', {});
  return [chat.status, chats.length, ...errors];
});

describe('sessionTokens', () => {
  test('a tab that slept while another one exchanged the tokens goes on with the new ones', async () => {
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
    await exchanged(3, awake);
    const isStale = () => sleeper.page.evaluate(() => stale !== JSON.parse(localStorage.getItem('mango-chat')).refresh_token);
    assert.equal(await isStale(), true);
    await sleeper.page.evaluate(() => chat.connect());
    await exchanged(awake.asked.length + sleeper.asked.length + 2, awake, sleeper);
    assert.deepEqual(await isAlive(sleeper.page), ['online', 0]);
    assert.deepEqual(await isAlive(awake.page), ['online', 0]);
    assert.deepEqual([...awake.asked, ...sleeper.asked].filter((status) => status !== 200), []);
    await Promise.all([awake, sleeper].map(({ page }) => page.close()));
  });

  test('tabs that need a new token at once ask for one', async () => {
    const { username, password } = await newAccount('alice');
    const tabs = [await openPage(), await openPage(), await openPage()];
    await tabs[0].page.evaluate((credentials) => mango.sessionTokens().login(credentials), { username, password });
    await sleep(4_000);
    const given = await Promise.all(tabs.map(({ page }) => page.evaluate(() => mango.sessionTokens()())));
    assert.equal(new Set(given).size, 1, 'all have the same');
    assert.deepEqual(tabs.flatMap(({ asked }) => asked), [200]);
    await Promise.all(tabs.map(({ page }) => page.close()));
  });

  test('after a logout elsewhere the client is dismissed and the storage is empty', async () => {
    const { username, password } = await newAccount('alice');
    const [one, other] = [await openPage(), await openPage()];
    await one.page.evaluate(async (credentials) => {
      globalThis.token = mango.sessionTokens();
      await token.login(credentials);
      await start({ token });
    }, { username, password });
    await other.page.evaluate(async () => {
      const token = mango.sessionTokens();
      await token.logout();
      return token.isLoggedIn();
    }).then((isLoggedIn) => assert.equal(isLoggedIn, false));
    await one.page.waitForFunction(() => chat.status === 'dismissed');
    assert.deepEqual(await one.page.evaluate(() => errors), ['session_ended']);
    await Promise.all([one, other].map(({ page }) => page.close()));
  });
});

describe('cookie mode', () => {
  for (const from of ['the server itself', 'another origin that CORS_ORIGINS names']) {
    test(`from ${from}: the cookies are exchanged by the client, and the connection outlives the access token`, async () => {
      const { username, password } = await newAccount('alice');
      const tab = await openPage(from.startsWith('another') ? elsewhere.origin : server.url);
      const { page, asked } = tab;
      await page.evaluate(async ([url, credentials]) => {
        const answer = await fetch(`${url}/auth/login`, {
          method: 'POST', credentials: 'include', headers: { 'content-type': 'application/json' }, body: JSON.stringify(credentials),
        });
        if (!answer.ok) throw new Error(await answer.text());
        await start({ url });
      }, [server.url, { username, password }]);
      await exchanged(2, tab);
      assert.deepEqual(await isAlive(page), ['online', 0]);
      assert.deepEqual(asked.filter((status) => status !== 200), []);
      // A page that is opened after the access cookie has expired has only the refresh cookie.
      await browser.context.clearCookies({ name: 'access_token' });
      await page.evaluate(async (url) => { chat.close(); await start({ url }); }, server.url);
      assert.deepEqual((await isAlive(page)).slice(0, 2), ['online', 0]);
      await browser.context.clearCookies();
      await page.close();
    });
  }

  test('without any cookie the client says at once that nobody is logged in', async () => {
    await browser.context.clearCookies();
    const { page } = await openPage();
    const code = await page.evaluate(() => start({}).then(() => 'connected', (error) => error.code));
    assert.match(code, /^(token_missing|session_ended)$/);
    await page.close();
  });

  test('from an origin that is not named, neither login nor socket takes a cookie', async () => {
    const stranger = createServer((_, answer) => answer.setHeader('content-type', 'text/html').end('<!doctype html>'));
    await new Promise((done) => stranger.listen(0, '127.0.0.1', done));
    const { username, password } = await newAccount('alice');
    const page = await browser.context.newPage();
    await page.goto(`http://127.0.0.1:${stranger.address().port}/`);
    const said = await page.evaluate(([url, credentials]) => fetch(`${url}/auth/login`, {
      method: 'POST', credentials: 'include', headers: { 'content-type': 'application/json' }, body: JSON.stringify(credentials),
    }).then(() => 'answered', (error) => error.name), [server.url, { username, password }]);
    assert.equal(said, 'TypeError', 'the browser keeps the answer from the page');
    assert.deepEqual(await browser.context.cookies(server.url), []);
    await page.close();
    stranger.closeAllConnections();
    stranger.close();
  });
});
