import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { createPgFlow } from 'pgflow-live';
import { timed } from '../measure.js';
import { printFigures, readAssignment } from '../measured/assignment.js';
import { benchFlows } from './flows.js';

/**
 * What worker processes drain: `count` runs of three steps and as many single jobs, started before by a process that
 * has no worker. Variant: how many workers, e.g. `2`.
 */
const { url, count, warmUp, variant } = readAssignment();
const UNFINISHED = `select exists (select from pgflow.runs where status = 'started')`;
const client = new pg.Client(url);
await client.connect();
await startAll(warmUp);
await drain();
await startAll(count);
const milliseconds = await drain();
const { rows } = await client.query(
  'select deadlocks::int from pg_stat_database where datname = current_database()',
);
await client.end();
printFigures({
  rates: { drain: ((2 * count) / milliseconds) * 1000 },
  counts: { deadlocks: rows[0].deadlocks },
});
process.exit();

async function startAll(each: number): Promise<void> {
  const { of, flows, jobs } = benchFlows(() => {});
  const pgflow = await createPgFlow({ database: url, flows, jobs, worker: false });
  await Promise.all(
    [of.linear!, of.bulk!].flatMap(({ flow, input }) =>
      Array.from({ length: each }, (_, n) => pgflow.startFlow(flow, input(n))),
    ),
  );
  await pgflow.stop();
}

/** Milliseconds from when the workers, connected already, begin together, until all runs have ended. */
async function drain(): Promise<number> {
  const workers = await Promise.all(Array.from({ length: Number(variant) }, openWorker));
  const milliseconds = await timed(async () => {
    for (const worker of workers) worker.send('start');
    while ((await client.query(UNFINISHED)).rows[0].exists) await delay(5);
  });
  await Promise.all(workers.map(closeWorker));
  return milliseconds;
}

async function openWorker(): Promise<ChildProcess> {
  const worker = fork(fileURLToPath(new URL('worker-process.ts', import.meta.url)), [url]);
  await once(worker, 'message');
  return worker;
}

async function closeWorker(worker: ChildProcess): Promise<void> {
  const exited = once(worker, 'exit');
  worker.send('stop');
  await exited;
}
