// The service worker: keeps the files of this version, so that the app opens without a connection.
const VERSION = '{version}';
const FILES = {files};
const CACHE = `mango-${VERSION}`;
const ROOT = new URL('./', self.location).href;
/** Photos have names that never change; of so many, the oldest are dropped. */
const PHOTOS = 'mango-photos';
const MOST_PHOTOS = 400;

self.addEventListener('install', (event) => {
  event.waitUntil((async () => {
    const cache = await caches.open(CACHE);
    // The page itself first; files that are missing later come from the network.
    await cache.put(ROOT, await fetch(ROOT, { cache: 'reload' }));
    await Promise.all(FILES.filter((name) => !/emoji_|icons\//.test(name)).map(async (name) => {
      const address = `${ROOT}web/${VERSION}/${name}`;
      const answer = await fetch(address).catch(() => null);
      if (answer?.ok) await cache.put(address, answer);
    }));
    await self.skipWaiting();
  })());
});

self.addEventListener('activate', (event) => {
  event.waitUntil((async () => {
    for (const name of await caches.keys()) {
      if (name.startsWith('mango-') && name !== CACHE && name !== PHOTOS) await caches.delete(name);
    }
    await self.clients.claim();
    // A page with files of another version says that there is a newer one.
    for (const page of await self.clients.matchAll({ type: 'window' })) page.postMessage({ version: VERSION });
  })());
});

self.addEventListener('fetch', (event) => {
  const { request } = event;
  if (request.method !== 'GET' || !request.url.startsWith(ROOT)) return;
  const path = request.url.slice(ROOT.length).split(/[?#]/)[0];
  if (path.startsWith('web/')) event.respondWith(fileFirst(event));
  else if (request.mode === 'navigate' && path === '') event.respondWith(pageFirst(request));
  else if (path.startsWith('static/')) event.respondWith(fileFirst(event, PHOTOS));
});

async function fileFirst(event, name = CACHE) {
  const { request } = event;
  const cache = await caches.open(name);
  const known = await cache.match(request.url);
  if (known) return known;
  const answer = await fetch(request);
  if (answer.ok && answer.type === 'basic' && !request.headers.has('range')) {
    const kept = cache.put(request.url, answer.clone());
    // The answer does not wait for it, and the worker does not end before it.
    event.waitUntil(kept.then(() => name === PHOTOS && trim(cache)).catch(() => {}));
  }
  return answer;
}

async function trim(cache) {
  const known = await cache.keys();
  for (const old of known.slice(0, Math.max(0, known.length - MOST_PHOTOS))) await cache.delete(old);
}

async function pageFirst(request) {
  const cache = await caches.open(CACHE);
  const control = new AbortController();
  const timer = setTimeout(() => control.abort(), 4000);
  try {
    return await fetch(request, { signal: control.signal });
  } catch {
    return (await cache.match(ROOT)) ?? Response.error();
  } finally {
    // Once the answer has begun, a slow connection may take its time.
    clearTimeout(timer);
  }
}

self.addEventListener('notificationclick', (event) => {
  event.notification.close();
  event.waitUntil((async () => {
    const open = await self.clients.matchAll({ type: 'window', includeUncontrolled: true });
    const to = event.notification.data?.to ?? '#/';
    const page = open.find((it) => new URL(it.url).pathname === new URL(ROOT).pathname);
    if (!page) return self.clients.openWindow(ROOT + to);
    page.postMessage({ to });
    return page.focus();
  })());
});
