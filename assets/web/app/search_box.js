// The search box of the list: chats at once, people and messages from the server.
import { debounce, fill, h, text } from '../shared/dom.js';
import { icon } from '../shared/icons.js';
import { t } from '../shared/i18n.js';
import { explain } from '../shared/form.js';
import { avatar, nameOf } from '../shared/avatar.js';
import { at } from '../shared/page.js';
import { navigate } from '../shared/router.js';
import { shortTime } from '../shared/time.js';
import { toast } from '../shared/toast.js';
import { pictureOf, sortedChats, titleOf } from './chat_info.js';
import { session } from './session.js';

/** Without case and accents, `ё` as `е`. */
export const plain = (value) => value.normalize('NFKD').replace(/\p{M}/gu, '').toLocaleLowerCase();

/** The parts of a snippet of the server, hits marked. */
export const snippetOf = (snippet) => snippet.map(({ text: part, hit }) => (hit ? h('mark', null, part) : part));

/** Opens the direct chat with a user, and creates it if there is none. */
export async function openDirect(user) {
  const known = [...session.client.chats.values()].find(
    ({ chat }) => !chat.is_group && chat.members.some((it) => it.user.id === user.id),
  );
  try {
    const state = known ?? (await session.client.createChat({ members: [user.id] }));
    // In a frame that shows one chat, another one opens in the app.
    if (document.documentElement.classList.contains('is-single')) open(at(`#/chat/${state.id}`), '_blank', 'noopener');
    else navigate(`#/chat/${state.id}`);
  } catch (error) {
    toast(explain(error));
  }
}

export class SearchBox {
  #generation = 0;

  /** `results(element)` shows the results, or with null the list of chats. */
  constructor({ results }) {
    this.results = results;
    this.input = h('input', {
      type: 'search',
      'aria-label': t('search'),
      placeholder: t('search_hint'),
      autocomplete: 'off',
      spellcheck: 'false',
      dir: 'auto',
    });
    this.clear = h(
      'button',
      {
        type: 'button',
        class: 'icon-btn small',
        'aria-label': t('clear_search'),
        hidden: true,
        onclick: () => {
          this.close();
          this.focus();
        },
      },
      icon('close', 's'),
    );
    this.element = h('search', { class: 'search' }, icon('search', 's'), this.input, this.clear);
    this.status = h('div', { class: 'vh', 'aria-live': 'polite' });
    this.element.append(this.status);
    this.fetch = debounce(() => this.#fetch(), 220);
    this.input.addEventListener('input', () => this.#changed());
    this.input.addEventListener('keydown', (event) => {
      if (event.key === 'Escape' && this.input.value) {
        event.preventDefault();
        this.close();
      }
      if (event.key === 'Enter' && !event.isComposing) this.body?.querySelector('a, button')?.click();
    });
  }

  focus() {
    this.input.focus();
    this.input.select();
  }

  close() {
    this.input.value = '';
    this.#changed();
  }

  #changed() {
    const query = this.input.value.trim();
    this.clear.hidden = !query;
    this.#generation += 1;
    if (!query) {
      this.fetch.cancel();
      this.body = null;
      this.results(null);
      return;
    }
    if (!this.body) {
      this.body = h('div', { class: 'found' });
      this.chats = h('section');
      this.people = h('section');
      this.messages = h('section');
      fill(this.body, this.chats, this.people, this.messages);
      this.results(this.body);
    }
    const words = plain(query).split(/\s+/);
    const found = sortedChats()
      .filter((it) => {
        const name = plain(titleOf(it) ?? '');
        return words.every((word) => name.includes(word));
      })
      .slice(0, 8);
    this.#section(
      this.chats,
      t('chats'),
      found.map((state) =>
        h(
          'a',
          { class: 'result person', href: `#/chat/${state.id}`, onclick: () => this.#chosen() },
          avatar(pictureOf(state), 'm'),
          h('b', { class: 'cut grow', dir: 'auto' }, titleOf(state)),
        ),
      ),
    );
    this.fetch();
  }

  #chosen() {
    setTimeout(() => this.close());
  }

  #section(element, title, items) {
    element.hidden = !items.length;
    fill(element, h('h3', { class: 'section-title' }, title), items);
    for (const it of element.querySelectorAll('.result')) it.tabIndex = -1;
    const first = this.body.querySelector('.result');
    if (first) first.tabIndex = 0;
  }

  async #fetch() {
    const generation = this.#generation;
    const query = this.input.value.trim();
    const { client } = session;
    const [people, messages] = await Promise.allSettled([
      client.list(`/user?query=${encodeURIComponent(query)}&limit=8`),
      client.list(`/search?q=${encodeURIComponent(query)}&limit=20`),
    ]);
    if (generation !== this.#generation || !this.body) return;
    const users = people.status === 'fulfilled' ? people.value.items.filter((it) => it.id !== session.userId) : [];
    this.#section(
      this.people,
      t('people'),
      users.map((user) =>
        h(
          'button',
          {
            type: 'button',
            class: 'result person',
            onclick: () => {
              this.#chosen();
              openDirect(user);
            },
          },
          avatar({ ...user, name: nameOf(user) }, 'm'),
          h(
            'span',
            { class: 'grow' },
            h('b', { class: 'cut', dir: 'auto' }, nameOf(user)),
            user.username && h('small', { class: 'cut' }, `@${user.username}`),
          ),
        ),
      ),
    );
    const isAvailable = messages.status === 'fulfilled';
    const hits = isAvailable ? messages.value.items : [];
    this.#section(
      this.messages,
      t('messages'),
      hits.map((hit) => messageHit(hit, () => this.#chosen())),
    );
    if (isAvailable && messages.value.next) this.#more(messages.value.next, generation);
    const isMissing = !isAvailable && messages.reason.code === 'not_found';
    if (!isAvailable) {
      this.messages.hidden = false;
      fill(
        this.messages,
        h('p', { class: 'small muted note' }, isMissing ? t('no_message_search') : explain(messages.reason)),
      );
    }
    const count = this.body.querySelectorAll('.result').length;
    text(this.status, t('results_n', { n: count }));
    if (!count && isAvailable) {
      this.messages.hidden = false;
      fill(
        this.messages,
        h(
          'div',
          { class: 'empty' },
          icon('search'),
          h('h3', null, t('nothing_found')),
          h('p', null, t('nothing_found_hint')),
        ),
      );
    }
  }

  #more(next, generation) {
    const more = h(
      'button',
      {
        type: 'button',
        class: 'result link',
        tabindex: '-1',
        onclick: async () => {
          const page = await session.client.list(next).catch(() => null);
          if (!page || generation !== this.#generation) return;
          more.replaceWith(...page.items.map((hit) => messageHit(hit, () => this.#chosen())));
          if (page.next) this.#more(page.next, generation);
        },
      },
      t('show_more'),
    );
    this.messages.append(more);
  }
}

/** A found message as a link to its place. */
export function messageHit({ message, snippet }, onChoose) {
  const state = session.client.chats.get(message.chat_id);
  return h(
    'a',
    { class: 'result person', href: `#/chat/${message.chat_id}?at=${message.seq}`, onclick: onChoose },
    avatar(state ? pictureOf(state) : { ...message.user, name: nameOf(message.user) }, 'm'),
    h(
      'span',
      { class: 'grow' },
      h(
        'span',
        { class: 'row' },
        h('b', { class: 'cut grow', dir: 'auto' }, state ? titleOf(state) : nameOf(message.user)),
        h('small', { class: 'num' }, shortTime(message.created_at)),
      ),
      h(
        'small',
        { class: 'snippet', dir: 'auto' },
        h('span', null, `${message.user.id === session.userId ? t('you') : nameOf(message.user)}: `),
        snippetOf(snippet),
      ),
    ),
  );
}
