import { createHash, randomBytes } from 'node:crypto';
import type { Database } from './database.js';
import { openPostgres } from './drivers/pg.js';
import { migrate } from './migrate.js';
import { quoteIdentifier, RELEASE, readSchema } from './schema.js';

export interface ClonedDatabase {
  readonly url: string;
  /** Ends all connections to it and deletes it. */
  drop(): Promise<void>;
}

/**
 * Creates a database with the schema in it, for tests: a copy of a template that the first caller on the server
 * makes and leaves there. Each release and each schema's name has a template of its own.
 *
 * @param server URL of a database on it, of a user who may create databases.
 * @throws {PgFlowError} `DATABASE_UNAVAILABLE`
 */
export async function cloneDatabase(server: string, schema: string): Promise<ClonedDatabase> {
  const name = randomName('pgflow_test');
  await onServer(server, async (database) => {
    const template = await ensureTemplate(database, server, schema);
    await database.query(`create database ${name} template ${template}`);
  });
  return {
    url: urlOf(server, name),
    drop: () => onServer(server, (database) => drop(database, name)),
  };
}

async function ensureTemplate(database: Database, server: string, schema: string): Promise<string> {
  const name = await templateName(database, schema);
  if (await exists(database, name)) return name;
  return database.transaction(async (tx) => {
    await tx.query('select pg_advisory_xact_lock(hashtextextended($1, 0))', [name]);
    // `create database` refuses to be in a transaction, so it goes over another connection.
    if (!(await exists(database, name))) await makeTemplate(database, server, schema, name);
    return name;
  });
}

/** Under another name until it is complete: whoever is killed on the way leaves no half template. */
async function makeTemplate(database: Database, server: string, schema: string, name: string): Promise<void> {
  const draft = randomName('pgflow_draft');
  await database.query(`create database ${draft}`);
  try {
    const inside = openPostgres(urlOf(server, draft));
    await migrate(inside, schema).finally(() => inside.close());
    // A template that somebody is connected to cannot be copied.
    await database.query(`alter database ${draft} with allow_connections false`);
    await database.query(`alter database ${draft} rename to ${name}`);
  } catch (error) {
    await drop(database, draft).catch(() => {});
    throw error;
  }
}

/** Copying takes the owner, so users have templates of their own. */
async function templateName(database: Database, schema: string): Promise<string> {
  const [row] = await database.query<{ name: string }>('select current_user::text as name');
  const key = [row!.name, schema, RELEASE.version, RELEASE.protocol, readSchema(schema).fingerprint];
  return `pgflow_template_${createHash('sha256').update(JSON.stringify(key)).digest('hex').slice(0, 16)}`;
}

async function exists(database: Database, name: string): Promise<boolean> {
  return (await database.query('select from pg_database where datname = $1', [name])).length > 0;
}

async function drop(database: Database, name: string): Promise<void> {
  await database.query(`drop database if exists ${quoteIdentifier(name)} with (force)`);
}

async function onServer<T>(server: string, fn: (database: Database) => Promise<T>): Promise<T> {
  const database = openPostgres(server);
  try {
    return await fn(database);
  } finally {
    await database.close();
  }
}

function randomName(prefix: string): string {
  return `${prefix}_${randomBytes(8).toString('hex')}`;
}

function urlOf(server: string, name: string): string {
  const url = new URL(server);
  url.pathname = `/${name}`;
  return url.href;
}
