import pg from 'pg';
import { PgFlowError } from '../../errors.js';
import type { Database, Listener, Queryable } from '../database.js';

/** JSON parsed, small numbers as numbers, everything else as text: whatever parsers the user set globally. */
const types = {
  getTypeParser(oid: number): (text: any) => unknown {
    if (oid === 114 || oid === 3802) return JSON.parse;
    if (oid === 21 || oid === 23 || oid === 700 || oid === 701) return Number;
    if (oid === 16) return (text: string) => text === 't';
    return (text: string) => text;
  },
};

/** `postgres://user:***@host/db`, for messages. */
export function redactUrl(url: string): string {
  try {
    const parsed = new URL(url);
    if (parsed.password) parsed.password = '***';
    for (const key of parsed.searchParams.keys()) {
      if (/pass|secret|key/i.test(key)) parsed.searchParams.set(key, '***');
    }
    return parsed.toString();
  } catch {
    return 'the given database URL';
  }
}

const CONNECT_TIMEOUT = 10_000;

/**
 * A server reached through `pg`. A connection string makes a pool of our own; a given pool is used
 * for queries and never ended, and its settings serve for the one connection that listens.
 */
export function openPostgres(given: string | pg.Pool, options: { max?: number } = {}): Database {
  const own = typeof given === 'string';
  const pool = own
    ? new pg.Pool({
        connectionString: given,
        max: options.max ?? 10,
        application_name: 'pgflow-live',
        connectionTimeoutMillis: CONNECT_TIMEOUT,
      })
    : given;
  const location = own ? redactUrl(given) : `${pool.options.host ?? 'the given pool'}`;
  // A dying idle connection is replaced by the pool; without a listener it would end the process.
  if (own) pool.on('error', () => {});

  return {
    kind: 'postgres',
    location,
    query: (sql, params) => run(pool, sql, params, location),
    async transaction(fn) {
      const client = await connect(pool, location);
      let broken: Error | undefined;
      try {
        await run(client, 'begin', [], location);
        const result = await fn({
          query: (sql, params) => run(client, sql, params, location),
          exec: async (sql) => {
            await client.query(sql);
          },
        });
        await run(client, 'commit', [], location);
        return result;
      } catch (error) {
        await client.query('rollback').catch((rollbackError: Error) => {
          broken = rollbackError;
        });
        throw error;
      } finally {
        client.release(broken);
      }
    },
    listen: (channel, onPayload, onLost) =>
      listen(own ? given : pool.options, channel, onPayload, onLost, location),
    async close() {
      if (own && !pool.ended) await pool.end();
    },
  };
}

async function connect(pool: pg.Pool, location: string): Promise<pg.PoolClient> {
  try {
    return await pool.connect();
  } catch (error) {
    throw explain(error, location);
  }
}

async function run<Row>(
  client: pg.Pool | pg.PoolClient | pg.Client,
  sql: string,
  params: readonly unknown[] | undefined,
  location: string,
): Promise<Row[]> {
  try {
    const result = await client.query({ text: sql, values: params as unknown[], types });
    return result.rows as Row[];
  } catch (error) {
    throw explain(error, location);
  }
}

async function listen(
  config: string | pg.PoolConfig,
  channel: string,
  onPayload: (payload: string) => void,
  onLost: (error: Error) => void,
  location: string,
): Promise<Listener> {
  const base =
    typeof config === 'string' ? { connectionString: config } : { ...config, password: config.password };
  const client = new pg.Client({ ...base, application_name: 'pgflow-live listen', keepAlive: true });
  let stopped = false;
  const lost = (error: Error) => {
    if (stopped) return;
    stopped = true;
    onLost(error);
    client.end().catch(() => {});
  };
  client.on('error', lost);
  client.on('end', () => lost(new Error('The listening connection ended.')));
  client.on('notification', (message) => {
    if (message.channel === channel && message.payload) onPayload(message.payload);
  });
  try {
    await client.connect();
    await client.query(`listen "${channel.replaceAll('"', '""')}"`);
  } catch (error) {
    stopped = true;
    await client.end().catch(() => {});
    throw explain(error, location);
  }
  return {
    ping: () => run(client, 'select 1', [], location).then(() => {}),
    async stop() {
      stopped = true;
      await client.end().catch(() => {});
    },
  };
}

const NETWORK = /^(ECONN|ENOTFOUND|EAI_|ETIMEDOUT|EHOST|ENET|EPIPE)/;
// Connection exceptions, authorization, no such database, out of connections, shutting down.
const SERVER = /^(08|28|3D000|53300|57P0)/;

/** A server that can't be reached becomes `DATABASE_UNAVAILABLE`; what it answered stays what it is. */
function explain(error: unknown, location: string): unknown {
  const { code, message } = error as { code?: string; message?: string };
  const unreachable =
    (code && (NETWORK.test(code) || SERVER.test(code))) ||
    /Connection terminated|timeout exceeded when trying to connect|not queryable/.test(message ?? '');
  if (!unreachable || error instanceof PgFlowError) return error;
  return new PgFlowError(
    'DATABASE_UNAVAILABLE',
    `PostgreSQL at ${location} cannot be reached: ${message || code}. Check that it runs, and the address and credentials in DATABASE_URL.`,
    { cause: error, data: { location } },
  );
}

/** Whatever takes a query the way `pg` does: a client in the user's own transaction. */
export interface TransactionClient {
  query(query: { text: string; values: unknown[] }): Promise<{ rows: any[] }>;
}

export function fromClient(client: TransactionClient): Queryable {
  return {
    async query(sql, params = []) {
      const query = { text: sql, values: [...params], types };
      return (await client.query(query)).rows;
    },
  };
}
