/** What becomes of runs when PostgreSQL goes away, breaks off at the worst moment, or is in the way of itself. */
import pg from 'pg';
import { describe, expect, onTestFinished, test } from 'vitest';
import { defineJob } from '../../src/flow/define-job.js';
import { scripted } from '../engine/scripted.js';
import { createFaultyWorld, type FaultyWorld, ownServer } from './faulty-world.js';
import { reported } from './reported.js';

const MINUTES = { timeout: 120_000 };
const WORKER = { lease: 10, pollInterval: 0.5 };

const tasksOf = (world: FaultyWorld, runId: string) =>
  world.db.query('select status, attempt from pgflow.step_tasks where run_id = $1', [runId]);

describe('PostgreSQL goes away', () => {
  test.each(['fast', 'immediate'] as const)(
    'restarted (%s): nothing is lost, and work goes on',
    MINUTES,
    async (mode) => {
      const server = await ownServer();
      const world = await createFaultyWorld(server);
      const mail = scripted();
      const job = defineJob({ slug: 'mail' }, mail.handler);
      const pgflow = await world.open({ jobs: [job], worker: WORKER });
      const run = await pgflow.track((await pgflow.enqueue(job, {})).runId);
      const call = await mail.next();
      const failure = reported(/Settling tasks failed/);

      await server.shutDown(mode);
      call.complete('sent');
      await failure;
      expect(await pgflow.health()).toMatchObject({ ok: false, database: 'unavailable' });
      await server.start();

      expect((await run.waitFor('completed', { timeout: 30 })).output).toBe('sent');
      expect(mail.calls).toHaveLength(1);
      const next = await pgflow.track((await pgflow.enqueue(job, {})).runId);
      (await mail.next()).complete('too');
      await next.waitFor('completed', { timeout: 30 });
      await expect
        .poll(() => pgflow.health(), { timeout: 30_000 })
        .toMatchObject({ ok: true, listening: true });
    },
  );

  test('it stays away: stopping ends all the same', MINUTES, async () => {
    const server = await ownServer();
    const world = await createFaultyWorld(server);
    const mail = scripted();
    const job = defineJob({ slug: 'mail' }, mail.handler);
    const pgflow = await world.open({ jobs: [job], worker: WORKER });
    await pgflow.enqueue(job, {});
    const call = await mail.next();
    const failure = reported(/Settling tasks failed/);

    await server.shutDown('immediate');
    call.complete('sent');
    await failure;
    await pgflow.stop({ grace: 0 });

    await server.start();
    expect(await world.db.query('select status from pgflow.step_tasks')).toEqual([{ status: 'started' }]);
  });

  test('it neither answers nor fails: stopping ends all the same', MINUTES, async () => {
    const world = await createFaultyWorld();
    const proxy = await world.startProxy();
    const mail = scripted();
    const job = defineJob({ slug: 'mail' }, mail.handler);
    const pgflow = await world.open({ jobs: [job], worker: WORKER }, proxy.port);
    const { runId } = await pgflow.enqueue(job, {});
    const call = await mail.next();

    reported(/./);
    proxy.freeze();
    call.complete('sent');
    await pgflow.stop({ grace: 0 });

    expect(await tasksOf(world, runId)).toEqual([{ status: 'started', attempt: 1 }]);
  });
});

describe('the connection is lost exactly at COMMIT', () => {
  test('of a settle: the same end again finds it applied', MINUTES, async () => {
    const world = await createFaultyWorld();
    const proxy = await world.startProxy();
    const mail = scripted();
    const job = defineJob({ slug: 'mail' }, mail.handler);
    const pgflow = await world.open({ jobs: [job], worker: WORKER }, proxy.port);
    const run = await pgflow.track((await pgflow.enqueue(job, {})).runId);
    const call = await mail.next();
    await expect.poll(() => run.getSnapshot().step('mail').status).toBe('started');

    reported(/./);
    const cut = proxy.cutBeforeReplyTo('settle_tasks');
    call.complete('sent');
    await cut;

    expect((await run.waitFor('completed', { timeout: 20 })).output).toBe('sent');
    expect(mail.calls).toHaveLength(1);
    expect(await tasksOf(world, run.runId)).toEqual([{ status: 'completed', attempt: 1 }]);
  });

  test('of a handler’s commit: it learns that all was written, once', MINUTES, async () => {
    const world = await createFaultyWorld();
    const proxy = await world.startProxy();
    await world.db.query('create table public.orders (id int)');
    const job = defineJob({ slug: 'buy' }, ({ input, commit }) =>
      commit(async (tx) => {
        await tx.query('insert into public.orders values ($1)', [input as number]);
        return 'bought';
      }),
    );
    const pgflow = await world.open({ jobs: [job], worker: WORKER }, proxy.port);
    const buy = async (id: number) => pgflow.track((await pgflow.enqueue(job, id)).runId);
    await (await buy(1)).waitFor('completed');

    reported(/./);
    const cut = proxy.cutBeforeReplyTo('commit\0');
    const run = await buy(2);
    await cut;

    expect((await run.waitFor('completed', { timeout: 20 })).output).toBe('bought');
    expect(await world.db.query('table public.orders')).toEqual([{ id: 1 }, { id: 2 }]);
    expect(await tasksOf(world, run.runId)).toEqual([{ status: 'completed', attempt: 1 }]);
  });
});

test('handlers that hold all of the pool: the engine claims, beats and settles', MINUTES, async () => {
  const world = await createFaultyWorld();
  const pool = new pg.Pool({ connectionString: world.db.url, max: 2 });
  pool.on('error', () => {});
  onTestFinished(() => pool.end());
  const greedy = scripted();
  const hold = defineJob({ slug: 'hold' }, async (context) => {
    const client = await pool.connect();
    try {
      return await greedy.handler(context as never);
    } finally {
      client.release();
    }
  });
  const mail = defineJob({ slug: 'mail' }, () => 'sent');
  const pgflow = await world.open({ database: pool, jobs: [hold, mail], worker: { lease: 1 } });
  const runs = await Promise.all(
    [1, 2, 3].map(async () => pgflow.track((await pgflow.enqueue(hold, {})).runId)),
  );
  const held = [await greedy.next(), await greedy.next()];

  // Due after the lease, so it has been renewed meanwhile.
  const next = await pgflow.track((await pgflow.enqueue(mail, {}, { delay: 2 })).runId);
  await next.waitFor('completed', { timeout: 20 });
  for (const call of held) call.complete('done');
  (await greedy.next()).complete('done');

  for (const run of runs) await run.waitFor('completed', { timeout: 20 });
  expect(greedy.calls.map(({ context }) => context.attempt)).toEqual([1, 1, 1]);
});

describe('others in the way of a settle', () => {
  const CODES = [
    ['deadlock', '40P01'],
    ['serialization failure', '40001'],
    ['lock timeout', '55P03'],
    ['statement timeout', '57014'],
  ];

  /** Updates of tasks to a status fail with that code so many times; a sequence counts on although they are rolled back. */
  async function failUpdates(world: FaultyWorld, status: string, code: string, times: number): Promise<void> {
    const name = `fail_${status}`;
    await world.db.query(`create sequence public.${name}`);
    await world.db.query(`create function public.${name}() returns trigger language plpgsql as $$ begin
      if nextval('public.${name}') <= ${times} then raise exception using errcode = '${code}'; end if;
      return new;
    end $$`);
    await world.db.query(`create trigger ${name} before update on pgflow.run_steps for each row
      when (new.task_status = '${status}') execute function public.${name}()`);
  }

  test.each(CODES)('%s: tried again with the same result', MINUTES, async (_, code) => {
    const world = await createFaultyWorld();
    const mail = scripted();
    const job = defineJob({ slug: 'mail' }, mail.handler);
    const pgflow = await world.open({ jobs: [job], worker: WORKER });
    await failUpdates(world, 'completed', code!, 2);
    reported(/./);
    const run = await pgflow.track((await pgflow.enqueue(job, {})).runId);
    (await mail.next()).complete('sent');

    expect((await run.waitFor('completed', { timeout: 20 })).output).toBe('sent');
    expect(mail.calls).toHaveLength(1);
  });

  test('for too long: the task is given back, not failed', MINUTES, async () => {
    const world = await createFaultyWorld();
    const mail = scripted();
    const job = defineJob({ slug: 'mail', maxAttempts: 1 }, mail.handler);
    const pgflow = await world.open({ jobs: [job], worker: WORKER });
    await failUpdates(world, 'completed', '40P01', 6);
    reported(/./);
    const run = await pgflow.track((await pgflow.enqueue(job, {})).runId);
    (await mail.next()).complete('lost');
    const again = await mail.next();
    again.complete('sent');

    expect((await run.waitFor('completed', { timeout: 20 })).output).toBe('sent');
    expect(again.context.attempt).toBe(1);
  });

  test('and of giving it back: that is tried again', MINUTES, async () => {
    const world = await createFaultyWorld();
    const mail = scripted();
    const job = defineJob({ slug: 'mail', maxAttempts: 1 }, mail.handler);
    const pgflow = await world.open({ jobs: [job], worker: WORKER });
    await failUpdates(world, 'completed', '55P03', 6);
    await failUpdates(world, 'queued', '55P03', 1);
    reported(/./);
    const run = await pgflow.track((await pgflow.enqueue(job, {})).runId);
    (await mail.next()).complete('lost');
    (await mail.next()).complete('sent');

    expect((await run.waitFor('completed', { timeout: 20 })).output).toBe('sent');
  });

  test('a row lock that outlasts its timeout: tried again', MINUTES, async () => {
    const world = await createFaultyWorld();
    await world.db.query(
      `do $$ begin execute format('alter database %I set lock_timeout = 100', current_database()); end $$`,
    );
    const mail = scripted();
    const job = defineJob({ slug: 'mail' }, mail.handler);
    const pgflow = await world.open({ jobs: [job], worker: WORKER });
    const run = await pgflow.track((await pgflow.enqueue(job, {})).runId);
    const call = await mail.next();
    await expect.poll(() => run.getSnapshot().step('mail').status).toBe('started');
    const failure = reported(/Settling tasks failed.*lock timeout/s);
    const holder = new pg.Client(world.db.url);
    await holder.connect();
    onTestFinished(() => holder.end());
    await holder.query('begin');
    await holder.query('select from pgflow.runs for update');

    call.complete('sent');
    await failure;
    await holder.query('rollback');

    expect((await run.waitFor('completed', { timeout: 20 })).output).toBe('sent');
    expect(mail.calls).toHaveLength(1);
  });
});
