import pg from 'pg';
import { describe, expect, onTestFinished, test } from 'vitest';
import { defineFlow } from '../../src/flow/define-flow.js';
import { type Child, startChild } from '../harness/child.js';
import type { WatchedRun } from './watched-run.js';
import { createWorld, type World } from './world.js';

const order = defineFlow({ slug: 'order' })
  .step('charge', ({ commit }) =>
    commit(async (tx) => {
      await tx.query(`insert into shop.charges values ('survivor')`);
      return 'survivor';
    }),
  )
  .step('ship', { dependsOn: ['charge'] }, ({ deps }) => deps.charge);

/** A trigger in which a transaction waits for as long as the test holds the lock. */
const WAITING = {
  'in the settle': `create trigger hold before update on pgflow.run_steps for each row
    when (new.task_status = 'completed') execute function shop.hold()`,
  'in COMMIT': `create constraint trigger hold after insert on shop.charges deferrable initially deferred
    for each row execute function shop.hold()`,
};
type Place = keyof typeof WAITING;

interface Shop {
  readonly world: World;
  readonly run: WatchedRun;
  readonly child: Child;
}

/** The child has claimed `charge` and is about to commit. */
async function openShop(): Promise<Shop> {
  const world = await createWorld('postgres', { flows: [order], worker: false });
  await world.db.query('create schema shop');
  await world.db.query('create table shop.charges (made_by text)');
  const child = startChild('test/engine/fixtures/commit-worker.ts', {
    env: { TEST_DATABASE_URL: world.db.url },
  });
  onTestFinished(() => child.close());
  const run = await world.start(order);
  await child.waitForLine(/^began$/);
  return { world, run, child };
}

async function insertInChild({ child }: Shop): Promise<void> {
  child.writeLine('insert');
  await child.waitForLine(/^inserted$/);
}

/** The child's transaction waits at that place; resolves to what lets it go on. */
async function holdAt(shop: Shop, place: Place): Promise<() => Promise<void>> {
  const { db } = shop.world;
  const holder = new pg.Client(db.url);
  await holder.connect();
  onTestFinished(() => holder.end());
  await holder.query('select pg_advisory_lock(1)');
  await db.query(`create function shop.hold() returns trigger language plpgsql as
    $$ begin perform pg_advisory_xact_lock(1); return new; end $$`);
  await db.query(WAITING[place]);
  await insertInChild(shop);
  shop.child.writeLine('return');
  await expect.poll(() => backend(shop), { timeout: 20_000 }).toMatchObject({ wait_event: 'advisory' });
  return async () => {
    await holder.query('select pg_advisory_unlock(1)');
  };
}

/** The connection in which the child's handler commits; undefined when it is gone. */
async function backend({ world }: Shop): Promise<{ state: string; wait_event: string } | undefined> {
  const [row] = await world.db.query<{ state: string; wait_event: string }>(
    `select state, wait_event from pg_stat_activity
     where datname = current_database() and application_name = 'pgflow-live commit'`,
  );
  return row;
}

async function kill({ child }: Shop): Promise<void> {
  child.kill('SIGKILL');
  expect(await child.exited).toMatchObject({ signal: 'SIGKILL' });
}

/** Another worker finishes, and there is one charge. */
async function expectCharge(shop: Shop, madeBy: 'killed' | 'survivor'): Promise<void> {
  const { world, run } = shop;
  await expect.poll(() => backend(shop), { timeout: 20_000 }).toBeUndefined();
  await world.open({ worker: {} });
  await world.clock.advance('31s');

  const end = await run.end();

  expect(end).toMatchObject({ status: 'completed', output: { ship: madeBy } });
  expect(await world.db.query('table shop.charges')).toEqual([{ made_by: madeBy }]);
  const [charge] = await world.tasks(end.runId);
  expect(charge).toMatchObject({ status: 'completed', attempt: madeBy === 'killed' ? 1 : 2, output: madeBy });
}

describe('user-transaction: the process is killed', () => {
  test('before its transaction: another makes the charge', async () => {
    const shop = await openShop();
    await kill(shop);
    await expectCharge(shop, 'survivor');
  });

  test('in its transaction, after the insert: another makes the charge', async () => {
    const shop = await openShop();
    await insertInChild(shop);
    await kill(shop);
    await expectCharge(shop, 'survivor');
  });

  test('while its completion is written: another makes the charge', async () => {
    const shop = await openShop();
    const release = await holdAt(shop, 'in the settle');
    await kill(shop);
    await release();
    await expectCharge(shop, 'survivor');
  });

  test('after its completion was written, before COMMIT: another makes the charge', async () => {
    const shop = await openShop();
    const release = await holdAt(shop, 'in the settle');
    shop.child.kill('SIGSTOP');
    await release();
    await expect.poll(() => backend(shop)).toMatchObject({ state: 'idle in transaction' });
    await kill(shop);
    await expectCharge(shop, 'survivor');
  });

  test('while the server commits: its charge stands, another goes on', async () => {
    const shop = await openShop();
    const release = await holdAt(shop, 'in COMMIT');
    await kill(shop);
    await release();
    await expectCharge(shop, 'killed');
  });

  test('after COMMIT, before it knows: its charge stands, another goes on', async () => {
    const shop = await openShop();
    const release = await holdAt(shop, 'in COMMIT');
    shop.child.kill('SIGSTOP');
    await release();
    await expect.poll(() => backend(shop)).toMatchObject({ state: 'idle' });
    await kill(shop);
    await expectCharge(shop, 'killed');
  });

  test('after COMMIT, when it knows: its charge stands, another goes on', async () => {
    const shop = await openShop();
    await insertInChild(shop);
    shop.child.writeLine('return');
    await shop.run.until((now) => now.step('ship').status === 'started');
    await kill(shop);
    await expectCharge(shop, 'killed');
  });
});
