// The audit log: who did what to whom, and from where.
import { h } from '../../shared/dom.js';
import { hasText, t } from '../../shared/i18n.js';
import { pagedList } from '../list.js';
import { exactTime, heading, tag } from '../parts.js';
import { idOf, userLinkById } from '../people.js';

// To choose from; the server may record others, which are listed as well.
const ACTIONS = [
  'user.ban',
  'user.unban',
  'user.role',
  'user.end_sessions',
  'user.delete',
  'user.password_reset',
  'chat.read',
  'chat.delete',
  'message.delete',
  'report.claim',
  'report.release',
  'report.note',
  'report.resolve',
  'mail.resend',
  'admin.create',
];

const idLink = (path, id) => h('a', { class: 'inline-link num', href: `#/${path}/${id}` }, `#${id}`);

function target({ target_kind: kind, target_id: id }) {
  if (!kind) return '–';
  if (kind === 'user' && id) return userLinkById(id);
  const pages = { chat: 'chats', report: 'reports' };
  return h(
    'span',
    { class: 'nowrap' },
    hasText(`adm_target_${kind}`) ? t(`adm_target_${kind}`) : kind,
    ' ',
    pages[kind] ? idLink(pages[kind], id) : h('span', { class: 'num' }, `#${id}`),
  );
}

/** The details as `reason: spam` in lines. */
const details = (values) =>
  h(
    'ul',
    { class: 'details-list' },
    Object.entries(values).map(([key, value]) =>
      h(
        'li',
        null,
        h('span', { class: 'muted' }, `${key}: `),
        typeof value === 'string' ? value : JSON.stringify(value),
      ),
    ),
  );

export function create() {
  const list = pagedList({
    name: 'audit',
    label: t('adm_audit'),
    path: '/admin/audit',
    filters: [
      { name: 'actor', type: 'search', label: t('adm_actor_id'), hint: t('adm_user_hint') },
      { name: 'user', type: 'search', label: t('adm_target_id'), hint: t('adm_user_hint') },
      {
        name: 'action',
        type: 'select',
        label: t('adm_action'),
        options: [['', t('adm_any')], ...ACTIONS.map((it) => [it, it])],
      },
    ],
    toQuery: async ({ actor, user, ...query }) => ({ ...query, actor: await idOf(actor), user: await idOf(user) }),
    columns: [
      {
        label: t('adm_when'),
        cell: (entry) => h('time', { datetime: entry.created_at, class: 'num' }, exactTime(entry.created_at)),
      },
      {
        label: t('adm_actor'),
        cell: (entry) => (entry.actor_id ? userLinkById(entry.actor_id) : t('adm_command_line')),
      },
      {
        label: t('adm_action'),
        cell: (entry) => h('span', null, tag(entry.action), h('span', { class: 'small-only block' }, target(entry))),
      },
      { label: t('adm_target'), class: 'mid', cell: target },
      { label: t('adm_details'), class: 'mid', cell: (entry) => details(entry.details) },
      { label: t('adm_address'), class: 'wide', cell: (entry) => entry.address ?? '–' },
    ],
    nothing: { symbol: 'list', title: t('adm_no_audit'), text: t('adm_no_audit_text') },
  });
  return {
    leave: list.leave,
    element: h('div', { class: 'column' }, heading(t('adm_audit'), t('adm_audit_lead')), list.element),
    update: ({ query }) => list.update(query),
  };
}
