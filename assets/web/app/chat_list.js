// The list of chats: search, tabs, and a row for each chat.
import { attr, fill, h, perFrame, reconcile, rove, text } from '../shared/dom.js';
import { t } from '../shared/i18n.js';
import { icon } from '../shared/icons.js';
import { iconButton } from '../shared/form.js';
import { tabList } from '../shared/tabs.js';
import { navigate } from '../shared/router.js';
import { avatar, nameOf } from '../shared/avatar.js';
import { onContextMenu } from '../shared/menu.js';
import { createRow, rowOf, updateRow } from './chat_row.js';
import { isRequest, sortedChats } from './chat_info.js';
import { onMe, session } from './session.js';
import { onDrafts } from './drafts.js';
import { onOutgoing } from './outgoing.js';
import { SearchBox } from './search_box.js';

const PAGE = 120;
const TABS = {
  all: ({ my }, state) => !my.archived && !isRequest(state),
  unread: ({ my }, state) => my.unread > 0 && !my.archived && !isRequest(state),
  mentions: ({ my }) => my.mentions > 0,
  requests: (_, state) => isRequest(state),
  archived: ({ my }) => my.archived,
};

export class ChatList {
  #rows = h('div', { class: 'rows', id: 'chat-rows' });
  #tab = 'all';
  #current = null;
  /** So many rows are drawn; more as one scrolls. */
  #limit = PAGE;

  constructor({ onNewChat, openMenu }) {
    const { client } = session;
    this.search = new SearchBox({ results: (shown) => this.#showSearch(shown) });
    this.tabs = tabList({
      label: t('filter'),
      value: 'all',
      controls: 'chat-rows',
      tabs: [
        ['all', t('tab_all')],
        ['unread', t('tab_unread')],
        ['mentions', t('tab_mentions')],
        ['requests', t('tab_requests')],
        ['archived', t('tab_archived')],
      ],
      onselect: (key) => {
        this.#tab = key;
        this.#limit = PAGE;
        this.refresh();
        this.#rows.scrollTop = 0;
      },
    });
    this.me = h('button', {
      type: 'button',
      class: 'own',
      'aria-label': t('own_menu'),
      'aria-haspopup': 'menu',
      onclick: (event) => openMenu(event.currentTarget),
    });
    this.results = h('div', { class: 'rows results', hidden: true });
    this.element = h(
      'nav',
      { class: 'list', 'aria-label': t('chats') },
      h('header', null, this.me, h('h2', null, t('chats')), iconButton('plus', t('new_chat'), onNewChat)),
      this.search.element,
      this.tabs.element,
      this.#rows,
      this.results,
    );
    rove(this.#rows, '.chat-row');
    onContextMenu(this.#rows, '.chat-row', (row, point) => this.#openMenu(row, point));
    this.#rows.addEventListener('keydown', (event) => {
      if (event.key === 'ArrowUp' && event.target === this.#rows.querySelector('.chat-row')) this.search.focus();
    });
    this.search.element.addEventListener('keydown', (event) => {
      if (event.key !== 'ArrowDown') return;
      event.preventDefault();
      (this.results.hidden ? this.#rows : this.results).querySelector('a, button')?.focus();
    });
    rove(this.results, '.result');
    this.refresh = perFrame(() => this.#show());
    this.#rows.addEventListener(
      'scroll',
      () => {
        const { scrollHeight, scrollTop, clientHeight } = this.#rows;
        if (
          scrollHeight - scrollTop - clientHeight > 600 ||
          !this.#rows.knownElements ||
          this.#rows.knownElements.size < this.#limit
        )
          return;
        this.#limit += PAGE;
        this.refresh();
      },
      { passive: true },
    );
    for (const name of ['change', 'chat', 'gone', 'synced', 'typing']) client.on(name, this.refresh);
    // Typing ends by itself when nothing more is heard.
    client.on('typing', () => setTimeout(this.refresh, 7200));
    onMe(this.refresh);
    onDrafts(this.refresh);
    onOutgoing(this.refresh);
    addEventListener('mango-presence', this.refresh);
    setInterval(this.refresh, 60_000);
    this.#show();
  }

  async #openMenu(row, point) {
    const { openChatMenu } = await import('./chat_menu.js');
    const state = session.client.chats.get(Number(row.dataset.id));
    if (state) openChatMenu(state, point);
  }

  focusSearch() {
    this.search.focus();
  }

  setCurrent(id) {
    if (this.#current === id) return;
    this.#current = id;
    this.#show();
  }

  /** Goes to the next or previous chat of the list. */
  step(by) {
    const ids = [...this.#rows.querySelectorAll('.chat-row')].map((it) => Number(it.dataset.id));
    const next = ids[ids.indexOf(this.#current) + by];
    if (next) navigate(`#/chat/${next}`);
  }

  #showSearch(element) {
    this.#rows.hidden = this.tabs.element.hidden = Boolean(element);
    this.results.hidden = !element;
    fill(this.results, element);
  }

  #show() {
    const all = sortedChats();
    this.#showTabs(all);
    const shown = all.filter((it) => TABS[this.#tab](it, it));
    if (!shown.length) return this.#showEmpty();
    if (this.#rows.dataset.state) {
      fill(this.#rows);
      this.#rows.knownElements = null;
      delete this.#rows.dataset.state;
    }
    const rows = shown.slice(0, this.#limit).map((state) => rowOf(state, state.id === this.#current));
    reconcile(this.#rows, rows, (row) => row.id, createRow, updateRow);
    if (!this.#rows.querySelector('.chat-row[tabindex="0"]')) {
      const first = this.#rows.querySelector('[aria-current]') ?? this.#rows.querySelector('.chat-row');
      first.tabIndex = 0;
    }
    const { me } = session;
    const picture = `${me?.photo} ${me?.name}`;
    if (this.me.dataset.shown !== picture) {
      this.me.dataset.shown = picture;
      fill(this.me, avatar({ id: session.userId, photo: me?.photo, name: nameOf(me ?? { id: session.userId }) }, 's'));
    }
  }

  #showTabs(all) {
    const count = (key) => all.filter((it) => TABS[key](it, it)).length;
    const counts = {
      unread: count('unread'),
      mentions: count('mentions'),
      requests: count('requests'),
      archived: count('archived'),
    };
    for (const [key, button] of this.tabs.buttons) {
      if (key === 'all') continue;
      // What is empty takes no place, but the tab that one is on does not go away under the pointer.
      button.hidden = !counts[key] && key !== 'unread' && this.#tab !== key;
      const label = t(`tab_${key}`);
      text(button, counts[key] ? `${label} ${counts[key]}` : label);
    }
  }

  #showEmpty() {
    const isLoading = !session.isLoaded;
    const state = isLoading ? 'loading' : this.#tab;
    if (this.#rows.dataset.state === state) return;
    this.#rows.dataset.state = state;
    this.#rows.knownElements = null;
    attr(this.#rows, 'aria-busy', isLoading ? 'true' : null);
    if (isLoading) {
      fill(
        this.#rows,
        Array.from({ length: 7 }, (_, index) =>
          h(
            'div',
            { class: 'chat-row is-skeleton', 'aria-hidden': 'true' },
            h('span', { class: 'skeleton round', style: { width: '46px', height: '46px' } }),
            h(
              'span',
              { class: 'grow stack tight' },
              h('span', { class: 'skeleton', style: { width: `${40 + ((index * 17) % 40)}%`, height: '13px' } }),
              h('span', { class: 'skeleton', style: { width: `${60 + ((index * 23) % 35)}%`, height: '11px' } }),
            ),
          ),
        ),
      );
      return;
    }
    const isAll = this.#tab === 'all';
    fill(
      this.#rows,
      h(
        'div',
        { class: 'empty' },
        icon(isAll ? 'chat' : 'check'),
        h('h3', null, t(`empty_${this.#tab}`)),
        h('p', null, t(`empty_${this.#tab}_hint`)),
        isAll &&
          h(
            'button',
            { type: 'button', class: 'btn', onclick: () => this.element.querySelector('header .icon-btn').click() },
            t('start_chat'),
          ),
      ),
    );
  }
}
