/** What becomes of runs when workers are killed, stopped, cut off, poisoned, of different versions, or wrong about the time. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { defineJob } from '../../src/flow/define-job.js';
import { aborted, scripted } from '../engine/scripted.js';
import { createFaultyWorld, type FaultyWorld } from './faulty-world.js';
import { ORDER } from './fixtures/order.js';
import { wrongClock } from './wrong-clock.js';

const MINUTES = { timeout: 120_000 };

async function start(world: FaultyWorld, deed = 'complete', options = {}) {
  const { runId } = await world.pgflow.startFlow(ORDER, { deed }, options);
  return world.pgflow.track(runId);
}

const tasksOf = (world: FaultyWorld, runId: string) =>
  world.db.query(
    'select step_slug, status, attempt, claim from pgflow.step_tasks where run_id = $1 order by step_index',
    [runId],
  );

describe('a worker process', () => {
  test(
    'killed after the side effect: another runs the task again, with the same key; one completion',
    MINUTES,
    async () => {
      const folder = mkdtempSync(join(tmpdir(), 'pgflow-effects-'));
      onTestFinished(() => rmSync(folder, { recursive: true }));
      const effects = join(folder, 'effects');
      const world = await createFaultyWorld();
      const run = await start(world, 'wait');
      const first = await world.startWorker({ TEST_EFFECTS: effects });
      await first.waitForLine(/^began 1/);
      const second = await world.startWorker({ TEST_EFFECTS: effects });

      first.kill('SIGKILL');
      await second.waitForLine(/^began 2/);
      second.writeLine('go');

      expect((await run.waitFor('completed', { timeout: 20 })).output).toEqual({ ship: 'shipped 1' });
      const key = `${run.runId}:charge:0`;
      expect(readFileSync(effects, 'utf8')).toBe(`${key} 1\n${key} 2\n`);
      expect(await tasksOf(world, run.runId)).toEqual([
        { step_slug: 'charge', status: 'completed', attempt: 2, claim: 2 },
        { step_slug: 'ship', status: 'completed', attempt: 1, claim: 1 },
      ]);
    },
  );

  test('told to stop: what ends within the grace counts, and it exits with 0', MINUTES, async () => {
    const world = await createFaultyWorld();
    const run = await start(world, 'wait');
    const worker = await world.startWorker();
    await worker.waitForLine(/^began 1/);

    worker.kill('SIGTERM');
    await worker.waitForLine(/^stopping$/);
    worker.writeLine('go');

    expect(await worker.exited).toEqual({ code: 0, signal: null });
    expect(await tasksOf(world, run.runId)).toMatchObject([
      { status: 'completed', attempt: 1 },
      { status: 'queued', attempt: 0 },
    ]);
  });

  test('told to stop: past the grace it aborts and gives back, and no attempt is lost', MINUTES, async () => {
    const world = await createFaultyWorld();
    const run = await start(world, 'wait');
    const worker = await world.startWorker({ TEST_GRACE: '0' });
    await worker.waitForLine(/^began 1/);

    worker.kill('SIGTERM');

    await worker.waitForLine(/^aborted 1$/);
    expect(await worker.exited).toEqual({ code: 0, signal: null });
    expect(await tasksOf(world, run.runId)).toMatchObject([{ status: 'queued', attempt: 0, claim: 1 }]);
    const heir = await world.startWorker();
    await heir.waitForLine(/^began 1/);
    heir.writeLine('go');
    expect((await run.waitFor('completed', { timeout: 20 })).step('charge').output).toBe('1 1');
  });

  test('told to stop twice: it ends at once, and its lease tells', MINUTES, async () => {
    const world = await createFaultyWorld();
    const run = await start(world, 'wait');
    const worker = await world.startWorker({ TEST_GRACE: '60' });
    await worker.waitForLine(/^began 1/);

    worker.kill('SIGTERM');
    await worker.waitForLine(/^stopping$/);
    worker.kill('SIGTERM');

    expect(await worker.exited).toEqual({ code: 1, signal: null });
    const heir = await world.startWorker();
    await heir.waitForLine(/^began 2/);
    heir.writeLine('go');
    await run.waitFor('completed', { timeout: 20 });
  });

  test(
    'frozen for longer than its lease: its result no longer counts, its later claims do',
    MINUTES,
    async () => {
      const world = await createFaultyWorld();
      const run = await start(world, 'wait');
      const frozen = await world.startWorker();
      await frozen.waitForLine(/^began 1/);

      frozen.kill('SIGSTOP');
      const other = await world.startWorker();
      await other.waitForLine(/^began 2/);
      frozen.writeLine('go');
      frozen.kill('SIGCONT');
      await frozen.waitForLine(/^aborted 1$/);
      await other.close();

      await frozen.waitForLine(/^began 3/);
      frozen.writeLine('go');
      expect((await run.waitFor('completed', { timeout: 20 })).step('charge').output).toBe('1 3');
      expect(await tasksOf(world, run.runId)).toMatchObject([
        { attempt: 3, claim: 3 },
        { attempt: 1, claim: 1 },
      ]);
    },
  );
});

describe('a heartbeat', () => {
  test.each(['freeze', 'refuse'] as const)(
    'that cannot be had (%s): the handler aborts before the lease ends',
    MINUTES,
    async (fault) => {
      const world = await createFaultyWorld();
      const proxy = await world.startProxy();
      const mail = scripted();
      const job = defineJob({ slug: 'mail', maxAttempts: 2 }, mail.handler);
      const pgflow = await world.open({ jobs: [job], worker: { lease: 4, pollInterval: 0.5 } }, proxy.port);
      const { runId } = await pgflow.enqueue(job, {});
      const run = await world.pgflow.track(runId);
      const { context } = await mail.next();

      if (fault === 'freeze') proxy.freeze();
      else {
        proxy.refuse();
        proxy.cut();
      }
      await aborted(context.signal);
      const [lease] = await world.db.query(
        'select w.expires_at > clock_timestamp() as held from pgflow.workers w join pgflow.step_tasks t using (worker_id)',
      );
      proxy.resume();
      proxy.accept();
      const again = await mail.next();
      again.complete('sent');

      expect(lease).toEqual({ held: true });
      expect(again.context.attempt).toBe(2);
      expect((await run.waitFor('completed', { timeout: 20 })).output).toBe('sent');
    },
  );
});

describe('a task', () => {
  test('that never resolves: it times out and its slot is free', MINUTES, async () => {
    const world = await createFaultyWorld();
    const hang = defineJob({ slug: 'hang', timeout: 0.2, maxAttempts: 1 }, () => new Promise(() => {}));
    const mail = defineJob({ slug: 'mail' }, () => 'sent');
    const pgflow = await world.open({ jobs: [hang, mail], worker: { concurrency: 1 } });

    const hanging = await pgflow.track((await pgflow.enqueue(hang, {})).runId);
    const next = await pgflow.track((await pgflow.enqueue(mail, {})).runId);

    expect((await hanging.waitFor('failed')).error?.message).toContain('timed out');
    expect((await next.waitFor('completed')).output).toBe('sent');
  });

  test(
    'that kills its process: its attempts count, and after the last it has failed for good',
    MINUTES,
    async () => {
      const world = await createFaultyWorld();
      const run = await start(world, 'die');
      for (const attempt of [1, 2, 3]) {
        const victim = await world.startWorker();
        await victim.waitForLine(new RegExp(`^began ${attempt}`));
        expect((await victim.exited).signal).toBe('SIGKILL');
      }
      await world.startWorker();

      const failed = await run.waitFor('failed', { timeout: 20 });

      expect(failed.error?.message).toContain('stopped answering');
      expect(await tasksOf(world, run.runId)).toMatchObject([{ status: 'failed', attempt: 3, claim: 3 }]);
    },
  );
});

describe('versions', () => {
  test(
    'a shape that changes in flight: old runs end as they began, on old workers; new ones go the new way',
    MINUTES,
    async () => {
      const world = await createFaultyWorld();
      const old = await world.startWorker({ TEST_VERSION: '1' });
      const begun = await start(world, 'wait');
      await old.waitForLine(/^began 1/);
      await world.startWorker({ TEST_VERSION: '2' });
      const fresh = await start(world);

      const freshEnd = await fresh.waitFor('completed', { timeout: 20 });
      old.writeLine('go');
      const begunEnd = await begun.waitFor('completed', { timeout: 20 });

      expect(begunEnd.output).toEqual({ ship: 'shipped 1' });
      expect(begunEnd.step('charge').output).toBe('1 1');
      expect(freshEnd.output).toEqual({ ship: 'shipped 2' });
      expect(freshEnd.step('pack').output).toBe('packed');
    },
  );

  test('a step that no worker knows: it waits, visibly, until one comes that does', MINUTES, async () => {
    const world = await createFaultyWorld();
    const run = await start(world);
    await world.startWorker({ TEST_VERSION: '2' });
    await (await start(world)).waitFor('completed', { timeout: 20 });

    // The first step is the same in both versions, so that worker does it.
    await expect
      .poll(async () => (await world.pgflow.explain(run.runId)).waits)
      .toMatchObject([{ stepSlug: 'ship', reason: 'no_worker', tasks: 1 }]);

    await world.startWorker({ TEST_VERSION: '1' });
    expect((await run.waitFor('completed', { timeout: 20 })).output).toEqual({ ship: 'shipped 1' });
  });
});

test('clocks: minutes apart or stepping back, only that of the database counts', MINUTES, async () => {
  const world = await createFaultyWorld();
  const held = await start(world, 'wait');
  const holder = await world.startWorker(wrongClock(10, true));
  await holder.waitForLine(/^began 1/);
  await world.startWorker(wrongClock(-10));
  await world.startWorker(wrongClock(10));

  // Due when a lease that nobody renewed, or a clock ten minutes ahead, would have let the held task go.
  const later = await start(world, 'complete', { delay: 2 });
  const laterEnd = await later.waitFor('completed', { timeout: 20 });
  holder.writeLine('go');
  const heldEnd = await held.waitFor('completed', { timeout: 20 });

  expect(heldEnd.step('charge').output).toBe('1 1');
  expect(laterEnd.step('charge').startedAt! >= new Date(laterEnd.startedAt.getTime() + 2000)).toBe(true);
  expect(
    await world.db.query(
      `select from pgflow.step_tasks where abs(extract(epoch from started_at - clock_timestamp())) > 300`,
    ),
  ).toEqual([]);
});
