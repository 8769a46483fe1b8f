// Opens links from emails in Chromium for the Rust suite:
// `node account_pages.mjs '[{"url": …, "locale": …, "type": …}]'`. Each link opens in a browser with the given locale. The
// script enters `type`, if given, into the password fields, then clicks the button. It prints what each page showed and
// requested as one line of JSON.

import { launch } from './chromium.mjs';

const results = [];
for (const { url, locale, type } of JSON.parse(process.argv[2])) {
  const { context, close } = await launch({ locale });
  try {
    const page = await context.newPage();
    const errors = [];
    const requests = [];
    page.on('pageerror', (error) => errors.push(error.message));
    page.on('console', (line) => line.type() === 'error' && errors.push(line.text()));
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
    results.push({ title, told: await page.textContent('#told'), at: page.url(), before, requests, words: errors });
  } finally {
    await close();
  }
}
console.log(JSON.stringify(results));
