// Banning with a reason and an end, and lifting a ban.
import { h } from '../../shared/dom.js';
import { t } from '../../shared/i18n.js';
import { openDialog, confirmDialog } from '../../shared/dialog.js';
import { field, submitForm } from '../../shared/form.js';
import { nameOf } from '../../shared/avatar.js';
import { toast } from '../../shared/toast.js';
import { act } from '../parts.js';
import { rest } from '../session.js';

const HOUR = 3_600_000;
const ENDS = { hour: HOUR, day: 24 * HOUR, week: 7 * 24 * HOUR, month: 30 * 24 * HOUR };

/** The value of a `datetime-local` field for a moment. */
function localValue(date) {
  const shifted = new Date(date.getTime() - date.getTimezoneOffset() * 60_000);
  return shifted.toISOString().slice(0, 16);
}

/** Asks for reason and end, and bans; resolves to whether the user was banned. */
export async function askBan(user, { reason = user.ban?.reason ?? '' } = {}) {
  const name = nameOf(user);
  const { result } = openDialog({
    title: t('ban_title', { name }),
    body: (close) => {
      const until = user.ban?.until;
      const why = field({
        label: t('adm_reason'),
        name: 'reason',
        multiline: true,
        hint: t('adm_reason_hint'),
        maxlength: 500,
        value: reason,
        autofocus: true,
      });
      const at = field({
        label: t('adm_ends_at'),
        name: 'until',
        type: 'datetime-local',
        min: localValue(new Date()),
        value: localValue(until ? new Date(until) : new Date(Date.now() + ENDS.week)),
      });
      at.element.hidden = !until;
      const ends = h(
        'select',
        {
          class: 'input',
          id: 'ban-end',
          onchange: () => {
            at.element.hidden = ends.value !== 'date';
          },
        },
        [
          ['never', 'adm_end_never'],
          ['hour', 'adm_end_hour'],
          ['day', 'adm_end_day'],
          ['week', 'adm_end_week'],
          ['month', 'adm_end_month'],
          ['date', 'adm_end_date'],
        ].map(([value, key]) =>
          h('option', { value, selected: until ? value === 'date' : value === 'week' && !user.ban }, t(key)),
        ),
      );
      const { form } = submitForm({
        fields: [why],
        action: t('ban'),
        extra: [
          h('div', null, h('label', { class: 'label', for: 'ban-end' }, t('adm_ends')), ends),
          at.element,
          h('p', { class: 'muted small' }, t('adm_ban_effect')),
        ],
        run: async (values) => {
          if (!values.reason.trim()) throw { code: 'validation_failed', errors: { reason: [t('adm_reason_missing')] } };
          const end =
            ends.value === 'date'
              ? new Date(at.input.value)
              : ends.value === 'never'
                ? null
                : new Date(Date.now() + ENDS[ends.value]);
          if (end && !(end > new Date())) {
            at.setError(t('adm_end_past'));
            at.input.focus();
            return;
          }
          await rest('POST', `/admin/user/${user.id}/ban`, {
            reason: values.reason.trim(),
            ...(end && { until: end.toISOString() }),
          });
          toast(t('adm_ban_done', { name }));
          close(true);
        },
      });
      form.querySelector('.btn').classList.add('danger');
      return form;
    },
  });
  return (await result) === true;
}

/** Asks, and lifts the ban. */
export async function askUnban(user) {
  const name = nameOf(user);
  const isSure = await confirmDialog({
    title: t('adm_unban_title', { name }),
    text: t('adm_unban_text'),
    action: t('adm_unban'),
  });
  return isSure && act(null, () => rest('POST', `/admin/user/${user.id}/unban`), t('adm_unban_done', { name }));
}
