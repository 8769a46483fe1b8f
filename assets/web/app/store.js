// What survives a reload, in IndexedDB: unsent messages with their files, failed ones, and the chats as last seen.

const NAMES = ['outbox', 'outgoing', 'state'];
let opening;

function open() {
  opening ??= new Promise((resolve, reject) => {
    const request = indexedDB.open('mango-chat', 1);
    request.onupgradeneeded = () => {
      for (const name of NAMES) request.result.createObjectStore(name);
    };
    request.onsuccess = () => {
      request.result.onversionchange = () => request.result.close();
      resolve(request.result);
    };
    request.onerror = () => reject(request.error);
  });
  return opening;
}

async function run(name, mode, act) {
  const database = await open();
  return new Promise((resolve, reject) => {
    const transaction = database.transaction(name, mode);
    const request = act(transaction.objectStore(name));
    transaction.oncomplete = () => resolve(request.result);
    transaction.onerror = transaction.onabort = () => reject(transaction.error);
  });
}

/** One named part of the store; without IndexedDB (private windows of some browsers) it forgets. */
function part(name) {
  const safely = (promise, fallback) => promise.catch(() => fallback);
  return {
    /** `unknown` stands for what cannot be read. */
    get: (key, unknown) =>
      safely(
        run(name, 'readonly', (it) => it.get(key)),
        unknown,
      ),
    all: () =>
      safely(
        run(name, 'readonly', (it) => it.getAll()),
        [],
      ),
    put: (key, value) => safely(run(name, 'readwrite', (it) => it.put(value, key))),
    remove: (key) => safely(run(name, 'readwrite', (it) => it.delete(key))),
    clear: () => safely(run(name, 'readwrite', (it) => it.clear())),
  };
}

export const outboxItems = part('outbox');
/** Messages whose files are being uploaded, and messages that the server refused. */
export const outgoingItems = part('outgoing');
export const stateItems = part('state');

let lastOrder = 0;
/** The time as a number that always rises, for the order of what is kept. */
export function rising() {
  lastOrder = Math.max(Date.now(), lastOrder + 0.001);
  return lastOrder;
}

/** How many messages of a user wait here, or were refused. */
export async function unsentOf(userId) {
  const [waiting, kept] = await Promise.all([outboxItems.all(), outgoingItems.all()]);
  const ids = [...waiting.map((it) => ({ ...it.entry, userId: it.userId })), ...kept]
    .filter((it) => it.userId === userId)
    .map((it) => it.clientId);
  return new Set(ids).size;
}

/** Removes the drafts of a user; with `keepUnsaved` not those that the server does not have yet. */
export function forgetDrafts(userId, { keepUnsaved = false } = {}) {
  const isUnsaved = (key) => {
    try {
      const { content, isUnsaved } = JSON.parse(localStorage.getItem(key)) ?? {};
      return Boolean(isUnsaved && content);
    } catch {
      return false;
    }
  };
  try {
    for (const key of Object.keys(localStorage)) {
      if (key.startsWith(`mango-draft-${userId}-`) && !(keepUnsaved && isUnsaved(key))) localStorage.removeItem(key);
    }
  } catch {
    /* no storage */
  }
}

/** Closes the notifications of this page: they show what was written. */
async function closeNotifications() {
  const worker = await navigator.serviceWorker?.getRegistration();
  for (const shown of (await worker?.getNotifications?.()) ?? []) shown.close();
}

/** Removes what a user has left here, and what others could read; at signing out. Other users' unsent messages stay. */
export async function forgetAll(userId) {
  const drop = async (items, idOf) => {
    const own = (await items.all()).filter((it) => it.userId === userId);
    await Promise.all(own.map((it) => items.remove(idOf(it))));
  };
  await Promise.allSettled([
    drop(outboxItems, (it) => it.entry.clientId),
    drop(outgoingItems, (it) => it.clientId),
    stateItems.clear(),
    globalThis.caches?.delete('mango-photos'),
    closeNotifications(),
  ]);
}
