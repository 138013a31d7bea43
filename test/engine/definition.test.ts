import { expect, test } from 'vitest';
import { defineFlow } from '../../src/flow/define-flow.js';
import { defineJob } from '../../src/flow/define-job.js';
import { createPgFlow } from '../../src/index.js';
import { describeEachDatabase } from '../harness/databases.js';
import { codeOf } from './rejection.js';
import { scripted } from './scripted.js';
import { createWorld, type World } from './world.js';

const shape = (handler: () => unknown = () => 1) =>
  defineFlow({ slug: 'order' })
    .step('load', () => [1, 2])
    .map('each', { over: 'load' }, handler);

async function definitions({ db }: World): Promise<Record<string, unknown[]>> {
  const dump: Record<string, unknown[]> = {};
  for (const table of ['flows', 'flow_versions', 'handlers', 'steps']) {
    dump[table] = await db.query(`select t.*, xmin::text from pgflow.${table} t order by t::text`);
  }
  return dump;
}

describeEachDatabase('definition', (kind) => {
  test('register-twice: the same shape again changes nothing', async () => {
    const world = await createWorld(kind, { flows: [shape()], worker: false });
    const before = await definitions(world);

    const again = await world.open({ flows: [shape(() => 'other code')], worker: false });

    expect(await definitions(world)).toEqual(before);
    expect(before.flow_versions).toMatchObject([{ flow_slug: 'order', version: 1, step_count: 2 }]);
    expect((await again.startFlow('order', {})).version).toBe(1);
  });

  test('register-twice: options (attempts, delays, timeout) may change without a new version', async () => {
    const calls = scripted();
    const flow = (options: object) =>
      defineFlow({ slug: 'order', ...options }).step('only', { startDelay: 0 }, calls.handler);
    const world = await createWorld(kind, { flows: [flow({ maxAttempts: 1 })], worker: false });
    const { runId } = await world.pgflow.startFlow('order', {});

    const another = await world.open({
      flows: [flow({ maxAttempts: 2, baseDelay: 50, timeout: 7 })],
      worker: {},
    });
    const run = await world.watch(runId, another);
    (await calls.next()).fail(new Error('once'));
    const event = await run.event('task_failed');

    expect((await another.startFlow('order', {})).version).toBe(1);
    expect(event).toMatchObject({ willRetry: true });
    expect(event.retryAt!.getTime() - event.at.getTime()).toBe(100_000);
    expect((await definitions(world)).handlers).toMatchObject([
      { max_attempts: 2, base_delay: 50, timeout: 7 },
    ]);
  });

  test('register-together: two processes register the same flow at once; one version results', async () => {
    const world = await createWorld(kind, { worker: false });

    const together = await Promise.all(
      Array.from({ length: 4 }, () =>
        createPgFlow({ database: world.db.database, flows: [shape()], worker: false }),
      ),
    );
    await Promise.all(together.map((pgflow) => pgflow.stop()));

    const { flows, flow_versions, handlers, steps } = await definitions(world);
    expect([flows, flow_versions, handlers, steps].map((rows) => rows!.length)).toEqual([1, 1, 2, 2]);
  });

  test('new-shape: another shape is a new version; runs in flight finish on theirs, new runs use the new one', async () => {
    const [load, ship] = [scripted(), scripted()];
    const first = defineFlow({ slug: 'order' })
      .step('load', load.handler)
      .step('ship', { dependsOn: ['load'] }, ship.handler);
    const second = defineFlow({ slug: 'order' })
      .step('load', load.handler)
      .step('check', { dependsOn: ['load'] }, () => 'checked')
      .step('ship', { dependsOn: ['check'] }, ship.handler);
    const world = await createWorld(kind, { flows: [first] });
    const old = await world.start(first);
    const loading = await load.next();

    const newer = await world.open({ flows: [second] });
    const fresh = await world.watch((await newer.startFlow(second, {})).runId, newer);
    (await load.next()).complete('fresh');
    loading.complete('old');
    for (const call of [await ship.next(), await ship.next()]) call.complete(call.context.deps);
    const [oldEnd, freshEnd] = [await old.end(), await fresh.end()];

    expect(oldEnd).toMatchObject({ version: 1, output: { ship: { load: 'old' } } });
    expect(oldEnd.stepStates).toHaveLength(2);
    expect(freshEnd).toMatchObject({ version: 2, output: { ship: { check: 'checked' } } });
  });

  test('one slug is a flow or a job, not both', async () => {
    const world = await createWorld(kind, { flows: [shape()], worker: false });
    const job = defineJob({ slug: 'order' }, () => 1);

    expect(await codeOf(world.open({ flows: [], jobs: [job] }))).toBe('INVALID_DEFINITION');
    expect(await codeOf(world.open({ flows: [shape()], jobs: [job] }))).toBe('INVALID_DEFINITION');
    expect(await codeOf(world.open({ flows: [defineFlow({ slug: 'none' })] }))).toBe('INVALID_DEFINITION');
  });
});
