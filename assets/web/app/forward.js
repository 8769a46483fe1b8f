// Choosing the chats to which a message is forwarded.
import { fill, h } from '../shared/dom.js';
import { t } from '../shared/i18n.js';
import { avatar } from '../shared/avatar.js';
import { openDialog } from '../shared/dialog.js';
import { explain } from '../shared/form.js';
import { navigate } from '../shared/router.js';
import { toast } from '../shared/toast.js';
import { pictureOf, sortedChats, titleOf } from './chat_info.js';
import { barrierOf } from './barriers.js';
import { plain } from './search_box.js';
import { session } from './session.js';
import { loadCss } from './styles.js';

export async function pickChat(message) {
  await loadCss('app/dialogs.css');
  openDialog({
    title: t('forward_to'),
    tall: true,
    body: (close) => {
      const list = h('div', { class: 'people picker-list' });
      const input = h('input', {
        class: 'input',
        type: 'search',
        autofocus: true,
        'aria-label': t('find_chat'),
        placeholder: t('find_chat'),
        oninput: () => show(),
        onkeydown: (event) => {
          if (event.key === 'Enter') {
            event.preventDefault();
            list.querySelector('button')?.click();
          }
        },
      });
      const send = async (state) => {
        close();
        try {
          await session.client.forward(message.id, state.id);
          toast(t('forwarded', { name: titleOf(state) }), {
            action: { label: t('open'), run: () => navigate(`#/chat/${state.id}`) },
          });
        } catch (error) {
          toast(explain(error));
        }
      };
      const show = () => {
        const query = plain(input.value.trim());
        fill(
          list,
          sortedChats()
            .filter((it) => !barrierOf(it)?.isClosed && plain(titleOf(it) ?? '').includes(query))
            .slice(0, 100)
            .map((state) =>
              h(
                'button',
                { type: 'button', class: 'person', onclick: () => send(state) },
                avatar(pictureOf(state), 'm'),
                h('b', { class: 'cut', dir: 'auto' }, titleOf(state)),
              ),
            ),
        );
        if (!list.firstChild) list.append(h('p', { class: 'muted small' }, t('nothing_found')));
      };
      show();
      return [input, list];
    },
  });
}
