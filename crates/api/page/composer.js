/** Where one writes: a new message, or another text for one that was sent. */

import { call } from './api.js';
import { h } from './dom.js';
import { icon } from './icons.js';

/** The most characters of a message. */
const LIMIT = 4096;

export class Composer {
  constructor(app, threadId) {
    this.app = app;
    this.id = threadId;
    /** The message that is being edited. */
    this.editing = null;
    this.input = h('textarea', {
      rows: 1, dir: 'auto', placeholder: 'Message', 'aria-label': 'Message', autocomplete: 'off', enterkeyhint: 'send',
      oninput: () => this.typed(), onkeydown: (event) => this.key(event),
    });
    this.button = h('button', { class: 'round send', type: 'submit', 'aria-label': 'Send', title: 'Send', disabled: true }, icon('send'));
    this.counter = h('span', { class: 'counter', hidden: true });
    this.note = h('div', { class: 'edit-note', hidden: true }, icon('edit'), h('span', {}, 'Editing a message'),
      h('button', { class: 'round', type: 'button', 'aria-label': 'Stop editing', onclick: () => this.stopEditing() }, icon('close')));
    this.element = h('form', { class: 'composer', onsubmit: (event) => this.submit(event) }, this.note,
      h('div', { class: 'composer-row' }, h('div', { class: 'writing' }, this.input, this.counter), this.button));
    this.input.value = app.drafts.get(threadId) ?? '';
    this.changed();
  }

  focus() {
    this.input.focus();
  }

  get length() {
    return [...this.input.value].length;
  }

  typed() {
    if (!this.editing) {
      this.app.drafts.set(this.id, this.input.value);
      if (this.input.value.trim()) this.app.receipts.typing(this.id);
    }
    this.changed();
  }

  /** Fits the height to the text, and says whether it can be sent. */
  changed() {
    const { input } = this;
    input.style.height = 'auto';
    // The height has the border, and `scrollHeight` does not.
    const border = input.offsetHeight - input.clientHeight;
    if (input.scrollHeight) input.style.height = `${Math.min(input.scrollHeight + border, 180)}px`;
    const left = LIMIT - this.length;
    this.counter.hidden = left > 300;
    this.counter.textContent = String(left);
    this.counter.classList.toggle('error', left < 0);
    this.button.disabled = input.value.trim() === '' || left < 0;
  }

  key(event) {
    // While characters are being composed, Enter ends that.
    if (event.isComposing || event.keyCode === 229) return;
    if (event.key === 'Enter' && !event.shiftKey && !event.altKey) {
      event.preventDefault();
      this.submit(event);
    } else if (event.key === 'Escape') {
      event.preventDefault();
      if (this.editing) this.stopEditing();
      else this.app.thread.leave();
    } else if (event.key === 'ArrowUp' && !this.input.value && !this.editing) {
      const last = this.app.thread.lastOwn();
      if (last) {
        event.preventDefault();
        this.edit(last);
      }
    }
  }

  submit(event) {
    event.preventDefault();
    const text = this.input.value;
    if (this.button.disabled) return;
    if (this.editing) {
      this.save(text);
      return;
    }
    this.set('');
    this.app.drafts.delete(this.id);
    this.app.receipts.stoppedTyping(this.id);
    this.app.outbox.add(this.id, text);
    this.app.thread.log.unreadFrom = null;
    this.app.thread.log.toEnd();
    this.focus();
  }

  set(text) {
    this.input.value = text;
    this.changed();
  }

  edit(message) {
    this.editing = message;
    this.note.hidden = false;
    this.button.replaceChildren(icon('check'));
    this.button.setAttribute('aria-label', 'Save');
    this.set(message.text);
    this.focus();
    this.input.setSelectionRange(message.text.length, message.text.length);
    this.app.thread.log.render();
  }

  stopEditing() {
    this.editing = null;
    this.note.hidden = true;
    this.button.replaceChildren(icon('send'));
    this.button.setAttribute('aria-label', 'Send');
    this.set(this.app.drafts.get(this.id) ?? '');
    this.focus();
    this.app.thread.log.render();
  }

  async save(text) {
    const { editing: message, app } = this;
    if (text === message.text) return this.stopEditing();
    const saved = await app.attempt(async () => {
      const changed = await call('PATCH', `/messages/${message.id}`, { text });
      app.store.logs.get(this.id)?.take(changed, false);
      app.store.tell('thread', this.id);
    });
    if (saved && this.editing === message) this.stopEditing();
    return undefined;
  }
}
