// Read marks: who has read up to where, and marking as read what is seen.
import { session } from './session.js';

/** Whether all other known members have read up to `seq`; in large groups it is not known. */
export function isReadByAll({ chat }, seq) {
  const others = chat.members.filter(({ user }) => user.id !== session.userId && !user.deleted);
  if (!others.length || chat.member_count > chat.members.length) return false;
  return others.every((it) => it.last_read_seq >= seq);
}
/** Whether anybody has. */
export const isReadByAny = ({ chat }, seq) =>
  chat.members.some(({ user, last_read_seq: read }) => user.id !== session.userId && read >= seq);

/** Whether the user looks at the messages now: the page has focus, and no dialog is above them. */
export const isLookedAt = () =>
  document.visibilityState === 'visible' && document.hasFocus() && !document.querySelector('dialog[open]');

const marked = new Map();
/** Marks a chat as read up to `seq`, once. */
export function markRead(state, seq) {
  if (seq <= state.my.last_read_seq || seq <= (marked.get(state.id) ?? 0)) return;
  marked.set(state.id, seq);
  session.client.markRead(state.id, seq).catch(() => {
    if (marked.get(state.id) === seq) marked.delete(state.id);
  });
}
