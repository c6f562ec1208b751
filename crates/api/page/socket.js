/**
 * The WebSocket: authenticates, resumes with the cursor, notices when the other side is gone, and comes back with a delay
 * that grows and is random, so that many clients don't come back at once.
 */

import { EARLY, NotRefreshed, SignedOut, accessToken, renew, session } from './session.js';

const FIRST_DELAY = 500;
const LONGEST_DELAY = 30_000;
/** At most this many frames at once, and then one for each interval: fewer than the server allows. */
const BURST = 15;
const INTERVAL = 60;

export class Socket {
  /**
   * @param {{cursor: () => string|null, ready: (data: Object, isFresh: boolean) => void, frame: (frame: Object) => void,
   *   link: (link: import('./store.js').Link) => void, lost: () => void}} hooks `lost`: the cursor is of no use any more
   */
  constructor(hooks) {
    this.hooks = hooks;
    this.socket = null;
    this.attempts = 0;
    this.isReady = false;
    this.isStopped = false;
    this.isAlive = false;
    this.after = null;
    this.queue = [];
    this.credit = BURST;
    this.timers = {};
    this.wake = this.wake.bind(this);
  }

  start() {
    addEventListener('online', this.wake);
    addEventListener('offline', this.wake);
    document.addEventListener('visibilitychange', this.wake);
    this.connect();
  }

  /** Ends the connection for good. */
  stop() {
    this.isStopped = true;
    removeEventListener('online', this.wake);
    removeEventListener('offline', this.wake);
    document.removeEventListener('visibilitychange', this.wake);
    this.drop();
  }

  /** Sends a frame. Returns false while there is no connection. */
  send(frame) {
    if (!this.isReady) return false;
    this.queue.push(frame);
    this.pump();
    return true;
  }

  pump() {
    while (this.credit > 0 && this.queue.length) {
      this.credit -= 1;
      this.socket.send(JSON.stringify(this.queue.shift()));
    }
    this.timers.pump ??= setInterval(() => {
      this.credit = Math.min(BURST, this.credit + 1);
      if (this.queue.length) this.pump();
    }, INTERVAL);
  }

  async connect() {
    clearTimeout(this.timers.retry);
    this.hooks.link('connecting');
    let token;
    try {
      token = await accessToken();
    } catch (error) {
      if (error instanceof SignedOut) return;
      return this.retry();
    }
    if (this.isStopped || this.socket) return;
    const cursor = this.hooks.cursor();
    this.isFresh = !cursor;
    const socket = new WebSocket(`${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/api/v1/ws`);
    this.socket = socket;
    // A connection that can't be established may take minutes to fail.
    this.timers.open = setTimeout(() => this.gone(), 15_000);
    socket.onopen = () => socket.send(JSON.stringify({ type: 'auth', token, ...(cursor ? { cursor } : {}) }));
    socket.onmessage = ({ data }) => this.received(JSON.parse(data));
    socket.onclose = ({ code }) => this.gone(code);
  }

  received(frame) {
    this.isAlive = true;
    switch (frame.type) {
      case 'ready': return this.ready(frame.data);
      case 'pong': return undefined;
      case 'reconnect':
        this.after = frame.data.after_ms;
        return undefined;
      case 'resync_required': return this.hooks.lost();
      case 'error':
        if (frame.data.code === 'cursor_expired') {
          this.isFresh = true;
          return undefined;
        }
        // The cursor of another version of the server, which it can't read.
        if (!this.isReady && frame.data.errors?.some(({ field }) => field === 'cursor')) return this.hooks.lost();
      // falls through
      default: return this.hooks.frame(frame);
    }
  }

  ready(data) {
    clearTimeout(this.timers.open);
    const isFirst = !this.isReady;
    this.isReady = true;
    this.attempts = 0;
    this.renewInTime();
    if (isFirst) this.beat((data.heartbeat_seconds ?? 25) * 1000);
    if (isFirst || this.isFresh) {
      this.hooks.link('online');
      this.hooks.ready(data, this.isFresh);
    }
    this.isFresh = false;
  }

  /** Signs the open connection in again, before its token expires. */
  renewInTime() {
    clearTimeout(this.timers.renew);
    const { access, ends } = session() ?? {};
    if (!access) return;
    this.timers.renew = setTimeout(async () => {
      try {
        this.send({ type: 'auth', token: await renew(access) });
      } catch (error) {
        // The server closes the connection when the token expires, and then it is tried again.
        if (error instanceof NotRefreshed) this.timers.renew = setTimeout(() => this.renewInTime(), 5000);
      }
    }, Math.max(ends - Date.now() - EARLY, 1000));
  }

  /** Asks for a sign of life, and gives up when none comes. */
  beat(interval) {
    clearInterval(this.timers.beat);
    this.isAlive = true;
    this.timers.beat = setInterval(() => {
      if (!this.isAlive) return this.gone();
      this.isAlive = false;
      this.send({ type: 'ping' });
    }, interval);
  }

  /** Asks for a sign of life now: the computer may have slept, and the connection may be gone. */
  probe() {
    this.isAlive = false;
    this.send({ type: 'ping' });
    clearTimeout(this.timers.probe);
    this.timers.probe = setTimeout(() => this.isAlive || this.gone(), 5000);
  }

  /** The connection has ended, or counts as ended. */
  gone(code) {
    this.drop();
    if (this.isStopped) return;
    if (code === 4409 || code === 4410) this.hooks.lost();
    if (code === 4401 || code === 4403) return this.signInAgain();
    this.retry(code === 1013 || code === 4429 || code === 4400 ? 5000 : 0);
  }

  async signInAgain() {
    const { access } = session() ?? {};
    try {
      if (access) await renew(access);
    } catch (error) {
      if (error instanceof SignedOut) return;
    }
    this.retry();
  }

  /** Forgets the connection, whatever state it is in. */
  drop() {
    for (const name of ['open', 'renew', 'retry', 'probe']) clearTimeout(this.timers[name]);
    for (const name of ['beat', 'pump']) clearInterval(this.timers[name]);
    this.timers = {};
    const { socket } = this;
    this.socket = null;
    this.isReady = false;
    this.queue = [];
    this.credit = BURST;
    if (socket) {
      socket.onopen = socket.onmessage = socket.onclose = null;
      socket.close();
    }
  }

  retry(least = 0) {
    const longest = Math.min(LONGEST_DELAY, FIRST_DELAY * 2 ** this.attempts);
    this.attempts += 1;
    const delay = this.after ?? Math.max(least, longest * (0.5 + Math.random() / 2));
    this.after = null;
    this.hooks.link(navigator.onLine === false ? 'offline' : 'waiting');
    clearTimeout(this.timers.retry);
    this.timers.retry = setTimeout(() => this.connect(), delay);
  }

  /** Tries at once when the network is back, or when the person looks at the page again. */
  wake() {
    if (navigator.onLine === false) return this.socket ? this.gone() : this.hooks.link('offline');
    if (document.hidden) return undefined;
    if (this.isReady) this.probe();
    else if (!this.socket) this.connect();
    return undefined;
  }
}
