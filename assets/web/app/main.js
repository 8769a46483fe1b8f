// Starts the page: the app for who is signed in, else the page to sign in.
import { fill, h, sleep } from '../shared/dom.js';
import { t } from '../shared/i18n.js';
import { finishLogout } from '../shared/logout.js';
import { prepare, session, signIn, start } from './session.js';
import { watchVersion } from './updates.js';

/** A sign-out that takes longer than this is told to be unfinished. */
const LOGOUT_MS = 3000;
const place = h('div', { id: 'app' });
document.body.append(place);
watchVersion();
// The parts load while the stored chats are read.
const shell = session.userId ? import('./shell.js') : null;
await prepare();

async function enter() {
  const { showApp } = await (shell ?? import('./shell.js'));
  showApp(place);
  start((code) => showSignedOut(code === 'user_banned' ? t('error_user_banned') : t('session_over')));
}

/** Tries again to end a session that could not be ended; what takes long does not delay the page. */
const isLoggedOut = () =>
  Promise.race([finishLogout((...args) => session.client.rest(...args)), sleep(LOGOUT_MS).then(() => false)]);

async function showSignedOut(notice) {
  fill(place);
  // What the app has opened stays in no other page: sign-in begins afresh.
  for (const dialog of document.querySelectorAll('dialog, .menu')) dialog.remove();
  const { showSignIn } = await import('./sign_in.js');
  const isFresh = session.client.status === 'closed';
  // Whoever signs in needs it next.
  globalThis.requestIdleCallback?.(() => import('./shell.js'));
  await showSignIn(place, {
    notice: notice ?? ((await isLoggedOut()) ? undefined : t('logout_pending')),
    rest: (...args) => session.client.rest(...args),
    signIn: async (credentials) => {
      await signIn(credentials);
      if (!isFresh) {
        location.reload();
        return;
      }
      enter();
    },
  });
}

if (session.userId) await enter();
else await showSignedOut();
