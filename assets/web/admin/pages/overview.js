// The overview: how the server is doing now and in the last ten minutes, and what waits for a moderator.
import { fill, h } from '../../shared/dom.js';
import { locale, t } from '../../shared/i18n.js';
import { tile } from '../charts.js';
import { failed, heading, skeleton } from '../parts.js';
import { isAdmin, list, rest } from '../session.js';
import { createTotals, serverView } from './overview_boxes.js';
import { columns } from './reports.js';

const whole = new Intl.NumberFormat(locale, { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat(locale, { maximumFractionDigits: 1 });
const clockTime = new Intl.DateTimeFormat(locale, { hour: 'numeric', minute: '2-digit', second: '2-digit' });
const ms = (value) => (value === null || value === undefined ? '–' : short.format(value));

export function create() {
  let data = null;
  let timer;
  let isGone = false;
  const at = (index) => data.samples[index ?? data.samples.length - 1] ?? {};
  const perSecond = (it) => (it.messages ?? 0) / data.every_secs;
  const sum = (key) => data.samples.reduce((total, it) => total + (it[key] ?? 0), 0);
  /** Without messages a sample has no latency; then the last known one is shown as the present one. */
  const latency = (n, key) =>
    at(n)[key] ?? (n === null ? data.samples.findLast((it) => it[key] !== null)?.[key] : null);
  const timeAt = (index) => clockTime.format(new Date(at(index).at));
  const make = (options) => tile({ timeAt, ...options });
  const tiles = [
    [
      make({
        label: t('adm_connections'),
        valueAt: (n) => whole.format(at(n).connections ?? 0),
        detailAt: (n) => t('adm_users_online', { n: at(n).users_online ?? 0 }),
      }),
      (it) => [it.connections],
    ],
    [
      make({
        label: t('adm_messages_s'),
        valueAt: (n) => short.format(perSecond(at(n))),
        detailAt: (n) => (n === null ? t('adm_in_ten_minutes', { n: sum('messages') }) : ''),
      }),
      (it) => [perSecond(it)],
    ],
    [
      make({
        label: t('adm_latency'),
        unit: t('adm_ms'),
        valueAt: (n) => ms(latency(n, 'send_p99_ms')),
        detailAt: (n) =>
          latency(n, 'send_p50_ms') ? t('adm_median', { value: ms(latency(n, 'send_p50_ms')) }) : t('adm_no_sends'),
      }),
      (it) => [it.send_p99_ms ?? 0, it.send_p50_ms ?? 0],
    ],
    [
      make({
        label: t('adm_errors'),
        valueAt: (n) => whole.format(n === null ? sum('errors') : (at(n).errors ?? 0)),
        detailAt: (n) => (n === null ? t('adm_in_last_ten') : ''),
      }),
      (it) => [it.errors],
    ],
    [
      make({
        label: t('adm_queue'),
        valueAt: (n) => whole.format(at(n).queue ?? 0),
        detailAt: () => t('adm_queue_hint'),
      }),
      (it) => [it.queue],
    ],
  ];
  const live = h('div', { class: 'tiles' });
  const server = h('section', { class: 'card-box', 'aria-label': t('adm_server') });
  const state = h('div');
  const stamp = h('p', { class: 'muted small live', role: 'status' });
  const totals = isAdmin() ? createTotals() : null;
  /** Says how fresh the figures are; only once, because it is read out. */
  const say = (words, isLive) => {
    if (stamp.textContent === words) return;
    fill(stamp, isLive && h('span', { class: 'live-dot', 'aria-hidden': 'true' }), words);
  };
  const reports = h('section', { class: 'block-section', 'aria-label': t('adm_open_reports') });
  const element = h(
    'div',
    { class: 'column' },
    heading(t('adm_overview'), null, stamp),
    state,
    live,
    h('div', { class: 'two' }, server, totals?.element),
    reports,
  );

  function show() {
    fill(state);
    // The first answer replaces the skeletons.
    if (!live.contains(tiles[0][0].element))
      fill(
        live,
        tiles.map(([it]) => it.element),
      );
    for (const [it, values] of tiles) {
      const rows = data.samples.map(values);
      it.update((rows[0] ?? [0]).map((_, n) => rows.map((row) => row[n] ?? 0)));
    }
    const newest = data.samples.at(-1);
    say(newest ? t('adm_live', { n: data.every_secs }) : t('adm_no_samples'), true);
    fill(server, serverView(data));
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
        if (data) say(t('adm_stale'), false);
        else {
          fill(live);
          fill(server);
          fill(
            state,
            failed(error, () => {
              fill(state, skeleton(3));
              load();
              totals?.load();
              loadReports();
            }),
          );
          return;
        }
      }
    }
    if (!isGone) timer = setTimeout(load, wait);
  }

  async function loadReports() {
    const title = h(
      'div',
      { class: 'row' },
      h('h2', { class: 'section-title grow' }, t('adm_open_reports')),
      h('a', { class: 'link small', href: '#/reports' }, t('adm_all_reports')),
    );
    try {
      const { items } = await list('/admin/report?limit=5');
      const parts = columns((id) => `#/reports/${id}`);
      fill(
        reports,
        title,
        items.length
          ? h(
              'div',
              { class: 'table-frame' },
              h(
                'table',
                { class: 'table' },
                h('caption', { class: 'vh' }, t('adm_open_reports')),
                h(
                  'thead',
                  null,
                  h(
                    'tr',
                    null,
                    parts.map((it) => h('th', { scope: 'col', class: it.class }, it.label)),
                  ),
                ),
                h(
                  'tbody',
                  null,
                  items.map((item) =>
                    h(
                      'tr',
                      null,
                      parts.map((it) => h('td', { class: it.class }, it.cell(item))),
                    ),
                  ),
                ),
              ),
            )
          : h('p', { class: 'notice' }, t('adm_no_reports_text')),
      );
    } catch (error) {
      fill(reports, title, failed(error, loadReports));
    }
  }

  const onVisible = () => {
    if (document.visibilityState === 'visible') load();
  };
  document.addEventListener('visibilitychange', onVisible);
  fill(
    live,
    Array.from({ length: 5 }, () => h('div', { class: 'tile' }, skeleton(3))),
  );
  fill(server, skeleton(5));
  fill(reports, skeleton(3));
  load();
  totals?.load();
  loadReports();
  return {
    element,
    update() {},
    leave() {
      isGone = true;
      clearTimeout(timer);
      document.removeEventListener('visibilitychange', onVisible);
    },
  };
}
