/** Who takes part in a thread, and what one may change. */

import { call, query } from './api.js';
import { avatar, threadAvatar } from './avatar.js';
import { ask, fill, h, openDialog } from './dom.js';
import { count, lastSeen } from './format.js';
import { icon } from './icons.js';
import { addPeople } from './people-view.js';

const ROLES = { owner: 'Owner', admin: 'Admin', member: 'Member' };

/** Opens the details of a thread. */
export function openDetails(app, threadId) {
  const { store } = app;
  const body = h('div', { class: 'stack' });
  const dialog = h('dialog', { class: 'dialog', 'aria-label': 'Details' },
    h('button', { class: 'round corner', type: 'button', 'aria-label': 'Close', onclick: () => dialog.close() }, icon('close')), body);
  /** Participants beyond those that come with the thread. */
  let more = [];

  const thread = () => store.threads.get(threadId);
  const isOwner = () => thread().me.role === 'owner';
  const isManager = () => thread().me.role !== 'member';

  async function change(work) {
    await app.attempt(work);
    if (dialog.open) draw();
  }

  function presenceOf(id) {
    if (id === store.me.id) return 'you';
    const presence = store.presence.get(id);
    if (!presence || presence.status === 'offline') return presence?.last_seen_at ? lastSeen(presence.last_seen_at) : '';
    return presence.status;
  }

  function person(participant) {
    const { id, username, role } = participant;
    const name = store.nameOf(id);
    const mayRemove = isManager() && id !== store.me.id && (isOwner() || role !== 'owner');
    const setRole = (event) => change(async () => {
      const changed = await call('PATCH', `/threads/${threadId}/participants/${id}`, { role: event.target.value });
      participant.role = changed.role;
      if (id === store.me.id) thread().me.role = changed.role;
    });
    const roles = h('select', { 'aria-label': `Role of ${name}`, onchange: setRole },
      Object.entries(ROLES).map(([value, label]) => h('option', { value, selected: value === role }, label)));
    return h('li', { class: 'person' },
      avatar(id, name, { size: 'small', status: store.presence.get(id)?.status }),
      h('span', { class: 'person-text' }, h('bdi', { class: 'strong' }, name),
        h('span', { class: 'quiet' }, [`@${username}`, presenceOf(id)].filter(Boolean).join(' · '))),
      isOwner() ? roles : role !== 'member' && h('span', { class: 'tag' }, ROLES[role]),
      mayRemove && h('button', { class: 'round', type: 'button', 'aria-label': `Remove ${name}`, title: 'Remove', onclick: () => remove(id, name) }, icon('remove')));
  }

  async function remove(id, name) {
    if (!(await ask('Remove from the group?', `${name} can’t see what is written from then on.`, 'Remove'))) return;
    await change(async () => {
      await call('DELETE', `/threads/${threadId}/participants/${id}`);
      more = more.filter((one) => one.id !== id);
      await app.load.thread(threadId);
    });
  }

  async function leave() {
    if (!(await ask('Leave the group?', 'You see nothing that is written afterwards.', 'Leave'))) return;
    if (await app.attempt(() => call('DELETE', `/threads/${threadId}/participants/${store.me.id}`))) dialog.close();
  }

  async function destroy() {
    if (!(await ask('Delete the group?', 'It disappears for everybody, with all its messages.', 'Delete'))) return;
    if (await app.attempt(() => call('DELETE', `/threads/${threadId}`))) dialog.close();
  }

  function rename() {
    const input = h('input', { value: thread().name, maxlength: 100, 'aria-label': 'Name of the group', dir: 'auto' });
    const save = (event) => {
      event.preventDefault();
      const name = input.value.trim();
      if (!name || name === thread().name) return draw();
      return change(async () => store.putThread(await call('PATCH', `/threads/${threadId}`, { name })));
    };
    fill(heading, h('form', { class: 'rename', onsubmit: save }, input, h('button', { class: 'button primary', type: 'submit' }, 'Save')));
    input.select();
  }

  let heading = null;

  function group() {
    const { name, participants, participant_count } = thread();
    const shown = [...participants, ...more.filter((one) => !participants.some(({ id }) => id === one.id))];
    const first = Object.keys(ROLES);
    shown.sort((a, b) => first.indexOf(a.role) - first.indexOf(b.role) || store.nameOf(a.id).localeCompare(store.nameOf(b.id)));
    heading = h('div', { class: 'row center' }, h('h2', { dir: 'auto' }, name),
      isManager() && h('button', { class: 'round', type: 'button', 'aria-label': 'Rename', title: 'Rename', onclick: rename }, icon('edit')));
    return [
      heading,
      h('div', { class: 'row between' }, h('h3', {}, count(participant_count, 'person', 'people')),
        isManager() && h('button', { class: 'button', type: 'button', onclick: () => addPeople(app, thread(), draw) }, icon('add'), 'Add people')),
      h('ul', { class: 'people' }, shown.map(person)),
      shown.length < participant_count && h('button', { class: 'button', type: 'button', onclick: showMore }, 'Show more'),
      h('div', { class: 'row' },
        h('button', { class: 'button danger-text', type: 'button', onclick: leave }, icon('leave'), 'Leave group'),
        isOwner() && h('button', { class: 'button danger-text', type: 'button', onclick: destroy }, icon('remove'), 'Delete group')),
    ];
  }

  async function showMore() {
    const next = 1 + Math.floor((thread().participants.length + more.length) / 50);
    await change(async () => {
      const page = await call('GET', `/threads/${threadId}/participants${query({ page: next, size: 50 })}`);
      for (const { id, username } of page.items) store.putPerson({ id, username });
      more = more.concat(page.items);
    });
  }

  function direct() {
    const peer = store.peerOf(thread());
    const { bio, created_at } = store.people.get(peer.id) ?? {};
    return [
      h('h2', { class: 'center', dir: 'auto' }, store.titleOf(thread())),
      h('p', { class: 'quiet center' }, [`@${peer.username}`, presenceOf(peer.id)].filter(Boolean).join(' · ')),
      bio && h('p', { class: 'center bio', dir: 'auto' }, bio),
      created_at && h('p', { class: 'quiet center' }, `Here since ${new Date(created_at).toLocaleDateString(undefined, { month: 'long', year: 'numeric' })}`),
    ];
  }

  function draw() {
    if (!thread()) return dialog.close();
    return fill(body, h('div', { class: 'center' }, threadAvatar(store, thread(), 'large')), thread().type === 'group' ? group() : direct());
  }

  draw();
  openDialog(dialog);
  app.load.name([thread()]);
}
