import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { PGlite } from '@electric-sql/pglite';
import pg from 'pg';

export type DatabaseKind = 'postgres' | 'pglite';

/** A database of one test's own. */
export interface TestDatabase {
  readonly kind: DatabaseKind;
  /** What `createPgFlow({ database })` takes. */
  readonly database: string | PGlite;
  /** Of a PostgreSQL database; undefined for PGlite. */
  readonly url: string | undefined;
  /**
   * Runs a statement beside the code under test, on PostgreSQL over a connection of its own.
   * `bigint` comes as a number, JSON parsed, timestamps as `Date`, on both kinds.
   */
  query<Row = Record<string, any>>(sql: string, params?: unknown[]): Promise<Row[]>;
  /** Ends its connections and those of others, and drops it. Idempotent. */
  close(): Promise<void>;
}

const asNumber = {
  getTypeParser(oid: number, format?: 'text' | 'binary') {
    return oid === pg.types.builtins.INT8 ? Number : pg.types.getTypeParser(oid, format as 'text');
  },
};

/**
 * Creates an empty database on a PostgreSQL server.
 *
 * @param serverUrl of a database on it, with a user that may create databases.
 * @param prefix what its name starts with, so that a run can find its own: lower case, digits, `_`.
 */
export async function createPostgresDatabase(
  serverUrl: string,
  prefix = 'pgflow_test_',
): Promise<TestDatabase> {
  const name = `${prefix}${randomBytes(5).toString('hex')}`;
  await onServer(serverUrl, `create database ${name} template template0`);
  const url = withDatabase(serverUrl, name);
  const pool = new pg.Pool({ connectionString: url, max: 2, types: asNumber as pg.CustomTypesConfig });
  pool.on('error', () => {}); // An idle connection ends when a test stops the server; the next query tells.
  let closing: Promise<void> | undefined;
  return {
    kind: 'postgres',
    database: url,
    url,
    query: async (sql, params) => (await pool.query(sql, params)).rows,
    close() {
      closing ??= pool.end().then(() => onServer(serverUrl, `drop database if exists ${name} with (force)`));
      return closing;
    },
  };
}

/** Creates an empty PGlite in memory, from a data directory that was dumped once: 0.5 s instead of 3. */
export async function createPgliteDatabase(): Promise<TestDatabase> {
  const database = await PGlite.create({ loadDataDir: new Blob([await pgliteTemplate()]) });
  return {
    kind: 'pglite',
    database,
    url: undefined,
    query: async <Row>(sql: string, params?: unknown[]) => (await database.query<Row>(sql, params)).rows,
    async close() {
      if (!database.closed) await database.close();
    },
  };
}

/** Drops what tests that were killed left on a server. */
export async function dropTestDatabases(serverUrl: string, prefix: string): Promise<void> {
  const client = new pg.Client(serverUrl);
  await client.connect();
  try {
    const { rows } = await client.query<{ datname: string }>(
      'select datname from pg_database where starts_with(datname, $1)',
      [prefix],
    );
    for (const { datname } of rows) await client.query(`drop database if exists ${datname} with (force)`);
  } finally {
    await client.end();
  }
}

async function pgliteTemplate(): Promise<Uint8Array<ArrayBuffer>> {
  const manifest = join(
    dirname(createRequire(import.meta.url).resolve('@electric-sql/pglite')),
    '../package.json',
  );
  const { version } = JSON.parse(readFileSync(manifest, 'utf8')) as { version: string };
  const folder = join(import.meta.dirname, '../../.tmp');
  const file = join(folder, `pglite-${version}.tar`);
  if (!existsSync(file)) {
    const fresh = await PGlite.create();
    const dump = await fresh.dumpDataDir('none');
    await fresh.close();
    mkdirSync(folder, { recursive: true });
    // Several test processes may get here at once; a rename never shows a half-written file.
    const own = `${file}.${process.pid}`;
    writeFileSync(own, Buffer.from(await dump.arrayBuffer()));
    renameSync(own, file);
  }
  return new Uint8Array(readFileSync(file));
}

async function onServer(serverUrl: string, statement: string): Promise<void> {
  const client = new pg.Client(serverUrl);
  await client.connect();
  try {
    await client.query(statement);
  } finally {
    await client.end();
  }
}

function withDatabase(serverUrl: string, name: string): string {
  const url = new URL(serverUrl);
  url.pathname = `/${name}`;
  return url.href;
}
