import { EventEmitter, once } from 'node:events';
import { createPgFlow, defineFlow, defineJob, type PgFlow } from 'pgflow-live';
import { callConcurrently, timed } from './measure.js';

const begun = new EventEmitter();

const linear = defineFlow<{ n: number }>({ slug: 'linear' })
  .step('a', ({ input }) => input.n)
  .step('b', { dependsOn: ['a'] }, ({ deps }) => deps.a + 1)
  .step('c', { dependsOn: ['b'] }, ({ deps }) => {
    begun.emit('linear');
    return deps.b + 1;
  });

const job = defineJob({ slug: 'job' }, ({ input }: { input: { n: number } }) => {
  begun.emit(input.n < 0 ? 'job' : `job ${input.n}`, performance.now());
  return input.n;
});

export async function openBench(database: string, concurrency: number): Promise<PgFlow> {
  const pgflow = await createPgFlow({ database, flows: [linear], jobs: [job], worker: { concurrency } });
  await pgflow.start();
  return pgflow;
}

/** Counts the executions of last steps: when all have begun, the rows are asked whether all have ended. */
async function allCompleted(pgflow: PgFlow, begunAll: Promise<unknown>): Promise<void> {
  await begunAll;
  while ((await pgflow.listRuns({ status: 'started', limit: 1 })).runs.length > 0);
}

function countdown(event: string, times: number): Promise<void> {
  return new Promise((resolve) => {
    let left = times;
    const count = () => {
      left -= 1;
      if (left > 0) return;
      begun.off(event, count);
      resolve();
    };
    begun.on(event, count);
  });
}

/** Three-step runs a second, from the first start until the last has completed. */
export async function measureLinearRuns(pgflow: PgFlow, runs: number): Promise<number> {
  const lastBegun = countdown('linear', runs);
  const milliseconds = await timed(async () => {
    await callConcurrently(20, runs, (n) => pgflow.startFlow(linear, { n }));
    await allCompleted(pgflow, lastBegun);
  });
  return (runs / milliseconds) * 1000;
}

/** Single jobs a second, enqueued one by one by 20 callers, until the last has completed. */
export async function measureJobs(pgflow: PgFlow, jobs: number): Promise<number> {
  const lastBegun = countdown('job', jobs);
  const milliseconds = await timed(async () => {
    await callConcurrently(20, jobs, () => pgflow.enqueue(job, { n: -1 }));
    await allCompleted(pgflow, lastBegun);
  });
  return (jobs / milliseconds) * 1000;
}

export interface Latencies {
  /** Milliseconds from the call of `enqueue` to the handler's first line. */
  readonly toHandler: number[];
  /** … until a watcher in the same process sees the run completed. */
  readonly toWatcher: number[];
}

/** One job at a time on an idle system. */
export async function measureLatency(pgflow: PgFlow, times: number): Promise<Latencies> {
  const toHandler: number[] = [];
  const toWatcher: number[] = [];
  for (let n = 0; n < times; n += 1) {
    const start = performance.now();
    const handler = once(begun, `job ${n}`);
    const run = await pgflow.enqueue(job, { n });
    const live = await pgflow.track(run.runId);
    await live.waitFor('completed', { timeout: 30 });
    toWatcher.push(performance.now() - start);
    toHandler.push((await handler)[0] - start);
    live.close();
  }
  return { toHandler, toWatcher };
}
