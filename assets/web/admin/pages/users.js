// Users: search, filters, and beside the list the profile of the chosen one.
import { h } from '../../shared/dom.js';
import { t } from '../../shared/i18n.js';
import { navigate } from '../../shared/router.js';
import { pagedList } from '../list.js';
import { heading, person, tag, when } from '../parts.js';
import { isAdmin } from '../session.js';
import { sidePanel } from '../side_panel.js';
import { userView } from './user.js';

/** The states of an account as tags. */
export const userTags = (user) =>
  h(
    'span',
    { class: 'tags' },
    user.role !== 'user' && tag(t(`adm_role_${user.role}`), user.role),
    user.ban && tag(t('adm_banned'), 'banned'),
    user.deleted && tag(t('adm_deleted')),
    user.role === 'user' && !user.ban && !user.deleted && h('span', { class: 'muted' }, t('adm_role_user')),
  );

export function create() {
  const list = pagedList({
    name: 'users',
    label: t('adm_users'),
    path: '/admin/user',
    filters: [
      {
        name: 'query',
        type: 'search',
        label: t('search'),
        hint: t(isAdmin() ? 'adm_user_search_admin' : 'adm_user_search'),
      },
      {
        name: 'role',
        type: 'select',
        label: t('adm_role'),
        options: [
          ['', t('adm_any')],
          ['user', t('adm_role_user')],
          ['moderator', t('adm_role_moderator')],
          ['admin', t('adm_role_admin')],
        ],
      },
      {
        name: 'banned',
        type: 'select',
        label: t('adm_bans'),
        options: [
          ['', t('adm_any')],
          ['true', t('adm_banned')],
          ['false', t('adm_not_banned')],
        ],
      },
    ],
    columns: [
      { label: t('adm_user'), cell: (user) => person(user, { to: list.to(user.id) }) },
      { label: t('adm_state'), cell: userTags },
      isAdmin() && {
        label: t('adm_contact'),
        class: 'wide',
        cell: (user) => h('span', { class: 'cut block' }, user.reach?.email ?? user.reach?.phone ?? '–'),
      },
      {
        label: t('adm_last_seen'),
        class: 'mid',
        cell: (user) => (user.online ? h('span', { class: 'good-text' }, t('online')) : when(user.last_seen_at)),
      },
      { label: t('adm_registered'), class: 'wide', cell: (user) => when(user.created_at) },
      { label: t('adm_id'), class: 'number mid', cell: (user) => String(user.id) },
    ].filter(Boolean),
    nothing: { symbol: 'people', title: t('adm_no_users') },
  });
  const side = sidePanel({ onclose: () => navigate(list.home()) });
  const element = h(
    'div',
    { class: 'split' },
    h('div', { class: 'column' }, heading(t('adm_users'), t('adm_users_lead')), list.element),
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
      const view = () =>
        userView(id, {
          changed: () => {
            list.reload();
            side.refresh(view);
          },
          gone: () => {
            list.reload();
            navigate(list.home());
          },
        });
      side.show(id, t('adm_user'), view);
    },
  };
}
