/** PostgreSQL as the bus: its connections really cut. */
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest';
import { defineFlow } from '../../src/flow/define-flow.js';
import { pubsubConformance } from '../../src/testing/pubsub-conformance.js';
import { createTestDatabase, type TestDatabase } from '../harness/databases.js';
import { startTcpProxy } from '../harness/tcp-proxy.js';
import { connectedIs } from './listening.js';
import { scripted } from './scripted.js';
import { openPostgresBus, trackThrough } from './tracked-runs.js';
import { createWorld } from './world.js';

const LISTENERS = `from pg_stat_activity where datname = current_database() and application_name = 'pgflow-live listen'`;

describe('postgresPubSub does what every bus does', () => {
  let db: TestDatabase;
  beforeAll(async () => {
    db = await createTestDatabase('postgres');
  });
  afterAll(() => db.close());

  const cases = pubsubConformance({
    open: () => Promise.all([openPostgresBus(db.url!), openPostgresBus(db.url!)]),
    cut: () => db.query(`select pg_terminate_backend(pid) ${LISTENERS}`),
  });
  test.each(cases)('$name', ({ run }) => run());

  test('a connection that neither answers nor fails is found out and replaced', async () => {
    const url = new URL(db.url!);
    const proxy = await startTcpProxy(Number(url.port || 5432), url.hostname);
    onTestFinished(() => proxy.close());
    url.host = `127.0.0.1:${proxy.port}`;
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    onTestFinished(() => void vi.useRealTimers());
    const bus = await openPostgresBus(db.url!, url.href);
    onTestFinished(() => bus.close());
    const told: boolean[] = [];
    bus.onConnection!((connected) => told.push(connected));
    const heard = vi.fn();
    await bus.subscribe('a', heard);

    proxy.freeze({ only: 'current' });
    // The next ping, and its patience.
    await vi.advanceTimersByTimeAsync(15_000);
    await vi.advanceTimersByTimeAsync(5_000);
    expect(told).toEqual([false]);
    await vi.advanceTimersByTimeAsync(1_000);
    vi.useRealTimers();
    await expect.poll(() => told).toEqual([false, true]);
    const other = await openPostgresBus(db.url!);
    onTestFinished(() => other.close());
    await other.publish('a', 'after');
    await expect.poll(() => heard.mock.calls).toEqual([['after']]);
  });

  test('one connection listens, whatever the number of topics', async () => {
    const bus = await openPostgresBus(db.url!);
    onTestFinished(() => bus.close());
    for (let i = 0; i < 100; i++) await bus.subscribe(`topic ${i}`, () => {});
    expect(await db.query(`select pid ${LISTENERS}`)).toHaveLength(1);
  });
});

test('the connections are cut mid-run: every tracked run is read again, and shows its row', async () => {
  const [a, b] = [scripted(), scripted()];
  const flow = defineFlow({ slug: 'order' })
    .step('a', a.handler)
    .step('b', { dependsOn: ['a'] }, b.handler);
  const world = await createWorld('postgres', { flows: [flow] });
  const started = await Promise.all(Array.from({ length: 5 }, () => world.start(flow)));
  const runIds = started.map(({ live }) => live.runId);
  const url = new URL(world.db.url!);
  const proxy = await startTcpProxy(Number(url.port || 5432), url.hostname);
  onTestFinished(() => proxy.close());
  url.host = `127.0.0.1:${proxy.port}`;
  const { runs, reads } = await trackThrough(await openPostgresBus(url.href), world.db.url!, runIds);
  const first = await Promise.all(runIds.map(() => a.next()));

  proxy.refuse();
  proxy.cut();
  await Promise.all(runs.map((run) => connectedIs(run, false)));
  for (const call of first) call.complete('A');
  const second = await Promise.all(runIds.map(() => b.next()));
  for (const run of started) await run.until((now) => now.step('b').status === 'started');
  reads.length = 0;
  proxy.accept();
  await Promise.all(runs.map((run) => connectedIs(run, true)));
  await expect.poll(() => runs.map((run) => run.caughtUp)).toEqual(runs.map(() => true));

  expect(reads.toSorted()).toEqual(runIds.toSorted());
  for (const run of runs) expect(run.getSnapshot()).toEqual(await world.getRun(run.runId));
  for (const call of second) call.complete('B');
  const ends = await Promise.all(started.map((run) => run.end()));
  expect(await Promise.all(runs.map((run) => run.waitFor('completed')))).toEqual(ends);
});
