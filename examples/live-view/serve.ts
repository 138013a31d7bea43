import { readFileSync } from 'node:fs';
import type { Server } from 'node:http';
import { join } from 'node:path';
import type { PgFlow } from 'pgflow-live';
import { type LiveHost, serveView } from './host/live-host.js';
import { createOrderLive } from './order-live.js';

/** Puts the view and its files on a server. `beat`: as the host has it. */
export function serveOrderLive(server: Server, pgflow: PgFlow, { beat }: { beat?: number } = {}): LiveHost {
  return serveView(server, createOrderLive(pgflow), {
    beat,
    files: new Map([
      ['/styles.css', file('../process-order/page/styles.css', 'text/css')],
      ['/live-view.css', file('live-view.css', 'text/css')],
      ['/icon.svg', file('../process-order/page/icon.svg', 'image/svg+xml')],
    ]),
    styles: ['/styles.css', '/live-view.css'],
  });
}

const file = (path: string, type: string) => ({
  type: `${type}; charset=utf-8`,
  body: readFileSync(join(import.meta.dirname, path)),
});
