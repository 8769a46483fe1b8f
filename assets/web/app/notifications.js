// Desktop notifications, the count in the tab's title, and the badge of the icon. Permission is asked on a click, in settings.
import { debounce } from '../shared/dom.js';
import { t } from '../shared/i18n.js';
import { nameOf, photoUrl } from '../shared/avatar.js';
import { preference } from '../shared/preferences.js';
import { navigate } from '../shared/router.js';
import { excerptOf, isMuted, isRequest, pictureOf, titleOf } from './chat_info.js';
import { isLookedAt } from './reads.js';
import { session } from './session.js';

const channel = 'BroadcastChannel' in globalThis ? new BroadcastChannel('mango-chat') : null;
/** When another tab was looked at last; then it shows what is new. */
let othersLookedAt = 0;

export const canNotify = () =>
  'Notification' in globalThis && Notification.permission === 'granted' && preference('notifications') === 'on';

export function startNotifications(currentConversation) {
  const { client } = session;
  channel?.addEventListener('message', ({ data }) => {
    if (data === 'looking') othersLookedAt = Date.now();
  });
  const tellLooking = () => {
    if (isLookedAt()) channel?.postMessage('looking');
  };
  setInterval(tellLooking, 2000);
  addEventListener('focus', tellLooking);
  navigator.serviceWorker?.addEventListener('message', ({ data }) => {
    if (data?.to) navigate(data.to);
  });

  client.on('message', (message, state) => {
    if (message.user.id === session.userId || message.seq <= state.my.last_read_seq) return;
    const isMention = message.my?.mentioned;
    if ((isMuted(state) && !isMention) || (state.my.archived && !isMention) || !canNotify()) return;
    const isOpenHere = isLookedAt() && currentConversation()?.chatId === state.id;
    if (isOpenHere || Date.now() - othersLookedAt < 4000) return;
    // One tab shows it: the first that gets the lock; the others' would only replace it.
    const show = () => notify(message, state);
    if (navigator.locks)
      navigator.locks.request(`mango-notify-${message.id}`, { ifAvailable: true }, async (lock) => {
        if (lock) {
          show();
          await new Promise((done) => setTimeout(done, 1000));
        }
      });
    else show();
  });

  const base = 'Mango Chat';
  const update = debounce(() => {
    let count = 0;
    for (const state of client.chats.values()) {
      if (!state.my.archived && !isRequest(state)) count += isMuted(state) ? state.my.mentions : state.my.unread;
    }
    const open = client.chats.get(currentConversation()?.chatId);
    document.title = `${count ? `(${count > 999 ? '999+' : count}) ` : ''}${open ? `${titleOf(open)} · ` : ''}${base}`;
    if (count) navigator.setAppBadge?.(count).catch(() => {});
    else navigator.clearAppBadge?.().catch(() => {});
  }, 60);
  for (const name of ['chat', 'message', 'gone', 'synced', 'change']) client.on(name, () => update());
  addEventListener('popstate', () => update());
  addEventListener('mango-chat-opened', () => update());
  update();
}

async function notify(message, state) {
  const picture = pictureOf(state);
  const isShown = preference('preview') === 'on';
  const body = isShown
    ? `${state.chat.is_group ? `${nameOf(message.user)}: ` : ''}${excerptOf(message)}`
    : t('new_message');
  const to = `#/chat/${state.id}`;
  const options = {
    body,
    tag: `chat-${state.id}`,
    renotify: true,
    icon: picture.photo ? photoUrl(picture.photo, 200) : undefined,
    data: { to },
    silent: preference('sound') !== 'on',
  };
  const registration = await navigator.serviceWorker?.getRegistration().catch(() => null);
  if (registration?.active) {
    registration.showNotification(titleOf(state), options).catch(() => {});
    return;
  }
  const shown = new Notification(titleOf(state), options);
  shown.onclick = () => {
    window.focus();
    navigate(to);
    shown.close();
  };
}
