// A Chromium with a profile of its own, for the suites that need a browser. It is CHROMIUM, else /usr/bin/chromium;
// where it is missing they fail, because `scripts/test` installs it.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

/** A browser context with these options of Playwright's; `close` takes the profile away with it. */
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
