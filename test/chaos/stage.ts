import { createPgFlow, type PgFlow } from '../../src/index.js';
import { randomFrom } from '../engine/flaky-bus.js';
import { startPostgres } from '../harness/postgres-server.js';
import { type RedisServer, startRedis } from '../harness/redis-server.js';
import { type RunningAudit, startAudit } from '../harness/running-audit.js';
import { startTcpProxy, type TcpProxy } from '../harness/tcp-proxy.js';
import { createPostgresDatabase, type TestDatabase } from '../harness/test-database.js';
import { giveToRole, grantToRole } from './app-role.js';
import { throughPort } from './faulty-world.js';
import { Ledger } from './ledger.js';
import { keepPruned } from './pruned.js';
import { StormProcess } from './storm-process.js';
import { keepUnfairFailures } from './unfair-failures.js';

const WEBS = 3;
const WORKERS = 3;
/** Of the server; all processes together have about 60. */
const MOST_CONNECTIONS = '100';

/** All that takes part in a storm. */
export interface Stage {
  readonly server: Awaited<ReturnType<typeof startPostgres>>;
  /** As a superuser. */
  readonly db: TestDatabase;
  /** The same database, as the processes reach it but for their proxies. */
  readonly url: string;
  /** Reaches the database directly, and executes nothing. */
  readonly pgflow: PgFlow;
  readonly audit: RunningAudit;
  readonly webs: readonly StormProcess[];
  readonly workers: readonly StormProcess[];
  /** Between the readers of each web process and the streams of the next one. */
  readonly readers: readonly TcpProxy[];
  /** Where it is the bus, and the way to it. */
  readonly redis: { readonly server: RedisServer; readonly proxy: TcpProxy } | null;
  readonly ledger: Ledger;
  close(): Promise<void>;
}

export type StormBus = 'postgres' | 'redis';

/** A PostgreSQL server, three web and three worker processes, each behind proxies of its own, and the audit. */
export async function setStage(seed: number, bus: StormBus): Promise<Stage> {
  const ending: (() => Promise<unknown>)[] = [];
  const close = async () => {
    for (const end of ending.splice(0).reverse()) await end();
  };
  try {
    const server = await startPostgres({ max_connections: MOST_CONNECTIONS });
    ending.push(() => server.remove());
    const db = await createPostgresDatabase(server.url());
    ending.push(() => db.close());
    const url = await giveToRole(db);
    const pgflow = await createPgFlow({ database: url, worker: false });
    ending.push(() => pgflow.stop({ grace: 0 }));
    const audit = await startAudit(db);
    await db.query('create table public.effects (key text, run_id uuid, step_slug text, task_index int)');
    await keepPruned(db);
    await keepUnfairFailures(db);
    await grantToRole(db, ['public', 'pgflow_audit']);
    const ledger = new Ledger();
    const open = async (port: number) => {
      const proxy = await startTcpProxy(port);
      ending.push(() => proxy.close());
      return proxy;
    };
    const redis = bus === 'redis' ? await openRedis(ending, open) : null;
    const STORM_REDIS = redis ? `redis://127.0.0.1:${redis.proxy.port}` : '';
    const create = async (kind: 'web' | 'worker', i: number, env: () => Record<string, string>) => {
      const proxy = await open(server.port);
      const process = new StormProcess({
        name: `${kind} ${i}`,
        file: `test/chaos/fixtures/storm-${kind}.ts`,
        proxy,
        random: randomFrom(seed * 31 + i + (kind === 'web' ? 100 : 200)),
        env: () => ({
          STORM_DATABASE: throughPort(url, proxy.port),
          STORM_SEED: String(seed),
          STORM_REDIS,
          ...env(),
        }),
        onMessage: (message) => ledger.take(kind, i, message),
        onSurprise: (text) => ledger.wrong.push(text),
      });
      ending.push(() => process.close());
      return process;
    };

    const ports = await Promise.all(Array.from({ length: WEBS }, () => freePort()));
    const readers = await Promise.all(ports.map((_, i) => open(ports[(i + 1) % WEBS]!)));
    const webs = await Promise.all(
      ports.map((port, i) =>
        create('web', i, () => ({
          STORM_OWNER: String(i),
          STORM_PORT: String(port),
          STORM_NEIGHBOUR: `http://127.0.0.1:${readers[i]!.port}/pgflow`,
        })),
      ),
    );
    let lives = 0;
    const workers = await Promise.all(
      Array.from({ length: WORKERS }, (_, i) =>
        // There is always one of each edition; the last one changes with each life.
        create('worker', i, () => ({ STORM_EDITION: String(1 + ((i < 2 ? i : lives++) % 2)) })),
      ),
    );
    await Promise.all([...webs, ...workers].map((process) => process.start()));
    return { server, db, url, pgflow, audit, webs, workers, readers, redis, ledger, close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function openRedis(
  ending: (() => Promise<unknown>)[],
  open: (port: number) => Promise<TcpProxy>,
): Promise<Stage['redis']> {
  const server = await startRedis();
  if (server === null) throw new Error('There is no Redis.');
  ending.push(() => server.close());
  return { server, proxy: await open(Number(new URL(server.url).port)) };
}

/** Below the ports that connections get by themselves, so that it stays free while its server is down. */
let nextPort = 15_000 + (process.pid % 10_000);

async function freePort(): Promise<number> {
  const { createServer } = await import('node:net');
  for (;;) {
    const port = nextPort++;
    const isFree = await new Promise<boolean>((resolve) => {
      const probe = createServer();
      probe.once('error', () => resolve(false));
      probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(true)));
    });
    if (isFree) return port;
  }
}
