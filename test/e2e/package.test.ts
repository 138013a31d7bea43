import { execFile } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { beforeAll, expect, test } from 'vitest';

const run = promisify(execFile);
const ROOT = join(import.meta.dirname, '../..');
/** Below the repository, so that the package finds its dependencies in node_modules further up. */
const CONSUMER = join(ROOT, '.tmp/consumer');
const INSTALLED = join(CONSUMER, 'node_modules/pgflow-live');

const TSCONFIG = {
  compilerOptions: {
    module: 'nodenext',
    target: 'es2022',
    strict: true,
    skipLibCheck: true,
    types: ['node'],
  },
};
const PROGRAM = `
import { createPgFlow, defineFlow, PgFlowError } from 'pgflow-live';
import { createClient } from 'pgflow-live/client';
import { createHandler } from 'pgflow-live/http';

const hello = defineFlow({ slug: 'hello' }).step('greet', async ({ input }) => ({ said: \`hello \${input}\` }));
const pgflow = await createPgFlow({ database: 'memory:', flows: [hello] });
await pgflow.start();
const { runId } = await pgflow.startFlow(hello, 'you');
const live = await pgflow.track(runId);
const run = await live.waitFor('completed', { timeout: 60 });
await pgflow.stop();
console.log(JSON.stringify(run.output), typeof createClient, typeof createHandler, typeof PgFlowError);
`;

beforeAll(async () => {
  rmSync(CONSUMER, { recursive: true, force: true });
  mkdirSync(INSTALLED, { recursive: true });
  // Packing builds first, and the build checks every entry.
  const { stdout } = await run('npm', ['pack', '--json', '--pack-destination', CONSUMER], { cwd: ROOT });
  const [{ filename }] = JSON.parse(stdout.slice(stdout.lastIndexOf('\n[') + 1)) as [{ filename: string }];
  await run('tar', ['-xzf', join(CONSUMER, filename), '--strip-components=1', '-C', INSTALLED]);
  writeFileSync(join(CONSUMER, 'package.json'), '{ "type": "module" }');
  writeFileSync(join(CONSUMER, 'tsconfig.json'), JSON.stringify(TSCONFIG));
  writeFileSync(join(CONSUMER, 'program.ts'), PROGRAM);
}, 240_000);

test('what npm publishes compiles and runs a flow in a project of someone else', async () => {
  const tsc = await run(process.execPath, [
    join(ROOT, 'node_modules/typescript/bin/tsc'),
    '-p',
    CONSUMER,
  ]).catch((error) => error);
  expect(tsc.stdout).toBe('');
  const { stdout } = await run(process.execPath, ['program.js'], { cwd: CONSUMER });
  expect(stdout).toBe('{"greet":{"said":"hello you"}} function function function\n');
}, 120_000);

test('its command tells what it can do', async () => {
  const { stdout } = await run(process.execPath, [join(INSTALLED, 'dist/cli/main.js'), '--help']);
  expect(stdout).toContain('Usage: pgflow-live');
});
