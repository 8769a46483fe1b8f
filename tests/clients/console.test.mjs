// The event console in Chromium: it knows every event of the catalogue, sends it, and shows who receives what.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { assertAccessible } from './admin_support.mjs';
import { eventually, startWeb } from './web_support.mjs';

let web;
before(async () => {
  web = await startWeb();
});
after(() => web?.stop());

function parts({ page }) {
  return {
    list: page.getByRole('listbox', { name: 'Event', exact: true }),
    option: (name) => page.getByRole('option', { name, exact: true }),
    payload: page.getByRole('textbox', { name: 'Payload', exact: true }),
    send: page.getByRole('button', { name: 'Send', exact: true }),
    acks: page.getByRole('log', { name: 'Acknowledgement', exact: true }),
    received: page.getByRole('log', { name: 'Received', exact: true }),
  };
}

async function open(at = '', { signedIn = true, setUp } = {}) {
  const w = await web.open(null, { path: '/events', at: setUp ? '#/none' : at });
  if (setUp) {
    await setUp(w.page);
    await w.page.goto(`${web.url}/events${at}`);
    await w.page.reload();
  }
  if (signedIn) {
    await w.page.getByRole('button', { name: 'Sign in alice and bob' }).click();
    for (const name of ['Sends as', 'Receives as'])
      await w.page.getByRole('region', { name }).getByText('connected', { exact: true }).waitFor();
    // Both may have no chat in common yet.
    const start = w.page.getByRole('region', { name: 'First steps' });
    const make = start.getByRole('button', { name: 'Create a group with both' });
    await eventually(async () => {
      if (await make.isVisible()) await make.click({ timeout: 1000 });
      return !(await start.isVisible());
    }, 'a chat of both');
  }
  return { ...w, ...parts(w) };
}

describe('the event console', () => {
  test('what one identity sends is acknowledged, and the other receives it', async () => {
    const w = await open('#/send_message');
    const payload = JSON.parse(await w.payload.inputValue());
    payload.message.content = 'fresh mangoes';
    await w.payload.fill(JSON.stringify(payload));
    await w.send.click();
    await w.acks.getByText('"fresh mangoes"').waitFor();
    await w.received.getByText('new_message').first().waitFor();
    await w.received.getByText('"fresh mangoes"').waitFor();
    assert.deepEqual(w.errors, []);
    await w.close();
  });

  test('every command of the catalogue can be sent with its example', { timeout: 90_000 }, async () => {
    const w = await open('#/send_message');
    const { operations } = await (await fetch(`${web.url}/asyncapi.json`)).json();
    const commands = Object.entries(operations)
      .filter(([, it]) => it.action === 'receive')
      .map(([key]) => key);
    assert.ok(commands.length > 30);
    // Deleting and leaving come last, so that the examples before them have a chat.
    const ends = (name) => /^(delete_chat|leave_chat|remove_member|ban_member|decline_chat|block)$/.test(name);
    const accepted = [];
    for (const name of commands.sort((a, b) => ends(a) - ends(b))) {
      await w.option(name).click();
      assert.equal(await w.option(name).getAttribute('aria-selected'), 'true');
      const example = JSON.parse(await w.payload.inputValue());
      assert.equal(typeof example, 'object', name);
      const before = await w.acks.locator('details').count();
      await w.send.click();
      await eventually(async () => (await w.acks.locator('details').count()) > before, `an answer to ${name}`);
      const first = w.acks.locator('details').first();
      assert.match(await first.locator('summary').innerText(), new RegExp(name));
      const ack = JSON.parse(await first.locator('pre').textContent());
      // An example may meet another state, but it is always well-formed.
      assert.ok(ack.ok || ack.error.code !== 'unknown_event', name);
      if (ack.ok) accepted.push(name);
    }
    assert.ok(accepted.length >= 20, `accepted: ${accepted}`);
    // The other suites need both to be able to write to each other.
    await w.option('unblock').click();
    await w.send.click();
    await w.acks.locator('details').first().getByText('unblock').waitFor();
    assert.deepEqual(w.errors, []);
    await w.close();
  });

  test('every event of the server is listed with its fields and an example', async () => {
    const w = await open('', { signedIn: false });
    const { operations } = await (await fetch(`${web.url}/asyncapi.json`)).json();
    const events = Object.entries(operations)
      .filter(([, it]) => it.action === 'send')
      .map(([key]) => key);
    for (const name of events) {
      await w.option(name).click();
      JSON.parse(await w.payload.inputValue());
      assert.equal(await w.send.isDisabled(), true, 'the server sends it, not the user');
    }
    assert.deepEqual(w.errors, []);
    await w.close();
  });

  test('a new event appears by itself', async () => {
    const w = await open('#/peel_mango', {
      signedIn: false,
      setUp: (page) =>
        page.route('**/asyncapi.json', async (route) => {
          const answer = await route.fetch();
          const document = await answer.json();
          document.components.messages.peel_mango = {
            name: 'peel_mango',
            summary: 'Peels a mango.',
            payload: {
              type: 'object',
              required: ['knife', 'slices'],
              properties: { knife: { type: 'string', description: 'Which knife.' }, slices: { type: 'integer' } },
            },
          };
          document.channels.chat.messages.peel_mango = { $ref: '#/components/messages/peel_mango' };
          document.operations.peel_mango = {
            action: 'receive',
            channel: { $ref: '#/channels/chat' },
            messages: [{ $ref: '#/channels/chat/messages/peel_mango' }],
          };
          await route.fulfill({ response: answer, json: document });
        }),
    });
    await w.page.getByRole('heading', { name: 'peel_mango' }).waitFor();
    assert.equal(await w.option('peel_mango').getAttribute('aria-selected'), 'true');
    await w.page.getByText('Which knife.').waitFor();
    assert.deepEqual(JSON.parse(await w.payload.inputValue()), { knife: 'knife', slices: 1 });
    await w.close();
  });

  test('errors are shown at their place, those of the text and those of the server', async () => {
    const w = await open('#/send_message');
    const problems = w.page.getByRole('alert');
    await w.payload.fill('{\n  "message": {\n    "content": "x",\n  }\n}');
    await problems.getByRole('button', { name: /Line 4, column 3/ }).waitFor();
    await w.payload.fill(
      '{\n  "message": {\n    "chat_id": "many",\n    "content": "x",\n    "message_type": "text"\n  }\n}',
    );
    await problems.waitFor({ state: 'hidden' });
    await w.send.click();
    await problems.getByRole('button', { name: /Line 3, column 16.*message\.chat_id/ }).click();
    assert.equal(await w.payload.evaluate((it) => it.value.slice(it.selectionStart, it.selectionEnd)), '"many"');
    await w.payload.fill('[1]');
    await problems.getByText('The payload must be an object').waitFor();
    await w.close();
  });

  test('the search and the arrow keys choose events, and the address keeps the choice', async () => {
    const w = await open('', { signedIn: false });
    const search = w.page.getByRole('searchbox', { name: 'Search events' });
    await search.fill('reaction');
    assert.deepEqual(await w.list.getByRole('option').allInnerTexts(), ['toggle_reaction', 'message_reacted']);
    await search.fill('chat pin');
    await search.press('ArrowDown');
    await w.page.keyboard.press('Enter');
    await w.page.getByRole('heading', { name: 'toggle_chat_pin' }).waitFor();
    await search.fill('');
    await w.option('toggle_chat_pin').press('ArrowDown');
    await w.page.getByRole('heading', { name: 'toggle_like_message' }).waitFor();
    await w.page.reload();
    await w.page.getByRole('heading', { name: 'toggle_like_message' }).waitFor();
    assert.deepEqual(w.errors, []);
    await w.close();
  });

  test('a reload keeps both identities, and signing out ends one', async () => {
    const w = await open('#/history');
    await w.page.reload();
    const sender = w.page.getByRole('region', { name: 'Sends as' });
    await sender.getByText('connected').waitFor();
    await w.page.getByRole('region', { name: 'Receives as' }).getByText('connected').waitFor();
    await sender.getByRole('button', { name: 'Sign out alice' }).click();
    await sender.getByText('Nobody').waitFor();
    await w.page.getByRole('button', { name: 'Send', exact: true }).click();
    await w.page.getByRole('dialog', { name: 'Sends as' }).getByRole('button', { name: 'Sign in as carol' }).click();
    await sender.getByText('carol', { exact: true }).waitFor();
    assert.deepEqual(w.errors, []);
    await w.close();
  });

  test('the call can be copied for curl, socket.io-client and the SDK', async () => {
    const w = await open('#/send_message');
    await w.context.grantPermissions(['clipboard-read', 'clipboard-write'], { origin: web.url });
    await w.payload.fill(`{"message":{"chat_id":1,"content":"it's","message_type":"text"}}`);
    await w.page.getByText('As code').click();
    const copied = async (tab) => {
      await w.page.getByRole('tab', { name: tab, exact: true }).click();
      await w.page.locator('.request').getByRole('button', { name: 'Copy', exact: true }).click();
      return w.page.evaluate(() => navigator.clipboard.readText());
    };
    assert.match(await copied('curl'), /\/events\/send_message[\s\S]*it'\\''s/);
    assert.match(await copied('socket.io-client'), /io\("http[\s\S]*emitWithAck\("send_message"/);
    assert.match(await copied('SDK'), /chat\.call\("send_message"/);
    await w.close();
  });

  test('hostile content is shown as text', async () => {
    const w = await open('#/send_message');
    const payload = JSON.parse(await w.payload.inputValue());
    payload.message.content = '<img src=x onerror="globalThis.hacked=1"><script>globalThis.hacked=1</script>';
    await w.payload.fill(JSON.stringify(payload));
    await w.send.click();
    await w.received.getByText('<script>globalThis.hacked=1</script>').waitFor();
    assert.equal(await w.page.evaluate(() => globalThis.hacked ?? 0), 0);
    assert.deepEqual(w.errors, []);
    await w.close();
  });

  test('axe-core finds nothing, before and after sending, and nothing is wider than a phone', async () => {
    const w = await open('', { signedIn: false });
    await w.payload.waitFor();
    await assertAccessible(w.page, 'the console, signed out');
    await w.close();
    const signedIn = await open('#/create_chat');
    await signedIn.send.click();
    await signedIn.acks.locator('details').first().waitFor();
    await signedIn.payload.fill('{');
    await assertAccessible(signedIn.page, 'the console with an acknowledgement and an error');
    await signedIn.page.setViewportSize({ width: 360, height: 740 });
    assert.ok(await signedIn.page.evaluate(() => document.documentElement.scrollWidth <= innerWidth));
    await signedIn.close();
  });
});
