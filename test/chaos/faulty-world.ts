import { onTestFinished } from 'vitest';
import { createPgFlow, type PgFlow, type PgFlowOptions } from '../../src/index.js';
import { type Auditor, installAuditor } from '../harness/auditor.js';
import { type Child, startChild } from '../harness/child.js';
import {
  createTestDatabase,
  type PostgresServer,
  startPostgres,
  type TestDatabase,
} from '../harness/databases.js';
import { startTcpProxy, type TcpProxy } from '../harness/tcp-proxy.js';
import { createPostgresDatabase } from '../harness/test-database.js';
import { ORDER, orderFlow } from './fixtures/order.js';

/** A database with faults to come: audited, its processes ended and the audit read when the test ends. */
export interface FaultyWorld {
  readonly db: TestDatabase & { readonly url: string };
  /** Starts and watches runs of `order`; executes nothing. */
  readonly pgflow: PgFlow;
  readonly auditor: Auditor;
  /** A worker process, ready. */
  startWorker(env?: Record<string, string>): Promise<Child>;
  /** A pgflow in this process, started; through the proxy's port when it is given one. */
  open(options: PgFlowOptions, port?: number): Promise<PgFlow>;
  /** A proxy before the server. */
  startProxy(): Promise<TcpProxy>;
}

/** A server of the test's own, removed when it ends. */
export async function ownServer(settings?: Record<string, string>): Promise<PostgresServer> {
  const server = await startPostgres(settings);
  onTestFinished(() => server.remove());
  return server;
}

export async function createFaultyWorld(server?: PostgresServer): Promise<FaultyWorld> {
  const created = server ? await createPostgresDatabase(server.url()) : await createTestDatabase('postgres');
  const db = created as TestDatabase & { url: string };
  const ending: (() => Promise<unknown>)[] = [];
  let auditor: Auditor | undefined;
  // Ended in the order of their making: who asks the database before the proxies, those before the database.
  onTestFinished(async () => {
    try {
      for (const end of ending) await end();
      await auditor?.audit();
    } finally {
      await db.close();
    }
  });

  const create = async (options: PgFlowOptions, port?: number) => {
    const pgflow = await createPgFlow({ database: throughPort(db.url, port), ...options });
    ending.unshift(() => pgflow.stop({ grace: 0 }));
    return pgflow;
  };
  const pgflow = await create({ flows: [orderFlow('1', () => null)], worker: false });
  auditor = await installAuditor(db);
  return {
    db,
    pgflow,
    auditor,
    async startWorker(env = {}) {
      const child = startChild('test/chaos/fixtures/worker.ts', {
        env: { TEST_DATABASE_URL: db.url, ...env },
      });
      ending.unshift(() => child.close());
      await child.waitForLine(new RegExp(`^ready ${ORDER}$`));
      return child;
    },
    async open(options, port) {
      const another = await create(options, port);
      await another.start();
      return another;
    },
    async startProxy() {
      const { hostname, port } = new URL(db.url);
      const proxy = await startTcpProxy(Number(port || 5432), hostname);
      ending.push(() => proxy.close());
      return proxy;
    },
  };
}

export function throughPort(given: string, port?: number): string {
  if (port === undefined) return given;
  const url = new URL(given);
  url.host = `127.0.0.1:${port}`;
  return url.href;
}
