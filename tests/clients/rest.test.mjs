// The REST API from the outside: accounts, sessions, profiles, lists, photos, problems.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { bomb, png, webpSize } from './pictures.mjs';
import {
  CHAT_KEYS, ME_KEYS, MEMBER_KEYS, MESSAGE_KEYS, MESSAGE_TYPES, USER_KEYS, assertKeys, assertTime, fetchAllPages, expectProblem,
  expectStatus, expired, login, newDirect, newGroup, newUser, newUsers, nextLink, request, storedChat, unique, uniquePhone,
  withClients,
} from './support.mjs';

describe('problems', () => {
  test('a request without a token gets token_missing', async () => {
    for (const path of ['/user/me', '/chat', '/chat/1', '/chat/1/messages', '/message/1', '/user/1', '/auth/session']) {
      await expectProblem(401, 'token_missing', 'GET', path);
    }
  });

  test('an expired token and an invalid one get different errors', async () => {
    const alice = await newUser('alice');
    await expectProblem(401, 'token_expired', 'GET', '/user/me', { token: expired(alice.accessToken) });
    await expectProblem(401, 'token_invalid', 'GET', '/user/me', { token: 'not.a.token' });
    await expectProblem(401, 'token_invalid', 'GET', '/user/me', { token: alice.refreshToken });
    await expectStatus(200, 'GET', '/user/me', { user: alice });
  });

  test('an unknown path or id gets not_found', async () => {
    const alice = await newUser('alice');
    await expectProblem(404, 'not_found', 'GET', '/no/such/path', { user: alice });
    await expectProblem(404, 'not_found', 'GET', '/chat/999999999', { user: alice });
    await expectProblem(404, 'not_found', 'GET', '/user/999999999', { user: alice });
  });

  test('the problem names a missing or invalid field', async () => {
    const { problem } = await expectProblem(422, 'validation_failed', 'POST', '/user', { body: { username: unique() } });
    assert.ok(problem.errors.password.length > 0);
    const wrong = await expectProblem(422, 'validation_failed', 'POST', '/user', { body: { username: unique(), password: 5 } });
    assert.ok(wrong.problem.errors.password.length > 0);
  });

  test('a body that is not a JSON object gets a problem', async () => {
    for (const raw of ['{"username": ', '', '[1,2]', '7']) {
      const response = await request('POST', '/user', { raw, headers: { 'content-type': 'application/json' } });
      assert.ok([400, 422].includes(response.status), `${raw}: ${response.status}`);
      assert.match(response.headers.get('content-type'), /^application\/problem\+json/);
      assert.equal(response.body.code, 'validation_failed');
    }
  });

  test('every response has a unique request id', async () => {
    const ids = await Promise.all(['/health/live', '/health/ready', '/user/me', '/nowhere'].map(async (path) => {
      const response = await request('GET', path);
      return response.headers.get('x-request-id');
    }));
    assert.ok(ids.every(Boolean));
    assert.equal(new Set(ids).size, ids.length);
  });
});

describe('registration', () => {
  test('returns the complete profile, with the role user', async () => {
    const body = { username: unique('alice'), password: 'correct horse', name: 'Alice', description: 'here', role: 'admin', more: 1 };
    const me = await expectStatus(201, 'POST', '/user', { body });
    assertKeys(me, ME_KEYS);
    assert.equal(me.username, body.username);
    assert.equal(me.name, 'Alice');
    assert.equal(me.description, 'here');
    assert.equal(me.role, 'user');
    assert.equal(me.phone, null);
    assert.equal(me.deleted, false);
    assertTime(me.created_at);
    assert.ok(!JSON.stringify(me).includes('correct horse'));
    const session = await login(body.username, body.password);
    assert.deepEqual(Object.keys(await expectStatus(200, 'GET', '/user/me', { token: session.accessToken })).sort(), Object.keys(me).sort());
  });

  test('requires a phone, an email or a username', async () => {
    await expectProblem(422, 'validation_failed', 'POST', '/user', { body: { password: 'correct horse' } });
  });

  test('accepts a formatted phone number', async () => {
    const phone = uniquePhone();
    const written = `${phone.slice(0, 2)} (${phone.slice(2, 5)}) ${phone.slice(5, 8)}-${phone.slice(8)}`;
    const me = await expectStatus(201, 'POST', '/user', { body: { phone: written, password: 'correct horse' } });
    assert.equal(me.phone, phone);
    const session = await login(phone, 'correct horse');
    assert.equal((await expectStatus(200, 'GET', '/user/me', { token: session.accessToken })).id, me.id);
    const { problem } = await expectProblem(422, 'validation_failed', 'POST', '/user', { body: { phone: '12', password: 'correct horse' } });
    assert.ok(problem.errors.phone.length > 0);
  });

  test('rejects a username, phone or email that is taken', async () => {
    const [username, phone, email] = [unique('Alice'), uniquePhone(), `${unique('alice')}@example.org`];
    const me = await expectStatus(201, 'POST', '/user', { body: { username, phone, email, password: 'correct horse' } });
    await expectProblem(409, 'username_taken', 'POST', '/user', { body: { username: username.toUpperCase(), password: 'correct horse' } });
    await expectProblem(409, 'phone_taken', 'POST', '/user', { body: { phone: phone.replace('+7900', '+7 (900) '), password: 'correct horse' } });
    await expectProblem(409, 'email_taken', 'POST', '/user', { body: { email, password: 'correct horse' } });
    assert.equal((await expectStatus(200, 'GET', '/user/me', { token: (await login(email, 'correct horse')).accessToken })).id, me.id);
  });

  test('one of several concurrent registrations with the same phone succeeds', async () => {
    for (let round = 0; round < 5; round += 1) {
      const body = { phone: uniquePhone(), password: 'correct horse' };
      const responses = await Promise.all([1, 2, 3].map(() => request('POST', '/user', { body })));
      assert.deepEqual(responses.map(({ status }) => status).sort(), [201, 409, 409]);
      const session = await login(body.phone, body.password);
      const me = await expectStatus(200, 'GET', '/user/me', { token: session.accessToken });
      assert.equal(me.id, responses.find(({ status }) => status === 201).body.id);
    }
  });
});

describe('login and sessions', () => {
  test('by form and by JSON return tokens and httpOnly cookies', async () => {
    const alice = await newUser('alice');
    const credentials = { username: alice.username, password: alice.password };
    for (const options of [{ form: credentials }, { form: { grant_type: 'password', ...credentials } }, { body: credentials }]) {
      const response = await request('POST', '/auth/login', options);
      assert.equal(response.status, 200, response.text);
      assert.equal(response.body.token_type, 'bearer');
      assert.ok(Number.isInteger(response.body.expires_in) && response.body.expires_in > 0);
      const cookies = response.headers.getSetCookie();
      for (const name of ['access_token', 'refresh_token']) {
        const own = cookies.filter((cookie) => cookie.startsWith(`${name}=`));
        assert.ok(own.length > 0, `${name} cookie`);
        for (const cookie of own) {
          assert.match(cookie, /;\s*HttpOnly/i);
          assert.match(cookie, /;\s*SameSite=Lax/i);
        }
      }
      assert.equal((await expectStatus(200, 'GET', '/user/me', { token: response.body.access_token })).id, alice.id);
    }
  });

  test('an unknown user and a wrong password get the same error', async () => {
    const alice = await newUser('alice');
    const responses = [
      await expectProblem(401, 'invalid_credentials', 'POST', '/auth/login', { body: { username: alice.username, password: 'wrong' } }),
      await expectProblem(401, 'invalid_credentials', 'POST', '/auth/login', { form: { username: unique('nobody'), password: 'wrong' } }),
    ];
    assert.equal(responses[0].problem.detail, responses[1].problem.detail);
    await login(alice.username, alice.password);
  });

  test('a cookie is accepted without an Origin header and ignored from another origin', async () => {
    const alice = await newUser('alice');
    const cookie = `access_token=${alice.accessToken}`;
    assert.equal((await expectStatus(200, 'GET', '/user/me', { headers: { cookie } })).id, alice.id);
    await expectProblem(401, 'token_missing', 'GET', '/user/me', { headers: { cookie, origin: 'https://elsewhere.example' } });
  });

  test('a refresh rotates the token from body, bearer header and cookie', async () => {
    const alice = await newUser('alice');
    let token = alice.refreshToken;
    const forms = [(value) => ({ body: { refresh_token: value } }), (value) => ({ token: value }), (value) => ({ headers: { cookie: `refresh_token=${value}` } })];
    for (const form of forms) {
      const response = await expectStatus(200, 'POST', '/auth/refresh', form(token));
      assert.notEqual(response.refresh_token, token);
      assert.equal((await expectStatus(200, 'GET', '/user/me', { token: response.access_token })).id, alice.id);
      token = response.refresh_token;
    }
    await expectProblem(401, 'token_missing', 'POST', '/auth/refresh', {});
    await expectProblem(401, 'token_invalid', 'POST', '/auth/refresh', { body: { refresh_token: 'garbage' } });
  });

  test('a used refresh token is accepted again while its successor is unused', async () => {
    const alice = await newUser('alice');
    const refresh = (value) => expectStatus(200, 'POST', '/auth/refresh', { body: { refresh_token: value } });
    await refresh(alice.refreshToken);
    const repeated = await refresh(alice.refreshToken);
    assert.equal((await expectStatus(200, 'GET', '/user/me', { token: repeated.access_token })).id, alice.id);
  });

  test('reusing a refresh token whose successor was used ends the session', async () => {
    const alice = await newUser('alice');
    const refresh = (value) => ({ body: { refresh_token: value } });
    const second = await expectStatus(200, 'POST', '/auth/refresh', refresh(alice.refreshToken));
    const third = await expectStatus(200, 'POST', '/auth/refresh', refresh(second.refresh_token));
    // For ten seconds, other tabs may reuse the same token.
    await new Promise((done) => setTimeout(done, 10_200));
    await expectProblem(401, 'refresh_reused', 'POST', '/auth/refresh', refresh(alice.refreshToken));
    const dead = await request('POST', '/auth/refresh', refresh(third.refresh_token));
    assert.equal(dead.status, 401, dead.text);
    await expectProblem(401, 'session_ended', 'GET', '/user/me', { token: third.access_token });
    await login(alice.username, alice.password);
  });

  test('sessions are listed and can be ended individually', async () => {
    const alice = await newUser('alice');
    const other = await login(alice.username, alice.password);
    const sessions = await fetchAllPages('/auth/session', alice);
    assert.equal(sessions.length, 2);
    const { sid } = JSON.parse(Buffer.from(other.accessToken.split('.')[1], 'base64url'));
    assert.ok(sessions.some(({ id }) => String(id) === String(sid)));
    const ended = await request('DELETE', `/auth/session/${sid}`, { user: alice });
    assert.ok(ended.status >= 200 && ended.status < 300, `${ended.status} ${ended.text}`);
    await expectProblem(401, 'session_ended', 'GET', '/user/me', { token: other.accessToken });
    assert.equal((await fetchAllPages('/auth/session', alice)).length, 1);
  });

  test('a user cannot end the session of another user', async () => {
    const [alice, bob] = await newUsers('alice', 'bob');
    const { sid } = JSON.parse(Buffer.from(bob.accessToken.split('.')[1], 'base64url'));
    await expectProblem(404, 'not_found', 'DELETE', `/auth/session/${sid}`, { user: alice });
    await expectStatus(200, 'GET', '/user/me', { user: bob });
  });
});

describe('profiles', () => {
  test('other users see only the public fields', async () => {
    const alice = await newUser('alice', { phone: uniquePhone() });
    const bob = await newUser('bob');
    const seen = await expectStatus(200, 'GET', `/user/${alice.id}`, { user: bob });
    assertKeys(seen, USER_KEYS);
    for (const key of ['phone', 'email', 'email_verified']) assert.ok(!(key in seen), key);
    const own = await expectStatus(200, 'GET', `/user/${alice.id}`, { user: alice });
    assertKeys(own, ME_KEYS);
    assert.equal(own.phone, alice.me.phone);
  });

  test('can be changed field by field', async () => {
    const alice = await newUser('alice');
    const username = unique('renamed');
    const changed = await expectStatus(200, 'PATCH', '/user/me', { user: alice, body: { name: 'Alice L.', description: 'new', username } });
    assert.deepEqual([changed.name, changed.description, changed.username], ['Alice L.', 'new', username]);
    const stored = await expectStatus(200, 'GET', '/user/me', { user: alice });
    assert.deepEqual([stored.name, stored.description, stored.username], ['Alice L.', 'new', username]);
    await login(username, alice.password);
  });

  test('a new phone requires the password', async () => {
    const alice = await newUser('alice');
    const phone = uniquePhone();
    const refused = await request('PATCH', '/user/me', { user: alice, body: { phone } });
    assert.ok([401, 403, 422].includes(refused.status), `${refused.status} ${refused.text}`);
    const long = await request('PATCH', '/user/me', { user: alice, body: { phone, password: 'x'.repeat(1025) } });
    assert.deepEqual([long.status, long.body.errors], [422, { password: ['is longer than a password can be'] }]);
    assert.equal((await expectStatus(200, 'GET', '/user/me', { user: alice })).phone, null);
    await expectStatus(200, 'PATCH', '/user/me', { user: alice, body: { phone, password: alice.password } });
    assert.equal((await expectStatus(200, 'GET', '/user/me', { user: alice })).phone, phone);
  });

  test('are found by a part of the username', async () => {
    const alice = await newUser('alice');
    const found = await fetchAllPages(`/user?query=${alice.username.slice(0, -2)}`, alice);
    assert.ok(found.some(({ id }) => id === alice.id));
  });
});

describe('chats and messages', () => {
  test('the chat list is paginated, latest activity first', () =>
    withClients(async (open) => {
      const [alice, bob] = await newUsers('alice', 'bob');
      const caller = await open(alice);
      const chats = [];
      for (let index = 0; index < 7; index += 1) chats.push((await newGroup(caller, [bob])).id);
      for (const id of [chats[2], chats[0]]) await caller.send(id, 'activity');
      const expected = [0, 2, 6, 5, 4, 3, 1].map((index) => chats[index]);
      const collected = [];
      let pages = 0;
      for (let next = '/chat?limit=3'; next; pages += 1) {
        assert.ok(pages < 3);
        const response = await request('GET', next, { user: bob });
        assert.equal(response.status, 200, response.text);
        assert.ok(response.body.length <= 3);
        for (const chat of response.body) {
          assertKeys(chat, CHAT_KEYS);
          assert.equal(chat.my.role, 'member');
        }
        collected.push(...response.body.map(({ id }) => id));
        next = nextLink(response.headers);
      }
      assert.equal(pages, 3);
      assert.deepEqual(collected, expected);
      assert.deepEqual((await fetchAllPages('/chat/?state=active', bob)).map(({ id }) => id), expected);
    }));

  test('a chat of 60 contains 50 members, and the member list has all', () =>
    withClients(async (open) => {
      const users = await newUsers(...Array.from({ length: 60 }, (_, index) => `user${index}`));
      const chat = await newGroup(await open(users[0]), users);
      const stored = await storedChat(users[59], chat.id);
      assert.equal(stored.member_count, 60);
      assert.equal(stored.members.length, 50);
      assertKeys(stored.members[0], MEMBER_KEYS);
      const members = await fetchAllPages(`/chat/${chat.id}/members`, users[59]);
      assert.deepEqual(new Set(members.map(({ user }) => user.id)), new Set(users.map(({ id }) => id)));
      assert.equal(members.length, 60);
    }));

  test('messages are read before, after and around a seq', () =>
    withClients(async (open) => {
      const [alice, stranger] = await newUsers('alice', 'stranger');
      const caller = await open(alice);
      const chat = await newGroup(caller, []);
      const seqs = [];
      for (const ack of await Promise.all(Array.from({ length: 60 }, (_, index) => caller.send(chat.id, `m${index}`)))) seqs.push(ack.message.seq);
      const page = async (query) => {
        const messages = await expectStatus(200, 'GET', `/chat/${chat.id}/messages${query}`, { user: alice });
        for (const message of messages) assertKeys(message, MESSAGE_KEYS);
        return messages.map(({ seq }) => seq);
      };
      const newestFirst = (list) => [...list].reverse();
      assert.deepEqual(await page(''), newestFirst(seqs.slice(10)), '50 by default');
      assert.deepEqual(await page('?limit=5'), newestFirst(seqs.slice(55)));
      assert.deepEqual(await page(`?before=${seqs[20]}&limit=5`), newestFirst(seqs.slice(15, 20)));
      assert.deepEqual((await page(`?after=${seqs[20]}&limit=5`)).sort((a, b) => a - b), seqs.slice(21, 26));
      assert.ok((await page(`?around=${seqs[30]}&limit=11`)).includes(seqs[30]));
      assert.deepEqual(await page(`?before=${seqs[0]}`), []);
      assert.deepEqual(await page(`?after=${seqs[59]}`), []);
      assert.deepEqual((await fetchAllPages(`/chat/${chat.id}/messages?limit=7`, alice)).map(({ seq }) => seq), newestFirst(seqs));
      await expectProblem(422, 'validation_failed', 'GET', `/chat/${chat.id}/messages?before=yesterday`, { user: alice });
      await expectProblem(404, 'not_found', 'GET', `/chat/${chat.id}/messages`, { user: stranger });
    }));

  test('trailing slashes are accepted', () =>
    withClients(async (open) => {
      const alice = await newUser('alice');
      const chat = await newGroup(await open(alice), []);
      for (const path of ['/user/me/', `/user/${alice.id}/`, '/chat/', '/chat/pinned/', `/chat/${chat.id}/`, `/chat/${chat.id}/messages/`, `/message/${chat.id}/`, '/message_type/', '/health/live/']) {
        await expectStatus(200, 'GET', path, { user: alice });
      }
      const body = { username: alice.username, password: alice.password };
      await expectStatus(200, 'POST', '/auth/login/', { body });
      await expectStatus(201, 'POST', '/user/', { body: { username: unique(), password: 'correct horse' } });
    }));

  test('there are 25 message types, in the order of their ids', async () => {
    const alice = await newUser('alice');
    const types = await expectStatus(200, 'GET', '/message_type', { user: alice });
    assert.deepEqual(types.map(({ id }) => id), Array.from({ length: 25 }, (_, index) => index + 1));
    assert.deepEqual(types.map(({ name }) => name), MESSAGE_TYPES);
    for (const type of types) assertKeys(type, ['id', 'name', 'mime', 'text']);
  });

  test('unread messages are counted for recipients, not for the sender', () =>
    withClients(async (open) => {
      const [alice, bob] = await newUsers('alice', 'bob');
      const caller = await open(alice);
      const chat = await newDirect(caller, bob);
      await caller.send(chat.id, 'one');
      await caller.send(chat.id, 'two');
      assert.equal((await storedChat(bob, chat.id)).my.unread, 2);
      assert.equal((await storedChat(alice, chat.id)).my.unread, 0);
    }));
});

describe('photos', () => {
  const photo = png(600, 300);
  const base64 = photo.toString('base64');
  const get = (path, headers = {}) => request('GET', path, { headers });

  async function assertPhoto(name) {
    for (const size of [400, 100, 50]) {
      const response = await get(`/static/${name}/${size}x${size}.webp`);
      assert.equal(response.status, 200, `${size}: ${response.text.slice(0, 200)}`);
      assert.equal(response.headers.get('content-type'), 'image/webp');
      assert.match(response.headers.get('cache-control'), /immutable/);
      assert.deepEqual({ ...webpSize(response.bytes), kind: '' }, { kind: '', width: size, height: size });
      const etag = response.headers.get('etag');
      assert.ok(etag);
      const repeated = await get(`/static/${name}/${size}x${size}.webp`, { 'if-none-match': etag });
      assert.equal(repeated.status, 304);
      assert.equal(repeated.bytes.length, 0);
      const part = await get(`/static/${name}/${size}x${size}.webp`, { range: 'bytes=0-3' });
      assert.equal(part.status, 206);
      assert.equal(part.text, 'RIFF');
    }
    for (const ext of ['jpeg', 'jpg']) {
      const response = await get(`/static/${name}/original.${ext}`);
      assert.equal(response.status, 200, ext);
      assert.equal(response.headers.get('content-type'), 'image/jpeg');
      assert.deepEqual([...response.bytes.subarray(0, 2)], [0xff, 0xd8]);
    }
  }

  test('sent as plain base64, as a data URL or with line breaks, are served in every size', async () => {
    for (const form of [base64, `data:image/png;base64,${base64}`, base64.replace(/.{76}/g, '$&\r\n')]) {
      const alice = await newUser('alice', { photo: form });
      const stored = await expectStatus(200, 'GET', '/user/me', { user: alice });
      assert.match(stored.photo, /^[\w-]+$/);
      await assertPhoto(stored.photo);
    }
  });

  test('are a default avatar if none was sent', async () => {
    const alice = await newUser('alice');
    await assertPhoto((await expectStatus(200, 'GET', '/user/me', { user: alice })).photo);
  });

  test('can be set by JSON and by multipart, and removed', async () => {
    const alice = await newUser('alice');
    const stored = async () => (await expectStatus(200, 'GET', '/user/me', { user: alice })).photo;
    const names = [await stored()];
    const json = await request('PUT', '/user/me/photo', { user: alice, body: { photo: base64 } });
    assert.ok(json.status >= 200 && json.status < 300, json.text);
    names.push(await stored());
    await assertPhoto(names[1]);
    const form = new FormData();
    form.append('image', new Blob([photo], { type: 'text/plain' }), '../../escape.txt');
    const multipart = await request('PUT', '/user/me/photo', { user: alice, raw: form });
    assert.ok(multipart.status >= 200 && multipart.status < 300, multipart.text);
    names.push(await stored());
    await assertPhoto(names[2]);
    const removed = await request('DELETE', '/user/me/photo', { user: alice });
    assert.ok(removed.status >= 200 && removed.status < 300, removed.text);
    names.push(await stored());
    assert.equal(new Set(names.slice(0, 3)).size, 3, 'a new photo has a new name');
    assert.notEqual(names[3], names[2]);
    await assertPhoto(names[3]);
  });

  test('a GIF is accepted and converted like every photo', async () => {
    const gif = 'R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7';
    const alice = await newUser('alice', { photo: `data:image/gif;base64,${gif}` });
    const me = await expectStatus(200, 'GET', '/user/me', { user: alice });
    const { bytes } = await request('GET', `/static/${me.photo}/100x100.webp`);
    assert.deepEqual(webpSize(bytes)?.width, 100);
  });

  test('photo_to_base64 returns the uploaded bytes', async () => {
    const form = new FormData();
    form.append('image', new Blob([photo], { type: 'image/png' }), 'photo.png');
    const response = await expectStatus(200, 'POST', '/user/photo_to_base64', { raw: form });
    assert.equal(response, base64);
  });

  test('that are invalid are rejected with an error for the field, and the old photo stays', async () => {
    const alice = await newUser('alice', { photo: base64 });
    const before = (await expectStatus(200, 'GET', '/user/me', { user: alice })).photo;
    const bad = {
      'broken base64': '!!!! not base64 !!!!',
      'plain text': Buffer.from('This is plain text, not a photo').toString('base64'),
      'a truncated file': photo.subarray(0, 60).toString('base64'),
      'an empty string': '',
      'an SVG': Buffer.from('<svg xmlns="http://www.w3.org/2000/svg"/>').toString('base64'),
      'a HEIC': Buffer.from('\0\0\0\x18ftypheic\0\0\0\0mif1heic', 'latin1').toString('base64'),
    };
    for (const [label, value] of Object.entries(bad)) {
      const { problem } = await expectProblem(422, 'validation_failed', 'PUT', '/user/me/photo', { user: alice, body: { photo: value } });
      assert.ok(problem.errors?.photo?.length > 0, label);
      const [kind] = /SVG|HEIC/.exec(label) ?? [];
      if (kind) assert.match(problem.errors.photo[0], new RegExp(`${kind}.*JPEG, PNG, WebP or GIF`));
    }
    const huge = await request('PUT', '/user/me/photo', { user: alice, body: { photo: bomb().toString('base64') } });
    assert.ok([413, 422].includes(huge.status), `image bomb: ${huge.status} ${huge.text}`);
    assert.match(huge.headers.get('content-type'), /^application\/problem\+json/);
    const username = unique();
    await expectProblem(422, 'validation_failed', 'POST', '/user', { body: { username, password: 'correct horse', photo: bad['plain text'] } });
    await expectProblem(401, 'invalid_credentials', 'POST', '/auth/login', { body: { username, password: 'correct horse' } });
    assert.equal((await expectStatus(200, 'GET', '/user/me', { user: alice })).photo, before);
  });

  test('paths cannot leave the folder, and other sizes do not exist', async () => {
    const alice = await newUser('alice');
    const { photo: name } = await expectStatus(200, 'GET', '/user/me', { user: alice });
    const paths = [
      '/static/..%2f..%2f..%2fetc/original.jpeg', '/static/..%2fmango.db', `/static/${name}/..%2f..%2fmango.db`,
      '/static/..%5c../original.jpeg', `/static/${name}/original.jpeg%00.webp`, `/static/${name}/401x401.webp`,
      `/static/${name}/original.webp`, '/static/nobody/original.jpeg', '/static/', `/static/${name}`,
    ];
    for (const path of paths) {
      const { status } = await request('GET', path);
      assert.ok([400, 404].includes(status), `${path}: ${status}`);
    }
    await assertPhoto(name);
  });
});

describe('operation', () => {
  test('health, documents and the API page need no token', async () => {
    await expectStatus(200, 'GET', '/health/live');
    await expectStatus(200, 'GET', '/health/ready');
    const document = await expectStatus(200, 'GET', '/openapi.json');
    assert.match(document.openapi, /^3\./);
    for (const path of ['/user', '/auth/login', '/chat', '/chat/{id}/messages', '/user/create', '/message/{id}']) {
      assert.ok(document.paths[path], `${path} is documented`);
    }
    const page = await request('GET', '/docs');
    const target = page.status >= 300 && page.status < 400 ? await request('GET', page.headers.get('location')) : page;
    assert.equal(target.status, 200);
    assert.match(target.headers.get('content-type'), /text\/html/);
  });
});
