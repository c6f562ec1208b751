/**
 * One value that all tabs agree on. A tab sees what another one has written to localStorage only after a while; a transaction
 * of IndexedDB sees all that were finished before it.
 */

const STORE = 'values';
const KEY = 'session';

/** The result of a request or the end of a transaction. */
const finished = (target, event) =>
  new Promise((resolve, reject) => {
    target[`on${event}`] = () => resolve(target.result);
    target.onerror = target.onabort = () => reject(target.error);
  });

let opened = null;

function open() {
  opened ??= (() => {
    const request = indexedDB.open('messenger', 1);
    request.onupgradeneeded = () => request.result.createObjectStore(STORE);
    return finished(request, 'success');
  })();
  return opened;
}

/** Returns the value; undefined if there is none, or if the browser doesn't offer the storage. */
export async function get() {
  try {
    const store = (await open()).transaction(STORE).objectStore(STORE);
    return await finished(store.get(KEY), 'success');
  } catch {
    return undefined;
  }
}

/** Keeps a value. */
export async function set(value) {
  try {
    const transaction = (await open()).transaction(STORE, 'readwrite');
    transaction.objectStore(STORE).put(value, KEY);
    await finished(transaction, 'complete');
  } catch {
    // Without it the tabs share localStorage alone.
  }
}
