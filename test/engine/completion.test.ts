import { expect, test } from 'vitest';
import { defineFlow } from '../../src/flow/define-flow.js';
import { defineJob } from '../../src/flow/define-job.js';
import { describeEachDatabase } from '../harness/databases.js';
import { scripted } from './scripted.js';
import { claimBySql, dumpRun, settleBySql } from './sql-worker.js';
import { createWorld } from './world.js';

describeEachDatabase('completion', (kind) => {
  test('complete-single: task and step completed with the same output, remainingTasks 0', async () => {
    const flow = defineFlow({ slug: 'order' }).step('only', () => ({ total: 12, lines: [null] }));
    const world = await createWorld(kind, { flows: [flow] });

    const run = await (await world.start(flow)).end();

    const output = { total: 12, lines: [null] };
    expect(run.step('only')).toMatchObject({
      status: 'completed',
      output,
      remainingTasks: 0,
      attempt: 1,
      errorMessage: null,
    });
    expect(run.step('only').completedAt).toEqual(run.completedAt);
    expect(await world.tasks(run.runId)).toMatchObject([{ status: 'completed', output, attempt: 1 }]);
  });

  test('complete-starts-dependents: each dependent gets its task when the step completes, not before', async () => {
    const calls = scripted();
    const flow = defineFlow({ slug: 'order' })
      .step('a', calls.handler)
      .step('b', { dependsOn: ['a'] }, calls.handler)
      .step('c', { dependsOn: ['a'] }, calls.handler);
    const world = await createWorld(kind, { flows: [flow] });

    const run = await world.start(flow);
    const first = await calls.next();
    expect(await world.tasks(run.live.runId)).toHaveLength(1);
    first.complete('a');
    const next = [await calls.next(), await calls.next()].map(({ context }) => context.stepSlug);

    expect(next.toSorted()).toEqual(['b', 'c']);
    const begun = await run.until(({ stepStates }) => stepStates.every(({ startedAt }) => startedAt));
    expect(begun.stepStates).toMatchObject([
      { status: 'completed' },
      { status: 'started', remainingDeps: 0, initialTasks: 1 },
      { status: 'started', remainingDeps: 0, initialTasks: 1 },
    ]);
  });

  test('fan-in-waits: C after A and B starts once, when the second is done', async () => {
    const [a, b, c] = [scripted(), scripted(), scripted()];
    const flow = defineFlow({ slug: 'diamond' })
      .step('a', a.handler)
      .step('b', b.handler)
      .step('c', { dependsOn: ['a', 'b'] }, c.handler);
    const world = await createWorld(kind, { flows: [flow] });

    const run = await world.start(flow);
    (await b.next()).complete('b');
    const waiting = await run.until((now) => now.step('b').status === 'completed');
    expect(waiting.step('c')).toMatchObject({ status: 'created', remainingDeps: 1, initialTasks: null });
    expect(c.calls).toEqual([]);
    (await a.next()).complete('a');
    (await c.next()).complete('c');
    await run.end();

    expect(c.calls.map(({ context }) => context.deps)).toEqual([{ a: 'a', b: 'b' }]);
  });

  test('fan-in-waits: also when both finish at the same instant in two workers', async () => {
    const flow = defineFlow({ slug: 'diamond' })
      .step('a', () => {})
      .step('b', () => {})
      .step('c', { dependsOn: ['a', 'b'] }, () => {});
    const world = await createWorld(kind, { flows: [flow], worker: false });
    const runs = await Promise.all(Array.from({ length: 20 }, () => world.pgflow.startFlow(flow, {})));
    const claims = await claimBySql(world.db);

    for (const { runId } of runs) {
      const both = claims.filter((claim) => claim.run_id === runId);
      await Promise.all(
        both.map((claim) => settleBySql(world.db, claim, { outcome: 'completed', output: 1 })),
      );
    }

    for (const { runId } of runs) {
      expect((await world.getRun(runId)).step('c')).toMatchObject({ remainingDeps: 0, initialTasks: 1 });
    }
    expect(await claimBySql(world.db)).toHaveLength(20);
  });

  test('remaining-steps: falls once per completed step, never per task', async () => {
    const calls = scripted();
    const flow = defineFlow<number[]>({ slug: 'steps' })
      .map('each', calls.handler)
      .step('sum', { dependsOn: ['each'] }, () => 1);
    const world = await createWorld(kind, { flows: [flow] });

    const run = await world.start(flow, [1, 2, 3]);
    for (const [i, call] of (await calls.nextByIndex(3)).entries()) {
      call.complete();
      await run.until((now) => now.step('each').remainingTasks === 2 - i);
    }
    await run.end();

    const falls = new Map(run.seen.map((now) => [now.step('each').remainingTasks, now.remainingSteps]));
    expect([...falls.keys()]).toEqual([3, 2, 1, 0]);
    expect([falls.get(2), falls.get(1)]).toEqual([2, 2]);
    const steps = run.seen.map((now) => now.remainingSteps);
    expect([...new Set(steps)]).toEqual([2, 1, 0]);
  });

  test('remaining-steps: never falls on failure', async () => {
    const calls = scripted();
    const flow = defineFlow({ slug: 'steps', maxAttempts: 1 })
      .step('good', () => 1)
      .step('bad', { dependsOn: ['good'] }, calls.handler)
      .step('never', { dependsOn: ['bad'] }, () => 1);
    const world = await createWorld(kind, { flows: [flow] });

    const run = await world.start(flow);
    (await calls.next()).fail(new Error('no'));
    const end = await run.end();

    expect(end).toMatchObject({ status: 'failed', remainingSteps: 2, output: null });
  });

  test('run-completes: the output is { leaf: output } of the completed leaves', async () => {
    const flow = defineFlow({ slug: 'order' })
      .step('root', () => 'not a leaf')
      .step('left', { dependsOn: ['root'] }, () => ({ l: 1 }))
      .step('right', { dependsOn: ['root'] }, () => [null]);
    const world = await createWorld(kind, { flows: [flow] });

    const run = await (await world.start(flow)).end();

    expect(run).toMatchObject({ status: 'completed', remainingSteps: 0, error: null, failedAt: null });
    expect(run.output).toEqual({ left: { l: 1 }, right: [null] });
    expect(run.completedAt!.getTime()).toBeGreaterThanOrEqual(run.startedAt.getTime());
  });

  test("run-completes: a job's output is the handler's", async () => {
    const job = defineJob({ slug: 'mail' }, ({ input }) => [input, 'sent']);
    const world = await createWorld(kind, { jobs: [job] });

    const { runId } = await world.pgflow.enqueue(job, { to: 'a' });
    const run = await (await world.watch(runId)).end();

    expect(run.output).toEqual([{ to: 'a' }, 'sent']);
    expect(run.stepStates).toMatchObject([{ stepSlug: 'mail', status: 'completed' }]);
  });

  test('complete-twice: the first output is kept, counters unchanged', async () => {
    const flow = defineFlow({ slug: 'order' })
      .step('a', () => {})
      .step('b', { dependsOn: ['a'] }, () => {});
    const world = await createWorld(kind, { flows: [flow], worker: false });
    const { runId } = await world.pgflow.startFlow(flow, {});
    const [claim] = await claimBySql(world.db);

    await settleBySql(world.db, claim!, { outcome: 'completed', output: 'first' });
    const after = await dumpRun(world.db, runId);
    const answer = await settleBySql(world.db, claim!, { outcome: 'completed', output: 'second' });
    const failure = await settleBySql(world.db, claim!, { outcome: 'failed', error: 'late' });

    expect([answer, failure]).toEqual([[], []]);
    expect(await dumpRun(world.db, runId)).toEqual(after);
    expect((await world.getRun(runId)).step('a').output).toBe('first');
  });

  test('complete-after-terminal: nothing changes', async () => {
    const flow = defineFlow({ slug: 'order', maxAttempts: 1 })
      .step('fails', () => {})
      .step('other', () => {});
    const world = await createWorld(kind, { flows: [flow], worker: false });
    const { runId } = await world.pgflow.startFlow(flow, {});
    const [fails, other] = await claimBySql(world.db);

    await settleBySql(world.db, fails!, { outcome: 'failed', error: 'no' });
    const after = await dumpRun(world.db, runId);
    const answer = await settleBySql(world.db, other!, { outcome: 'completed', output: 1 });

    expect(answer).toEqual([]);
    expect(await dumpRun(world.db, runId)).toEqual(after);
    expect((await world.getRun(runId)).status).toBe('failed');
  });
});
