import { LOST, sleep } from './errors.js';

/** A send that fails with one of these is tried again. */
const TEMPORARY = new Set(['rate_limited', 'unavailable', 'internal', 'token_expired', 'session_ended']);
/** After so many internal errors a send is given up. */
const MOST_FAILURES = 5;

/** Sends messages in the order of calls, chat by chat, each once, also across lost connections. */
export class Sender {
  /** Unsent messages by chat. */
  #queues = new Map();
  #sending = new Set();
  #options;

  /**
   * @param {object} options
   * @param {OutboxStore} [options.outbox]
   * @param {() => object} options.connection The open connection, if any.
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
  send(entry) {
    this.#options.outbox?.save(entry);
    return new Promise((resolve, reject) => this.enqueue(entry, resolve, reject));
  }

  enqueue(entry, resolve = () => {}, reject = () => {}) {
    const queue = this.#queues.get(entry.chatId) ?? [];
    if (queue.some((job) => job.entry.clientId === entry.clientId)) return;
    queue.push({ entry, resolve, reject, failures: 0 });
    this.#queues.set(entry.chatId, queue);
    this.#pump(entry.chatId);
  }

  /** Continues after a new connection was opened. */
  resume() {
    for (const chatId of this.#queues.keys()) this.#pump(chatId);
  }

  rejectAll(why) {
    for (const { reject } of [...this.#queues.values()].flat()) reject(why);
    this.#queues.clear();
  }

  /** Sends the queue of a chat, one message at a time: a message that is tried again keeps its place. */
  async #pump(chatId) {
    if (this.#sending.has(chatId)) return;
    this.#sending.add(chatId);
    const { connection, apply } = this.#options;
    for (let job; connection() && (job = this.#queues.get(chatId)?.[0]);) {
      const { clientId: client_id, content, messageType: message_type, replyTo: reply_to } = job.entry;
      const message = { chat_id: chatId, content, message_type, client_id, reply_to };
      try {
        await connection().call('send_message', { message }, (ack) => {
          this.#remove(job);
          apply(ack).then(() => job.resolve(ack.message));
        });
      } catch (error) {
        if (error.code === LOST) break;
        job.failures += error.code === 'internal' ? 1 : 0;
        if (TEMPORARY.has(error.code) && job.failures < MOST_FAILURES) {
          await sleep(error.retryAfterMs ?? 500);
          continue;
        }
        this.#remove(job);
        job.reject(error);
      }
    }
    this.#sending.delete(chatId);
  }

  #remove({ entry: { chatId, clientId } }) {
    const queue = this.#queues.get(chatId);
    queue?.shift();
    if (!queue?.length) this.#queues.delete(chatId);
    try {
      this.#options.outbox?.remove(clientId);
    } catch (error) {
      this.#options.onError(error);
    }
  }
}
