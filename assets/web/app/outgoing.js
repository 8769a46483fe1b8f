// Messages that are on their way: waiting for a connection, uploading files, or refused. They survive a reload.
import { sleep } from '../shared/dom.js';
import { now } from '../shared/time.js';
import { outgoingItems } from './store.js';
import { session } from './session.js';

/** Files of one message that are uploaded at the same time. */
const AT_ONCE = 2;

/**
 * @typedef {{clientId: string, chatId: number, userId: number, content: string, messageType: string, replyTo: ?number,
 *   createdAt: string, files: {file: File, name: string, asFile: boolean, id: ?number, share: number}[],
 *   error: ?{code: string, message: string}, preview: object}} Outgoing
 */
/** @type {Map<string, Outgoing>} */
const items = new Map();
const listeners = new Set();
const uploads = new Map();

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
  return found;
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
const keep = (item) =>
  item.files.length || item.error
    ? outgoingItems.put(item.clientId, {
        ...item,
        files: item.files.map(({ share, ...file }) => file),
        preview: undefined,
      })
    : Promise.resolve();

/** Sends a message, with files if there are any. */
export function sendMessage(
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
    files: files.map(({ file, name, asFile }) => ({
      file,
      name: name ?? file.name,
      asFile: Boolean(asFile),
      id: null,
      share: 0,
    })),
    error: null,
  };
  item.preview = previewOf(item);
  items.set(clientId, item);
  tell(chatId);
  keep(item);
  return deliver(item);
}

async function deliver(item) {
  const { client } = session;
  try {
    if (item.files.some((it) => !it.id)) await uploadFiles(item);
    if (!items.has(item.clientId)) return;
    await client.send(item.chatId, item.content, {
      clientId: item.clientId,
      messageType: item.messageType,
      replyTo: item.replyTo ?? undefined,
      attachments: item.files.length ? item.files.map(({ id }) => id) : undefined,
    });
    forget(item);
  } catch (error) {
    // `closed`: the page ends or the user has cancelled; the stores keep what is to be sent next time.
    if (error.code === 'closed' || !items.has(item.clientId)) return;
    item.error = {
      code: error.errors?.file ? 'validation_failed_file' : error.code,
      message: error.message,
      retryAfterMs: error.retryAfterMs,
    };
    keep(item);
    changed(item);
  }
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
      keep(item);
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

function forget(item) {
  items.delete(item.clientId);
  outgoingItems.remove(item.clientId);
  changed(item);
}

/** Tries again what was refused; a used `client_id` stays the same, so nothing is sent twice. */
export function retry(clientId) {
  const item = items.get(clientId);
  if (!item?.error) return;
  item.error = null;
  changed(item);
  deliver(item);
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
        files: [],
        error: null,
      };
      item.preview = previewOf(item);
      items.set(item.clientId, item);
      changed(item);
      client.send(item.chatId, item.content, entry).then(
        () => forget(item),
        (error) => {
          if (error.code === 'closed') return;
          item.error = { code: error.code, message: error.message };
          keep(item);
          changed(item);
        },
      );
    }
  };
  client.on('status', adopt);
  adopt();
  addEventListener('beforeunload', (event) => {
    if (isUploading()) event.preventDefault();
  });
  for (const item of await outgoingItems.all()) {
    if (item.userId !== session.userId || items.has(item.clientId)) continue;
    for (const file of item.files) file.share = file.id ? 1 : 0;
    item.preview = previewOf(item);
    items.set(item.clientId, item);
    changed(item);
    if (!item.error) deliver(item);
  }
}
