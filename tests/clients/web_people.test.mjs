// The web client with people: requests and blocks, profiles and photos, the account, search, reports.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { eventually, picture, startWeb } from './web_support.mjs';

let web;
let alice;
let bob;
before(async () => {
  web = await startWeb({ CONTACT_POLICY: 'approval' });
  [alice, bob] = [await web.newUser('alice'), await web.newUser('bob')];
});
after(() => web?.stop());

describe('requests', () => {
  test('a stranger may write once; the request is approved, and both go on', async () => {
    const a = await web.open(alice);
    await a.page.getByRole('button', { name: 'New chat' }).click();
    await a.page.getByRole('dialog').getByRole('searchbox').fill(bob.username);
    await a.page
      .getByRole('dialog')
      .getByRole('button', { name: new RegExp(`@${bob.username}`) })
      .click();
    await a.box.fill('May I?');
    await a.box.press('Enter');
    await a.page.getByText('You can write more as soon as Bob approves.').waitFor();
    const b = await web.open(bob);
    await b.page.getByRole('tab', { name: 'Requests 1' }).click();
    await b.chat('Alice').click();
    await b.page.getByText('Alice would like to write to you.').waitFor();
    await b.page.getByRole('button', { name: 'Approve' }).click();
    await b.box.fill('Of course');
    await b.box.press('Enter');
    await a.message('Of course').waitFor();
    await a.box.fill('Thank you');
    await a.box.press('Enter');
    await b.message('Thank you').waitFor();
    await Promise.all([a.close(), b.close()]);
  });

  test('a request is declined and goes away; who is blocked stays out until unblocked', async () => {
    const [carol, dora] = [await web.newUser('carol'), await web.newUser('dora')];
    const id = await web.direct(carol, dora);
    await carol.send(id, 'Hello');
    const d = await web.open(dora);
    await d.page.getByRole('tab', { name: 'Requests 1' }).click();
    await d.chat('Carol').click();
    await d.page.getByRole('button', { name: 'Decline' }).click();
    await d.chat('Carol').waitFor({ state: 'detached' });
    await dora.call('follow', { user: { id: carol.id } });
    const again = await web.direct(carol, dora);
    await carol.send(again, 'Hello again');
    await d.page.getByRole('tab', { name: 'All' }).click();
    await d.chat('Carol').click();
    await d.page.getByRole('button', { name: 'Chat menu' }).click();
    await d.page.getByRole('menuitem', { name: 'Block' }).click();
    await d.page.getByRole('dialog').getByRole('button', { name: 'Block' }).click();
    await d.page.getByText('You have blocked Carol.').waitFor();
    await d.page.getByRole('link', { name: 'Contacts' }).click();
    await d.page.getByRole('tab', { name: 'Blocked' }).click();
    await d.page.getByRole('navigation', { name: 'Contacts' }).getByRole('button', { name: /Carol/ }).click();
    await d.page.getByRole('dialog', { name: 'Profile' }).getByRole('button', { name: 'Unblock' }).click();
    await d.page.getByRole('dialog', { name: 'Profile' }).getByRole('button', { name: 'Follow' }).waitFor();
    await d.page.keyboard.press('Escape');
    await d.box.waitFor();
    await d.close();
  });
});

describe('profile and account', () => {
  test('a photo is cut and set, and others see it', async () => {
    const eve = await web.newUser('eve');
    const e = await web.open(eve);
    const before = (await web.rest('GET', '/user/me', eve.token)).photo;
    await e.page.getByRole('button', { name: 'Settings' }).click();
    await e.page.getByRole('tab', { name: 'Profile' }).click();
    const chosen = e.page.waitForEvent('filechooser');
    await e.page.getByRole('button', { name: 'Choose a photo' }).click();
    await (await chosen).setFiles([{ name: 'me.png', mimeType: 'image/png', buffer: await picture(e.page, 500, 300) }]);
    const crop = e.page.getByRole('dialog', { name: 'Choose the part to show' });
    await crop.getByRole('slider', { name: 'Zoom' }).fill('0.5');
    await crop.getByRole('button', { name: 'Use photo' }).click();
    await eventually(async () => (await web.rest('GET', '/user/me', eve.token)).photo !== before, 'the new photo');
    assert.deepEqual(e.errors, []);
    await e.close();
  });

  test('the password is changed, and the account is deleted', async () => {
    const fay = await web.newUser('fay');
    const f = await web.open(fay);
    await f.page.getByRole('button', { name: 'Settings' }).click();
    await f.page.getByRole('tab', { name: 'Account' }).click();
    const panel = f.page.getByRole('tabpanel');
    await panel.getByRole('textbox', { name: 'Current password' }).last().fill('mango-demo');
    await panel.getByRole('textbox', { name: 'New password' }).fill('another mango');
    await panel.getByRole('button', { name: 'Change password' }).click();
    await f.page.getByText('The password is changed.').waitFor();
    await panel.getByRole('button', { name: 'Delete account' }).click();
    const dialog = f.page.getByRole('dialog', { name: 'Delete your account?' });
    await dialog.getByRole('textbox', { name: 'Password' }).fill('not this one');
    await dialog.getByRole('button', { name: 'Delete account' }).click();
    await dialog.getByRole('alert').or(dialog.getByText(/wrong/)).first().waitFor();
    await dialog.getByRole('textbox', { name: 'Password' }).fill('another mango');
    await dialog.getByRole('button', { name: 'Delete account' }).click();
    await f.page.getByRole('button', { name: 'Sign in', exact: true }).waitFor();
    await f.close();
  });

  test('a message and a person are reported to the moderators', async () => {
    const id = await web.group('Reports', [bob, alice]);
    await bob.send(id, 'buy this');
    const a = await web.open(alice, { at: `#/chat/${id}` });
    await a.choose(a.message('buy this'), 'Report');
    const dialog = a.page.getByRole('dialog', { name: 'Report this message' });
    await dialog.getByRole('textbox', { name: /Details/ }).fill('again and again');
    await dialog.getByRole('button', { name: 'Send report' }).click();
    await a.page.getByText('The moderators will look at it.').waitFor();
    await a.close();
  });
});

describe('search', () => {
  test('finds chats and people at once, and messages where the server can', async () => {
    const id = await web.group('Compost', [alice, bob]);
    const message = await bob.send(id, 'the worms are happy');
    for (let index = 0; index < 60; index += 1) await bob.send(id, `filler ${index}`);
    const a = await web.open(alice);
    await a.chat('Compost').waitFor();
    await a.page.keyboard.press('Control+k');
    await a.page.keyboard.type('compost');
    await a.page.getByRole('link', { name: 'Compost' }).waitFor();
    await a.search.fill('worm');
    const hit = a.page.getByRole('link', { name: /the worms are happy/ });
    await hit.getByText('worms', { exact: true }).waitFor();
    await hit.click();
    await a.page.locator(`article[data-seq="${message.seq}"].flash`).waitFor();
    await a.page.getByRole('button', { name: 'Search in this chat' }).click();
    await a.page.getByRole('searchbox', { name: 'Search in this chat' }).fill('worm');
    await a.page
      .getByRole('main')
      .getByRole('button', { name: /the worms are happy/ })
      .click();
    assert.deepEqual(a.errors, []);
    await a.close();
  });
});
