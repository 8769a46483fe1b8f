// The server's own pages, in Chromium under the security policies that the server sends with them: the pages work, and
// nothing else is allowed.

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { after, before, describe, test } from 'node:test';
import { launch } from './chromium.mjs';
import { newUsers, url } from './support.mjs';

let context;
let close;

before(async () => {
  ({ context, close } = await launch());
});

after(() => close?.());

/** Opens a page of the server, and collects its errors. */
async function open(path) {
  const page = await context.newPage();
  const words = [];
  page.on('pageerror', (error) => words.push(error.message));
  const isOurs = (line) => line.type() === 'error' && !line.location().url.endsWith('/favicon.ico');
  page.on('console', (line) => isOurs(line) && words.push(line.text()));
  await page.goto(new URL(path, url).href);
  return { page, words };
}

describe('pages in Chromium', () => {
  test('the documents show, and requests can be tried out', async () => {
    const { page, words } = await open('/docs/');
    const live = page.locator('.opblock', { hasText: '/health/live' });
    await live.locator('.opblock-summary').click();
    await live.getByRole('button', { name: 'Try it out' }).click();
    await live.getByRole('button', { name: 'Execute' }).click();
    await live.locator('.live-responses-table .response-col_status', { hasText: '200' }).waitFor();
    assert.deepEqual(words, [], 'the policy stands in nobody\'s way');
    await page.close();
  });

  test('a page of the server\'s own connects, and runs no script that is written into it', async () => {
    const [alice] = await newUsers('alice');
    const { page, words } = await open('/docs/');
    const userId = await page.evaluate(async (token) => {
      const { MangoChat } = await import('/client/mango-chat.js');
      const chat = new MangoChat({ token });
      await chat.connect();
      chat.close();
      return chat.userId;
    }, alice.accessToken);
    assert.equal(userId, alice.id);
    assert.deepEqual(words, []);
    const ran = await page.evaluate(() => {
      const script = document.createElement('script');
      script.textContent = 'globalThis.injected = true';
      document.body.append(script);
      return globalThis.injected ?? false;
    });
    assert.equal(ran, false);
    await page.close();
  });

  test('an answer that is data stays inert when it is opened as a page', async () => {
    const { page } = await open('/health/live');
    const loaded = await page.evaluate(() => import('/client/mango-chat.js').then(() => true, () => false));
    assert.equal(loaded, false);
    await page.close();
  });

  test('a photo shows on a page of another origin, and no page can be framed there', async (t) => {
    const elsewhere = createServer((_, answer) =>
      answer.setHeader('content-type', 'text/html').end('<!doctype html><title>elsewhere</title>'));
    await new Promise((done) => elsewhere.listen(0, '127.0.0.1', done));
    t.after(() => { elsewhere.closeAllConnections(); elsewhere.close(); });
    const page = await context.newPage();
    await page.goto(`http://127.0.0.1:${elsewhere.address().port}/`);
    const width = await page.evaluate(
      (source) => new Promise((done) => {
        const image = new Image();
        image.onload = () => done(image.naturalWidth);
        image.onerror = () => done(0);
        image.src = source;
      }),
      new URL('/static/mango-01/100x100.webp', url).href,
    );
    assert.equal(width, 100);
    const refused = page.waitForEvent('console', (line) => /frame/i.test(line.text()));
    await page.evaluate((source) => {
      const frame = document.createElement('iframe');
      frame.src = source;
      document.body.append(frame);
    }, new URL('/docs/', url).href);
    await refused;
    await page.close();
  });
});
