import { describe, expect, onTestFinished, test, vi } from 'vitest';
import {
  createPgFlow,
  defineFlow,
  defineJob,
  type PgFlow,
  type PgFlowOptions,
  type PubSub,
} from '../../src/index.js';
import type { Database } from '../../src/postgres/database.js';
import { type DoctorLimits, diagnose } from '../../src/postgres/doctor.js';
import type { Finding } from '../../src/postgres/finding.js';
import { HealthCheck } from '../../src/postgres/health.js';
import { openDatabase } from '../../src/postgres/open-database.js';
import { repairFunctions } from '../../src/postgres/repair.js';
import { gate } from '../../src/testing/gate.js';
import {
  createTestDatabase,
  type DatabaseKind,
  describeEachDatabase,
  type TestDatabase,
} from '../harness/databases.js';

const NOBODY = '00000000-0000-7000-8000-000000000000';

async function open(
  kind: DatabaseKind,
  options: PgFlowOptions = {},
): Promise<{ db: TestDatabase; pgflow: PgFlow }> {
  const db = await createTestDatabase(kind);
  onTestFinished(() => db.close());
  return { db, pgflow: await join(db, options) };
}

/** One more process, so to say. */
async function join(db: TestDatabase, options: PgFlowOptions = {}): Promise<PgFlow> {
  const pgflow = await createPgFlow({ database: db.database, ...options });
  onTestFinished(() => pgflow.stop({ grace: 0 }));
  return pgflow;
}

async function port(db: TestDatabase): Promise<Database> {
  const database = await openDatabase(db.database);
  onTestFinished(() => database.close());
  return database;
}

const echo = () => defineJob({ slug: 'echo' }, ({ input }) => input as string);

/** A job whose handlers wait for their signal; `began` and `aborted` tell. */
function patient(slug = 'patient') {
  const began = gate();
  const aborted = gate();
  const job = defineJob({ slug }, async ({ signal }) => {
    began.open();
    await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
    aborted.open();
  });
  return { job, began, aborted };
}

async function complete(pgflow: PgFlow, job: ReturnType<typeof echo>, count: number): Promise<string[]> {
  const runs = await Promise.all(Array.from({ length: count }, (_, n) => pgflow.enqueue(job, `${n}`)));
  for (const { runId } of runs) {
    const live = await pgflow.track(runId);
    await live.waitFor('completed');
    live.close();
  }
  return runs.map(({ runId }) => runId);
}

const rowsOf = async (db: TestDatabase, runId: string) => {
  const counts = ['runs', 'step_states', 'step_tasks'].map((table) =>
    db.query<{ n: number }>(`select count(*)::int as n from pgflow.${table} where run_id = $1`, [runId]),
  );
  return (await Promise.all(counts)).map(([row]) => row!.n);
};

describeEachDatabase('prune', (kind) => {
  test('deletes ended runs in batches while workers run, never one under way', async () => {
    const [job, waiting] = [echo(), patient()];
    const { db, pgflow } = await open(kind, { jobs: [job, waiting.job] });
    await pgflow.start();
    const underWay = await pgflow.enqueue(waiting.job, null);
    await waiting.began;
    const ended = await complete(pgflow, job, 5);
    await db.query(`update pgflow.runs set started_at = started_at - interval '2 days',
      completed_at = completed_at - interval '2 days'`);
    const [recent] = await complete(pgflow, job, 1);

    const batches: number[] = [];
    const options = { olderThan: '1d', batch: 2, onProgress: (pruned: number) => batches.push(pruned) };
    expect(await pgflow.prune(options)).toEqual({ pruned: 5 });

    expect(batches).toEqual([2, 4, 5]);
    expect(await rowsOf(db, ended[0]!)).toEqual([0, 0, 0]);
    expect(await rowsOf(db, recent!)).toEqual([1, 1, 1]);
    expect((await pgflow.getRun(underWay.runId))?.status).toBe('started');
    expect(await pgflow.prune({ olderThan: '1d' })).toEqual({ pruned: 0 });
    expect(await pgflow.prune({ olderThan: 0 })).toEqual({ pruned: 1 });
  });

  test('ends after the batch under way when its signal aborts', async () => {
    const job = echo();
    const { pgflow } = await open(kind, { jobs: [job] });
    await pgflow.start();
    await complete(pgflow, job, 3);
    const stop = new AbortController();
    const options = { olderThan: 0, batch: 1, signal: stop.signal, onProgress: () => stop.abort() };
    expect(await pgflow.prune(options)).toEqual({ pruned: 1 });
    expect((await pgflow.listRuns()).runs).toHaveLength(2);
  });

  test('tells who still waits that the run is gone', async () => {
    const { db, pgflow } = await open(kind, { jobs: [echo()] });
    const { runId } = await pgflow.enqueue('echo', 'hello');
    const [here, there] = await Promise.all([
      pgflow.track(runId),
      (await join(db, { worker: false })).track(runId),
    ]);
    const waits = [here, there!].map((live) => live.waitFor('completed'));
    const gone = Promise.all(
      waits.map((wait) => expect(wait).rejects.toMatchObject({ code: 'RUN_NOT_FOUND' })),
    );
    // It ended, and the message of that was lost.
    await db.query(`update pgflow.runs set status = 'cancelled', cancelled_at = started_at`);

    expect(await pgflow.prune({ olderThan: 0 })).toEqual({ pruned: 1 });

    await gone;
    expect(here.ended?.code).toBe('RUN_NOT_FOUND');
    await expect(pgflow.track(runId)).rejects.toMatchObject({ code: 'RUN_NOT_FOUND' });
  });

  test.each([
    { olderThan: 'yesterday' },
    { olderThan: -1 },
    { olderThan: '30' },
    { olderThan: '1d', batch: 0 },
    { olderThan: '1d', batch: 1.5 },
    { olderThan: '1d', batch: 10_001 },
  ])('refuses %j', async (options) => {
    const { pgflow } = await open(kind);
    await expect(pgflow.prune(options)).rejects.toMatchObject({ code: 'INVALID_INPUT' });
  });

  test('an age beyond all time deletes nothing', async () => {
    const { pgflow } = await open(kind);
    expect(await pgflow.prune({ olderThan: '99999999999d' })).toEqual({ pruned: 0 });
  });
});

describeEachDatabase('deleteFlow', (kind) => {
  test('deletes definition and runs, aborts handlers, leaves others', async () => {
    const [job, waiting] = [echo(), patient()];
    const { db, pgflow } = await open(kind, { jobs: [job, waiting.job] });
    await pgflow.start();
    const [kept] = await complete(pgflow, job, 1);
    const { runId } = await pgflow.enqueue(waiting.job, null);
    await pgflow.enqueue(waiting.job, null, { delay: 60 });
    await waiting.began;
    const live = await pgflow.track(runId);
    const gone = expect(live.waitFor('completed')).rejects.toMatchObject({ code: 'RUN_NOT_FOUND' });

    expect(await pgflow.deleteFlow('patient')).toEqual({ deleted: 2 });

    await waiting.aborted;
    await gone;
    expect(await rowsOf(db, runId)).toEqual([0, 0, 0]);
    expect(await db.query(`select flow_slug from pgflow.flows`)).toEqual([{ flow_slug: 'echo' }]);
    expect(await db.query(`select distinct flow_slug from pgflow.handlers`)).toEqual([{ flow_slug: 'echo' }]);
    expect((await pgflow.getRun(kept!))?.status).toBe('completed');
    await expect(pgflow.enqueue('patient', null)).rejects.toMatchObject({ code: 'FLOW_NOT_FOUND' });
    // The worker goes on.
    await complete(pgflow, job, 1);
  });

  test('what a handler that ignores its signal returns changes nothing', async () => {
    const [began, release] = [gate(), gate()];
    const job = defineJob({ slug: 'deaf' }, async () => {
      began.open();
      await release;
      return 'too late';
    });
    const other = echo();
    const { db, pgflow } = await open(kind, { jobs: [job, other] });
    const errors = vi.spyOn(console, 'error');
    onTestFinished(() => errors.mockRestore());
    await pgflow.start();
    const { runId } = await pgflow.enqueue(job, null);
    await began;
    // Word of it never comes: as if another process had deleted it.
    await db.query(`select pgflow.delete_flow('deaf', 10)`);
    release.open();
    await complete(pgflow, other, 1);
    await pgflow.stop();
    expect(await rowsOf(db, runId)).toEqual([0, 0, 0]);
    expect(errors).not.toHaveBeenCalled();
  });

  test('refuses an unknown one', async () => {
    const { pgflow } = await open(kind);
    await expect(pgflow.deleteFlow('nobody')).rejects.toMatchObject({
      code: 'FLOW_NOT_FOUND',
      data: { flowSlug: 'nobody' },
    });
  });

  test('a process that registers it anew starts it anew', async () => {
    const job = echo();
    const { db, pgflow } = await open(kind, { jobs: [job] });
    await pgflow.deleteFlow('echo');
    const again = await join(db, { jobs: [job] });
    await again.start();
    await complete(again, job, 1);
  });
});

describeEachDatabase('metrics', (kind) => {
  test('counts by flow what waits, what runs and what failed', async () => {
    const waiting = patient();
    const failing = defineJob({ slug: 'failing', maxAttempts: 1 }, () => {
      throw new Error('no');
    });
    const idle = defineFlow({ slug: 'idle' }).step('a', () => 1);
    const { pgflow } = await open(kind, {
      flows: [idle],
      jobs: [waiting.job, failing],
      worker: { concurrency: 1 },
    });
    expect(await pgflow.metrics()).toMatchObject({
      claimLatency: null,
      worker: { executing: 0, concurrency: 1 },
    });
    await pgflow.start();
    const { runId } = await pgflow.enqueue(failing, null);
    await (await pgflow.track(runId)).waitFor('failed');
    await pgflow.enqueue(waiting.job, null);
    await waiting.began;
    await pgflow.enqueue(waiting.job, null);
    await pgflow.enqueue(waiting.job, null, { delay: 60 });

    const metrics = await pgflow.metrics();

    const nothing = {
      due: 0,
      delayed: 0,
      executing: 0,
      oldestDueSeconds: null,
      runningRuns: 0,
      failedRuns: 0,
    };
    expect(metrics).toEqual({
      flows: [
        { ...nothing, flowSlug: 'failing', failedRuns: 1 },
        { ...nothing, flowSlug: 'idle' },
        {
          ...nothing,
          flowSlug: 'patient',
          due: 1,
          delayed: 1,
          executing: 1,
          oldestDueSeconds: expect.any(Number),
          runningRuns: 3,
        },
      ],
      claimLatency: { p50: expect.any(Number), p99: expect.any(Number) },
      worker: { executing: 1, concurrency: 1 },
    });
    expect(metrics.claimLatency!.p99).toBeGreaterThanOrEqual(metrics.claimLatency!.p50);
    const none = await pgflow.metrics({ failedWithin: 0 });
    expect(none.flows[0]).toEqual({ ...nothing, flowSlug: 'failing' });
    await expect(pgflow.metrics({ failedWithin: 'long' })).rejects.toMatchObject({ code: 'INVALID_INPUT' });
  });

  test('has no worker where none is', async () => {
    const { pgflow } = await open(kind, { worker: false });
    expect(await pgflow.metrics()).toEqual({ flows: [], claimLatency: null, worker: null });
  });
});

const WELL = { ok: true, database: 'ok', schema: 'ok', worker: 'none', listening: true, problems: [] };

describeEachDatabase('health', (kind) => {
  test('follows the worker from start to stop', async () => {
    const waiting = patient();
    const { pgflow } = await open(kind, { jobs: [waiting.job] });
    expect(await pgflow.health()).toEqual(WELL);
    await pgflow.start();
    await pgflow.enqueue(waiting.job, null);
    await waiting.began;
    expect(await pgflow.health()).toEqual({ ...WELL, worker: 'running' });
    const stopping = pgflow.stop({ grace: 1 });
    await vi.waitFor(async () =>
      expect(await pgflow.health()).toMatchObject({ ok: false, database: 'ok', worker: 'draining' }),
    );
    await stopping;
    expect(await pgflow.health()).toMatchObject({
      ok: false,
      worker: 'stopped',
      problems: ['This pgflow is stopped.'],
    });
  });

  test('says what is wrong with the schema', async () => {
    const { db, pgflow } = await open(kind);
    const [mark] = await db.query(`select obj_description('pgflow'::regnamespace, 'pg_namespace') as text`);
    await db.query(`comment on schema pgflow is '${mark!.text.replace(/functions \w+/, 'functions 0')}'`);
    const health = await pgflow.health();
    expect(health).toMatchObject({ ok: false, database: 'ok', schema: 'outdated' });
    expect(health.problems).toEqual([expect.stringContaining('npx pgflow-live migrate')]);
  });
});

describe('health', () => {
  const well = { isStopped: false, worker: undefined, listening: true };
  const hanging = (onQuery: () => void) =>
    ({
      location: 'nowhere',
      query: () => {
        onQuery();
        return new Promise(() => {});
      },
    }) as unknown as Database;

  test('answers while the database hangs, and does not ask it again meanwhile', async () => {
    let queries = 0;
    const check = new HealthCheck(
      hanging(() => queries++),
      'pgflow',
      0.01,
    );
    const [first, second] = [await check.read(well), await check.read(well)];
    expect(first).toMatchObject({ ok: false, database: 'unavailable', schema: 'ok' });
    expect(first.problems).toEqual([expect.stringContaining('no answer within 0.01 s')]);
    expect(second).toEqual(first);
    expect(queries).toBe(1);
  });

  test('not listening and a lost lease are told and are no failure', async () => {
    const db = await createTestDatabase('pglite');
    onTestFinished(() => db.close());
    await join(db);
    const check = new HealthCheck(await port(db), 'pgflow');
    const health = await check.read({
      ...well,
      worker: { mode: 'running', hasLease: false },
      listening: false,
    });
    expect(health).toMatchObject({ ok: true, worker: 'running', listening: false });
    expect(health.problems).toEqual([
      expect.stringContaining('could not renew its lease'),
      expect.stringContaining('do not arrive'),
    ]);
  });

  test('says when its bus hears nothing', async () => {
    let tell: (connected: boolean) => void = () => {};
    const pubsub: PubSub = {
      publish: async () => {},
      subscribe: async () => () => {},
      onConnection(fn) {
        const before = tell;
        tell = (connected) => {
          before(connected);
          fn(connected);
        };
        return () => {};
      },
      close: async () => {},
    };
    const { pgflow } = await open('pglite', { pubsub });
    expect(await pgflow.health()).toEqual(WELL);
    tell(false);
    expect(await pgflow.health()).toMatchObject({ ok: true, listening: false });
    tell(true);
    expect(await pgflow.health()).toEqual(WELL);
  });

  test('a server that went away is unavailable', async () => {
    const { db, pgflow } = await open('postgres');
    await db.close();
    const health = await pgflow.health();
    expect(health).toMatchObject({ ok: false, database: 'unavailable', schema: 'ok' });
    expect(health.problems).toHaveLength(1);
  });

  test('a read-only database is unavailable', async () => {
    const { db } = await open('postgres');
    await db.query(`do $$ begin
      execute format('alter database %I set default_transaction_read_only = on', current_database());
    end $$`);
    const pgflow = await join(db, { migrate: false });
    expect(await pgflow.health()).toMatchObject({
      ok: false,
      database: 'unavailable',
      problems: [expect.stringContaining('read-only')],
    });
  });
});

const troubles = ({ findings }: { findings: readonly Finding[] }) =>
  findings.filter(({ level }) => level !== 'ok');

describeEachDatabase('doctor', (kind) => {
  const limits: Partial<DoctorLimits> = { listen: 0.05 };

  test('finds nothing wrong with what was just installed', async () => {
    const { pgflow } = await open(kind, { jobs: [echo()] });
    await pgflow.start();
    const { ok, findings } = await pgflow.doctor();
    expect(findings.filter(({ level }) => level !== 'ok')).toEqual([]);
    expect(ok).toBe(true);
    expect(findings.map(({ check }) => check)).toEqual([
      'database',
      'listen',
      'transactions',
      'schema',
      'tables',
      'indexes',
      'functions',
      'bloat',
      'workers',
      'tasks',
    ]);
  });

  test('knows everything that the SQL files make', async () => {
    const { db, pgflow } = await open(kind);
    await db.query('drop schema pgflow cascade');
    await db.query('create schema pgflow');
    await join(db, { schema: 'other' });
    // Of a schema that has the mark and nothing else, all is missing.
    const [mark] = await db.query(`select obj_description('other'::regnamespace, 'pg_namespace') as text`);
    await db.query('create table pgflow.migrations as table other.migrations');
    await db.query(`comment on schema pgflow is '${mark!.text}'`);
    const missing = troubles(await pgflow.doctor()).map(
      ({ message }) => /pgflow\.(\w+) is missing/.exec(message)?.[1],
    );
    const made = await db.query<{ name: string }>(
      `select relname::text as name from pg_class where relnamespace = 'other'::regnamespace
         and relkind in ('r', 'v', 'i', 'c') and relname <> 'migrations'
       union select proname::text from pg_proc where pronamespace = 'other'::regnamespace`,
    );
    expect(missing.filter((name) => name !== undefined).sort()).toEqual(made.map(({ name }) => name).sort());
  });

  test('reports a lost index, and what it says mends it', async () => {
    const { db, pgflow } = await open(kind);
    await db.query('drop index pgflow.run_steps_queue');
    await db.query('alter table pgflow.handlers drop constraint handlers_flow_slug_step_slug_signature_key');
    const found = await pgflow.doctor();
    expect(found.ok).toBe(false);
    expect(troubles(found).map(({ check, level }) => [check, level])).toEqual([
      ['indexes', 'error'],
      ['indexes', 'error'],
    ]);
    for (const { fix } of troubles(found)) await db.query(fix!.replace('Run: ', ''));
    expect((await pgflow.doctor()).ok).toBe(true);
  });

  test('reports lost and altered functions, and a repair makes them again', async () => {
    const { db, pgflow } = await open(kind);
    await db.query('drop function pgflow.next_due');
    await db.query(
      `create or replace function pgflow.now() returns timestamptz language sql as 'select now()'`,
    );
    const found = await pgflow.doctor();
    expect(troubles(found)).toEqual([
      expect.objectContaining({ level: 'error', message: 'Function pgflow.next_due is missing.' }),
      expect.objectContaining({ level: 'warning', message: expect.stringContaining('pgflow.now is not as') }),
    ]);
    expect(await repairFunctions(await port(db), 'pgflow')).toEqual([]);
    expect(troubles(await pgflow.doctor())).toEqual([]);
  });

  test('a check that fails is a finding, and the others go on', async () => {
    const { db, pgflow } = await open(kind);
    await db.query('alter view pgflow.step_tasks rename to lost');
    const found = troubles(await pgflow.doctor());
    expect(found).toEqual([
      expect.objectContaining({ check: 'tables', level: 'error', message: 'pgflow.step_tasks is missing.' }),
      expect.objectContaining({ check: 'tasks', message: expect.stringContaining('could not be checked') }),
    ]);
  });

  test('reports a schema that is not there, and one that is not ours', async () => {
    const db = await createTestDatabase(kind);
    onTestFinished(() => db.close());
    const database = await port(db);
    const absent = troubles(await diagnose(database, 'pgflow', limits));
    expect(absent).toEqual([expect.objectContaining({ check: 'schema', level: 'error' })]);
    expect(absent[0]!.fix).toContain('npx pgflow-live migrate');
    await db.query('create schema pgflow');
    await db.query('create table pgflow.theirs (id int)');
    const foreign = troubles(await diagnose(database, 'pgflow', limits));
    expect(foreign).toEqual([expect.objectContaining({ check: 'schema', level: 'error' })]);
    expect(foreign[0]!.message).toContain('not made by pgflow-live');
    expect(foreign[0]!.fix).toContain('Choose another name');
  });

  test('reports notifications that never arrive, as through a transaction pooler', async () => {
    const { db } = await open(kind);
    const database = await port(db);
    const pooled: Database = {
      ...database,
      listen: async () => ({ ping: async () => {}, stop: async () => {} }),
    };
    expect(troubles(await diagnose(pooled, 'pgflow', limits))).toEqual([
      expect.objectContaining({
        check: 'listen',
        level: 'error',
        message: expect.stringContaining('pooler'),
      }),
    ]);
  });

  test('reports tasks that nobody knows, and workers whose lease ended', async () => {
    const { db, pgflow } = await open(kind, { jobs: [echo()], worker: false });
    await pgflow.enqueue('echo', 'a');
    await pgflow.enqueue('echo', 'b', { delay: 60 });
    await db.query(`insert into pgflow.workers (name, started_at, expires_at, handler_ids, concurrency, protocol)
      select 'dead:1', pgflow.now(), pgflow.now() - interval '1 minute', array_agg(handler_id), 1, 1 from pgflow.handlers`);
    const found = await pgflow.doctor();
    expect(found.ok).toBe(true);
    expect(troubles(found)).toEqual([
      expect.objectContaining({
        check: 'workers',
        message: 'The lease of dead:1 has ended. Workers alive: 0.',
      }),
      expect.objectContaining({
        check: 'tasks',
        message: 'No worker that is alive knows step echo of echo; queued tasks of it: 2.',
      }),
    ]);
  });
});

describe('doctor on a server', () => {
  test('reports an old transaction', async () => {
    const { db } = await open('postgres');
    const database = await port(db);
    await database.transaction(async (tx) => {
      await tx.query('select 1');
      const found = troubles(await diagnose(database, 'pgflow', { transaction: 0 }));
      expect(found).toEqual([
        expect.objectContaining({ check: 'transactions', message: expect.stringContaining('(pgflow-live)') }),
      ]);
    });
  });

  test('reports dead rows', async () => {
    const { db } = await open('postgres');
    const database = await port(db);
    await db.query('alter table pgflow.flows set (autovacuum_enabled = false)');
    await db.query(
      `insert into pgflow.flows select 'f' || n, 'job', 1, now() from generate_series(1, 100) n`,
    );
    await db.query('delete from pgflow.flows');
    await vi.waitFor(
      async () => {
        const found = troubles(await diagnose(database, 'pgflow', { deadRows: 50 }));
        expect(found).toEqual([
          expect.objectContaining({
            check: 'bloat',
            message: expect.stringContaining('pgflow.flows has 100 dead'),
          }),
        ]);
      },
      { timeout: 20_000, interval: 200 },
    );
    expect(troubles(await diagnose(database, 'pgflow'))).toEqual([]);
  });

  test('reports an invalid index', async () => {
    const { db, pgflow } = await open('postgres');
    await db.query(
      `update pg_index set indisvalid = false where indexrelid = 'pgflow.runs_newest'::regclass`,
    );
    const [found] = troubles(await pgflow.doctor());
    expect(found).toMatchObject({
      check: 'indexes',
      level: 'error',
      message: expect.stringContaining('invalid'),
    });
    await db.query(found!.fix!.replace('Run: ', ''));
    expect((await pgflow.doctor()).ok).toBe(true);
  });

  test('a server that is away is one finding', async () => {
    const { db, pgflow } = await open('postgres');
    await db.close();
    const { ok, findings } = await pgflow.doctor();
    expect(ok).toBe(false);
    expect(findings).toEqual([expect.objectContaining({ check: 'database', level: 'error' })]);
  });

  test('a hint that a run is gone does no harm to one that is there', async () => {
    const { db, pgflow } = await open('postgres', { jobs: [echo()] });
    const { runId } = await pgflow.enqueue('echo', 'here');
    const live = await pgflow.track(runId);
    await db.query(`select pgflow.notify_changes(array[$1::uuid], array[2147483647], false)`, [runId]);
    await db.query(`select pgflow.notify_changes(array[$1::uuid], array[2147483647], false)`, [NOBODY]);
    await pgflow.start();
    expect((await live.waitFor('completed')).output).toBe('here');
  });
});
