import { LOST, sleep } from './errors.js';

/** Sends commands over the connection and applies the changes in their responses. */
export class Requests {
  #connector;
  #synchronizer;
  #userId;

  constructor(connector, synchronizer, userId) {
    this.#connector = connector;
    this.#synchronizer = synchronizer;
    this.#userId = userId;
  }

  /** Waits for the connection, then sends a command. A `repeatable` command is sent again if its response is lost. */
  async send(event, payload, repeatable = true, onAck = undefined) {
    for (;;) {
      const connection = await this.#connector.opened();
      try {
        return await connection.call(event, payload, onAck);
      } catch (error) {
        if (!repeatable || !(error.code === LOST || error.code === 'rate_limited')) throw error;
        await sleep(error.retryAfterMs ?? 50);
      }
    }
  }

  /**
   * Sends a command and waits until its change is applied. `toEvent` converts the response, and its position in the
   * chat if it has one, to the event to apply.
   */
  async change(event, payload, toEvent) {
    let applied;
    const ack = await this.send(event, payload, true, (answer) => {
      const { chat_id: chat, rev, prev } = answer;
      const change = toEvent(answer, rev && { chat, rev, prev, by: this.#userId() });
      applied = change && this.#synchronizer.applied(...change);
    });
    await applied;
    return ack;
  }
}
