/** The left pane: search, the threads, and people to write to. */

import { call, query } from './api.js';
import { avatar, threadAvatar } from './avatar.js';
import { batched, fill, h, reconcile } from './dom.js';
import { when } from './format.js';
import { icon } from './icons.js';
import { newGroup } from './people-view.js';
import { openSettings } from './settings-view.js';
import { ticks, typingText } from './status.js';
import { reach } from './store.js';

/** The most conversations that are loaded for a search. */
const SEARCHED = 500;

export class ListView {
  constructor(app) {
    this.app = app;
    this.found = null;
    this.hasFailed = false;
    this.search = h('input', {
      type: 'search', placeholder: 'Search, or find people', 'aria-label': 'Search conversations and people',
      autocomplete: 'off', spellcheck: 'false', maxlength: 100,
      oninput: () => this.searched(), onkeydown: (event) => this.searchKey(event),
    });
    this.list = h('ul', { class: 'threads' });
    this.people = h('ul', { class: 'threads' });
    this.peopleTitle = h('h2', { class: 'section' }, 'People');
    this.note = h('div', { class: 'list-note', role: 'status' });
    this.scroller = h('nav', { class: 'scroller', 'aria-label': 'Conversations', onscroll: () => this.scrolled(), onkeydown: (event) => this.key(event) },
      this.list, this.peopleTitle, this.people, this.note);
    this.meButton = h('button', { class: 'round', type: 'button', 'aria-label': 'Settings and profile', title: 'Settings', onclick: () => openSettings(app) });
    this.element = h('aside', { class: 'pane list' },
      h('header', { class: 'bar' }, this.meButton, h('h1', {}, 'Chats'),
        h('button', { class: 'round', type: 'button', 'aria-label': 'New group', title: 'New group', onclick: () => newGroup(app) }, icon('compose'))),
      h('div', { class: 'search' }, icon('search'), this.search),
      this.scroller);
    this.render = batched(() => this.draw());
    app.store.listen((topic) => {
      if (topic !== 'connection') this.render();
    });
  }

  async loadMore() {
    this.hasFailed = false;
    try {
      await this.app.load.threads();
    } catch {
      this.hasFailed = true;
    }
    this.render();
  }

  scrolled() {
    const { scrollTop, scrollHeight, clientHeight } = this.scroller;
    // A search also goes through conversations that aren't loaded, but not through endless ones.
    if (this.search.value && this.app.store.threads.size >= SEARCHED) return;
    if (scrollHeight - scrollTop - clientHeight < 600 && this.app.store.moreThreads && !this.hasFailed) this.loadMore();
  }

  searched() {
    clearTimeout(this.timer);
    const text = this.search.value.trim();
    this.found = null;
    this.render();
    if (!text) return;
    this.timer = setTimeout(async () => {
      const page = await call('GET', `/users/search${query({ q: text, size: 20 })}`).catch((error) => ({ items: [], error }));
      if (this.search.value.trim() !== text) return;
      for (const person of page.items) this.app.store.putPerson(person);
      this.found = page;
      this.render();
    }, 200);
  }

  searchKey(event) {
    if (event.key === 'Escape' && this.search.value) {
      event.preventDefault();
      this.clearSearch();
    } else if (event.key === 'ArrowDown' || event.key === 'Enter') {
      event.preventDefault();
      const first = this.scroller.querySelector('.thread');
      if (event.key === 'Enter') first?.click();
      else first?.focus();
    }
  }

  clearSearch() {
    this.search.value = '';
    this.found = null;
    this.render();
  }

  /** Arrow keys, Home and End move through the list. */
  key(event) {
    const rows = [...this.scroller.querySelectorAll('.thread')];
    const index = rows.indexOf(document.activeElement);
    const next = { ArrowDown: index + 1, ArrowUp: index - 1, Home: 0, End: rows.length - 1 }[event.key];
    if (next === undefined || index === -1) return;
    event.preventDefault();
    if (next < 0) this.search.focus();
    else rows[Math.min(next, rows.length - 1)]?.focus();
  }

  draw() {
    const { store } = this.app;
    fill(this.meButton, avatar(store.me.id, store.nameOf(store.me.id), { size: 'small' }));
    const text = this.search.value.trim().toLocaleLowerCase();
    const matches = (thread) =>
      store.titleOf(thread).toLocaleLowerCase().includes(text) ||
      (thread.type === 'direct' && store.peerOf(thread).username.includes(text));
    const threads = store.sortedThreads().filter((thread) => !text || matches(thread));
    reconcile(this.list, threads.map((thread) => this.row(thread)));
    const people = text ? (this.found?.items ?? []).filter(({ id }) => id !== store.me.id || threads.length === 0) : [];
    reconcile(this.people, people.map((person) => this.personRow(person)));
    this.peopleTitle.hidden = people.length === 0;
    this.drawNote(text, threads, people);
    queueMicrotask(() => this.scrolled());
  }

  drawNote(text, threads, people) {
    const { store } = this.app;
    const isLoading = store.moreThreads === undefined && !threads.length && !this.hasFailed && !text;
    const key = JSON.stringify([isLoading, this.hasFailed, text, threads.length > 0, people.length > 0, this.found?.error?.message, Boolean(this.found)]);
    if (key === this.noteKey) return;
    this.noteKey = key;
    if (isLoading) {
      fill(this.note, h('span', { class: 'sr' }, 'Loading conversations'), Array.from({ length: 7 }, () =>
        h('div', { class: 'skeleton-row', 'aria-hidden': 'true' }, h('span', { class: 'skeleton circle' }), h('span', { class: 'skeleton line' }))));
    } else if (this.hasFailed && !text) {
      fill(this.note, h('p', {}, 'The conversations can’t be loaded.'), h('button', { class: 'button', type: 'button', onclick: () => this.loadMore() }, 'Try again'));
    } else if (text) {
      const isEmpty = this.found && !threads.length && !people.length;
      fill(this.note, this.found?.error ? h('p', {}, 'People can’t be searched now.') : isEmpty ? h('p', {}, 'Nobody and nothing found.') : '');
    } else if (!threads.length) {
      fill(this.note, h('p', { class: 'strong' }, 'No conversations yet'), h('p', {}, 'Type a name above to find somebody, or start a group.'));
    } else {
      fill(this.note);
    }
  }

  row(thread) {
    const { store, outbox } = this.app;
    const { last_message: last } = thread;
    const title = store.titleOf(thread);
    const typing = typingText(store, thread);
    const isOpen = store.open === thread.id;
    const unsent = outbox.of(thread.id).at(-1);
    const isMine = last?.sender_id === store.me.id;
    const state = isMine && !unsent ? reach(thread, last).state : null;
    const status = thread.type === 'direct' ? store.presence.get(store.peerOf(thread).id)?.status : undefined;
    const prefix = unsent || isMine ? 'You: ' : thread.type === 'group' && last ? `${store.nameOf(last.sender_id).split(' ')[0]}: ` : '';
    const text = unsent?.text ?? last?.text ?? 'No messages yet';
    const time = when(unsent?.created_at ?? thread.last_activity_at);
    const unread = thread.unread_count;
    const signature = JSON.stringify([title, typing, isOpen, text, prefix, time, unread, state, status, unsent?.error, Boolean(unsent)]);
    const build = () => h('li', {},
      h('a', { class: 'thread', href: `#/thread/${thread.id}`, 'aria-current': isOpen && 'page', onclick: () => this.search.value && this.clearSearch() },
        threadAvatar(store, thread),
        h('span', { class: 'thread-text' },
          h('span', { class: 'thread-top' }, h('span', { class: 'title', dir: 'auto' }, title), h('time', { class: unread ? 'time fresh' : 'time' }, time)),
          h('span', { class: 'thread-bottom' },
            state && ticks(state), unsent && icon(unsent.error ? 'failed' : 'clock', unsent.error ? 'Not sent' : 'Waiting'),
            typing ? h('span', { class: 'preview typing' }, typing) : h('span', { class: 'preview' }, prefix, h('bdi', {}, text.slice(0, 120))),
            unread > 0 && h('span', { class: 'badge' }, unread > 99 ? '99+' : String(unread), h('span', { class: 'sr' }, ' unread'))))));
    return { key: thread.id, signature, build };
  }

  personRow(person) {
    const { store } = this.app;
    const name = store.nameOf(person.id);
    const status = store.presence.get(person.id)?.status;
    const open = () => {
      this.clearSearch();
      this.app.openDirect(person.id);
    };
    const build = () => h('li', {},
      h('button', { class: 'thread', type: 'button', onclick: open },
        avatar(person.id, name, { status }),
        h('span', { class: 'thread-text' }, h('span', { class: 'title', dir: 'auto' }, name), h('span', { class: 'preview' }, `@${person.username}`))));
    return { key: person.id, signature: JSON.stringify([name, status]), build };
  }
}
