import type { IncomingMessage, Server } from 'node:http';
import { type WebSocket, WebSocketServer } from 'ws';
import { LivePage, renderOnce } from './live-page.js';
import { BROKEN, type HostFile, NOTHING, SCRIPTS, send, shellOf } from './page-files.js';
import type { Values, View } from './view.js';

export interface HostOptions {
  /** Files that the page needs besides the host's own, by path. */
  readonly files?: ReadonlyMap<string, HostFile>;
  /**
   * Milliseconds between beats. A page answers each, and one that did not before the next is dropped: nothing else
   * tells of a connection that is open at one end only. Default 15,000.
   */
  readonly beat?: number;
}

/** Bytes that a message from a page may have. */
const LONGEST = 64 * 1024;

/**
 * Serves a view at `/`: its HTML as of now, then its changes over a WebSocket.
 *
 * @returns closes all pages. They reconnect as soon as somebody answers.
 */
export function serveView(server: Server, view: View, options: HostOptions = {}): () => void {
  const { beat = 15_000 } = options;
  const files = new Map([...(options.files ?? []), ...SCRIPTS]);
  const sockets = new WebSocketServer({
    noServer: true,
    maxPayload: LONGEST,
    perMessageDeflate: false,
    verifyClient: ({ req }, decide) => decide(isFromHere(req), 403),
  });

  server.on('request', async (request, response) => {
    const { path, params } = addressOf(request);
    const file = files.get(path);
    if (file) return send(request, response, 200, file);
    if (path !== '/') return send(request, response, 404, NOTHING);
    try {
      const body = await renderOnce(view, params);
      send(request, response, 200, shellOf(view.title, body, { beat, files }));
    } catch (error) {
      console.error(error);
      send(request, response, 500, BROKEN);
    }
  });

  server.on('upgrade', (request, stream, head) => {
    sockets.handleUpgrade(request, stream, head, (socket) => {
      connect(new LivePage(view, socket), addressOf(request).params, socket);
      keepBeat(socket, beat);
    });
  });

  return () => {
    sockets.close();
    for (const socket of sockets.clients) socket.close(1001);
  };
}

function connect(page: LivePage, params: Values, socket: WebSocket): void {
  socket.on('message', (data) => {
    const event = readEvent(String(data));
    if (event) page.handleEvent(event.name, event.value);
    else socket.close(1007);
  });
  socket.on('close', () => page.close());
  // What breaks the protocol, or is too long, closes the socket by itself.
  socket.on('error', () => {});
  page.open(params);
}

function keepBeat(socket: WebSocket, beat: number): void {
  let isAlive = true;
  const checkAlive = () => {
    if (!isAlive) return socket.terminate();
    isAlive = false;
    socket.ping();
    // A page is not told of pings, and has to know that we are there.
    socket.send('{}');
  };
  // After what has arrived was read: in a busy process answers wait as long as the timer does.
  const timer = setInterval(() => setImmediate(checkAlive), beat);
  socket.on('pong', () => {
    isAlive = true;
  });
  socket.on('close', () => clearInterval(timer));
}

/** Any page may open a WebSocket to any server, so the one that asks must be ours. Other programs name no origin. */
function isFromHere({ headers: { origin, host } }: IncomingMessage): boolean {
  return origin === undefined || origin === `http://${host}` || origin === `https://${host}`;
}

function addressOf({ url = '' }: IncomingMessage): { path: string; params: Values } {
  const [path = '', query] = url.split('?', 2);
  return { path, params: Object.fromEntries(new URLSearchParams(query)) };
}

/** Null where the text is none. */
function readEvent(text: string): { name: string; value: Values } | null {
  try {
    const { event, value } = JSON.parse(text) as { event: unknown; value?: unknown };
    if (typeof event !== 'string') return null;
    const entries = Object.entries(value ?? {}).filter(([, one]) => typeof one === 'string');
    return { name: event, value: Object.fromEntries(entries) };
  } catch {
    return null;
  }
}
