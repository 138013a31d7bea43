import pg from 'pg';
import { type PostgresServer, startPostgres } from '../../test/harness/postgres-server.js';
import type { Filling } from '../ours/fill.js';
import { FILLINGS } from './conditions.js';
import { runMeasured } from './measured-process.js';

/** One PostgreSQL for the whole bench, and a database of its own for each measurement. */
export interface Databases {
  readonly server: string;
  /** The settings that bear on speed, as the server says they are. */
  readonly settings: string;
  /** Creates an empty database, hands over its URL, and drops it. */
  withFresh<T>(use: (url: string) => Promise<T>): Promise<T>;
  /** The URL of the database that is filled so; the first call fills it. */
  filled(content: Filling['content'], share: number): Promise<string>;
  remove(): Promise<void>;
}

const SHOWN = [
  'fsync',
  'synchronous_commit',
  'full_page_writes',
  'shared_buffers',
  'max_wal_size',
  'autovacuum',
  'max_connections',
];

export async function startDatabases(): Promise<Databases> {
  const server = await startPostgres({ fsync: 'on', full_page_writes: 'on' });
  const admin = new pg.Client(server.url());
  await admin.connect();
  const settings = await readSettings(admin);
  let created = 0;
  const create = async () => {
    created += 1;
    const name = `bench_${created}`;
    await admin.query(`create database ${name}`);
    return name;
  };
  const filled = new Map<string, Promise<string>>();
  return {
    server: server.name,
    settings,
    async withFresh(use) {
      const name = await create();
      try {
        return await use(server.url(name));
      } finally {
        await admin.query(`drop database ${name} with (force)`);
      }
    },
    filled(content, share) {
      const known = filled.get(content) ?? create().then((name) => fill(server, name, content, share));
      filled.set(content, known);
      return known;
    },
    async remove() {
      await admin.end();
      await server.remove();
    },
  };
}

async function fill(
  server: PostgresServer,
  name: string,
  content: Filling['content'],
  share: number,
): Promise<string> {
  const url = server.url(name);
  const count = FILLINGS[content] * share;
  const start = performance.now();
  await runMeasured('ours/fill.ts', { url, content, count } satisfies Filling, { limit: 600 });
  console.log(
    `filled a database: ${content}, ${count} runs, ${Math.round((performance.now() - start) / 1000)} s`,
  );
  return url;
}

async function readSettings(admin: pg.Client): Promise<string> {
  const { rows } = await admin.query<{ name: string; value: string }>(
    'select name, current_setting(name) as value from pg_settings where name = any($1) order by name',
    [SHOWN],
  );
  return rows.map(({ name, value }) => `${name} ${value}`).join(', ');
}
