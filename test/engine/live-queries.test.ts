import pg from 'pg';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { defineFlow } from '../../src/flow/define-flow.js';
import { defineJob } from '../../src/flow/define-job.js';
import { until } from '../../src/testing/until.js';
import { connectedIs, listenersOf, openBehindProxy } from './listening.js';
import { scripted } from './scripted.js';
import { createWorld } from './world.js';

/** What this process has read for its watchers since: of each statement, for how many runs it asked, and since when. */
function watchReads() {
  const query = vi.spyOn(pg.Client.prototype, 'query');
  onTestFinished(() => query.mockRestore());
  const reads = () =>
    query.mock.calls
      .map(([statement]) => statement as unknown as { text?: string; values?: unknown[] })
      .filter(({ text }) => text?.includes('track_changes('));
  return {
    asked: () => reads().map(({ values }) => String(values?.[0]).split(',').length),
    sinces: () => reads().map(({ values }) => values?.[1]),
  };
}

describe('what watching costs on postgres', () => {
  test('one snapshot in each process and no more, of a run that nothing disturbs, however many watch it', async () => {
    const calls = scripted();
    const flow = defineFlow({ slug: 'undisturbed', baseDelay: 0 })
      .step('load', calls.handler)
      .map('each', { over: 'load' as never }, calls.handler)
      .step('after', { dependsOn: ['each'] }, calls.handler);
    const world = await createWorld('postgres', { flows: [flow] });
    const there = await world.open({ worker: false });
    const reads = watchReads();

    const run = await world.start(flow);
    const watcher = await world.watch(run.live.runId, there);
    const many = await Promise.all(Array.from({ length: 1_000 }, () => there.track(run.live.runId)));
    const handle = async (end: (call: Awaited<ReturnType<typeof calls.next>>) => void) => {
      const call = await calls.next();
      const { stepSlug } = call.context;
      await watcher.until((now) => now.step(stepSlug).attempt === call.context.attempt);
      end(call);
    };
    await handle((call) => call.fail(new Error('once')));
    await handle((call) => call.complete(['one']));
    await handle((call) => call.complete(1));
    await handle((call) => call.complete('end'));
    const end = await run.end();
    expect(await watcher.end()).toEqual(end);

    expect(many.map((live) => live.getSnapshot().seq)).toEqual(many.map(() => end.seq));
    // Who has started it knows it without reading.
    expect(reads.asked()).toEqual([1]);
    expect(await world.getRun(end.runId)).toEqual(end);
    for (const live of many) live.close();
  });

  test('one catch-up for all runs that fell behind when the connection was lost', async () => {
    const job = defineJob({ slug: 'behind' }, () => 1);
    const world = await createWorld('postgres', { jobs: [job], paused: true });
    const { there, proxy } = await openBehindProxy(world);
    const runs = await Promise.all(Array.from({ length: 200 }, () => world.pgflow.enqueue(job, null)));
    const here = await Promise.all(runs.map(({ runId }) => world.pgflow.track(runId)));
    const own = await listenersOf(world);
    const lives = await Promise.all(runs.map(({ runId }) => there.track(runId)));
    const [pid] = (await listenersOf(world)).filter((one) => !own.includes(one));
    proxy.refuse();
    const lost = Promise.all(lives.map((live) => connectedIs(live, false)));
    await world.db.query('select pg_terminate_backend($1)', [pid]);
    await lost;
    await world.pgflow.start();
    const ends = await Promise.all(here.map((live) => live.waitFor('completed')));
    const reads = watchReads();
    proxy.accept();
    const caughtUp = await Promise.all(lives.map((live) => live.waitFor('completed')));

    expect(caughtUp).toEqual(ends);
    // The watchdog may have looked, and found some behind, before the last had ended.
    expect(reads.asked().length).toBeLessThanOrEqual(2);
    for (const live of [...lives, ...here]) live.close();
  });

  test('a run that is deleted is looked for at once in all processes that watch it, and ends as gone', async () => {
    const calls = scripted();
    const job = defineJob({ slug: 'deleted' }, calls.handler);
    const world = await createWorld('postgres', { jobs: [job] });
    const there = await world.open({ worker: false });
    const { runId } = await world.pgflow.enqueue(job, null);
    await calls.next();
    const lives = await Promise.all([world.pgflow, there].map((pgflow) => pgflow.track(runId)));
    await Promise.all(
      lives.map((live) => until(live, (run) => run.step('deleted').status === 'started', 20)),
    );
    const waits = lives.map((live) => live.waitFor('completed').catch(({ code }) => code));
    const iterated = lives.map(async (live) => {
      for await (const run of live) expect(run.status).toBe('started');
    });
    const reads = watchReads();

    await world.pgflow.deleteFlow('deleted');

    expect(await Promise.all(waits)).toEqual(['RUN_NOT_FOUND', 'RUN_NOT_FOUND']);
    await Promise.all(iterated);
    expect(lives.map((live) => live.ended?.code)).toEqual(['RUN_NOT_FOUND', 'RUN_NOT_FOUND']);
    // By the message: the watchdog would have asked for seqs, and read nothing.
    expect(reads.sinces()).toEqual(['{0}', '{0}']);
  });
});
