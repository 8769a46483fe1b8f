// Modal dialogs: focus is kept inside and goes back on closing; Escape and the back gesture close one.
import { h, newId } from './dom.js';
import { icon } from './icons.js';
import { t } from './i18n.js';

/**
 * Opens a dialog. `body(close)` returns its content; `footer(close)` a row of buttons. Resolves `result` when it closes.
 * @returns {{ dialog: HTMLDialogElement, close: (value?: any) => void, result: Promise<any> }}
 */
export function openDialog({ title, body, footer, width, tall = false, class: name = '', onBeforeClose }) {
  const id = newId('dialog');
  const before = document.activeElement;
  let done;
  const result = new Promise((resolve) => {
    done = resolve;
  });
  const dialog = h('dialog', {
    class: `dialog ${tall ? 'tall' : ''} ${name}`,
    'aria-labelledby': id,
    style: width && { '--width': `${width}px` },
  });
  const close = (value) => {
    if (!dialog.isConnected) return;
    dialog.close();
    dialog.remove();
    dispatchEvent(new Event('mango-dialog-closed'));
    if (before?.isConnected) before.focus({ preventScroll: true });
    done(value);
  };
  const ask = () => {
    if (!onBeforeClose || onBeforeClose()) close();
  };
  const heading = h('h2', { id, tabindex: '-1' }, title);
  dialog.append(
    h(
      'header',
      null,
      heading,
      h('button', { type: 'button', class: 'icon-btn', 'aria-label': t('close'), onclick: ask }, icon('close')),
    ),
  );
  const content = h('div', { class: 'body' });
  content.append(...[body(close)].flat().filter(Boolean));
  dialog.append(content);
  if (footer) dialog.append(h('footer', null, footer(close)));
  dialog.addEventListener('cancel', (event) => {
    event.preventDefault();
    ask();
  });
  // A press that begins on the backdrop closes; selecting text and letting go outside does not.
  let fromBackdrop = false;
  dialog.addEventListener('pointerdown', (event) => {
    fromBackdrop = event.target === dialog && isOutside(event);
  });
  dialog.addEventListener('click', (event) => {
    if (fromBackdrop && event.target === dialog && isOutside(event)) ask();
  });
  const isOutside = ({ clientX: x, clientY: y }) => {
    const { left, right, top, bottom } = dialog.getBoundingClientRect();
    return x < left || x > right || y < top || y > bottom;
  };
  document.body.append(dialog);
  dialog.showModal();
  const first = dialog.querySelector('[autofocus]');
  (first ?? heading).focus({ preventScroll: true });
  return { dialog, close, result, heading };
}

/** Asks before something that cannot be undone; resolves to true or false. */
export async function confirmDialog({ title, text, action, danger = false, extra }) {
  const { result } = openDialog({
    title,
    width: 420,
    body: () => [text && h('p', null, text), extra],
    footer: (close) => [
      h('button', { type: 'button', class: 'btn plain', autofocus: danger, onclick: () => close(false) }, t('cancel')),
      h(
        'button',
        { type: 'button', class: danger ? 'btn danger' : 'btn', autofocus: !danger, onclick: () => close(true) },
        action,
      ),
    ],
  });
  return (await result) === true;
}
