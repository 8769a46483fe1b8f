// The JavaScript client against a real server, over both transports: order, queues, reconnects, gaps, tokens. Each test
// also checks that the client's state equals a fresh fetch.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import { MangoChat, MangoError, sessionTokens } from '../../assets/client/mango-chat.js';
import { assertFresh, next, until, ways, WebSocket, withChats, withProxy } from './sdk_support.mjs';
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

for (const way of ways) {
  describe(`over ${way.label}`, () => {
    test('connecting brings every chat, ready first and synced last', () =>
      withChats(way, async (open, make) => {
        const [alice, bob] = await newUsers('alice', 'bob');
        const group = await newGroup(alice, bob);
        for (let index = 0; index < 40; index += 1) await sendOver(bob, group.id, `before ${index}`);
        const chat = make(alice);
        const told = [];
        chat.on('status', (status) => told.push(status)).on('ready', () => told.push('ready'));
        chat.on('synced', ({ full }) => told.push(`synced ${full}`));
        assert.equal(chat.status, 'closed');
        await chat.connect();
        assert.deepEqual(told, ['connecting', 'ready', 'syncing', 'online', 'synced true']);
        assert.equal(chat.userId, alice.id);
        const { messages, my } = chat.chats.get(group.id);
        assert.equal(my.unread, 40);
        assert.deepEqual(contents(messages), Array.from({ length: 30 }, (_, index) => `before ${index + 10}`));
        await assertFresh(chat, alice);
        const page = await chat.history(group.id, { before: messages[0].seq, limit: 4 });
        assert.deepEqual(contents(page.messages), ['before 6', 'before 7', 'before 8', 'before 9']);
        assert.equal(page.hasMore, true);
        assert.equal(chat.chats.get(group.id).messages.length, 34, 'a page that joins on is held');
        await chat.history(group.id, { before: messages[2].seq - 6, limit: 2 });
        await chat.history(group.id, { before: 5, limit: 2 });
        assert.equal(chat.chats.get(group.id).messages.length, 34, 'and one that does not, not');
        await chat.history(group.id, { limit: 200 });
        assert.equal(chat.chats.get(group.id).messages.length, 40);
        assert.equal(my.unread, 40);
        await assertFresh(chat, alice);
      }));

    test('whatever happens, every device holds what a fresh fetch gives', () =>
      withChats(way, async (open) => {
        const [alice, bob, carol] = await newUsers('alice', 'bob', 'carol');
        const everybody = [alice, alice, bob, carol];
        const [a, other, b, c] = await Promise.all(everybody.map((user) => open(user)));
        const same = () => Promise.all([a, other, b, c].map((chat, index) => assertFresh(chat, everybody[index])));
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
        await a.delete(two.id);
        await a.delete(two.id);
        await same();
        assert.equal(b.chats.get(id).my.unread, 1, 'a deleted message is not unread');
        await a.call('add_member', { chat: { id }, user: { id: carol.id } });
        await a.call('update_chat', { chat: { id, name: 'second name', description: 'new' } });
        await same();
        assert.equal(c.chats.get(id).chat.name, 'second name');
        assert.deepEqual(contents(c.chats.get(id).messages), ['hello', 'one, edited', '']);
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
        for (const chat of [a, other, b, c]) assert.deepEqual(chat.complaints, []);
      }));

    test('a direct chat exists once, and making it again answers it', () =>
      withChats(way, async (open) => {
        const [alice, bob] = await newUsers('alice', 'bob');
        const [a, b] = [await open(alice), await open(bob)];
        const made = await a.createChat({ members: [bob.id] });
        assert.equal(made.chat.is_group, false);
        const again = await b.createChat({ members: [alice.id] }, 'there you are');
        assert.equal(again.id, made.id);
        await until(() => made.messages.length === 1, 'the message');
        assert.deepEqual(contents(again.messages), ['there you are']);
        assert.equal(made.my.unread, 1);
        await assertFresh(a, alice);
        await assertFresh(b, bob);
        assert.equal(await b.createChat({ members: [alice.id] }), again);
      }));

    test('sends arrive in the order of calls, whoever sends', () =>
      withChats(way, async (open) => {
        const [alice, bob] = await newUsers('alice', 'bob');
        const [a, b] = [await open(alice), await open(bob)];
        const { id } = await newGroup(alice, bob);
        await until(() => a.chats.has(id) && b.chats.has(id), 'the group');
        const told = [];
        b.on('message', ({ content }) => told.push(content));
        const wishes = Array.from({ length: 100 }, (_, index) => index);
        const sent = await Promise.all(wishes.flatMap((index) => [a.send(id, `a${index}`), b.send(id, `b${index}`)]));
        await until(() => told.length === 200, 'all messages');
        for (const who of ['a', 'b']) {
          assert.deepEqual(told.filter((it) => it.startsWith(who)), wishes.map((index) => who + index));
        }
        assert.deepEqual(told, contents(sent.sort((one, other) => one.seq - other.seq)), 'and each told once');
        await assertFresh(a, alice);
        await assertFresh(b, bob);
      }));

    test('what cannot be sent is refused with code and fields, and holds nothing up', () =>
      withChats(way, async (open) => {
        const [alice, bob] = await newUsers('alice', 'bob');
        const a = await open(alice);
        const mine = await newGroup(alice, bob);
        const foreign = await newGroup(bob);
        const failures = await Promise.allSettled([a.send(mine.id, ''), a.send(foreign.id, 'x'), a.edit(1e9, 'x'), a.call('nonsense')]);
        const after = a.send(mine.id, 'after');
        assert.deepEqual(failures.map(({ reason }) => reason.code), ['validation_failed', 'not_found', 'not_found', 'unknown_event']);
        assert.ok(failures.every(({ reason }) => reason instanceof MangoError && reason.message));
        assert.deepEqual(Object.keys(failures[0].reason.errors), ['message.content']);
        assert.equal((await after).content, 'after');
        await assertFresh(a, alice);
      }));

    test('what is sent before there is a connection goes out with it, in order', () =>
      withChats(way, (open, make) =>
        withProxy(async (proxy) => {
          const [alice, bob] = await newUsers('alice', 'bob');
          const { id } = await newGroup(alice, bob);
          const a = make(alice, { at: proxy.url });
          const early = ['one', 'two', 'three'].map((content) => a.send(id, content));
          assert.deepEqual(a.pending(id).map(({ content }) => content), ['one', 'two', 'three']);
          await a.connect();
          await Promise.all(early);
          proxy.refuse(true);
          await until(() => a.status === 'waiting', 'the loss');
          const late = ['four', 'five'].map((content) => a.send(id, content));
          await sendOver(bob, id, 'meanwhile');
          await sleep(100);
          assert.equal(a.pending().length, 2);
          proxy.refuse(false);
          await Promise.all(late);
          assert.deepEqual(contents(await storedMessages(alice, id)), ['one', 'two', 'three', 'meanwhile', 'four', 'five']);
          assert.deepEqual(a.pending(), []);
          await assertFresh(a, alice);
        })));

    test('cut, frozen and deaf connections are noticed and made good', () =>
      withChats(way, (open) =>
        withProxy(async (proxy) => {
          const [alice, bob] = await newUsers('alice', 'bob');
          const { id } = await newGroup(alice, bob);
          const a = await open(alice, { at: proxy.url });
          const mishaps = {
            cut: () => proxy.cut(),
            // Shorter than the timeout: nothing is lost, and the client need not reconnect.
            frozen: () => proxy.freeze(300),
            'frozen for long': () => proxy.freeze(1_800),
            deaf: () => proxy.deafen(),
          };
          for (const [label, mishap] of Object.entries(mishaps)) {
            const statuses = [];
            const note = (status) => statuses.push(status);
            a.on('status', note);
            const over = mishap();
            await sendOver(bob, id, `bob, ${label}`);
            await a.send(id, `alice, ${label}`);
            await over;
            await until(() => a.status === 'online', () => `online after ${label}: ${statuses}`);
            await assertFresh(a, alice);
            a.off('status', note);
            assert.equal(statuses.length === 0, label === 'frozen', `${label}: ${statuses}`);
          }
          // The client also notices a deaf connection on which it sends nothing.
          proxy.deafen();
          await sendOver(bob, id, 'in the silence');
          await until(() => contents(a.chats.get(id).messages).includes('in the silence'), 'what was said in the silence');
          assert.equal((await storedMessages(alice, id)).length, 9);
          await assertFresh(a, alice);
        })));

    test('twenty cuts at random: nothing lost, nothing doubled, one order', () =>
      withChats(way, (open) =>
        withProxy(async (proxy) => {
          const [alice, bob, carol] = await newUsers('alice', 'bob', 'carol');
          const at = proxy.url;
          const users = [alice, bob, carol];
          const chats = await Promise.all(users.map((user) => open(user, { at })));
          const groups = [await newGroup(alice, bob, carol), await newGroup(bob, alice, carol)];
          await until(() => chats.every((chat) => groups.every(({ id }) => chat.chats.has(id))), 'the groups');
          const told = [];
          chats[2].on('message', (message) => told.push(message));
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
          await Promise.all(chats.map((chat) => until(() => chat.status === 'online', 'the way back')));
          await Promise.all(chats.map((chat, index) => assertFresh(chat, users[index])));
          const stored = (await Promise.all(groups.map(({ id }) => storedMessages(alice, id)))).flat();
          const sorted = (messages) => messages.map(({ id }) => id).sort((one, other) => one - other);
          assert.deepEqual(sorted(stored), sorted(acknowledged), 'stored is what was acknowledged, once each');
          assert.deepEqual(sorted(told), sorted(stored), 'and each is told once');
          for (const { id } of groups) {
            const inGroup = told.filter((message) => message.chat_id === id);
            assert.deepEqual(inGroup.map(({ seq }) => seq), inGroup.map(({ seq }) => seq).sort((one, other) => one - other));
            for (const index of [0, 1]) {
              const turns = acknowledged.filter((it) => it.chat_id === id && it.user.id === users[index].id);
              const inOrder = [...turns].sort((one, other) => one.seq - other.seq);
              assert.deepEqual(contents(inOrder), contents(turns), 'one sender\'s messages are in the order of calls');
            }
          }
        })));

    test('the state of an earlier life goes on with what changed', () =>
      withChats(way, async (open) => {
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
        const told = [];
        const after = await open(alice, { state });
        assert.equal(after.chats.get(kept.id).my.pinned, true);
        await assertFresh(after, alice);
        assert.deepEqual([...after.chats.keys()], [kept.id]);
        after.close();
        const third = await open(alice, { state, aliveMs: 10_000 });
        third.on('message', (message) => told.push(message.content));
        await third.send(kept.id, 'third');
        assert.deepEqual(told, ['third']);
        await assertFresh(third, alice);
        const stranger = await open(bob, { state });
        await assertFresh(stranger, bob);
      }));

    test('what came while away is told as news, and chats that went as gone', () =>
      withChats(way, (open) =>
        withProxy(async (proxy) => {
          const [alice, bob] = await newUsers('alice', 'bob');
          const [kept, left] = [await newGroup(alice, bob), await newGroup(bob, alice)];
          const a = await open(alice, { at: proxy.url });
          const told = [];
          a.on('change', ({ type, message, synced }) => told.push([type, message?.content, synced]));
          a.on('gone', ({ chatId, reason }) => told.push([chatId, reason]));
          proxy.refuse(true);
          const { message } = await sendOver(bob, kept.id, 'you were away');
          await sendOver(bob, kept.id, 'and away');
          await event(bob, 'edit_message', { message: { id: message.id, content: 'still away' } });
          await event(bob, 'remove_member', { chat: { id: left.id }, user: { id: alice.id } });
          proxy.refuse(false);
          await next(a, 'synced');
          assert.deepEqual(told, [['new_message', 'still away', true], ['new_message', 'and away', true], [left.id, 'removed']]);
          await assertFresh(a, alice);
        })));

    test('another epoch is read anew, whole, and what is not there any more is gone', () =>
      withChats(way, async (open) => {
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

    test('a chat that is ahead of the server, or far behind it, is read anew', () =>
      withChats(way, async (open, make) => {
        const [alice, bob] = await newUsers('alice', 'bob');
        const [ahead, behind] = [await newGroup(alice, bob), await newGroup(alice, bob)];
        await sendOver(bob, ahead.id, 'kept');
        const before = await open(alice);
        const state = before.snapshot();
        before.close();
        const held = state.chats.find(({ chat }) => chat.id === ahead.id);
        Object.assign(held, { rev: 900, messages: [{ ...held.messages[0], id: 999_999_999, seq: 900, rev: 900 }] });
        for (let index = 0; index < 40; index += 1) await sendOver(bob, behind.id, `${index}`);
        const after = make(alice, { state, maxBehind: 35 });
        const types = [];
        after.on('change', ({ type }) => types.push(type));
        await after.connect();
        assert.deepEqual(types, ['reset', 'reset']);
        assert.equal(after.chats.get(behind.id).messages.length, 30);
        await assertFresh(after, alice);
        const patient = await open(alice, { state, maxBehind: Infinity });
        assert.equal(patient.chats.get(behind.id).messages.length, 40);
        await assertFresh(patient, alice);
      }));

    test('only the newest messages are held, and unread ones are counted all the same', () =>
      withChats(way, async (open) => {
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

    test('of a large group the first fifty members are held, whoever goes', () =>
      withChats(way, async (open) => {
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

    test('a chat\'s changes can be iterated, across a lost connection', () =>
      withChats(way, (open) =>
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

    test('presence and typing are told, and presence is watched again after a reconnect', () =>
      withChats(way, (open) =>
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
          assert.equal(a.chats.get(id).typing.size, 0, 'who has sent is not typing any more');
        })));

    test('contacts are the same on every device, told and caught up with', () =>
      withChats(way, (open) =>
        withProxy(async (proxy) => {
          const [alice, bob, carol] = await newUsers('alice', 'bob', 'carol');
          const a = await open(alice, { at: proxy.url });
          const other = await open(alice);
          const b = await open(bob);
          const told = next(b, 'followed');
          await other.call('follow', { user: { id: bob.id } });
          await other.call('block', { user: { id: carol.id } });
          assert.equal((await told).by, alice.id);
          assert.equal(b.contacts.size, 0, 'who is followed has decided nothing');
          const expected = new Map([[bob.id, { following: true, blocked: false }], [carol.id, { following: false, blocked: true }]]);
          const isRight = (chat) => isDeepStrictEqual(chat.contacts, expected);
          await until(() => isRight(a) && isRight(other), 'both devices');
          proxy.cut();
          await other.call('unblock', { user: { id: carol.id } });
          await next(a, 'synced');
          await until(() => a.contacts.size === 1 && a.contacts.get(bob.id).following, 'what was missed');
          const later = await open(alice, { state: a.snapshot() });
          expected.delete(carol.id);
          assert.deepEqual(later.contacts, expected);
        })));

    test('a token is renewed in place before it ends', () =>
      withChats(way, async (open) => {
        const alice = await newUser('alice');
        const asked = [];
        // Expiry times are whole seconds, and the server warns of each once, so each token must expire later.
        const lives = [3, 5, 600];
        const chat = await open(alice, { token: (why) => shortToken(alice, lives[asked.push(why) - 1]) });
        const statuses = [];
        chat.on('status', (status) => statuses.push(status));
        await sleep(6_000);
        assert.deepEqual(asked, [{ refresh: false }, { refresh: true }, { refresh: true }]);
        assert.deepEqual(statuses, []);
        await chat.createChat({ name: 'still here', members: [] });
        await assertFresh(chat, alice);
      }));

    test('a token that ended is replaced by a fresh one, at once', () =>
      withChats(way, async (open, make) => {
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
        assert.ok(chat.complaints.some((it) => it.includes('no token today')), 'a failure to renew is told');
        assert.equal(chat.status, 'online');
        const refreshed = await open(alice, { token: ({ refresh }) => (refresh ? alice.accessToken : shortToken(alice, -60)) });
        assert.equal(refreshed.status, 'online');
        const hopeless = make(alice, { token: shortToken(alice, -60) });
        await assert.rejects(hopeless.connect(), { code: 'token_expired' });
        assert.equal(hopeless.status, 'dismissed');
        await assert.rejects(make(alice, { token: 'nonsense' }).connect(), { code: 'token_invalid' });
      }));

    test('whose session was ended is dismissed and does not come back by itself', () =>
      withChats(way, async (open) => {
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
        const waiting = chat.send(group.id, 'in vain');
        await assert.rejects(chat.connect(), { code: 'session_ended' });
        await assert.rejects(waiting, { code: 'session_ended' });
        assert.equal(connects, 2, 'asked to, it tries again');
      }));

    test('a server that cannot be reached is told of once per absence, with its address and the cause', () =>
      withChats(way, (open, make) =>
        withProxy(async (proxy) => {
          const alice = await newUser('alice');
          const nobody = make(alice, { at: 'http://127.0.0.1:9' });
          const told = [];
          nobody.on('error', (error) => told.push(error));
          nobody.connect();
          await until(() => told.length, 'the error');
          await sleep(1_000);
          assert.deepEqual(told.map(({ code }) => code), ['unreachable']);
          assert.match(told[0].message, /127\.0\.0\.1:9.*(ECONNREFUSED|websocket error|xhr poll error)/);
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

    test('with `tellUnread` a bot that was down hears the first messages of a new chat, once', () =>
      withChats(way, (open) =>
        withProxy(async (proxy) => {
          const [alice, bob] = await newUsers('alice', 'bob');
          const heard = { bot: [], usual: [] };
          const bot = await open(alice, { at: proxy.url, tellUnread: true });
          const usual = await open(alice, { at: proxy.url });
          for (const [name, chat] of Object.entries({ bot, usual })) chat.on('message', ({ content }) => heard[name].push(content));
          proxy.refuse(true);
          const { id } = await newGroup(bob, alice);
          for (const content of ['hello', 'anybody?']) await sendOver(bob, id, content);
          const caughtUp = [bot, usual].map((chat) => next(chat, 'synced', ({ full }) => full));
          proxy.refuse(false);
          await Promise.all(caughtUp);
          assert.deepEqual(heard, { bot: ['hello', 'anybody?'], usual: [] });
          await bot.markRead(id);
          await sendOver(bob, id, 'later');
          await until(() => heard.bot.length === 3 && heard.usual.length === 1, () => JSON.stringify(heard));
          const again = await open(alice, { tellUnread: true });
          again.on('message', ({ content }) => heard.bot.push(content));
          await again.markRead(id);
          assert.deepEqual(heard.bot, ['hello', 'anybody?', 'later']);
          await assertFresh(bot, alice);
        })));

    test('an outbox store keeps what was not sent for the next life', () =>
      withChats(way, async (open, make) => {
        const alice = await newUser('alice');
        const { id } = await newGroup(alice);
        const store = new Map();
        const outbox = {
          load: async () => [...store.values()],
          save: (entry) => store.set(entry.clientId, entry),
          remove: (clientId) => store.delete(clientId),
        };
        const before = make(alice, { at: 'http://127.0.0.1:9', outbox });
        before.connect();
        const wishes = ['one', 'two'].map((content) => before.send(id, content));
        await until(() => before.status === 'waiting', 'the failure');
        before.close();
        for (const { reason } of await Promise.allSettled(wishes)) assert.equal(reason.code, 'closed');
        const after = make(alice, { outbox });
        await after.connect();
        await until(() => store.size === 0, 'the outbox to be empty');
        assert.deepEqual(contents(await storedMessages(alice, id)), ['one', 'two']);
        // The same request again, as after a crash between the answer and its removal from the outbox.
        store.set('again', { clientId: 'again', chatId: id, content: 'three', messageType: 'text', replyTo: null });
        for (let life = 0; life < 2; life += 1) {
          const entry = store.get('again') ?? { clientId: 'again', chatId: id, content: 'three', messageType: 'text', replyTo: null };
          store.set('again', entry);
          await open(alice, { outbox });
          await until(() => store.size === 0, 'the outbox to be empty');
        }
        assert.deepEqual(contents(await storedMessages(alice, id)), ['one', 'two', 'three']);
        await assertFresh(after, alice);
      }));

    test('a client that was closed can be opened again', () =>
      withChats(way, async (open) => {
        const [alice, bob] = await newUsers('alice', 'bob');
        const { id } = await newGroup(alice, bob);
        const chat = await open(alice);
        for (let life = 0; life < 3; life += 1) {
          chat.close();
          assert.equal(chat.status, 'closed');
          await sendOver(bob, id, `missed ${life}`);
          await chat.connect();
          await assertFresh(chat, alice);
        }
        assert.deepEqual(chat.complaints, []);
      }));
  });
}

describe('with a WebSocket that misbehaves', () => {
  /** Returns a WebSocket class that passes incoming frames through `filter`, which returns what replaces each frame. */
  const filtered = (filter) =>
    class extends WebSocket {
      set onmessage(listener) {
        super.onmessage = listener && (({ data }) => {
          for (const frame of filter(JSON.parse(data), this)) listener({ data: JSON.stringify(frame) });
        });
      }
    };
  const plain = ways[0];

  test('a hole is noticed, what follows is held, and sync fills it', () =>
    withChats(plain, async (open) => {
      const [alice, bob] = await newUsers('alice', 'bob');
      const { id } = await newGroup(alice, bob);
      const lost = new Set();
      const drops = ({ type, content }) => type === 'new_message' && content.startsWith('lost') && lost.add(content);
      const a = await open(alice, { WebSocket: filtered((frame) => (drops(frame) ? [] : [frame])) });
      const told = [];
      a.on('message', ({ content }) => told.push(content));
      const syncs = [];
      a.on('synced', ({ full }) => syncs.push(full));
      await sendOver(bob, id, 'lost 1');
      await sendOver(bob, id, 'lost 2');
      assert.deepEqual(told, []);
      await sendOver(bob, id, 'heard 1');
      await until(() => told.length === 3, () => told);
      assert.deepEqual(told, ['lost 1', 'lost 2', 'heard 1']);
      await sendOver(bob, id, 'lost 3');
      const own = await a.send(id, 'own');
      assert.deepEqual(told, ['lost 1', 'lost 2', 'heard 1', 'lost 3', 'own'], 'an ack shows a hole too');
      assert.equal(a.chats.get(id).rev, own.rev);
      assert.deepEqual(syncs, [false, false]);
      assert.equal(lost.size, 3);
      await assertFresh(a, alice);
    }));

  test('frames that come twice, and late ones, change nothing', () =>
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
      const told = [];
      a.on('change', ({ type, message }) => told.push([type, message.content]));
      const { message } = await sendOver(bob, id, 'once');
      await event(bob, 'toggle_like_message', { message: { id: message.id, liked: true } });
      await event(bob, 'edit_message', { message: { id: message.id, content: 'once more' } });
      await until(() => told.length >= 3, () => told);
      assert.deepEqual(told, [['new_message', 'once'], ['message_liked', 'once'], ['message_edited', 'once more']]);
      await assertFresh(a, alice);
    }));

  test('a hint to sync is followed', () =>
    withChats(plain, async (open) => {
      const [alice, bob] = await newUsers('alice', 'bob');
      const { id } = await newGroup(alice, bob);
      const hint = (frame) => (frame.type === 'new_message' ? [{ type: 'sync_hint', chat: id, rev: frame.rev }] : [frame]);
      const a = await open(alice, { WebSocket: filtered(hint) });
      await sendOver(bob, id, 'hinted at');
      await until(() => a.chats.get(id).messages.length === 1, 'the message');
      await assertFresh(a, alice);
    }));

  test('an event that this version does not know is fetched', () =>
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

  test('what an event does not say is asked for, after a loss in between too', () =>
    withChats(plain, async (open) => {
      const [alice, bob] = await newUsers('alice', 'bob');
      const { id } = await newGroup(alice, bob);
      // An own event without its subject, an unknown event of the chat, and then the end.
      const vague = filtered((frame, socket) => {
        const { type, chat, rev, prev, user_rev } = frame;
        if (type !== 'chat_muted' && type !== 'chat_updated') return [frame];
        setTimeout(() => socket.close());
        return [{ type: type === 'chat_muted' ? type : 'chat_painted', chat, rev, prev, user_rev }];
      });
      const a = await open(alice, { WebSocket: vague });
      for (const [name, wish] of [['toggle_chat_mute', { muted: true }], ['update_chat', { name: 'painted' }]]) {
        const back = next(a, 'synced', ({ full }) => full);
        await event(alice, name, { chat: { id, ...wish } });
        await back;
        await assertFresh(a, alice);
      }
      assert.equal(a.chats.get(id).chat.name, 'painted');
      assert.notEqual(a.chats.get(id).my.muted_until, null);
    }));

  test('a server that goes is asked again after the time it named, and not before', () =>
    withChats(plain, async (open) => {
      const alice = await newUser('alice');
      const goes = filtered((frame, socket) => {
        if (frame.type !== 'chat_created') return [frame];
        setTimeout(() => socket.close(), 5);
        return [{ type: 'server_shutdown', retry_after_ms: 700 }];
      });
      const a = await open(alice, { WebSocket: goes });
      await newGroup(alice);
      await next(a, 'status', (status) => status === 'waiting');
      const since = Date.now();
      await next(a, 'status', (status) => status === 'connecting');
      assert.ok(Date.now() - since > 650, `${Date.now() - since} ms`);
      await next(a, 'synced');
      await assertFresh(a, alice);
    }));

  test('who is told to wait sends later, in order', () =>
    withChats(plain, async (open) => {
      const alice = await newUser('alice');
      const { id } = await newGroup(alice);
      let busy = 3;
      const refused = [];
      const limits = filtered((frame) => {
        if (frame.type !== 'ack' || !frame.message || busy === 0) return [frame];
        busy -= 1;
        refused.push(frame.message.content);
        return [{ type: 'ack', id: frame.id, ok: false, error: { code: 'rate_limited', message: 'slowly', retry_after_ms: 50 } }];
      });
      const a = await open(alice, { WebSocket: limits });
      const sent = await Promise.all(['one', 'two', 'three'].map((content) => a.send(id, content)));
      assert.deepEqual(refused, ['one', 'one', 'one']);
      assert.deepEqual(contents(sent), ['one', 'two', 'three']);
      assert.deepEqual(contents(await storedMessages(alice, id)), ['one', 'two', 'three']);
      await assertFresh(a, alice);
    }));
});

test('the module needs a WebSocket and an address, and says so', () => {
  assert.throws(() => new MangoChat({ url, WebSocket: undefined, ...(globalThis.WebSocket ? { WebSocket: null } : {}) }), TypeError);
  assert.throws(() => new MangoChat({ url: 'nonsense', WebSocket }));
  assert.throws(() => new MangoChat({ WebSocket }), 'outside of a page there is no address to assume');
});

test('an event that there is not is refused, and every one that the server has is taken', async () => {
  const chat = new MangoChat({ url, WebSocket, token: 'any' });
  assert.throws(() => chat.on('mesage', () => {}), (error) => error instanceof TypeError && /'mesage'.*message/.test(error.message));
  const { operations, components } = await expectStatus(200, 'GET', '/asyncapi.json');
  const sent = Object.values(operations).filter(({ action }) => action === 'send');
  const names = sent.flatMap(({ messages }) => messages.map(({ $ref }) => components.messages[$ref.split('/').at(-1)].name));
  assert.ok(names.length > 30, `${names}`);
  for (const name of names) chat.on(name, () => {});
});

test('without a token the client says so at once', async () => {
  for (const token of [undefined, null, '', () => undefined, async () => null]) {
    const chat = new MangoChat({ url, WebSocket, token });
    const since = Date.now();
    await assert.rejects(chat.connect(), { code: 'token_missing' }, String(token));
    assert.ok(Date.now() - since < 5_000, `${Date.now() - since} ms`);
    chat.close();
  }
});

describe('sessionTokens in Node.js', () => {
  /** A slow storage, such as one on a disk or in a browser extension. */
  const slowStorage = () => {
    const items = new Map();
    return {
      items,
      getItem: async (key) => { await sleep(2); return items.get(key) ?? null; },
      setItem: async (key, value) => { await sleep(2); items.set(key, value); },
      removeItem: async (key) => { await sleep(2); items.delete(key); },
    };
  };

  test('logs in, gives one token to many, exchanges it when asked, and logs out', async () => {
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
      assert.equal(new Set(renewed).size, 1, 'one exchange for all who ask at once');
      assert.notEqual(renewed[0], first);
      await token.logout();
      assert.equal(await token.isLoggedIn(), false);
      await assert.rejects(token(), { code: 'token_missing' });
      assert.equal((await request('GET', '/user/me', { token: renewed[0] })).status, 401);
    }
  });

  test('a session that ended elsewhere is over: the storage is emptied and the client dismissed', () =>
    withChats(ways[0], async (open, make) => {
      const { username, password, accessToken } = await newUser('alice');
      const storage = slowStorage();
      const token = sessionTokens({ url, storage });
      await token.login({ username, password });
      const { sid } = claimsOf(await token());
      assert.equal((await request('DELETE', `/auth/session/${sid}`, { token: accessToken })).status, 204);
      await assert.rejects(token({ refresh: true }), { code: 'session_ended' });
      assert.equal(storage.items.size, 0);
      await assert.rejects(make({ accessToken }, { token }).connect(), { code: 'token_missing' });
    }));

  test('a server that is away ends no session', async () => {
    const { username, password } = await newUser('alice');
    const storage = slowStorage();
    const token = sessionTokens({ url, storage });
    await token.login({ username, password });
    const away = sessionTokens({ url: 'http://127.0.0.1:9', storage });
    await away();
    await assert.rejects(away({ refresh: true }), { code: 'unreachable' });
    assert.equal(await token.isLoggedIn(), true);
    assert.ok(await token());
  });
});

test('a listener that throws disturbs nobody', (t) =>
  withChats(ways[0], async (open, make) => {
    const chat = make(await newUser('alice'));
    const heard = [];
    chat.on('ready', () => { throw new Error('mine'); }).on('ready', () => heard.push('ready'));
    // The client reports the error as uncaught, in a separate microtask.
    const run = (task) => { try { task(); } catch (error) { heard.push(error.message); } };
    const mock = t.mock.method(globalThis, 'queueMicrotask', run);
    await chat.connect();
    mock.mock.restore();
    assert.deepEqual(heard, ['mine', 'ready']);
  }));

for (const way of ways) {
  describe(`mistakes of an application, over ${way.label}`, () => {
    test('a client that is closed while it waits for its token opens no connection', () =>
      withChats(way, async (open, make) => {
        const { accessToken } = await newUser('alice');
        let give;
        const tokens = [new Promise((resolve) => { give = resolve; }), accessToken];
        const heard = [];
        const chat = make({}, { token: () => tokens.shift() });
        chat.on('status', (status) => heard.push(status)).on('ready', () => heard.push('ready'));
        const connected = chat.connect();
        await sleep(20);
        chat.close();
        give(accessToken);
        await assert.rejects(connected, { code: 'closed' });
        await sleep(300);
        assert.deepEqual(heard, ['connecting', 'closed']);
        await chat.connect();
        assert.equal(chat.status, 'online');
      }));

    for (const at of ['connecting', 'syncing']) {
      test(`a client that a listener closes at "${at}" stays closed`, () =>
        withChats(way, async (open, make) => {
          const chat = make(await newUser('alice'));
          const heard = [];
          chat.on('status', (status) => { heard.push(status); if (status === at) chat.close(); });
          await assert.rejects(chat.connect(), { code: 'closed' });
          await sleep(300);
          assert.deepEqual([heard.at(-1), chat.status], ['closed', 'closed']);
        }));
    }

    test('an outbox whose `remove` throws loses no message and holds none back', () =>
      withChats(way, async (open) => {
        const alice = await newUser('alice');
        const group = await newGroup(alice);
        const remove = () => { throw new Error('storage is full'); };
        const chat = await open(alice, { outbox: { load: () => [], save: () => {}, remove } });
        assert.equal((await chat.send(group.id, 'one')).content, 'one');
        assert.equal((await chat.send(group.id, 'two')).content, 'two');
        assert.deepEqual(contents(await storedMessages(alice, group.id)), ['one', 'two']);
        assert.equal(chat.complaints.filter((it) => it.endsWith('storage is full')).length, 2);
        await assertFresh(chat, alice);
      }));

    test('a payload that JSON cannot express is refused, and the connection stays', () =>
      withChats(way, async (open) => {
        const chat = await open(await newUser('alice'));
        const statuses = [];
        chat.on('status', (status) => statuses.push(status));
        await assert.rejects(chat.call('history', { chat: { id: 1n } }), TypeError);
        await sleep(1_500);
        assert.deepEqual(statuses, []);
      }));

    test('the state of another user is dropped, with unsent messages and contacts', () =>
      withChats(way, async (open, make) => {
        const [alice, bob] = await newUsers('alice', 'bob');
        const group = await newGroup(alice, bob);
        const first = await open(alice);
        await first.call('follow', { user: { id: bob.id } });
        await until(() => first.contacts.size === 1, 'the contact');
        first.close();
        first.send(group.id, 'only from alice').catch(() => {});
        const second = make(bob, { state: first.snapshot() });
        assert.equal(second.pending().length, 1);
        await second.connect();
        await sleep(300);
        assert.deepEqual([second.pending().length, second.contacts.size], [0, 0]);
        assert.deepEqual(await storedMessages(bob, group.id), []);
        await assertFresh(second, bob);
      }));
  });
}
