import { PgFlowError } from '../errors.js';
import type { Database, Queryable } from './database.js';
import { quoteIdentifier, readSchema, type SchemaSource } from './schema.js';

type Transaction = Queryable & { exec(sql: string): Promise<void> };

interface Installed {
  readonly versions: readonly number[];
  readonly fingerprint: string | null;
}

const MARK = 'PgFlow Live';

/**
 * Brings the schema up to date: all in one transaction under an advisory lock, so that of ten
 * processes one applies and the others find it done, and a killed one leaves the old state.
 *
 * @returns the names of the migrations that were applied; empty when there was nothing to do.
 * @throws {PgFlowError} `SCHEMA_FOREIGN` when the schema holds something that is not ours;
 *   `SCHEMA_OUTDATED` when it was made by a newer release than this one.
 */
export async function migrate(database: Database, schema: string): Promise<string[]> {
  const source = readSchema(schema);
  if (isCurrent(await readInstalled(database, schema), source)) return [];
  return database.transaction(async (tx) => {
    await tx.query('select pg_advisory_xact_lock(hashtextextended($1, 0))', [`${MARK} migrate ${schema}`]);
    const installed = await readInstalled(tx, schema);
    if (isCurrent(installed, source)) return [];
    refuseNewer(installed, source, schema);
    if (!installed) await createSchema(tx, schema);
    const missing = source.migrations.filter(({ version }) => !installed?.versions.includes(version));
    for (const migration of missing) await applyMigration(tx, schema, migration);
    await replaceFunctions(tx, schema, source);
    return missing.map(({ name }) => name);
  });
}

/**
 * Only looks whether the schema fits this release.
 *
 * @throws {PgFlowError} `SCHEMA_OUTDATED`, saying what to run; `SCHEMA_FOREIGN` as `migrate` does.
 */
export async function checkSchema(database: Database, schema: string): Promise<void> {
  const source = readSchema(schema);
  const installed = await readInstalled(database, schema);
  if (isCurrent(installed, source)) return;
  refuseNewer(installed, source, schema);
  throw new PgFlowError(
    'SCHEMA_OUTDATED',
    `Schema \`${schema}\` in ${database.location} ${installed ? 'is older than this release of pgflow-live' : 'does not exist yet'}. Run \`npx pgflow-live migrate\` (with DATABASE_URL set), or pass \`migrate: true\` to createPgFlow.`,
    { data: { schema } },
  );
}

function isCurrent(installed: Installed | null, source: SchemaSource): boolean {
  return installed?.fingerprint === source.fingerprint;
}

function refuseNewer(installed: Installed | null, source: SchemaSource, schema: string): void {
  const newest = Math.max(0, ...source.migrations.map(({ version }) => version));
  const ahead = installed?.versions.filter((version) => version > newest) ?? [];
  if (ahead.length === 0) return;
  throw new PgFlowError(
    'SCHEMA_OUTDATED',
    `Schema \`${schema}\` has migration ${Math.max(...ahead)}, this release of pgflow-live knows them up to ${newest}. Upgrade pgflow-live in this process.`,
    { data: { schema } },
  );
}

/** What is installed; null when the schema is absent or empty. */
async function readInstalled(database: Queryable, schema: string): Promise<Installed | null> {
  const [found] = await database.query<{ mark: string | null; filled: boolean }>(
    `select obj_description(n.oid, 'pg_namespace') as mark,
       exists (select from pg_class c where c.relnamespace = n.oid)
         or exists (select from pg_proc p where p.pronamespace = n.oid) as filled
     from pg_namespace n where n.nspname = $1`,
    [schema],
  );
  if (!found?.filled) return null;
  if (!found.mark?.startsWith(MARK)) {
    throw new PgFlowError(
      'SCHEMA_FOREIGN',
      `Schema \`${schema}\` exists already and was not made by pgflow-live; nothing in it was touched. Choose another name with \`createPgFlow({ schema })\`.`,
      { data: { schema } },
    );
  }
  const rows = await database.query<{ version: number }>(
    `select version from ${quoteIdentifier(schema)}.migrations order by version`,
  );
  return {
    versions: rows.map(({ version }) => version),
    fingerprint: found.mark.split(' functions ')[1] ?? null,
  };
}

async function createSchema(tx: Transaction, schema: string): Promise<void> {
  const name = quoteIdentifier(schema);
  await tx.exec(`create schema if not exists ${name};
    create table ${name}.migrations (version int primary key, name text not null, applied_at timestamptz not null);
    revoke all on schema ${name} from public;`);
}

async function applyMigration(
  tx: Transaction,
  schema: string,
  migration: SchemaSource['migrations'][number],
): Promise<void> {
  await tx.exec(migration.sql);
  await tx.query(`insert into ${quoteIdentifier(schema)}.migrations values ($1, $2, clock_timestamp())`, [
    migration.version,
    migration.name,
  ]);
}

/** Functions call each other, and a signature may have changed: all go, all come. */
async function replaceFunctions(tx: Transaction, schema: string, source: SchemaSource): Promise<void> {
  const name = quoteIdentifier(schema);
  const old = await tx.query<{ signature: string }>(
    `select p.oid::regprocedure::text as signature from pg_proc p where p.pronamespace = $1::regnamespace`,
    [name],
  );
  await tx.exec('set local check_function_bodies = off');
  for (const { signature } of old) await tx.exec(`drop function ${signature} cascade`);
  for (const { sql } of source.functions) await tx.exec(sql);
  await tx.exec(`revoke execute on all functions in schema ${name} from public;
    comment on schema ${name} is '${MARK}: durable flows. Do not edit by hand. functions ${source.fingerprint}'`);
}
