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
    get: (key) =>
      safely(
        run(name, 'readonly', (it) => it.get(key)),
        undefined,
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

/** Removes everything; at signing out. */
export const forgetAll = () => Promise.all([outboxItems, outgoingItems, stateItems].map((it) => it.clear()));
