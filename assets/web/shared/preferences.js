// Settings of this browser, in localStorage; a change is told in every tab.

const PREFIX = 'mango-';
const listeners = new Set();

export const DEFAULTS = {
  theme: 'system',
  language: '',
  enter: 'send',
  notifications: 'off',
  sound: 'off',
  preview: 'on',
};

/** A setting, or its default. */
export function preference(name) {
  try {
    return localStorage.getItem(PREFIX + name) ?? DEFAULTS[name];
  } catch {
    return DEFAULTS[name];
  }
}

export function setPreference(name, value) {
  try {
    localStorage.setItem(PREFIX + name, value);
  } catch {
    /* Then it holds until the page is left. */
  }
  apply(name, value);
}

/** Calls `listener(name, value)` when a setting changes, in this tab or another. */
export function onPreference(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

function apply(name, value) {
  if (name === 'theme') {
    if (value === 'system') delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = value;
  }
  for (const listener of listeners) listener(name, value);
}

addEventListener('storage', ({ key, newValue }) => {
  const name = key?.startsWith(PREFIX) && key.slice(PREFIX.length);
  if (name in DEFAULTS) apply(name, newValue ?? DEFAULTS[name]);
});
