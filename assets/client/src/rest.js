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

/**
 * Sends a REST request; returns the response and its JSON or text, or throws its problem as a `MangoError`.
 * @param {string|URL} url
 * @param {string} method
 * @param {string} path
 * @param {any} [init]
 * @returns {Promise<any>}
 */
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
  throw problem(target, response.status, data, response.headers.get('retry-after'));
}

/** Like `request` for a form, but tells how much of it has been sent; only XMLHttpRequest knows that. */
const requestWithProgress = (onProgress) => (url, method, path, { form, headers, signal }) => new Promise((resolve, reject) => {
  const target = address(url, path);
  const sending = new XMLHttpRequest();
  const lost = () => reject(unreachable(target, signal.reason));
  sending.open(method, target);
  sending.responseType = 'text';
  for (const [name, value] of Object.entries(headers ?? {})) sending.setRequestHeader(name, value);
  sending.upload.onprogress = ({ loaded, total }) => onProgress(total ? loaded / total : 0);
  sending.onload = () => {
    const data = parse(sending.responseText);
    if (sending.status >= 200 && sending.status < 300) resolve({ data });
    else reject(problem(target, sending.status, data, sending.getResponseHeader('retry-after')));
  };
  sending.onerror = sending.onabort = lost;
  if (signal.aborted) return lost();
  signal.addEventListener('abort', () => sending.abort(), { once: true });
  sending.send(form);
});

function parse(json) {
  try { return JSON.parse(json); } catch { return {}; }
}

/** The server's problem as an error. */
function problem(target, status, { code = 'internal', detail, errors }, retryAfter) {
  const message = detail ?? `${target} answers ${status}`;
  return new MangoError({ code, message, errors, retry_after_ms: Number(retryAfter) * 1000 || undefined });
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
    const next = link.match(/<([^>]*)>; rel="next"/)?.[1];
    // The link has the path of the server's public URL, which `send` adds as well.
    const { pathname } = address(this.#url, '/');
    return { items: data, next: next ? next.replace(pathname, '/') : null };
  }

  /** Sends a form; returns the JSON of the response. */
  async upload(path, form, { timeoutMs, onProgress, signal }) {
    const send = onProgress && globalThis.XMLHttpRequest ? requestWithProgress(onProgress) : request;
    const timeout = AbortSignal.timeout(timeoutMs);
    const init = { form, signal: signal ? AbortSignal.any([signal, timeout]) : timeout };
    try {
      const { data } = await this.send('POST', path, undefined, init, send);
      onProgress?.(1);
      return data;
    } catch (error) {
      throw signal?.aborted ? new MangoError({ code: 'closed', message: 'cancelled' }) : error;
    }
  }

  /** Returns the response and its JSON, or its text. */
  async send(method, path, body, init = {}, send = request) {
    if (this.#url === null) throw new TypeError('this needs a client that was created with `url` instead of `socket`');
    const attempt = async (refresh) => {
      const token = typeof this.#token === 'function' ? await this.#token({ refresh }) : this.#token;
      return send(this.#url, method, path, { ...init, body, headers: token && { authorization: `Bearer ${token}` } });
    };
    try {
      return await attempt(false);
    } catch (error) {
      if (typeof this.#token !== 'function' || !/^token_/.test(error.code)) throw error;
      return attempt(true);
    }
  }
}
