import { pause, timeUp } from './fixtures/commands.js';
import { Flood } from './flood.js';
import type { Stage } from './stage.js';
import { type Strike, wait } from './storm-fault.js';
import { LEASE } from './storm-flows.js';

/** How long something that should happen is waited for. */
const PATIENCE = 15_000;

/** Somebody else has them all when a process loses its own. */
export async function takeConnections(strike: Strike): Promise<void> {
  const flood = new Flood(strike.stage.url);
  const { proxy } = strike.process;
  try {
    await flood.rise();
    proxy.refuse();
    proxy.cut();
    await flood.rise(300);
    proxy.accept();
    // Now and then it gets some of those that it needs.
    for (let times = 0; times < 10; times += 1) {
      await wait(strike, 20, 300);
      await flood.ebb(2);
      await flood.rise();
    }
  } finally {
    proxy.accept();
    await flood.ebb();
  }
}

/** Of a worker whose handlers have all connections of their pool: until it has renewed its lease all the same. */
export async function exhaustPool({ process, stage }: Strike): Promise<void> {
  try {
    const held = await Promise.race([process.ask({ do: 'hold' }, 'held'), timeUp(PATIENCE)]);
    if (!held || (await renewsLease(stage, held.pid))) return;
    stage.ledger.wrong.push(
      `W1: ${process.name} has not renewed its lease for ${PATIENCE / 1000} s, while its handlers held their pool`,
    );
  } finally {
    process.tell({ do: 'release' });
  }
}

/** Whether a process registers, or renews its lease, more than the length of one from now on. */
async function renewsLease({ db }: Stage, pid: number): Promise<boolean> {
  const end = performance.now() + PATIENCE;
  const [begin] = await db.query<{ now: string }>('select now()::text as now');
  while (performance.now() < end) {
    const alive = await db.query(
      `select from pgflow.workers
       where name like '%:' || $1 and expires_at > $2::timestamptz + make_interval(secs => 2 * $3)`,
      [pid, begin!.now, LEASE],
    );
    if (alive.length > 0) return true;
    await pause(100);
  }
  return false;
}
