/** The profile, the theme, notifications, and the way out. */

import { call } from './api.js';
import { avatar } from './avatar.js';
import { fill, h, openDialog } from './dom.js';
import { icon } from './icons.js';
import * as notify from './notify.js';

const THEME = 'messenger.theme';

function setTheme(theme) {
  if (theme === 'system') {
    localStorage.removeItem(THEME);
    delete document.documentElement.dataset.theme;
  } else {
    localStorage.setItem(THEME, theme);
    document.documentElement.dataset.theme = theme;
  }
}

function themes() {
  const now = document.documentElement.dataset.theme ?? 'system';
  return h('fieldset', { class: 'segments' }, h('legend', {}, 'Appearance'),
    Object.entries({ system: 'System', light: 'Light', dark: 'Dark' }).map(([value, label]) =>
      h('label', {}, h('input', { type: 'radio', name: 'theme', value, checked: value === now, onchange: () => setTheme(value) }), h('span', {}, label))));
}

function notifications() {
  const place = h('div', { class: 'row between' });
  const draw = (state) => {
    const text = { on: 'New messages are shown by the browser.', off: 'Get told of new messages.', blocked: 'Blocked. Allow them in the settings of the browser.', unsupported: 'This browser doesn’t offer them here.' }[state];
    const toggle = async () => draw(await notify.turn(state !== 'on'));
    fill(place, h('div', {}, h('h3', {}, 'Notifications'), h('p', { class: 'quiet' }, text)),
      (state === 'on' || state === 'off') && h('button', { class: 'button', type: 'button', onclick: toggle }, icon('bell'), state === 'on' ? 'Turn off' : 'Turn on'));
  };
  draw(notify.state());
  return place;
}

const SHOWN_TO = { everyone: 'Everyone', contacts: 'People I chat with', nobody: 'Nobody' };

/** Who sees whether one is online. The profile is read first, as it isn't kept here. */
function lastSeen(app) {
  const select = h('select', { id: 'last-seen', disabled: true, onchange: () => app.attempt(() => call('PATCH', '/users/me', { last_seen: select.value })) },
    Object.entries(SHOWN_TO).map(([value, label]) => h('option', { value }, label)));
  app.attempt(async () => {
    select.value = (await call('GET', '/users/me')).last_seen;
    select.disabled = false;
  });
  return h('div', { class: 'field' }, h('label', { for: 'last-seen' }, 'Who sees when you are online'), select);
}

/** Opens the settings. */
export function openSettings(app) {
  const { me } = app.store;
  const name = app.store.nameOf(me.id);
  const leave = () => {
    dialog.close();
    app.signOut();
  };
  const dialog = h('dialog', { class: 'dialog small', 'aria-label': 'Settings' },
    h('button', { class: 'round corner', type: 'button', 'aria-label': 'Close', onclick: () => dialog.close() }, icon('close')),
    h('div', { class: 'stack' },
      h('div', { class: 'me' }, avatar(me.id, name), h('div', {}, h('h2', { dir: 'auto' }, name), h('p', { class: 'quiet' }, `@${me.username}`))),
      themes(), lastSeen(app), notifications(),
      h('div', { class: 'row between' }, h('a', { class: 'link', href: '/docs' }, 'API documentation'),
        h('button', { class: 'button danger-text', type: 'button', onclick: leave }, icon('leave'), 'Sign out'))));
  openDialog(dialog);
}
