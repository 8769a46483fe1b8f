// Signing in to the panel, and saying so when an account has no role for it.
import { fill, h } from '../shared/dom.js';
import { t } from '../shared/i18n.js';
import { icon, logo } from '../shared/icons.js';
import { explain, field, submitForm } from '../shared/form.js';
import { nameOf } from '../shared/avatar.js';
import { root } from '../shared/page.js';
import { signIn, signOut } from './session.js';

const card = (place, ...content) => fill(place, h('main', { class: 'sign' }, h('div', { class: 'card' }, content)));

/** `wrongRole` is the user who is signed in without being a moderator or admin. */
export function showSignIn(place, { done, notice, wrongRole }) {
  document.title = `${t('sign_in')} · ${t('adm_title')}`;
  const client = h('a', { class: 'link', href: root.href }, t('adm_to_client'));
  if (wrongRole) {
    card(
      place,
      logo(40),
      h('h1', null, t('adm_no_role')),
      h('p', { role: 'alert' }, t('adm_no_role_text', { name: nameOf(wrongRole) })),
      h('button', { type: 'button', class: 'btn wide', onclick: signOut }, t('adm_other_account')),
      h('div', { class: 'links' }, client),
    );
    return;
  }
  const fields = [
    field({
      label: t('login_name'),
      name: 'username',
      autocomplete: 'username',
      autocapitalize: 'none',
      spellcheck: 'false',
      dir: 'ltr',
    }),
    field({ label: t('password'), name: 'password', type: 'password', autocomplete: 'current-password', dir: 'ltr' }),
  ];
  const { form } = submitForm({
    fields,
    action: t('sign_in'),
    before: notice && h('p', { class: 'notice', role: 'status' }, notice),
    run: async (values) => {
      await signIn(values);
      await done();
    },
  });
  card(
    place,
    logo(40),
    h('h1', null, t('adm_title')),
    h('p', { class: 'lead' }, t('adm_sign_in_lead')),
    form,
    h('div', { class: 'links' }, client),
  );
  fields[0].input.focus({ preventScroll: true });
}

/** When not even the own profile can be fetched. */
export function showFailure(place, error, retry) {
  card(
    place,
    h(
      'div',
      { class: 'empty' },
      icon('alert'),
      h('h2', null, t('adm_unreachable')),
      h('p', null, explain(error)),
      h('button', { type: 'button', class: 'btn', onclick: retry }, t('try_again')),
    ),
  );
}
