/** The right pane: one thread, or the invitation to choose one. */

import { threadAvatar } from './avatar.js';
import { Composer } from './composer.js';
import { openDetails } from './details-view.js';
import { batched, fill, h } from './dom.js';
import { icon } from './icons.js';
import { LogView } from './log-view.js';
import { statusText } from './status.js';

export class ThreadView {
  constructor(app) {
    this.app = app;
    /** The thread that is shown; null for none, undefined at first. */
    this.id = undefined;
    this.log = null;
    this.composer = null;
    this.element = h('main', { class: 'pane thread-pane' });
    this.title = h('h2', { dir: 'auto' });
    this.status = h('p', { class: 'status' });
    this.picture = h('span', { class: 'picture' });
    this.render = batched(() => this.draw());
    app.store.listen((topic, id) => {
      if (topic === 'connection' || (id && id !== this.id)) return;
      if (id && !app.store.threads.has(id)) return;
      if (topic === 'thread') this.log?.noteUnread();
      this.render();
      if (topic !== 'threads') this.log?.render();
    });
  }

  /** Shows a thread, or none. */
  show(id) {
    if (id === this.id) return;
    this.log?.close();
    this.id = id;
    this.log = null;
    this.composer = null;
    if (!id) return this.showNothing();
    if (!this.app.store.threads.has(id)) return this.find(id);
    this.build();
  }

  showNothing() {
    fill(this.element, h('div', { class: 'empty' }, h('span', { class: 'mark' }, icon('chat')),
      h('h2', {}, 'Your messages'),
      h('p', { class: 'quiet' }, 'Choose a conversation, or search for somebody to write to.')));
  }

  /** The thread isn't among those that are loaded. */
  async find(id) {
    fill(this.element, h('div', { class: 'empty' }, h('span', { class: 'spinner' }), h('span', { class: 'sr' }, 'Loading')));
    const failed = await this.app.load.thread(id).then(() => false, () => true);
    if (this.id !== id || this.log) return;
    if (this.app.store.threads.has(id)) return this.build();
    fill(this.element, h('div', { class: 'empty' }, h('h2', {}, failed ? 'This conversation can’t be loaded' : 'There is no such conversation'),
      h('p', { class: 'quiet' }, 'It was deleted, you are not part of it, or the server can’t be reached.'),
      h('div', { class: 'row' },
        h('button', { class: 'button primary', type: 'button', onclick: () => this.find(id) }, 'Try again'),
        h('a', { class: 'button', href: '#' }, 'Back to the conversations'))));
  }

  build() {
    const { app, id } = this;
    this.log = new LogView(app, id);
    this.composer = new Composer(app, id);
    const details = () => openDetails(app, id);
    fill(this.element,
      h('header', { class: 'bar' },
        h('a', { class: 'round back', href: '#', 'aria-label': 'Back to the conversations' }, icon('back')),
        h('button', { class: 'who', type: 'button', onclick: details, title: 'Details' }, this.picture, h('span', { class: 'who-text' }, this.title, this.status)),
        h('button', { class: 'round', type: 'button', 'aria-label': 'Details', title: 'Details', onclick: details }, icon('info'))),
      this.log.element, this.composer.element);
    this.draw();
    this.composer.changed();
    if (matchMedia('(hover: hover)').matches) this.composer.focus();
  }

  draw() {
    const { store } = this.app;
    const thread = store.threads.get(this.id);
    if (!thread || !this.log) {
      if (thread) this.build();
      // It was deleted, or one was removed from it.
      else if (this.log) location.hash = '';
      return;
    }
    const signature = JSON.stringify([store.titleOf(thread), store.presence.get(store.peerOf(thread)?.id)?.status]);
    if (signature !== this.signature || !this.picture.firstChild) fill(this.picture, threadAvatar(store, thread, 'small'));
    this.signature = signature;
    this.title.textContent = store.titleOf(thread);
    const status = statusText(store, thread);
    this.status.textContent = status;
    this.status.classList.toggle('live', status === 'online' || status.endsWith('typing…'));
    const peer = thread.type === 'direct' ? store.peerOf(thread) : null;
    const isClosed = peer ? !peer.is_active : false;
    this.composer.input.disabled = isClosed;
    this.composer.input.placeholder = isClosed ? 'You can’t write to a closed account' : 'Message';
  }

  /** Everything was read afresh. */
  refresh() {
    if (this.id && !this.app.store.threads.has(this.id)) {
      const id = this.id;
      this.id = null;
      this.show(id);
    } else if (this.log) {
      this.log.top = null;
      this.log.bottom = Infinity;
      this.log.loadFirst();
    }
    this.render();
  }

  edit(message) {
    this.composer.edit(message);
  }

  /** The newest message of one's own. */
  lastOwn() {
    const { store } = this.app;
    const log = store.log(this.id);
    for (let index = log.order.length - 1; index >= 0; index -= 1) {
      const message = log.bySeq.get(log.order[index]);
      if (message.sender_id === store.me.id && !message.deleted_at) return message;
    }
    return null;
  }

  seen() {
    this.log?.check();
  }

  /** Goes back to the list, with the focus on this thread. */
  leave() {
    const row = this.app.list.element.querySelector('[aria-current]');
    location.hash = '';
    row?.focus();
  }
}
