// A list in pages: filters, a table and the way to the next page. Filters and page stand in the address.
import { attr, debounce, fill, h, newId } from '../shared/dom.js';
import { t } from '../shared/i18n.js';
import { icon } from '../shared/icons.js';
import { navigate } from '../shared/router.js';
import { addressOf, empty, failed } from './parts.js';
import { list as fetchPage } from './session.js';

const LIMIT = 25;

/**
 * @param {object} options
 * @param {string} options.name The page's path in the address, such as `users`.
 * @param {string} options.label Names the table.
 * @param {Array<object>} [options.filters] `{ name, label, type: 'search' | 'number' | 'select', options: [value, text][] }`.
 * @param {(query: object) => object} [options.toQuery] Turns the address's values into those of the request.
 * @param {string} options.path Of the request, such as `/admin/user`.
 * @param {Array<object>} options.columns `{ label, cell(item), class }`.
 * @param {object} options.nothing `{ symbol, title, text }` for the list without filters.
 * @returns {{ element: HTMLElement, update(query: object, selected?: string): void, reload(): void, leave(): void,
 *   items(): object[] }}
 */
export function pagedList({
  name,
  label,
  filters = [],
  toQuery = (it) => it,
  path,
  columns,
  nothing,
  before,
  fields = [],
}) {
  let query = {};
  let shown = null;
  let items = [];
  let selected = null;
  /** Cursors of the pages before this one, to go back; kept in the history with each page. */
  let trail = [];
  let request = 0;
  const known = [...filters.map((it) => it.name), ...fields, 'cursor'];
  const pick = (from) => Object.fromEntries(known.filter((key) => from[key]).map((key) => [key, from[key]]));
  // What is open beside the list stays open.
  const go = (changes, options) =>
    navigate(addressOf(selected ? `${name}/${selected}` : name, { ...query, cursor: undefined, ...changes }), options);

  const inputs = new Map();
  const waiting = [];
  const bar = h(
    'form',
    { class: 'filters', role: 'search', 'aria-label': t('adm_filters'), onsubmit: (event) => event.preventDefault() },
    filters.map((filter) => {
      const { element, later } = filterField(filter, (value, options) => {
        // What is still being typed in another field counts as well.
        for (const other of waiting) other?.now();
        trail = [];
        go({ [filter.name]: value }, options);
      });
      waiting.push(later);
      inputs.set(filter.name, element.querySelector('input, select'));
      return element;
    }),
  );
  const body = h('tbody');
  const table = h(
    'table',
    { class: 'table' },
    h('caption', { class: 'vh' }, label),
    h(
      'thead',
      null,
      h(
        'tr',
        null,
        columns.map((it) => h('th', { scope: 'col', class: it.class }, it.label)),
      ),
    ),
    body,
  );
  const frame = h('div', { class: 'table-frame' }, table);
  const state = h('div', { class: 'list-state', hidden: true });
  const told = h('p', { class: 'vh', role: 'status' });
  const previous = h(
    'button',
    { type: 'button', class: 'btn plain small', onclick: back },
    icon('back', 's'),
    t('adm_previous'),
  );
  const next = h('button', { type: 'button', class: 'btn plain small' }, t('adm_next'), icon('next', 's'));
  const pager = h('nav', { class: 'pager', 'aria-label': t('adm_pages') }, previous, next);
  const element = h('section', { class: 'list' }, before, filters.length > 0 && bar, frame, state, pager, told);

  function back() {
    const before = trail.slice(0, -1);
    go({ cursor: trail.at(-1) ?? undefined }, { state: { trail: before } });
  }

  function showRows() {
    fill(
      body,
      items.map((item) =>
        h(
          'tr',
          { 'data-id': item.id, 'aria-selected': null },
          columns.map((column) => h('td', { class: column.class }, column.cell(item))),
        ),
      ),
    );
    mark();
    frame.hidden = false;
    state.hidden = items.length > 0;
    frame.hidden = items.length === 0;
    if (items.length) return;
    const isFiltered = known.some((key) => query[key]);
    fill(
      state,
      isFiltered
        ? empty({
            symbol: 'search',
            title: t('nothing_found'),
            text: t('adm_nothing_filtered'),
            action: h('button', { type: 'button', class: 'btn plain small', onclick: clear }, t('adm_clear')),
          })
        : empty(nothing),
    );
  }
  const clear = () => {
    trail = [];
    navigate(addressOf(name, Object.fromEntries(fields.map((key) => [key, query[key]]))));
  };

  function mark() {
    for (const row of body.rows) row.classList.toggle('is-open', row.dataset.id === selected);
  }

  async function load({ quiet = false } = {}) {
    const mine = ++request;
    // Rows that are there stay until the new ones come; only an empty list shows a skeleton.
    if (!quiet && (frame.hidden || !items.length)) {
      frame.hidden = false;
      state.hidden = true;
      fill(
        body,
        Array.from({ length: 6 }, (_, n) =>
          h(
            'tr',
            { class: 'loading', 'aria-hidden': 'true' },
            columns.map((column, at) =>
              h(
                'td',
                { class: column.class },
                h('span', { class: 'skeleton bar', style: { width: `${at ? 40 + ((n * 17 + at * 29) % 50) : 80}%` } }),
              ),
            ),
          ),
        ),
      );
    }
    attr(table, 'aria-busy', !quiet);
    try {
      const { cursor, ...rest } = query;
      const values = { ...(await toQuery(rest)), cursor, limit: LIMIT };
      const page = await fetchPage(path + addressOf('', values).slice(2));
      if (mine !== request) return;
      items = page.items;
      const following = page.next && new URLSearchParams(page.next.split('?')[1]).get('cursor');
      showRows();
      previous.hidden = !query.cursor;
      next.hidden = !following;
      next.onclick = () => {
        go({ cursor: following }, { state: { trail: [...trail, query.cursor ?? null] } });
      };
      pager.hidden = previous.hidden && next.hidden;
      told.textContent = t('adm_rows_n', { n: items.length });
    } catch (error) {
      if (mine !== request || quiet) return;
      if (!error.code) console.error(error);
      frame.hidden = true;
      pager.hidden = true;
      state.hidden = false;
      fill(
        state,
        failed(error, () => load()),
      );
    } finally {
      if (mine === request) attr(table, 'aria-busy', null);
    }
  }

  return {
    element,
    items: () => items,
    reload: () => load({ quiet: true }),
    /** What is still being typed must not bring this page back. */
    leave() {
      for (const later of waiting) later?.cancel();
    },
    update(all, id = null) {
      query = pick(all);
      // What is opened beside a page keeps its trail.
      trail = history.state?.trail ?? (query.cursor ? trail : []);
      selected = id;
      for (const [key, input] of inputs)
        if (input !== document.activeElement || input.tagName === 'SELECT') input.value = query[key] ?? '';
      const wanted = JSON.stringify(query);
      if (wanted !== shown) {
        shown = wanted;
        pager.hidden = true;
        load();
      } else mark();
    },
    /** The address of a page below this one, with the filters kept. */
    to: (id) => addressOf(`${name}/${id}`, query),
    home: () => addressOf(name, query),
  };
}

function filterField({ name, label, type, options, hint }, change) {
  const id = newId('filter');
  if (type === 'select') {
    const element = h(
      'div',
      { class: 'filter' },
      h('label', { for: id, class: 'label' }, label),
      h(
        'select',
        { id, name, class: 'input', onchange: (event) => change(event.target.value) },
        options.map(([value, text]) => h('option', { value }, text)),
      ),
    );
    return { element };
  }
  // Each letter replaces the address, so that "back" leaves the page instead of deleting letters.
  const later = debounce((value) => change(value.trim(), { replace: true }), 250);
  const input = h('input', {
    id,
    name,
    class: 'input',
    type: type === 'number' ? 'text' : 'search',
    inputmode: type === 'number' ? 'numeric' : null,
    placeholder: hint,
    autocomplete: 'off',
    spellcheck: 'false',
    dir: 'auto',
    oninput: (event) => later(event.target.value),
    // Not on leaving the field: that may be a click on a row, which must not move away.
    onkeydown: (event) => {
      if (event.key === 'Enter') later.now();
    },
  });
  const element = h('div', { class: `filter ${type}` }, h('label', { for: id, class: 'label' }, label), input);
  return { element, later };
}
