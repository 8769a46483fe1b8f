// Who has read a message, who reacted, and its earlier versions.
import { fill, h } from '../shared/dom.js';
import { t } from '../shared/i18n.js';
import { avatar, nameOf } from '../shared/avatar.js';
import { openDialog } from '../shared/dialog.js';
import { explain } from '../shared/form.js';
import { fullTime } from '../shared/time.js';
import { canManage } from './chat_info.js';
import { openProfile } from './profile.js';
import { session } from './session.js';
import { loadCss } from './styles.js';

const row = (user, extra) =>
  h(
    'button',
    { type: 'button', class: 'person', onclick: () => openProfile(user) },
    avatar({ ...user, name: nameOf(user) }, 's'),
    h('b', { class: 'cut grow', dir: 'auto' }, nameOf(user)),
    extra,
  );

/** A list that loads page by page; `show(item)` draws one. */
function pages(fetch, show, empty) {
  const list = h('div', { class: 'people' }, h('span', { class: 'skeleton', style: { height: '14px', width: '50%' } }));
  let isFirst = true;
  const load = async (next) => {
    try {
      const page = await fetch(next);
      if (isFirst) fill(list);
      isFirst = false;
      list.querySelector('.more-items')?.remove();
      list.append(...page.items.map(show));
      if (page.next)
        list.append(
          h('button', { type: 'button', class: 'link more-items', onclick: () => load(page.next) }, t('show_more')),
        );
      if (!list.firstChild) list.append(h('p', { class: 'muted small' }, empty));
    } catch (error) {
      fill(list, h('p', { class: 'muted small' }, explain(error)));
    }
  };
  load();
  return list;
}

export async function openMessageInfo({ state }, message) {
  await loadCss('app/dialogs.css');
  const { client } = session;
  const isOwn = message.user.id === session.userId;
  openDialog({
    title: t('message_info'),
    width: 420,
    body: () => [
      h(
        'dl',
        { class: 'facts' },
        h('dt', null, t('sent')),
        h('dd', null, fullTime(message.created_at)),
        message.edited_at && [h('dt', null, t('edited_at')), h('dd', null, fullTime(message.edited_at))],
        message.forwarded_from && [
          h('dt', null, t('original')),
          h('dd', null, `${nameOf(message.forwarded_from.user)}, ${fullTime(message.forwarded_from.created_at)}`),
        ],
      ),
      h(
        'section',
        null,
        h('h3', { class: 'section-title' }, t('read_by')),
        state.chat.member_count > 200
          ? h('p', { class: 'muted small' }, t('too_many_for_reads'))
          : pages(
              (next) => client.about(message.id, 'reads', { next }),
              ({ user }) => row(user),
              t('read_by_nobody'),
            ),
      ),
      (message.reactions.length > 0 || message.likes > 0) &&
        h('section', null, h('h3', { class: 'section-title' }, t('reactions')), reactors(message)),
      message.edited_at &&
        (isOwn || canManage(state)) &&
        h(
          'section',
          null,
          h('h3', { class: 'section-title' }, t('earlier_versions')),
          pages(
            (next) => client.about(message.id, 'edits', { next }),
            (it) =>
              h(
                'div',
                { class: 'version' },
                h('small', { class: 'muted' }, fullTime(it.replaced_at)),
                h('p', { dir: 'auto', class: 'text' }, it.content),
              ),
            t('nothing_found'),
          ),
        ),
    ],
  });
}

const reactors = (message) => [
  message.reactions.length > 0 &&
    pages(
      (next) => session.client.about(message.id, 'reactions', { next }),
      ({ user, emoji }) => row(user, h('span', { class: 'emoji' }, emoji)),
      t('nothing_found'),
    ),
  message.likes > 0 &&
    pages(
      (next) => session.client.about(message.id, 'likes', { next }),
      (user) => row(user.user ?? user, h('span', { class: 'emoji' }, '❤️')),
      t('nothing_found'),
    ),
];

export async function openReactors(_, message) {
  await loadCss('app/dialogs.css');
  openDialog({ title: t('reactions'), width: 380, body: () => reactors(message) });
}
