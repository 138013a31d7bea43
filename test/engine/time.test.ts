import { expect, test } from 'vitest';
import { defineFlow } from '../../src/flow/define-flow.js';
import { defineJob } from '../../src/flow/define-job.js';
import { describeEachDatabase } from '../harness/databases.js';
import { codeOf, rejection } from './rejection.js';
import { scripted } from './scripted.js';
import { createWorld, type World } from './world.js';

/** Resolves when the worker has looked at the queue: what was due before has begun by then. */
async function workerLooked(world: World): Promise<void> {
  await (await world.start(probe)).end();
}
const probe = defineFlow({ slug: 'probe' }).step('only', () => 1);

/** The worker looks at the queue when it is told or knows that something is due, and at no other time. */
const worker = { pollInterval: 3600 };

describeEachDatabase('time', (kind) => {
  test('next-due: null when nothing is queued, so that an idle worker asks no more; else the seconds until then', async () => {
    const flow = defineFlow({ slug: 'order' }).step('only', () => 1);
    const world = await createWorld(kind, { flows: [flow], worker: false });
    const nextDue = async () =>
      (
        await world.db.query('select pgflow.next_due(array(select handler_id from pgflow.handlers)) as due')
      )[0]!.due;

    expect(await nextDue()).toBeNull();
    await world.pgflow.startFlow(flow, {}, { delay: 3600 });
    const later = await nextDue();
    await world.pgflow.startFlow(flow, {});

    expect(later).toBeGreaterThan(3000);
    expect(await nextDue()).toBe(0);
  });

  test("start-delay: a delayed step's task is not claimed before its time; other roots run at once", async () => {
    const [late, root] = [scripted(), scripted()];
    const flow = defineFlow({ slug: 'delayed' })
      .step('late', { startDelay: 3600 }, late.handler)
      .step('root', root.handler);
    const world = await createWorld(kind, { flows: [flow, probe], worker });

    const run = await world.start(flow);
    (await root.next()).complete();
    await world.clock.advance('30m');
    await workerLooked(world);
    expect(late.calls).toEqual([]);
    await world.clock.advance('30m');
    (await late.next()).complete();

    expect((await run.end()).status).toBe('completed');
    const [task] = await world.tasks(run.live.runId);
    expect(task!.started_at!.getTime()).toBeGreaterThanOrEqual(run.run.startedAt.getTime() + 3_600_000);
  });

  test('start-delay: counts from when the step is ready', async () => {
    const flow = defineFlow({ slug: 'delayed' })
      .step('first', () => 1)
      .step('late', { dependsOn: ['first'], startDelay: 60 }, () => 2);
    const world = await createWorld(kind, { flows: [flow], worker });

    const run = await world.start(flow);
    const ready = await run.until((now) => now.step('first').status === 'completed');
    const [, task] = await world.tasks(run.live.runId);

    expect(task!.available_at!.getTime()).toBe(ready.step('first').completedAt!.getTime() + 60_000);
  });

  test('start-delay: the worker wakes for it on time, not at its next poll', async () => {
    const flow = defineFlow({ slug: 'delayed' })
      .step('first', () => 1)
      .step('late', { dependsOn: ['first'], startDelay: 0.2 }, () => 2);
    const world = await createWorld(kind, { flows: [flow], worker });

    expect((await (await world.start(flow)).end()).output).toEqual({ late: 2 });
  });

  test('delayed-enqueue: delay n and runAt: not claimed before, claimed then', async () => {
    const calls = scripted();
    const job = defineJob({ slug: 'mail' }, calls.handler);
    const world = await createWorld(kind, { jobs: [job], flows: [probe], worker });

    const later = await world.pgflow.enqueue(job, 'later', { delay: 3600 });
    const at = await world.pgflow.enqueue(job, 'at', {
      runAt: new Date(later.startedAt.getTime() + 7_200_000),
    });
    await workerLooked(world);
    expect(calls.calls).toEqual([]);
    const [task] = await world.tasks(later.runId);
    expect(task!.available_at!.getTime()).toBe(later.startedAt.getTime() + 3_600_000);

    await world.clock.advance('1h');
    expect((await calls.next()).context.input).toBe('later');
    await workerLooked(world);
    expect(calls.calls).toHaveLength(1);
    await world.clock.advance('1h');
    expect((await calls.next()).context).toMatchObject({ input: 'at', runId: at.runId });
  });

  test('delayed-enqueue: a past runAt runs at once; a negative delay is refused', async () => {
    const job = defineJob({ slug: 'mail' }, ({ input }) => input);
    const world = await createWorld(kind, { jobs: [job], worker });

    const past = await world.start(job, 'past', { runAt: new Date('2001-01-01') });
    expect((await past.end()).output).toBe('past');
    const negative = await rejection(world.pgflow.enqueue(job, 'x', { delay: -1 }));
    expect(negative).toMatchObject({ code: 'INVALID_INPUT', data: { issues: [{ path: 'delay' }] } });
    expect(await codeOf(world.pgflow.enqueue(job, 'x', { delay: Number.NaN }))).toBe('INVALID_INPUT');
    expect(await codeOf(world.pgflow.enqueue(job, 'x', { runAt: new Date('x') }))).toBe('INVALID_INPUT');
    expect((await world.pgflow.listRuns()).runs).toHaveLength(1);
  });

  test('retry-backoff: after attempt n the task is due base·2^n seconds later, at most an hour, and run then', async () => {
    const calls = scripted();
    const flow = defineFlow({ slug: 'backoff', maxAttempts: 5, baseDelay: 300 }).step('only', calls.handler);
    const world = await createWorld(kind, { flows: [flow, probe], worker });

    const run = await world.start(flow);
    for (const [n, delay] of [600, 1200, 2400, 3600].entries()) {
      (await calls.next()).fail(new Error(`attempt ${n + 1}`));
      await run.until((now) => now.step('only').errorMessage === `attempt ${n + 1}`);
      const event = run.eventsOf('task_failed').at(-1)!;
      expect(event.retryAt!.getTime() - event.at.getTime()).toBe(delay * 1000);
      await world.clock.advance(delay - 60);
      await workerLooked(world);
      expect(calls.calls).toHaveLength(n + 1);
      await world.clock.advance(60);
    }
    (await calls.next()).complete('at last');

    expect((await run.end()).step('only')).toMatchObject({ status: 'completed', attempt: 5 });
  });

  test('retry-backoff: the worker wakes for the retry on time, not at its next poll', async () => {
    const flow = defineFlow({ slug: 'backoff', baseDelay: 0.1 }).step('only', ({ attempt }) => {
      if (attempt < 3) throw new Error('not yet');
      return attempt;
    });
    const world = await createWorld(kind, { flows: [flow], worker });

    expect((await (await world.start(flow)).end()).output).toEqual({ only: 3 });
  });

  test('a moved clock leaves the leases of living workers alone: their handlers go on', async () => {
    const calls = scripted();
    const flow = defineFlow({ slug: 'long' }).step('only', calls.handler);
    const world = await createWorld(kind, { flows: [flow] });
    await world.open();

    const run = await world.start(flow);
    const call = await calls.next();
    await world.clock.advance('2d');
    const [task] = await world.tasks(run.live.runId);

    expect(call.context.signal.aborted).toBe(false);
    expect(task).toMatchObject({ status: 'started', attempt: 1 });
  });

  test.each(['', '1', '-1s', '1w', 'soon', -1, Number.NaN])('clock.advance(%j) is refused', async (by) => {
    const world = await createWorld(kind, { worker: false });
    expect(() => world.clock.advance(by)).toThrow(/clock\.advance takes seconds/);
  });
});
