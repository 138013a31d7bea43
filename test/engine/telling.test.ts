import pg from 'pg';
import { describe, expect, onTestFinished, test } from 'vitest';
import { defineJob } from '../../src/flow/define-job.js';
import { scripted } from './scripted.js';
import { claimBySql, settleBySql } from './sql-worker.js';
import { createWorld, type World } from './world.js';

/** A connection of the test's own to the world's database. */
async function connect({ db }: World): Promise<pg.Client> {
  const client = new pg.Client(db.url);
  await client.connect();
  onTestFinished(() => client.end());
  return client;
}

/** Resolves when somebody waits for a lock of the client's. */
async function waitsFor(client: pg.Client): Promise<void> {
  for (;;) {
    const { rows } = await client.query(
      `select from pg_stat_activity where datname = current_database() and pg_backend_pid() = any (pg_blocking_pids(pid))`,
    );
    if (rows.length > 0) return;
  }
}

const trackedRuns = async ({ db }: World) =>
  (await db.query('select run_id from pgflow.runs where tracked_by is not null')).map(({ run_id }) => run_id);

describe('what is told on postgres', () => {
  test('the changes of a run that somebody tracks, in any process; of others, that lists moved', async () => {
    const calls = scripted();
    const job = defineJob({ slug: 'told' }, calls.handler);
    const world = await createWorld('postgres', { jobs: [job] });
    const there = await world.open({ worker: false, jobs: [] });
    const client = await connect(world);
    const heard: string[] = [];
    client.on('notification', ({ payload }) => heard.push(payload!));
    await client.query('listen pgflow');
    const list = await there.trackRuns({ status: 'completed' });
    onTestFinished(() => list.close());

    const untracked = await world.pgflow.enqueue(job, null);
    (await calls.next()).complete(1);
    await new Promise<void>((resolve) => {
      list.subscribe(() => {
        if (list.getSnapshot().runs.some(({ runId }) => runId === untracked.runId)) resolve();
      });
    });
    const tracked = await world.pgflow.enqueue(job, null);
    const watched = await world.watch(tracked.runId, there);
    (await calls.next()).complete(2);
    await watched.end();
    // With the answer it has all that was sent before.
    await client.query('select');

    expect(heard.join()).toContain('pgflow:list');
    expect(heard.join()).toContain(`pgflow:run:${tracked.runId}`);
    expect(heard.join()).not.toContain(untracked.runId);
    expect(await trackedRuns(world)).toEqual([tracked.runId]);
  });

  test('a change that is being committed while a run is first tracked is in the snapshot', async () => {
    const job = defineJob({ slug: 'under_way' }, () => 1);
    const world = await createWorld('postgres', { jobs: [job], worker: false });
    const { runId } = await world.pgflow.enqueue(job, null);
    const [claim] = await claimBySql(world.db);
    const client = await connect(world);
    await client.query('begin');
    await settleBySql(
      { query: async (sql, params) => (await client.query(sql, params)).rows as never },
      claim!,
      { outcome: 'completed', output: 'last' },
    );

    const tracking = world.pgflow.track(runId);
    await waitsFor(client);
    await client.query('commit');

    const live = await tracking;
    expect(live.getSnapshot()).toMatchObject({ status: 'completed', output: 'last' });
    live.close();
  });

  test('a change that hangs holds up neither the snapshot nor those who track other runs', async () => {
    const job = defineJob({ slug: 'hangs' }, () => 1);
    const world = await createWorld('postgres', { jobs: [job], worker: false });
    const runs = await Promise.all([1, 2].map(() => world.pgflow.enqueue(job, null)));
    const client = await connect(world);
    await client.query('begin');
    await client.query('select from pgflow.runs where run_id = $1 for no key update', [runs[0]!.runId]);

    const lives = await Promise.all(runs.map(({ runId }) => world.pgflow.track(runId)));

    expect(lives.map((live) => live.getSnapshot().seq)).toEqual([1, 1]);
    expect(await trackedRuns(world)).toEqual([runs[1]!.runId]);
    await client.query('rollback');
    const [claim] = await claimBySql(world.db);
    expect(claim!.run_id).toBe(runs[0]!.runId);
    // Told to nobody: the watchdog finds it.
    await world.db.query(
      `select from pgflow.settle_tasks(array[$1::uuid], '{0}', '{0}', '{1}', '{completed}', array['7'::jsonb], '{null}', '{null}', false)`,
      [claim!.run_id],
    );
    expect(await lives[0]!.waitFor('completed')).toMatchObject({ output: 7 });
    for (const live of lives) live.close();
  });

  test('who may only read can track', async () => {
    const job = defineJob({ slug: 'read_only' }, () => 1);
    const world = await createWorld('postgres', { jobs: [job], worker: false });
    const { runId } = await world.pgflow.enqueue(job, null);
    const url = new URL(world.db.url!);
    url.searchParams.set('options', '-c default_transaction_read_only=on');
    const reader = await world.open({ database: url.href, jobs: [], migrate: false });

    const live = await reader.track(runId);

    expect(live.getSnapshot()).toMatchObject({ runId, status: 'started' });
    live.close();
  });
});
