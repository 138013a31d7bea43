import { describe, expect, test } from 'vitest';
import { defineFlow } from '../../src/flow/define-flow.js';
import { LiveClient } from '../../src/index.js';
import type { Run } from '../../src/run/run.js';
import { describeEachDatabase } from '../harness/databases.js';
import { connectedIs, listenersOf, openBehindProxy } from './listening.js';
import { scripted } from './scripted.js';
import { claimBySql, settleBySql } from './sql-worker.js';
import { createWorld } from './world.js';

// That each live run equals the row at every seq it showed is checked at the end of every test: see WatchedRun.check.

function createSocket() {
  return {
    assigns: {} as Record<string, any>,
    assign(values: Record<string, unknown>) {
      Object.assign(this.assigns, values);
    },
  };
}

describeEachDatabase('live runs', (kind) => {
  test('map-progress: the live run shows each completed task, and equals the row at every seq', async () => {
    const calls = scripted();
    const flow = defineFlow<number[]>({ slug: 'progress' }).map('each', calls.handler);
    const world = await createWorld(kind, { flows: [flow] });

    const run = await world.start(flow, [1, 2, 3, 4, 5]);
    for (const [i, call] of (await calls.nextByIndex(5)).entries()) {
      call.complete(i);
      const shown = await run.until((now) => now.step('each').remainingTasks === 4 - i);
      expect(await world.getRun(shown.runId)).toEqual(shown);
    }
    await run.end();

    const progress = run.seen.map((now) => now.step('each').remainingTasks);
    expect([...new Set(progress)]).toEqual([5, 4, 3, 2, 1, 0]);
  });

  test('retry-then-success: the live run shows attempt and error of the retry, and equals the row at every seq', async () => {
    const calls = scripted();
    const flow = defineFlow({ slug: 'retry', baseDelay: 0 }).step('only', calls.handler);
    const world = await createWorld(kind, { flows: [flow] });

    const run = await world.start(flow);
    (await calls.next()).fail(new Error('once'));
    const second = await calls.next();
    const retrying = await run.until((now) => now.step('only').attempt === 2);
    second.complete('ok');
    const end = await run.end();

    expect(retrying.step('only')).toMatchObject({ status: 'started', errorMessage: 'once', output: null });
    expect(end.step('only')).toMatchObject({ status: 'completed', errorMessage: null, output: 'ok' });
  });

  test('sql-only-steps: steps completed without a task are live like the others', async () => {
    const calls = scripted();
    const flow = defineFlow({ slug: 'empty' })
      .step('list', calls.handler)
      .map('each', { over: 'list' as never }, () => 1)
      .map('again', { over: 'each' }, () => 1)
      .step('after', { dependsOn: ['again'] }, calls.handler);
    const world = await createWorld(kind, { flows: [flow] });

    const run = await world.start(flow);
    (await calls.next()).complete([]);
    const after = await calls.next();
    const shown = await run.until((now) => now.step('after').status === 'started');
    after.complete('end');
    await run.end();

    expect(shown.stepStates).toMatchObject([
      { status: 'completed', output: [] },
      { status: 'completed', output: [], initialTasks: 0 },
      { status: 'completed', output: [], initialTasks: 0 },
      { status: 'started' },
    ]);
    expect(shown.remainingSteps).toBe(1);
    expect(run.eventsOf('step_completed').map(({ stepSlug }) => stepSlug)).toEqual([
      'list',
      'each',
      'again',
      'after',
    ]);
    expect(run.eventsOf('step_started').map(({ stepSlug }) => stepSlug)).not.toContain('each');
  });

  test('remaining-steps-live: falls in the live run as in the row', async () => {
    const flow = defineFlow({ slug: 'chain' })
      .step('a', () => 1)
      .step('b', { dependsOn: ['a'] }, () => 2)
      .step('c', { dependsOn: ['b'] }, () => 3);
    const world = await createWorld(kind, { flows: [flow], paused: true });

    const run = await world.start(flow);
    await world.pgflow.start();
    await run.end();

    const remaining = run.seen.map((now) => now.remainingSteps);
    expect([...new Set(remaining)]).toEqual([3, 2, 1, 0]);
    expect(remaining).toEqual(
      run.seen.map((now) => now.stepStates.filter((step) => step.status !== 'completed').length),
    );
  });

  test('subscribe-existing: of a running run: everything, then what comes', async () => {
    const [first, second] = [scripted(), scripted()];
    const flow = defineFlow({ slug: 'running', baseDelay: 3600 })
      .step('done', () => ({ a: 1 }))
      .step('failing', first.handler)
      .step('waits', second.handler);
    const world = await createWorld(kind, { flows: [flow] });
    const run = await world.start(flow);
    (await first.next()).fail(new Error('once'));
    const waiting = await second.next();
    await run.until(
      (now) => now.step('failing').errorMessage !== null && now.step('done').status === 'completed',
    );

    const socket = LiveClient.init(createSocket(), { pgflow: world.pgflow });
    const result = await LiveClient.subscribe(socket, run.live.runId);
    const shown: Run = socket.assigns.flowRun;

    expect(result.ok).toBe(true);
    expect(shown.step('done')).toMatchObject({ status: 'completed', output: { a: 1 } });
    expect(shown.step('failing')).toMatchObject({ status: 'started', errorMessage: 'once', attempt: 1 });
    waiting.complete('later');
    await run.until((now) => now.step('waits').status === 'completed');
    expect(socket.assigns.flowRun.step('waits').output).toBe('later');
    LiveClient.dispose(socket);
  });

  test('subscribe-existing: of a finished run: everything, outputs and errors included', async () => {
    const flow = defineFlow({ slug: 'finished', maxAttempts: 1 })
      .step('good', () => [1])
      .step('bad', { dependsOn: ['good'] }, () => {
        throw new Error('no');
      });
    const world = await createWorld(kind, { flows: [flow] });
    const run = await world.start(flow);
    const end = await run.end();
    const stranger = await world.open({ flows: [], worker: false });

    const socket = LiveClient.init(createSocket(), { pgflow: stranger });
    const result = await LiveClient.subscribe(socket, end.runId);

    expect(result).toMatchObject({
      ok: true,
      run: { status: 'failed', error: { stepSlug: 'bad', message: 'no' } },
    });
    expect(socket.assigns.flowRun).toEqual(end);
    expect(end.stepStates).toMatchObject([{ output: [1] }, { errorMessage: 'no' }]);
    LiveClient.dispose(socket);
  });

  test('foreign-writer: a run advanced by SQL is still live', async () => {
    const flow = defineFlow({ slug: 'foreign' }).step('only', () => 1);
    const world = await createWorld(kind, { flows: [flow], worker: false });
    const run = await world.start(flow);
    const [claim] = await claimBySql(world.db);

    await settleBySql(world.db, claim!, { outcome: 'started' });
    const started = await run.until((now) => now.step('only').status === 'started');
    await settleBySql(world.db, claim!, { outcome: 'completed', output: 'by hand' });

    expect(started.seq).toBe(2);
    expect((await run.end()).output).toEqual({ only: 'by hand' });
  });
});

describe('live runs on postgres', () => {
  test('lost-messages: the LISTEN connection dies mid-run; afterwards the state is right without a new event', async () => {
    const calls = scripted();
    const flow = defineFlow({ slug: 'lost' })
      .step('a', calls.handler)
      .step('b', { dependsOn: ['a'] }, calls.handler);
    const world = await createWorld('postgres', { flows: [flow] });
    const own = await listenersOf(world);

    const { there, proxy } = await openBehindProxy(world);
    const run = await world.start(flow);
    const watcher = await world.watch(run.live.runId, there);
    const first = await calls.next();
    await watcher.until((now) => now.step('a').status === 'started');
    const [pid] = (await listenersOf(world)).filter((one) => !own.includes(one));
    proxy.refuse();
    const lost = connectedIs(watcher.live, false);
    await world.db.query('select pg_terminate_backend($1)', [pid]);
    await lost;

    first.complete('A');
    (await calls.next()).complete('B');
    const end = await run.end();
    expect(await listenersOf(world)).toEqual(own);
    proxy.accept();
    const caughtUp = await watcher.end();

    expect(caughtUp).toEqual(end);
    expect(await there.getRun(end.runId)).toEqual(caughtUp);
  });
});
