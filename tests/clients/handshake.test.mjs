// Authentication: every way to send a token, through every door, and the errors that refused clients receive.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  claimsOf, doors, expectProblem, expectStatus, expired, jwtSecret, login, newUser, newUsers, newGroup, refusal, request,
  settle, signed, storedMessages, tokenForms, unsigned, url, usualDoor, withClients,
} from './support.mjs';

/** Invalid tokens, by what is wrong with them. */
const badTokens = {
  'is no token': () => 'garbage',
  'has a changed signature': (token) => `${token.slice(0, -6)}${token.endsWith('AAAAAA') ? 'BBBBBB' : 'AAAAAA'}`,
  'is unsigned (alg: none)': unsigned,
  'is signed with a foreign key': (token) => signed(claimsOf(token), 'a foreign key that is long enough for HS256'),
  'names another algorithm': (token) => signed(claimsOf(token), jwtSecret, { alg: 'HS512', typ: 'JWT' }),
};

for (const door of doors) {
  describe(`the handshake at ${door.label}`, () => {
    for (const form of tokenForms) {
      test(`takes the token from ${form.label}`, () =>
        withClients(async (open) => {
          const alice = await newUser('alice');
          const client = await open(alice, door, form.options(alice.accessToken));
          assert.equal(client.ready.user_id, alice.id);
          const chat = await newGroup(client, []);
          await client.send(chat.id, 'I am in');
          assert.equal((await storedMessages(alice, chat.id)).length, 1);
        }));
    }

    test('refuses who shows no token', async () => {
      assert.equal(await refusal(door, {}), 'unauthorized: token_missing');
    });

    test('refuses a bad token in every form', async () => {
      for (const form of tokenForms) {
        assert.equal(await refusal(door, form.options('not.a.token')), 'unauthorized: token_invalid', form.label);
      }
    });

    test('refuses an expired token in every form', async () => {
      const alice = await newUser('alice');
      for (const form of tokenForms) {
        assert.equal(await refusal(door, form.options(expired(alice.accessToken))), 'unauthorized: token_expired', form.label);
      }
    });

    test('refuses a refresh token', async () => {
      const alice = await newUser('alice');
      assert.equal(await refusal(door, { auth: { token: alice.refreshToken } }), 'unauthorized: token_invalid');
    });

    test('refuses the token of an ended session', async () => {
      const alice = await newUser('alice');
      const { status } = await request('POST', '/auth/logout', { user: alice });
      assert.ok(status < 300, `logout: ${status}`);
      assert.equal(await refusal(door, { auth: { token: alice.accessToken } }), 'unauthorized: session_ended');
    });
  });
}

describe('the handshake', () => {
  test('believes the first token it finds: auth header, Authorization, payload, cookie', () =>
    withClients(async (open) => {
      const users = await newUsers('header', 'bearer', 'payload', 'cookie');
      const tokens = users.map(({ accessToken }) => accessToken);
      const shown = [
        { extraHeaders: { auth: tokens[0], authorization: `Bearer ${tokens[1]}`, cookie: `access_token=${tokens[3]}` }, auth: { token: tokens[2] } },
        { extraHeaders: { authorization: `Bearer ${tokens[1]}`, cookie: `access_token=${tokens[3]}` }, auth: { token: tokens[2] } },
        { extraHeaders: { cookie: `access_token=${tokens[3]}` }, auth: { token: tokens[2] } },
        { extraHeaders: { cookie: `access_token=${tokens[3]}` } },
      ];
      for (const [index, options] of shown.entries()) {
        const client = await open(users[index], usualDoor, options);
        assert.equal(client.ready.user_id, users[index].id);
        assert.equal((await expectStatus(200, 'GET', '/user/me', { user: users[index] })).id, client.ready.user_id);
      }
    }));

  test('does not count a cookie that a foreign page brings along', async () => {
    const alice = await newUser('alice');
    const options = { extraHeaders: { cookie: `access_token=${alice.accessToken}`, origin: 'https://elsewhere.example' } };
    for (const door of doors.filter(({ transports }) => transports.length === 1)) {
      assert.equal(await refusal(door, options), 'unauthorized: token_missing', door.label);
    }
  });

  test('counts a cookie from a page of the same origin', () =>
    withClients(async (open) => {
      const alice = await newUser('alice');
      const options = { extraHeaders: { cookie: `access_token=${alice.accessToken}`, origin: new URL(url).origin } };
      for (const door of doors) {
        assert.equal((await open(alice, door, options)).ready.user_id, alice.id, door.label);
      }
    }));

  for (const [what, forge] of Object.entries(badTokens)) {
    test(`refuses a token that ${what}, as REST does`, async () => {
      const alice = await newUser('alice');
      const token = forge(alice.accessToken);
      assert.equal(await refusal(usualDoor, { auth: { token } }), 'unauthorized: token_invalid');
      await expectProblem(401, 'token_invalid', 'GET', '/user/me', { token });
      assert.equal((await expectStatus(200, 'GET', '/user/me', { user: alice })).id, alice.id);
    });
  }

  test('after a login by form and one by JSON, both sessions are served', () =>
    withClients(async (open) => {
      const alice = await newUser('alice');
      const byForm = await expectStatus(200, 'POST', '/auth/login', {
        form: { grant_type: 'password', username: alice.username, password: alice.password },
      });
      const byJson = await login(alice.username, alice.password);
      const [first, second] = [await open({ accessToken: byForm.access_token }), await open({ accessToken: byJson.accessToken })];
      assert.notEqual(first.ready.session_id, second.ready.session_id);
      const chat = await newGroup(first, [], { hearers: [second] });
      await settle(first, chat.id, second);
      await settle(second, chat.id, first);
      assert.equal((await storedMessages(alice, chat.id)).length, 2);
    }));
});

describe('a client with the wrong path', () => {
  for (const transports of [['websocket'], ['polling'], ['polling', 'websocket']]) {
    for (const namespace of ['/', '/ws']) {
      test(`/ws over ${transports.join(', then ')} and namespace ${namespace} is told at once what is meant`, async () => {
        const since = Date.now();
        const message = await refusal({ label: 'path /ws', path: '/ws', namespace, transports }, { auth: { token: 'any' } });
        assert.match(message, /path.*\/ws\/socket\.io/);
        assert.ok(Date.now() - since < 5_000, `${Date.now() - since} ms`);
      });
    }
  }

  test('an event that there is not is answered with the nearest one', () =>
    withClients(async (open) => {
      const client = await open(await newUser('alice'));
      assert.match((await client.refused('unknown_event', 'send_mesage', {})).message, /send_message/);
      const { message } = await client.refused('unknown_event', 'bogus', {});
      assert.doesNotMatch(message, /did you mean/i);
    }));
});
