// Reporting a message or a person to the moderators.
import { h } from '../shared/dom.js';
import { t } from '../shared/i18n.js';
import { openDialog } from '../shared/dialog.js';
import { field, submitForm } from '../shared/form.js';
import { toast } from '../shared/toast.js';
import { session } from './session.js';

const REASONS = ['report_spam', 'report_abuse', 'report_fake', 'report_other'];

export function openReport(subject) {
  openDialog({
    title: t(subject.messageId ? 'report_message' : 'report_person'),
    width: 420,
    body: (close) => {
      const details = field({ label: t('report_details'), name: 'reason', multiline: true, rows: 3, maxlength: 800 });
      const group = h(
        'div',
        { role: 'radiogroup', 'aria-label': t('report_why') },
        REASONS.map((key, index) =>
          h(
            'label',
            { class: 'check' },
            h('input', { type: 'radio', name: 'why', value: key, checked: index === 0, autofocus: index === 0 }),
            h('span', null, t(key)),
          ),
        ),
      );
      const { form } = submitForm({
        fields: [details],
        action: t('send_report'),
        before: [h('p', { class: 'muted small' }, t('report_hint')), group],
        run: async ({ reason }) => {
          const why = group.querySelector('input:checked').value.slice(7);
          await session.client.report(subject, [why, reason.trim()].filter(Boolean).join(': '));
          close();
          toast(t('report_done'));
        },
      });
      return form;
    },
  });
}
