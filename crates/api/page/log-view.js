/**
 * The messages of a thread. Only those around the visible part are in the document; scrolling moves this window and keeps
 * what one looks at in its place.
 */

import { call } from './api.js';
import { ask, batched, h, reconcile } from './dom.js';
import { dayName, dayOf } from './format.js';
import { icon } from './icons.js';
import { messageRow, pendingRow } from './message-view.js';
import { typingText } from './status.js';

/** How many messages are in the document at first, at most, and by how many the window moves. */
const FIRST = 60;
const MOST = 180;
const STEP = 60;
/** How near to an edge, in pixels, the window moves. */
const NEAR = 900;
/** How near to the end it counts as the end. */
const AT_END = 60;
/** Messages of one person within this time form a run. */
const RUN = 5 * 60_000;

/** The first index of a sorted list whose value is not below `value`. */
function lowerBound(list, value) {
  let [low, high] = [0, list.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (list[middle] < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

export class LogView {
  constructor(app, threadId) {
    this.app = app;
    this.id = threadId;
    /** The lowest and the highest `seq` in the document; null and infinite for the newest ones. */
    this.top = null;
    this.bottom = Infinity;
    /** Whether the view follows the end. */
    this.follows = true;
    /** The first message that was unread when one came. */
    this.unreadFrom = null;
    this.isPlaced = false;
    this.rows = h('ol', { class: 'rows' });
    this.scroller = h('div', { class: 'log', tabindex: '0', role: 'log', 'aria-live': 'off', 'aria-label': 'Messages', onscroll: () => this.scrolled(), onkeydown: (event) => this.key(event), onfocusin: (event) => this.focused(event) }, this.rows);
    this.jumpCount = h('span', { class: 'badge' });
    this.jump = h('button', { class: 'jump', type: 'button', 'aria-label': 'Go to the newest message', hidden: true, onclick: () => this.toEnd() }, icon('down'), this.jumpCount);
    this.element = h('div', { class: 'log-frame' }, this.scroller, this.jump);
    this.render = batched(() => this.draw());
    this.actions = { edit: (message) => app.thread.edit(message), takeBack: (message) => this.takeBack(message) };
    this.resized = new ResizeObserver(() => {
      if (this.follows) this.scrollToEnd();
      this.check();
    });
    this.resized.observe(this.scroller);
    const thread = this.thread;
    if (thread?.unread_count > 0) this.unreadFrom = thread.me.last_read_seq + 1;
    this.loadFirst();
  }

  get thread() {
    return this.app.store.threads.get(this.id);
  }

  get log() {
    return this.app.store.log(this.id);
  }

  close() {
    this.resized.disconnect();
    this.isClosed = true;
  }

  loadFirst() {
    if (!this.log.isLoaded && !this.log.loading) this.app.load.messages(this.id);
    this.render();
  }

  // --- Drawing

  draw() {
    const { thread, log } = this;
    if (!thread || this.isClosed) return;
    if (!log.isLoaded) {
      if (!log.loading && !log.hasFailed) this.app.load.messages(this.id);
      return this.drawLoading();
    }
    const anchor = this.follows ? null : this.anchor();
    reconcile(this.rows, this.rowsNow());
    if (!this.isPlaced) this.place();
    else if (this.follows) this.scrollToEnd();
    else if (anchor?.element.isConnected) this.scroller.scrollTop += anchor.element.getBoundingClientRect().top - anchor.top;
    this.drawJump();
    this.check();
  }

  drawLoading() {
    const widths = ['w40', 'w60 own', 'w30 own', 'w50', 'w70', 'w40 own', 'w60'];
    const failed = [{ key: 'failed', signature: '', build: () => this.failedRow('The messages can’t be loaded.') }];
    const bones = widths.map((width, index) => ({
      key: `bone${index}`, signature: '',
      build: () => h('li', { class: `bone ${width}`, 'aria-hidden': 'true' }, h('span', { class: 'skeleton' })),
    }));
    reconcile(this.rows, this.log.hasFailed ? failed : bones);
  }

  failedRow(text) {
    const again = () => {
      this.log.hasFailed = false;
      this.app.load.messages(this.id);
      this.render();
    };
    return h('li', { class: 'mark' }, `${text} `, h('button', { class: 'link', type: 'button', onclick: again }, 'Try again'));
  }

  /** Where the window begins and ends in the order. */
  range() {
    const { order } = this.log;
    let end = this.bottom === Infinity ? order.length : lowerBound(order, this.bottom + 1);
    let start = this.top === null ? Math.max(0, end - FIRST) : lowerBound(order, this.top);
    if (end - start > MOST) {
      if (this.follows) start = end - MOST;
      else end = start + MOST;
      this.bottom = end === order.length ? Infinity : order[end - 1];
    }
    this.top = order[start] ?? null;
    return [start, end];
  }

  rowsNow() {
    const { app, thread, log } = this;
    const { store } = app;
    const [start, end] = this.range();
    const rows = [];
    if (start === 0) rows.push(this.firstRow(log));
    const unread = this.firstUnread();
    let before = null;
    let beforeDay = null;
    for (let index = start; index < end; index += 1) {
      const message = log.bySeq.get(log.order[index]);
      const next = index + 1 < end ? log.bySeq.get(log.order[index + 1]) : null;
      const day = message.created_at ? dayOf(message.created_at) : beforeDay;
      if (day !== beforeDay && message.created_at) {
        const name = dayName(message.created_at);
        rows.push({ key: `d${day}`, signature: name, build: () => h('li', { class: 'mark day' }, h('span', {}, name)) });
        before = null;
      }
      if (index > 0 && message.seq === unread) {
        rows.push({ key: 'unread', signature: '', build: () => h('li', { class: 'mark unread' }, h('span', {}, 'New messages')) });
        before = null;
      }
      const place = { isFirst: !this.isRun(before, message), isLast: !this.isRun(message, next) || (next && dayOf(next.created_at ?? 0) !== day) };
      rows.push(messageRow(app, thread, message, place, this.actions));
      before = message;
      beforeDay = day;
    }
    if (this.bottom === Infinity) {
      for (const entry of app.outbox.of(this.id)) rows.push(pendingRow(app, entry));
      const typing = typingText(store, thread);
      if (typing) rows.push({ key: 'typing', signature: typing, build: () => this.typingRow(typing) });
    }
    return rows;
  }

  /** The first message of somebody else that was unread; null if there is none. */
  firstUnread() {
    if (this.unreadFrom === null) return null;
    const { log, app } = this;
    const later = log.order.slice(lowerBound(log.order, this.unreadFrom));
    return later.find((seq) => ![app.store.me.id, undefined].includes(log.bySeq.get(seq).sender_id)) ?? null;
  }

  isRun(one, other) {
    return Boolean(one && other) && one.sender_id === other.sender_id && !one.deleted_at === !other.deleted_at &&
      new Date(other.created_at) - new Date(one.created_at) < RUN;
  }

  firstRow(log) {
    const { app, thread } = this;
    if (log.hasOlder && log.hasFailed) return { key: 'older', signature: 'failed', build: () => this.failedRow('Earlier messages can’t be loaded.') };
    if (log.hasOlder) return { key: 'older', signature: 'more', build: () => h('li', { class: 'mark' }, h('span', { class: 'spinner' }), h('span', { class: 'sr' }, 'Loading earlier messages')) };
    const title = app.store.titleOf(thread);
    const text = thread.type === 'group' ? `The beginning of “${title}”` : `The beginning of your conversation with ${title}`;
    return { key: 'start', signature: text, build: () => h('li', { class: 'mark start', dir: 'auto' }, text) };
  }

  typingRow(text) {
    return h('li', { class: 'msg first last typing-row' },
      h('div', { class: 'bubble dots' }, h('span', { class: 'sr' }, text), h('i'), h('i'), h('i')));
  }

  drawJump() {
    this.jump.hidden = this.follows;
    const unread = this.thread.unread_count;
    this.jumpCount.hidden = unread === 0;
    this.jumpCount.textContent = unread > 99 ? '99+' : String(unread);
  }

  // --- Scrolling

  /** The first row on the screen, and its place. */
  anchor() {
    const { top } = this.scroller.getBoundingClientRect();
    for (const element of this.rows.children) {
      const box = element.getBoundingClientRect();
      if (box.bottom > top + 4 && element.classList.contains('msg')) return { element, top: box.top };
    }
    return null;
  }

  /** The first time: at the first unread message, or at the end. */
  place() {
    this.isPlaced = true;
    const unread = this.rows.querySelector('.unread');
    this.scrollToEnd();
    if (!unread) return;
    const above = unread.getBoundingClientRect().top - this.scroller.getBoundingClientRect().top;
    if (above < 0) this.scroller.scrollTop += above - this.scroller.clientHeight / 4;
    this.follows = this.distance() <= AT_END;
  }

  distance() {
    const { scrollHeight, scrollTop, clientHeight } = this.scroller;
    return scrollHeight - scrollTop - clientHeight;
  }

  scrollToEnd() {
    this.scroller.scrollTop = this.scroller.scrollHeight;
  }

  /** Goes to the newest message. */
  toEnd() {
    this.top = null;
    this.bottom = Infinity;
    this.follows = true;
    this.draw();
    this.scrollToEnd();
  }

  scrolled() {
    if (!this.isPlaced) return;
    const follows = this.bottom === Infinity && this.distance() <= AT_END;
    if (follows !== this.follows) {
      this.follows = follows;
      this.drawJump();
    }
    this.check();
  }

  /** Moves the window if an edge is near, and says what has been read. */
  check() {
    if (this.isChecking) return;
    this.isChecking = true;
    requestAnimationFrame(() => {
      this.isChecking = false;
      if (this.isClosed || !this.log.isLoaded || !this.thread) return;
      const { log } = this;
      if (this.scroller.scrollTop < NEAR) this.extendUp(log);
      else if (this.bottom !== Infinity && this.distance() < NEAR) this.extendDown(log);
      this.seen();
    });
  }

  extendUp(log) {
    const [start] = this.range();
    if (start > 0) {
      const from = Math.max(0, start - STEP);
      this.top = log.order[from];
      if (!this.follows && this.range()[1] - from > MOST - STEP) this.bottom = log.order[Math.min(from + MOST, log.order.length) - 1];
      if (this.bottom === log.order.at(-1)) this.bottom = Infinity;
      this.draw();
    } else if (log.hasOlder && !log.loading && !log.hasFailed) {
      this.app.load.messages(this.id);
    }
  }

  extendDown(log) {
    const [start, end] = this.range();
    const to = Math.min(log.order.length, end + STEP);
    this.bottom = to === log.order.length ? Infinity : log.order[to - 1];
    if (to - start > MOST) this.top = log.order[to - MOST];
    this.draw();
  }

  /** Says which messages have been on the screen. */
  seen() {
    const { thread, app } = this;
    if (document.hidden || !thread || !this.isPlaced || app.store.open !== this.id || app.socket.isReady === false) return;
    if (thread.me.last_read_seq >= thread.last_seq) return;
    if (this.follows) return app.receipts.read(thread, this.log.order.at(-1) ?? 0);
    const { bottom } = this.scroller.getBoundingClientRect();
    const rows = this.rows.querySelectorAll('.msg[data-seq]');
    for (let index = rows.length - 1; index >= 0; index -= 1) {
      if (rows[index].getBoundingClientRect().bottom <= bottom + 8) return app.receipts.read(thread, Number(rows[index].dataset.seq));
    }
    return undefined;
  }

  /** A message has come. While nobody looks, it begins the part that is new. */
  noteUnread() {
    const { thread } = this;
    if (thread?.unread_count > 0 && document.hidden && (this.unreadFrom === null || this.unreadFrom <= thread.me.last_read_seq)) {
      this.unreadFrom = thread.me.last_read_seq + 1;
    }
  }

  // --- Keyboard and actions

  /** The message with the focus is the one that Tab comes back to, and its buttons can be reached. */
  focused(event) {
    const row = event.target.closest('.msg');
    if (!row || row === this.current) return;
    this.mark(this.current, '-1');
    this.mark(row, '0');
    this.current = row;
  }

  mark(row, tabIndex) {
    if (!row) return;
    row.tabIndex = Number(tabIndex);
    for (const button of row.querySelectorAll('.actions button')) button.tabIndex = Number(tabIndex);
  }

  key(event) {
    const row = event.target.closest('.msg');
    if (event.key === 'Escape') {
      event.preventDefault();
      this.app.thread.composer.focus();
      return;
    }
    if (event.target !== row && event.target !== this.scroller) return;
    const rows = [...this.rows.querySelectorAll('.msg')];
    const index = rows.indexOf(row);
    if (event.key === 'Enter' && row) {
      event.preventDefault();
      row.querySelector('button')?.focus();
    } else if (event.key === 'ArrowUp' || event.key === 'ArrowDown') {
      event.preventDefault();
      const next = index === -1 ? rows.at(-1) : rows[index + (event.key === 'ArrowUp' ? -1 : 1)];
      if (next) {
        next.focus({ preventScroll: true });
        next.scrollIntoView({ block: 'nearest' });
      } else if (event.key === 'ArrowDown') {
        this.app.thread.composer.focus();
      }
    }
  }

  async takeBack(message) {
    const { app } = this;
    const isMine = message.sender_id === app.store.me.id;
    if (!(await ask('Take the message back?', isMine ? 'Nobody can see it afterwards, not even you.' : 'Nobody can see it afterwards.', 'Take back'))) return;
    await app.attempt(() => call('DELETE', `/messages/${message.id}`));
    app.thread.composer?.focus();
  }
}
