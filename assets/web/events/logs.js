// The logs of acknowledgements and received events: newest first, each unfolds to its JSON.
import { fill, h } from '../shared/dom.js';
import { locale, t } from '../shared/i18n.js';
import { icon } from '../shared/icons.js';
import { toast } from '../shared/toast.js';

const KEEP = 200;
const clock = new Intl.DateTimeFormat(locale, {
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
  fractionalSecondDigits: 3,
});

/** JSON with its parts in colours, as text nodes. */
function coloured(value) {
  const text = JSON.stringify(value, null, 2);
  const parts = [];
  let last = 0;
  for (const match of text.matchAll(/"(?:[^"\\]|\\.)*"(\s*:)?|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null/g)) {
    parts.push(text.slice(last, match.index));
    const [whole, colon] = match;
    const kind = colon ? 'json-name' : whole.startsWith('"') ? 'json-string' : 'json-number';
    parts.push(h('span', { class: kind }, colon ? whole.slice(0, -colon.length) : whole), colon ?? '');
    last = match.index + whole.length;
  }
  parts.push(text.slice(last));
  return h('pre', { class: 'json', tabindex: '0' }, parts);
}

async function copy(value) {
  try {
    await navigator.clipboard.writeText(JSON.stringify(value, null, 2));
    toast(t('copied'));
  } catch {
    toast(t('cannot_copy'));
  }
}

/** A log. `add({ name, tag, tone, detail, value, group })` puts an entry first; `filter(test)` hides others. */
export function createLog({ label, about, hint, tools }) {
  const list = h('div', { class: 'log-list', role: 'log', 'aria-label': label, tabindex: '0' });
  const nothing = h('p', { class: 'log-empty muted small' }, hint);
  const title = h('h2', null, label, ' ', about);
  const element = h(
    'section',
    { class: 'log' },
    h(
      'header',
      { class: 'row' },
      h('div', { class: 'grow' }, title),
      tools,
      h(
        'button',
        {
          type: 'button',
          class: 'icon-btn',
          'aria-label': t('con_clear', { name: label }),
          title: t('con_clear', { name: label }),
          onclick: () => {
            fill(list);
            showNothing();
          },
        },
        icon('trash', 's'),
      ),
    ),
    nothing,
    list,
  );
  let test = () => true;
  const showNothing = () => {
    nothing.hidden = [...list.children].some((it) => !it.hidden);
  };
  return {
    element,
    add({ name, tag, tone = '', detail, value, group }) {
      const entry = h(
        'details',
        { class: 'entry', open: true, 'data-group': group },
        h(
          'summary',
          null,
          h('time', { class: 'num muted' }, clock.format(new Date())),
          h('b', null, name),
          tag && h('span', { class: `tag ${tone}` }, tag),
          detail && h('span', { class: 'muted num' }, detail),
        ),
        h(
          'div',
          { class: 'entry-body' },
          coloured(value),
          h(
            'button',
            {
              type: 'button',
              class: 'icon-btn copy',
              'aria-label': t('copy'),
              title: t('copy'),
              onclick: () => copy(value),
            },
            icon('copy', 's'),
          ),
        ),
      );
      entry.hidden = !test(group);
      // The newest is open; one that the reader has opened again stays.
      for (const older of list.children) if (older.dataset.touched === undefined) older.open = false;
      entry.querySelector('summary').addEventListener('click', () => {
        entry.dataset.touched = '';
      });
      list.prepend(entry);
      list.scrollTop = 0;
      while (list.childElementCount > KEEP) list.lastChild.remove();
      showNothing();
    },
    filter(to) {
      test = to;
      for (const entry of list.children) entry.hidden = !test(entry.dataset.group);
      showNothing();
    },
  };
}
