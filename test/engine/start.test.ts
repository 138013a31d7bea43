import pg from 'pg';
import { describe, expect, onTestFinished, test } from 'vitest';
import { z } from 'zod';
import { defineFlow } from '../../src/flow/define-flow.js';
import { describeEachDatabase } from '../harness/databases.js';
import { codeOf, rejection } from './rejection.js';
import { scripted } from './scripted.js';
import { createWorld, type World } from './world.js';

const RUN_ID = '0190a6c4-0000-7000-8000-000000000001';

const order = defineFlow({
  slug: 'order',
  input: z.object({ lines: z.array(z.object({ sku: z.string() })) }),
})
  .step('validate', ({ input }) => input.lines)
  .step('weigh', ({ input }) => input.lines.length)
  .step('ship', { dependsOn: ['validate', 'weigh'] }, () => 'shipped');
const input = { lines: [{ sku: 'a' }] };

async function rowCount({ db }: World): Promise<number> {
  const [row] = await db.query(`select (select count(*) from pgflow.runs)::int
    + (select count(*) from pgflow.step_states)::int + (select count(*) from pgflow.step_tasks)::int as count`);
  return row!.count;
}

describeEachDatabase('start', (kind) => {
  test('start-creates: a run that is started, its input stored, step states for all steps, tasks for roots only', async () => {
    const world = await createWorld(kind, { flows: [order], worker: false });

    const run = await world.pgflow.startFlow(order, input);

    expect(run).toMatchObject({
      flowSlug: 'order',
      version: 1,
      status: 'started',
      input,
      output: null,
      error: null,
      remainingSteps: 3,
      seq: 1,
      retryOf: null,
    });
    expect(run.runId).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7/);
    const root = { status: 'created', remainingDeps: 0, initialTasks: 1, remainingTasks: 1, attempt: 0 };
    expect(run.stepStates).toMatchObject([
      { stepSlug: 'validate', ...root },
      { stepSlug: 'weigh', ...root },
      { stepSlug: 'ship', status: 'created', remainingDeps: 2, initialTasks: null, remainingTasks: null },
    ]);
    expect(await world.tasks(run.runId)).toMatchObject([
      { step_slug: 'validate', task_index: 0, status: 'queued', attempt: 0 },
      { step_slug: 'weigh', task_index: 0, status: 'queued', attempt: 0 },
    ]);
    expect(await world.getRun(run.runId)).toEqual(run);
  });

  test('start-unknown-flow: a clear error, nothing written', async () => {
    const world = await createWorld(kind, { flows: [order], worker: false });

    const error = await rejection(world.pgflow.startFlow('ordr', input));

    expect(error.code).toBe('FLOW_NOT_FOUND');
    expect(error.message).toContain('`ordr`');
    expect(error.message).toContain('createPgFlow({ flows');
    expect(await rowCount(world)).toBe(0);
  });

  test('start-unknown-flow: in one batch with others, only the unknown one fails', async () => {
    const world = await createWorld(kind, { flows: [order], worker: false });

    const results = await Promise.allSettled([
      world.pgflow.startFlow('order', input),
      world.pgflow.startFlow('ordr', input),
      world.pgflow.startFlow('order', input),
    ]);

    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
  });

  test('start-bad-input: a clear error with the field path, nothing written', async () => {
    const world = await createWorld(kind, { flows: [order], worker: false });
    const start = (bad: unknown) => rejection(world.pgflow.startFlow('order', bad));

    const error = await start({ lines: [{ sku: 1 }] });
    const unstorable = await start({ lines: [{ sku: 'a\0' }] });

    expect(error.code).toBe('INVALID_INPUT');
    expect(error.data?.issues).toMatchObject([{ path: 'lines.0.sku' }]);
    expect(error.message).toContain('lines.0.sku');
    expect(unstorable).toMatchObject({ code: 'NOT_STORABLE', data: { path: 'input.lines[0].sku' } });
    expect(await rowCount(world)).toBe(0);
  });

  test('start-own-id: the given runId is used; the same id again with equal flow and input returns the first run', async () => {
    const world = await createWorld(kind, { flows: [order], worker: false });

    const first = await world.pgflow.startOrGet(order, input, { runId: RUN_ID });
    const again = await world.pgflow.startOrGet(order, input, { runId: RUN_ID });
    const together = await Promise.all(
      Array.from({ length: 5 }, () => world.pgflow.startFlow(order, input, { runId: RUN_ID })),
    );

    expect(first).toMatchObject({ created: true, run: { runId: RUN_ID } });
    expect(again).toEqual({ created: false, run: first.run });
    for (const run of together) expect(run).toEqual(first.run);
  });

  test('start-own-id: with another input or flow an error, the first run untouched', async () => {
    const other = defineFlow({ slug: 'other' }).step('only', () => 1);
    const world = await createWorld(kind, { flows: [order, other], worker: false });
    const first = await world.pgflow.startFlow(order, input, { runId: RUN_ID });

    const otherInput = await codeOf(world.pgflow.startFlow(order, { lines: [] }, { runId: RUN_ID }));
    const otherFlow = await codeOf(world.pgflow.startFlow(other, input, { runId: RUN_ID }));
    const malformed = await codeOf(world.pgflow.startFlow(order, input, { runId: 'first' }));

    expect([otherInput, otherFlow, malformed]).toEqual(['RUN_CONFLICT', 'RUN_CONFLICT', 'INVALID_RUN_ID']);
    expect(await world.getRun(RUN_ID)).toEqual(first);
  });

  test('start-own-id: what counts is the input as it was given, not what the schema made of it', async () => {
    let count = 0;
    const counted = defineFlow({
      slug: 'counted',
      input: z.string().transform((text) => `${text} ${++count}`),
    }).step('only', () => 1);
    const world = await createWorld(kind, { flows: [counted], worker: false });

    const first = await world.pgflow.startFlow(counted, 'a', { runId: RUN_ID });
    const again = await world.pgflow.startFlow(counted, 'a', { runId: RUN_ID });

    expect(first.input).toBe('a 1');
    expect(again).toEqual(first);
  });

  test('root-map: N elements make N tasks with the indices 0 to N − 1, whatever the elements are', async () => {
    const calls = scripted();
    const each = defineFlow<unknown[]>({ slug: 'each' }).map('item', calls.handler);
    const world = await createWorld(kind, { flows: [each] });
    const items = [{ a: [1, { b: null }] }, 'x', 1, true, null, [], [[2]], 'x', {}, false];

    const run = await world.start(each, items);
    const started = await calls.nextByIndex(items.length);
    for (const { context, complete } of started) complete(context.item);
    const end = await run.end();

    expect(started.map(({ context }) => context.index)).toEqual(items.map((_, index) => index));
    expect(started.map(({ context }) => context.item)).toEqual(items);
    expect(end.step('item')).toMatchObject({ status: 'completed', initialTasks: 10, output: items });
  });

  test.each([3, 100])('root-map: %i elements make as many tasks', async (count) => {
    const each = defineFlow<number[]>({ slug: 'each' }).map('item', ({ item, index }) => [item, index]);
    const world = await createWorld(kind, { flows: [each] });

    const run = await world.start(
      each,
      Array.from({ length: count }, (_, i) => i * 2),
    );
    const end = await run.end();

    expect(end.step('item').initialTasks).toBe(count);
    expect(end.output).toEqual({ item: Array.from({ length: count }, (_, i) => [i * 2, i]) });
  });

  test('root-map: an input that is no array is refused, also by a process without the definition', async () => {
    const each = defineFlow({ slug: 'each' }).map('item', () => 1);
    const world = await createWorld(kind, { flows: [each], worker: false });
    const stranger = await world.open({ flows: [], worker: false });

    expect(await codeOf(world.pgflow.startFlow(each, { a: 1 }))).toBe('INVALID_INPUT');
    expect(await codeOf(stranger.startFlow('each', { a: 1 }))).toBe('INVALID_INPUT');
    expect(await rowCount(world)).toBe(0);
  });
});

describe('start on postgres', () => {
  test('start-in-transaction: rolled back, no run; committed, the run goes live at once', async () => {
    const world = await createWorld('postgres', { flows: [order] });
    const client = new pg.Client(world.db.url);
    await client.connect();
    onTestFinished(() => client.end());

    await client.query('begin');
    const lost = await world.pgflow.startFlow(order, input, { tx: client });
    await client.query('rollback');
    expect(lost).toMatchObject({ status: 'started', seq: 1 });
    expect(await world.pgflow.getRun(lost.runId)).toBeNull();

    await client.query('begin');
    const kept = await world.pgflow.startFlow(order, input, { tx: client });
    expect(await world.pgflow.getRun(kept.runId)).toBeNull();
    await client.query('commit');
    const run = await world.watch(kept.runId);
    expect((await run.end()).output).toEqual({ ship: 'shipped' });
  });
});
