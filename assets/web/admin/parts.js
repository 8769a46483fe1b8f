// Small parts that several pages use: states, names, times, tags and copied texts.
import { h } from '../shared/dom.js';
import { locale, t } from '../shared/i18n.js';
import { icon } from '../shared/icons.js';
import { avatar, nameOf } from '../shared/avatar.js';
import { explain } from '../shared/form.js';
import { ago, fullTime } from '../shared/time.js';
import { toast } from '../shared/toast.js';

/** What a page shows instead of its content when a request has failed. */
export function failed(error, retry) {
  const isMissing = error.code === 'not_found' || error.code === 'unknown_event';
  return h(
    'div',
    { class: 'empty', role: 'alert' },
    icon('alert'),
    h('h2', null, t('adm_failed')),
    h('p', null, isMissing ? t('adm_not_offered') : explain(error)),
    retry && h('button', { type: 'button', class: 'btn small', onclick: retry }, icon('retry', 's'), t('try_again')),
  );
}

/** What a list shows when there is nothing. */
export const empty = ({ symbol, title, text, action }) =>
  h('div', { class: 'empty' }, icon(symbol), h('h2', null, title), text && h('p', null, text), action);

/** Grey bars in the shape of what is being loaded. */
export const skeleton = (lines = 4) =>
  h(
    'div',
    { class: 'bars', 'aria-hidden': 'true' },
    Array.from({ length: lines }, (_, n) =>
      h('span', { class: 'skeleton', style: { width: `${[72, 94, 58, 83][n % 4]}%` } }),
    ),
  );

export const heading = (title, lead, ...actions) =>
  h(
    'header',
    { class: 'page-head' },
    h('div', { class: 'grow' }, h('h1', null, title), lead && h('p', { class: 'muted small' }, lead)),
    actions,
  );

const exact = new Intl.DateTimeFormat(locale, {
  day: 'numeric',
  month: 'short',
  year: 'numeric',
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
});
/** A time with seconds, for logs. */
export const exactTime = (iso) => exact.format(new Date(iso));

/** A time as people say it, exact on hover. */
export const when = (iso) =>
  iso
    ? h('time', { datetime: iso, title: fullTime(iso), class: 'num nowrap' }, ago(iso))
    : h('span', { class: 'muted' }, '–');

const TONES = {
  admin: 'accent',
  moderator: 'blue',
  banned: 'bad',
  failed: 'bad',
  open: 'accent',
  sent: 'good',
  resolved: 'good',
  claimed: 'blue',
};
/** A short state in a pill; the colour only repeats what the text says. */
export const tag = (label, kind = '') => h('span', { class: `tag ${TONES[kind] ?? 'quiet'}` }, label);

/** `alice`, or the number of somebody without a username. */
export const handleOf = (user) => (user.username ? `@${user.username}` : `#${user.id}`);

/** A person with picture, name and username. `to` is the address of a link. */
export function person(user, { to, detail, size = 's' } = {}) {
  if (!user) return h('span', { class: 'muted' }, '–');
  const name = nameOf(user);
  return h(
    'span',
    { class: 'who' },
    avatar({ ...user, name }, size, { online: user.online }),
    h(
      'span',
      { class: 'who-text' },
      to ? h('a', { class: 'row-link cut', href: to }, name) : h('span', { class: 'cut' }, name),
      h('small', { class: 'cut' }, detail ?? handleOf(user)),
    ),
  );
}

/** A link to a user that does not cover its row. */
export const userLink = (user) =>
  user
    ? h('a', { class: 'inline-link', href: `#/users/${user.id}` }, nameOf(user))
    : h('span', { class: 'muted' }, '–');

/** A line of a description list; nothing without a value. */
export const fact = (label, value) =>
  value === null || value === undefined || value === false ? null : [h('dt', null, label), h('dd', null, value)];

export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    toast(t('copied'));
  } catch {
    toast(t('cannot_copy'));
  }
}

/** Runs what a button does: busy meanwhile, errors as a note. Returns whether it worked. */
export async function act(button, run, doneText) {
  if (button?.getAttribute('aria-busy') === 'true') return false;
  button?.setAttribute('aria-busy', 'true');
  try {
    await run();
    if (doneText) toast(doneText);
    return true;
  } catch (error) {
    if (!error.code) console.error(error);
    toast(explain(error));
    return false;
  } finally {
    button?.removeAttribute('aria-busy');
  }
}

/** The address of a page with a query; empty values are left out. */
export function addressOf(path, query = {}) {
  const values = Object.entries(query).filter(([, value]) => value !== undefined && value !== null && value !== '');
  const text = new URLSearchParams(values).toString();
  return `#/${path}${text ? `?${text}` : ''}`;
}
