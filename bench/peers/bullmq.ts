import { type FlowJob, FlowProducer, type Job, Queue, QueueEvents, Worker } from 'bullmq';
import { Redis } from 'ioredis';
import type { OpenDriver } from '../measured/driver.js';
import { perform } from '../measured/perform.js';

const QUEUE = 'bench';

const open: OpenDriver = async ({ url, work }, began) => {
  const redis = new Redis(url, { maxRetriesPerRequest: null });
  const { hostname: host, port } = new URL(url);
  const connection = { host, port: Number(port), maxRetriesPerRequest: null };
  // Of a job that is gone, `waitUntilFinished` cannot say how it ended.
  const removeOnComplete = work !== 'idle';
  const queue = new Queue(QUEUE, { connection, defaultJobOptions: { removeOnComplete } });
  const flows = new FlowProducer({ connection });
  const events = work === 'idle' ? new QueueEvents(QUEUE, { connection }) : null;
  await Promise.all([queue.waitUntilReady(), flows.waitUntilReady(), events?.waitUntilReady()]);
  let worker: Worker | undefined;
  return {
    async startWorker() {
      const handle = async (job: Job) => {
        if (job.name === 'last') began();
        return job.data.n;
      };
      worker = new Worker(QUEUE, handle, { connection, concurrency: work === 'idle' ? 10 : 100 });
      await worker.waitUntilReady();
    },
    startOne: (n) => {
      if (work === 'linear') return flows.add(chain(n));
      if (work === 'dag') return flows.add(tree(n));
      return queue.add('last', { n });
    },
    startMany: (count) =>
      queue.addBulk(Array.from({ length: count }, (_, n) => ({ name: 'last', data: { n } }))),
    async isIdle() {
      const counts = await queue.getJobCounts(
        'waiting',
        'active',
        'delayed',
        'prioritized',
        'waiting-children',
      );
      return Object.values(counts).every((count) => count === 0);
    },
    ...(events && { seeCompleted: (job) => (job as Job).waitUntilFinished(events) }),
    async close() {
      await Promise.all([worker?.close(), queue.close(), flows.close(), events?.close()]);
      await redis.flushdb();
      redis.disconnect();
    },
  };
};

/** Children come first, so a chain reads from its end. */
function chain(n: number): FlowJob {
  return node('last', n, [node('step', n, [node('step', n)])]);
}

/** A child has one parent, so the three in the middle cannot share the first step: one of them has it alone. */
function tree(n: number): FlowJob {
  return node('last', n, [node('step', n, [node('step', n)]), node('step', n), node('step', n)]);
}

function node(name: string, n: number, children?: FlowJob[]): FlowJob {
  return {
    name,
    queueName: QUEUE,
    data: { n },
    opts: { removeOnComplete: true },
    ...(children && { children }),
  };
}

await perform(open);
