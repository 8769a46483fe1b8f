// Completes `@name` to members and `:sm` to emoji while one writes.
import { fill, h, newId } from '../shared/dom.js';
import { t } from '../shared/i18n.js';
import { avatar, nameOf } from '../shared/avatar.js';
import { session } from './session.js';

const MOST = 8;
const WORD = /(?:^|[\s(])([@:])([\p{L}\p{N}_+-]{0,32})$/u;
const members = new Map();

/** All members of a chat; large groups are fetched once. */
async function membersOf({ id, chat }) {
  if (chat.member_count <= chat.members.length) return chat.members.map(({ user }) => user);
  if (!members.has(id)) {
    members.set(
      id,
      (async () => {
        const all = [];
        for (let path = `/chat/${id}/members?limit=200`, pages = 0; path && pages < 10; pages += 1) {
          const { items, next } = await session.client.list(path);
          all.push(...items.map(({ user }) => user));
          path = next;
        }
        return all;
      })().catch(() => {
        members.delete(id);
        return chat.members.map(({ user }) => user);
      }),
    );
  }
  return members.get(id);
}

export class Completion {
  #items = [];
  #selected = 0;
  #start = 0;
  #generation = 0;

  /** `state()` is the chat; `onInsert` is called after the text has changed. */
  constructor(input, state, onInsert) {
    Object.assign(this, { input, state, onInsert });
    this.list = h('ul', {
      class: 'completion',
      id: newId('completion'),
      role: 'listbox',
      'aria-label': t('suggestions'),
      hidden: true,
    });
    input.setAttribute('aria-autocomplete', 'list');
    input.setAttribute('aria-controls', this.list.id);
    input.addEventListener('blur', () =>
      setTimeout(() => {
        if (document.activeElement !== input) this.close();
      }, 150),
    );
  }

  async update() {
    const generation = ++this.#generation;
    const { input } = this;
    const found = input.selectionStart === input.selectionEnd && WORD.exec(input.value.slice(0, input.selectionStart));
    const isShort = found && found[1] === ':' && found[2].length < 2;
    if (!found || isShort) {
      this.close();
      return;
    }
    const [, sign, word] = found;
    const items = sign === '@' ? await this.#people(word) : await this.#emoji(word);
    if (generation !== this.#generation) return;
    this.#start = input.selectionStart - word.length - 1;
    this.#show(items);
  }

  async #people(word) {
    const state = this.state();
    const wanted = word.toLowerCase();
    const found = (await membersOf(state)).filter(
      (user) =>
        user.username &&
        user.id !== session.userId &&
        !user.deleted &&
        (user.username.toLowerCase().startsWith(wanted) ||
          (user.name ?? '')
            .toLowerCase()
            .split(/\s+/)
            .some((part) => part.startsWith(wanted))),
    );
    const items = found
      .slice(0, MOST)
      .map((user) => ({
        text: `@${user.username} `,
        label: `${nameOf(user)} @${user.username}`,
        show: () => [
          avatar({ ...user, name: nameOf(user) }, 'xs'),
          h('b', null, nameOf(user)),
          h('span', { class: 'muted' }, `@${user.username}`),
        ],
      }));
    if (state.chat.is_group && state.my.role !== 'member' && 'all'.startsWith(wanted))
      items.push({
        text: '@all ',
        label: t('mention_all'),
        show: () => [h('b', null, '@all'), h('span', { class: 'muted' }, t('mention_all'))],
      });
    return items;
  }

  async #emoji(word) {
    try {
      const { findEmoji } = await import('./emoji_data.js');
      return findEmoji(word, MOST).map(({ emoji, name }) => ({
        text: `${emoji} `,
        label: name,
        show: () => [h('span', { class: 'emoji' }, emoji), h('span', null, name)],
      }));
    } catch {
      return [];
    }
  }

  #show(items) {
    this.#items = items;
    this.#selected = 0;
    this.list.hidden = !items.length;
    fill(
      this.list,
      items.map((item, index) =>
        h(
          'li',
          {
            role: 'option',
            id: `${this.list.id}-${index}`,
            'aria-label': item.label,
            onpointerdown: (event) => {
              event.preventDefault();
              this.#insert(index);
            },
          },
          item.show(),
        ),
      ),
    );
    this.#select(0);
  }

  #select(index) {
    this.#selected = index;
    [...this.list.children].forEach((it, at) => it.setAttribute('aria-selected', String(at === index)));
    const id = this.list.children[index]?.id;
    if (id) this.input.setAttribute('aria-activedescendant', id);
    else this.input.removeAttribute('aria-activedescendant');
    this.list.children[index]?.scrollIntoView({ block: 'nearest' });
  }

  /** Handles a key; returns whether it was for the list. */
  key(event) {
    if (this.list.hidden) return false;
    const count = this.#items.length;
    if (event.key === 'ArrowDown') this.#select((this.#selected + 1) % count);
    else if (event.key === 'ArrowUp') this.#select((this.#selected + count - 1) % count);
    else if (event.key === 'Enter' || event.key === 'Tab') this.#insert(this.#selected);
    else if (event.key === 'Escape') this.close();
    else return false;
    event.preventDefault();
    return true;
  }

  #insert(index) {
    const { input } = this;
    input.setRangeText(this.#items[index].text, this.#start, input.selectionStart, 'end');
    this.close();
    input.focus();
    this.onInsert();
  }

  close() {
    this.#generation += 1;
    this.list.hidden = true;
    this.#items = [];
    this.input.removeAttribute('aria-activedescendant');
  }
}
