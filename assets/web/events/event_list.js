// The list of events to choose from, with a search.
import { attr, fill, h, rove } from '../shared/dom.js';
import { t } from '../shared/i18n.js';
import { icon } from '../shared/icons.js';

/** `onselect(event)` is called for a choice; `select(event)` only shows it. */
export function createEventList({ events, onselect }) {
  const options = new Map();
  const search = h('input', {
    class: 'input',
    type: 'search',
    'aria-label': t('con_search'),
    placeholder: t('con_search'),
    autocomplete: 'off',
    spellcheck: 'false',
    oninput: filter,
  });
  const list = h('div', { class: 'event-list', role: 'listbox', 'aria-label': t('con_event') });
  const told = h('p', { class: 'vh', role: 'status' });
  const nothing = h('p', { class: 'muted small event-none', hidden: true }, t('nothing_found'));
  const element = h(
    'nav',
    { class: 'events', 'aria-label': t('con_events') },
    h(
      'div',
      { class: 'event-panel' },
      h('div', { class: 'event-search' }, icon('search', 's'), search),
      list,
      nothing,
      told,
    ),
  );
  const groups = [
    [t('con_commands'), events.filter((it) => it.isCommand)],
    [t('con_server_events'), events.filter((it) => !it.isCommand)],
  ].map(([label, items]) => {
    const group = h(
      'div',
      { role: 'group', 'aria-label': label },
      h(
        'div',
        { class: 'event-group', 'aria-hidden': 'true' },
        label,
        ' ',
        h('span', { class: 'muted num' }, String(items.length)),
      ),
    );
    for (const event of items) {
      const option = h(
        'div',
        {
          role: 'option',
          class: 'event',
          tabindex: '-1',
          title: event.summary,
          'aria-selected': 'false',
          onclick: () => onselect(event),
        },
        event.key,
      );
      options.set(event, option);
      group.append(option);
    }
    list.append(group);
    return group;
  });

  function filter() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    for (const [event, option] of options) {
      const haystack = `${event.key} ${event.key.replaceAll('_', ' ')} ${event.summary}`.toLowerCase();
      option.hidden = !words.every((it) => haystack.includes(it));
      if (!option.hidden) count += 1;
    }
    for (const group of groups) group.hidden = !group.querySelector('[role="option"]:not([hidden])');
    nothing.hidden = count > 0;
    told.textContent = words.length ? t('con_found_n', { n: count }) : '';
    // One option is in the tab order, also if the chosen one is filtered out.
    if (!list.querySelector('[tabindex="0"]:not([hidden])'))
      for (const [n, it] of visible().entries()) it.tabIndex = n ? -1 : 0;
  }
  const visible = () => [...list.querySelectorAll('[role="option"]:not([hidden])')];

  search.addEventListener('keydown', (event) => {
    if (event.key === 'ArrowDown') {
      event.preventDefault();
      visible()[0]?.focus();
    }
    if (event.key === 'Enter') visible()[0]?.click();
    if (event.key === 'Escape' && search.value) {
      event.stopPropagation();
      search.value = '';
      filter();
    }
  });
  rove(list, '[role="option"]:not([hidden])', { onMove: (option) => option.click() });
  list.addEventListener('keydown', (event) => {
    if (event.key === 'Enter' || event.key === ' ') {
      event.preventDefault();
      event.target.closest('[role="option"]')?.click();
    }
  });

  return {
    element,
    select(event) {
      for (const [other, option] of options) {
        attr(option, 'aria-selected', String(other === event));
        option.tabIndex = other === event ? 0 : -1;
      }
      const option = options.get(event);
      if (option && !option.hidden) option.scrollIntoView({ block: 'nearest' });
      fill(told);
    },
  };
}
