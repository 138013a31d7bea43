import { expect, onTestFinished, test, vi } from 'vitest';
import { defineFlow } from '../../src/flow/define-flow.js';
import { defineJob } from '../../src/flow/define-job.js';
import {
  createPgFlow,
  type LiveRuns,
  type PgFlow,
  type PubSub,
  type Run,
  type RunList,
  type TrackRunsOptions,
} from '../../src/index.js';
import { openDatabase } from '../../src/postgres/open-database.js';
import { Store } from '../../src/postgres/store.js';
import { gate } from '../../src/testing/gate.js';
import { createTestDatabase, describeEachDatabase } from '../harness/databases.js';
import { FlakyBus } from './flaky-bus.js';
import { codeOf, rejection } from './rejection.js';
import { scripted } from './scripted.js';
import { inTransaction } from './sql-worker.js';
import { createWorld, type World, type WorldOptions } from './world.js';

const RUN_ID = '0190a6c4-0000-7000-8000-000000000001';

const echo = defineJob<unknown>({ slug: 'echo' }, ({ input }) => input);
const order = defineFlow<{ id: number }>({ slug: 'order', maxAttempts: 1 })
  .step('charge', ({ input }) => {
    if (input.id < 0) throw new Error('no');
    return input.id;
  })
  .step('ship', { dependsOn: ['charge'] }, ({ deps }) => deps.charge);

const idsOf = ({ runs }: { runs: readonly Run[] }) => runs.map(({ runId }) => runId);

/** Resolves to the first list for which that holds. */
function until(live: LiveRuns, holds: (list: RunList) => boolean): Promise<RunList> {
  return new Promise((resolve, reject) => {
    const look = () => {
      if (live.ended) reject(live.ended);
      else if (holds(live.getSnapshot())) resolve(live.getSnapshot());
      else return;
      for (const stop of stops) stop();
    };
    const stops = [live.subscribe(look), live.onFreshness(look)];
    look();
  });
}

async function end(world: World, runId: string): Promise<Run> {
  const live = await world.pgflow.track(runId);
  const run = await live.waitFor(['completed', 'failed', 'cancelled']);
  live.close();
  return run;
}

/** Started one after the other, each at its own time. */
async function startInOrder(world: World, count: number, options: (n: number) => { tags?: string[] }) {
  const ids: string[] = [];
  for (let n = 0; n < count; n++) {
    ids.unshift((await world.pgflow.enqueue(echo, n, options(n))).runId);
    await world.clock.advance(1);
  }
  return ids;
}

describeEachDatabase('tags', (kind) => {
  const open = (options: WorldOptions = {}) =>
    createWorld(kind, { flows: [order], jobs: [echo], worker: false, ...options });

  test('list-by-tag: the runs that were started with a tag, newest first, in pages', async () => {
    const world = await open();
    const ids = await startInOrder(world, 7, (n) => ({ tags: n % 2 ? ['odd', `n:${n}`] : ['even'] }));
    const odd = ids.filter((_, i) => i % 2 === 1);

    const first = await world.pgflow.listRuns({ tag: 'odd', limit: 2 });
    const second = await world.pgflow.listRuns({ tag: 'odd', limit: 2, cursor: first.cursor });

    expect([...idsOf(first), ...idsOf(second)]).toEqual(odd);
    expect(second.cursor).toBeNull();
    expect(idsOf(await world.pgflow.listRuns({ tag: 'n:3' }))).toEqual([ids[3]]);
    expect(await world.pgflow.listRuns({ tag: 'n:2' })).toEqual({ runs: [], cursor: null });
    expect(idsOf(await world.pgflow.listRuns())).toEqual(ids);
  });

  test('list-filters: flow, status and tag together, in pages over runs of the same moment', async () => {
    const world = await open({ worker: {} });
    const start = (id: number, tags: string[]) => world.pgflow.startFlow(order, { id }, { tags });
    const [good, bad] = await Promise.all([start(1, ['a', 'b']), start(-1, ['a']), start(2, ['b'])]);
    const mail = await world.pgflow.enqueue(echo, 1, { tags: ['a'] });
    for (const { runId } of [good, bad, mail]) await end(world, runId);
    const listed = async (filter: TrackRunsOptions) => idsOf(await world.pgflow.listRuns(filter)).toSorted();

    expect(await listed({ tag: 'a' })).toEqual([good.runId, bad.runId, mail.runId].toSorted());
    expect(await listed({ tag: 'a', flow: 'order' })).toEqual([good.runId, bad.runId].toSorted());
    expect(await listed({ tag: 'a', flow: 'order', status: 'failed' })).toEqual([bad.runId]);
    expect(await listed({ status: 'failed' })).toEqual([bad.runId]);
    expect(await listed({ flow: 'echo' })).toEqual([mail.runId]);
    expect(await listed({ tag: 'A' })).toEqual([]);
    const pages: string[] = [];
    for (let cursor: string | null = '', page: RunList; cursor !== null; { cursor } = page) {
      page = await world.pgflow.listRuns({ tag: 'a', limit: 1, ...(cursor && { cursor }) });
      pages.push(...idsOf(page));
    }
    expect(pages).toEqual(idsOf(await world.pgflow.listRuns({ tag: 'a' })));
  });

  test('a tag is any text that can be stored, as it is; the same one twice counts once', async () => {
    const world = await open();
    const odd = ['a"b', 'a\\b', '{a,b}', 'NULL', ' ', "'; drop table runs; --", 'é😀', '$1'];

    const [all] = await Promise.all([
      world.pgflow.enqueue(echo, 1, { tags: [...odd, ...odd] }),
      world.pgflow.enqueue(echo, 2),
      world.pgflow.enqueue(echo, 3, { tags: [] }),
    ]);

    for (const tag of odd) expect(idsOf(await world.pgflow.listRuns({ tag }))).toEqual([all.runId]);
    expect(await world.db.query('select count(*)::int as n from pgflow.run_tags')).toEqual([
      { n: odd.length },
    ]);
  });

  test.each<[unknown, string]>([
    ['order:1', 'tags'],
    [null, 'tags'],
    [['fine', ''], 'tags.1'],
    [['x'.repeat(129)], 'tags.0'],
    [['a\0b'], 'tags.0'],
    [[1], 'tags.0'],
    [Array.from({ length: 21 }, (_, n) => `${n}`), 'tags'],
  ])('tags %j are refused, and nothing is written', async (tags, path) => {
    const world = await open();
    const error = await rejection(world.pgflow.enqueue(echo, 1, { tags: tags as string[] }));
    expect(error).toMatchObject({ code: 'INVALID_INPUT', data: { issues: [{ path }] } });
    expect(error.message).toContain(`Cannot start \`echo\`: ${path} `);
    expect((await world.pgflow.listRuns()).runs).toEqual([]);
  });

  test('filters that are none are refused', async () => {
    const { pgflow } = await open();
    for (const filter of [
      { tag: '' },
      { tag: 1 },
      { status: 'done' },
      { limit: 0 },
      { limit: 501 },
    ] as any[]) {
      expect(await codeOf(pgflow.listRuns(filter))).toBe('INVALID_INPUT');
      expect(await codeOf(pgflow.trackRuns(filter))).toBe('INVALID_INPUT');
    }
    expect(await codeOf(pgflow.trackRuns({ flow: 'no slug' }))).toBe('INVALID_INPUT');
  });

  test('the same runId again leaves the run, and its tags, as they are', async () => {
    const world = await open();
    await world.pgflow.enqueue(echo, 1, { runId: RUN_ID, tags: ['first'] });

    const again = await world.pgflow.startOrGet(echo, 1, { runId: RUN_ID, tags: ['second'] });

    expect(again.created).toBe(false);
    expect(idsOf(await world.pgflow.listRuns({ tag: 'first' }))).toEqual([RUN_ID]);
    expect(idsOf(await world.pgflow.listRuns({ tag: 'second' }))).toEqual([]);
  });

  test('a retry has the tags of the run that it retries', async () => {
    const world = await open({ worker: {} });
    const { runId } = await world.pgflow.startFlow(order, { id: -1 }, { tags: ['a', 'b'] });
    await end(world, runId);

    const retried = await world.pgflow.retryRun(runId);
    await end(world, retried.runId);

    for (const tag of ['a', 'b'])
      expect(idsOf(await world.pgflow.listRuns({ tag }))).toEqual([retried.runId, runId]);
  });

  test('go with their run', async () => {
    const world = await open({ worker: {} });
    const { runId } = await world.pgflow.enqueue(echo, 1, { tags: ['a', 'b'] });
    const kept = await world.pgflow.enqueue(echo, 2, { tags: ['a'], delay: 3600 });
    await end(world, runId);
    await world.clock.advance(1);

    expect(await world.pgflow.prune({ olderThan: 0 })).toEqual({ pruned: 1 });

    expect(await world.db.query('select tag, run_id from pgflow.run_tags')).toEqual([
      { tag: 'a', run_id: kept.runId },
    ]);
  });
});

/** A bus that all processes share, and that counts who listens to lists. */
function sharedBus(lost = 0): { end(): PubSub; listening(): number } {
  const bus = new FlakyBus(1, { lost, doubled: 0, late: 0 });
  let listening = 0;
  return {
    listening: () => listening,
    end() {
      const own = bus.end();
      return {
        ...own,
        async subscribe(topic, fn) {
          const stop = await own.subscribe(topic, fn);
          if (!topic.endsWith(':list')) return stop;
          listening++;
          return () => {
            listening--;
            stop();
          };
        },
      };
    },
  };
}

describeEachDatabase('live lists', (kind) => {
  async function open(options: WorldOptions = {}) {
    const bus = sharedBus();
    const world = await createWorld(kind, { flows: [order], jobs: [echo], pubsub: bus.end(), ...options });
    const another = () => world.open({ pubsub: bus.end(), worker: false });
    return { world, bus, another };
  }

  /** C1: what is shown at rest is what the rows say. */
  async function expectRows(pgflow: PgFlow, { runs }: RunList): Promise<void> {
    expect(await Promise.all(runs.map(({ runId }) => pgflow.getRun(runId)))).toEqual(runs);
  }

  test('live-list: shows runs as they are started and as they go on, in this process and in another', async () => {
    const charge = scripted();
    const flow = defineFlow({ slug: 'scripted' })
      .step('charge', charge.handler)
      .step('ship', { dependsOn: ['charge'] }, () => 'shipped');
    const { world, another } = await open({ flows: [flow] });
    const other = await another();
    const lists = await Promise.all([world.pgflow.trackRuns(), other.trackRuns({ flow: 'scripted' })]);
    expect(lists.map((live) => live.getSnapshot())).toEqual(Array(2).fill({ runs: [], cursor: null }));

    const { runId } = await other.startFlow(flow, {});
    const call = await charge.next();
    for (const live of lists) {
      const { runs } = await until(live, ({ runs }) => runs[0]?.step('charge').status === 'started');
      expect(runs).toHaveLength(1);
    }
    call.complete('paid');
    for (const live of lists) {
      const list = await until(live, ({ runs }) => runs[0]?.status === 'completed');
      expect(list.runs[0]).toMatchObject({ runId, output: { ship: 'shipped' } });
      await expectRows(world.pgflow, list);
    }
  });

  test('live-list: newest first, no more than the limit, and a cursor for the older ones', async () => {
    const { world } = await open({ worker: false });
    const live = await world.pgflow.trackRuns({ tag: 'a', limit: 2 });

    const ids = await startInOrder(world, 5, (n) => ({ tags: n % 2 ? ['b'] : ['a'] }));

    const list = await until(live, ({ runs }) => runs[0]?.runId === ids[0]);
    expect(idsOf(list)).toEqual([ids[0], ids[2]]);
    expect(idsOf(await world.pgflow.listRuns({ tag: 'a', cursor: list.cursor }))).toEqual([ids[4]]);
  });

  test('live-list: a run that does not match any more leaves, also a cancelled or a retried one', async () => {
    const held = gate();
    const slow = defineJob({ slug: 'slow' }, () => held);
    const { world } = await open({ jobs: [slow] });
    const [started, failed] = [
      await world.pgflow.trackRuns({ status: 'started' }),
      await world.pgflow.trackRuns({ status: 'failed' }),
    ];

    const [one, two] = [
      await world.pgflow.enqueue(slow, {}),
      await world.pgflow.startFlow(order, { id: -1 }),
    ];
    await until(failed, (list) => idsOf(list).includes(two.runId));
    await until(started, (list) => idsOf(list).join() === one.runId);
    await world.pgflow.cancelRun(one.runId);
    await until(started, ({ runs }) => runs.length === 0);
    const { runId } = await world.pgflow.retryRun(two.runId);
    const list = await until(failed, ({ runs }) => runs.length === 2);

    expect(idsOf(list)).toEqual([runId, two.runId]);
    held.open();
  });

  test('live-list: a run that was pruned leaves the lists of all processes', async () => {
    const { world, another } = await open();
    const other = await another();
    const { runId } = await world.pgflow.enqueue(echo, 1, { tags: ['a'] });
    await end(world, runId);
    const lists = await Promise.all([world.pgflow.trackRuns({ tag: 'a' }), other.trackRuns()]);
    for (const live of lists) await until(live, (list) => idsOf(list).join() === runId);
    await world.clock.advance(1);

    await world.pgflow.prune({ olderThan: 0 });

    for (const live of lists) await until(live, ({ runs }) => runs.length === 0);
  });

  // Not in a world: its auditor needs the definitions.
  test('live-list: the runs of a flow that was deleted leave the list, and their tags go', async () => {
    const db = await createTestDatabase(kind);
    const pgflow = await createPgFlow({ database: db.database, flows: [order], jobs: [echo], worker: false });
    onTestFinished(() => pgflow.stop().finally(() => db.close()));
    await pgflow.startFlow(order, { id: 1 }, { tags: ['a'] });
    const { runId } = await pgflow.enqueue(echo, 1, { tags: ['a'] });
    const live = await pgflow.trackRuns({ tag: 'a' });
    expect(live.getSnapshot().runs).toHaveLength(2);

    await pgflow.deleteFlow('order');

    await until(live, (list) => idsOf(list).join() === runId);
    expect(await db.query('select run_id from pgflow.run_tags')).toEqual([{ run_id: runId }]);
  });

  test('live-list: what SQL does is told to lists, and seen', async () => {
    const { world } = await open({ worker: false });
    const port = await openDatabase(world.db.database);
    onTestFinished(() => port.close());
    const told = gate();
    const listener = await port.listen(
      'pgflow',
      (payload) => payload.includes('["pgflow:list", {}]') && told.open(),
      () => {},
    );
    onTestFinished(() => listener.stop());
    const live = await world.pgflow.trackRuns({ tag: 'from:sql' });

    await world.db.query(
      `select pgflow.start_flows(array[$1::uuid], array['echo'], array['1'::jsonb], tags => array['{from:sql}'])`,
      [RUN_ID],
    );
    await told;
    await until(live, (list) => idsOf(list).join() === RUN_ID);
    await world.db.query(`select pgflow.cancel_run($1, 'why not')`, [RUN_ID]);
    const { runs } = await until(live, ({ runs }) => runs[0]?.status === 'cancelled');

    expect(runs[0]).toEqual(await world.getRun(RUN_ID));
  });

  test('live-list: a burst of a hundred runs costs one more read, whoever watches', async () => {
    const { world } = await open();
    const { readPages } = Store.prototype;
    const reads = vi.spyOn(Store.prototype, 'readPages');
    onTestFinished(() => reads.mockRestore());
    const lists = await Promise.all(
      [1, 2, 3].map(() => world.pgflow.trackRuns({ flow: 'echo', limit: 500 })),
    );
    expect(reads).toHaveBeenCalledTimes(1);
    const [asked, answered] = [gate(), gate()];
    reads.mockImplementationOnce(async function (this: Store, filters) {
      asked.open();
      const pages = await readPages.call(this, filters);
      await answered;
      return pages;
    });

    await world.pgflow.enqueue(echo, 'first');
    await asked;
    const runs = await Promise.all(Array.from({ length: 100 }, (_, n) => world.pgflow.enqueue(echo, n)));
    await Promise.all(runs.map(({ runId }) => end(world, runId)));
    answered.open();
    const isThere = ({ runs }: RunList) =>
      runs.length === 101 && runs.every((run) => run.status === 'completed');
    const shown = await Promise.all(lists.map((live) => until(live, isThere)));

    expect(reads.mock.calls.map(([filters]) => filters.length)).toEqual([1, 1, 1]);
    expect(new Set(shown).size).toBe(1);
    await expectRows(world.pgflow, shown[0]!);
  });

  test('live-list: when every word is lost, it is seconds late, and right', async () => {
    const bus = sharedBus(1);
    const { world } = await open({ pubsub: bus.end() });
    const other = await world.open({ pubsub: bus.end(), worker: false });
    const live = await other.trackRuns();

    const { runId } = await world.pgflow.startFlow(order, { id: 1 });

    const list = await until(live, ({ runs }) => runs[0]?.status === 'completed');
    expect(idsOf(list)).toEqual([runId]);
    await expectRows(world.pgflow, list);
  });

  test('live-list: after the last handle nobody listens, and stop ends those that are open', async () => {
    const { world, bus } = await open();
    const lists = [
      await world.pgflow.trackRuns(),
      await world.pgflow.trackRuns(),
      await world.pgflow.trackRuns({ tag: 'a' }),
    ];
    expect(bus.listening()).toBe(1);
    for (const live of lists) live.close();
    await expect.poll(() => bus.listening(), { timeout: 20_000 }).toBe(0);

    const open2 = await world.pgflow.trackRuns();
    const ended = new Promise<void>((resolve) => open2.onFreshness(() => open2.ended && resolve()));
    await world.pgflow.stop();
    await ended;
    expect([open2.ended?.code, open2.connected, bus.listening()]).toEqual(['CLOSED', false, 0]);
    expect(await codeOf(world.pgflow.trackRuns())).toBe('CLOSED');
  });
});

describeEachDatabase('how a list is read', (kind) => {
  test('by keys, no further than it is shown, on tables that were never analysed', async () => {
    const world = await createWorld(kind, { jobs: [echo], worker: false });
    await Promise.all(Array.from({ length: 300 }, (_, n) => world.pgflow.enqueue(echo, n, { tags: ['a'] })));

    const counts = `select relname, seq_scan::int, coalesce(idx_tup_fetch, 0)::int as rows
      from pg_stat_xact_user_tables where relname in ('runs', 'run_tags') order by relname`;
    const read: { seq_scan: number; rows: number }[] = [];
    await inTransaction(world.db, 'rollback', async (tx) => {
      // In one session they go on from transaction to transaction.
      const before = await tx.query(counts);
      await tx.query(`select * from pgflow.list_runs('{echo,null}', '{started,null}', '{null,a}', '{5,5}')`);
      for (const [i, { seq_scan, rows }] of (await tx.query(counts)).entries()) {
        read.push({ seq_scan: seq_scan - before[i]!.seq_scan, rows: rows - before[i]!.rows });
      }
    });

    expect(read.map(({ seq_scan }) => seq_scan)).toEqual([0, 0]);
    for (const { rows } of read) expect(rows).toBeLessThan(20);
  });
});
