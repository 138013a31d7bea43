import { expect, test } from 'vitest';
import { NonRetryableError, RetryAfterError } from '../../src/errors.js';
import { defineFlow } from '../../src/flow/define-flow.js';
import { describeEachDatabase } from '../harness/databases.js';
import { aborted, scripted } from './scripted.js';
import { claimBySql, dumpRun, settleBySql } from './sql-worker.js';
import { createWorld } from './world.js';

const throwingGetter = Object.defineProperty({}, 'message', {
  get() {
    throw new Error('from the getter');
  },
});
const proxy = new Proxy(
  {},
  {
    get() {
      throw new Error('from the trap');
    },
    getPrototypeOf() {
      throw new Error('from the trap');
    },
  },
);

describeEachDatabase('failure', (kind) => {
  test.each([1, 2, 4])(
    'retry-count: maxAttempts %i means exactly as many executions',
    async (maxAttempts) => {
      let count = 0;
      const flow = defineFlow({ slug: 'counted', maxAttempts, baseDelay: 0 }).step('only', ({ attempt }) => {
        count += 1;
        throw new Error(`attempt ${attempt}`);
      });
      const world = await createWorld(kind, { flows: [flow] });

      const end = await (await world.start(flow)).end();

      expect(count).toBe(maxAttempts);
      expect(end.step('only')).toMatchObject({
        attempt: maxAttempts,
        errorMessage: `attempt ${maxAttempts}`,
      });
    },
  );

  test("retry-count: a step's option wins over the flow's", async () => {
    const counts = { own: 0, inherited: 0 };
    const flow = defineFlow({ slug: 'counted', maxAttempts: 2, baseDelay: 0 })
      .step('own', { maxAttempts: 3 }, () => {
        if (++counts.own < 3) throw new Error('not yet');
      })
      .step('inherited', { dependsOn: ['own'] }, () => {
        counts.inherited += 1;
        throw new Error('never');
      });
    const world = await createWorld(kind, { flows: [flow] });

    const end = await (await world.start(flow)).end();

    expect(counts).toEqual({ own: 3, inherited: 2 });
    expect(end.step('own').status).toBe('completed');
    expect(end.status).toBe('failed');
  });

  test('retry-count: a handler can refuse, and then there is no other', async () => {
    const calls = scripted();
    const flow = defineFlow({ slug: 'refused', maxAttempts: 5 }).step('only', calls.handler);
    const world = await createWorld(kind, { flows: [flow] });

    const run = await world.start(flow);
    (await calls.next()).fail(new NonRetryableError('The card has expired'));
    const end = await run.end();

    expect(end.step('only')).toMatchObject({
      status: 'failed',
      attempt: 1,
      errorMessage: 'The card has expired',
    });
  });

  test('retry-visible: on a retry the step stays started, attempt and last error can be read, task_failed says when', async () => {
    const calls = scripted();
    const flow = defineFlow({ slug: 'visible', baseDelay: 5 }).step('only', calls.handler);
    const world = await createWorld(kind, { flows: [flow] });

    const run = await world.start(flow);
    (await calls.next()).fail(new Error('first'));
    const event = await run.event('task_failed');
    const waiting = await world.getRun(run.live.runId);

    expect(event).toMatchObject({
      stepSlug: 'only',
      taskIndex: 0,
      attempt: 1,
      error: 'first',
      willRetry: true,
    });
    expect(event.retryAt!.getTime() - event.at.getTime()).toBe(10_000);
    expect(waiting.step('only')).toMatchObject({
      status: 'started',
      attempt: 1,
      errorMessage: 'first',
      failedAt: null,
    });
    expect(waiting).toMatchObject({ status: 'started', error: null });
    expect(await world.tasks(waiting.runId)).toMatchObject([
      { status: 'queued', available_at: event.retryAt },
    ]);

    await world.clock.advance('10s');
    const second = await calls.next();
    const retrying = await run.until((now) => now.step('only').attempt === 2);
    expect(retrying.step('only')).toMatchObject({ status: 'started', errorMessage: 'first' });
    second.complete('ok');
    const end = await run.end();
    expect(end.step('only')).toMatchObject({ status: 'completed', attempt: 2, errorMessage: null });
    expect(run.eventsOf('step_started')).toHaveLength(run.seen[0]!.step('only').status === 'created' ? 1 : 0);
  });

  test('exhausted: task, step and run failed, errorMessage set, remainingSteps unchanged', async () => {
    const flow = defineFlow({ slug: 'exhausted', maxAttempts: 2, baseDelay: 0 })
      .step('only', ({ attempt }) => {
        throw new Error(`no ${attempt}`);
      })
      .step('after', { dependsOn: ['only'] }, () => 1);
    const world = await createWorld(kind, { flows: [flow] });

    const run = await world.start(flow);
    const end = await run.end();

    const error = { stepSlug: 'only', taskIndex: 0, message: 'no 2' };
    expect(end).toMatchObject({
      status: 'failed',
      remainingSteps: 2,
      output: null,
      error,
      completedAt: null,
    });
    expect(end.step('only')).toMatchObject({ status: 'failed', errorMessage: 'no 2', remainingTasks: 1 });
    expect(end.step('only').failedAt).toEqual(end.failedAt);
    expect(end.step('after')).toMatchObject({ status: 'created', initialTasks: null });
    expect(await world.tasks(end.runId)).toMatchObject([
      { status: 'failed', attempt: 2, error_message: 'no 2' },
    ]);
    expect(run.eventsOf('run_failed')).toMatchObject([{ error: 'no 2' }]);
  });

  test('siblings-cancelled: queued and started siblings become cancelled, their signals abort in both workers', async () => {
    const [fails, stays] = [scripted(), scripted()];
    const flow = defineFlow<number[]>({ slug: 'siblings', maxAttempts: 1 })
      .step('fails', fails.handler)
      .map('stays', stays.handler)
      .step('late', { startDelay: 3600 }, () => 1)
      .step('after', { dependsOn: ['stays'] }, () => 1);
    const probe = defineFlow({ slug: 'probe' }).step('only', () => 1);
    const worker = { concurrency: 2, lease: 6 };
    const world = await createWorld(kind, { flows: [flow, probe], worker });
    await world.open({ flows: [flow], worker });

    const run = await world.start(flow, [1, 2, 3]);
    const failing = await fails.next();
    const handlers = await stays.nextByIndex(3);
    failing.fail(new Error('no'));
    const end = await run.end();
    const reasons = await Promise.all(handlers.map(({ context }) => aborted(context.signal)));
    for (const { complete } of handlers) complete('too late');
    await world.clock.advance('2h');
    await (await world.start(probe)).end();

    expect(end.stepStates.map(({ status }) => status)).toEqual([
      'failed',
      'cancelled',
      'cancelled',
      'created',
    ]);
    expect(end.step('stays')).toMatchObject({ remainingTasks: 3, output: null });
    expect(end.step('stays').cancelledAt).toEqual(end.failedAt);
    for (const reason of reasons) expect(reason).toMatchObject({ code: 'ABORTED' });
    expect((await world.tasks(end.runId)).map(({ status }) => status)).toEqual([
      'failed',
      ...Array(4).fill('cancelled'),
    ]);
    expect(stays.calls).toHaveLength(3);
    expect(await world.getRun(end.runId)).toEqual(end);
  });

  test('siblings-cancelled: recovery leaves them alone', async () => {
    const flow = defineFlow({ slug: 'siblings', maxAttempts: 1 })
      .step('fails', () => 1)
      .step('stays', () => 1);
    const world = await createWorld(kind, { flows: [flow], worker: false });
    const run = await world.start(flow);
    const [fails] = await claimBySql(world.db);
    await settleBySql(world.db, fails!, { outcome: 'failed', error: 'no' });
    const after = await dumpRun(world.db, run.live.runId);

    await world.clock.advance('31s');

    expect(await dumpRun(world.db, run.live.runId)).toEqual(after);
    expect(await world.db.query('select * from pgflow.workers')).toEqual([]);
    expect((await world.tasks(run.live.runId))[1]).toMatchObject({ status: 'cancelled', claim: 1 });
  });

  test('timeout: the signal aborts, the attempt fails as timed out, a handler that never settles does not hold its slot', async () => {
    const stuck = scripted();
    const flow = defineFlow({ slug: 'stuck', maxAttempts: 2, baseDelay: 0, timeout: 0.2 }).step(
      'only',
      stuck.handler,
    );
    const other = defineFlow({ slug: 'other' }).step('only', () => 'done');
    const world = await createWorld(kind, { flows: [flow, other], worker: { concurrency: 1 } });

    const run = await world.start(flow);
    const first = await stuck.next();
    const reason = await aborted(first.context.signal);
    const second = await stuck.next();
    const end = await run.end();

    expect(reason).toMatchObject({ code: 'TIMEOUT' });
    expect(second.context.attempt).toBe(2);
    expect(end.error!.message).toBe('Step `only` timed out after 0.2 s.');
    expect(run.eventsOf('task_failed').map(({ willRetry }) => willRetry)).toEqual([true, false]);
    expect((await (await world.start(other)).end()).output).toEqual({ only: 'done' });
  });

  test.each<[string, unknown, RegExp]>([
    ['undefined', undefined, /undefined was thrown/],
    ['a string', 'just text', /^just text$/],
    ['an object with a throwing getter', throwingGetter, /./],
    ['a frozen error', Object.freeze(new Error('cold')), /^cold$/],
    ['a Proxy', proxy, /./],
  ])('throws-anything: %s is recorded, nothing wedged', async (_, thrown, recorded) => {
    const flow = defineFlow({ slug: 'throws', maxAttempts: 2, baseDelay: 0 }).step('only', () => {
      throw thrown;
    });
    const other = defineFlow({ slug: 'other' }).step('only', () => 'done');
    const world = await createWorld(kind, { flows: [flow, other], worker: { concurrency: 1 } });

    const end = await (await world.start(flow)).end();

    expect(end.step('only')).toMatchObject({ status: 'failed', attempt: 2 });
    expect(end.error!.message).toMatch(recorded);
    expect((await (await world.start(other)).end()).status).toBe('completed');
  });

  test('RetryAfterError: the handler chooses when it is tried again', async () => {
    const calls = scripted();
    const flow = defineFlow({ slug: 'later' }).step('only', calls.handler);
    const world = await createWorld(kind, { flows: [flow] });

    const run = await world.start(flow);
    (await calls.next()).fail(new RetryAfterError(90, 'rate limited'));
    const event = await run.event('task_failed');
    await world.clock.advance('90s');
    (await calls.next()).complete('ok');

    expect(event.retryAt!.getTime() - event.at.getTime()).toBe(90_000);
    expect((await run.end()).status).toBe('completed');
  });
});
