// The bar that says when there is no connection.
import { h, text } from '../shared/dom.js';
import { t } from '../shared/i18n.js';
import { checkVersion } from './updates.js';
import { session } from './session.js';

/** A connection that comes back within this time is not worth a word. */
const PATIENCE_MS = 900;

/** Returns the element; it is a status, so that screen readers read it. */
export function watchConnection() {
  const { client } = session;
  const label = h('span');
  const retry = h(
    'button',
    { type: 'button', class: 'link', hidden: true, onclick: () => client.connect().catch(() => {}) },
    t('try_now'),
  );
  const bar = h('div', { class: 'connection' }, h('div', { role: 'status', 'aria-live': 'polite' }, label), retry);
  let timer;
  let wasOffline = false;
  const show = (what) => {
    text(label, what);
    bar.classList.toggle('is-shown', Boolean(what));
  };
  const update = () => {
    clearTimeout(timer);
    const { status } = client;
    if (status === 'online') {
      show('');
      retry.hidden = true;
      if (wasOffline) checkVersion();
      wasOffline = false;
      return;
    }
    // Nothing is told at once when the page opens, and nothing that lasts a moment.
    timer = setTimeout(
      () => {
        const isOffline = !navigator.onLine || status === 'waiting';
        wasOffline ||= isOffline;
        bar.dataset.state = isOffline ? 'offline' : 'connecting';
        show(isOffline ? t('offline_bar') : t('connecting'));
        retry.hidden = !isOffline || !navigator.onLine;
      },
      navigator.onLine ? PATIENCE_MS : 0,
    );
  };
  client.on('status', update);
  addEventListener('online', update);
  addEventListener('offline', update);
  update();
  return bar;
}
