import type { Database } from './database.js';
import { migrate } from './migrate.js';
import { quoteIdentifier, RELEASE } from './schema.js';

/**
 * Makes all functions of a schema again, though it says that they are there. Tables stay. A schema that another
 * release made is only migrated.
 *
 * @returns as `migrate` does; it throws the same.
 */
export async function repairFunctions(database: Database, schema: string): Promise<string[]> {
  const [mark] = await database.query<{ text: string | null }>(
    `select obj_description(n.oid, 'pg_namespace') as text from pg_namespace n where n.nspname = $1`,
    [schema],
  );
  const forgotten = mark?.text?.replace(/functions [0-9a-f]+/, 'functions 0');
  if (forgotten?.startsWith(`PgFlow Live ${RELEASE.version},`)) {
    await database.query(
      `comment on schema ${quoteIdentifier(schema)} is '${forgotten.replaceAll("'", "''")}'`,
    );
  }
  return migrate(database, schema);
}
