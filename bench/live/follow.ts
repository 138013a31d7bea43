import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { median } from '../measure.js';
import { printFigures } from '../measured/assignment.js';
import { readLiveAssignment } from './assignment.js';
import type { FollowingClient } from './followed.js';
import { ourClient } from './our-client.js';
import { HALF_SEQ, LAST_SEQ } from './ten-steps.js';

/** Runs of which a repetition tells the whole life. */
const RUNS = 2_000;
const WARM_UPS = 3;

type Named = Readonly<Record<string, FollowingClient>>;

/**
 * The whole program of the process that compares us with a peer's client, both in it: repetitions take turns, and
 * `gc` is exposed.
 */
export async function measureFollowing(peers: Named): Promise<void> {
  const { count, warmUp: repetitions } = readLiveAssignment();
  const clients: Named = { ours: ourClient, ...peers };
  const counts = await measureHeaps(clients, count);
  const samples: Record<string, number[]> = Object.fromEntries(
    Object.keys(clients).flatMap((name) => [
      [`${name} applied`, []],
      [`${name} heard`, []],
    ]),
  );
  for (let repetition = -WARM_UPS; repetition < repetitions; repetition++) {
    for (const [name, client] of Object.entries(clients)) {
      const applied = measureApplying(client);
      const heard = await measureHearing(client);
      if (repetition < 0) continue;
      samples[`${name} applied`]!.push(applied);
      samples[`${name} heard`]!.push(heard);
    }
  }
  const rates = Object.fromEntries(
    Object.entries(samples).flatMap(([name, values]) => [
      [name, median(values)],
      [`${name}, best`, Math.max(...values)],
    ]),
  );
  printFigures({ rates, counts });
  process.exit();
}

async function measureHeaps(clients: Named, count: number): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const [name, client] of Object.entries(clients)) {
    // Compiles the code, and lets go of what timers still hold.
    await measureHeap(client, 200);
    await delay(2_000);
    for (const [when, bytes] of Object.entries(await measureHeap(client, count))) {
      counts[`${name} ${when}`] = bytes;
    }
  }
  return counts;
}

/** Changes per second, prepared before. */
function measureApplying(client: FollowingClient): number {
  const apply = client.prepare(makeRunIds(RUNS));
  globalThis.gc?.();
  const start = performance.now();
  const applied = apply();
  return (applied / (performance.now() - start)) * 1000;
}

/** Messages per second, from the text to the watcher. */
async function measureHearing(client: FollowingClient): Promise<number> {
  const runIds = makeRunIds(RUNS);
  const followed = await client.follow(runIds);
  const messages = runIds.flatMap((runId) => client.messages(runId, 1, LAST_SEQ));
  globalThis.gc?.();
  const start = performance.now();
  for (const message of messages) followed.hear(message);
  const seconds = (performance.now() - start) / 1000;
  if (followed.told() < messages.length) throw new Error('Watchers were not told of everything.');
  return messages.length / seconds;
}

/** Bytes of heap for each run that is followed: as it began, half way, completed. */
async function measureHeap(client: FollowingClient, count: number): Promise<Record<string, number>> {
  const runIds = makeRunIds(count);
  const before = heapUsed();
  const followed = await client.follow(runIds);
  const perRun = () => (heapUsed() - before) / count;
  // Timers of the subscribing let go.
  await delay(2_000);
  const begun = perRun();
  tell(client, followed.hear, runIds, 1, HALF_SEQ);
  const half = perRun();
  tell(client, followed.hear, runIds, HALF_SEQ, LAST_SEQ);
  const completed = perRun();
  if (followed.statuses().some((status) => status !== 'completed'))
    throw new Error('A run did not complete.');
  return { begun, half, completed };
}

function tell(
  client: FollowingClient,
  hear: (message: string) => void,
  runIds: readonly string[],
  since: number,
  seq: number,
): void {
  for (const runId of runIds) {
    for (const message of client.messages(runId, since, seq)) hear(message);
  }
}

function makeRunIds(count: number): string[] {
  return Array.from({ length: count }, () => randomUUID());
}

function heapUsed(): number {
  for (let n = 0; n < 3; n++) globalThis.gc?.();
  return process.memoryUsage().heapUsed;
}
