import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { describe, expect, onTestFinished, test } from 'vitest';
import { defineJob } from '../../src/flow/define-job.js';
import { createPgFlow } from '../../src/index.js';
import { type Child, startChild } from '../harness/child.js';
import { createTestDatabase, type TestDatabase } from '../harness/databases.js';
import { rejection } from './rejection.js';

const MINUTES = { timeout: 180_000 };
const job = defineJob({ slug: 'mail' }, ({ input }) => input);

async function createDatabase(): Promise<TestDatabase & { url: string }> {
  const db = await createTestDatabase('postgres');
  onTestFinished(() => db.close());
  return db as TestDatabase & { url: string };
}

function startMigration(db: { url: string }): Child {
  const child = startChild('test/engine/fixtures/migrate.ts', { env: { TEST_DATABASE_URL: db.url } });
  onTestFinished(() => child.close());
  return child;
}

describe('migrate', () => {
  test('migrate: ten processes at once, one applies', MINUTES, async () => {
    const db = await createDatabase();
    const children = Array.from({ length: 10 }, () => startMigration(db));
    await Promise.all(children.map((child) => child.waitForLine(/^ready$/)));

    for (const child of children) child.writeLine('go');
    const applied = await Promise.all(
      children.map(async (child) => (await child.waitForLine(/^applied (.*)$/))[1]),
    );
    await Promise.all(children.map((child) => child.waitForLine(/^started /)));

    const migrations = await db.query('select name from pgflow.migrations order by version');
    const names = JSON.stringify(migrations.map(({ name }) => name));
    expect(applied.toSorted()).toEqual([...Array(9).fill('[]'), names].toSorted());
    expect(await db.query('select count(*) from pgflow.runs')).toEqual([{ count: 10 }]);
  });

  test('migrate: a killed migration leaves the old state', MINUTES, async () => {
    const db = await createDatabase();
    const before = await createPgFlow({ database: db.url, jobs: [job], worker: false });
    const { runId } = await before.enqueue(job, 'kept');
    await before.stop();
    await db.query(`comment on schema pgflow is 'PgFlow Live 0.0.1, protocol 1, functions 0'`);
    await db.query('drop function pgflow.next_due(int[])');
    const old = await stateOf(db);

    const holder = new pg.Client(db.url);
    await holder.connect();
    onTestFinished(() => holder.end());
    await holder.query('begin');
    // The migration replaces this function, and must wait for it in the middle of its transaction.
    await holder.query(`comment on function pgflow.notify_changes(uuid[], int[], boolean) is 'held'`);
    const child = startMigration(db);
    await child.waitForLine(/^ready$/);
    child.writeLine('go');
    await expect.poll(() => waitingFor(db), { timeout: 60_000 }).toHaveLength(1);
    const [backend] = await waitingFor(db);
    child.kill('SIGKILL');
    await child.exited;
    await holder.query('rollback');
    await expect.poll(() => isConnected(db, backend!), { timeout: 60_000 }).toBe(false);

    expect(await stateOf(db)).toEqual(old);
    const after = await createPgFlow({ database: db.url, jobs: [job] });
    onTestFinished(() => after.stop());
    await after.start();
    expect((await (await after.track(runId)).waitFor('completed')).output).toBe('kept');
  });
});

const stateOf = (db: TestDatabase) =>
  db.query(
    `select p.oid::regprocedure::text, p.xmin::text, obj_description('pgflow'::regnamespace, 'pg_namespace')
     from pg_proc p where pronamespace = 'pgflow'::regnamespace order by 1`,
  );

/** The backends that wait for a lock in this database. */
async function waitingFor(db: TestDatabase): Promise<number[]> {
  const rows = await db.query(
    `select distinct pid from pg_stat_activity
     where datname = current_database() and wait_event_type = 'Lock'`,
  );
  return rows.map(({ pid }) => pid);
}

async function isConnected(db: TestDatabase, pid: number): Promise<boolean> {
  return (await db.query('select from pg_stat_activity where pid = $1', [pid])).length > 0;
}

describe('a database that cannot be had', () => {
  test('DATABASE_UNAVAILABLE: nobody listens there; the URL is shown without its password', async () => {
    const url = 'postgres://app:s3cr3t@127.0.0.1:1/shop?sslpassword=s3cr3t2';

    const error = await rejection(createPgFlow({ database: url }));

    expect(error.code).toBe('DATABASE_UNAVAILABLE');
    expect(error.message).toContain('postgres://app:***@127.0.0.1:1/shop');
    expect(`${error.message} ${JSON.stringify(error.data)}`).not.toContain('s3cr3t');
  });

  test('DATABASE_UNAVAILABLE: the server has no such database', async () => {
    const db = await createDatabase();

    const error = await rejection(createPgFlow({ database: `${db.url}_missing` }));

    expect(error.code).toBe('DATABASE_UNAVAILABLE');
    expect(error.message).toContain('_missing');
  });

  test(
    'DATABASE_LOCKED: another process has the folder open; a closed one is free, that of a dead process is taken over',
    MINUTES,
    async () => {
      const folder = mkdtempSync(join(tmpdir(), 'pgflow-embedded-'));
      onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
      const open = () => {
        const child = startChild('test/engine/fixtures/embedded.ts', { args: [folder] });
        onTestFinished(() => child.close());
        return child;
      };

      const first = open();
      await first.waitForLine(/^open$/);
      const refused = JSON.parse((await open().waitForLine(/^refused (.*)$/))[1]!);
      first.writeLine('close');
      expect(await first.exited).toEqual({ code: 0, signal: null });
      const second = open();
      await second.waitForLine(/^open$/);
      second.kill('SIGKILL');
      await second.exited;
      const heir = open();
      await heir.waitForLine(/^open$/);
      const refusedAgain = JSON.parse((await open().waitForLine(/^refused (.*)$/))[1]!);

      expect(refused).toMatchObject({ code: 'DATABASE_LOCKED' });
      expect(refused.message).toContain(`process ${first.pid}`);
      expect(refusedAgain.message).toContain(`process ${heir.pid}`);
    },
  );
});

describe('connections', () => {
  test('after-dispose: stop ends the connections that were opened here, and no other', async () => {
    const db = await createDatabase();
    const pool = new pg.Pool({ connectionString: db.url, application_name: 'mine' });
    onTestFinished(() => pool.end());
    const own = await createPgFlow({ database: db.url, jobs: [job] });
    const given = await createPgFlow({ database: pool, jobs: [job] });
    for (const pgflow of [own, given]) {
      await pgflow.start();
      const { runId } = await pgflow.enqueue(job, 1);
      await (await pgflow.track(runId)).waitFor('completed');
    }

    await Promise.all([own.stop(), given.stop()]);

    const theirs = () =>
      db.query(
        `select application_name from pg_stat_activity where application_name like 'pgflow-live%' and datname = current_database()`,
      );
    await expect.poll(theirs).toEqual([]);
    expect((await pool.query('select 1 as one')).rows).toEqual([{ one: 1 }]);
    expect((await rejection(given.getRun('0190a6c4-0000-7000-8000-000000000001'))).code).toBe('CLOSED');
  });
});
