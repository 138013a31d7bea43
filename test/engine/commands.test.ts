import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { expect, onTestFinished, test, vi } from 'vitest';
import { createPgFlow, defineJob } from '../../src/index.js';
import { startChild } from '../harness/child.js';
import { createTestDatabase, type TestDatabase } from '../harness/databases.js';

const echo = defineJob({ slug: 'echo' }, ({ input }) => input);

async function run(args: string[], env: Record<string, string | undefined> = {}) {
  await using child = startChild('src/cli/main.ts', { args, env: { DATABASE_URL: undefined, ...env } });
  const { code } = await child.exited;
  return { code, output: child.output.join('\n') };
}

async function installed(): Promise<TestDatabase & { url: string }> {
  const db = await createTestDatabase('postgres');
  onTestFinished(() => db.close());
  const pgflow = await createPgFlow({ database: db.database, jobs: [echo] });
  await pgflow.stop();
  return db as TestDatabase & { url: string };
}

async function finishRuns(db: TestDatabase, count: number): Promise<void> {
  const pgflow = await createPgFlow({ database: db.database, jobs: [echo] });
  onTestFinished(() => pgflow.stop());
  await pgflow.start();
  for (let n = 0; n < count; n += 1) {
    const live = await pgflow.track((await pgflow.enqueue(echo, n)).runId);
    await live.waitFor('completed');
  }
  await db.query(
    `update pgflow.runs set started_at = started_at - interval '2 days', completed_at = completed_at - interval '2 days'`,
  );
  // It would go on polling, and wait for locks like the command under test.
  await pgflow.stop();
}

test.each(['migrate', 'doctor', 'prune'])('%s explains itself', async (command) => {
  const { code, output } = await run([command, '--help']);
  expect(code).toBe(0);
  expect(output).toContain('Examples:');
  expect(output).toContain(`npx pgflow-live ${command}`);
});

test('doctor says that all is well, and what is not', async () => {
  const db = await installed();
  const well = await run(['doctor'], { DATABASE_URL: db.url });
  expect(well.output).toMatch(/^ok +functions +All \d+ functions/m);
  expect(well.output).toMatch(/errors: 0, warnings: 0$/);
  expect(well.code).toBe(0);

  await db.query('drop index pgflow.runs_newest');
  const ill = await run(['doctor', '--database', db.url]);
  expect(ill.output).toMatch(/^ERROR +indexes +Index pgflow\.runs_newest is missing/m);
  expect(ill.output).toContain(
    '→ Run: create index runs_newest on "pgflow".runs (started_at, pg_catalog.uuid_send(run_id));',
  );
  expect(ill.output).toMatch(/errors: 1, warnings: 0$/);
  expect(ill.code).toBe(1);
});

test('doctor --json is JSON, and a warning is no failure', async () => {
  const db = await installed();
  await db.query(`insert into pgflow.workers (name, started_at, expires_at, handler_ids, concurrency, protocol)
    values (E'\\u001b[2J\\u009b1mdead\\n:1', now(), now() - interval '1 minute', '{}', 1, 1)`);
  const { code, output } = await run(['doctor', '--json'], { DATABASE_URL: db.url });
  const { ok, findings } = JSON.parse(output);
  expect(ok).toBe(true);
  expect(findings.find(({ check }: { check: string }) => check === 'workers')).toMatchObject({
    level: 'warning',
    message: 'The lease of \u001b[2J\u009b1mdead\n:1 has ended. Workers alive: 0.',
  });
  expect(output).not.toMatch(/[\u007f-\u009f]/);
  expect(code).toBe(0);

  const text = await run(['doctor'], { DATABASE_URL: db.url });
  expect(text.output).toContain('The lease of \\u001b[2J\\u009b1mdead\\u000a:1 has ended.');
  // biome-ignore lint/suspicious/noControlCharactersInRegex: it is what must not be there.
  expect(text.output).not.toMatch(/[\u001b\u009b]/);
});

test('migrate --repair makes lost functions again', async () => {
  const db = await installed();
  await db.query('drop function pgflow.next_due');
  expect((await run(['doctor'], { DATABASE_URL: db.url })).output).toContain(
    'npx pgflow-live migrate --repair',
  );
  expect((await run(['migrate', '--repair'], { DATABASE_URL: db.url })).code).toBe(0);
  expect((await run(['doctor'], { DATABASE_URL: db.url })).code).toBe(0);
});

test('prune deletes what is old and says how far it is', async () => {
  const db = await installed();
  await finishRuns(db, 3);
  const none = await run(['prune', '--older-than', '3d', '--json'], { DATABASE_URL: db.url });
  expect(none).toEqual({ code: 0, output: '{"pruned":0}' });
  const some = await run(['prune', '--older-than', '1d', '--batch', '2'], { DATABASE_URL: db.url });
  expect(some.output).toContain('2 runs deleted');
  expect(some.output).toContain('Deleted 3 runs that ended more than 1d ago.');
  expect(some.code).toBe(0);
  expect(await db.query('select count(*) as runs from pgflow.runs')).toEqual([{ runs: 0 }]);
});

test('prune ends after the batch under way when it is interrupted', async () => {
  const db = await installed();
  const runs = 500;
  await finishRuns(db, runs);
  const blocker = new pg.Client(db.url);
  await blocker.connect();
  onTestFinished(() => blocker.end());
  await blocker.query('begin; lock table pgflow.run_steps in share mode');
  await using child = startChild('src/cli/main.ts', {
    args: ['prune', '--older-than', '1d', '--batch', '1', '--database', db.url],
  });
  await vi.waitFor(async () => {
    const waiting = await db.query(
      `select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'
         and backend_type = 'client backend'`,
    );
    expect(waiting).toHaveLength(1);
  }, 20_000);
  child.kill('SIGINT');
  await blocker.query('rollback');
  expect((await child.exited).code).toBe(130);
  const [left] = await db.query('select count(*) as runs from pgflow.runs');
  expect(left!.runs).toBeGreaterThan(0);
  expect(child.output.join('\n')).toContain(`Deleted ${runs - left!.runs} run`);
});

test.each([
  [['prune'], '--older-than'],
  [['prune', '--older-than', '30'], 'Give a number with its unit'],
  [['prune', '--older-than', '1d', '--batch', '0'], 'whole number from 1 to 10000'],
  [['doctor', '--database', 'mysql://here'], 'INVALID_INPUT: '],
  [['doctor', '--database', 'postgres://nowhere/db', '--schema', 'not a name'], 'INVALID_DEFINITION: '],
  [['cure'], 'unknown command'],
])('%j is refused', async (args, message) => {
  const { code, output } = await run(args);
  expect(output).toContain(message);
  expect(output).not.toMatch(/^ +at /m);
  expect(code).toBe(1);
});

test('prune asks for a schema that is up to date', async () => {
  const db = await createTestDatabase('postgres');
  onTestFinished(() => db.close());
  const { code, output } = await run(['prune', '--older-than', '1d'], { DATABASE_URL: db.url });
  expect(output).toMatch(/^SCHEMA_OUTDATED: .*npx pgflow-live migrate/);
  expect(code).toBe(1);
});

/** The command, started in another directory. */
function runIn(directory: string, args: string[], env: Record<string, string | undefined> = {}) {
  return run(args, {
    ...env,
    NODE_OPTIONS: `--import data:text/javascript,process.chdir(${encodeURIComponent(JSON.stringify(directory))})`,
  });
}

test('doctor and prune make no embedded database where there is none', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'pgflow-commands-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  for (const args of [['doctor'], ['prune', '--older-than', '1d']]) {
    const { code, output } = await runIn(directory, args);
    expect(output).toContain('DATABASE_UNAVAILABLE: Neither --database nor DATABASE_URL is set');
    expect(code).toBe(1);
  }
  expect(existsSync(join(directory, '.pgflow'))).toBe(false);
});

test('works on the embedded database', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'pgflow-commands-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  expect((await runIn(directory, ['migrate'])).code).toBe(0);
  const doctor = await runIn(directory, ['doctor']);
  expect(doctor.output).toMatch(/errors: 0, warnings: 0$/);
  expect(doctor.code).toBe(0);
  expect((await runIn(directory, ['prune', '--older-than', '1d', '--json'])).output).toBe('{"pruned":0}');
});

test('an old Node.js is told before anything else', async () => {
  const old = `Object.defineProperty(process,'versions',{value:{...process.versions,node:'18.20.4'}})`;
  const { code, output } = await run(['doctor'], {
    NODE_OPTIONS: `--import data:text/javascript,${encodeURIComponent(old)}`,
  });
  expect(output).toMatch(/^pgflow-live needs Node\.js \S+ or newer; this is 18\.20\.4\./);
  expect(output.split('\n')).toHaveLength(1);
  expect(code).toBe(1);
});
