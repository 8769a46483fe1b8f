// A report: what was said, who reported it, and what can be done about it.
import { h } from '../../shared/dom.js';
import { t } from '../../shared/i18n.js';
import { icon } from '../../shared/icons.js';
import { avatar, nameOf } from '../../shared/avatar.js';
import { fullTime } from '../../shared/time.js';
import { confirmDialog } from '../../shared/dialog.js';
import { field, submitForm } from '../../shared/form.js';
import { toast } from '../../shared/toast.js';
import { act, fact, handleOf, userLink, when } from '../parts.js';
import { isAdmin, list, rest, session } from '../session.js';
import { askBan } from './ban.js';
import { deleteMessage } from './message_item.js';
import { stateTag } from './reports.js';

/** What was typed and not yet sent, by report: an action shows the report anew, and another may be looked at meanwhile. */
const typed = new Map();
const keepTyped = ({ input }, key) => input.addEventListener('input', () => typed.set(key, input.value));

/** `known()` is the report as the list has it; `changed(report)` is called with what an action returned. */
export async function reportView(id, { known, changed }) {
  const report = known() ?? (await find(id));
  if (!report)
    throw Object.assign(new Error('no report'), { code: 'report_not_found', message: t('adm_report_missing') });
  const isOpen = report.state === 'open';
  const isMine = report.claimed_by?.id === session.me.id;
  const post = (what, body) => rest(what === 'note' ? 'PUT' : 'POST', `/admin/report/${report.id}/${what}`, body);
  const button = (symbol, label, run, kind = 'outline') =>
    h(
      'button',
      { type: 'button', class: `btn small ${kind}`, onclick: (event) => run(event.currentTarget) },
      icon(symbol, 's'),
      label,
    );

  async function claim(element, body, done) {
    if (
      body.take_over &&
      !(await confirmDialog({
        title: t('adm_take_title', { name: nameOf(report.claimed_by) }),
        text: t('adm_take_text'),
        action: t('adm_take_over'),
      }))
    )
      return;
    let now;
    if (
      await act(
        element,
        async () => {
          now = await post('claim', body);
        },
        done,
      )
    )
      changed(now);
  }

  const claiming = () => {
    if (!report.claimed_by) return button('person', t('adm_claim'), (it) => claim(it, {}, t('adm_claim_done')), '');
    if (isMine)
      return button(
        'back',
        t('adm_give_back'),
        (it) => claim(it, { claimed: false }, t('adm_give_back_done')),
        'plain',
      );
    return button('person', t('adm_take_over'), (it) => claim(it, { take_over: true }, t('adm_claim_done')), 'plain');
  };

  const measures = () =>
    h(
      'div',
      { class: 'actions', role: 'group', 'aria-label': t('adm_measures') },
      report.message_id &&
        report.content !== null &&
        button(
          'trash',
          t('adm_delete_message'),
          async (it) => {
            if (await deleteMessage(it, report.message_id, report.user)) {
              it.disabled = true;
              it.textContent = t('message_deleted');
            }
          },
          'outline warn',
        ),
      report.user.role !== 'admin' &&
        report.user.id !== session.me.id &&
        (isAdmin() || report.user.role === 'user') &&
        button(
          'ban',
          t('adm_ban_user', { name: nameOf(report.user) }),
          () => askBan(report.user, { reason: report.reason }),
          'outline warn',
        ),
      h(
        'a',
        { class: 'btn small outline', href: `#/users/${report.user.id}` },
        icon('person', 's'),
        t('adm_open_profile'),
      ),
      isAdmin() &&
        report.chat_id &&
        h(
          'a',
          { class: 'btn small outline', href: `#/chats/${report.chat_id}` },
          icon('chat', 's'),
          t('adm_open_chat'),
        ),
    );

  function noteForm() {
    const note = field({
      label: t('adm_note'),
      name: 'note',
      multiline: true,
      hint: t('adm_note_hint'),
      maxlength: 2000,
      value: typed.get(`note ${report.id}`) ?? report.note ?? '',
    });
    keepTyped(note, `note ${report.id}`);
    const { form, button: save } = submitForm({
      fields: [note],
      action: t('adm_save_note'),
      wide: false,
      run: async (values) => {
        const now = await post('note', { note: values.note.trim() });
        typed.delete(`note ${report.id}`);
        toast(t('saved'));
        changed(now);
      },
    });
    save.className = 'btn plain small start';
    return form;
  }

  function resolveForm() {
    const text = field({
      label: t('adm_resolution'),
      name: 'resolution',
      multiline: true,
      hint: t('adm_resolution_hint'),
      maxlength: 1000,
      value: typed.get(`resolution ${report.id}`) ?? '',
    });
    keepTyped(text, `resolution ${report.id}`);
    const { form, button: resolve } = submitForm({
      fields: [text],
      action: t('adm_resolve'),
      wide: false,
      run: async ({ resolution }) => {
        if (!resolution.trim())
          throw { code: 'validation_failed', errors: { resolution: [t('adm_resolution_missing')] } };
        const now = await post('resolve', { resolution: resolution.trim() });
        typed.delete(`resolution ${report.id}`);
        toast(t('adm_resolve_done'));
        changed(now);
      },
    });
    resolve.className = 'btn small start';
    return form;
  }

  const element = h(
    'div',
    { class: 'stack wide-gap' },
    h('div', { class: 'row wrap' }, stateTag(report), isOpen && claiming()),
    h(
      'section',
      { class: 'evidence' },
      h(
        'div',
        { class: 'row' },
        avatar({ ...report.user, name: nameOf(report.user) }, 's'),
        h(
          'span',
          { class: 'who-text grow' },
          h('b', null, userLink(report.user)),
          h('small', null, handleOf(report.user)),
        ),
      ),
      report.message_id &&
        (report.content === null
          ? h('p', { class: 'muted' }, t('adm_no_content'))
          : h('p', { class: 'plain', dir: 'auto' }, report.content || t('adm_no_text'))),
    ),
    h(
      'dl',
      { class: 'facts' },
      fact(t('adm_reason'), h('span', { class: 'plain', dir: 'auto' }, report.reason)),
      fact(t('adm_by'), report.reporter ? userLink(report.reporter) : t('adm_word_filter')),
      fact(t('adm_when'), fullTime(report.created_at)),
      report.claimed_by &&
        fact(t('adm_claimed'), h('span', null, userLink(report.claimed_by), ', ', when(report.claimed_at))),
      !isOpen && fact(t('adm_resolution'), h('span', { class: 'plain' }, report.resolution)),
      report.resolved_at && fact(t('adm_resolved'), fullTime(report.resolved_at)),
    ),
    measures(),
    noteForm(),
    isOpen && resolveForm(),
  );
  return { title: t('adm_report_number', { id: String(report.id) }), element };
}

/** Finds a report that is not on the page of the list: there is no request for a single one. */
async function find(id) {
  for (const state of ['open', 'resolved']) {
    let path = `/admin/report?state=${state}&limit=200`;
    for (let page = 0; path && page < 5; page += 1) {
      const { items, next } = await list(path);
      const found = items.find((it) => String(it.id) === id);
      if (found) return found;
      path = next;
    }
  }
  return null;
}
