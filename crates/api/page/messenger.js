/** Puts the parts together for the person who is signed in: what they know, what they do, and what they see. */

import { call, told } from './api.js';
import { announce, ask, batched, fill, h, toast } from './dom.js';
import { applier } from './events.js';
import { ListView } from './list-view.js';
import { loader } from './loader.js';
import * as notify from './notify.js';
import { Outbox } from './outbox.js';
import { Receipts } from './receipts.js';
import { SignedOut, forget } from './session.js';
import * as snapshot from './snapshot.js';
import { Socket } from './socket.js';
import { Store } from './store.js';
import { ThreadView } from './thread-view.js';

const DRAFTS = 'messenger.drafts';
const SAVE_EVERY = 1500;
/** How long one counts as there after leaving the page. */
const AWAY_AFTER = 60_000;
/** A shorter loss of the connection isn't worth a word. */
const BANNER_AFTER = 2000;
/** Older messages come from catching up, and don't disturb. */
const RECENT = 5 * 60_000;

export class Messenger {
  constructor(root, user) {
    this.root = root;
    this.hasLeft = false;
    this.isClosed = false;
    const store = (this.store = new Store(user));
    this.load = loader(store);
    this.socket = new Socket({
      cursor: () => store.cursor,
      ready: (data, isFresh) => this.ready(data, isFresh),
      frame: (frame) => (this.held ? this.held.push(frame) : this.frame(frame)),
      link: (link) => this.link(link),
      lost: () => {
        store.cursor = null;
        snapshot.clear();
      },
    });
    const send = (frame) => this.socket.send(frame);
    this.outbox = new Outbox(user.id, {
      send,
      changed: (id) => store.tell('thread', id),
      stuck: () => this.socket.gone(),
    });
    this.receipts = new Receipts(store, send);
    this.apply = applier(store, {
      load: (id) => this.load.thread(id),
      incoming: (message, thread) => this.incoming(message, thread),
      settled: (clientId) => this.outbox.settled(clientId),
      removed: (thread) => this.removed(thread),
    });
    /** Frames that wait while everything is read afresh. @type {Object[]|null} */
    this.held = null;
    /** What was begun to write, by thread. @type {Map<string, string>} */
    this.drafts = new Map(JSON.parse(sessionStorage.getItem(DRAFTS) ?? '[]'));
    this.cleanup = [];
  }

  /** Shows what is known, and connects. */
  start() {
    const { store } = this;
    snapshot.restore(store);
    this.list = new ListView(this);
    this.thread = new ThreadView(this);
    this.banner = h('div', { class: 'banner', role: 'status', hidden: true });
    this.frameElement = h('div', { class: 'messenger' }, this.banner, this.list.element, this.thread.element);
    fill(this.root, this.frameElement);

    const title = batched(() => {
      const unread = store.unread();
      document.title = unread ? `(${unread}) Messenger` : 'Messenger';
    });
    store.listen((topic) => {
      if (this.isClosed) return;
      if (topic === 'threads') {
        title();
        this.receipts.plan();
      }
      this.saveSoon();
    });
    title();

    this.on(window, 'hashchange', () => this.route());
    this.on(window, 'pagehide', () => this.save());
    this.on(window, 'storage', (event) => {
      // Another tab has sent what this one still holds.
      if (event.key?.startsWith(this.outbox.prefix) && event.newValue === null) this.outbox.remove(event.key.slice(this.outbox.prefix.length));
    });
    this.on(document, 'visibilitychange', () => this.seen());
    this.on(document, 'keydown', (event) => this.key(event));
    this.route();
    this.list.loadMore();
    this.socket.start();
  }

  on(target, type, listener) {
    target.addEventListener(type, listener);
    this.cleanup.push(() => target.removeEventListener(type, listener));
  }

  /** Ends everything: somebody else is signed in, or nobody. */
  close() {
    this.isClosed = true;
    this.socket.stop();
    this.outbox.pause();
    for (const undo of this.cleanup) undo();
    clearTimeout(this.saving);
    clearTimeout(this.bannerTimer);
    clearTimeout(this.awayTimer);
    snapshot.clear();
    sessionStorage.removeItem(DRAFTS);
    for (const dialog of document.querySelectorAll('dialog')) dialog.close();
  }

  // --- The connection

  async ready(data, isFresh) {
    this.store.presence.clear();
    this.presence = 'online';
    this.sendPresence();
    const turn = (this.turn = (this.turn ?? 0) + 1);
    this.held = null;
    if (isFresh) {
      this.held = [];
      try {
        await this.load.afresh();
      } catch (error) {
        if (turn !== this.turn) return;
        this.held = null;
        if (!(error instanceof SignedOut)) this.socket.gone();
        return;
      }
      // The connection has ended meanwhile, and there is another one.
      if (turn !== this.turn) return;
      this.store.cursor = data.cursor;
      const held = this.held;
      this.held = null;
      for (const frame of held) this.frame(frame);
      this.thread.refresh();
    }
    this.load.presence(this.store.sortedThreads());
    this.receipts.reset();
    this.outbox.flush();
    this.thread.seen();
  }

  frame(frame) {
    if (this.isClosed) return;
    if (frame.type === 'ack') this.acknowledged(frame);
    else if (frame.type === 'error') this.refused(frame);
    else this.apply(frame);
    if (frame.id) this.store.cursor = frame.id;
    if (frame.type.startsWith('message.')) this.thread.seen();
  }

  acknowledged({ client_id, data }) {
    if (data?.seq) {
      this.store.logs.get(data.thread_id)?.take(data, true);
      const thread = this.store.threads.get(data.thread_id);
      if (thread && data.seq > thread.last_seq) {
        thread.last_message = data;
        thread.last_activity_at = data.created_at;
      }
    }
    this.outbox.settled(client_id);
  }

  refused({ client_id, data }) {
    if (client_id && this.outbox.failed(client_id, data)) return;
    if (data.code === 'not_found' || data.code === 'forbidden') return;
    console.warn('The server refused a frame:', data.code, data.detail);
  }

  link(link) {
    this.store.link = link;
    if (link !== 'online') this.outbox.pause();
    clearTimeout(this.bannerTimer);
    if (link === 'online') this.banner.hidden = true;
    else if (link === 'offline') this.warn('You’re offline. What you write is kept, and sent when you’re back.');
    else this.bannerTimer = setTimeout(() => this.warn('Connecting… What you write is kept, and sent as soon as possible.'), this.banner.hidden ? BANNER_AFTER : 0);
    this.store.tell('connection');
  }

  warn(text) {
    this.banner.textContent = text;
    this.banner.hidden = false;
  }

  sendPresence() {
    clearTimeout(this.awayTimer);
    const status = document.hidden ? 'away' : 'online';
    const tell = () => {
      if (this.presence === status) return;
      if (this.socket.send({ type: 'presence', status })) this.presence = status;
    };
    if (status === 'online') tell();
    else this.awayTimer = setTimeout(tell, AWAY_AFTER);
  }

  // --- What happens

  incoming(message, thread) {
    const { store } = this;
    this.receipts.plan();
    const author = store.nameOf(message.sender_id);
    const isSeen = !document.hidden && store.open === thread.id;
    const name = thread.type === 'group' ? `${author} in ${thread.name}` : author;
    announce(isSeen ? `${author}: ${message.text}` : `New message from ${name}`);
    if (!isSeen && Date.now() - new Date(message.created_at) < RECENT) notify.show(name, message.text, thread.id);
  }

  removed(thread) {
    if (this.outbox.of(thread.id).length) for (const { client_id } of this.outbox.of(thread.id)) this.outbox.remove(client_id);
    if (this.store.open !== thread.id) return;
    toast(`You are no longer in “${this.store.titleOf(thread)}”.`);
    location.hash = '';
  }

  /** The person looks at the page again, or no longer. */
  seen() {
    this.sendPresence();
    this.thread.seen();
  }

  // --- What the person does

  /** Shows what the address says. */
  route() {
    const id = location.hash.match(/^#\/thread\/([0-9a-f-]{36})$/)?.[1] ?? null;
    this.store.open = id;
    this.frameElement.classList.toggle('has-open', id !== null);
    this.thread.show(id);
    this.list.render();
  }

  /** Opens a thread. */
  openThread(id) {
    location.hash = `#/thread/${id}`;
  }

  /** Opens the direct thread with a person; it begins now if there is none. */
  async openDirect(userId) {
    const known = [...this.store.threads.values()].find((one) => one.type === 'direct' && this.store.peerOf(one).id === userId);
    if (known) return this.openThread(known.id);
    return this.attempt(async () => {
      const thread = await call('POST', '/threads', { type: 'direct', participant_ids: [userId] });
      this.store.putThread(thread);
      this.load.presence([thread]);
      this.openThread(thread.id);
    });
  }

  /** Does something on the server, and says so if it fails. Returns whether it succeeded. */
  async attempt(work) {
    try {
      await work();
      return true;
    } catch (error) {
      if (!(error instanceof SignedOut)) toast(told(error));
      return false;
    }
  }

  async signOut() {
    const unsent = this.outbox.entries.length;
    if (unsent && !(await ask('Sign out?', 'Some of your messages haven’t been sent yet. They are lost if you sign out.', 'Sign out'))) return;
    this.hasLeft = true;
    await call('POST', '/auth/logout').catch(() => null);
    this.outbox.clear();
    location.hash = '';
    forget();
  }

  /** Esc leaves the thread on a phone; Ctrl+K or “/” goes to the search. */
  key(event) {
    const isTyping = event.target.matches('input, textarea');
    if (document.querySelector('dialog[open]')) return;
    if ((event.key === 'k' && (event.ctrlKey || event.metaKey)) || (event.key === '/' && !isTyping)) {
      event.preventDefault();
      this.list.search.focus();
    }
    if (event.key === 'Escape' && !event.defaultPrevented && this.store.open && !isTyping) location.hash = '';
  }

  // --- Keeping it

  saveSoon() {
    this.saving ??= setTimeout(() => this.save(), SAVE_EVERY);
  }

  save() {
    clearTimeout(this.saving);
    this.saving = null;
    if (this.isClosed) return;
    sessionStorage.setItem(DRAFTS, JSON.stringify([...this.drafts].filter(([, text]) => text.trim())));
    if (!this.held) snapshot.save(this.store);
  }
}
