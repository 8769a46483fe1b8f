import { FINAL, MangoError, unreachable } from './errors.js';

/** An access token that expires within this time is refreshed before it is used. */
const EXPIRES_SOON_MS = 60_000;
const REQUEST_TIMEOUT_MS = 20_000;
/**
 * How long a lock is kept after the work, in milliseconds. What one tab writes to the storage reaches the other tabs a
 * moment later, whereas a lock is passed on at once.
 */
const STORAGE_SETTLES_MS = 250;
const queues = new Map();

/** The URL of a path on the server; `url` may be that of its plain WebSocket. */
export function address(url, path) {
  const at = new URL(url, globalThis.location?.href);
  at.protocol = at.protocol.replace('ws', 'http');
  at.pathname = at.pathname.replace(/\/(ws)?$/, '') + path;
  at.search = at.hash = '';
  return at;
}

/** Sends a REST request; returns its response, or throws the problem as an error. */
async function post(url, path, body, init = {}) {
  const at = address(url, path);
  let response;
  try {
    response = await fetch(at, {
      method: 'POST', body: JSON.stringify(body), signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS), ...init,
      headers: { ...(body && { 'content-type': 'application/json' }), ...init.headers },
    });
  } catch (cause) {
    throw unreachable(at, cause);
  }
  const data = await response.json().catch(() => ({}));
  if (response.ok) return data;
  const wait = Number(response.headers.get('retry-after')) * 1000 || undefined;
  const message = data.detail ?? `${at} answers ${response.status}`;
  throw new MangoError({ code: data.code ?? 'internal', message, errors: data.errors, retry_after_ms: wait });
}

/** Whether an error means that the session is over, whatever was wrong with its tokens. */
const isOver = ({ code }) => FINAL.has(code) || /^token_/.test(code) || code === 'invalid_credentials';
const asOver = (error) =>
  FINAL.has(error.code) ? error : new MangoError({ code: 'session_ended', message: `log in again: ${error.message}` });

/** Runs jobs of the same name one at a time, across all tabs of the origin if the browser can (https and localhost). */
function exclusively(name, job) {
  if (globalThis.navigator?.locks) {
    return new Promise((resolve, reject) => {
      navigator.locks.request(name, async () => {
        await job().then(resolve, reject);
        await new Promise((done) => setTimeout(done, STORAGE_SETTLES_MS));
      }).catch(reject);
    });
  }
  const done = (queues.get(name) ?? Promise.resolve()).then(job);
  queues.set(name, done.catch(() => {}));
  return done;
}

/** The storage that all tabs share, or memory if there is none or the browser forbids it. */
function defaultStorage() {
  try {
    if (globalThis.localStorage) return globalThis.localStorage;
  } catch { /* A browser may forbid even reading the property. */ }
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
  /** The token that was returned last. A caller who asks for another one found that it is refused. */
  let latest;
  // Always from the storage: another tab may have refreshed the tokens.
  const read = async () => JSON.parse((await storage.getItem(key)) ?? 'null');
  const write = async ({ access_token, refresh_token, expires_in }) => {
    const pair = { access_token, refresh_token, expires_at: Date.now() + expires_in * 1000 };
    await storage.setItem(key, JSON.stringify(pair));
    return pair;
  };
  const isGood = (pair, refused) => pair.expires_at - Date.now() > EXPIRES_SOON_MS && pair.access_token !== refused;
  const stored = async () => {
    const pair = await read();
    if (!pair) throw new MangoError({ code: 'token_missing', message: 'not logged in: call login() or save() first' });
    return pair;
  };
  const refreshed = async (refused) => {
    const pair = await stored();
    if (isGood(pair, refused)) return pair;
    try {
      return await write(await post(url, '/auth/refresh', { refresh_token: pair.refresh_token }, { credentials: 'omit' }));
    } catch (error) {
      if (!isOver(error)) throw error;
      const now = await read();
      // If tabs cannot wait for each other, another one may have been faster.
      if (now && now.refresh_token !== pair.refresh_token) return now;
      await storage.removeItem(key);
      throw asOver(error);
    }
  };
  const token = async ({ refresh = false } = {}) => {
    // Read now: another caller may get a new token first, which then serves both.
    const refused = refresh ? latest : undefined;
    let pair = await stored();
    if (!isGood(pair, refused)) pair = await exclusively(`mango-chat ${key}`, () => refreshed(refused));
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
        if (!isOver(error)) throw error;
      });
    },
    isLoggedIn: async () => Boolean(await read()),
  });
}

/** After a login with cookies, the browser sends them by itself; only the refresh needs a request. */
export const cookieTokens = (url) => async ({ refresh }) => {
  if (!refresh) return undefined;
  const exchange = () => post(url, '/auth/refresh', undefined, { credentials: 'include' });
  try {
    return (await exclusively('mango-chat cookie', exchange)).access_token;
  } catch (error) {
    throw isOver(error) ? asOver(error) : error;
  }
};
