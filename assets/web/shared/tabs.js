// A row of tabs that choose what a list shows.
import { h, rove } from './dom.js';

/** `tabs`: `[key, label]`. Returns the element and `select(key)`, which only changes the look. */
export function tabList({ label, tabs, value, onselect, controls }) {
  const element = h('div', { class: 'tabs', role: 'tablist', 'aria-label': label });
  const buttons = new Map();
  const select = (key) => {
    for (const [other, button] of buttons) {
      button.setAttribute('aria-selected', String(other === key));
      button.tabIndex = other === key ? 0 : -1;
    }
  };
  for (const [key, text] of tabs) {
    const button = h(
      'button',
      {
        type: 'button',
        role: 'tab',
        'aria-controls': controls,
        onclick: () => {
          select(key);
          onselect(key);
        },
      },
      text,
    );
    buttons.set(key, button);
    element.append(button);
  }
  select(value);
  rove(element, '[role="tab"]', { vertical: false, wrap: true });
  return { element, select, buttons };
}
