// One of the two identities: a session of its own in this tab, and its connection through the SDK.
import { MangoChat, sessionTokens } from '../client/mango-chat.js';
import { fill, h, text } from '../shared/dom.js';
import { t } from '../shared/i18n.js';
import { avatar, nameOf } from '../shared/avatar.js';
import { field, submitForm } from '../shared/form.js';
import { openDialog } from '../shared/dialog.js';
import { root } from '../shared/page.js';

const DEMO_PASSWORD = 'mango-demo';
const demoNames = document.documentElement.dataset.demo?.split(' ').filter(Boolean) ?? [];

/**
 * @param {object} options
 * @param {string} options.key Of its session in the storage.
 * @param {string} options.label What it does here.
 * @param {string[]} options.names Of the server's events, to listen to.
 * @param {(identity, event: string, data: object) => void} options.onevent
 * @param {() => void} options.onchange Signed in, out, online or offline.
 */
export function createIdentity({ key, label, names, onevent, onchange }) {
  // Kept for this tab: a reload stays signed in, and the web client in other tabs does not notice.
  const tokens = sessionTokens({ url: root.href, storage: sessionStorage, key });
  const element = h('section', { class: 'identity', 'aria-label': label });
  const identity = {
    element,
    label,
    client: null,
    me: null,
    tokens,
    signIn,
    ask,
    restore,
    get name() {
      return identity.me?.username ?? nameOf(identity.me);
    },
  };

  async function connect() {
    const client = new MangoChat({ url: root.href, token: tokens, keep: 50, maxBehind: 50 });
    // Known before the connection is ready, so that `ready` is seen as well.
    for (const name of names)
      client.on(name, (data) => {
        if (identity.client === client) onevent(identity, name, data);
      });
    client.on('status', () => {
      if (identity.client === client) {
        show();
        onchange();
      }
    });
    client.on('synced', () => {
      if (identity.client === client) onchange();
    });
    client.on('status', (status) => {
      if (status === 'dismissed' && identity.client === client) forget();
    });
    identity.client = client;
    identity.me = await client.rest('GET', '/user/me');
    show();
    onchange();
    client.connect().catch(() => {});
    await client.call('sync', { only: [] });
  }

  async function signIn(credentials) {
    const before = sessionStorage.getItem(key);
    await tokens.login(credentials);
    identity.client?.close();
    if (before) endSession(before);
    await connect();
  }

  /** Logs the session out that another one has replaced. */
  function endSession(kept) {
    let value = kept;
    const storage = {
      getItem: () => value,
      setItem: (_, next) => {
        value = next;
      },
      removeItem: () => {
        value = null;
      },
    };
    const old = sessionTokens({ url: root.href, storage, key: `${key}-before` });
    // An access token that has ended is renewed first: it could not end its session.
    old()
      .then(() => old.logout())
      .catch(() => {
        /* It ends by itself later. */
      });
  }

  /** Goes on with the session of before a reload. */
  async function restore() {
    show();
    if (!(await tokens.isLoggedIn())) return;
    try {
      await connect();
    } catch {
      forget();
    }
  }

  function forget() {
    const { client } = identity;
    identity.client = null;
    identity.me = null;
    client?.close();
    show();
    onchange();
  }

  async function signOut() {
    forget();
    try {
      await tokens.logout();
    } catch {
      /* The session ends by itself later. */
    }
  }

  /** Opens the form to sign in. */
  async function ask() {
    const { result } = openDialog({
      title: label,
      width: 400,
      body: (close) => {
        const fields = [
          field({
            label: t('login_name'),
            name: 'username',
            autocomplete: 'off',
            autocapitalize: 'none',
            spellcheck: 'false',
            dir: 'ltr',
            autofocus: true,
          }),
          field({ label: t('password'), name: 'password', type: 'password', autocomplete: 'off', dir: 'ltr' }),
        ];
        const { form, fail } = submitForm({
          fields,
          action: t('sign_in'),
          run: async (values) => {
            await signIn(values);
            close(true);
          },
        });
        const demo =
          demoNames.length > 0 &&
          h(
            'div',
            { class: 'stack' },
            h('p', { class: 'small muted' }, t('demo_accounts')),
            h(
              'div',
              { class: 'row' },
              demoNames.map((name) =>
                h(
                  'button',
                  {
                    type: 'button',
                    class: 'btn outline small grow',
                    'aria-label': t('sign_in_as', { name }),
                    onclick: () => signIn({ username: name, password: DEMO_PASSWORD }).then(() => close(true), fail),
                  },
                  name,
                ),
              ),
            ),
          );
        return [form, demo];
      },
    });
    return (await result) === true;
  }

  function show() {
    const { me, client } = identity;
    const head = h('small', { class: 'muted' }, label);
    if (!me) {
      fill(
        element,
        h('span', { class: 'avatar s empty-avatar', 'aria-hidden': 'true' }),
        h('span', { class: 'identity-text' }, head, h('b', null, t('con_nobody'))),
        h(
          'button',
          { type: 'button', class: 'btn outline small', 'aria-label': `${t('sign_in')}: ${label}`, onclick: ask },
          t('sign_in'),
        ),
      );
      return;
    }
    const isOnline = client.status === 'online';
    const state = h('span', { class: `state ${isOnline ? 'is-on' : ''}` });
    text(state, t(isOnline ? 'con_connected' : 'con_connecting'));
    fill(
      element,
      avatar({ ...me, name: nameOf(me) }, 's'),
      h(
        'span',
        { class: 'identity-text' },
        head,
        h('span', { class: 'row tight' }, h('b', { class: 'cut' }, identity.name), state),
      ),
      h(
        'button',
        {
          type: 'button',
          class: 'link small',
          'aria-label': t('con_change_of', { name: identity.name }),
          onclick: ask,
        },
        t('con_change'),
      ),
      h(
        'button',
        {
          type: 'button',
          class: 'link small',
          'aria-label': t('con_out_of', { name: identity.name }),
          onclick: signOut,
        },
        t('sign_out'),
      ),
    );
  }
  return identity;
}

/** The two demo users that one click signs in, if this server has them. */
export const demoPair = demoNames.length >= 2 ? demoNames.slice(0, 2) : null;
export const demoLogin = (username) => ({ username, password: DEMO_PASSWORD });
