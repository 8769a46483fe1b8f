// The queue of reports: unclaimed, claimed by the moderator, and resolved.
import { h } from '../../shared/dom.js';
import { t } from '../../shared/i18n.js';
import { nameOf } from '../../shared/avatar.js';
import { tabList } from '../../shared/tabs.js';
import { navigate } from '../../shared/router.js';
import { pagedList } from '../list.js';
import { addressOf, heading, tag, when } from '../parts.js';
import { session } from '../session.js';
import { sidePanel } from '../side_panel.js';
import { reportView } from './report.js';

const TABS = {
  open: { state: 'open' },
  nobody: { state: 'open', claimed: 'nobody' },
  mine: { state: 'open', claimed: 'me' },
  resolved: { state: 'resolved' },
};

/** What was reported, in a few words. */
export const subject = (report) =>
  t(report.message_id ? 'adm_message_by' : 'adm_user_reported', { name: nameOf(report.user) });

export function stateTag(report) {
  if (report.state === 'resolved') return tag(t('adm_resolved'), 'resolved');
  if (!report.claimed_by) return tag(t('adm_open'), 'open');
  return tag(
    report.claimed_by.id === session.me.id ? t('adm_yours') : t('adm_claimed_by', { name: nameOf(report.claimed_by) }),
    'claimed',
  );
}

/** The columns, also of the short list on the overview. */
export const columns = (to) => [
  {
    label: t('adm_reported'),
    cell: (report) =>
      h(
        'span',
        { class: 'who-text' },
        h('a', { class: 'row-link cut', href: to(report.id) }, subject(report)),
        report.content && h('small', { class: 'cut' }, report.content),
      ),
  },
  { label: t('adm_reason'), cell: (report) => h('span', { class: 'clamp' }, report.reason) },
  {
    label: t('adm_by'),
    class: 'wide',
    cell: (report) =>
      h('span', { class: 'cut block by' }, report.reporter ? nameOf(report.reporter) : t('adm_word_filter')),
  },
  { label: t('adm_when'), class: 'mid', cell: (report) => when(report.created_at) },
  { label: t('adm_state'), class: 'mid', cell: stateTag },
];

export function create() {
  const { element: tabs, select } = tabList({
    label: t('adm_report_views'),
    value: 'open',
    tabs: [
      ['open', t('adm_tab_open')],
      ['nobody', t('adm_tab_nobody')],
      ['mine', t('adm_tab_mine')],
      ['resolved', t('adm_resolved')],
    ],
    onselect: (key) => navigate(addressOf('reports', { show: key === 'open' ? undefined : key })),
  });
  const list = pagedList({
    name: 'reports',
    label: t('adm_reports'),
    path: '/admin/report',
    fields: ['show'],
    before: tabs,
    toQuery: ({ show, ...query }) => ({ ...query, ...(TABS[show] ?? TABS.open) }),
    columns: columns((id) => list.to(id)),
    nothing: { symbol: 'check', title: t('adm_no_reports'), text: t('adm_no_reports_text') },
  });
  const side = sidePanel({ onclose: () => navigate(list.home()) });
  const element = h(
    'div',
    { class: 'split' },
    h('div', { class: 'column' }, heading(t('adm_reports'), t('adm_reports_lead')), list.element),
    side.element,
  );
  return {
    leave: list.leave,
    element,
    update({ path: [id], query }) {
      select(TABS[query.show] ? query.show : 'open');
      list.update(query, id ?? null);
      if (!id) {
        side.hide();
        return;
      }
      let report = null;
      const view = () =>
        reportView(id, {
          known: () => report ?? list.items().find((it) => String(it.id) === id),
          changed: (now) => {
            report = now;
            list.reload();
            side.refresh(view);
          },
        });
      side.show(id, t('adm_report_number', { id }), view);
    },
  };
}
