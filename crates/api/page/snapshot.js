/**
 * What the page knows, together with the cursor up to which it is true. After a reload it is on the screen at once, and the
 * server sends what has happened since.
 */

const KEY = 'messenger.snapshot';
const THREADS = 100;
const LOGS = 12;
const MESSAGES = 50;
const MAX_AGE = 7 * 24 * 3_600_000;

/** @param {import('./store.js').Store} store */
export function save(store) {
  if (!store.cursor || store.moreThreads === undefined) return;
  const threads = store.sortedThreads();
  const kept = threads.slice(0, THREADS);
  const logs = kept.slice(0, LOGS).concat(kept.filter(({ id }) => id === store.open));
  const people = new Set(kept.flatMap(({ participants }) => participants.slice(0, 12).map(({ id }) => id)));
  const snapshot = {
    user_id: store.me.id,
    saved_at: Date.now(),
    cursor: store.cursor,
    // The rest is read again, from the first page: what is known already is not doubled.
    more: threads.length > THREADS || store.moreThreads !== null,
    threads: kept,
    logs: [...new Set(logs)].map(({ id }) => [id, store.logs.get(id)]).filter(([, log]) => log?.isLoaded).map(([id, log]) => ({
      id,
      messages: log.order.slice(-MESSAGES).map((seq) => log.bySeq.get(seq)),
      hasOlder: log.order.length > MESSAGES || log.hasOlder,
    })),
    people: [...people].map((id) => store.people.get(id)).filter(Boolean),
  };
  try {
    localStorage.setItem(KEY, JSON.stringify(snapshot));
  } catch {
    // Too large or blocked: the next start reads from the server.
    clear();
  }
}

/** Fills the store. Returns false if nothing of use is kept. */
export function restore(store) {
  let snapshot;
  try {
    snapshot = JSON.parse(localStorage.getItem(KEY));
  } catch {
    return false;
  }
  if (snapshot?.user_id !== store.me.id || Date.now() - snapshot.saved_at > MAX_AGE) return false;
  for (const person of snapshot.people) store.putPerson(person);
  for (const thread of snapshot.threads) store.putThread(thread);
  for (const { id, messages, hasOlder } of snapshot.logs) {
    const log = store.log(id);
    for (const message of messages) log.put(message);
    log.hasOlder = hasOlder;
  }
  store.moreThreads = snapshot.more ? undefined : null;
  store.cursor = snapshot.cursor;
  return true;
}

/** Forgets it. */
export function clear() {
  localStorage.removeItem(KEY);
}
