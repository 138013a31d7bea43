import type { PGlite } from '@electric-sql/pglite';
import { PgFlowError } from '../errors.js';
import { cloneDatabase } from '../postgres/clone-database.js';
import { openDatabase } from '../postgres/open-database.js';
import { checkSchemaName } from '../postgres/schema.js';
import { type Clock, createClock } from './clock.js';
import { drain } from './drain.js';
import { createTestPglite } from './pglite-template.js';

/** Where a test's database is made, and how long it is waited for. */
export interface TestDatabaseOptions {
  /**
   * Where: the `postgres://` URL of a database on a server, of a user who may create databases, or `'memory:'` for a
   * PGlite in this process. Default `'memory:'`; undefined and `''` too, so that `process.env.TEST_DATABASE_URL` will do.
   */
  readonly database?: string | undefined;
  /** Default `pgflow`. */
  readonly schema?: string | undefined;
  /** Seconds that `drain` waits at most, and `waitFor` of a test pgflow. Default 30. */
  readonly timeout?: number | undefined;
}

/** What tests share, whoever makes the pgflow. */
export interface TestDatabase extends AsyncDisposable {
  /** What `createPgFlow({ database })` takes: the new database's URL, or a PGlite. */
  readonly database: string | PGlite;
  /** Its clock. What comes due by a move is begun at once. */
  readonly clock: Clock;
  /**
   * Resolves when no task is being executed or due, in whatever process. Delayed starts and retries whose time has
   * not come do not count: move the clock first. `getRun` then shows all that was done.
   *
   * @param options `timeout`: seconds; default that of the test database.
   * @throws {PgFlowError} `TIMEOUT`, saying which steps are at work or due, and why.
   */
  drain(options?: { readonly timeout?: number }): Promise<void>;
  /** Deletes the database. Idempotent. Stop your pgflows first. */
  close(): Promise<void>;
}

export const TIMEOUT = 30;

/**
 * A database for one test, with the schema in it. The first in a process, or on a server, takes seconds to make; it
 * becomes the template of the rest.
 *
 * For tests that make their own pgflows; else `createTestPgFlow` does both.
 *
 * @throws {PgFlowError} `DATABASE_UNAVAILABLE`, `INVALID_INPUT`, `INVALID_DEFINITION` for the schema's name.
 * @example
 * await using db = await createTestDatabase({ database: process.env.TEST_DATABASE_URL });
 * const pgflow = await createPgFlow({ database: db.database, flows: [processOrder] });
 */
export async function createTestDatabase(options: TestDatabaseOptions = {}): Promise<TestDatabase> {
  const schema = checkSchemaName(options.schema ?? 'pgflow');
  const { database, remove } = await createDatabase(options.database || 'memory:', schema);
  const port = await openDatabase(database);
  let closing: Promise<void> | undefined;
  const close = () => {
    closing ??= port.close().then(remove);
    return closing;
  };
  return {
    database,
    clock: createClock(port, schema),
    drain: ({ timeout = options.timeout ?? TIMEOUT } = {}) => drain(port, schema, timeout),
    close,
    [Symbol.asyncDispose]: close,
  };
}

async function createDatabase(
  where: string,
  schema: string,
): Promise<{ database: string | PGlite; remove: () => Promise<void> }> {
  if (where === 'memory:') {
    const pglite = await createTestPglite(schema);
    return { database: pglite, remove: async () => void (pglite.closed || (await pglite.close())) };
  }
  if (/^postgres(ql)?:\/\//.test(where)) {
    const { url, drop } = await cloneDatabase(where, schema);
    return { database: url, remove: drop };
  }
  throw new PgFlowError(
    'INVALID_INPUT',
    "A test database is made on a server, given by a postgres:// URL, or in this process, with 'memory:' or nothing. It got something else.",
  );
}
