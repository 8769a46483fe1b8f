// The log of messages on the screen: draws the loaded window, keeps the reader's place, and loads more at both ends.
import { fill, h, perFrame, reconcile, text } from '../shared/dom.js';
import { icon } from '../shared/icons.js';
import { t } from '../shared/i18n.js';
import { createRowElement, updateRowElement } from './message.js';
import { explain } from '../shared/form.js';

/** Closer to an end than this, more is loaded. */
const AHEAD = 900;
/** Closer to the bottom than this counts as at the bottom. */
const NEAR = 48;
const FLASH_MS = 2000;

export class LogView {
  /** Whether new messages keep the view at the bottom. */
  isAtBottom = true;
  #anchor = null;
  /** Where the view was put; a scroll event with another place is the reader's. */
  #putAt = -1;

  /**
   * @param {object} options
   * @param {() => object[]} options.rows
   * @param {object} options.timeline
   * @param {object} options.actions What messages can do.
   * @param {() => void} options.onScroll After scrolling and drawing.
   */
  constructor({ rows, timeline, actions, onScroll, label }) {
    Object.assign(this, { rows, timeline, actions, onScroll });
    this.list = h('div', { class: 'col' });
    this.older = h(
      'div',
      { class: 'loading-edge', hidden: true, 'aria-hidden': 'true' },
      Array.from({ length: 3 }, () => h('span', { class: 'skeleton' })),
    );
    this.newer = h(
      'div',
      { class: 'loading-edge', hidden: true, 'aria-hidden': 'true' },
      h('span', { class: 'skeleton' }),
    );
    this.problem = h(
      'div',
      { class: 'notice bad row', hidden: true, role: 'alert' },
      h('span', { class: 'grow' }),
      h('button', { type: 'button', class: 'link', onclick: () => this.#load(true) }, t('try_again')),
    );
    // Not live by itself: it would be read whenever older pages load. New messages are read from a place of their own.
    this.element = h(
      'div',
      { class: 'log', role: 'log', 'aria-live': 'off', 'aria-label': label, tabindex: '-1' },
      this.older,
      this.problem,
      this.list,
      this.newer,
    );
    this.count = h('span', { class: 'badge', hidden: true });
    this.down = h(
      'button',
      { type: 'button', class: 'to-bottom', hidden: true, 'aria-label': t('to_bottom') },
      icon('arrow-down'),
      this.count,
    );
    this.element.addEventListener('scroll', () => this.#scrolled(), { passive: true });
    this.draw = perFrame(() => this.drawNow());
    this.resizes = new ResizeObserver(() => this.#keepPlace());
    this.resizes.observe(this.list);
    this.resizes.observe(this.element);
  }

  leave() {
    this.resizes.disconnect();
  }

  /** Draws the rows; what one reads stays where it is. */
  drawNow() {
    if (!this.element.isConnected) return;
    this.#noticeReader();
    if (!this.isAtBottom) this.#remember();
    const rows = this.rows();
    reconcile(
      this.list,
      rows,
      (row) => row.key,
      (row) => createRowElement(row, this.actions),
      (element, row, before) => updateRowElement(element, row, before, this.actions),
    );
    const { isLoading, failed } = this.timeline;
    this.older.hidden = !isLoading.older;
    this.newer.hidden = !isLoading.newer;
    this.problem.hidden = !failed;
    if (failed) text(this.problem.firstChild, explain(failed));
    this.#rove();
    this.#keepPlace();
    this.#load();
    this.onScroll();
  }

  /** Keeps one message in the tab order: the one that had it, or the last. */
  #rove() {
    if (this.list.querySelector('article[tabindex="0"]')) return;
    const last = [...this.list.querySelectorAll('article')].at(-1);
    if (last) last.tabIndex = 0;
  }

  /** Remembers the first row on the screen and where it is. */
  #remember() {
    const top = this.element.getBoundingClientRect().top;
    const rows = this.list.children;
    let low = 0;
    for (let high = rows.length - 1; low < high;) {
      const middle = (low + high) >> 1;
      if (rows[middle].getBoundingClientRect().bottom > top + 4) high = middle;
      else low = middle + 1;
    }
    // Day headings come and go with what is above them; a message stays.
    let row = rows[low];
    while (row && row.tagName !== 'ARTICLE' && row.nextElementSibling) row = row.nextElementSibling;
    this.#anchor = row ? { row, top: row.getBoundingClientRect().top - top } : null;
  }

  /** The reader may have scrolled away since the last scroll event. */
  #noticeReader() {
    const { scrollHeight, scrollTop, clientHeight } = this.element;
    if (this.isAtBottom && scrollTop < this.#putAt - 1 && scrollHeight - scrollTop - clientHeight >= NEAR) {
      this.isAtBottom = false;
    }
  }

  #keepPlace() {
    if (this.isAtBottom) {
      this.#scrollTo(this.element.scrollHeight);
      return;
    }
    const { row, top } = this.#anchor ?? {};
    if (!row?.isConnected) return;
    const moved = row.getBoundingClientRect().top - this.element.getBoundingClientRect().top - top;
    if (Math.abs(moved) >= 1) this.#scrollTo(this.element.scrollTop + moved);
  }

  #scrollTo(top) {
    this.element.scrollTop = top;
    this.#putAt = this.element.scrollTop;
  }

  #scrolled() {
    const { element } = this;
    const rest = element.scrollHeight - element.scrollTop - element.clientHeight;
    if (element.scrollTop !== this.#putAt) this.isAtBottom = rest < NEAR && this.timeline.atEnd;
    if (!this.isAtBottom) this.#remember();
    this.#load();
    this.onScroll();
  }

  #load(again = false) {
    const { element, timeline } = this;
    if (timeline.failed && !again) return;
    if (again) timeline.failed = null;
    if (element.scrollTop < AHEAD) timeline.loadOlder();
    if (element.scrollHeight - element.scrollTop - element.clientHeight < AHEAD) timeline.loadNewer();
  }

  /** Scrolls to the end. */
  toBottom() {
    this.isAtBottom = true;
    this.#scrollTo(this.element.scrollHeight);
    this.onScroll();
  }

  /** Shows a row at a part of the height: 0 is the top. */
  showRow(row, part = 0.3) {
    const { element } = this;
    this.isAtBottom = false;
    const top =
      row.getBoundingClientRect().top -
      element.getBoundingClientRect().top +
      element.scrollTop -
      element.clientHeight * part;
    this.#scrollTo(top);
    this.isAtBottom = this.timeline.atEnd && element.scrollHeight - element.scrollTop - element.clientHeight < 2;
    if (!this.isAtBottom) this.#remember();
    this.onScroll();
  }

  /** The element of a message. */
  articleOf(seq) {
    return this.list.querySelector(`article[data-seq="${seq}"]`);
  }

  /** Shows a message and marks it for two seconds. */
  flash(seq) {
    const article =
      this.articleOf(seq) ?? [...this.list.querySelectorAll('article')].find((it) => Number(it.dataset.seq) >= seq);
    if (!article) return;
    this.showRow(article);
    article.classList.remove('flash');
    requestAnimationFrame(() => article.classList.add('flash'));
    setTimeout(() => article.classList.remove('flash'), FLASH_MS);
    for (const it of this.list.querySelectorAll('article[tabindex="0"]')) it.tabIndex = -1;
    article.tabIndex = 0;
  }

  /** The last message that can be seen completely, or as far as it fits. */
  lastSeen() {
    const bottom = this.element.getBoundingClientRect().bottom;
    for (let row = this.list.lastElementChild; row; row = row.previousElementSibling) {
      if (row.tagName === 'ARTICLE' && row.dataset.seq && row.getBoundingClientRect().bottom <= bottom + 24)
        return Number(row.dataset.seq);
    }
    return 0;
  }

  /** Where one is, for coming back. */
  position() {
    if (this.isAtBottom) return null;
    this.#remember();
    const { row, top } = this.#anchor ?? {};
    return row?.dataset.seq ? { seq: Number(row.dataset.seq), top } : null;
  }

  restore({ seq, top }) {
    const row = this.articleOf(seq);
    if (!row) return;
    this.isAtBottom = false;
    this.#anchor = { row, top };
    this.#keepPlace();
    this.onScroll();
  }

  showDown(unread) {
    const rest = this.element.scrollHeight - this.element.scrollTop - this.element.clientHeight;
    const isFar = !this.timeline.atEnd || rest > 320;
    this.down.hidden = !isFar;
    this.count.hidden = !unread;
    text(this.count, unread >= 1000 ? '999+' : String(unread));
    this.down.setAttribute('aria-label', unread ? t('to_bottom_n', { n: unread }) : t('to_bottom'));
  }

  /** Empties the log, with skeletons until the first page is there. */
  showLoading() {
    this.list.knownElements = null;
    fill(
      this.list,
      Array.from({ length: 8 }, (_, index) =>
        h(
          'div',
          { class: `msg ${index % 3 ? '' : 'mine'}`, 'aria-hidden': 'true' },
          h('span', {
            class: 'skeleton bubble',
            style: { width: `${120 + ((index * 67) % 240)}px`, height: `${40 + ((index * 29) % 44)}px` },
          }),
        ),
      ),
    );
  }
}
