import { FINAL, MangoError } from './errors.js';
import { request } from './rest.js';

/** An access token that expires within this time is refreshed before it is used. */
const EXPIRES_SOON_MS = 60_000;
/**
 * How long a lock is held after its job, in milliseconds. Other tabs see what a tab writes to the storage a moment
 * later, but they get a released lock at once.
 */
const STORAGE_DELAY_MS = 250;
const queues = new Map();

const post = async (url, path, body, init = {}) => (await request(url, 'POST', path, { ...init, body })).data;

/** Whether an error means that the session has ended, for any reason. */
const endsSession = ({ code }) => FINAL.has(code) || /^token_/.test(code) || code === 'invalid_credentials';
const toSessionEnded = (error) =>
  FINAL.has(error.code) ? error : new MangoError({ code: 'session_ended', message: `log in again: ${error.message}` });

/** Runs jobs with the same name one at a time; in all tabs of the origin if the browser has locks (https, localhost). */
function withLock(name, job) {
  if (globalThis.navigator?.locks) {
    return new Promise((resolve, reject) => {
      navigator.locks.request(name, async () => {
        await job().then(resolve, reject);
        await new Promise((done) => setTimeout(done, STORAGE_DELAY_MS));
      }).catch(reject);
    });
  }
  const done = (queues.get(name) ?? Promise.resolve()).then(job);
  queues.set(name, done.catch(() => {}));
  return done;
}

/** The storage that all tabs share, or memory if it is missing or forbidden. */
function defaultStorage() {
  try {
    if (globalThis.localStorage) return globalThis.localStorage;
  } catch { /* Some browsers forbid even reading the property. */ }
  const items = new Map();
  return {
    getItem: (key) => items.get(key) ?? null,
    setItem: (key, value) => items.set(key, value),
    removeItem: (key) => items.delete(key),
  };
}

/**
 * The tokens of one session, in a storage that all tabs share; one tab at a time refreshes them. Pass it as the option
 * `token` of `MangoChat`; call it to get an access token for a REST request.
 * @param {object} [options]
 * @param {string} [options.url] URL of the server; default: the page's own origin.
 * @param {TokenStorage} [options.storage] Default: `localStorage`, or memory if there is none.
 * @param {string} [options.key] Name of the item in the storage.
 * @returns {GetToken & {
 *   login(credentials: {username: string, password: string}): Promise<void>,
 *   save(pair: TokenPair): Promise<void>,
 *   logout(): Promise<void>,
 *   isLoggedIn(): Promise<boolean>,
 * }}
 */
export function sessionTokens({ url = '/', storage = defaultStorage(), key = 'mango-chat' } = {}) {
  /** The token that was returned last. A caller that asks for a refresh needs a different one. */
  let latest;
  // Always read the storage: another tab may have refreshed the tokens.
  const read = async () => JSON.parse((await storage.getItem(key)) ?? 'null');
  const write = async ({ access_token, refresh_token, expires_in }) => {
    const pair = { access_token, refresh_token, expires_at: Date.now() + expires_in * 1000 };
    await storage.setItem(key, JSON.stringify(pair));
    return pair;
  };
  const isUsable = (pair, rejected) => pair.expires_at - Date.now() > EXPIRES_SOON_MS && pair.access_token !== rejected;
  const requirePair = async () => {
    const pair = await read();
    if (!pair) throw new MangoError({ code: 'token_missing', message: 'not logged in: call login() or save() first' });
    return pair;
  };
  const refreshPair = async (rejected) => {
    const pair = await requirePair();
    if (isUsable(pair, rejected)) return pair;
    try {
      return await write(await post(url, '/auth/refresh', { refresh_token: pair.refresh_token }, { credentials: 'omit' }));
    } catch (error) {
      if (!endsSession(error)) throw error;
      const current = await read();
      // Without locks, another tab may have refreshed the tokens first.
      if (current && current.refresh_token !== pair.refresh_token) return current;
      await storage.removeItem(key);
      throw toSessionEnded(error);
    }
  };
  const token = async ({ refresh = false } = {}) => {
    // Read `latest` now: if another caller refreshes it first, this one uses the result.
    const rejected = refresh ? latest : undefined;
    let pair = await requirePair();
    if (!isUsable(pair, rejected)) pair = await withLock(`mango-chat ${key}`, () => refreshPair(rejected));
    latest = pair.access_token;
    return latest;
  };
  return Object.assign(token, {
    login: async ({ username, password }) => {
      await write(await post(url, '/auth/login', { username, password }, { credentials: 'omit' }));
    },
    save: async (pair) => { await write(pair); },
    logout: async () => {
      const pair = await read();
      await storage.removeItem(key);
      if (!pair) return;
      const headers = { authorization: `Bearer ${pair.access_token}` };
      await post(url, '/auth/logout', undefined, { headers, credentials: 'omit' }).catch((error) => {
        if (!endsSession(error)) throw error;
      });
    },
    isLoggedIn: async () => Boolean(await read()),
  });
}

/** After a login with cookies, the browser sends them on its own; only a refresh needs a request. */
export const cookieTokens = (url) => async ({ refresh }) => {
  if (!refresh) return undefined;
  const refreshCookies = () => post(url, '/auth/refresh', undefined, { credentials: 'include' });
  try {
    return (await withLock('mango-chat cookie', refreshCookies)).access_token;
  } catch (error) {
    throw endsSession(error) ? toSessionEnded(error) : error;
  }
};
