// Unchanged clients of one version of socket.io-client, in an application that does not handle errors. They print their
// events line by line. `tests/it/real_clients.rs` starts this script.

const [library, url, ways] = process.argv.slice(2);
const { io } = await import(library);
const fast = { path: '/ws/socket.io', forceNew: true, reconnectionDelay: 100, reconnectionDelayMax: 300 };

JSON.parse(ways).forEach(({ namespace, transports, auth, headers }, client) => {
  const tell = (event, message) => console.log(JSON.stringify({ client, event, message }));
  const socket = io(new URL(namespace, url).href, { ...fast, transports, auth, extraHeaders: headers });
  socket.on('ready', () => {
    tell('ready');
    socket.emit('sync', { since: {} }, ({ ok }) => tell('ack', ok));
  });
  socket.on('new_message', ({ content }) => tell('new_message', content));
  socket.on('connect_error', ({ message }) => tell('connect_error', message));
  socket.on('disconnect', (reason) => tell('disconnect', reason));
});
process.stdin.resume().on('end', () => process.exit(0));
