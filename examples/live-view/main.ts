import { createServer } from 'node:http';
import { createPgFlow } from 'pgflow-live';
import { listen, readPort } from '../process-order/listen.js';
import { runProgram, stopOnSignal } from '../process-order/program.js';
import { processOrder, sendEmail } from './flows.js';
import { createOrderLive } from './order-live.js';
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
  const opening = createPgFlow({
    database: process.env.DATABASE_URL || undefined,
    flows: [processOrder],
    jobs: [sendEmail],
    // A worker that dies keeps its tasks for the length of its lease: short, so that killing it is soon made good.
    worker: { lease: 6 },
  });
  const server = createServer();
  let closePages = () => {};
  stopOnSignal(async () => {
    server.close();
    closePages();
    await (await opening).stop({ grace: 10 });
  });

  const pgflow = await opening;
  closePages = serveOrderLive(server, createOrderLive(pgflow));
  await pgflow.start();
  console.log(`Ready: ${await listen(server, port)}\nPress Ctrl+C to stop.`);
}

runProgram(main);
