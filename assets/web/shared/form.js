// Fields with labels, and forms that show the server's errors beside their fields.
import { h, newId, text } from './dom.js';
import { hasText, language, t } from './i18n.js';
import { icon } from './icons.js';

/** A labelled field. `name` is the server's name for it, to which its errors belong. */
export function field({ label, name, hint, multiline = false, ...props }) {
  const id = newId('field');
  const error = h('div', { class: 'error', id: `${id}-error` });
  const input = h(multiline ? 'textarea' : 'input', {
    class: 'input',
    id,
    name,
    dir: 'auto',
    'aria-describedby': `${id}-error${hint ? ` ${id}-hint` : ''}`,
    ...props,
  });
  const isPassword = props.type === 'password';
  const eye =
    isPassword &&
    h(
      'button',
      {
        type: 'button',
        class: 'link small reveal',
        'aria-pressed': 'false',
        onclick: () => {
          const isShown = input.type === 'text';
          input.type = isShown ? 'password' : 'text';
          eye.setAttribute('aria-pressed', String(!isShown));
          text(eye, isShown ? t('show') : t('hide'));
        },
      },
      t('show'),
    );
  const element = h(
    'div',
    { class: 'field' },
    isPassword
      ? h('div', { class: 'row' }, h('label', { class: 'label grow', for: id }, label), eye)
      : h('label', { class: 'label', for: id }, label),
    input,
    hint && h('small', { id: `${id}-hint` }, hint),
    error,
  );
  const setError = (message) => {
    text(error, message ?? '');
    input.setAttribute('aria-invalid', String(Boolean(message)));
  };
  input.addEventListener('input', () => setError(''));
  return { element, input, setError, name };
}

/** What the server says about a field, as a text of the client. */
const FIELD_TEXTS = [
  [/^is missing|^is empty|only white space/, 'field_missing'],
  [/must have (\d+) to (\d+) characters/, 'field_length'],
  [/3 to 32 letters/, 'field_username'],
  [/3 to 30 digits/, 'field_phone'],
  [/does not match the current password/, 'field_wrong_password'],
  [/most common passwords/, 'field_common_password'],
  [/like an e-mail/, 'field_email'],
  [/taken by another/, 'field_taken'],
  [/has declined your chat/, 'field_declined'],
];
function explainField(message) {
  for (const [pattern, key] of FIELD_TEXTS) {
    const found = pattern.exec(message);
    if (found) return t(key, { a: found[1], b: found[2] });
  }
  return language === 'en' ? message.charAt(0).toUpperCase() + message.slice(1) : t('field_invalid');
}

/** What an error means, in the user's language. */
export function explain(error) {
  const key = `error_${error?.code}`;
  if (error?.code === 'rate_limited' && error.retryAfterMs)
    return t('error_rate_limited_for', { n: Math.ceil(error.retryAfterMs / 1000) });
  if (hasText(key)) return t(key);
  const [first] = Object.values(error?.errors ?? {});
  if (first) return explainField(first[0]);
  return error?.message || t('error_internal');
}

/**
 * A form whose `run` may throw the server's error: it is shown beside the fields it names, else above the button. A second
 * submission while the first runs is ignored.
 */
export function submitForm({ fields = [], action, run, extra, before, class: name = '', wide = true }) {
  const problem = h('p', { class: 'notice bad', role: 'alert', hidden: true });
  const button = h('button', { type: 'submit', class: `btn ${wide ? 'wide' : ''}` }, action);
  let isRunning = false;
  const fail = (error) => {
    let isPlaced = false;
    for (const [path, messages] of Object.entries(error.errors ?? {})) {
      const found = fields.find((it) => it.name === path.split('.').at(-1));
      found?.setError(messages.map(explainField).join(' '));
      isPlaced ||= Boolean(found);
    }
    const byCode = { username_taken: 'username', email_taken: 'email', phone_taken: 'phone' }[error.code];
    const taken = byCode && fields.find((it) => it.name === byCode);
    if (taken) {
      taken.setError(explain(error));
      isPlaced = true;
    }
    if (!isPlaced) {
      text(problem, explain(error));
      problem.hidden = false;
    }
    (fields.find((it) => it.input.getAttribute('aria-invalid') === 'true')?.input ?? button).focus();
  };
  const form = h(
    'form',
    {
      class: `stack ${name}`,
      novalidate: true,
      onsubmit: async (event) => {
        event.preventDefault();
        if (isRunning) return;
        isRunning = true;
        problem.hidden = true;
        button.setAttribute('aria-busy', 'true');
        try {
          await run(Object.fromEntries(fields.map((it) => [it.name, it.input.value])));
        } catch (error) {
          if (!error?.code) console.error(error);
          fail(error);
        } finally {
          isRunning = false;
          button.removeAttribute('aria-busy');
        }
      },
    },
    before,
    fields.map((it) => it.element),
    extra,
    problem,
    button,
  );
  return { form, button, fail, problem };
}

/** A switch with a label and an explanation. */
export function toggle({ label, hint, checked, onchange, name }) {
  return h(
    'label',
    { class: 'check' },
    h('span', null, label, hint && h('small', { class: 'hint' }, hint)),
    h('input', {
      type: 'checkbox',
      role: 'switch',
      checked,
      name,
      onchange: (event) => onchange?.(event.target.checked, event.target),
    }),
  );
}

/** A choice of few values. */
export function choices({ label, name, value, options, onchange }) {
  return h(
    'fieldset',
    null,
    h('legend', { class: 'label' }, label),
    h(
      'div',
      { class: 'choices' },
      options.map(([key, text]) =>
        h(
          'label',
          null,
          h('input', { type: 'radio', name, value: key, checked: key === value, onchange: () => onchange(key) }),
          h('span', null, text),
        ),
      ),
    ),
  );
}

/** A button with an icon and a name. */
export const iconButton = (name, label, onclick, props = {}) =>
  h('button', { type: 'button', class: 'icon-btn', 'aria-label': label, title: label, onclick, ...props }, icon(name));
