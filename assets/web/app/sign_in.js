// Signing in, creating an account, and asking for a link to set a new password.
import { fill, h } from '../shared/dom.js';
import { t } from '../shared/i18n.js';
import { logo } from '../shared/icons.js';
import { field, submitForm } from '../shared/form.js';
import { navigate, route } from '../shared/router.js';
import { loadCss } from './styles.js';

const DEMO_PASSWORD = 'mango-demo';

/**
 * Shows the page for who is not signed in. `signIn(credentials)` and `rest` are the session's; `notice` says why the last
 * session ended.
 */
export async function showSignIn(place, { signIn, rest, notice }) {
  await loadCss('app/sign.css');
  const card = h('div', { class: 'card' });
  fill(place, h('main', { class: 'sign' }, card));
  let shown = notice;
  const views = { 'sign-up': signUp, forgot };
  const show = () => {
    const view = views[route().path[0]] ?? welcome;
    fill(card, view());
    card.querySelector('input')?.focus({ preventScroll: true });
  };
  const link = (label, to) =>
    h(
      'button',
      {
        type: 'button',
        class: 'link',
        onclick: () => {
          navigate(to);
          show();
        },
      },
      label,
    );
  const head = (title, lead) => [logo(40), h('h1', null, title), h('p', { class: 'lead' }, lead)];

  function welcome() {
    document.title = `${t('sign_in')} · Mango Chat`;
    const isInvited = route().path[0] === 'invite';
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
    const resend = h('button', { type: 'button', class: 'link small', hidden: true }, t('resend_verification'));
    const { form, fail } = submitForm({
      fields,
      action: t('sign_in'),
      before: shown && h('p', { class: 'notice', role: 'status' }, shown),
      extra: resend,
      run: async (values) => {
        try {
          await signIn(values);
        } catch (error) {
          if (error.code === 'email_unverified') {
            resend.hidden = !values.username.includes('@');
            resend.onclick = async () => {
              await rest('POST', '/auth/email/resend', { email: values.username }).catch(fail);
              resend.replaceWith(h('p', { class: 'notice', role: 'status' }, t('mail_sent')));
            };
          }
          throw error;
        }
      },
    });
    shown = undefined;
    const names = document.documentElement.dataset.demo?.split(' ').filter(Boolean) ?? [];
    const demo =
      names.length > 0 &&
      h(
        'div',
        { class: 'demo' },
        h('p', { class: 'small muted' }, t('demo_accounts')),
        h(
          'div',
          null,
          names.map((name) =>
            h(
              'button',
              {
                type: 'button',
                class: 'btn outline',
                'aria-label': t('sign_in_as', { name }),
                onclick: () => signIn({ username: name, password: DEMO_PASSWORD }).catch(fail),
              },
              name.charAt(0).toUpperCase() + name.slice(1),
            ),
          ),
        ),
      );
    return [
      head(t('welcome_back'), isInvited ? t('sign_in_for_invite') : t('sign_in_lead')),
      form,
      h('div', { class: 'links' }, link(t('create_account'), '#/sign-up'), link(t('forgot_password'), '#/forgot')),
      demo,
    ];
  }

  function signUp() {
    document.title = `${t('create_account')} · Mango Chat`;
    const fields = [
      field({ label: t('your_name'), name: 'name', autocomplete: 'name', maxlength: 100 }),
      field({
        label: t('username'),
        name: 'username',
        autocomplete: 'username',
        autocapitalize: 'none',
        spellcheck: 'false',
        dir: 'ltr',
        hint: t('username_hint'),
      }),
      field({
        label: t('email_optional'),
        name: 'email',
        type: 'email',
        autocomplete: 'email',
        dir: 'ltr',
        hint: t('email_hint'),
      }),
      field({
        label: t('password'),
        name: 'password',
        type: 'password',
        autocomplete: 'new-password',
        dir: 'ltr',
        hint: t('password_hint'),
      }),
    ];
    const { form } = submitForm({
      fields,
      action: t('create_account'),
      run: async ({ name, username, email, password }) => {
        await rest('POST', '/user', {
          name: name.trim() || undefined,
          username: username.trim() || undefined,
          email: email.trim() || undefined,
          password,
        });
        navigate('#/', { replace: true });
        try {
          await signIn({ username: username.trim() || email.trim(), password });
        } catch (error) {
          if (error.code !== 'email_unverified') throw error;
          shown = t('confirm_first', { email: email.trim() });
          show();
        }
      },
    });
    return [
      head(t('create_account'), t('sign_up_lead')),
      form,
      h('div', { class: 'links' }, link(t('have_account'), '#/')),
    ];
  }

  function forgot() {
    document.title = `${t('forgot_password')} · Mango Chat`;
    const done = h('p', { class: 'notice', role: 'status', hidden: true }, t('forgot_done'));
    const fields = [field({ label: t('email'), name: 'email', type: 'email', autocomplete: 'email', dir: 'ltr' })];
    const { form } = submitForm({
      fields,
      action: t('send_link'),
      run: async ({ email }) => {
        await rest('POST', '/auth/password/forgot', { email: email.trim() });
        form.hidden = true;
        done.hidden = false;
      },
    });
    return [
      head(t('forgot_title'), t('forgot_lead')),
      form,
      done,
      h('div', { class: 'links' }, link(t('to_sign_in'), '#/')),
    ];
  }

  addEventListener('popstate', () => {
    if (card.isConnected) show();
  });
  show();
}
