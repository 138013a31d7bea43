import { describe, inject } from 'vitest';
import {
  createPgliteDatabase,
  createPostgresDatabase,
  type DatabaseKind,
  type TestDatabase,
} from './test-database.js';

export { type PostgresServer, startPostgres } from './postgres-server.js';
export type { DatabaseKind, TestDatabase } from './test-database.js';

declare module 'vitest' {
  interface ProvidedContext {
    /** The server that all tests of a run share. */
    postgresUrl: string;
    /** What the names of this run's databases start with. */
    databasePrefix: string;
  }
}

/**
 * An empty database for one test or one file, on the run's PostgreSQL or in a PGlite of its own.
 * Whoever creates it closes it.
 *
 * @example
 * const db = await createTestDatabase(kind);
 * onTestFinished(() => db.close());
 * const pgflow = await createPgFlow({ database: db.database });
 */
export function createTestDatabase(kind: DatabaseKind): Promise<TestDatabase> {
  return kind === 'pglite'
    ? createPgliteDatabase()
    : createPostgresDatabase(sharedServer(), inject('databasePrefix'));
}

/** The URL of the server that all tests of a run share; for tests that put a proxy before it. */
export function sharedServer(): string {
  const url = inject('postgresUrl');
  if (!url) throw new Error('Unit tests have no PostgreSQL. Put this one into test/engine or test/e2e.');
  return url;
}

/** Runs the same tests on PostgreSQL and on PGlite. */
export function describeEachDatabase(name: string, tests: (kind: DatabaseKind) => void): void {
  describe.each<DatabaseKind>(['postgres', 'pglite'])(`${name} on %s`, (kind) => tests(kind));
}
