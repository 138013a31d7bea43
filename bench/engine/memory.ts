import type { Databases } from './databases.js';
import { runMeasured } from './measured-process.js';
import { versionOfNode } from './peers.js';
import { number, table, times } from './print.js';
import { commit, today } from './protocol.js';

const TASKS = 1_000_000;

/** Measures what a worker holds while it processes a million tasks; answers the section for the results. */
export async function measureMemory(databases: Databases, share: number): Promise<string> {
  const count = TASKS * share;
  const { samples } = await databases.withFresh((url) =>
    runMeasured(
      'ours/memory.ts',
      { work: 'map', url, count, warmUp: count / 20, analyse: false },
      { flags: ['--expose-gc'], limit: 1800, onLine: (line) => console.log(line) },
    ),
  );
  const { heap = [], resident = [], rate = [] } = samples ?? {};
  const rows = heap.map((megabytes, tenth) => [
    number((tenth * count) / 10),
    megabytes.toFixed(1),
    String(Math.round(resident[tenth]!)),
    tenth === 0 ? '' : number(rate[tenth - 1]!),
  ]);
  return `${today()}, commit ${commit()}, Node ${versionOfNode()}: one process starts and processes ${number(count)} tasks, seven tenths in
maps of 10,000, the rest single jobs, after a warm-up of ${number(count / 20)}. The heap is what is left after a garbage collection:
at the end ${times(heap.at(-1)! / heap[1]!)} what it was after the first tenth.

${table(['tasks', 'heap, MB', 'resident, MB', 'tasks/s since the row above'], rows)}`;
}
