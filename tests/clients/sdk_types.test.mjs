// The types of the JavaScript client: generated from the server and the client, and strict enough to find mistakes.

import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { joined } from '../../scripts/join-sdk.mjs';
import { CLIENT, generateTypes, TSC } from './make_types.mjs';
import { expectStatus, request, url } from './support.mjs';

/** Code of an application. The compiler also reports an expected error that does not occur. */
const APPLICATION = `
import { MangoChat, MangoError, sessionTokens, type ChatState, type Message } from 'mango-chat-client';

const chat = new MangoChat({ url: 'http://localhost:5000', token: sessionTokens(), tellUnread: true });
chat.on('message', (message: Message, state: ChatState) => console.log(message.user.name, state.my.unread));
chat.on('typing', ({ user_id, is_typing }) => console.log(user_id.toFixed(), is_typing === true));
chat.on('error', (error) => console.log(error.code, error.retryAfterMs));
const sent: Promise<Message> = chat.send(1, 'hello', { messageType: 'markdown' });
const { message, duplicate } = await chat.call('send_message', { message: { chat_id: 1, content: 'hi', message_type: 'text' } });
const seq: number = message.seq;
const once: boolean = duplicate;
for await (const change of chat.chats.get(1)!.events()) console.log(change.type);
if (sent instanceof MangoError) throw sent;

// @ts-expect-error: unknown event
chat.on('mesage', () => {});
// @ts-expect-error: a status is not an object
chat.on('status', ({ id }) => id);
// @ts-expect-error: unknown command
await chat.call('send_mesage', {});
// @ts-expect-error: the content is missing
await chat.call('send_message', { message: { chat_id: 1, message_type: 'text' } });
// @ts-expect-error: unknown message type
await chat.call('send_message', { message: { chat_id: 1, content: 'hi', message_type: 'tekst' } });
// @ts-expect-error: unknown option
new MangoChat({ tokne: 'x' });
// @ts-expect-error: the id of a chat is a number
chat.send('1', 'hello');
`;

let folder;

before(async () => { folder = await mkdtemp(join(tmpdir(), 'mango-types-test-')); });
after(() => rm(folder, { recursive: true, force: true }));

test('mango-chat.js is the joined modules, and no module is too long', async () => {
  assert.ok(joined() === await readFile(join(CLIENT, 'mango-chat.js'), 'utf8'), 'mango-chat.js is out of date: node scripts/join-sdk.mjs');
  for (const name of await readdir(join(CLIENT, 'src'))) {
    const text = await readFile(join(CLIENT, 'src', name), 'utf8');
    assert.ok(text.split('\n').length <= 300, `${name} has more than 300 lines`);
    // Nothing else reports a module that is missing in the joined file.
    assert.ok(joined().includes(`// --- ${name.replace('.js', '')} ---`), `${name} is missing in the joined file: add it to scripts/join-sdk.mjs`);
  }
});

describe('types of the client', () => {
  test('equal the generated ones', async () => {
    await generateTypes(folder);
    for (const name of ['events.d.ts', 'mango-chat.d.ts']) {
      const [generated, committed] = await Promise.all([folder, CLIENT].map((at) => readFile(join(at, name), 'utf8')));
      assert.ok(generated === committed, `${name} is out of date: node tests/clients/make_types.mjs`);
    }
  });

  test('are generated from the document that the server serves', async () => {
    const committed = JSON.parse(await readFile(join(CLIENT, '../api/asyncapi.json'), 'utf8'));
    assert.deepEqual(await expectStatus(200, 'GET', '/asyncapi.json'), committed);
  });

  test('the package installs from the server, imports in Node.js, and its types reject mistakes', async () => {
    const project = join(folder, 'project');
    await mkdir(project);
    const write = (name, text) => writeFile(join(project, name), text);
    // Offline: the package has no dependencies, so npm needs nothing from the registry.
    await write('package.json', '{"name": "uses", "private": true}');
    const { bytes, status, headers } = await request('GET', '/client/mango-chat.tgz');
    assert.deepEqual([status, headers.get('content-type')], [200, 'application/gzip']);
    await write('mango-chat.tgz', bytes);
    execFileSync('npm', ['install', '--offline', '--no-audit', '--no-fund', './mango-chat.tgz'], { cwd: project, stdio: 'pipe' });
    await write('use.mjs', `import { MangoChat, sessionTokens } from 'mango-chat-client';
      console.log(typeof MangoChat, typeof sessionTokens);`);
    assert.equal(execFileSync(process.execPath, ['use.mjs'], { cwd: project, encoding: 'utf8' }), 'function function\n');
    await write('uses.mts', APPLICATION);
    const compiled = spawnSync(process.execPath, [
      TSC, '--noEmit', '--strict', '--module', 'nodenext', '--target', 'es2022', '--lib', 'es2023,dom', '--types', '', 'uses.mts',
    ], { cwd: project, encoding: 'utf8' });
    assert.equal(compiled.stdout, '');
    assert.equal(compiled.status, 0);
  });

  test('the single file imports in Node.js without a package.json', async () => {
    const { text, status } = await request('GET', '/client/mango-chat.mjs');
    assert.equal(status, 200);
    const single = join(folder, 'alone');
    await mkdir(single);
    await writeFile(join(single, 'mango-chat.mjs'), text);
    await writeFile(join(single, 'use.mjs'), 'import { MangoChat } from "./mango-chat.mjs"; console.log(typeof MangoChat);');
    assert.equal(execFileSync(process.execPath, ['use.mjs'], { cwd: single, encoding: 'utf8' }), 'function\n');
    for (const name of ['nothing.js', '..%2FCargo.toml', '.env']) {
      assert.equal((await request('GET', `/client/${name}`)).status, 404, `${url}/client/${name}`);
    }
  });
});
