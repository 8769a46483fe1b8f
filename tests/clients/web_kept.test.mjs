// What the web client keeps: drafts, messages with files, edits, and the end of a session, whatever the connection does.

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

async function opened(name) {
  const id = await web.group(name, [alice, bob]);
  const w = await web.open(alice, { at: `#/chat/${id}` });
  await w.box.waitFor();
  return { id, ...w };
}
const messagesOf = async (id) => (await web.rest('GET', `/chat/${id}/messages?limit=200`, alice.token)).reverse();
const draftOf = async (id) => (await web.rest('GET', `/chat/${id}`, alice.token)).my.draft;
const textFile = (name) => ({ name, mimeType: 'text/plain', buffer: Buffer.from(name) });

describe('what is written', () => {
  test('a sent text does not come back as a draft, at once or after an offline spell', async () => {
    const w = await opened('Drafts');
    for (const pause of [860, 900, 940]) {
      await w.box.fill(`after ${pause}`);
      await w.page.waitForTimeout(pause);
      await w.box.press('Enter');
    }
    await w.context.setOffline(true);
    await w.page.getByRole('status').filter({ hasText: 'Offline' }).waitFor();
    for (const text of ['written', 'written off', 'written offline']) {
      await w.box.fill(text);
      await w.page.waitForTimeout(1000);
    }
    await w.box.press('Enter');
    await w.context.setOffline(false);
    await w.page.getByRole('article', { name: /, sent: written offline/ }).waitFor();
    await w.page.waitForTimeout(1500);
    assert.equal(await w.box.inputValue(), '');
    assert.equal(await draftOf(w.id), null);
    await w.page.reload();
    await w.message('written offline').waitFor();
    assert.equal(await w.box.inputValue(), '');
    await w.close();
  });

  test('an edit without a connection stays open and says why', async () => {
    const w = await opened('Edits');
    await w.box.fill('before the edit');
    await w.box.press('Enter');
    await w.page.getByRole('article', { name: /, sent: before the edit/ }).waitFor();
    await w.box.press('ArrowUp');
    await w.context.setOffline(true);
    await w.page.getByRole('status').filter({ hasText: 'Offline' }).waitFor();
    await w.box.fill('after the edit');
    await w.box.press('Enter');
    await w.page.getByText('There is no connection. Save again').waitFor();
    assert.equal(await w.box.inputValue(), 'after the edit');
    await w.context.setOffline(false);
    await w.page.getByRole('status').filter({ hasText: 'Offline' }).waitFor({ state: 'detached' });
    await w.box.press('Enter');
    await w.message('after the edit').waitFor();
    await w.close();
  });
});

describe('what others change', () => {
  test('an edit and a deletion made while away reach messages far up in the log', async () => {
    const id = await web.group('Away', [alice, bob]);
    const old = [];
    for (let n = 0; n < 120; n += 1) old.push(await bob.send(id, `line ${n}`));
    const w = await web.open(alice, { at: `#/chat/${id}?at=${old[10].seq}` });
    await w.message('line 10').first().waitFor();
    await w.context.setOffline(true);
    await w.page.getByRole('status').filter({ hasText: 'Offline' }).waitFor();
    await bob.call('edit_message', { message: { id: old[11].id, content: 'another line' } });
    await bob.call('delete_message', { message: { id: old[12].id } });
    await w.context.setOffline(false);
    await w.message('another line').waitFor();
    await w.message('line 12').waitFor({ state: 'detached' });
    assert.deepEqual(w.errors, []);
    await w.close();
  });
});

describe('files', () => {
  test('a second tab sends nothing again, and messages with files keep their order', async () => {
    const w = await opened('Uploads');
    await w.context.route('**/attachment?*', async (route) => {
      const isFirst = route.request().postDataBuffer()?.includes('first.txt');
      await new Promise((done) => setTimeout(done, isFirst ? 2500 : 100));
      await route.continue();
    });
    for (const name of ['first.txt', 'second.txt']) {
      await w.page.locator('input[type=file]').setInputFiles(textFile(name));
      await w.box.press('Enter');
    }
    await w.page.waitForTimeout(300);
    const other = await w.context.newPage();
    await other.goto(`${web.url}/#/chat/${w.id}`);
    const log = other.getByRole('log', { name: 'Messages' });
    await log.getByRole('article', { name: /, sent: second.txt/ }).waitFor();
    await w.page.getByRole('article', { name: /, sent: second.txt/ }).waitFor();
    await other.waitForTimeout(500);
    const stored = await messagesOf(w.id);
    assert.deepEqual(
      stored.map((it) => it.attachments.map(({ name }) => name).join()),
      ['first.txt', 'second.txt'],
    );
    for (const page of [other, w.page]) {
      assert.equal(await page.getByRole('log', { name: 'Messages' }).getByRole('article').count(), 2);
      assert.equal(await page.getByRole('button', { name: 'Try again' }).count(), 0);
    }
    await w.close();
  });

  test('files stay the same elements when their message changes', async () => {
    const w = await opened('Elements');
    await w.page.locator('input[type=file]').setInputFiles(textFile('stays.txt'));
    await w.box.press('Enter');
    await w.page.getByRole('article', { name: /, sent: stays.txt/ }).waitFor();
    const files = w.log.locator('.attachments');
    await files.evaluate((element) => {
      globalThis.known = element;
      globalThis.moves = 0;
      new MutationObserver((changes) => {
        for (const { removedNodes } of changes)
          for (const node of removedNodes) if (node.contains(element)) globalThis.moves += 1;
      }).observe(element.closest('[role=log]'), { childList: true, subtree: true });
    });
    const [{ id }] = await messagesOf(w.id);
    await bob.call('toggle_reaction', { message: { id, emoji: '👍' }, on: true });
    await w.log.getByRole('button', { name: /👍/ }).first().waitFor();
    assert.ok(await files.evaluate((element) => element === globalThis.known && globalThis.moves === 0));
    await w.close();
  });
});

describe('the end of a session', () => {
  test('a sign-out that the server did not hear is said, and made up for at the next start', async () => {
    const w = await opened('Session');
    await w.context.route('**/auth/logout', (route) => route.abort());
    await w.page.getByRole('button', { name: 'Settings' }).click();
    await w.page.getByRole('tab', { name: 'Devices' }).click();
    await w.page.getByRole('tabpanel').getByRole('button', { name: 'Sign out' }).click();
    await w.page.getByText('You are signed out here, but the server could not be told').waitFor();
    assert.equal((await w.context.request.get(`${web.url}/user/me`)).status(), 200);
    await w.context.unroute('**/auth/logout');
    await w.page.goto(`${web.url}/admin`);
    await eventually(async () => (await w.context.request.get(`${web.url}/user/me`)).status() === 401, 'the end');
    assert.equal(await w.page.evaluate(() => localStorage.getItem('mango-logout-pending')), null);
    await w.close();
  });

  test('signing out with an unsent message asks first', async () => {
    const w = await opened('Unsent');
    await bob.call('follow', { user: { id: alice.id } });
    const direct = await web.direct(alice, bob);
    await bob.call('block', { user: { id: alice.id } });
    await w.page.goto(`${web.url}/#/chat/${direct}`);
    await w.box.fill('refused');
    await w.box.press('Enter');
    await w.message('refused').getByRole('button', { name: 'Try again' }).waitFor();
    await w.page.waitForTimeout(200);
    await w.page.getByRole('button', { name: 'Settings' }).click();
    await w.page.getByRole('tab', { name: 'Devices' }).click();
    await w.page.getByRole('tabpanel').getByRole('button', { name: 'Sign out' }).click();
    const ask = w.page.getByRole('dialog', { name: 'Sign out with unsent messages?' });
    await ask.getByRole('button', { name: 'Sign out' }).click();
    await w.page.getByRole('button', { name: 'Sign in', exact: true }).waitFor();
    await bob.call('unblock', { user: { id: alice.id } });
    await w.close();
  });
});
