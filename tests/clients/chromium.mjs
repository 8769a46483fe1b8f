// Chromium with a fresh profile, for the suites that need a browser. CHROMIUM is its path (default: /usr/bin/chromium).
// If it is missing, the suites fail; `scripts/test` installs it.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

/** Opens a browser context with these Playwright options; `close` also deletes the profile. */
export async function launch(options = {}) {
  const profile = await mkdtemp(join(tmpdir(), 'mango-chromium-'));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: process.env.CHROMIUM || '/usr/bin/chromium',
    headless: true,
    args: [
      '--no-sandbox', '--headless', '--disable-gpu', '--disable-quic', '--no-first-run',
      '--disable-background-networking', '--disable-component-update', '--disable-sync',
    ],
    ...options,
  }).catch(async (error) => {
    await rm(profile, { recursive: true, force: true });
    throw error;
  });
  const close = async () => {
    await context.close();
    await rm(profile, { recursive: true, force: true });
  };
  return { context, close };
}
