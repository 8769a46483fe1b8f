// The mails that the server has sent, or could not send.
import { h } from '../../shared/dom.js';
import { t, hasText } from '../../shared/i18n.js';
import { icon } from '../../shared/icons.js';
import { confirmDialog } from '../../shared/dialog.js';
import { pagedList } from '../list.js';
import { act, heading, tag, when } from '../parts.js';
import { userLinkById } from '../people.js';
import { rest } from '../session.js';

export function create() {
  const list = pagedList({
    name: 'mail',
    label: t('adm_mail'),
    path: '/admin/mail',
    filters: [
      {
        name: 'state',
        type: 'select',
        label: t('adm_state'),
        options: [['', t('adm_any')], ...['queued', 'sent', 'failed', 'logged'].map((it) => [it, t(`adm_mail_${it}`)])],
      },
    ],
    columns: [
      {
        label: t('adm_recipient'),
        cell: (mail) =>
          h(
            'span',
            { class: 'who-text' },
            h('span', { class: 'cut' }, mail.recipient || t('deleted_account')),
            h('small', { class: 'cut' }, mail.subject),
          ),
      },
      {
        label: t('adm_kind'),
        class: 'mid',
        cell: (mail) => (hasText(`adm_template_${mail.template}`) ? t(`adm_template_${mail.template}`) : mail.template),
      },
      {
        label: t('adm_state'),
        cell: (mail) =>
          h(
            'span',
            { class: 'block' },
            tag(t(`adm_mail_${mail.state}`), mail.state),
            mail.last_error && h('small', { class: 'bad-text clamp block' }, mail.last_error),
          ),
      },
      { label: t('adm_attempts'), class: 'number wide', cell: (mail) => String(mail.attempts) },
      { label: t('adm_when'), class: 'mid', cell: (mail) => when(mail.finished_at ?? mail.created_at) },
      { label: t('adm_user'), class: 'wide', cell: (mail) => (mail.user_id ? userLinkById(mail.user_id) : '–') },
      {
        label: t('adm_actions'),
        class: 'end',
        cell: (mail) => (mail.state === 'queued' || !mail.recipient ? '' : resendButton(mail)),
      },
    ],
    nothing: { symbol: 'mail', title: t('adm_no_mail'), text: t('adm_no_mail_text') },
  });
  const resendButton = (mail) =>
    h(
      'button',
      {
        type: 'button',
        class: 'btn outline small',
        'aria-label': t('adm_resend_to', { email: mail.recipient }),
        onclick: async (event) => {
          const button = event.currentTarget;
          const isSure = await confirmDialog({
            title: t('adm_resend_title', { email: mail.recipient }),
            text: mail.subject,
            action: t('adm_resend'),
          });
          if (
            isSure &&
            (await act(
              button,
              () => rest('POST', `/admin/mail/${mail.id}/resend`),
              t('adm_resend_done', { email: mail.recipient }),
            ))
          )
            list.reload();
        },
      },
      icon('retry', 's'),
      t('adm_resend'),
    );
  return {
    leave: list.leave,
    element: h('div', { class: 'column' }, heading(t('adm_mail'), t('adm_mail_lead')), list.element),
    update: ({ query }) => list.update(query),
  };
}
