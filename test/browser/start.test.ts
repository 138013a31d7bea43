import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { createClient, type RunStore, type RunView } from 'pgflow-live/client';
import { expect, onTestFinished, test } from 'vitest';
import { createTestDatabase } from '../harness/databases.js';
import { readyUrl, STARTING, startProgram } from './example-server.js';

/** The examples as programs: what they say, and how they end. */

const timeout = STARTING;

function emptyFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'pgflow-start-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  return folder;
}

const program = (env: Record<string, string>, folder = emptyFolder()) =>
  startProgram(folder, { DATABASE_URL: '', PORT: '0', NODE_ENV: undefined, ...env });

async function endOf(child: ReturnType<typeof program>): Promise<string> {
  expect(await child.exited).toEqual({ code: 1, signal: null });
  return child.output.join('\n');
}

function settled(store: RunStore): Promise<RunView['run']> {
  return new Promise((resolve) => {
    const stop = store.subscribe(() => {
      const { state, run } = store.getSnapshot();
      if (state !== 'settled') return;
      stop();
      resolve(run);
    });
  });
}

test('says what it is doing, and stops in good order at the first signal; what was running costs no attempt', {
  timeout,
}, async () => {
  const folder = emptyFolder();
  await using first = program({}, folder);
  const client = createClient({ url: `${await readyUrl(first)}/pgflow` });
  expect(first.output).toContainEqual(expect.stringMatching(/Creating a database in \.pgflow/));
  expect(first.output).toContainEqual(expect.stringMatching(/Building the page/));
  const { runId } = await client.startFlow('process_order', { orderId: 'breakfast' });

  first.kill('SIGTERM');
  expect(await first.exited).toEqual({ code: 0, signal: null });
  expect(first.output.at(-1)).toBe('Stopped.');

  await using second = program({}, folder);
  const after = createClient({ url: `${await readyUrl(second)}/pgflow` });
  expect(second.output).toContainEqual(expect.stringMatching(/Opening the database in \.pgflow/));
  const run = await settled(after.watch(runId));
  expect(run?.status).toBe('completed');
  expect(run?.stepStates.map(({ attempt }) => attempt)).toEqual([1, 1, 1, 1, 1]);
});

test('stops at once at the second signal', { timeout }, async () => {
  await using child = program({});
  const client = createClient({ url: `${await readyUrl(child)}/pgflow` });
  await client.startFlow('process_order', { orderId: 'office-move' });

  child.kill('SIGINT');
  await child.waitForLine(/^Stopping/);
  child.kill('SIGINT');

  expect(await endOf(child)).toContain('Stopped at once.');
});

const terminate = (npm: ChildProcess) => npm.kill('SIGTERM');
const interrupt = (npm: ChildProcess) => process.kill(-npm.pid!, 'SIGINT');

test.each([
  ['start', 'a SIGTERM to npm', terminate],
  ['start', 'Ctrl+C, which the whole process group gets', interrupt],
  ['example:live-view', 'a SIGTERM to npm', terminate],
  ['example:live-view', 'Ctrl+C, which the whole process group gets', interrupt],
])('npm run %s ends in good order after %s', { timeout }, async (script, _name, stop) => {
  const database = await createTestDatabase('postgres');
  const env = { ...process.env, DATABASE_URL: database.url, PORT: '0' };
  const npm = spawn('npm', ['run', script], { env, detached: true, stdio: ['ignore', 'pipe', 'ignore'] });
  onTestFinished(async () => {
    try {
      process.kill(-npm.pid!, 'SIGKILL');
    } catch {
      // As it should be: nobody of the group is left.
    }
    await database.close();
  });
  const lines: string[] = [];
  const output = createInterface({ input: npm.stdout });
  const ready = new Promise<void>((resolve) => {
    output.on('line', (line) => {
      lines.push(line);
      if (line.startsWith('Ready')) resolve();
    });
  });
  await ready;

  stop(npm);
  await once(output, 'close');

  expect(lines.at(-1)).toBe('Stopped.');
});

test('a second one on the same folder is told who has it', { timeout }, async () => {
  const folder = emptyFolder();
  await using first = program({}, folder);
  await readyUrl(first);

  await using second = program({}, folder);

  const said = await endOf(second);
  expect(said).toContain('DATABASE_LOCKED');
  expect(said).toContain(`process ${first.pid}`);
});

test('a database that cannot be reached is named without its password', { timeout }, async () => {
  await using child = program({ DATABASE_URL: 'postgres://shop:s3cret@127.0.0.1:9/orders' });

  const said = await endOf(child);
  expect(said).toContain('DATABASE_UNAVAILABLE');
  expect(said).toContain('127.0.0.1:9/orders');
  expect(said).not.toContain('s3cret');
});

test('a port that was asked for and is taken is not exchanged for another', { timeout }, async () => {
  const other = createServer().listen(0, '127.0.0.1');
  await once(other, 'listening');
  onTestFinished(() => void other.close());
  const { port } = other.address() as AddressInfo;

  await using child = program({ PORT: String(port) });

  expect(await endOf(child)).toContain(
    `Port ${port} is taken. Choose another one in the environment variable PORT`,
  );
});

test('what is no port is refused before anything is opened', { timeout }, async () => {
  await using child = program({ PORT: 'http' });

  expect(await endOf(child)).toBe('\nPORT has to be a number from 0 to 65535, not "http".');
});
