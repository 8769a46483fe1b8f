// One chat as Vue state. Provide the client once: `app.provide('mango', markRaw(client))`.

import { inject, onScopeDispose, shallowRef, toValue, watch } from 'vue';

const EVENTS = ['status', 'change', 'chat', 'gone', 'typing'];
const TYPING_EVERY_MS = 3000;

/**
 * `{ view, send, setTyping, markRead }`; `view.value` is `{ status, chat, messages, unsent, unread, typing }`. `chatId` is a number, a
 * ref or a getter.
 */
export function useChat(chatId, client = inject('mango')) {
  // Shallow, because Vue must not wrap the objects of the SDK in proxies; each view is a new object.
  const view = shallowRef();
  let isScheduled = false;

  function read() {
    const id = toValue(chatId);
    const state = client.chats.get(id);
    view.value = {
      status: client.status,
      chat: state?.chat ?? null,
      messages: state ? [...state.messages] : [],
      unsent: client.pending(id),
      unread: state?.my.unread ?? 0,
      typing: state ? [...state.typing.keys()] : [],
    };
  }

  // One view for many events, read after them: `typing` is emitted before the chat's `typing` has changed.
  function refresh() {
    if (isScheduled) return;
    isScheduled = true;
    queueMicrotask(() => { isScheduled = false; read(); });
  }

  for (const event of EVENTS) client.on(event, refresh);
  onScopeDispose(() => { for (const event of EVENTS) client.off(event, refresh); });
  watch(() => toValue(chatId), read, { immediate: true, flush: 'sync' });

  let typingToldAt = 0;

  /** Shows the message at once as unsent; resolves when it is stored, rejects when the server refuses it. */
  function send(content, options) {
    typingToldAt = 0;
    const sent = client.send(toValue(chatId), content, options);
    refresh();
    sent.catch(() => {}).finally(refresh);
    return sent;
  }

  /** Call it with every key: it tells the server now and then. */
  function setTyping(isTyping) {
    if (isTyping && Date.now() - typingToldAt < TYPING_EVERY_MS) return;
    typingToldAt = isTyping ? Date.now() : 0;
    client.typing(toValue(chatId), isTyping);
  }

  return {
    view,
    send,
    setTyping,
    markRead: () => client.markRead(toValue(chatId)),
  };
}
