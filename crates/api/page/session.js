/**
 * Who is signed in here. The tokens are in localStorage, so that all tabs share one session.
 *
 * A refresh token is valid once, and using it twice ends the session. So only one tab at a time refreshes, under a lock of
 * the browser, and the others take its result.
 */

import * as shared from './shared.js';

const KEY = 'messenger.session';
const LOCK = 'messenger.refresh';
/** An access token is renewed this long before it expires, in milliseconds. */
export const EARLY = 60_000;

/** @typedef {{user: {id: string, username: string}, access: string, refresh: string, ends: number}} Session */

/** @type {Session|null} */
let current = read();
let pending = null;
const listeners = new Set();

/** The session is over: the person has to sign in. */
export class SignedOut extends Error {}

/** The server didn't answer the request for new tokens. */
export class NotRefreshed extends Error {}

function read() {
  try {
    return JSON.parse(localStorage.getItem(KEY));
  } catch {
    return null;
  }
}

function change(session) {
  const before = current?.user.id;
  current = session;
  if (before !== session?.user.id) for (const listener of listeners) listener(session);
}

/** Calls `listener` whenever somebody else, or nobody, is signed in, also by another tab. */
export function onChange(listener) {
  listeners.add(listener);
}

addEventListener('storage', (event) => {
  if (event.key !== KEY && event.key !== null) return;
  const next = read();
  // It may be older than what this tab has got meanwhile.
  if (!next || next.user.id !== current?.user.id || next.ends >= current.ends) change(next);
});

/** @returns {Session|null} */
export const session = () => current;

/** Keeps the answer of `/auth/login`, `/auth/register` or `/auth/refresh`. */
export async function keep(answer) {
  const user = answer.user ?? current.user;
  const next = {
    user,
    access: answer.access_token,
    refresh: answer.refresh_token,
    ends: Date.now() + answer.expires_in * 1000,
  };
  try {
    localStorage.setItem(KEY, JSON.stringify(next));
  } catch {
    // It is full. What is only there to start faster makes room.
    localStorage.removeItem('messenger.snapshot');
    localStorage.setItem(KEY, JSON.stringify(next));
  }
  await shared.set(next);
  change(next);
}

/** Forgets the session in all tabs. */
export function forget() {
  localStorage.removeItem(KEY);
  shared.set(null);
  change(null);
}

/** Returns an access token that is valid for a while. */
export async function accessToken() {
  if (!current) throw new SignedOut();
  return current.ends - Date.now() > EARLY / 2 ? current.access : renew(current.access);
}

/**
 * Returns another access token than `stale`: that of another tab, or a new one.
 * @param {string} stale
 */
export function renew(stale) {
  pending ??= exclusive(() => refresh(stale)).finally(() => {
    pending = null;
  });
  return pending;
}

/** Without the lock, on an origin that isn't secure, the token is read from the storage at least. */
function exclusive(work) {
  return navigator.locks ? navigator.locks.request(LOCK, work) : work();
}

async function refresh(stale) {
  const stored = await shared.get();
  change(stored === undefined ? read() : stored);
  if (!current) throw new SignedOut();
  if (current.access !== stale && current.ends - Date.now() > EARLY / 2) return current.access;
  let response;
  try {
    response = await fetch('/api/v1/auth/refresh', {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ refresh_token: current.refresh }),
      credentials: 'omit',
      cache: 'no-store',
    });
    if (response.ok) {
      await keep(await response.json());
      return current.access;
    }
  } catch {
    throw new NotRefreshed();
  }
  if (response.status !== 401 && response.status !== 400) throw new NotRefreshed();
  forget();
  throw new SignedOut();
}
