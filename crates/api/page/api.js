/** Calls of the REST API. */

import { NotRefreshed, SignedOut, accessToken, forget, renew, session } from './session.js';

/** A refusal of the server, or no answer at all (`code` is `offline`). */
export class ApiError extends Error {
  /** @param {number} status @param {Object} problem */
  constructor(status, problem) {
    super(problem.detail || problem.title);
    this.problem = problem;
    this.status = status;
    this.code = problem.code ?? 'unknown';
    /** @type {{field: string, code: string, message: string}[]} */
    this.errors = problem.errors ?? [];
  }
}

const offline = () =>
  new ApiError(0, { code: 'offline', detail: 'The server can’t be reached. Check the connection and try again.' });

async function send(method, path, body, token) {
  const headers = {};
  if (token) headers.Authorization = `Bearer ${token}`;
  if (body !== undefined) headers['Content-Type'] = 'application/json';
  try {
    const signal = AbortSignal.timeout(20_000);
    const options = { method, headers, signal, credentials: 'omit', cache: 'no-store' };
    const response = await fetch(`/api/v1${path}`, { ...options, body: body === undefined ? undefined : JSON.stringify(body) });
    const isJson = (response.headers.get('Content-Type') ?? '').includes('json');
    return { status: response.status, answer: isJson ? await response.json() : {} };
  } catch {
    throw offline();
  }
}

async function token(work) {
  try {
    return await work();
  } catch (error) {
    throw error instanceof NotRefreshed ? offline() : error;
  }
}

/**
 * Calls the API as the person who is signed in.
 * @param {string} method
 * @param {string} path below `/api/v1`
 * @param {Object} [body]
 */
export async function call(method, path, body) {
  let access = await token(accessToken);
  let { status, answer } = await send(method, path, body, access);
  if (status === 401 && answer.code === 'token_expired') {
    access = await token(() => renew(access));
    ({ status, answer } = await send(method, path, body, access));
  }
  if (status === 401) {
    if (session()?.access === access) forget();
    throw new SignedOut();
  }
  if (status >= 400) throw new ApiError(status, answer);
  return answer;
}

/** Calls the API as nobody. */
export async function callPublic(method, path, body) {
  const { status, answer } = await send(method, path, body);
  if (status >= 400) throw new ApiError(status, answer);
  return answer;
}

/** Writes the parameters of a query. Absent ones are left out. */
export function query(parameters) {
  const given = Object.entries(parameters).filter(([, value]) => value !== null && value !== undefined);
  return given.length ? `?${new URLSearchParams(given)}` : '';
}

const TEXTS = {
  already_read: 'It has been read, so it can’t be taken back any more.',
  bad_credentials: 'The username or the password is wrong.',
  last_owner: 'You are the only owner. Make somebody else an owner first.',
};

/** What to tell the person about a problem of the server. */
export function explain({ code, title, detail, errors = [] }) {
  const fields = errors.map(({ field, message }) => (field ? `${field} ${message}` : message));
  const text = TEXTS[code] ?? (fields.length ? fields.join('; ') : detail || title || 'The server refused it');
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}${/[.!?]$/.test(text) ? '' : '.'}`;
}

/** What to tell the person about an error. */
export function told(error) {
  if (error instanceof SignedOut) return 'Your session has ended. Sign in again.';
  return error instanceof ApiError ? explain(error.problem) : 'Something went wrong. Try again.';
}
