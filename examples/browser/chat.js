// Signs in, shows the chat with the latest activity live, and sends.

import { MangoChat, sessionTokens } from 'http://localhost:5000/client/mango-chat.js';

const url = 'http://localhost:5000';
const TYPING_EVERY_MS = 3000;

const find = (selector) => document.querySelector(selector);
const list = find('ol');

// The tokens are in `localStorage`: a reload and other tabs stay signed in.
const token = sessionTokens({ url });
let client;
let chatId;
let typingToldAt = 0;

/** A client that was closed on purpose is no error. */
const showError = (error) => { find('[role=alert]').textContent = error && error.code !== 'closed' ? error.message : ''; };

function latestChat() {
  const activity = ({ chat }) => chat.last_message?.created_at ?? chat.created_at;
  return [...client.chats.values()].sort((a, b) => activity(b).localeCompare(activity(a)))[0];
}

/** Both names may be missing: a user can register with a phone number alone. */
const nameOf = ({ id, name, username }) => name ?? username ?? `User ${id}`;

/** A direct chat has no name of its own: it is called like the other user. */
function titleOf({ name, members }) {
  const other = members.find(({ user }) => user.id !== client.userId)?.user;
  return name ?? (other ? nameOf(other) : 'Chat');
}

function line(key, text, className = '') {
  const item = document.createElement('li');
  Object.assign(item, { className, textContent: text });  // textContent, never innerHTML: messages are written by strangers
  item.dataset.key = key;
  return item;
}

function render() {
  const state = client.chats.get(chatId);
  find('[role=status]').textContent = client.status === 'online' ? '' : 'Offline. Messages are sent when the connection is back.';
  if (!state) return;
  const isAtEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 50;
  find('h1').textContent = titleOf(state.chat);
  // `messages` is in the order of `seq`. Unsent messages come last and disappear when they are stored.
  const stored = state.messages.map(({ id, user, content, deleted_at: deletedAt }) =>
    line(id, deletedAt ? `${nameOf(user)}'s message was deleted` : `${nameOf(user)}: ${content}`));
  const unsent = client.pending(chatId).map(({ clientId, content }) => line(clientId, `… ${content}`, 'unsent'));
  list.replaceChildren(...stored, ...unsent);
  const names = state.chat.members.filter(({ user }) => state.typing.has(user.id)).map(({ user }) => nameOf(user));
  find('#typing').textContent = names.length ? `${names.join(', ')} is typing…` : '';
  if (isAtEnd) list.scrollTop = list.scrollHeight;
  if (state.my.unread && isAtEnd && document.hasFocus()) client.markRead(chatId).catch(showError);
}

// One render for many events. It runs after them: `typing` is emitted before the chat's `typing` has changed.
let isScheduled = false;
function scheduleRender() {
  if (isScheduled) return;
  isScheduled = true;
  queueMicrotask(() => { isScheduled = false; if (client) render(); });
}

async function open() {
  client = new MangoChat({ url, token });
  for (const event of ['status', 'change', 'chat', 'typing']) client.on(event, scheduleRender);
  client.on('error', showError);
  client.on('gone', ({ chatId: gone }) => { if (gone === chatId) chatId = latestChat()?.id; scheduleRender(); });
  client.on('status', (status) => {
    if (status === 'online') showError(null);
    if (status === 'dismissed') show(false);  // the session has ended: sign in again
  });
  show(true);
  await client.connect();
  chatId = latestChat()?.id;
  render();
}

function show(isSignedIn) {
  find('#login').hidden = isSignedIn;
  find('#conversation').hidden = !isSignedIn;
}

find('#login').addEventListener('submit', async (event) => {
  event.preventDefault();
  showError(null);
  const { username, password } = Object.fromEntries(new FormData(event.target));
  try {
    await token.login({ username, password });
    await open();
  } catch (error) {
    showError(error);
  }
});

find('#send').addEventListener('submit', (event) => {
  event.preventDefault();
  const { text } = event.target.elements;
  if (!text.value.trim() || !chatId) return;
  // Shown at once as unsent; the promise settles when the server has stored or refused it.
  client.send(chatId, text.value).catch(showError).finally(scheduleRender);
  text.value = '';
  render();
});

find('#send input').addEventListener('input', () => {
  if (Date.now() - typingToldAt < TYPING_EVERY_MS) return;
  typingToldAt = Date.now();
  client.typing(chatId);
});

find('#logout').addEventListener('click', async () => {
  client.close();
  client = chatId = undefined;
  show(false);
  list.replaceChildren();
  await token.logout().catch(showError);
});

// Who comes back to the tab has read what is on the screen.
addEventListener('focus', () => { if (client) scheduleRender(); });

if (await token.isLoggedIn()) open().catch(showError);
