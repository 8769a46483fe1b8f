// A message as moderators see it: the text as it was sent, never rendered.
import { fill, h } from '../../shared/dom.js';
import { locale, t } from '../../shared/i18n.js';
import { icon } from '../../shared/icons.js';
import { fullTime, size } from '../../shared/time.js';
import { confirmDialog } from '../../shared/dialog.js';
import { nameOf } from '../../shared/avatar.js';
import { act, tag, userLink } from '../parts.js';
import { rest } from '../session.js';

const dayAndTime = new Intl.DateTimeFormat(locale, {
  day: 'numeric',
  month: 'short',
  hour: '2-digit',
  minute: '2-digit',
});

/** Asks, and deletes a message; resolves to whether it was deleted. */
export async function deleteMessage(button, id, author) {
  const isSure = await confirmDialog({
    title: t('adm_delete_message_title', { name: nameOf(author) }),
    text: t('delete_message_text_other'),
    action: t('adm_delete_message'),
    danger: true,
  });
  return isSure && act(button, () => rest('DELETE', `/admin/message/${id}`), t('adm_delete_message_done'));
}

/** A row of a list of messages. */
export function messageItem(message) {
  const item = h('li', { class: 'message' });
  const show = (isDeleted) =>
    fill(
      item,
      h(
        'div',
        { class: 'row' },
        h('b', { class: 'grow cut' }, userLink(message.user)),
        message.message_type !== 'text' && tag(message.message_type),
        message.edited_at && !isDeleted && h('small', { class: 'muted small' }, t('edited')),
        h(
          'time',
          { class: 'muted small num nowrap', datetime: message.created_at, title: fullTime(message.created_at) },
          dayAndTime.format(new Date(message.created_at)),
        ),
        !isDeleted &&
          h(
            'button',
            {
              type: 'button',
              class: 'icon-btn small',
              'aria-label': t('adm_delete_message'),
              title: t('adm_delete_message'),
              onclick: async (event) => {
                if (await deleteMessage(event.currentTarget, message.id, message.user)) show(true);
              },
            },
            icon('trash', 's'),
          ),
      ),
      isDeleted
        ? h('p', { class: 'muted' }, t('message_deleted'))
        : [
            message.content && h('p', { class: 'plain', dir: 'auto' }, message.content),
            message.attachments?.map((it) =>
              h(
                'p',
                { class: 'small' },
                h('a', { class: 'inline-link', href: it.url, target: '_blank', rel: 'noopener noreferrer' }, it.name),
                ' ',
                h('span', { class: 'muted' }, size(it.size)),
              ),
            ),
          ],
    );
  show(Boolean(message.deleted_at));
  return item;
}
