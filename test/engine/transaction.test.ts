import pg from 'pg';
import { describe, expect, onTestFinished, test } from 'vitest';
import { z } from 'zod';
import { defineFlow } from '../../src/flow/define-flow.js';
import { defineJob } from '../../src/flow/define-job.js';
import type { Tx } from '../../src/postgres/user-transaction.js';
import { codeOf, rejection } from './rejection.js';
import { LIBRARIES, type Library, type Opened } from './transaction-libraries.js';
import { createWorld, type World, type WorldOptions } from './world.js';

const RUN_ID = '0190a6c4-0000-7000-8000-000000000001';
const OTHER_ID = '0190a6c4-0000-7000-8000-000000000002';

const ship = defineFlow<{ id: number }>({ slug: 'ship' })
  .step('pack', ({ input }) => input.id)
  .step('send', { dependsOn: ['pack'] }, ({ deps }) => deps.pack + 1);
const mail = defineJob<string>({ slug: 'mail' }, ({ input }) => `sent to ${input}`);
const echo = defineJob<unknown>({ slug: 'echo' }, ({ input }) => input);
const counted = defineFlow({
  slug: 'counted',
  input: z.object({ id: z.number() }).transform(({ id }) => ({ id, at: 'now' })),
}).step('only', ({ input }) => input.at);

class Refused extends Error {}

/** A world whose worker never polls, another process that only starts, and the user's library and table. */
async function open(
  { kind, open }: Library,
  options: WorldOptions = {},
): Promise<{ world: World; library: Opened }> {
  const world = await createWorld(kind, { flows: [ship, counted], jobs: [mail, echo], ...options });
  await world.db.query('create schema shop');
  await world.db.query('create table shop.orders (id int primary key)');
  const library = await open(world.db);
  onTestFinished(() => library.close());
  return { world, library };
}

const ordersOf = async ({ db }: World) =>
  (await db.query('select id from shop.orders order by id')).map(({ id }) => id);

const runCount = async ({ db }: World) =>
  (await db.query('select count(*)::int as count from pgflow.runs'))[0]!.count;

describe.each(LIBRARIES)('start in a transaction of $name', (given) => {
  test('start-in-transaction: rolled back, there never was a run, nor the row beside it', async () => {
    const { world, library } = await open(given);
    const started: string[] = [];

    const failed = await library
      .transaction(async (tx, execute) => {
        await execute('insert into shop.orders values (1)');
        const run = await world.pgflow.startFlow(ship, { id: 1 }, { tx, runId: RUN_ID });
        const job = await world.pgflow.enqueue(mail, 'you', { tx });
        expect([run, job]).toMatchObject([{ status: 'started', seq: 1 }, { status: 'started' }]);
        started.push(run.runId, job.runId);
        throw new Refused();
      })
      .catch((error) => error);

    expect(failed).toBeInstanceOf(Refused);
    expect(await Promise.all(started.map((id) => world.pgflow.getRun(id)))).toEqual([null, null]);
    expect(await runCount(world)).toBe(0);
    expect(await ordersOf(world)).toEqual([]);
    // Its id is free.
    const after = await world.pgflow.startOrGet(ship, { id: 2 }, { runId: RUN_ID });
    expect(after).toMatchObject({ created: true, run: { input: { id: 2 } } });
  });

  test('start-in-transaction: its tags are there when it is, and live lists see it then', async () => {
    const { world, library } = await open(given);
    const live = await world.pgflow.trackRuns({ tag: `it's "$1"` });
    const shown = new Promise<void>((resolve) => live.subscribe(resolve));

    const { runId } = await library.transaction((tx) =>
      world.pgflow.startFlow(ship, { id: 1 }, { tx, tags: [`it's "$1"`, '{b\\,'] }),
    );
    await shown;

    expect(live.getSnapshot().runs.map((run) => run.runId)).toEqual([runId]);
    expect((await world.pgflow.listRuns({ tag: '{b\\,' })).runs).toHaveLength(1);
    live.close();
  });

  test('start-in-transaction: committed, flow and job are live at once, in a process that did not start them', async () => {
    const { world, library } = await open(given);
    const starter = await world.open({ worker: false });

    const runs = await library.transaction(async (tx, execute) => {
      await execute('insert into shop.orders values (1)');
      const run = await starter.startFlow(ship, { id: 1 }, { tx });
      const job = await starter.enqueue(mail, 'you', { tx, runAt: new Date(0) });
      const late = await starter.enqueue(mail, 'them', { tx, delay: 3600 });
      return [run, job, late];
    });
    const [run, job, late] = await Promise.all(runs.map(({ runId }) => world.watch(runId)));

    expect((await run!.end()).output).toEqual({ send: 2 });
    expect((await job!.end()).output).toBe('sent to you');
    expect(await ordersOf(world)).toEqual([1]);
    expect(late!.run).toEqual(runs[2]);
    await world.clock.advance('1h');
    expect((await late!.end()).output).toBe('sent to them');
  });

  test('start-own-id: the same id again, in this transaction and after it, is the first run', async () => {
    const { world, library } = await open(given, { worker: false });
    const start = (tx?: Tx) =>
      world.pgflow.startOrGet(counted, { id: 1 }, tx ? { tx, runId: RUN_ID } : { runId: RUN_ID });

    const [first, again] = await library.transaction(async (tx) => [await start(tx), await start(tx)]);
    const later = await library.transaction((tx) => start(tx));

    expect(first).toMatchObject({ created: true, run: { runId: RUN_ID, input: { id: 1, at: 'now' } } });
    for (const more of [again, later, await start()])
      expect(more).toEqual({ created: false, run: first!.run });
  });

  test('what the engine refuses comes out as a PgFlowError, and rolls back', async () => {
    const { world, library } = await open(given, { worker: false });
    await world.pgflow.startFlow(ship, { id: 1 }, { runId: RUN_ID });
    const refused = (start: (tx: Tx) => Promise<unknown>) =>
      rejection(
        library.transaction(async (tx, execute) => {
          await execute('insert into shop.orders values (1)');
          await start(tx);
        }),
      );

    const unknown = await refused((tx) => world.pgflow.startFlow('shipp', {}, { tx }));
    const conflict = await refused((tx) => world.pgflow.startFlow(ship, { id: 2 }, { tx, runId: RUN_ID }));
    const invalid = await refused((tx) => world.pgflow.startFlow('counted', { id: 'a' }, { tx }));

    expect(unknown).toMatchObject({ code: 'FLOW_NOT_FOUND', data: { flowSlug: 'shipp' } });
    expect(unknown.message).toContain('createPgFlow({ flows');
    expect(conflict).toMatchObject({ code: 'RUN_CONFLICT', data: { runId: RUN_ID } });
    expect(invalid).toMatchObject({ code: 'INVALID_INPUT', data: { issues: [{ path: 'id' }] } });
    expect(await ordersOf(world)).toEqual([]);
    expect(await runCount(world)).toBe(1);
  });

  test('any input that JSON holds arrives as it is', async () => {
    const { world, library } = await open(given);
    const text = `it's "quoted" \\ \\u0041 \\' $1 $$ $a$ ? :name %s {} -- /* ; \n\t\u0001 žluťoučký 🐎 \u2028`;
    const input = JSON.parse(
      `{"__proto__": {"polluted": true}, "constructor": 1, "list": [null, false, 0, "", [], {}, 1e21, -0.5]}`,
    );
    Object.assign(input, { text, [text]: text });
    const bare = [null, 'null', '', '"', 12, true, [], [[1, 2], ['{a,b}']]];

    const runs = await library.transaction(async (tx) => {
      const first = await world.pgflow.enqueue(echo, input, { tx });
      const rest = [];
      for (const value of bare) rest.push(await world.pgflow.enqueue(echo, value, { tx }));
      return [first, ...rest];
    });

    expect(runs.map((run) => run.input)).toEqual([input, ...bare]);
    const ends = await Promise.all(runs.map(async ({ runId }) => (await world.watch(runId)).end()));
    expect(ends.map((end) => end.output)).toEqual([input, ...bare]);
    const { output } = ends[0]! as { output: any };
    expect(Object.getOwnPropertyDescriptor(output, '__proto__')?.value).toEqual({ polluted: true });
    expect(output.polluted).toBeUndefined();
  });

  test('what a transaction is opened on is none', async () => {
    const { world, library } = await open(given, { worker: false });
    const tx = library.root as Tx;

    const error = await rejection(world.pgflow.startFlow(ship, { id: 1 }, { tx }));

    expect(error).toMatchObject({ code: 'INVALID_INPUT', data: { issues: [{ path: 'tx' }] } });
    expect(await runCount(world)).toBe(0);
  });
});

test('what is no transaction is refused, and nothing is started', async () => {
  const world = await createWorld('postgres', { flows: [ship], worker: false });
  const candidates = [null, false, 0, '', 'tx', true, {}, [], () => {}, { query: {} }, { begin() {} }];

  const codes = await Promise.all(
    candidates.map((tx) => codeOf(world.pgflow.startFlow(ship, { id: 1 }, { tx: tx as never }))),
  );

  expect(codes).toEqual(candidates.map(() => 'INVALID_INPUT'));
  expect(await runCount(world)).toBe(0);
});

test('start-own-id: two transactions that start one id at once: the second waits and gets the first run', async () => {
  const world = await createWorld('postgres', { flows: [ship], worker: false });
  const clients = [new pg.Client(world.db.url), new pg.Client(world.db.url)];
  for (const client of clients) {
    await client.connect();
    onTestFinished(() => client.end());
    await client.query('begin');
  }
  const [first, second] = clients as [pg.Client, pg.Client];
  const start = (tx: Tx, runId: string) => world.pgflow.startOrGet(ship, { id: 1 }, { tx, runId });

  await start(first, RUN_ID);
  await start(second, OTHER_ID);
  const late = start(second, RUN_ID);
  await expect
    .poll(() =>
      world.db.query(`select from pg_stat_activity where wait_event = 'transactionid'
      and datname = current_database()`),
    )
    .toHaveLength(1);
  await first.query('commit');
  expect(await late).toMatchObject({ created: false, run: { runId: RUN_ID } });
  await second.query('commit');
  expect(await world.pgflow.getRun(OTHER_ID)).not.toBeNull();
});
