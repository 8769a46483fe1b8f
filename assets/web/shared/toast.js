// Short notes at the bottom of the page, read out by screen readers.
import { h } from './dom.js';

let place;
function toasts() {
  // A popover is above open dialogs; shown again, it is above a dialog that has opened since.
  place ??= h('div', { class: 'toasts', popover: 'manual', 'aria-live': 'polite' });
  const host = [...document.querySelectorAll('dialog[open]')].at(-1) ?? document.body;
  if (place.parentNode !== host) host.append(place);
  if (place.matches(':popover-open')) place.hidePopover();
  place.showPopover();
  return place;
}

/** Shows a note for some seconds; `action` is `{ label, run }`. Returns a function that removes it. */
export function toast(text, { action, seconds = action ? 8 : 4 } = {}) {
  const note = h('div', { class: 'toast' }, h('span', { class: 'grow' }, text));
  const remove = () => {
    clearTimeout(timer);
    note.remove();
    if (place && !place.childElementCount) {
      try {
        place.hidePopover();
      } catch {
        /* not shown */
      }
      document.body.append(place);
    }
  };
  if (action)
    note.append(
      h(
        'button',
        {
          type: 'button',
          onclick: () => {
            remove();
            action.run();
          },
        },
        action.label,
      ),
    );
  const timer = seconds ? setTimeout(remove, seconds * 1000) : 0;
  toasts().append(note);
  return remove;
}
