import { applyChange } from '../../src/run/apply-change.js';
import type { Change, RunValues, StepChange } from '../../src/run/change.js';
import { createRun, type Run, type StepState } from '../../src/run/run.js';
import type { RowVersion } from './audit-log.js';

type Row = RowVersion['row'];

/**
 * One run as its rows were after each transaction: the rows themselves, and two accounts of what a
 * snapshot shows, one read off all rows, one folded from the changes that the rows' seqs make up.
 */
export class AuditedRun {
  readonly runId: string;
  run: Row = {};
  readonly steps: Row[] = [];
  readonly tasks = new Map<string, Row>();
  /** By seq: what all rows said when it was committed. */
  readonly snapshots = new Map<number, Run>();
  /** The changes 1…seq, applied one after the other; null once one did not fit. */
  folded: Run | null = null;

  constructor(runId: string) {
    this.runId = runId;
  }

  write({ source, row }: RowVersion): void {
    if (source === 'runs') this.run = { ...this.run, ...row };
    else if (source === 'step_states') this.steps[row.step_index] = row;
    else this.tasks.set(taskKey(row), row);
  }

  tasksOf(stepIndex: number): Row[] {
    return [...this.tasks.values()].filter((task) => task.step_index === stepIndex);
  }

  /** Takes note of a new seq. */
  close(): void {
    const seq: number = this.run.seq;
    const applied = applyChange(this.folded, this.#change(seq));
    this.folded = applied.kind === 'applied' ? applied.run : null;
    this.snapshots.set(seq, this.snapshot());
  }

  snapshot(): Run {
    const { run } = this;
    return createRun({
      runId: run.run_id,
      seq: run.seq,
      ...originOf(run),
      ...withoutReason(valuesOf(run)),
      stepStates: this.steps.map(stateOf),
    });
  }

  #change(seq: number): Change {
    const steps = this.steps
      .map((row): StepChange => ({ index: row.step_index, seq: row.seq, state: stateOf(row) }))
      .filter((step) => step.seq === seq);
    return {
      runId: this.runId,
      since: seq - 1,
      seq,
      origin: seq === 1 ? originOf(this.run) : null,
      run: valuesOf(this.run),
      steps,
      tasks: [],
    };
  }
}

export function taskKey(row: Row): string {
  return `${row.step_index}:${row.task_index}`;
}

function originOf(row: Row) {
  return {
    flowSlug: row.flow_slug,
    version: row.version,
    input: row.input,
    startedAt: new Date(row.started_at),
    retryOf: row.retry_of,
  };
}

function valuesOf(row: Row): RunValues {
  return {
    status: row.status,
    output: row.output,
    error: row.error,
    remainingSteps: row.remaining_steps,
    completedAt: timeOf(row.completed_at),
    failedAt: timeOf(row.failed_at),
    cancelledAt: timeOf(row.cancelled_at),
    cancelReason: row.cancel_reason,
  };
}

function withoutReason({ cancelReason: _, ...values }: RunValues): Omit<RunValues, 'cancelReason'> {
  return values;
}

function stateOf(row: Row): StepState {
  return {
    stepSlug: row.step_slug,
    status: row.status,
    remainingDeps: row.remaining_deps,
    initialTasks: row.initial_tasks,
    remainingTasks: row.remaining_tasks,
    attempt: row.attempt,
    output: row.output,
    errorMessage: row.error_message,
    skipReason: row.skip_reason,
    progress: row.progress,
    createdAt: new Date(row.created_at),
    startedAt: timeOf(row.started_at),
    completedAt: timeOf(row.completed_at),
    failedAt: timeOf(row.failed_at),
    skippedAt: timeOf(row.skipped_at),
    cancelledAt: timeOf(row.cancelled_at),
  };
}

function timeOf(time: string | null): Date | null {
  return time === null ? null : new Date(time);
}
