/** Builds elements. Text is only ever set as text, never as HTML. */

/**
 * Creates an element.
 * @param {string} tag
 * @param {Object<string, any>} [props] attributes; `class`, `data` and listeners (`onclick`) have their usual meaning,
 *   and null, undefined and false leave an attribute out
 * @param {...(Node|string|null|undefined|false|Array)} children
 * @returns {HTMLElement}
 */
export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else if (name === 'data') Object.assign(element.dataset, value);
    else if (name === 'value') element.value = value;
    else element.setAttribute(name, value === true ? '' : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Replaces the children of an element. */
export function fill(element, ...children) {
  element.replaceChildren(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/**
 * Brings the children of `parent` into line with `rows`, and touches only what differs.
 * @param {HTMLElement} parent
 * @param {{key: string, signature: string, build: () => HTMLElement}[]} rows
 */
export function reconcile(parent, rows) {
  const known = (parent.rows ??= new Map());
  const next = new Map();
  let place = parent.firstChild;
  for (const row of rows) {
    let entry = known.get(row.key);
    if (entry?.signature === row.signature) {
      if (entry.element === place) place = place.nextSibling;
      else parent.insertBefore(entry.element, place);
    } else {
      const element = row.build();
      if (entry) {
        const hadFocus = entry.element.contains(document.activeElement);
        const tabIndex = entry.element.getAttribute('tabindex');
        if (entry.element === place) place = place.nextSibling;
        entry.element.remove();
        parent.insertBefore(element, place);
        if (tabIndex !== null) element.setAttribute('tabindex', tabIndex);
        if (hadFocus) (element.matches('a, button, [tabindex]') ? element : element.querySelector('a, button'))?.focus();
      } else {
        parent.insertBefore(element, place);
      }
      entry = { signature: row.signature, element };
    }
    next.set(row.key, entry);
  }
  for (const [key, { element }] of known) if (!next.has(key)) element.remove();
  parent.rows = next;
}

/** Runs `work` once before the next paint, however often it is asked for; a hidden page has no paints, so also by timer. */
export function batched(work) {
  let isPlanned = false;
  const run = () => {
    if (!isPlanned) return;
    isPlanned = false;
    work();
  };
  return () => {
    if (isPlanned) return;
    isPlanned = true;
    requestAnimationFrame(run);
    setTimeout(run, 100);
  };
}

/** Opens a modal dialog, which removes itself when it closes. Esc and a click beside it close it. */
export function openDialog(dialog) {
  document.body.append(dialog);
  dialog.addEventListener('close', () => dialog.remove());
  dialog.addEventListener('pointerdown', (event) => {
    if (event.target === dialog) dialog.close();
  });
  dialog.tabIndex = -1;
  dialog.showModal();
  dialog.focus();
  return dialog;
}

/** Asks a question. Resolves to whether the person agreed. */
export function ask(title, text, action) {
  return new Promise((resolve) => {
    const dialog = h('dialog', { class: 'dialog small', 'aria-labelledby': 'ask-title', role: 'alertdialog' },
      h('h2', { id: 'ask-title' }, title),
      h('p', { class: 'quiet' }, text),
      h('div', { class: 'row end' },
        h('button', { class: 'button', type: 'button', onclick: () => dialog.close() }, 'Cancel'),
        h('button', {
          class: 'button danger', type: 'button',
          onclick: () => { resolve(true); dialog.close(); },
        }, action)));
    dialog.addEventListener('close', () => resolve(false));
    openDialog(dialog);
  });
}

/** Shows a short message at the lower edge, which screen readers announce. */
export function toast(text) {
  const box = document.getElementById('toasts');
  const note = h('div', { class: 'toast' }, text);
  box.append(note);
  setTimeout(() => note.remove(), 6000);
}

/** Has a screen reader say `text`. */
export function announce(text) {
  const box = document.getElementById('announcer');
  box.append(h('p', {}, text));
  while (box.childElementCount > 5) box.firstElementChild.remove();
}
