import type { IncomingMessage, Server } from 'node:http';
import type { Duplex } from 'node:stream';
import { LivePage, renderOnce } from './live-page.js';
import { BROKEN, type HostFile, NOTHING, SCRIPTS, send, shellOf } from './page-files.js';
import type { Values, View } from './view.js';
import { WebSocket } from './web-socket.js';

export interface HostOptions {
  /** Files that the page needs besides the host's own, by path. */
  readonly files?: ReadonlyMap<string, HostFile>;
  /** Paths of style sheets among the files. */
  readonly styles?: readonly string[];
  /**
   * Milliseconds between beats. A page answers each, and one that did not before the next is dropped: nothing else
   * tells of a connection that is open at one end only. Default 15,000.
   */
  readonly beat?: number;
}

export interface LiveHost {
  /** How many pages are mounted over a WebSocket. */
  readonly pages: number;
  /** Closes all pages. They reconnect as soon as somebody answers. */
  close(): void;
}

/** Serves a view at `/`: its HTML as of now, then its changes over a WebSocket. */
export function serveView(server: Server, view: View, options: HostOptions = {}): LiveHost {
  const { beat = 15_000, styles = [] } = options;
  const files = new Map([...(options.files ?? []), ...SCRIPTS]);
  const connections = new Map<WebSocket, { page: LivePage; isAlive: boolean }>();

  server.on('request', async (request, response) => {
    const { path, params } = addressOf(request);
    const file = files.get(path);
    if (file) return send(request, response, 200, file);
    if (path !== '/') return send(request, response, 404, NOTHING);
    try {
      const body = await renderOnce(view, params);
      send(request, response, 200, shellOf(view.title, body, { beat, styles }));
    } catch (error) {
      console.error(error);
      send(request, response, 500, BROKEN);
    }
  });

  server.on('upgrade', (request: IncomingMessage, stream: Duplex, head: Buffer) => {
    const socket = WebSocket.accept(request, stream, head);
    if (!socket) return;
    const page = openPage(view, addressOf(request).params, socket);
    const connection = { page, isAlive: true };
    connections.set(socket, connection);
    socket.onText = (text) => {
      connection.isAlive = true;
      const { event, value } = JSON.parse(text) as { event?: unknown; value?: unknown };
      if (typeof event === 'string') page.handleEvent(event, valuesOf(value));
    };
    socket.onClose = () => {
      connections.delete(socket);
      page.close();
    };
  });

  const checkPages = () => {
    for (const [socket, connection] of connections) {
      if (!connection.isAlive) socket.terminate();
      connection.isAlive = false;
      socket.send('{"beat":true}');
    }
  };
  // After what has arrived was read: in a busy process answers wait as long as the timer does.
  const beating = setInterval(() => setImmediate(checkPages), beat);

  return {
    get pages() {
      return connections.size;
    },
    close() {
      clearInterval(beating);
      for (const socket of connections.keys()) socket.close(1001);
    },
  };
}

function openPage(view: View, params: Values, socket: WebSocket): LivePage {
  const page = new LivePage(view, params, {
    connected: true,
    screen: {
      get isReady() {
        return socket.isReady;
      },
      show: (markup) => socket.send(JSON.stringify({ html: markup })),
      setParams: (values) => socket.send(JSON.stringify({ params: values })),
      fail(error) {
        console.error(error);
        socket.close(1011);
      },
    },
  });
  socket.onDrain = () => page.draw();
  return page;
}

function addressOf({ url = '' }: IncomingMessage): { path: string; params: Values } {
  const [path = '', query] = url.split('?', 2);
  return { path, params: Object.fromEntries(new URLSearchParams(query)) };
}

function valuesOf(value: unknown): Values {
  const entries = Object.entries(value ?? {}).filter(([, one]) => typeof one === 'string');
  return Object.fromEntries(entries);
}
