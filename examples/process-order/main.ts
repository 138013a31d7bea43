import { existsSync } from 'node:fs';
import { createServer } from 'node:http';
import { createPgFlow } from 'pgflow-live';
import { processOrder } from './flow.js';
import { listen, readPort } from './listen.js';
import { buildPage } from './page-build.js';
import { runProgram, stopOnSignal } from './program.js';
import { createListener } from './server.js';

/**
 * The example as a program: page, API and worker in one process.
 *
 * - `PORT`: where to listen on 127.0.0.1. Default 4000, or the next one that is free.
 * - `DATABASE_URL`: the PostgreSQL to use. Default: the embedded one, in `.pgflow/`.
 */
async function main(): Promise<void> {
  const port = readPort(process.env.PORT);
  const database = process.env.DATABASE_URL || undefined;
  console.log('PgFlow Live, example: Process order');

  const opening = told(
    nameOf(database),
    // A worker that dies keeps its tasks for the length of its lease: short, so that killing it is soon made good.
    () => createPgFlow({ database, flows: [processOrder], worker: { lease: 6 } }),
  );
  const server = createServer();
  stopOnSignal(async () => {
    server.close();
    await (await opening).stop({ grace: 10 });
  });

  const [pgflow, page] = await Promise.all([opening, told('Building the page', buildPage)]);
  await told('Starting the worker', () => pgflow.start());
  server.on('request', createListener(pgflow, page));
  console.log(`\nReady: ${await listen(server, port)}\nPress Ctrl+C to stop.`);
}

function nameOf(database: string | undefined): string {
  if (database) return 'Opening the database of DATABASE_URL';
  const isThere = existsSync('.pgflow');
  return isThere
    ? 'Opening the database in .pgflow/'
    : 'Creating a database in .pgflow/ (a few seconds, once)';
}

/** Says what is being done, and when it is done how long it took. */
async function told<T>(what: string, work: () => Promise<T>): Promise<T> {
  console.log(`  ${what} …`);
  const since = performance.now();
  const result = await work();
  console.log(`  ${what}: ${((performance.now() - since) / 1000).toFixed(1)} s`);
  return result;
}

runProgram(main);
