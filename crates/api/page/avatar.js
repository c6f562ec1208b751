/** The round picture of a person or a group: letters on a color. */

import { h } from './dom.js';
import { initials, tone } from './format.js';
import { icon } from './icons.js';

/**
 * @param {string} id decides the color
 * @param {string} name
 * @param {{group?: boolean, status?: string, size?: string}} [options] `status`: online or away, shown as a dot
 */
export function avatar(id, name, { group = false, status, size } = {}) {
  const isPresent = status === 'online' || status === 'away';
  return h('span', { class: `avatar ${tone(id)} ${size ?? ''}`, 'aria-hidden': 'true' },
    group ? icon('group') : initials(name),
    isPresent && h('span', { class: `dot ${status}` }));
}

/** The picture of a thread, with the presence of the other person. */
export function threadAvatar(store, thread, size) {
  if (thread.type === 'group') return avatar(thread.id, thread.name, { group: true, size });
  const peer = store.peerOf(thread);
  const status = peer.id === store.me.id ? undefined : store.presence.get(peer.id)?.status;
  return avatar(peer.id, store.nameOf(peer.id), { status, size });
}
