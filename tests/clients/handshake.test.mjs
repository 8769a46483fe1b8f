// Authentication: every way to send a token, at every endpoint, and the errors that rejected clients receive.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  claimsOf, endpoints, expectProblem, expectStatus, expired, jwtSecret, login, newUser, newUsers, newGroup, connectError, request,
  settle, signed, storedMessages, tokenForms, unsigned, url, defaultEndpoint, withClients,
} from './support.mjs';

/** Invalid tokens by their defect. */
const badTokens = {
  'is not a JWT': () => 'garbage',
  'has a changed signature': (token) => `${token.slice(0, -6)}${token.endsWith('AAAAAA') ? 'BBBBBB' : 'AAAAAA'}`,
  'is unsigned (alg: none)': unsigned,
  'is signed with another key': (token) => signed(claimsOf(token), 'another key that is long enough for HS256'),
  'names another algorithm': (token) => signed(claimsOf(token), jwtSecret, { alg: 'HS512', typ: 'JWT' }),
};

for (const endpoint of endpoints) {
  describe(`the handshake at ${endpoint.label}`, () => {
    for (const form of tokenForms) {
      test(`accepts the token from ${form.label}`, () =>
        withClients(async (open) => {
          const alice = await newUser('alice');
          const client = await open(alice, endpoint, form.options(alice.accessToken));
          assert.equal(client.ready.user_id, alice.id);
          const chat = await newGroup(client, []);
          await client.send(chat.id, 'I am in');
          assert.equal((await storedMessages(alice, chat.id)).length, 1);
        }));
    }

    test('rejects a connection without a token', async () => {
      assert.equal(await connectError(endpoint, {}), 'unauthorized: token_missing');
    });

    test('rejects an invalid token in every form', async () => {
      for (const form of tokenForms) {
        assert.equal(await connectError(endpoint, form.options('not.a.token')), 'unauthorized: token_invalid', form.label);
      }
    });

    test('rejects an expired token in every form', async () => {
      const alice = await newUser('alice');
      for (const form of tokenForms) {
        assert.equal(await connectError(endpoint, form.options(expired(alice.accessToken))), 'unauthorized: token_expired', form.label);
      }
    });

    test('rejects a refresh token', async () => {
      const alice = await newUser('alice');
      assert.equal(await connectError(endpoint, { auth: { token: alice.refreshToken } }), 'unauthorized: token_invalid');
    });

    test('rejects the token of an ended session', async () => {
      const alice = await newUser('alice');
      const { status } = await request('POST', '/auth/logout', { user: alice });
      assert.ok(status < 300, `logout: ${status}`);
      assert.equal(await connectError(endpoint, { auth: { token: alice.accessToken } }), 'unauthorized: session_ended');
    });
  });
}

describe('the handshake', () => {
  test('uses the first token it finds: auth header, Authorization, payload, cookie', () =>
    withClients(async (open) => {
      const users = await newUsers('header', 'bearer', 'payload', 'cookie');
      const tokens = users.map(({ accessToken }) => accessToken);
      const handshakes = [
        { extraHeaders: { auth: tokens[0], authorization: `Bearer ${tokens[1]}`, cookie: `access_token=${tokens[3]}` }, auth: { token: tokens[2] } },
        { extraHeaders: { authorization: `Bearer ${tokens[1]}`, cookie: `access_token=${tokens[3]}` }, auth: { token: tokens[2] } },
        { extraHeaders: { cookie: `access_token=${tokens[3]}` }, auth: { token: tokens[2] } },
        { extraHeaders: { cookie: `access_token=${tokens[3]}` } },
      ];
      for (const [index, options] of handshakes.entries()) {
        const client = await open(users[index], defaultEndpoint, options);
        assert.equal(client.ready.user_id, users[index].id);
        assert.equal((await expectStatus(200, 'GET', '/user/me', { user: users[index] })).id, client.ready.user_id);
      }
    }));

  test('ignores a cookie from a page of another origin', async () => {
    const alice = await newUser('alice');
    const options = { extraHeaders: { cookie: `access_token=${alice.accessToken}`, origin: 'https://elsewhere.example' } };
    for (const endpoint of endpoints.filter(({ transports }) => transports.length === 1)) {
      assert.equal(await connectError(endpoint, options), 'unauthorized: token_missing', endpoint.label);
    }
  });

  test('accepts a cookie from a page of the same origin', () =>
    withClients(async (open) => {
      const alice = await newUser('alice');
      const options = { extraHeaders: { cookie: `access_token=${alice.accessToken}`, origin: new URL(url).origin } };
      for (const endpoint of endpoints) {
        assert.equal((await open(alice, endpoint, options)).ready.user_id, alice.id, endpoint.label);
      }
    }));

  for (const [what, forge] of Object.entries(badTokens)) {
    test(`rejects a token that ${what}, like REST`, async () => {
      const alice = await newUser('alice');
      const token = forge(alice.accessToken);
      assert.equal(await connectError(defaultEndpoint, { auth: { token } }), 'unauthorized: token_invalid');
      await expectProblem(401, 'token_invalid', 'GET', '/user/me', { token });
      assert.equal((await expectStatus(200, 'GET', '/user/me', { user: alice })).id, alice.id);
    });
  }

  test('a form login and a JSON login create two working sessions', () =>
    withClients(async (open) => {
      const alice = await newUser('alice');
      const byForm = await expectStatus(200, 'POST', '/auth/login', {
        form: { grant_type: 'password', username: alice.username, password: alice.password },
      });
      const byJson = await login(alice.username, alice.password);
      const [first, second] = [await open({ accessToken: byForm.access_token }), await open({ accessToken: byJson.accessToken })];
      assert.notEqual(first.ready.session_id, second.ready.session_id);
      const chat = await newGroup(first, [], { listeners: [second] });
      await settle(first, chat.id, second);
      await settle(second, chat.id, first);
      assert.equal((await storedMessages(alice, chat.id)).length, 2);
    }));
});

describe('a client with the wrong path', () => {
  for (const transports of [['websocket'], ['polling'], ['polling', 'websocket']]) {
    for (const namespace of ['/', '/ws']) {
      test(`/ws over ${transports.join(', then ')} and namespace ${namespace} gets an error with the right path at once`, async () => {
        const since = Date.now();
        const message = await connectError({ label: 'path /ws', path: '/ws', namespace, transports }, { auth: { token: 'any' } });
        assert.match(message, /path.*\/ws\/socket\.io/);
        assert.ok(Date.now() - since < 5_000, `${Date.now() - since} ms`);
      });
    }
  }

  test('the error for an unknown event suggests the closest name', () =>
    withClients(async (open) => {
      const client = await open(await newUser('alice'));
      assert.match((await client.expectError('unknown_event', 'send_mesage', {})).message, /send_message/);
      const { message } = await client.expectError('unknown_event', 'bogus', {});
      assert.doesNotMatch(message, /did you mean/i);
    }));
});
