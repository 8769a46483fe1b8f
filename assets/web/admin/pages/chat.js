// A chat: its facts, its messages for admins (each reading is recorded), and deleting it.
import { fill, h } from '../../shared/dom.js';
import { t } from '../../shared/i18n.js';
import { icon } from '../../shared/icons.js';
import { fullTime } from '../../shared/time.js';
import { confirmDialog } from '../../shared/dialog.js';
import { act, fact, failed, skeleton, userLink, when } from '../parts.js';
import { isAdmin, list, rest } from '../session.js';
import { chatName } from './chats.js';
import { messageItem } from './message_item.js';

const LIMIT = 50;

/** `known()` is the chat as the list has it, if it has. `gone` is called after it was deleted. */
export async function chatView(id, { known, gone }) {
  const chat = known() ?? (await find(id));
  const name = chat ? chatName(chat) : t('adm_chat_number', { id });
  const element = h(
    'div',
    { class: 'stack wide-gap' },
    chat &&
      h(
        'dl',
        { class: 'facts' },
        fact(t('adm_kind'), t(chat.is_group ? 'adm_group' : 'adm_direct_chat')),
        fact(t('adm_id'), String(chat.id)),
        chat.is_group
          ? fact(t('adm_owner'), userLink(chat.owner))
          : fact(t('adm_members'), h('span', { class: 'tags' }, (chat.members ?? []).map(userLink))),
        chat.is_group && fact(t('adm_members'), String(chat.member_count)),
        fact(t('adm_created'), fullTime(chat.created_at)),
        fact(t('adm_activity'), when(chat.last_activity_at)),
        fact(t('adm_changes'), String(chat.last_seq)),
        chat.deleted && fact(t('adm_state'), t('adm_deleted')),
      ),
    isAdmin() ? messages() : h('p', { class: 'notice' }, t('adm_read_admins_only')),
    isAdmin() &&
      !chat?.deleted &&
      h(
        'div',
        { class: 'actions' },
        h(
          'button',
          { type: 'button', class: 'btn outline small warn', onclick: (event) => remove(event.currentTarget) },
          icon('trash', 's'),
          t('adm_delete_chat'),
        ),
      ),
  );

  async function remove(button) {
    const isSure = await confirmDialog({
      title: t('adm_delete_chat_title', { name }),
      text: t('adm_delete_chat_text'),
      action: t('adm_delete_chat'),
      danger: true,
    });
    if (isSure && (await act(button, () => rest('DELETE', `/admin/chat/${id}`), t('adm_delete_chat_done', { name }))))
      gone();
  }

  /** Nothing is read before the admin says so: reading is recorded. */
  function messages() {
    const place = h('section', { class: 'stack', 'aria-label': t('messages') });
    const ask = () =>
      fill(
        place,
        h(
          'div',
          { class: 'notice stack' },
          h('p', null, t('adm_read_notice')),
          h(
            'div',
            null,
            h(
              'button',
              {
                type: 'button',
                class: 'btn small',
                onclick: () => {
                  fill(place, skeleton(6));
                  read(null);
                },
              },
              icon('lock', 's'),
              t('adm_read'),
            ),
          ),
        ),
      );
    const rows = h('ol', { class: 'messages' });
    async function read(path, more) {
      try {
        const { items, next } = await list(path ?? `/admin/chat/${id}/messages?limit=${LIMIT}`);
        rows.append(...items.map((it) => messageItem(it)));
        const older =
          next &&
          h(
            'button',
            {
              type: 'button',
              class: 'btn plain small',
              onclick: (event) => {
                event.currentTarget.setAttribute('aria-busy', 'true');
                read(next, event.currentTarget);
              },
            },
            t('adm_older'),
          );
        fill(
          place,
          h('h3', { class: 'section-title' }, t('messages')),
          h('p', { class: 'muted small' }, t('adm_read_recorded')),
          rows.childElementCount ? rows : h('p', { class: 'muted' }, t('no_messages_yet')),
          older,
        );
        if (more) rows.children[rows.childElementCount - items.length]?.scrollIntoView({ block: 'nearest' });
      } catch (error) {
        if (!error.code) console.error(error);
        fill(
          place,
          rows.childElementCount > 0 && rows,
          failed(error, () => read(path)),
        );
      }
    }
    ask();
    return place;
  }

  return { title: name, element };
}

/** Finds a chat that is not on the page of the list, by its number. */
async function find(id) {
  try {
    const { items } = await list(`/admin/chat?query=${encodeURIComponent(id)}&limit=50`);
    return items.find((it) => String(it.id) === id) ?? null;
  } catch {
    return null;
  }
}
