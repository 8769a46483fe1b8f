// The chat with the unmodified socket.io-client at every endpoint: three transports, two paths, two namespaces. Each test
// ends with a fresh fetch over REST.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  AUTHOR_KEYS, CHAT_KEYS, Client, MEMBER_KEYS, MESSAGE_KEYS, MESSAGE_TYPES, assertKeys, assertSameMessage, assertTime,
  defaultEndpoint, endpoints, expectProblem, expectStatus, fetchAllPages, login, memberIds, newDirect, newGroup, newUser,
  newUsers, openSocket, oppositeEndpoint, request, settle, sleep, storedChat, storedMessages, typeInResponses, unique,
  withClients,
} from './support.mjs';

/** Milliseconds to wait for events that must not arrive; an idle local server would have sent them by then. */
const SILENCE = 200;

const contents = (events) => events.map((event) => event.content);

for (const endpoint of endpoints) {
  describe(`via ${endpoint.label}`, () => {
    test('ready contains the user, the session, the epoch and the server time', () =>
      withClients(async (open) => {
        const alice = await newUser('alice');
        const { ready } = await open(alice, endpoint);
        assert.equal(ready.user_id, alice.id);
        assert.notEqual(ready.session_id ?? null, null);
        assert.ok(typeof ready.epoch === 'string' && ready.epoch.length > 0);
        assertTime(ready.server_time);
        assert.equal((await expectStatus(200, 'GET', '/user/me', { user: alice })).id, ready.user_id);
      }));

    test('events that a client sends before ready are not lost', () =>
      withClients(async (open) => {
        const [alice, bob] = await newUsers('alice', 'bob');
        const listener = await open(bob);
        const chat = await newGroup(listener, [alice]);
        const socket = openSocket(endpoint, { auth: { token: alice.accessToken } });
        const early = new Client(socket);
        try {
          // The stock client buffers these until it receives the reply to CONNECT, then sends them at once.
          const acks = ['one', 'two', 'three'].map((content) => early.send(chat.id, content));
          await Promise.all(acks);
          await listener.next('new_message', (event) => event.content === 'three');
          assert.deepEqual(contents(listener.all('new_message')), ['one', 'two', 'three']);
          await early.next('ready');
          assert.deepEqual(contents(await storedMessages(alice, chat.id)), ['one', 'two', 'three']);
        } finally {
          early.close();
        }
      }));

    test('a new group is announced to all devices of its members and to no one else', () =>
      withClients(async (open) => {
        const [alice, bob, carol, stranger] = await newUsers('alice', 'bob', 'carol', 'stranger');
        const other = oppositeEndpoint(endpoint);
        const caller = await open(alice, endpoint);
        const devices = [caller, await open(alice, other), await open(bob, endpoint), await open(bob, other), await open(carol, endpoint)];
        const outsider = await open(stranger, endpoint);
        const name = unique('group');
        const ack = await caller.ok('create_chat', {
          chat: { name, is_group: true, members_array: [bob.id, carol.id], description: 'for tests' },
        });
        assertKeys(ack.chat, CHAT_KEYS);
        assert.equal(ack.chat.name, name);
        assert.equal(ack.chat.is_group, true);
        assert.equal(ack.chat.description, 'for tests');
        assert.equal(ack.chat.owner_id, alice.id);
        assert.equal(ack.chat.member_count, 3);
        assert.equal(ack.chat.my.role, 'owner');
        assert.equal(ack.chat_id, ack.chat.id);
        assertKeys(ack.chat.members[0], MEMBER_KEYS);
        assertKeys(ack.chat.members[0].user, AUTHOR_KEYS);
        for (const device of devices) {
          const event = await device.next('chat_created', (payload) => payload.chat === ack.chat.id);
          assert.equal(event.by, alice.id);
          assertTime(event.at);
          assert.equal(event.details.name, name);
          assert.ok(!('my' in event.details), 'my is never in a broadcast');
        }
        await settle(caller, ack.chat.id, ...devices.slice(1));
        for (const device of devices) assert.equal(device.all('chat_created').length, 1);
        await sleep(SILENCE);
        assert.deepEqual(outsider.events.map(({ name: event }) => event), ['ready']);
        assert.deepEqual(await memberIds(carol, ack.chat.id), [alice.id, bob.id, carol.id].sort((a, b) => a - b));
        await expectProblem(404, 'not_found', 'GET', `/chat/${ack.chat.id}`, { user: stranger });
      }));

    test('the creator of a group is a member even if not listed', () =>
      withClients(async (open) => {
        const [alice, bob] = await newUsers('alice', 'bob');
        const caller = await open(alice, endpoint);
        const named = await newGroup(caller, [alice, bob]);
        const unnamed = await newGroup(caller, [bob]);
        const both = [alice.id, bob.id].sort((a, b) => a - b);
        assert.deepEqual(await memberIds(bob, named.id), both);
        assert.deepEqual(await memberIds(bob, unnamed.id), both);
      }));

    test('a direct chat exists once per pair of users', () =>
      withClients(async (open) => {
        const [alice, bob] = await newUsers('alice', 'bob');
        const [caller, peer] = [await open(alice, endpoint), await open(bob, oppositeEndpoint(endpoint))];
        const chat = await newDirect(caller, bob, { listeners: [caller, peer] });
        assert.equal(chat.is_group, false);
        assert.equal(chat.member_count, 2);
        assert.equal((await newDirect(caller, bob)).id, chat.id);
        assert.equal((await newDirect(peer, alice)).id, chat.id);
        await settle(caller, chat.id, peer);
        await settle(peer, chat.id, caller);
        assert.equal(caller.all('chat_created').length, 1);
        assert.equal(peer.all('chat_created').length, 1);
        for (const user of [alice, bob]) {
          const chats = await fetchAllPages('/chat', user);
          assert.deepEqual(chats.map(({ id }) => id), [chat.id]);
        }
      }));

    test('an empty direct chat is listed only for its creator until there is a message', () =>
      withClients(async (open) => {
        const [alice, bob] = await newUsers('alice', 'bob');
        const [caller, peer] = [await open(alice, endpoint), await open(bob, endpoint)];
        const chat = await newDirect(caller, bob, { listeners: [peer] });
        assert.deepEqual((await fetchAllPages('/chat', alice)).map(({ id }) => id), [chat.id]);
        assert.deepEqual(await fetchAllPages('/chat', bob), []);
        assert.equal((await storedChat(bob, chat.id)).visible, false);
        await settle(caller, chat.id, peer);
        assert.deepEqual((await fetchAllPages('/chat', bob)).map(({ id }) => id), [chat.id]);
        assert.equal((await storedChat(bob, chat.id)).visible, true);
      }));

    test('a chat can be created with its first message', () =>
      withClients(async (open) => {
        const [alice, bob] = await newUsers('alice', 'bob');
        const [caller, peer] = [await open(alice, endpoint), await open(bob, endpoint)];
        const chat = await newDirect(caller, bob, { listeners: [peer], message: { content: 'hello', message_type: 'text' } });
        const event = await peer.next('new_message', (payload) => payload.chat === chat.id);
        assert.equal(event.content, 'hello');
        const stored = await storedMessages(bob, chat.id);
        assert.deepEqual(contents(stored), ['hello']);
        assertSameMessage(event, stored[0]);
        assert.equal((await storedChat(bob, chat.id)).last_message.content, 'hello');
      }));

    test('a message is acknowledged to its sender and delivered once to every other device', () =>
      withClients(async (open) => {
        const [alice, bob] = await newUsers('alice', 'bob');
        const other = oppositeEndpoint(endpoint);
        const caller = await open(alice, endpoint);
        const others = [await open(alice, other), await open(bob, endpoint), await open(bob, other)];
        const chat = await newGroup(caller, [bob], { listeners: others });
        const ack = await caller.send(chat.id, 'lunch?');
        assert.equal(ack.duplicate, false);
        assert.equal(ack.chat_id, chat.id);
        assert.equal(ack.rev, ack.message.rev);
        assert.ok(ack.prev < ack.rev, `prev ${ack.prev} is below rev ${ack.rev}`);
        assertKeys(ack.message, MESSAGE_KEYS);
        assert.equal(ack.message.seq, ack.message.rev);
        assert.equal(ack.message.chat, chat.id);
        assert.equal(ack.message.chat_id, chat.id);
        assert.equal(ack.message.user.id, alice.id);
        assert.equal(ack.message.message_type, typeInResponses('text'));
        assertKeys(ack.message.user, AUTHOR_KEYS);
        assertTime(ack.message.created_at);
        const last = await settle(others[1], chat.id, caller, others[0], others[2]);
        const stored = await storedMessages(bob, chat.id);
        assert.deepEqual(stored.map(({ id }) => id), [ack.message.id, last.id]);
        for (const device of others) {
          const events = device.all('new_message', (event) => event.id === ack.message.id);
          assert.equal(events.length, 1);
          assertSameMessage(events[0], stored[0]);
          assert.equal(events[0].by, alice.id);
          assert.equal(events[0].prev, ack.prev);
        }
        // The ack replaces the event: the acting socket does not receive it as well.
        assert.deepEqual(caller.all('new_message').map(({ id }) => id), [last.id]);
        assert.deepEqual(stored.find(({ id }) => id === ack.message.id), {
          ...ack.message, my: stored[0].my, user: stored[0].user,
        });
      }));

    test('200 sends without waiting for acks are stored and delivered in order', () =>
      withClients(async (open) => {
        const [alice, bob] = await newUsers('alice', 'bob');
        const [caller, peer, otherDevice] = [await open(alice, endpoint), await open(bob, endpoint), await open(bob, oppositeEndpoint(endpoint))];
        const chat = await newGroup(caller, [bob], { listeners: [peer, otherDevice] });
        const sent = Array.from({ length: 200 }, (_, index) => `number ${index}`);
        const acked = [];
        const acks = await Promise.all(
          sent.map(async (content) => {
            const ack = await caller.send(chat.id, content);
            acked.push(content);
            return ack;
          }),
        );
        assert.deepEqual(acked, sent, 'acks come in the order sent');
        const seqs = acks.map(({ message }) => message.seq);
        seqs.reduce((before, seq) => (assert.ok(before < seq, `${before} < ${seq}`), seq));
        const last = await settle(caller, chat.id, peer, otherDevice);
        for (const device of [peer, otherDevice]) {
          const events = device.all('new_message', ({ chat: id }) => id === chat.id);
          assert.deepEqual(contents(events), [...sent, last.content]);
          assert.deepEqual(events.map(({ seq }) => seq), [...seqs, last.seq]);
          events.reduce((before, event) => (assert.ok(event.prev <= before.rev, 'no gap'), event));
        }
        const stored = await storedMessages(bob, chat.id);
        assert.deepEqual(contents(stored), [...sent, last.content]);
        assert.deepEqual(stored.map(({ seq }) => seq), [...seqs, last.seq]);
      }));

    test('all 25 message types are accepted by name and by number, and content is delivered unchanged', () =>
      withClients(async (open) => {
        const [alice, bob] = await newUsers('alice', 'bob');
        const [caller, peer] = [await open(alice, endpoint), await open(bob, endpoint)];
        const chat = await newGroup(caller, [bob], { listeners: [peer] });
        const content = ' <b>"ä€😀"</b>\n\t{"a":[1,2]} ';
        for (const [index, name] of MESSAGE_TYPES.entries()) {
          const byName = await caller.send(chat.id, content, { message_type: name });
          const byNumber = await caller.send(chat.id, content, { message_type: index + 1 });
          assert.equal(byName.message.message_type, typeInResponses(name));
          assert.equal(byNumber.message.message_type, typeInResponses(name));
        }
        const last = await settle(caller, chat.id, peer);
        const expected = [...MESSAGE_TYPES.flatMap((name) => [name, name]), 'text'].map(typeInResponses);
        assert.deepEqual(peer.all('new_message').map((event) => event.message_type), expected);
        const stored = await storedMessages(bob, chat.id);
        assert.deepEqual(stored.map((message) => message.message_type), expected);
        for (const message of stored) assert.ok(message.id === last.id || message.content === content);
      }));

    test('a like toggles or is set to a value, and is announced to all but the acting socket', () =>
      withClients(async (open) => {
        const [alice, bob] = await newUsers('alice', 'bob');
        const caller = await open(alice, endpoint);
        const others = [await open(alice, oppositeEndpoint(endpoint)), await open(bob, endpoint)];
        const chat = await newGroup(caller, [bob], { listeners: others });
        const { message } = await others[1].send(chat.id, 'like me');
        const like = (extra) => caller.ok('toggle_like_message', { message: { id: message.id, ...extra } });
        const steps = [
          [await like(), true, 1],
          [await like(), false, 0],
          [await like({ liked: true }), true, 1],
          [await like({ liked: true }), true, 1],
          [await like({ liked: false }), false, 0],
          [await like({ liked: false }), false, 0],
          [await like({ liked: true }), true, 1],
        ];
        for (const [ack, liked, likes] of steps) {
          assert.equal(ack.liked, liked);
          assert.equal(ack.likes, likes);
        }
        const unchanged = [steps[3][0], steps[5][0]];
        const changes = steps.map(([ack]) => ack).filter((ack) => !unchanged.includes(ack));
        for (const ack of unchanged) assert.equal(ack.rev ?? null, null, 'without a change there is no rev');
        for (const ack of changes) {
          assert.equal(ack.chat_id, chat.id);
          assert.ok(ack.prev < ack.rev);
        }
        const second = await others[1].ok('toggle_like_message', { message: { id: message.id } });
        assert.equal(second.likes, 2);
        await settle(others[1], chat.id, caller, others[0]);
        await settle(caller, chat.id, ...others);
        const received = (client) =>
          client.all('message_liked').map(({ message_id, chat: id, liked, likes, by }) => ({ message_id, chat: id, liked, likes, by }));
        const by = (user, liked, likes) => ({ message_id: message.id, chat: chat.id, liked, likes, by: user.id });
        const byAlice = [by(alice, true, 1), by(alice, false, 0), by(alice, true, 1), by(alice, false, 0), by(alice, true, 1)];
        assert.deepEqual(received(caller), [by(bob, true, 2)]);
        assert.deepEqual(received(others[0]), [...byAlice, by(bob, true, 2)]);
        assert.deepEqual(received(others[1]), byAlice);
        const stored = (await storedMessages(alice, chat.id)).find(({ id }) => id === message.id);
        assert.equal(stored.likes, 2);
        assert.equal(stored.my.liked, true);
        assert.equal(stored.rev, second.rev, 'a change increases the rev');
        assert.equal(stored.seq, message.seq, 'and keeps the seq');
      }));

    test('a pin is announced only to the user\'s own devices', () =>
      withClients(async (open) => {
        const [alice, bob] = await newUsers('alice', 'bob');
        const own = [await open(alice, endpoint), await open(alice, oppositeEndpoint(endpoint))];
        const otherUser = await open(bob, endpoint);
        const chat = await newGroup(own[0], [bob], { listeners: [own[1], otherUser] });
        const pin = (extra) => own[0].ok('toggle_chat_pin', { chat: { id: chat.id, ...extra } });
        assert.equal((await pin()).pinned, true);
        assert.equal((await pin({ pinned: true })).pinned, true);
        for (const device of own) await device.next('chat_pinned', (event) => event.chat === chat.id);
        assert.deepEqual((await fetchAllPages('/chat/pinned', alice)).map(({ id }) => id), [chat.id]);
        assert.deepEqual(await fetchAllPages('/chat/pinned', bob), []);
        assert.equal((await pin()).pinned, false);
        assert.equal((await pin({ pinned: false })).pinned, false);
        for (const device of own) await device.next('chat_unpinned', (event) => event.chat === chat.id);
        assert.equal((await pin({ pinned: true })).pinned, true);
        for (const device of own) await device.nth(2, 'chat_pinned');
        await settle(own[0], chat.id, own[1], otherUser);
        for (const device of own) {
          const received = device.events.map(({ name }) => name).filter((name) => name.startsWith('chat_') && name !== 'chat_created');
          assert.deepEqual(received, ['chat_pinned', 'chat_unpinned', 'chat_pinned']);
        }
        assert.deepEqual([...otherUser.all('chat_pinned'), ...otherUser.all('chat_unpinned')], []);
        assert.equal((await storedChat(alice, chat.id)).my.pinned, true);
        assert.equal((await storedChat(bob, chat.id)).my.pinned, false);
      }));

    test('an added member receives events from then on and can read the whole history', () =>
      withClients(async (open) => {
        const [alice, bob, carol] = await newUsers('alice', 'bob', 'carol');
        const [caller, peer] = [await open(alice, endpoint), await open(bob, endpoint)];
        const added = [await open(carol, endpoint), await open(carol, oppositeEndpoint(endpoint))];
        const chat = await newGroup(caller, [bob], { listeners: [peer] });
        await caller.send(chat.id, 'before carol');
        const ack = await caller.ok('add_member', { chat: { id: chat.id }, user: { id: carol.id } });
        assertKeys(ack.member, MEMBER_KEYS);
        assert.equal(ack.member.user.id, carol.id);
        assert.equal(ack.member.role, 'member');
        assert.ok(ack.prev < ack.rev);
        for (const client of [caller, peer, ...added]) {
          const event = await client.next('member_added', (payload) => payload.chat === chat.id);
          assert.equal(event.member.user.id, carol.id);
          assert.equal(event.by, alice.id);
          assert.equal(event.rev, ack.rev);
        }
        const last = await settle(peer, chat.id, caller, ...added);
        const { messages } = await added[0].ok('history', { chat: { id: chat.id } });
        assert.deepEqual(contents(messages), [last.content, 'before carol']);
        for (const client of [caller, peer, ...added]) assert.equal(client.all('member_added').length, 1);
        assert.deepEqual(contents(await storedMessages(carol, chat.id)), ['before carol', last.content]);
        assert.equal((await storedChat(carol, chat.id)).member_count, 3);
      }));

    test('a removed member gets member_removed as the last event of the chat', () =>
      withClients(async (open) => {
        const [alice, bob, carol] = await newUsers('alice', 'bob', 'carol');
        const [caller, peer] = [await open(alice, endpoint), await open(bob, endpoint)];
        const removed = [await open(carol, endpoint), await open(carol, oppositeEndpoint(endpoint))];
        const chat = await newGroup(caller, [bob, carol], { listeners: [peer, ...removed] });
        const elsewhere = await newGroup(caller, [bob, carol], { listeners: [peer, ...removed] });
        // Emitted in this order: the removal takes effect between the two messages.
        const acks = await Promise.all([
          caller.send(chat.id, 'with carol'),
          caller.ok('remove_member', { chat: { id: chat.id }, user: { id: carol.id } }),
          caller.send(chat.id, 'without carol'),
        ]);
        assert.ok(acks[0].rev < acks[1].rev && acks[1].rev < acks[2].rev);
        await settle(caller, chat.id, peer);
        await settle(caller, elsewhere.id, peer, ...removed);
        await sleep(SILENCE);
        for (const client of removed) {
          const ofChat = client.events.filter(({ payload }) => payload.chat === chat.id);
          assert.deepEqual(ofChat.map(({ name }) => name), ['chat_created', 'new_message', 'member_removed']);
          assert.equal(ofChat[1].payload.content, 'with carol');
          assert.equal(ofChat[2].payload.member.user.id, carol.id);
        }
        for (const client of [caller, peer]) assert.equal(client.all('member_removed').length, 1);
        await removed[0].expectError('not_found', 'history', { chat: { id: chat.id } });
        await removed[0].expectError('not_found', 'send_message', {
          message: { chat_id: chat.id, content: 'am I still here?', message_type: 'text' },
        });
        await expectProblem(404, 'not_found', 'GET', `/chat/${chat.id}/messages`, { user: carol });
        assert.deepEqual(await memberIds(alice, chat.id), [alice.id, bob.id].sort((a, b) => a - b));
        assert.equal((await storedMessages(alice, chat.id)).some(({ content }) => content === 'am I still here?'), false);
      }));

    test('history is paginated and says whether there is more', () =>
      withClients(async (open) => {
        const alice = await newUser('alice');
        const caller = await open(alice, endpoint);
        const chat = await newGroup(caller, []);
        const sent = Array.from({ length: 25 }, (_, index) => `page ${index}`);
        const acks = await Promise.all(sent.map((content) => caller.send(chat.id, content)));
        const seqs = acks.map(({ message }) => message.seq);
        const page = (extra) => caller.ok('history', { chat: { id: chat.id }, ...extra });
        const collected = [];
        for (let before, more = true, pages = 0; more; pages += 1) {
          assert.ok(pages < 4, 'three pages of ten are enough for 25 messages');
          const response = await page({ limit: 10, ...(before ? { before } : {}) });
          collected.push(...response.messages);
          before = response.messages.at(-1).seq;
          more = response.has_more;
        }
        assert.deepEqual(contents(collected), [...sent].reverse(), 'newest first, each once');
        const next = await page({ after: seqs[9], limit: 10 });
        assert.deepEqual(next.messages.map(({ seq }) => seq).sort((a, b) => a - b), seqs.slice(10, 20));
        assert.equal(next.has_more, true);
        const rest = await page({ after: seqs[19], limit: 10 });
        assert.deepEqual(rest.messages.map(({ seq }) => seq).sort((a, b) => a - b), seqs.slice(20));
        assert.equal(rest.has_more, false);
        assert.deepEqual((await page({ limit: 25 })).has_more, false);
        assert.deepEqual(contents(await storedMessages(alice, chat.id)), sent);
      }));

    test('a message with a repeated client_id is stored and announced once', () =>
      withClients(async (open) => {
        const [alice, bob] = await newUsers('alice', 'bob');
        const caller = await open(alice, endpoint);
        const otherDevice = await open(alice, oppositeEndpoint(endpoint));
        const peer = await open(bob, endpoint);
        const chat = await newGroup(caller, [bob], { listeners: [otherDevice, peer] });
        const clientId = unique('client');
        const first = await caller.send(chat.id, 'once', { client_id: clientId });
        const second = await caller.send(chat.id, 'once', { client_id: clientId });
        const elsewhere = await otherDevice.send(chat.id, 'once', { client_id: clientId });
        assert.equal(first.duplicate, false);
        assert.equal(first.message.client_id, clientId);
        for (const repeated of [second, elsewhere]) {
          assert.equal(repeated.duplicate, true);
          assert.equal(repeated.message.id, first.message.id);
          assert.equal(repeated.message.seq, first.message.seq);
        }
        const payload = (extra) => ({ message: { chat_id: chat.id, content: 'once', message_type: 'text', client_id: clientId, ...extra } });
        const other = await newGroup(caller, [bob]);
        await caller.expectError('client_id_conflict', 'send_message', payload({ content: 'twice' }));
        await caller.expectError('client_id_conflict', 'send_message', payload({ message_type: 'html' }));
        await caller.expectError('client_id_conflict', 'send_message', payload({ chat_id: other.id }));
        // Unique per user, not globally: Bob may use the same one.
        const fromBob = await peer.send(chat.id, 'from bob', { client_id: clientId });
        assert.equal(fromBob.duplicate, false);
        const last = await settle(caller, chat.id, peer, otherDevice);
        assert.deepEqual(peer.all('new_message').map(({ id }) => id), [first.message.id, last.id]);
        assert.deepEqual(contents(await storedMessages(bob, chat.id)), ['once', 'from bob', last.content]);
        assert.deepEqual(await storedMessages(bob, other.id), []);
      }));

    test('concurrent sends with the same client_id are stored once', () =>
      withClients(async (open) => {
        const [alice, bob] = await newUsers('alice', 'bob');
        const callers = [await open(alice, endpoint), await open(alice, oppositeEndpoint(endpoint)), await open(alice, defaultEndpoint)];
        const peer = await open(bob, endpoint);
        const chat = await newGroup(callers[0], [bob], { listeners: [...callers, peer] });
        const clientId = unique('client');
        const acks = await Promise.all(
          Array.from({ length: 12 }, (_, index) => callers[index % 3].send(chat.id, 'once', { client_id: clientId })),
        );
        assert.equal(new Set(acks.map(({ message }) => message.id)).size, 1);
        assert.equal(acks.filter(({ duplicate }) => !duplicate).length, 1);
        const last = await settle(callers[0], chat.id, peer);
        assert.deepEqual(contents(peer.all('new_message')), ['once', last.content]);
        assert.deepEqual(contents(await storedMessages(alice, chat.id)), ['once', last.content]);
      }));

    test('authenticate renews the token of an open connection', () =>
      withClients(async (open) => {
        const alice = await newUser('alice');
        const caller = await open(alice, endpoint);
        const chat = await newGroup(caller, []);
        const renewed = await expectStatus(200, 'POST', '/auth/refresh', { body: { refresh_token: alice.refreshToken } });
        const ack = await caller.ok('authenticate', { token: renewed.access_token });
        assert.ok(new Date(ack.expires_at).getTime() > Date.now(), `expires_at ${ack.expires_at}`);
        await caller.expectError('token_invalid', 'authenticate', { token: 'not.a.token' });
        await caller.expectError('validation_failed', 'authenticate', {});
        await caller.send(chat.id, 'still here');
        assert.equal(caller.disconnected, null);
        assert.deepEqual(contents(await storedMessages({ accessToken: renewed.access_token }, chat.id)), ['still here']);
      }));

    test('a logout ends the sockets of its session within a second, and no others', () =>
      withClients(async (open) => {
        const alice = await newUser('alice');
        const caller = await open(alice, endpoint);
        const { accessToken } = await login(alice.username, alice.password);
        const other = await open({ accessToken }, endpoint);
        const chat = await newGroup(other, []);
        const { status } = await request('POST', '/auth/logout', { user: alice });
        assert.ok(status >= 200 && status < 300, `logout: ${status}`);
        const since = Date.now();
        assert.equal(await caller.ended(), 'io server disconnect');
        assert.ok(Date.now() - since < 1000);
        assert.equal(caller.events.at(-1).name, 'session_ended');
        await other.send(chat.id, 'the other session still works');
        assert.equal(other.disconnected, null);
        await expectProblem(401, 'session_ended', 'GET', '/user/me', { user: alice });
        assert.equal((await storedMessages({ accessToken }, chat.id)).length, 1);
      }));
  });
}

describe('across all endpoints', () => {
  test('messages sent via all endpoints are delivered once and in the same order at every endpoint', () =>
    withClients(async (open) => {
      const [alice, bob] = await newUsers('alice', 'bob');
      const callers = await Promise.all(endpoints.map((endpoint) => open(alice, endpoint)));
      const listeners = await Promise.all(endpoints.map((endpoint) => open(bob, endpoint)));
      const chat = await newGroup(callers[0], [bob], { listeners: [...callers, ...listeners] });
      const acks = await Promise.all(
        callers.flatMap((caller, index) => [0, 1, 2, 3, 4].map((turn) => caller.send(chat.id, `endpoint ${index} turn ${turn}`))),
      );
      const last = await settle(callers[0], chat.id, ...callers.slice(1), ...listeners);
      const stored = await storedMessages(bob, chat.id);
      assert.equal(stored.length, acks.length + 1);
      assert.equal(stored.at(-1).id, last.id);
      const order = stored.map(({ id }) => id);
      for (const listener of listeners) {
        assert.deepEqual(listener.all('new_message').map(({ id }) => id), order);
      }
      for (const [index, caller] of callers.entries()) {
        const own = stored.filter(({ content }) => content.startsWith(`endpoint ${index} `));
        assert.deepEqual(contents(own), [0, 1, 2, 3, 4].map((turn) => `endpoint ${index} turn ${turn}`));
        const expected = order.filter((id) => !own.some((message) => message.id === id) && (index > 0 || id !== last.id));
        assert.deepEqual(caller.all('new_message').map(({ id }) => id), expected, 'all except its own');
      }
    }));

  test('an upgrade from polling loses and repeats nothing', () =>
    withClients(async (open) => {
      const [alice, bob] = await newUsers('alice', 'bob');
      const sender = await open(alice);
      const listener = await open(bob);
      const chat = await newGroup(sender, [bob], { listeners: [listener] });
      for (const endpoint of endpoints.filter(({ transports }) => transports.length === 2)) {
        let sending = true;
        const sent = [];
        const stream = (async () => {
          for (let index = 0; sending || index < 20; index += 1) {
            sent.push((await sender.send(chat.id, `${endpoint.path} ${endpoint.namespace} ${index}`)).message.id);
          }
        })();
        const upgraded = await open(bob, endpoint);
        const { engine } = upgraded.socket.io;
        const deadline = Date.now() + 5000;
        while (engine.transport.name !== 'websocket' && Date.now() < deadline) await sleep(5);
        await sleep(50);
        sending = false;
        await stream;
        assert.equal(engine.transport.name, 'websocket');
        const last = await settle(sender, chat.id, upgraded);
        const received = upgraded.all('new_message').map(({ id }) => id);
        assert.deepEqual(received, [...sent, last.id].slice(-received.length), 'from the first received message on, without a gap');
        const own = await upgraded.send(chat.id, 'after the upgrade');
        await listener.next('new_message', ({ id }) => id === own.message.id);
        upgraded.close();
      }
      assert.deepEqual(
        (await storedMessages(alice, chat.id)).map(({ id }) => id),
        listener.all('new_message').map(({ id }) => id),
      );
    }));

  test('a client that reconnects gets ready and new events', () =>
    withClients(async (open) => {
      const [alice, bob] = await newUsers('alice', 'bob');
      const sender = await open(alice);
      const chat = await newGroup(sender, [bob]);
      for (const endpoint of endpoints) {
        const client = await open(bob, endpoint);
        client.socket.disconnect();
        const missed = await sender.send(chat.id, 'while bob was away');
        client.disconnected = null;
        client.events.length = 0;
        client.socket.connect();
        await client.next('ready');
        const { messages } = await client.ok('history', { chat: { id: chat.id }, limit: 1 });
        assert.equal(messages[0].id, missed.message.id);
        const last = await settle(sender, chat.id, client);
        assert.deepEqual(client.all('new_message').map(({ id }) => id), [last.id]);
        client.close();
      }
      assert.equal((await storedMessages(bob, chat.id)).length, endpoints.length * 2);
    }));
});
