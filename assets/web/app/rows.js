// Turns messages into the rows of the log: day and unread dividers, and messages grouped by author within five minutes.
import { dayOf } from '../shared/time.js';
import { session } from './session.js';

const GROUP_MS = 5 * 60_000;

const isTogether = (a, b) =>
  a &&
  b &&
  a.user.id === b.user.id &&
  dayOf(a.created_at) === dayOf(b.created_at) &&
  Math.abs(new Date(b.created_at) - new Date(a.created_at)) < GROUP_MS;

const keyOf = (message) =>
  message.client_id && message.user.id === session.userId ? `c${message.client_id}` : `m${message.id}`;

const made = new WeakMap();
/** What is on its way, in the form of a message; the same object until it changes. */
function asMessage(item, me) {
  const known = made.get(item);
  if (known && known.version === item.version) return known.message;
  const message = draw(item, me);
  made.set(item, { version: item.version, message });
  return message;
}
const draw = (item, me) => ({
  id: 0,
  seq: Infinity,
  chat_id: item.chatId,
  content: item.content,
  message_type: item.messageType,
  client_id: item.clientId,
  user: me,
  created_at: item.createdAt,
  attachments: [],
  reactions: [],
  likes: 0,
  mentions: [],
  my: { liked: false, reactions: [], mentioned: false },
  edited_at: null,
  deleted_at: null,
  forwarded_from: null,
  pinned: false,
  reply: item.reply ?? null,
  reply_to: item.replyTo,
  outgoing: item,
});

const cache = new WeakMap();

/**
 * @param {object} timeline
 * @param {object[]} outgoing Messages that are not sent yet; shown at the end of the log.
 * @param {{unreadAfter: ?number, state: object, canSend: boolean}} context
 * @returns {object[]} Rows with a `key`; a row is the same object as before if it shows the same.
 */
export function rowsOf({ items, atEnd, atStart }, outgoing, { unreadAfter, state, marks }) {
  const rows = [];
  const stored = new Set();
  for (const { client_id: id, user } of items) if (id && user.id === session.userId) stored.add(id);
  const me = session.me ?? { id: session.userId, name: '', photo: '', role: 'user' };
  const waiting = atEnd ? outgoing.filter((it) => !stored.has(it.clientId)).map((it) => asMessage(it, me)) : [];
  const all = [...items, ...waiting];
  let isMarked = unreadAfter === null;
  let previous = null;
  if (atStart && state) rows.push({ key: 'start', type: 'start', state });
  for (let at = 0; at < all.length; at += 1) {
    const message = all[at];
    const day = dayOf(message.created_at);
    const startsDay = !previous || dayOf(previous.created_at) !== day;
    if (startsDay) rows.push({ key: `d${day}`, type: 'day', at: message.created_at, day });
    const isFirstUnread = !isMarked && message.seq > unreadAfter && message.user.id !== session.userId;
    if (isFirstUnread) {
      rows.push({ key: 'unread', type: 'unread' });
      isMarked = true;
    }
    const next = all[at + 1];
    const isFirst = startsDay || isFirstUnread || !isTogether(previous, message);
    const isLast =
      !isTogether(message, next) || (!isMarked && next.seq > unreadAfter && next.user.id !== session.userId);
    const isOwn = message.user.id === session.userId;
    const mark = !isOwn ? '' : message.outgoing ? (message.outgoing.error ? 'alert' : 'clock') : marks(message.seq);
    rows.push(
      sameAsBefore({
        key: keyOf(message),
        type: 'message',
        message,
        isFirst,
        isLast,
        isOwn,
        mark,
        isGroup: state?.chat.is_group ?? true,
      }),
    );
    previous = message;
  }
  return rows;
}

/** Rows are compared by identity: what has not changed is not drawn again. */
function sameAsBefore(row) {
  const { message } = row;
  const before = cache.get(message);
  if (before && before.isFirst === row.isFirst && before.isLast === row.isLast && before.mark === row.mark)
    return before;
  cache.set(message, row);
  return row;
}
