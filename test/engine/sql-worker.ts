import { hostname } from 'node:os';
import type { PGlite } from '@electric-sql/pglite';
import pg from 'pg';
import type { TestDatabase } from '../harness/databases.js';

/** A claim as the database gave it. */
export interface SqlClaim {
  run_id: string;
  step_index: number;
  task_index: number;
  claim: number;
  attempt: number;
}

export interface SqlEnd {
  readonly outcome: 'started' | 'completed' | 'failed';
  readonly output?: unknown;
  readonly error?: string;
  /** Seconds; -1: never. */
  readonly retryDelay?: number;
}

type Rows = Pick<TestDatabase, 'query'>;

/** A worker without a process: what it claims it holds until the clock moves past its lease. */
export async function claimBySql(db: Rows, batch = 100, lease = 30): Promise<SqlClaim[]> {
  const [worker] = await db.query(
    `select pgflow.register_worker($1, $2, array(select handler_id from pgflow.handlers), 100, 1) as id`,
    [`${hostname()}:999999999`, lease],
  );
  return db.query<SqlClaim>(
    `select * from pgflow.claim_tasks($1, array(select handler_id from pgflow.handlers), $2)
     order by run_id, step_index, task_index`,
    [worker!.id, batch],
  );
}

/** Settles one task under the claim given; returns the rows that the engine answered with. */
export function settleBySql(db: Rows, claim: SqlClaim, end: SqlEnd): Promise<Record<string, any>[]> {
  return db.query(
    `select * from pgflow.settle_tasks(array[$1::uuid], array[$2::int], array[$3::int], array[$4::int],
       array[$5::text], array[$6::text]::jsonb[], array[$7::text], array[$8::float8])`,
    [
      claim.run_id,
      claim.step_index,
      claim.task_index,
      claim.claim,
      end.outcome,
      end.outcome === 'completed' ? JSON.stringify(end.output ?? null) : null,
      end.error ?? null,
      end.retryDelay ?? null,
    ],
  );
}

/** All rows of a run, to compare with those after something that must change nothing. */
export async function dumpRun(db: Rows, runId: string): Promise<unknown> {
  const dump: unknown[] = [];
  for (const table of ['runs', 'run_steps']) {
    dump.push(
      await db.query(
        `select to_jsonb(t) as row from pgflow.${table} t where run_id = $1 order by to_jsonb(t)::text`,
        [runId],
      ),
    );
  }
  return dump;
}

/** Runs `work` in one transaction on one connection, which then ends as told. */
export async function inTransaction(
  db: TestDatabase,
  ending: 'commit' | 'rollback',
  work: (tx: Rows) => Promise<unknown>,
): Promise<void> {
  if (db.kind === 'pglite') {
    await (db.database as PGlite).transaction(async (tx) => {
      await work({ query: async (sql, params) => (await tx.query(sql, params)).rows as never });
      if (ending === 'rollback') await tx.rollback();
    });
    return;
  }
  const client = new pg.Client(db.url);
  await client.connect();
  try {
    await client.query('begin');
    await work({ query: async (sql, params) => (await client.query(sql, params)).rows });
    await client.query(ending);
  } finally {
    await client.end();
  }
}
