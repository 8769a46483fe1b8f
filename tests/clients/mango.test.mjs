// Requests exactly as Mango's own clients send them: its paths, form login, `auth` header, and events without
// callbacks. Newer features must not change these tests.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { png } from './pictures.mjs';
import {
  Client, expectProblem, expectStatus, newDirect, newGroup, newUser, newUsers, openSocket, request, settle, storedMessages,
  typeInResponses, uniquePhone, defaultEndpoint, withClients,
} from './support.mjs';

/** Registers and logs in as Mango's documentation describes. */
async function mangoUser() {
  const phone = uniquePhone();
  const photo = png(64, 64).toString('base64');
  const me = await expectStatus(201, 'POST', '/user/create', { body: { phone, password: 'password123', photo } });
  const session = await expectStatus(200, 'POST', '/user/login', { form: { username: phone, password: 'password123' } });
  return { id: me.id, phone, accessToken: session.access_token, refreshToken: session.refresh_token };
}

describe('an unchanged Mango client', () => {
  test('registers, connects, creates a chat, sends, likes and pins without callbacks', async () => {
    const [alice, bob] = [await mangoUser(), await mangoUser()];
    const sockets = [alice, bob].map(({ accessToken }) => openSocket(defaultEndpoint, { extraHeaders: { auth: accessToken } }));
    const [first, second] = sockets.map((socket) => new Client(socket));
    try {
      await Promise.all([first.next('ready'), second.next('ready')]);
      first.socket.emit('create_chat', { chat: { name: 'Lunch', is_group: false, members_array: [alice.id, bob.id] } });
      const { chat } = await second.next('chat_created');
      assert.equal(typeof chat, 'number');
      assert.equal((await first.next('chat_created')).chat, chat);
      first.socket.emit('send_message', { message: { chat_id: chat, content: 'How are you?!', message_type: 'text' } });
      const received = await second.next('new_message');
      assert.equal(received.content, 'How are you?!');
      assert.equal(received.message_type, typeInResponses('text'));
      assert.equal(received.chat, chat);
      second.socket.emit('toggle_like_message', { message: { id: received.id } });
      assert.equal((await first.next('message_liked')).message_id, received.id);
      first.socket.emit('toggle_chat_pin', { chat: { id: chat } });
      assert.equal((await first.next('chat_pinned')).chat, chat);
      first.socket.emit('toggle_chat_pin', { chat: { id: chat } });
      assert.equal((await first.next('chat_unpinned')).chat, chat);

      const last = await settle(first, chat, second);
      assert.deepEqual(first.events.map(({ name }) => name), ['ready', 'chat_created', 'message_liked', 'chat_pinned', 'chat_unpinned']);
      assert.deepEqual(second.events.map(({ name }) => name), ['ready', 'chat_created', 'new_message', 'new_message']);
      const messages = await expectStatus(200, 'GET', `/message/${chat}`, { user: bob });
      assert.deepEqual(messages.map(({ content }) => content), [last.content, 'How are you?!']);
      assert.deepEqual(messages[1].likes_array.map(({ id }) => id), [bob.id]);
      assert.deepEqual(await expectStatus(200, 'GET', '/chat/pinned', { user: alice }), []);
    } finally {
      for (const socket of sockets) socket.disconnect();
    }
  });

  test('reads messages newest first, with the users who liked them and numeric types', () =>
    withClients(async (open) => {
      const [alice, bob, stranger] = await newUsers('alice', 'bob', 'stranger');
      const [caller, peer] = [await open(alice), await open(bob)];
      const chat = await newGroup(caller, [bob], { listeners: [peer] });
      const liked = await caller.send(chat.id, 'like me');
      await caller.send(chat.id, '<p>', { message_type: 'html' });
      await caller.send(chat.id, 'x', { message_type: 'orc' });
      for (const client of [caller, peer]) await client.ok('toggle_like_message', { message: { id: liked.message.id } });
      const messages = await expectStatus(200, 'GET', `/message/${chat.id}`, { user: bob });
      assert.deepEqual(messages.map(({ message_type }) => message_type), [25, 2, 1]);
      assert.deepEqual(messages.map(({ likes_array }) => likes_array.length), [0, 0, 2]);
      const likers = [...messages[2].likes_array].sort((a, b) => a.id - b.id);
      assert.deepEqual(likers.map(({ id }) => id), [alice.id, bob.id].sort((a, b) => a - b));
      for (const liker of likers) assert.deepEqual(Object.keys(liker).sort(), ['id', 'name', 'photo']);
      await expectProblem(404, 'not_found', 'GET', `/message/${chat.id}`, { user: stranger });
      await expectProblem(404, 'not_found', 'GET', '/message/111111111', { user: alice });
    }));

  test('changes its own profile with status 202 and cannot change others', async () => {
    const [alice, bob] = await newUsers('alice', 'bob');
    await expectStatus(202, 'PATCH', `/user/${alice.id}`, { user: alice, body: { name: 'Alice', description: 'at lunch' } });
    await expectProblem(403, 'forbidden', 'PATCH', `/user/${alice.id}`, { user: bob, body: { name: 'Mallory' } });
    const stored = await expectStatus(200, 'GET', `/user/${alice.id}`, { user: bob });
    assert.deepEqual([stored.name, stored.description], ['Alice', 'at lunch']);
  });

  test('refreshes with its refresh token, or with its access token for a new access token only', async () => {
    const alice = await mangoUser();
    const byAccess = await expectStatus(200, 'POST', '/user/refresh', { token: alice.accessToken });
    assert.equal((await expectStatus(200, 'GET', '/user/me', { token: byAccess.access_token })).id, alice.id);
    assert.equal(byAccess.refresh_token ?? null, null);
    const byRefresh = await expectStatus(200, 'POST', '/user/refresh', { body: { refresh_token: alice.refreshToken } });
    assert.notEqual(byRefresh.refresh_token, alice.refreshToken);
    assert.equal((await expectStatus(200, 'GET', '/user/me', { token: byRefresh.access_token })).id, alice.id);
  });

  test('gets a new access token from an access token only while the session exists', async () => {
    const alice = await newUser('alice');
    const { status } = await request('POST', '/auth/logout', { user: alice });
    assert.ok(status < 300);
    await expectProblem(401, 'session_ended', 'POST', '/user/refresh', { token: alice.accessToken });
    await expectProblem(401, 'session_ended', 'GET', '/user/me', { user: alice });
  });

  test('gets the existing direct chat instead of a second one', () =>
    withClients(async (open) => {
      const [alice, bob] = await newUsers('alice', 'bob');
      const [caller, peer] = [await open(alice), await open(bob)];
      const chat = await newDirect(caller, bob, { listeners: [peer] });
      const repeated = await peer.ok('create_chat', { chat: { name: 'another name', is_group: false, members_array: [bob.id, alice.id] } });
      assert.equal(repeated.chat.id, chat.id);
      await settle(peer, chat.id, caller);
      assert.equal((await storedMessages(alice, chat.id)).length, 1);
    }));
});
