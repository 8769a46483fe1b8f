// The emoji picker: groups, search, and those used last.
import { fill, h } from '../shared/dom.js';
import { t } from '../shared/i18n.js';
import { openFloating } from '../shared/menu.js';
import { tabList } from '../shared/tabs.js';
import { all, findEmoji, groups, recent, used } from './emoji_data.js';
import { loadCss } from './styles.js';

const SYMBOLS = {
  recent: '🕘',
  smileys: '😀',
  people: '👋',
  nature: '🐻',
  food: '🍏',
  travel: '🚗',
  activities: '⚽',
  objects: '💡',
  symbols: '🔣',
  flags: '🏁',
};
const COLUMNS = 8;

/** Opens at a button. With `keepOpen` several can be picked. */
export async function openEmojiPicker(anchor, { onPick, onClose, keepOpen = false }) {
  await loadCss('app/emoji.css');
  const byEmoji = new Map(all.map((it) => [it.emoji, it]));
  const grid = h('div', { class: 'emoji-grid', role: 'listbox', 'aria-label': t('emoji') });
  const search = h('input', {
    class: 'input',
    type: 'search',
    'aria-label': t('search_emoji'),
    placeholder: t('search_emoji'),
    autocomplete: 'off',
  });
  const name = h('div', { class: 'emoji-name small muted', 'aria-hidden': 'true' }, t('emoji'));
  const show = (items) =>
    fill(
      grid,
      items.length
        ? items.map((it, index) =>
            h(
              'button',
              {
                type: 'button',
                role: 'option',
                'aria-selected': 'false',
                tabindex: index ? '-1' : '0',
                'aria-label': it.name,
                title: it.name,
                'data-emoji': it.emoji,
              },
              it.emoji,
            ),
          )
        : h('p', { class: 'muted small' }, t('nothing_found')),
    );
  const last = recent().map((it) => byEmoji.get(it) ?? { emoji: it, name: it });
  const first = last.length ? 'recent' : 'smileys';
  const open = (key) => {
    search.value = '';
    show(key === 'recent' ? last : groups.get(key));
    grid.scrollTop = 0;
  };
  const tabs = tabList({
    label: t('emoji_groups'),
    value: first,
    tabs: Object.entries(SYMBOLS).filter(([key]) => key !== 'recent' || last.length),
    onselect: open,
  });
  for (const [key, button] of tabs.buttons) button.setAttribute('aria-label', t(`emoji_${key}`));
  const picker = h(
    'div',
    { class: 'menu emoji-picker', role: 'dialog', 'aria-label': t('emoji') },
    search,
    tabs.element,
    grid,
    name,
  );
  const pick = (emoji) => {
    used(emoji);
    if (!keepOpen) close();
    onPick(emoji);
  };
  grid.addEventListener('click', (event) => {
    const { emoji } = event.target.dataset;
    if (emoji) pick(emoji);
  });
  const tell = (event) => {
    if (event.target.dataset.emoji) name.textContent = event.target.title;
  };
  grid.addEventListener('pointerover', tell);
  grid.addEventListener('focusin', tell);
  search.addEventListener('input', () =>
    show(search.value.trim() ? findEmoji(search.value.trim(), 120) : groups.get('smileys')),
  );
  search.addEventListener('keydown', (event) => {
    if (event.key === 'ArrowDown') {
      event.preventDefault();
      grid.firstChild?.focus?.();
    }
    if (event.key === 'Enter' && grid.firstChild?.dataset?.emoji) {
      event.preventDefault();
      pick(grid.firstChild.dataset.emoji);
    }
  });
  grid.addEventListener('keydown', (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: COLUMNS, ArrowUp: -COLUMNS }[event.key];
    if (!step) return;
    event.preventDefault();
    const list = [...grid.children];
    const to = list[list.indexOf(event.target) + step];
    if (to) {
      event.target.tabIndex = -1;
      to.tabIndex = 0;
      to.focus();
    } else if (step < 0) search.focus();
  });
  open(first);
  const close = openFloating(picker, anchor, { align: 'end', onClose });
  if (matchMedia('(hover: hover)').matches) search.focus();
}
