// A real SMTP peer for the Rust suite, which starts it as `node smtp_peer.mjs '{"port": …}'`, tells it how to
// behave by JSON lines on stdin, and reads what happened as JSON lines on stdout. It ends with its stdin.
//
// Options: port (0: any), tls ("starttls", "wrapped"; else none), key and cert (PEM), user and password (if given, AUTH
// is required). Behaviours, one per connection, `{"next": [{"at": …, …}]}`; without one the peer accepts the mail:
//   at "connect", "mail", "rcpt" or "dot": `code` refuses with this code (`delay` milliseconds later), `drop` cuts the
//   connection, `hang` never answers
//   at "dot": `delay` answers that many milliseconds later; `keep` accepts the mail anyway, so that only the answer is
//   lost
//   at "content": `drop` cuts in the middle of the message
//   at "taken": `drop` cuts after the 250

import { createInterface } from 'node:readline';
import PostalMime from 'postal-mime';
import { SMTPServer } from 'smtp-server';

const options = JSON.parse(process.argv[2] ?? '{}');
const behaviours = new Map();
const next = [];
const tell = (event) => process.stdout.write(`${JSON.stringify(event)}\n`);

const socketOf = (session) => [...server.connections].find((it) => it.session?.id === session.id || it.id === session.id)?._socket;

/** Runs the behaviour for this point; returns true if it has handled the command. */
function misbehave(session, at, callback) {
  const wish = behaviours.get(session.id);
  if (wish?.at !== at || (wish.delay && !wish.code)) return false;
  if (wish.hang) return true;
  if (wish.drop) {
    socketOf(session)?.destroy();
    return true;
  }
  const refusal = Object.assign(new Error(wish.text ?? `${wish.code} as the test wishes`), { responseCode: wish.code });
  tell({ event: 'refusing' });
  setTimeout(() => callback(refusal), wish.delay ?? 0);
  return true;
}

async function keep(raw, session) {
  const { subject, text, html, from, to, messageId, headers } = await PostalMime.parse(raw);
  tell({
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
    const wish = next.shift();
    if (wish) behaviours.set(session.id, wish);
    tell({ event: 'connected' });
    if (!misbehave(session, 'connect', callback)) callback();
  },
  onAuth({ username, password }, _session, callback) {
    if (username === options.user && password === options.password) return callback(null, { user: username });
    return callback(Object.assign(new Error('no such user'), { responseCode: 535 }));
  },
  onMailFrom(_address, session, callback) {
    if (!misbehave(session, 'mail', callback)) callback();
  },
  onRcptTo(_address, session, callback) {
    if (!misbehave(session, 'rcpt', callback)) callback();
  },
  onData(stream, session, callback) {
    const parts = [];
    const wish = behaviours.get(session.id);
    stream.on('data', (part) => {
      parts.push(part);
      if (wish?.at === 'content') socketOf(session)?.destroy();
    });
    stream.on('end', async () => {
      if (wish?.at === 'content') return;
      const raw = Buffer.concat(parts);
      if (wish?.at !== 'dot' || wish.keep || wish.delay) await keep(raw, session);
      tell({ event: 'dot' });
      if (misbehave(session, 'dot', callback)) return;
      if (wish?.delay) await new Promise((resolve) => setTimeout(resolve, wish.delay));
      callback(null, 'taken');
      if (wish?.at === 'taken') setTimeout(() => socketOf(session)?.destroy(), 5);
    });
  },
});
server.on('error', (error) => tell({ event: 'error', message: error.message }));
server.listen(options.port ?? 0, '127.0.0.1', () => tell({ event: 'listening', port: server.server.address().port }));

createInterface({ input: process.stdin })
  .on('line', (line) => {
    next.push(...JSON.parse(line).next);
    tell({ event: 'understood' });
  })
  .on('close', () => process.exit(0));
