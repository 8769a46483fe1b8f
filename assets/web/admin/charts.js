// Small line charts, drawn as SVG. A pointer or the arrow keys read single values.
import { attr, h, svg, text } from '../shared/dom.js';

const WIDTH = 240;
const HEIGHT = 56;
const PAD = 3;
const MIN_SLOTS = 24;

/** The next round number above, so that a chart does not rescale with each value. */
function roundUp(value) {
  if (value <= 1) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((it) => it * power).find((it) => it >= value);
}

/**
 * A chart of up to two lines. `update(series, times)` draws: `series` are arrays of numbers, the last value is now;
 * `onpoint(index | null)` tells which value is read.
 */
export function lineChart({ label, onpoint }) {
  const area = svg('path', { class: 'chart-area' });
  const lines = [svg('path', { class: 'chart-line' }), svg('path', { class: 'chart-line second' })];
  const cursor = svg('line', { class: 'chart-cursor', y1: 0, y2: HEIGHT, visibility: 'hidden' });
  const image = svg(
    'svg',
    { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: 'none', 'aria-hidden': 'true' },
    svg('line', { class: 'chart-base', x1: 0, x2: WIDTH, y1: HEIGHT - 0.5, y2: HEIGHT - 0.5 }),
    area,
    lines[1],
    lines[0],
    cursor,
  );
  const element = h(
    'div',
    { class: 'chart', role: 'slider', tabindex: '0', 'aria-label': label, 'aria-valuemin': '0' },
    image,
  );
  let count = 0;
  let slots = MIN_SLOTS;
  let index = null;
  const x = (at) => WIDTH - ((count - 1 - at) / (slots - 1)) * WIDTH;

  function point(to) {
    index = to === null || !count ? null : Math.max(0, Math.min(count - 1, to));
    attr(cursor, 'visibility', index === null ? 'hidden' : 'visible');
    if (index !== null) {
      attr(cursor, 'x1', x(index));
      attr(cursor, 'x2', x(index));
    }
    onpoint(index);
  }
  element.addEventListener('pointermove', (event) => {
    const { left, width } = element.getBoundingClientRect();
    const share = (event.clientX - left) / width;
    point(Math.round(count - 1 - (1 - share) * (slots - 1)));
  });
  element.addEventListener('pointerleave', () => point(null));
  element.addEventListener('blur', () => point(null));
  element.addEventListener('keydown', (event) => {
    const at = index ?? count - 1;
    const to = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: count - 1, Escape: null }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    point(to);
  });

  return {
    element,
    /** The value under the pointer, or the newest, as text for a screen reader. */
    describe(valueText) {
      attr(element, 'aria-valuemax', Math.max(0, count - 1));
      attr(element, 'aria-valuenow', index ?? Math.max(0, count - 1));
      attr(element, 'aria-valuetext', valueText);
    },
    update(series) {
      count = series[0].length;
      // A server that has just started fills the width as well; the axis then grows to the whole time.
      slots = Math.max(MIN_SLOTS, count);
      const top = roundUp(Math.max(1e-9, ...series.flat()));
      const y = (value) => HEIGHT - PAD - (value / top) * (HEIGHT - 2 * PAD);
      const path = (values) =>
        values.map((value, at) => `${at ? 'L' : 'M'}${x(at).toFixed(1)} ${y(value).toFixed(1)}`).join('');
      for (const [n, line] of lines.entries()) attr(line, 'd', series[n] && count > 1 ? path(series[n]) : null);
      attr(area, 'd', count > 1 ? `${path(series[0])}L${WIDTH} ${HEIGHT}L${x(0).toFixed(1)} ${HEIGHT}Z` : null);
      point(index);
    },
  };
}

/** A tile: what it is, the value, and its chart. `valueAt`, `detailAt` and `timeAt` give texts for a sample; null is now. */
export function tile({ label, unit, valueAt, detailAt, timeAt }) {
  const value = h('strong', { class: 'num' });
  const unitText = h('span', { class: 'muted' }, ` ${unit ?? ''}`);
  const detail = h('small', { class: 'muted num' });
  const chart = lineChart({ label, onpoint: show });
  const element = h(
    'section',
    { class: 'tile', 'aria-label': label },
    h('h2', { class: 'tile-title' }, label),
    h('p', { class: 'tile-value' }, value, unitText),
    detail,
    chart.element,
  );
  let isReady = false;
  function show(index) {
    if (!isReady) return;
    text(value, valueAt(index));
    text(detail, index === null ? detailAt(null) : [timeAt(index), detailAt(index)].filter(Boolean).join(' · '));
    unitText.hidden = !unit || value.textContent === '–';
    chart.describe(`${value.textContent} ${unit ?? ''} ${detail.textContent}`);
  }
  return {
    element,
    update(series) {
      isReady = true;
      chart.update(series);
    },
  };
}
