import { Logger, makeWorkerUtils, type Runner, run } from 'graphile-worker';
import type { OpenDriver } from '../measured/driver.js';
import { perform } from '../measured/perform.js';
import { openSession } from '../measured/postgres-session.js';

const logger = new Logger(() => () => {});

/** The settings of its page on performance: https://worker.graphile.org/docs/performance */
const BATCHING = { localQueue: { size: 500 }, completeJobBatchDelay: 0, failJobBatchDelay: 0 };

/** Variant `local-queue`: jobs are fetched and completed in batches. */
const open: OpenDriver = async ({ url, work, variant }, began) => {
  const utils = await makeWorkerUtils({ connectionString: url, logger, maxPoolSize: 20 });
  await utils.migrate();
  const session = await openSession(url);
  const worker = {
    connectionString: url,
    logger,
    concurrentJobs: work === 'idle' ? 10 : 24,
    maxPoolSize: 25,
    ...(variant === 'local-queue' && BATCHING),
  };
  let runner: Runner | undefined;
  return {
    async startWorker() {
      runner = await run({
        preset: { worker },
        taskList: { job: async () => began() },
        noHandleSignals: true,
      });
    },
    startOne: (n) => utils.addJob('job', { n }),
    startMany: (count) =>
      utils.addJobs(Array.from({ length: count }, (_, n) => ({ identifier: 'job', payload: { n } }))),
    // A job that is done is deleted.
    isIdle: () => session.holds('select not exists (select from graphile_worker._private_jobs)'),
    analyse: () => session.analyse(),
    async close() {
      await runner?.stop();
      await utils.release();
      await session.close();
    },
  };
};

await perform(open);
