import { PgFlowError } from '../errors.js';
import type { Database } from '../postgres/database.js';
import { explainRun, type StepWait } from '../postgres/explain-run.js';
import { readRunsAtWork } from '../postgres/read-work.js';
import { Store } from '../postgres/store.js';
import { applyChange } from '../run/apply-change.js';

/**
 * Milliseconds between looks. A look takes one; to listen for the news of a settle takes ten to set up, and on PGlite
 * a worker's settles are not told over a channel.
 */
const LOOK_AGAIN = 10;
/** Runs that an error names. */
const MOST_NAMED = 5;
const MOVING: ReadonlySet<StepWait['reason']> = new Set(['running', 'busy', 'no_worker']);

/**
 * Resolves when no task is being executed or due. Those with a later time do not count.
 *
 * @param timeout seconds.
 * @throws {PgFlowError} `TIMEOUT`, saying what is still at work.
 */
export async function drain(database: Database, schema: string, timeout: number): Promise<void> {
  const ends = performance.now() + timeout * 1000;
  for (;;) {
    const runIds = await readRunsAtWork(database, schema, MOST_NAMED);
    if (runIds.length === 0) return;
    if (performance.now() >= ends) throw await stillAtWork(database, schema, runIds, timeout);
    await new Promise((resolve) => setTimeout(resolve, LOOK_AGAIN));
  }
}

async function stillAtWork(
  database: Database,
  schema: string,
  runIds: readonly string[],
  timeout: number,
): Promise<PgFlowError> {
  const reasons = await Promise.all(runIds.map((runId) => reasonsOf(new Store(database, schema), runId)));
  return new PgFlowError(
    'TIMEOUT',
    `drain() waited ${timeout} s, and there is still work:\n${reasons.flat().join('\n')}\nLet what is running end (open its gate), give what is due a worker, or wait longer with drain({ timeout }).`,
    { data: { runIds } },
  );
}

async function reasonsOf(store: Store, runId: string): Promise<string[]> {
  const [change] = await store.readChanges([{ runId, since: 0 }]);
  const run = change && applyChange(null, change).run;
  if (!run) return [];
  const { waits } = await explainRun(store, run);
  return waits
    .filter(({ reason }) => MOVING.has(reason))
    .map(({ message }) => `- ${run.flowSlug} ${runId}: ${message}`);
}
