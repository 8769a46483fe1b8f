// The panel beside a list: details of what was chosen. Escape closes it; on small screens it covers the page.
import { fill, h, newId } from '../shared/dom.js';
import { t } from '../shared/i18n.js';
import { icon } from '../shared/icons.js';
import { failed, skeleton } from './parts.js';

/**
 * @param {object} options
 * @param {() => void} options.onclose Asked to close: the page changes the address.
 */
export function sidePanel({ onclose }) {
  const id = newId('panel');
  const heading = h('h2', { id, tabindex: '-1', class: 'cut' });
  const body = h('div', { class: 'side-body' });
  const element = h(
    'aside',
    { class: 'side', 'aria-labelledby': id, hidden: true },
    h(
      'header',
      null,
      heading,
      h(
        'button',
        { type: 'button', class: 'icon-btn', 'aria-label': t('close'), title: t('close'), onclick: () => onclose() },
        icon('close'),
      ),
    ),
    body,
  );
  element.addEventListener('keydown', (event) => {
    if (event.key !== 'Escape' || event.defaultPrevented) return;
    event.preventDefault();
    onclose();
  });
  let shown = null;
  let request = 0;

  async function load(key, title, view, isAgain) {
    const mine = ++request;
    if (!isAgain) {
      heading.textContent = title;
      fill(body, skeleton(7));
      body.scrollTop = 0;
    }
    try {
      const content = await view();
      if (mine !== request) return;
      if (content.title) heading.textContent = content.title;
      fill(body, content.element);
    } catch (error) {
      if (mine !== request) return;
      if (!error.code) console.error(error);
      fill(
        body,
        failed(error, () => load(key, title, view, false)),
      );
    }
  }

  return {
    element,
    /** Shows what `view` resolves to, `{ title, element }`; the same key is not loaded again. */
    show(key, title, view) {
      if (shown === key) return;
      const isFirst = shown === null;
      shown = key;
      element.hidden = false;
      element.parentElement?.classList.add('has-side');
      load(key, title, view, false);
      if (isFirst || !element.contains(document.activeElement)) heading.focus({ preventScroll: true });
    },
    /** Loads the content again, for example after an action. */
    refresh: (view) => load(shown, heading.textContent, view, true),
    hide() {
      if (shown === null) return;
      const key = shown;
      shown = null;
      request += 1;
      element.hidden = true;
      element.parentElement?.classList.remove('has-side');
      element.parentElement
        ?.querySelector(`tr[data-id="${CSS.escape(String(key))}"] .row-link`)
        ?.focus({ preventScroll: true });
    },
  };
}
