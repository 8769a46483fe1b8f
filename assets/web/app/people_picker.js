// Finds people by name or username; without a search, shows those one knows.
import { debounce, fill, h, newId, rove } from '../shared/dom.js';
import { icon } from '../shared/icons.js';
import { t } from '../shared/i18n.js';
import { avatar, nameOf } from '../shared/avatar.js';
import { explain } from '../shared/form.js';
import { plain } from './search_box.js';
import { session } from './session.js';

/** People of the user's chats, those of direct chats first, and whom they follow. */
export async function knownPeople() {
  const found = new Map();
  const chats = [...session.client.chats.values()].sort((a, b) => Number(a.chat.is_group) - Number(b.chat.is_group));
  for (const { chat } of chats)
    for (const { user } of chat.members) if (user.id !== session.userId && !user.deleted) found.set(user.id, user);
  try {
    const { items } = await session.client.list('/user/me/following?limit=100');
    for (const user of items) if (!found.has(user.id)) found.set(user.id, user);
  } catch {
    /* Those of the chats are enough. */
  }
  return [...found.values()].slice(0, 200);
}

/** A row for a person. */
export const personRow = (user, props, ...more) =>
  h(
    'button',
    { type: 'button', class: 'person', ...props },
    avatar({ ...user, name: nameOf(user) }, 'm', { online: session.client.presence.get(user.id)?.online }),
    h(
      'span',
      { class: 'grow' },
      h('b', { class: 'cut', dir: 'auto' }, nameOf(user)),
      user.username && h('small', { class: 'cut' }, `@${user.username}`),
    ),
    ...more,
  );

export class PeoplePicker {
  /** @type {Map<number, object>} */
  selected = new Map();

  /** With `multiple` people are ticked, else `onPick(user)` is called. `without` are ids that are not shown. */
  constructor({ multiple = false, onPick, onChange, without = [], lead }) {
    Object.assign(this, { multiple, onPick, onChange, without: new Set([...without, session.userId]) });
    const id = newId('people');
    this.input = h('input', {
      class: 'input',
      type: 'search',
      'aria-label': t('find_people'),
      placeholder: t('find_people'),
      autocomplete: 'off',
      spellcheck: 'false',
      dir: 'auto',
      autofocus: true,
      'aria-controls': id,
    });
    this.list = h('div', { class: 'people picker-list', id, role: 'group', 'aria-label': t('people') });
    this.chips = h('div', { class: 'chips', hidden: true });
    this.element = h('div', { class: 'stack picker' }, this.input, lead, this.chips, this.list);
    this.search = debounce(() => this.#search(), 200);
    this.input.addEventListener('input', () => this.search());
    this.input.addEventListener('keydown', (event) => {
      if (event.key === 'ArrowDown') {
        event.preventDefault();
        this.list.querySelector('.person, input')?.focus();
      }
      if (event.key === 'Enter' && !event.isComposing) {
        event.preventDefault();
        this.list.querySelector('.person')?.click();
      }
    });
    rove(this.list, '.person');
    this.#search();
  }

  async #search() {
    const query = this.input.value.trim();
    this.generation = (this.generation ?? 0) + 1;
    const { generation } = this;
    if (!this.known)
      fill(
        this.list,
        Array.from({ length: 4 }, () =>
          h(
            'div',
            { class: 'person', 'aria-hidden': 'true' },
            h('span', { class: 'skeleton round', style: { width: '40px', height: '40px' } }),
            h('span', { class: 'skeleton', style: { width: '45%', height: '13px' } }),
          ),
        ),
      );
    try {
      this.known ??= await knownPeople();
      const words = plain(query).split(/\s+/);
      const known = query
        ? this.known.filter((it) => {
            const text = plain(`${it.name ?? ''} ${it.username ?? ''}`);
            return words.every((word) => text.includes(word));
          })
        : this.known;
      const found = query ? (await session.client.list(`/user?query=${encodeURIComponent(query)}&limit=30`)).items : [];
      if (generation !== this.generation) return;
      const all = new Map(
        [...known, ...found].filter((it) => !this.without.has(it.id) && !it.deleted).map((it) => [it.id, it]),
      );
      this.#show([...all.values()], query);
    } catch (error) {
      if (generation === this.generation)
        fill(this.list, h('p', { class: 'notice bad', role: 'alert' }, explain(error)));
    }
  }

  #show(people, query) {
    if (!people.length) {
      fill(
        this.list,
        h('div', { class: 'empty' }, icon('people'), h('p', null, query ? t('nobody_found') : t('type_a_name'))),
      );
      return;
    }
    fill(
      this.list,
      people.map((user) =>
        this.multiple
          ? h(
              'label',
              { class: 'person' },
              avatar({ ...user, name: nameOf(user) }, 'm'),
              h(
                'span',
                { class: 'grow' },
                h('b', { class: 'cut', dir: 'auto' }, nameOf(user)),
                user.username && h('small', { class: 'cut' }, `@${user.username}`),
              ),
              h('input', {
                type: 'checkbox',
                checked: this.selected.has(user.id),
                'aria-label': nameOf(user),
                onchange: (event) => this.#toggle(user, event.target.checked),
              }),
            )
          : personRow(user, { onclick: () => this.onPick(user) }),
      ),
    );
  }

  #toggle(user, isOn) {
    if (isOn) this.selected.set(user.id, user);
    else this.selected.delete(user.id);
    this.chips.hidden = !this.selected.size;
    fill(
      this.chips,
      [...this.selected.values()].map((it) =>
        h(
          'button',
          {
            type: 'button',
            class: 'chip',
            'aria-label': t('remove_person', { name: nameOf(it) }),
            onclick: () => {
              this.#toggle(it, false);
              this.#search();
            },
          },
          nameOf(it),
          icon('close', 'xs'),
        ),
      ),
    );
    this.onChange?.([...this.selected.values()]);
  }
}
