// Opens mailed links in Chromium for the Rust suite: `node account_pages.mjs '[{"url": …, "locale": …, "type": …}]'`.
// Each is opened in a browser of its own language; with `type` the password fields, if any, are filled in, then the
// button is clicked. What the page said and did comes out as one line of JSON. Chromium is CHROMIUM, else
// /usr/bin/chromium.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const seen = [];
for (const { url, locale, type } of JSON.parse(process.argv[2])) {
  const profile = await mkdtemp(join(tmpdir(), 'mango-chromium-'));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: process.env.CHROMIUM || '/usr/bin/chromium',
    headless: true,
    locale,
    args: [
      '--no-sandbox', '--headless', '--disable-gpu', '--disable-quic', '--no-first-run',
      '--disable-background-networking', '--disable-component-update', '--disable-sync',
    ],
  });
  try {
    const page = await context.newPage();
    const words = [];
    const requests = [];
    page.on('pageerror', (error) => words.push(error.message));
    page.on('console', (line) => line.type() === 'error' && words.push(line.text()));
    page.on('request', (request) => requests.push(`${request.method()} ${request.url()} ${request.headers().referer ?? ''}`));
    await page.goto(url);
    await page.waitForLoadState('networkidle');
    const title = await page.textContent('h1');
    const before = [...requests];
    if (await page.isVisible('button')) {
      if (type && await page.$('#password')) {
        await page.fill('#password', type);
        await page.fill('#again', type);
      }
      await page.click('button');
      await page.waitForFunction(() => document.getElementById('told').textContent !== '');
    }
    seen.push({ title, told: await page.textContent('#told'), at: page.url(), before, requests, words });
  } finally {
    await context.close();
    await rm(profile, { recursive: true, force: true });
  }
}
console.log(JSON.stringify(seen));
