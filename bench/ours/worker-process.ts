import { createPgFlow } from 'pgflow-live';
import { benchFlows } from './flows.js';

/** A worker that `drain.ts` starts and stops by messages. */
const { flows, jobs } = benchFlows(() => {});
const pgflow = await createPgFlow({ database: process.argv[2], flows, jobs, worker: { concurrency: 100 } });
process.on('message', async (message) => {
  if (message === 'start') await pgflow.start();
  if (message === 'stop') await pgflow.stop().then(() => process.exit());
});
process.on('disconnect', () => process.exit(1));
process.send?.('ready');
