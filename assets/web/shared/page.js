// Where the page comes from: the server's URL as the page sees it, also behind a proxy that strips a path.

/** `https://example.org/chat/` for `https://example.org/chat/web/{version}/shared/page.js`. */
export const root = new URL('../../../', import.meta.url);
/** The version of the files that this page has loaded. */
export const version = new URL('..', import.meta.url).pathname.split('/').at(-2);
/** The URL of a path of the server. */
export const at = (path) => new URL(path.replace(/^\//, ''), root).href;

/** Loads a part of the page on demand; if the server has been updated, says so instead of failing silently. */
export async function load(importing) {
  try {
    return await importing();
  } catch (error) {
    if (navigator.onLine) dispatchEvent(new CustomEvent('mango-outdated', { detail: error }));
    throw error;
  }
}
