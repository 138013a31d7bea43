import { readFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { join } from 'node:path';
import { type Html, html } from './html.js';

/** Something to be sent as it is. */
export interface HostFile {
  readonly type: string;
  readonly body: string | Buffer;
}

interface ShellOptions {
  /** Milliseconds between beats. */
  readonly beat: number;
  /** Of these, the page takes the style sheets. */
  readonly files: ReadonlyMap<string, HostFile>;
}

/** The page around a view. */
export function shellOf(title: string, body: Html, { beat, files }: ShellOptions): HostFile {
  const styles = [...files].filter(([, { type }]) => type.startsWith('text/css')).map(([path]) => path);
  const { markup } = html`<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <meta name="color-scheme" content="light dark">
    <title>${title}</title>
    <link rel="icon" href="/icon.svg">
    ${styles.map((path) => html`<link rel="stylesheet" href="${path}">`)}
    <script type="module" src="/live.js"></script>
  </head>
  <body>
    <div id="live" data-beat="${beat}">${body}</div>
    <p id="live-lost" role="status"></p>
    <noscript><p id="live-still">This is how things stood when the page was loaded. With JavaScript it goes on by itself.</p></noscript>
  </body>
</html>`;
  return { type: 'text/html; charset=utf-8', body: markup };
}

/** @param type its media type, of some text. */
export const readFile = (path: string, type: string): HostFile => ({
  type: `${type}; charset=utf-8`,
  body: readFileSync(path),
});

const PAGE = join(import.meta.dirname, 'page');
/** What the page's end of the host is made of. */
export const SCRIPTS = new Map([
  ['/live.js', readFile(join(PAGE, 'live.js'), 'text/javascript')],
  ['/patch.js', readFile(join(PAGE, 'patch.js'), 'text/javascript')],
]);

const TEXT = 'text/plain; charset=utf-8';
export const NOTHING: HostFile = { type: TEXT, body: 'There is nothing here.' };
export const BROKEN: HostFile = { type: TEXT, body: 'This page cannot be shown at the moment. Try again.' };

const HEADERS = {
  'cache-control': 'no-cache',
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
};

export function send(
  request: IncomingMessage,
  response: ServerResponse,
  status: number,
  file: HostFile,
): void {
  const isRead = request.method === 'GET' || request.method === 'HEAD';
  response.writeHead(isRead ? status : 405, { ...HEADERS, 'content-type': file.type });
  response.end(isRead ? file.body : undefined);
}
