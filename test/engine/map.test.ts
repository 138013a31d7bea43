import { expect, test } from 'vitest';
import { defineFlow } from '../../src/flow/define-flow.js';
import { describeEachDatabase } from '../harness/databases.js';
import { scripted } from './scripted.js';
import { createWorld } from './world.js';

describeEachDatabase('map steps', (kind) => {
  test('map-partial: 1 of 3 done: step started, remainingTasks 2, dependents not begun, no output', async () => {
    const calls = scripted();
    const flow = defineFlow<string[]>({ slug: 'partial' })
      .map('each', calls.handler)
      .step('after', { dependsOn: ['each'] }, () => 1);
    const world = await createWorld(kind, { flows: [flow] });

    const run = await world.start(flow, ['a', 'b', 'c']);
    const [, second] = await calls.nextByIndex(3);
    second!.complete('B');
    const partial = await run.until((now) => now.step('each').remainingTasks === 2);

    expect(partial.step('each')).toMatchObject({ status: 'started', initialTasks: 3, output: null });
    expect(partial.step('after')).toMatchObject({ status: 'created', initialTasks: null, startedAt: null });
    expect(partial.remainingSteps).toBe(2);
    expect((await world.tasks(run.live.runId)).map(({ status }) => status)).toEqual([
      'started',
      'completed',
      'started',
    ]);
  });

  test('map-order: tasks finish 2, 0, 1: output in index order, nulls in place', async () => {
    const calls = scripted();
    const flow = defineFlow<string[]>({ slug: 'ordered' }).map('each', calls.handler);
    const world = await createWorld(kind, { flows: [flow] });

    const run = await world.start(flow, ['a', 'b', 'c']);
    const [first, second, third] = await calls.nextByIndex(3);
    third!.complete('C');
    await run.until((now) => now.step('each').remainingTasks === 2);
    first!.complete(null);
    await run.until((now) => now.step('each').remainingTasks === 1);
    second!.complete({ b: [] });
    const end = await run.end();

    expect(end.step('each').output).toEqual([null, { b: [] }, 'C']);
  });

  test('map-order: one task gives [x]', async () => {
    const flow = defineFlow<number[]>({ slug: 'single' }).map('each', ({ item }) => [item]);
    const world = await createWorld(kind, { flows: [flow] });

    const end = await (await world.start(flow, [7])).end();

    expect(end.output).toEqual({ each: [[7]] });
  });

  test('single-to-map: the count is known when the parent step completes', async () => {
    const [list, each] = [scripted(), scripted()];
    const flow = defineFlow({ slug: 'counted' })
      .step('list', async (context) => (await list.handler(context)) as string[])
      .map('each', { over: 'list' }, each.handler);
    const world = await createWorld(kind, { flows: [flow] });

    const run = await world.start(flow);
    (await list.next()).complete(['a', 'b']);
    const known = await run.until((now) => now.step('list').status === 'completed');

    expect(run.seen[0]!.step('each')).toMatchObject({ initialTasks: null, remainingTasks: null });
    expect(known.step('each')).toMatchObject({ status: 'created', initialTasks: 2, remainingTasks: 2 });
    for (const { complete } of await each.nextByIndex(2)) complete();
    expect((await run.end()).step('each').output).toEqual([null, null]);
  });

  test('map-to-map: the count is known when the parent step completes, not with its first task', async () => {
    const [outer, inner] = [scripted(), scripted()];
    const flow = defineFlow<number[]>({ slug: 'nested' })
      .map('outer', outer.handler)
      .map('inner', { over: 'outer' }, inner.handler);
    const world = await createWorld(kind, { flows: [flow] });

    const run = await world.start(flow, [1, 2]);
    const [first, second] = await outer.nextByIndex(2);
    first!.complete('one');
    const partial = await run.until((now) => now.step('outer').remainingTasks === 1);
    second!.complete('two');
    const known = await run.until((now) => now.step('outer').status === 'completed');

    expect(partial.step('inner').initialTasks).toBeNull();
    expect(known.step('inner').initialTasks).toBe(2);
    for (const { context, complete } of await inner.nextByIndex(2)) complete(`${context.item}!`);
    expect((await run.end()).output).toEqual({ inner: ['one!', 'two!'] });
  });

  test('map over nothing: completes at once with [], however long the chain, and its dependents run', async () => {
    let flow: any = defineFlow<unknown[]>({ slug: 'empty' }).map('m0', () => 1);
    for (let i = 1; i < 20; i++) flow = flow.map(`m${i}`, { over: `m${i - 1}` }, () => 1);
    flow = flow.step('after', { dependsOn: ['m19', 'm0'] }, ({ deps }: any) => deps);
    const world = await createWorld(kind, { flows: [flow], worker: false });

    const run = await world.start(flow, []);

    expect(run.run).toMatchObject({ status: 'started', seq: 1, remainingSteps: 1 });
    for (let i = 0; i < 20; i++) {
      const step = run.run.step(`m${i}`);
      expect(step).toMatchObject({ status: 'completed', output: [], initialTasks: 0, attempt: 0 });
      expect(step.startedAt).toEqual(step.completedAt);
    }
    const watcher = await world.watch(run.live.runId, await world.open({ worker: {} }));
    expect((await watcher.end()).output).toEqual({ after: { m19: [], m0: [] } });
  });

  test("a map over the run's input that waits for other steps gets its elements when they are done", async () => {
    const flow = defineFlow<number[]>({ slug: 'later' })
      .step('rate', () => 10)
      .map('each', { dependsOn: ['rate'] }, ({ item, deps }) => item * deps.rate);
    const world = await createWorld(kind, { flows: [flow] });

    const run = await (await world.start(flow, [1, 2, 3])).end();
    const empty = await world.start(flow, []);

    expect(run.output).toEqual({ each: [10, 20, 30] });
    expect(empty.seen[0]).toMatchObject({ seq: expect.any(Number), input: [] });
    expect((await empty.end()).output).toEqual({ each: [] });
  });

  test.each([
    ['null', null, 'null'],
    ['an object', { length: 3 }, 'an object'],
    ['a string', 'abc', 'a string'],
  ])(
    'type-violation: a map over %s fails step and run at once, both with the reason',
    async (_, output, said) => {
      const [list, other, each] = [scripted(), scripted(), scripted()];
      const flow = defineFlow({ slug: 'typed', maxAttempts: 5 })
        .step('list', list.handler)
        .step('other', other.handler)
        .map('each', { over: 'list' as never }, each.handler);
      const world = await createWorld(kind, { flows: [flow] });

      const run = await world.start(flow);
      await other.next();
      (await list.next()).complete(output);
      const end = await run.end();

      const reason = `Step \`list\` must return an array, because map \`each\` runs over it; it returned ${said}.`;
      expect(end).toMatchObject({
        status: 'failed',
        error: { stepSlug: 'list', taskIndex: 0, message: reason },
      });
      expect(end.stepStates).toMatchObject([
        { stepSlug: 'list', status: 'failed', errorMessage: reason, output: null, attempt: 1 },
        { stepSlug: 'other', status: 'cancelled' },
        { stepSlug: 'each', status: 'created', initialTasks: null },
      ]);
      expect(each.calls).toEqual([]);
    },
  );

  test('map-retry-isolated: task 0 fails once: only task 0 runs again, the step stays started, no step_failed', async () => {
    const calls = scripted();
    const flow = defineFlow<string[]>({ slug: 'isolated', baseDelay: 10 }).map('each', calls.handler);
    const world = await createWorld(kind, { flows: [flow] });

    const run = await world.start(flow, ['a', 'b', 'c']);
    const [first, second, third] = await calls.nextByIndex(3);
    second!.complete('B');
    third!.complete('C');
    first!.fail(new Error('not yet'));
    const retrying = await run.until(
      (now) => now.step('each').errorMessage !== null && now.step('each').remainingTasks === 1,
    );
    await world.clock.advance('20s');
    const again = await calls.next();
    again.complete('A');
    const end = await run.end();

    expect(retrying.step('each')).toMatchObject({ status: 'started', errorMessage: 'not yet' });
    expect(again.context).toMatchObject({ index: 0, attempt: 2, item: 'a' });
    expect(calls.calls).toHaveLength(4);
    expect(end.step('each')).toMatchObject({ output: ['A', 'B', 'C'], errorMessage: null, attempt: 2 });
    expect(run.eventsOf('step_failed')).toEqual([]);
    expect((await world.tasks(end.runId)).map(({ attempt }) => attempt)).toEqual([2, 1, 1]);
  });

  test('map-input: claims of a worker that works on the map do not send its input again', async () => {
    const calls = scripted();
    const flow = defineFlow<{ n: number }[]>({ slug: 'sent_once' }).map('each', calls.handler);
    const world = await createWorld(kind, { flows: [flow], worker: { concurrency: 2 } });

    const run = await world.start(
      flow,
      [0, 1, 2, 3].map((n) => ({ n })),
    );
    for (const _ of [0, 1, 2]) (await calls.next()).complete();
    (await calls.next()).complete();
    await run.end();

    const inputs = calls.calls.map(({ context }) => context.input);
    expect(inputs[0]).toEqual([0, 1, 2, 3].map((n) => ({ n })));
    // The same object: it was parsed once.
    expect(new Set(inputs).size).toBe(1);
  });

  test('wide-map: 10,000 tasks, in many batches: no deadlock, progress told in batches', {
    timeout: 120_000,
  }, async () => {
    const flow = defineFlow<number[]>({ slug: 'wide' }).map('each', ({ item, index }) => item + index);
    const world = await createWorld(kind, { flows: [flow], worker: { concurrency: 1000 } });
    const items = Array.from({ length: 10_000 }, (_, i) => i);

    const run = await world.start(flow, items);
    const end = await run.end();

    expect(end.step('each')).toMatchObject({ status: 'completed', initialTasks: 10_000, remainingTasks: 0 });
    expect(end.step('each').output).toEqual(items.map((i) => i * 2));
    expect(end.seq).toBeLessThan(5_000);
    const tasks = await world.tasks(end.runId);
    expect(tasks.map(({ task_index }) => task_index)).toEqual(items);
  });
});
