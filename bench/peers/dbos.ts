import { DBOS, type WorkflowHandle } from '@dbos-inc/dbos-sdk';
import type { OpenDriver } from '../measured/driver.js';
import { perform } from '../measured/perform.js';
import { openSession } from '../measured/postgres-session.js';

/**
 * Workflows are started directly, because its queues poll; each of the 20 callers waits for its own to end, which was
 * 5 to 10 % faster than to start all and then wait.
 */
const open: OpenDriver = async ({ url, work }, began) => {
  DBOS.setConfig({
    name: 'bench',
    systemDatabaseUrl: url,
    systemDatabasePoolSize: 20,
    logLevel: 'error',
  });
  const step = <T>(name: string, fn: () => T) => DBOS.runStep(async () => fn(), { name });
  const workflow = DBOS.registerWorkflow(
    async (n: number) => {
      if (work === 'idle') return began();
      const a = await step('a', () => n);
      if (work === 'linear') {
        const b = await step('b', () => a + 1);
        return step('c', () => finish(b + 1));
      }
      const [b, c, d] = await Promise.all([1, 2, 3].map((i) => step(`middle ${i}`, () => a + i)));
      return step('e', () => finish(b! + c! + d!));
    },
    { name: work },
  );
  const finish = (output: number) => {
    began();
    return output;
  };
  await DBOS.launch();
  const session = await openSession(url);
  return {
    startWorker: async () => {},
    async startOne(n) {
      const handle = await DBOS.startWorkflow(workflow)(n);
      if (work !== 'idle') await handle.getResult();
      return handle;
    },
    isIdle: async () => true,
    seeCompleted: (handle) => (handle as WorkflowHandle<unknown>).getResult(),
    analyse: () => session.analyse(),
    async close() {
      await DBOS.shutdown();
      await session.close();
    },
  };
};

await perform(open);
