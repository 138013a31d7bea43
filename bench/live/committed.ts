import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { LiveRun, Run } from 'pgflow-live';
import { printFigures } from '../measured/assignment.js';
import { readLiveAssignment } from './assignment.js';
import { now } from './clock.js';
import { openPgFlow } from './open-pgflow.js';
import { OtherProcess } from './other-process.js';

/**
 * From what a worker process commits to what this process shows, one job at a time.
 *
 * `applied`: from when the worker has the answer to its settle until the live run here has the change.
 * `completed`: from the call of `enqueue` there until the live run here is completed; the id comes over a pipe.
 */
const assignment = readLiveAssignment();
const { pgflow, gated } = await openPgFlow(assignment, 'watcher');
const worker = await OtherProcess.start(
  fileURLToPath(new URL('worker-process.ts', import.meta.url)),
  process.argv[2]!,
);
await worker.ask('start');
await sample(measureApplied, assignment.warmUp);
const applied = await sample(measureApplied, assignment.count);
await sample(measureCompleted, assignment.warmUp);
const completed = await sample(measureCompleted, assignment.count);
printFigures({ samples: { applied, completed } });
process.exit();

async function sample(measure: (n: number) => Promise<number>, count: number): Promise<number[]> {
  const samples: number[] = [];
  for (let n = 0; n < count; n++) {
    // Idle: what was said before holds up nothing any more.
    await delay(15 + Math.random() * 15);
    samples.push(await measure(n));
  }
  return samples;
}

async function measureApplied(n: number): Promise<number> {
  const { runId } = await pgflow.enqueue(gated, { n });
  const live = await pgflow.track(runId);
  // The task's begin is told by now, so the next settle is that of its end.
  await shown(live, (run) => run.stepStates[0]!.status === 'started');
  await delay(15 + Math.random() * 15);
  const seen = shown(live, (run) => run.status === 'completed');
  await worker.ask('open');
  const seenAt = await seen;
  live.close();
  return seenAt - (await worker.ask<number>('committedAt'));
}

async function measureCompleted(): Promise<number> {
  const { runId, at } = await worker.ask<{ runId: string; at: number }>('enqueue');
  const live = await pgflow.track(runId);
  const seenAt = await shown(live, (run) => run.status === 'completed');
  live.close();
  return seenAt - at;
}

/** The time at which the live run is like that. */
function shown(live: LiveRun, isSo: (run: Run) => boolean): Promise<number> {
  return new Promise((resolve) => {
    const look = () => {
      if (!isSo(live.getSnapshot())) return;
      resolve(now());
      stop();
    };
    const stop = live.subscribe(look);
    look();
  });
}
