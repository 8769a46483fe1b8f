// The files of a message: pictures, recordings, and cards for everything else; and files that are being uploaded.
import { h, text } from '../shared/dom.js';
import { icon } from '../shared/icons.js';
import { t } from '../shared/i18n.js';
import { at } from '../shared/page.js';
import { clock, size } from '../shared/time.js';

const MOST_WIDE = 400;
const MOST_HIGH = 340;

/** The signed URL of a file, at the address under which this page was opened: the server may have several. */
export const urlOf = (attachment, isThumbnail = false) => {
  const url = new URL(isThumbnail && attachment.thumbnail_url ? attachment.thumbnail_url : attachment.url, at(''));
  const own = /\/(attachment\/\d+\/[^/]+)$/.exec(url.pathname)?.[1];
  return own ? at(own + url.search) : url.href;
};

/** The size at which a picture is shown, so that nothing moves when it loads. */
function boxOf({ width, height }) {
  if (!width || !height) return { width: 280, height: 200 };
  const scale = Math.min(1, MOST_WIDE / width, MOST_HIGH / height);
  return { width: Math.max(90, Math.round(width * scale)), height: Math.max(60, Math.round(height * scale)) };
}

const kindOf = ({ mime, width }) =>
  /^image\/(jpeg|png|webp|gif)$/.test(mime) && width
    ? 'image'
    : /^video\/(mp4|webm|ogg)$/.test(mime)
      ? 'video'
      : /^audio\//.test(mime)
        ? 'audio'
        : 'file';

/** The extension as a short label. */
export const labelOf = (name) => (/\.([\p{L}\p{N}]{1,5})$/u.exec(name)?.[1] ?? '').toUpperCase();

function imageOf(attachment, all, actions, isAlone) {
  const box = boxOf(attachment);
  const image = h('img', {
    src: urlOf(attachment, true),
    alt: attachment.name,
    decoding: 'async',
    draggable: 'false',
    width: isAlone ? box.width : null,
    height: isAlone ? box.height : null,
    onerror: () => {
      // The link has ended while the page was open: the session's own path still works, once.
      const plain = new URL(at(`attachment/${attachment.id}/${encodeURIComponent(attachment.name)}`));
      if (image.src !== plain.href) image.src = plain.href;
      else image.replaceWith(h('span', { class: 'lost' }, icon('image'), t('image_lost')));
    },
  });
  return h(
    'button',
    {
      type: 'button',
      class: 'pic',
      tabindex: '-1',
      'aria-label': t('open_image', { name: attachment.name }),
      style: isAlone ? { width: `${box.width}px`, 'aspect-ratio': `${box.width} / ${box.height}` } : {},
      onclick: () => actions.openViewer(attachment, all),
    },
    image,
  );
}

export const fileCard = ({ name, size: bytes, url, ...rest }) =>
  h(
    'a',
    { class: 'file', href: urlOf({ url, ...rest }), download: name, tabindex: '-1' },
    h('span', { class: 'file-type', 'aria-hidden': 'true' }, labelOf(name) || icon('file')),
    h(
      'span',
      { class: 'grow' },
      h('span', { class: 'file-name cut', dir: 'auto' }, name),
      h('small', { class: 'muted' }, size(bytes)),
    ),
    icon('download', 's'),
  );

/** The attachments of a stored message. */
export function attachmentsOf({ attachments }, actions) {
  if (!attachments?.length) return null;
  const images = attachments.filter((it) => kindOf(it) === 'image');
  const others = attachments.filter((it) => kindOf(it) !== 'image');
  return h(
    'div',
    { class: 'attachments' },
    images.length > 0 &&
      h(
        'div',
        { class: images.length > 1 ? 'pics' : 'one-pic', 'data-count': Math.min(images.length, 4) },
        images.map((it) => imageOf(it, images, actions, images.length === 1)),
      ),
    others.map((it) => {
      const kind = kindOf(it);
      if (kind === 'video') {
        return h(
          'figure',
          { class: 'media' },
          h('video', {
            src: urlOf(it),
            controls: true,
            preload: 'metadata',
            playsinline: true,
            width: it.width || 360,
            height: it.height || 220,
            'aria-label': it.name,
          }),
          h('figcaption', { class: 'small muted cut' }, it.name),
        );
      }
      if (kind === 'audio')
        return h(
          'figure',
          { class: 'media audio' },
          h(
            'figcaption',
            { class: 'small cut' },
            it.name,
            it.duration ? h('span', { class: 'muted num' }, ` · ${clock(it.duration)}`) : '',
          ),
          h('audio', { src: urlOf(it), controls: true, preload: 'none', 'aria-label': it.name }),
        );
      return fileCard(it);
    }),
  );
}

const previews = new WeakMap();
/** A URL of a local file; one per file, until it is released. */
export function previewUrl(file) {
  if (!previews.has(file)) previews.set(file, URL.createObjectURL(file));
  return previews.get(file);
}
/** The file is shown no more; a picture that has loaded stays as it is. */
export function releasePreview(file) {
  if (!previews.has(file)) return;
  URL.revokeObjectURL(previews.get(file));
  previews.delete(file);
}
export const isImageFile = (file) => /^image\/(jpeg|png|webp|gif)$/.test(file.type);

const isUploading = ({ error, files }) => !error && files.some((it) => !it.id);
/** Tells whether two states of a message show the same files; progress alone is no difference. */
export const filesKey = ({ outgoing, attachments }) =>
  outgoing?.files.length
    ? `sending ${outgoing.clientId} ${isUploading(outgoing)}`
    : (attachments ?? []).map(({ id }) => id).join(' ');

/** The files of a message that is on its way, with a way to cancel; its `showProgress(outgoing)` changes the numbers. */
export function uploadsOf(outgoing, cancel) {
  const labels = outgoing.files.map(() => h('small', { class: 'muted num' }));
  const progress = h('progress', { max: 1, value: 0, 'aria-label': t('uploading') });
  const percent = h('span', { class: 'small muted num' });
  const element = h(
    'div',
    { class: 'attachments' },
    outgoing.files.map(({ file, name }, index) =>
      isImageFile(file)
        ? h('div', { class: 'one-pic is-sending' }, h('img', { src: previewUrl(file), alt: name }))
        : h(
            'div',
            { class: 'file' },
            h('span', { class: 'file-type', 'aria-hidden': 'true' }, labelOf(name) || icon('file')),
            h('span', { class: 'grow' }, h('span', { class: 'file-name cut' }, name), labels[index]),
          ),
    ),
    isUploading(outgoing) &&
      h(
        'div',
        { class: 'sending' },
        progress,
        percent,
        h('button', { type: 'button', class: 'link small', onclick: () => cancel(outgoing.clientId) }, t('cancel')),
      ),
  );
  element.showProgress = ({ files }) => {
    const total = files.reduce((sum, it) => sum + it.file.size, 0) || 1;
    const sent = files.reduce((sum, it) => sum + it.file.size * (it.id ? 1 : it.share), 0) / total;
    progress.value = sent;
    text(percent, `${Math.round(sent * 100)} %`);
    for (const [index, { file, id, share }] of files.entries())
      text(labels[index], id ? size(file.size) : `${Math.round(share * 100)} % · ${size(file.size)}`);
  };
  element.showProgress(outgoing);
  return element;
}
