// Routes in the address's hash: `#/chat/12?at=345` is `{ path: ['chat', '12'], query: { at: '345' } }`.

/** A part of the path as text; what is not encoded well stays as it is. */
const decode = (part) => {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
};

export function route(hash = location.hash) {
  const [path, query = ''] = hash.replace(/^#\/?/, '').split('?');
  return {
    path: path.split('/').filter(Boolean).map(decode),
    query: Object.fromEntries(new URLSearchParams(query)),
  };
}

const listeners = new Set();
const tell = () => {
  const to = route();
  for (const listener of listeners) listener(to);
};

/** Goes to `#/…`. With `replace`, back does not return to the page before; `state` is kept with the page. */
export function navigate(to, { replace = false, state } = {}) {
  const hash = to.startsWith('#') ? to : `#${to}`;
  if (hash === location.hash && !replace) return tell();
  if (replace) history.replaceState({ ...state, inApp: Boolean(history.state?.inApp) }, '', hash);
  else history.pushState({ ...state, inApp: true }, '', hash);
  tell();
}

/** Goes back inside the app; to `fallback` if the app was opened on this page. */
export function goBack(fallback = '#/') {
  if (history.state?.inApp) history.back();
  else navigate(fallback, { replace: true });
}

export function onRoute(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

addEventListener('popstate', tell);
// Links in the page are pushed with a mark, so that going back stays in the app.
addEventListener('click', (event) => {
  const link = event.target.closest?.('a[href^="#/"]');
  if (!link || event.defaultPrevented || event.button || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  navigate(link.getAttribute('href'));
});
