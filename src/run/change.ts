import type { RunError, RunStatus, StepState } from './run.js';

/** What happened to one task, told once with the change that stored it and never made up afterwards. */
export interface TaskFact {
  readonly type: 'task_started' | 'task_completed' | 'task_failed' | 'task_logged';
  readonly stepSlug: string;
  readonly taskIndex: number;
  readonly attempt: number;
  readonly at: Date;
  /** `task_completed`: the handler's result. */
  readonly output?: unknown;
  /** `task_failed`: why. */
  readonly error?: string;
  /** `task_failed`: whether it is tried again. */
  readonly willRetry?: boolean;
  /** `task_failed`: when, if it is. */
  readonly retryAt?: Date | null;
  /** `task_logged`: what its handler logged. */
  readonly message?: string;
  /** `task_logged`: as JSON; empty when none were given. */
  readonly fields?: Readonly<Record<string, unknown>>;
}

/** The values of a run that never change; part of the change that began it, `since` 0. */
export interface RunOrigin {
  readonly flowSlug: string;
  readonly version: number;
  readonly input: unknown;
  readonly startedAt: Date;
  readonly retryOf: string | null;
}

/** The values of a run that a change may alter, as they are at its `seq`. */
export interface RunValues {
  readonly status: RunStatus;
  readonly output: unknown;
  readonly error: RunError | null;
  readonly remainingSteps: number;
  readonly completedAt: Date | null;
  readonly failedAt: Date | null;
  readonly cancelledAt: Date | null;
  /** Why it was cancelled, where a reason was given. */
  readonly cancelReason: string | null;
}

/** A step state that a change touched: its new values, its place in `stepStates`, and the seq that touched it last. */
export interface StepChange {
  readonly index: number;
  readonly seq: number;
  readonly state: StepState;
}

/**
 * What was committed to one run: it covers `(since, seq]` with the new values of the rows that
 * it touched. A catch-up is a change too, with a wider range. Run and step events are not in
 * it: they follow from what a change alters (`eventsBetween`), so nobody can miss or double one.
 */
export interface Change {
  readonly runId: string;
  /** The run's flow and begin, where the change was committed or read: they do not travel. */
  readonly flowSlug?: string;
  readonly startedAt?: Date;
  /** Whom the row says it is told to, where it was committed or read: a tracker, 0 for several, null for none. */
  readonly trackedBy?: number | null;
  readonly since: number;
  readonly seq: number;
  /** Present exactly when `since` is 0. */
  readonly origin: RunOrigin | null;
  readonly run: RunValues;
  /** Ordered by `(seq, index)`. */
  readonly steps: readonly StepChange[];
  /** In the order in which they happened; empty in a catch-up. */
  readonly tasks: readonly TaskFact[];
}
