import { setTimeout as delay } from 'node:timers/promises';
import { printFigures, readAssignment } from '../measured/assignment.js';
import { openOurs } from './driver.js';

/** Of each tenth: how many of its tasks are of maps, and how many tasks a map has. */
const IN_MAPS = 0.7;
const MAP = 10_000;
const LOT = 5_000;

/**
 * One process starts and processes `count` tasks, of maps and single jobs. After each tenth it collects the garbage
 * (node --expose-gc) and takes what is left: the heap, and all that the process holds.
 */
const assignment = readAssignment();
const maps = await openOurs({ ...assignment, work: 'map' }, () => {});
const jobs = await openOurs({ ...assignment, work: 'bulk' }, () => {});
await maps.startWorker();
const heap: number[] = [];
const resident: number[] = [];
const rate: number[] = [];
await carryOut(assignment.warmUp);
sample();
for (let tenth = 1; tenth <= 10; tenth += 1) {
  const start = performance.now();
  await carryOut(assignment.count / 10);
  rate.push((assignment.count / 10 / (performance.now() - start)) * 1000);
  sample();
  console.log(
    `${tenth * 10} %: heap ${heap.at(-1)!.toFixed(1)} MB, resident ${resident.at(-1)!.toFixed(0)} MB`,
  );
}
printFigures({ samples: { heap, resident, rate } });
process.exit();

async function carryOut(tasks: number): Promise<void> {
  const inMaps = Math.round(tasks * IN_MAPS);
  for (let left = inMaps; left > 0; left -= MAP) {
    await maps.startOne(Math.min(MAP, left));
    while (!(await maps.isIdle())) await delay(10);
  }
  for (let left = tasks - inMaps; left > 0; left -= LOT) {
    await jobs.startMany!(Math.min(LOT, left));
    while (!(await maps.isIdle())) await delay(10);
  }
}

function sample(): void {
  globalThis.gc?.();
  globalThis.gc?.();
  const { heapUsed, rss } = process.memoryUsage();
  heap.push(heapUsed / 1e6);
  resident.push(rss / 1e6);
}
