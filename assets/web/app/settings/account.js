// The account: e-mail and phone, password, export, deletion.
import { h } from '../../shared/dom.js';
import { t } from '../../shared/i18n.js';
import { openDialog } from '../../shared/dialog.js';
import { explain, field, submitForm } from '../../shared/form.js';
import { toast } from '../../shared/toast.js';
import { forgetHere, session, setMe } from '../session.js';
import { forgetDrafts } from '../store.js';

export function account() {
  const { client, me } = session;
  const section = (title, ...content) => h('section', { class: 'stack boxed' }, h('h3', null, title), ...content);
  return [
    section(
      t('contact_data'),
      me?.email &&
        h(
          'p',
          { class: 'row wrap-start' },
          h('span', null, me.email),
          h(
            'span',
            { class: `tag ${me.email_verified ? 'quiet' : ''}` },
            t(me.email_verified ? 'confirmed' : 'not_confirmed'),
          ),
          !me.email_verified &&
            h(
              'button',
              {
                type: 'button',
                class: 'link small',
                onclick: () =>
                  client.rest('POST', '/auth/email/resend').then(
                    () => toast(t('mail_sent')),
                    (error) => toast(explain(error)),
                  ),
              },
              t('resend_verification'),
            ),
        ),
      contactForm(),
    ),
    section(t('change_password'), passwordForm()),
    section(
      t('export_title'),
      h('p', { class: 'muted small' }, t('export_text')),
      h('p', null, h('button', { type: 'button', class: 'btn plain small', onclick: exportData }, t('export'))),
    ),
    section(
      t('delete_account'),
      h('p', { class: 'muted small' }, t('delete_account_text')),
      h(
        'p',
        null,
        h('button', { type: 'button', class: 'btn danger small', onclick: deleteAccount }, t('delete_account')),
      ),
    ),
  ];
}

function contactForm() {
  const { client, me } = session;
  const fields = [
    field({
      label: t('email'),
      name: 'email',
      type: 'email',
      value: me?.email ?? '',
      autocomplete: 'email',
      dir: 'ltr',
    }),
    field({ label: t('phone'), name: 'phone', type: 'tel', value: me?.phone ?? '', autocomplete: 'tel', dir: 'ltr' }),
    field({
      label: t('current_password'),
      name: 'password',
      type: 'password',
      autocomplete: 'current-password',
      dir: 'ltr',
      hint: t('password_for_change'),
    }),
  ];
  return submitForm({
    fields,
    action: t('save'),
    wide: false,
    run: async ({ email, phone, password }) => {
      const changes = { email: email.trim() || null, phone: phone.trim() || null };
      for (const key of Object.keys(changes)) if (changes[key] === (me?.[key] ?? null)) delete changes[key];
      if (!Object.keys(changes).length) return;
      setMe({ ...session.me, ...(await client.rest('PATCH', '/user/me', { ...changes, password })) });
      fields[2].input.value = '';
      toast(t(changes.email && session.me.email !== changes.email ? 'confirm_by_mail' : 'saved'));
    },
  }).form;
}

function passwordForm() {
  const fields = [
    field({
      label: t('current_password'),
      name: 'password',
      type: 'password',
      autocomplete: 'current-password',
      dir: 'ltr',
    }),
    field({
      label: t('new_password'),
      name: 'new_password',
      type: 'password',
      autocomplete: 'new-password',
      dir: 'ltr',
      hint: t('password_hint'),
    }),
  ];
  return submitForm({
    fields,
    action: t('change_password'),
    wide: false,
    run: async (values) => {
      await session.client.rest('POST', '/auth/password/change', values);
      for (const it of fields) it.input.value = '';
      toast(t('password_changed'));
    },
  }).form;
}

async function exportData() {
  try {
    const data = await session.client.rest('GET', '/user/me/export');
    const content = typeof data === 'string' ? data : JSON.stringify(data);
    const link = h('a', {
      href: URL.createObjectURL(new Blob([content], { type: 'application/x-ndjson' })),
      download: 'mango-chat.jsonl',
    });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  } catch (error) {
    toast(explain(error));
  }
}

function deleteAccount() {
  openDialog({
    title: t('delete_account_title'),
    width: 420,
    body: () => {
      const password = field({
        label: t('password'),
        name: 'password',
        type: 'password',
        autocomplete: 'current-password',
        dir: 'ltr',
        autofocus: true,
      });
      const { form, button } = submitForm({
        fields: [password],
        action: t('delete_account'),
        before: h('p', null, t('delete_account_text')),
        run: async (values) => {
          await session.client.rest('POST', '/user/me/delete', values);
          forgetDrafts(session.userId);
          await forgetHere();
        },
      });
      button.classList.add('danger');
      return form;
    },
  });
}
