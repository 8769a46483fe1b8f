// Searching in one chat, and jumping to a date.
import { debounce, fill, h, text } from '../shared/dom.js';
import { icon } from '../shared/icons.js';
import { t } from '../shared/i18n.js';
import { openDialog } from '../shared/dialog.js';
import { explain, field, iconButton, submitForm } from '../shared/form.js';
import { avatar, nameOf } from '../shared/avatar.js';
import { dayOf, now, shortTime } from '../shared/time.js';
import { excerptOf } from './chat_info.js';
import { plain, snippetOf } from './search_box.js';
import { session } from './session.js';

/** Shows the search over the conversation's head. */
export function openChatSearch(conversation) {
  const { chatId } = conversation;
  const input = h('input', {
    type: 'search',
    'aria-label': t('search_in_chat'),
    placeholder: t('search_in_chat'),
    autocomplete: 'off',
    dir: 'auto',
  });
  const status = h('span', { class: 'small muted num', 'aria-live': 'polite' });
  const list = h('div', { class: 'chat-found', hidden: true });
  const bar = h(
    'div',
    { class: 'chat-search' },
    h('search', { class: 'search' }, icon('search', 's'), input, status),
    iconButton('calendar', t('jump_to_date'), () => pickDay(conversation)),
    iconButton('close', t('close_search'), () => close()),
    list,
  );
  conversation.head.element.querySelector('.chat-search')?.remove();
  conversation.head.element.append(bar);
  const close = () => {
    bar.remove();
    conversation.focus();
  };
  let generation = 0;
  const show = (hits, note) => {
    list.hidden = false;
    text(status, t('results_n', { n: hits.length }));
    fill(
      list,
      note && h('p', { class: 'small muted note' }, note),
      hits.map(({ message, snippet }) =>
        h(
          'button',
          {
            type: 'button',
            class: 'result person',
            onclick: () => {
              list.hidden = true;
              conversation.jumpTo(message.seq);
            },
          },
          avatar({ ...message.user, name: nameOf(message.user) }, 's'),
          h(
            'span',
            { class: 'grow' },
            h(
              'span',
              { class: 'row' },
              h('b', { class: 'cut grow' }, nameOf(message.user)),
              h('small', { class: 'num' }, shortTime(message.created_at)),
            ),
            h('small', { class: 'snippet', dir: 'auto' }, snippetOf(snippet)),
          ),
        ),
      ),
      !hits.length && h('p', { class: 'muted small note' }, t('nothing_found')),
    );
  };
  const search = debounce(async () => {
    const query = input.value.trim();
    const mine = ++generation;
    if (!query) {
      list.hidden = true;
      text(status, '');
      return;
    }
    try {
      const { items } = await session.client.list(`/chat/${chatId}/search?q=${encodeURIComponent(query)}&limit=50`);
      if (mine === generation) show(items);
    } catch (error) {
      if (mine !== generation) return;
      if (error.code !== 'not_found') {
        show([], explain(error));
        return;
      }
      // This server has no search: what is loaded can be searched here.
      const wanted = plain(query);
      const loaded = new Map(
        [...session.client.chats.get(chatId).messages, ...conversation.timeline.items].map((it) => [it.id, it]),
      );
      const hits = [...loaded.values()]
        .filter((it) => !it.deleted_at && plain(it.content).includes(wanted))
        .sort((a, b) => b.seq - a.seq)
        .slice(0, 50);
      show(
        hits.map((message) => ({ message, snippet: [{ text: excerptOf(message), hit: false }] })),
        t('only_loaded_searched'),
      );
    }
  }, 220);
  input.addEventListener('input', () => search());
  input.addEventListener('focus', () => {
    if (input.value && list.childElementCount) list.hidden = false;
  });
  bar.addEventListener('keydown', (event) => {
    if (event.key === 'Escape') {
      event.preventDefault();
      event.stopPropagation();
      close();
    }
    if (event.key === 'Enter' && event.target === input) list.querySelector('button')?.click();
    const all = [...list.querySelectorAll('button')];
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) {
      event.preventDefault();
      (all[all.indexOf(document.activeElement) + step] ?? (step < 0 ? input : all.at(-1)))?.focus();
    }
  });
  input.focus();
}

/** Asks for a day and shows its first message. */
export function pickDay(conversation, from) {
  openDialog({
    title: t('jump_to_date'),
    width: 340,
    body: (close) => {
      const day = field({
        label: t('day'),
        name: 'day',
        type: 'date',
        max: dayOf(new Date(now()).toISOString()),
        value: dayOf(from ?? new Date(now()).toISOString()),
        autofocus: true,
      });
      const { form } = submitForm({
        fields: [day],
        action: t('go'),
        run: async ({ day: wanted }) => {
          if (!wanted) return;
          const seq = await seqOfDay(conversation, wanted);
          close();
          conversation.jumpTo(seq);
        },
      });
      return form;
    },
  });
}

/** Finds the first message of a day, or the next one after it, by halving the history. */
async function seqOfDay({ chatId, state }, day) {
  let low = 1;
  let high = state.chat.last_seq;
  while (low < high) {
    const middle = (low + high) >> 1;
    const { messages } = await session.client.history(chatId, { after: middle - 1, limit: 1 });
    if (!messages.length || dayOf(messages[0].created_at) >= day) high = middle;
    else low = messages[0].seq + 1;
  }
  const { messages } = await session.client.history(chatId, { after: low - 1, limit: 1 });
  return messages[0]?.seq ?? state.chat.last_seq;
}
