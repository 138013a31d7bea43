// The page's end of the host: shows what the server sends, sends what the visitor does, and connects again by itself.
import { patch } from './patch.js';

const root = document.querySelector('#live');
const lost = document.querySelector('#live-lost');
/** Milliseconds between the server's beats. */
const BEAT = Number(root.dataset.beat);

/** Milliseconds: the first pause before connecting again, doubled each time, and the longest. */
const FIRST_PAUSE = 250;
const LONGEST_PAUSE = 5_000;

let socket = null;
let attempts = 0;
let again = 0;
let heardAt = 0;

function connect() {
  clearTimeout(again);
  heardAt = Date.now();
  const mine = new WebSocket(`${location.origin.replace(/^http/, 'ws')}/${location.search}`);
  socket = mine;
  mine.onmessage = ({ data }) => mine === socket && take(JSON.parse(data));
  mine.onclose = () => mine === socket && lose();
}

/** A beat has neither: that it is heard is enough. */
function take({ html, params }) {
  heardAt = Date.now();
  if (params) setParams(params);
  if (html === undefined) return;
  attempts = 0;
  lost.textContent = '';
  root.dataset.state = 'live';
  patch(root, html);
}

function lose() {
  socket.close();
  socket = null;
  if (attempts > 0 || root.dataset.state === 'live') lost.textContent = 'Reconnecting …';
  root.dataset.state = 'lost';
  // With chance in it, so that the pages of a server that restarts do not all come at once.
  const pause = Math.min(FIRST_PAUSE * 2 ** attempts++, LONGEST_PAUSE) * (0.5 + Math.random() / 2);
  again = setTimeout(connect, pause);
}

/** A connection that nothing is heard on, for longer than two beats, is no connection. */
setInterval(() => {
  if (socket && Date.now() - heardAt > 2.5 * BEAT) lose();
}, BEAT);

function reconnectNow() {
  if (!socket && document.visibilityState === 'visible') connect();
}
addEventListener('online', reconnectNow);
document.addEventListener('visibilitychange', reconnectNow);

function send(message) {
  if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
}

function setParams(params) {
  const address = new URL(location.href);
  for (const [name, value] of Object.entries(params)) {
    if (value === null) address.searchParams.delete(name);
    else address.searchParams.set(name, value);
  }
  history.replaceState(null, '', address);
}

document.addEventListener('click', (event) => {
  const button = event.target.closest('[live-click], [live-submit] button');
  if (!button) return;
  // The second click of a double click.
  if (event.detail > 1) event.preventDefault();
  else if (button.hasAttribute('live-click'))
    send({ event: button.getAttribute('live-click'), value: { ...button.dataset } });
});

document.addEventListener('submit', (event) => {
  const form = event.target.closest('[live-submit]');
  if (!form) return;
  event.preventDefault();
  send({ event: form.getAttribute('live-submit'), value: Object.fromEntries(new FormData(form)) });
});

connect();
