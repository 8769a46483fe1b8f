// The same bot with socket.io-client and nothing else. Shows what a client without the SDK has to do: renew its token,
// fetch after every connect what it missed (`sync`), and repeat a send whose acknowledgement was lost.

import { setTimeout as sleep } from 'node:timers/promises';
import { io } from 'socket.io-client';
import { answerTo, greeting } from './commands.mjs';

const { MANGO_URL: url = 'http://localhost:5000', MANGO_USERNAME: username = 'bob', MANGO_PASSWORD: password = 'mango-demo' } = process.env;
const RETRY_MS = 1000;
const ACK_TIMEOUT_MS = 10_000;
/** An access token is renewed this long before it ends; the server asks for a new one 60 s before. */
const RENEW_BEFORE_MS = 90_000;
/** A send that fails with one of these is sent again; with any other it is given up. */
const TEMPORARY = new Set(['rate_limited', 'unavailable', 'internal']);
/** Errors of a login that trying again does not change. */
const REFUSED = new Set(['invalid_credentials', 'user_banned']);

// --- tokens -----------------------------------------------------------------------------------

let session = null;

async function post(path, body) {
  const response = await fetch(`${url}${path}`, {
    method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body),
  });
  if (response.ok) return response.json();
  const { code, detail } = await response.json().catch(() => ({}));
  throw Object.assign(new Error(detail ?? `${path} answers ${response.status}`), { code });
}

/** Returns an access token that is valid for a while: the present one, or one by refresh, or one by a new login. */
async function accessToken() {
  if (session && Date.now() < session.renewAt) return session.access_token;
  const refreshed = session && await post('/auth/refresh', { refresh_token: session.refresh_token }).catch(() => null);
  const pair = refreshed ?? await post('/auth/login', { username, password });
  session = { ...pair, renewAt: Date.now() + pair.expires_in * 1000 - RENEW_BEFORE_MS };
  return session.access_token;
}

// --- connection -------------------------------------------------------------------------------

const socket = io(url, {
  path: '/ws/socket.io',
  transports: ['websocket'],
  // A function, so that every reconnect has a valid token.
  auth: (answer) => accessToken().then((token) => answer({ token }), (error) => {
    report(error);
    if (REFUSED.has(error.code)) process.exit(1);
    answer({});
  }),
});

function report(error) {
  console.error(error.message);
}

/** socket.io-client reconnects after a lost connection, but not after a refusal or after the server's `disconnect`. */
async function reconnect(reason) {
  console.log('not connected:', reason);
  if (socket.active) return;
  await sleep(RETRY_MS);
  socket.connect();
}

socket.on('connect_error', ({ message }) => {
  if (message.startsWith('unauthorized')) session = null;
  reconnect(message);
});
socket.on('disconnect', reconnect);
socket.on('session_ended', () => { session = null; });
socket.on('token_expiring', async () => {
  try {
    socket.emit('authenticate', { token: await accessToken() });
  } catch (error) {
    report(error);
  }
});

/** Sends a command until it is acknowledged, over as many connections as that takes. */
async function call(event, payload) {
  for (;;) {
    const ack = await socket.timeout(ACK_TIMEOUT_MS).emitWithAck(event, payload).catch(() => null);
    if (ack?.ok) {
      advance({ ...ack, chat: ack.chat_id });
      return ack;
    }
    if (ack && !TEMPORARY.has(ack.error.code)) throw Object.assign(new Error(ack.error.message), { code: ack.error.code });
    await sleep(ack?.error.retry_after_ms ?? RETRY_MS);
  }
}

// --- catching up ------------------------------------------------------------------------------

let me;
let startedAt;
let userRev;
let epoch;
const chats = new Map();
/** For each chat the `rev` up to which everything has been seen: what `sync` asks for as `since`. */
let revs = {};
/** Messages up to this `seq` have been handled, by chat. */
const handled = new Map();
/** Events that arrive during a `sync` wait here: what it brings is older. Null when no sync is running. */
let held = null;

/** Moves the position of a chat on. Returns false if something before this change is missing. */
function advance({ chat, rev, prev }) {
  const known = revs[chat] ?? 0;
  if (prev === undefined || rev <= known) return true;
  if (prev > known) return false;
  revs[chat] = rev;
  return true;
}

/** Fetches what was missed, page by page. What is fetched twice does no harm: everything is answered once. */
async function fetchMissed() {
  for (let page; !page || page.has_more;) {
    page = await call('sync', { since: revs, user_rev: userRev, epoch });
    if (page.reset) {
      revs = {};
      handled.clear();
    }
    for (const chat of page.chats) {
      chats.set(chat.id, chat);
      if (!handled.has(chat.id)) handled.set(chat.id, chat.my.last_read_seq);
      for (const member of chat.members) enqueue(() => greet(member, chat.id));
    }
    for (const message of page.messages) enqueue(() => handleMessage(message));
    for (const { chat_id: id } of page.left) {
      delete revs[id];
      handled.delete(id);
    }
    Object.assign(revs, page.revs);
    ({ user_rev: userRev, epoch } = page);
  }
}

async function catchUp() {
  if (held) return;
  held = [];
  await fetchMissed().catch(report);
  const waiting = held;
  held = null;
  for (const [event, payload] of waiting) receive(event, payload);
}

function receive(event, payload) {
  if (event === 'ready') {
    me = payload.user_id;
    startedAt ??= payload.server_time;
    console.log('online');
    catchUp();
    return;
  }
  // A new message carries its own `seq`; its `rev` may be that of a later edit.
  const position = { ...payload, rev: event === 'new_message' ? payload.seq : payload.rev };
  const isGap = !held && !advance(position);
  if (isGap || event === 'sync_hint') catchUp();
  if (held) held.push([event, payload]);
  else apply(event, payload);
}

function apply(event, payload) {
  const { chat, member, details } = payload;
  if (details) chats.set(chat, details);
  if (event === 'new_message') enqueue(() => handleMessage(payload));
  if (event !== 'member_added') return;
  // Somebody has added the bot itself: it does not have the chat yet.
  if (member.user.id === me) catchUp();
  else enqueue(() => greet(member, chat));
}

socket.onAny(receive);

// --- the bot ----------------------------------------------------------------------------------

// One message after the other, so that the read mark never passes a message that is still to be answered.
let work = Promise.resolve();
function enqueue(job) {
  work = work.then(job).catch(report);
}

/** Sends a text once. The `client_id` says what it answers, so the server refuses a second answer, even after a restart. */
async function sayOnce(message) {
  try {
    await call('send_message', { message: { message_type: 'text', ...message } });
  } catch (error) {
    // The bot was stopped after it had answered and before it had noted that; the other answer stands.
    if (error.code !== 'client_id_conflict') throw error;
  }
}

async function handleMessage({ id, chat_id: chat, seq, user, content, message_type: type }) {
  if (user.id === me || seq <= (handled.get(chat) ?? 0)) return;
  const answer = type === 'text' ? answerTo(content) : null;
  if (answer) await sayOnce({ chat_id: chat, content: answer, client_id: `answer-${id}`, reply_to: id });
  handled.set(chat, seq);
  // The read mark is the bot's memory across its own restarts.
  await call('mark_read', { chat: { id: chat }, seq });
}

const greeted = new Set();

async function greet({ user, joined_at: joinedAt }, chatId) {
  const chat = chats.get(chatId);
  const clientId = `welcome-${chatId}-${user.id}-${joinedAt}`;
  // The first members join together with the chat itself.
  const isNew = chat?.is_group && joinedAt > startedAt && joinedAt > chat.created_at && user.id !== me;
  if (!isNew || greeted.has(clientId)) return;
  await sayOnce({ chat_id: chatId, content: greeting(user), client_id: clientId });
  greeted.add(clientId);
}
