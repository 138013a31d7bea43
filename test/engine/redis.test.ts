/** Redis as the bus, on a real Redis that is really restarted. */
import { Redis } from 'ioredis';
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { defineFlow } from '../../src/flow/define-flow.js';
import type { PubSub } from '../../src/pubsub/pubsub.js';
import { redisPubSub } from '../../src/pubsub/redis.js';
import { pubsubConformance } from '../../src/testing/pubsub-conformance.js';
import { until } from '../../src/testing/until.js';
import type { Program } from '../harness/apt.js';
import { startChild } from '../harness/child.js';
import { ensureRedis, type RedisServer, startRedis } from '../harness/redis-server.js';
import { startTcpProxy } from '../harness/tcp-proxy.js';
import { connectedIs } from './listening.js';
import { scripted } from './scripted.js';
import { trackThrough } from './tracked-runs.js';
import { createWorld } from './world.js';

const INSTALLING = 600_000;
let program: Program;
let server: RedisServer;

beforeAll(async () => {
  program = ensureRedis();
  if (!program.missing) server = (await startRedis())!;
}, INSTALLING);

afterAll(() => server?.close());

beforeEach((ctx) => {
  ctx.skip(program.missing !== undefined, program.missing);
  const warned = vi.spyOn(console, 'warn').mockImplementation(() => {});
  onTestFinished(() => warned.mockRestore());
});

/** A bus for this test. */
function openBus(...[options]: [options?: Parameters<typeof redisPubSub>[1]]) {
  const bus = redisPubSub(server.url, options);
  onTestFinished(() => bus.close());
  return bus;
}

/** Resolves when the bus has sent it: its connection for sending comes back by itself. */
async function sends(bus: PubSub, topic = 'any', message: unknown = null): Promise<void> {
  const sent = () => bus.publish(topic, message).then(() => 'sent', String);
  await expect.poll(sent, { timeout: 25_000 }).toBe('sent');
}

describe('redisPubSub does what every bus does', () => {
  const ways = {
    'given a URL': () => redisPubSub(server.url),
    // ioredis 5, and older servers, speak RESP2 only: a connection that listens takes few commands then.
    'given an instance that speaks RESP2': () =>
      redisPubSub(new Redis(server.url, { protocol: 2, lazyConnect: true })),
  };
  describe.each(Object.entries(ways))('%s', (_, open) => {
    const cases = pubsubConformance({
      open: async () => [open(), open()],
      cut: () => server.cutClients(),
    });
    test.each(cases)('$name', ({ run }) => run());
  });
});

describe('its connections', () => {
  test('two, whatever the number of topics; none when it is closed', async () => {
    const bus = openBus();
    expect(await server.clients()).toEqual([]);
    for (let i = 0; i < 100; i++) {
      await bus.subscribe(`topic ${i}`, () => {});
      await bus.publish(`topic ${i}`, i);
    }
    expect(await server.clients()).toHaveLength(2);
    await bus.close();
    await expect.poll(() => server.clients()).toEqual([]);
  });

  test('of a given instance: its options are taken, itself it stays as it is', async () => {
    const given = new Redis(server.url, { keyPrefix: 'app:', lazyConnect: true });
    onTestFinished(() => given.disconnect());
    const [bus, same, plain] = [redisPubSub(given), openBus({ prefix: 'app:' }), openBus()];
    const heard: unknown[] = [];
    await plain.subscribe('app:a', (message) => heard.push(message));
    const arrived = new Promise(
      (resolve) => void same.subscribe('a', resolve).then(() => bus.publish('a', 1)),
    );
    expect(await arrived).toBe(1);
    await expect.poll(() => heard).toEqual([1]);
    await bus.close();
    expect(given.status).toBe('wait');
    expect(await given.ping()).toBe('PONG');
  });

  test('a subscription that Redis refuses is refused, and the others stay', async () => {
    const admin = new Redis(server.url);
    onTestFinished(() => admin.disconnect());
    await admin.call('ACL', 'SETUSER', 'narrow', 'on', '>pw', '+@all', 'resetchannels', '&mine:*');
    const bus = redisPubSub(server.url.replace('redis://', 'redis://narrow:pw@'));
    onTestFinished(() => bus.close());
    const heard = vi.fn();
    await bus.subscribe('mine:a', heard);
    await expect(bus.subscribe('theirs:a', () => {})).rejects.toMatchObject({ code: 'UNREACHABLE' });
    await expect(bus.publish('theirs:a', 1)).rejects.toMatchObject({ code: 'UNREACHABLE' });
    await bus.publish('mine:a', 1);
    await expect.poll(() => heard.mock.calls).toEqual([[1]]);
  });

  test('while Redis is away publishing is refused at once; then all is back', async () => {
    const bus = openBus();
    const heard = vi.fn();
    await bus.subscribe('a', heard);
    await bus.publish('a', 'before');
    await expect.poll(() => heard.mock.calls).toEqual([['before']]);
    const told: boolean[] = [];
    bus.onConnection!((connected) => told.push(connected));
    await server.kill();
    await expect.poll(() => told).toEqual([false]);
    await expect(bus.publish('a', 'away')).rejects.toMatchObject({ code: 'UNREACHABLE' });
    await server.start();
    await expect.poll(() => told, { timeout: 25_000 }).toEqual([false, true]);
    await expect
      .poll(() => bus.publish('a', 'after').then(() => 'sent', String), { timeout: 25_000 })
      .toBe('sent');
    await expect.poll(() => heard.mock.calls).toEqual([['before'], ['after']]);
  });

  test('five thousand subscriptions are back before it says so', async () => {
    const [bus, other] = [openBus(), openBus()];
    const heard = new Set<unknown>();
    const topics = Array.from({ length: 5000 }, (_, i) => `topic ${i}`);
    await Promise.all(topics.map((topic) => bus.subscribe(topic, (message) => heard.add(message))));
    await sends(other);
    const published = new Promise((resolve, reject) => {
      bus.onConnection!((connected) => {
        if (connected) Promise.all(topics.map((topic) => other.publish(topic, topic))).then(resolve, reject);
      });
    });
    await server.cutClients('pubsub');
    await published;
    await expect.poll(() => heard.size).toBe(topics.length);
  });

  test.each([2, 3] as const)(
    'are looked after: kept while they are used, ended when they are not (RESP%s)',
    async (protocol) => {
      vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
      onTestFinished(() => void vi.useRealTimers());
      const bus = redisPubSub(new Redis(server.url, { protocol, lazyConnect: true }));
      onTestFinished(() => bus.close());
      const told = vi.fn();
      bus.onConnection!(told);
      const stop = await bus.subscribe('a', () => {});
      const idsOf = async () => (await server.clients()).map((client) => client.split(' ')[0]).toSorted();
      // In steps, each with a round trip, so that the real answers to pings come before the faked patience ends.
      const pass = async (seconds: number) => {
        for (let i = 0; i < seconds; i++) {
          await vi.advanceTimersByTimeAsync(1000);
          await server.clients();
        }
      };
      await bus.publish('a', 0);
      const ids = await idsOf();
      for (let i = 1; i <= 4; i++) {
        await pass(16);
        await bus.publish('a', i);
        await (await bus.subscribe('b', () => {}))();
      }
      expect(await idsOf()).toEqual(ids);
      stop();
      await pass(64);
      vi.useRealTimers();
      await expect.poll(() => server.clients()).toEqual([]);
      expect(told).not.toHaveBeenCalled();
      const heard = vi.fn();
      await bus.subscribe('a', heard);
      await bus.publish('a', 'again');
      await expect.poll(() => heard.mock.calls).toEqual([['again']]);
    },
  );

  test('one that neither answers nor fails is found out and replaced', async () => {
    const proxy = await startTcpProxy(Number(new URL(server.url).port));
    onTestFinished(() => proxy.close());
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    onTestFinished(() => void vi.useRealTimers());
    const bus = redisPubSub(`redis://127.0.0.1:${proxy.port}`);
    onTestFinished(() => bus.close());
    const heard = vi.fn();
    await bus.subscribe('a', heard);
    const told: boolean[] = [];
    bus.onConnection!((connected) => told.push(connected));
    proxy.freeze({ only: 'current' });
    // The next look, and its patience.
    await vi.advanceTimersByTimeAsync(15_000);
    await vi.advanceTimersByTimeAsync(5_000);
    expect(told).toEqual([false]);
    await vi.advanceTimersByTimeAsync(1_000);
    vi.useRealTimers();
    await expect.poll(() => told).toEqual([false, true]);
    const other = openBus();
    await other.publish('a', 'after');
    await expect.poll(() => heard.mock.calls).toEqual([['after']]);
  });
});

test('a process that has nothing else to do ends, though it did not close its bus', async () => {
  await using child = startChild('test/engine/fixtures/redis-idle.ts', {
    env: { TEST_REDIS_URL: server.url },
  });
  await child.waitForLine(/^heard$/);
  expect(await child.exited).toEqual({ code: 0, signal: null });
});

describe('runs whose changes travel over Redis', () => {
  const calls = () => [scripted(), scripted()] as const;
  const orderOf = ([a, b]: ReturnType<typeof calls>) =>
    defineFlow({ slug: 'order' })
      .step('a', a.handler)
      .step('b', { dependsOn: ['a'] }, b.handler);

  test('are watched in another process, live, with one read', async () => {
    const [a, b] = calls();
    const flow = orderOf([a, b]);
    const world = await createWorld('postgres', { flows: [flow], pubsub: openBus() });
    const run = await world.start(flow);
    const { runs, reads } = await trackThrough(openBus(), world.db.url!, [run.live.runId]);

    (await a.next()).complete({ lines: ['ü'] });
    (await b.next()).complete('done');
    const end = await run.end();

    expect(await runs[0]!.waitFor('completed')).toEqual(end);
    expect(reads).toEqual([end.runId]);
    expect(await world.getRun(end.runId)).toEqual(end);
  });

  test('are read again at each hint when only hints travel', async () => {
    const [a, b] = calls();
    const flow = orderOf([a, b]);
    const world = await createWorld('postgres', { flows: [flow], pubsub: openBus({ payload: 'hint' }) });
    const run = await world.start(flow);
    const { runs, reads } = await trackThrough(openBus(), world.db.url!, [run.live.runId]);

    (await a.next()).complete('A');
    await until(runs[0]!, (now) => now.step('a').status === 'completed', 25);
    expect(reads.length).toBeGreaterThan(1);
    (await b.next()).complete('B');
    expect(await runs[0]!.waitFor('completed')).toEqual(await run.end());
  });

  test('Redis is killed and started again mid-run: every tracked run is read again, and shows its row', async () => {
    const [a, b] = calls();
    const flow = orderOf([a, b]);
    const here = openBus();
    const world = await createWorld('postgres', { flows: [flow], pubsub: here });
    const started = await Promise.all(Array.from({ length: 5 }, () => world.start(flow)));
    const runIds = started.map(({ live }) => live.runId);
    const { runs, reads } = await trackThrough(openBus(), world.db.url!, runIds);
    const first = await Promise.all(runIds.map(() => a.next()));
    await Promise.all(runs.map((run) => run.waitFor('started')));

    await server.kill();
    await Promise.all(runs.map((run) => connectedIs(run, false)));
    for (const call of first) call.complete('A');
    const second = await Promise.all(runIds.map(() => b.next()));
    for (const run of started) await run.until((now) => now.step('b').status === 'started');
    reads.length = 0;
    await server.start();
    await Promise.all(runs.map((run) => connectedIs(run, true)));
    await expect.poll(() => runs.map((run) => run.caughtUp)).toEqual(runs.map(() => true));

    expect(reads.toSorted()).toEqual(runIds.toSorted());
    for (const run of runs) expect(run.getSnapshot()).toEqual(await world.getRun(run.runId));
    await sends(here);
    for (const call of second) call.complete('B');
    const ends = await Promise.all(started.map((run) => run.end()));
    expect(await Promise.all(runs.map((run) => run.waitFor('completed')))).toEqual(ends);
  });

  test('two pgflows, Redis restarted mid-run: who watches elsewhere sees the end, and nothing is left', async () => {
    const [a, b] = calls();
    const flow = orderOf([a, b]);
    const [here, elsewhere] = [openBus(), openBus()];
    const world = await createWorld('postgres', { flows: [flow], pubsub: here });
    const there = await world.open({ worker: false, pubsub: elsewhere });
    const run = await world.start(flow);
    const watcher = await world.watch(run.live.runId, there);
    const call = await a.next();
    await watcher.until((now) => now.step('a').status === 'started');

    await server.kill();
    await connectedIs(watcher.live, false);
    expect(await there.health()).toMatchObject({ ok: true, listening: false });
    call.complete('A');
    const next = await b.next();
    await server.start();
    await connectedIs(watcher.live, true);
    await sends(here);
    next.complete('B');
    const end = await watcher.end();

    expect(end).toEqual(await run.end());
    expect(await there.getRun(end.runId)).toEqual(end);
    await Promise.all([there.stop(), world.pgflow.stop()]);
    await Promise.all([here.close(), elsewhere.close()]);
    await expect.poll(() => server.clients()).toEqual([]);
  });
});
