// The session: the client of the server, the own profile, and what is kept between visits.
import { MangoChat } from '../client/mango-chat.js';
import { confirmDialog } from '../shared/dialog.js';
import { debounce } from '../shared/dom.js';
import { t } from '../shared/i18n.js';
import { finishLogout, forgetLogout, logout } from '../shared/logout.js';
import { root } from '../shared/page.js';
import { setServerTime } from '../shared/time.js';
import { forgetAll, forgetDrafts, outboxItems, rising, stateItems, unsentOf } from './store.js';

const KEY = 'mango-user';
/** Messages of a chat that are kept in memory beyond what is on the screen. */
const KEEP = 300;
const SNAPSHOT_MS = 4000;
const MOST_CHATS = 300;

const stored = {
  get: () => {
    try {
      return Number(localStorage.getItem(KEY)) || null;
    } catch {
      return null;
    }
  },
  set: (id) => {
    try {
      if (id) localStorage.setItem(KEY, id);
      else localStorage.removeItem(KEY);
    } catch {
      /* no storage */
    }
  },
};

/** Entries belong to a user: another one who signs in here must not send them. */
const outbox = {
  load: async () =>
    (await outboxItems.all())
      .filter((it) => it.userId === session.userId)
      .sort((a, b) => a.at - b.at)
      .map((it) => ({ ...it.entry, userId: it.userId })),
  save: (entry) => outboxItems.put(entry.clientId, { entry, userId: entry.userId ?? session.userId, at: rising() }),
  remove: (clientId) => outboxItems.remove(clientId),
};

export const session = {
  /** @type {MangoChat} */
  client: null,
  /** @type {?object} The own profile. */
  me: null,
  /** The id of who is, or was last, signed in here. */
  userId: stored.get(),
  /** Whether the chats have been fetched at least once, now or on an earlier visit. */
  isLoaded: false,
};

const listeners = new Set();
/** Calls the listener when the own profile changes. */
export const onMe = (listener) => {
  listeners.add(listener);
};
export function setMe(me) {
  session.me = me;
  stateItems.put('me', me);
  for (const listener of listeners) listener(me);
}

/** Creates the client, with the chats of the last visit if there are any. */
export async function prepare() {
  const [state, me] = session.userId ? await Promise.all([stateItems.get('chats'), stateItems.get('me')]) : [];
  const isOwn = state?.user_id === session.userId && state?.version === 1;
  const options = { url: root.href, keep: KEEP, maxBehind: KEEP, outbox, backoff: { min: 400, max: 15_000 } };
  try {
    session.client = new MangoChat({ ...options, state: isOwn ? state : undefined });
  } catch {
    session.client = new MangoChat(options);
  }
  session.me = isOwn ? (me ?? null) : null;
  session.isLoaded = isOwn;
}

/** Signs in with cookies that no script can read. */
export async function signIn(credentials) {
  const { client } = session;
  await finishLogout((...args) => client.rest(...args));
  await client.rest('POST', '/auth/login', credentials);
  forgetLogout();
  const me = await client.rest('GET', '/user/me');
  if (session.userId !== me.id) await stateItems.clear();
  session.userId = me.id;
  stored.set(me.id);
  setMe(me);
}

/** Connects; `onEnd(code)` is called when the session is over. */
export function start(onEnd) {
  const { client } = session;
  const save = debounce(() => {
    if (client.status !== 'online' || client.userId !== session.userId) return;
    // A copy of very many chats takes a while, which nobody notices when the page is hidden.
    if (client.chats.size > MOST_CHATS && document.visibilityState === 'visible') return;
    const { outbox: _, ...state } = client.snapshot();
    stateItems.put('chats', { ...state, outbox: [] });
  }, SNAPSHOT_MS);
  client.on('ready', async ({ server_time: time, user_id: id }) => {
    setServerTime(time);
    if (id !== session.userId) {
      session.userId = id;
      stored.set(id);
      // Nothing of the one before may be sent in the name of this one.
      client.close();
      location.reload();
      return;
    }
    try {
      setMe(await client.rest('GET', '/user/me'));
    } catch {
      /* The next connection fetches it. */
    }
  });
  client.on('user_updated', ({ user }) => {
    if (user.id === session.userId) setMe({ ...session.me, ...user });
  });
  client.on('synced', ({ full }) => {
    if (full) session.isLoaded = true;
    save();
  });
  // Too many contacts have changed while away: the client asks for the lists to be fetched.
  client.on('contacts_truncated', () => fetchContacts(client));
  client.on('change', save);
  client.on('gone', save);
  let reason;
  client.on('error', (error) => {
    reason = error.code;
  });
  client.on('status', (status) => {
    if (status !== 'dismissed') return;
    save.cancel();
    stored.set(null);
    // What others could read here goes; what the user has not sent yet stays for the next time.
    stateItems.clear();
    onEnd(reason);
  });
  addEventListener('visibilitychange', () => {
    if (document.visibilityState === 'hidden') {
      save();
      save.now();
    } else if (!['dismissed', 'closed'].includes(client.status)) client.connect().catch(() => {});
  });
  client.connect().catch(() => {});
}

/** Fetches whom the user follows and blocks. */
async function fetchContacts(client) {
  for (const [list, contact] of [
    ['following', { following: true, blocked: false }],
    ['blocked', { following: false, blocked: true }],
  ]) {
    for (let path = `/user/me/${list}?limit=200`; path;) {
      const page = await client.list(path).catch(() => ({ items: [], next: null }));
      for (const { id } of page.items) client.contacts.set(id, contact);
      path = page.next;
    }
  }
}

/** Signs out: ends the session and forgets everything but drafts that the server does not have yet. */
export async function signOut() {
  const { client, userId } = session;
  const count = await unsentOf(userId);
  if (
    count &&
    !(await confirmDialog({
      title: t('sign_out_unsent_title'),
      text: t('sign_out_unsent_text', { n: count }),
      action: t('sign_out'),
      danger: true,
    }))
  )
    return;
  forgetDrafts(userId, { keepUnsaved: true });
  // First: a reload while the server is asked must not sign in again.
  stored.set(null);
  await logout((...args) => client.rest(...args));
  await forgetHere();
}

/** Forgets who was signed in here, and starts afresh. */
export async function forgetHere() {
  session.client.close();
  stored.set(null);
  await forgetAll(session.userId);
  location.replace(root.href);
  location.reload();
}

// Signing in or out in one tab concerns all.
addEventListener('storage', ({ key, newValue }) => {
  if (key === KEY && (Number(newValue) || null) !== session.userId) location.reload();
});
