export const LOST = 'connection_lost';
export const UNREACHABLE = 'unreachable';
/** After one of these the client does not reconnect. */
export const FINAL = new Set(['session_ended', 'user_banned', 'refresh_reused']);

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Why something failed. `code` is the server's error code, or `connection_lost`, `unreachable`, `closed`. */
export class MangoError extends Error {
  /** @param {{code: string, message?: string, errors?: Object<string, string[]>, retry_after_ms?: number}} error */
  constructor({ code, message = code, errors = {}, retry_after_ms }) {
    super(message);
    this.name = 'MangoError';
    this.code = code;
    this.errors = errors;
    this.retryAfterMs = retry_after_ms;
  }
}

/** The error of a server that does not answer. */
export function unreachable(url, cause) {
  const why = cause?.cause?.message || cause?.message || 'no answer';
  return new MangoError({ code: UNREACHABLE, message: `cannot reach ${url}: ${why}` });
}
