// Chats: find them, and beside the list what is known about the chosen one.
import { h } from '../../shared/dom.js';
import { t } from '../../shared/i18n.js';
import { nameOf } from '../../shared/avatar.js';
import { navigate } from '../../shared/router.js';
import { pagedList } from '../list.js';
import { heading, person, tag, userLink, when } from '../parts.js';
import { sidePanel } from '../side_panel.js';
import { chatView } from './chat.js';

/** The name of a group, or of both people. */
export const chatName = (chat) =>
  chat.name || chat.members?.map(nameOf).join(', ') || t('adm_chat_number', { id: String(chat.id) });

export function create() {
  const list = pagedList({
    name: 'chats',
    label: t('adm_chats'),
    path: '/admin/chat',
    filters: [
      { name: 'query', type: 'search', label: t('search'), hint: t('adm_chat_search') },
      {
        name: 'kind',
        type: 'select',
        label: t('adm_kind'),
        options: [
          ['', t('adm_any')],
          ['group', t('adm_groups')],
          ['direct', t('adm_direct')],
        ],
      },
    ],
    columns: [
      {
        label: t('adm_chat'),
        cell: (chat) =>
          person(
            { id: chat.id, name: chatName(chat) },
            { to: list.to(chat.id), detail: t(chat.is_group ? 'adm_group' : 'adm_direct_chat') },
          ),
      },
      { label: t('adm_members'), class: 'number', cell: (chat) => String(chat.member_count) },
      { label: t('adm_owner'), class: 'wide', cell: (chat) => userLink(chat.owner) },
      { label: t('adm_activity'), class: 'mid', cell: (chat) => when(chat.last_activity_at) },
      { label: t('adm_created'), class: 'wide', cell: (chat) => when(chat.created_at) },
      {
        label: t('adm_state'),
        class: 'wide',
        cell: (chat) => (chat.deleted ? tag(t('adm_deleted')) : h('span', { class: 'muted' }, t('adm_active'))),
      },
      { label: t('adm_id'), class: 'number mid', cell: (chat) => String(chat.id) },
    ],
    nothing: { symbol: 'chat', title: t('adm_no_chats') },
  });
  const side = sidePanel({ onclose: () => navigate(list.home()) });
  const element = h(
    'div',
    { class: 'split' },
    h('div', { class: 'column' }, heading(t('adm_chats'), t('adm_chats_lead')), list.element),
    side.element,
  );
  return {
    leave: list.leave,
    element,
    update({ path: [id], query }) {
      list.update(query, id ?? null);
      if (!id) {
        side.hide();
        return;
      }
      const known = () => list.items().find((it) => String(it.id) === id);
      side.show(id, known() ? chatName(known()) : t('adm_chat_number', { id }), () =>
        chatView(id, {
          known,
          gone: () => {
            list.reload();
            navigate(list.home());
          },
        }),
      );
    },
  };
}
