import { LOST, MangoError, UNREACHABLE, unreachable } from './errors.js';

/** The base of both connections: tracks each call until it is answered or the connection ends. */
class Connection {
  /** When data arrived last. */
  heardAt = Date.now();
  /** Whether `ready` has arrived. */
  isOpen = false;
  isOver = false;
  /** @type {?string} The event that announced the end. */
  endReason = null;
  #calls = new Set();
  #end;

  constructor(timeoutMs, onEvent) {
    this.timeoutMs = timeoutMs;
    this.onEvent = onEvent;
    /** Resolves with the reason when the connection is over. */
    this.lost = new Promise((resolve) => { this.#end = resolve; });
  }

  /** Releases the socket. */
  drop() {}

  /** Ends the connection; all calls without an answer fail. */
  fail(code = LOST, message = undefined) {
    if (this.isOver) return;
    this.isOver = true;
    this.drop();
    const error = new MangoError({ code: this.endReason ?? code, message });
    for (const { reject } of [...this.#calls]) reject(this.isOpen ? new MangoError({ code: LOST }) : error);
    this.#end(error);
  }

  /**
   * Starts a call with `start`. The connection ends if nothing arrives for longer than the timeout. `onAck` runs
   * synchronously, in the order in which acknowledgements and events arrive; a promise callback would run later.
   */
  track(start, onAck) {
    return new Promise((resolve, reject) => {
      if (this.isOver) return reject(new MangoError({ code: LOST }));
      let timer;
      const call = { resolve: (ack) => settle(resolve, ack), reject: (error) => settle(reject, error) };
      const settle = (callback, value) => {
        clearTimeout(timer);
        this.#calls.delete(call);
        callback(value);
      };
      const arm = (since) => {
        timer = setTimeout(() => (this.heardAt > since ? arm(this.heardAt) : this.fail()), this.timeoutMs);
      };
      this.#calls.add(call);
      arm(Date.now());
      const answer = (ack) => {
        this.heardAt = Date.now();
        if (!ack?.ok) return call.reject(new MangoError(ack?.error ?? { code: 'internal' }));
        onAck?.(ack);
        call.resolve(ack);
      };
      try {
        start(answer);
      } catch (error) {
        // For example, a payload that cannot be serialized as JSON.
        call.reject(error);
      }
    });
  }
}

/** JSON frames over a WebSocket. */
export class WebSocketConnection extends Connection {
  #acks = new Map();
  #nextId = 1;

  open(url, WebSocketClass, token) {
    const socket = (this.socket = new WebSocketClass(url));
    socket.onmessage = ({ data }) => {
      this.heardAt = Date.now();
      const { type, ...payload } = JSON.parse(data);
      if (type !== 'ack') return this.onEvent(type, payload);
      // The acknowledgement of a token that was sent with the upgrade request has no id.
      const { id, ...ack } = payload;
      this.#acks.get(id ?? 0)?.(ack);
      this.#acks.delete(id ?? 0);
    };
    // Browsers do not reveal the cause.
    let cause;
    socket.onclose = ({ code, reason }) => {
      const event = { 4401: 'token_expired', 4403: 'session_ended' }[code];
      if (event || this.isOpen) return this.fail(event);
      if (code !== 1006) cause = { message: `closed with ${code} ${reason}` };
      this.fail(UNREACHABLE, unreachable(url, cause).message);
    };
    socket.onerror = (event) => { cause = event.error ?? event; };
    // Sent even without a token: the server then rejects a connection without a cookie at once.
    socket.onopen = () => socket.send(JSON.stringify({ type: 'auth', id: 0, token }));
    return this.track((answer) => this.#acks.set(0, answer));
  }

  call(event, payload, onAck) {
    return this.track((answer) => {
      const id = this.#nextId++;
      const frame = JSON.stringify({ ...payload, type: event, id });
      this.#acks.set(id, answer);
      this.socket.send(frame);
    }, onAck);
  }

  tell(event, payload) {
    this.socket.send(JSON.stringify({ ...payload, type: event }));
  }

  drop() {
    const { socket } = this;
    if (!socket) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
    // A dead peer never answers the closing handshake; `ws` can terminate without it.
    if (socket.terminate) setTimeout(() => socket.terminate(), 1000).unref?.();
  }
}

/** A socket of socket.io-client. The client decides when to reconnect, not the socket. */
export class SocketIoConnection extends Connection {
  #off = [];

  open(socket, token) {
    this.socket = socket;
    if (token) socket.auth = { token };
    // The `ready` of an existing connection was missed: connect again.
    if (socket.connected) socket.disconnect();
    const on = (emitter, name, listener) => {
      emitter.on(name, listener);
      this.#off.push(() => emitter.off(name, listener));
    };
    on(socket, 'connect_error', ({ message, description, data }) => {
      const code = /^unauthorized: (\w+)/.exec(message)?.[1] ?? data?.code;
      if (code) return this.fail(code, message);
      this.fail(UNREACHABLE, unreachable(socket.io.uri, description?.error ?? { message }).message);
    });
    on(socket, 'disconnect', () => this.fail());
    on(socket.io, 'ping', () => { this.heardAt = Date.now(); });
    return this.track((answer) => {
      const onAnyEvent = (name, payload) => {
        this.heardAt = Date.now();
        if (name === 'ready') answer({ ok: true, ...payload });
        else this.onEvent(name, payload);
      };
      socket.onAny(onAnyEvent);
      this.#off.push(() => socket.offAny(onAnyEvent));
      socket.connect();
    });
  }

  call(event, payload, onAck) {
    return this.track((answer) => this.socket.emit(event, payload, answer), onAck);
  }

  tell(event, payload) {
    this.socket.emit(event, payload);
  }

  drop() {
    for (const off of this.#off.splice(0)) off();
    this.socket?.disconnect();
  }
}
