// The service worker: the files of the app from its cache, requests to the graph untouched. The gateway puts PRECACHE
// before this text: the files, and a version made of their content, so that a new release is a new worker and cache.

const PREFIX = 'tradegraph-sales-';
const CACHE = PREFIX + PRECACHE.version;

self.addEventListener('install', (event) => {
  const files = PRECACHE.files.map((file) => new Request(file, { cache: 'no-cache' }));
  event.waitUntil(caches.open(CACHE).then((cache) => cache.addAll(files)));
});

self.addEventListener('activate', (event) => {
  event.waitUntil((async () => {
    const old = (await caches.keys()).filter((name) => name.startsWith(PREFIX) && name !== CACHE);
    await Promise.all(old.map((name) => caches.delete(name)));
    await self.clients.claim();
  })());
});

self.addEventListener('fetch', (event) => {
  const { request } = event;
  if (request.method !== 'GET' || !request.url.startsWith(self.registration.scope)) return;
  event.respondWith((async () => {
    const cache = await caches.open(CACHE);
    const found = await cache.match(request.mode === 'navigate' ? './' : request, { ignoreVary: true });
    return found ?? fetch(request);
  })());
});
