// A bot on the SDK. It survives restarts of the server and answers every command exactly once.

import { MangoChat, sessionTokens } from 'mango-chat-client';
import WebSocket from 'ws';
import { answerTo, greeting } from './commands.mjs';

const { MANGO_URL: url = 'http://localhost:5000', MANGO_USERNAME: username = 'bob', MANGO_PASSWORD: password = 'mango-demo' } = process.env;
const RETRY_LOGIN_MS = 5000;
/** Errors of a login that trying again does not change. */
const REFUSED = new Set(['invalid_credentials', 'user_banned']);

const tokens = sessionTokens({ url });
// With `tellUnread` the bot also hears what was written before it started: up to 30 unread messages of each chat.
// Node.js 22 has a WebSocket of its own; for Node.js 20 the SDK needs the class of the package `ws`.
const client = new MangoChat({ url, token: tokens, tellUnread: true, WebSocket: globalThis.WebSocket ?? WebSocket });

/** Users who joined before the bot started are not greeted. */
let startedAt;

/** Sends a text once. The `clientId` says what it answers, so the server refuses a second answer, even after a restart. */
async function sayOnce(chatId, text, clientId, options) {
  try {
    await client.send(chatId, text, { clientId, ...options });
  } catch (error) {
    // The bot was stopped after it had answered and before it had noted that; the other answer stands.
    if (error.code !== 'client_id_conflict') throw error;
  }
}

async function handleMessage(message, chatId) {
  if (message.user.id === client.userId) return;
  const answer = message.message_type === 'text' ? answerTo(message.content) : null;
  if (answer) await sayOnce(chatId, answer, `answer-${message.id}`, { replyTo: message.id });
  // The read mark is the bot's memory: what is above it is still to be handled.
  await client.markRead(chatId, message.seq);
}

const greeted = new Set();

async function greet({ user, joined_at: joinedAt }, { id, chat }) {
  const clientId = `welcome-${id}-${user.id}-${joinedAt}`;
  // The first members join together with the chat itself.
  const isNew = chat.is_group && joinedAt > startedAt && joinedAt > chat.created_at && user.id !== client.userId;
  if (!isNew || greeted.has(clientId)) return;
  await sayOnce(id, greeting(user), clientId);
  greeted.add(clientId);
}

const report = (error) => console.error(error.message);

/** The start of a session, while it lasts. */
let starting = null;

/** Runs a job; once more if the session ended in the middle of it. */
async function complete(job) {
  try {
    await job();
  } catch (error) {
    if (!starting) throw error;
    await starting;
    await complete(job);
  }
}

// One message after the other, so that the read mark never passes a message that is still to be answered.
let work = Promise.resolve();
const enqueue = (job) => { work = work.then(() => complete(job)).catch(report); };

client.on('ready', ({ server_time: now }) => { startedAt ??= now; });
client.on('message', (message, chat) => enqueue(() => handleMessage(message, chat.id)));
client.on('change', ({ type, chat, data }) => {
  // A member who joined while the bot was offline comes without an event, as part of the chat.
  const members = type === 'member_added' ? [data.member] : data ? [] : chat.chat.members;
  for (const member of members) enqueue(() => greet(member, chat));
});
client.on('error', report);
client.on('status', (status) => {
  console.log(status);
  // The session has ended, for example because it has reached its greatest age.
  if (status === 'dismissed') start();
});

function start() {
  starting ??= logInAndConnect().finally(() => { starting = null; });
  return starting;
}

/** Tries until it succeeds. Ends the program if the login is refused. */
async function logInAndConnect() {
  for (;;) {
    try {
      await tokens.login({ username, password });
      return await client.connect();
    } catch (error) {
      report(error);
      if (REFUSED.has(error.code)) process.exit(1);
      await new Promise((resolve) => setTimeout(resolve, RETRY_LOGIN_MS));
    }
  }
}

await start();
