// Tells when the server has been updated, and the open page has old files.
import { trustedScriptUrl } from '../shared/dom.js';
import { t } from '../shared/i18n.js';
import { root, version } from '../shared/page.js';
import { toast } from '../shared/toast.js';

const UPDATE_MS = 30 * 60_000;
let isTold = false;
function tell() {
  if (isTold) return;
  isTold = true;
  toast(t('new_version'), { seconds: 0, action: { label: t('reload'), run: () => location.reload() } });
}

/** Registers the service worker, and watches for a new version of the files. */
export function watchVersion() {
  addEventListener('mango-outdated', tell);
  const workers = navigator.serviceWorker;
  if (!workers || top !== self) return;
  // A worker tells its version when it takes over: that of this page, or a newer one.
  workers.addEventListener('message', ({ data }) => {
    if (data?.version && data.version !== version) tell();
  });
  workers
    .register(trustedScriptUrl(new URL('sw.js', root).href), { scope: root.pathname })
    .then((registration) => setInterval(() => registration.update().catch(() => {}), UPDATE_MS))
    .catch(() => {});
}

/** Looks for a new version; called after a lost connection has come back, as after an update of the server. */
export async function checkVersion() {
  const registration = await navigator.serviceWorker?.getRegistration(root.pathname);
  registration?.update().catch(() => {});
}
