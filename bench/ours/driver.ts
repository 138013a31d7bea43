import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createPgFlow, type PgFlow, type PubSub, type Run } from 'pgflow-live';
import type { Driver, OpenDriver } from '../measured/driver.js';
import { openSession } from '../measured/postgres-session.js';
import { benchFlows } from './flows.js';

/** How many runs of a measurement `live-on` watches, evenly spread. */
const WATCHED = 100;

/** Of handlers that take no time, as the peers take theirs in large bites: local queues of 500, batches of 1,000. */
const CONCURRENCY = 1000;

/** Says nothing to anybody. Workers are woken over PostgreSQL all the same. */
const silent: PubSub = {
  publish: async () => {},
  subscribe: async () => () => {},
  close: async () => {},
};

/** Us. Variants: `live-on` watches 100 of the runs to their end, `live-off` publishes nothing. */
export const openOurs: OpenDriver = async (assignment, began) => {
  const embedded = assignment.url === 'pglite' ? enterScratchFolder() : null;
  const { of, flows, jobs } = benchFlows(began);
  const pgflow = await createPgFlow({
    database: embedded ? undefined : assignment.url,
    flows,
    jobs,
    worker: { concurrency: assignment.work === 'idle' ? 10 : CONCURRENCY },
    ...(assignment.variant === 'live-off' && { pubsub: silent }),
  });
  const { flow, input } = of[assignment.work]!;
  const watchers = assignment.variant === 'live-on' ? watchSome(pgflow, assignment.count) : null;
  const rows = embedded ? null : await openRows(assignment.url);
  return {
    startWorker: () => pgflow.start(),
    async startOne(n) {
      const run = await pgflow.startFlow(flow, input(n));
      watchers?.add(run, n);
      return run;
    },
    // There is no call for many; calls made at once share statements.
    startMany: (count) =>
      Promise.all(Array.from({ length: count }, (_, n) => pgflow.startFlow(flow, input(n)))),
    async isIdle() {
      await watchers?.allDone();
      return rows
        ? rows.isIdle()
        : (await pgflow.listRuns({ status: 'started', limit: 1 })).runs.length === 0;
    },
    async seeCompleted(started) {
      const live = await pgflow.track((started as Run).runId);
      await live.waitFor('completed', { timeout: 60 });
      live.close();
    },
    ...(rows && { analyse: rows.analyse }),
    async close() {
      await pgflow.stop();
      await rows?.close();
      embedded?.remove();
    },
  } satisfies Driver;
};

/**
 * Asks the rows of the runs that began since the last time all had ended: also among a million others, the index finds
 * them. Those that were there before the measuring process do not count.
 */
async function openRows(url: string) {
  const session = await openSession(url);
  let since = new Date();
  return {
    async isIdle() {
      const asked = Date.now();
      const idle = await session.holds(
        `select not exists (select from pgflow.runs where started_at >= $1 and status = 'started')`,
        [since],
      );
      // A second for clocks that are not quite the same.
      if (idle) since = new Date(Math.max(since.getTime(), asked - 1000));
      return idle;
    },
    analyse: () => session.analyse(),
    close: () => session.close(),
  };
}

function watchSome(pgflow: PgFlow, count: number) {
  const every = Math.max(1, Math.floor(count / WATCHED));
  const watching = new Set<Promise<unknown>>();
  const watch = async (runId: string) => {
    const live = await pgflow.track(runId);
    await live.waitFor('completed', { timeout: 60 });
    live.close();
  };
  return {
    add(run: Run, n: number) {
      if (n % every !== 0) return;
      const done = watch(run.runId).finally(() => watching.delete(done));
      watching.add(done);
    },
    allDone: () => Promise.all(watching),
  };
}

/** PGlite without a `database` keeps its files in the working folder. */
function enterScratchFolder() {
  const folder = mkdtempSync(join(tmpdir(), 'pgflow-bench-'));
  process.chdir(folder);
  return {
    remove() {
      process.chdir(tmpdir());
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
