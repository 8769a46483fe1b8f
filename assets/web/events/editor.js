// The payload's editor: line numbers, and errors at the line they are about.
import { attr, fill, h, newId } from '../shared/dom.js';
import { t } from '../shared/i18n.js';
import { JsonError, lineOf, parseJson } from './json_text.js';

export function createEditor({ onsend, onchange }) {
  const id = newId('payload');
  const gutter = h('pre', { class: 'gutter', 'aria-hidden': 'true' });
  const area = h('textarea', {
    id,
    class: 'code',
    spellcheck: 'false',
    autocapitalize: 'none',
    autocomplete: 'off',
    wrap: 'off',
    dir: 'ltr',
    rows: 12,
    'aria-describedby': `${id}-problems`,
    oninput: () => {
      showProblems([]);
      check();
      onchange();
    },
    onscroll: () => {
      gutter.scrollTop = area.scrollTop;
    },
    onkeydown: (event) => {
      if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) {
        event.preventDefault();
        onsend();
      }
    },
  });
  const problems = h('ul');
  const problemBox = h('div', { class: 'problems', id: `${id}-problems`, role: 'alert', hidden: true }, problems);
  const element = h(
    'div',
    { class: 'editor' },
    h('label', { class: 'label', for: id }, t('con_payload')),
    h('div', { class: 'editor-frame' }, gutter, area),
    problemBox,
  );
  let marked = new Set();

  function showLines() {
    const count = area.value.split('\n').length;
    fill(
      gutter,
      Array.from({ length: count }, (_, n) =>
        h('span', { class: marked.has(n + 1) ? 'has-error' : null }, `${n + 1}\n`),
      ),
    );
    gutter.scrollTop = area.scrollTop;
  }

  /** Shows problems, `{ offset, text }`; one with an offset is a button that goes there. */
  function showProblems(list) {
    marked = new Set(list.filter((it) => it.offset !== null).map((it) => lineOf(area.value, it.offset).line));
    fill(
      problems,
      list.map(({ offset, text }) => {
        if (offset === null) return h('li', null, text);
        const { line, column } = lineOf(area.value, offset);
        return h(
          'li',
          null,
          h(
            'button',
            { type: 'button', onclick: () => goTo(offset) },
            h('b', { class: 'num' }, t('con_line', { line: String(line), column: String(column) })),
            ' ',
            text,
          ),
        );
      }),
    );
    problemBox.hidden = list.length === 0;
    attr(area, 'aria-invalid', list.length > 0 || null);
    showLines();
  }

  function goTo(offset) {
    const end = /^(?:"(?:[^"\\]|\\.)*"|[\w.+-]+|.)/.exec(area.value.slice(offset))?.[0].length ?? 1;
    area.focus();
    area.setSelectionRange(offset, offset + end);
    const { line } = lineOf(area.value, offset);
    area.scrollTop = Math.max(0, (line - 4) * parseFloat(getComputedStyle(area).lineHeight));
  }

  /** The parsed payload, or null; what is wrong is shown. */
  function check() {
    try {
      const parsed = parseJson(area.value);
      if (parsed.value === null || typeof parsed.value !== 'object' || Array.isArray(parsed.value)) {
        showProblems([{ offset: parsed.places.get(''), text: t('con_not_object') }]);
        return null;
      }
      showProblems([]);
      return parsed;
    } catch (error) {
      if (!(error instanceof JsonError)) throw error;
      showProblems([{ offset: error.offset, text: t(`con_json_${error.kind}`) }]);
      return null;
    }
  }

  return {
    element,
    area,
    check,
    showProblems,
    /** Shows the server's problems, each at the field it names, or at the nearest one that is there. */
    showErrors({ errors = {}, message }) {
      let places = new Map();
      try {
        ({ places } = parseJson(area.value));
      } catch {
        /* Then they have no place. */
      }
      const placeOf = (path) => {
        const parts = path.replace(/\[(\d+)\]/g, '.$1').split('.');
        for (; parts.length; parts.pop()) if (places.has(parts.join('.'))) return places.get(parts.join('.'));
        return places.get('') ?? null;
      };
      const list = Object.entries(errors).flatMap(([path, texts]) =>
        texts.map((it) => ({ offset: placeOf(path), text: `${path} ${it}` })),
      );
      showProblems(list.length ? list : [{ offset: null, text: message }]);
    },
    get value() {
      return area.value;
    },
    set(value, { readonly = false } = {}) {
      area.value = value;
      area.readOnly = readonly;
      area.scrollTop = 0;
      showProblems([]);
    },
  };
}
