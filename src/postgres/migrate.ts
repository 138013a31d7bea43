import { PgFlowError } from '../errors.js';
import type { Database, Queryable } from './database.js';
import { quoteIdentifier, RELEASE, type Release, readSchema, type SchemaSource } from './schema.js';

type Transaction = Queryable & { exec(sql: string): Promise<void> };

interface Installed {
  readonly versions: readonly number[];
  readonly fingerprint: string;
  readonly release: Release;
}

const MARK = 'PgFlow Live';

/**
 * Brings the schema up to date: all in one transaction under an advisory lock, so that of ten
 * processes one applies and the others find it done, and a killed one leaves the old state.
 * A schema that a newer, compatible release made is left as it is: old and new processes share it in a rolling deploy.
 *
 * @returns the names of the migrations that were applied; empty when there was nothing to do.
 * @throws {PgFlowError} `SCHEMA_FOREIGN` when the schema holds something that is not ours; `SCHEMA_IN_USE` when workers
 *   are alive that could not go on with it; `SCHEMA_OUTDATED` when a newer release made it that this one cannot use.
 */
export async function migrate(database: Database, schema: string, release = RELEASE): Promise<string[]> {
  const source = readSchema(schema);
  if (fits(await readInstalled(database, schema), source, release, schema)) return [];
  return database.transaction(async (tx) => {
    await tx.query('select pg_advisory_xact_lock(hashtextextended($1, 0))', [`${MARK} migrate ${schema}`]);
    const installed = await readInstalled(tx, schema);
    if (fits(installed, source, release, schema)) return [];
    if (installed) await refuseInUse(tx, schema, installed, release);
    else await createSchema(tx, schema);
    const missing = source.migrations.filter(({ version }) => !installed?.versions.includes(version));
    for (const migration of missing) await applyMigration(tx, schema, migration);
    await replaceFunctions(tx, schema, source, release);
    return missing.map(({ name }) => name);
  });
}

/**
 * Only looks whether the schema fits this release.
 *
 * @throws {PgFlowError} `SCHEMA_OUTDATED`, saying what to run; `SCHEMA_FOREIGN` as `migrate` does.
 */
export async function checkSchema(database: Database, schema: string, release = RELEASE): Promise<void> {
  const installed = await readInstalled(database, schema);
  if (fits(installed, readSchema(schema), release, schema)) return;
  throw new PgFlowError(
    'SCHEMA_OUTDATED',
    `Schema \`${schema}\` in ${database.location} ${installed ? 'is older than this release of pgflow-live' : 'does not exist yet'}. Run \`npx pgflow-live migrate\` (with DATABASE_URL set), or pass \`migrate: true\` to createPgFlow.`,
    { data: { schema } },
  );
}

/** True when there is nothing to do. */
function fits(installed: Installed | null, source: SchemaSource, release: Release, schema: string): boolean {
  if (!installed) return false;
  const newest = Math.max(0, ...source.migrations.map(({ version }) => version));
  const ahead =
    Math.max(...installed.versions) > newest || isNewer(installed.release.version, release.version);
  if (!ahead) return installed.fingerprint === source.fingerprint;
  if (installed.release.protocol === release.protocol) return true;
  throw new PgFlowError(
    'SCHEMA_OUTDATED',
    `Schema \`${schema}\` was made by pgflow-live ${installed.release.version}, which ${release.version} cannot work with. Upgrade pgflow-live in this process.`,
    { data: { schema, release: installed.release.version } },
  );
}

function isNewer(a: string, b: string): boolean {
  return a.localeCompare(b, 'en', { numeric: true }) > 0;
}

async function refuseInUse(
  tx: Queryable,
  schema: string,
  installed: Installed,
  release: Release,
): Promise<void> {
  if (installed.release.protocol === release.protocol) return;
  const name = quoteIdentifier(schema);
  const alive = await tx.query<{ name: string }>(
    `select name from ${name}.workers where expires_at >= ${name}.now() and protocol <> $1 order by name`,
    [release.protocol],
  );
  if (alive.length === 0) return;
  const workers = alive.map((worker) => worker.name);
  throw new PgFlowError(
    'SCHEMA_IN_USE',
    `Schema \`${schema}\` cannot be upgraded to pgflow-live ${release.version} while workers of ${installed.release.version} run: ${workers.join(', ')}. Stop them, then migrate, then start the new ones. Nothing was changed.`,
    { data: { schema, workers } },
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
  const mark = /^PgFlow Live (\S+), protocol (\d+), functions ([0-9a-f]+)/.exec(found.mark ?? '');
  if (!mark) {
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
    fingerprint: mark[3]!,
    release: { version: mark[1]!, protocol: Number(mark[2]) },
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
async function replaceFunctions(
  tx: Transaction,
  schema: string,
  source: SchemaSource,
  release: Release,
): Promise<void> {
  const name = quoteIdentifier(schema);
  const old = await tx.query<{ signature: string }>(
    `select p.oid::regprocedure::text as signature from pg_proc p where p.pronamespace = $1::regnamespace`,
    [name],
  );
  await tx.exec('set local check_function_bodies = off');
  for (const { signature } of old) await tx.exec(`drop function ${signature} cascade`);
  for (const { sql } of source.functions) await tx.exec(sql);
  await tx.exec(`revoke execute on all functions in schema ${name} from public;
    comment on schema ${name} is '${MARK} ${release.version}, protocol ${release.protocol}, functions ${source.fingerprint}. Made and upgraded by pgflow-live.'`);
}
