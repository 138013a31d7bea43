import { afterAll, beforeAll } from 'vitest';
import { createPgFlow } from '../../src/index.js';
import { createTestDatabase, type DatabaseKind, type TestDatabase } from '../harness/databases.js';

const spares = new Map<DatabaseKind, TestDatabase>();

/** A first PGlite takes seconds to compile, on a busy machine many: no test's patience is spent on it. */
beforeAll(async () => {
  const db = await createTestDatabase('pglite');
  const pgflow = await createPgFlow({ database: db.database, worker: false });
  await pgflow.stop();
  await giveBack(db);
}, 120_000);

afterAll(async () => {
  for (const db of spares.values()) await db.close();
  spares.clear();
});

/** An empty database: one that an earlier test of this file gave back, or a new one. */
export async function takeDatabase(kind: DatabaseKind): Promise<TestDatabase> {
  const spare = spares.get(kind);
  spares.delete(kind);
  return spare ?? createTestDatabase(kind);
}

/** For the next test, emptied. Only after a test that passed: else it may be in any state. */
export async function giveBack(db: TestDatabase): Promise<void> {
  const schemas = await db.query<{ name: string }>(
    `select quote_ident(nspname) as name from pg_namespace
     where nspname !~ '^(pg_|information_schema$|public$)'`,
  );
  for (const { name } of schemas) await db.query(`drop schema ${name} cascade`);
  if (spares.has(db.kind)) await db.close();
  else spares.set(db.kind, db);
}
