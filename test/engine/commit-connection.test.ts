import { describe, expect, onTestFinished, test } from 'vitest';
import { defineFlow } from '../../src/flow/define-flow.js';
import { defineJob } from '../../src/flow/define-job.js';
import type { TransactionClient } from '../../src/flow/flow.js';
import { sharedServer } from '../harness/databases.js';
import { startTcpProxy } from '../harness/tcp-proxy.js';
import { scripted } from './scripted.js';
import { createWorld, type World, type WorldOptions } from './world.js';

async function open(options: WorldOptions): Promise<World> {
  const world = await createWorld('postgres', options);
  await world.db.query('create schema shop');
  await world.db.query('create table shop.charges (id text)');
  return world;
}

const insert = (tx: TransactionClient, id: string) => tx.query('insert into shop.charges values ($1)', [id]);

const chargesOf = async ({ db }: World): Promise<string[]> =>
  (await db.query('select id from shop.charges order by id')).map(({ id }) => id);

/** What the proxied worker's flow looks like; its own definition has the handlers. */
const order = defineFlow({ slug: 'order' })
  .step('charge', () => null)
  .step('ship', { dependsOn: ['charge'] }, () => null);

describe('user-transaction: the connections', () => {
  test('while fn runs neither is there, for others', async () => {
    const call = scripted();
    const job = defineJob({ slug: 'job' }, ({ commit }) =>
      commit(async (tx) => {
        await insert(tx, 'a');
        return call.handler({} as never);
      }),
    );
    const world = await open({ jobs: [job] });

    const run = await world.start(job);
    const held = await call.next();
    const during = [await chargesOf(world), (await world.tasks(run.run.runId))[0]!.status];
    held.complete('done');

    expect(during).toEqual([[], 'started']);
    expect((await run.end()).output).toBe('done');
    expect(await chargesOf(world)).toEqual(['a']);
  });

  test('handlers that hold all connections do not keep the engine from its work', async () => {
    const calls = scripted();
    onTestFinished(() => {
      for (const { complete } of calls.calls) complete();
    });
    const flow = defineFlow<number[]>({ slug: 'each' }).map('charge', ({ item, commit }) =>
      commit(async (tx) => {
        await insert(tx, String(item));
        return calls.handler({} as never);
      }),
    );
    const quick = defineJob({ slug: 'quick' }, () => 'quick');
    const world = await open({ flows: [flow], jobs: [quick], worker: { concurrency: 20 } });

    const run = await world.start(flow, [...Array(12).keys()]);
    const held = await Promise.all(Array.from({ length: 10 }, () => calls.next()));
    expect((await (await world.start(quick)).end()).output).toBe('quick');
    for (const { complete } of held) complete(1);
    for (let i = 0; i < 2; i += 1) (await calls.next()).complete(1);

    expect((await run.end()).output).toEqual({ charge: Array(12).fill(1) });
    expect(await chargesOf(world)).toHaveLength(12);
  });
});

describe('user-transaction: the connection is lost', () => {
  test('exactly at COMMIT: the attempt finds it applied, and the next step runs at once', async () => {
    const { world, run, cut, url } = await openProxied();
    const attempts: number[] = [];
    const flow = defineFlow({ slug: 'order' })
      .step('charge', async ({ commit, attempt }) => {
        attempts.push(attempt);
        const charged = await commit(async (tx) => {
          await insert(tx, 'once');
          cut.done = cut.arm();
          return { charged: true };
        });
        expect(charged).toEqual({ charged: true });
      })
      .step('ship', { dependsOn: ['charge'] }, ({ deps }) => deps.charge);
    await world.open({ database: url, flows: [flow], worker: {} });

    const end = await run.end();

    await cut.done;
    expect(end).toMatchObject({ status: 'completed', output: { ship: { charged: true } } });
    expect(attempts).toEqual([1]);
    expect(await chargesOf(world)).toEqual(['once']);
  });

  test('before COMMIT arrives: rolled back, and the next attempt makes the one charge', async () => {
    const { world, run, proxy, url } = await openProxied();
    const flow = defineFlow({ slug: 'order', baseDelay: 0 })
      .step('charge', ({ commit, attempt }) =>
        commit(async (tx) => {
          await insert(tx, `attempt ${attempt}`);
          if (attempt === 1) proxy.cut();
          return attempt;
        }),
      )
      .step('ship', { dependsOn: ['charge'] }, ({ deps }) => deps.charge);
    await world.open({ database: url, flows: [flow], worker: {} });

    const end = await run.end();

    expect(end).toMatchObject({ status: 'completed', output: { ship: 2 } });
    expect(await chargesOf(world)).toEqual(['attempt 2']);
  });
});

/** A started run, and a proxy on the way of the worker that the test opens. */
async function openProxied() {
  const world = await open({ flows: [order], worker: false });
  const proxy = await startTcpProxy(Number(new URL(sharedServer()).port));
  onTestFinished(() => proxy.close());
  const url = new URL(world.db.url!);
  url.host = `127.0.0.1:${proxy.port}`;
  const cut = { done: undefined as Promise<void> | undefined, arm: () => proxy.cutBeforeReplyTo('commit') };
  return { world, run: await world.start(order), proxy, cut, url: url.href };
}
