import type { Change, RunOrigin, RunValues, StepChange } from '../run/change.js';
import { freezeDeep } from '../run/freeze.js';
import type { RunError, RunStatus, StepProgress, StepState, StepStatus } from '../run/run.js';
import { sameText } from '../run/same-text.js';

/** One row of SQL's `change_row`: a run, a step state, a task, or a word to the caller. Times are texts. */
export interface ChangeRow {
  readonly kind: 'run' | 'step' | 'settled' | 'failed' | 'claim' | 'ready' | 'started' | 'existing';
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
  readonly progress: StepProgress | null;
  /** As PostgreSQL writes an array, `{1,2}`; as JSON has it in a user's transaction. */
  readonly accepted: string | readonly number[];
  readonly task_index: number;
  readonly claim: number;
  readonly available_at: string | null;
  readonly handler_id: number;
  readonly timeout: number;
  readonly root_run_id: string;
  readonly item: unknown;
  readonly deps: Record<string, unknown> | null;
  readonly tracked_by: number | null;
}

/** A step of a run. */
export interface StepKey {
  readonly runId: string;
  readonly stepIndex: number;
}

/** One execution of a task, named by its claim. */
export interface TaskKey extends StepKey {
  readonly taskIndex: number;
  readonly claim: number;
}

export interface ClaimedTask extends TaskKey {
  readonly handlerId: number;
  readonly attempt: number;
  readonly startedAt: Date;
  readonly item: unknown;
  readonly rootRunId: string;
  /** With the first task of each run and step in a batch, unless the claimer knows them; undefined with the others. */
  readonly input?: unknown;
  readonly deps?: Readonly<Record<string, unknown>>;
  /** Seconds that it was due before it was claimed. */
  readonly waited: number;
  /** Seconds. */
  readonly timeout: number;
}

/** What became of a task that a settle accepted as failed: `queued` when it is tried again. */
export interface FailedTask {
  readonly status: 'failed' | 'queued';
  readonly error: string;
  readonly retryAt: Date | null;
}

/** What a statement of the engine said, sorted out. */
export interface Outcome {
  /** One for each run that changed, without task facts. */
  readonly changes: Change[];
  /** Of the tasks given to settle, by their place: those that began or completed, and those that failed. */
  readonly accepted: ReadonlySet<number>;
  readonly failed: ReadonlyMap<number, FailedTask>;
  /** When the statement was executed, by the database's clock: of a start, or a settle that accepted something. */
  readonly at: Date | null;
  /** Tasks that are the caller's own now. */
  readonly claims: ClaimedTask[];
  /** The runs that were there already. */
  readonly existing: ReadonlySet<string>;
  /** Whether tasks are queued now. */
  readonly ready: boolean;
}

type Draft = { row: ChangeRow; startedAt: Date; steps: StepChange[] };

export function readOutcome(rows: readonly ChangeRow[]): Outcome {
  const drafts = new Map<string, Draft>();
  const steps: ChangeRow[] = [];
  const accepted = new Set<number>();
  const failed = new Map<number, FailedTask>();
  const existing = new Set<string>();
  const claims: ClaimedTask[] = [];
  let at: Date | null = null;
  let ready = false;
  for (const row of rows) {
    if (row.kind === 'run') drafts.set(row.run_id, createDraft(row));
    else if (row.kind === 'step') steps.push(row);
    else if (row.kind === 'claim') claims.push(readClaim(row));
    else if (row.kind === 'existing') existing.add(row.run_id);
    else if (row.kind === 'ready') ready = true;
    else if (row.kind === 'started') at = readTime(row.started_at);
    else if (row.kind === 'settled') {
      at = readTime(row.completed_at);
      for (const ordinal of readOrdinals(row.accepted)) accepted.add(ordinal - 1);
    } else {
      at = readTime(row.completed_at);
      failed.set(row.task_index - 1, readFailed(row));
    }
  }
  for (const row of steps) {
    const draft = drafts.get(row.run_id);
    draft?.steps.push(readStep(row, draft));
  }
  return { changes: [...drafts.values()].map(readChange), accepted, failed, at, claims, existing, ready };
}

function createDraft(row: ChangeRow): Draft {
  return { row, startedAt: new Date(row.started_at as string), steps: [] };
}

function readChange({ row, startedAt, steps }: Draft): Change {
  steps.sort((a, b) => a.seq - b.seq || a.index - b.index);
  return {
    runId: row.run_id,
    flowSlug: sameText(row.flow_slug),
    startedAt,
    trackedBy: row.tracked_by,
    since: row.since,
    seq: row.seq,
    origin: row.since === 0 ? readOrigin(row, startedAt) : null,
    run: readValues(row),
    steps,
    tasks: [],
  };
}

function readOrigin(row: ChangeRow, startedAt: Date): RunOrigin {
  return {
    flowSlug: sameText(row.flow_slug),
    version: row.version,
    input: freezeDeep(row.input),
    startedAt,
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

function readStep(row: ChangeRow, run: Draft): StepChange {
  const state: StepState = {
    stepSlug: sameText(row.step_slug),
    status: row.status as StepStatus,
    remainingDeps: row.remaining,
    initialTasks: row.initial_tasks,
    remainingTasks: row.remaining_tasks,
    attempt: row.attempt,
    output: freezeDeep(row.output),
    errorMessage: row.error_message,
    skipReason: row.skip_reason,
    progress: freezeDeep(row.progress),
    // Most steps share the Date of the run's start: 96 bytes less for each.
    createdAt: row.created_at === run.row.started_at ? run.startedAt : new Date(row.created_at),
    startedAt: readTime(row.started_at),
    completedAt: readTime(row.completed_at),
    failedAt: readTime(row.failed_at),
    skippedAt: readTime(row.skipped_at),
    cancelledAt: readTime(row.cancelled_at),
  };
  return { index: row.step_index, seq: row.seq, state: Object.freeze(state) };
}

export function readKey(row: ChangeRow): TaskKey {
  return { runId: row.run_id, stepIndex: row.step_index, taskIndex: row.task_index, claim: row.claim };
}

/** What `readClaim` reads: the columns of a row that are empty cost as much as the others. */
export const CLAIM_COLUMNS =
  'run_id, step_index, task_index, claim, handler_id, attempt, started_at, available_at, timeout, root_run_id, item, input, deps';

export function readClaim(row: ChangeRow): ClaimedTask {
  const startedAt = new Date(row.started_at as string);
  return {
    runId: row.run_id,
    stepIndex: row.step_index,
    taskIndex: row.task_index,
    claim: row.claim,
    handlerId: row.handler_id,
    attempt: row.attempt,
    startedAt,
    item: row.item,
    rootRunId: row.root_run_id,
    ...(row.deps === null ? {} : { input: row.input, deps: row.deps }),
    waited: (startedAt.getTime() - new Date(row.available_at as string).getTime()) / 1000,
    timeout: row.timeout,
  };
}

function readFailed(row: ChangeRow): FailedTask {
  return {
    status: row.status as FailedTask['status'],
    error: row.error_message ?? '',
    retryAt: readTime(row.available_at),
  };
}

function readOrdinals(list: ChangeRow['accepted']): readonly number[] {
  return typeof list === 'string' ? list.slice(1, -1).split(',').map(Number) : list;
}

function readTime(time: string | null): Date | null {
  return time === null ? null : new Date(time);
}
