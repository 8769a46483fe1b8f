// A person: who they are, and what one can do about them.
import { fill, h } from '../shared/dom.js';
import { icon } from '../shared/icons.js';
import { t } from '../shared/i18n.js';
import { avatar, nameOf } from '../shared/avatar.js';
import { openDialog, confirmDialog } from '../shared/dialog.js';
import { explain } from '../shared/form.js';
import { ago, date } from '../shared/time.js';
import { toast } from '../shared/toast.js';
import { presenceText } from './chat_info.js';
import { openDirect } from './search_box.js';
import { session } from './session.js';
import { loadCss } from './styles.js';
import { openReport } from './report.js';

const CONTACT_EVENTS = ['followed', 'unfollowed', 'blocked', 'unblocked'];

export async function openProfile(author) {
  await loadCss('app/dialogs.css');
  const { client } = session;
  const place = h('div', { class: 'stack profile' });
  const { close, result } = openDialog({ title: t('profile'), width: 380, body: () => place });
  let user = author;
  const show = () => {
    const contact = client.contacts.get(user.id) ?? {};
    const act = async (event) => {
      try {
        await client.call(event, { user: { id: user.id } });
      } catch (error) {
        toast(explain(error));
      }
    };
    const isOwn = user.id === session.userId;
    const shared = [...client.chats.values()].filter(
      ({ chat }) => chat.is_group && chat.members.some((it) => it.user.id === user.id),
    );
    fill(
      place,
      h(
        'div',
        { class: 'profile-head' },
        avatar({ ...user, name: nameOf(user) }, 'l'),
        h('h3', { dir: 'auto' }, nameOf(user)),
        user.username && h('p', { class: 'muted' }, `@${user.username}`),
        !user.deleted && !isOwn && h('p', { class: 'small muted' }, presenceText(user, ago)),
      ),
      user.description && h('p', { dir: 'auto', class: 'description' }, user.description),
      user.created_at && h('p', { class: 'small muted' }, t('joined_on', { date: date(user.created_at) })),
      !isOwn &&
        !user.deleted &&
        h(
          'div',
          { class: 'row wrap' },
          h(
            'button',
            {
              type: 'button',
              class: 'btn',
              onclick: () => {
                close();
                openDirect(user);
              },
            },
            icon('chat', 's'),
            t('write_message'),
          ),
          !contact.blocked &&
            h(
              'button',
              { type: 'button', class: 'btn plain', onclick: () => act(contact.following ? 'unfollow' : 'follow') },
              t(contact.following ? 'unfollow' : 'follow'),
            ),
        ),
      shared.length > 0 &&
        !isOwn &&
        h('p', { class: 'small muted' }, `${t('shared_groups')} ${shared.map(({ chat }) => chat.name).join(', ')}`),
      !isOwn &&
        !user.deleted &&
        h(
          'div',
          { class: 'row wrap' },
          h(
            'button',
            {
              type: 'button',
              class: 'link',
              onclick: async () => {
                if (
                  contact.blocked ||
                  (await confirmDialog({
                    title: t('block_title', { name: nameOf(user) }),
                    text: t('block_text'),
                    action: t('block'),
                    danger: true,
                  }))
                )
                  act(contact.blocked ? 'unblock' : 'block');
              },
            },
            t(contact.blocked ? 'unblock' : 'block'),
          ),
          h('button', { type: 'button', class: 'link', onclick: () => openReport({ userId: user.id }) }, t('report')),
        ),
    );
  };
  const changed = () => setTimeout(show);
  for (const name of CONTACT_EVENTS) client.on(name, changed);
  result.then(() => {
    for (const name of CONTACT_EVENTS) client.off(name, changed);
  });
  show();
  try {
    user = await client.rest('GET', `/user/${author.id}`);
    show();
  } catch {
    /* What the message tells is shown. */
  }
}
