export const LOST = 'connection_lost';
export const UNREACHABLE = 'unreachable';
/** The client does not reconnect after these errors. */
export const FINAL = new Set(['session_ended', 'user_banned', 'refresh_reused']);

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** An error of the client. `code` is the server's error code, or `connection_lost`, `unreachable` or `closed`. */
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

/** The error for a server that does not respond. */
export function unreachable(url, cause) {
  const reason = cause?.cause?.message || cause?.message || 'no answer';
  return new MangoError({ code: UNREACHABLE, message: `cannot reach ${url}: ${reason}` });
}
