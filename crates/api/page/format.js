/** Times and names, as the person's language writes them. */

const clock = new Intl.DateTimeFormat(undefined, { hour: 'numeric', minute: '2-digit' });
const weekday = new Intl.DateTimeFormat(undefined, { weekday: 'short' });
const shortDate = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short' });
const longDay = new Intl.DateTimeFormat(undefined, { weekday: 'long', day: 'numeric', month: 'long' });
const longDate = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'long', year: 'numeric' });
const exact = new Intl.DateTimeFormat(undefined, { dateStyle: 'full', timeStyle: 'short' });
const relative = new Intl.RelativeTimeFormat(undefined, { numeric: 'auto' });

const midnight = (date) => new Date(date.getFullYear(), date.getMonth(), date.getDate());
const daysAgo = (date) => Math.round((midnight(new Date()) - midnight(date)) / 86_400_000);
const capital = (text) => text.charAt(0).toLocaleUpperCase() + text.slice(1);

/** The time of day. */
export const timeOf = (iso) => clock.format(new Date(iso));

/** Day and time in full. */
export const exactly = (iso) => exact.format(new Date(iso));

/** A key that is the same for all times of a day. */
export const dayOf = (iso) => midnight(new Date(iso)).getTime();

/** The name of a day: today, yesterday, or a date. */
export function dayName(iso) {
  const date = new Date(iso);
  const days = daysAgo(date);
  if (days === 0 || days === 1) return capital(relative.format(-days, 'day'));
  return date.getFullYear() === new Date().getFullYear() ? longDay.format(date) : longDate.format(date);
}

/** A short time for a list. */
export function when(iso) {
  const date = new Date(iso);
  const days = daysAgo(date);
  if (days <= 0) return clock.format(date);
  if (days === 1) return capital(relative.format(-1, 'day'));
  return days < 7 ? weekday.format(date) : shortDate.format(date);
}

/** When somebody was last seen. */
export function lastSeen(iso) {
  const minutes = Math.round((Date.now() - new Date(iso)) / 60_000);
  if (minutes < 1) return 'last seen just now';
  if (minutes < 60) return `last seen ${relative.format(-minutes, 'minute')}`;
  const days = daysAgo(new Date(iso));
  if (days === 0) return `last seen at ${clock.format(new Date(iso))}`;
  return days === 1 ? `last seen ${relative.format(-1, 'day')}` : `last seen ${shortDate.format(new Date(iso))}`;
}

/** One or two letters for an avatar, whole characters also of other scripts and emoji. */
export function initials(name) {
  const words = name.trim().split(/[\s._-]+/).filter(Boolean);
  const first = (word) => [...new Intl.Segmenter().segment(word)][0]?.segment ?? '';
  const letters = words.length > 1 ? first(words[0]) + first(words.at(-1)) : first(words[0] ?? '?');
  return letters.toLocaleUpperCase();
}

/** A color of the palette, always the same for an id, whose last characters are random. */
export const tone = (id) => `tone-${parseInt(id.slice(-6), 16) % 8}`;

/** A number of things. */
export const count = (number, one, many) => `${number} ${number === 1 ? one : many}`;

/** Names as a list in a sentence. */
export const listed = (names) => new Intl.ListFormat(undefined, { type: 'conjunction' }).format(names);
