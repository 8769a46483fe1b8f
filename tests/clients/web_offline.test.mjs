// The web client without a connection, across reloads and restarts, and in several tabs: nothing is lost, nothing twice.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { eventually, startWeb } from './web_support.mjs';

let web;
let alice;
let bob;
before(async () => {
  web = await startWeb();
  [alice, bob] = [await web.newUser('alice'), await web.newUser('bob')];
});
after(() => web?.stop());

const stored = async (id) =>
  (await web.rest('GET', `/chat/${id}/messages?limit=200`, alice.token)).map((it) => it.content).reverse();
async function opened(name, options) {
  const id = await web.group(name, [alice, bob]);
  const w = await web.open(alice, { at: `#/chat/${id}`, ...options });
  await w.box.waitFor();
  return { id, ...w };
}

describe('connection', () => {
  test('offline is said, what is written waits, and goes out once and in order when one is back', async () => {
    const w = await opened('Offline');
    await w.context.setOffline(true);
    await w.page.getByRole('status').filter({ hasText: 'Offline' }).waitFor();
    for (const text of ['first', 'second', 'third']) {
      await w.box.fill(text);
      await w.box.press('Enter');
    }
    await w.page.getByRole('article', { name: /waiting to be sent: third/ }).waitFor();
    await w.context.setOffline(false);
    await w.page.getByRole('article', { name: /, sent: third/ }).waitFor();
    assert.deepEqual(await stored(w.id), ['first', 'second', 'third']);
    assert.equal(await w.log.getByRole('article').count(), 3);
    await w.page.getByRole('status').filter({ hasText: 'Offline' }).waitFor({ state: 'detached' });
    await w.close();
  });

  test('a reload in the middle of a send loses nothing and doubles nothing', async () => {
    const w = await opened('Reload');
    await w.context.setOffline(true);
    for (const text of ['before the reload', 'and another']) {
      await w.box.fill(text);
      await w.box.press('Enter');
    }
    await w.page.getByRole('article', { name: /waiting to be sent: and another/ }).waitFor();
    await w.page.waitForTimeout(100);
    await w.context.setOffline(false);
    await w.page.reload();
    await w.page.getByRole('article', { name: /, sent: and another/ }).waitFor();
    await eventually(async () => (await stored(w.id)).length === 2);
    assert.deepEqual(await stored(w.id), ['before the reload', 'and another']);
    for (let round = 0; round < 4; round += 1) {
      await w.box.fill(`at once ${round}`);
      await w.box.press('Enter');
      await w.page.waitForTimeout(round * 8);
      await w.page.reload();
      await w.box.waitFor();
    }
    await eventually(async () => (await stored(w.id)).length === 6, 'all messages');
    assert.deepEqual(
      (await stored(w.id)).slice(2),
      [0, 1, 2, 3].map((it) => `at once ${it}`),
    );
    await w.close();
  });

  test('a message that is refused says so in place, can be tried again and deleted, also after a reload', async () => {
    const w = await opened('Refused');
    await bob.call('follow', { user: { id: alice.id } });
    const direct = await web.direct(alice, bob);
    await bob.call('block', { user: { id: alice.id } });
    await w.page.goto(`${web.url}/#/chat/${direct}`);
    await w.box.fill('can you hear me?');
    await w.box.press('Enter');
    await w.message('can you hear me?').getByText('One of you has blocked the other.').waitFor();
    await w.page.waitForTimeout(150);
    await w.page.reload();
    await w.message('can you hear me?').getByText('One of you has blocked the other.').waitFor();
    await bob.call('unblock', { user: { id: alice.id } });
    await w.message('can you hear me?').getByRole('button', { name: 'Try again' }).click();
    await w.page.getByRole('article', { name: /, sent: can you hear me/ }).waitFor();
    await bob.call('block', { user: { id: alice.id } });
    await w.box.fill('and now?');
    await w.box.press('Enter');
    await w.message('and now?').getByRole('button', { name: 'Delete' }).click();
    await w.message('and now?').waitFor({ state: 'detached' });
    await w.page.reload();
    await w.message('can you hear me?').waitFor();
    assert.equal(await w.message('and now?').count(), 0);
    await bob.call('unblock', { user: { id: alice.id } });
    await w.close();
  });

  test('a second tab is in step with what the first one does', async () => {
    const w = await opened('Step');
    const page = await w.context.newPage();
    await page.goto(`${web.url}/#/chat/${w.id}`);
    await page.getByRole('textbox', { name: 'Message', exact: true }).waitFor();
    await w.box.fill('from the first tab');
    await w.box.press('Enter');
    const log = page.getByRole('log', { name: 'Messages' });
    await log.getByRole('article', { name: /from the first tab/ }).waitFor();
    assert.equal(await log.getByRole('article').count(), 1);
    await page.getByRole('button', { name: 'Settings' }).click();
    await page.getByRole('tab', { name: 'General' }).click();
    await page.getByRole('radio', { name: 'Dark' }).check();
    await eventually(() => w.page.evaluate(() => document.documentElement.dataset.theme === 'dark'), 'the theme');
    await page.getByRole('tab', { name: 'Devices' }).click();
    await page.getByRole('tabpanel').getByRole('button', { name: 'Sign out' }).click();
    await w.page.getByRole('button', { name: 'Sign in', exact: true }).waitFor();
    await w.close();
  });

  test('the app opens without a connection, with its chats', async () => {
    const w = await opened('Shell', { serviceWorkers: 'allow' });
    await bob.send(w.id, 'seen before');
    await w.message('seen before').waitFor();
    await w.page.evaluate(async () => {
      await navigator.serviceWorker.ready;
    });
    await w.page.reload();
    await w.message('seen before').waitFor();
    await eventually(() => w.page.evaluate(() => Boolean(navigator.serviceWorker.controller)), 'the service worker');
    // The copy of the chats is written a few seconds after a change.
    await w.page.waitForTimeout(4500);
    await w.context.setOffline(true);
    await w.page.goto(`${web.url}/`);
    await w.chat('Shell').click();
    await w.message('seen before').waitFor();
    await w.page.getByRole('status').filter({ hasText: 'Offline' }).waitFor();
    await w.close();
  });
});

describe('tokens and restarts', () => {
  test('an access token that ends is renewed without a word, for the connection and for requests', async () => {
    const short = await startWeb({ ACCESS_TOKEN_TTL_SECS: '4' });
    try {
      const [eve, fay] = [await short.newUser('eve'), await short.newUser('fay')];
      const id = await short.group('Tokens', [eve, fay]);
      const w = await short.open(eve, { at: `#/chat/${id}` });
      await w.box.waitFor();
      await w.page.waitForTimeout(6000);
      await w.box.fill('after the token has ended');
      await w.box.press('Enter');
      await w.page.getByRole('article', { name: /, sent: after the token/ }).waitFor();
      await w.page.getByRole('button', { name: 'Settings' }).click();
      await w.page.getByRole('tab', { name: 'Devices' }).click();
      await w.page.getByText('This device').waitFor();
      await w.page.reload();
      await w.message('after the token').waitFor();
      await w.close();
    } finally {
      await short.stop();
    }
  });
});
