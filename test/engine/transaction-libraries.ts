import type { PGlite } from '@electric-sql/pglite';
import { sql } from 'drizzle-orm';
import { drizzle as drizzleOnPg } from 'drizzle-orm/node-postgres';
import { drizzle as drizzleOnPglite } from 'drizzle-orm/pglite';
import { drizzle as drizzleOnPostgresJs } from 'drizzle-orm/postgres-js';
import {
  CamelCasePlugin,
  CompiledQuery,
  Kysely,
  type KyselyPlugin,
  ParseJSONResultsPlugin,
  PostgresDialect,
} from 'kysely';
import pg from 'pg';
import postgres from 'postgres';
import type { Tx } from '../../src/postgres/user-transaction.js';
import type { DatabaseKind, TestDatabase } from '../harness/databases.js';

/** Runs a statement in the transaction, as the library's users do. */
type Execute = (statement: string) => PromiseLike<unknown>;

/** A library connected to a database. */
export interface Opened {
  /** What transactions are opened on; it is none itself, where the library tells the two apart. */
  readonly root: unknown;
  /** Commits what `fn` returns, rolls back what it throws. */
  transaction<T>(fn: (tx: Tx, execute: Execute) => Promise<T>): Promise<T>;
  close(): Promise<void>;
}

export interface Library {
  readonly name: string;
  readonly kind: DatabaseKind;
  open(db: TestDatabase): Promise<Opened>;
}

/** All that `tx` takes, each used as its manual says. */
export const LIBRARIES: readonly Library[] = [
  { name: 'pg Client', kind: 'postgres', open: openClient },
  { name: 'pg PoolClient', kind: 'postgres', open: openPoolClient },
  { name: 'postgres.js', kind: 'postgres', open: openPostgresJs },
  {
    name: 'postgres.js with its options',
    kind: 'postgres',
    open: (db) => openPostgresJs(db, { prepare: false, transform: postgres.camel }),
  },
  { name: 'Drizzle on pg', kind: 'postgres', open: openDrizzleOnPg },
  { name: 'Drizzle on postgres.js', kind: 'postgres', open: openDrizzleOnPostgresJs },
  { name: 'Kysely', kind: 'postgres', open: openKysely },
  {
    name: 'Kysely with its plugins',
    kind: 'postgres',
    open: (db) => openKysely(db, [new CamelCasePlugin(), new ParseJSONResultsPlugin()]),
  },
  { name: 'PGlite', kind: 'pglite', open: openPglite },
  { name: 'Drizzle on PGlite', kind: 'pglite', open: openDrizzleOnPglite },
];

async function openClient({ url }: TestDatabase): Promise<Opened> {
  const client = new pg.Client(url);
  await client.connect();
  return { root: null, transaction: (fn) => inTransaction(client, fn), close: () => client.end() };
}

async function openPoolClient({ url }: TestDatabase): Promise<Opened> {
  const pool = new pg.Pool({ connectionString: url, max: 1 });
  return {
    root: pool,
    async transaction(fn) {
      const client = await pool.connect();
      try {
        return await inTransaction(client, fn);
      } finally {
        client.release();
      }
    },
    close: () => pool.end(),
  };
}

async function inTransaction<T>(
  client: pg.ClientBase,
  fn: (tx: Tx, execute: Execute) => Promise<T>,
): Promise<T> {
  await client.query('begin');
  try {
    const result = await fn(client, (statement) => client.query(statement));
    await client.query('commit');
    return result;
  } catch (error) {
    await client.query('rollback');
    throw error;
  }
}

async function openPostgresJs(
  { url }: TestDatabase,
  options: postgres.Options<Record<string, never>> = {},
): Promise<Opened> {
  const client = postgres(url!, { max: 1, ...options });
  return {
    root: client,
    transaction: async <T>(fn: (tx: Tx, execute: Execute) => Promise<T>) =>
      (await client.begin((tx) => fn(tx, (statement) => tx.unsafe(statement)))) as T,
    close: () => client.end(),
  };
}

async function openDrizzleOnPg({ url }: TestDatabase): Promise<Opened> {
  const pool = new pg.Pool({ connectionString: url, max: 1 });
  const root = drizzleOnPg({ client: pool });
  return {
    root,
    transaction: (fn) => root.transaction((tx) => fn(tx, (statement) => tx.execute(sql.raw(statement)))),
    close: () => pool.end(),
  };
}

async function openDrizzleOnPostgresJs({ url }: TestDatabase): Promise<Opened> {
  const client = postgres(url!, { max: 1 });
  const root = drizzleOnPostgresJs({ client });
  return {
    root,
    transaction: (fn) => root.transaction((tx) => fn(tx, (statement) => tx.execute(sql.raw(statement)))),
    close: () => client.end(),
  };
}

async function openKysely({ url }: TestDatabase, plugins: KyselyPlugin[] = []): Promise<Opened> {
  const root = new Kysely<unknown>({
    dialect: new PostgresDialect({ pool: new pg.Pool({ connectionString: url, max: 1 }) }),
    plugins,
  });
  return {
    root,
    transaction: (fn) =>
      root
        .transaction()
        .execute((trx) => fn(trx, (statement) => trx.executeQuery(CompiledQuery.raw(statement)))),
    close: () => root.destroy(),
  };
}

async function openPglite({ database }: TestDatabase): Promise<Opened> {
  const root = database as PGlite;
  return {
    root,
    transaction: (fn) => root.transaction((tx) => fn(tx, (statement) => tx.query(statement))),
    close: async () => {},
  };
}

async function openDrizzleOnPglite({ database }: TestDatabase): Promise<Opened> {
  const root = drizzleOnPglite({ client: database as PGlite });
  return {
    root,
    transaction: (fn) => root.transaction((tx) => fn(tx, (statement) => tx.execute(sql.raw(statement)))),
    close: async () => {},
  };
}
