import { expect, test } from 'vitest';
import { defineFlow } from '../../src/flow/define-flow.js';
import { defineJob } from '../../src/flow/define-job.js';
import { describeEachDatabase } from '../harness/databases.js';
import { scripted } from './scripted.js';
import { claimBySql, dumpRun, settleBySql } from './sql-worker.js';
import { createWorld } from './world.js';

const cycle: Record<string, unknown> = { name: 'loop' };
cycle.self = { again: cycle };

describeEachDatabase('outputs', (kind) => {
  test("falsy-output: false, 0, '' and null survive exactly; undefined is stored as null", async () => {
    const seen = scripted();
    const flow = defineFlow({ slug: 'falsy' })
      .step('no', () => false)
      .step('zero', () => 0)
      .step('empty', () => '')
      .step('nothing', () => null)
      .step('missing', () => undefined)
      .step('all', { dependsOn: ['no', 'zero', 'empty', 'nothing', 'missing'] }, seen.handler);
    const world = await createWorld(kind, { flows: [flow] });

    const run = await world.start(flow, 0);
    const { context, complete } = await seen.next();
    complete(false);
    const end = await run.end();

    const falsy = { no: false, zero: 0, empty: '', nothing: null, missing: null };
    expect(context.deps).toEqual(falsy);
    expect(context.input).toBe(0);
    for (const [slug, output] of Object.entries(falsy)) {
      expect(end.step(slug as 'no')).toMatchObject({ status: 'completed', output });
    }
    expect(end).toMatchObject({ status: 'completed', input: 0, output: { all: false } });
  });

  test.each([false, 0, '', null, undefined])('falsy-output: %j as the output of a job', async (output) => {
    const job = defineJob({ slug: 'falsy' }, () => output);
    const world = await createWorld(kind, { jobs: [job] });

    const run = await (await world.start(job, output ?? null)).end();

    expect(run).toMatchObject({ status: 'completed', input: output ?? null, output: output ?? null });
  });

  test('string-output: the string "123" stays a string everywhere', async () => {
    const seen = scripted();
    const flow = defineFlow<string>({ slug: 'texts' })
      .step('text', ({ input }) => input)
      .step('texts', () => ['123', 'true', 'null', '{}', '"'])
      .map('each', { over: 'texts', dependsOn: ['text'] }, seen.handler);
    const world = await createWorld(kind, { flows: [flow] });

    const run = await world.start(flow, '123');
    const calls = await seen.nextByIndex(5);
    for (const { context, complete } of calls) complete(context.item);
    const end = await run.end();

    expect(calls.map(({ context }) => context.item)).toEqual(['123', 'true', 'null', '{}', '"']);
    expect(calls[0]!.context).toMatchObject({ input: '123', deps: { text: '123' } });
    expect(end).toMatchObject({ input: '123', output: { each: ['123', 'true', 'null', '{}', '"'] } });
    expect(end.step('text').output).toBe('123');
    expect(run.eventsOf('task_completed').map(({ output }) => output)).toContain('true');
    expect(await world.getRun(end.runId)).toEqual(end);
  });

  test("stale-attempt: attempt 1 stalls, attempt 2 runs; attempt 1's late completion or failure changes nothing", async () => {
    const calls = scripted();
    const flow = defineFlow({ slug: 'order' }).step('only', calls.handler);
    const world = await createWorld(kind, { flows: [flow], worker: false });
    const run = await world.start(flow);
    const [stalled] = await claimBySql(world.db);

    await world.clock.advance('31s');
    const watcher = await world.watch(run.live.runId, await world.open({ worker: {} }));
    const second = await calls.next();
    await watcher.until((now) => now.step('only').attempt === 2);
    const before = await dumpRun(world.db, run.live.runId);
    const answers = [
      await settleBySql(world.db, stalled!, { outcome: 'completed', output: 'stale' }),
      await settleBySql(world.db, stalled!, { outcome: 'failed', error: 'stale' }),
      await settleBySql(world.db, stalled!, { outcome: 'started' }),
    ];

    expect(second.context.attempt).toBe(2);
    expect(answers).toEqual([[], [], []]);
    expect(await dumpRun(world.db, run.live.runId)).toEqual(before);
    second.complete('fresh');
    expect((await watcher.end()).output).toEqual({ only: 'fresh' });
  });

  test.each([
    ['a BigInt', { lines: [{ price: 10n }] }, 'output.lines[0].price'],
    ['a cycle', cycle, 'output.self.again'],
    ['NUL', { name: 'a\0b' }, 'output.name'],
    ['a lone surrogate', ['ok', '\ud800'], 'output[1]'],
    ['NUL in a key', { 'a\0': 1 }, 'output["a\\u0000"]'],
  ])('unstorable: %s in an output fails the task at once, with the path', async (_, output, path) => {
    const calls = scripted();
    const flow = defineFlow({ slug: 'order', maxAttempts: 3 }).step('only', calls.handler);
    const world = await createWorld(kind, { flows: [flow] });

    const run = await world.start(flow);
    (await calls.next()).complete(output);
    const end = await run.end();

    expect(end).toMatchObject({ status: 'failed', error: { stepSlug: 'only', taskIndex: 0 } });
    expect(end.error!.message).toContain(`\`${path}\``);
    expect(end.step('only')).toMatchObject({
      status: 'failed',
      attempt: 1,
      errorMessage: end.error!.message,
    });
    expect(run.eventsOf('task_failed')).toMatchObject([{ willRetry: false, retryAt: null }]);
    expect(calls.calls).toHaveLength(1);
  });

  test('unstorable: the same characters in an error text never block its recording', async () => {
    const calls = scripted();
    const flow = defineFlow({ slug: 'order', maxAttempts: 1 }).step('only', calls.handler);
    const world = await createWorld(kind, { flows: [flow] });

    const run = await world.start(flow);
    (await calls.next()).fail(new Error('nul \0 and half \ud800 a character', { cause: '\udfff' }));
    const end = await run.end();

    expect(end.error!.message).toBe('nul \ufffd and half \ufffd a character, caused by: \ufffd');
  });
});
