import { LOST, MangoError, sleep } from './errors.js';

/** A send that fails with one of these errors is retried. */
const TEMPORARY = new Set(['rate_limited', 'unavailable', 'internal', 'token_expired', 'session_ended']);
/** A send is given up after this many internal errors. */
const MAX_FAILURES = 5;

/** Sends the messages of each chat in the order of calls, each exactly once, even across reconnects. */
export class Sender {
  /** Unsent messages, in the order of calls, by chat. */
  #queues = new Map();
  /** The same, by `clientId`. */
  #jobs = new Map();
  #sending = new Set();
  #options;

  /**
   * @param {object} options
   * @param {OutboxStore} [options.outbox]
   * @param {() => object} options.connection The open connection, if any.
   * @param {() => ?number} options.userId The user's own id, once it is known.
   * @param {(error: Error) => void} options.onError
   * @param {(ack: object) => Promise<void>} options.apply Applies the acknowledgement of a send.
   */
  constructor(options) {
    this.#options = options;
  }

  /** @returns {OutboxEntry[]} Unsent messages, of one chat or of all. */
  pending(chatId) {
    const jobs = chatId === undefined ? [...this.#queues.values()].flat() : (this.#queues.get(chatId) ?? []);
    return jobs.map(({ entry }) => entry);
  }

  /** Queues the entries of the outbox. */
  async load() {
    try {
      for (const entry of (await this.#options.outbox?.load()) ?? []) this.enqueue(entry);
    } catch (error) {
      this.#options.onError(error);
    }
  }

  /** Saves a message to the outbox and sends it; resolves with the stored message. */
  async send(message) {
    const userId = this.#options.userId();
    const entry = userId === null ? message : { ...message, userId };
    const queued = this.#jobs.get(entry.clientId)?.entry;
    if (!queued) {
      this.#store((outbox) => outbox.save(entry));
    } else if (['chatId', 'content', 'messageType', 'replyTo', 'attachments'].some((key) => String(queued[key]) !== String(entry[key]))) {
      throw new MangoError({ code: 'client_id_conflict', message: 'another unsent message has this `clientId`' });
    }
    return this.enqueue(entry);
  }

  /** Queues a message, unless it is queued; returns the promise of the stored message. */
  enqueue(entry) {
    const { clientId, chatId } = entry;
    const queued = this.#jobs.get(clientId);
    if (queued) return queued.sent;
    const job = { entry, failures: 0 };
    job.sent = new Promise((resolve, reject) => Object.assign(job, { resolve, reject }));
    // No caller waits for an entry of the outbox.
    job.sent.catch(() => {});
    this.#jobs.set(clientId, job);
    if (!this.#queues.has(chatId)) this.#queues.set(chatId, []);
    this.#queues.get(chatId).push(job);
    this.#sendQueued(chatId);
    return job.sent;
  }

  /** Continues sending over a new connection. */
  resume() {
    for (const chatId of this.#queues.keys()) this.#sendQueued(chatId);
  }

  /** Drops what other users have not sent; the outbox keeps it for them. */
  keepOnly(userId) {
    for (const job of [...this.#jobs.values()]) {
      const { clientId, chatId, userId: author = null } = job.entry;
      if (author === null || author === userId) continue;
      this.#jobs.delete(clientId);
      const rest = this.#queues.get(chatId).filter((it) => it !== job);
      if (rest.length) this.#queues.set(chatId, rest);
      else this.#queues.delete(chatId);
      job.reject(new MangoError({ code: 'closed', message: 'another user has logged in' }));
    }
  }

  rejectAll(why) {
    for (const { reject } of this.#jobs.values()) reject(why);
    this.#jobs.clear();
    this.#queues.clear();
  }

  /** Sends a chat's queue one message at a time, so that a retry keeps the order. */
  async #sendQueued(chatId) {
    if (this.#sending.has(chatId)) return;
    this.#sending.add(chatId);
    const { connection, apply } = this.#options;
    for (let job; connection() && (job = this.#queues.get(chatId)?.[0]);) {
      const { clientId: client_id, content, messageType: message_type, replyTo: reply_to, attachments } = job.entry;
      const message = { chat_id: chatId, content, message_type, client_id, reply_to, attachments };
      try {
        await connection().call('send_message', { message }, (ack) => {
          this.#remove(job);
          apply(ack).then(() => job.resolve(ack.message));
        });
      } catch (error) {
        if (error.code === LOST) break;
        job.failures += error.code === 'internal' ? 1 : 0;
        if (TEMPORARY.has(error.code) && job.failures < MAX_FAILURES) {
          await sleep(error.retryAfterMs ?? 500);
          continue;
        }
        this.#remove(job);
        job.reject(error);
      }
    }
    this.#sending.delete(chatId);
  }

  #remove(job) {
    const { chatId, clientId } = job.entry;
    // `rejectAll` may have dropped the job, and the application may have sent the message again.
    if (this.#jobs.get(clientId) === job) {
      this.#jobs.delete(clientId);
      const queue = this.#queues.get(chatId);
      queue.shift();
      if (!queue.length) this.#queues.delete(chatId);
    }
    this.#store((outbox) => outbox.remove(clientId));
  }

  /** A failing outbox is reported, and delays no message. */
  async #store(change) {
    const { outbox, onError } = this.#options;
    try {
      if (outbox) await change(outbox);
    } catch (error) {
      onError(error);
    }
  }
}
