// Cuts a picture to a square: drag to move, wheel, pinch or slider to zoom, arrow keys too.
import { h } from '../shared/dom.js';
import { t } from '../shared/i18n.js';
import { openDialog } from '../shared/dialog.js';
import { loadCss } from './styles.js';

const VIEW = 300;
const RESULT = 800;

/** Resolves with a JPEG file, or null if it was cancelled. */
export async function cropImage(file) {
  await loadCss('app/dialogs.css');
  const image = await createImageBitmap(file);
  const least = VIEW / Math.min(image.width, image.height);
  let scale = least;
  let x = (VIEW - image.width * scale) / 2;
  let y = (VIEW - image.height * scale) / 2;
  const canvas = h('canvas', {
    width: VIEW * 2,
    height: VIEW * 2,
    class: 'crop',
    tabindex: '0',
    role: 'img',
    'aria-label': t('crop_hint'),
  });
  const context = canvas.getContext('2d');
  const draw = () => {
    x = Math.min(0, Math.max(VIEW - image.width * scale, x));
    y = Math.min(0, Math.max(VIEW - image.height * scale, y));
    context.clearRect(0, 0, VIEW * 2, VIEW * 2);
    context.drawImage(image, x * 2, y * 2, image.width * scale * 2, image.height * scale * 2);
  };
  const zoomTo = (to, cx = VIEW / 2, cy = VIEW / 2) => {
    const next = Math.min(least * 5, Math.max(least, to));
    x = cx - ((cx - x) * next) / scale;
    y = cy - ((cy - y) * next) / scale;
    scale = next;
    slider.value = String(Math.log(scale / least));
    draw();
  };
  const slider = h('input', {
    type: 'range',
    min: '0',
    max: String(Math.log(5)),
    step: '0.01',
    value: '0',
    'aria-label': t('zoom'),
    oninput: () => zoomTo(least * Math.exp(Number(slider.value))),
  });
  const pointers = new Map();
  canvas.addEventListener('pointerdown', (event) => {
    canvas.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, event);
  });
  canvas.addEventListener('pointermove', (event) => {
    const before = pointers.get(event.pointerId);
    if (!before) return;
    const ratio = VIEW / canvas.clientWidth;
    if (pointers.size === 2) {
      const [other] = [...pointers.values()].filter((it) => it.pointerId !== event.pointerId);
      const distance = (it) => Math.hypot(it.clientX - other.clientX, it.clientY - other.clientY) || 1;
      zoomTo((scale * distance(event)) / distance(before));
    } else {
      x += (event.clientX - before.clientX) * ratio;
      y += (event.clientY - before.clientY) * ratio;
      draw();
    }
    pointers.set(event.pointerId, event);
  });
  for (const name of ['pointerup', 'pointercancel'])
    canvas.addEventListener(name, (event) => pointers.delete(event.pointerId));
  canvas.addEventListener(
    'wheel',
    (event) => {
      event.preventDefault();
      zoomTo(scale * Math.exp(-event.deltaY / 400));
    },
    { passive: false },
  );
  canvas.addEventListener('keydown', (event) => {
    const step = { ArrowLeft: [10, 0], ArrowRight: [-10, 0], ArrowUp: [0, 10], ArrowDown: [0, -10] }[event.key];
    if (step) {
      x += step[0];
      y += step[1];
      draw();
    } else if (event.key === '+') zoomTo(scale * 1.1);
    else if (event.key === '-') zoomTo(scale / 1.1);
    else return;
    event.preventDefault();
  });
  draw();
  const { result } = openDialog({
    title: t('crop_title'),
    width: 380,
    body: () => [h('div', { class: 'crop-frame' }, canvas), h('div', { class: 'row' }, slider)],
    footer: (close) => [
      h('button', { type: 'button', class: 'btn plain', onclick: () => close() }, t('cancel')),
      h('button', { type: 'button', class: 'btn', autofocus: true, onclick: () => close(true) }, t('use_photo')),
    ],
  });
  if (!(await result)) return null;
  const size = Math.min(RESULT, Math.round(VIEW / scale));
  const out = h('canvas', { width: size, height: size });
  out.getContext('2d').drawImage(image, -x / scale, -y / scale, VIEW / scale, VIEW / scale, 0, 0, size, size);
  const blob = await new Promise((done) => out.toBlob(done, 'image/jpeg', 0.9));
  return new File([blob], 'photo.jpg', { type: 'image/jpeg' });
}
