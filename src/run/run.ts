import type { AnyFlow, FlowInput, FlowOutput, FlowStepSlug, StepOutput } from '../flow/flow.js';

export type RunStatus = 'started' | 'completed' | 'failed' | 'cancelled';
export type StepStatus = 'created' | 'started' | 'completed' | 'failed' | 'skipped' | 'cancelled';

/** Why a run failed: the step, the index of its task (null when no task was to blame) and the last error. */
export interface RunError {
  readonly stepSlug: string;
  readonly taskIndex: number | null;
  readonly message: string;
}

/** How far a step is, as its handler said last. */
export interface StepProgress {
  /** From 0 to 1. Of a map: the mean over all its tasks when one last spoke, a completed one counting 1. */
  readonly fraction: number;
  /** What was said with it; null when nothing was. Of a map: by whichever task spoke last. */
  readonly note: string | null;
}

/** One step of one run, as of the run's `seq`. Immutable. Times are the database's. */
export interface StepState<Slug extends string = string, Output = unknown> {
  readonly stepSlug: Slug;
  readonly status: StepStatus;
  /** How many of the steps it waits for have not ended yet. */
  readonly remainingDeps: number;
  /** How many tasks it has; null until that is known. */
  readonly initialTasks: number | null;
  /** How many of them have not completed; null until `initialTasks` is known. */
  readonly remainingTasks: number | null;
  /** The highest attempt among its tasks; 0 before the first. */
  readonly attempt: number;
  /** The handler's result (of a map: the array of results, by index); null until completed. */
  readonly output: Output | null;
  /** The last error while it retries or when it has failed; null once completed. */
  readonly errorMessage: string | null;
  readonly skipReason: string | null;
  /** What its handler said last of how far it is; null until then, and again when a single step is tried again. */
  readonly progress: StepProgress | null;
  readonly createdAt: Date;
  readonly startedAt: Date | null;
  readonly completedAt: Date | null;
  readonly failedAt: Date | null;
  readonly skippedAt: Date | null;
  readonly cancelledAt: Date | null;
}

/** What a run is, without the lookup by slug. */
export interface RunFields<F extends AnyFlow = any> {
  readonly runId: string;
  readonly flowSlug: string;
  /** The version of the flow's shape that this run is pinned to. */
  readonly version: number;
  readonly status: RunStatus;
  readonly input: FlowInput<F>;
  /** `{ leafSlug: output }` of the completed leaf steps, of a job its handler's result; null until completed. */
  readonly output: FlowOutput<F> | null;
  readonly error: RunError | null;
  /** How many steps are not terminal yet. */
  readonly remainingSteps: number;
  /** Counts the run's changes: 1, 2, 3, … without gaps, in commit order. */
  readonly seq: number;
  readonly startedAt: Date;
  readonly completedAt: Date | null;
  readonly failedAt: Date | null;
  readonly cancelledAt: Date | null;
  /** The run that this one retries. */
  readonly retryOf: string | null;
  /** All steps, in definition order. */
  readonly stepStates: readonly StepState[];
}

/**
 * One execution of a flow with all its step states, as of one `seq`. Immutable: a change makes a
 * new Run that shares what did not change, so `previous.stepStates[0] === next.stepStates[0]`
 * says that the step is as it was.
 *
 * @example
 * run.status                    // 'started'
 * run.step('charge').attempt    // 2
 */
export interface Run<F extends AnyFlow = any> extends RunFields<F> {
  /** The state of one step, by slug; `undefined` for a slug that this run does not have. */
  step<Slug extends FlowStepSlug<F>>(slug: Slug): StepState<Slug, StepOutput<F, Slug>>;
}

class RunSnapshot implements RunFields {
  declare readonly runId: string;
  declare readonly flowSlug: string;
  declare readonly version: number;
  declare readonly status: RunStatus;
  declare readonly input: unknown;
  declare readonly output: unknown;
  declare readonly error: RunError | null;
  declare readonly remainingSteps: number;
  declare readonly seq: number;
  declare readonly startedAt: Date;
  declare readonly completedAt: Date | null;
  declare readonly failedAt: Date | null;
  declare readonly cancelledAt: Date | null;
  declare readonly retryOf: string | null;
  declare readonly stepStates: readonly StepState[];

  constructor(fields: RunFields) {
    this.runId = fields.runId;
    this.flowSlug = fields.flowSlug;
    this.version = fields.version;
    this.status = fields.status;
    this.input = fields.input;
    this.output = fields.output;
    this.error = fields.error;
    this.remainingSteps = fields.remainingSteps;
    this.seq = fields.seq;
    this.startedAt = fields.startedAt;
    this.completedAt = fields.completedAt;
    this.failedAt = fields.failedAt;
    this.cancelledAt = fields.cancelledAt;
    this.retryOf = fields.retryOf;
    this.stepStates = fields.stepStates;
    Object.freeze(this);
  }

  step(slug: string): StepState<any, any> {
    return this.stepStates.find((step) => step.stepSlug === slug) as StepState<any, any>;
  }
}

/** Makes the immutable Run of these fields. The arrays and objects in them are taken over, not copied. */
export function createRun<F extends AnyFlow = any>(fields: RunFields<F>): Run<F> {
  Object.freeze(fields.stepStates);
  return new RunSnapshot(fields) as Run<F>;
}

/** True for a status that a run never leaves. */
export function isTerminalRun(status: RunStatus): boolean {
  return status !== 'started';
}

/** True for a status that a step never leaves. */
export function isTerminalStep(status: StepStatus): boolean {
  return status !== 'created' && status !== 'started';
}

const RUN_STATUSES: readonly unknown[] = [
  'started',
  'completed',
  'failed',
  'cancelled',
] satisfies RunStatus[];

export function isRunStatus(value: unknown): value is RunStatus {
  return RUN_STATUSES.includes(value);
}
