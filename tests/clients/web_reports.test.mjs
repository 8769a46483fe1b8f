// What users of other web chats report, each as a test of the web client.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { eventually, picture, startWeb } from './web_support.mjs';

let web;
let alice;
let bob;
before(async () => {
  web = await startWeb();
  [alice, bob] = [await web.newUser('alice'), await web.newUser('bob')];
});
after(() => web?.stop());

/** A group with messages by Bob, opened by Alice. */
async function opened(name, count = 0, options = {}) {
  const id = await web.group(name, [alice, bob]);
  let seq = 0;
  for (let index = 1; index <= count; index += 1)
    ({ seq } = await bob.send(id, `${name} ${index} ${'word '.repeat(index % 9)}`));
  if (seq) await alice.call('mark_read', { chat: { id }, seq });
  const w = await web.open(alice, { at: `#/chat/${id}`, ...options });
  await w.box.waitFor();
  return { id, ...w };
}
const topOf = (message) => message.evaluate((it) => it.getBoundingClientRect().top);
const distanceToEnd = (log) => log.evaluate((it) => it.scrollHeight - it.scrollTop - it.clientHeight);

describe('writing', () => {
  test('Enter that confirms a candidate of an input method does not send, in the box and in an edit', async () => {
    const w = await opened('Input');
    const enter = (isComposing) =>
      w.box.evaluate(
        (it, composing) =>
          it.dispatchEvent(
            new KeyboardEvent('keydown', {
              key: 'Enter',
              keyCode: composing ? 229 : 13,
              isComposing: composing,
              bubbles: true,
              cancelable: true,
            }),
          ),
        isComposing,
      );
    await w.box.fill('にほん');
    await enter(true);
    assert.equal(await w.box.inputValue(), 'にほん');
    await enter(false);
    await w.message('にほん').waitFor();
    await w.page.getByRole('article', { name: /, sent: にほん/ }).waitFor();
    await w.box.press('ArrowUp');
    await w.box.fill('にほんご');
    await enter(true);
    assert.equal(await w.box.inputValue(), 'にほんご');
    await enter(false);
    await w.message('にほんご').filter({ hasText: 'edited' }).waitFor();
    await w.close();
  });

  test('a double Enter and a double click send once', async () => {
    const w = await opened('Twice');
    await w.box.fill('only once');
    await w.page.keyboard.press('Enter');
    await w.page.keyboard.press('Enter');
    await w.box.fill('click once');
    await w.sendButton.dblclick();
    await w.page.getByRole('article', { name: /, sent: click once/ }).waitFor();
    const { length } = await web.rest('GET', `/chat/${w.id}/messages`, alice.token);
    assert.equal(length, 2);
    await w.close();
  });

  test('a draft is there after a reload, on another device, and after the session has ended', async () => {
    const w = await opened('Drafts');
    await w.box.fill('not finished yet');
    await w.page.reload();
    await w.box.waitFor();
    assert.equal(await w.box.inputValue(), 'not finished yet');
    const other = await web.open(alice, { at: `#/chat/${w.id}` });
    await eventually(
      async () => (await other.box.inputValue()) === 'not finished yet',
      'the draft on the other device',
    );
    await other.close();
    await w.page.goto(`${web.url}/#/`);
    await w.chats.getByText('not finished yet').first().waitFor({ state: 'attached' });
    const sessions = await web.rest('GET', '/auth/session', alice.token);
    for (const it of sessions)
      if (!it.current && !/node/.test(it.user_agent ?? ''))
        await web.rest('DELETE', `/auth/session/${it.id}`, alice.token);
    await w.page.getByText('your drafts are kept').waitFor();
    await w.page.getByRole('textbox', { name: 'Phone, e-mail or username' }).fill(alice.username);
    await w.page.getByRole('textbox', { name: 'Password' }).fill('mango-demo');
    await w.page.getByRole('button', { name: 'Sign in', exact: true }).click();
    await w.chat('Drafts').click();
    await eventually(async () => (await w.box.inputValue()) === 'not finished yet', 'the draft');
    await w.close();
  });

  test('cells copied from a spreadsheet are pasted as text, a picture alone as a picture', async () => {
    const w = await opened('Paste');
    const png = [...(await picture(w.page))];
    const paste = (text) =>
      w.box.evaluate(
        (it, [bytes, value]) => {
          const data = new DataTransfer();
          data.items.add(new File([new Uint8Array(bytes)], 'image.png', { type: 'image/png' }));
          if (value) data.setData('text/plain', value);
          return it.dispatchEvent(
            new ClipboardEvent('paste', { clipboardData: data, bubbles: true, cancelable: true }),
          );
        },
        [png, text],
      );
    assert.equal(await paste('a\tb'), true, 'the browser pastes the text itself');
    assert.equal(await w.page.getByRole('group', { name: 'Files to send' }).isVisible(), false);
    assert.equal(await paste(''), false);
    await w.page.getByRole('group', { name: 'Files to send' }).getByText('image.png').waitFor();
    await w.box.fill('with a caption');
    await w.box.press('Enter');
    await w.message('with a caption').getByRole('button', { name: 'Open image.png' }).waitFor();
    await w.close();
  });

  test('several dropped files keep their order', async () => {
    const w = await opened('Drop');
    await w.page.getByRole('main').evaluate((it) => {
      const data = new DataTransfer();
      for (const [index, size] of [400_000, 10, 100_000, 20].entries())
        data.items.add(new File([new Uint8Array(size)], `${index + 1}.bin`, { type: 'application/octet-stream' }));
      for (const type of ['dragenter', 'dragover', 'drop'])
        it.dispatchEvent(new DragEvent(type, { dataTransfer: data, bubbles: true, cancelable: true }));
    });
    await w.box.press('Enter');
    await eventually(async () => (await w.log.getByRole('link').count()) === 4, 'four files');
    assert.deepEqual(await w.log.getByRole('link').evaluateAll((all) => all.map((it) => it.getAttribute('download'))), [
      '1.bin',
      '2.bin',
      '3.bin',
      '4.bin',
    ]);
    await w.close();
  });

  test('leaving during an upload warns; the upload can be cancelled', async () => {
    const w = await opened('Leave');
    await w.page.route('**/attachment?*', () => {});
    const chosen = w.page.waitForEvent('filechooser');
    await w.page.getByRole('button', { name: 'Attach', exact: true }).click();
    await (
      await chosen
    ).setFiles([{ name: 'big.bin', mimeType: 'application/octet-stream', buffer: Buffer.alloc(1000) }]);
    await w.sendButton.click();
    await w.log.getByRole('progressbar', { name: 'Uploading' }).waitFor();
    const warned = w.page.waitForEvent('dialog');
    const reload = w.page.reload().catch(() => {});
    const dialog = await warned;
    assert.equal(dialog.type(), 'beforeunload');
    await dialog.dismiss();
    await reload;
    await w.log.getByRole('button', { name: 'Cancel' }).click();
    await w.log.getByRole('article').waitFor({ state: 'detached' });
    await w.close();
  });
});

describe('reading', () => {
  test('a picture that loads does not move what one reads', async () => {
    const w = await opened('Jumps', 40);
    await w.message('Jumps 40 ').waitFor();
    await w.page.route('**/attachment/**', async (route) => {
      await new Promise((done) => setTimeout(done, 500));
      await route.continue();
    });
    const form = new FormData();
    form.append('file', new Blob([await picture(w.page, 600, 500)], { type: 'image/png' }), 'late.png');
    const { id } = await (
      await fetch(`${web.url}/chat/${w.id}/attachment`, {
        method: 'POST',
        headers: { authorization: `Bearer ${bob.token}` },
        body: form,
      })
    ).json();
    await bob.send(w.id, 'late', { attachments: [id] });
    const late = w.message('late');
    await late.waitFor();
    const [top, end] = [await topOf(late), await distanceToEnd(w.log)];
    assert.ok(end < 2, `${end} from the end`);
    await eventually(
      () =>
        late
          .getByRole('img', { includeHidden: true })
          .or(late.locator('img'))
          .last()
          .evaluate((it) => it.complete && it.naturalWidth > 0),
      'the picture',
    );
    assert.ok(Math.abs((await topOf(late)) - top) < 2);
    await w.close();
  });

  test('an older page and a new message leave what one reads where it is', async () => {
    const w = await opened('Place', 170);
    await w.message('Place 170 ').waitFor();
    await w.log.hover();
    await w.log.evaluate((it) => {
      it.scrollTop = it.scrollHeight / 2;
    });
    await w.page.waitForTimeout(400);
    const marked = await w.log.evaluate((log) => {
      const { top } = log.getBoundingClientRect();
      return [...log.querySelectorAll('article')].find((it) => it.getBoundingClientRect().top > top + 80).dataset.seq;
    });
    const article = w.log.locator(`article[data-seq="${marked}"]`);
    const top = await topOf(article);
    await bob.send(w.id, 'a new message far below');
    await eventually(
      async () =>
        /1 unread/.test(await w.page.getByRole('button', { name: /To the newest message/ }).getAttribute('aria-label')),
      'the count',
    );
    assert.ok(Math.abs((await topOf(article)) - top) < 2, 'a new message moves nothing and does not jump');
    await w.log.evaluate((it) => {
      it.scrollTop = 300;
    });
    await w.page.waitForTimeout(150);
    const first = await w.log.evaluate(
      (log) =>
        [...log.querySelectorAll('article')].find(
          (it) => it.getBoundingClientRect().bottom > log.getBoundingClientRect().top + 10,
        ).dataset.seq,
    );
    const reading = w.log.locator(`article[data-seq="${first}"]`);
    const was = await topOf(reading);
    await eventually(
      async () => (await w.log.locator('article').first().getAttribute('data-seq')) < 60,
      'an older page',
    );
    assert.ok(Math.abs((await topOf(reading)) - was) < 60);
    await w.page.getByRole('button', { name: /To the newest message/ }).click();
    await w.message('a new message far below').waitFor();
    await eventually(async () => (await distanceToEnd(w.log)) < 3, 'the end');
    await w.close();
  });

  test('nothing counts as read while the window has no focus', async () => {
    const id = await web.group('Focus', [alice, bob]);
    await alice.send(id, 'first');
    const w = await web.open(alice, { at: `#/chat/${id}` });
    await w.message('first').waitFor();
    await w.page.evaluate(() => {
      document.hasFocus = () => false;
    });
    await bob.send(id, 'while you are away');
    await w.message('while you are away').waitFor();
    await w.page.waitForTimeout(400);
    const { my } = await web.rest('GET', `/chat/${id}`, alice.token);
    assert.equal(my.unread, 1);
    await w.log.getByRole('separator', { name: 'New messages' }).waitFor();
    await w.page.evaluate(() => {
      document.hasFocus = () => true;
      dispatchEvent(new Event('focus'));
    });
    await eventually(async () => (await web.rest('GET', `/chat/${id}`, alice.token)).my.unread === 0, 'the read mark');
    await w.close();
  });

  test('reading in one tab clears the badge in the other', async () => {
    const id = await web.group('Tabs', [alice, bob]);
    const w = await web.open(alice);
    const second = await w.context.newPage();
    await second.goto(web.url);
    await bob.send(id, 'for both tabs');
    const badge = (page) =>
      page
        .getByRole('navigation', { name: 'Chats', exact: true })
        .getByRole('link', { name: 'Tabs', exact: true })
        .getByText('1', { exact: true });
    await badge(second).waitFor();
    await w.page.bringToFront();
    await w.chat('Tabs').click();
    await w.message('for both tabs').waitFor();
    await badge(second).waitFor({ state: 'detached' });
    await w.close();
  });

  test('a chat with 1,000 unread messages opens at the first of them', async () => {
    const id = await web.group('Many', [alice, bob]);
    for (let index = 0; index < 1000; index += 50)
      await Promise.all(Array.from({ length: 50 }, (_, at) => bob.send(id, `many ${index + at}`)));
    const w = await web.open(alice);
    await w.chat('Many').click();
    const divider = w.log.getByRole('separator', { name: 'New messages' });
    await divider.waitFor();
    const place = await divider.evaluate((it) => it.getBoundingClientRect().top);
    assert.ok(place > 0 && place < 500, `the divider is at ${place}`);
    assert.ok((await w.log.getByRole('article').count()) < 260, 'only a part is drawn');
    await w.page.getByRole('button', { name: /To the newest message/ }).click();
    await eventually(async () => (await web.rest('GET', `/chat/${id}`, alice.token)).my.unread === 0, 'all read');
    await w.close();
  });

  test('the reply to a deleted message says so', async () => {
    const w = await opened('Deleted');
    const message = await bob.send(w.id, 'to be deleted');
    await bob.send(w.id, 'an answer', { reply_to: message.id });
    await w.message('an answer').waitFor();
    await bob.call('delete_message', { message: { id: message.id } });
    await w
      .message('an answer')
      .getByRole('button', { name: /Message deleted/ })
      .waitFor();
    await w.close();
  });

  test('a screen reader hears new messages once, and not the log again', async () => {
    const w = await opened('Reader', 5);
    await w.message('Reader 5').waitFor();
    const live = w.page.locator('main > [aria-live="polite"]');
    assert.equal(await live.textContent(), '');
    assert.equal(await w.log.getAttribute('aria-live'), 'off');
    await bob.send(w.id, 'hear me');
    await eventually(async () => (await live.textContent()) === 'Bob: hear me', 'the announcement');
    await w.close();
  });

  test('a clock that is wrong by a day shows neither the future nor yesterday', async () => {
    const id = await web.group('Clock', [alice, bob]);
    await bob.send(id, 'right now');
    const w = await web.open(alice);
    await w.page.evaluate(() => localStorage.setItem('x', '1'));
    await w.context.addInitScript(() => {
      const real = Date.now;
      const Real = Date;
      const shift = 26 * 3600_000;
      globalThis.Date = class extends Real {
        constructor(...args) {
          if (args.length) super(...args);
          else super(real() + shift);
        }
        static now() {
          return real() + shift;
        }
      };
    });
    await w.page.goto(`${web.url}/#/chat/${id}`);
    await w.page.reload();
    await w.message('right now').waitFor();
    await w.log.getByRole('heading', { name: 'Today' }).waitFor();
    await w.close();
  });
});

describe('layout', () => {
  const NASTY = [
    'W'.repeat(400),
    `https://example.org/${'a'.repeat(300)}`,
    'שלום עולם, زيارة ممتعة',
    '👩‍👩‍👧‍👦🏳️‍🌈👍🏽',
    `Z${'\u0351\u0322\u0334'.repeat(30)}algo`,
    'line\n'.repeat(30),
  ];

  test('long words, links, code, right-to-left text and emoji stay inside at every width', async () => {
    const id = await web.group(`Wide ${'W'.repeat(60)}`, [alice, bob]);
    for (const text of NASTY) await bob.send(id, text);
    await bob.send(id, JSON.stringify({ key: 'v'.repeat(500) }), { message_type: 'json' });
    await bob.send(id, `${'column;'.repeat(40)}\n${'value;'.repeat(40)}`, { message_type: 'csv' });
    const w = await web.open(alice, { at: `#/chat/${id}` });
    await w.message('column').waitFor();
    for (const width of [320, 360, 820, 1440]) {
      await w.page.setViewportSize({ width, height: 740 });
      const over = await w.page.evaluate(() => {
        const all = [...document.querySelectorAll('article .b, .chat-head *, .composer *')];
        return [
          document.documentElement.scrollWidth - innerWidth,
          document.querySelector('.log').scrollWidth - document.querySelector('.log').clientWidth,
          ...all
            .map((it) => it.getBoundingClientRect())
            .filter((it) => it.width && it.right > innerWidth + 1)
            .map((it) => it.right),
        ];
      });
      assert.ok(
        over.every((it) => it <= 0),
        `at ${width}: ${over}`,
      );
    }
    const rtl = w.message('שלום').locator('.text');
    assert.equal(await rtl.getAttribute('dir'), 'auto');
    await w.close();
  });

  test('back leads from the chat to the list, also when the app was opened by a link', async () => {
    const w = await opened('Back', 1, { viewport: { width: 360, height: 740 } });
    await w.chats.waitFor({ state: 'hidden' });
    await w.page.goBack();
    await w.chats.waitFor();
    await w.chat('Back').click();
    await w.page.getByRole('button', { name: 'Back', exact: true }).click();
    await w.chats.waitFor();
    await w.close();
  });

  test('on a phone: a tap opens a chat, Send sends, a long press opens the menu with reactions', async () => {
    const id = await web.group('Phone', [alice, bob]);
    await bob.send(id, 'press me long');
    const w = await web.open(alice, { viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true });
    await w.chat('Phone').tap();
    await w.message('press me long').waitFor();
    assert.notEqual(
      await w.page.evaluate(() => document.activeElement?.tagName),
      'TEXTAREA',
      'the keyboard stays closed',
    );
    await w.box.tap();
    await w.box.pressSequentially('from a phone');
    await w.sendButton.tap();
    await w.page.getByRole('article', { name: /, sent: from a phone/ }).waitFor();
    const cdp = await w.context.newCDPSession(w.page);
    const { x, y, width, height } = await w.message('press me long').boundingBox();
    const touchPoints = [{ x: x + width / 2, y: y + height / 2 }];
    await cdp.send('Input.dispatchTouchEvent', { type: 'touchStart', touchPoints });
    await w.page.waitForTimeout(700);
    await cdp.send('Input.dispatchTouchEvent', { type: 'touchEnd', touchPoints: [] });
    const menu = w.page.getByRole('menu', { name: 'Message' });
    await menu.getByRole('button', { name: '👍' }).tap();
    await w.message('press me long').getByRole('button', { name: '👍, 1 person' }).waitFor();
    await menu.waitFor({ state: 'detached' });
    for (const target of [w.box, w.sendButton, w.page.getByRole('button', { name: 'Attach' })]) {
      const box = await target.boundingBox();
      assert.ok(box.height >= 40 && box.width >= 40, JSON.stringify(box));
    }
    await w.close();
  });

  test('permission for notifications is asked on a click only', async () => {
    const w = await web.open(alice);
    await w.chats.waitFor();
    await w.page.evaluate(() => {
      globalThis.asked = 0;
      Notification.requestPermission = async () => {
        globalThis.asked += 1;
        return 'granted';
      };
      Object.defineProperty(Notification, 'permission', { get: () => (globalThis.asked ? 'granted' : 'default') });
    });
    await w.page.getByRole('button', { name: 'Settings' }).click();
    await w.page.getByRole('tab', { name: 'Notifications' }).click();
    assert.equal(await w.page.evaluate(() => globalThis.asked), 0);
    await w.page.getByRole('switch', { name: /Notify me/ }).click();
    assert.equal(await w.page.evaluate(() => globalThis.asked), 1);
    await w.close();
  });

  test('a tab with files of an older version says so instead of failing', async () => {
    const w = await opened('Old');
    await w.page.route('**/web/*/app/emoji_picker.js', (route) => route.fulfill({ status: 404, body: '' }));
    await w.page.getByRole('button', { name: 'Emoji', exact: true }).click();
    await w.page.getByRole('button', { name: 'Reload' }).waitFor();
    await w.close();
  });
});
