/** One message in the log, and one that isn't sent yet. */

import { avatar } from './avatar.js';
import { h } from './dom.js';
import { exactly, timeOf } from './format.js';
import { icon } from './icons.js';
import { ticks } from './status.js';
import { reach } from './store.js';

const ONLY_EMOJI = /^(?:\p{Extended_Pictographic}(?:\p{Emoji_Modifier}|\uFE0F|\u200D\p{Extended_Pictographic})*|\s){1,8}$/u;

function reachTitle({ state, read, delivered, others }) {
  if (others <= 1) return { sent: 'Sent', delivered: 'Delivered', read: 'Read' }[state];
  return `${{ sent: 'Sent', delivered: 'Delivered', read: 'Read' }[state]}: read by ${read} and delivered to ${delivered} of ${others}`;
}

/**
 * The row of a message.
 * @param {import('./messenger.js').Messenger} app
 * @param {Object} thread
 * @param {Object} message
 * @param {{isFirst: boolean, isLast: boolean}} place in a run of messages of the same person
 * @param {{edit: (message: Object) => void, takeBack: (message: Object) => void}} actions
 */
export function messageRow(app, thread, message, { isFirst, isLast }, actions) {
  const { store } = app;
  const isMine = message.sender_id === store.me.id;
  const author = store.nameOf(message.sender_id);
  const isGone = Boolean(message.deleted_at);
  const how = isMine && !isGone ? reach(thread, message) : null;
  const mayRemove = !isGone && (isMine || (thread.type === 'group' && thread.me.role !== 'member'));
  const isEditing = app.thread.composer?.editing?.id === message.id;
  const signature = JSON.stringify([message.version, how, author, isFirst, isLast, mayRemove, isEditing]);
  const classes = ['msg', isMine && 'own', isFirst && 'first', isLast && 'last', isGone && 'gone', isEditing && 'editing',
    !isGone && ONLY_EMOJI.test(message.text) && 'emoji'];
  const build = () => h('li', { class: classes.filter(Boolean).join(' '), tabindex: '-1', data: { seq: message.seq, id: message.id } },
    !isMine && thread.type === 'group' && h('span', { class: 'msg-avatar' }, isLast && message.sender_id && avatar(message.sender_id, author, { size: 'tiny' })),
    h('div', { class: 'bubble' },
      thread.type === 'group' && !isMine && isFirst
        ? h('p', { class: 'author', dir: 'auto' }, author)
        : h('span', { class: 'sr' }, `${isMine ? 'You' : author}: `),
      h('p', { class: 'text', dir: 'auto' }, isGone ? 'Message taken back' : message.text),
      message.created_at && h('span', { class: 'meta' },
        message.edited_at && !isGone && h('span', {}, 'edited'),
        h('time', { datetime: message.created_at, title: exactly(message.created_at) }, timeOf(message.created_at)),
        how && ticks(how.state, reachTitle(how))),
      mayRemove && h('div', { class: 'actions' },
        isMine && h('button', { class: 'round', type: 'button', tabindex: '-1', 'aria-label': 'Edit', title: 'Edit', onclick: () => actions.edit(message) }, icon('edit')),
        h('button', { class: 'round', type: 'button', tabindex: '-1', 'aria-label': 'Take back', title: 'Take back', onclick: () => actions.takeBack(message) }, icon('remove')))));
  return { key: `m${message.seq}`, signature, build };
}

/** The row of a message in the outbox. */
export function pendingRow(app, entry) {
  const build = () => h('li', { class: `msg own first last pending${entry.error ? ' failed' : ''}`, tabindex: '-1', data: { client: entry.client_id } },
    h('div', { class: 'bubble' },
      h('span', { class: 'sr' }, entry.error ? 'Not sent: ' : 'Waiting to be sent: '),
      h('p', { class: 'text', dir: 'auto' }, entry.text),
      h('span', { class: 'meta' }, h('time', { datetime: entry.created_at }, timeOf(entry.created_at)), icon(entry.error ? 'failed' : 'clock', entry.error ? 'Not sent' : 'Waiting to be sent'))),
    entry.error && h('p', { class: 'why' }, `${entry.error} `,
      h('button', { class: 'link', type: 'button', onclick: () => app.outbox.again(entry.client_id) }, 'Send again'), ' · ',
      h('button', { class: 'link', type: 'button', onclick: () => app.outbox.remove(entry.client_id) }, 'Discard')));
  return { key: `p${entry.client_id}`, signature: entry.error ?? '', build };
}
