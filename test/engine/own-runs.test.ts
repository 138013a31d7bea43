import pg from 'pg';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { defineJob } from '../../src/flow/define-job.js';
import { scripted } from './scripted.js';
import { createWorld, type World } from './world.js';

/** What this process asks the database from now on: the names of the engine's functions, in their order. */
function watchStatements() {
  const query = vi.spyOn(pg.Client.prototype, 'query');
  onTestFinished(() => query.mockRestore());
  return () =>
    query.mock.calls.map(([statement]) => {
      const text = String((statement as unknown as { text?: string }).text ?? statement);
      return text.startsWith('select run_id, seq') ? 'watchdog' : /\.(\w+)\(/.exec(text)?.[1];
    });
}

/** A connection of the test's own to the world's database. */
async function connect({ db }: World): Promise<pg.Client> {
  const client = new pg.Client(db.url);
  await client.connect();
  onTestFinished(() => client.end());
  return client;
}

const trackerOf = async ({ db }: World, runId: string) =>
  (await db.query('select tracked_by from pgflow.runs where run_id = $1', [runId]))[0]!.tracked_by;

/** With a worker that has looked into its queue: what it starts from now on is its own at once. */
async function createJobWorld(slug: string) {
  const calls = scripted();
  const job = defineJob({ slug }, calls.handler);
  const world = await createWorld('postgres', { jobs: [job] });
  const first = await world.start(job);
  (await calls.next()).complete();
  await first.end();
  return { calls, job, world };
}

describe('runs that one process starts, works on and tracks on postgres', () => {
  test('are read by nobody and told to nobody else', async () => {
    const { calls, job, world } = await createJobWorld('own');
    const client = await connect(world);
    const heard: string[] = [];
    client.on('notification', ({ payload }) => heard.push(payload!));
    await client.query('listen pgflow');
    const statements = watchStatements();

    const { runId } = await world.pgflow.enqueue(job, { n: 1 });
    const watched = await world.watch(runId);
    expect(watched.live.getSnapshot()).toEqual(await world.getRun(runId));
    (await calls.next()).complete('end');
    const end = await watched.end();

    expect(await world.getRun(runId)).toEqual(end);
    expect(statements()).not.toContain('track_changes');
    expect(statements()).not.toContain('watchdog');
    // With the answer it has all that was sent before.
    await client.query('select');
    expect(heard.join()).not.toContain(runId);
  });

  test.each(['before they are tracked', 'afterwards'])(
    'are told when another process ends them %s',
    async (when) => {
      const { job, world } = await createJobWorld('ended_elsewhere');
      const there = await world.open({ worker: false });
      const statements = watchStatements();

      const { runId } = await world.pgflow.enqueue(job, null);
      if (when !== 'afterwards') await there.cancelRun(runId);
      const watched = await world.watch(runId);
      if (when === 'afterwards') await there.cancelRun(runId);

      expect(await watched.end()).toMatchObject({ status: 'cancelled' });
      expect(statements()).not.toContain('watchdog');
    },
  );

  test('are shown as they are when something happened to them before they were tracked', async () => {
    const { job, world } = await createJobWorld('ended_at_once');
    const { runId } = await world.pgflow.enqueue(job, null);
    await world.pgflow.cancelRun(runId);
    const watched = await world.watch(runId);
    expect(watched.live.getSnapshot()).toMatchObject({ status: 'cancelled' });
  });

  test('that are tracked while a settle is under way which does not know of it: read again when it ends', async () => {
    const { calls, job, world } = await createJobWorld('late');
    const before = await world.start(job);
    const tracker = await trackerOf(world, before.live.runId);
    (await calls.next()).complete();
    await before.end();
    const { runId } = await world.pgflow.enqueue(job, null);
    const call = await calls.next();
    await vi.waitFor(async () => expect((await world.getRun(runId)).seq).toBe(2));
    // As it is until the begin is told.
    await world.db.query('update pgflow.runs set tracked_by = $2 where run_id = $1', [runId, tracker]);
    const client = await connect(world);
    await client.query('begin');
    await client.query('select from pgflow.runs where run_id = $1 for no key update', [runId]);
    const statements = watchStatements();
    call.complete('end');
    await vi.waitFor(() => expect(statements()).toContain('settle_tasks'));

    const watched = await world.watch(runId);
    await client.query('commit');

    expect(await watched.end()).toMatchObject({ output: 'end' });
    expect(statements()).not.toContain('watchdog');
  });

  test.each([
    ['its own, which watches it', { of: 'own', watched: true }, { told: true, stays: true }],
    ['its own, which watches it no more', { of: 'own', watched: false }, { told: false, stays: false }],
    ['another', { of: 'other', watched: false }, { told: true, stays: true }],
  ])('settled for a tracker that is %s', async (_, { of, watched }, { told, stays }) => {
    const { calls, job, world } = await createJobWorld('settled');
    const client = await connect(world);
    const { runId } = await world.pgflow.enqueue(job, null);
    const watching = await world.watch(runId);
    await calls.next();
    const tracker = await trackerOf(world, runId);
    expect(tracker).toBeGreaterThan(0);

    await client.query('begin');
    const { rows } = await client.query(
      `select kind from pgflow.settle_tasks(array[$1::uuid], '{0}', '{0}', '{1}', '{completed}', array['7'::jsonb], '{null}',
         '{null}', false, untracked => false, tracker => $2, watched => $3::uuid[])`,
      [runId, of === 'own' ? tracker : (tracker % 1000) + 1, watched ? [runId] : []],
    );
    const after = await client.query('select tracked_by from pgflow.runs where run_id = $1', [runId]);
    await client.query('rollback');

    expect(rows.some(({ kind }) => kind === 'run')).toBe(told);
    expect(after.rows[0]!.tracked_by).toBe(stays ? tracker : null);
    await world.pgflow.cancelRun(runId);
    await watching.end();
  });
});
