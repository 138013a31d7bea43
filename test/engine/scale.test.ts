import { describe, expect, onTestFinished, test } from 'vitest';
import { defineFlow, type Flow } from '../../src/flow/define-flow.js';
import { defineJob } from '../../src/flow/define-job.js';
import { createPgFlow } from '../../src/index.js';
import { createTestDatabase, describeEachDatabase } from '../harness/databases.js';
import { inTransaction } from './sql-worker.js';
import { createWorld } from './world.js';

const MINUTES = { timeout: 300_000 };

describeEachDatabase('large flows', (kind) => {
  test('a chain of 2,000 empty maps completes in one change', MINUTES, async () => {
    let flow: Flow = defineFlow({ slug: 'chain' }).step('m0', () => []);
    for (let i = 1; i <= 2000; i += 1) flow = flow.map(`m${i}`, { over: `m${i - 1}` }, () => 1);
    const world = await createWorld(kind, { flows: [flow] });

    const run = await world.start(flow);
    const end = await run.end();

    expect(end).toMatchObject({ status: 'completed', remainingSteps: 0, output: { m2000: [] } });
    expect(end.seq).toBeLessThanOrEqual(3);
    expect(run.eventsOf('step_completed').map(({ stepSlug }) => stepSlug)).toEqual(
      flow.steps.map(({ slug }) => slug),
    );
  });

  test('a chain of 2,000 steps is skipped by a cascade', MINUTES, async () => {
    let flow: Flow = defineFlow({ slug: 'cascade' }).step(
      's0',
      { if: 1, whenUnmet: 'skip-cascade' },
      () => 1,
    );
    for (let i = 1; i < 2000; i += 1) flow = flow.step(`s${i}`, { dependsOn: [`s${i - 1}`] }, () => 1);
    const world = await createWorld(kind, { flows: [flow], worker: false });

    const { run } = await world.start(flow);

    expect(run).toMatchObject({ status: 'completed', seq: 1, remainingSteps: 0, output: {} });
    expect(run.step('s1999')).toMatchObject({ status: 'skipped', skipReason: 'dependency_skipped' });
  });

  test('a graph of 500 steps: each runs once, after all that it depends on', MINUTES, async () => {
    const ran: string[] = [];
    const early: string[] = [];
    let flow: Flow = defineFlow({ slug: 'graph' });
    for (let i = 0; i < 500; i += 1) {
      const dependsOn = [...new Set([i >> 1, i - 7, (i * 31) % (i || 1)])]
        .filter((parent) => parent >= 0 && parent < i)
        .map((parent) => `s${parent}`);
      flow = flow.step(`s${i}`, { dependsOn }, ({ stepSlug, deps }) => {
        ran.push(stepSlug);
        if (Object.keys(deps).length !== dependsOn.length) early.push(stepSlug);
        return i;
      });
    }
    const world = await createWorld(kind, { flows: [flow], worker: { concurrency: 50 } });

    const end = await (await world.start(flow)).end();

    expect(end).toMatchObject({ status: 'completed', remainingSteps: 0 });
    expect(early).toEqual([]);
    expect(ran.toSorted()).toEqual(flow.steps.map(({ slug }) => slug).toSorted());
    expect(end.step('s499').output).toBe(499);
  });
});

describe('large maps on postgres', () => {
  test('wide-map: 10,000 tasks finish together: no deadlock, progress told in batches', MINUTES, async () => {
    const count = 10_000;
    let begun = 0;
    let open = () => {};
    const gate = new Promise<void>((resolve) => {
      open = resolve;
    });
    const flow = defineFlow<number[]>({ slug: 'wide' })
      .map('each', async ({ item }) => {
        begun += 1;
        if (begun === count) open();
        await gate;
        return item * 2;
      })
      .step('sum', { dependsOn: ['each'] }, ({ deps }) => deps.each.reduce((a, b) => a + b, 0));
    const world = await createWorld('postgres', { flows: [flow], worker: { concurrency: count / 2 } });
    await world.open();
    const input = Array.from({ length: count }, (_, i) => i);

    const run = await world.start(flow, input);
    const end = await run.end();

    expect(end.output).toEqual({ sum: count * (count - 1) });
    expect(end.step('each')).toMatchObject({ attempt: 1, output: input.map((i) => i * 2) });
    expect(begun).toBe(count);
    const progress = new Set(run.seen.map((now) => now.step('each').remainingTasks));
    expect(progress.size).toBeGreaterThan(3);
    expect(progress.size).toBeLessThan(count / 20);
  });

  test('one map of 100,000 tasks', MINUTES, async () => {
    const count = 100_000;
    const flow = defineFlow<number[]>({ slug: 'huge' }).map('each', ({ item }) => item + 1);
    // Without the audit, which would keep a copy of every row three times over.
    const db = await createTestDatabase('postgres');
    onTestFinished(() => db.close());
    const pgflow = await createPgFlow({
      database: db.database,
      flows: [flow],
      worker: { concurrency: 1000 },
    });
    onTestFinished(() => pgflow.stop());
    await pgflow.start();
    const input = Array.from({ length: count }, (_, i) => i);

    const live = await pgflow.track((await pgflow.startFlow(flow, input)).runId);
    const end = await live.waitFor('completed', { timeout: 280 });

    expect(end.step('each').output).toEqual(input.map((i) => i + 1));
    expect(end.step('each')).toMatchObject({ remainingTasks: 0, attempt: 1 });
    expect(await db.query('select status, attempt, count(*) from pgflow.step_tasks group by 1, 2')).toEqual([
      { status: 'completed', attempt: 1, count },
    ]);
    expect(await pgflow.getRun(end.runId)).toEqual(end);
  });
});

describeEachDatabase('how runs are looked up', (kind) => {
  test('by their key, also when the tables were analysed while they were nearly empty', async () => {
    const echo = defineJob({ slug: 'echo' }, ({ input }) => input);
    const world = await createWorld(kind, { jobs: [echo], worker: false });
    await world.pgflow.enqueue(echo, 1);
    await world.db.query('analyze pgflow.runs');

    let scans: { name: string; scans: number }[] = [];
    await inTransaction(world.db, 'rollback', async (tx) => {
      await tx.query(
        `select * from pgflow.start_flows(array[gen_random_uuid()], '{echo}', array['2'::jsonb])`,
      );
      scans =
        await tx.query(`select relname as name, pg_stat_get_xact_numscans(oid)::int as scans from pg_class
        where relname in ('runs_pkey', 'runs_newest') order by relname`);
    });

    expect(scans).toMatchObject([{ name: 'runs_newest', scans: 0 }, { name: 'runs_pkey' }]);
    expect(scans[1]!.scans).toBeGreaterThan(0);
  });
});
