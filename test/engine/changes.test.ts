import { expect, test } from 'vitest';
import { defineFlow } from '../../src/flow/define-flow.js';
import type { RunEvent } from '../../src/run/event.js';
import { eventsBetween } from '../../src/run/events-between.js';
import { describeEachDatabase } from '../harness/databases.js';
import { claimBySql, dumpRun, inTransaction, settleBySql } from './sql-worker.js';
import type { WatchedRun } from './watched-run.js';
import { createWorld } from './world.js';

const parents: Record<string, readonly string[]> = {
  list: [],
  empty: [],
  each: ['list'],
  nothing: ['empty'],
  both: ['each', 'nothing'],
  last: ['both'],
};

const graph = defineFlow({ slug: 'graph', baseDelay: 0 })
  .step('list', () => [1, 2, 3])
  .step('empty', () => [] as number[])
  .map('each', { over: 'list' }, ({ index, attempt }) => {
    if (index === 1 && attempt === 1) throw new Error('once');
    return index;
  })
  .map('nothing', { over: 'empty' }, () => 1)
  .step('both', { dependsOn: ['each', 'nothing'] }, ({ deps }) => deps)
  .step('last', { dependsOn: ['both'] }, () => 'end');

/** All events of a run from its beginning, as one who reads it whole would derive them. */
function eventsOfWhole({ live }: WatchedRun): RunEvent[] {
  return eventsBetween(null, live.getSnapshot(), live.changeSince(0)!);
}

function expectOrder(events: readonly RunEvent[]): void {
  const positions = new Map(
    events
      .filter(({ type }) => !type.startsWith('task_'))
      .map((event, i) => [`${event.type} ${event.stepSlug}`, i]),
  );
  const at = (name: string) => positions.get(name) ?? Number.NaN;
  for (const [slug, waitsFor] of Object.entries(parents)) {
    const begins = slug === 'nothing' ? at('step_completed nothing') : at(`step_started ${slug}`);
    expect(at(`step_completed ${slug}`)).toBeGreaterThanOrEqual(begins);
    for (const parent of waitsFor) expect(begins).toBeGreaterThan(at(`step_completed ${parent}`));
  }
  expect(events.at(-1)!.type).toBe('run_completed');
}

describeEachDatabase('changes', (kind) => {
  test("order: a parent completes before its child starts or completes; the run's terminal event last", async () => {
    const world = await createWorld(kind, { flows: [graph], paused: true });
    const run = await world.start(graph);
    await world.pgflow.start();
    await run.end();

    expectOrder(run.events);
    const seqs = run.events.map(({ seq }) => seq);
    expect(seqs).toEqual(seqs.toSorted((a, b) => a - b));
  });

  test('order: run_started first, and the same order for one who comes when all is over', async () => {
    const world = await createWorld(kind, { flows: [graph] });
    const run = await world.start(graph);
    await run.end();
    const late = await world.watch(run.live.runId, await world.open({ worker: false }));

    const events = eventsOfWhole(late);

    expect(events[0]).toMatchObject({ type: 'run_started', seq: 1, at: late.run.startedAt });
    expectOrder(events);
    expect(late.events).toEqual([]);
  });

  test('rolled-back: a transaction that rolls back leaves no change and no hole in seq', async () => {
    const flow = defineFlow({ slug: 'order' })
      .step('a', () => {})
      .step('b', { dependsOn: ['a'] }, () => {});
    const world = await createWorld(kind, { flows: [flow], worker: false });
    const run = await world.start(flow);
    const [claim] = await claimBySql(world.db);
    const before = await dumpRun(world.db, run.live.runId);
    const end = { outcome: 'completed', output: 1 } as const;

    await inTransaction(world.db, 'rollback', async (tx) => {
      expect(await settleBySql(tx, claim!, end)).not.toEqual([]);
    });
    expect(await dumpRun(world.db, run.live.runId)).toEqual(before);
    expect(await world.getRun(run.live.runId)).toEqual(run.seen[0]);

    await inTransaction(world.db, 'commit', (tx) => settleBySql(tx, claim!, end));
    const after = await run.until((now) => now.step('a').status === 'completed');
    expect(after.seq).toBe(2);
  });

  test('rolled-back: a start in a transaction that rolls back leaves no run', async () => {
    const flow = defineFlow({ slug: 'order' }).step('a', () => {});
    const world = await createWorld(kind, { flows: [flow], worker: false });
    const start = `select kind from pgflow.start_flows(array[gen_random_uuid()], array['order'], array['{}'::jsonb])`;

    await inTransaction(world.db, 'rollback', async (tx) => {
      expect(await tx.query(start)).toContainEqual({ kind: 'run' });
    });

    expect((await world.pgflow.listRuns()).runs).toEqual([]);
  });

  test('payloads: every event carries runId, seq and at; step events the new values of the step', async () => {
    const flow = defineFlow({ slug: 'order', maxAttempts: 2, baseDelay: 0 })
      .step('good', () => ({ total: 1 }))
      .step('bad', { dependsOn: ['good'] }, ({ attempt }) => {
        throw new Error(`no ${attempt}`);
      })
      .step('queued', { dependsOn: ['good'], startDelay: 60 }, () => 1);
    const world = await createWorld(kind, { flows: [flow], paused: true });
    const run = await world.start(flow);
    await world.pgflow.start();
    const end = await run.end();

    for (const event of run.events) {
      expect(event).toMatchObject({ runId: end.runId, seq: expect.any(Number), at: expect.any(Date) });
    }
    const [good, bad, queued] = end.stepStates;
    const task = { taskIndex: 0, stepSlug: 'good', attempt: 1 };
    expect(run.eventsOf('step_started')).toMatchObject([
      { stepSlug: 'good', attempt: 1, at: good!.startedAt },
      { stepSlug: 'bad', attempt: 1, at: bad!.startedAt },
    ]);
    expect(run.eventsOf('step_completed')).toMatchObject([
      { stepSlug: 'good', output: { total: 1 }, at: good!.completedAt },
    ]);
    expect(run.eventsOf('step_failed')).toMatchObject([
      { stepSlug: 'bad', attempt: 2, error: 'no 2', at: bad!.failedAt },
    ]);
    expect(run.eventsOf('step_cancelled')).toMatchObject([{ stepSlug: 'queued', at: queued!.cancelledAt }]);
    expect(run.eventsOf('task_started')).toContainEqual(
      expect.objectContaining({ ...task, at: good!.startedAt }),
    );
    expect(run.eventsOf('task_completed')).toMatchObject([
      { ...task, output: { total: 1 }, at: good!.completedAt },
    ]);
    expect(run.eventsOf('task_failed')).toMatchObject([
      { stepSlug: 'bad', attempt: 1, error: 'no 1', willRetry: true, retryAt: expect.any(Date) },
      { stepSlug: 'bad', attempt: 2, error: 'no 2', willRetry: false, retryAt: null },
    ]);
    expect(run.eventsOf('run_failed')).toMatchObject([{ seq: end.seq, at: end.failedAt, error: 'no 2' }]);
  });

  test('payloads: run_started and run_completed with the values of the run', async () => {
    const flow = defineFlow({ slug: 'order' }).step('only', () => 'done');
    const world = await createWorld(kind, { flows: [flow], paused: true });
    const run = await world.start(flow);
    await world.pgflow.start();
    const end = await run.end();

    expect(run.eventsOf('run_completed')).toMatchObject([
      { runId: end.runId, seq: end.seq, at: end.completedAt, output: { only: 'done' } },
    ]);
    expect(eventsOfWhole(run)[0]).toMatchObject({
      type: 'run_started',
      runId: end.runId,
      seq: 1,
      at: end.startedAt,
    });
  });
});
