import { setTimeout as delay } from 'node:timers/promises';
import { callConcurrently, timed } from '../measure.js';
import type { Assignment, Figures, Work } from './assignment.js';
import type { Driver, OpenDriver } from './driver.js';
import { createTally, type Tally } from './tally.js';

const CALLERS = 20;
/** How many runs with a map are measured together, one after the other. */
const MAPS = 3;

type Procedure = (open: OpenDriver, assignment: Assignment) => Promise<Figures>;

/** How each work is measured, the same for every engine. */
export const procedures: Readonly<Partial<Record<Work, Procedure>>> = {
  linear: driveWhileStarting,
  dag: driveWhileStarting,
  'one-by-one': driveWhileStarting,
  bulk: enqueueThenProcess,
  enqueue: enqueueOnly,
  map: runMaps,
  idle: measureIdle,
};

async function driveWhileStarting(open: OpenDriver, assignment: Assignment): Promise<Figures> {
  const tally = createTally();
  const driver = await open(assignment, tally.began);
  await driver.startWorker();
  const drive = async (count: number) => {
    const allBegan = tally.more(count);
    await callConcurrently(CALLERS, count, (n) => driver.startOne(n));
    await allBegan;
    await untilIdle(driver);
  };
  await drive(assignment.warmUp);
  if (assignment.analyse) await driver.analyse?.();
  const milliseconds = await timed(() => drive(assignment.count));
  await driver.close();
  return { rates: { [assignment.work]: perSecond(assignment.count, milliseconds) } };
}

/** The warm-up is a whole life of its own, because the worker starts only when all is enqueued. */
async function enqueueThenProcess(open: OpenDriver, assignment: Assignment): Promise<Figures> {
  const { count, warmUp } = assignment;
  const measure = async (jobs: number) => {
    const tally = createTally();
    const driver = await open(assignment, tally.began);
    const enqueuing = await timed(async () => driver.startMany?.(jobs));
    if (assignment.analyse) await driver.analyse?.();
    const allBegan = tally.more(jobs);
    const processing = await timed(async () => {
      await driver.startWorker();
      await allBegan;
      await untilIdle(driver);
    });
    await driver.close();
    return { enqueuing, processing };
  };
  if (warmUp > 0) await measure(warmUp);
  const { enqueuing, processing } = await measure(count);
  return {
    rates: {
      'bulk: enqueued': perSecond(count, enqueuing),
      'bulk: processed': perSecond(count, processing),
      'bulk: both': perSecond(count, enqueuing + processing),
    },
  };
}

async function enqueueOnly(open: OpenDriver, assignment: Assignment): Promise<Figures> {
  const driver = await open(assignment, () => {});
  await callConcurrently(CALLERS, assignment.warmUp, (n) => driver.startOne(n));
  if (assignment.analyse) await driver.analyse?.();
  const milliseconds = await timed(() =>
    callConcurrently(CALLERS, assignment.count, (n) => driver.startOne(n)),
  );
  await driver.close();
  return { rates: { enqueue: perSecond(assignment.count, milliseconds) } };
}

async function runMaps(open: OpenDriver, assignment: Assignment): Promise<Figures> {
  const tally = createTally();
  const driver = await open(assignment, tally.began);
  await driver.startWorker();
  const runOne = async (tasks: number) => {
    const allBegan = tally.more(tasks);
    await driver.startOne(tasks);
    await allBegan;
    await untilIdle(driver);
  };
  await runOne(assignment.warmUp);
  if (assignment.analyse) await driver.analyse?.();
  const milliseconds = await timed(async () => {
    for (let map = 0; map < MAPS; map += 1) await runOne(assignment.count);
  });
  await driver.close();
  return { rates: { map: perSecond(MAPS * assignment.count, milliseconds) } };
}

async function measureIdle(open: OpenDriver, assignment: Assignment): Promise<Figures> {
  const tally = createTally();
  const driver = await open(assignment, tally.began);
  await driver.startWorker();
  for (let n = 0; n < assignment.warmUp; n += 1) await sampleIdle(driver, tally, n);
  if (assignment.analyse) await driver.analyse?.();
  const handler: number[] = [];
  const completed: number[] = [];
  for (let n = 0; n < assignment.count; n += 1) {
    const sample = await sampleIdle(driver, tally, n);
    handler.push(sample.handler);
    if (sample.completed !== undefined) completed.push(sample.completed);
  }
  await driver.close();
  return { samples: { handler, ...(completed.length > 0 && { completed }) } };
}

async function sampleIdle(driver: Driver, tally: Tally, n: number) {
  const began = tally.more(1);
  const start = performance.now();
  const started = await driver.startOne(n);
  let completed: number | undefined;
  if (driver.seeCompleted) {
    await driver.seeCompleted(started);
    completed = performance.now() - start;
  }
  await began;
  const handler = tally.newest() - start;
  await untilIdle(driver);
  // A pause of no fixed length, so that the next sample does not fall in step with what runs in the background.
  await delay(5 + Math.random() * 10);
  return { handler, completed };
}

async function untilIdle(driver: Driver): Promise<void> {
  while (!(await driver.isIdle())) await delay(2);
}

function perSecond(count: number, milliseconds: number): number {
  return (count / milliseconds) * 1000;
}
