// Signing out without a connection: the cookies, which no script can remove, go as soon as the server can be reached.
const KEY = 'mango-logout-pending';
/** With one of these errors there is no session any more. */
const IS_OVER = /^(session_ended|user_banned|refresh_reused|token_\w+)$/;
let running = null;

const set = (isPending) => {
  try {
    if (isPending) localStorage.setItem(KEY, '1');
    else localStorage.removeItem(KEY);
  } catch {
    /* no storage */
  }
};
export function isLogoutPending() {
  try {
    return localStorage.getItem(KEY) !== null;
  } catch {
    return false;
  }
}

async function tryLogout(rest) {
  try {
    await rest('POST', '/auth/logout');
  } catch (error) {
    if (!IS_OVER.test(error.code)) {
      addEventListener('online', () => finishLogout(rest), { once: true });
      return false;
    }
  }
  set(false);
  return true;
}

/** Ends the session of the cookies; what fails is tried again at the next start. Resolves with whether it is over. */
export function logout(rest) {
  set(true);
  return finishLogout(rest);
}

/** Ends the session that an earlier sign-out could not end. Resolves with whether none is left. */
export async function finishLogout(rest) {
  if (!isLogoutPending()) return true;
  running ??= tryLogout(rest).finally(() => {
    running = null;
  });
  return running;
}

/** A new session has replaced the one that was to be ended. */
export const forgetLogout = () => set(false);
