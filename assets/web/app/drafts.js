// Drafts: kept in this browser at once, and on the server a moment later, so that they are on all devices.
import { debounce } from '../shared/dom.js';
import { session } from './session.js';

const SYNC_MS = 900;
const listeners = new Set();
const savers = new Map();

const keyOf = (chatId) => `mango-draft-${session.userId}-${chatId}`;
/** Calls `listener(chatId)` when a draft changes; returns a function that ends it. */
export const onDrafts = (listener) => {
  listeners.add(listener);
  return () => listeners.delete(listener);
};
const tell = (chatId) => {
  for (const listener of listeners) listener(chatId);
};

function read(chatId) {
  try {
    return JSON.parse(localStorage.getItem(keyOf(chatId)) ?? 'null');
  } catch {
    return null;
  }
}
function write(chatId, draft) {
  try {
    if (draft) localStorage.setItem(keyOf(chatId), JSON.stringify(draft));
    else localStorage.removeItem(keyOf(chatId));
  } catch {
    /* Then only the server keeps it. */
  }
}

/** The draft of a chat: what was written here and is not on the server yet, else the server's. */
export function draftOf(state) {
  const local = read(state.id);
  const { draft } = state.my;
  if (!local) return draft;
  // The server's is newer if another device has saved after this one wrote.
  if (!local.isUnsaved && (!draft || draft.saved_at >= local.savedAt)) return draft;
  return local.content.trim() || local.replyTo ? { content: local.content, reply_to: local.replyTo } : null;
}

/** Keeps what is written. */
export function keepDraft(chatId, content, replyTo = null) {
  write(chatId, { content, replyTo, isUnsaved: true });
  tell(chatId);
  if (!savers.has(chatId))
    savers.set(
      chatId,
      debounce((text, reply) => save(chatId, text, reply), SYNC_MS),
    );
  savers.get(chatId)(content, replyTo);
}

/** Forgets the draft, because it was sent. */
export function dropDraft(chatId) {
  savers.get(chatId)?.cancel();
  const hadDraft = Boolean(session.client.chats.get(chatId)?.my.draft);
  write(chatId, { content: '', replyTo: null, isUnsaved: true });
  tell(chatId);
  // Without a connection it is removed from the server later, from what is kept here.
  if (hadDraft) save(chatId, '', null);
  else write(chatId, null);
}

async function save(chatId, content, replyTo) {
  try {
    const saved = await session.client.saveDraft(chatId, content.trim() ? content : '', {
      replyTo: content.trim() ? replyTo : null,
    });
    const local = read(chatId);
    if (!local || local.content !== content) return;
    write(chatId, saved ? { content, replyTo, isUnsaved: false, savedAt: saved.saved_at } : null);
  } catch {
    /* It stays here, and is saved with the next change. */
  }
}

/** Saves on the server what could not be saved before: without a connection, or because the page was left. */
export function startDrafts() {
  const { client } = session;
  const saveAll = () => {
    for (const id of client.chats.keys()) {
      const local = read(id);
      if (local?.isUnsaved) save(id, local.content, local.replyTo);
    }
  };
  client.on('synced', ({ full }) => {
    if (full) saveAll();
  });
  addEventListener('pagehide', () => {
    for (const saver of savers.values()) saver.now();
  });
}

addEventListener('storage', ({ key }) => {
  const id = key?.startsWith(`mango-draft-${session.userId}-`) && Number(key.split('-').at(-1));
  if (id) tell(id);
});
