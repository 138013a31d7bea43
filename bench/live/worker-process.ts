import { readLiveAssignment } from './assignment.js';
import { now } from './clock.js';
import { openPgFlow } from './open-pgflow.js';
import { answerCommands } from './other-process.js';
import { watchStatements } from './statements.js';

/** A worker that `committed.ts` and `watchers.ts` start and ask. */
const settles = watchStatements('settle_tasks');
const { pgflow, job, gate } = await openPgFlow(readLiveAssignment(), 'worker');
let n = 0;
answerCommands({
  start: () => pgflow.start(),
  open: () => gate.open(),
  /** When the answer to its last settle came. */
  committedAt: () => settles.answeredAt,
  async enqueue() {
    const at = now();
    n++;
    const { runId } = await pgflow.enqueue(job, { n });
    return { runId, at };
  },
});
