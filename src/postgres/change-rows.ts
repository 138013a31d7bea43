import type { Change, RunOrigin, RunValues, StepChange } from '../run/change.js';
import { freezeDeep } from '../run/freeze.js';
import type { RunError, RunStatus, StepState, StepStatus } from '../run/run.js';

/** One row of SQL's `change_row`: a run, a step state, a task, or a word to the caller. Times are texts. */
export interface ChangeRow {
  readonly kind: 'run' | 'step' | 'task' | 'ready' | 'existing';
  readonly run_id: string;
  readonly since: number;
  readonly seq: number;
  readonly status: string;
  readonly remaining: number;
  readonly output: unknown;
  readonly error: RunError | null;
  readonly started_at: string | null;
  readonly completed_at: string | null;
  readonly failed_at: string | null;
  readonly cancelled_at: string | null;
  readonly reason: string | null;
  readonly flow_slug: string;
  readonly version: number;
  readonly input: unknown;
  readonly retry_of: string | null;
  readonly step_index: number;
  readonly step_slug: string;
  readonly initial_tasks: number | null;
  readonly remaining_tasks: number | null;
  readonly attempt: number;
  readonly error_message: string | null;
  readonly skip_reason: string | null;
  readonly created_at: string;
  readonly skipped_at: string | null;
  readonly task_index: number;
  readonly claim: number;
  readonly available_at: string | null;
}

/** A task that a settle accepted. `status` is what became of it: `queued` when it is tried again. */
export interface SettledTask {
  readonly runId: string;
  readonly stepIndex: number;
  readonly stepSlug: string;
  readonly taskIndex: number;
  readonly claim: number;
  readonly status: 'started' | 'completed' | 'failed' | 'queued';
  readonly attempt: number;
  readonly startedAt: Date;
  readonly endedAt: Date | null;
  readonly error: string | null;
  readonly retryAt: Date | null;
}

/** What a statement of the engine said, sorted out. */
export interface Outcome {
  /** One for each run that changed, without task facts. */
  readonly changes: Change[];
  readonly tasks: SettledTask[];
  /** The runs that were there already. */
  readonly existing: ReadonlySet<string>;
  /** Whether tasks are queued now. */
  readonly ready: boolean;
}

type Draft = { row: ChangeRow; steps: StepChange[] };

export function readOutcome(rows: readonly ChangeRow[]): Outcome {
  const drafts = new Map<string, Draft>();
  const tasks: SettledTask[] = [];
  const existing = new Set<string>();
  let ready = false;
  const steps: ChangeRow[] = [];
  for (const row of rows) {
    if (row.kind === 'run') drafts.set(row.run_id, { row, steps: [] });
    else if (row.kind === 'step') steps.push(row);
    else if (row.kind === 'task') tasks.push(readTask(row));
    else if (row.kind === 'existing') existing.add(row.run_id);
    else ready = true;
  }
  for (const row of steps) drafts.get(row.run_id)?.steps.push(readStep(row));
  return { changes: [...drafts.values()].map(readChange), tasks, existing, ready };
}

function readChange({ row, steps }: Draft): Change {
  steps.sort((a, b) => a.seq - b.seq || a.index - b.index);
  return {
    runId: row.run_id,
    since: row.since,
    seq: row.seq,
    origin: row.since === 0 ? readOrigin(row) : null,
    run: readValues(row),
    steps,
    tasks: [],
  };
}

function readOrigin(row: ChangeRow): RunOrigin {
  return {
    flowSlug: row.flow_slug,
    version: row.version,
    input: freezeDeep(row.input),
    startedAt: new Date(row.started_at as string),
    retryOf: row.retry_of,
  };
}

function readValues(row: ChangeRow): RunValues {
  return {
    status: row.status as RunStatus,
    output: freezeDeep(row.output),
    error: freezeDeep(row.error),
    remainingSteps: row.remaining,
    completedAt: readTime(row.completed_at),
    failedAt: readTime(row.failed_at),
    cancelledAt: readTime(row.cancelled_at),
    cancelReason: row.reason,
  };
}

function readStep(row: ChangeRow): StepChange {
  const state: StepState = {
    stepSlug: row.step_slug,
    status: row.status as StepStatus,
    remainingDeps: row.remaining,
    initialTasks: row.initial_tasks,
    remainingTasks: row.remaining_tasks,
    attempt: row.attempt,
    output: freezeDeep(row.output),
    errorMessage: row.error_message,
    skipReason: row.skip_reason,
    createdAt: new Date(row.created_at),
    startedAt: readTime(row.started_at),
    completedAt: readTime(row.completed_at),
    failedAt: readTime(row.failed_at),
    skippedAt: readTime(row.skipped_at),
    cancelledAt: readTime(row.cancelled_at),
  };
  return { index: row.step_index, seq: row.seq, state: Object.freeze(state) };
}

function readTask(row: ChangeRow): SettledTask {
  return {
    runId: row.run_id,
    stepIndex: row.step_index,
    stepSlug: row.step_slug,
    taskIndex: row.task_index,
    claim: row.claim,
    status: row.status as SettledTask['status'],
    attempt: row.attempt,
    startedAt: new Date(row.started_at as string),
    endedAt: readTime(row.completed_at),
    error: row.error_message,
    retryAt: readTime(row.available_at),
  };
}

function readTime(time: string | null): Date | null {
  return time === null ? null : new Date(time);
}
