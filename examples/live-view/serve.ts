import type { Server } from 'node:http';
import { join } from 'node:path';
import { serveView } from './host/live-host.js';
import { readFile } from './host/page-files.js';
import type { View } from './host/view.js';

const SHARED = join(import.meta.dirname, '../process-order/page');

/** Puts a view and the files that it looks good with on a server. `beat` and what it returns: as the host has it. */
export function serveOrderLive(server: Server, view: View, { beat }: { beat?: number } = {}): () => void {
  return serveView(server, view, {
    beat,
    files: new Map([
      ['/styles.css', readFile(join(SHARED, 'styles.css'), 'text/css')],
      ['/live-view.css', readFile(join(import.meta.dirname, 'live-view.css'), 'text/css')],
      ['/icon.svg', readFile(join(SHARED, 'icon.svg'), 'image/svg+xml')],
    ]),
  });
}
