// What is shown instead of, or above, the composer: a request to answer, a block, a closed account.
import { h } from '../shared/dom.js';
import { t } from '../shared/i18n.js';
import { explain } from '../shared/form.js';
import { navigate } from '../shared/router.js';
import { toast } from '../shared/toast.js';
import { isAwaiting, isRequest, otherOf, titleOf } from './chat_info.js';
import { session } from './session.js';

const call = (event, payload, done) => session.client.call(event, payload).then(done, (error) => toast(explain(error)));
const button = (label, run, kind = '') => h('button', { type: 'button', class: `btn ${kind}`, onclick: run }, label);

/** Returns `{ key, isClosed, content() }`, or null if the user may write. */
export function barrierOf(state) {
  if (!state) return null;
  const other = otherOf(state);
  const chat = { chat: { id: state.id } };
  if (!other) return null;
  const contact = session.client.contacts.get(other.id);
  if (other.deleted)
    return { key: 'deleted', isClosed: true, content: () => h('p', { class: 'muted' }, t('account_is_deleted')) };
  if (contact?.blocked) {
    return {
      key: 'blocked',
      isClosed: true,
      content: () => [
        h('p', { class: 'muted' }, t('you_blocked', { name: titleOf(state) })),
        button(t('unblock'), () => call('unblock', { user: { id: other.id } }, () => {})),
      ],
    };
  }
  if (isRequest(state)) {
    return {
      key: 'request',
      isClosed: true,
      content: () => [
        h('p', null, t('request_text', { name: titleOf(state) })),
        h(
          'div',
          { class: 'row wrap' },
          button(t('approve'), () => call('approve_chat', chat, () => {})),
          button(t('decline'), () => call('decline_chat', chat, () => navigate('#/')), 'plain'),
          button(
            t('block'),
            () => call('block', { user: { id: other.id } }, () => call('decline_chat', chat, () => navigate('#/'))),
            'plain',
          ),
        ),
      ],
    };
  }
  if (isAwaiting(state) && state.chat.last_seq > 0)
    return {
      key: 'awaiting',
      isClosed: true,
      content: () => h('p', { class: 'muted' }, t('awaiting_text', { name: titleOf(state) })),
    };
  return null;
}
