// A small conversation on `useChat`. `h` is what JSX compiles to, so that no build step is needed to run it.

import { createElement as h, useEffect, useState } from 'react';
import { useChat, useMango } from './useChat.js';

/** Both names may be missing: a user can register with a phone number alone. */
const nameOf = ({ id, name, username }) => name ?? username ?? `User ${id}`;

export function Chat({ chatId }) {
  const client = useMango();
  const { status, chat, messages, unsent, unread, typing, send, setTyping, markRead } = useChat(chatId);
  const [text, setText] = useState('');
  const [error, setError] = useState(null);

  useEffect(() => {
    // A message is read when it is on the screen of a window that somebody looks at.
    const readIfSeen = () => { if (unread && document.hasFocus()) markRead().catch(setError); };
    readIfSeen();
    window.addEventListener('focus', readIfSeen);
    return () => window.removeEventListener('focus', readIfSeen);
  }, [unread, markRead]);

  if (!chat) return h('p', { role: 'status' }, status === 'online' ? 'You are not in this chat.' : 'Connecting…');

  const submit = (event) => {
    event.preventDefault();
    if (!text.trim()) return;
    setError(null);
    send(text).catch((refused) => { if (refused.code !== 'closed') setError(refused); });
    setText('');
  };
  const typingNames = chat.members
    .filter(({ user }) => typing.includes(user.id) && user.id !== client.userId)
    .map(({ user }) => nameOf(user));

  return h('section', null,
    h('h1', null, chat.name ?? 'Chat', unread > 0 && h('small', null, ` ${unread} unread`)),
    status !== 'online' && h('p', { role: 'status' }, 'Offline. Messages are sent when the connection is back.'),
    h('ol', { role: 'log', 'aria-label': 'Messages' },
      messages.map((message) => h('li', { key: message.id }, nameOf(message.user), ': ', message.deleted_at ? h('em', null, 'deleted') : message.content)),
      unsent.map(({ clientId, content }) => h('li', { key: clientId, 'aria-busy': true }, content)),
    ),
    h('p', { 'aria-live': 'polite' }, typingNames.length > 0 && `${typingNames.join(', ')} is typing…`),
    error && h('p', { role: 'alert' }, error.message),
    h('form', { onSubmit: submit },
      h('input', {
        'aria-label': 'Message', value: text, onChange: (event) => { setText(event.target.value); setTyping(event.target.value !== ''); },
      }),
      h('button', null, 'Send'),
    ),
  );
}
