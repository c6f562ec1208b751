/**
 * Applies the server's events to the store. An event may come twice; those of a thread are dropped by (thread, version), and
 * receipts may be repeated, as positions only go up.
 */

import { position } from './store.js';

/**
 * @param {import('./store.js').Store} store
 * @param {{load: (id: string) => Promise<void>, incoming: (message: Object, thread: Object) => void, settled: (clientId: string) => void,
 *   removed: (thread: Object) => void}} hooks `load` has a thread read again
 */
export function applier(store, hooks) {
  const handlers = {
    'message.created': (event) => message(event, true),
    'message.updated': (event) => message(event, false),
    'message.deleted': deleted,
    'receipt.updated': receipts,
    'thread.created': shared,
    'thread.updated': shared,
    'thread.deleted': ({ thread_id }) => remove(thread_id),
    'participant.added': joined,
    'participant.updated': changed,
    'participant.removed': left,
    'user.updated': ({ data }) => {
      if (data.id !== store.me.id) return;
      Object.assign(store.me, data);
      store.putPerson(data);
    },
    typing,
    presence: ({ data }) => {
      store.presence.set(data.user_id, data);
      store.tell('people');
    },
  };

  /** Whether the thread is known and hasn't seen this version. Notes the version. */
  function isNew(event) {
    const thread = store.threads.get(event.thread_id);
    if (!thread) {
      hooks.load(event.thread_id);
      return null;
    }
    if (event.version <= thread.version) return null;
    thread.version = event.version;
    return thread;
  }

  function tell(id) {
    store.tell('threads');
    store.tell('thread', id);
  }

  function message(event, isCreated) {
    const { author, client_id, ...message } = event.data;
    if (client_id) hooks.settled(client_id);
    if (author) store.putPerson(author);
    const log = store.logs.get(event.thread_id);
    // What was taken back meanwhile has no text.
    if (message.text === undefined) return deleted(event);
    log?.take(message, isCreated);
    if (isCreated && !store.threads.has(event.thread_id)) return first(message);
    const thread = isNew(event);
    if (thread) {
      if (isCreated) {
        thread.last_seq = Math.max(thread.last_seq, message.seq);
        thread.last_activity_at = message.created_at;
        thread.last_message = message;
        stopTyping(thread.id, message.sender_id);
        if (message.sender_id !== store.me.id && message.seq > thread.me.last_read_seq) {
          thread.unread_count += 1;
          hooks.incoming(message, thread);
        }
      } else if (thread.last_message?.id === message.id) {
        thread.last_message = message;
      }
    }
    tell(event.thread_id);
  }

  /** A message of a thread that isn't loaded. */
  async function first(message) {
    await hooks.load(message.thread_id);
    const thread = store.threads.get(message.thread_id);
    if (thread && message.sender_id !== store.me.id) hooks.incoming(message, thread);
  }

  function deleted(event) {
    const { id, seq } = event.data;
    const log = store.logs.get(event.thread_id);
    const known = log?.bySeq.get(seq);
    log?.take({ ...known, id, seq, version: event.version, text: '', deleted_at: event.data.deleted_at ?? event.at }, false);
    const thread = isNew(event);
    if (thread) {
      thread.last_seq = Math.max(thread.last_seq, seq);
      // Only the server knows which message is the last one now, and how many are unread.
      hooks.load(thread.id);
    }
    tell(event.thread_id);
  }

  function receipts(event) {
    const thread = store.threads.get(event.thread_id);
    if (!thread) return;
    for (const { user_id, kind, seq } of event.data.receipts) {
      const isMine = user_id === store.me.id;
      for (const positions of [position(thread, user_id), isMine && thread.me]) {
        if (!positions) continue;
        positions.last_delivered_seq = Math.max(positions.last_delivered_seq, seq);
        if (kind === 'read') positions.last_read_seq = Math.max(positions.last_read_seq, seq);
      }
      // Someone whose positions aren't known: the messages themselves say that somebody has them.
      if (!isMine && !position(thread, user_id)) mark(thread.id, kind, seq, user_id);
      if (isMine && kind === 'read') readByMe(thread);
    }
    tell(thread.id);
  }

  function mark(threadId, kind, seq, userId) {
    const log = store.logs.get(threadId);
    for (const message of log?.bySeq.values() ?? []) {
      if (message.seq > seq || message.sender_id === userId || message.deleted_at) continue;
      message.delivered_at ??= new Date().toISOString();
      if (kind === 'read') message.is_read = true;
    }
  }

  /** Another device has read. What is unread now is exact only together with the thread's version. */
  function readByMe(thread) {
    const unread = store.unreadAfter(thread, thread.me.last_read_seq);
    if (thread.me.last_read_seq >= thread.last_seq) thread.unread_count = 0;
    else if (thread.unread_count > 0 && unread !== null) thread.unread_count = Math.min(thread.unread_count, unread);
    else if (thread.unread_count > 0) hooks.load(thread.id);
  }

  function shared(event) {
    const thread = store.threads.get(event.thread_id);
    if (!thread) return hooks.load(event.thread_id);
    if (event.data.version < thread.version) return;
    const { unread_total: _, ...fields } = event.data;
    store.putThread({ ...thread, ...fields });
  }

  function joined(event) {
    if (event.data.id === store.me.id) {
      // What one may see has changed.
      store.logs.delete(event.thread_id);
      return hooks.load(event.thread_id);
    }
    store.putPerson({ id: event.data.id, username: event.data.username });
    const thread = isNew(event);
    if (!thread) return;
    const { thread: _, unread_count: _count, unread_total: _total, ...participant } = event.data;
    thread.participants = thread.participants.filter(({ id }) => id !== participant.id);
    if (thread.participants.length < 50) thread.participants.push(participant);
    thread.participant_count += 1;
    tell(thread.id);
  }

  function changed(event) {
    const thread = isNew(event);
    if (!thread) return;
    const { id, role } = event.data;
    const participant = position(thread, id);
    if (participant) participant.role = role;
    if (id === store.me.id) thread.me.role = role;
    tell(thread.id);
  }

  function left(event) {
    if (event.data.id === store.me.id) return remove(event.thread_id, event.version);
    const thread = isNew(event);
    if (!thread) return;
    thread.participants = thread.participants.filter(({ id }) => id !== event.data.id);
    thread.participant_count -= 1;
    stopTyping(thread.id, event.data.id);
    tell(thread.id);
  }

  function remove(id, version = Infinity) {
    const thread = store.threads.get(id);
    // Who has come back since has a newer version.
    if (!thread || version < thread.version) return;
    store.dropThread(id);
    hooks.removed(thread);
  }

  function typing({ thread_id, data }) {
    if (data.user_id === store.me.id) return;
    if (!data.active) return stopTyping(thread_id, data.user_id);
    let people = store.typing.get(thread_id);
    if (!people) store.typing.set(thread_id, (people = new Map()));
    clearTimeout(people.get(data.user_id));
    people.set(data.user_id, setTimeout(() => stopTyping(thread_id, data.user_id), data.expires_in_ms ?? 6000));
    store.tell('typing', thread_id);
  }

  function stopTyping(threadId, userId) {
    const people = store.typing.get(threadId);
    if (!people?.has(userId)) return;
    clearTimeout(people.get(userId));
    people.delete(userId);
    store.tell('typing', threadId);
  }

  return (event) => handlers[event.type]?.(event);
}
