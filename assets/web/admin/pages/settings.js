// The settings in force. They are environment variables, so the panel shows them and changes none.
import { fill, h } from '../../shared/dom.js';
import { t } from '../../shared/i18n.js';
import { addressOf, empty, failed, heading, skeleton, tag } from '../parts.js';
import { navigate } from '../../shared/router.js';
import { rest } from '../session.js';

export function create() {
  let all = null;
  let query = {};
  const search = h('input', {
    class: 'input',
    id: 'settings-query',
    type: 'search',
    placeholder: t('adm_setting_search'),
    autocomplete: 'off',
    oninput: (event) => go({ query: event.target.value.trim() }),
  });
  const changed = h('input', {
    type: 'checkbox',
    onchange: (event) => go({ changed: event.target.checked ? 'yes' : undefined }),
  });
  const body = h('tbody');
  const place = h('div');
  const told = h('p', { class: 'vh', role: 'status' });
  const table = h(
    'div',
    { class: 'table-frame' },
    h(
      'table',
      { class: 'table settings' },
      h('caption', { class: 'vh' }, t('adm_settings')),
      h(
        'thead',
        null,
        h(
          'tr',
          null,
          ['adm_setting', 'adm_value', 'adm_default', 'adm_meaning'].map((key, n) =>
            h('th', { scope: 'col', class: n > 1 ? (n > 2 ? 'mid' : 'wide') : null }, t(key)),
          ),
        ),
      ),
      body,
    ),
  );
  const go = (changes) => navigate(addressOf('settings', { ...query, ...changes }), { replace: true });

  const value = (it) => {
    if (it.is_secret) return h('span', { class: 'muted' }, t(it.is_set ? 'adm_secret' : 'adm_unset'));
    const inForce = it.is_set ? it.value : it.default;
    return inForce ? h('code', null, inForce) : h('span', { class: 'muted' }, t('adm_unset'));
  };
  const row = (it) =>
    h(
      'tr',
      null,
      h(
        'th',
        { scope: 'row' },
        h('code', null, it.name),
        it.is_set && [' ', tag(t('adm_set'), 'open')],
        h('small', { class: 'muted small-only block' }, it.meaning),
      ),
      h('td', null, value(it)),
      h(
        'td',
        { class: 'wide' },
        it.default ? h('code', { class: 'muted' }, it.default) : h('span', { class: 'muted' }, t('adm_none')),
      ),
      h('td', { class: 'mid meaning' }, it.meaning),
    );

  function show() {
    const words = (query.query ?? '').toLowerCase();
    const items = all.filter(
      (it) => (!query.changed || it.is_set) && `${it.name} ${it.meaning}`.toLowerCase().includes(words),
    );
    fill(body, items.map(row));
    fill(
      place,
      items.length ? table : empty({ symbol: 'search', title: t('nothing_found'), text: t('adm_nothing_filtered') }),
    );
    told.textContent = t('adm_rows_n', { n: items.length });
  }

  async function load() {
    fill(place, skeleton(8));
    try {
      all = await rest('GET', '/admin/settings');
      show();
    } catch (error) {
      if (!error.code) console.error(error);
      fill(place, failed(error, load));
    }
  }
  load();
  return {
    element: h(
      'div',
      { class: 'column' },
      heading(t('adm_settings'), t('adm_settings_lead')),
      h(
        'form',
        {
          class: 'filters',
          role: 'search',
          'aria-label': t('adm_filters'),
          onsubmit: (event) => event.preventDefault(),
        },
        h(
          'div',
          { class: 'filter search' },
          h('label', { class: 'label', for: 'settings-query' }, t('search')),
          search,
        ),
        h('label', { class: 'check' }, changed, h('span', null, t('adm_only_changed'))),
      ),
      place,
      told,
    ),
    update({ query: now }) {
      query = { query: now.query, changed: now.changed };
      if (search !== document.activeElement) search.value = query.query ?? '';
      changed.checked = Boolean(query.changed);
      if (all) show();
    },
  };
}
