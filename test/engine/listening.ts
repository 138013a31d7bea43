import { onTestFinished } from 'vitest';
import type { PgFlow } from '../../src/index.js';
import { startTcpProxy, type TcpProxy } from '../harness/tcp-proxy.js';
import type { World } from './world.js';

/** The server processes that listen for PgFlow Live. */
export async function listenersOf({ db }: World): Promise<number[]> {
  const rows = await db.query(
    `select pid from pg_stat_activity where datname = current_database() and application_name = 'pgflow-live listen'`,
  );
  return rows.map(({ pid }) => pid as number);
}

/** A process that only watches, and the proxy that it reaches its database through. */
export async function openBehindProxy(world: World): Promise<{ there: PgFlow; proxy: TcpProxy }> {
  const url = new URL(world.db.url!);
  const proxy = await startTcpProxy(Number(url.port), url.hostname);
  onTestFinished(() => proxy.close());
  url.host = `127.0.0.1:${proxy.port}`;
  return { there: await world.open({ database: url.href, worker: false }), proxy };
}

/** Resolves when the live run is connected, or is not, as wanted. */
export function connectedIs(
  live: { connected: boolean; onFreshness(fn: () => void): () => void },
  wanted: boolean,
): Promise<void> {
  return new Promise((resolve) => {
    const look = () => {
      if (live.connected !== wanted) return;
      stop();
      resolve();
    };
    const stop = live.onFreshness(look);
    look();
  });
}
