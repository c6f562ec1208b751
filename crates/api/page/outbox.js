/**
 * Messages that the server hasn't acknowledged. They are in localStorage, an entry each, so that they survive a reload and
 * tabs don't overwrite each other's. Sending one again is safe, as the server keeps its `client_id` for a day.
 */

import { explain } from './api.js';

const DAY = 23 * 3_600_000;
const ACK_TIMEOUT = 20_000;
/** How often a message is tried again that the server fails on. */
const RETRIES = 8;

/** @typedef {{client_id: string, thread_id: string, text: string, created_at: string, tried_at: number|null,
 *   error: string|null}} Entry */

/** An id that also works on an origin that isn't secure, where `randomUUID` is missing. */
function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

export class Outbox {
  /**
   * @param {string} userId
   * @param {{send: (frame: Object) => boolean, changed: (threadId: string) => void, stuck: () => void}} hooks
   */
  constructor(userId, hooks) {
    this.prefix = `messenger.outbox.${userId}.`;
    this.hooks = hooks;
    /** In the order of writing. @type {Entry[]} */
    this.entries = this.read();
    /** The entry of each thread that waits for its answer: they go one after the other, so that their order is kept. */
    this.waiting = new Map();
    this.retries = 0;
  }

  read() {
    const keys = Object.keys(localStorage).filter((key) => key.startsWith(this.prefix));
    const entries = keys.flatMap((key) => {
      try {
        return [JSON.parse(localStorage.getItem(key))];
      } catch {
        return [];
      }
    });
    return entries.sort((a, b) => (a.created_at < b.created_at ? -1 : a.created_at > b.created_at ? 1 : 0));
  }

  /** Returns false if the storage is full or blocked. The entry is then only in memory. */
  save(entry) {
    try {
      localStorage.setItem(this.prefix + entry.client_id, JSON.stringify(entry));
      return true;
    } catch {
      return false;
    }
  }

  /** The entries of a thread. */
  of(threadId) {
    return this.entries.filter((entry) => entry.thread_id === threadId);
  }

  /** Adds a message and sends it as soon as it can be. */
  add(threadId, text) {
    // Two entries of the same millisecond keep their order.
    const last = Date.parse(this.entries.at(-1)?.created_at ?? 0);
    const created_at = new Date(Math.max(Date.now(), last + 1)).toISOString();
    const entry = { client_id: newId(), thread_id: threadId, text, created_at, tried_at: null, error: null };
    this.save(entry);
    this.entries.push(entry);
    this.hooks.changed(threadId);
    this.flush();
  }

  /** Sends what can be sent: the first entry of each thread. */
  flush() {
    const blocked = new Set(this.waiting.keys());
    for (const entry of this.entries) {
      if (entry.error || blocked.has(entry.thread_id)) continue;
      blocked.add(entry.thread_id);
      if (entry.tried_at && Date.now() - entry.tried_at > DAY) {
        this.refuse(entry, 'It isn’t certain whether this was sent.');
        continue;
      }
      const { client_id, thread_id, text } = entry;
      if (!this.hooks.send({ type: 'message.send', client_id, thread_id, text })) return;
      entry.tried_at ??= Date.now();
      this.save(entry);
      const timer = setTimeout(() => this.hooks.stuck(), ACK_TIMEOUT);
      this.waiting.set(thread_id, { client_id, timer });
    }
  }

  /** The connection has ended: nothing waits for an answer any more. */
  pause() {
    for (const { timer } of this.waiting.values()) clearTimeout(timer);
    this.waiting.clear();
  }

  /** The server has the message. */
  settled(clientId) {
    this.retries = 0;
    this.remove(clientId);
    this.flush();
  }

  /** Takes an entry out. */
  remove(clientId) {
    localStorage.removeItem(this.prefix + clientId);
    const entry = this.entries.find((one) => one.client_id === clientId);
    if (!entry) return;
    this.entries = this.entries.filter((one) => one !== entry);
    this.release(entry);
    this.hooks.changed(entry.thread_id);
  }

  release(entry) {
    const waiting = this.waiting.get(entry.thread_id);
    if (waiting?.client_id !== entry.client_id) return;
    clearTimeout(waiting.timer);
    this.waiting.delete(entry.thread_id);
  }

  /** The server refused the message. What passes by itself is tried again. Returns whether it is one of these entries. */
  failed(clientId, problem) {
    const entry = this.entries.find((one) => one.client_id === clientId);
    if (!entry) return false;
    // The connection ends now, and the message is sent again on the next one.
    if (problem.status === 401) return true;
    if (problem.status === 503 || problem.status === 429 || (problem.status >= 500 && this.retries < RETRIES)) {
      this.retries += 1;
      const delay = Math.min(30_000, 500 * 2 ** this.retries) * (0.5 + Math.random() / 2);
      setTimeout(() => {
        this.release(entry);
        this.flush();
      }, delay);
      return true;
    }
    this.refuse(entry, explain(problem));
    this.flush();
    return true;
  }

  refuse(entry, error) {
    entry.error = error;
    this.save(entry);
    this.release(entry);
    this.hooks.changed(entry.thread_id);
  }

  /** Sends an entry again that was refused. It is another message for the server. */
  again(clientId) {
    const entry = this.entries.find((one) => one.client_id === clientId);
    if (!entry) return;
    this.remove(clientId);
    this.add(entry.thread_id, entry.text);
  }

  /** Forgets everything: the person has signed out. */
  clear() {
    this.pause();
    for (const { client_id } of this.entries) localStorage.removeItem(this.prefix + client_id);
    this.entries = [];
  }
}
