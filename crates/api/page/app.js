/** The start: the messenger for who is signed in, and the forms for others. */

import { showAuth } from './auth-view.js';
import { Messenger } from './messenger.js';
import { onChange, session } from './session.js';

const root = document.getElementById('app');
let messenger = null;

function show() {
  const wasSignedIn = messenger !== null;
  const hasLeft = messenger?.hasLeft ?? false;
  messenger?.close();
  messenger = null;
  const now = session();
  if (now) {
    messenger = new Messenger(root, now.user);
    messenger.start();
  } else {
    showAuth(root, wasSignedIn && !hasLeft ? 'You have been signed out. Sign in to go on.' : undefined);
  }
}

onChange(show);
show();
