/** Choosing people: for a new group, and to add them to one. */

import { call, query, told } from './api.js';
import { avatar } from './avatar.js';
import { fill, h, openDialog } from './dom.js';
import { icon } from './icons.js';

/** The most people at once. */
const MOST = 100;

/** A search field with the people who were found, and those who were chosen. */
function picker(app, without) {
  const { store } = app;
  const chosen = new Set();
  const found = h('ul', { class: 'found' });
  const chips = h('div', { class: 'chips' });
  const note = h('p', { class: 'note', role: 'status' }, 'Search by name.');
  let people = [];
  let timer = null;

  const toggle = (id) => {
    if (chosen.has(id)) chosen.delete(id);
    else if (chosen.size < MOST) chosen.add(id);
    draw();
    element.dispatchEvent(new Event('chosen'));
  };
  const input = h('input', {
    type: 'search', placeholder: 'Find people', 'aria-label': 'Find people', autocomplete: 'off', spellcheck: 'false', maxlength: 100,
    oninput: () => {
      clearTimeout(timer);
      timer = setTimeout(search, 200);
    },
    onkeydown: (event) => {
      if (event.key !== 'Enter') return;
      event.preventDefault();
      if (people.length && input.value) toggle(people[0].id);
      input.select();
    },
  });

  async function search() {
    const text = input.value.trim();
    const page = text ? await call('GET', `/users/search${query({ q: text, size: 20 })}`).catch(() => null) : { items: [] };
    if (input.value.trim() !== text) return;
    people = (page?.items ?? []).filter(({ id }) => !without.has(id));
    for (const person of people) store.putPerson(person);
    note.textContent = !page ? 'People can’t be searched now.' : text && !people.length ? 'Nobody found.' : '';
    draw();
  }

  function draw() {
    fill(chips, [...chosen].map((id) => h('button', { class: 'chip', type: 'button', 'aria-label': `Remove ${store.nameOf(id)}`, onclick: () => toggle(id) },
      avatar(id, store.nameOf(id), { size: 'tiny' }), h('bdi', {}, store.nameOf(id)), icon('close'))));
    fill(found, people.map(({ id, username }) => h('li', {}, h('label', { class: 'person' },
      avatar(id, store.nameOf(id), { size: 'small' }),
      h('span', { class: 'person-text' }, h('bdi', { class: 'strong' }, store.nameOf(id)), h('span', { class: 'quiet' }, `@${username}`)),
      checkbox(id)))));
  }

  function checkbox(id) {
    const box = h('input', { type: 'checkbox', onchange: () => toggle(id) });
    box.checked = chosen.has(id);
    return box;
  }

  const element = h('div', { class: 'picker' }, h('div', { class: 'search' }, icon('search'), input), chips, found, note);
  return { element, chosen, input };
}

function dialogWith(title, content, people, action, work) {
  const failure = h('p', { class: 'failure', role: 'alert' });
  const submit = h('button', { class: 'button primary', type: 'submit', disabled: true }, action);
  const form = h('form', {
    class: 'stack', method: 'dialog',
    onsubmit: async (event) => {
      event.preventDefault();
      submit.disabled = true;
      const problem = await work();
      submit.disabled = false;
      failure.textContent = problem ?? '';
      if (!problem) dialog.close();
    },
  }, content, people.element, failure,
    h('div', { class: 'row end' }, h('button', { class: 'button', type: 'button', onclick: () => dialog.close() }, 'Cancel'), submit));
  const dialog = h('dialog', { class: 'dialog', 'aria-labelledby': 'picker-title' }, h('h2', { id: 'picker-title' }, title), form);
  return { dialog, submit };
}

/** Returns what went wrong, or nothing. */
async function problemOf(work) {
  try {
    await work();
    return undefined;
  } catch (error) {
    return told(error);
  }
}

/** Asks for the name and the people of a new group, and opens it. */
export function newGroup(app) {
  const people = picker(app, new Set([app.store.me.id]));
  const name = h('input', { id: 'group-name', maxlength: 100, autocomplete: 'off', dir: 'auto' });
  const field = h('div', { class: 'field' }, h('label', { for: 'group-name' }, 'Name of the group'), name);
  const create = () => problemOf(async () => {
    const thread = await call('POST', '/threads', { type: 'group', name: name.value.trim(), participant_ids: [...people.chosen] });
    app.store.putThread(thread);
    app.openThread(thread.id);
  });
  const { dialog, submit } = dialogWith('New group', field, people, 'Create group', create);
  const check = () => {
    submit.disabled = !name.value.trim() || people.chosen.size === 0;
  };
  name.addEventListener('input', check);
  people.element.addEventListener('chosen', check);
  openDialog(dialog);
  name.focus();
}

/** Asks whom to add to a group. */
export function addPeople(app, thread, done) {
  const people = picker(app, new Set(thread.participants.map(({ id }) => id)));
  const add = () => problemOf(async () => {
    await call('PATCH', `/threads/${thread.id}/participants`, { add: [...people.chosen] });
    await app.load.thread(thread.id);
    done();
  });
  const { dialog, submit } = dialogWith('Add people', null, people, 'Add', add);
  people.element.addEventListener('chosen', () => {
    submit.disabled = people.chosen.size === 0;
  });
  openDialog(dialog);
  people.input.focus();
}
