// The admin panel for the keyboard, for assistive technology, on small screens, and with hostile content.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { assertAccessible, row, section, side, startPanel, table } from './admin_support.mjs';
import { eventually } from './web_support.mjs';

const HOSTILE = '<img src=x onerror="globalThis.hacked=1"><script>globalThis.hacked=1</script>javascript:hacked=1\'"';
let web;
let report;
let chatId;
let mallory;
before(async () => {
  web = await startPanel();
  const alice = await web.user('alice');
  mallory = await web.newUser('mallory');
  await web.rest('PATCH', '/user/me', mallory.token, {
    name: HOSTILE.slice(0, 90),
    email: `${mallory.username}@example.org`,
    password: 'mango-demo',
  });
  chatId = await web.group(HOSTILE.slice(0, 90), [mallory, alice]);
  const message = await mallory.send(chatId, HOSTILE);
  await alice.call('report', { message: { id: message.id }, reason: HOSTILE });
  await web.rest('POST', `/admin/user/${mallory.id}/ban`, web.root.token, { reason: HOSTILE });
  await web.rest('POST', `/admin/user/${mallory.id}/password_reset`, web.root.token).catch(() => {});
  [report] = await web.rest('GET', '/admin/report', web.root.token);
  await web.rest('PUT', `/admin/report/${report.id}/note`, web.root.token, { note: HOSTILE });
});
after(() => web?.stop());

const places = () => [
  ['Overview', '#/overview', (page) => page.getByRole('region', { name: 'Totals' }).getByText('Messages').waitFor()],
  ['Users', '#/users', (page) => row(page, 'Users', 'onerror').waitFor()],
  [
    'a profile',
    `#/users/${mallory.id}`,
    (page) =>
      side(page, /onerror/)
        .getByText('Live sessions', { exact: true })
        .waitFor(),
  ],
  ['Chats', '#/chats', (page) => row(page, 'Chats', 'onerror').waitFor()],
  [
    'a chat',
    `#/chats/${chatId}`,
    async (page) => {
      await page.getByRole('button', { name: 'Read messages' }).click();
      await page.getByRole('button', { name: 'Delete message' }).waitFor();
    },
  ],
  ['Reports', '#/reports', (page) => row(page, 'Reports', 'onerror').waitFor()],
  [
    'a report',
    `#/reports/${report.id}`,
    (page) =>
      side(page, /Report/)
        .getByRole('button', { name: 'Claim' })
        .waitFor(),
  ],
  ['Audit log', '#/audit', (page) => row(page, 'Audit log', 'user.ban').waitFor()],
  ['Mail', '#/mail', (page) => page.getByRole('heading', { name: 'Mail', level: 1 }).waitFor()],
  ['Settings', '#/settings', (page) => row(page, 'Settings', 'BIND').waitFor()],
  ['Message types', '#/types', (page) => row(page, 'Message types', 'markdown').waitFor()],
];

describe('the admin panel for everybody', () => {
  test(
    'hostile names, messages, reasons and notes run no script, and axe-core finds nothing',
    { timeout: 90_000 },
    async () => {
      const w = await web.panel(web.root);
      for (const [name, hash, ready] of places()) {
        await w.page.evaluate((to) => {
          location.hash = to;
        }, hash);
        await ready(w.page);
        assert.equal(await w.page.evaluate(() => globalThis.hacked ?? 0), 0, name);
        assert.equal(
          await w.page.evaluate(
            () => document.querySelectorAll('main script, main [onerror], main a[href^="javascript"]').length,
          ),
          0,
          name,
        );
        await assertAccessible(w.page, name);
      }
      assert.deepEqual(w.errors, []);
      await w.close();
    },
  );

  test('the forms and the sign-in pass axe-core as well', async () => {
    const w = await web.panel(web.root, `#/users/${mallory.id}`);
    await side(w.page, /onerror/)
      .getByRole('button', { name: 'Change ban' })
      .click();
    await w.page.getByRole('dialog').getByRole('combobox', { name: 'Ends' }).selectOption({ label: 'On a date…' });
    await w.page.waitForTimeout(250);
    await assertAccessible(w.page, 'the ban');
    await w.close();
    const out = await web.open(null, { path: '/admin' });
    await out.page.getByRole('button', { name: 'Sign in', exact: true }).waitFor();
    await assertAccessible(out.page, 'the sign-in');
    await out.close();
  });

  test('everything goes by keyboard: sections, a row, the panel beside it, and back', async () => {
    const w = await web.panel(web.root, '#/overview');
    await section(w.page, 'Users').focus();
    await w.page.keyboard.press('Enter');
    const search = w.page.getByRole('searchbox', { name: 'Search' });
    await search.focus();
    await w.page.keyboard.type('bob');
    await eventually(async () => (await table(w.page, 'Users').getByRole('row').count()) === 2, 'only bob');
    // Role, bans, and then the row.
    for (let n = 0; n < 3; n += 1) await w.page.keyboard.press('Tab');
    const link = row(w.page, 'Users', 'Bob').getByRole('link');
    assert.ok(await link.evaluate((it) => it === document.activeElement));
    await w.page.keyboard.press('Enter');
    const panel = side(w.page, 'Bob');
    await panel.getByRole('button', { name: 'Ban', exact: true }).waitFor();
    assert.ok(await panel.evaluate((it) => it.contains(document.activeElement)), 'the focus is in the panel');
    await panel.getByRole('button', { name: 'Ban', exact: true }).press('Enter');
    await w.page.getByRole('dialog').waitFor();
    await w.page.keyboard.press('Escape');
    assert.ok(
      await panel.getByRole('button', { name: 'Ban', exact: true }).evaluate((it) => it === document.activeElement),
      'the focus returns to the button',
    );
    await w.page.keyboard.press('Escape');
    await panel.waitFor({ state: 'hidden' });
    assert.ok(await link.evaluate((it) => it === document.activeElement), 'the focus returns to the row');
    await w.close();
  });

  test('no screen is wider than a phone', async () => {
    const w = await web.open(web.root, { path: '/admin', viewport: { width: 360, height: 740 } });
    for (const [name, hash, ready] of places()) {
      await w.page.evaluate((to) => {
        location.hash = to;
      }, hash);
      await ready(w.page);
      assert.ok(await w.page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), name);
    }
    // And what one acts with is on the screen.
    await w.page.goto(`${web.url}/admin#/users/${mallory.id}`);
    await side(w.page, /onerror/)
      .getByRole('button', { name: 'Change ban' })
      .click();
    await w.page.getByRole('dialog').getByRole('button', { name: 'Ban', exact: true }).click({ trial: true });
    await w.context.clearCookies();
    await w.page.goto(`${web.url}/admin`);
    await w.page.reload();
    await w.page.getByRole('button', { name: 'Sign in', exact: true }).click({ trial: true });
    await w.close();
  });

  test('what fails says so, and can be tried again', async () => {
    const w = await web.panel(web.root, '#/overview');
    await w.page.route('**/admin/user?*', (it) =>
      it.fulfill({
        status: 503,
        contentType: 'application/problem+json',
        body: '{"code":"unavailable","detail":"busy"}',
      }),
    );
    await section(w.page, 'Users').click();
    const problem = w.page.getByRole('alert').filter({ hasText: 'This cannot be shown now' });
    await problem.waitFor();
    await w.page.unroute('**/admin/user?*');
    await problem.getByRole('button', { name: 'Try again' }).click();
    await row(w.page, 'Users', 'Bob').waitFor();
    await w.close();
  });
});
