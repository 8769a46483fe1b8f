// Invalid input: the server responds with an error that names the field, changes no state, and keeps the connection
// open. The only exception is a frame above the announced maximum.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  endpoints, fetchAllPages, memberIds, newDirect, newGroup, newUser, newUsers, settle, storedChat, storedMessages, unique, withClients,
} from './support.mjs';

const UNKNOWN_ID = 2 ** 40;

/** Commands, each with a required field of its payload. */
const envelopes = {
  create_chat: 'chat', add_member: 'chat', remove_member: 'chat', toggle_chat_pin: 'chat', history: 'chat',
  send_message: 'message', toggle_like_message: 'message', authenticate: 'token',
};

for (const endpoint of endpoints) {
  describe(`invalid input via ${endpoint.label}`, () => {
    test('an unknown event fails with unknown_event', () =>
      withClients(async (open) => {
        const alice = await newUser('alice');
        const caller = await open(alice, endpoint);
        await caller.expectError('unknown_event', 'make_coffee', { strong: true });
        await caller.expectError('unknown_event', 'make_coffee');
        const chat = await newGroup(caller, []);
        await settle(caller, chat.id);
        assert.equal((await storedMessages(alice, chat.id)).length, 1);
      }));

    test('a payload that is not an object fails for every event', () =>
      withClients(async (open) => {
        const alice = await newUser('alice');
        const caller = await open(alice, endpoint);
        for (const event of Object.keys(envelopes)) {
          for (const payload of [[[1, 2]], [7], ['text'], [true], [null], []]) {
            await caller.expectError('validation_failed', event, ...payload);
          }
        }
        assert.equal(caller.disconnected, null);
        assert.deepEqual(await fetchAllPages('/chat', alice), []);
      }));

    test('the error names a missing envelope', () =>
      withClients(async (open) => {
        const alice = await newUser('alice');
        const caller = await open(alice, endpoint);
        for (const [event, envelope] of Object.entries(envelopes)) {
          for (const payload of [{}, { [envelope]: null }, { [envelope]: 5 }, { [envelope]: [] }]) {
            const error = await caller.expectError('validation_failed', event, payload);
            assert.ok(Array.isArray(error.errors?.[envelope]), `${event}: ${JSON.stringify(error)}`);
          }
        }
        assert.deepEqual(await fetchAllPages('/chat', alice), []);
      }));

    test('the error names an invalid or missing field by its path', () =>
      withClients(async (open) => {
        const alice = await newUser('alice');
        const caller = await open(alice, endpoint);
        const chat = await newGroup(caller, []);
        const message = { chat_id: chat.id, content: 'hello', message_type: 'text' };
        const group = { name: unique('group'), is_group: true, members_array: [] };
        const without = (object, key) => Object.fromEntries(Object.entries(object).filter(([name]) => name !== key));
        const cases = [
          ['send_message', { message: { ...message, chat_id: 'one' } }, 'message.chat_id'],
          ['send_message', { message: { ...message, chat_id: 1.5 } }, 'message.chat_id'],
          ['send_message', { message: without(message, 'chat_id') }, 'message.chat_id'],
          ['send_message', { message: { ...message, content: 5 } }, 'message.content'],
          ['send_message', { message: { ...message, content: null } }, 'message.content'],
          ['send_message', { message: without(message, 'content') }, 'message.content'],
          ['send_message', { message: { ...message, message_type: 'hologram' } }, 'message.message_type'],
          ['send_message', { message: { ...message, message_type: 26 } }, 'message.message_type'],
          ['send_message', { message: { ...message, message_type: 0 } }, 'message.message_type'],
          ['send_message', { message: { ...message, message_type: [] } }, 'message.message_type'],
          ['send_message', { message: without(message, 'message_type') }, 'message.message_type'],
          ['send_message', { message: { ...message, client_id: '' } }, 'message.client_id'],
          ['send_message', { message: { ...message, client_id: 'x'.repeat(65) } }, 'message.client_id'],
          ['send_message', { message: { ...message, client_id: 7 } }, 'message.client_id'],
          ['create_chat', { chat: { ...group, is_group: 'yes' } }, 'chat.is_group'],
          ['create_chat', { chat: without(group, 'is_group') }, 'chat.is_group'],
          ['create_chat', { chat: { ...group, name: 5 } }, 'chat.name'],
          ['create_chat', { chat: { ...group, members_array: 'all' } }, 'chat.members_array'],
          ['create_chat', { chat: without(group, 'members_array') }, 'chat.members_array'],
          ['toggle_like_message', { message: { id: 'x' } }, 'message.id'],
          ['toggle_like_message', { message: {} }, 'message.id'],
          ['toggle_like_message', { message: { id: 1, liked: 'much' } }, 'message.liked'],
          ['toggle_chat_pin', { chat: { id: true } }, 'chat.id'],
          ['toggle_chat_pin', { chat: { id: chat.id, pinned: 1 } }, 'chat.pinned'],
          ['add_member', { chat: { id: chat.id } }, 'user'],
          ['add_member', { chat: { id: chat.id }, user: { id: '1x' } }, 'user.id'],
          ['remove_member', { chat: { id: chat.id }, user: {} }, 'user.id'],
          ['history', { chat: { id: [] } }, 'chat.id'],
          ['history', { chat: { id: chat.id }, before: 'now' }, 'before'],
          ['history', { chat: { id: chat.id }, limit: 'all' }, 'limit'],
          ['authenticate', { token: 5 }, 'token'],
        ];
        for (const [event, payload, field] of cases) {
          const error = await caller.expectError('validation_failed', event, payload);
          const reasons = error.errors?.[field];
          assert.ok(
            Array.isArray(reasons) && reasons.length > 0 && reasons.every((reason) => typeof reason === 'string' && reason),
            `${event} ${JSON.stringify(payload)} names ${field}: ${JSON.stringify(error)}`,
          );
        }
        const items = await caller.expectError('validation_failed', 'create_chat', { chat: { ...group, members_array: ['bob'] } });
        assert.ok(Object.keys(items.errors ?? {}).some((field) => field.startsWith('chat.members_array')), JSON.stringify(items));
        assert.deepEqual(await storedMessages(alice, chat.id), []);
        assert.deepEqual((await fetchAllPages('/chat', alice)).map(({ id }) => id), [chat.id]);
      }));

    test('a failure without a callback is reported by an exception event', () =>
      withClients(async (open) => {
        const alice = await newUser('alice');
        const caller = await open(alice, endpoint);
        const cases = [
          ['make_coffee', {}, 'unknown_event'],
          ['send_message', { message: { chat_id: 'one', content: 'x', message_type: 'text' } }, 'validation_failed'],
          ['send_message', 7, 'validation_failed'],
          ['send_message', { message: { chat_id: UNKNOWN_ID, content: 'x', message_type: 'text' } }, 'not_found'],
          ['toggle_like_message', { message: { id: UNKNOWN_ID } }, 'not_found'],
        ];
        for (const [event, payload] of cases) caller.socket.emit(event, payload);
        caller.socket.emit('send_message');
        await caller.nth(cases.length + 1, 'exception');
        const exceptions = caller.all('exception');
        assert.deepEqual(exceptions.map(({ event, error }) => [event, error.code]), [
          ...cases.map(([event, , code]) => [event, code]), ['send_message', 'validation_failed'],
        ]);
        assert.ok(exceptions[1].error.errors['message.chat_id'].length > 0);
        // With a callback, the ack is the only response: there is no exception event.
        await caller.expectError('unknown_event', 'make_coffee', {});
        const chat = await newGroup(caller, []);
        await settle(caller, chat.id);
        assert.equal(caller.all('exception').length, cases.length + 1);
        assert.equal((await storedMessages(alice, chat.id)).length, 1);
      }));

    test('a command without a callback takes effect without a response', () =>
      withClients(async (open) => {
        const [alice, bob] = await newUsers('alice', 'bob');
        const [caller, peer] = [await open(alice, endpoint), await open(bob, endpoint)];
        const chat = await newGroup(caller, [bob], { listeners: [peer] });
        caller.socket.emit('send_message', { message: { chat_id: chat.id, content: 'no callback', message_type: 'text' } });
        await peer.next('new_message', ({ content }) => content === 'no callback');
        const last = await settle(peer, chat.id, caller);
        assert.deepEqual(caller.events.map(({ name }) => name), ['ready', 'chat_created', 'new_message']);
        assert.deepEqual((await storedMessages(alice, chat.id)).map(({ content }) => content), ['no callback', last.content]);
      }));

    test('the chat of other users gets the same not_found as an unknown chat', () =>
      withClients(async (open) => {
        const [alice, bob, stranger] = await newUsers('alice', 'bob', 'stranger');
        const [caller, outsider] = [await open(alice, endpoint), await open(stranger, endpoint)];
        const chat = await newGroup(caller, [bob]);
        const { message } = await caller.send(chat.id, 'private');
        const attempts = (chatId, messageId) => [
          ['send_message', { message: { chat_id: chatId, content: 'hi', message_type: 'text' } }],
          ['toggle_like_message', { message: { id: messageId } }],
          ['toggle_chat_pin', { chat: { id: chatId } }],
          ['add_member', { chat: { id: chatId }, user: { id: stranger.id } }],
          ['remove_member', { chat: { id: chatId }, user: { id: bob.id } }],
          ['history', { chat: { id: chatId } }],
        ];
        const unknown = attempts(UNKNOWN_ID, UNKNOWN_ID);
        for (const [index, [event, payload]] of attempts(chat.id, message.id).entries()) {
          await outsider.expectError('not_found', event, payload);
          await outsider.expectError('not_found', ...unknown[index]);
        }
        const stored = await storedMessages(alice, chat.id);
        assert.deepEqual(stored.map(({ id, likes }) => [id, likes]), [[message.id, 0]]);
        assert.deepEqual(await memberIds(alice, chat.id), [alice.id, bob.id].sort((a, b) => a - b));
      }));

    test('a member without the required role cannot add or remove members', () =>
      withClients(async (open) => {
        const [alice, bob, carol] = await newUsers('alice', 'bob', 'carol');
        const [caller, member] = [await open(alice, endpoint), await open(bob, endpoint)];
        const chat = await newGroup(caller, [bob], { listeners: [member] });
        await member.expectError('forbidden', 'add_member', { chat: { id: chat.id }, user: { id: carol.id } });
        await member.expectError('forbidden', 'remove_member', { chat: { id: chat.id }, user: { id: alice.id } });
        assert.deepEqual(await memberIds(bob, chat.id), [alice.id, bob.id].sort((a, b) => a - b));
      }));

    test('an unknown member is rejected and no chat is created', () =>
      withClients(async (open) => {
        const alice = await newUser('alice');
        const caller = await open(alice, endpoint);
        for (const is_group of [true, false]) {
          await caller.expectError(['not_found', 'validation_failed'], 'create_chat', {
            chat: { name: unique('group'), is_group, members_array: [UNKNOWN_ID] },
          });
        }
        assert.deepEqual(await fetchAllPages('/chat', alice), []);
        const chat = await newGroup(caller, []);
        await caller.expectError(['not_found', 'validation_failed'], 'add_member', { chat: { id: chat.id }, user: { id: UNKNOWN_ID } });
        assert.deepEqual(await memberIds(alice, chat.id), [alice.id]);
      }));

    test('a direct chat has exactly two members', () =>
      withClients(async (open) => {
        const [alice, bob, carol] = await newUsers('alice', 'bob', 'carol');
        const caller = await open(alice, endpoint);
        for (const members of [[bob, carol], [alice, bob, carol], [], [alice]]) {
          await caller.expectError('direct_chat_members', 'create_chat', {
            chat: { name: 'three', is_group: false, members_array: members.map(({ id }) => id) },
          });
        }
        assert.deepEqual(await fetchAllPages('/chat', alice), []);
        const chat = await newDirect(caller, bob);
        await caller.expectError('direct_chat_members', 'add_member', { chat: { id: chat.id }, user: { id: carol.id } });
        await caller.expectError(['direct_chat_members', 'forbidden'], 'remove_member', { chat: { id: chat.id }, user: { id: bob.id } });
        assert.deepEqual(await memberIds(bob, chat.id), [alice.id, bob.id].sort((a, b) => a - b));
      }));

    test('content of 64 KiB is accepted, one more byte is too_large, and the connection stays open', () =>
      withClients(async (open) => {
        const [alice, bob] = await newUsers('alice', 'bob');
        const [caller, peer] = [await open(alice, endpoint), await open(bob, endpoint)];
        const chat = await newGroup(caller, [bob], { listeners: [peer] });
        const payload = (content) => ({ message: { chat_id: chat.id, content, message_type: 'text' } });
        await caller.expectError('too_large', 'send_message', payload('x'.repeat(65_537)));
        await caller.expectError('too_large', 'send_message', payload('é'.repeat(32_769)));
        await caller.expectError('too_large', 'send_message', payload('x'.repeat(900_000)));
        const longest = await caller.send(chat.id, 'x'.repeat(65_536));
        const event = await peer.next('new_message');
        assert.equal(event.id, longest.message.id);
        assert.equal(event.content.length, 65_536);
        assert.equal(caller.disconnected, null);
        assert.deepEqual((await storedMessages(bob, chat.id)).map(({ content }) => content.length), [65_536]);
      }));

    test('a frame above 1,000,000 bytes ends only that connection', () =>
      withClients(async (open) => {
        const [alice, bob] = await newUsers('alice', 'bob');
        const [caller, second, peer] = [await open(alice, endpoint), await open(alice, endpoint), await open(bob, endpoint)];
        const chat = await newGroup(caller, [bob], { listeners: [second, peer] });
        caller.socket.emit('send_message', { message: { chat_id: chat.id, content: 'x'.repeat(1_100_000), message_type: 'text' } });
        assert.ok(['transport close', 'transport error', 'io server disconnect'].includes(await caller.ended()));
        const last = await settle(second, chat.id, peer);
        assert.equal(second.disconnected, null);
        assert.equal(peer.disconnected, null);
        assert.deepEqual((await storedMessages(alice, chat.id)).map(({ id }) => id), [last.id]);
        assert.equal((await storedChat(bob, chat.id)).last_message.id, last.id);
      }));
  });
}
