// What is shown of a chat: its name, picture, state and last message.
import { nameOf } from '../shared/avatar.js';
import { t } from '../shared/i18n.js';
import { now } from '../shared/time.js';
import { session } from './session.js';

/** The other person of a direct chat. */
export const otherOf = ({ chat }) =>
  chat.is_group ? null : (chat.members.find(({ user }) => user.id !== session.userId)?.user ?? null);

/** The name to show. */
export const titleOf = (state) => (state.chat.is_group ? state.chat.name : nameOf(otherOf(state)));

/** What `avatar` shows. */
export function pictureOf(state) {
  const other = otherOf(state);
  return { id: other?.id ?? state.id, photo: other ? other.photo : state.chat.photo, name: titleOf(state) };
}

export const isMuted = ({ my }) => Boolean(my.muted_until && new Date(my.muted_until) > now());
export const isOnline = (state) => Boolean(session.client.presence.get(otherOf(state)?.id)?.online);
/** A stranger has written, and the user has to approve. */
export const isRequest = ({ chat }) => !chat.is_group && !chat.approved && chat.owner_id !== session.userId;
/** The user has written to a stranger, who has to approve. */
export const isAwaiting = ({ chat }) => !chat.is_group && !chat.approved && chat.owner_id === session.userId;
export const canManage = ({ chat, my }) => chat.is_group && (my.role === 'owner' || my.role === 'admin');
export const canPin = (state) => !state.chat.is_group || canManage(state);
export const isModerator = () => ['moderator', 'admin'].includes(session.me?.role);

/** When something last happened, for the order of the list. */
export const activityOf = ({ chat }) => chat.last_message?.created_at ?? chat.created_at;

const TYPE_TEXTS = { image: 'photo', audio: 'audio', video: 'video' };
/** A message in one line, without its author. */
export function excerptOf(message) {
  if (message.deleted_at || message.deleted) return t('message_deleted');
  const text = (message.content ?? message.excerpt ?? '').trim();
  const [first] = message.attachments ?? [];
  if (text && message.message_type === 'text') return text.slice(0, 200).replace(/\s+/g, ' ');
  if (first) {
    const kind = first.mime.split('/')[0];
    const count = message.attachments.length;
    const label =
      kind in TYPE_TEXTS
        ? t(count > 1 ? `${TYPE_TEXTS[kind]}s_n` : TYPE_TEXTS[kind], { n: count })
        : count > 1
          ? t('files_n', { n: count })
          : first.name;
    return text ? `${label}: ${text.slice(0, 120)}` : label;
  }
  if (text) return text.slice(0, 200).replace(/\s+/g, ' ');
  return message.message_type in TYPE_TEXTS ? t(TYPE_TEXTS[message.message_type]) : t('file');
}

/** Who is typing, as text, or null. Their own typing is not shown. */
export function typingText(state) {
  const ids = [...state.typing.keys()].filter((id) => id !== session.userId);
  if (!ids.length) return null;
  if (!state.chat.is_group) return t('typing');
  const name = (id) => nameOf(state.chat.members.find(({ user }) => user.id === id)?.user ?? { id }).split(' ')[0];
  if (ids.length > 2) return t('typing_many', { n: ids.length });
  return ids.length === 2
    ? t('typing_two', { a: name(ids[0]), b: name(ids[1]) })
    : t('typing_one', { name: name(ids[0]) });
}

/** `online`, or when the person was last. */
export function presenceText(user, ago) {
  const presence = session.client.presence.get(user?.id);
  if (presence?.online) return t('online');
  const seen = presence?.last_seen_at ?? user?.last_seen_at;
  return seen ? t('last_seen', { ago: ago(seen) }) : t('offline');
}

/** All chats of the list, pinned ones first, then by activity. */
export function sortedChats() {
  const shown = [...session.client.chats.values()].filter(
    ({ chat }) => chat.visible || chat.owner_id === session.userId || chat.is_group,
  );
  const activity = new Map(shown.map((it) => [it, activityOf(it)]));
  return shown.sort(
    (a, b) =>
      Number(b.my.pinned) - Number(a.my.pinned) ||
      (activity.get(b) > activity.get(a) ? 1 : activity.get(b) < activity.get(a) ? -1 : b.id - a.id),
  );
}
