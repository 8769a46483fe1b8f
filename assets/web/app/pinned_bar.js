// The pinned messages of a chat, above its log: the latest one, and the next with each click.
import { fill, h } from '../shared/dom.js';
import { icon } from '../shared/icons.js';
import { t } from '../shared/i18n.js';
import { iconButton } from '../shared/form.js';
import { excerptOf } from './chat_info.js';
import { session } from './session.js';

export class PinnedBar {
  #items = [];
  #at = 0;
  #isFetching = false;
  #isOutdated = false;

  constructor(conversation) {
    this.conversation = conversation;
    this.element = h('div', { class: 'pinned-bar', hidden: true });
    const { client } = session;
    const changed = ({ chat }) => {
      if (chat === conversation.chatId) this.fetch();
    };
    for (const name of ['message_pinned', 'message_unpinned', 'message_deleted', 'message_edited'])
      client.on(name, changed);
    const synced = () => this.fetch();
    client.on('synced', synced);
    this.leave = () => {
      for (const name of ['message_pinned', 'message_unpinned', 'message_deleted', 'message_edited'])
        client.off(name, changed);
      client.off('synced', synced);
    };
    this.fetch();
  }

  async fetch() {
    // What changes during a fetch may be missing in its answer.
    this.#isOutdated = true;
    if (this.#isFetching) return;
    this.#isFetching = true;
    while (this.#isOutdated) {
      this.#isOutdated = false;
      try {
        const { items } = await session.client.pinnedMessages(this.conversation.chatId, { limit: 20 });
        this.#items = items;
        this.#at = 0;
        this.refresh();
      } catch {
        /* Without a connection there is none to show. */
      }
    }
    this.#isFetching = false;
  }

  refresh() {
    const message = this.#items[this.#at];
    this.element.hidden = !message;
    if (!message) return;
    const key = `${message.id} ${message.rev} ${this.#at}`;
    if (this.element.dataset.shown === key) return;
    this.element.dataset.shown = key;
    const count = this.#items.length;
    fill(
      this.element,
      icon('pin', 's'),
      h(
        'button',
        {
          type: 'button',
          class: 'grow pinned-text',
          'aria-label': t('go_to_pinned', { text: excerptOf(message) }),
          onclick: () => {
            this.conversation.jumpTo(message.seq);
            this.#at = (this.#at + 1) % count;
            this.refresh();
          },
        },
        h('b', null, count > 1 ? t('pinned_message_n', { n: this.#at + 1, count }) : t('pinned_message')),
        h('span', { class: 'cut', dir: 'auto' }, excerptOf(message)),
      ),
      iconButton('list', t('all_pinned'), () => this.conversation.toggleDetails('pinned')),
    );
  }
}
