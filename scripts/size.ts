import { existsSync, readdirSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { build, type Plugin, type Rollup } from 'vite';
import { ROOT } from './run-command.js';

/** What browsers load. Frameworks come with the page and are left out. */
const ENTRIES: Record<string, string[]> = {
  'pgflow-live/client': ['src/http/client.ts'],
  'pgflow-live/react': ['src/ui/react.ts'],
  'flows, runs and live runs': [
    'src/errors.ts',
    ...sourcesIn('src/flow'),
    ...sourcesIn('src/run'),
    'src/live/live-run.ts',
  ],
};
const FRAMEWORKS = /^(react|react-dom|vue|svelte|solid-js)(\/|$)/;

/** Vite would put an empty module in their place, which breaks when it is used. */
const refuseNode: Plugin = {
  name: 'refuse-node',
  enforce: 'pre',
  resolveId(id, importer) {
    if (id.startsWith('node:') || builtinModules.includes(id)) throw new Error(`${importer} imports ${id}.`);
  },
};

let broken = false;
for (const [name, files] of Object.entries(ENTRIES)) {
  try {
    const code = await bundle(files);
    const gzip = gzipSync(code, { level: 9 }).length;
    console.log(`${name.padEnd(28)} ${kilobytes(code.length)} minified, ${kilobytes(gzip)} gzip`);
  } catch (error) {
    broken = true;
    console.error(`${name} does not bundle for a browser: ${(error as Error).message}`);
  }
}
if (broken) process.exitCode = 1;

async function bundle(files: readonly string[]): Promise<string> {
  const missing = files.filter((file) => !existsSync(join(ROOT, file)));
  if (missing.length > 0) throw new Error(`${missing.join(', ')} is not there.`);
  const output = await build({
    configFile: false,
    logLevel: 'error',
    plugins: [entryOf(files), refuseNode],
    build: {
      write: false,
      target: 'es2022',
      minify: true,
      rollupOptions: { input: 'entry', external: FRAMEWORKS, preserveEntrySignatures: 'strict' },
    },
  });
  const chunks = (output as Rollup.RollupOutput).output.filter((part) => part.type === 'chunk');
  return chunks.map((chunk) => chunk.code).join('\n');
}

function entryOf(files: readonly string[]): Plugin {
  const code = files.map((file) => `export * from ${JSON.stringify(join(ROOT, file))};`).join('\n');
  return {
    name: 'entry',
    enforce: 'pre',
    resolveId: (id) => (id === 'entry' ? '\0entry' : undefined),
    load: (id) => (id === '\0entry' ? code : undefined),
  };
}

function sourcesIn(folder: string): string[] {
  return readdirSync(join(ROOT, folder))
    .filter((file) => /\.ts$/.test(file) && !/\.test[.-]/.test(file))
    .map((file) => `${folder}/${file}`);
}

function kilobytes(bytes: number): string {
  return `${(bytes / 1000).toFixed(1)} kB`.padStart(8);
}
