// One chat as React state. The client is passed by `MangoProvider`, so that all components share one connection.

import { createContext, createElement, useContext, useEffect, useMemo, useSyncExternalStore } from 'react';

const MangoContext = createContext(null);
const EVENTS = ['status', 'change', 'chat', 'gone', 'typing'];
const TYPING_EVERY_MS = 3000;

/** Connects `client` (a `MangoChat`) while it is mounted. */
export function MangoProvider({ client, children }) {
  useEffect(() => {
    // Rejected when the client is closed, or dismissed: the status says so too.
    client.connect().catch(() => {});
    return () => client.close();
  }, [client]);
  return createElement(MangoContext.Provider, { value: client }, children);
}

export const useMango = () => useContext(MangoContext);

/** What a component shows of a chat, as a new object: the SDK changes its own objects in place. */
function read(client, chatId) {
  const state = client.chats.get(chatId);
  return {
    status: client.status,
    chat: state?.chat ?? null,
    messages: state ? [...state.messages] : [],
    unsent: client.pending(chatId),
    unread: state?.my.unread ?? 0,
    typing: state ? [...state.typing.keys()] : [],
  };
}

/** A store in the form that `useSyncExternalStore` expects: the view changes only when something has happened. */
function chatStore(client, chatId) {
  let view = read(client, chatId);
  const listeners = new Set();
  let isScheduled = false;
  // One view for many events, read after them: `typing` is emitted before the chat's `typing` has changed.
  const refresh = () => {
    if (isScheduled) return;
    isScheduled = true;
    queueMicrotask(() => {
      isScheduled = false;
      view = read(client, chatId);
      for (const listener of listeners) listener();
    });
  };
  const subscribe = (listener) => {
    if (!listeners.size) for (const event of EVENTS) client.on(event, refresh);
    listeners.add(listener);
    refresh();
    return () => {
      listeners.delete(listener);
      if (!listeners.size) for (const event of EVENTS) client.off(event, refresh);
    };
  };
  return { subscribe, refresh, getView: () => view };
}

/**
 * A chat that renders again when it changes: `{ status, chat, messages, unsent, unread, typing, send, setTyping, markRead, loadOlder }`.
 * `unsent` are the messages that wait for the server, `typing` the ids of users.
 */
export function useChat(chatId) {
  const client = useMango();
  const store = useMemo(() => chatStore(client, chatId), [client, chatId]);
  const view = useSyncExternalStore(store.subscribe, store.getView);
  const actions = useMemo(() => chatActions(client, chatId, store.refresh), [client, chatId, store]);
  return { ...view, ...actions };
}

function chatActions(client, chatId, refresh) {
  let typingToldAt = 0;
  return {
    /** Shows the message at once as unsent; resolves when it is stored, rejects when the server refuses it. */
    send(content, options) {
      typingToldAt = 0;
      const sent = client.send(chatId, content, options);
      refresh();
      sent.catch(() => {}).finally(refresh);
      return sent;
    },
    /** Call it with every key: it tells the server now and then. */
    setTyping(isTyping) {
      if (isTyping && Date.now() - typingToldAt < TYPING_EVERY_MS) return;
      typingToldAt = isTyping ? Date.now() : 0;
      client.typing(chatId, isTyping);
    },
    markRead: () => client.markRead(chatId),
    /** Resolves with whether there are more. */
    async loadOlder() {
      const before = client.chats.get(chatId)?.messages[0]?.seq;
      const { hasMore } = await client.history(chatId, { before });
      refresh();
      return hasMore;
    },
  };
}
