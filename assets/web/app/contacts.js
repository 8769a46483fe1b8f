// The column of contacts: whom one follows, followers, requests to chat, and whom one has blocked.
import { fill, h, rove } from '../shared/dom.js';
import { icon } from '../shared/icons.js';
import { t } from '../shared/i18n.js';
import { avatar, nameOf } from '../shared/avatar.js';
import { explain, iconButton } from '../shared/form.js';
import { tabList } from '../shared/tabs.js';
import { navigate } from '../shared/router.js';
import { excerptOf, isRequest, otherOf } from './chat_info.js';
import { openNewChat } from './new_chat.js';
import { personRow } from './people_picker.js';
import { openProfile } from './profile.js';
import { session } from './session.js';

const LISTS = ['following', 'followers', 'requests', 'blocked'];

export class Contacts {
  #tab = 'following';
  #generation = 0;

  constructor() {
    const { client } = session;
    this.list = h('div', { class: 'rows people', id: 'contact-rows' });
    this.tabs = tabList({
      label: t('filter'),
      value: this.#tab,
      controls: 'contact-rows',
      tabs: LISTS.map((key) => [key, t(`contacts_${key}`)]),
      onselect: (key) => {
        this.#tab = key;
        this.show();
      },
    });
    this.element = h(
      'nav',
      { class: 'list', 'aria-label': t('contacts') },
      h(
        'header',
        null,
        iconButton('back', t('all_chats'), () => navigate('#/'), { class: 'icon-btn' }),
        h('h2', null, t('contacts')),
        iconButton('person-plus', t('find_people'), openNewChat),
      ),
      this.tabs.element,
      this.list,
    );
    rove(this.list, '.person');
    const changed = () => {
      if (this.element.isConnected) this.show();
    };
    for (const name of ['followed', 'unfollowed', 'blocked', 'unblocked', 'gone', 'chat_approved'])
      client.on(name, () => setTimeout(changed, 50));
    this.show();
  }

  async show() {
    const generation = ++this.#generation;
    if (this.#tab === 'requests') {
      this.#showRequests();
      return;
    }
    if (!this.list.querySelector('.person'))
      fill(
        this.list,
        Array.from({ length: 5 }, () =>
          h(
            'div',
            { class: 'person', 'aria-hidden': 'true' },
            h('span', { class: 'skeleton round', style: { width: '40px', height: '40px' } }),
            h('span', { class: 'skeleton', style: { width: '50%', height: '13px' } }),
          ),
        ),
      );
    try {
      const { items, next } = await session.client.list(`/user/me/${this.#tab}?limit=100`);
      if (generation !== this.#generation) return;
      this.#fill(items, next);
    } catch (error) {
      if (generation === this.#generation)
        fill(
          this.list,
          h(
            'div',
            { class: 'empty' },
            icon('alert'),
            h('p', null, explain(error)),
            h('button', { type: 'button', class: 'btn plain', onclick: () => this.show() }, t('try_again')),
          ),
        );
    }
  }

  #fill(items, next) {
    if (!items.length) {
      fill(
        this.list,
        h(
          'div',
          { class: 'empty' },
          icon('people'),
          h('h3', null, t(`no_${this.#tab}`)),
          h('p', null, t(`no_${this.#tab}_hint`)),
        ),
      );
      return;
    }
    fill(
      this.list,
      items.map((user) => personRow(user, { onclick: () => openProfile(user) })),
    );
    if (next) {
      const more = h(
        'button',
        {
          type: 'button',
          class: 'link',
          onclick: async () => {
            const page = await session.client.list(next);
            more.remove();
            this.list.append(...page.items.map((user) => personRow(user, { onclick: () => openProfile(user) })));
          },
        },
        t('show_more'),
      );
      this.list.append(more);
    }
    this.list.querySelector('.person').tabIndex = 0;
  }

  #showRequests() {
    const requests = [...session.client.chats.values()].filter(isRequest);
    if (!requests.length) {
      fill(
        this.list,
        h(
          'div',
          { class: 'empty' },
          icon('check'),
          h('h3', null, t('empty_requests')),
          h('p', null, t('empty_requests_hint')),
        ),
      );
      return;
    }
    fill(
      this.list,
      requests.map((state) => {
        const user = otherOf(state);
        return h(
          'a',
          { class: 'person result', href: `#/chat/${state.id}` },
          avatar({ ...user, name: nameOf(user) }, 'm'),
          h(
            'span',
            { class: 'grow' },
            h('b', { class: 'cut', dir: 'auto' }, nameOf(user)),
            h(
              'small',
              { class: 'cut', dir: 'auto' },
              state.chat.last_message ? excerptOf(state.chat.last_message) : '',
            ),
          ),
        );
      }),
    );
  }
}
