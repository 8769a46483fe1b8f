// The session: cookies that no script can read, shared with the web client of this server.
import { MangoChat } from '../client/mango-chat.js';
import { finishLogout, forgetLogout, logout } from '../shared/logout.js';
import { root } from '../shared/page.js';

/** Where the web client remembers who is signed in; its other tabs follow. */
const KEY = 'mango-user';
const ENDED = new Set([
  'session_ended',
  'user_banned',
  'refresh_reused',
  'token_missing',
  'token_invalid',
  'token_expired',
]);

export const session = {
  client: new MangoChat({ url: root.href }),
  /** @type {?object} The own profile. */
  me: null,
};

const remember = (id) => {
  try {
    if (id) localStorage.setItem(KEY, id);
    else localStorage.removeItem(KEY);
  } catch {
    /* no storage */
  }
};
const listeners = new Set();
/** Calls the listener when a request shows that the session is over. */
export const onSignedOut = (listener) => {
  listeners.add(listener);
};

export const isAdmin = () => session.me?.role === 'admin';
export const isModerator = () => isAdmin() || session.me?.role === 'moderator';

async function guarded(request) {
  try {
    return await request();
  } catch (error) {
    if (ENDED.has(error.code) && session.me) {
      session.me = null;
      for (const listener of listeners) listener(error);
    }
    throw error;
  }
}

/** Sends a REST request; resolves with its JSON. */
export const rest = (method, path, body) => guarded(() => session.client.rest(method, path, body));
/** Fetches a page of a list: `{ items, next }`. */
export const list = (path) => guarded(() => session.client.list(path));

export async function fetchMe() {
  session.me = await session.client.rest('GET', '/user/me');
}

const send = (...args) => session.client.rest(...args);
/** Ends the session that an earlier sign-out could not end; resolves with whether none is left. */
export const endPending = () => finishLogout(send);

export async function signIn(credentials) {
  await endPending();
  await session.client.rest('POST', '/auth/login', credentials);
  forgetLogout();
  await fetchMe();
  remember(session.me.id);
}

/** Signs out here and in the web client, and forgets what it has kept. */
export async function signOut() {
  const id = session.me?.id;
  remember(null);
  await logout(send);
  try {
    const { forgetAll, forgetDrafts } = await import('../app/store.js');
    forgetDrafts(id);
    await forgetAll(id);
  } catch {
    /* no storage */
  }
  location.reload();
}
