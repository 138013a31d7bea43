import { hostname } from 'node:os';
import { expect, onTestFinished, test } from 'vitest';
import { defineJob } from '../../src/flow/define-job.js';
import { createPgFlow, type PgFlowOptions } from '../../src/index.js';
import { type DatabaseKind, describeEachDatabase, type TestDatabase } from '../harness/databases.js';
import { rejection } from './rejection.js';
import { giveBack, takeDatabase } from './spare-database.js';

const job = defineJob({ slug: 'mail' }, ({ input }) => input);

async function createDatabase(kind: DatabaseKind): Promise<TestDatabase> {
  const db = await takeDatabase(kind);
  onTestFinished(({ task }) => (task.result?.state === 'fail' ? db.close() : giveBack(db)));
  return db;
}

/** A pgflow that is stopped when the test ends. */
async function openPgFlow(options: PgFlowOptions) {
  const pgflow = await createPgFlow({ jobs: [job], worker: false, ...options });
  onTestFinished(() => pgflow.stop());
  return pgflow;
}

async function objectsOf(db: TestDatabase, schema = 'pgflow'): Promise<unknown[]> {
  return db.query(
    `select 'class' as what, relname as name, c.xmin::text from pg_class c where relnamespace = to_regnamespace($1)
     union all
     select 'function', p.oid::regprocedure::text, p.xmin::text from pg_proc p where pronamespace = to_regnamespace($1)
     union all
     select 'schema', coalesce(obj_description(oid, 'pg_namespace'), ''), xmin::text from pg_namespace where oid = to_regnamespace($1)
     order by 1, 2`,
    [schema],
  );
}

/** Makes the schema that of another release. */
const markAs = (db: TestDatabase, mark: string) => db.query(`comment on schema pgflow is '${mark}'`);
const markAsOld = (db: TestDatabase) => markAs(db, 'PgFlow Live 0.0.1, protocol 1, functions 0');

describeEachDatabase('maintenance', (kind) => {
  test('migrate: again and again changes nothing', async () => {
    const db = await createDatabase(kind);
    await openPgFlow({ database: db.database });
    const before = await objectsOf(db);

    await openPgFlow({ database: db.database });

    expect(await objectsOf(db)).toEqual(before);
  });

  test('migrate: functions of another release are replaced, runs stay', async () => {
    const db = await createDatabase(kind);
    const { runId } = await (await openPgFlow({ database: db.database })).enqueue(job, 'kept');
    await markAsOld(db);
    await db.query('drop function pgflow.next_due(int[])');

    const pgflow = await openPgFlow({ database: db.database, worker: {} });
    await pgflow.start();
    const live = await pgflow.track(runId);

    expect((await live.waitFor('completed')).output).toBe('kept');
  });

  test('migrate: a schema of another name, beside others', async () => {
    const db = await createDatabase(kind);
    const one = await openPgFlow({ database: db.database, schema: 'App_one' });
    const other = await openPgFlow({ database: db.database, schema: 'app_two' });

    const { runId } = await one.enqueue(job, 1);

    expect(await one.getRun(runId)).toMatchObject({ input: 1 });
    expect(await other.getRun(runId)).toBeNull();
    expect(await objectsOf(db)).toEqual([]);
  });

  test('SCHEMA_FOREIGN: a schema that others made is not touched', async () => {
    const db = await createDatabase(kind);
    await db.query('create schema pgflow');
    await db.query('create table pgflow.runs (run_id uuid primary key)');
    const before = await objectsOf(db);

    for (const migrate of [true, false]) {
      const error = await rejection(openPgFlow({ database: db.database, migrate }));
      expect(error.code).toBe('SCHEMA_FOREIGN');
      expect(error.message).toContain('createPgFlow({ schema })');
    }
    expect(await objectsOf(db)).toEqual(before);
  });

  test('SCHEMA_FOREIGN: nor one with functions only; an empty one is ours', async () => {
    const db = await createDatabase(kind);
    await db.query('create schema pgflow');
    await openPgFlow({ database: db.database });
    await db.query('drop schema pgflow cascade');
    await db.query('create schema pgflow');
    await db.query(`create function pgflow.start_flow() returns int language sql as 'select 1'`);
    const before = await objectsOf(db);

    const error = await rejection(openPgFlow({ database: db.database }));

    expect(error.code).toBe('SCHEMA_FOREIGN');
    expect(await objectsOf(db)).toEqual(before);
  });

  test('SCHEMA_OUTDATED: with migrate: false a missing or older schema is left as it is, and the error says what to run', async () => {
    const db = await createDatabase(kind);

    const missing = await rejection(openPgFlow({ database: db.database, migrate: false }));
    expect(await objectsOf(db)).toEqual([]);
    await openPgFlow({ database: db.database });
    await openPgFlow({ database: db.database, migrate: false });
    await markAsOld(db);
    const before = await objectsOf(db);
    const older = await rejection(openPgFlow({ database: db.database, migrate: false }));

    expect(await objectsOf(db)).toEqual(before);
    for (const error of [missing, older]) {
      expect(error.code).toBe('SCHEMA_OUTDATED');
      expect(error.message).toContain('npx pgflow-live migrate');
    }
  });

  test('SCHEMA_OUTDATED: a schema of a newer release that cannot be shared is left as it is', async () => {
    const db = await createDatabase(kind);
    await openPgFlow({ database: db.database });
    await markAs(db, 'PgFlow Live 99.0.0, protocol 99, functions 0');
    const before = await objectsOf(db);

    for (const migrate of [true, false]) {
      const error = await rejection(openPgFlow({ database: db.database, migrate }));
      expect(error.code).toBe('SCHEMA_OUTDATED');
      expect(error.message).toContain('Upgrade pgflow-live');
    }
    expect(await objectsOf(db)).toEqual(before);
  });

  test('rolling deploy: a schema of a newer release with the same protocol is shared as it is', async () => {
    const db = await createDatabase(kind);
    await openPgFlow({ database: db.database });
    await markAs(db, 'PgFlow Live 99.0.0, protocol 1, functions 0');
    const before = await objectsOf(db);

    for (const migrate of [true, false]) {
      const pgflow = await openPgFlow({ database: db.database, migrate });
      expect((await pgflow.enqueue(job, 1)).status).toBe('started');
    }
    expect(await objectsOf(db)).toEqual(before);
  });

  test('SCHEMA_IN_USE: an upgrade that running workers could not go on with refuses, and says whose they are', async () => {
    const db = await createDatabase(kind);
    const old = await openPgFlow({ database: db.database, worker: {} });
    await old.start();
    await markAs(db, 'PgFlow Live 0.0.1, protocol 0, functions 0');
    await db.query('update pgflow.workers set protocol = 0');
    const before = await objectsOf(db);

    const error = await rejection(openPgFlow({ database: db.database }));
    expect(error.code).toBe('SCHEMA_IN_USE');
    expect(error.message).toContain(`${hostname()}:${process.pid}`);
    expect(await objectsOf(db)).toEqual(before);

    await old.stop();
    await openPgFlow({ database: db.database });
    expect(await objectsOf(db)).not.toEqual(before);
  });
});
