import { MangoError, unreachable } from './errors.js';

const REQUEST_TIMEOUT_MS = 20_000;

/** The URL of a path on the server; `url` may be the URL of its plain WebSocket. */
export function address(url, path) {
  const target = new URL(url, globalThis.location?.href);
  target.protocol = target.protocol.replace('ws', 'http');
  const [pathname, search = ''] = path.split('?');
  target.pathname = target.pathname.replace(/\/(ws)?$/, '') + pathname;
  target.search = search;
  target.hash = '';
  return target;
}

/** Sends a REST request; returns the response and its JSON or text, or throws its problem as a `MangoError`. */
export async function request(url, method, path, { body, form, headers, ...init } = {}) {
  const target = address(url, path);
  let response;
  try {
    response = await fetch(target, {
      method, body: form ?? JSON.stringify(body), signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS), ...init,
      headers: { ...(body && { 'content-type': 'application/json' }), ...headers },
    });
  } catch (cause) {
    throw unreachable(target, cause);
  }
  const isJson = /\bjson\b/.test(response.headers.get('content-type'));
  const data = isJson || !response.ok ? await response.json().catch(() => ({}))
    : await response.text().catch((cause) => { throw unreachable(target, cause); });
  if (response.ok) return { response, data };
  const wait = Number(response.headers.get('retry-after')) * 1000 || undefined;
  const message = data.detail ?? `${target} answers ${response.status}`;
  throw new MangoError({ code: data.code ?? 'internal', message, errors: data.errors, retry_after_ms: wait });
}

/** Sends requests over REST, with the token of the connection. */
export class Rest {
  #url;
  #token;

  /** `url` is null if the client was given a socket instead. */
  constructor(url, token) {
    this.#url = url;
    this.#token = token;
  }

  /** Returns a page, and the path of the next one. */
  async list(path) {
    const { response, data } = await this.send('GET', path);
    const link = response.headers.get('link') ?? '';
    return { items: data, next: link.match(/<([^>]*)>; rel="next"/)?.[1] ?? null };
  }

  /** Sends a form; returns the JSON of the response. */
  async upload(path, form, timeoutMs) {
    const init = { body: undefined, form, signal: AbortSignal.timeout(timeoutMs) };
    return (await this.send('POST', path, undefined, init)).data;
  }

  /** Returns the response and its JSON, or its text. */
  async send(method, path, body, init = {}) {
    if (this.#url === null) throw new TypeError('this needs a client that was created with `url` instead of `socket`');
    const attempt = async (refresh) => {
      const token = typeof this.#token === 'function' ? await this.#token({ refresh }) : this.#token;
      return request(this.#url, method, path, { ...init, body, headers: token && { authorization: `Bearer ${token}` } });
    };
    try {
      return await attempt(false);
    } catch (error) {
      if (typeof this.#token !== 'function' || !/^token_/.test(error.code)) throw error;
      return attempt(true);
    }
  }
}
