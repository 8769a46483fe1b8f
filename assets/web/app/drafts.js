// Drafts: kept in this browser at once, and on the server a moment later, so that they are on all devices.
import { debounce } from '../shared/dom.js';
import { session } from './session.js';

const SYNC_MS = 900;
const listeners = new Set();
const savers = new Map();
/** The save of each chat that is on its way, and what is to be saved after it. */
const saving = new Map();
/** When each chat's draft was last saved, as far as it is known. */
const savedAt = new Map();

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
  // The server's is newer if another device has saved after this one wrote. What this one has removed may still be
  // there: the event follows the answer.
  const isEmpty = !local.content.trim() && !local.replyTo;
  const isNewer = draft && (isEmpty ? draft.saved_at > (local.savedAt ?? '') : draft.saved_at >= local.savedAt);
  if (!local.isUnsaved && (isNewer || (!draft && !isEmpty))) return draft;
  return isEmpty ? null : { content: local.content, reply_to: local.replyTo };
}

/** Keeps what is written. */
export function keepDraft(chatId, content, replyTo = null) {
  write(chatId, { content, replyTo, isUnsaved: true, mayBeSaved: mayBeSaved(chatId) });
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
  const isSaved = mayBeSaved(chatId);
  write(chatId, isSaved ? { content: '', replyTo: null, isUnsaved: true, mayBeSaved: true } : null);
  tell(chatId);
  // Without a connection it is removed from the server later, from what is kept here.
  if (isSaved) save(chatId, '', null);
}

/** Whether the server may have a draft of the chat: one that is known, or one that was sent and not answered yet. */
function mayBeSaved(chatId) {
  const local = read(chatId);
  const hasLocal = local && (local.mayBeSaved || !local.isUnsaved);
  return Boolean(hasLocal || saving.has(chatId) || session.client.chats.get(chatId)?.my.draft);
}

/**
 * Saves a draft on the server: one save of a chat at a time, so that none overtakes a later one. Of those that wait,
 * only the last counts; without a connection it waits in this browser.
 */
async function save(chatId, content, replyTo) {
  const running = saving.get(chatId);
  if (running) {
    running.next = { content, replyTo };
    return;
  }
  const own = { next: { content, replyTo } };
  saving.set(chatId, own);
  try {
    while (own.next && session.client.status === 'online') {
      const { next } = own;
      own.next = null;
      await saveNow(chatId, next).catch(() => {
        /* It stays here, and is saved with the next change. */
      });
    }
  } finally {
    saving.delete(chatId);
  }
}

async function saveNow(chatId, { content, replyTo }) {
  const before = read(chatId);
  if (before) write(chatId, { ...before, mayBeSaved: true });
  const hasText = Boolean(content.trim());
  const lastKnown = session.client.chats.get(chatId)?.my.draft?.saved_at;
  const saved = await session.client.saveDraft(chatId, hasText ? content : '', { replyTo: hasText ? replyTo : null });
  const known = [savedAt.get(chatId), lastKnown, saved?.saved_at, session.client.chats.get(chatId)?.my.draft?.saved_at];
  savedAt.set(chatId, known.filter(Boolean).sort().at(-1));
  const local = read(chatId);
  if (!local || local.content !== content) return;
  write(chatId, {
    content: hasText ? content : '',
    replyTo,
    isUnsaved: false,
    savedAt: saved?.saved_at ?? savedAt.get(chatId),
  });
}

/** Saves on the server what could not be saved before: without a connection, or because the page was left. */
export function startDrafts() {
  const { client } = session;
  const saveAll = () => {
    for (const id of client.chats.keys()) {
      const local = read(id);
      if (local?.isUnsaved) save(id, local.content, local.replyTo);
      // Removed here and on the server: there is nothing left to compare.
      else if (local && !local.content && !client.chats.get(id).my.draft) write(id, null);
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
