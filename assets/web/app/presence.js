// Watches who of the people on the screen is online.
import { debounce } from '../shared/dom.js';
import { session } from './session.js';
import { otherOf, sortedChats } from './chat_info.js';

const MOST = 500;

/** Keeps watching the people of the newest direct chats and of the open group. */
export function startPresence(currentConversation) {
  const { client } = session;
  let watched = '';
  const watch = debounce(() => {
    const ids = new Set();
    const open = client.chats.get(currentConversation()?.chatId);
    for (const { user } of open?.chat.members ?? []) ids.add(user.id);
    for (const state of sortedChats()) {
      const other = otherOf(state);
      if (other && !other.deleted && ids.size < MOST) ids.add(other.id);
    }
    ids.delete(session.userId);
    const list = [...ids].sort((a, b) => a - b);
    if (String(list) === watched || !list.length) return;
    watched = String(list);
    client
      .watchPresence(list)
      .then(() => dispatchEvent(new Event('mango-presence')))
      .catch(() => {
        watched = '';
      });
  }, 300);
  client.on('synced', () => watch());
  client.on('chat', () => watch());
  client.on('presence', () => dispatchEvent(new Event('mango-presence')));
  addEventListener('popstate', () => watch());
  addEventListener('mango-chat-opened', () => watch());
}
