import pg from 'pg';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { createPgFlow, defineFlow, defineJob } from '../../src/index.js';
import {
  createTestDatabase,
  createTestPgFlow,
  gate,
  type TestPgFlow,
  type TestPgFlowOptions,
} from '../../src/testing/index.js';
import { type DatabaseKind, describeEachDatabase, sharedServer } from '../harness/databases.js';
import { codeOf, rejection } from './rejection.js';

const where = (kind: DatabaseKind) => (kind === 'postgres' ? sharedServer() : 'memory:');
const echo = defineJob<string>({ slug: 'echo' }, ({ input }) => input);

/** The first PGlite of a process and the first template of a server take long where others are at work. */
const PATIENCE = 120_000;

async function open(kind: DatabaseKind, options: TestPgFlowOptions): Promise<TestPgFlow> {
  // No poll: nothing may depend on one.
  const t = await createTestPgFlow({ database: where(kind), worker: { pollInterval: 3600 }, ...options });
  onTestFinished(() => t.close());
  return t;
}

async function statusesOf({ pgflow }: TestPgFlow): Promise<string[]> {
  const { runs } = await pgflow.listRuns();
  return runs.map(({ status }) => status);
}

async function databasesLike(pattern: string): Promise<string[]> {
  const client = new pg.Client(sharedServer());
  await client.connect();
  const { rows } = await client.query('select datname from pg_database where datname like $1', [pattern]);
  await client.end();
  return rows.map(({ datname }) => datname);
}

describeEachDatabase('the testing kit', (kind) => {
  vi.setConfig({ testTimeout: PATIENCE });

  test('drain resolves when all that was due is done, chains and maps included', async () => {
    const flow = defineFlow<number[]>({ slug: 'sum' })
      .map('double', ({ item }) => item * 2)
      .step('sum', { dependsOn: ['double'] }, ({ deps }) => deps.double.reduce((a, b) => a + b, 0));
    const t = await open(kind, { flows: [flow] });

    const { runId } = await t.pgflow.startFlow(flow, [1, 2, 3]);
    await t.drain();

    expect((await t.pgflow.getRun(runId))?.output).toEqual({ sum: 12 });
  });

  test('drain leaves what is due later; advance makes it due', async () => {
    const flaky = defineJob({ slug: 'flaky', baseDelay: 60 }, ({ attempt }) => {
      if (attempt < 3) throw new Error('not yet');
      return attempt;
    });
    const t = await open(kind, { jobs: [echo, flaky] });
    const late = await t.pgflow.enqueue(echo, 'late', { delay: 3600 });
    const { runId } = await t.pgflow.enqueue(flaky, null);

    await t.drain();
    expect(await statusesOf(t)).toEqual(['started', 'started']);
    await t.clock.advance('2m');
    await t.drain();
    expect((await t.pgflow.getRun(runId))?.step('flaky').attempt).toBe(2);
    await t.clock.advance('4m');
    await t.drain();
    expect((await t.pgflow.getRun(runId))?.output).toBe(3);
    expect((await t.pgflow.getRun(late.runId))?.status).toBe('started');
    await t.clock.advance('1h');
    await t.drain();
    expect((await t.pgflow.getRun(late.runId))?.output).toBe('late');
  });

  test('drain waits for what is executing, and says what it is when it takes too long', async () => {
    const held = gate<string>();
    const began = gate();
    const job = defineJob({ slug: 'slow' }, () => {
      began.open();
      return held;
    });
    const t = await open(kind, { jobs: [job] });
    const { runId } = await t.pgflow.enqueue(job, null);
    await began;

    const error = await rejection(t.drain({ timeout: 0.05 }));
    expect(error).toMatchObject({ code: 'TIMEOUT', data: { runIds: [runId] } });
    expect(error.message).toContain(`slow ${runId}: Step \`slow\` has a task running since`);

    const drained = t.drain();
    held.open('done');
    await drained;
    expect((await t.pgflow.getRun(runId))?.output).toBe('done');
  });

  test('drain says of what is due that nobody works on it', async () => {
    const t = await open(kind, { jobs: [echo], worker: false });
    await t.pgflow.enqueue(echo, 'x');
    expect((await rejection(t.drain({ timeout: 0 }))).message).toContain('no running worker knows');
  });

  test('waitFor resolves to the run in that state, now or later', async () => {
    const bank = gate<number>();
    const flow = defineFlow({ slug: 'order' })
      .step('validate', () => 20)
      .step('charge', { dependsOn: ['validate'] }, () => bank);
    const t = await open(kind, { flows: [flow] });
    const run = await t.pgflow.startFlow(flow, {});

    const charging = await t.waitFor(run, (now) => now.step('charge').status === 'started');
    expect(charging.step('validate').output).toBe(20);
    const late = await rejection(t.waitFor(run, 'completed', { timeout: 0.01 }));
    expect(late).toMatchObject({ code: 'TIMEOUT', data: { status: 'started' } });
    expect(late.message).toContain('with validate completed, charge started');

    const ended = t.waitFor(run.runId, 'completed');
    bank.open(7);
    expect((await ended).output).toEqual({ charge: 7 });
    const gone = await rejection(t.waitFor(run, 'failed'));
    expect(gone).toMatchObject({ code: 'RUN_UNREACHABLE', data: { status: 'completed' } });
    const broken = t.waitFor(run, () => {
      throw new Error('no such step');
    });
    await expect(broken).rejects.toThrow('no such step');
  });

  test('each has a database of its own, and so a clock; close leaves handlers behind', async () => {
    const began = gate();
    const stuck = defineJob({ slug: 'stuck' }, () => {
      began.open();
      return gate();
    });
    const [one, other] = await Promise.all([open(kind, { jobs: [stuck] }), open(kind, { jobs: [echo] })]);
    await one.pgflow.enqueue(stuck, null);
    await began;
    await other.pgflow.enqueue(echo, 'x', { delay: 60 });
    await one.clock.advance('1h');
    await other.drain();
    expect(await statusesOf(other)).toEqual(['started']);

    await one[Symbol.asyncDispose]();
    await one.close();
    expect(await codeOf(one.pgflow.listRuns())).toBe('CLOSED');
    await expect(one.clock.advance(1)).rejects.toThrow();
    await other.clock.advance('1m');
    await other.drain();
    expect(await statusesOf(other)).toEqual(['completed']);
  });

  test('a test database serves several pgflows of the same schema', async () => {
    const db = await createTestDatabase({ database: where(kind), schema: 'orders' });
    onTestFinished(() => db.close());
    const options = { database: db.database, schema: 'orders', migrate: false };
    const starter = await createPgFlow({ ...options, jobs: [echo], worker: false });
    const worker = await createPgFlow({ ...options, jobs: [echo] });
    onTestFinished(async () => {
      await Promise.all([starter.stop(), worker.stop()]);
    });
    await worker.start();

    const { runId } = await starter.enqueue('echo', 'both');
    await db.drain();

    expect((await starter.getRun(runId))?.output).toBe('both');
  });

  test('what fails on the way leaves nothing behind', async () => {
    const before = await databasesLike('pgflow_test_%');
    const open = createTestPgFlow({ database: where(kind), jobs: [echo, echo] });
    expect(await codeOf(open)).toBe('INVALID_DEFINITION');
    const left = await databasesLike('pgflow_test_%');
    expect(left.filter((name) => !before.includes(name) && /^pgflow_test_[0-9a-f]{16}$/.test(name))).toEqual(
      [],
    );
  });
});

describe('a database on a server', { timeout: PATIENCE }, () => {
  test('is a copy of one template, however many ask at once, and gone when it is closed', async () => {
    // A schema of its own name, so that no other test has made the template.
    const schema = `kit_${process.pid}`;
    const before = await databasesLike('pgflow_template_%');
    const made = await Promise.all(
      Array.from({ length: 3 }, () => createTestDatabase({ database: sharedServer(), schema })),
    );
    const templates = (await databasesLike('pgflow_template_%')).filter((name) => !before.includes(name));
    const names = made.map(({ database }) => new URL(database as string).pathname.slice(1));
    const there = await databasesLike('pgflow_test_%');
    await Promise.all(made.map((db) => db.close()));
    const left = await databasesLike('pgflow_test_%');
    const client = new pg.Client(sharedServer());
    await client.connect();
    for (const name of templates) await client.query(`drop database ${name}`);
    await client.end();

    expect(templates).toHaveLength(1);
    expect(there).toEqual(expect.arrayContaining(names));
    expect(left.filter((name) => names.includes(name))).toEqual([]);
    expect(await databasesLike('pgflow_draft_%')).toEqual([]);
  });

  test.each(['mysql://localhost/x', './data'])('%s is refused', async (database) => {
    expect(await codeOf(createTestDatabase({ database }))).toBe('INVALID_INPUT');
  });
});
