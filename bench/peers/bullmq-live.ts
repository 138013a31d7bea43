import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Queue, QueueEvents, Worker } from 'bullmq';
import { readLiveAssignment } from '../live/assignment.js';
import { now } from '../live/clock.js';
import { answerCommands, OtherProcess } from '../live/other-process.js';
import { printFigures } from '../measured/assignment.js';

/**
 * From what a BullMQ worker does in one process to what `QueueEvents` tells in another, one job at a time.
 *
 * `applied`: from when the worker says `completed`, its answer from Redis, until QueueEvents does here.
 * `completed`: from the call of `add` there until then. Both of the same jobs.
 */
const QUEUE = 'live';
const { redis, count, warmUp } = readLiveAssignment();
const { hostname: host, port } = new URL(redis!);
const connection = { host, port: Number(port), maxRetriesPerRequest: null };

if (process.argv[3] === 'work') await work();
else await watch();

async function work(): Promise<void> {
  const queue = new Queue(QUEUE, { connection });
  const worker = new Worker(QUEUE, async (job) => job.data.n, { connection, concurrency: 100 });
  await Promise.all([queue.waitUntilReady(), worker.waitUntilReady()]);
  const times = { addedAt: 0, committedAt: 0 };
  worker.on('completed', () => {
    times.committedAt = now();
  });
  let n = 0;
  answerCommands({
    async add() {
      n++;
      times.addedAt = now();
      await queue.add('job', { n }, { removeOnComplete: true });
    },
    times: () => times,
  });
}

async function watch(): Promise<void> {
  const events = new QueueEvents(QUEUE, { connection });
  await events.waitUntilReady();
  const other = await OtherProcess.start(fileURLToPath(import.meta.url), process.argv[2]!, 'work');
  const applied: number[] = [];
  const completed: number[] = [];
  for (let n = -warmUp; n < count; n++) {
    await delay(15 + Math.random() * 15);
    const seen = new Promise<number>((resolve) => events.once('completed', () => resolve(now())));
    await other.ask('add');
    const seenAt = await seen;
    const { addedAt, committedAt } = await other.ask<{ addedAt: number; committedAt: number }>('times');
    if (n < 0) continue;
    applied.push(seenAt - committedAt);
    completed.push(seenAt - addedAt);
  }
  printFigures({ samples: { applied, completed } });
  process.exit();
}
