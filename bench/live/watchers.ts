import { fileURLToPath } from 'node:url';
import pg from 'pg';
import type { Run } from 'pgflow-live';
import { printFigures } from '../measured/assignment.js';
import { readLiveAssignment } from './assignment.js';
import { now } from './clock.js';
import { openPgFlow } from './open-pgflow.js';
import { OtherProcess } from './other-process.js';
import { watchStatements } from './statements.js';
import { INPUT } from './ten-steps.js';

/**
 * `count` watchers of one run, then one watcher of each of `count` runs, in this process; the first step of all these
 * runs is executed by another. `gc` is exposed.
 */
const assignment = readLiveAssignment();
const { count } = assignment;
const snapshots = watchStatements('track_changes');
const { pgflow, tenSteps } = await openPgFlow(assignment, 'watcher');
const admin = new pg.Client(assignment.url);
await admin.connect();
const counts: Record<string, number> = {};

// What watching needs once, however many watch: connections, code.
const [warm] = await startRuns(1);
const held = await pgflow.track(warm!);
const [one] = await startRuns(1);
await watch('one run', () => one!);
const many = await startRuns(count);
await watch('many runs', (n) => many[n]!);
held.close();
await admin.end();
printFigures({ counts });
process.exit();

async function startRuns(wanted: number): Promise<string[]> {
  const runs = await Promise.all(
    Array.from({ length: wanted }, (): Promise<Run> => pgflow.startFlow(tenSteps, INPUT)),
  );
  return runs.map((run) => run.runId);
}

async function watch(name: string, runIdOf: (n: number) => string): Promise<void> {
  const before = { heap: heapUsed(), snapshots: snapshots.count };
  const seen = { count: 0, firstAt: 0, lastAt: 0 };
  const start = now();
  const lives = await Promise.all(Array.from({ length: count }, (_, n) => pgflow.track(runIdOf(n))));
  counts[`${name}: ms until all are live`] = now() - start;
  const all = new Promise<void>((resolve) => {
    for (const live of lives) {
      const stop = live.subscribe(() => {
        if (live.getSnapshot().stepStates[0]!.status !== 'completed') return;
        stop();
        seen.lastAt = now();
        seen.firstAt ||= seen.lastAt;
        if (++seen.count === count) resolve();
      });
    }
  });
  counts[`${name}: bytes per watcher`] = (heapUsed() - before.heap) / count;
  counts[`${name}: listening connections`] = await countListening();
  await change(name, all, seen);
  counts[`${name}: snapshot queries`] = snapshots.count - before.snapshots;
  for (const live of lives) live.close();
}

/** Executes what is due in a worker process, until every watcher has seen it. */
async function change(name: string, all: Promise<void>, seen: { firstAt: number; lastAt: number }) {
  const worker = await OtherProcess.start(
    fileURLToPath(new URL('worker-process.ts', import.meta.url)),
    process.argv[2]!,
  );
  const startedAt = now();
  await worker.ask('start');
  await all;
  counts[`${name}: ms from the worker's start until all have seen it`] = seen.lastAt - startedAt;
  counts[`${name}: ms from the last commit until all have seen it`] =
    seen.lastAt - (await worker.ask<number>('committedAt'));
  counts[`${name}: ms from the first to the last watcher`] = seen.lastAt - seen.firstAt;
  await worker.end();
}

async function countListening(): Promise<number> {
  const { rows } = await admin.query(
    `select count(*)::int as n from pg_stat_activity
     where datname = current_database() and application_name = 'pgflow-live listen'`,
  );
  return rows[0].n;
}

function heapUsed(): number {
  for (let n = 0; n < 3; n++) globalThis.gc?.();
  return process.memoryUsage().heapUsed;
}
