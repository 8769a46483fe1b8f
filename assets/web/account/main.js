// The pages that mailed links lead to: they post the token behind `#` to the server, once somebody clicks.
// It is taken out of the address at once, so that it stays in no history and is not passed on by copying.
import { MangoChat } from '../client/mango-chat.js';
import { h, text } from '../shared/dom.js';
import { t } from '../shared/i18n.js';
import { logo } from '../shared/icons.js';
import { finishLogout, isLogoutPending } from '../shared/logout.js';
import { root } from '../shared/page.js';

const isReset = /\/account\/reset\/?$/.test(location.pathname);
// A token of no session: a link confirms who it was mailed to, not who is signed in here.
const server = new MangoChat({ url: root.href, token: null });
let token = null;

const password = (id, label) =>
  h(
    'label',
    { class: 'field' },
    h('span', null, label),
    h('input', { class: 'input', id, type: 'password', autocomplete: 'new-password', required: true }),
  );
const told = h('p', { id: 'told', role: 'status', 'aria-live': 'polite' });
const again = h(
  'p',
  { class: 'links', hidden: true },
  h(
    'a',
    { class: 'link', href: new URL(isReset ? '#/forgot' : '#/', root).href },
    t(isReset ? 'ask_new_link' : 'to_sign_in'),
  ),
);
const form = h(
  'form',
  { class: 'stack' },
  isReset && [password('password', t('reset_password')), password('again', t('reset_again'))],
  h('button', { type: 'submit', class: 'btn wide' }, t(isReset ? 'reset_button' : 'verify_button')),
);

function takeToken() {
  const found = new URLSearchParams(location.hash.slice(1)).get('token');
  if (!found) return;
  token = found;
  text(told, '');
  form.hidden = false;
  again.hidden = true;
  history.replaceState(null, '', location.pathname);
}

/** What a refusal means for whoever reads this page. */
function explain(error) {
  if (error.code === 'rate_limited') return t('account_often');
  if (error.code === 'email_taken') return t('account_email_taken');
  if (error.errors?.token) return t('account_token');
  if (error.errors?.password) return `${t('account_password')} ${error.errors.password.join(', ')}`;
  return t('account_failed');
}

async function send() {
  if (!isReset) return server.rest('POST', '/auth/email/verify', { token });
  const value = document.getElementById('password').value;
  if (value !== document.getElementById('again').value) throw { differ: true };
  return server.rest('POST', '/auth/password/reset', { token, password: value });
}

form.addEventListener('submit', async (event) => {
  event.preventDefault();
  const button = form.querySelector('button');
  button.disabled = true;
  try {
    await send();
    text(told, t(isReset ? 'reset_done' : 'verify_done'));
    form.hidden = true;
    again.firstChild.href = root.href;
    text(again.firstChild, t('to_sign_in'));
    again.hidden = false;
  } catch (error) {
    text(told, error.differ ? t('passwords_differ') : explain(error));
    again.hidden = !error.errors?.token;
  }
  button.disabled = false;
});

document.title = `${t(isReset ? 'reset_title' : 'verify_title')} · Mango Chat`;
document.body.append(
  h(
    'main',
    { class: 'sign' },
    h(
      'div',
      { class: 'card' },
      h('div', { class: 'row' }, logo(34), h('b', null, 'Mango Chat')),
      h('h1', null, t(isReset ? 'reset_title' : 'verify_title')),
      form,
      told,
      again,
    ),
  ),
);
takeToken();
if (!token) {
  form.hidden = true;
  text(told, t('account_no_token'));
  again.hidden = false;
}
addEventListener('hashchange', takeToken);
// An earlier sign-out without a connection is finished here too.
if (isLogoutPending()) {
  const own = new MangoChat({ url: root.href });
  finishLogout((...args) => own.rest(...args));
}
