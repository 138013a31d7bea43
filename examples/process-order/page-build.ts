import { join } from 'node:path';
import react from '@vitejs/plugin-react';
import { build, type Rollup } from 'vite';

/** A file of the page, ready to be sent. */
export interface PageFile {
  readonly body: string | Uint8Array;
  readonly type: string;
}

/** The built page: what its files are, by path. */
export type Page = ReadonlyMap<string, PageFile>;

const TYPES: Readonly<Record<string, string>> = {
  html: 'text/html; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
  css: 'text/css; charset=utf-8',
  svg: 'image/svg+xml',
};

/** Builds the page with Vite, into memory: there is nothing to clean up and no file to serve by mistake. */
export async function buildPage(): Promise<Page> {
  const { output } = (await build({
    root: join(import.meta.dirname, 'page'),
    configFile: false,
    envDir: false,
    logLevel: 'error',
    plugins: [react()],
    resolve: { tsconfigPaths: true },
    // Everything is a file of its own: the page's content security policy allows nothing inline.
    build: { write: false, target: 'es2022', assetsInlineLimit: 0, modulePreload: false },
  })) as Rollup.RolldownOutput;
  return new Map(output.map((part) => [`/${part.fileName}`, fileOf(part)]));
}

function fileOf(part: Rollup.OutputChunk | Rollup.OutputAsset): PageFile {
  const extension = part.fileName.slice(part.fileName.lastIndexOf('.') + 1);
  const type = TYPES[extension] ?? 'application/octet-stream';
  return { type, body: part.type === 'chunk' ? part.code : part.source };
}
