// The pages that mailed links lead to: they post the token behind `#` to the server, once somebody clicks.
// It is taken out of the address at once, so that it stays in no history and is not passed on by copying.

const texts = {
  en: {
    verify_title: 'Confirm your e-mail address',
    verify_button: 'Confirm',
    verify_done: 'The address is confirmed. You can close this page.',
    reset_title: 'Set a new password',
    reset_password: 'New password, 8 to 128 characters',
    reset_again: 'Repeat the new password',
    reset_button: 'Set the password',
    reset_done: 'The password is set, and all devices are logged out. Log in with the new password.',
    differ: 'The passwords do not match.',
    no_token: 'This link is incomplete. Open it from the mail again.',
    token: 'This link is no longer valid. Request a new mail.',
    password: 'This password is not accepted:',
    email_taken: 'Another account already uses this address.',
    often: 'Too many attempts. Try again in a moment.',
    failed: 'That did not work. Try again in a moment.',
  },
  ru: {
    verify_title: 'Подтверждение адреса почты',
    verify_button: 'Подтвердить',
    verify_done: 'Адрес подтверждён. Страницу можно закрыть.',
    reset_title: 'Новый пароль',
    reset_password: 'Новый пароль, от 8 до 128 знаков',
    reset_again: 'Повторите новый пароль',
    reset_button: 'Задать пароль',
    reset_done: 'Пароль задан, все устройства вышли из учётной записи. Войдите с новым паролем.',
    differ: 'Пароли не совпадают.',
    no_token: 'Ссылка неполная. Откройте её из письма ещё раз.',
    token: 'Ссылка больше не действует. Запросите новое письмо.',
    password: 'Этот пароль не подходит:',
    email_taken: 'Этот адрес уже используется в другой учётной записи.',
    often: 'Слишком много попыток. Попробуйте чуть позже.',
    failed: 'Не получилось. Попробуйте чуть позже.',
  },
};

const wanted = navigator.languages.map((tag) => tag.slice(0, 2).toLowerCase());
const language = wanted.find((tag) => tag in texts) ?? 'en';
const text = texts[language];
document.documentElement.lang = language;
for (const element of document.querySelectorAll('[data-text]')) element.textContent = text[element.dataset.text];

const page = document.body.dataset.page;
const form = document.getElementById('form');
const told = document.getElementById('told');
let token;

function takeToken() {
  const found = new URLSearchParams(location.hash.slice(1)).get('token');
  if (!found) return;
  token = found;
  told.textContent = '';
  form.hidden = false;
  history.replaceState(null, '', location.pathname);
}

/** What a refusal means for whoever reads this page. */
function explain(status, problem) {
  if (status === 429) return text.often;
  if (problem.code === 'email_taken') return text.email_taken;
  if (problem.errors?.token) return text.token;
  if (problem.errors?.password) return `${text.password} ${problem.errors.password.join(', ')}`;
  return text.failed;
}

async function post(path, body) {
  const answer = await fetch(path, {
    method: 'POST',
    credentials: 'omit',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  if (answer.ok) return undefined;
  return explain(answer.status, await answer.json().catch(() => ({})));
}

async function send() {
  if (page === 'verify') return post('../auth/email/verify', { token });
  const password = document.getElementById('password').value;
  if (password !== document.getElementById('again').value) return text.differ;
  return post('../auth/password/reset', { token, password });
}

form.addEventListener('submit', async (event) => {
  event.preventDefault();
  const button = form.querySelector('button');
  button.disabled = true;
  const problem = await send().catch(() => text.failed);
  button.disabled = false;
  told.textContent = problem ?? text[`${page}_done`];
  form.hidden = !problem;
});

takeToken();
if (!token) {
  form.hidden = true;
  told.textContent = text.no_token;
}
addEventListener('hashchange', takeToken);
