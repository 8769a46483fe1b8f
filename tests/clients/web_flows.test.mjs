// The web client: two people in two windows go through the main flows.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { eventually, picture, startWeb } from './web_support.mjs';

let web;
before(async () => {
  web = await startWeb();
});
after(() => web?.stop());

describe('two people in two windows', () => {
  let alice;
  let bob;
  let a;
  let b;
  let chatId;

  before(async () => {
    [alice, bob] = [await web.newUser('alice'), await web.newUser('bob')];
    chatId = await web.group('Harvest', [alice, bob]);
    [a, b] = await Promise.all([web.open(alice, { at: `#/chat/${chatId}` }), web.open(bob)]);
    await a.box.waitFor();
    await b.chat('Harvest').click();
    await b.box.waitFor();
  });
  after(async () => {
    assert.deepEqual([...a.errors, ...b.errors], []);
    await Promise.all([a.close(), b.close()]);
  });

  test('a message arrives, is announced, and is marked as read when it is seen', async () => {
    await a.box.fill('Is the harvest in yet?');
    await a.box.press('Enter');
    assert.equal(await a.box.inputValue(), '');
    await b.page.bringToFront();
    await b.message('Is the harvest in yet?').waitFor();
    await b.page
      .locator('[aria-live="polite"]')
      .filter({ hasText: /: Is the harvest in yet\?/ })
      .waitFor({ state: 'attached' });
    await a.page.getByRole('article', { name: /read: Is the harvest/ }).waitFor();
  });

  test('Shift+Enter breaks the line, and who types is shown', async () => {
    await b.box.pressSequentially('one');
    await a.page.getByText('Bob is typing…').first().waitFor();
    await b.box.press('Shift+Enter');
    await b.box.pressSequentially('two');
    await b.box.press('Enter');
    await a.message('one').filter({ hasText: 'two' }).waitFor();
  });

  test('a reply quotes the message, and a click on the quote shows it', async () => {
    const asked = a.message('Is the harvest in yet?').first();
    await b.message('Is the harvest in yet?').first().hover();
    await b.message('Is the harvest in yet?').first().getByRole('button', { name: 'Reply', exact: true }).click();
    await b.box.fill('Tomorrow');
    await b.box.press('Enter');
    const reply = a.message('Tomorrow');
    await reply.getByRole('button', { name: /^Answer to Alice: Is the harvest/ }).click();
    await eventually(async () => (await asked.getAttribute('class')).includes('flash'), 'the mark');
  });

  test('a reaction is shown to both, counted, and taken back', async () => {
    const mine = a.message('Tomorrow');
    await mine.hover();
    await mine.getByRole('button', { name: 'React', exact: true }).click();
    await a.page.getByRole('group', { name: 'React' }).getByRole('button', { name: '🥭', exact: true }).click();
    const chip = b.message('Tomorrow').getByRole('button', { name: '🥭, 1 person' });
    await chip.click();
    await a.message('Tomorrow').getByRole('button', { name: '🥭, 2 people', pressed: true }).click();
    await b.message('Tomorrow').getByRole('button', { name: '🥭, 1 person', pressed: true }).waitFor();
  });

  test('Up edits the last own message; an edit and a deletion are seen by both', async () => {
    await a.box.fill('Gate 3');
    await a.box.press('Enter');
    await a.message('Gate 3').waitFor();
    await b.message('Gate 3').waitFor();
    await a.box.press('ArrowUp');
    assert.equal(await a.box.inputValue(), 'Gate 3');
    await a.box.fill('Gate 4');
    await a.box.press('Enter');
    await b.message('Gate 4').filter({ hasText: 'edited' }).waitFor();
    await a.choose(a.message('Gate 4'), 'Delete');
    await a.page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click();
    await b.message('Message deleted').waitFor();
    assert.equal(await b.message('Gate 4').count(), 0);
  });

  test('a pinned message is above the log for both', async () => {
    await a.choose(a.message('Tomorrow'), 'Pin');
    await b.page.getByRole('button', { name: 'Go to the pinned message: Tomorrow' }).waitFor();
    await a.choose(a.message('Tomorrow'), 'Unpin');
    await b.page.getByRole('button', { name: /Go to the pinned message/ }).waitFor({ state: 'hidden' });
  });

  test('a message is forwarded to another chat', async () => {
    const other = await web.group('Market', [alice, bob]);
    assert.ok(other);
    await b.chat('Market').waitFor();
    await a.choose(a.message('Tomorrow'), 'Forward');
    await a.page.getByRole('dialog', { name: 'Forward to' }).getByRole('button', { name: 'Market' }).click();
    await b.chat('Market').click();
    await b.message('Tomorrow').filter({ hasText: 'Forwarded from Bob' }).waitFor();
    await b.chat('Harvest').click();
    await b.message('Is the harvest in yet?').first().waitFor();
  });

  test('@ completes a member, :sm an emoji, and the mention is counted', async () => {
    const carol = await web.newUser('carol');
    await alice.call('add_member', { chat: { id: chatId }, user: { id: carol.id } });
    const c = await web.open(carol);
    await c.chat('Harvest').waitFor();
    await a.box.pressSequentially('hi @car');
    await a.page.getByRole('option', { name: /Carol/ }).waitFor();
    await a.box.press('Enter');
    assert.equal(await a.box.inputValue(), `hi @${carol.username} `);
    await a.box.pressSequentially(':mango');
    await a.page.getByRole('option', { name: /mango/ }).first().waitFor();
    await a.box.press('Tab');
    assert.match(await a.box.inputValue(), /🥭 $/);
    await a.box.press('Enter');
    await eventually(async () => {
      const id = await c.chat('Harvest').getAttribute('aria-describedby');
      return /1 unread message, 1 mention/.test(await c.page.locator(`#${id}`).textContent());
    }, 'the mention');
    await eventually(async () => /^\(1\)/.test(await c.page.title()), 'the title');
    await c.close();
  });

  test('files are sent with a caption in their order, and a picture opens in the viewer', async () => {
    const chosen = a.page.waitForEvent('filechooser');
    await a.page.getByRole('button', { name: 'Attach', exact: true }).click();
    await (
      await chosen
    ).setFiles([
      { name: 'one.txt', mimeType: 'text/plain', buffer: Buffer.from('one') },
      { name: 'two.txt', mimeType: 'text/plain', buffer: Buffer.alloc(200_000, 'x') },
      { name: 'dot.png', mimeType: 'image/png', buffer: await picture(b.page) },
    ]);
    await a.box.fill('The papers');
    await a.box.press('Enter');
    const message = b.message('The papers');
    await message.getByRole('link', { name: /one\.txt/ }).waitFor();
    const names = await message.getByRole('link').evaluateAll((all) => all.map((it) => it.getAttribute('download')));
    assert.deepEqual(names, ['one.txt', 'two.txt']);
    await message.getByRole('button', { name: 'Open dot.png' }).click();
    await b.page.getByRole('dialog', { name: 'Picture' }).getByRole('button', { name: 'Close' }).click();
  });

  test('a chat is pinned, muted, archived and found again', async () => {
    await a.chat('Market').click({ button: 'right' });
    await a.page.getByRole('menuitem', { name: 'Pin to the top' }).click();
    await eventually(
      async () => (await a.chats.getByRole('link').first().getAttribute('aria-label')) === 'Market',
      'the pinned chat at the top',
    );
    await a.chat('Market').click({ button: 'right' });
    await a.page.getByRole('menuitem', { name: 'Mute' }).click();
    await a.page.getByRole('menuitem', { name: 'For 8 hours' }).click();
    await a.chat('Market').click({ button: 'right' });
    await a.page.getByRole('menuitem', { name: 'Unmute' }).waitFor();
    await a.page.getByRole('menuitem', { name: 'Archive' }).click();
    await a.chat('Market').waitFor({ state: 'detached' });
    await a.search.fill('mark');
    await a.page.getByRole('link', { name: 'Market' }).click();
    await a.page.getByRole('heading', { name: 'Market' }).waitFor();
    await a.page.getByRole('tab', { name: /Archived/ }).click();
    await a.chat('Market').waitFor();
    await a.page.getByRole('tab', { name: 'All' }).click();
    await a.chat('Harvest').click();
  });

  test('a person is found and written to; the chat shows up for both', async () => {
    await a.page.getByRole('button', { name: 'New chat' }).click();
    const dialog = a.page.getByRole('dialog', { name: 'New chat' });
    await dialog.getByRole('searchbox').fill(bob.username);
    await dialog.getByRole('button', { name: new RegExp(`@${bob.username}`) }).click();
    await a.page.getByRole('main').getByRole('heading', { name: 'Bob' }).waitFor();
    await a.box.fill('Just us two');
    await a.box.press('Enter');
    await b.chat('Alice').click();
    await b.message('Just us two').waitFor();
  });

  test('a group is made, changed, and joined by an invite link with approval', async () => {
    const dora = await web.newUser('dora');
    await a.page.getByRole('button', { name: 'New chat' }).click();
    await a.page.getByRole('dialog').getByRole('button', { name: 'New group' }).click();
    const dialog = a.page.getByRole('dialog', { name: 'New group' });
    await dialog.getByRole('textbox', { name: 'Group name' }).fill('Orchard');
    await dialog.getByRole('checkbox', { name: 'Bob', exact: true }).check();
    await dialog.getByRole('button', { name: 'Create group' }).click();
    await a.page.getByRole('main').getByRole('heading', { name: 'Orchard', level: 1 }).waitFor();
    await b.chat('Orchard').waitFor();
    await a.page.getByRole('button', { name: 'Details', exact: true }).click();
    const details = a.page.getByRole('complementary', { name: 'Details' });
    await details.getByRole('button', { name: 'Edit' }).click();
    await a.page.getByRole('textbox', { name: 'Description (optional)' }).fill('Under the trees');
    await a.page.getByRole('dialog').getByRole('button', { name: 'Save' }).click();
    await details.getByText('Under the trees').waitFor();
    await details.getByRole('button', { name: 'Invite', exact: true }).click();
    const links = a.page.getByRole('dialog', { name: 'Invite links' });
    await links.getByRole('switch', { name: 'An admin has to approve' }).check();
    await links.getByRole('button', { name: 'Create link' }).click();
    const link = await links.getByRole('textbox', { name: 'Invite link' }).inputValue();
    await links.getByRole('button', { name: 'Close' }).click();
    const d = await web.open(dora, { at: new URL(link).hash });
    const invitation = d.page.getByRole('dialog', { name: 'Invitation' });
    await invitation.getByRole('heading', { name: 'Orchard' }).waitFor();
    await invitation.getByRole('button', { name: 'Ask to join' }).click();
    await invitation.getByText('You have asked to join').waitFor();
    await invitation.getByRole('button', { name: 'Close' }).click();
    await details.getByRole('button', { name: 'Requests to join' }).click();
    await a.page.getByRole('dialog', { name: 'Requests to join' }).getByRole('button', { name: 'Approve' }).click();
    await d.chat('Orchard').click();
    await a.page.getByRole('dialog').getByRole('button', { name: 'Close' }).click();
    await details.getByRole('button', { name: 'Manage Dora' }).click();
    await a.page.getByRole('menuitem', { name: 'Ban' }).click();
    await a.page.getByRole('dialog').getByRole('button', { name: 'Ban' }).click();
    await d.chat('Orchard').waitFor({ state: 'detached' });
    await d.close();
  });
});

describe('who signs in and up', () => {
  test('signs up, changes the profile, signs out and in again', async () => {
    const w = await web.open(null);
    const username = `eve_${Date.now().toString(36)}`;
    await w.page.getByRole('button', { name: 'Create account' }).click();
    await w.page.getByRole('textbox', { name: 'Your name' }).fill('Eve');
    await w.page.getByRole('textbox', { name: 'Username' }).fill(username);
    await w.page.getByRole('textbox', { name: 'Password' }).fill('short');
    await w.page.getByRole('button', { name: 'Create account' }).click();
    await w.page.getByText(/8 to 128 characters/).waitFor();
    await w.page.getByRole('textbox', { name: 'Password' }).fill('a-ripe-mango');
    await w.page.getByRole('button', { name: 'Create account' }).click();
    await w.chats.waitFor();
    await w.page.getByText('No chats yet').waitFor();
    await w.page.getByRole('button', { name: 'Settings' }).click();
    await w.page.getByRole('tab', { name: 'Profile' }).click();
    await w.page.getByRole('textbox', { name: 'Your name' }).fill('Eve Kesar');
    await w.page.getByRole('button', { name: 'Save' }).click();
    await w.page.getByText('Saved').waitFor();
    await w.page.getByRole('tab', { name: 'Devices' }).click();
    await w.page.getByText('This device').waitFor();
    await w.page.getByRole('tabpanel').getByRole('button', { name: 'Sign out' }).click();
    await w.page.getByRole('textbox', { name: 'Phone, e-mail or username' }).fill(username);
    await w.page.getByRole('textbox', { name: 'Password' }).fill('wrong-password');
    await w.page.getByRole('button', { name: 'Sign in', exact: true }).click();
    await w.page.getByText('There is no such account, or the password is wrong.').waitFor();
    await w.page.getByRole('textbox', { name: 'Password' }).fill('a-ripe-mango');
    await w.page.getByRole('button', { name: 'Sign in', exact: true }).click();
    await w.chats.waitFor();
    assert.deepEqual(w.errors, []);
    await w.close();
  });

  test('a demo user is one click away', async () => {
    const w = await web.open(null);
    await w.page.getByRole('button', { name: 'Sign in as alice' }).click();
    await w.chat('Mango lovers').waitFor();
    await w.close();
  });

  test('asks for a link to set a new password', async () => {
    const w = await web.open(null);
    await w.page.getByRole('button', { name: 'Forgot password?' }).click();
    await w.page.getByRole('textbox', { name: 'E-mail' }).fill('nobody@example.org');
    await w.page.getByRole('button', { name: 'Send the link' }).click();
    await w.page.getByText('a mail is on its way').waitFor();
    await w.close();
  });

  test('the client on one chat is fit for a frame', async () => {
    const [x, y] = [await web.newUser('xenia'), await web.newUser('yuri')];
    const id = await web.group('Framed', [x, y]);
    const w = await web.open(x, { path: `/chat/ui?chat=${id}` });
    await w.page.getByRole('heading', { name: 'Framed', level: 1 }).waitFor();
    assert.equal(await w.chats.count(), 0);
    await w.box.fill('from the frame');
    await w.box.press('Enter');
    await w.message('from the frame').waitFor();
    await w.close();
  });

  test('the whole interface is there in Russian', async () => {
    const w = await web.open(await web.newUser('olga'), { locale: 'ru-RU' });
    await w.page.getByRole('navigation', { name: 'Чаты' }).waitFor();
    await w.page.getByRole('button', { name: 'Новый чат' }).waitFor();
    await w.close();
  });
});
