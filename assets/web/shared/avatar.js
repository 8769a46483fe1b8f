// The picture of a person or a group, and the name to show.
import { h } from './dom.js';
import { at } from './page.js';
import { t } from './i18n.js';

/** The name to show for a user. */
export const nameOf = (user) =>
  user?.deleted ? t('deleted_account') : user?.name || user?.username || t('nameless', { id: user?.id ?? 0 });

/** The URL of a photo in the size for so many pixels. */
export const photoUrl = (photo, size) =>
  at(`static/${photo}/${size > 100 ? '400x400' : size > 50 ? '100x100' : '50x50'}.webp`);

/** One of eight colours, the same for an id everywhere. */
export const tint = (id) => `var(--name-${(Number(id) * 5 + 2) % 8})`;

/** A picture: `size` is '', `xs`, `s`, `m` or `l`; decoration, so the name has to stand beside it. */
export function avatar({ id, photo, name }, size = '', { online = false } = {}) {
  const pixels = { xs: 50, s: 68, m: 80, l: 200 }[size] ?? 92;
  const element = h('span', {
    class: `avatar ${size}${online ? ' is-online' : ''}`,
    'aria-hidden': 'true',
    style: { '--tint': photo ? 'transparent' : tint(id) },
  });
  const initial = () => [...new Intl.Segmenter().segment((name ?? '?').trim() || '?')][0].segment.toLocaleUpperCase();
  if (!photo) element.append(initial());
  else {
    element.append(
      h('img', {
        src: photoUrl(photo, pixels),
        alt: '',
        loading: 'lazy',
        decoding: 'async',
        draggable: 'false',
        onerror: () => {
          element.style.setProperty('--tint', tint(id));
          element.replaceChildren(initial());
        },
      }),
    );
  }
  return element;
}
