/** Tells the server how far messages have come, and that one is typing. Several receipts become one. */

const TYPING_EVERY = 3000;

export class Receipts {
  /**
   * @param {import('./store.js').Store} store
   * @param {(frame: Object) => boolean} send
   */
  constructor(store, send) {
    this.store = store;
    this.send = send;
    this.planned = null;
    this.told = new Map();
    this.typed = new Map();
  }

  /** Forgets what was told: on a new connection it is told again. */
  reset() {
    this.told.clear();
    this.typed.clear();
    this.plan();
  }

  /** Has the receipts sent soon. */
  plan() {
    this.planned ??= setTimeout(() => {
      this.planned = null;
      for (const thread of this.store.threads.values()) this.check(thread);
    }, 150);
  }

  /** Says that the messages of a thread were delivered here, unless it was said before. */
  check(thread) {
    const { me, last_message: last } = thread;
    if (!last || last.seq <= Math.max(me.last_delivered_seq, me.last_read_seq)) return;
    if (last.sender_id === this.store.me.id && thread.unread_count === 0) return;
    this.tell('delivered', thread.id, last.seq);
  }

  /**
   * Says that the messages of a thread up to `seq` were read. The position itself moves when the server confirms it, so that
   * what was lost with a connection is said again on the next one.
   */
  read(thread, seq) {
    if (seq <= thread.me.last_read_seq || (this.told.get(`read ${thread.id}`) ?? 0) >= seq) return;
    const unread = this.store.unreadAfter(thread, thread.me.last_read_seq);
    if (unread === 0) {
      // Only messages of one's own.
      this.told.set(`read ${thread.id}`, seq);
      return;
    }
    if (!this.tell('read', thread.id, seq)) return;
    thread.unread_count = this.store.unreadAfter(thread, seq) ?? (seq >= thread.last_seq ? 0 : thread.unread_count);
    this.store.tell('threads');
  }

  tell(type, threadId, seq) {
    const key = `${type} ${threadId}`;
    if ((this.told.get(key) ?? 0) >= seq) return true;
    if (!this.send({ type, thread_id: threadId, seq })) return false;
    this.told.set(key, seq);
    return true;
  }

  /** Says that one is typing, from time to time. */
  typing(threadId) {
    const now = performance.now();
    if (now - (this.typed.get(threadId) ?? -Infinity) < TYPING_EVERY) return;
    if (this.send({ type: 'typing', thread_id: threadId })) this.typed.set(threadId, now);
  }

  /** What is sent ends the typing. */
  stoppedTyping(threadId) {
    this.typed.delete(threadId);
  }
}
