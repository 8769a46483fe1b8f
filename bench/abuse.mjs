// Measures how much one malicious client costs a server: for each attack the server's peak memory, and how long the
// requests of another client take meanwhile. `node bench/abuse.mjs PROGRAM [ATTACK…]` starts the program in a temporary
// folder with the limits of `prod` (except for registering and sending, to prepare the attacks), runs the attacks one
// after the other, and prints one line of JSON for each and one for all. It needs only Node.js 20.15 or newer and
// connects only to loopback.

import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import zlib from 'node:zlib';

const [program, ...chosen] = process.argv.slice(2);
if (program === '--bystander') await runBystander(...chosen);

/** Sends and reads in turn until stdin ends; then prints how long its requests took. */
async function runBystander(port, token, chat) {
  const [durations, failed] = [[], {}];
  const message = JSON.stringify({ message: { chat_id: Number(chat), content: 'hi', message_type: 'text' } });
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
  const agent = new http.Agent({ keepAlive: true });
  const send = (method, path, body) => new Promise((resolve) => {
    const outgoing = http.request({ port, host: '127.0.0.1', method, path, headers, agent }, (response) => {
      response.resume().on('end', () => resolve(response.statusCode)).on('error', () => resolve(0));
    });
    outgoing.on('error', () => resolve(0)).setTimeout(60_000, () => outgoing.destroy()).end(body);
  });
  let stopped = false;
  process.stdin.resume().on('end', () => { stopped = true; });
  console.log('ready');
  for (let turn = 0; !stopped; turn += 1) {
    const start = performance.now();
    const status = await (turn % 2 ? send('GET', '/chat') : send('POST', '/events/send_message', message));
    durations.push(performance.now() - start);
    if (status !== 200) failed[status] = (failed[status] ?? 0) + 1;
    await sleep(40);
  }
  durations.sort((a, b) => a - b);
  console.log(JSON.stringify({ p99_ms: Math.round(durations[Math.floor(durations.length * 0.99)] ?? 0), failed }));
  process.exit(0);
}

const folder = mkdtempSync(join(tmpdir(), 'mango-abuse-'));
const server = spawn(program, ['serve'], {
  cwd: folder, stdio: ['ignore', 'pipe', 'ignore'],
  env: {
    PATH: process.env.PATH, MANGO_ENV: 'test', BIND: '127.0.0.1:0', DATA_DIR: join(folder, 'data'), LOG_DIR: join(folder, 'logs'),
    PASSWORD_HASH: 'argon2id,m=64,t=1,p=1', RATE_LIMIT: 'on', RATE_REGISTER: '1000000/s', RATE_LOGIN: '1000000/s', RATE_SEND: '1000000/s',
  },
});
process.on('exit', () => { server.kill('SIGKILL'); rmSync(folder, { recursive: true, force: true }); });
const url = await new Promise((resolve, reject) => {
  let log = '';
  server.stdout.on('data', (bytes) => {
    const found = /listening on (http:\S+:\d+)/.exec(log += bytes);
    if (found) { resolve(found[1]); server.stdout.removeAllListeners('data'); server.stdout.resume(); }
  });
  server.once('exit', () => reject(new Error(log)));
});
const { port } = new URL(url);

// --- clients ---

const open = new Set();
/** Opens a TCP connection. Its errors are ignored, because attacks provoke them. */
function connect(bytes) {
  const socket = net.connect(Number(port), '127.0.0.1');
  socket.on('error', () => {});
  socket.on('close', () => open.delete(socket));
  open.add(socket);
  if (bytes) socket.write(bytes);
  return socket;
}
const closeAll = () => { for (const socket of open) socket.destroy(); };

const agent = new http.Agent({ keepAlive: true, maxSockets: 64 });
/** Sends a request; returns its status and body, or status 0 if the connection ended. */
function request(method, path, { token, body, headers = {}, from = agent } = {}) {
  return new Promise((resolve) => {
    const text = body === undefined || Buffer.isBuffer(body) || typeof body === 'string' ? body : JSON.stringify(body);
    const allHeaders = { ...(text !== undefined && { 'content-type': 'application/json' }), ...(token && { authorization: `Bearer ${token}` }), ...headers };
    const outgoing = http.request({ port, host: '127.0.0.1', method, path, headers: allHeaders, agent: from }, (response) => {
      let [length, content] = [0, ''];
      response.on('data', (bytes) => { length += bytes.length; if (length < 1_000_000) content += bytes; });
      response.on('end', () => resolve({ status: response.statusCode, length, body: content }));
      response.on('error', () => resolve({ status: 0 }));
    });
    outgoing.on('error', () => resolve({ status: 0 }));
    outgoing.setTimeout(60_000, () => outgoing.destroy());
    outgoing.end(text);
  });
}
const json = async (...args) => JSON.parse((await request(...args)).body);
const event = (token, name, body) => json('POST', `/events/${name}`, { token, body });

async function account() {
  const credentials = { username: `a${randomBytes(6).toString('hex')}`, password: 'correct horse' };
  const { id } = await json('POST', '/user', { body: credentials });
  return { id, token: (await json('POST', '/auth/login', { body: credentials })).access_token };
}
const group = async (token, members = []) =>
  (await event(token, 'create_chat', { chat: { name: 'group', is_group: true, members_array: members } })).chat.id;
const sendMessage = (token, chat, content) => event(token, 'send_message', { message: { chat_id: chat, content, message_type: 'text' } });

/** Returns a client frame (RFC 6455, section 5.2). */
function frame(payload, opcode = 1) {
  const bytes = Buffer.from(payload);
  const head = bytes.length < 126 ? Buffer.from([0x80 | opcode, 0x80 | bytes.length])
    : bytes.length < 65_536 ? Buffer.from([0x80 | opcode, 0xfe, bytes.length >> 8, bytes.length & 255])
      : Buffer.concat([Buffer.from([0x80 | opcode, 0xff, 0, 0, 0, 0]), Buffer.from([bytes.length >>> 24, (bytes.length >> 16) & 255, (bytes.length >> 8) & 255, bytes.length & 255])]);
  return Buffer.concat([head, Buffer.alloc(4), bytes]); // A mask of zeros.
}
const engine = '/socket.io/?EIO=4&transport=websocket';
const handshake = (path, token, extra = '') => `GET ${path} HTTP/1.1\r\nhost: x\r\nconnection: Upgrade\r\nupgrade: websocket\r\n`
  + `sec-websocket-version: 13\r\n${extra}${token ? `auth: ${token}\r\n` : ''}`;
const KEY = 'sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n';
/** Opens a websocket that sends these texts and reads nothing. */
function websocket(path, token, texts = []) {
  const socket = connect(`${handshake(path, token, KEY)}\r\n`);
  socket.once('data', () => { for (const text of texts) socket.write(frame(text)); socket.pause(); });
  return socket;
}
async function polling(token, from = agent) {
  const response = await request('GET', '/socket.io/?EIO=4&transport=polling', { headers: token ? { auth: token } : {}, from });
  return response.status === 200 ? `/socket.io/?EIO=4&transport=polling&sid=${JSON.parse(response.body.slice(1)).sid}` : null;
}
const times = (count, work) => Promise.all(Array.from({ length: count }, (_, index) => work(index)));

// --- measurements ---

const status = (name) => Number(new RegExp(`${name}:\\s+(\\d+)`).exec(readFileSync(`/proc/${server.pid}/status`, 'utf8'))[1]) * 1024;
const cpu = () => readFileSync(`/proc/${server.pid}/stat`, 'utf8').split(') ')[1].split(' ').slice(11, 13).reduce((sum, ticks) => sum + Number(ticks), 0) / 100;
const bystander = await account();
const bystanderChat = await group(bystander.token);
/** Runs another client in a separate process during `work`; returns how long its requests took. */
async function withBystander(work) {
  const child = spawn(process.execPath, [new URL(import.meta.url).pathname, '--bystander', port, bystander.token, bystanderChat], { stdio: ['pipe', 'pipe', 'inherit'] });
  let text = '';
  await new Promise((ready) => child.stdout.on('data', (bytes) => { text += bytes; ready(); }));
  const result = await work();
  child.stdin.end();
  await new Promise((done) => child.once('close', done));
  return { result, ...JSON.parse(text.split('\n')[1]) };
}

// --- attacks ---

const LONG = '\u0001'.repeat(65_000);
let userIds = [];
async function manyUsers() {
  while (userIds.length < 9_990) userIds.push(...await times(50, async () => (await json('POST', '/user', { body: { username: `m${randomBytes(6).toString('hex')}`, password: 'correct horse' } })).id));
  return userIds.slice(0, 9_990);
}
const prepared = {};

const attacks = {
  async connects() {
    const body = Array.from({ length: 62_000 }, () => '40{"token":"x"}').join('\x1e').slice(0, 990_000);
    for (let round = 0; round < 2; round += 1) {
      const sessions = (await times(100, () => polling())).filter(Boolean);
      await Promise.all(sessions.map((path) => request('POST', path, { body, headers: { 'content-type': 'text/plain' } })));
    }
    await sleep(1_000);
  },
  async half_sent() {
    for (let index = 0; index < 100; index += 1) {
      const socket = websocket(engine, null);
      socket.once('data', () => { socket.write(frame('510-["x"]')); for (let part = 0; part < 9; part += 1) socket.write(frame(Buffer.alloc(990_000), 2)); });
    }
    await sleep(5_000);
  },
  async long_pages() {
    const { token } = prepared.author;
    const pages = await times(6, () => request('GET', `/message/${prepared.chat}`, { token }));
    return { bytes: Math.max(...pages.map(({ length }) => length ?? 0)) };
  },
  async slow_readers() {
    for (let index = 0; index < 5; index += 1) connect(`GET /message/${prepared.chat} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${prepared.author.token}\r\n\r\n`).pause();
    await sleep(5_000);
  },
  async histories() {
    const socket = websocket(engine, prepared.author.token, ['40']);
    await sleep(500);
    for (let index = 0; index < 30; index += 1) socket.write(frame(`42${index}["history",{"chat":{"id":${prepared.chat}},"limit":200}]`));
    await sleep(5_000);
  },
  async searches() {
    const { token } = prepared.author;
    const until = Date.now() + 5_000;
    await times(64, async () => { while (Date.now() < until) await request('GET', '/user?query=a&limit=200', { token }); });
  },
  async unread_sockets() {
    for (let index = 0; index < 200; index += 1) websocket(engine, prepared.author.token, ['40']);
    await sleep(1_500);
    await times(30, () => sendMessage(prepared.author.token, prepared.quiet, LONG));
    await sleep(2_000);
  },
  async sessions() {
    const from = new http.Agent({ keepAlive: true, maxSockets: 100 });
    let opened = 0;
    const until = Date.now() + 5_000;
    await times(60, async () => {
      while (Date.now() < until && opened < 6_000) {
        const path = await polling(prepared.author.token, from);
        if (!path) { await sleep(20); continue; }
        opened += 1;
        await request('POST', path, { body: '40', headers: { 'content-type': 'text/plain' }, from });
      }
    });
    from.destroy();
    return { opened };
  },
  async refused_upgrades() {
    let path;
    // Sessions of the previous attack may still be waiting to join.
    while (!(path = await polling(prepared.author.token))) await sleep(500);
    await request('POST', path, { body: '40', headers: { 'content-type': 'text/plain' } });
    for (let round = 0; round < 40; round += 1) {
      await times(15, () => sendMessage(prepared.author.token, prepared.quiet, LONG));
      await new Promise((done) => connect(`${handshake(path.replace('polling', 'websocket'))}\r\n`).once('close', done).once('data', done));
    }
  },
  async long_paths() {
    const path = `/${'a'.repeat(60_000)}`;
    const until = Date.now() + 10_000;
    await times(32, async () => { while (Date.now() < until) await request('GET', path); });
    const logs = join(folder, 'logs');
    return { log_bytes: readdirSync(logs).reduce((sum, name) => sum + statSync(join(logs, name)).size, 0) };
  },
  async large_groups() {
    const members = await manyUsers();
    const responses = await times(40, (index) => request('POST', '/events/create_chat', {
      token: prepared.author.token, body: { chat: { name: `large ${index}`, is_group: true, members_array: members } },
    }));
    return responses.reduce((counts, { status: code }) => ({ ...counts, [code]: (counts[code] ?? 0) + 1 }), {});
  },
  async idle_connections() {
    for (let index = 0; index < 1_004; index += 1) connect();
    await sleep(2_000);
    return { new_client: (await request('GET', '/health/live', { from: new http.Agent() })).status };
  },
  async pictures() {
    const [width, height] = [7_000, 7_000];
    const row = Buffer.alloc(width * 6 + 1);
    const deflate = zlib.createDeflate({ level: 9 });
    const parts = [];
    deflate.on('data', (part) => parts.push(part));
    for (let y = 0; y < height; y += 1) if (!deflate.write(row)) await new Promise((done) => deflate.once('drain', done));
    await new Promise((done) => { deflate.once('end', done); deflate.end(); });
    const chunk = (name, data) => {
      const body = Buffer.concat([Buffer.from(name), data]);
      const out = Buffer.alloc(body.length + 8);
      out.writeUInt32BE(data.length, 0); body.copy(out, 4); out.writeUInt32BE(zlib.crc32(body), body.length + 4);
      return out;
    };
    const head = Buffer.alloc(13);
    head.writeUInt32BE(width, 0); head.writeUInt32BE(height, 4); head.set([16, 2, 0, 0, 0], 8);
    const png = Buffer.concat([Buffer.from('89504e470d0a1a0a', 'hex'), chunk('IHDR', head), chunk('IDAT', Buffer.concat(parts)), chunk('IEND', Buffer.alloc(0))]);
    const body = { photo: png.toString('base64') };
    const responses = await times(4, async () => request('PUT', '/user/me/photo', { token: (await account()).token, body }));
    return { bytes: png.length, statuses: responses.map((it) => it.status) };
  },
  async namespace_churn() {
    const { token } = await account();
    const start = cpu();
    const until = Date.now() + 5_000;
    let rounds = 0;
    await times(16, async () => {
      const socket = connect(`${handshake(engine, token, KEY)}\r\n`);
      await new Promise((done) => socket.once('data', done).once('close', done));
      socket.on('data', (bytes) => {
        const joined = String(bytes).split('40{').length - 1;
        rounds += joined;
        if (joined > 0 && Date.now() < until) socket.write(Buffer.concat([frame('41'), frame('40')]));
      });
      socket.write(frame('40'));
      while (Date.now() < until && !socket.destroyed) await sleep(20);
      socket.destroy();
    });
    return { rounds_per_second: Math.round(rounds / 5), cores: Number(((cpu() - start) / 5).toFixed(2)) };
  },
  async unknown_session_upgrades() {
    for (let round = 0; round < 40; round += 1) {
      await times(250, () => new Promise((done) => {
        const socket = connect(`${handshake(`${engine}&sid=${randomBytes(16).toString('base64url').slice(0, 22)}`, null, KEY)}\r\n`);
        socket.once('data', () => { socket.destroy(); done(); }).once('close', done);
      }));
    }
  },
  async wrong_types() {
    const body = JSON.stringify({ user: { id: '\u0001'.repeat(1_700_000) } });
    const responses = await times(8, () => request('POST', '/events/follow', { token: prepared.author.token, body }));
    return { bytes: Math.max(...responses.map(({ length }) => length ?? 0)) };
  },
};

prepared.author = await account();
prepared.chat = await group(prepared.author.token);
prepared.quiet = await group(prepared.author.token);
const selected = chosen.length ? chosen : Object.keys(attacks);
if (selected.some((name) => ['long_pages', 'slow_readers', 'histories'].includes(name))) {
  for (let batch = 0; batch < 50; batch += 1) await times(20, () => sendMessage(prepared.author.token, prepared.chat, LONG));
}
let [peak, slowest] = [0, 0];
for (const name of selected) {
  if (name === 'large_groups') await manyUsers();
  writeFileSync(`/proc/${server.pid}/clear_refs`, '5');
  const before = status('VmRSS');
  const { result, p99_ms, failed } = await withBystander(attacks[name]);
  closeAll();
  const [high, after] = [status('VmHWM'), status('VmRSS')];
  [peak, slowest] = [Math.max(peak, high), Math.max(slowest, p99_ms)];
  const mb = (bytes) => Math.round(bytes / 1e6);
  console.log(JSON.stringify({ attack: name, before_mb: mb(before), peak_mb: mb(high), after_mb: mb(after), bystander_p99_ms: p99_ms, bystander_failed: failed, ...result }));
  await sleep(1_500);
}
console.log(JSON.stringify({ attack: 'all', peak_mb: Math.round(peak / 1e6), bystander_p99_ms: slowest }));
process.exit(0);
