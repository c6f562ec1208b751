/** Notifications of the browser. Nobody is asked for permission before pressing a button. */

const KEY = 'messenger.notify';

/** @returns {'unsupported'|'blocked'|'off'|'on'} */
export function state() {
  if (!('Notification' in window)) return 'unsupported';
  if (Notification.permission === 'denied') return 'blocked';
  return Notification.permission === 'granted' && localStorage.getItem(KEY) === 'on' ? 'on' : 'off';
}

/** Turns them on or off. Asks the browser for permission the first time. */
export async function turn(isOn) {
  localStorage.setItem(KEY, isOn ? 'on' : 'off');
  if (isOn && Notification.permission === 'default') await Notification.requestPermission();
  return state();
}

/** Shows one, which opens its thread. A later one of the same thread takes its place. */
export function show(title, body, threadId) {
  if (state() !== 'on') return;
  try {
    const note = new Notification(title, { body: body.slice(0, 200), tag: threadId, icon: '/app/icon.svg' });
    note.onclick = () => {
      window.focus();
      location.hash = `#/thread/${threadId}`;
      note.close();
    };
  } catch {
    // Some phones only allow notifications by a service worker.
  }
}
