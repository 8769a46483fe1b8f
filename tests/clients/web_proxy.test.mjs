// The web client behind a proxy that strips a path: every URL is relative to the page's root.

import assert from 'node:assert/strict';
import { createServer, request } from 'node:http';
import { connect } from 'node:net';
import { after, before, test } from 'node:test';
import { startWeb } from './web_support.mjs';

const PATH = '/team/chat';
let web;
let proxy;
let url;

/** Passes on what is below PATH, without it; everything else is not found. */
function startProxy(target) {
  const { hostname: host, port } = new URL(target());
  const stripped = (path) => (path.startsWith(`${PATH}/`) ? path.slice(PATH.length) : null);
  const server = createServer((incoming, answer) => {
    const path = stripped(incoming.url);
    if (path === null) {
      answer.writeHead(404).end('outside');
      return;
    }
    const onward = request({ host, port, method: incoming.method, path, headers: incoming.headers }, (found) => {
      answer.writeHead(found.statusCode, found.headers);
      found.pipe(answer);
    });
    incoming.pipe(onward);
  });
  server.on('upgrade', (incoming, near) => {
    const far = connect(Number(port), host, () => {
      const headers = Object.entries(incoming.headers).map(([name, value]) => `${name}: ${value}`);
      far.write(`${[`${incoming.method} ${stripped(incoming.url)} HTTP/1.1`, ...headers].join('\r\n')}\r\n\r\n`);
      near.pipe(far).pipe(near);
    });
    for (const socket of [near, far]) socket.on('error', () => [near, far].forEach((it) => it.destroy()));
  });
  return server;
}

before(async () => {
  const reserved = createServer();
  await new Promise((done) => reserved.listen(0, '127.0.0.1', done));
  const { port } = reserved.address();
  await new Promise((done) => reserved.close(done));
  url = `http://localhost:${port}${PATH}/`;
  web = await startWeb({ PUBLIC_URL: url.slice(0, -1) });
  proxy = startProxy(() => web.url);
  await new Promise((done) => proxy.listen(port, '127.0.0.1', done));
});
after(async () => {
  proxy?.closeAllConnections();
  proxy?.close();
  await web?.stop();
});

test('signs in, sends a message and a file, pages through people, and opens again below the path', async () => {
  const context = await web.browser.newContext({ viewport: { width: 1280, height: 800 }, serviceWorkers: 'allow' });
  const page = await context.newPage();
  const refused = [];
  page.on('response', (answer) => {
    if (answer.status() >= 400 && !/search\?q=/.test(answer.url())) refused.push(`${answer.status()} ${answer.url()}`);
  });
  page.on('pageerror', (error) => refused.push(error.message));
  await page.goto(url);
  await page.getByRole('button', { name: 'Sign in as alice' }).click();
  await page
    .getByRole('navigation', { name: 'Chats', exact: true })
    .getByRole('link', { name: 'Mango lovers' })
    .click();
  await page.getByRole('textbox', { name: 'Message', exact: true }).fill('through the proxy');
  await page.keyboard.press('Enter');
  await page.getByRole('article', { name: /, sent: through the proxy/ }).waitFor();
  const chosen = page.waitForEvent('filechooser');
  await page.getByRole('button', { name: 'Attach', exact: true }).click();
  await (await chosen).setFiles([{ name: 'note.txt', mimeType: 'text/plain', buffer: Buffer.from('hello') }]);
  await page.keyboard.press('Enter');
  const file = page.getByRole('log').getByRole('link', { name: /note\.txt/ });
  await file.waitFor();
  const href = await file.getAttribute('href');
  assert.ok(href.startsWith(url), href);
  assert.equal(await (await context.request.get(href)).text(), 'hello');
  assert.equal(await page.evaluate(() => navigator.serviceWorker.ready.then(({ scope }) => scope)), url);
  await page.reload();
  await page.getByRole('article', { name: /through the proxy/ }).waitFor();
  await page.goto(`${url}account/reset#token=x`);
  await page.getByRole('button', { name: 'Set the password' }).waitFor();
  assert.deepEqual(refused, []);
  await context.close();
});
