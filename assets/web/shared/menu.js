// Menus: opened at a button or a point, by keyboard and pointer; on closing, focus goes back.
import { h } from './dom.js';
import { icon } from './icons.js';

let open = null;
export const isMenuOpen = () => Boolean(open);
export const closeMenu = () => open?.();

/** Places a floating element beside a rectangle, inside the window. */
export function place(element, { left, right, top, bottom }, { align = 'start' } = {}) {
  const { offsetWidth: width, offsetHeight: height } = element;
  const isRtl = document.dir === 'rtl';
  const wanted = (align === 'end') !== isRtl ? right - width : left;
  const x = Math.max(8, Math.min(wanted, innerWidth - width - 8));
  const below = bottom + 4;
  const y =
    below + height <= innerHeight - 8 ? below : Math.max(8, Math.min(top - height - 4, innerHeight - height - 8));
  element.style.setProperty('left', `${x}px`);
  element.style.setProperty('top', `${y}px`);
}

/** Answers the next event of a name, unless one of `givenUp` says that its gesture has not ended in it. */
function answerNext(name, givenUp, answer) {
  const control = new AbortController();
  const { signal } = control;
  const options = { capture: true, passive: false, signal };
  const answerOnce = (event) => {
    control.abort();
    answer(event);
  };
  addEventListener(name, answerOnce, options);
  for (const other of givenUp) addEventListener(other, () => control.abort(), options);
}

/**
 * Shows an element that floats: closes on Escape, on a click elsewhere and on scrolling of the page. Returns `close`.
 * `anchor` is an element or `{ x, y }`.
 */
export function openFloating(element, anchor, { align, onClose, returnFocus = true } = {}) {
  closeMenu();
  const before = document.activeElement;
  // Inside the landmark it belongs to, and inside an open dialog, which makes everything else inert.
  const near = anchor instanceof Element ? anchor : before;
  const host =
    near?.closest('dialog') ??
    [...document.querySelectorAll('dialog[open]')].at(-1) ??
    near?.closest('main, nav, aside') ??
    document.body;
  element.setAttribute('popover', 'manual');
  host.append(element);
  element.showPopover();
  const rect =
    anchor instanceof Element
      ? anchor.getBoundingClientRect()
      : { left: anchor.x, right: anchor.x, top: anchor.y, bottom: anchor.y };
  place(element, rect, { align });
  if (anchor instanceof Element) anchor.setAttribute('aria-expanded', 'true');
  const close = () => {
    if (open !== close) return;
    open = null;
    removeEventListener('pointerdown', onPointer, true);
    removeEventListener('keydown', onKey, true);
    removeEventListener('resize', onResize);
    if (anchor instanceof Element) anchor.setAttribute('aria-expanded', 'false');
    const hadFocus = element.contains(document.activeElement) || document.activeElement === document.body;
    element.remove();
    if (returnFocus && hadFocus && before?.isConnected) before.focus({ preventScroll: true });
    onClose?.();
  };
  const onPointer = (event) => {
    if (element.contains(event.target)) return;
    // A click on the button that opened it closes it, and does not open it again.
    if (anchor instanceof Element && anchor.contains(event.target)) {
      answerNext('click', ['pointercancel', 'pointerdown'], (click) => click.stopPropagation());
    }
    close();
  };
  const { innerWidth: width } = globalThis;
  const onResize = () => {
    // The keyboard of a phone comes and goes with a field; only the height changes.
    if (innerWidth === width && element.querySelector('input')) place(element, rect, { align });
    else close();
  };
  const onKey = (event) => {
    if (event.key !== 'Escape') return;
    event.preventDefault();
    event.stopPropagation();
    close();
  };
  addEventListener('pointerdown', onPointer, true);
  addEventListener('keydown', onKey, true);
  addEventListener('resize', onResize);
  open = close;
  return close;
}

/**
 * Opens a menu. `items`: `{ label, icon, run, danger, checked, key }`, `null` for a line; falsy ones are left out.
 * `lead` is an element above the items.
 */
export function openMenu(anchor, items, { label, align, lead, onClose } = {}) {
  const menu = h('div', { class: 'menu', role: 'menu', 'aria-label': label });
  if (lead) menu.append(lead);
  let close;
  for (const item of items) {
    if (item === null && menu.lastChild && menu.lastChild.tagName !== 'HR') menu.append(h('hr', { role: 'separator' }));
    if (!item) continue;
    const isChoice = item.checked !== undefined;
    menu.append(
      h(
        'button',
        {
          type: 'button',
          role: isChoice ? 'menuitemradio' : 'menuitem',
          tabindex: '-1',
          class: item.danger && 'danger',
          'aria-checked': isChoice ? String(item.checked) : null,
          onclick: () => {
            close();
            item.run();
          },
        },
        item.icon && icon(item.icon),
        h('span', null, item.label),
        item.key && h('kbd', { 'aria-hidden': 'true' }, item.key),
      ),
    );
  }
  if (menu.lastChild?.tagName === 'HR') menu.lastChild.remove();
  const all = () => [...menu.querySelectorAll('[role^="menuitem"]')];
  let typed = '';
  let typedAt = 0;
  menu.addEventListener('keydown', (event) => {
    const list = all();
    const index = list.indexOf(document.activeElement);
    const step = {
      ArrowDown: index + 1,
      ArrowUp: index < 0 ? list.length - 1 : index - 1,
      Home: 0,
      End: list.length - 1,
    }[event.key];
    if (step !== undefined) {
      event.preventDefault();
      list.at(step % list.length)?.focus();
    } else if (event.key === 'Tab') {
      event.preventDefault();
      close();
    } else if (event.key.length === 1 && event.key !== ' ' && !event.ctrlKey && !event.metaKey) {
      typed = event.timeStamp - typedAt > 700 ? event.key : typed + event.key;
      typedAt = event.timeStamp;
      list.find((it) => it.textContent.trim().toLowerCase().startsWith(typed.toLowerCase()))?.focus();
    }
  });
  menu.addEventListener('pointermove', (event) => {
    const item = event.pointerType === 'mouse' && event.target.closest('[role^="menuitem"]');
    if (item && item !== document.activeElement) item.focus({ preventScroll: true });
  });
  close = openFloating(menu, anchor, { align, onClose });
  (all().find((it) => it.getAttribute('aria-checked') === 'true') ?? all()[0])?.focus({ preventScroll: true });
  return close;
}

/** Opens what `show({x, y})` shows on a right click, the menu key, and a long press. */
export function onContextMenu(element, selector, show) {
  let timer;
  let pressedAt = 0;
  element.addEventListener('contextmenu', (event) => {
    const item = event.target.closest(selector);
    const own = event.target.closest('a[href], input, textarea, video, audio');
    if (!item || (own && own !== item) || (getSelection().toString() && item.contains(getSelection().anchorNode)))
      return;
    event.preventDefault();
    clearTimeout(timer);
    // The long press has already been answered.
    if (event.timeStamp - pressedAt < 1200) return;
    const rect = item.getBoundingClientRect();
    const isKey = event.clientX === 0 && event.clientY === 0;
    show(item, isKey ? { x: rect.left + 40, y: rect.top + 30 } : { x: event.clientX, y: event.clientY });
  });
  // Some phones have no `contextmenu`.
  element.addEventListener(
    'touchstart',
    (event) => {
      const item = event.target.closest(selector);
      if (!item || event.touches.length > 1) return;
      const { clientX: x, clientY: y } = event.touches[0];
      timer = setTimeout(() => {
        pressedAt = performance.now();
        navigator.vibrate?.(10);
        answerNext('touchend', ['touchcancel', 'touchstart'], (end) => end.preventDefault());
        show(item, { x, y });
      }, 480);
    },
    { passive: true },
  );
  for (const name of ['touchend', 'touchmove', 'touchcancel', 'scroll'])
    element.addEventListener(name, () => clearTimeout(timer), { passive: true });
}
