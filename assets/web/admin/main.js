// Starts the admin panel: the shell for a moderator or admin, else the page to sign in.
import { h } from '../shared/dom.js';
import { addTexts, language, t } from '../shared/i18n.js';

addTexts(await import(`./texts/${language}.js`));
const { endPending, fetchMe, isModerator, onSignedOut, session } = await import('./session.js');
const { showFailure, showSignIn } = await import('./sign_in.js');

const place = h('div', { id: 'app' });
document.body.append(place);

async function enter() {
  if (!isModerator()) {
    showSignIn(place, { done: enter, wrongRole: session.me });
    return;
  }
  const { showShell } = await import('./shell.js');
  showShell(place);
}

async function start() {
  if (!(await endPending())) {
    showSignIn(place, { done: enter, notice: t('logout_pending') });
    return;
  }
  try {
    await fetchMe();
  } catch (error) {
    if (error.code === 'unreachable' || error.code === 'unavailable') showFailure(place, error, start);
    else showSignIn(place, { done: enter });
    return;
  }
  await enter();
}

onSignedOut(() => {
  for (const dialog of document.querySelectorAll('dialog, .menu')) dialog.remove();
  showSignIn(place, { done: enter, notice: t('adm_session_over') });
});
await start();
