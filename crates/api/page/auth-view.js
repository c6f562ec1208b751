/** Signing in and signing up. */

import { ApiError, callPublic, told } from './api.js';
import { fill, h } from './dom.js';
import { icon } from './icons.js';
import { keep } from './session.js';

/** The label, the input and the error of a field. */
function field(name, label, props, hint) {
  const input = h('input', { id: name, name, required: true, ...props });
  const note = h('p', { id: `${name}-note`, class: 'note' }, hint ?? '');
  input.setAttribute('aria-describedby', note.id);
  input.addEventListener('input', () => mark({ input, note, hint }, null));
  return { name, hint, input, note, element: h('div', { class: 'field' }, h('label', { for: name }, label), input, note) };
}

function mark({ input, note, hint }, error) {
  note.textContent = error ?? hint ?? '';
  note.classList.toggle('error', Boolean(error));
  if (error) input.setAttribute('aria-invalid', 'true');
  else input.removeAttribute('aria-invalid');
}

const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);

function form(isSignUp, swap) {
  const fields = [
    field('username', 'Username', { autocomplete: 'username', autocapitalize: 'none', spellcheck: 'false', maxlength: isSignUp ? 50 : 320 },
      isSignUp ? 'Letters, digits, “_”, “.” and “-”; at least 3.' : undefined),
    ...(isSignUp ? [field('first_name', 'Your name (optional)', { autocomplete: 'name', required: false, maxlength: 100 })] : []),
    field('password', 'Password', { type: 'password', autocomplete: isSignUp ? 'new-password' : 'current-password' },
      isSignUp ? 'At least 8 characters, with a capital letter and a digit.' : undefined),
  ];
  const failure = h('p', { class: 'failure', role: 'alert' });
  const submit = h('button', { class: 'button primary wide', type: 'submit' }, isSignUp ? 'Create account' : 'Sign in');

  async function send(event) {
    event.preventDefault();
    failure.textContent = '';
    const given = fields.filter(({ input }) => input.value.trim() !== '');
    const body = Object.fromEntries(given.map(({ name, input }) => [name, name === 'password' ? input.value : input.value.trim()]));
    const missing = fields.find((one) => one.input.required && !(one.name in body));
    if (missing) {
      mark(missing, 'Is required.');
      missing.input.focus();
      return;
    }
    submit.disabled = true;
    submit.setAttribute('aria-busy', 'true');
    try {
      await keep(await callPublic('POST', isSignUp ? '/auth/register' : '/auth/login', body));
    } catch (error) {
      refused(error);
    } finally {
      submit.disabled = false;
      submit.removeAttribute('aria-busy');
    }
  }

  function refused(error) {
    const errors = error instanceof ApiError ? error.errors : [];
    const wrong = fields.filter((one) => errors.some(({ field: name }) => name === one.name));
    for (const one of wrong) {
      const messages = errors.filter(({ field: name }) => name === one.name).map(({ message }) => message);
      mark(one, `${capital(messages.join('; '))}.`);
    }
    if (wrong.length) wrong[0].input.focus();
    else failure.textContent = told(error);
  }

  return h('form', { class: 'card', novalidate: true, method: 'post', onsubmit: send },
    h('h2', {}, isSignUp ? 'Create your account' : 'Welcome back'),
    fields.map(({ element }) => element), failure, submit,
    h('p', { class: 'quiet center' },
      isSignUp ? 'You have an account? ' : 'New here? ',
      h('button', { class: 'link', type: 'button', onclick: swap }, isSignUp ? 'Sign in' : 'Create an account')));
}

/**
 * Shows the forms in `root`.
 * @param {string} [notice] why the person has to sign in
 */
export function showAuth(root, notice) {
  let isSignUp = false;
  document.title = 'Messenger';
  const place = h('div');
  const show = (hasFocus) => {
    fill(place, form(isSignUp, () => {
      isSignUp = !isSignUp;
      show(true);
    }));
    if (hasFocus) place.querySelector('input').focus();
  };
  show(false);
  fill(root, h('main', { class: 'auth' },
    h('header', { class: 'brand' },
      h('span', { class: 'mark' }, icon('chat')),
      h('h1', {}, 'Messenger'),
      h('p', { class: 'quiet' }, 'Messages that arrive, even when the connection doesn’t hold.')),
    notice && h('p', { class: 'notice', role: 'status' }, notice),
    place,
    h('footer', { class: 'quiet' }, h('a', { href: '/docs' }, 'API documentation'))));
  if (matchMedia('(hover: hover)').matches) place.querySelector('input').focus();
}
