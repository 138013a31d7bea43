import type { Run, RunStatus } from '../run/run.js';
import type { ExplainRow, Store } from './store.js';

/** One reason why a step has not ended, and how many of its tasks it holds. */
export interface StepWait {
  readonly stepSlug: string;
  /**
   * `dependencies`: for the steps in `waitsFor`. `delayed`: until `dueAt`, as asked for. `retrying`: until `dueAt`, after
   * `lastError`. `no_worker`: no live worker has its handler. `busy`: those who have it are at work on other tasks.
   * `running`: since `since`.
   */
  readonly reason: ExplainRow['reason'];
  /** 0 for `dependencies`. */
  readonly tasks: number;
  readonly waitsFor: readonly string[];
  readonly dueAt: Date | null;
  readonly since: Date | null;
  readonly lastError: string | null;
  /** The same, as a sentence. */
  readonly message: string;
}

/** Why a run has not gone on. */
export interface Explanation {
  readonly runId: string;
  readonly status: RunStatus;
  /** In definition order; empty when the run has ended. */
  readonly waits: readonly StepWait[];
}

export async function explainRun(store: Store, run: Run): Promise<Explanation> {
  const rows = await store.explainRun(run.runId);
  return { runId: run.runId, status: run.status, waits: rows.map((row) => readWait(row, run.flowSlug)) };
}

function readWait(row: ExplainRow, flowSlug: string): StepWait {
  return {
    stepSlug: row.step_slug,
    reason: row.reason,
    tasks: row.tasks,
    waitsFor: row.waits_for ?? [],
    dueAt: row.due_at === null ? null : new Date(row.due_at),
    since: row.since === null ? null : new Date(row.since),
    lastError: row.last_error,
    message: sentence(row, flowSlug),
  };
}

function sentence(row: ExplainRow, flowSlug: string): string {
  const step = `Step \`${row.step_slug}\``;
  const tasks = row.tasks === 1 ? 'a task' : `${row.tasks} tasks`;
  switch (row.reason) {
    case 'dependencies':
      return `${step} waits for ${row.waits_for?.map((slug) => `\`${slug}\``).join(', ')}.`;
    case 'delayed':
      return `${step} has ${tasks} delayed until ${row.due_at}.`;
    case 'retrying':
      return `${step} tries ${tasks} again at ${row.due_at}, after: ${row.last_error}`;
    case 'no_worker':
      return `${step} has ${tasks} that no running worker knows. Start one with \`${flowSlug}\` as it was when this run started.`;
    case 'busy':
      return `${step} has ${tasks} due; the workers that know it are busy.`;
    case 'running':
      return `${step} has ${tasks} running since ${row.since}.`;
  }
}
