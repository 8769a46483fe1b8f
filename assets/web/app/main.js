// Starts the page: the app for who is signed in, else the page to sign in.
import { fill, h } from '../shared/dom.js';
import { t } from '../shared/i18n.js';
import { prepare, session, signIn, start } from './session.js';
import { watchVersion } from './updates.js';

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

async function showSignedOut(notice) {
  fill(place);
  // What the app has opened stays in no other page: sign-in begins afresh.
  for (const dialog of document.querySelectorAll('dialog, .menu')) dialog.remove();
  const { showSignIn } = await import('./sign_in.js');
  const isFresh = session.client.status === 'closed';
  // Whoever signs in needs it next.
  globalThis.requestIdleCallback?.(() => import('./shell.js'));
  await showSignIn(place, {
    notice,
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
