// One row of the list of chats.
import { attr, fill, h } from '../shared/dom.js';
import { icon } from '../shared/icons.js';
import { t } from '../shared/i18n.js';
import { avatar, nameOf } from '../shared/avatar.js';
import { fullTime, shortTime } from '../shared/time.js';
import { activityOf, excerptOf, isMuted, isOnline, pictureOf, typingText } from './chat_info.js';
import { draftOf } from './drafts.js';
import { session } from './session.js';
import { outgoingOf } from './outgoing.js';
import { isReadByAll } from './reads.js';

const cache = new Map();

/** What a row shows, as plain data; the same object as before if nothing has changed. */
export function rowOf(state, isCurrent) {
  const { my, chat } = state;
  const last = chat.last_message;
  const picture = pictureOf(state);
  const waiting = outgoingOf(state.id);
  const draft = isCurrent ? null : draftOf(state);
  const typing = typingText(state);
  const isOwn = last?.user.id === session.userId;
  let lead = '';
  if (last && !last.deleted_at) lead = isOwn ? t('you') : chat.is_group ? nameOf(last.user).split(' ')[0] : '';
  const row = {
    id: state.id,
    title: picture.name,
    photo: picture.photo,
    tint: picture.id,
    isOnline: isOnline(state),
    isCurrent,
    draft: draft?.content.trim() ? draft.content.trim().slice(0, 120) : '',
    typing,
    lead: waiting.length ? t('you') : lead,
    text: waiting.length ? excerptOf(waiting.at(-1).preview) : last ? excerptOf(last) : t('no_messages_yet'),
    at: activityOf(state),
    shownAt: shortTime(activityOf(state)),
    unread: my.unread,
    mentions: my.mentions,
    isPinned: my.pinned,
    isMuted: isMuted(state),
    mark: waiting.some((it) => it.error)
      ? 'alert'
      : waiting.length
        ? 'clock'
        : isOwn && !last.deleted_at
          ? isReadByAll(state, last.seq)
            ? 'ticks'
            : 'tick'
          : '',
  };
  const before = cache.get(state.id);
  if (before && Object.keys(row).every((key) => row[key] === before[key])) return before;
  cache.set(state.id, row);
  return row;
}

export function createRow(row) {
  const element = h('a', {
    class: 'chat-row',
    href: `#/chat/${row.id}`,
    'data-id': row.id,
    tabindex: '-1',
    draggable: 'false',
  });
  return updateRow(element, row);
}

export function updateRow(element, row, before) {
  attr(element, 'aria-label', row.title);
  attr(element, 'aria-describedby', `chat-${row.id}-info`);
  attr(element, 'aria-current', row.isCurrent ? 'page' : null);
  const samePicture =
    before && before.photo === row.photo && before.isOnline === row.isOnline && before.title === row.title;
  const picture = samePicture
    ? element.firstChild
    : avatar({ id: row.tint, photo: row.photo, name: row.title }, '', { online: row.isOnline });
  const count = row.unread >= 1000 ? '999+' : row.unread;
  const description = [
    row.unread ? t('unread_n', { n: row.unread }) : '',
    row.mentions ? t('mentions_n', { n: row.mentions }) : '',
    row.isPinned ? t('pinned') : '',
    row.isMuted ? t('muted') : '',
    row.isOnline ? t('online') : '',
    row.draft ? `${t('draft')} ${row.draft}` : `${row.lead ? `${row.lead}: ` : ''}${row.text}`,
    fullTime(row.at),
  ]
    .filter(Boolean)
    .join(', ');
  fill(
    element,
    picture,
    h(
      'span',
      { class: 'chat-text', 'aria-hidden': 'true' },
      h(
        'span',
        { class: 'chat-top' },
        h('b', { class: 'cut', dir: 'auto' }, row.title),
        row.isMuted && icon('mute', 'xs'),
        h(
          'span',
          { class: 'chat-time num' },
          row.mark && h('span', { class: `mark ${row.mark}` }, icon(row.mark, 'xs')),
          row.shownAt,
        ),
      ),
      h(
        'span',
        { class: 'chat-bottom' },
        h(
          'span',
          { class: 'cut chat-last', dir: 'auto' },
          row.typing
            ? h('span', { class: 'is-typing' }, row.typing)
            : row.draft
              ? [h('span', { class: 'is-draft' }, t('draft')), ' ', row.draft]
              : [row.lead && h('span', { class: 'lead' }, `${row.lead}: `), row.text],
        ),
        row.mentions > 0 && h('span', { class: 'badge at' }, '@'),
        row.unread > 0
          ? h('span', { class: `badge ${row.isMuted ? 'quiet' : ''}` }, String(count))
          : row.isPinned && icon('pin', 'xs'),
      ),
    ),
    h('span', { class: 'vh', id: `chat-${row.id}-info` }, description),
  );
  return element;
}
