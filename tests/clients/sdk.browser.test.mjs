// The JavaScript client in a browser, as the server serves it.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, describe, test } from 'node:test';
import { launch } from './chromium.mjs';
import { assertFresh, until, transports, withChats, withProxy } from './sdk_support.mjs';
import { expectStatus, newUsers, request, unique, url } from './support.mjs';

const MODULE = '/client/mango-chat.js';
/** A page of the server. Its content does not matter, because the tests only run scripts in it. They bypass its
 *  security policy: applications send their own, and `pages.browser.test.mjs` tests those of the server. */
const PAGE = '/health/live';

let context;
let close;

before(async () => {
  ({ context, close } = await launch({ bypassCSP: true }));
});

after(() => close?.());

/** Opens a page at this origin with a connected client as `chat`; `errors` collects the errors of the page. */
async function openPage(origin, options) {
  const page = await context.newPage();
  const errors = [];
  page.on('pageerror', (error) => errors.push(error.message));
  const isPageError = (line) => line.type() === 'error' && !line.location().url.endsWith('/favicon.ico');
  page.on('console', (line) => isPageError(line) && errors.push(line.text()));
  await page.goto(new URL(PAGE, origin).href);
  await page.evaluate(async ([module, settings]) => {
    const { MangoChat } = await import(module);
    globalThis.chat = new MangoChat({ backoff: { min: 20, max: 200 }, ...settings });
    globalThis.received = [];
    chat.on('message', ({ content }) => received.push(content));
    await chat.connect();
  }, [new URL(MODULE, url).href, options]);
  return { page, errors };
}

async function newGroup(owner, ...others) {
  const body = { chat: { name: unique('group'), is_group: true, members_array: others.map(({ id }) => id) } };
  return (await expectStatus(200, 'POST', '/events/create_chat', { user: owner, body })).chat;
}

describe('in Chromium', () => {
  test('the module is served unchanged and for any origin', async () => {
    const response = await request('GET', MODULE, { headers: { origin: 'https://elsewhere.example' } });
    assert.equal(response.status, 200);
    assert.match(response.headers.get('content-type'), /^text\/javascript/);
    assert.equal(response.headers.get('access-control-allow-origin'), '*', 'required for modules from another origin');
    const file = new URL('../../assets/client/mango-chat.js', import.meta.url);
    assert.ok(response.text === await readFile(file, 'utf8'), 'the server was built with another version of the module');
  });

  test('a page and a Node.js client exchange messages', () =>
    withChats(transports[0], async (open) => {
      const [alice, bob] = await newUsers('alice', 'bob');
      const { id } = await newGroup(alice, bob);
      const node = await open(bob);
      const { page, errors } = await openPage(url, { token: alice.accessToken });
      await node.send(id, 'from node');
      await page.waitForFunction(() => received.includes('from node'));
      const sent = await page.evaluate(async (chatId) => {
        const [first] = chat.chats.get(chatId).messages;
        await chat.like(first.id);
        await chat.markRead(chatId);
        return chat.send(chatId, 'from the page');
      }, id);
      await until(() => node.chats.get(id).messages.length === 2, 'the page\'s message');
      assert.equal(node.chats.get(id).messages[1].id, sent.id);
      assert.equal(node.chats.get(id).messages[0].likes, 1);
      const local = await page.evaluate((chatId) => {
        const { chat: info, my, messages } = chat.chats.get(chatId);
        return structuredClone({ info, my, messages });
      }, id);
      assert.equal(local.my.unread, 0);
      assert.deepEqual({ ...local.info, my: local.my }, await expectStatus(200, 'GET', `/chat/${id}`, { user: alice }));
      await assertFresh(node, bob);
      assert.deepEqual(errors, []);
      await page.close();
    }));

  test('a page on another origin reconnects after a cut and misses nothing', () =>
    withProxy((proxy) =>
      withChats(transports[0], async (open) => {
        const [alice, bob] = await newUsers('alice', 'bob');
        const { id } = await newGroup(alice, bob);
        const node = await open(bob);
        const { page } = await openPage(proxy.url, { token: alice.accessToken });
        await node.send(id, 'one');
        await page.waitForFunction(() => received.length === 1);
        proxy.refuse(true);
        await page.waitForFunction(() => chat.status === 'waiting');
        await node.send(id, 'two');
        const sent = page.evaluate((chatId) => chat.send(chatId, 'three'), id);
        proxy.refuse(false);
        assert.equal((await sent).content, 'three');
        await page.waitForFunction(() => received.length === 3);
        assert.deepEqual(await page.evaluate(() => received), ['one', 'two', 'three']);
        await until(() => node.chats.get(id).messages.length === 3, 'the page\'s message');
        await assertFresh(node, bob);
        await page.close();
      })));

  test('a page continues from the snapshot of an earlier one, and the iterator works', () =>
    withChats(transports[0], async (open) => {
      const [alice, bob] = await newUsers('alice', 'bob');
      const { id } = await newGroup(alice, bob);
      const node = await open(bob);
      const { page } = await openPage(url, { token: alice.accessToken });
      await page.evaluate(() => localStorage.setItem('chats', JSON.stringify(chat.snapshot())));
      await page.close();
      await node.send(id, 'while the page was away');
      const { page: next } = await openPage(url, { token: alice.accessToken });
      const seen = await next.evaluate(async ([chatId, module, token]) => {
        chat.close();
        const { MangoChat } = await import(module);
        const resumed = new MangoChat({ token, state: JSON.parse(localStorage.getItem('chats')) });
        const seen = [];
        const reader = (async () => {
          for await (const { type, message, synced } of resumed.chats.get(chatId).events()) seen.push([type, message.content, synced]);
        })();
        await resumed.connect();
        await resumed.send(chatId, 'and back');
        resumed.close();
        await reader;
        return seen;
      }, [id, new URL(MODULE, url).href, alice.accessToken]);
      assert.deepEqual(seen, [['new_message', 'while the page was away', true], ['new_message', 'and back', false]]);
      await next.close();
    }));
});
