// Messages that are on their way: waiting for a connection, uploading files, or refused. They survive a reload.
import { sleep } from '../shared/dom.js';
import { now } from '../shared/time.js';
import { releasePreview } from './attachments.js';
import { outgoingItems, rising } from './store.js';
import { session } from './session.js';

/** Files of one message that are uploaded at the same time. */
const AT_ONCE = 2;

/**
 * @typedef {{clientId: string, chatId: number, userId: number, content: string, messageType: string, replyTo: ?number,
 *   createdAt: string, order: number, files: {file: File, name: string, asFile: boolean, id: ?number, share: number}[],
 *   error: ?{code: string, message: string}, preview: object}} Outgoing
 */
/** @type {Map<string, Outgoing>} */
const items = new Map();
const listeners = new Set();
const uploads = new Map();
/** The last turn of each chat: messages with files go out in the order in which they were sent. */
const turns = new Map();

export const onOutgoing = (listener) => {
  listeners.add(listener);
  return () => listeners.delete(listener);
};
const tell = (chatId) => {
  for (const listener of listeners) listener(chatId);
};
const changed = (item) => {
  item.version = (item.version ?? 0) + 1;
  tell(item.chatId);
};
export const newClientId = () =>
  Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('');

/** The messages of a chat that are not sent yet, oldest first. */
export function outgoingOf(chatId) {
  const found = [];
  for (const item of items.values()) if (item.chatId === chatId) found.push(item);
  return found.sort((a, b) => a.order - b.order);
}
export const isUploading = () => uploads.size > 0;

const previewOf = ({ content, messageType, files }) => ({
  content,
  message_type: messageType,
  attachments: files.map(({ file, name }) => ({
    name,
    mime: file.type || 'application/octet-stream',
    size: file.size,
  })),
});
/** Files and errors are kept here; a plain text that only waits is kept by the client's own outbox. */
async function keep(item) {
  if (!items.has(item.clientId) || !(item.files.length || item.error || item.isStored)) return;
  const { preview, isStored, ...rest } = item;
  const files = item.files.map(({ share, ...file }) => file);
  const key = await outgoingItems.put(item.clientId, { ...rest, files });
  item.isStored ||= key !== undefined;
}

function show(item) {
  item.preview = previewOf(item);
  items.set(item.clientId, item);
  changed(item);
}

/** Sends a message, with files if there are any. */
export async function sendMessage(
  chatId,
  { content, messageType = 'text', replyTo = null, files = [], clientId = newClientId() },
) {
  const item = {
    clientId,
    chatId,
    userId: session.userId,
    content,
    messageType,
    replyTo,
    createdAt: new Date(now()).toISOString(),
    order: rising(),
    files: files.map(({ file, name, asFile }) => ({
      file,
      name: name ?? file.name,
      asFile: Boolean(asFile),
      id: null,
      share: 0,
    })),
    error: null,
  };
  show(item);
  if (!files.length) return deliver(item);
  const turn = takeTurn(chatId);
  await keep(item);
  return deliverFiles(item, turn);
}

/** Gives the next turn of a chat: `before` ends when those before it have passed theirs on. */
function takeTurn(chatId) {
  const before = turns.get(chatId);
  let pass;
  const passed = new Promise((done) => {
    pass = done;
  });
  turns.set(
    chatId,
    Promise.all([before, passed]).then(() => {}),
  );
  return { before, pass };
}

/** Runs a job that only one tab may do at a time, if the browser has locks (https, localhost). */
const alone = (name, job) => (navigator.locks ? navigator.locks.request(name, job) : job());

/** Uploads the files and sends the message, in one tab only; another one that shows it finds out how it ended. */
async function deliverFiles(item, turn = takeTurn(item.chatId)) {
  try {
    await alone(`mango-out-${item.clientId}`, async () => {
      if (!items.has(item.clientId)) return;
      if (item.isStored) {
        const stored = await outgoingItems.get(item.clientId, item);
        if (!stored || stored.error) {
          if (stored) item.error = stored.error;
          else items.delete(item.clientId);
          changed(item);
          return;
        }
        for (const [at, file] of item.files.entries()) file.id ??= stored.files[at]?.id ?? null;
      }
      await deliver(item, turn);
    });
  } finally {
    turn.pass();
  }
}

async function deliver(item, turn) {
  const { client } = session;
  try {
    if (item.files.some((it) => !it.id)) await uploadFiles(item);
    await turn?.before;
    if (!items.has(item.clientId)) return;
    const sent = client.send(item.chatId, item.content, {
      clientId: item.clientId,
      messageType: item.messageType,
      replyTo: item.replyTo ?? undefined,
      attachments: item.files.length ? item.files.map(({ id }) => id) : item.attachments,
    });
    // The client keeps the order from here on.
    turn?.pass();
    await sent;
    await forget(item);
  } catch (error) {
    // `closed`: the page ends or the user has cancelled; the stores keep what is to be sent next time.
    if (error.code === 'closed' || !items.has(item.clientId)) return;
    if (error.code === 'client_id_conflict' && isSent(item)) {
      await forget(item);
      return;
    }
    await refuse(item, error);
  }
}

/** Whether the message is in the chat already. */
const isSent = ({ chatId, clientId }) =>
  Boolean(
    session.client.chats
      .get(chatId)
      ?.messages.some((it) => it.client_id === clientId && it.user.id === session.userId),
  );

function refuse(item, error) {
  item.error = {
    code: error.errors?.file ? 'validation_failed_file' : error.code,
    message: error.message,
    retryAfterMs: error.retryAfterMs,
  };
  changed(item);
  return keep(item);
}

async function uploadFiles(item) {
  const { client } = session;
  const control = new AbortController();
  uploads.set(item.clientId, control);
  const waiting = item.files.filter((it) => !it.id);
  const work = async () => {
    for (let one; (one = waiting.shift());) {
      for (let attempt = 0; ; attempt += 1) {
        try {
          const stored = await client.upload(item.chatId, one.file, {
            name: one.name,
            asFile: one.asFile,
            signal: control.signal,
            onProgress: (share) => {
              one.share = share;
              changed(item);
            },
          });
          one.id = stored.id;
          break;
        } catch (error) {
          // A picture that the server cannot read is still a file.
          if (!one.asFile && error.errors?.file && one.file.type.startsWith('image/')) {
            one.asFile = true;
            continue;
          }
          if (
            control.signal.aborted ||
            !['unreachable', 'rate_limited', 'unavailable'].includes(error.code) ||
            attempt > 20
          ) {
            control.abort();
            throw error;
          }
          one.share = 0;
          changed(item);
          if (client.status !== 'online') await client.connect().catch(() => {});
          await sleep(error.retryAfterMs ?? Math.min(8000, 500 * 2 ** attempt));
        }
      }
      await keep(item);
    }
  };
  try {
    const results = await Promise.allSettled(Array.from({ length: AT_ONCE }, work));
    const failed =
      results.find((it) => it.status === 'rejected' && it.reason.code !== 'closed') ??
      results.find((it) => it.status === 'rejected');
    if (failed) throw failed.reason;
  } finally {
    uploads.delete(item.clientId);
  }
}

async function forget(item) {
  items.delete(item.clientId);
  changed(item);
  for (const { file } of item.files) releasePreview(file);
  await outgoingItems.remove(item.clientId);
}

/** Tries again what was refused; a used `client_id` stays the same, so nothing is sent twice. */
export async function retry(clientId) {
  const item = items.get(clientId);
  if (!item?.error) return;
  item.error = null;
  changed(item);
  const turn = item.files.length ? takeTurn(item.chatId) : null;
  // What is kept must not say any more that it was refused.
  await keep(item);
  if (turn) await deliverFiles(item, turn);
  else await deliver(item);
}

/** Cancels an upload, or removes a refused message. A message that the server may have can no longer be taken back. */
export function discard(clientId) {
  const item = items.get(clientId);
  if (!item) return;
  forget(item);
  uploads.get(clientId)?.abort();
}
export const canDiscard = (item) => Boolean(item.error) || uploads.has(item.clientId);

/** Restores what an earlier page left, and warns before leaving during an upload. */
export async function startOutgoing() {
  const { client } = session;
  // Queued by the client's outbox: show them until they arrive.
  const adopt = () => {
    for (const entry of client.pending()) {
      if (items.has(entry.clientId)) continue;
      const item = {
        ...entry,
        userId: session.userId,
        createdAt: new Date(now()).toISOString(),
        order: rising(),
        files: [],
        error: null,
      };
      show(item);
      deliver(item);
    }
  };
  client.on('status', adopt);
  adopt();
  addEventListener('beforeunload', (event) => {
    if (isUploading()) event.preventDefault();
  });
  const orderOf = (item) => item.order ?? Date.parse(item.createdAt);
  const kept = (await outgoingItems.all()).sort((a, b) => orderOf(a) - orderOf(b));
  for (const item of kept) {
    if (item.userId !== session.userId || items.has(item.clientId)) continue;
    for (const file of item.files) file.share = file.id ? 1 : 0;
    Object.assign(item, { order: orderOf(item), isStored: true });
    show(item);
    if (item.error) continue;
    if (item.files.length) deliverFiles(item);
    else deliver(item);
  }
}
