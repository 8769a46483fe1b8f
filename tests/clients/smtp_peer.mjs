// A real SMTP server for the Rust suite, which starts it as `node smtp_peer.mjs '{"port": …}'`, controls it by JSON
// lines on stdin, and reads events as JSON lines from stdout. It exits when stdin ends.
//
// Options: port (0: any), tls ("starttls", "wrapped"; default: none), key and cert (PEM), user and password (if given,
// AUTH is required). Behaviours, one per connection: `{"next": [{"at": …, …}]}`; without one, the mail is accepted:
//   at "connect", "mail", "rcpt" or "dot": `code` rejects with this code (after `delay` milliseconds), `drop` cuts the
//   connection, `hang` never responds
//   at "dot": `delay` responds after that many milliseconds; `keep` accepts the mail anyway, so that only the response
//   is lost
//   at "content": `drop` cuts in the middle of the message
//   at "taken": `drop` cuts after the 250

import { createInterface } from 'node:readline';
import PostalMime from 'postal-mime';
import { SMTPServer } from 'smtp-server';

const options = JSON.parse(process.argv[2] ?? '{}');
const behaviours = new Map();
const next = [];
const report = (event) => process.stdout.write(`${JSON.stringify(event)}\n`);

const socketOf = (session) => [...server.connections].find((it) => it.session?.id === session.id || it.id === session.id)?._socket;

/** Runs the behaviour for this point; returns true if it has handled the command. */
function applyBehaviour(session, at, callback) {
  const behaviour = behaviours.get(session.id);
  if (behaviour?.at !== at || (behaviour.delay && !behaviour.code)) return false;
  if (behaviour.hang) return true;
  if (behaviour.drop) {
    socketOf(session)?.destroy();
    return true;
  }
  const rejection = Object.assign(new Error(behaviour.text ?? `${behaviour.code} requested by the test`), { responseCode: behaviour.code });
  report({ event: 'refusing' });
  setTimeout(() => callback(rejection), behaviour.delay ?? 0);
  return true;
}

async function reportMail(raw, session) {
  const { subject, text, html, from, to, messageId, headers } = await PostalMime.parse(raw);
  report({
    event: 'mail', subject, text, html, messageId, from: from?.address, to: to?.map((it) => it.address),
    envelope: { from: session.envelope.mailFrom.address, to: session.envelope.rcptTo.map((it) => it.address) },
    headers: headers.map(({ key, value }) => [key, value]),
    secure: session.secure, user: session.user ?? null, raw: raw.toString('latin1'),
  });
}

const server = new SMTPServer({
  secure: options.tls === 'wrapped',
  hideSTARTTLS: options.tls !== 'starttls',
  ...(options.key ? { key: options.key, cert: options.cert } : {}),
  authOptional: !options.user,
  allowInsecureAuth: true,
  disableReverseLookup: true,
  closeTimeout: 10,
  onConnect(session, callback) {
    const behaviour = next.shift();
    if (behaviour) behaviours.set(session.id, behaviour);
    report({ event: 'connected' });
    if (!applyBehaviour(session, 'connect', callback)) callback();
  },
  onAuth({ username, password }, _session, callback) {
    if (username === options.user && password === options.password) return callback(null, { user: username });
    return callback(Object.assign(new Error('no such user'), { responseCode: 535 }));
  },
  onMailFrom(_address, session, callback) {
    if (!applyBehaviour(session, 'mail', callback)) callback();
  },
  onRcptTo(_address, session, callback) {
    if (!applyBehaviour(session, 'rcpt', callback)) callback();
  },
  onData(stream, session, callback) {
    const parts = [];
    const behaviour = behaviours.get(session.id);
    stream.on('data', (part) => {
      parts.push(part);
      if (behaviour?.at === 'content') socketOf(session)?.destroy();
    });
    stream.on('end', async () => {
      if (behaviour?.at === 'content') return;
      const raw = Buffer.concat(parts);
      if (behaviour?.at !== 'dot' || behaviour.keep || behaviour.delay) await reportMail(raw, session);
      report({ event: 'dot' });
      if (applyBehaviour(session, 'dot', callback)) return;
      if (behaviour?.delay) await new Promise((resolve) => setTimeout(resolve, behaviour.delay));
      callback(null, 'taken');
      if (behaviour?.at === 'taken') setTimeout(() => socketOf(session)?.destroy(), 5);
    });
  },
});
server.on('error', (error) => report({ event: 'error', message: error.message }));
server.listen(options.port ?? 0, '127.0.0.1', () => report({ event: 'listening', port: server.server.address().port }));

createInterface({ input: process.stdin })
  .on('line', (line) => {
    next.push(...JSON.parse(line).next);
    report({ event: 'understood' });
  })
  .on('close', () => process.exit(0));
