import { channel } from 'node:diagnostics_channel';
import { expect, onTestFinished, test } from 'vitest';
import { defineFlow } from '../../src/flow/define-flow.js';
import { attachPubSub, attachTelemetry, memoryPubSub } from '../../src/index.js';
import { decodeMessage, GONE } from '../../src/run/codec.js';
import { CHANNELS } from '../../src/telemetry/channels.js';
import type { TelemetryEvents } from '../../src/telemetry/events.js';
import { describeEachDatabase } from '../harness/databases.js';
import { scripted } from './scripted.js';
import { createWorld } from './world.js';

type Name = keyof TelemetryEvents;
type Told = { name: string } & Record<string, any>;

/** Hears of everything but changes, as `name step#attempt`; claims apart, for they come as the worker pleases. */
function listen() {
  const told: Told[] = [];
  const waiting: { fits: (event: Told) => boolean; resolve: (event: Told) => void }[] = [];
  const names = (Object.keys(CHANNELS) as Name[]).filter((name) => name !== 'pgflow:change');
  const hear = (name: Name) => (event: object) => {
    const one: Told = { name: name.slice('pgflow:'.length), ...event };
    told.push(one);
    for (const { resolve } of waiting.filter(({ fits }) => fits(one))) resolve(one);
  };
  onTestFinished(attachTelemetry(Object.fromEntries(names.map((name) => [name, hear(name)]))));
  return {
    told,
    of: (prefix: string) => told.filter(({ name }) => name.startsWith(prefix)),
    lines: () => told.filter(({ name }) => !name.startsWith('claim:')).map(lineOf),
    /** The first event for which that holds, past ones included. */
    event(name: string, fits: (event: Told) => boolean = () => true): Promise<Told> {
      const isIt = (event: Told) => event.name === name && fits(event);
      const past = told.find(isIt);
      return past ? Promise.resolve(past) : new Promise((resolve) => waiting.push({ fits: isIt, resolve }));
    },
  };
}

function lineOf({ name, stepSlug, attempt, outcome, status }: Told): string {
  const task = attempt === undefined ? (stepSlug ?? '') : `${stepSlug}#${attempt}`;
  return [name, task, outcome ?? status ?? ''].filter((part) => part !== '').join(' ');
}

describeEachDatabase('telemetry', (kind) => {
  test('tells the life of a run with a retry and a map, in order, and nothing twice', async () => {
    const heard = listen();
    const [load, each] = [scripted(), scripted()];
    const flow = defineFlow({ slug: 'told', baseDelay: 0 })
      .step('load', load.handler)
      .map('each', { over: 'load' as never }, each.handler);
    const world = await createWorld(kind, { flows: [flow], paused: true });
    await world.open({ worker: false });
    await world.pgflow.start();

    const run = await world.start(flow);
    const { runId } = run.live;
    const first = await load.next();
    await run.until((now) => now.step('load').status === 'started');
    first.fail(new Error('not yet'));
    (await load.next()).complete(['one']);
    const only = await each.next();
    await run.until((now) => now.step('each').status === 'started');
    only.complete(1);
    const end = await run.end();
    await heard.event('run:stop');
    await world.pgflow.stop();

    expect(heard.lines()).toEqual([
      'worker:start',
      'run:start',
      'task:start load#1',
      'step:start load',
      'task:error load#1',
      'task:start load#2',
      'task:stop load#2 completed',
      'step:stop load completed',
      'task:start each#1',
      'step:start each',
      'task:stop each#1 completed',
      'step:stop each completed',
      'run:stop completed',
      'worker:stop',
    ]);
    const [start, stop] = heard.of('worker:');
    expect(start).toEqual({
      name: 'worker:start',
      schema: 'pgflow',
      workerId: expect.any(Number),
      concurrency: 10,
    });
    expect(stop!.workerId).toBe(start!.workerId);
    const { workerId } = start!;
    const task = { schema: 'pgflow', workerId, runId, flowSlug: 'told', stepSlug: 'load', taskIndex: 0 };
    expect(heard.of('task:error')).toMatchObject([
      {
        ...task,
        attempt: 1,
        error: 'not yet',
        willRetry: true,
        retryAt: expect.any(Date),
        duration: expect.any(Number),
      },
    ]);
    for (const event of heard.told.filter(({ name }) => /^(task|step|run):/.test(name))) {
      expect(event).toMatchObject({ schema: 'pgflow', runId, flowSlug: 'told' });
    }
    expect(heard.of('run:stop')).toMatchObject([
      { duration: end.completedAt!.getTime() - end.startedAt.getTime(), reason: null },
    ]);
  });

  test('tells each claim, and all that claims brought', async () => {
    const heard = listen();
    const flow = defineFlow<number[]>({ slug: 'claimed' })
      .map('each', ({ item }) => item)
      .step('sum', { dependsOn: ['each'] }, ({ deps }) => deps.each.length);
    const world = await createWorld(kind, { flows: [flow] });
    await (await world.start(flow, [1, 2, 3])).end();
    await world.pgflow.stop();

    const count = (events: Told[]) => events.reduce((sum, event) => sum + event.count, 0);
    expect(heard.of('claim:start')).toHaveLength(heard.of('claim:stop').length);
    expect(count(heard.of('claim:stop'))).toBe(4);
    expect(heard.of('task:start')).toHaveLength(4);
    for (const event of heard.of('claim:')) {
      // Which of the two depends on whether the worker is just looking at its queue.
      const from = expect.stringMatching(/^(queue|ready)$/);
      expect(event).toMatchObject({ schema: 'pgflow', workerId: expect.any(Number), from });
    }
  });

  test('tells a failure as an error of task, step and run', async () => {
    const heard = listen();
    const calls = scripted();
    const flow = defineFlow({ slug: 'failing', maxAttempts: 1 }).step('only', calls.handler);
    const world = await createWorld(kind, { flows: [flow] });
    const run = await world.start(flow);
    const call = await calls.next();
    await run.until((now) => now.step('only').status === 'started');
    call.fail(new Error('no'));
    const end = await run.end();

    expect(heard.lines().slice(1)).toEqual([
      'run:start',
      'task:start only#1',
      'step:start only',
      'task:error only#1',
      'step:error only',
      'run:error',
    ]);
    expect(heard.of('task:error')).toMatchObject([{ error: 'no', willRetry: false, retryAt: null }]);
    expect(heard.of('step:error')).toMatchObject([{ error: 'no' }]);
    expect(heard.of('run:error')).toMatchObject([{ error: end.error }]);
  });

  test('tells a cancellation, and the task that does not count any more', async () => {
    const heard = listen();
    const calls = scripted();
    const flow = defineFlow({ slug: 'cancelled' }).step('only', calls.handler);
    const world = await createWorld(kind, { flows: [flow] });
    const run = await world.start(flow);
    await calls.next();
    await run.until((now) => now.step('only').status === 'started');
    await world.pgflow.cancelRun(run.live.runId, { reason: 'enough' });
    await world.pgflow.cancelRun(run.live.runId);
    await heard.event('task:stop');

    expect(heard.lines().slice(1)).toEqual([
      'run:start',
      'task:start only#1',
      'step:start only',
      'step:stop only cancelled',
      'run:stop cancelled',
      'task:stop only#1 abandoned',
    ]);
    expect(heard.of('run:stop')).toMatchObject([{ reason: 'enough' }]);
  });

  test('tells of a task that is given back when the worker stops', async () => {
    const heard = listen();
    const calls = scripted();
    const flow = defineFlow({ slug: 'returned' }).step('only', calls.handler);
    const world = await createWorld(kind, { flows: [flow] });
    const run = await world.start(flow);
    await calls.next();
    await run.until((now) => now.step('only').status === 'started');
    await world.pgflow.stop({ grace: 0 });

    expect(heard.lines().slice(-2)).toEqual(['task:stop only#1 returned', 'worker:stop']);
  });

  test('tells once of a task that its handler commits itself', async () => {
    const heard = listen();
    const flow = defineFlow({ slug: 'committed' }).step('only', async ({ commit }) => {
      await commit(async () => 'done');
    });
    const world = await createWorld(kind, { flows: [flow] });
    await (await world.start(flow)).end();
    await world.pgflow.stop();

    expect(heard.of('task:').map(lineOf)).toEqual(['task:start only#1', 'task:stop only#1 completed']);
    expect(heard.of('run:stop')).toHaveLength(1);
  });

  test('tells of what a start ends at once, and of a start only once', async () => {
    const heard = listen();
    const flow = defineFlow<number[]>({ slug: 'empty' })
      .map('each', ({ item }) => item)
      .step('never', { dependsOn: ['each'], if: { each: [5] } }, () => 1);
    const world = await createWorld(kind, { flows: [flow], worker: false });
    const { runId } = await world.pgflow.startFlow(flow, []);
    await world.pgflow.startFlow(flow, [], { runId });

    expect(heard.lines()).toEqual([
      'run:start',
      'step:stop each completed',
      'step:stop never skipped',
      'run:stop completed',
    ]);
    expect(heard.of('step:stop').map(({ duration }) => duration)).toEqual([0, null]);
  });
});

describeEachDatabase('a bus', (kind) => {
  test('that is attached gets what the own one gets, until it is detached; nothing is left attached', async () => {
    const flow = defineFlow({ slug: 'spread' }).step('only', () => 1);
    const world = await createWorld(kind, { flows: [flow], paused: true });
    const bus = memoryPubSub();
    const messages: unknown[] = [];
    const hear = async (runId: string) =>
      bus.subscribe(`pgflow:run:${runId}`, (message) => messages.push(message));
    const detach = attachPubSub(world.pgflow, bus);
    const stranger = await world.open({ flows: [], worker: false });
    const detachStranger = attachPubSub(stranger, bus);

    const run = await world.start(flow);
    await hear(run.live.runId);
    await world.pgflow.start();
    const end = await run.end();
    await world.pgflow.prune({ olderThan: 0 });
    const seqs = messages.map((message) => {
      const read = decodeMessage(message)!;
      return read.kind === 'change' ? read.change.seq : read.seq;
    });
    expect(seqs).toEqual([...Array.from({ length: end.seq - 1 }, (_, i) => i + 2), GONE]);

    detach();
    detachStranger();
    messages.length = 0;
    const unheard = await world.start(flow);
    await hear(unheard.live.runId);
    await unheard.end();
    expect(messages).toEqual([]);
    await Promise.all([world.pgflow.stop(), stranger.stop()]);
    expect(channel('pgflow:change').hasSubscribers).toBe(false);
  });
});
