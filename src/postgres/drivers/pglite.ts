import { mkdirSync } from 'node:fs';
import { PGlite, type PGliteInterface, type Transaction } from '@electric-sql/pglite';
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

function fromPglite(db: PGlite, location: string, end: () => Promise<void>): Database {
  let closing: Promise<void> | undefined;
  return {
    kind: 'pglite',
    location,
    ...engineOn(db),
    transaction: (fn) =>
      db.transaction((tx) => fn({ ...engineOn(tx), exec: async (sql) => void (await tx.exec(sql)) })),
    userTransaction: (fn) => db.transaction((tx) => fn(tx, engineOn(tx))),
    async listen(channel, onPayload) {
      const stop = await db.listen(channel, onPayload);
      return { ping: async () => {}, stop: () => stop() };
    },
    close() {
      closing ??= db.closed ? Promise.resolve() : end();
      return closing;
    },
  };
}
