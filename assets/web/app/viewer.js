// Shows pictures over the whole window: zoom, move, next and previous, download.
import { attr, fill, h } from '../shared/dom.js';
import { icon } from '../shared/icons.js';
import { t } from '../shared/i18n.js';
import { iconButton } from '../shared/form.js';
import { urlOf } from './attachments.js';
import { loadCss } from './styles.js';

export async function openViewer(attachment, all = [attachment]) {
  await loadCss('app/dialogs.css');
  const before = document.activeElement;
  let index = Math.max(0, all.indexOf(attachment));
  let zoom = 1;
  let x = 0;
  let y = 0;
  const image = h('img', { alt: '', draggable: 'false' });
  const name = h('h2', { class: 'cut grow', dir: 'auto' });
  const download = h('a', { class: 'icon-btn', 'aria-label': t('download'), title: t('download') }, icon('download'));
  const previous = iconButton('back', t('previous_picture'), () => go(-1), { class: 'icon-btn viewer-side' });
  const next = iconButton('next', t('next_picture'), () => go(1), { class: 'icon-btn viewer-side' });
  const place = () => image.style.setProperty('transform', `translate(${x}px, ${y}px) scale(${zoom})`);
  const setZoom = (to) => {
    zoom = Math.min(6, Math.max(1, to));
    if (zoom === 1) x = y = 0;
    place();
  };
  const show = () => {
    const it = all[index];
    zoom = 1;
    x = y = 0;
    place();
    image.src = urlOf(it);
    image.alt = it.name;
    fill(name, all.length > 1 ? `${it.name} (${index + 1}/${all.length})` : it.name);
    attr(download, 'href', urlOf(it));
    attr(download, 'download', it.name);
    previous.disabled = index === 0;
    next.disabled = index === all.length - 1;
  };
  const go = (by) => {
    if (all[index + by]) {
      index += by;
      show();
    }
  };
  const dialog = h(
    'dialog',
    { class: 'viewer', 'aria-label': t('picture') },
    h(
      'header',
      null,
      name,
      iconButton('zoom', t('zoom'), () => setZoom(zoom > 1 ? 1 : 2.5)),
      download,
      iconButton('close', t('close'), () => close(), { autofocus: true }),
    ),
    h('div', { class: 'viewer-stage' }, image),
    all.length > 1 && [previous, next],
  );
  const close = () => {
    dialog.close();
    dialog.remove();
    if (before?.isConnected) before.focus({ preventScroll: true });
  };
  dialog.addEventListener('cancel', (event) => {
    event.preventDefault();
    close();
  });
  dialog.addEventListener('keydown', (event) => {
    const act = {
      ArrowLeft: () => go(-1),
      ArrowRight: () => go(1),
      '+': () => setZoom(zoom * 1.4),
      '-': () => setZoom(zoom / 1.4),
      0: () => setZoom(1),
    }[event.key];
    if (act) {
      event.preventDefault();
      act();
    }
  });
  const stage = dialog.querySelector('.viewer-stage');
  let start = null;
  stage.addEventListener('pointerdown', (event) => {
    start = {
      x: event.clientX - x,
      y: event.clientY - y,
      fromX: event.clientX,
      fromY: event.clientY,
      isImage: event.target === image,
    };
  });
  stage.addEventListener('pointermove', (event) => {
    if (start && zoom > 1) {
      x = event.clientX - start.x;
      y = event.clientY - start.y;
      place();
    }
  });
  stage.addEventListener('pointerup', (event) => {
    if (!start) return;
    const moved = event.clientX - start.fromX;
    const isStill = Math.hypot(moved, event.clientY - start.fromY) < 6;
    if (isStill && !start.isImage) close();
    else if (!isStill && zoom === 1 && event.pointerType === 'touch' && Math.abs(moved) > 60) go(moved < 0 ? 1 : -1);
    start = null;
  });
  stage.addEventListener('dblclick', () => setZoom(zoom > 1 ? 1 : 2.5));
  stage.addEventListener(
    'wheel',
    (event) => {
      event.preventDefault();
      setZoom(zoom * Math.exp(-event.deltaY / 300));
    },
    { passive: false },
  );
  document.body.append(dialog);
  show();
  dialog.showModal();
}
