// Shows a call as code, to copy.
import { fill, h, text } from '../shared/dom.js';
import { t } from '../shared/i18n.js';
import { icon } from '../shared/icons.js';
import { tabList } from '../shared/tabs.js';
import { toast } from '../shared/toast.js';
import { snippetsOf } from './snippets.js';

export function createSnippets() {
  const code = h('pre', { class: 'snippet', tabindex: '0' });
  const bar = h('div', { class: 'row' });
  let chosen = 'curl';
  let last = [];

  function show(...what) {
    last = what;
    const all = snippetsOf(...what);
    const [key, , content] = all.find(([it]) => it === chosen) ?? all[0];
    text(code, content);
    const { element } = tabList({
      label: t('con_code'),
      tabs: all.map(([it, label]) => [it, label]),
      value: key,
      onselect: (it) => {
        chosen = it;
        show(...last);
        bar.querySelector('[aria-selected="true"]')?.focus();
      },
    });
    fill(
      bar,
      h('div', { class: 'grow' }, element),
      h(
        'button',
        { type: 'button', class: 'btn outline small', onclick: () => copy(content) },
        icon('copy', 's'),
        t('copy'),
      ),
    );
  }

  return { element: h('details', { class: 'fold' }, h('summary', null, t('con_code')), bar, code), show };
}

async function copy(content) {
  try {
    await navigator.clipboard.writeText(content);
    toast(t('copied'));
  } catch {
    toast(t('cannot_copy'));
  }
}
