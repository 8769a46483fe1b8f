// The menu of a chat: in the list and in the head of the conversation.
import { t } from '../shared/i18n.js';
import { load } from '../shared/page.js';
import { confirmDialog } from '../shared/dialog.js';
import { explain } from '../shared/form.js';
import { openMenu } from '../shared/menu.js';
import { navigate } from '../shared/router.js';
import { toast } from '../shared/toast.js';
import { isMuted, otherOf, titleOf } from './chat_info.js';
import { session } from './session.js';

const HOUR = 3600;
const call = (event, payload) => session.client.call(event, payload).catch((error) => toast(explain(error)));

export function openChatMenu(state, anchor, { align, conversation } = {}) {
  const { my, chat } = state;
  const id = { id: state.id };
  const other = otherOf(state);
  const muted = isMuted(state);
  const contact = session.client.contacts.get(other?.id);
  openMenu(
    anchor,
    [
      conversation && { label: t('details'), icon: 'info', run: () => conversation.toggleDetails('about') },
      conversation && {
        label: t('jump_to_date'),
        icon: 'calendar',
        run: () => load(() => import('./chat_search.js')).then((it) => it.pickDay(conversation)),
      },
      my.unread > 0 && {
        label: t('mark_as_read'),
        icon: 'mark-read',
        run: () => session.client.markRead(state.id, chat.last_seq).catch((error) => toast(explain(error))),
      },
      {
        label: my.pinned ? t('unpin_chat') : t('pin_chat'),
        icon: 'pin',
        run: () => call('toggle_chat_pin', { chat: { ...id, pinned: !my.pinned } }),
      },
      muted
        ? { label: t('unmute'), icon: 'bell', run: () => call('toggle_chat_mute', { chat: { ...id, muted: false } }) }
        : { label: t('mute'), icon: 'mute', run: () => chooseMute(id, anchor, align) },
      { label: my.archived ? t('unarchive') : t('archive'), icon: 'archive', run: () => archive(id, !my.archived) },
      null,
      other &&
        !other.deleted && {
          label: contact?.blocked ? t('unblock') : t('block'),
          icon: 'ban',
          danger: !contact?.blocked,
          run: () => block(state, other, !contact?.blocked),
        },
      other &&
        !other.deleted && {
          label: t('report'),
          icon: 'flag',
          run: () => load(() => import('./report.js')).then((it) => it.openReport({ userId: other.id })),
        },
      chat.is_group && { label: t('leave_group'), icon: 'logout', danger: true, run: () => leave(state) },
    ],
    { label: titleOf(state), align },
  );
}

function chooseMute(id, anchor, align) {
  const mute = (seconds) => call('toggle_chat_mute', { chat: { ...id, muted: true, seconds } });
  openMenu(
    anchor,
    [
      { label: t('for_hours', { n: 1 }), run: () => mute(HOUR) },
      { label: t('for_hours', { n: 8 }), run: () => mute(8 * HOUR) },
      { label: t('for_days', { n: 7 }), run: () => mute(7 * 24 * HOUR) },
      { label: t('for_ever'), run: () => mute(undefined) },
    ],
    { label: t('mute'), align },
  );
}

async function archive(id, archived) {
  await call('toggle_chat_archive', { chat: { ...id, archived } });
  if (archived)
    toast(t('archived_note'), {
      action: { label: t('undo'), run: () => call('toggle_chat_archive', { chat: { ...id, archived: false } }) },
    });
}

export async function block(state, user, isBlocked) {
  if (
    isBlocked &&
    !(await confirmDialog({
      title: t('block_title', { name: titleOf(state) }),
      text: t('block_text'),
      action: t('block'),
      danger: true,
    }))
  )
    return;
  await call(isBlocked ? 'block' : 'unblock', { user: { id: user.id } });
}

export async function leave(state) {
  const isLast = state.chat.member_count === 1;
  if (
    !(await confirmDialog({
      title: t('leave_title', { name: titleOf(state) }),
      text: t(isLast ? 'leave_text_last' : state.my.role === 'owner' ? 'leave_text_owner' : 'leave_text'),
      action: t('leave_group'),
      danger: true,
    }))
  )
    return;
  if (await call('leave_chat', { chat: { id: state.id } })) navigate('#/', { replace: true });
}
