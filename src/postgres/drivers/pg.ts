import pg from 'pg';
import type { Database, QueryOptions } from '../database.js';
import { withDeadline } from '../deadline.js';
import { explain, redactUrl } from './pg-errors.js';
import { listen } from './pg-listen.js';
import { PreparedStatements } from './prepared.js';

/** JSON parsed, small numbers as numbers, everything else as text: whatever parsers the user set globally. */
const types = {
  getTypeParser(oid: number): (text: any) => unknown {
    if (oid === 114 || oid === 3802) return JSON.parse;
    if (oid === 21 || oid === 23 || oid === 700 || oid === 701) return Number;
    if (oid === 16) return (text: string) => text === 't';
    return (text: string) => text;
  },
};

const CONNECT_TIMEOUT = 10_000;
/** A half-open connection neither answers nor fails: without an end of patience the engine would wait for ever. */
const ANSWER_TIMEOUT = 30_000;
/** How long closing waits for statements under way. */
const CLOSE_TIMEOUT = 5;
/** Of each lane; and of all else, which claims, tells, beats, reads and notifies. */
const CONNECTIONS = { start: 2, settle: 2, other: 5 };

/**
 * A server reached through `pg`. The engine has a few connections of its own, so that handlers which hold all
 * of the pool cannot keep it from claiming, settling and its heartbeat; starts and settles have theirs, since each
 * connection makes their plans once more. Handlers' `commit` takes connections of the
 * given pool, else of a second one. What was given is never ended.
 */
export function openPostgres(given: string | pg.Pool): Database {
  const config = configOf(given);
  const location = typeof given === 'string' ? redactUrl(given) : (given.options.host ?? 'the given pool');
  const openEngine = (max: number) => openPool({ ...config, max, application_name: 'pgflow-live' });
  const lanes = { start: openEngine(CONNECTIONS.start), settle: openEngine(CONNECTIONS.settle) };
  const engine = openEngine(CONNECTIONS.other);
  const prepared = new PreparedStatements();
  let handlers: pg.Pool | undefined = typeof given === 'string' ? undefined : given;

  return {
    kind: 'postgres',
    location,
    async query<Row>(sql: string, params?: readonly unknown[], { prepare, lane }: QueryOptions = {}) {
      const pool = lane ? lanes[lane] : engine;
      const name = prepare ? prepared.nameOf(sql) : undefined;
      try {
        return await run<Row>(pool, sql, params, location, { name, timeout: ANSWER_TIMEOUT });
      } catch (error) {
        if (name === undefined || !prepared.heed(error)) throw error;
        return run<Row>(pool, sql, params, location, { timeout: ANSWER_TIMEOUT });
      }
    },
    transaction: (fn) =>
      inTransaction(engine, location, (client) =>
        fn({
          query: (sql, params) => run(client, sql, params, location),
          exec: async (sql) => {
            await client.query(sql);
          },
        }),
      ),
    userTransaction(fn) {
      handlers ??= openPool({ ...config, application_name: 'pgflow-live commit' });
      return inTransaction(handlers, location, (client) =>
        fn(client, { query: (sql, params) => run(client, sql, params, location) }),
      );
    },
    listen: (channel, onPayload, onLost) => listen(config, channel, onPayload, onLost, location),
    async close() {
      const own = [engine, lanes.start, lanes.settle];
      if (handlers && handlers !== given) own.push(handlers);
      await Promise.all(own.map(endPool));
    },
  };
}

/** `pg` hides the password from what copies a pool's options. */
function configOf(given: string | pg.Pool): pg.PoolConfig {
  if (typeof given === 'string') return { connectionString: given, connectionTimeoutMillis: CONNECT_TIMEOUT };
  const { options } = given;
  return {
    connectionTimeoutMillis: CONNECT_TIMEOUT,
    ...options,
    password: options.password,
    ssl: options.ssl,
  };
}

function openPool(config: pg.PoolConfig): pg.Pool {
  const pool = new pg.Pool(config);
  // A dying idle connection is replaced by the pool; without a listener it would end the process.
  pool.on('error', () => {});
  return pool;
}

/** Statements that hang on a dead connection are left to their timeout. */
async function endPool(pool: pg.Pool): Promise<void> {
  if (!pool.ending) await withDeadline(CLOSE_TIMEOUT, pool.end()).catch(() => {});
}

async function inTransaction<T>(
  pool: pg.Pool,
  location: string,
  fn: (client: pg.PoolClient) => Promise<T>,
): Promise<T> {
  const client = await connect(pool, location);
  let broken: Error | undefined;
  // The pool listens to idle connections only, and an unheard error of this one would end the process.
  const lost = (error: Error) => {
    broken = error;
  };
  client.on('error', lost);
  try {
    await run(client, 'begin', [], location);
    const result = await fn(client);
    await run(client, 'commit', [], location);
    return result;
  } catch (error) {
    await client.query('rollback').catch((rollbackError: Error) => {
      broken = rollbackError;
    });
    throw error;
  } finally {
    client.off('error', lost);
    client.release(broken);
  }
}

async function connect(pool: pg.Pool, location: string): Promise<pg.PoolClient> {
  try {
    return await pool.connect();
  } catch (error) {
    throw explain(error, location);
  }
}

async function run<Row>(
  client: pg.Pool | pg.PoolClient,
  sql: string,
  params: readonly unknown[] | undefined,
  location: string,
  { name, timeout }: { name?: string | undefined; timeout?: number } = {},
): Promise<Row[]> {
  try {
    const query = { text: sql, name, values: params?.map(toParameter), types, query_timeout: timeout };
    const result = await client.query(query);
    return result.rows as Row[];
  } catch (error) {
    throw explain(error, location);
  }
}

/** Arrays as PostgreSQL reads them: `pg` looks at each character of each element. */
function toParameter(value: unknown): unknown {
  if (!Array.isArray(value)) return value;
  return `{${value.map((element) => (typeof element === 'string' ? quote(element) : (element ?? 'NULL'))).join(',')}}`;
}

function quote(text: string): string {
  const isPlain = !text.includes('"') && !text.includes('\\');
  return isPlain ? `"${text}"` : `"${text.replaceAll(/["\\]/g, '\\$&')}"`;
}
