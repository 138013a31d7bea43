import { createPgFlow } from 'pgflow-live';
import { benchFlows, foreignJob } from './flows.js';
import { replicate } from './replicate.js';

/**
 * What is in the tables before it is measured.
 *
 * - `finished`: runs that completed in the last month, half of them jobs, half of three steps.
 * - `foreign`: jobs that are due, of a job that the measured worker has no handler for.
 * - `delayed`: jobs of the measured worker, due tomorrow.
 */
export interface Filling {
  readonly url: string;
  readonly content: 'finished' | 'foreign' | 'delayed';
  readonly count: number;
}

const MONTH = 30 * 86_400;
const DAY = 86_400;

const filling = JSON.parse(process.argv[2] ?? '') as Filling;
const { url, content, count } = filling;
const { of, flows, jobs } = benchFlows(() => {});
const pgflow = await createPgFlow({ database: url, flows, jobs: [...jobs, foreignJob] });
const models = await makeModels();
await pgflow.stop();
await replicate(url, {
  models,
  copies: count,
  secondsApart: content === 'finished' ? Math.max(1, Math.floor(MONTH / count)) : 0,
});

/** Real runs, made by the engine, in the state that is asked for. */
async function makeModels(): Promise<string[]> {
  if (content === 'foreign') return [(await pgflow.enqueue(foreignJob, { n: 0 })).runId];
  if (content === 'delayed') {
    const { flow } = of.bulk!;
    return [(await pgflow.enqueue(flow, { n: 0 }, { delay: DAY })).runId];
  }
  await pgflow.start();
  return Promise.all(
    [of.bulk!, of.linear!].map(async ({ flow, input }) => {
      const { runId } = await pgflow.startFlow(flow, input(0));
      const live = await pgflow.track(runId);
      await live.waitFor('completed', { timeout: 60 });
      return runId;
    }),
  );
}
