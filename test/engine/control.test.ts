import { describe, expect, test } from 'vitest';
import { defineFlow } from '../../src/flow/define-flow.js';
import { startChild } from '../harness/child.js';
import { describeEachDatabase } from '../harness/databases.js';
import { codeOf } from './rejection.js';
import { aborted, scripted } from './scripted.js';
import { claimBySql, dumpRun, settleBySql } from './sql-worker.js';
import { createWorld } from './world.js';

const UNKNOWN = '0190a6c4-0000-7000-8000-000000000001';
/** No heartbeat comes within a test: what is told must be told at once. */
const LONG_LEASE = { lease: 36_000 };

describe('poison on postgres', () => {
  test('poison: a task that kills its process fails for good after maxAttempts; the run ends', async () => {
    const flow = defineFlow({ slug: 'poison', maxAttempts: 2 }).step('deadly', () => 1);
    const world = await createWorld('postgres', { flows: [flow], worker: false });
    const run = await world.start(flow);

    for (const attempt of [1, 2]) {
      await using child = startChild('test/engine/fixtures/poisoned-worker.ts', {
        env: { TEST_DATABASE_URL: world.db.url },
      });
      await child.waitForLine(new RegExp(`^began ${attempt}$`));
      expect((await child.exited).signal).toBe('SIGKILL');
      await world.clock.advance('31s');
    }
    const survivor = defineFlow({ slug: 'survivor' }).step('only', () => 1);
    await world.open({ flows: [survivor], worker: {} });
    const end = await run.end();

    const message = 'The worker that ran this attempt stopped answering.';
    expect(end).toMatchObject({ status: 'failed', error: { stepSlug: 'deadly', taskIndex: 0, message } });
    expect(await world.tasks(end.runId)).toMatchObject([{ status: 'failed', attempt: 2 }]);
  });
});

describeEachDatabase('cancelRun', (kind) => {
  test('cancel: queued tasks never start, handlers abort in all workers at once, run_cancelled once', async () => {
    const calls = scripted();
    const flow = defineFlow<number[]>({ slug: 'cancelled' })
      .map('each', calls.handler)
      .step('later', { startDelay: 3600 }, () => 1)
      .step('after', { dependsOn: ['each'] }, () => 1);
    const probe = defineFlow({ slug: 'probe' }).step('only', () => 1);
    const worker = { concurrency: 2, ...LONG_LEASE };
    const world = await createWorld(kind, { flows: [flow, probe], worker: false });
    await world.open({ worker });
    await world.open({ worker });
    const run = await world.start(flow, [1, 2, 3, 4, 5]);
    const handlers = await Promise.all([1, 2, 3, 4].map(() => calls.next()));
    await run.until((now) => now.step('each').status === 'started');

    const result = await world.pgflow.cancelRun(run.live.runId, { reason: 'The customer called' });
    const end = await run.end();
    const reasons = await Promise.all(handlers.map(({ context }) => aborted(context.signal)));
    for (const { complete } of handlers) complete('too late');
    await world.clock.advance('2h');
    await (await world.start(probe)).end();

    expect(result.cancelled).toBe(true);
    expect(result.run).toEqual(end);
    for (const reason of reasons) expect(reason).toMatchObject({ code: 'ABORTED' });
    expect(end).toMatchObject({ status: 'cancelled', error: null, output: null, remainingSteps: 3 });
    expect(end.stepStates.map(({ status }) => status)).toEqual(['cancelled', 'cancelled', 'created']);
    expect(end.cancelledAt).toEqual(end.step('each').cancelledAt);
    expect(run.eventsOf('run_cancelled')).toMatchObject([{ reason: 'The customer called' }]);
    expect(run.events.at(-1)!.type).toBe('run_cancelled');
    expect((await world.tasks(end.runId)).every(({ status }) => status === 'cancelled')).toBe(true);
    expect(calls.calls).toHaveLength(4);
    expect(await world.getRun(end.runId)).toEqual(end);
  });

  test('cancel: again, or a run that has ended otherwise, changes nothing and says so', async () => {
    const flow = defineFlow<string>({ slug: 'ended', maxAttempts: 1 }).step('only', ({ input }) => {
      if (input === 'fail') throw new Error('no');
    });
    const world = await createWorld(kind, { flows: [flow] });
    const ends = [await (await world.start(flow, 'ok')).end(), await (await world.start(flow, 'fail')).end()];
    const waiting = await world.start(flow, 'wait', { delay: 60 });
    const first = await world.pgflow.cancelRun(waiting.live.runId);
    ends.push(await waiting.end());

    expect(first.cancelled).toBe(true);
    expect(waiting.eventsOf('run_cancelled')[0]!.reason).toBeUndefined();
    for (const end of ends) {
      const before = await dumpRun(world.db, end.runId);
      const again = await world.pgflow.cancelRun(end.runId, { reason: 'again' });
      expect(again).toEqual({ cancelled: false, run: end });
      expect(await dumpRun(world.db, end.runId)).toEqual(before);
    }
    expect(await codeOf(world.pgflow.cancelRun(UNKNOWN))).toBe('RUN_NOT_FOUND');
    expect(await codeOf(world.pgflow.cancelRun('x'))).toBe('INVALID_RUN_ID');
  });

  test('cancel: many at once cancel once; a late settle changes nothing', async () => {
    const flow = defineFlow({ slug: 'race' }).step('only', () => 1);
    const world = await createWorld(kind, { flows: [flow], worker: false });
    const other = await world.open({ flows: [] });
    const run = await world.start(flow);
    const [claim] = await claimBySql(world.db);

    const results = await Promise.all(
      [world.pgflow, other, world.pgflow, other].map((pgflow) => pgflow.cancelRun(run.live.runId)),
    );
    const before = await dumpRun(world.db, run.live.runId);
    await settleBySql(world.db, claim!, { outcome: 'completed', output: 1 });

    expect(results.filter(({ cancelled }) => cancelled)).toHaveLength(1);
    expect(await dumpRun(world.db, run.live.runId)).toEqual(before);
    expect((await run.end()).seq).toBe(2);
  });
});

describeEachDatabase('retryRun', (kind) => {
  test('retry-run: completed steps keep their outputs and do not run again; the same root idempotencyKey', async () => {
    const [load, charge] = [scripted(), scripted()];
    const flow = defineFlow({ slug: 'order', maxAttempts: 1 })
      .step('load', load.handler)
      .step('charge', { dependsOn: ['load'] }, charge.handler)
      .step('ship', { dependsOn: ['charge'] }, ({ deps }) => deps);
    const world = await createWorld(kind, { flows: [flow] });
    const run = await world.start(flow, { id: 7 });
    (await load.next()).complete({ lines: [1, null] });
    const keys: string[] = [];
    for (let of: string = run.live.runId, last = 2, i = 0; i <= last; i += 1) {
      const call = await charge.next();
      keys.push(call.context.idempotencyKey);
      expect(call.context).toMatchObject({ runId: of, attempt: 1, deps: { load: { lines: [1, null] } } });
      if (i === last) {
        call.complete('paid');
        break;
      }
      call.fail(new Error('declined'));
      const failed = await (await world.watch(of)).end();
      const retried = await world.pgflow.retryRun(of);
      expect(retried).toMatchObject({ retryOf: of, status: 'started', version: 1, input: { id: 7 } });
      expect(retried.step('load')).toMatchObject({ status: 'completed', output: { lines: [1, null] } });
      expect(await world.getRun(of)).toEqual(failed);
      of = retried.runId;
    }
    const { runs } = await world.pgflow.listRuns({ limit: 1 });
    const end = await (await world.watch(runs[0]!.runId)).end();

    expect(end).toMatchObject({
      status: 'completed',
      output: { ship: { charge: 'paid' } },
      remainingSteps: 0,
    });
    expect(new Set(keys)).toEqual(new Set([`${run.live.runId}:charge:0`]));
    expect(load.calls).toHaveLength(1);
  });

  test('retry-run: of a map, only the tasks that had not completed', async () => {
    const calls = scripted();
    const flow = defineFlow({ slug: 'map', maxAttempts: 1 })
      .step('list', () => ['a', 'b', 'c', 'd'])
      .map('each', { over: 'list' }, calls.handler)
      .step('after', { dependsOn: ['each'] }, ({ deps }) => deps);
    const world = await createWorld(kind, { flows: [flow] });
    const run = await world.start(flow);
    const tasks = await calls.nextByIndex(4);
    tasks[0]!.complete('A');
    tasks[2]!.complete(null);
    await run.until((now) => now.step('each').remainingTasks === 2);
    tasks[1]!.fail(new Error('no'));
    await run.end();

    const retried = await world.pgflow.retryRun(run.live.runId);
    const watched = await world.watch(retried.runId);
    const again = await calls.nextByIndex(2);
    for (const call of again) call.complete((call.context.item as string).toUpperCase());
    const end = await watched.end();

    expect(retried.step('each')).toMatchObject({ status: 'created', initialTasks: 4, remainingTasks: 2 });
    expect(again.map(({ context }) => [context.index, context.item])).toEqual([
      [1, 'b'],
      [3, 'd'],
    ]);
    expect(end.output).toEqual({ after: { each: ['A', 'B', null, 'D'] } });
    expect(calls.calls).toHaveLength(6);
  });

  test('retry-run: of a cancelled run; a delayed root is due at once', async () => {
    const flow = defineFlow({ slug: 'cancelled' }).step('only', () => 'ran');
    const world = await createWorld(kind, { flows: [flow] });
    const run = await world.start(flow, {}, { delay: 3600 });
    await world.pgflow.cancelRun(run.live.runId);

    const retried = await world.pgflow.retryRun(run.live.runId);

    expect((await (await world.watch(retried.runId)).end()).output).toEqual({ only: 'ran' });
  });

  test('retry-run: conditions are judged anew; what fails without a task fails again, at once', async () => {
    const each = scripted();
    const flow = defineFlow<number[]>({ slug: 'strict', maxAttempts: 1 })
      .map('each', each.handler)
      .step('load', () => 'bad')
      .step('skipped', { dependsOn: ['load'], ifNot: { load: 'bad' } }, () => 1)
      .step('wait', { dependsOn: ['load'] }, each.handler)
      .step('check', { dependsOn: ['wait'], if: { wait: 'good' }, whenUnmet: 'fail' }, () => 1);
    const world = await createWorld(kind, { flows: [flow] });
    const run = await world.start(flow, [1, 2]);
    const calls = await Promise.all([each.next(), each.next(), each.next()]);
    calls.find(({ context }) => context.stepSlug === 'each' && context.index === 0)!.complete('one');
    await run.until((now) => now.step('each').remainingTasks === 1);
    calls.find(({ context }) => context.stepSlug === 'wait')!.complete('bad');
    const failed = await run.end();

    const retried = await world.pgflow.retryRun(failed.runId);

    expect(retried).toMatchObject({ status: 'failed', error: failed.error, seq: 1 });
    expect(retried.stepStates.map(({ status }) => status)).toEqual(
      failed.stepStates.map(({ status }) => status),
    );
    expect(retried.step('each')).toMatchObject({ status: 'cancelled', initialTasks: 2, remainingTasks: 1 });
  });

  test('retry-run: a step that was skipped for its failure runs again, what completed after it does not', async () => {
    const [risky, last] = [scripted(), scripted()];
    const flow = defineFlow({ slug: 'lenient', maxAttempts: 1 })
      .step('risky', { whenExhausted: 'skip' }, risky.handler)
      .step('after', { dependsOn: ['risky'] }, ({ deps }) => Object.keys(deps))
      .step('last', { dependsOn: ['after'] }, last.handler);
    const world = await createWorld(kind, { flows: [flow] });
    const run = await world.start(flow);
    (await risky.next()).fail(new Error('no'));
    (await last.next()).fail(new Error('no'));
    await run.end();

    const retried = await world.pgflow.retryRun(run.live.runId);
    const watched = await world.watch(retried.runId);
    (await risky.next()).complete('ok');
    (await last.next()).complete('ok');
    const end = await watched.end();

    expect(end).toMatchObject({ status: 'completed', output: { last: 'ok' } });
    expect(end.step('after')).toEqual(retried.step('after'));
    expect(end.step('after').output).toEqual([]);
    expect(end.step('risky').output).toBe('ok');
  });

  test('retry-run: of a run under way or completed is refused, and nothing is written', async () => {
    const calls = scripted();
    const flow = defineFlow({ slug: 'busy' }).step('only', calls.handler);
    const world = await createWorld(kind, { flows: [flow] });
    const run = await world.start(flow);
    const call = await calls.next();

    const underWay = await codeOf(world.pgflow.retryRun(run.live.runId));
    call.complete(1);
    await run.end();
    const completed = await codeOf(world.pgflow.retryRun(run.live.runId));

    expect([underWay, completed]).toEqual(['RUN_CONFLICT', 'RUN_CONFLICT']);
    expect(await codeOf(world.pgflow.retryRun(UNKNOWN))).toBe('RUN_NOT_FOUND');
    expect(await codeOf(world.pgflow.retryRun('x'))).toBe('INVALID_RUN_ID');
    expect((await world.pgflow.listRuns()).runs).toHaveLength(1);
  });
});
