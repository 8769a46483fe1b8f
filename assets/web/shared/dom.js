// Creates and updates elements. Text is always set as text; HTML only by `trustedHtml`.

const SVG = 'http://www.w3.org/2000/svg';

/**
 * Creates an element. `on…` are listeners, `style` an object of properties (custom ones too), `class`, `data-…`, `aria-…`
 * and others are attributes; `true` gives an empty attribute, `false`, `null` and `undefined` give none.
 */
export function h(tag, props, ...children) {
  const element = document.createElement(tag);
  setProps(element, props);
  append(element, children);
  return element;
}

/** The same for SVG. */
export function svg(tag, props, ...children) {
  const element = document.createElementNS(SVG, tag);
  setProps(element, props);
  append(element, children);
  return element;
}

function setProps(element, props) {
  for (const [name, value] of Object.entries(props ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else if (name === 'style') for (const [key, it] of Object.entries(value)) element.style.setProperty(key, it);
    else if (name === 'value' || name === 'checked' || name === 'indeterminate') element[name] = value;
    else element.setAttribute(name, value === true ? '' : value);
  }
}

function append(element, children) {
  for (const child of children.flat(Infinity)) {
    if (child === undefined || child === null || child === false || child === '') continue;
    element.append(child);
  }
}

/** Replaces the children; `null` and `false` are left out. */
export function fill(element, ...children) {
  element.replaceChildren();
  append(element, children);
  return element;
}

/** Replaces the children; those that stay are not moved, so that a recording goes on playing and focus is kept. */
export function refill(element, ...children) {
  const wanted = [];
  for (const child of children.flat(Infinity)) {
    if (child === undefined || child === null || child === false || child === '') continue;
    wanted.push(child instanceof Node ? child : document.createTextNode(child));
  }
  const stays = new Set(wanted);
  for (const child of [...element.childNodes]) if (!stays.has(child)) child.remove();
  let at = element.firstChild;
  for (const node of wanted) {
    if (node === at) at = at.nextSibling;
    else element.insertBefore(node, at);
  }
  return element;
}

/** Sets or removes an attribute, only if it differs. */
export function attr(element, name, value) {
  const wanted = value === null || value === undefined || value === false ? null : value === true ? '' : String(value);
  if (element.getAttribute(name) === wanted) return;
  if (wanted === null) element.removeAttribute(name);
  else element.setAttribute(name, wanted);
}

/** Sets the text, only if it differs. */
export function text(element, value) {
  if (element.textContent !== value) element.textContent = value;
}

const ITEM = Symbol('item');

/**
 * Makes the children of `parent` show `items` in this order, and reuses elements by key. `create(item)` returns an
 * element; `update(element, item, before)` runs if the item is another object than before. Focus stays.
 */
export function reconcile(parent, items, key, create, update) {
  const known = parent.knownElements ?? (parent.knownElements = new Map());
  const next = new Map();
  for (const item of items) {
    const id = key(item);
    let element = known.get(id);
    if (!element) element = create(item);
    else if (element[ITEM] !== item) element = update(element, item, element[ITEM]) ?? element;
    element[ITEM] = item;
    next.set(id, element);
  }
  const keep = new Set(next.values());
  for (const element of known.values()) if (!keep.has(element)) element.remove();
  let at = parent.firstChild;
  for (const element of next.values()) {
    if (element === at) at = at.nextSibling;
    else parent.insertBefore(element, at);
  }
  // What was there before the first call, such as skeletons.
  while (at) {
    const rest = at;
    at = at.nextSibling;
    rest.remove();
  }
  parent.knownElements = next;
}

const policy = globalThis.trustedTypes?.createPolicy('mango', {
  createHTML: (html) => html,
  // The service worker is the only script whose URL is computed.
  createScriptURL: (url) => {
    if (url !== new URL('../../../sw.js', import.meta.url).href)
      throw new TypeError(`${url} is no script of this page`);
    return url;
  },
});

/** The URL of the service worker, in the form that the browser asks for. */
export const trustedScriptUrl = (url) => policy?.createScriptURL(url) ?? url;

/** Sets HTML that the server has rendered and sanitised. Never use it for anything else. */
export function trustedHtml(element, html) {
  element.innerHTML = policy ? policy.createHTML(html) : html;
  return element;
}

/** Calls `run` at most once per frame, also while the page is hidden, when there are no frames. */
export function perFrame(run) {
  let isWaiting = false;
  return () => {
    if (isWaiting) return;
    isWaiting = true;
    const go = () => {
      if (!isWaiting) return;
      isWaiting = false;
      run();
    };
    requestAnimationFrame(go);
    setTimeout(go, 100);
  };
}

/** Calls `run` when there were no calls for some time; `.now()` runs it at once if it is waiting. */
export function debounce(run, ms) {
  let timer;
  let waiting = null;
  const go = () => {
    clearTimeout(timer);
    const args = waiting;
    waiting = null;
    if (args) run(...args);
  };
  const later = (...args) => {
    waiting = args;
    clearTimeout(timer);
    timer = setTimeout(go, ms);
  };
  return Object.assign(later, {
    now: go,
    cancel: () => {
      clearTimeout(timer);
      waiting = null;
    },
  });
}

export const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
let lastId = 0;
/** An id for `aria-labelledby` and the like. */
export const newId = (prefix = 'id') => `${prefix}-${++lastId}`;

/** Moves focus among elements by arrow keys, Home and End; one of them is in the tab order. */
export function rove(container, selector, { vertical = true, wrap = false, onMove } = {}) {
  const [back, ahead] = vertical ? ['ArrowUp', 'ArrowDown'] : ['ArrowLeft', 'ArrowRight'];
  const move = (to) => {
    if (!to) return;
    for (const it of container.querySelectorAll(`${selector}[tabindex="0"]`)) it.tabIndex = -1;
    to.tabIndex = 0;
    to.focus({ preventScroll: false });
    onMove?.(to);
  };
  container.addEventListener('keydown', (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const all = [...container.querySelectorAll(selector)];
    const at = all.indexOf(event.target.closest(selector));
    if (at < 0 || !all.length || event.target.matches('input, textarea')) return;
    let to;
    if (event.key === ahead) to = all[at + 1] ?? (wrap ? all[0] : null);
    else if (event.key === back) to = all[at - 1] ?? (wrap ? all.at(-1) : null);
    else if (event.key === 'Home') [to] = all;
    else if (event.key === 'End') to = all.at(-1);
    else return;
    event.preventDefault();
    move(to);
  });
  container.addEventListener('focusin', (event) => {
    const item = event.target.closest(selector);
    if (!item || item !== event.target) return;
    for (const it of container.querySelectorAll(`${selector}[tabindex="0"]`)) if (it !== item) it.tabIndex = -1;
    item.tabIndex = 0;
  });
  return move;
}
