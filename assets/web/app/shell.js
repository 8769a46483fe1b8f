// The app's frame: the rail, the list, the conversation and the details, and which of them the address shows.
import { attr, fill, h, perFrame } from '../shared/dom.js';
import { icon, logo } from '../shared/icons.js';
import { t } from '../shared/i18n.js';
import { avatar, nameOf } from '../shared/avatar.js';
import { at, load } from '../shared/page.js';
import { navigate, onRoute, route } from '../shared/router.js';
import { openMenu } from '../shared/menu.js';
import { toast } from '../shared/toast.js';
import { ChatList } from './chat_list.js';
import { Conversation } from './conversation.js';
import { isModerator, isMuted, isRequest } from './chat_info.js';
import { onMe, session, signOut } from './session.js';
import { startDrafts } from './drafts.js';
import { startNotifications } from './notifications.js';
import { startOutgoing } from './outgoing.js';
import { startPresence } from './presence.js';
import { watchConnection } from './connection.js';

const settings = (section) =>
  load(() => import('./settings/settings.js'))
    .then((it) => it.openSettings(section))
    .catch(() => {});
const newChat = () =>
  load(() => import('./new_chat.js'))
    .then((it) => it.openNewChat())
    .catch(() => {});

/** Shows the app in `place`. */
export function showApp(place) {
  const { client } = session;
  const single = Number(new URLSearchParams(location.search).get('chat')) || null;
  const isSingle = Boolean(single) && /\/chat\/ui\/?$/.test(location.pathname);
  const chats = new ChatList({ onNewChat: newChat, onSettings: settings, openMenu: ownMenu });
  const list = h('div', { class: 'list-column' }, chats.element);
  const main = h('main', { class: 'main' });
  const details = h('aside', { class: 'details', 'aria-label': t('details'), hidden: true });
  const rail = h('nav', { class: 'rail', 'aria-label': t('sections') });
  const frame = h('div', { class: 'app' }, !isSingle && [rail, list], main, details);
  attr(frame, 'data-single', isSingle);
  fill(
    place,
    h(
      'a',
      {
        class: 'skip',
        href: '#main',
        onclick: (event) => {
          event.preventDefault();
          conversation?.focus();
        },
      },
      t('skip_to_messages'),
    ),
    watchConnection(),
    frame,
  );

  let conversation = null;
  let section = null;
  let contacts = null;

  function ownMenu(anchor) {
    openMenu(
      anchor,
      [
        { label: t('settings'), icon: 'gear', run: () => settings() },
        { label: t('profile'), icon: 'person', run: () => settings('profile') },
        { label: t('contacts'), icon: 'people', run: () => navigate('#/contacts') },
        isModerator() && {
          label: t('admin_panel'),
          icon: 'shield',
          run: () => {
            location.href = at('admin');
          },
        },
        null,
        { label: t('sign_out'), icon: 'logout', run: signOut },
      ],
      { label: t('own_menu') },
    );
  }

  function showRail() {
    const {
      path: [name],
    } = route();
    const item = (to, label, symbol, badge) =>
      h(
        'a',
        {
          href: to,
          class: 'rail-item',
          title: label,
          'aria-label': label,
          'aria-current': (to === '#/contacts') === (name === 'contacts') ? 'page' : null,
        },
        icon(symbol),
        badge > 0 && h('span', { class: 'badge', 'aria-hidden': 'true' }, badge > 99 ? '99+' : String(badge)),
      );
    const button = (label, symbol, run) =>
      h(
        'button',
        { type: 'button', class: 'rail-item', title: label, 'aria-label': label, onclick: run },
        icon(symbol),
      );
    const requests = [...client.chats.values()].filter(isRequest).length;
    const unread = [...client.chats.values()].filter(
      (it) => it.my.unread && !it.my.archived && !isMuted(it),
    ).length;
    fill(
      rail,
      h('a', { class: 'rail-logo', href: '#/', 'aria-label': 'Mango Chat' }, logo(36)),
      item('#/', t('all_chats'), 'chat', unread),
      item('#/contacts', t('contacts'), 'people', requests),
      h('span', { class: 'grow' }),
      isModerator() &&
        h(
          'a',
          { class: 'rail-item', href: at('admin'), title: t('admin_panel'), 'aria-label': t('admin_panel') },
          icon('shield'),
        ),
      button(t('settings'), 'gear', () => settings()),
      h(
        'button',
        {
          type: 'button',
          class: 'rail-item',
          'aria-label': t('own_menu'),
          title: nameOf(session.me ?? {}),
          'aria-haspopup': 'menu',
          onclick: (event) => ownMenu(event.currentTarget),
        },
        avatar({ id: session.userId, photo: session.me?.photo, name: nameOf(session.me ?? { id: 0 }) }, 's'),
      ),
    );
  }
  const refreshRail = perFrame(showRail);
  showRail();
  onMe(refreshRail);
  client.on('chat', refreshRail);
  client.on('message', refreshRail);
  client.on('gone', refreshRail);

  function showEmpty() {
    conversation?.leave();
    conversation = null;
    details.hidden = true;
    fill(
      main,
      h(
        'div',
        { class: 'empty fills' },
        logo(72),
        h('h1', null, t('nothing_open')),
        h('p', null, t('nothing_open_hint')),
        h('p', { class: 'small' }, h('kbd', null, 'Ctrl'), ' + ', h('kbd', null, 'K'), ' ', t('hint_search')),
      ),
    );
    chats.setCurrent(null);
  }

  function showChat(id, query) {
    if (conversation?.chatId !== id) {
      conversation?.leave();
      details.hidden = true;
      conversation = new Conversation(id, { main, details, isSingle });
    }
    conversation.show({ seq: Number(query.at) || null });
    chats.setCurrent(id);
  }

  async function showSection(name) {
    if (section === name) return;
    section = name;
    if (name !== 'contacts') {
      if (list.firstChild !== chats.element) fill(list, chats.element);
      return;
    }
    const { Contacts } = await load(() => import('./contacts.js'));
    if (section !== 'contacts') return;
    contacts ??= new Contacts();
    fill(list, contacts.element);
    contacts.show();
  }

  function show({ path: [name, value], query }) {
    if (isSingle) {
      showChat(single, query);
      return;
    }
    showRail();
    frame.dataset.pane = name === 'chat' ? 'chat' : 'list';
    if (name === 'invite' && value) {
      load(() => import('./invite.js'))
        .then((it) => it.openInvite(value))
        .catch(() => {});
      navigate('#/', { replace: true });
      return;
    }
    if (name === 'contacts') {
      showSection('contacts');
      if (!conversation) showEmpty();
      return;
    }
    if (name !== 'chat') {
      showSection('chats');
      showEmpty();
      return;
    }
    if (section !== 'contacts') showSection('chats');
    const id = Number(value);
    if (client.chats.has(id)) showChat(id, query);
    else if (client.status === 'online') {
      toast(t('chat_not_found'));
      navigate('#/', { replace: true });
    } else {
      showWaiting();
      awaited = id;
    }
  }
  // A link to a chat that is not known before the first sync.
  let awaited = null;
  function showWaiting() {
    conversation?.leave();
    conversation = null;
    fill(
      main,
      h(
        'div',
        { class: 'empty fills', 'aria-busy': 'true' },
        h('div', { class: 'skeleton', style: { width: '220px', height: '16px' } }),
        h('div', { class: 'skeleton', style: { width: '140px', height: '16px' } }),
      ),
    );
  }
  client.on('synced', ({ full }) => {
    if (full && (awaited || isSingle)) {
      awaited = null;
      show(route());
    }
  });
  client.on('gone', ({ chatId, reason }) => {
    if (conversation?.chatId !== chatId) return;
    if (reason !== 'left' && reason !== 'reset') toast(t(`gone_${reason}`));
    if (isSingle) showEmpty();
    else navigate('#/', { replace: true });
  });

  onRoute(show);
  // Opened by a link to a chat: going back leads to the list, not out of the app.
  if (!isSingle && route().path[0] === 'chat' && !history.state?.inApp) {
    const to = location.hash;
    history.replaceState({}, '', '#/');
    history.pushState({ inApp: true }, '', to);
  }
  if (isSingle && !client.chats.has(single)) showWaiting();
  else show(route());
  if (isSingle) {
    document.documentElement.classList.add('is-single');
  }

  // Where the keyboard of a phone covers the page instead of making it smaller, the app takes what is left.
  const viewport = globalThis.visualViewport;
  viewport?.addEventListener('resize', () => {
    const isCovered = innerHeight - viewport.height > 80 && viewport.scale === 1;
    place.style.setProperty('height', isCovered ? `${viewport.height}px` : '');
    if (isCovered) scrollTo(0, 0);
  });
  // A file that misses the conversation must not replace the page.
  for (const name of ['dragover', 'drop'])
    addEventListener(name, (event) => {
      if (event.dataTransfer?.types.includes('Files')) event.preventDefault();
    });
  addEventListener('keydown', (event) => {
    if (event.defaultPrevented) return;
    if ((event.ctrlKey || event.metaKey) && !event.shiftKey && event.key.toLowerCase() === 'k') {
      event.preventDefault();
      if (!isSingle) {
        showSection('chats');
        frame.dataset.pane = 'list';
        chats.focusSearch();
      }
    } else if (event.altKey && (event.key === 'ArrowDown' || event.key === 'ArrowUp') && !isSingle) {
      event.preventDefault();
      chats.step(event.key === 'ArrowDown' ? 1 : -1);
    }
  });
  startDrafts();
  startOutgoing();
  startPresence(() => conversation);
  startNotifications(() => conversation);
}
