import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { PgFlowError } from '../errors.js';

/** The SQL that makes the schema, read from the files beside this one and written for its real name. */
export interface SchemaSource {
  /** Numbered, append-only: tables, indexes, types. */
  readonly migrations: readonly { version: number; name: string; sql: string }[];
  /** One statement for each function; all are replaced together. */
  readonly functions: readonly { name: string; sql: string }[];
  /** Names the whole of it: equal exactly when migrations and functions are. */
  readonly fingerprint: string;
}

/** What this code is, beside the SQL that it brings. */
export interface Release {
  /** The package's version. */
  readonly version: string;
  /**
   * What workers and functions expect of each other. Raised when running workers of the release before could
   * not go on with this release's functions: `migrate` then refuses while one is alive.
   */
  readonly protocol: number;
}

export const RELEASE: Release = {
  version: (JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as Release)
    .version,
  protocol: 1,
};

export function quoteIdentifier(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

function quoteLiteral(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

const FOLDER = new URL('./', import.meta.url);

function readFolder(folder: string): { name: string; text: string }[] {
  const url = new URL(`${folder}/`, FOLDER);
  return readdirSync(url)
    .filter((name) => name.endsWith('.sql'))
    .sort()
    .map((name) => ({ name: name.slice(0, -4), text: readFileSync(new URL(name, url), 'utf8') }));
}

/** The files say `pgflow.` before each name and `'pgflow'` for the schema as a text. */
function writeFor(schema: string, text: string): string {
  return text
    .replaceAll(/\bpgflow\./g, `${quoteIdentifier(schema)}.`)
    .replaceAll("'pgflow'", quoteLiteral(schema));
}

export function readSchema(schema: string): SchemaSource {
  const migrations = readFolder('migrations');
  const functions = readFolder('functions');
  const hash = createHash('sha256');
  for (const file of [...migrations, ...functions]) hash.update(`${file.name}\n${file.text}\n`);
  return {
    migrations: migrations.map(({ name, text }) => ({
      version: Number.parseInt(name, 10),
      name,
      sql: writeFor(schema, text),
    })),
    functions: functions.map(({ name, text }) => ({ name, sql: writeFor(schema, text) })),
    fingerprint: hash.digest('hex').slice(0, 16),
  };
}

/**
 * A schema's name is an identifier and the name of its notification channel, both at most 63 bytes.
 *
 * @throws {PgFlowError} `INVALID_DEFINITION`
 */
export function checkSchemaName(schema: string): string {
  if (typeof schema === 'string' && /^[A-Za-z_][A-Za-z0-9_]{0,62}$/.test(schema)) return schema;
  throw new PgFlowError(
    'INVALID_DEFINITION',
    `A schema's name has 1 to 63 letters, digits and underscores, not beginning with a digit, so ${JSON.stringify(schema)} is none.`,
  );
}
