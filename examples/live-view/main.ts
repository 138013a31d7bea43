import { createServer } from 'node:http';
import { createPgFlow, PgFlowError } from 'pgflow-live';
import { CannotStart } from '../process-order/cannot-start.js';
import { listen, readPort } from '../process-order/listen.js';
import { processOrder, sendEmail } from './flows.js';
import { serveOrderLive } from './serve.js';

/**
 * The example as a program: live view and worker in one process.
 *
 * - `PORT`: where to listen on 127.0.0.1. Default 4000, or the next one that is free.
 * - `DATABASE_URL`: the PostgreSQL to use. Default: the embedded one, in `.pgflow/`.
 */
async function main(): Promise<void> {
  const port = readPort(process.env.PORT);
  console.log('PgFlow Live, example: a live view. Opening the database …');
  const pgflow = await createPgFlow({
    database: process.env.DATABASE_URL || undefined,
    flows: [processOrder],
    jobs: [sendEmail],
    // A worker that dies keeps its tasks for the length of its lease: short, so that killing it is soon made good.
    worker: { lease: 6 },
  });
  const server = createServer();
  const host = serveOrderLive(server, pgflow);

  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    // Once: the second signal ends the process at once, as it would without us.
    process.once(signal, async () => {
      console.log('\nStopping; running tasks get 10 seconds. Once more to stop at once.');
      server.close();
      host.close();
      await pgflow.stop({ grace: 10 });
      console.log('Stopped.');
      process.exit(0);
    });
  }
  await pgflow.start();
  console.log(`Ready: ${await listen(server, port)}\nPress Ctrl+C to stop.`);
}

main().catch((error) => {
  if (error instanceof PgFlowError) console.error(`${error.code}: ${error.message}`);
  else console.error(error instanceof CannotStart ? error.message : error);
  process.exit(1);
});
