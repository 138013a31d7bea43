/** Behind a real PgBouncer that pools transactions: LISTEN succeeds there, and nothing ever arrives. */
import { beforeAll, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { defineFlow } from '../../src/flow/define-flow.js';
import { openDatabase } from '../../src/postgres/open-database.js';
import { memoryPubSub } from '../../src/pubsub/memory.js';
import type { Program } from '../harness/apt.js';
import { createTestDatabase, sharedServer } from '../harness/databases.js';
import { ensurePgBouncer, startPgBouncer } from '../harness/pgbouncer.js';
import { connectedIs } from './listening.js';
import { scripted } from './scripted.js';
import { createWorld } from './world.js';

const INSTALLING = 600_000;
const MINUTES = { timeout: 120_000 };
let program: Program;
let warned: string[];

beforeAll(() => {
  program = ensurePgBouncer();
}, INSTALLING);

beforeEach((ctx) => {
  ctx.skip(program.missing !== undefined, program.missing);
  warned = [];
  const spy = vi.spyOn(console, 'warn').mockImplementation((...said) => void warned.push(said.join(' ')));
  onTestFinished(() => spy.mockRestore());
});

async function startBouncer(settings?: Record<string, string>) {
  const bouncer = (await startPgBouncer(sharedServer(), settings))!;
  onTestFinished(() => bouncer.close());
  return bouncer;
}

describe('createPgFlow through a pooler of transactions', () => {
  function createOrder() {
    const [a, b] = [scripted(), scripted()];
    const flow = defineFlow({ slug: 'order' })
      .step('a', a.handler)
      .map('b', { over: 'a' as never }, b.handler);
    return { a, b, flow };
  }

  test('warns once, and runs are executed, watched and cancelled as ever', MINUTES, async () => {
    const { a, b, flow } = createOrder();
    const bouncer = await startBouncer();
    const world = await createWorld('postgres', { flows: [flow], worker: false });
    const database = bouncer.through(world.db.url!);
    const worker = await world.open({ database, worker: { pollInterval: 0.2 } });
    const web = await world.open({ database, worker: false });
    const { runId } = await web.startFlow(flow, {});
    const watcher = await world.watch(runId, web);

    (await a.next()).complete([1, 2, 3]);
    for (const call of await b.nextByIndex(3)) call.complete('ok');
    const end = await watcher.end();

    expect(end).toMatchObject({ status: 'completed', output: { b: ['ok', 'ok', 'ok'] } });
    expect(await world.getRun(runId)).toEqual(end);
    // Each hears of it five seconds after it has begun to listen, which may be after the run's end.
    await vi.waitFor(() => expect(warned).toHaveLength(2), { timeout: 10_000 });
    expect(warned.filter((text) => text.includes('LISTEN does not work'))).toHaveLength(2);
    expect(await worker.health()).toMatchObject({ ok: true, listening: false });
    const second = await web.startFlow(flow, {});
    const cancelled = await web.track(second.runId);
    expect(await web.cancelRun(second.runId)).toMatchObject({ cancelled: true });
    await cancelled.waitFor('cancelled');
  });

  test('another bus makes runs live behind it', MINUTES, async () => {
    const { a, flow } = createOrder();
    const bouncer = await startBouncer();
    const world = await createWorld('postgres', { flows: [flow], worker: false });
    const database = bouncer.through(world.db.url!);
    const pubsub = memoryPubSub();
    await world.open({ database, pubsub, worker: { pollInterval: 0.2 } });
    const web = await world.open({ database, pubsub, worker: false });
    const { runId } = await web.startFlow(flow, {});
    const watcher = await world.watch(runId, web);
    const call = await a.next();
    await watcher.until((now) => now.step('a').status === 'started');
    await connectedIs(watcher.live, true);
    call.complete([]);
    expect(await watcher.end()).toEqual(await world.getRun(runId));
  });

  test('a direct connection, or a pooler of sessions, warns of nothing', MINUTES, async () => {
    const { a, flow } = createOrder();
    const bouncer = await startBouncer({ pool_mode: 'session', default_pool_size: '20' });
    const world = await createWorld('postgres', { flows: [flow] });
    const there = await world.open({ database: bouncer.through(world.db.url!), worker: false });
    const run = await world.start(flow, {});
    const watcher = await world.watch(run.live.runId, there);
    (await a.next()).complete([]);
    expect(await watcher.end()).toEqual(await run.end());
    expect(await there.health()).toMatchObject({ ok: true, listening: true });
    expect(warned).toEqual([]);
  });
});

test('the ping of a listening session fails when others have reset it, though it answers', async () => {
  const db = await createTestDatabase('postgres');
  onTestFinished(() => db.close());
  // All go through one session.
  const bouncer = await startBouncer({ default_pool_size: '1' });
  const database = await openDatabase(bouncer.through(db.url!));
  onTestFinished(() => database.close());
  const listener = await database.listen(
    'any "channel"',
    () => {},
    () => {},
  );
  onTestFinished(() => listener.stop());
  await listener.ping();
  await database.query('unlisten *');
  await expect(listener.ping()).rejects.toThrow('listens no more');
});
