// One message in the log: a bubble with its author, reply, files, text, reactions, time and ticks.
import { attr, h, refill } from '../shared/dom.js';
import { icon } from '../shared/icons.js';
import { t } from '../shared/i18n.js';
import { avatar, nameOf, tint } from '../shared/avatar.js';
import { dayTitle, fullTime, time } from '../shared/time.js';
import { explain } from '../shared/form.js';
import { contentOf, emojiCount } from './content.js';
import { attachmentsOf, filesKey, uploadsOf } from './attachments.js';
import { excerptOf } from './chat_info.js';
import { canDiscard, discard, retry } from './outgoing.js';

/** Creates the element of a row. `actions` are what messages can do. */
export function createRowElement(row, actions) {
  switch (row.type) {
    case 'day':
      return h(
        'h2',
        { class: 'day' },
        h(
          'button',
          {
            type: 'button',
            class: 'day-button',
            tabindex: '-1',
            onclick: () => actions.pickDay(row.at),
            title: t('jump_to_date'),
          },
          dayTitle(row.at),
        ),
      );
    case 'unread':
      return h('div', { class: 'new', role: 'separator', 'aria-label': t('new_messages') }, t('new_messages'));
    case 'start':
      return actions.startOf(row.state);
    default:
      return updateMessage(h('article', { tabindex: '-1' }), row, actions);
  }
}

/** Draws a row again after a change; only messages change. */
export function updateRowElement(element, row, before, actions) {
  if (row.type === 'message') updateMessage(element, row, actions);
  else if (row.type === 'day') element.firstChild.textContent = dayTitle(row.at);
  return element;
}

const MARKS = { tick: 'sent', ticks: 'read', clock: 'waiting', alert: 'failed' };

function updateMessage(element, row, actions) {
  const { message, isFirst, isLast, isOwn, mark, isGroup } = row;
  const { outgoing } = message;
  const name = nameOf(message.user);
  const isDeleted = Boolean(message.deleted_at);
  const emoji =
    !isDeleted &&
    message.message_type === 'text' &&
    !message.attachments.length &&
    !message.reply &&
    !outgoing?.files.length
      ? emojiCount(message.content)
      : 0;
  element.className = [
    'msg',
    isOwn && 'mine',
    isFirst && 'first',
    isLast && 'last',
    emoji && 'bare',
    isDeleted && 'gone',
    outgoing?.error && 'failed',
    message.my?.mentioned && 'mentioned',
  ]
    .filter(Boolean)
    .join(' ');
  element.dataset.id = message.id || '';
  element.dataset.seq = Number.isFinite(message.seq) ? message.seq : '';
  element.row = row;
  const text = isDeleted ? t('message_deleted') : excerptOf(outgoing ? outgoing.preview : message);
  attr(
    element,
    'aria-label',
    [
      `${isOwn ? t('you') : name}, ${time(message.created_at)}`,
      message.edited_at && !isDeleted && t('edited'),
      mark && t(`mark_${MARKS[mark]}`),
    ]
      .filter(Boolean)
      .join(', ') + `: ${text}`,
  );
  const showsName = isFirst && !isOwn && isGroup;
  const author = showsName
    ? h(
        'button',
        {
          type: 'button',
          class: 'who',
          tabindex: '-1',
          style: { color: tint(message.user.id) },
          onclick: () => actions.openProfile(message.user),
        },
        name,
        message.user.role !== 'user' && h('span', { class: 'tag quiet' }, t(`role_${message.user.role}`)),
      )
    : h('span', { class: 'vh' }, name);
  const picture =
    isOwn || !isGroup
      ? null
      : isLast
        ? h(
            'button',
            {
              type: 'button',
              class: 'face',
              tabindex: '-1',
              'aria-label': name,
              onclick: () => actions.openProfile(message.user),
            },
            avatar({ ...message.user, name }, 's'),
          )
        : h('span', { class: 'face' });
  // What stays is not taken out of the page: a recording would stop.
  const column = element.querySelector(':scope > .bubble-column') ?? h('div', { class: 'bubble-column' });
  const bubble = column.querySelector(':scope > .b') ?? h('div', { class: 'b' });
  const files = isDeleted ? null : filesOf(message, bubble.querySelector(':scope > .attachments'), actions);
  // Focus inside must not be lost when the message is drawn again.
  const focused =
    element.contains(document.activeElement) &&
    document.activeElement !== element &&
    !element.querySelector('.actions')?.contains(document.activeElement);
  const bar = element.querySelector(':scope > .actions');
  refill(
    bubble,
    author,
    isDeleted
      ? h('div', { class: 'text muted' }, icon('ban', 's'), ' ', t('message_deleted'))
      : bodyOf(message, files, actions),
    metaOf(message, mark, isDeleted),
  );
  refill(column, bubble, !isDeleted && reactionsOf(message, actions), outgoing?.error && failureOf(outgoing));
  refill(element, picture, column, bar);
  // What is in a message is in the tab order only while the message has focus.
  if (!element.matches(':focus-within')) for (const link of element.querySelectorAll('a[href]')) link.tabIndex = -1;
  if (focused && !element.contains(document.activeElement)) element.focus({ preventScroll: true });
  return element;
}

/** The element of a message's files: the one before, if it shows the same. */
function filesOf(message, before, actions) {
  const { outgoing } = message;
  const key = filesKey(message);
  if (before && before.dataset.key === key) {
    before.showProgress?.(outgoing);
    return before;
  }
  const element = outgoing?.files.length ? uploadsOf(outgoing, discard) : attachmentsOf(message, actions);
  if (element) element.dataset.key = key;
  return element;
}

function bodyOf(message, files, actions) {
  return [
    message.forwarded_from &&
      h(
        'div',
        { class: 'forwarded' },
        icon('forward', 's'),
        h('span', null, t('forwarded_from', { name: nameOf(message.forwarded_from.user) })),
      ),
    message.reply && quoteOf(message.reply, actions),
    files,
    contentOf(message, { onResize: actions.onResize }),
  ];
}

function quoteOf(reply, actions) {
  return h(
    'button',
    {
      type: 'button',
      class: 'quote',
      tabindex: '-1',
      onclick: () => actions.jumpTo(reply.seq),
      'aria-label': t('reply_to', { name: nameOf(reply.user), text: excerptOf(reply) }),
    },
    h('b', { style: { color: tint(reply.user.id) } }, nameOf(reply.user)),
    h('span', { class: 'cut', dir: 'auto' }, excerptOf(reply)),
  );
}

function metaOf(message, mark, isDeleted) {
  return h(
    'span',
    { class: 'meta num', 'aria-hidden': 'true', title: fullTime(message.created_at) },
    message.pinned && !isDeleted && icon('pin', 'xs'),
    message.edited_at && !isDeleted && h('span', null, t('edited')),
    h('time', { datetime: message.created_at }, time(message.created_at)),
    mark && !isDeleted && h('span', { class: `mark ${mark}` }, icon(mark, 'xs')),
  );
}

function reactionsOf(message, actions) {
  if (!message.reactions.length && !message.likes) return null;
  const chip = (label, count, isOn, run, name) =>
    h(
      'button',
      {
        type: 'button',
        class: `chip ${isOn ? 'on' : ''}`,
        tabindex: '-1',
        'aria-pressed': String(isOn),
        'aria-label': name,
        onclick: run,
        oncontextmenu: (event) => {
          event.preventDefault();
          event.stopPropagation();
          actions.whoReacted(message);
        },
      },
      h('span', { class: 'emoji' }, label),
      h('span', { class: 'num' }, String(count)),
    );
  return h(
    'div',
    { class: 'chips' },
    message.likes > 0 &&
      chip('❤️', message.likes, message.my.liked, () => actions.like(message), t('likes_n', { n: message.likes })),
    message.reactions.map(({ emoji, count }) =>
      chip(
        emoji,
        count,
        message.my.reactions.includes(emoji),
        () => actions.react(message, emoji),
        t('reaction_n', { emoji, n: count }),
      ),
    ),
    h(
      'button',
      {
        type: 'button',
        class: 'chip who-reacted',
        tabindex: '-1',
        'aria-label': t('who_reacted'),
        title: t('who_reacted'),
        onclick: () => actions.whoReacted(message),
      },
      icon('more', 'xs'),
    ),
  );
}

function failureOf(outgoing) {
  return h(
    'div',
    { class: 'failure', role: 'alert' },
    icon('alert', 's'),
    h('span', { class: 'grow' }, explain(outgoing.error)),
    h('button', { type: 'button', class: 'link', onclick: () => retry(outgoing.clientId) }, t('try_again')),
    canDiscard(outgoing) &&
      h('button', { type: 'button', class: 'link', onclick: () => discard(outgoing.clientId) }, t('delete')),
  );
}
