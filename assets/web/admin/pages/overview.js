// The overview: how the server is doing now and in the last ten minutes, and what waits for a moderator.
import { fill, h } from '../../shared/dom.js';
import { locale, t } from '../../shared/i18n.js';
import { fullTime, size } from '../../shared/time.js';
import { tile } from '../charts.js';
import { addressOf, fact, failed, heading, skeleton } from '../parts.js';
import { isAdmin, list, rest } from '../session.js';
import { columns } from './reports.js';

const whole = new Intl.NumberFormat(locale, { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat(locale, { maximumFractionDigits: 1 });
const clockTime = new Intl.DateTimeFormat(locale, { hour: 'numeric', minute: '2-digit', second: '2-digit' });
const ms = (value) => (value === null || value === undefined ? '–' : short.format(value));

/** `3 d 4 h`, `5 h 12 min`, `8 min` */
function duration(since) {
  const minutes = Math.max(0, Math.floor((Date.now() - new Date(since)) / 60_000));
  const unit = (value, name) => new Intl.NumberFormat(locale, { style: 'unit', unit: name, unitDisplay: 'short' }).format(value);
  if (minutes < 60) return unit(minutes, 'minute');
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return `${unit(hours, 'hour')} ${unit(minutes % 60, 'minute')}`;
  return `${unit(Math.floor(hours / 24), 'day')} ${unit(hours % 24, 'hour')}`;
}

export function create() {
  let data = null;
  let timer;
  let isGone = false;
  const at = (index) => data.samples[index ?? data.samples.length - 1] ?? {};
  const perSecond = (it) => (it.messages ?? 0) / data.every_secs;
  const sum = (key) => data.samples.reduce((total, it) => total + (it[key] ?? 0), 0);
  /** Without messages a sample has no latency; then the last known one is shown as the present one. */
  const latency = (n, key) => at(n)[key] ?? (n === null ? data.samples.findLast((it) => it[key] !== null)?.[key] : null);
  const timeAt = (index) => clockTime.format(new Date(at(index).at));
  const make = (options) => tile({ timeAt, ...options });
  const tiles = [
    [make({ label: t('adm_connections'), valueAt: (n) => whole.format(at(n).connections ?? 0), detailAt: (n) => t('adm_users_online', { n: at(n).users_online ?? 0 }) }), (it) => [it.connections]],
    [make({ label: t('adm_messages_s'), valueAt: (n) => short.format(perSecond(at(n))), detailAt: (n) => (n === null ? t('adm_in_ten_minutes', { n: sum('messages') }) : '') }), (it) => [perSecond(it)]],
    [make({ label: t('adm_latency'), unit: t('adm_ms'), valueAt: (n) => ms(latency(n, 'send_p99_ms')), detailAt: (n) => t('adm_median', { value: ms(latency(n, 'send_p50_ms')) }) }), (it) => [it.send_p99_ms ?? 0, it.send_p50_ms ?? 0]],
    [make({ label: t('adm_errors'), valueAt: (n) => whole.format(n === null ? sum('errors') : at(n).errors ?? 0), detailAt: (n) => (n === null ? t('adm_in_last_ten') : '') }), (it) => [it.errors]],
    [make({ label: t('adm_queue'), valueAt: (n) => whole.format(at(n).queue ?? 0), detailAt: () => t('adm_queue_hint') }), (it) => [it.queue]],
  ];
  const live = h('div', { class: 'tiles' });
  const server = h('section', { class: 'card-box', 'aria-label': t('adm_server') });
  const state = h('div');
  const stamp = h('p', { class: 'muted small live', role: 'status' });
  const totals = h('section', { class: 'card-box', 'aria-label': t('adm_totals') });
  const reports = h('section', { class: 'block-section', 'aria-label': t('adm_open_reports') });
  const element = h('div', { class: 'column' },
    heading(t('adm_overview'), null, stamp), state, live,
    h('div', { class: 'two' }, server, isAdmin() && totals), reports);

  function show() {
    fill(state);
    // The first answer replaces the skeletons.
    if (!live.contains(tiles[0][0].element)) fill(live, tiles.map(([it]) => it.element));
    for (const [it, values] of tiles) {
      const rows = data.samples.map(values);
      it.update((rows[0] ?? [0]).map((_, n) => rows.map((row) => row[n] ?? 0)));
    }
    const newest = data.samples.at(-1);
    fill(stamp, h('span', { class: 'live-dot', 'aria-hidden': 'true' }), newest ? t('adm_live', { n: data.every_secs }) : t('adm_no_samples'));
    const { database: db, nodes = [], storage } = data;
    fill(server, h('h2', { class: 'section-title' }, t('adm_server')),
      h('dl', { class: 'facts' }, fact(t('adm_version'), data.version), fact(t('adm_uptime'), h('span', { title: fullTime(data.started_at) }, duration(data.started_at))),
        fact(t('adm_database'), [DATABASES[db.kind] ?? db.kind, db.size_bytes > 0 && size(db.size_bytes)].filter(Boolean).join(', ')),
        db.pool_size > 0 && fact(t('adm_pool'), h('span', { class: 'meter-row' }, h('meter', { min: 0, max: db.pool_size, value: db.pool_used, 'aria-label': t('adm_pool') }),
          t('adm_of', { a: db.pool_used, b: db.pool_size }))),
        fact(t('adm_storage'), t((storage.kind ?? storage) === 's3' ? 'adm_storage_s3' : 'adm_storage_local'))),
      nodes.length > 0 && h('div', { class: 'table-frame' }, h('table', { class: 'table dense' }, h('caption', { class: 'vh' }, t('adm_nodes')),
        h('thead', null, h('tr', null, h('th', { scope: 'col' }, t('adm_node')), h('th', { scope: 'col', class: 'number' }, t('adm_connections')), h('th', { scope: 'col', class: 'number' }, t('adm_uptime')))),
        h('tbody', null, nodes.map((it) => h('tr', null, h('td', null, h('span', { class: 'cut block' }, it.id, it.id === data.node && h('span', { class: 'muted' }, ` (${t('adm_this_node')})`))),
          h('td', { class: 'number' }, whole.format(it.connections)), h('td', { class: 'number nowrap' }, duration(it.started_at))))))));
  }

  async function load() {
    clearTimeout(timer);
    // Also when the whole panel has given way to the sign-in.
    if (isGone || (data && !element.isConnected)) return;
    let wait = (data?.every_secs ?? 5) * 1000;
    if (document.visibilityState === 'visible') {
      try {
        data = await rest('GET', '/admin/overview');
        wait = data.every_secs * 1000;
        if (!isGone) show();
      } catch (error) {
        if (isGone) return;
        if (!error.code) console.error(error);
        // Figures that were there stay, marked as old; a server that has none is asked again on demand.
        if (data) fill(stamp, t('adm_stale'));
        else {
          fill(live);
          fill(server);
          fill(state, failed(error, () => { fill(state, skeleton(3)); load(); loadTotals(); loadReports(); }));
          return;
        }
      }
    }
    if (!isGone) timer = setTimeout(load, wait);
  }

  async function loadTotals() {
    if (!isAdmin()) return;
    try {
      const counts = await rest('GET', '/admin/statistics');
      const figure = (key, value, detail) => h('div', { class: 'figure' }, h('dt', null, t(key)), h('dd', null, h('strong', { class: 'num' }, whole.format(value)), detail && h('small', { class: 'muted num' }, detail)));
      fill(totals, h('h2', { class: 'section-title' }, t('adm_totals')), h('dl', { class: 'figures' },
        figure('adm_users', counts.users, t('adm_active_today', { n: counts.users_active_24h })),
        figure('adm_banned_users', counts.users_banned), figure('adm_messages', counts.messages, t('adm_today', { n: counts.messages_24h })),
        figure('adm_chats', counts.chats, t('adm_groups_n', { n: counts.groups })),
        figure('adm_mails_queued', counts.mails_queued), figure('adm_mails_failed', counts.mails_failed)),
      counts.mails_failed > 0 && h('a', { class: 'link small', href: addressOf('mail', { state: 'failed' }) }, t('adm_see_failed')));
    } catch (error) {
      fill(totals, h('h2', { class: 'section-title' }, t('adm_totals')), failed(error, loadTotals));
    }
  }

  async function loadReports() {
    const title = h('div', { class: 'row' }, h('h2', { class: 'section-title grow' }, t('adm_open_reports')), h('a', { class: 'link small', href: '#/reports' }, t('adm_all_reports')));
    try {
      const { items } = await list('/admin/report?limit=5');
      const parts = columns((id) => `#/reports/${id}`);
      fill(reports, title, items.length ? h('div', { class: 'table-frame' }, h('table', { class: 'table' }, h('caption', { class: 'vh' }, t('adm_open_reports')),
        h('thead', null, h('tr', null, parts.map((it) => h('th', { scope: 'col', class: it.class }, it.label)))),
        h('tbody', null, items.map((item) => h('tr', null, parts.map((it) => h('td', { class: it.class }, it.cell(item)))))))) : h('p', { class: 'notice' }, t('adm_no_reports_text')));
    } catch (error) {
      fill(reports, title, failed(error, loadReports));
    }
  }

  const onVisible = () => { if (document.visibilityState === 'visible') load(); };
  document.addEventListener('visibilitychange', onVisible);
  fill(live, Array.from({ length: 5 }, () => h('div', { class: 'tile' }, skeleton(3))));
  fill(server, skeleton(5));
  fill(totals, skeleton(5));
  fill(reports, skeleton(3));
  load();
  loadTotals();
  loadReports();
  return {
    element, update() {},
    leave() { isGone = true; clearTimeout(timer); document.removeEventListener('visibilitychange', onVisible); },
  };
}

const DATABASES = { sqlite: 'SQLite', postgres: 'PostgreSQL', postgresql: 'PostgreSQL' };
