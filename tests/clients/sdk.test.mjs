// The JavaScript client against a real server, over both transports: order, queues, reconnects, gaps, tokens. Tests also
// check that the client's state equals a fresh fetch.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { MangoChat, MangoError, sessionTokens } from '../../assets/client/mango-chat.js';
import { ChatState } from '../../assets/client/src/chat.js';
import { assertFresh, next, transports, until, WebSocket, withChats, withProxy } from './sdk_support.mjs';
import {
  claimsOf, expectStatus, login, newUser, newUsers, request, signed, sleep, storedChat, storedMessages, unique, url,
} from './support.mjs';

const contents = (messages) => messages.map(({ content }) => content);
const ids = (...users) => users.map(({ id }) => id);
const event = (user, name, body) => expectStatus(200, 'POST', `/events/${name}`, { user, body });

/** Creates a group over REST. */
async function newGroup(owner, ...others) {
  const body = { chat: { name: unique('group'), is_group: true, members_array: ids(...others) } };
  return (await event(owner, 'create_chat', body)).chat;
}

const sendOver = (user, chatId, content) =>
  event(user, 'send_message', { message: { chat_id: chatId, content, message_type: 'text' } });

/** Returns a token of the same session that expires in this many seconds. */
const shortToken = (user, seconds) => signed({ ...claimsOf(user.accessToken), exp: Math.floor(Date.now() / 1000) + seconds });

for (const transport of transports) {
  describe(`over ${transport.label}`, () => {
    test('connecting loads every chat; ready comes first and synced last', () =>
      withChats(transport, async (open, create) => {
        const [alice, bob] = await newUsers('alice', 'bob');
        const group = await newGroup(alice, bob);
        for (let index = 0; index < 40; index += 1) await sendOver(bob, group.id, `before ${index}`);
        const chat = create(alice);
        const received = [];
        chat.on('status', (status) => received.push(status)).on('ready', () => received.push('ready'));
        chat.on('synced', ({ full }) => received.push(`synced ${full}`));
        assert.equal(chat.status, 'closed');
        await chat.connect();
        assert.deepEqual(received, ['connecting', 'ready', 'syncing', 'online', 'synced true']);
        assert.equal(chat.userId, alice.id);
        const { messages, my } = chat.chats.get(group.id);
        assert.equal(my.unread, 40);
        assert.deepEqual(contents(messages), Array.from({ length: 30 }, (_, index) => `before ${index + 10}`));
        await assertFresh(chat, alice);
        const page = await chat.history(group.id, { before: messages[0].seq, limit: 4 });
        assert.deepEqual(contents(page.messages), ['before 6', 'before 7', 'before 8', 'before 9']);
        assert.equal(page.hasMore, true);
        assert.equal(chat.chats.get(group.id).messages.length, 34, 'an adjacent page is kept');
        await chat.history(group.id, { before: messages[2].seq - 6, limit: 2 });
        await chat.history(group.id, { before: 5, limit: 2 });
        assert.equal(chat.chats.get(group.id).messages.length, 34, 'a page that is not adjacent is not kept');
        await chat.history(group.id, { limit: 200 });
        assert.equal(chat.chats.get(group.id).messages.length, 40);
        assert.equal(my.unread, 40);
        await assertFresh(chat, alice);
      }));

    test('after every kind of change, the state of every device equals a fresh fetch', () =>
      withChats(transport, async (open) => {
        const [alice, bob, carol] = await newUsers('alice', 'bob', 'carol');
        const users = [alice, alice, bob, carol];
        const [a, other, b, c] = await Promise.all(users.map((user) => open(user)));
        const same = () => Promise.all([a, other, b, c].map((chat, index) => assertFresh(chat, users[index])));
        const { id } = await a.createChat({ name: 'first name', members: [bob.id] }, 'hello');
        const one = await b.send(id, 'one');
        const two = await a.send(id, 'two', { replyTo: one.id, messageType: 'markdown' });
        assert.equal(two.reply_to, one.id);
        await same();
        assert.equal(b.chats.get(id).my.unread, 2);
        await a.like(one.id);
        await other.like(one.id);
        await b.like(two.id);
        await b.like(two.id, false);
        await same();
        assert.deepEqual(a.chats.get(id).messages.find((it) => it.id === one.id).my.liked, true);
        await b.edit(one.id, 'one, edited');
        await b.edit(one.id, 'one, edited');
        assert.equal(other.chats.get(id).messages.find((it) => it.id === two.id).reply.excerpt, 'one, edited');
        assert.deepEqual(await b.react(one.id, '🥭'), [{ emoji: '🥭', count: 1 }]);
        await a.react(one.id, '🥭');
        await other.react(one.id, '❤');
        await b.react(one.id, '🥭', false);
        await same();
        assert.deepEqual(a.chats.get(id).messages.find((it) => it.id === one.id).my.reactions, ['🥭', '❤️']);
        await a.pin(one.id);
        await same();
        const bobsName = b.chats.get(id).chat.members.find(({ user }) => user.id === bob.id).user.username;
        const mention = await a.send(id, `@${bobsName} and @all`);
        await a.send(id, `@${bobsName}`);
        await same();
        assert.equal(b.chats.get(id).my.mentions, 2);
        await a.edit(mention.id, 'nobody');
        await same();
        assert.equal(b.chats.get(id).my.mentions, 1);
        await a.delete(mention.id);
        const copy = await b.forward(one.id, id);
        assert.equal(copy.forwarded_from.user.id, bob.id);
        assert.equal((await other.saveDraft(id, 'not yet', { replyTo: one.id })).content, 'not yet');
        await same();
        assert.equal(a.chats.get(id).my.draft.reply_to, one.id);
        await a.saveDraft(id, '');
        await same();
        await a.delete(copy.id);
        for (const unread of [...b.chats.get(id).messages]) if (unread.content.startsWith('@')) await a.delete(unread.id);
        await a.delete(two.id);
        await a.delete(two.id);
        await same();
        assert.equal(b.chats.get(id).my.unread, 1, 'a deleted message is not unread');
        await a.call('add_member', { chat: { id }, user: { id: carol.id } });
        await a.call('update_chat', { chat: { id, name: 'second name', description: 'new' } });
        await same();
        assert.equal(c.chats.get(id).chat.name, 'second name');
        assert.deepEqual(contents(c.chats.get(id).messages), ['hello', 'one, edited', '', '', '', '']);
        await a.call('set_member_role', { chat: { id }, user: { id: bob.id }, role: 'admin' });
        await b.markRead(id);
        await c.markRead(id, 2);
        await a.call('toggle_chat_pin', { chat: { id, pinned: true } });
        await other.call('toggle_chat_mute', { chat: { id, muted: true, seconds: 1000 } });
        await c.call('toggle_chat_archive', { chat: { id, archived: true } });
        await same();
        assert.equal(other.chats.get(id).my.pinned, true);
        assert.notEqual(a.chats.get(id).my.muted_until, null);
        assert.equal(b.chats.get(id).my.unread, 0);
        await expectStatus(200, 'PATCH', '/user/me', { user: bob, body: { name: 'Robert' } });
        await a.call('set_member_role', { chat: { id }, user: { id: bob.id }, role: 'owner' });
        await same();
        assert.equal(c.chats.get(id).messages[1].user.name, 'Robert');
        assert.equal(a.chats.get(id).my.role, 'admin');
        if (transport.label.startsWith('the plain')) {
          const link = await b.createInvite(id, { maxUses: 2 });
          await b.ban(id, carol.id, { reason: 'test', seconds: 600 });
          await until(() => !c.chats.has(id), 'the ban removes carol');
          assert.equal((await b.ofChat(id, 'ban')).items[0].user.id, carol.id);
          await assert.rejects(c.acceptInvite(link.token), { code: 'forbidden' });
          await b.unban(id, carol.id);
          assert.equal((await c.previewInvite(link.token)).is_member, false);
          assert.equal((await c.acceptInvite(link.token)).id, id);
          assert.equal((await b.ofChat(id, 'invite')).items[0].uses, 1);
          await b.revokeInvite(id, link.id);
          const report = await b.report({ messageId: two.id }, 'a test').catch((error) => error);
          assert.equal(report.code, 'not_found', 'a deleted message');
          assert.equal((await b.report({ userId: alice.id }, 'a test')).user_id, alice.id);
          const bold = await b.send(id, '**bold**', { messageType: 'markdown' });
          assert.equal(await b.rendered(bold.id), '<p><strong>bold</strong></p>\n');
          const [found] = (await b.search('BOLD', { chatId: id })).items;
          assert.equal(found.message.id, bold.id);
          assert.deepEqual(found.snippet[1], { text: 'bold', hit: true });
          assert.equal((await b.search('bol', { prefix: true, author: bob.id, limit: 1 })).items.length, 1);
          await assert.rejects(b.search('bold', { type: 'nonsense' }), { code: 'validation_failed' });
          await b.delete(bold.id);
          assert.deepEqual(await b.search('bold'), { items: [], next: null });
          const file = await b.upload(id, new Blob(['hello']), { name: 'hello.txt' });
          const sent = await b.send(id, '', { attachments: [file.id] });
          assert.equal(sent.attachments[0].name, 'hello.txt');
          await assert.rejects(b.upload(1e9, new Blob(['x'])), { code: 'not_found' });
          await a.delete(sent.id);
          await same();
        }
        const gone = Promise.all([next(c, 'gone'), next(a, 'gone'), next(other, 'gone')]);
        await b.call('remove_member', { chat: { id }, user: { id: carol.id } });
        await a.call('leave_chat', { chat: { id } });
        assert.deepEqual((await gone).map(({ chatId, reason }) => [chatId, reason]), [[id, 'removed'], [id, 'left'], [id, 'left']]);
        await b.call('add_member', { chat: { id }, user: { id: carol.id } });
        await b.send(id, 'welcome back');
        await same();
        const deleted = next(c, 'gone');
        await b.call('delete_chat', { chat: { id } });
        assert.equal((await deleted).reason, 'deleted');
        await same();
        for (const chat of [a, other, b, c]) assert.equal(chat.chats.size, 0);
        for (const chat of [a, other, b, c]) assert.deepEqual(chat.reportedErrors, []);
      }));

    test('a direct chat exists once, and creating it again returns it', () =>
      withChats(transport, async (open) => {
        const [alice, bob] = await newUsers('alice', 'bob');
        const [a, b] = [await open(alice), await open(bob)];
        const created = await a.createChat({ members: [bob.id] });
        assert.equal(created.chat.is_group, false);
        const repeated = await b.createChat({ members: [alice.id] }, 'there you are');
        assert.equal(repeated.id, created.id);
        await until(() => created.messages.length === 1, 'the message');
        assert.deepEqual(contents(repeated.messages), ['there you are']);
        assert.equal(created.my.unread, 1);
        await assertFresh(a, alice);
        await assertFresh(b, bob);
        assert.equal(await b.createChat({ members: [alice.id] }), repeated);
      }));

    test('the messages of each sender arrive in the order of calls', () =>
      withChats(transport, async (open) => {
        const [alice, bob] = await newUsers('alice', 'bob');
        const [a, b] = [await open(alice), await open(bob)];
        const { id } = await newGroup(alice, bob);
        await until(() => a.chats.has(id) && b.chats.has(id), 'the group');
        const received = [];
        b.on('message', ({ content }) => received.push(content));
        const indexes = Array.from({ length: 100 }, (_, index) => index);
        const sent = await Promise.all(indexes.flatMap((index) => [a.send(id, `a${index}`), b.send(id, `b${index}`)]));
        await until(() => received.length === 200, 'all messages');
        for (const prefix of ['a', 'b']) {
          assert.deepEqual(received.filter((it) => it.startsWith(prefix)), indexes.map((index) => prefix + index));
        }
        assert.deepEqual(received, contents(sent.sort((one, other) => one.seq - other.seq)), 'and each is announced once');
        await assertFresh(a, alice);
        await assertFresh(b, bob);
      }));

    test('invalid commands fail with code and fields, and do not block later ones', () =>
      withChats(transport, async (open) => {
        const [alice, bob] = await newUsers('alice', 'bob');
        const a = await open(alice);
        const ownChat = await newGroup(alice, bob);
        const othersChat = await newGroup(bob);
        const failures = await Promise.allSettled([a.send(ownChat.id, ''), a.send(othersChat.id, 'x'), a.edit(1e9, 'x'), a.call('nonsense')]);
        const after = a.send(ownChat.id, 'after');
        assert.deepEqual(failures.map(({ reason }) => reason.code), ['validation_failed', 'not_found', 'not_found', 'unknown_event']);
        assert.ok(failures.every(({ reason }) => reason instanceof MangoError && reason.message));
        assert.deepEqual(Object.keys(failures[0].reason.errors), ['message.content']);
        assert.equal((await after).content, 'after');
        await assertFresh(a, alice);
      }));

    test('messages sent without a connection are delivered in order once there is one', () =>
      withChats(transport, (open, create) =>
        withProxy(async (proxy) => {
          const [alice, bob] = await newUsers('alice', 'bob');
          const { id } = await newGroup(alice, bob);
          const a = create(alice, { at: proxy.url });
          const sentBefore = ['one', 'two', 'three'].map((content) => a.send(id, content));
          assert.deepEqual(a.pending(id).map(({ content }) => content), ['one', 'two', 'three']);
          await a.connect();
          await Promise.all(sentBefore);
          proxy.refuse(true);
          await until(() => a.status === 'waiting', 'the lost connection');
          const sentDuringOutage = ['four', 'five'].map((content) => a.send(id, content));
          await sendOver(bob, id, 'meanwhile');
          await sleep(100);
          assert.equal(a.pending().length, 2);
          proxy.refuse(false);
          await Promise.all(sentDuringOutage);
          assert.deepEqual(contents(await storedMessages(alice, id)), ['one', 'two', 'three', 'meanwhile', 'four', 'five']);
          assert.deepEqual(a.pending(), []);
          await assertFresh(a, alice);
        })));

    test('cut, frozen and blackholed connections are detected and recovered', () =>
      withChats(transport, (open) =>
        withProxy(async (proxy) => {
          const [alice, bob] = await newUsers('alice', 'bob');
          const { id } = await newGroup(alice, bob);
          const a = await open(alice, { at: proxy.url });
          const faults = {
            cut: () => proxy.cut(),
            // Shorter than the timeout: nothing is lost, and the client need not reconnect.
            frozen: () => proxy.freeze(300),
            'frozen for long': () => proxy.freeze(1_800),
            blackholed: () => proxy.blackhole(),
          };
          for (const [label, inject] of Object.entries(faults)) {
            const statuses = [];
            const record = (status) => statuses.push(status);
            a.on('status', record);
            const done = inject();
            await sendOver(bob, id, `bob, ${label}`);
            await a.send(id, `alice, ${label}`);
            await done;
            await until(() => a.status === 'online', () => `online after ${label}: ${statuses}`);
            await assertFresh(a, alice);
            a.off('status', record);
            assert.equal(statuses.length === 0, label === 'frozen', `${label}: ${statuses}`);
          }
          // The client also detects a blackholed connection on which it sends nothing.
          proxy.blackhole();
          await sendOver(bob, id, 'in the silence');
          await until(() => contents(a.chats.get(id).messages).includes('in the silence'), 'the message sent in the silence');
          assert.equal((await storedMessages(alice, id)).length, 9);
          await assertFresh(a, alice);
        })));

    test('twenty random cuts lose, duplicate and reorder nothing', () =>
      withChats(transport, (open) =>
        withProxy(async (proxy) => {
          const [alice, bob, carol] = await newUsers('alice', 'bob', 'carol');
          const at = proxy.url;
          const users = [alice, bob, carol];
          const chats = await Promise.all(users.map((user) => open(user, { at })));
          const groups = [await newGroup(alice, bob, carol), await newGroup(bob, alice, carol)];
          await until(() => chats.every((chat) => groups.every(({ id }) => chat.chats.has(id))), 'the groups');
          const received = [];
          chats[2].on('message', (message) => received.push(message));
          let sending = true;
          const sent = [];
          const senders = [0, 1].map(async (index) => {
            for (let turn = 0; sending; turn += 1) {
              const { id } = groups[turn % 2];
              const message = chats[index].send(id, `${index} says ${turn}`);
              sent.push(message);
              if (turn % 3 === 0) message.then((it) => chats[1 - index].like(it.id)).catch(() => {});
              if (turn % 5 === 0) message.then((it) => chats[index].edit(it.id, `${it.content}, edited`)).catch(() => {});
              if (turn % 7 === 0) message.then((it) => chats[index].delete(it.id)).catch(() => {});
              if (turn % 4 === 0) chats[2].markRead(id).catch(() => {});
              await sleep(Math.random() * 12);
            }
          });
          for (let cut = 0; cut < 20; cut += 1) {
            await sleep(40 + Math.random() * 120);
            proxy.cut();
          }
          sending = false;
          await Promise.all(senders);
          const acknowledged = await Promise.all(sent);
          await Promise.all(chats.map((chat) => until(() => chat.status === 'online', 'the reconnect')));
          await Promise.all(chats.map((chat, index) => assertFresh(chat, users[index])));
          const stored = (await Promise.all(groups.map(({ id }) => storedMessages(alice, id)))).flat();
          const sorted = (messages) => messages.map(({ id }) => id).sort((one, other) => one - other);
          assert.deepEqual(sorted(stored), sorted(acknowledged), 'each acknowledged message is stored once');
          assert.deepEqual(sorted(received), sorted(stored), 'each stored message is announced once');
          for (const { id } of groups) {
            const inGroup = received.filter((message) => message.chat_id === id);
            assert.deepEqual(inGroup.map(({ seq }) => seq), inGroup.map(({ seq }) => seq).sort((one, other) => one - other));
            for (const index of [0, 1]) {
              const turns = acknowledged.filter((it) => it.chat_id === id && it.user.id === users[index].id);
              const inOrder = [...turns].sort((one, other) => one.seq - other.seq);
              assert.deepEqual(contents(inOrder), contents(turns), 'one sender\'s messages are in the order of calls');
            }
          }
        })));

    test('a client with an earlier snapshot catches up with the changes', () =>
      withChats(transport, async (open) => {
        const [alice, bob] = await newUsers('alice', 'bob');
        const [kept, left] = [await newGroup(alice, bob), await newGroup(bob, alice)];
        const first = await sendOver(bob, kept.id, 'first');
        const before = await open(alice);
        const state = JSON.parse(JSON.stringify(before.snapshot()));
        before.close();
        await sendOver(bob, kept.id, 'second');
        await event(alice, 'toggle_like_message', { message: { id: first.message.id, liked: true } });
        await event(alice, 'toggle_chat_pin', { chat: { id: kept.id, pinned: true } });
        await event(bob, 'remove_member', { chat: { id: left.id }, user: { id: alice.id } });
        const received = [];
        const after = await open(alice, { state });
        assert.equal(after.chats.get(kept.id).my.pinned, true);
        await assertFresh(after, alice);
        assert.deepEqual([...after.chats.keys()], [kept.id]);
        after.close();
        const third = await open(alice, { state, aliveMs: 10_000 });
        third.on('message', (message) => received.push(message.content));
        await third.send(kept.id, 'third');
        assert.deepEqual(received, ['third']);
        await assertFresh(third, alice);
        const stranger = await open(bob, { state });
        await assertFresh(stranger, bob);
      }));

    test('messages missed while offline are announced, and lost chats are reported as gone', () =>
      withChats(transport, (open) =>
        withProxy(async (proxy) => {
          const [alice, bob] = await newUsers('alice', 'bob');
          const [kept, left] = [await newGroup(alice, bob), await newGroup(bob, alice)];
          const a = await open(alice, { at: proxy.url });
          const received = [];
          a.on('change', ({ type, message, synced }) => received.push([type, message?.content, synced]));
          a.on('gone', ({ chatId, reason }) => received.push([chatId, reason]));
          proxy.refuse(true);
          const { message } = await sendOver(bob, kept.id, 'while offline');
          await sendOver(bob, kept.id, 'and still offline');
          await event(bob, 'edit_message', { message: { id: message.id, content: 'edited while offline' } });
          await event(bob, 'remove_member', { chat: { id: left.id }, user: { id: alice.id } });
          proxy.refuse(false);
          await next(a, 'synced');
          assert.deepEqual(received, [['new_message', 'edited while offline', true], ['new_message', 'and still offline', true], [left.id, 'removed']]);
          await assertFresh(a, alice);
        })));

    test('after a change of epoch all chats are fetched again, and unknown ones are removed', () =>
      withChats(transport, async (open) => {
        const [alice, bob] = await newUsers('alice', 'bob');
        const { id } = await newGroup(alice, bob);
        await sendOver(bob, id, 'of this history');
        const before = await open(alice);
        const state = before.snapshot();
        before.close();
        state.epoch = 'another';
        const [chat] = state.chats;
        chat.messages.push({ ...chat.messages[0], id: 999_999_999, seq: 900, rev: 900, content: 'of another history' });
        state.chats.push({ ...structuredClone(chat), chat: { ...chat.chat, id: 999_999_999 } });
        chat.rev = 900;
        const gone = [];
        const after = await open(alice, { state });
        after.on('gone', (it) => gone.push(it));
        await assertFresh(after, alice);
        assert.deepEqual(contents(after.chats.get(id).messages), ['of this history']);
        await after.send(id, 'goes on');
        await assertFresh(after, alice);
      }));

    test('a chat that is ahead of the server or far behind it is fetched again', () =>
      withChats(transport, async (open, create) => {
        const [alice, bob] = await newUsers('alice', 'bob');
        const [ahead, behind] = [await newGroup(alice, bob), await newGroup(alice, bob)];
        await sendOver(bob, ahead.id, 'kept');
        const before = await open(alice);
        const state = before.snapshot();
        before.close();
        const snapshotChat = state.chats.find(({ chat }) => chat.id === ahead.id);
        Object.assign(snapshotChat, { rev: 900, messages: [{ ...snapshotChat.messages[0], id: 999_999_999, seq: 900, rev: 900 }] });
        for (let index = 0; index < 40; index += 1) await sendOver(bob, behind.id, `${index}`);
        const after = create(alice, { state, maxBehind: 35 });
        const types = [];
        after.on('change', ({ type }) => types.push(type));
        await after.connect();
        assert.deepEqual(types, ['reset', 'reset']);
        assert.equal(after.chats.get(behind.id).messages.length, 30);
        await assertFresh(after, alice);
        const unlimited = await open(alice, { state, maxBehind: Infinity });
        assert.equal(unlimited.chats.get(behind.id).messages.length, 40);
        await assertFresh(unlimited, alice);
      }));

    test('only the newest messages are kept, but all unread ones are counted', () =>
      withChats(transport, async (open) => {
        const [alice, bob] = await newUsers('alice', 'bob');
        const { id } = await newGroup(alice, bob);
        const a = await open(alice, { keep: 5 });
        const sent = [];
        for (let index = 0; index < 12; index += 1) sent.push((await sendOver(bob, id, `${index}`)).message);
        await until(() => a.chats.get(id).messages.at(-1)?.content === '11', 'the last message');
        assert.deepEqual(contents(a.chats.get(id).messages), ['7', '8', '9', '10', '11']);
        assert.equal(a.chats.get(id).my.unread, 12);
        await event(bob, 'delete_message', { message: { id: sent[1].id } });
        await event(bob, 'edit_message', { message: { id: sent[2].id, content: 'x' } });
        await assertFresh(a, alice);
        assert.equal(a.chats.get(id).my.unread, 11);
        await a.markRead(id, sent[3].seq);
        await until(() => a.chats.get(id).my.unread === 8, 'the count');
        await a.markRead(id, sent[8].seq);
        await until(() => a.chats.get(id).my.unread === 3, 'the count');
        await assertFresh(a, alice);
      }));

    test('the first fifty members of a large group are kept when members change', () =>
      withChats(transport, async (open) => {
        const users = await newUsers(...Array.from({ length: 54 }, (_, index) => `member${index}`));
        const [owner, second, third] = users;
        const { id } = await newGroup(owner, ...users.slice(1, 52));
        const chat = await open(owner);
        const target = (user) => ({ chat: { id }, user: { id: user.id } });
        for (const [name, user] of [['remove_member', second], ['add_member', users[52]], ['remove_member', third], ['add_member', second]]) {
          await chat.call(name, target(user));
          await assertFresh(chat, owner);
        }
        assert.equal(chat.chats.get(id).chat.members.length, 50);
        assert.equal(chat.chats.get(id).chat.member_count, 52);
      }));

    test('the changes of a chat can be iterated across a lost connection', () =>
      withChats(transport, (open) =>
        withProxy(async (proxy) => {
          const [alice, bob] = await newUsers('alice', 'bob');
          const [one, other] = [await newGroup(alice, bob), await newGroup(alice, bob)];
          const a = await open(alice, { at: proxy.url });
          const seen = [];
          const changes = a.chats.get(one.id).events();
          const reading = (async () => {
            for await (const { type, message } of changes) seen.push(message ? `${type} ${message.content}` : type);
          })();
          const { message } = await sendOver(bob, one.id, 'first');
          await sendOver(bob, other.id, 'elsewhere');
          await until(() => seen.length === 1, 'the first');
          proxy.refuse(true);
          await event(bob, 'edit_message', { message: { id: message.id, content: 'edited' } });
          await sendOver(bob, one.id, 'second');
          proxy.refuse(false);
          await until(() => seen.length === 3, () => seen);
          await a.call('delete_chat', { chat: { id: one.id } });
          await reading;
          assert.deepEqual(seen, ['new_message first', 'message_edited edited', 'new_message second']);
          const rest = a.chats.get(other.id).events().next();
          a.close();
          assert.deepEqual(await rest, { value: undefined, done: true });
        })));

    test('presence and typing are updated, and presence is watched again after a reconnect', () =>
      withChats(transport, (open) =>
        withProxy(async (proxy) => {
          const [alice, bob] = await newUsers('alice', 'bob');
          const { id } = await newGroup(alice, bob);
          const a = await open(alice, { at: proxy.url });
          assert.deepEqual([...(await a.watchPresence([bob.id])).values()], [{ online: false, last_seen_at: null }]);
          proxy.cut();
          await next(a, 'synced');
          await a.call('sync', { only: [] });
          const b = await open(bob);
          await until(() => a.presence.get(bob.id)?.online, 'bob');
          b.typing(id);
          await until(() => a.chats.get(id).typing.has(bob.id), 'bob\'s typing');
          await b.send(id, 'typed');
          await until(() => a.chats.get(id).messages.length === 1, 'the message');
          assert.equal(a.chats.get(id).typing.size, 0, 'a user who has sent a message is no longer typing');
        })));

    test('contacts are the same on every device, by events and after a reconnect', () =>
      withChats(transport, (open) =>
        withProxy(async (proxy) => {
          const [alice, bob, carol] = await newUsers('alice', 'bob', 'carol');
          const a = await open(alice, { at: proxy.url });
          const other = await open(alice);
          const b = await open(bob);
          const followed = next(b, 'followed');
          await other.call('follow', { user: { id: bob.id } });
          await other.call('block', { user: { id: carol.id } });
          assert.equal((await followed).by, alice.id);
          assert.equal(b.contacts.size, 0, 'being followed changes no contact');
          const expected = new Map([[bob.id, { following: true, blocked: false }], [carol.id, { following: false, blocked: true }]]);
          const isRight = (chat) => isDeepStrictEqual(chat.contacts, expected);
          await until(() => isRight(a) && isRight(other), 'both devices');
          proxy.cut();
          await other.call('unblock', { user: { id: carol.id } });
          await next(a, 'synced');
          await until(() => a.contacts.size === 1 && a.contacts.get(bob.id).following, 'the missed changes');
          const later = await open(alice, { state: a.snapshot() });
          expected.delete(carol.id);
          assert.deepEqual(later.contacts, expected);
        })));

    test('a token is renewed on the open connection before it expires', () =>
      withChats(transport, async (open) => {
        const alice = await newUser('alice');
        const requests = [];
        // Expiry times are whole seconds, and the server warns once per expiry time, so each token must expire later.
        const lifetimes = [3, 5, 600];
        const chat = await open(alice, { token: (why) => shortToken(alice, lifetimes[requests.push(why) - 1]) });
        const statuses = [];
        chat.on('status', (status) => statuses.push(status));
        await sleep(6_000);
        assert.deepEqual(requests, [{ refresh: false }, { refresh: true }, { refresh: true }]);
        assert.deepEqual(statuses, []);
        await chat.createChat({ name: 'still here', members: [] });
        await assertFresh(chat, alice);
      }));

    test('an expired token is replaced at once', () =>
      withChats(transport, async (open, create) => {
        const alice = await newUser('alice');
        let isDown = true;
        const token = ({ refresh }) => {
          if (refresh && isDown) throw new Error('no token today');
          return refresh ? alice.accessToken : shortToken(alice, 2);
        };
        const chat = await open(alice, { token });
        const ended = next(chat, 'token_expired');
        await ended;
        isDown = false;
        await next(chat, 'synced');
        assert.ok(chat.reportedErrors.some((it) => it.includes('no token today')), 'a failed renewal is reported');
        assert.equal(chat.status, 'online');
        const refreshed = await open(alice, { token: ({ refresh }) => (refresh ? alice.accessToken : shortToken(alice, -60)) });
        assert.equal(refreshed.status, 'online');
        const withoutRefresh = create(alice, { token: shortToken(alice, -60) });
        await assert.rejects(withoutRefresh.connect(), { code: 'token_expired' });
        assert.equal(withoutRefresh.status, 'dismissed');
        await assert.rejects(create(alice, { token: 'nonsense' }).connect(), { code: 'token_invalid' });
      }));

    test('a client whose session was ended is dismissed and does not reconnect', () =>
      withChats(transport, async (open) => {
        const alice = await newUser('alice');
        const group = await newGroup(alice);
        const { accessToken } = await login(alice.username, alice.password);
        let connects = 0;
        const chat = await open(alice, { token: () => { connects += 1; return accessToken; } });
        const dismissed = next(chat, 'error');
        await request('POST', '/auth/logout', { token: accessToken });
        assert.equal((await dismissed).code, 'session_ended');
        assert.equal(chat.status, 'dismissed');
        await sleep(500);
        assert.equal(connects, 1);
        await assert.rejects(chat.call('history', { chat: { id: group.id } }), { code: 'closed' });
        const waiting = chat.send(group.id, 'never sent');
        await assert.rejects(chat.connect(), { code: 'session_ended' });
        await assert.rejects(waiting, { code: 'session_ended' });
        assert.equal(connects, 2, 'an explicit connect() tries again');
      }));

    test('an unreachable server is reported once per outage, with its address and the cause', () =>
      withChats(transport, (open, create) =>
        withProxy(async (proxy) => {
          const alice = await newUser('alice');
          const unreachable = create(alice, { at: 'http://127.0.0.1:9' });
          const received = [];
          unreachable.on('error', (error) => received.push(error));
          unreachable.connect();
          await until(() => received.length, 'the error');
          await sleep(1_000);
          assert.deepEqual(received.map(({ code }) => code), ['unreachable']);
          assert.match(received[0].message, /127\.0\.0\.1:9.*(ECONNREFUSED|websocket error|xhr poll error)/);
          const chat = await open(alice, { at: proxy.url });
          const outages = [];
          chat.on('error', ({ code }) => outages.push(code));
          for (let outage = 1; outage <= 2; outage += 1) {
            proxy.refuse(true);
            await until(() => outages.length === outage, 'the error');
            await sleep(500);
            proxy.refuse(false);
            await next(chat, 'synced', ({ full }) => full);
          }
          assert.deepEqual(outages, ['unreachable', 'unreachable']);
        })));

    test('with `tellUnread` a bot that was offline gets the first messages of a new chat, once', () =>
      withChats(transport, (open) =>
        withProxy(async (proxy) => {
          const [alice, bob] = await newUsers('alice', 'bob');
          const received = { bot: [], regular: [] };
          const bot = await open(alice, { at: proxy.url, tellUnread: true });
          const regular = await open(alice, { at: proxy.url });
          for (const [name, chat] of Object.entries({ bot, regular })) chat.on('message', ({ content }) => received[name].push(content));
          proxy.refuse(true);
          const { id } = await newGroup(bob, alice);
          for (const content of ['hello', 'anybody?']) await sendOver(bob, id, content);
          const caughtUp = [bot, regular].map((chat) => next(chat, 'synced', ({ full }) => full));
          proxy.refuse(false);
          await Promise.all(caughtUp);
          assert.deepEqual(received, { bot: ['hello', 'anybody?'], regular: [] });
          await bot.markRead(id);
          await sendOver(bob, id, 'later');
          await until(() => received.bot.length === 3 && received.regular.length === 1, () => JSON.stringify(received));
          const repeated = await open(alice, { tellUnread: true });
          repeated.on('message', ({ content }) => received.bot.push(content));
          await repeated.markRead(id);
          assert.deepEqual(received.bot, ['hello', 'anybody?', 'later']);
          await assertFresh(bot, alice);
        })));

    test('an outbox store keeps unsent messages for the next client', () =>
      withChats(transport, async (open, create) => {
        const alice = await newUser('alice');
        const { id } = await newGroup(alice);
        const store = new Map();
        const outbox = {
          load: async () => [...store.values()],
          save: (entry) => store.set(entry.clientId, entry),
          remove: (clientId) => store.delete(clientId),
        };
        const before = create(alice, { at: 'http://127.0.0.1:9', outbox });
        before.connect();
        const sends = ['one', 'two'].map((content) => before.send(id, content));
        await until(() => before.status === 'waiting', 'the failure');
        before.close();
        for (const { reason } of await Promise.allSettled(sends)) assert.equal(reason.code, 'closed');
        const after = create(alice, { outbox });
        await after.connect();
        await until(() => store.size === 0, 'the outbox to be empty');
        assert.deepEqual(contents(await storedMessages(alice, id)), ['one', 'two']);
        // The same request again, as after a crash between the response and the removal from the outbox.
        store.set('again', { clientId: 'again', chatId: id, content: 'three', messageType: 'text', replyTo: null });
        for (let attempt = 0; attempt < 2; attempt += 1) {
          const entry = store.get('again') ?? { clientId: 'again', chatId: id, content: 'three', messageType: 'text', replyTo: null };
          store.set('again', entry);
          await open(alice, { outbox });
          await until(() => store.size === 0, 'the outbox to be empty');
        }
        assert.deepEqual(contents(await storedMessages(alice, id)), ['one', 'two', 'three']);
        await assertFresh(after, alice);
      }));

    test('a closed client can connect again', () =>
      withChats(transport, async (open) => {
        const [alice, bob] = await newUsers('alice', 'bob');
        const { id } = await newGroup(alice, bob);
        const chat = await open(alice);
        for (let attempt = 0; attempt < 3; attempt += 1) {
          chat.close();
          assert.equal(chat.status, 'closed');
          await sendOver(bob, id, `missed ${attempt}`);
          await chat.connect();
          await assertFresh(chat, alice);
        }
        assert.deepEqual(chat.reportedErrors, []);
      }));
  });
}

describe('with a faulty WebSocket', () => {
  /** Returns a WebSocket class that replaces each incoming frame by the frames that `filter` returns. */
  const filtered = (filter) =>
    class extends WebSocket {
      set onmessage(listener) {
        super.onmessage = listener && (({ data }) => {
          for (const frame of filter(JSON.parse(data), this)) listener({ data: JSON.stringify(frame) });
        });
      }
    };
  const plain = transports[0];

  test('a gap is detected, later events are held back, and sync fills it', () =>
    withChats(plain, async (open) => {
      const [alice, bob] = await newUsers('alice', 'bob');
      const { id } = await newGroup(alice, bob);
      const lost = new Set();
      const isDropped = ({ type, content }) => type === 'new_message' && content.startsWith('lost') && lost.add(content);
      const a = await open(alice, { WebSocket: filtered((frame) => (isDropped(frame) ? [] : [frame])) });
      const received = [];
      a.on('message', ({ content }) => received.push(content));
      const syncs = [];
      a.on('synced', ({ full }) => syncs.push(full));
      await sendOver(bob, id, 'lost 1');
      await sendOver(bob, id, 'lost 2');
      assert.deepEqual(received, []);
      await sendOver(bob, id, 'heard 1');
      await until(() => received.length === 3, () => received);
      assert.deepEqual(received, ['lost 1', 'lost 2', 'heard 1']);
      await sendOver(bob, id, 'lost 3');
      const own = await a.send(id, 'own');
      assert.deepEqual(received, ['lost 1', 'lost 2', 'heard 1', 'lost 3', 'own'], 'an ack reveals a gap too');
      assert.equal(a.chats.get(id).rev, own.rev);
      assert.deepEqual(syncs, [false, false]);
      assert.equal(lost.size, 3);
      await assertFresh(a, alice);
    }));

  test('duplicate and late frames change nothing', () =>
    withChats(plain, async (open) => {
      const [alice, bob] = await newUsers('alice', 'bob');
      const { id } = await newGroup(alice, bob);
      const old = [];
      const a = await open(alice, {
        WebSocket: filtered((frame) => {
          if (!frame.prev || frame.type === 'ack') return [frame];
          old.push(frame);
          return [frame, ...old];
        }),
      });
      const received = [];
      a.on('change', ({ type, message }) => received.push([type, message.content]));
      const { message } = await sendOver(bob, id, 'once');
      await event(bob, 'toggle_like_message', { message: { id: message.id, liked: true } });
      await event(bob, 'edit_message', { message: { id: message.id, content: 'once more' } });
      await until(() => received.length >= 3, () => received);
      assert.deepEqual(received, [['new_message', 'once'], ['message_liked', 'once'], ['message_edited', 'once more']]);
      await assertFresh(a, alice);
    }));

  test('a sync_hint starts a sync', () =>
    withChats(plain, async (open) => {
      const [alice, bob] = await newUsers('alice', 'bob');
      const { id } = await newGroup(alice, bob);
      const hint = (frame) => (frame.type === 'new_message' ? [{ type: 'sync_hint', chat: id, rev: frame.rev }] : [frame]);
      const a = await open(alice, { WebSocket: filtered(hint) });
      await sendOver(bob, id, 'hinted at');
      await until(() => a.chats.get(id).messages.length === 1, 'the message');
      await assertFresh(a, alice);
    }));

  test('an unknown event of a chat starts a sync', () =>
    withChats(plain, async (open) => {
      const [alice, bob] = await newUsers('alice', 'bob');
      const { id } = await newGroup(alice, bob);
      const a = await open(alice, {
        WebSocket: filtered((frame) => [frame.type === 'chat_updated' ? { type: 'chat_painted', chat: frame.chat, rev: frame.rev, prev: frame.prev } : frame]),
      });
      await event(alice, 'update_chat', { chat: { id, name: 'painted' } });
      await until(() => a.chats.get(id).chat.name === 'painted', 'the new name');
      await assertFresh(a, alice);
    }));

  test('an incomplete event starts a sync, also after a lost connection', () =>
    withChats(plain, async (open) => {
      const [alice, bob] = await newUsers('alice', 'bob');
      const { id } = await newGroup(alice, bob);
      // An event of the user without its data, or an unknown event of the chat, and then the connection is lost.
      const incomplete = filtered((frame, socket) => {
        const { type, chat, rev, prev, user_rev } = frame;
        if (type !== 'chat_muted' && type !== 'chat_updated') return [frame];
        setTimeout(() => socket.close());
        return [{ type: type === 'chat_muted' ? type : 'chat_painted', chat, rev, prev, user_rev }];
      });
      const a = await open(alice, { WebSocket: incomplete });
      for (const [name, payload] of [['toggle_chat_mute', { muted: true }], ['update_chat', { name: 'painted' }]]) {
        const resynced = next(a, 'synced', ({ full }) => full);
        await event(alice, name, { chat: { id, ...payload } });
        await resynced;
        await assertFresh(a, alice);
      }
      assert.equal(a.chats.get(id).chat.name, 'painted');
      assert.notEqual(a.chats.get(id).my.muted_until, null);
    }));

  test('after server_shutdown the client waits for the announced time before it reconnects', () =>
    withChats(plain, async (open) => {
      const alice = await newUser('alice');
      const shutdown = filtered((frame, socket) => {
        if (frame.type !== 'chat_created') return [frame];
        setTimeout(() => socket.close(), 5);
        return [{ type: 'server_shutdown', retry_after_ms: 700 }];
      });
      const a = await open(alice, { WebSocket: shutdown });
      await newGroup(alice);
      await next(a, 'status', (status) => status === 'waiting');
      const since = Date.now();
      await next(a, 'status', (status) => status === 'connecting');
      assert.ok(Date.now() - since > 650, `${Date.now() - since} ms`);
      await next(a, 'synced');
      await assertFresh(a, alice);
    }));

  test('rate-limited messages are sent later, in order', () =>
    withChats(plain, async (open) => {
      const alice = await newUser('alice');
      const { id } = await newGroup(alice);
      let busy = 3;
      const refused = [];
      const limits = filtered((frame) => {
        if (frame.type !== 'ack' || !frame.message || busy === 0) return [frame];
        busy -= 1;
        refused.push(frame.message.content);
        return [{ type: 'ack', id: frame.id, ok: false, error: { code: 'rate_limited', message: 'slow down', retry_after_ms: 50 } }];
      });
      const a = await open(alice, { WebSocket: limits });
      const sent = await Promise.all(['one', 'two', 'three'].map((content) => a.send(id, content)));
      assert.deepEqual(refused, ['one', 'one', 'one']);
      assert.deepEqual(contents(sent), ['one', 'two', 'three']);
      assert.deepEqual(contents(await storedMessages(alice, id)), ['one', 'two', 'three']);
      await assertFresh(a, alice);
    }));
});

test('the constructor throws without a WebSocket or a valid URL', () => {
  assert.throws(() => new MangoChat({ url, WebSocket: undefined, ...(globalThis.WebSocket ? { WebSocket: null } : {}) }), TypeError);
  assert.throws(() => new MangoChat({ url: 'nonsense', WebSocket }));
  assert.throws(() => new MangoChat({ WebSocket }), 'outside of a page there is no default URL');
});

test('listeners of unknown events are refused, and all events of the server are accepted', async () => {
  const chat = new MangoChat({ url, WebSocket, token: 'any' });
  assert.throws(() => chat.on('mesage', () => {}), (error) => error instanceof TypeError && /'mesage'.*message/.test(error.message));
  const { operations, components } = await expectStatus(200, 'GET', '/asyncapi.json');
  const sent = Object.values(operations).filter(({ action }) => action === 'send');
  const names = sent.flatMap(({ messages }) => messages.map(({ $ref }) => components.messages[$ref.split('/').at(-1)].name));
  assert.ok(names.length > 30, `${names}`);
  for (const name of names) chat.on(name, () => {});
});

test('without a token connecting fails at once', async () => {
  for (const token of [undefined, null, '', () => undefined, async () => null]) {
    const chat = new MangoChat({ url, WebSocket, token });
    const since = Date.now();
    await assert.rejects(chat.connect(), { code: 'token_missing' }, String(token));
    assert.ok(Date.now() - since < 5_000, `${Date.now() - since} ms`);
    chat.close();
  }
});

describe('sessionTokens in Node.js', () => {
  /** A slow storage, for example on a disk or in a browser extension. */
  const slowStorage = () => {
    const items = new Map();
    return {
      items,
      getItem: async (key) => { await sleep(2); return items.get(key) ?? null; },
      setItem: async (key, value) => { await sleep(2); items.set(key, value); },
      removeItem: async (key) => { await sleep(2); items.delete(key); },
    };
  };

  test('logs in, shares one token, refreshes it on request, and logs out', async () => {
    const { username, password, id } = await newUser('alice');
    for (const storage of [undefined, slowStorage()]) {
      const token = sessionTokens({ url, storage });
      await assert.rejects(token(), { code: 'token_missing' });
      await assert.rejects(token.login({ username, password: 'not the password' }), { code: 'invalid_credentials' });
      assert.equal(await token.isLoggedIn(), false);
      await token.login({ username, password });
      const first = await token();
      assert.equal(await token(), first);
      assert.equal((await expectStatus(200, 'GET', '/user/me', { token: first })).id, id);
      const renewed = await Promise.all(Array.from({ length: 10 }, () => token({ refresh: true })));
      assert.equal(new Set(renewed).size, 1, 'one refresh for all concurrent callers');
      assert.notEqual(renewed[0], first);
      await token.logout();
      assert.equal(await token.isLoggedIn(), false);
      await assert.rejects(token(), { code: 'token_missing' });
      assert.equal((await request('GET', '/user/me', { token: renewed[0] })).status, 401);
    }
  });

  test('after the session was ended elsewhere, the storage is empty and the client cannot connect', () =>
    withChats(transports[0], async (open, create) => {
      const { username, password, accessToken } = await newUser('alice');
      const storage = slowStorage();
      const token = sessionTokens({ url, storage });
      await token.login({ username, password });
      const { sid } = claimsOf(await token());
      assert.equal((await request('DELETE', `/auth/session/${sid}`, { token: accessToken })).status, 204);
      await assert.rejects(token({ refresh: true }), { code: 'session_ended' });
      assert.equal(storage.items.size, 0);
      await assert.rejects(create({ accessToken }, { token }).connect(), { code: 'token_missing' });
    }));

  test('an unreachable server does not end the session', async () => {
    const { username, password } = await newUser('alice');
    const storage = slowStorage();
    const token = sessionTokens({ url, storage });
    await token.login({ username, password });
    const unreachable = sessionTokens({ url: 'http://127.0.0.1:9', storage });
    await unreachable();
    await assert.rejects(unreachable({ refresh: true }), { code: 'unreachable' });
    assert.equal(await token.isLoggedIn(), true);
    assert.ok(await token());
  });
});

test('a listener that throws does not affect other listeners', (t) =>
  withChats(transports[0], async (open, create) => {
    const chat = create(await newUser('alice'));
    const received = [];
    chat.on('ready', () => { throw new Error('mine'); }).on('ready', () => received.push('ready'));
    // The client rethrows the error in a microtask, where it is uncaught.
    const run = (task) => { try { task(); } catch (error) { received.push(error.message); } };
    const mock = t.mock.method(globalThis, 'queueMicrotask', run);
    await chat.connect();
    mock.mock.restore();
    assert.deepEqual(received, ['mine', 'ready']);
  }));

for (const transport of transports) {
  describe(`mistakes of an application over ${transport.label}`, () => {
    test('a client that is closed while it waits for its token does not connect', () =>
      withChats(transport, async (open, create) => {
        const { accessToken } = await newUser('alice');
        let resolveToken;
        const tokens = [new Promise((resolve) => { resolveToken = resolve; }), accessToken];
        const received = [];
        const chat = create({}, { token: () => tokens.shift() });
        chat.on('status', (status) => received.push(status)).on('ready', () => received.push('ready'));
        const connected = chat.connect();
        await sleep(20);
        chat.close();
        resolveToken(accessToken);
        await assert.rejects(connected, { code: 'closed' });
        await sleep(300);
        assert.deepEqual(received, ['connecting', 'closed']);
        await chat.connect();
        assert.equal(chat.status, 'online');
      }));

    for (const at of ['connecting', 'syncing']) {
      test(`a client that a listener closes at "${at}" stays closed`, () =>
        withChats(transport, async (open, create) => {
          const chat = create(await newUser('alice'));
          const received = [];
          chat.on('status', (status) => { received.push(status); if (status === at) chat.close(); });
          await assert.rejects(chat.connect(), { code: 'closed' });
          await sleep(300);
          assert.deepEqual([received.at(-1), chat.status], ['closed', 'closed']);
        }));
    }

    test('an outbox whose `remove` throws does not lose or delay messages', () =>
      withChats(transport, async (open) => {
        const alice = await newUser('alice');
        const group = await newGroup(alice);
        const remove = () => { throw new Error('storage is full'); };
        const chat = await open(alice, { outbox: { load: () => [], save: () => {}, remove } });
        assert.equal((await chat.send(group.id, 'one')).content, 'one');
        assert.equal((await chat.send(group.id, 'two')).content, 'two');
        assert.deepEqual(contents(await storedMessages(alice, group.id)), ['one', 'two']);
        assert.equal(chat.reportedErrors.filter((it) => it.endsWith('storage is full')).length, 2);
        await assertFresh(chat, alice);
      }));

    test('an outbox whose promises reject is reported, and the messages are sent', () =>
      withChats(transport, async (open) => {
        const alice = await newUser('alice');
        const group = await newGroup(alice);
        const fail = async () => { throw new Error('storage is full'); };
        const chat = await open(alice, { outbox: { load: () => [], save: fail, remove: fail } });
        assert.equal((await chat.send(group.id, 'one')).content, 'one');
        await sleep(20);
        assert.equal(chat.reportedErrors.filter((it) => it.endsWith('storage is full')).length, 2);
        assert.deepEqual(chat.pending(), []);
      }));

    test('a `clientId` that is already queued is sent once, and both calls resolve', () =>
      withChats(transport, async (open) => {
        const alice = await newUser('alice');
        const group = await newGroup(alice);
        const chat = await open(alice);
        const sends = ['same', 'same'].map((text) => chat.send(group.id, text, { clientId: 'one-id' }));
        await assert.rejects(chat.send(group.id, 'other', { clientId: 'one-id' }), { code: 'client_id_conflict' });
        const [first, second] = await Promise.all(sends);
        assert.equal(first.id, second.id);
        assert.deepEqual(contents(await storedMessages(alice, group.id)), ['same']);
      }));

    test('a listener of the status "closed" can connect, call and send again', () =>
      withChats(transport, async (open) => {
        const alice = await newUser('alice');
        const group = await newGroup(alice);
        const chat = await open(alice);
        const again = new Promise((resolve, reject) => {
          const reconnect = (status) => {
            if (status !== 'closed') return;
            chat.off('status', reconnect);
            Promise.all([chat.connect(), chat.call('sync', { only: [] }), chat.send(group.id, 'back')]).then(resolve, reject);
          };
          chat.on('status', reconnect);
        });
        chat.close();
        const [, , message] = await again;
        assert.equal(message.content, 'back');
        assert.equal(chat.status, 'online');
      }));

    test('a payload that cannot be serialized is refused, and the connection stays open', () =>
      withChats(transport, async (open) => {
        const chat = await open(await newUser('alice'));
        const statuses = [];
        chat.on('status', (status) => statuses.push(status));
        await assert.rejects(chat.call('history', { chat: { id: 1n } }), TypeError);
        await sleep(1_500);
        assert.deepEqual(statuses, []);
      }));

    test('what another user has left in the outbox is not sent, and stays there for them', () =>
      withChats(transport, async (open) => {
        const [alice, bob] = await newUsers('alice', 'bob');
        const { id } = await newGroup(alice, bob);
        const entry = (clientId, userId) => ({ clientId, chatId: id, content: clientId, messageType: 'text', replyTo: null, userId });
        const store = new Map([['of-alice', entry('of-alice', alice.id)], ['of-bob', entry('of-bob', bob.id)]]);
        const outbox = {
          load: () => [...store.values()],
          save: (saved) => store.set(saved.clientId, saved),
          remove: (clientId) => store.delete(clientId),
        };
        const chat = await open(bob, { outbox });
        await until(() => !store.has('of-bob'), 'the own message to be sent');
        assert.deepEqual([[...store.keys()], chat.pending()], [['of-alice'], []]);
        assert.deepEqual(contents(await storedMessages(bob, id)), ['of-bob']);
        chat.send(id, 'the last').catch(() => {});
        assert.equal(store.get(chat.pending()[0].clientId).userId, bob.id);
      }));

    test('changes of messages older than those stored, made while away, are announced', () =>
      withChats(transport, (open) =>
        withProxy(async (proxy) => {
          const [alice, bob] = await newUsers('alice', 'bob');
          const { id } = await newGroup(alice, bob);
          const [edited, deleted] = [await sendOver(bob, id, 'first'), await sendOver(bob, id, 'second')].map((it) => it.message);
          for (let index = 0; index < 40; index += 1) await sendOver(bob, id, `later ${index}`);
          const chat = await open(alice, { at: proxy.url });
          const { floor } = chat.chats.get(id);
          assert.ok(floor >= deleted.seq, `both are older than ${floor}`);
          const changes = [];
          chat.on('change', ({ type, message, synced }) => changes.push([type, message?.id, message?.content, synced]));
          proxy.refuse(true);
          await event(bob, 'edit_message', { message: { id: edited.id, content: 'changed' } });
          await event(bob, 'delete_message', { message: { id: deleted.id } });
          const caughtUp = next(chat, 'synced', ({ full }) => full);
          proxy.refuse(false);
          await caughtUp;
          const about = changes.filter(([type]) => /^message_|new_/.test(type));
          assert.deepEqual(about, [['message_edited', edited.id, 'changed', true], ['message_deleted', deleted.id, '', true]]);
          assert.equal(chat.chats.get(id).floor, floor);
          await assertFresh(chat, alice);
        })));

    test('the state of another user is dropped, including unsent messages and contacts', () =>
      withChats(transport, async (open, create) => {
        const [alice, bob] = await newUsers('alice', 'bob');
        const group = await newGroup(alice, bob);
        const first = await open(alice);
        await first.call('follow', { user: { id: bob.id } });
        await until(() => first.contacts.size === 1, 'the contact');
        first.close();
        first.send(group.id, 'only from alice').catch(() => {});
        const second = create(bob, { state: first.snapshot() });
        assert.equal(second.pending().length, 1);
        await second.connect();
        await sleep(300);
        assert.deepEqual([second.pending().length, second.contacts.size], [0, 0]);
        assert.deepEqual(await storedMessages(bob, group.id), []);
        await assertFresh(second, bob);
      }));
  });
}

test('an iterator of changes that is never read keeps nothing in memory, one that is read gets all of them', async () => {
  setFlagsFromString('--expose-gc');
  const collectGarbage = runInNewContext('gc');
  const chat = new ChatState(null, {}, {});
  const read = chat.events();
  chat.events();
  await sleep(1);
  collectGarbage();
  const change = new WeakRef({});
  chat.notify(change.deref());
  chat.notify({ type: 'second' });
  assert.ok((await read.next()).value, 'a change from before the first `next`');
  // A suspended generator keeps the change that it returned last, so that must be another one.
  assert.deepEqual((await read.next()).value, { type: 'second' });
  await sleep(1);
  collectGarbage();
  assert.equal(change.deref(), undefined);
});
