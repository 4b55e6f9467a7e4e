// IndexedDB of the app: what was read, drafts and orders, each record of one subject. Never a token.

const NAME = 'tradegraph-sales';
const KEYS = {
  customers: ['subject', 'number'],
  items: ['subject', 'customer', 'sku'],
  drafts: ['subject', 'customer'],
  orders: ['subject', 'key'],
};
const READ = { customers: 200, items: 2000 }; // Records that a subject may have of what was read.

let opened = null;

function database() {
  opened ??= new Promise((done, fail) => {
    const request = indexedDB.open(NAME, 1);
    request.onupgradeneeded = () => {
      for (const [store, keyPath] of Object.entries(KEYS)) request.result.createObjectStore(store, { keyPath });
    };
    request.onsuccess = () => {
      request.result.onversionchange = () => request.result.close();
      done(request.result);
    };
    request.onerror = () => fail(request.error);
  });
  return opened;
}

const result = (request) => new Promise((done, fail) => {
  request.onsuccess = () => done(request.result);
  request.onerror = () => fail(request.error);
});

// One transaction. It has ended, on the disk where it wrote, when the promise is resolved with what `work` returned.
async function transaction(stores, mode, work) {
  const opening = (await database()).transaction(stores, mode, { durability: 'strict' });
  const ended = new Promise((done, fail) => {
    opening.oncomplete = done;
    opening.onabort = () => fail(opening.error ?? new Error('The transaction was aborted.'));
  });
  const value = work(...[stores].flat().map((store) => opening.objectStore(store)));
  const [found] = await Promise.all([value, ended]);
  return found;
}

const ofSubject = (subject) => IDBKeyRange.bound([subject], [subject, []]);

export function get(store, ...key) {
  return transaction(store, 'readonly', (records) => result(records.get(key)));
}

export function list(store, subject) {
  return transaction(store, 'readonly', (records) => result(records.getAll(ofSubject(subject))));
}

// Replaces a record by what `change` returns for it, undefined if there is none; null or undefined leaves it as it is.
export function update(store, key, change) {
  return transaction(store, 'readwrite', async (records) => {
    const next = change(await result(records.get(key)));
    if (next !== null && next !== undefined) records.put(next);
    return next;
  });
}

export function remove(store, ...key) {
  return transaction(store, 'readwrite', (records) => result(records.delete(key)));
}

// Merges what was read into the records, and deletes the oldest above the limit.
export function remember(store, subject, read) {
  const seenAt = Date.now();
  return transaction(store, 'readwrite', async (records) => {
    for (const one of read) {
      const key = KEYS[store].map((name) => (name === 'subject' ? subject : one[name]));
      records.put({ ...await result(records.get(key)), ...one, subject, seenAt });
    }
    const all = await result(records.getAll(ofSubject(subject)));
    const surplus = all.sort((a, b) => b.seenAt - a.seenAt).slice(READ[store]);
    for (const one of surplus) records.delete(KEYS[store].map((name) => one[name]));
  });
}

// Turns a draft into an order, once: undefined if there is no draft any more.
export function placeDraft(subject, customer, orderOf) {
  return transaction(['drafts', 'orders'], 'readwrite', async (drafts, orders) => {
    const draft = await result(drafts.get([subject, customer]));
    if (draft === undefined) return undefined;
    const order = orderOf(draft);
    orders.add(order);
    drafts.delete([subject, customer]);
    return order;
  });
}

// Deletes what was read; drafts and orders stay for the subject's next sign-in.
export function deleteRead(subject) {
  return transaction(Object.keys(READ), 'readwrite', (...stores) => {
    for (const records of stores) records.delete(ofSubject(subject));
  });
}
