// The boxes of the overview: the server, and the counts of everything.
import { fill, h } from '../../shared/dom.js';
import { locale, t } from '../../shared/i18n.js';
import { fullTime, size } from '../../shared/time.js';
import { addressOf, fact, failed, skeleton } from '../parts.js';
import { rest } from '../session.js';

const whole = new Intl.NumberFormat(locale, { maximumFractionDigits: 0 });
const DATABASES = { sqlite: 'SQLite', postgres: 'PostgreSQL', postgresql: 'PostgreSQL' };

/** `3 d 4 h`, `5 h 12 min`, `8 min` */
function duration(since) {
  const minutes = Math.max(0, Math.floor((Date.now() - new Date(since)) / 60_000));
  const unit = (value, name) =>
    new Intl.NumberFormat(locale, { style: 'unit', unit: name, unitDisplay: 'short' }).format(value);
  if (minutes < 60) return unit(minutes, 'minute');
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return `${unit(hours, 'hour')} ${unit(minutes % 60, 'minute')}`;
  return `${unit(Math.floor(hours / 24), 'day')} ${unit(hours % 24, 'hour')}`;
}

/** What runs, where, and since when. */
export function serverView(data) {
  const { database: db, nodes = [], storage } = data;
  return [
    h('h2', { class: 'section-title' }, t('adm_server')),
    h(
      'dl',
      { class: 'facts' },
      fact(t('adm_version'), data.version),
      fact(t('adm_uptime'), h('span', { title: fullTime(data.started_at) }, duration(data.started_at))),
      fact(
        t('adm_database'),
        [DATABASES[db.kind] ?? db.kind, db.size_bytes > 0 && size(db.size_bytes)].filter(Boolean).join(', '),
      ),
      db.pool_size > 0 &&
        fact(
          t('adm_pool'),
          h(
            'span',
            { class: 'meter-row' },
            h('meter', { min: 0, max: db.pool_size, value: db.pool_used, 'aria-label': t('adm_pool') }),
            t('adm_of', { a: db.pool_used, b: db.pool_size }),
          ),
        ),
      fact(t('adm_storage'), t((storage.kind ?? storage) === 's3' ? 'adm_storage_s3' : 'adm_storage_local')),
    ),
    nodes.length > 0 &&
      h(
        'div',
        { class: 'table-frame' },
        h(
          'table',
          { class: 'table dense' },
          h('caption', { class: 'vh' }, t('adm_nodes')),
          h(
            'thead',
            null,
            h(
              'tr',
              null,
              h('th', { scope: 'col' }, t('adm_node')),
              h('th', { scope: 'col', class: 'number' }, t('adm_connections')),
              h('th', { scope: 'col', class: 'number' }, t('adm_uptime')),
            ),
          ),
          h(
            'tbody',
            null,
            nodes.map((it) =>
              h(
                'tr',
                null,
                h(
                  'td',
                  null,
                  h(
                    'span',
                    { class: 'cut block' },
                    it.id,
                    it.id === data.node && h('span', { class: 'muted' }, ` (${t('adm_this_node')})`),
                  ),
                ),
                h('td', { class: 'number' }, whole.format(it.connections)),
                h('td', { class: 'number nowrap' }, duration(it.started_at)),
              ),
            ),
          ),
        ),
      ),
  ];
}

/** The counts, for admins; `load` fetches them. */
export function createTotals() {
  const totals = h('section', { class: 'card-box', 'aria-label': t('adm_totals') }, skeleton(5));
  async function loadTotals() {
    try {
      const counts = await rest('GET', '/admin/statistics');
      const figure = (key, value, detail) =>
        h(
          'div',
          { class: 'figure' },
          h('dt', null, t(key)),
          h(
            'dd',
            null,
            h('strong', { class: 'num' }, whole.format(value)),
            detail && h('small', { class: 'muted num' }, detail),
          ),
        );
      fill(
        totals,
        h('h2', { class: 'section-title' }, t('adm_totals')),
        h(
          'dl',
          { class: 'figures' },
          figure('adm_users', counts.users, t('adm_active_today', { n: counts.users_active_24h })),
          figure('adm_banned_users', counts.users_banned),
          figure('adm_messages', counts.messages, t('adm_today', { n: counts.messages_24h })),
          figure('adm_chats', counts.chats, t('adm_groups_n', { n: counts.groups })),
          figure('adm_mails_queued', counts.mails_queued),
          figure('adm_mails_failed', counts.mails_failed),
        ),
        counts.mails_failed > 0 &&
          h('a', { class: 'link small', href: addressOf('mail', { state: 'failed' }) }, t('adm_see_failed')),
      );
    } catch (error) {
      fill(totals, h('h2', { class: 'section-title' }, t('adm_totals')), failed(error, loadTotals));
    }
  }
  return { element: totals, load: loadTotals };
}
