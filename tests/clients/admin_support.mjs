// Shared by the suites of the admin panel and the event console: a server with an admin, a moderator and people to moderate.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { startWeb } from './web_support.mjs';

const PROGRAM = process.env.MANGO_SERVER ?? fileURLToPath(new URL('../../target/debug/mango-chat', import.meta.url));
const PASSWORD = 'mango-demo';
const axe = readFile(new URL('node_modules/axe-core/axe.min.js', import.meta.url), 'utf8');

/** Runs `admin create`, as an operator does beside a running server. */
function createAdmin(folder, username) {
  return new Promise((resolve, reject) => {
    const child = spawn(PROGRAM, ['admin', 'create', '--username', username, '--password-stdin'], {
      cwd: folder,
      stdio: ['pipe', 'ignore', 'pipe'],
      env: {
        ...process.env,
        MANGO_ENV: 'local',
        DATA_DIR: join(folder, 'data'),
        LOG_DIR: join(folder, 'logs'),
        DATABASE_URL: '',
        PASSWORD_HASH: 'argon2id,m=64,t=1,p=1',
      },
    });
    let problem = '';
    child.stderr.on('data', (bytes) => {
      problem += bytes;
    });
    child.once('exit', (code) => (code === 0 ? resolve() : reject(new Error(`admin create: ${problem}`))));
    child.stdin.end(PASSWORD);
  });
}

/** Starts a server with a browser, the admin `root` and the moderator `carol`. */
export async function startPanel(settings = {}) {
  const folder = await mkdtemp(join(tmpdir(), 'mango-panel-'));
  const web = await startWeb({ DATA_DIR: join(folder, 'data'), ...settings });
  const stop = async () => {
    await web.stop();
    await rm(folder, { recursive: true, force: true });
  };
  try {
    await createAdmin(folder, 'root');
    const root = await web.user('root');
    const carol = await web.user('carol');
    await web.rest('PUT', `/admin/user/${carol.id}/role`, root.token, { role: 'moderator' });
    return { ...web, stop, root, carol, panel: (user, at = '') => web.open(user, { path: '/admin', at }) };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** The navigation of the panel, and a link in it. */
export const navigation = (page) => page.getByRole('navigation', { name: 'Admin panel' });
export const section = (page, name) => navigation(page).getByRole('link', { name, exact: true });
export const table = (page, name) => page.getByRole('table', { name, exact: true });
export const row = (page, name, text) => table(page, name).getByRole('row').filter({ hasText: text });
export const side = (page, name) => page.getByRole('complementary', { name });

/** Asserts that axe-core finds nothing on the screen, in both themes. */
export async function assertAccessible(page, screen) {
  if (!(await page.evaluate(() => Boolean(globalThis.axe)))) await page.evaluate(`${await axe}; globalThis.axe = axe;`);
  for (const theme of ['light', 'dark']) {
    await page.evaluate((it) => {
      document.documentElement.dataset.theme = it;
    }, theme);
    // Colours change over a moment.
    await page.waitForTimeout(260);
    const found = await page.evaluate(() =>
      globalThis.axe.run(document, {
        runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'],
      }),
    );
    assert.deepEqual(
      found.violations.map(
        (it) => `${it.id}: ${it.nodes.map((node) => `${node.target} ${node.failureSummary}`).join(' | ')}`,
      ),
      [],
      `${screen}, ${theme}`,
    );
  }
}
