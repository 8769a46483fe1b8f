// Names of users of whom only the number is known: fetched once, and filled in where they are shown.
import { h, text } from '../shared/dom.js';
import { nameOf } from '../shared/avatar.js';
import { list, rest } from './session.js';

const known = new Map();

/** Resolves to the user with this id, or null. */
export function userById(id) {
  if (!known.has(id)) {
    // A failure is forgotten, so that the next page tries again.
    known.set(
      id,
      rest('GET', `/admin/user/${id}`).catch((error) => {
        if (error.code !== 'not_found') known.delete(id);
        return null;
      }),
    );
  }
  return known.get(id);
}

/** A link to a user by number, which shows the name as soon as it is known. */
export function userLinkById(id) {
  const link = h('a', { class: 'inline-link num', href: `#/users/${id}` }, `#${id}`);
  userById(id).then((user) => {
    if (user) {
      text(link, nameOf(user));
      link.title = `#${id}`;
    }
  });
  return link;
}

/** The number of a user who was typed as `12`, `#12`, `alice` or `@alice`; 0, which nobody has, if there is none. */
export async function idOf(typed) {
  const value = typed?.trim();
  if (!value) return undefined;
  if (/^#?\d{1,15}$/.test(value)) return value.replace('#', '');
  const username = value.replace(/^@/, '').toLowerCase();
  const { items } = await list(`/admin/user?query=${encodeURIComponent(username)}&limit=200`);
  return (items.find((it) => it.username?.toLowerCase() === username) ?? (items.length === 1 ? items[0] : { id: 0 }))
    .id;
}
