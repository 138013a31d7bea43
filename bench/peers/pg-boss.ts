import { type FlowJob, PgBoss, type WorkOptions } from 'pg-boss';
import type { Assignment } from '../measured/assignment.js';
import type { OpenDriver } from '../measured/driver.js';
import { perform } from '../measured/perform.js';
import { openSession } from '../measured/postgres-session.js';

const QUEUE = 'bench';
const LOOPS = 20;

interface Data {
  readonly n: number;
  /** Of a flow: whether this is its last step. */
  readonly last: boolean;
}

/**
 * Variants: `batches`, the default, works with `work()` in batches; `single` fetches, handles and completes one job
 * after the other in 20 loops, because `work()` with a batch of one pauses for half a second between fetches.
 */
const open: OpenDriver = async (assignment, began) => {
  const { work, url, variant } = assignment;
  const boss = new PgBoss({
    connectionString: url,
    max: variant === 'single' ? LOOPS : 10,
    useListenNotify: notifies(assignment),
    schedule: false,
  });
  boss.on('error', (error) => console.error(error));
  await boss.start();
  await boss.createQueue(QUEUE, { notify: notifies(assignment) });
  const session = await openSession(url);
  let closing = false;
  const loops: Promise<unknown>[] = [];
  return {
    async startWorker() {
      if (variant === 'single') {
        loops.push(...Array.from({ length: LOOPS }, () => processSingly(boss, began, () => closing)));
        return;
      }
      const workers = await Promise.all(
        Array.from({ length: 2 }, () =>
          boss.work<Data>(QUEUE, workOptions(assignment), async (jobs) => {
            for (const job of jobs) if (job.data.last) began();
          }),
        ),
      );
      if (work === 'linear' || work === 'dag') loops.push(resolveFlows(boss, workers, () => closing));
    },
    startOne: (n) => {
      if (work === 'linear') return boss.flow(linear(n));
      if (work === 'dag') return boss.flow(dag(n));
      return boss.send(QUEUE, { n, last: true });
    },
    startMany: (count) =>
      boss.insert(
        QUEUE,
        Array.from({ length: count }, (_, n) => ({ data: { n, last: true } })),
      ),
    isIdle: () =>
      session.holds(`select not exists (select from pgboss.job where name = $1 and state < 'completed')`, [
        QUEUE,
      ]),
    analyse: () => session.analyse(),
    async close() {
      closing = true;
      await Promise.all(loops);
      await boss.stop({ graceful: false });
      await session.close();
    },
  };
};

/** A notification wakes a worker at once, and costs its sender: only where a job is alone is it worth it. */
function notifies({ work }: Assignment): boolean {
  return work === 'idle';
}

/** A fetch that comes back full is followed by the next at once, any other by a pause of half a second. */
function workOptions({ work }: Assignment): WorkOptions {
  if (work === 'idle') return { batchSize: 1 };
  return {
    batchSize: work === 'one-by-one' ? 50 : 1000,
    burstWhenBatchFull: true,
    pollingIntervalSeconds: 0.5,
  };
}

async function processSingly(boss: PgBoss, began: () => void, isClosing: () => boolean): Promise<void> {
  while (!isClosing()) {
    const [job] = await boss.fetch<Data>(QUEUE);
    if (!job) continue;
    began();
    await boss.complete(QUEUE, job.id);
  }
}

/**
 * Steps whose dependencies are done are released by a background pass, each 5 s unless told. Here it is asked for
 * again and again, and the workers are told at once.
 */
async function resolveFlows(
  boss: PgBoss,
  workers: readonly string[],
  isClosing: () => boolean,
): Promise<void> {
  while (!isClosing()) {
    await boss.resolveFlow();
    for (const worker of workers) boss.notifyWorker(worker);
  }
}

function linear(n: number): FlowJob[] {
  return [step('a', n), step('b', n, ['a']), { ...step('c', n, ['b']), data: { n, last: true } }];
}

function dag(n: number): FlowJob[] {
  return [
    step('a', n),
    step('b', n, ['a']),
    step('c', n, ['a']),
    step('d', n, ['a']),
    { ...step('e', n, ['b', 'c', 'd']), data: { n, last: true } },
  ];
}

function step(ref: string, n: number, dependsOn?: string[]): FlowJob {
  return { ref, name: QUEUE, data: { n, last: false }, ...(dependsOn && { dependsOn }) };
}

await perform(open);
