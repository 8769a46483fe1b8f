// Unmodified clients of one version of socket.io-client in an application without error handling. They print their events
// line by line. `tests/it/real_clients.rs` starts this script.

const [library, url, configurations] = process.argv.slice(2);
const { io } = await import(library);
const options = { path: '/ws/socket.io', forceNew: true, reconnectionDelay: 100, reconnectionDelayMax: 300 };

JSON.parse(configurations).forEach(({ namespace, transports, auth, headers }, client) => {
  const report = (event, message) => console.log(JSON.stringify({ client, event, message }));
  const socket = io(new URL(namespace, url).href, { ...options, transports, auth, extraHeaders: headers });
  socket.on('ready', () => {
    report('ready');
    socket.emit('sync', { since: {} }, ({ ok }) => report('ack', ok));
  });
  socket.on('new_message', ({ content }) => report('new_message', content));
  socket.on('connect_error', ({ message }) => report('connect_error', message));
  socket.on('disconnect', (reason) => report('disconnect', reason));
});
process.stdin.resume().on('end', () => process.exit(0));
