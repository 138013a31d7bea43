import { expect, expectTypeOf, test } from 'vitest';
import { defineFlow } from '../../src/flow/define-flow.js';
import { defineJob } from '../../src/flow/define-job.js';
import type { FlowOutput, TransactionClient } from '../../src/flow/flow.js';
import { PgFlowError } from '../../src/index.js';
import { describeEachDatabase } from '../harness/databases.js';
import { rejection } from './rejection.js';
import { aborted, scripted } from './scripted.js';
import { createWorld, type World, type WorldOptions } from './world.js';

async function open(kind: Parameters<typeof createWorld>[0], options: WorldOptions): Promise<World> {
  const world = await createWorld(kind, options);
  await world.db.query('create schema shop');
  await world.db.query('create table shop.charges (id text)');
  return world;
}

const insert = (tx: TransactionClient, id: string) => tx.query('insert into shop.charges values ($1)', [id]);

const chargesOf = async ({ db }: World): Promise<string[]> =>
  (await db.query('select id from shop.charges order by id')).map(({ id }) => id);

describeEachDatabase('user-transaction', (kind) => {
  test('the row and the completion are there together; what fn returns is the output, typed and stored', async () => {
    const flow = defineFlow<{ id: string }>({ slug: 'order' })
      .step('charge', async ({ input, commit }) => {
        const output = await commit(async (tx) => {
          const { rows } = await tx.query<{ id: string }>(
            'insert into shop.charges values ($1) returning id',
            [input.id],
          );
          return { charged: rows[0]!.id, at: new Date(0), none: undefined };
        });
        expectTypeOf(output.charged).toEqualTypeOf<string>();
        return output;
      })
      .step('ship', { dependsOn: ['charge'] }, ({ deps }) => deps.charge);
    expectTypeOf<FlowOutput<typeof flow>['ship']['at']>().toEqualTypeOf<string>();
    const world = await open(kind, { flows: [flow], paused: true });

    const run = await world.start(flow, { id: 'a' });
    await world.pgflow.start();
    const end = await run.end();

    const output = { charged: 'a', at: '1970-01-01T00:00:00.000Z' };
    expect(end.output).toEqual({ ship: output });
    expect(await chargesOf(world)).toEqual(['a']);
    expect(run.eventsOf('task_completed')).toMatchObject([
      { stepSlug: 'charge', output },
      { stepSlug: 'ship' },
    ]);
  });

  test('fn throws: rolled back, the attempt fails and is retried', async () => {
    const thrown = new Error('card declined');
    const caught: unknown[] = [];
    const job = defineJob({ slug: 'job', baseDelay: 0 }, async ({ commit, attempt }) => {
      const committing = commit(async (tx) => {
        await insert(tx, `attempt ${attempt}`);
        if (attempt === 1) throw thrown;
        if (attempt === 2) await tx.query('select * from shop.missing');
        return attempt;
      });
      return committing.catch((error) => {
        caught.push(error);
        throw error;
      });
    });
    const world = await open(kind, { jobs: [job], paused: true });

    const run = await world.start(job);
    await world.pgflow.start();
    const end = await run.end();

    expect(end).toMatchObject({ status: 'completed', output: 3 });
    expect(await chargesOf(world)).toEqual(['attempt 3']);
    expect(caught).toMatchObject([thrown, { code: '42P01' }]);
    expect(run.eventsOf('task_failed')).toMatchObject([
      { error: 'card declined', attempt: 1, willRetry: true },
      { attempt: 2, willRetry: true },
    ]);
  });

  test('a failed statement that fn swallows still rolls back: nothing can be committed after it', async () => {
    const job = defineJob({ slug: 'job', maxAttempts: 1 }, ({ commit }) =>
      commit(async (tx) => {
        await insert(tx, 'a');
        await tx.query('select * from shop.missing').catch(() => {});
        return 1;
      }),
    );
    const world = await open(kind, { jobs: [job] });

    expect(await (await world.start(job)).end()).toMatchObject({ status: 'failed' });
    expect(await chargesOf(world)).toEqual([]);
  });

  test('a handler may commit again after a commit that was rolled back', async () => {
    const job = defineJob({ slug: 'job' }, async ({ commit }) => {
      const failing = commit(async (tx) => {
        await insert(tx, 'first');
        throw new Error('no');
      });
      await failing.catch(() => {});
      return commit(async (tx) => {
        await insert(tx, 'second');
        return 'second';
      });
    });
    const world = await open(kind, { jobs: [job] });

    expect(await (await world.start(job)).end()).toMatchObject({ status: 'completed', output: 'second' });
    expect(await chargesOf(world)).toEqual(['second']);
  });

  test('an attempt that no longer counts: ABORTED, rolled back, though this process does not know yet', async () => {
    const charge = scripted();
    const flow = defineFlow({ slug: 'order' }).step('charge', charge.handler);
    const world = await open(kind, { flows: [flow] });
    const run = await world.start(flow);
    const { context, complete } = await charge.next();
    await run.until((now) => now.step('charge').status === 'started');

    await world.db.query('select pgflow.cancel_run($1, null, false)', [run.run.runId]);
    const error = await rejection(context.commit((tx) => insert(tx, 'stale')));
    complete();

    expect(error).toMatchObject({ code: 'ABORTED' });
    expect(error.message).toContain('no longer counts');
    expect(await chargesOf(world)).toEqual([]);
    await run.live.verify();
    expect(run.run.status).toBe('cancelled');
  });

  test('an attempt that was given up here: fn is not even called', async () => {
    const charge = scripted();
    const flow = defineFlow({ slug: 'order' }).step(
      'charge',
      { timeout: 0.05, baseDelay: 0 },
      charge.handler,
    );
    const world = await open(kind, { flows: [flow] });
    const run = await world.start(flow);
    const first = await charge.next();
    await aborted(first.context.signal);

    let called = false;
    const commit = first.context.commit(() => {
      called = true;
    });

    expect((await rejection(commit)).code).toBe('TIMEOUT');
    expect(called).toBe(false);
    await world.pgflow.cancelRun(run.run.runId);
    await run.end();
  });

  test('tasks of a map that commit at the same time', async () => {
    let inside = 0;
    let enter: () => void = () => {};
    const both = new Promise<void>((resolve) => {
      enter = resolve;
    });
    const flow = defineFlow<string[]>({ slug: 'each' }).map('charge', ({ item, index, commit }) =>
      commit(async (tx) => {
        await insert(tx, item);
        inside += 1;
        if (inside === 2) enter();
        if (kind === 'postgres') await both; // PGlite has one connection
        return `${index} ${item}`;
      }),
    );
    const world = await open(kind, { flows: [flow] });

    const end = await (await world.start(flow, ['a', 'b'])).end();

    expect(end.output).toEqual({ charge: ['0 a', '1 b'] });
    expect(await chargesOf(world)).toEqual(['a', 'b']);
    expect(inside).toBe(2);
  });

  test('what the handler does after its commit counts no more: a value, an error, a second commit', async () => {
    const refused: unknown[] = [];
    const flow = defineFlow({ slug: 'order', maxAttempts: 1 })
      .step('value', async ({ commit }) => {
        await commit((tx) => insert(tx, 'value').then(() => 'committed'));
        return 'returned';
      })
      .step('error', async ({ commit }) => {
        await commit((tx) => insert(tx, 'error').then(() => 'committed'));
        throw new Error('late');
      })
      .step('again', async ({ commit }) => {
        await commit((tx) => insert(tx, 'again').then(() => 'committed'));
        await commit((tx) => insert(tx, 'twice')).catch((error) => refused.push(error));
      })
      .step('together', async ({ commit }) => {
        const first = commit((tx) => insert(tx, 'together').then(() => 'committed'));
        await commit((tx) => insert(tx, 'twice')).catch((error) => refused.push(error));
        void first; // nobody waits for it here
      });
    const world = await open(kind, { flows: [flow] });

    const end = await (await world.start(flow)).end();

    const committed = 'committed';
    expect(end.output).toEqual({ value: committed, error: committed, again: committed, together: committed });
    expect(await chargesOf(world)).toEqual(['again', 'error', 'together', 'value']);
    expect(refused).toHaveLength(2);
    for (const error of refused) {
      expect(error).toBeInstanceOf(PgFlowError);
      expect(error).toMatchObject({
        code: 'INVALID_INPUT',
        message: expect.stringContaining('commit again'),
      });
    }
  });

  test.each([
    ['a BigInt', 1n],
    ['NUL', 'a\0b'],
    ['a lone surrogate', '\ud800'],
  ])('not-storable: %s as the output: rolled back, failed for good', async (_, value) => {
    const attempts: number[] = [];
    const job = defineJob({ slug: 'job', baseDelay: 0 }, ({ commit, attempt }) => {
      attempts.push(attempt);
      return commit(async (tx) => {
        await insert(tx, 'a');
        return { deep: [value] };
      });
    });
    const world = await open(kind, { jobs: [job] });

    const end = await (await world.start(job)).end();

    expect(end).toMatchObject({
      status: 'failed',
      error: { message: expect.stringContaining('output.deep[0]') },
    });
    expect(attempts).toEqual([1]);
    expect(await chargesOf(world)).toEqual([]);
  });

  test('an output that the next map cannot take: rolled back, and the attempt fails saying why', async () => {
    const flow = defineFlow({ slug: 'order', maxAttempts: 1 })
      .step('charge', ({ commit }) => commit((tx) => insert(tx, 'a').then((): any => 'no array')))
      .map('each', { over: 'charge' }, ({ item }) => item);
    const world = await open(kind, { flows: [flow] });

    const end = await (await world.start(flow)).end();

    expect(end).toMatchObject({ status: 'failed', error: { stepSlug: 'charge' } });
    expect(end.error!.message).toMatch(/Nothing was committed: .*array/);
    expect(await chargesOf(world)).toEqual([]);
  });

  test('stop waits for a commit under way', async () => {
    const call = scripted();
    const job = defineJob({ slug: 'job' }, ({ commit }) =>
      commit(async (tx) => {
        await insert(tx, 'a');
        return call.handler({} as never);
      }),
    );
    const world = await open(kind, { jobs: [job], worker: false });
    const worker = await world.open({ worker: {} });
    const { runId } = await world.pgflow.startFlow(job, {});
    const held = await call.next();

    const stopped = worker.stop({ grace: 20 });
    held.complete('done');
    await stopped;

    expect(await world.getRun(runId)).toMatchObject({ status: 'completed', output: 'done' });
    expect(await chargesOf(world)).toEqual(['a']);
  });
});
