// The server's own pages in Chromium, with the security policies that the server sends: the pages work, and nothing
// else is allowed.

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

/** Opens a page of the server and collects its errors. */
async function open(path) {
  const page = await context.newPage();
  const errors = [];
  page.on('pageerror', (error) => errors.push(error.message));
  const isPageError = (line) => line.type() === 'error' && !line.location().url.endsWith('/favicon.ico');
  page.on('console', (line) => isPageError(line) && errors.push(line.text()));
  await page.goto(new URL(path, url).href);
  return { page, errors };
}

describe('pages in Chromium', () => {
  test('the API documentation renders and can send requests', async () => {
    const { page, errors } = await open('/docs/');
    const live = page.locator('.opblock', { hasText: '/health/live' });
    await live.locator('.opblock-summary').click();
    await live.getByRole('button', { name: 'Try it out' }).click();
    await live.getByRole('button', { name: 'Execute' }).click();
    await live.locator('.live-responses-table .response-col_status', { hasText: '200' }).waitFor();
    assert.deepEqual(errors, [], 'the policy blocks nothing that the page needs');
    await page.close();
  });

  test('a page of the server can connect, but runs no injected inline script', async () => {
    const [alice] = await newUsers('alice');
    const { page, errors } = await open('/docs/');
    const userId = await page.evaluate(async (token) => {
      const { MangoChat } = await import('/client/mango-chat.js');
      const chat = new MangoChat({ token });
      await chat.connect();
      chat.close();
      return chat.userId;
    }, alice.accessToken);
    assert.equal(userId, alice.id);
    assert.deepEqual(errors, []);
    const hasRun = await page.evaluate(() => {
      const script = document.createElement('script');
      script.textContent = 'globalThis.injected = true';
      document.body.append(script);
      return globalThis.injected ?? false;
    });
    assert.equal(hasRun, false);
    await page.close();
  });

  test('a data response runs no script when it is opened as a page', async () => {
    const { page } = await open('/health/live');
    const loaded = await page.evaluate(() => import('/client/mango-chat.js').then(() => true, () => false));
    assert.equal(loaded, false);
    await page.close();
  });

  test('a page of another origin can show a photo, but cannot frame a page', async (t) => {
    const otherOrigin = createServer((_, response) =>
      response.setHeader('content-type', 'text/html').end('<!doctype html><title>elsewhere</title>'));
    await new Promise((done) => otherOrigin.listen(0, '127.0.0.1', done));
    t.after(() => { otherOrigin.closeAllConnections(); otherOrigin.close(); });
    const page = await context.newPage();
    await page.goto(`http://127.0.0.1:${otherOrigin.address().port}/`);
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
    const blocked = page.waitForEvent('console', (line) => /frame/i.test(line.text()));
    await page.evaluate((source) => {
      const frame = document.createElement('iframe');
      frame.src = source;
      document.body.append(frame);
    }, new URL('/docs/', url).href);
    await blocked;
    await page.close();
  });
});
