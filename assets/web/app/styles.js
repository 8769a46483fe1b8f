// Loads the styles of parts that are shown later.
import { h } from '../shared/dom.js';
import { root, version } from '../shared/page.js';

const loaded = new Map();

/** Resolves when the style sheet applies; each is loaded once. */
export function loadCss(path) {
  if (!loaded.has(path)) {
    loaded.set(
      path,
      new Promise((done) => {
        const link = h('link', {
          rel: 'stylesheet',
          href: new URL(`web/${version}/${path}`, root).href,
          onload: done,
          onerror: done,
        });
        document.head.append(link);
      }),
    );
  }
  return loaded.get(path);
}
