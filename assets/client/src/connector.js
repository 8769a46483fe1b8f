import { SocketIoConnection, WebSocketConnection } from './connections.js';
import { FINAL, LOST, MangoError, UNREACHABLE, unreachable } from './errors.js';
import { address } from './rest.js';

/** The client gives up after more rejected tokens in a row than this. */
const MAX_REJECTED_TOKENS = 5;

/** Maintains one connection: connects, and reconnects until closed or dismissed. */
export class Connector {
  /** @type {Status} */
  status = 'closed';
  /** The connection that is ready. */
  connection = null;
  #opening = null;
  #options;
  #handlers;
  #waiters = new Set();
  /** The current `connect`, until `close` or a dismissal ends it. */
  #session = null;
  #running = Promise.resolve();
  #wake = () => {};
  #retryAfter;
  #wasOnline = false;

  /**
   * @param {object} options Those of `MangoChat`.
   * @param {object} handlers
   * @param {(name: string, ...data: any[]) => void} handlers.emit
   * @param {() => Promise<void>} handlers.prepare Runs before the first attempt.
   * @param {() => void} handlers.onOpening An attempt begins.
   * @param {(ready: object) => void} handlers.onReady The server has accepted the connection.
   * @param {(connection: object) => void} handlers.onOpen The connection can be used.
   * @param {(name: string, data: object) => void} handlers.onEvent
   * @param {() => void} handlers.onLost
   * @param {(why: MangoError) => void} handlers.onStop Closed or dismissed.
   */
  constructor(options, handlers) {
    this.#options = options;
    this.#handlers = handlers;
  }

  connect() {
    if (this.#session) {
      this.#wake();
    } else {
      const session = (this.#session = {});
      this.#running = this.#running.then(() => this.#run(session));
    }
    const online = this.#when(() => this.status === 'online');
    online.catch(() => {});
    return online;
  }

  close() {
    if (this.#session) this.#stop('closed', new MangoError({ code: 'closed' }));
  }

  /** The first sync is done. */
  setOnline() {
    this.#wasOnline = true;
    this.#setStatus('online');
  }

  /** Resolves with the open connection as soon as there is one. */
  async opened() {
    let found;
    await this.#when(() => (found = this.connection));
    return found;
  }

  #stop(status, why) {
    this.#session = null;
    this.#opening?.fail('closed');
    this.connection = null;
    this.#wake();
    for (const { reject } of [...this.#waiters]) reject(why);
    this.#handlers.onStop(why);
    // Last, because a listener may connect again.
    this.#setStatus(status);
  }

  async #run(session) {
    const { token, backoff } = this.#options;
    const { emit, prepare } = this.#handlers;
    await prepare();
    const online = () => this.#wake();
    // A connection does not notice at once that the network is gone.
    const offline = () => this.#isCutOff().then((isCutOff) => { if (isCutOff) this.connection?.fail(); });
    globalThis.addEventListener?.('online', online);
    globalThis.addEventListener?.('offline', offline);
    let [failures, rejectedTokens, refresh, isReported] = [0, 0, false, false];
    while (this.#session === session) {
      this.#setStatus('connecting');
      // A listener may have called `close`.
      if (this.#session !== session) break;
      const why = await this.#attempt(refresh);
      if (this.#session !== session) break;
      if (this.#wasOnline) [failures, rejectedTokens, isReported, this.#wasOnline] = [0, 0, false, false];
      const wasRefreshed = refresh;
      refresh = /^token_/.test(why.code);
      if (refresh) rejectedTokens += 1;
      const cannotRefresh = typeof token !== 'function' || rejectedTokens > MAX_REJECTED_TOKENS
        || (why.code === 'token_missing' && wasRefreshed);
      if (FINAL.has(why.code) || (refresh && cannotRefresh)) {
        emit('error', why);
        if (this.#session === session) this.#stop('dismissed', why);
        break;
      }
      // An unreachable server is reported once per outage.
      const isUnreachable = why.code === UNREACHABLE;
      if (why.code !== LOST && !(isUnreachable && isReported)) emit('error', why);
      if (this.#session !== session) break;
      isReported ||= isUnreachable;
      const backoffDelay = Math.min(backoff.max, backoff.min * 2 ** failures) * (0.5 + Math.random() / 2);
      const delay = this.#retryAfter ?? why.retryAfterMs ?? (rejectedTokens === 1 && refresh ? 0 : backoffDelay);
      this.#retryAfter = undefined;
      failures += 1;
      this.#setStatus('waiting');
      let timer;
      await new Promise((wake) => {
        this.#wake = wake;
        timer = setTimeout(wake, delay);
      });
      clearTimeout(timer);
    }
    globalThis.removeEventListener?.('online', online);
    globalThis.removeEventListener?.('offline', offline);
  }

  /** Whether the browser is offline and cannot reach the server; one on the same machine can be reached all the same. */
  async #isCutOff() {
    const { url } = this.#options;
    if (!url || globalThis.navigator?.onLine !== false) return false;
    const target = address(url, '/health/live');
    return fetch(target, { method: 'HEAD', cache: 'no-store', signal: AbortSignal.timeout(5000) }).then(() => false, () => true);
  }

  /** Runs one connection from start to end; returns why it ended. */
  async #attempt(refresh) {
    const { socket, url, token, usesCookies, WebSocket, timeoutMs } = this.#options;
    const { onOpening, onReady, onOpen, onLost } = this.#handlers;
    const Kind = socket ? SocketIoConnection : WebSocketConnection;
    const connection = new Kind(timeoutMs, (name, data) => this.#handleEvent(connection, name, data));
    this.#opening = connection;
    onOpening();
    try {
      if (await this.#isCutOff()) throw unreachable(url, { message: 'the browser is offline' });
      const accessToken = typeof token === 'function' ? await token({ refresh }) : token;
      if (!accessToken && !socket && !usesCookies) {
        throw new MangoError({ code: 'token_missing', message: 'the option `token` is missing, or its function returned none' });
      }
      // If `close` was called meanwhile, do not connect: nothing would close the connection.
      if (connection.isOver) return await connection.lost;
      const target = socket ? [socket] : [url, WebSocket];
      const { ok, ...ready } = await connection.open(...target, accessToken);
      connection.isOpen = true;
      this.connection = connection;
      onReady(ready);
      if (!connection.isOver) this.#setStatus('syncing');
      if (connection.isOver) return await connection.lost;
      onOpen(connection);
      this.#keepAlive(connection);
      return await connection.lost;
    } catch (error) {
      return error;
    } finally {
      connection.fail();
      this.connection = this.#opening = null;
      onLost();
    }
  }

  /** Pings the server after a silence. */
  #keepAlive(connection) {
    const { aliveMs } = this.#options;
    const timer = setInterval(() => {
      if (Date.now() - connection.heardAt >= aliveMs) connection.call('sync', { only: [] }).catch(() => {});
    }, aliveMs / 4);
    connection.lost.then(() => clearInterval(timer));
  }

  #handleEvent(connection, name, data) {
    const { emit, onEvent } = this.#handlers;
    if (name !== 'ready') emit(name, data);
    switch (name) {
      case 'token_expired': case 'session_ended': case 'user_banned': connection.endReason = name; return;
      case 'token_expiring': this.#renew(connection); return;
      case 'server_shutdown': this.#retryAfter = data.retry_after_ms; return;
      case 'exception': emit('error', new MangoError(data.error)); return;
      default: onEvent(name, data);
    }
  }

  async #renew(connection) {
    const { token } = this.#options;
    if (typeof token !== 'function') return;
    try {
      await connection.call('authenticate', { token: await token({ refresh: true }) });
    } catch (error) {
      if (error.code !== LOST) this.#handlers.emit('error', error);
    }
  }

  #setStatus(status) {
    if (status === this.status) return;
    this.status = status;
    this.#handlers.emit('status', status);
    for (const waiter of [...this.#waiters]) waiter.check();
  }

  /** Waits until `test` returns true; checked whenever the status changes. */
  #when(test) {
    return new Promise((resolve, reject) => {
      if (test()) return resolve();
      if (!this.#session) return reject(new MangoError({ code: 'closed' }));
      const settle = (how) => (what) => { this.#waiters.delete(waiter); how(what); };
      const waiter = { check: () => test() && settle(resolve)(), reject: settle(reject) };
      this.#waiters.add(waiter);
    });
  }
}
