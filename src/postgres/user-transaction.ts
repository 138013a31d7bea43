import { PgFlowError } from '../errors.js';
import type { Queryable } from './database.js';

/** A `pg` client, or a PGlite transaction. */
export interface PgTransaction {
  query(text: string, values: any[]): Promise<{ rows: any[] }>;
}

/** The `sql` of a postgres.js transaction. */
export interface PostgresJsTransaction {
  unsafe(text: string, values: any[]): PromiseLike<any>;
}

/** The `tx` of a Drizzle transaction, on any of its PostgreSQL drivers. */
export interface DrizzleTransaction {
  execute(query: any): PromiseLike<any>;
}

/** The `trx` of a Kysely transaction. */
export interface KyselyTransaction {
  executeQuery(query: any): Promise<{ rows: any[] }>;
}

/** Your own transaction, as your library gives it to you. */
export type Tx = PgTransaction | PostgresJsTransaction | DrizzleTransaction | KyselyTransaction;

/**
 * Runs the engine's statements in the user's transaction. The parameters are texts, each used once and in order, and
 * the only column is a text: so the drivers' own ideas of types do not matter.
 *
 * @throws {PgFlowError} `INVALID_INPUT` for what is none of these.
 */
export function queryIn(tx: Tx): Queryable {
  const run = chooseRun(tx);
  return { query: async (sql, params = []) => (await run(sql, [...params])) as never };
}

function chooseRun(tx: Tx): (text: string, values: unknown[]) => Promise<unknown[]> {
  const has = <Name extends string>(name: Name): boolean => typeof (tx as any)?.[name] === 'function';
  if (isDatabase(tx, has)) throw notATransaction();
  if (has('executeQuery')) return (text, values) => runKysely(tx as KyselyTransaction, text, values);
  if (has('unsafe'))
    return async (text, values) => [...(await (tx as PostgresJsTransaction).unsafe(text, values))];
  // Drizzle's transactions have a `query` too, an object.
  if (has('query')) return async (text, values) => (await (tx as PgTransaction).query(text, values)).rows;
  if (has('execute')) return (text, values) => runDrizzle(tx as DrizzleTransaction, text, values);
  throw notATransaction();
}

/** What these libraries open transactions on takes the same calls, and would run them outside of any. */
function isDatabase(tx: any, has: (name: string) => boolean): boolean {
  if (has('executeQuery')) return tx.isTransaction === false;
  if (has('unsafe')) return has('begin');
  if (has('query')) return 'totalCount' in tx || has('execProtocol');
  return has('execute') && !has('rollback');
}

function notATransaction(): PgFlowError {
  return new PgFlowError(
    'INVALID_INPUT',
    'The option `tx` takes an open transaction: a client of pg, or what PGlite, postgres.js, Drizzle or Kysely hand to the function that runs in it. Nothing was started.',
    { data: { issues: [{ path: 'tx', message: 'Expected a transaction' }] } },
  );
}

async function runKysely(tx: KyselyTransaction, text: string, values: unknown[]): Promise<unknown[]> {
  const { CompiledQuery } = await import('kysely');
  return (await tx.executeQuery(CompiledQuery.raw(text, values))).rows;
}

async function runDrizzle(tx: DrizzleTransaction, text: string, values: unknown[]): Promise<unknown[]> {
  const { sql } = await import('drizzle-orm');
  const parts = text
    .split(/\$\d+/)
    .flatMap((part, i) => (i < values.length ? [sql.raw(part), sql`${values[i]}`] : [sql.raw(part)]));
  const result = await tx.execute(sql.join(parts));
  return Array.isArray(result) ? [...result] : result.rows;
}
