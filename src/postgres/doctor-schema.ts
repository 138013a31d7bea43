import { PgFlowError } from '../errors.js';
import type { Database } from './database.js';
import { type Finding, failure, fine, warning } from './finding.js';
import { type Manifest, manifestOf } from './manifest.js';
import { checkSchema } from './migrate.js';
import { readSchema } from './schema.js';

/** Whether the schema is ours and fits this release; `usable` when the other checks can read it. */
export async function checkInstalled(
  database: Database,
  schema: string,
): Promise<{ finding: Finding; usable: boolean }> {
  try {
    await checkSchema(database, schema);
    return { finding: fine('schema', `Schema ${schema} fits this release.`), usable: true };
  } catch (error) {
    if (!(error instanceof PgFlowError) || !error.code.startsWith('SCHEMA_')) throw error;
    const [what, fix] = splitFix(error.message);
    return { finding: failure('schema', what, fix), usable: false };
  }
}

/** Messages of errors end with what to do. */
function splitFix(message: string): [what: string, fix: string] {
  const [, what, fix] = /^(.*?[.;]) ((?:Run|Choose|Upgrade|nothing in it).*)$/s.exec(message) ?? [];
  return what && fix ? [what, fix] : [message, 'See the message.'];
}

/** Compares what is installed with what the SQL files make. */
export async function checkObjects(database: Database, schema: string): Promise<Finding[]> {
  const source = readSchema(schema);
  const [mark] = await database.query<{ text: string | null }>(
    `select obj_description(n.oid, 'pg_namespace') as text from pg_namespace n where n.nspname = $1`,
    [schema],
  );
  if (!mark?.text?.includes(`functions ${source.fingerprint}`)) {
    return [fine('objects', 'A newer release made the schema, so its parts are not compared with this one.')];
  }
  const manifest = manifestOf(source, schema);
  return [
    ...(await checkRelations(database, schema, manifest)),
    ...(await checkFunctions(database, schema, manifest)),
  ];
}

async function checkRelations(database: Database, schema: string, manifest: Manifest): Promise<Finding[]> {
  const rows = await database.query<{ name: string; valid: boolean | null }>(
    `select c.relname::text as name, i.indisvalid and i.indisready as valid
     from pg_class c join pg_namespace n on n.oid = c.relnamespace left join pg_index i on i.indexrelid = c.oid
     where n.nspname = $1`,
    [schema],
  );
  const found = new Map(rows.map(({ name, valid }) => [name, valid]));
  const findings: Finding[] = [];
  const tables = [...manifest.tables, ...manifest.types].filter((name) => !found.has(name));
  for (const name of tables) {
    findings.push(
      failure(
        'tables',
        `${schema}.${name} is missing.`,
        'Restore it from a backup: migrations that were applied are not applied again.',
      ),
    );
  }
  if (tables.length === 0) findings.push(fine('tables', `All ${manifest.tables.length} tables are there.`));
  const indexes: Finding[] = [];
  for (const [name, statement] of manifest.indexes) {
    if (!found.has(name)) {
      indexes.push(
        failure(
          'indexes',
          `Index ${schema}.${name} is missing: statements that need it read whole tables.`,
          `Run: ${statement.replace(/\s+/g, ' ')}`,
        ),
      );
    } else if (found.get(name) === false) {
      indexes.push(
        failure(
          'indexes',
          `Index ${schema}.${name} is invalid, so it is not used.`,
          `Run: reindex index "${schema}".${name};`,
        ),
      );
    }
  }
  if (indexes.length === 0) indexes.push(fine('indexes', `All ${manifest.indexes.size} indexes are there.`));
  return [...findings, ...indexes];
}

const REPAIR = 'Run `npx pgflow-live migrate --repair`, which makes all functions again.';

async function checkFunctions(database: Database, schema: string, manifest: Manifest): Promise<Finding[]> {
  const rows = await database.query<{ name: string; body: string }>(
    `select p.proname::text as name, p.prosrc as body from pg_proc p join pg_namespace n on n.oid = p.pronamespace
     where n.nspname = $1`,
    [schema],
  );
  const found = new Map(rows.map(({ name, body }) => [name, body]));
  const findings: Finding[] = [];
  for (const [name, body] of manifest.functions) {
    if (!found.has(name)) {
      findings.push(failure('functions', `Function ${schema}.${name} is missing.`, REPAIR));
    } else if (found.get(name) !== body) {
      findings.push(warning('functions', `Function ${schema}.${name} is not as it was installed.`, REPAIR));
    }
  }
  if (findings.length > 0) return findings;
  return [fine('functions', `All ${manifest.functions.size} functions are as they were installed.`)];
}
