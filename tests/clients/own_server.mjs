// A separate server for tests that need different settings from the server of the suites. MANGO_SERVER is its program.

import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const PROGRAM = process.env.MANGO_SERVER ?? fileURLToPath(new URL('../../target/debug/mango-chat', import.meta.url));
const START_TIMEOUT_MS = 60_000;

/** Starts the server on a free port, with a SQLite file in a temporary folder; `stop` also deletes the folder. */
export async function startServer(settings = {}) {
  const folder = await mkdtemp(join(tmpdir(), 'mango-server-'));
  const child = spawn(PROGRAM, ['serve'], {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      ...process.env, MANGO_ENV: 'test', BIND: '127.0.0.1:0', DATA_DIR: join(folder, 'data'), LOG_DIR: join(folder, 'logs'),
      DATABASE_URL: '', PASSWORD_HASH: 'argon2id,m=64,t=1,p=1', ...settings,
    },
  });
  const exited = new Promise((resolve) => child.once('exit', resolve));
  const stop = async () => {
    child.kill('SIGTERM');
    await exited;
    await rm(folder, { recursive: true, force: true });
  };
  let log = '';
  const url = await new Promise((resolve, reject) => {
    const fail = (reason) => reject(new Error(`${reason}; its log:\n${log}`));
    const timer = setTimeout(() => fail(`no address within ${START_TIMEOUT_MS} ms`), START_TIMEOUT_MS);
    const read = (bytes) => {
      log += bytes;
      const found = /listening on (http:\/\/[\d.]+:\d+)/.exec(log);
      if (!found) return;
      clearTimeout(timer);
      resolve(found[1]);
    };
    child.stdout.on('data', read);
    child.stderr.on('data', read);
    child.once('error', (error) => fail(error.message));
    exited.then((code) => fail(`the server exited with ${code}`));
  }).catch(async (error) => {
    await stop();
    throw error;
  });
  return { url, stop };
}
