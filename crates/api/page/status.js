/** Short signs of what is going on: ticks, typing, presence. */

import { count, lastSeen, listed } from './format.js';
import { icon } from './icons.js';

const TICKS = { sent: 'Sent', delivered: 'Delivered', read: 'Read' };

/** The ticks of a message of one's own. */
export function ticks(state, title) {
  const svg = icon(state === 'sent' ? 'sent' : 'delivered', title ?? TICKS[state]);
  svg.classList.add('ticks', state);
  return svg;
}

/** Who is typing in a thread, in words; empty if nobody. */
export function typingText(store, thread) {
  const people = [...(store.typing.get(thread.id)?.keys() ?? [])];
  if (!people.length) return '';
  if (thread.type === 'direct') return 'typing…';
  const names = people.slice(0, 2).map((id) => store.nameOf(id));
  if (people.length > 2) return `${people.length} people are typing…`;
  return `${listed(names)} ${people.length === 1 ? 'is' : 'are'} typing…`;
}

/** The line below the name of a thread. */
export function statusText(store, thread) {
  const typing = typingText(store, thread);
  if (typing) return typing;
  if (thread.type === 'group') {
    const online = thread.participants.filter(({ id }) => id !== store.me.id && store.presence.get(id)?.status === 'online').length;
    return count(thread.participant_count, 'person', 'people') + (online ? `, ${online} online` : '');
  }
  const peer = store.peerOf(thread);
  if (peer.id === store.me.id) return 'Notes to yourself';
  if (!peer.is_active) return 'This account is closed';
  const presence = store.presence.get(peer.id);
  if (presence?.status === 'online' || presence?.status === 'away') return presence.status;
  return presence?.last_seen_at ? lastSeen(presence.last_seen_at) : `@${peer.username}`;
}
