/** Reads from the REST API into the store. */

import { ApiError, call, query } from './api.js';
import { SignedOut } from './session.js';
import { Log } from './store.js';

const PAGE = 50;

/** @param {import('./store.js').Store} store */
export function loader(store) {
  const reading = new Map();
  let listing = null;
  const wanted = new Set();
  let people = null;

  /** Reads the next page of threads. */
  function threads() {
    if (store.moreThreads === null) return Promise.resolve();
    const cursor = store.moreThreads;
    listing ??= call('GET', `/threads${query({ limit: PAGE, cursor })}`)
      .then((page) => {
        for (const thread of page.items) store.putThread(thread);
        store.moreThreads = page.next_cursor;
        name(page.items);
        store.tell('threads');
      })
      .finally(() => {
        listing = null;
      });
    return listing;
  }

  /** Reads one thread. Calls in the meantime read it once more, so that what they want to see is in it. */
  function thread(id) {
    const known = reading.get(id);
    if (known) {
      known.again = true;
      return known.promise;
    }
    const entry = { again: false, promise: null };
    const read = async () => {
      do {
        entry.again = false;
        try {
          const answer = await call('GET', `/threads/${id}`);
          store.putThread(answer);
          name([answer]);
          presence([answer]);
        } catch (error) {
          if (!(error instanceof ApiError) || error.status !== 404) throw error;
          store.dropThread(id);
        }
      } while (entry.again);
    };
    entry.promise = read().finally(() => reading.delete(id));
    reading.set(id, entry);
    return entry.promise;
  }

  /** Reads the newest messages of a thread, or the next older ones. */
  function messages(id) {
    const log = store.log(id);
    if (log.hasOlder === false) return Promise.resolve();
    log.hasFailed = false;
    log.loading ??= call('GET', `/threads/${id}/messages${query({ limit: PAGE, before: log.isLoaded ? log.order[0] : null })}`)
      .then((page) => filled(log, page))
      .catch((error) => {
        if (error instanceof ApiError && error.status === 404) store.dropThread(id);
        log.hasFailed = true;
      })
      .finally(() => {
        log.loading = null;
        store.tell('thread', id);
      });
    return log.loading;
  }

  /**
   * Reads the threads, and the messages of the open one, afresh. What was known stays on the screen meanwhile. The caller
   * holds events back until then.
   */
  async function afresh() {
    const first = await call('GET', `/threads${query({ limit: PAGE })}`);
    const { open } = store;
    let fresh = null;
    if (open) {
      const page = await call('GET', `/threads/${open}/messages${query({ limit: PAGE })}`).catch(missing);
      if (page) fresh = filled(new Log(), page);
      const isFirst = first.items.some(({ id }) => id === open);
      const opened = isFirst ? null : await call('GET', `/threads/${open}`).catch(missing);
      if (opened) first.items.push(opened);
    }
    // Everything at once: after a restore from a backup the versions are lower.
    store.logs.clear();
    store.threads.clear();
    if (fresh) store.logs.set(open, fresh);
    for (const thread of first.items) store.putThread(thread);
    store.moreThreads = first.next_cursor;
    name(first.items);
    store.tell('threads');
    if (open) store.tell('thread', open);
  }

  function missing(error) {
    if (error instanceof ApiError && error.status === 404) return null;
    throw error;
  }

  function filled(log, page) {
    for (const author of page.authors) store.putPerson(author);
    return log.takePage(page);
  }

  /** Has the full names of the people in these threads read, many at once. */
  function name(threads) {
    for (const { type, participants } of threads) {
      for (const { id } of participants.slice(0, type === 'direct' ? 2 : 12)) wanted.add(id);
    }
    people ??= setTimeout(async () => {
      people = null;
      const ids = [...wanted].filter((id) => store.people.get(id)?.created_at === undefined);
      wanted.clear();
      for (let start = 0; start < ids.length; start += 100) {
        const page = await call('GET', `/users${query({ ids: ids.slice(start, start + 100).join(',') })}`).catch(() => null);
        for (const person of page?.items ?? []) store.putPerson(person);
      }
    }, 50);
  }

  /** Reads who of the other people in these direct threads is online, and when the others were. */
  async function presence(threads) {
    const peers = threads.filter(({ type }) => type === 'direct').map((thread) => store.peerOf(thread).id);
    const ids = peers.filter((id) => id !== store.me.id && !store.presence.has(id)).slice(0, 100);
    if (!ids.length) return;
    const answer = await call('GET', `/users/presence${query({ ids: ids.join(',') })}`).catch(() => null);
    for (const one of answer?.items ?? []) store.presence.set(one.user_id, one);
    store.tell('people');
  }

  const quietly = (promise) =>
    promise.catch((error) => {
      if (!(error instanceof ApiError) && !(error instanceof SignedOut)) throw error;
    });

  return { threads, thread: (id) => quietly(thread(id)), messages, afresh, name, presence };
}
