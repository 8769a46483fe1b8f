// The Postman collection: newman sends its requests, and its events are sent over Socket.IO as Postman would.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import newman from 'newman';
import { io } from 'socket.io-client';
import { startServer } from './own_server.mjs';

let server;
let collection;

before(async () => {
  server = await startServer({ MANGO_ENV: 'test' });
  collection = await (await fetch(`${server.url}/postman.json`)).json();
  collection.variable.find(({ key }) => key === 'url').value = server.url;
});

after(() => server?.stop());

/** Sends the requests of these folders in order; returns newman's summary. */
const run = (folder) => new Promise((resolve, reject) => {
  newman.run({ collection, folder, color: 'off' }, (error, summary) => (error ? reject(error) : resolve(summary)));
});

test('the requests of "Start here" fill in the variables of the others, and none fails by the fault of the server', async () => {
  // Without those that end the session, or delete the account.
  const folders = collection.item.map(({ name }) => name).filter((name) => !['auth', 'admin', 'user', 'events'].includes(name));
  const summary = await run(folders);
  assert.deepEqual(summary.run.failures.map(({ error, source }) => `${source.name}: ${error.message}`), []);
  const found = Object.fromEntries(summary.run.executions.map(({ item, response }) => [item.name, response.code]));
  assert.equal(found['Log in'], 200);
  assert.equal(found['Send a message'], 200);
});

test('every event of the collection is answered over Socket.IO', async () => {
  const summary = await run(['Start here']);
  const answers = Object.fromEntries(summary.run.executions.map(({ item, response }) => [item.name, response.json()]));
  const values = {
    token: answers['Log in'].access_token,
    refresh_token: answers['Log in'].refresh_token,
    chat_id: answers['Create a chat'].chat.id,
    message_id: answers['Send a message'].message.id,
    user_id: answers['Send a message'].message.user.id,
  };
  const value = (name) => values[name] ?? name;
  const socket = io(server.url, { path: '/ws/socket.io', auth: { token: value('token') }, transports: ['websocket'] });
  try {
    await new Promise((resolve, reject) => socket.once('ready', resolve).once('connect_error', reject));
    const events = collection.item.find(({ name }) => name === 'events').item;
    assert.ok(events.length > 30);
    for (const { name, request } of events.filter(({ name: it }) => !['delete_chat', 'leave_chat'].includes(it))) {
      const text = request.body.raw.replace(/{{(\w+)}}/g, (_, variable) => value(variable));
      const ack = await socket.timeout(5000).emitWithAck(name, JSON.parse(text));
      const known = ack.ok || ['validation_failed', 'not_found', 'forbidden', 'token_invalid'].includes(ack.error.code);
      assert.ok(known, `${name}: ${JSON.stringify(ack)}`);
    }
  } finally {
    socket.disconnect();
  }
});
