// The admin panel in Chromium: what admins and moderators see and do. Elements are found by role and name.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { navigation, row, section, side, startPanel, table } from './admin_support.mjs';
import { eventually } from './web_support.mjs';

let web;
let alice;
let bob;
let chatId;
before(async () => {
  web = await startPanel();
  [alice, bob] = [await web.user('alice'), await web.user('bob')];
  chatId = await web.group('Orchard', [alice, bob]);
});
after(() => web?.stop());

const SECTIONS = ['Overview', 'Users', 'Chats', 'Reports', 'Audit log', 'Mail', 'Settings'];
const dialog = (page, name) => page.getByRole('dialog', { name });
const audit = async (action) => (await web.rest('GET', `/admin/audit?action=${action}`, web.root.token))[0];

describe('access to the panel', () => {
  test('it asks to sign in, says so when the role is missing, and opens for an admin', async () => {
    const w = await web.open(null, { path: '/admin' });
    const signIn = async (username) => {
      await w.page.getByRole('textbox', { name: 'Phone, e-mail or username' }).fill(username);
      await w.page.getByRole('textbox', { name: 'Password' }).fill('mango-demo');
      await w.page.getByRole('button', { name: 'Sign in', exact: true }).click();
    };
    await signIn('alice');
    await w.page.getByRole('alert').filter({ hasText: 'neither a moderator nor an admin' }).waitFor();
    await w.page.getByRole('button', { name: 'Use another account' }).click();
    await signIn('root');
    await w.page.getByRole('heading', { name: 'Overview', level: 1 }).waitFor();
    for (const name of SECTIONS) await section(w.page, name).waitFor();
    await w.page.getByRole('button', { name: 'Your account' }).click();
    await w.page.getByRole('menuitem', { name: 'Sign out' }).click();
    await w.page.getByRole('button', { name: 'Sign in', exact: true }).waitFor();
    assert.deepEqual(w.errors, []);
    await w.close();
  });

  test('a moderator sees what moderators may see, and nothing of the rest', async () => {
    const w = await web.panel(web.carol);
    for (const name of ['Overview', 'Users', 'Chats', 'Reports']) {
      await section(w.page, name).click();
      await w.page.getByRole('heading', { name, level: 1 }).waitFor();
      if (name !== 'Overview')
        assert.ok(
          (await table(w.page, name).getByRole('columnheader').count()) > 2 ||
            (await w.page.getByText('All clear').count()),
        );
    }
    for (const name of ['Audit log', 'Mail', 'Settings']) assert.equal(await section(w.page, name).count(), 0);
    await section(w.page, 'Chats').click();
    await row(w.page, 'Chats', 'Orchard').getByRole('link').first().click();
    await side(w.page, 'Orchard').getByText('Only admins can read messages').waitFor();
    await w.page.goto(`${web.url}/admin#/users/${alice.id}`);
    await side(w.page, 'Alice').getByRole('button', { name: 'Ban', exact: true }).waitFor();
    assert.equal(await side(w.page, 'Alice').getByRole('button', { name: 'Delete account' }).count(), 0);
    assert.deepEqual(w.errors, []);
    await w.close();
  });

  test('a session that ends leads to the sign-in', async () => {
    const mallory = await web.newUser('mallory');
    await web.rest('PUT', `/admin/user/${mallory.id}/role`, web.root.token, { role: 'moderator' });
    const w = await web.panel(mallory);
    await w.page.getByRole('heading', { name: 'Overview', level: 1 }).waitFor();
    await web.rest('DELETE', `/admin/user/${mallory.id}/session`, web.root.token);
    // The next request shows it, that of a section or of the live figures.
    await w.page.evaluate(() => {
      location.hash = '#/users';
    });
    await w.page.getByRole('status').filter({ hasText: 'Your session has ended' }).waitFor();
    await w.close();
  });
});

describe('the pages of the panel', () => {
  test('the overview shows live figures, the server and open reports', async () => {
    const w = await web.panel(web.root);
    await alice.send(chatId, 'for the chart');
    const connections = w.page.getByRole('region', { name: 'Connections' });
    await eventually(
      async () => /^\d+$/.test(await connections.locator('strong').innerText()),
      'the first figures',
      12_000,
    );
    for (const name of ['Messages per second', 'Send latency, p99', 'Errors', 'Queue'])
      await w.page.getByRole('region', { name }).getByRole('slider').waitFor();
    await w.page.getByRole('region', { name: 'Server' }).getByText('SQLite').waitFor();
    await w.page.getByRole('region', { name: 'Totals' }).getByText('Banned users').waitFor();
    assert.deepEqual(w.errors, []);
    await w.close();
  });

  test('an admin goes through every page', async () => {
    const w = await web.panel(web.root);
    for (const name of SECTIONS.slice(1)) {
      await section(w.page, name).click();
      await w.page.getByRole('heading', { name, level: 1 }).waitFor();
      assert.equal(await section(w.page, name).getAttribute('aria-current'), 'page');
      await eventually(
        async () =>
          (await table(w.page, name).getByRole('columnheader').count()) > 1 ||
          (await w.page.getByText(/All clear|No mails yet/).count()) > 0,
        `the list of ${name}`,
      );
    }
    await section(w.page, 'Message types').click();
    await eventually(async () => (await table(w.page, 'Message types').getByRole('row').count()) === 26, 'all types');
    assert.deepEqual(w.errors, []);
    await w.close();
  });

  test('filters and the open profile survive a reload, and the back button', async () => {
    const w = await web.panel(web.root, '#/users');
    await w.page.getByRole('searchbox', { name: 'Search' }).fill('carol');
    const role = w.page.getByRole('search').getByRole('combobox', { name: 'Role' });
    await role.selectOption('moderator');
    await eventually(async () => (await table(w.page, 'Users').getByRole('row').count()) === 2, 'only carol');
    await row(w.page, 'Users', 'Carol').getByRole('link').click();
    await side(w.page, 'Carol').waitFor();
    await w.page.reload();
    await side(w.page, 'Carol').waitFor();
    assert.equal(await w.page.getByRole('searchbox', { name: 'Search' }).inputValue(), 'carol');
    assert.equal(await role.inputValue(), 'moderator');
    assert.equal(await table(w.page, 'Users').getByRole('row').count(), 2);
    await w.page.goBack();
    await side(w.page, 'Carol').waitFor({ state: 'hidden' });
    await w.close();
  });

  test('lists have pages, and the page stands in the address', async () => {
    for (let n = 0; n < 28; n += 1) await web.newUser(`grove${n}`);
    const w = await web.panel(web.root, '#/users?query=grove');
    await eventually(async () => (await table(w.page, 'Users').getByRole('row').count()) === 26, 'the first page');
    await w.page.getByRole('button', { name: 'Next' }).click();
    await eventually(async () => (await table(w.page, 'Users').getByRole('row').count()) === 4, 'the second page');
    await w.page.reload();
    await eventually(
      async () => (await table(w.page, 'Users').getByRole('row').count()) === 4,
      'the second page again',
    );
    await w.page.getByRole('button', { name: 'Previous' }).click();
    await eventually(
      async () => (await table(w.page, 'Users').getByRole('row').count()) === 26,
      'the first page again',
    );
    await w.close();
  });

  test('the settings are found by word, and secrets are not shown', async () => {
    const w = await web.panel(web.root, '#/settings');
    await row(w.page, 'Settings', 'JWT_SECRET').waitFor();
    await w.page.getByRole('searchbox', { name: 'Search' }).fill('ping_');
    await eventually(async () => (await table(w.page, 'Settings').getByRole('row').count()) === 3, 'two settings');
    assert.equal(await w.page.getByText('JWT_SECRET').count(), 0);
    await w.close();
  });

  test('the panel speaks Russian', async () => {
    const w = await web.open(web.root, { path: '/admin', locale: 'ru-RU' });
    await w.page.getByRole('heading', { name: 'Обзор' }).waitFor();
    await w.page.getByRole('link', { name: 'Пользователи' }).click();
    await w.page.getByRole('columnheader', { name: 'Регистрация' }).waitFor();
    assert.equal(await w.page.locator('html').getAttribute('lang'), 'ru');
    await w.close();
  });
});

describe('users', () => {
  test('a ban has a reason and an end, ends with one click, and is recorded', async () => {
    const dana = await web.newUser('dana');
    const w = await web.panel(web.root, `#/users/${dana.id}?query=${dana.username}`);
    const panel = side(w.page, 'Dana');
    await panel.getByRole('button', { name: 'Ban', exact: true }).click();
    const ask = dialog(w.page, 'Ban Dana?');
    await ask.getByRole('button', { name: 'Ban', exact: true }).click();
    await ask.getByText('A ban needs a reason').waitFor();
    await ask.getByRole('textbox', { name: 'Reason' }).fill('spam in <b>many</b> chats');
    await ask.getByRole('combobox', { name: 'Ends' }).selectOption({ label: 'In a day' });
    await ask.getByRole('button', { name: 'Ban', exact: true }).click();
    await panel.getByText('spam in <b>many</b> chats').waitFor();
    await row(w.page, 'Users', 'Dana').getByText('Banned').waitFor();
    const { ban } = await web.rest('GET', `/admin/user/${dana.id}`, web.root.token);
    assert.ok(Math.abs(new Date(ban.until) - Date.now() - 86_400_000) < 60_000);
    await panel.getByRole('button', { name: 'Lift ban' }).click();
    await dialog(w.page, 'Lift the ban of Dana?').getByRole('button', { name: 'Lift ban' }).click();
    await panel.getByRole('button', { name: 'Ban', exact: true }).waitFor();
    assert.equal((await audit('user.unban')).target_id, dana.id);
    assert.deepEqual(w.errors, []);
    await w.close();
  });

  test('role, sessions, reset mail and deletion, each confirmed by name', async () => {
    const eve = await web.newUser('eve');
    await web.rest('PATCH', '/user/me', eve.token, { email: `${eve.username}@example.org`, password: 'mango-demo' });
    const w = await web.panel(web.root, `#/users/${eve.id}`);
    const panel = side(w.page, 'Eve');
    await panel.getByRole('combobox', { name: 'Role' }).selectOption('moderator');
    await dialog(w.page, 'Make Eve a moderator?').getByRole('button', { name: 'Change role' }).click();
    await eventually(
      async () => (await web.rest('GET', `/admin/user/${eve.id}`, web.root.token)).role === 'moderator',
      'the role',
    );
    await panel.getByText('1 live session').click();
    await panel.getByRole('button', { name: 'End all sessions' }).click();
    await dialog(w.page, 'End all sessions of Eve?').getByRole('button', { name: 'End all sessions' }).click();
    await eventually(
      async () => (await web.rest('GET', `/admin/user/${eve.id}`, web.root.token)).sessions === 0,
      'no sessions',
    );
    await panel.getByRole('button', { name: 'Mail a reset link' }).click();
    await dialog(w.page, 'Mail Eve a reset link?').getByRole('button', { name: 'Send the mail' }).click();
    await w.page.getByText(/A link is on its way/).waitFor();
    assert.equal((await audit('user.password_reset')).target_id, eve.id);
    await panel.getByRole('button', { name: 'Delete account' }).click();
    await dialog(w.page, 'Delete the account of Eve?').getByRole('button', { name: 'Delete account' }).click();
    await panel.waitFor({ state: 'hidden' });
    assert.equal((await web.rest('GET', `/admin/user/${eve.id}`, web.root.token)).deleted, true);
    assert.deepEqual(w.errors, []);
    await w.close();
  });
});

describe('chats and reports', () => {
  test('an admin reads a chat after a notice, which is recorded, deletes a message, and then the chat', async () => {
    const group = await web.group('Winter pears', [alice, bob]);
    await alice.send(group, 'a secret of alice');
    const w = await web.panel(web.root, '#/chats');
    await w.page.getByRole('searchbox', { name: 'Search' }).fill('winter');
    await row(w.page, 'Chats', 'Winter pears').getByRole('link').first().click();
    const panel = side(w.page, 'Winter pears');
    await panel.getByText('recorded in the audit log').waitFor();
    assert.equal(await panel.getByText('a secret of alice').count(), 0, 'nothing is read before the click');
    await panel.getByRole('button', { name: 'Read messages' }).click();
    await panel.getByText('a secret of alice').waitFor();
    assert.equal((await audit('chat.read')).target_id, group);
    await panel.getByRole('button', { name: 'Delete message' }).click();
    await dialog(w.page, /Delete this message by Alice/)
      .getByRole('button', { name: 'Delete message' })
      .click();
    await panel.getByText('Message deleted').waitFor();
    await panel.getByRole('button', { name: 'Delete chat' }).click();
    await dialog(w.page, 'Delete “Winter pears”?').getByRole('button', { name: 'Delete chat' }).click();
    await panel.waitFor({ state: 'hidden' });
    assert.equal((await audit('chat.delete')).target_id, group);
    assert.deepEqual(w.errors, []);
    await w.close();
  });

  test('a report is claimed, taken over, annotated and resolved', async () => {
    const bad = await bob.send(chatId, 'buy my watches');
    await alice.call('report', { message: { id: bad.id }, reason: 'advertising' });
    const carol = await web.panel(web.carol, '#/reports?show=nobody');
    await row(carol.page, 'Reports', 'advertising').getByRole('link').first().click();
    const first = side(carol.page, /Report \d+/);
    await first.getByText('buy my watches').waitFor();
    await first.getByRole('button', { name: 'Claim' }).click();
    await first.getByRole('button', { name: 'Give back' }).waitFor();
    await carol.page.getByRole('tab', { name: 'Mine' }).click();
    await row(carol.page, 'Reports', 'advertising').waitFor();
    await carol.close();

    const w = await web.panel(web.root, '#/reports');
    await row(w.page, 'Reports', 'advertising').getByRole('link').first().click();
    const panel = side(w.page, /Report \d+/);
    await panel.getByRole('button', { name: 'Take over' }).click();
    await dialog(w.page, /Take over from Carol/)
      .getByRole('button', { name: 'Take over' })
      .click();
    await panel.getByRole('button', { name: 'Give back' }).waitFor();
    await panel.getByRole('textbox', { name: 'Resolution' }).fill('deleted and warned');
    await panel.getByRole('textbox', { name: 'Note' }).fill('third time');
    await panel.getByRole('button', { name: 'Save note' }).click();
    await w.page.getByText('Saved').waitFor();
    await panel.getByRole('button', { name: 'Delete message' }).click();
    await dialog(w.page, /Delete this message/)
      .getByRole('button', { name: 'Delete message' })
      .click();
    await w.page.getByText('The message is deleted').waitFor();
    assert.equal(
      await panel.getByRole('textbox', { name: 'Resolution' }).inputValue(),
      'deleted and warned',
      'saving the note loses nothing',
    );
    await panel.getByRole('button', { name: 'Resolve' }).click();
    await panel.getByText('deleted and warned').waitFor();
    await w.page.getByRole('tab', { name: 'Resolved' }).click();
    await row(w.page, 'Reports', 'advertising').waitFor();
    await w.page.reload();
    await row(w.page, 'Reports', 'advertising').waitFor();
    const [report] = await web.rest('GET', '/admin/report?state=resolved', web.root.token);
    assert.equal(report.note, 'third time');
    assert.equal((await audit('message.delete')).target_id, bad.id);
    assert.deepEqual(w.errors, []);
    await w.close();
  });
});

describe('logs', () => {
  test('the audit log is filtered by username and action, and names people', async () => {
    const w = await web.panel(web.root, '#/audit');
    await w.page.getByRole('combobox', { name: 'Action' }).selectOption('user.role');
    await w.page.getByRole('searchbox', { name: 'Done to' }).fill('carol');
    await eventually(async () => (await table(w.page, 'Audit log').getByRole('row').count()) === 2, 'one entry');
    await row(w.page, 'Audit log', 'user.role').getByRole('link', { name: 'Carol' }).waitFor();
    await row(w.page, 'Audit log', 'user.role').getByText('to: moderator').waitFor();
    await w.page.getByRole('searchbox', { name: 'Done to' }).fill('nobody_at_all');
    await w.page.getByRole('button', { name: 'Clear filters' }).click();
    await row(w.page, 'Audit log', 'admin.create').waitFor();
    await w.close();
  });

  test('a mail is sent again', async () => {
    const finn = await web.newUser('finn');
    await web.rest('PATCH', '/user/me', finn.token, { email: `${finn.username}@example.org`, password: 'mango-demo' });
    await web.rest('POST', `/admin/user/${finn.id}/password_reset`, web.root.token);
    const w = await web.panel(web.root, '#/mail');
    const mails = row(w.page, 'Mail', `${finn.username}@example.org`);
    await mails.first().waitFor();
    const mine = mails.filter({ hasText: 'Reset password' });
    await mine.getByRole('button', { name: `Resend to ${finn.username}@example.org` }).click();
    await dialog(w.page, `Resend to ${finn.username}@example.org?`).getByRole('button', { name: 'Resend' }).click();
    await eventually(async () => (await mine.count()) === 2, 'a second mail');
    assert.deepEqual(w.errors, []);
    await w.close();
  });
});
