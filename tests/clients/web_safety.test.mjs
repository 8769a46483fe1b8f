// The web client with hostile content in every field, and its texts.

import assert from 'node:assert/strict';
import { readFile, readdir } from 'node:fs/promises';
import { after, before, describe, test } from 'node:test';
import { eventually, startWeb } from './web_support.mjs';

let web;
before(async () => {
  web = await startWeb();
});
after(() => web?.stop());

const CORPUS = [
  '<img src=x onerror="globalThis.hacked=1">',
  '<script>globalThis.hacked=1</script>',
  '"><svg onload=globalThis.hacked=1>',
  '<a href="javascript:globalThis.hacked=1">click</a>',
  'javascript:globalThis.hacked=1',
  '[click](javascript:globalThis.hacked=1)',
  '<iframe srcdoc="<script>parent.hacked=1</script>">',
  '<style>body{display:none}</style>',
  '{{constructor.constructor("hacked=1")()}}',
  '<math><mtext><table><mglyph><style><img src=x onerror=globalThis.hacked=1>',
  'https://example.org/"onmouseover="globalThis.hacked=1',
  '![x](x"onerror="globalThis.hacked=1)',
  '<form action="javascript:globalThis.hacked=1"><button>go</button></form>',
];
const TYPES = [
  'text',
  'html',
  'json',
  'xml',
  'csv',
  'yaml',
  'javascript',
  'css',
  'svg',
  'markdown',
  'rtf',
  'image',
  'binary',
  'pdf',
];

describe('hostile content', () => {
  test('nothing that people can enter runs as a script, in no field and in no message type', async () => {
    const [alice, mallory] = [await web.newUser('alice'), await web.newUser('mallory')];
    await web.rest('PATCH', '/user/me', mallory.token, { name: CORPUS[0], description: CORPUS.join('\n') });
    const id = await web.group(CORPUS[2], [mallory, alice]);
    await mallory.call('update_chat', { chat: { id, description: CORPUS.join(' ') } });
    for (const type of TYPES) await mallory.send(id, CORPUS.join('\n\n'), { message_type: type });
    for (const text of CORPUS) await mallory.send(id, text);
    const form = new FormData();
    form.append(
      'file',
      new Blob(['<script>globalThis.hacked=1</script>'], { type: 'text/html' }),
      '"><img src=x onerror=globalThis.hacked=1>.html',
    );
    const file = await (
      await fetch(`${web.url}/chat/${id}/attachment`, {
        method: 'POST',
        headers: { authorization: `Bearer ${mallory.token}` },
        body: form,
      })
    ).json();
    const last = await mallory.send(id, '', { attachments: [file.id], message_type: 'binary' });
    await mallory.call('toggle_message_pin', { message: { id: last.id, pinned: true } });
    await mallory.send(id, CORPUS[1], { reply_to: last.id });
    await alice.call('mark_read', { chat: { id }, seq: last.seq + 2 });
    const w = await web.open(alice, { at: `#/chat/${id}` });
    const violations = [];
    w.page.on('console', (line) => {
      if (/Content Security Policy/.test(line.text())) violations.push(line.text());
    });
    await w.message('globalThis.hacked').last().waitFor();
    await w.page.getByRole('button', { name: 'Details', exact: true }).click();
    await w.page
      .getByRole('complementary', { name: 'Details' })
      .getByText('javascript:', { exact: false })
      .first()
      .waitFor();
    await w.log.evaluate((it) => {
      it.scrollTop = 0;
    });
    await w.page.waitForTimeout(600);
    for (const link of await w.log.getByRole('link').all()) assert.match(await link.getAttribute('href'), /^https?:/);
    const found = await w.page.evaluate(() => ({
      hacked: globalThis.hacked,
      bad: document.querySelectorAll(
        '.log script, .log iframe, .log style, .log form, .log [onerror], .log [onload], .log [style*="display:none"]',
      ).length,
      shown: getComputedStyle(document.body).display,
    }));
    assert.equal(found.hacked, undefined);
    assert.equal(found.bad, 0);
    assert.notEqual(found.shown, 'none');
    assert.deepEqual(violations, []);
    await w.close();
  });

  test('the policy of the page refuses markup that no policy made', async () => {
    const w = await web.open(null);
    await w.page.getByRole('button', { name: 'Sign in', exact: true }).waitFor();
    const refused = await w.page.evaluate(() => {
      try {
        document.createElement('div').innerHTML = '<b>x</b>';
        return false;
      } catch {
        return true;
      }
    });
    assert.equal(refused, true);
    await w.close();
  });
});

describe('texts', () => {
  test('English and Russian have the same texts, and every text that the code names exists', async () => {
    const folder = new URL('../../assets/web/', import.meta.url);
    const [en, ru] = (
      await Promise.all(['en', 'ru'].map((it) => import(new URL(`shared/texts/${it}.js`, folder))))
    ).map((it) => it.default);
    assert.deepEqual(Object.keys(ru).sort(), Object.keys(en).sort());
    const holes = (text) =>
      [
        ...new Set(
          Object.values(typeof text === 'string' ? { text } : text)
            .join(' ')
            .match(/\{\w+\}/g) ?? [],
        ),
      ].sort();
    for (const key of Object.keys(en)) assert.deepEqual(holes(ru[key]), holes(en[key]), key);
    const files = (await readdir(folder, { recursive: true })).filter(
      (it) => /^(app|shared|account)\/.*\.js$/.test(it) && !/texts|emoji_list/.test(it),
    );
    const missing = [];
    for (const name of files) {
      const source = await readFile(new URL(name, folder), 'utf8');
      for (const [, key] of source.matchAll(/\bt\('(\w+)'/g))
        if (!(key in en) && key !== 'key') missing.push(`${name}: ${key}`);
    }
    assert.deepEqual(missing, []);
  });

  test('the first paint from a cold cache is under 120 KB compressed', async () => {
    const w = await web.open(await web.newUser('cold'));
    await w.page.getByText('No chats yet').waitFor();
    const sizes = await w.page.evaluate(() =>
      [...performance.getEntriesByType('resource'), ...performance.getEntriesByType('navigation')]
        .filter((it) => /\/web\/|\/$/.test(it.name))
        .map((it) => [it.name.split('/').slice(4).join('/'), it.encodedBodySize]),
    );
    const total = sizes.reduce((sum, [, size]) => sum + size, 0);
    assert.ok(total > 20_000 && total < 120 * 1024, `${total} bytes: ${JSON.stringify(sizes)}`);
    process.stdout.write(`# first paint: ${total} bytes in ${sizes.length} files\n`);
    await eventually(() => true);
    await w.close();
  });
});
