// The web client for the keyboard and for assistive technology: axe-core finds nothing on any screen in either theme, and
// a whole conversation goes by keyboard alone.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, describe, test } from 'node:test';
import { eventually, startWeb } from './web_support.mjs';

let web;
let alice;
let bob;
let axe;
before(async () => {
  axe = await readFile(new URL('node_modules/axe-core/axe.min.js', import.meta.url), 'utf8');
  web = await startWeb();
  [alice, bob] = [await web.newUser('alice'), await web.newUser('bob')];
});
after(() => web?.stop());

const RULES = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];

/** What axe-core finds on the screen, in both themes. */
async function problems(page, label) {
  const found = [];
  for (const theme of ['light', 'dark']) {
    await page.evaluate((it) => {
      document.documentElement.dataset.theme = it;
    }, theme);
    await page.waitForTimeout(150);
    // Only colours differ between the themes.
    const rules = theme === 'light' ? RULES : { type: 'rule', values: ['color-contrast'] };
    const { violations } = await page.evaluate((runOnly) => globalThis.axe.run(document, { runOnly }), rules);
    for (const it of violations)
      found.push(
        `${label}, ${theme}: ${it.id}: ${it.nodes
          .slice(0, 3)
          .map((node) => `${node.html.slice(0, 160)} ${(node.any[0] ?? node.all[0] ?? node.none[0])?.message ?? ''}`)
          .join(' | ')}`,
      );
  }
  return found;
}
const withAxe = async (w) => {
  await w.page.evaluate(`${axe}; globalThis.axe = axe;`);
  return w;
};
/** The policy of the page forbids the script of the tests; the tests look at the page without it. */
const OPEN = { bypassCSP: true };

describe('assistive technology', () => {
  test('axe-core finds nothing on the screens of the app', async () => {
    const id = await web.group('Harvest', [alice, bob]);
    const asked = await bob.send(id, 'Is the harvest in yet? https://example.org');
    const own = await alice.send(id, `hello @${bob.username}`, { reply_to: asked.id });
    await bob.call('toggle_reaction', { message: { id: own.id, emoji: '🥭' }, on: true });
    await bob.send(id, '{"a": [1, "x", null]} ', { message_type: 'json' });
    await bob.send(id, '# Title\n\n- one\n- `two`\n\n> three', { message_type: 'markdown' });
    await bob.send(id, 'a;b\n1;2', { message_type: 'csv' });
    await bob.send(id, '🥭');
    await alice.call('toggle_message_pin', { message: { id: asked.id, pinned: true } });
    const gone = await alice.send(id, 'gone');
    await alice.call('delete_message', { message: { id: gone.id } });
    await web.group('Muted', [bob, alice]).then(async (other) => {
      await bob.send(other, 'quiet');
      await alice.call('toggle_chat_mute', { chat: { id: other, muted: true } });
    });
    const w = await withAxe(await web.open(alice, { ...OPEN, at: `#/chat/${id}` }));
    const { page } = w;
    await w.message('hello').waitFor();
    const found = await problems(page, 'conversation');
    const check = async (label, open) => {
      await open();
      await page.waitForTimeout(250);
      found.push(...(await problems(page, label)));
    };
    const escape = () => page.keyboard.press('Escape');
    await check('details', () => page.getByRole('button', { name: 'Details', exact: true }).click());
    await page.getByRole('button', { name: 'Close details' }).click();
    await check('menu', async () => {
      await w.message('hello').hover();
      await w.message('hello').getByRole('button', { name: 'More', exact: true }).click();
    });
    await escape();
    await check('emoji', () => page.getByRole('button', { name: 'Emoji', exact: true }).click());
    await escape();
    await check('new chat', () => page.getByRole('button', { name: 'New chat' }).click());
    await check('new group', () => page.getByRole('button', { name: 'New group' }).click());
    await escape();
    await check('settings', () => page.getByRole('button', { name: 'Settings' }).click());
    for (const name of ['Profile', 'Notifications', 'Account', 'Devices'])
      await check(name, () => page.getByRole('tab', { name, exact: true }).click());
    await escape();
    await check('search', () => w.search.fill('har'));
    await escape();
    await check('contacts', () => page.getByRole('link', { name: 'Contacts' }).click());
    await check('phone', async () => {
      await page.setViewportSize({ width: 360, height: 740 });
      await page.goto(`${web.url}/#/chat/${id}`);
    });
    assert.deepEqual(found, []);
    await w.close();
  });

  test('axe-core finds nothing on the pages without a session', async () => {
    const w = await withAxe(await web.open(null, OPEN));
    await w.page.getByRole('button', { name: 'Sign in', exact: true }).waitFor();
    const found = await problems(w.page, 'sign in');
    await w.page.getByRole('button', { name: 'Create account' }).click();
    found.push(...(await problems(w.page, 'sign up')));
    await w.page.goto(`${web.url}/account/reset#token=x`);
    await withAxe(w);
    await w.page.getByRole('button', { name: 'Set the password' }).waitFor();
    found.push(...(await problems(w.page, 'reset')));
    assert.deepEqual(found, []);
    await w.close();
  });
});

describe('keyboard alone', () => {
  test('signs in, finds a chat, writes, replies, reacts, edits, deletes, and comes back', async () => {
    const id = await web.group('Keys', [alice, bob]);
    await bob.send(id, 'press a key');
    const w = await web.open(null);
    const { page } = w;
    const { keyboard } = page;
    await page.getByRole('textbox', { name: 'Phone, e-mail or username' }).waitFor();
    const focused = () =>
      page.evaluate(
        () => document.activeElement?.getAttribute('aria-label') ?? document.activeElement?.textContent ?? '',
      );
    await eventually(
      async () => (await page.evaluate(() => document.activeElement?.name)) === 'username',
      'focus in the first field',
    );
    await keyboard.type(alice.username);
    await keyboard.press('Tab');
    if ((await focused()) === 'Show') await keyboard.press('Tab');
    await keyboard.type('mango-demo');
    await keyboard.press('Enter');
    await w.chat('Keys').waitFor();
    await keyboard.press('Control+k');
    await keyboard.type('keys');
    await page.getByRole('link', { name: 'Keys' }).waitFor();
    await keyboard.press('Enter');
    await w.message('press a key').waitFor();
    await eventually(async () => (await focused()) === 'Message', 'focus in the message box');
    await keyboard.type('typed by hand');
    await keyboard.press('Enter');
    await page.getByRole('article', { name: /, sent: typed by hand/ }).waitFor();
    // Back into the log, to the message by Bob.
    for (let step = 0; step < 12 && !/typed by hand|press a key/.test(await focused()); step += 1)
      await keyboard.press('Shift+Tab');
    for (let step = 0; step < 4 && !/press a key/.test(await focused()); step += 1) await keyboard.press('ArrowUp');
    assert.match(await focused(), /press a key/);
    await keyboard.press('Enter');
    await page.getByRole('menu').waitFor();
    await keyboard.press('Escape');
    assert.match(await focused(), /press a key/, 'focus comes back');
    await keyboard.press('r');
    await eventually(async () => (await focused()) === 'Message', 'focus in the message box');
    await keyboard.type('an answer');
    await keyboard.press('Enter');
    await w.message('an answer').filter({ hasText: 'press a key' }).waitFor();
    await page.getByRole('article', { name: /, sent: an answer/ }).waitFor();
    await keyboard.press('ArrowUp');
    await keyboard.press('End');
    await keyboard.type('!');
    await keyboard.press('Enter');
    await w.message('an answer!').filter({ hasText: 'edited' }).waitFor();
    await eventually(async () => (await focused()) === 'Message', 'focus in the message box');
    for (let step = 0; step < 12 && !/an answer|typed by hand|press a key/.test(await focused()); step += 1)
      await keyboard.press('Shift+Tab');
    await keyboard.press('End');
    assert.match(await focused(), /an answer!/);
    await keyboard.press('Delete');
    await page.getByRole('dialog', { name: 'Delete this message?' }).waitFor();
    await keyboard.press('Shift+Tab');
    await keyboard.press('Tab');
    await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).focus();
    await keyboard.press('Enter');
    await w.message('Message deleted').waitFor();
    await eventually(
      async () => (await focused()) !== '' && (await page.evaluate(() => document.activeElement !== document.body)),
      'focus is somewhere',
    );
    await w.close();
  });

  test('Escape closes one thing at a time', async () => {
    const id = await web.group('Escape', [alice, bob]);
    await bob.send(id, 'reply to me');
    const w = await web.open(alice, { at: `#/chat/${id}` });
    await w.page.getByRole('button', { name: 'Details', exact: true }).click();
    await w.message('reply to me').hover();
    await w.message('reply to me').getByRole('button', { name: 'Reply', exact: true }).click();
    await w.box.pressSequentially('hi :sm');
    await w.page.getByRole('listbox', { name: 'Suggestions' }).waitFor();
    await w.page.keyboard.press('Escape');
    await w.page.getByRole('listbox', { name: 'Suggestions' }).waitFor({ state: 'hidden' });
    await w.page.getByText('Reply to Bob').waitFor();
    await w.page.keyboard.press('Escape');
    await w.page.getByText('Reply to Bob').waitFor({ state: 'hidden' });
    assert.equal(await w.box.inputValue(), 'hi :sm');
    await w.page.getByRole('complementary', { name: 'Details' }).waitFor();
    await w.close();
  });
});
