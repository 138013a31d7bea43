import { expect, test } from 'vitest';
import { defineFlow, type Flow } from '../../src/flow/define-flow.js';
import { createPgFlow, LiveClient, type PgFlow } from '../../src/index.js';
import type { Run } from '../../src/run/run.js';
import { describeEachDatabase } from '../harness/databases.js';
import { scripted } from './scripted.js';
import { claimBySql, settleBySql } from './sql-worker.js';
import { createWorld, type World } from './world.js';

const versionsOf = (world: World) =>
  world.db.query('select flow_slug, version from pgflow.flow_versions order by flow_slug, version');

describeEachDatabase('versions', (kind) => {
  test('register-together: two processes register the same flows at once, in any order; one version each', async () => {
    const flows = ['a', 'b', 'c'].map((slug) =>
      defineFlow({ slug })
        .step('one', () => 1)
        .step('two', { dependsOn: ['one'], if: { one: 1 } }, () => 2),
    );
    const world = await createWorld(kind, { worker: false });
    const register = (some: Flow[]) =>
      createPgFlow({ database: world.db.database, flows: some, worker: false });

    const together = await Promise.all([register(flows), register(flows.toReversed())]);
    const runs = await Promise.all(together.map((pgflow) => pgflow.startFlow('b', {})));
    await Promise.all(together.map((pgflow) => pgflow.stop()));

    expect(await versionsOf(world)).toEqual(['a', 'b', 'c'].map((flow_slug) => ({ flow_slug, version: 1 })));
    expect(runs.map(({ version }) => version)).toEqual([1, 1]);
  });

  test('new-shape: conditions are part of it, the order of their keys is not; an old shape is the old version', async () => {
    const plain = defineFlow({ slug: 'order' }).step('only', () => 1);
    const conditional = (pattern: unknown, whenUnmet: 'skip' | 'fail' = 'skip') =>
      defineFlow({ slug: 'order' }).step('only', { if: pattern, whenUnmet }, () => 1);
    const shapes = [
      plain,
      conditional({ a: 1, b: 2 }),
      conditional({ b: 2, a: 1 }),
      conditional(null),
      conditional(null, 'fail'),
      defineFlow({ slug: 'order' }).step('only', { whenExhausted: 'skip' }, () => 1),
      plain,
    ];
    const world = await createWorld(kind, { worker: false });

    const versions: number[] = [];
    for (const flow of shapes) {
      const pgflow = await world.open({ flows: [flow] });
      versions.push((await pgflow.startFlow('order', {})).version);
    }

    expect(versions).toEqual([1, 2, 2, 3, 4, 5, 1]);
  });

  test('new-shape: a run in flight keeps its conditions, also in its retry', async () => {
    const charge = scripted();
    const flow = (go: boolean) =>
      defineFlow({ slug: 'order', maxAttempts: 1 })
        .step('charge', charge.handler)
        .step('ship', { dependsOn: ['charge'], if: { charge: go } }, () => 'shipped');
    const world = await createWorld(kind, { flows: [flow(true)] });
    const old = await world.start('order');
    const newer = await world.open({ flows: [flow(false)] });
    const fresh = await world.watch((await newer.startFlow('order', {})).runId, newer);

    const [first, second] = [await charge.next(), await charge.next()];
    const isOld = first.context.runId === old.live.runId;
    (isOld ? first : second).fail(new Error('no'));
    (isOld ? second : first).complete(true);
    await old.end();
    const retried = await newer.retryRun(old.live.runId);
    const again = await world.watch(retried.runId, newer);
    (await charge.next()).complete(true);

    expect((await fresh.end()).step('ship').status).toBe('skipped');
    expect(await again.end()).toMatchObject({ version: 1, output: { ship: 'shipped' } });
  });

  test('known-handlers: a step that no worker has stays queued, and explain says so until one comes', async () => {
    const flow = defineFlow({ slug: 'order' })
      .step('load', () => 1)
      .step('ship', { dependsOn: ['load'] }, ({ deps }) => deps);
    const without = defineFlow({ slug: 'order' }).step('load', () => 2);
    const world = await createWorld(kind, { flows: [flow], worker: false });
    const run = await world.start(flow);
    await world.open({ flows: [without], worker: {} });
    await run.until((now) => now.step('load').status === 'completed');

    const waiting = await world.pgflow.explain(run.live.runId);
    const [task] = (await world.tasks(run.live.runId)).filter(({ step_slug }) => step_slug === 'ship');
    await world.open({ flows: [flow], worker: {} });
    const end = await run.end();

    expect(waiting.waits).toMatchObject([
      { stepSlug: 'ship', reason: 'no_worker', tasks: 1, message: expect.stringContaining('`order`') },
    ]);
    expect(task).toMatchObject({ status: 'queued', attempt: 0 });
    expect(end.output).toEqual({ ship: { load: 2 } });
    expect((await world.pgflow.explain(end.runId)).waits).toEqual([]);
  });

  test('claim-filters: nothing is claimed of terminal runs or skipped steps', async () => {
    const flow = defineFlow<number[]>({ slug: 'filtered', maxAttempts: 1 })
      .map('each', { whenExhausted: 'skip' }, () => 1)
      .step('never', { if: [99] }, () => 1)
      .step('open', { startDelay: 60 }, () => 1);
    const world = await createWorld(kind, { flows: [flow], worker: false });
    const [skipped, cancelled] = [await world.start(flow, [1, 2, 3]), await world.start(flow, [1, 2, 3])];
    const [claim] = await claimBySql(world.db, 1);
    expect(claim!.run_id).toBe(skipped.live.runId);

    await settleBySql(world.db, claim!, { outcome: 'failed', error: 'no' });
    await world.pgflow.cancelRun(cancelled.live.runId);

    expect(await claimBySql(world.db)).toEqual([]);
    await world.clock.advance('61s');
    expect(await claimBySql(world.db)).toMatchObject([{ run_id: skipped.live.runId, step_index: 2 }]);
    expect(await world.getRun(cancelled.live.runId)).toMatchObject({ status: 'cancelled' });
  });
});

/** A page's socket, which keeps what it was assigned. */
async function subscribe(pgflow: PgFlow, runId: string) {
  const shown: Run[] = [];
  const socket = {
    assigns: {} as { flowRun?: Run | null },
    assign(values: { flowRun?: Run | null }) {
      Object.assign(this.assigns, values);
      if (values.flowRun) shown.push(values.flowRun);
    },
  };
  const result = await LiveClient.subscribe(LiveClient.init(socket, { pgflow }), runId);
  expect(result.ok).toBe(true);
  return { socket, shown };
}

describeEachDatabase('LiveClient', (kind) => {
  test.each([
    ['completed', 'skip', 'skipped'],
    ['failed', 'fail', 'failed'],
  ] as const)(
    'sql-only-steps: steps that end without a task are live; the run %s',
    async (status, whenUnmet, strict) => {
      const load = scripted();
      const flow = defineFlow({ slug: 'taskless' })
        .step('load', load.handler)
        .step('maybe', { dependsOn: ['load'], if: { load: [1] } }, () => [1])
        .step('first', { dependsOn: ['load'], if: { load: [1] }, whenUnmet: 'skip-cascade' }, () => 1)
        .step('second', { dependsOn: ['first'] }, () => 1)
        .map('each', { over: 'maybe' as never }, () => 1)
        .step('strict', { dependsOn: ['each'], if: { each: [1] }, whenUnmet }, () => 1);
      const world = await createWorld(kind, { flows: [flow] });
      const run = await world.start(flow);
      const { socket, shown } = await subscribe(world.pgflow, run.live.runId);

      (await load.next()).complete([]);
      const end = await run.end();

      expect(shown.at(-1)).toEqual(await world.getRun(end.runId));
      expect(socket.assigns.flowRun).toMatchObject({ status });
      expect(end.stepStates.map((step) => [step.status, step.skipReason])).toEqual([
        ['completed', null],
        ['skipped', 'condition_unmet'],
        ['skipped', 'condition_unmet'],
        ['skipped', 'dependency_skipped'],
        ['completed', null],
        [strict, strict === 'skipped' ? 'condition_unmet' : null],
      ]);
      const told = run.events.filter(({ type }) => /^step_(completed|skipped|failed)$/.test(type));
      expect(told.map(({ stepSlug }) => stepSlug)).toHaveLength(6);
      expect(told.findIndex(({ stepSlug }) => stepSlug === 'first')).toBeLessThan(
        told.findIndex(({ stepSlug }) => stepSlug === 'second'),
      );
      LiveClient.dispose(socket);
    },
  );

  test('foreign-writer: a run driven by another instance is live', async () => {
    const calls = scripted();
    const flow = defineFlow({ slug: 'foreign', maxAttempts: 1 })
      .step('a', calls.handler)
      .step('b', { dependsOn: ['a'], whenExhausted: 'skip' }, calls.handler)
      .step('c', { dependsOn: ['b'] }, calls.handler);
    const world = await createWorld(kind, { flows: [flow], worker: false });
    const other = await world.open({ worker: {} });
    const { runId } = await other.startFlow(flow, {});
    const run = await world.watch(runId);
    const { socket, shown } = await subscribe(world.pgflow, runId);

    (await calls.next()).complete('A');
    await run.until((now) => now.step('a').output === 'A');
    (await calls.next()).fail(new Error('no'));
    await run.until((now) => now.step('b').status === 'skipped');
    await calls.next();
    await other.cancelRun(runId, { reason: 'enough' });
    const end = await run.end();

    expect(end).toMatchObject({ status: 'cancelled' });
    expect(run.eventsOf('run_cancelled')).toMatchObject([{ reason: 'enough' }]);
    expect(socket.assigns.flowRun).toEqual(end);
    const seqs = shown.map(({ seq }) => seq);
    expect(seqs).toEqual(seqs.toSorted((a, b) => a - b));
    LiveClient.dispose(socket);
  });

  test('foreign-writer: a run started, driven, retried and cancelled by SQL functions is live', async () => {
    const flow = defineFlow({ slug: 'by_sql', maxAttempts: 1 })
      .step('a', () => 1)
      .step('b', { dependsOn: ['a'], ifNot: { a: 1 } }, () => 1);
    const world = await createWorld(kind, { flows: [flow], worker: false });
    const [first, second] = ['0190a6c4-0000-7000-8000-000000000001', '0190a6c4-0000-7000-8000-000000000002'];
    await world.db.query(`select pgflow.start_flows(array[$1::uuid], array['by_sql'], array['{}'::jsonb])`, [
      first,
    ]);
    const failing = await world.watch(first);
    await settleBySql(world.db, (await claimBySql(world.db))[0]!, { outcome: 'failed', error: 'no' });
    const failed = await failing.end();
    await world.db.query('select pgflow.retry_run($1, $2)', [first, second]);
    const running = await world.watch(second);
    const { socket } = await subscribe(world.pgflow, second);
    await settleBySql(world.db, (await claimBySql(world.db))[0]!, { outcome: 'completed', output: 2 });
    await running.until((now) => now.step('b').initialTasks === 1);
    await world.db.query(`select pgflow.cancel_run($1, 'by hand')`, [second]);
    const end = await running.end();

    expect(failed).toMatchObject({ status: 'failed', error: { stepSlug: 'a', message: 'no' } });
    expect(end).toMatchObject({ status: 'cancelled', retryOf: first });
    expect(running.eventsOf('run_cancelled')).toMatchObject([{ reason: 'by hand' }]);
    expect(socket.assigns.flowRun).toEqual(end);
    LiveClient.dispose(socket);
  });
});
