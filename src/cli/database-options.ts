import { existsSync } from 'node:fs';
import type { Command } from 'commander';
import { PgFlowError } from '../errors.js';
import type { Database } from '../postgres/database.js';
import { openDatabase } from '../postgres/open-database.js';
import { checkSchemaName } from '../postgres/schema.js';

export interface DatabaseOptions {
  readonly database?: string;
  readonly schema: string;
}

/** The options by which every command finds its database. */
export function databaseOptions(command: Command): Command {
  return command
    .option(
      '-d, --database <url>',
      'postgres:// URL; default: $DATABASE_URL, else the embedded database in .pgflow/',
    )
    .option('-s, --schema <name>', 'schema that holds the tables', 'pgflow');
}

/** Opens the database for the time of `fn`. */
export async function withDatabase<T>(
  options: DatabaseOptions,
  fn: (database: Database, schema: string) => Promise<T>,
): Promise<T> {
  const schema = checkSchemaName(options.schema);
  const database = await openDatabase(options.database ?? process.env.DATABASE_URL);
  try {
    return await fn(database, schema);
  } finally {
    await database.close();
  }
}

/**
 * The URL of a database that is there already, or undefined for the embedded one.
 *
 * @throws {PgFlowError} `DATABASE_UNAVAILABLE` when none is named and there is no embedded one here.
 */
export function existingDatabase(options: DatabaseOptions): string | undefined {
  const url = (options.database ?? process.env.DATABASE_URL) || undefined;
  if (url !== undefined || existsSync('.pgflow')) return url;
  throw new PgFlowError(
    'DATABASE_UNAVAILABLE',
    'Neither --database nor DATABASE_URL is set, and there is no embedded database in .pgflow/ here. Set one of them, or run this where .pgflow/ is.',
  );
}
