// An invite link: shows the group it leads to, and joins it.
import { fill, h } from '../shared/dom.js';
import { t } from '../shared/i18n.js';
import { avatar } from '../shared/avatar.js';
import { openDialog } from '../shared/dialog.js';
import { explain } from '../shared/form.js';
import { navigate } from '../shared/router.js';
import { session } from './session.js';
import { loadCss } from './styles.js';

export async function openInvite(token) {
  await loadCss('app/dialogs.css');
  const { client } = session;
  const place = h(
    'div',
    { class: 'stack profile' },
    h('span', { class: 'skeleton round', style: { width: '96px', height: '96px' } }),
    h('span', { class: 'skeleton', style: { width: '60%', height: '16px' } }),
  );
  const { close } = openDialog({ title: t('invitation'), width: 380, body: () => place });
  try {
    const group = await client.previewInvite(token);
    if (group.is_member) {
      close();
      navigate(`#/chat/${group.chat_id}`, { replace: true });
      return;
    }
    const problem = h('p', { class: 'notice bad', role: 'alert', hidden: true });
    const button = h(
      'button',
      { type: 'button', class: 'btn wide', autofocus: true },
      t(group.approval ? 'ask_to_join' : 'join'),
    );
    const asked = () => button.replaceWith(h('p', { class: 'notice', role: 'status' }, t('join_asked')));
    button.addEventListener('click', async () => {
      button.disabled = true;
      try {
        const state = await client.acceptInvite(token);
        if (!state) {
          asked();
          return;
        }
        close();
        navigate(`#/chat/${state.id}`);
      } catch (error) {
        problem.hidden = false;
        fill(problem, explain(error));
        button.disabled = false;
      }
    });
    fill(
      place,
      h(
        'div',
        { class: 'profile-head' },
        avatar({ id: group.chat_id, photo: group.photo, name: group.name }, 'l'),
        h('h3', { dir: 'auto' }, group.name),
        h('p', { class: 'muted' }, t('members_n', { n: group.member_count })),
      ),
      group.description && h('p', { dir: 'auto', class: 'description' }, group.description),
      problem,
      button,
    );
    if (group.is_requested) asked();
    button.focus();
  } catch (error) {
    fill(
      place,
      h(
        'div',
        { class: 'empty' },
        h('h3', null, t('invite_invalid')),
        h('p', null, error.code === 'not_found' ? t('invite_invalid_hint') : explain(error)),
      ),
    );
  }
}
