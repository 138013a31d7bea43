import { expect, test } from 'vitest';
import { defineFlow } from '../../src/flow/define-flow.js';
import type { HandlerContext, StepContext } from '../../src/flow/flow.js';
import { describeEachDatabase } from '../harness/databases.js';
import { scripted } from './scripted.js';
import { claimBySql, settleBySql } from './sql-worker.js';
import { createWorld } from './world.js';

/** A handler for each of two workers: neither goes on before both have begun. */
function rendezvous() {
  const executions: string[] = [];
  const began = [new Set<string>(), new Set<string>()];
  let goOn = () => {};
  const both = new Promise<void>((resolve) => {
    goOn = resolve;
  });
  const handlerOf = (worker: 0 | 1) => async (context: StepContext) => {
    const { runId, stepSlug, index, attempt } = context as HandlerContext;
    executions.push(`${runId}:${stepSlug}:${index}:${attempt}`);
    began[worker]!.add(runId);
    if (began.every((runs) => runs.size > 0)) goOn();
    await both;
  };
  return { executions, handlerOf };
}

describeEachDatabase('claim', (kind) => {
  test('claim-once: two workers never hold the same attempt', async () => {
    const { executions, handlerOf } = rendezvous();
    const flowOf = (worker: 0 | 1) =>
      defineFlow<number[]>({ slug: 'load' })
        .map('item', handlerOf(worker))
        .map('again', { over: 'item' }, handlerOf(worker));
    const world = await createWorld(kind, { flows: [flowOf(0)] });
    await world.open({ flows: [flowOf(1)] });

    const runs = await Promise.all(
      Array.from({ length: 3 }, () =>
        world.start(
          'load',
          Array.from({ length: 40 }, (_, i) => i),
        ),
      ),
    );
    const ends = await Promise.all(runs.map((run) => run.end()));

    expect(ends.map(({ status }) => status)).toEqual(Array(3).fill('completed'));
    expect(executions).toHaveLength(3 * 40 * 2);
    expect(new Set(executions).size).toBe(executions.length);
  });

  test('unheard: what a worker has claimed without knowing it goes back to the queue; what it holds does not', async () => {
    const flow = defineFlow({ slug: 'order' })
      .step('a', () => 1)
      .step('b', () => 2);
    const world = await createWorld(kind, { flows: [flow], paused: true });
    const run = await world.start(flow);
    const [held, unheard] = await claimBySql(world.db);
    const [worker] = await world.db.query('select worker_id from pgflow.workers');

    const returned = await world.db.query(
      `select pgflow.return_unheld($1, array[$2::uuid], array[$3::int], array[$4::int], array[$5::int]) as count`,
      [worker!.worker_id, held!.run_id, held!.step_index, held!.task_index, held!.claim],
    );

    expect(returned).toEqual([{ count: 1 }]);
    expect(await world.tasks(run.run.runId)).toMatchObject([
      { step_index: held!.step_index, status: 'started', attempt: 1 },
      { step_index: unheard!.step_index, status: 'queued', attempt: 0 },
    ]);
    await settleBySql(world.db, held!, { outcome: 'completed', output: 1 });
    await world.pgflow.start();
    expect((await run.end()).output).toEqual({ a: 1, b: 2 });
  });

  test('claim-filters: nothing is claimed of terminal runs', async () => {
    const late = scripted();
    const failing = defineFlow({ slug: 'failing', maxAttempts: 1 })
      .step('late', { startDelay: 3600 }, late.handler)
      .step('fails', () => {
        throw new Error('no');
      });
    const probe = defineFlow({ slug: 'probe' }).step('only', () => 1);
    const world = await createWorld(kind, { flows: [failing, probe] });

    const run = await world.start(failing);
    await run.end();
    await world.clock.advance('2h');
    await (await world.start(probe)).end();

    expect(late.calls).toEqual([]);
    expect(await world.tasks(run.live.runId)).toMatchObject([
      { step_slug: 'late', status: 'cancelled', attempt: 0, available_at: null },
      { step_slug: 'fails', status: 'failed' },
    ]);
  });

  test("root-input: the handler gets the run's input, and who it is", async () => {
    const calls = scripted();
    const flow = defineFlow({ slug: 'order' }).step('validate', calls.handler);
    const world = await createWorld(kind, { flows: [flow] });
    const input = { a: [1, null, { b: '2' }], c: '' };

    const { live } = await world.start(flow, input);
    const { context } = await calls.next();

    expect(context).toMatchObject({
      input,
      deps: {},
      item: undefined,
      index: 0,
      runId: live.runId,
      flowSlug: 'order',
      stepSlug: 'validate',
      attempt: 1,
      idempotencyKey: `${live.runId}:validate:0`,
    });
  });

  test('dep-input: the handler gets the outputs of completed dependencies, of those alone, beside the input', async () => {
    const calls = scripted();
    const flow = defineFlow({ slug: 'order' })
      .step('a', () => ({ a: 1 }))
      .step('b', () => [1, null])
      .step('c', { dependsOn: ['a'] }, () => 'c')
      .step('d', { dependsOn: ['b', 'c'] }, calls.handler);
    const world = await createWorld(kind, { flows: [flow] });

    await world.start(flow, { id: 7 });
    const { context } = await calls.next();

    expect(context.deps).toEqual({ b: [1, null], c: 'c' });
    expect(context.input).toEqual({ id: 7 });
  });

  test('map-input: each handler gets its element, its index, the input and the deps', async () => {
    const calls = scripted();
    const elements = [null, { a: { b: [1] } }, [[1, 2], []], 'text', 0];
    const flow = defineFlow({ slug: 'order' })
      .step('lines', () => elements)
      .step('rate', () => 2)
      .map('price', { over: 'lines', dependsOn: ['rate'] }, calls.handler);
    const world = await createWorld(kind, { flows: [flow] });

    await world.start(flow, { id: 7 });
    const contexts = (await calls.nextByIndex(elements.length)).map(({ context }) => context);

    expect(contexts.map(({ item }) => item)).toEqual(elements);
    expect(contexts.map(({ index }) => index)).toEqual([0, 1, 2, 3, 4]);
    for (const context of contexts) {
      expect(context).toMatchObject({ input: { id: 7 }, deps: { rate: 2 } });
      expect(context.deps).not.toHaveProperty('lines');
      expect(context.idempotencyKey).toBe(`${context.runId}:price:${context.index}`);
    }
  });

  test('known-handlers: a worker claims only steps it has handlers for; the others stay queued', async () => {
    const known = defineFlow({ slug: 'known' }).step('only', () => 1);
    const unknown = defineFlow({ slug: 'unknown' }).step('only', () => 2);
    const world = await createWorld(kind, { flows: [known] });
    await world.open({ flows: [unknown], worker: false });

    const waiting = await world.start('unknown');
    await (await world.start(known)).end();

    expect(await world.tasks(waiting.live.runId)).toMatchObject([{ status: 'queued', attempt: 0 }]);
    const knowing = await world.open({ flows: [unknown] });
    const run = await (await world.watch(waiting.live.runId, knowing)).end();
    expect(run.output).toEqual({ only: 2 });
  });
});
