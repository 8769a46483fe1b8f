// The unchanged socket.io-client as somebody uses it who does nothing about errors: it tells, line by line, what
// happens to it. `tests/it/no_database.rs` starts it.

import { io } from 'socket.io-client';

const [url, token, namespace, ...transports] = process.argv.slice(2);
const tell = (event, message) => console.log(JSON.stringify({ event, message }));

const socket = io(new URL(namespace, url).href, {
  path: '/ws/socket.io', transports, auth: { token }, reconnectionDelay: 100, reconnectionDelayMax: 300,
});
socket.on('ready', () => tell('ready'));
socket.on('new_message', ({ content }) => tell('new_message', content));
socket.on('connect_error', ({ message }) => tell('connect_error', message));
socket.on('disconnect', (reason) => tell('disconnect', reason));
socket.io.on('reconnect_attempt', () => tell('reconnect_attempt'));
process.stdin.resume().on('end', () => process.exit(0));
