import { mkdirSync } from 'node:fs';
import { PGlite, type PGliteInterface, type Transaction } from '@electric-sql/pglite';
import { PgFlowError } from '../../errors.js';
import type { Database, Queryable } from '../database.js';
import { lockDirectory } from './lock-file.js';

const text = (value: string) => value;
/** As the other driver: times and 64-bit numbers as text. */
const parsers = { 20: text, 1082: text, 1114: text, 1184: text };

/**
 * PostgreSQL in this process. One session: statements wait for each other. A directory is guarded
 * by a lock file, since a second process on it would corrupt it.
 *
 * @throws {PgFlowError} `DATABASE_LOCKED` when another process has the directory open.
 */
export async function openPglite(given: PGlite | { directory: string } | 'memory'): Promise<Database> {
  if (given instanceof PGlite || (typeof given === 'object' && 'query' in given)) {
    return fromPglite(given as PGlite, 'the given PGlite', async () => {});
  }
  if (given === 'memory') {
    const memory = await PGlite.create();
    return fromPglite(memory, 'memory', () => memory.close());
  }
  mkdirSync(given.directory, { recursive: true });
  const unlock = lockDirectory(given.directory);
  try {
    const instance = await PGlite.create(given.directory);
    return fromPglite(instance, given.directory, () => instance.close().finally(unlock));
  } catch (error) {
    unlock();
    throw error;
  }
}

function engineOn(tx: PGliteInterface | Transaction): Queryable {
  return {
    query: async (sql, params) => (await tx.query(sql, params as unknown[], { parsers })).rows as never,
  };
}

/** One that its owner has closed is a database that is away. */
async function refuseClosed<T>(db: PGlite, location: string, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (!db.closed || error instanceof PgFlowError) throw error;
    const message = `The PGlite database (${location}) is closed. Close it after pgflow.stop().`;
    throw new PgFlowError('DATABASE_UNAVAILABLE', message, { cause: error });
  }
}

function fromPglite(db: PGlite, location: string, end: () => Promise<void>): Database {
  let closing: Promise<void> | undefined;
  const engine = engineOn(db);
  const transaction = <T>(fn: (tx: Transaction) => Promise<T>) =>
    refuseClosed(db, location, db.transaction(fn));
  return {
    kind: 'pglite',
    location,
    query: (sql, params) => refuseClosed(db, location, engine.query(sql, params)) as never,
    transaction: (fn) =>
      transaction((tx) => fn({ ...engineOn(tx), exec: async (sql) => void (await tx.exec(sql)) })),
    userTransaction: (fn) => transaction((tx) => fn(tx, engineOn(tx))),
    async listen(channel, onPayload) {
      const stop = await db.listen(channel, onPayload);
      return { ping: async () => {}, stop: async () => void (db.closed || (await stop())) };
    },
    close() {
      closing ??= db.closed ? Promise.resolve() : end();
      return closing;
    },
  };
}
