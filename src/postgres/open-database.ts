import type { PGlite } from '@electric-sql/pglite';
import type pg from 'pg';
import { PgFlowError } from '../errors.js';
import type { Database } from './database.js';
import { openPostgres } from './drivers/pg.js';
import { openPglite } from './drivers/pglite.js';

/**
 * Where everything is stored: a `postgres://` URL, a `pg.Pool`, a `PGlite`, `'memory:'` for an embedded
 * database that keeps nothing, or undefined for the embedded one in `.pgflow/`.
 */
export type DatabaseOption = string | pg.Pool | PGlite | undefined;

const DIRECTORY = '.pgflow';

/** @throws {PgFlowError} `DATABASE_LOCKED`, or `INVALID_INPUT` for what is no database. */
export async function openDatabase(option: DatabaseOption): Promise<Database> {
  if (option === undefined || option === null || option === '') return openPglite({ directory: DIRECTORY });
  if (option === 'memory:') return openPglite('memory');
  if (typeof option === 'string') {
    if (/^postgres(ql)?:\/\//.test(option)) return openPostgres(option);
  } else if (typeof option === 'object') {
    if ('totalCount' in option) return openPostgres(option);
    if ('waitReady' in option) return openPglite(option);
  }
  throw new PgFlowError(
    'INVALID_INPUT',
    "createPgFlow({ database }) takes a postgres:// URL, a pg.Pool, a PGlite, 'memory:' or nothing (the embedded database in .pgflow/). It got something else.",
  );
}
