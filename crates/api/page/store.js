/**
 * What the page knows. Everything is keyed by thread, and each part tells its listeners of changes by topic: `threads`,
 * `thread` (with its id), `people`, `connection` and `typing` (with the thread's id).
 */

/** The messages of one thread that are loaded: all from the oldest of them to the newest. */
export class Log {
  constructor() {
    /** Messages and the marks of those that were taken back, by `seq`. @type {Map<number, Object>} */
    this.bySeq = new Map();
    /** Their `seq`, ascending. @type {number[]} */
    this.order = [];
    /** Whether the server has older ones; undefined before the first page. @type {boolean|undefined} */
    this.hasOlder = undefined;
    /** Changes of messages that are on a page which is being loaded. @type {Map<number, Object>} */
    this.early = new Map();
    /** The page that is being loaded. @type {Promise<void>|null} */
    this.loading = null;
    /** Whether the last attempt to load failed. */
    this.hasFailed = false;
  }

  get isLoaded() {
    return this.hasOlder !== undefined;
  }

  /** Takes an event of a message: a new one, or a change of one that is loaded or is being loaded. */
  take(message, isNew) {
    if (isNew || !this.isLoaded || message.seq >= (this.order[0] ?? 0)) this.put(message);
    else if (this.loading) this.early.set(message.seq, message);
  }

  /** Takes a page of messages, next to those that are loaded. */
  takePage(page) {
    for (const message of page.items) this.put(message);
    for (const message of this.early.values()) if (message.seq >= (this.order[0] ?? 0)) this.put(message);
    this.early.clear();
    this.hasOlder = page.next_cursor !== null;
    return this;
  }

  /** Adds or replaces a message. Returns whether it is news: an older version than the known one is not. */
  put(message) {
    const known = this.bySeq.get(message.seq);
    if (known && known.version >= message.version) {
      // A receipt doesn't change the version.
      if (known.version === message.version && !known.deleted_at) {
        known.delivered_at ??= message.delivered_at;
        known.is_read ||= message.is_read;
      }
      return false;
    }
    if (!known) {
      const last = this.order.at(-1);
      this.order.push(message.seq);
      if (last !== undefined && last > message.seq) this.order.sort((a, b) => a - b);
    }
    this.bySeq.set(message.seq, message);
    return true;
  }
}

/** @typedef {'connecting'|'online'|'waiting'|'offline'} Link */

export class Store {
  constructor(me) {
    /** The person who is signed in. */
    this.me = me;
    /** @type {Map<string, Object>} */
    this.threads = new Map();
    /** The cursor of more threads; null when all are loaded, undefined before the first page. */
    this.moreThreads = undefined;
    /** @type {Map<string, Log>} */
    this.logs = new Map();
    /** Names of people, by id. @type {Map<string, Object>} */
    this.people = new Map([[me.id, me]]);
    /** @type {Map<string, {status: string, last_seen_at: string|null}>} */
    this.presence = new Map();
    /** Who is typing, by thread. @type {Map<string, Map<string, number>>} */
    this.typing = new Map();
    /** The thread on the screen. @type {string|null} */
    this.open = null;
    /** @type {Link} */
    this.link = 'connecting';
    /** The cursor of the last event. @type {string|null} */
    this.cursor = null;
    this.listeners = [];
  }

  /** Calls `listener(topic, id)` after each change. */
  listen(listener) {
    this.listeners.push(listener);
  }

  /** Tells of a change. */
  tell(topic, id = null) {
    for (const listener of this.listeners) listener(topic, id);
  }

  /** The log of a thread, empty at first. */
  log(id) {
    let log = this.logs.get(id);
    if (!log) this.logs.set(id, (log = new Log()));
    return log;
  }

  /** Takes a thread as the server has it, unless a newer one is known. */
  putThread(thread) {
    const known = this.threads.get(thread.id);
    for (const { id, username } of thread.participants) this.putPerson({ id, username });
    if (known && known.version > thread.version) return;
    // Receipts don't change the version, and positions only go up.
    if (known) for (const participant of thread.participants) advance(participant, position(known, participant.id));
    if (known?.me && thread.me) advance(thread.me, known.me);
    this.threads.set(thread.id, { ...known, ...thread });
    this.tell('threads');
    this.tell('thread', thread.id);
  }

  /** Forgets a thread: it was deleted, or left. */
  dropThread(id) {
    if (!this.threads.delete(id)) return;
    this.logs.delete(id);
    this.typing.delete(id);
    this.tell('threads');
    this.tell('thread', id);
  }

  /** Takes what is known of a person, and keeps what isn't repeated. */
  putPerson(person) {
    const known = this.people.get(person.id);
    if (known && Object.keys(person).every((key) => known[key] === person[key])) return;
    this.people.set(person.id, { ...known, ...person });
    this.tell('people');
  }

  /** The name of a person to show. */
  nameOf(id) {
    const person = this.people.get(id);
    if (!person) return 'Someone';
    const name = [person.first_name, person.last_name].filter(Boolean).join(' ').trim();
    return name || person.username;
  }

  /** The other person of a direct thread; oneself in the thread with oneself. */
  peerOf(thread) {
    return thread.participants.find(({ id }) => id !== this.me.id) ?? thread.participants[0];
  }

  /** The name of a thread to show. */
  titleOf(thread) {
    if (thread.type === 'group') return thread.name;
    const peer = this.peerOf(thread);
    return peer.id === this.me.id ? `${this.nameOf(peer.id)} (you)` : this.nameOf(peer.id);
  }

  /** The threads, those with the latest activity first. */
  sortedThreads() {
    const byActivity = (a, b) =>
      a.last_activity_at < b.last_activity_at ? 1 : a.last_activity_at > b.last_activity_at ? -1 : a.id < b.id ? 1 : -1;
    return [...this.threads.values()].sort(byActivity);
  }

  /**
   * The number of messages of others after `seq`, if all of these are loaded; otherwise null. The answer to a message of one's
   * own may come before the event of an earlier one.
   * @returns {number|null}
   */
  unreadAfter(thread, seq) {
    const log = this.logs.get(thread.id);
    if (!log?.isLoaded || (log.order.at(-1) ?? 0) < thread.last_seq) return null;
    if (log.hasOlder && log.order[0] > seq + 1) return null;
    let count = 0;
    let index = log.order.length - 1;
    for (; index >= 0 && log.order[index] > seq; index -= 1) {
      const { sender_id, deleted_at } = log.bySeq.get(log.order[index]);
      if (sender_id !== this.me.id && !deleted_at) count += 1;
    }
    return log.order.length - 1 - index === log.order.at(-1) - seq ? count : null;
  }

  /** The number of unread messages in the loaded threads. */
  unread() {
    return [...this.threads.values()].reduce((sum, thread) => sum + thread.unread_count, 0);
  }
}

/** The positions of a participant. */
export function position(thread, userId) {
  return thread.participants.find(({ id }) => id === userId);
}

/** Moves positions forwards to those of `other`. */
export function advance(positions, other) {
  if (!other) return;
  positions.last_read_seq = Math.max(positions.last_read_seq, other.last_read_seq);
  positions.last_delivered_seq = Math.max(positions.last_delivered_seq, other.last_delivered_seq);
}

/**
 * How far a message of one's own has come, with the numbers of people for the tooltip. In a group it counts as read when
 * all have read it.
 * @returns {{state: 'sent'|'delivered'|'read', read: number, delivered: number, others: number}}
 */
export function reach(thread, message) {
  const others = thread.participants.filter((one) => one.id !== message.sender_id && one.is_active);
  const read = others.filter((one) => one.last_read_seq >= message.seq).length;
  const delivered = others.filter((one) => Math.max(one.last_delivered_seq, one.last_read_seq) >= message.seq).length;
  const isWhole = thread.participant_count <= thread.participants.length;
  const needed = thread.type === 'group' && isWhole ? Math.max(others.length, 1) : 1;
  const isRead = needed === 1 ? message.is_read || read >= 1 : read >= needed;
  const isDelivered = needed === 1 ? Boolean(message.delivered_at) || delivered >= 1 : delivered >= needed;
  const state = isRead ? 'read' : isDelivered ? 'delivered' : 'sent';
  return { state, read, delivered, others: others.length };
}
